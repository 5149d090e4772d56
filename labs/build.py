"""Notebooks from their sources: labs/source/NN_name.py makes the learner's notebook and the one with the solutions.

A source is a jupytext percent file. A cell tagged `solution` is only in the solutions notebook, one tagged `exercise`
only in the learner's; the two are neighbours, a blank and what belongs in it. The notebooks carry no outputs, and the
same source makes the same bytes.
"""

import hashlib
import re
from pathlib import Path

LABS = Path(__file__).resolve().parent
NAME = re.compile(r"\d\d_\w+\.py")
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
    ids = _ids(cells)
    versions = {labs / f"{source.stem}.ipynb": "solution", labs / "solutions" / f"{source.stem}.ipynb": "exercise"}
    return {path: _notebook(cells, ids, without) for path, without in versions.items()}


def _tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def _verify_pairs(source: Path, cells: list) -> None:
    """Every blank is directly followed by its solution; a solution without a blank is allowed."""
    for number, (cell, after) in enumerate(zip(cells, [*cells[1:], None], strict=True), 1):
        if "exercise" in _tags(cell) and (after is None or "solution" not in _tags(after)):
            first = cell.source.partition("\n")[0]
            raise BuildError(
                f'{source}, cell {number} ({first!r}) is tagged "exercise": the next cell has to be tagged "solution"'
            )


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


def write(labs: Path = LABS) -> list[Path]:
    """Write every notebook that is not what its source makes; return the paths written."""
    written = []
    for source in sources(labs):
        for path, text in build(source).items():
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                written.append(path)
    return written
