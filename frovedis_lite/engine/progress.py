"""How far a long fit is: a line on a terminal or in a notebook from the third second on, else nothing.

    with progress("fitting", total=max_iter) as step:
        for i in range(max_iter):
            ...
            step(i + 1)

Algorithms call it on every rank, and rank 0 shows it. A rank that this package has started has no terminal: it writes
to a file in the cluster's folder, and the program that waits for it reads that (`Follower`).
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

AFTER = 2.0  # seconds without a word
EVERY = 0.2  # seconds between two looks


class Line(Protocol):
    """What shows."""

    def show(self, what: str, done: float, total: float | None) -> None:
        """So much is done; no total where nobody knows."""

    def close(self) -> None:
        """It is over: nothing remains to be seen."""


_open: Callable[[], Line | None] | None = None  # on ranks that were started; elsewhere the terminal
_busy = False


@contextmanager
def progress(what: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
    """Show how far something is.

    Args:
        what: a word or two.
        total: the last step, or None if nobody knows.
    Returns:
        A function to call with the number of steps done, as often as wanted; it costs under a microsecond.
    """
    global _busy
    line: Line | None = None
    silent = _busy  # inside another one
    _busy = True
    due = time.monotonic() + AFTER

    def step(done: float) -> None:
        nonlocal line, due, silent
        if silent or (now := time.monotonic()) < due:
            return
        due = now + EVERY
        if line is None:
            line = (_open or terminal)()
            silent = line is None
        if line is not None:
            line.show(what, done, total)

    outer = silent
    try:
        yield step
    finally:
        _busy = outer
        if line is not None:
            line.close()


def terminal() -> Line | None:
    """A line here, if somebody sees it: not where output goes to a file, nor on any rank of mpiexec but the first."""
    return bar() if is_seen() else None


def bar() -> Line:
    """A line for where this process shows things."""
    return CellBar() if _console().is_jupyter else TerminalBar()


def is_seen() -> bool:
    """Whether this process has a terminal or notebook, and is the first of its kind."""
    ranks = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
    if any(os.environ.get(name, "0") not in ("", "0") for name in ranks):
        return False
    console = _console()
    return console.is_terminal or console.is_jupyter


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


class TerminalBar:
    """A bar of rich's."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self._bar = Progress(*columns, console=_console(), transient=True)
        self._bar.start()
        self._task: Any = None

    def show(self, what: str, done: float, total: float | None) -> None:
        if self._task is None:
            self._task = self._bar.add_task(what, total=total)
        self._bar.update(self._task, description=what, completed=done, total=total)

    def close(self) -> None:
        self._bar.stop()


class CellBar:
    """A line of a notebook's cell, which is empty in the end. (rich would make an Output widget, and with those a
    notebook that runs unattended may hang.)"""

    def __init__(self) -> None:
        from IPython.display import display

        self._begin = time.monotonic()
        self._handle = display({"text/plain": ""}, raw=True, display_id=True)

    def show(self, what: str, done: float, total: float | None) -> None:
        of = f"{done:g}" if total is None else f"{done:g} of {total:g}"
        self._handle.update({"text/plain": f"{what}: {of}, {time.monotonic() - self._begin:.0f} s"}, raw=True)

    def close(self) -> None:
        self._handle.update({"text/plain": "", "text/html": ""}, raw=True)


class Written:
    """On a rank: into a file."""

    def __init__(self, path: Path) -> None:
        self.path, self._part = path, path.with_name(path.name + ".part")

    def show(self, what: str, done: float, total: float | None) -> None:
        self._part.write_text(json.dumps([what, done, total]))
        self._part.replace(self.path)

    def close(self) -> None:
        self.path.unlink(missing_ok=True)


def on_rank(folder: Path, rank: int) -> None:
    """From now on, this process is a rank that was started."""
    global _open
    _open = (lambda: Written(folder / "progress")) if rank == 0 else (lambda: None)


class Follower:
    """In the program that waits: shows what rank 0 writes.

    Args:
        folder: of the cluster.
    Attributes:
        wait: seconds until it wants to look again; None if nobody would see it.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._line = folder / "progress", None
        self._begin, self._seen = time.monotonic(), None

    @property
    def wait(self) -> float | None:
        left = self._begin + AFTER - time.monotonic()
        if left > 0:
            return left
        if self._seen is None:
            self._seen = is_seen()
        return EVERY if self._seen else None

    def look(self) -> None:
        """Show the news, if there are any."""
        try:
            what, done, total = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return
        if self._line is None:
            self._line = bar()
        self._line.show(what, done, total)

    def close(self) -> None:
        """The call is over."""
        if self._line is not None:
            self._line.close()
