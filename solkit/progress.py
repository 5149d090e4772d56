"""What `sol.optimize` is at, for people who wait: a line for each stage, from the first second on.

On a terminal, on stderr; in a notebook, which paints stderr red, on stdout; otherwise in the log, at INFO as a stage
begins and at TRACE with its time.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from solkit.config import log

PATIENCE = 1.0  # seconds before anything is shown
_TRACE, _INFO = 5, 20


class _Display:
    """Lines on a stream: the one of the stage at hand is written over until the stage ends."""

    def __init__(self) -> None:
        self._stream = sys.stdout if _in_notebook() else sys.stderr
        self._lock = threading.Lock()
        self._visible = False
        self._text, self._width = "", 0  # of the line at hand: what it says, and how much of it is written
        self._timer = threading.Timer(PATIENCE, self._appear)
        self._timer.daemon = True
        self._timer.start()

    def _appear(self) -> None:
        with self._lock:
            self._visible = True
            self._write()

    def show(self, text: str) -> None:
        with self._lock:
            self._text = text
            self._write()

    def end_line(self) -> None:
        """Let the line stand. A stage that was over before anything was shown has none."""
        with self._lock:
            if self._width:
                self._stream.write("\n")
                self._stream.flush()
            self._text, self._width = "", 0

    def close(self) -> None:
        self._timer.cancel()
        self.end_line()

    def _write(self) -> None:
        if self._visible and self._text:
            line = f"[solkit] {self._text}"
            self._stream.write("\r" + line.ljust(self._width))
            self._stream.flush()
            self._width = len(line)


_display: _Display | None = None  # of the outermost stage; sol.optimize lets one thread in at a time


@contextmanager
def stage(text: str) -> Iterator[None]:
    """While it lasts, solkit is "capturing ResNet", say. The outermost stage decides since when people wait."""
    global _display
    outermost = _display is None and _watched()
    log.info("%s", text)
    start = time.perf_counter()
    if outermost:
        _display = _Display()
    update(text)
    try:
        yield
    finally:
        seconds = time.perf_counter() - start
        log.log(_TRACE, "%s took %.3f s", text, seconds)
        if _display is not None:
            _display.end_line()
        if outermost:
            _display.close()
            _display = None


def update(text: str) -> None:
    """Change what the line of the stage at hand says: "compiling 3 of 24 files"."""
    if _display is not None:
        _display.show(text)


def _watched() -> bool:
    """Whether a person sees the lines, and the log does not tell it anyway."""
    if log.isEnabledFor(_INFO):
        return False
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    return type(sys.stdout).__module__ == "ipykernel.iostream"
