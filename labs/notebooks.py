"""The notebooks as files: which labs there are, what their first cells say about them, and cells by their tags."""

import difflib
import json
import re
from dataclasses import dataclass
from pathlib import Path

LABS = Path(__file__).resolve().parent
NUMBERS = "application/vnd.aurora-labs.numbers+json"  # an output with numbers by their names, see lab.record
NAME = re.compile(r"(\d\d)_\w+\.ipynb")
HEADING = re.compile(r"(?m)^# (?:Lab \d+: *)?(.+)$")
SECTION = re.compile(r"(?m)^\|.*\|\s*(\d+) min\s*\|\s*(core|optional)\s*\|")


class UnknownLab(LookupError):
    """There is no lab of that name; the text names the nearest one."""


@dataclass(frozen=True)
class Lab:
    number: str  # "02"
    name: str  # "02_name"
    title: str
    core: int  # minutes of the sections that are core
    optional: int

    def learner(self, folder: Path = LABS) -> Path:
        return folder / f"{self.name}.ipynb"

    def solutions(self, folder: Path = LABS) -> Path:
        return folder / "solutions" / f"{self.name}.ipynb"


def every(folder: Path = LABS) -> list[Lab]:
    """Return the labs, in the order of their numbers; also one whose learner's notebook was deleted or renamed."""
    found = {path.name: path for path in (*folder.glob("*.ipynb"), *folder.glob("solutions/*.ipynb"))}
    return [_lab(found[name]) for name in sorted(found) if NAME.fullmatch(name)]


def find(name: str, folder: Path = LABS) -> Lab:
    """Return the lab with this number ("2", "02") or name, with or without .ipynb; raise UnknownLab."""
    labs, wanted = every(folder), Path(name).name.removesuffix(".ipynb")
    for lab in labs:
        if wanted in (lab.name, lab.number) or wanted.zfill(2) == lab.number:
            return lab
    names = {key: lab for lab in labs for key in (lab.number, lab.name, lab.name[3:])}
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.4)
    advice = f"did you mean {names[near[0]].name}?" if near else f"there are {', '.join(lab.name for lab in labs)}"
    raise UnknownLab(f"there is no lab {name!r}: {advice}")


def _lab(path: Path) -> Lab:
    title, minutes = path.stem, {"core": 0, "optional": 0}
    try:
        text = next((_source(cell) for cell in _cells(path) if cell.get("cell_type") == "markdown"), "")
    except (OSError, ValueError):  # half written, or edited into something else: still a lab
        text = ""
    heading = HEADING.search(text)
    for number, kind in SECTION.findall(text):
        minutes[kind] += int(number)
    return Lab(path.name[:2], path.stem, heading[1] if heading else title, minutes["core"], minutes["optional"])


def cells(path: Path, *tags: str) -> list[tuple[str, str]]:
    """Return kind ("code", "markdown") and text of the cells that have all of the tags.

    Raises:
        OSError, ValueError: the notebook is not there, or is none.
    """
    return [
        (cell.get("cell_type", ""), _source(cell))
        for cell in _cells(path)
        if set(tags) <= set(cell.get("metadata", {}).get("tags", []))
    ]


def _cells(path: Path) -> list[dict]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    found = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"{path} is no notebook")
    return found


def _source(cell: dict) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)
