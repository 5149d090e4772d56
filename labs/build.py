"""Notebooks from their sources: labs/source/NN_name.py makes the learner's notebook and the one with the solutions.

A source is a jupytext percent file. A cell tagged `solution` is only in the solutions notebook, one tagged `exercise`
only in the learner's; the two are neighbours, a blank and what belongs in it, and both have the tag `ex-NN-M` of their
exercise. Each exercise that is registered has both, and is checked. The notebooks carry no outputs, and the same source
makes the same bytes.
"""

import hashlib
import re
from pathlib import Path

from labs import exercises

LABS = Path(__file__).resolve().parent
NAME = re.compile(r"\d\d_\w+\.py")
OF_EXERCISE = re.compile(r"ex-(\d\d-\d+)")
KEPT = ("deletable", "editable", "jupyter", "tags")  # cell metadata that means something; the rest is jupytext's own
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class BuildError(ValueError):
    """A source cannot be made into notebooks; the text names the file and the cell."""


def sources(labs: Path = LABS) -> list[Path]:
    """Return the sources, in the order of their numbers."""
    return sorted(path for path in (labs / "source").glob("*.py") if NAME.fullmatch(path.name))


def build(source: Path) -> dict[Path, str]:
    """Return what the notebooks of one source have to hold, by path; raise BuildError for a source with a mistake."""
    import jupytext  # these two take half a second

    labs = source.resolve().parent.parent
    try:
        cells = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent").cells
    except (OSError, SyntaxError, ValueError) as error:
        raise BuildError(f"{source} cannot be read as a percent source: {error}") from error
    _verify_pairs(source, cells)
    _verify_exercises(source, cells)
    ids = _ids(cells)
    versions = {labs / f"{source.stem}.ipynb": "solution", labs / "solutions" / f"{source.stem}.ipynb": "exercise"}
    return {path: _notebook(cells, ids, without) for path, without in versions.items()}


def _tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def _exercises(cell) -> list[str]:
    """The ids of the exercises that a cell is tagged with."""
    return [match[1] for tag in _tags(cell) if (match := OF_EXERCISE.fullmatch(tag))]


def _verify_pairs(source: Path, cells: list) -> None:
    """Every blank is directly followed by its solution, and both name their exercise; more solutions may follow."""
    for number, (cell, after) in enumerate(zip(cells, [*cells[1:], None], strict=True), 1):
        kinds = {"exercise", "solution"} & set(_tags(cell))
        where = f"{source}, cell {number} ({cell.source.partition(chr(10))[0]!r})"
        if len(kinds) == 2:
            raise BuildError(f"{where} is tagged both exercise and solution: it can be only one of them")
        if kinds and len(_exercises(cell)) != 1:
            raise BuildError(
                f'{where} is tagged {kinds.pop()!r}: it needs the tag of its exercise, too, like "ex-02-1"'
            )
        if kinds == {"exercise"} and (
            after is None or "solution" not in _tags(after) or _exercises(after) != _exercises(cell)
        ):
            raise BuildError(
                f"{where} is tagged exercise: the next cell has to be tagged solution and ex-{_exercises(cell)[0]}"
            )


def _verify_exercises(source: Path, cells: list) -> None:
    """The blanks are those of the registered exercises, once each, and each is checked by a later cell."""
    try:
        registered = [task.id for task in exercises.of_lab(source.name[:2])]
    except Exception as error:  # a mistake in the lab's own module
        raise BuildError(f"the exercises of {source.name} cannot be imported: {error!r}") from error
    blanks = [id for cell in cells if "exercise" in _tags(cell) for id in _exercises(cell)]
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    for id in sorted({*registered, *blanks}):
        if id not in registered:
            raise BuildError(f"{source} has cells of exercise {id}, which is not registered in labs/exercise_sets")
        if blanks.count(id) != 1:
            raise BuildError(f"{source} has to have one cell tagged exercise and ex-{id}; it has {blanks.count(id)}")
        if f'lab.exercise("{id}")' not in code:
            raise BuildError(f'{source} never checks exercise {id}: write ex = lab.exercise("{id}"), ex.check(answer)')


def _ids(cells: list) -> list[str]:
    """A cell's id comes from its content, so that a cell put in changes no other cell's."""
    ids, seen = [], {}
    for cell in cells:
        base = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[base] = seen.get(base, 0) + 1
        ids.append(base if seen[base] == 1 else f"{base}-{seen[base]}")
    return ids


def _notebook(cells: list, ids: list[str], without: str) -> str:
    import nbformat

    make = {
        "markdown": nbformat.v4.new_markdown_cell,
        "code": nbformat.v4.new_code_cell,
        "raw": nbformat.v4.new_raw_cell,
    }
    made = [
        make[cell.cell_type](
            cell.source, id=id, metadata={key: cell.metadata[key] for key in KEPT if key in cell.metadata}
        )
        for cell, id in zip(cells, ids, strict=True)
        if without not in _tags(cell)
    ]
    notebook = nbformat.v4.new_notebook(cells=made, metadata=METADATA)
    notebook.nbformat_minor = 5
    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def check(labs: Path = LABS) -> list[Path]:
    """Return the notebooks that are not what their source makes: changed, missing, or without a source."""
    wanted = {path: text for source in sources(labs) for path, text in build(source).items()}
    present = [*labs.glob("*.ipynb"), *labs.glob("solutions/*.ipynb")]
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return sorted({*stale, *(path for path in present if path not in wanted)})


def write(labs: Path = LABS, only: str = "") -> list[Path]:
    """Write every notebook that is not what its source makes, of all labs or of one; return the paths written.

    Raises:
        BuildError: a source has a mistake. The notebooks of the others are written all the same.
    """
    written, mistakes = [], []
    for source in sources(labs):
        if not source.name.startswith(only):
            continue
        try:
            made = build(source)
        except BuildError as error:
            mistakes.append(str(error))
            continue
        for path, text in made.items():
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                written.append(path)
    if mistakes:
        raise BuildError("\n".join(mistakes))
    return written
