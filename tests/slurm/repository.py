"""A small copy of this repository, with labs that take no time, in a folder with blanks in its name."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent.parent
QUICK = "print(runs, 'times')"
# The first time it never ends; when its job is started again it does.
SLOW = """
import pathlib, time
mark = pathlib.Path({mark!r})
if not mark.exists():
    mark.touch()
    time.sleep(600)
print('went on')
"""


class Repository:
    """The copy, and a site.conf of its own, which names this Python."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my repository"
        self.results = folder / "my results"
        ignored = shutil.ignore_patterns("*.ipynb", "__pycache__", "kept")
        for name in ("labs", "slurm"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignored)
        self.site = self.root / "slurm" / "site.conf"
        self.set(ACCOUNT="icm", CPUS="1", MEMORY="2G", TIME="10:00", ENVIRONMENT=sys.prefix, SCRATCH=str(self.results))

    def set(self, **values: str) -> None:
        """Change settings in site.conf."""
        rows = self.site.read_text().splitlines()
        for name, value in values.items():
            rows = [f'{name}="{value}"' if row.startswith(f"{name}=") else row for row in rows]
        self.site.write_text("\n".join(rows) + "\n")

    def lab(self, number: str, code: str = QUICK, more: str = "") -> None:
        """Add a lab with one cell and a parameter, or `more` of them, a line for each."""
        parameters = nbformat.v4.new_code_cell(f"runs = 3\n{more}".strip(), metadata={"tags": ["parameters"]})
        cells = [nbformat.v4.new_markdown_cell(f"# Lab {number}: made for a test"), parameters]
        notebook = nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell(code)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        for folder in (self.root / "labs", self.root / "labs" / "solutions"):
            folder.mkdir(exist_ok=True)
            nbformat.write(notebook, folder / f"{number}_made.ipynb")

    def run(self, template: str, *arguments: str, environment: dict | None = None) -> subprocess.CompletedProcess:
        """Run a template, as a learner does."""
        command = [str(self.root / "slurm" / template), *arguments]
        if environment is None:
            environment = without_slurm(self.root.parent)
        return subprocess.run(command, env=environment, cwd="/", text=True, capture_output=True, timeout=60)


def without_slurm(folder: Path) -> dict[str, str]:
    """An environment with the few programs that the templates need before a job, and no sbatch."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    for name in ("bash", "env", "dirname", "sed", "grep", "date", "timeout"):
        if not (tools / name).exists():
            (tools / name).symlink_to(shutil.which(name))
    return {"PATH": str(tools), "HOME": str(folder)}
