"""The environment check: a table of checks, one row each with its state and the command that mends it."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass

from labs import doctor_checks as checks
from labs import doctor_machine as machine
from labs import doctor_slurm

PASSED, MISSING, WRONG = "ok", "missing", "wrong"


@dataclass(frozen=True)
class Row:
    name: str
    status: str  # ok, missing or wrong
    needed: bool  # False: the labs run without it
    detail: str
    fix: str = ""


# name, needed, check. A check returns (status, detail, fix).
CHECKS: tuple[tuple[str, bool, Callable[[], tuple[str, str, str]]], ...] = (
    ("Python", True, checks.python),
    ("Packages", True, checks.packages),
    ("Pinned versions", False, checks.pinned_versions),
    ("JupyterLab", True, checks.jupyter),
    ("C compiler", True, machine.compiler),
    ("SIMD", True, machine.simd),
    ("Threads", False, machine.threads),
    ("Memory", True, machine.memory),
    ("Disk", True, machine.disk),
    ("Cache", False, machine.cache),
    ("MPI", False, checks.mpi),
    ("Slurm", False, doctor_slurm.slurm),
    ("arm64 (qemu)", False, checks.qemu),
    ("Chromium", False, checks.chromium),
    ("Vector Engine", False, machine.vector_engine),
)


def run(table=CHECKS) -> list[Row]:
    """Return a row for every check; a check that raises gives a row that says so."""
    rows = []
    for name, needed, function in table:
        try:
            status, detail, fix = function()
        except Exception as error:  # whatever goes wrong in a check is a finding, not a crash
            status, detail, fix = WRONG, f"{type(error).__name__}: {error}", ""
        rows.append(Row(name, status, needed, detail, fix))
    return rows


def failed(rows: list[Row]) -> list[Row]:
    """Return the rows that keep the labs from running."""
    return [row for row in rows if row.needed and row.status != PASSED]


def report(rows: list[Row]) -> dict:
    """Return what `aurora doctor --json` prints: the rows, and how many there are of each kind."""
    counts = {status: sum(row.status == status for row in rows) for status in (PASSED, MISSING, WRONG)}
    bad = [row.name for row in failed(rows)]
    return {"rows": [asdict(row) for row in rows], "summary": {**counts, "failed": bad, "ready": not bad}}


def show(rows: list[Row], console) -> None:
    """Print the rows as a table on a rich console, then one line that says whether the labs can start."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="aurora doctor", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "what", "found"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        word = row.status if row.needed or row.status == PASSED else f"{row.status}, optional"
        style = "green" if row.status == PASSED else "red" if row.needed else "yellow"
        found = Text(row.detail)
        if row.status != PASSED and row.fix:
            found.append(f"\nfix: {row.fix}", style="bold")
        table.add_row(Text(word, style=style), row.name, found)
    console.print(table)
    bad = failed(rows)
    if bad:
        console.print(f"\nNot ready: {', '.join(row.name for row in bad)}.", style="red", highlight=False)
    else:
        console.print("\nReady. Start with: aurora lab", highlight=False)


def width() -> int | None:
    """Return the width to print at where there is no terminal, wide enough not to break commands; else None."""
    return None if os.isatty(1) else 200
