"""The progress files of a whole class, as learners have handed them in: who has passed what, and who is stuck."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from labs import progress
from labs.progress import Standing

STUCK = 3  # tries that have not passed


class NoProgress(ValueError):
    """There is nothing to show; the text says what was looked for."""


@dataclass
class Classroom:
    learners: dict[str, dict[str, Standing]]  # name, then id of the exercise
    notes: list[str]

    @property
    def ids(self) -> list[str]:
        """The exercises that somebody has tried or has seen a hint of."""
        return sorted({id for found in self.learners.values() for id in found}, key=_order)


def _order(id: str) -> tuple:
    lab, _, number = id.partition("-")
    return lab, int(number) if number.isdecimal() else 0, id


def read(folder: Path) -> Classroom:
    """Read FOLDER/name.jsonl, FOLDER/name/progress.jsonl and deeper ones; the name is the learner's.

    A file that cannot be read is a remark, and hides no other.

    Raises:
        NoProgress: no folder, or no such file in it.
    """
    if not folder.is_dir():
        raise NoProgress(f"{folder} is no folder; it has to be one with the learners' files, name.jsonl each")
    learners, notes = {}, []
    for path in sorted(folder.rglob("*.jsonl")):
        if path.name.startswith("progress-of-another-version"):
            continue
        name = path.relative_to(folder).with_suffix("")
        name = str(name.parent if name.name == Path(progress.NAME).stem and name.parent.name else name)
        try:
            history = progress.read(path)
        except OSError as error:
            notes.append(f"{path} could not be read ({error.strerror}).")
            continue
        notes += history.notes
        learners[name] = history.standings()
    if not learners and not notes:
        raise NoProgress(f"{folder} has no file *.jsonl in it; each learner has one, {progress.path()}")
    return Classroom(learners, notes)


def word(standing: Standing | None) -> str:
    """What is shown of a learner's exercise: "passed, 2 tries, 1 hint"."""
    if standing is None:
        return "-"
    state = "stuck" if is_stuck(standing) else standing.outcome
    parts = [state]
    if standing.tries > 1 or (standing.tries and not standing.passed):
        parts.append(f"{standing.tries} {'try' if standing.tries == 1 else 'tries'}")
    if standing.hints:
        parts.append(f"{standing.hints} {'hint' if standing.hints == 1 else 'hints'}")
    if standing.solution:
        parts.append("solution seen")
    return ", ".join(parts)


def is_stuck(standing: Standing) -> bool:
    """Three or more tries, and not passed."""
    return not standing.passed and standing.tries >= STUCK


def table(room: Classroom) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows: one row for each learner, and a last one that counts."""
    ids = room.ids
    rows = [[name, *(word(found.get(id)) for id in ids)] for name, found in room.learners.items()]
    total = len(room.learners)
    counted = []
    for id in ids:
        standings = [found[id] for found in room.learners.values() if id in found]
        passed, stuck = sum(one.passed for one in standings), sum(map(is_stuck, standings))
        counted.append(f"{passed} of {total} passed" + (f", {stuck} stuck" if stuck else ""))
    return ["learner", *ids], [*rows, ["all", *counted]]


def as_csv(room: Classroom) -> str:
    """Return one line for each learner and exercise."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["learner", "exercise", "outcome", "tries", "hints", "solution_seen", "stuck"])
    for name, found in room.learners.items():
        for id in room.ids:
            one = found.get(id, Standing())
            writer.writerow([name, id, one.outcome, one.tries, one.hints, int(one.solution), int(is_stuck(one))])
    return out.getvalue()
