"""One page of what a batch job has run: python slurm/report.py FOLDER "job 12 on node3"

FOLDER has NN.json, as `aurora check --json` writes them, and the executed notebooks. Each notebook becomes a page, too,
which needs no JupyterLab; report.html links to them.
"""

import json
import sys
from pathlib import Path

from labs import pages

HEADINGS = ["notebook", "about", "result", "run time, s", "exercises"]


def results(folder: Path) -> list[dict]:
    """What is known of each lab, in the order of their numbers."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("[0-9][0-9].json"))]
    return [lab for one in found for lab in one["labs"]]


def readable(lab: dict) -> str:
    """Make a page of an executed notebook, unless there is a newer one; return its name, empty if it cannot be made."""
    notebook = Path(lab["executed"])
    page = notebook.with_suffix(".html")
    try:
        if not page.exists() or page.stat().st_mtime < notebook.stat().st_mtime:
            page.write_text(pages.export(notebook, lab["title"]), encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"no page of {notebook.name}: {error}", file=sys.stderr)
        return ""
    return page.name


def main(folder: Path, where: str) -> None:
    """Write report.html and report.json into the folder."""
    labs = results(folder)
    rows = [
        [
            lab["lab"],
            lab["title"],
            "ok" if lab["ok"] else f"failed in cell {lab['cell']}: {lab['error']}",
            f"{lab['seconds']:.1f}",
            ", ".join(f"{id} {outcome}" for id, outcome in sorted(lab["exercises"].items())),
        ]
        for lab in labs
    ]
    good = sum(lab["ok"] for lab in labs)
    links = [readable(lab) for lab in labs]
    caption = f"{where}: {good} of {len(labs)} ran to the end"
    text = pages.page("Labs of a batch job", caption, HEADINGS, rows, links=links)
    (folder / "report.html").write_text(text, encoding="utf-8")
    (folder / "report.json").write_text(json.dumps({"where": where, "labs": labs}, indent=2) + "\n", encoding="utf-8")
    print(f"report: {folder / 'report.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
