"""Which rank has which elements of a dense matrix, and the way from one layout to another.

In all layouts a rank's part is the matrix restricted to some rows and some columns, both in rising order. Block-cyclic
is ScaLAPACK's (Blackford et al.: ScaLAPACK Users' Guide, SIAM 1997, chapter 4.3): ranks form a grid, and square blocks
are dealt out over it like cards, in both directions, so that every rank has work in whatever part is at hand.
"""

from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from frovedis_lite.engine.session import share

BLOCK = 64


@dataclass(frozen=True)
class Layout:
    """How rows and columns are dealt out: "all" to everyone, "shared" in one piece each, or "cyclic" in blocks.

    Attributes:
        square: whether ranks form a grid as nearly square as their number allows, rank by rank along its rows;
            otherwise every rank has its own row and column of it.
    """

    rows: str
    columns: str
    square: bool = False

    def places(self, shape: tuple[int, int], rank: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows and the columns of a rank."""
        if not self.square:
            return _dealt(self.rows, shape[0], rank, size), _dealt(self.columns, shape[1], rank, size)
        high, wide = grid(size)
        row, column = divmod(rank, wide)
        return _dealt(self.rows, shape[0], row, high), _dealt(self.columns, shape[1], column, wide)


ROWS = Layout("shared", "all")
COLUMNS = Layout("all", "shared")
CYCLIC = Layout("cyclic", "cyclic", square=True)
PANELS = Layout("all", "cyclic")
EVERYWHERE = Layout("all", "all")
ROWS_OF_GRID = Layout("cyclic", "all", square=True)  # what a rank needs of A for its blocks of A B
COLUMNS_OF_GRID = Layout("all", "cyclic", square=True)  # and of B


def grid(size: int) -> tuple[int, int]:
    """Rows and columns of the grid of so many ranks."""
    high = next(n for n in range(isqrt(size), 0, -1) if size % n == 0)
    return high, size // high


def moved(
    comm: Any, part: np.ndarray, shape: tuple[int, int], source: Layout, target: Layout, transposed: bool = False
) -> np.ndarray:
    """A rank's part of a matrix in another layout; row-major, or column-major where whole columns are dealt out.

    Args:
        part: what the rank has in the layout `source`, in which no element is on two ranks.
        shape: of the whole matrix, before it is transposed.
        transposed: whether the result is a part of the transposed matrix.
    """
    order = "F" if target in (COLUMNS, PANELS) else "C"
    if source == target and not transposed:
        return part
    mine = part.T if transposed else part
    if comm.size == 1:
        return np.asarray(mine, order=order)
    here = [source.places(shape, rank, comm.size)[:: -1 if transposed else 1] for rank in range(comm.size)]
    there = [target.places(shape[:: -1 if transposed else 1], rank, comm.size) for rank in range(comm.size)]
    sent = [_restricted(mine, here[comm.rank], other) for other in there]
    made = np.empty([len(places) for places in there[comm.rank]], part.dtype, order)
    for other, block in zip(here, comm.alltoall(sent), strict=True):
        rows, columns = (_common(ours, theirs) for ours, theirs in zip(there[comm.rank], other, strict=True))
        made[_both(rows, columns)] = block
    return made


def assembled(parts: list[np.ndarray], shape: tuple[int, int], layout: Layout) -> np.ndarray:
    """The whole matrix of its parts, row-major."""
    if len(parts) == 1:
        return np.array(parts[0], order="C")
    made = np.empty(shape, parts[0].dtype)
    for rank, part in enumerate(parts):
        rows, columns = layout.places(shape, rank, len(parts))
        made[_both(_run(rows), _run(columns))] = part
    return made


def _dealt(how: str, count: int, rank: int, size: int) -> np.ndarray:
    if how == "all":
        return np.arange(count)
    if how == "shared":
        return np.arange(*share(count, rank, size))
    place = np.arange(count)
    return place[place // BLOCK % size == rank]


def _restricted(part: np.ndarray, places: tuple[np.ndarray, ...], to: tuple[np.ndarray, ...]) -> np.ndarray:
    """The elements of a part that are also in the rows and columns `to`."""
    rows, columns = (_common(ours, theirs) for ours, theirs in zip(places, to, strict=True))
    return np.ascontiguousarray(part[_both(rows, columns)])


def _common(ours: np.ndarray, theirs: np.ndarray) -> "np.ndarray | slice":
    """Where in `ours` the places are that are in both."""
    return _run(np.flatnonzero(np.isin(ours, theirs, assume_unique=True)))


def _run(places: np.ndarray) -> "np.ndarray | slice":
    """A slice if places follow each other: NumPy copies those faster."""
    if len(places) and places[-1] - places[0] == len(places) - 1:
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


def _both(rows: "np.ndarray | slice", columns: "np.ndarray | slice") -> tuple:
    return (rows, columns) if isinstance(rows, slice) or isinstance(columns, slice) else np.ix_(rows, columns)
