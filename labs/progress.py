"""What a learner has tried, passed and peeked at: one line of JSON per event, in a file on the learner's own machine.

Answers are not kept, and nothing is sent anywhere. Several notebooks may write at once: an event is one write to a file
that is opened for appending. What cannot be written stays known to this process, so a notebook never breaks on it.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

VERSION = 1
NAME = "progress.jsonl"

_unsaved: list[dict] = []  # events that could not be written


@dataclass
class Standing:
    """How far a learner is with one exercise."""

    outcome: str = "not attempted"  # passed, once it was; else that of the last try
    tries: int = 0  # up to the first that passed
    hints: int = 0  # how many different ones were shown
    solution: bool = False  # whether it was shown before the exercise was passed

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"


@dataclass
class History:
    """The events that could be read, the oldest first, and remarks on what could not."""

    events: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    foreign: int = 0  # lines of another version

    def standings(self) -> dict[str, Standing]:
        """Return how far the learner is with each exercise that there are events of."""
        return standings(self.events)


def path() -> Path:
    """Return where the events are kept: the folder AURORA_PROGRESS_DIR, else the user's data folder."""
    folder = os.environ.get("AURORA_PROGRESS_DIR")
    if not folder:
        import platformdirs

        folder = platformdirs.user_data_dir("aurora-labs", appauthor=False)
    return Path(folder) / NAME


def record(exercise: str, event: str, **more: object) -> str:
    """Append one event ("check", "hint", "solution"); return a remark for the learner, empty if all went well."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    line = {"v": VERSION, "time": time, "exercise": exercise, "event": event, **more}
    try:
        file = path()
        file.parent.mkdir(parents=True, exist_ok=True)
        remark = _put_aside(file)
        _append(file, [line])
    except (OSError, ImportError) as error:
        _unsaved.append(line)
        why = getattr(error, "strerror", None) or error
        return f"Your progress could not be saved ({why}); it is known until the kernel ends."
    return remark


def _append(file: Path, lines: Iterable[dict]) -> None:
    """Write the lines at the end, in one write, so that they cannot mix with another notebook's."""
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            text = b"\n" + text  # after a line that was cut short
        os.write(handle, text)
    finally:
        os.close(handle)


def _put_aside(file: Path) -> str:
    """Rename a file with lines of another version, and begin a new one with the lines of ours; return what to say."""
    history = read(file)
    if not history.foreign:
        return ""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = file.with_name(f"progress-of-another-version-{stamp}-{os.getpid()}.jsonl")
    file.rename(aside)
    if history.events:
        _append(file, history.events)
    return f"Progress written by another version of aurora-labs was put aside, in {aside}."


def read(file: Path) -> History:
    """Return what a progress file holds; raise OSError when it is there and cannot be read."""
    history, damaged = History(), 0
    try:
        rows = file.read_bytes().splitlines()
    except FileNotFoundError:
        return history
    for row in rows:
        try:
            line = json.loads(row) if row.strip() else None
        except (ValueError, RecursionError):
            line = ""
        if line is None:
            continue
        if not isinstance(line, dict) or not isinstance(line.get("exercise"), str):
            damaged += 1
        elif line.get("v") != VERSION:
            history.foreign += 1
        else:
            history.events.append(line)
    if damaged:
        history.notes.append(f"{damaged} damaged lines of {file} were left out.")
    if history.foreign:
        history.notes.append(f"{history.foreign} lines of {file} are of another version, and not counted.")
    return history


def history() -> History:
    """Return the learner's own events, with those that could not be written; raise nothing."""
    try:
        found = read(path())
    except (OSError, ImportError) as error:
        found = History(notes=[f"Your progress cannot be read ({getattr(error, 'strerror', None) or error})."])
    found.events += _unsaved
    return found


def standings(events: Iterable[dict]) -> dict[str, Standing]:
    """Return how far a learner is with each exercise, from events in the order of time."""
    found: dict[str, Standing] = {}
    for event in events:
        standing = found.setdefault(event["exercise"], Standing())
        kind, outcome, number = event.get("event"), event.get("outcome"), event.get("number")
        if kind == "check" and not standing.passed and isinstance(outcome, str):
            standing.tries += 1
            standing.outcome = outcome
        elif kind == "hint" and isinstance(number, int):
            standing.hints = max(standing.hints, number)
        elif kind == "solution" and not standing.passed:
            standing.solution = True
    return found
