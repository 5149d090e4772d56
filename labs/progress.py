"""What a learner has tried, passed and peeked at: one line of JSON per event, in a file on the learner's own machine.

Answers are not kept, and nothing is sent anywhere. A folder that cannot be written never breaks a notebook.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path


def path() -> Path:
    """Return where the events are kept: the folder AURORA_PROGRESS_DIR, else the user's data folder."""
    folder = os.environ.get("AURORA_PROGRESS_DIR")
    if not folder:
        import platformdirs

        folder = platformdirs.user_data_dir("aurora-labs", appauthor=False)
    return Path(folder) / "progress.jsonl"


def record(exercise: str, event: str, **more: object) -> bool:
    """Append one event ("check", "hint", "solution"); return whether it could be written."""
    line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "exercise": exercise, "event": event, **more}
    try:
        file = path()
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
    except (OSError, ImportError):
        return False
    return True


def events() -> list[dict]:
    """Return all events, the oldest first; lines that cannot be read are left out."""
    found = []
    try:
        lines = path().read_text(encoding="utf-8").splitlines()
    except (OSError, ImportError, UnicodeDecodeError):
        return found
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "exercise" in event:
            found.append(event)
    return found
