"""The workshop: notebooks, and the small package behind them (checks, hints, the `aurora` command)."""

from labs.exercises import check, hint, solution

__all__ = ["check", "hint", "solution"]
__version__ = "0.1.0"
