"""LU with partial pivoting, and solutions by it, of a matrix whose blocks of columns are dealt out (`layout.PANELS`).

Right-looking and blocked (Golub, Van Loan: Matrix Computations, 4th ed., 3.4.1 and 6.3): the owner of a block of
columns factors it by LAPACK, and all ranks update theirs. One rank has all columns in one block: plain LAPACK.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.linalg import lapack, solve_triangular

from frovedis_lite.matrix.layout import BLOCK


def factored(comm: Any, part: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, int]:
    """A = P L U.

    Args:
        part: [rows, columns of the rank], float32 or float64.
        shape: of the whole matrix.
    Returns:
        the rank's columns of L (below the diagonal, which is 1) and U; for each row the row it changed places with, one
        after the other, from 0; and LAPACK's info: 0, or the number, from 1, of the first 0 on the diagonal of U.
    """
    part = np.array(part, order="F")
    rows, columns = shape
    (getrf,) = lapack.get_lapack_funcs(("getrf",), (part,))
    pivots, info = np.arange(min(shape)), 0
    for first, last, owner, at in _panels(columns, comm):
        if first >= rows:
            break
        own = slice(at, at + last - first) if owner == comm.rank else slice(at, at)
        made = getrf(part[first:, own]) if owner == comm.rank else None
        block, swaps, failed = comm.bcast(made, owner)
        info = info or (first + failed if failed > 0 else 0)
        pivots[first : first + len(swaps)] = first + swaps
        moved = _order(swaps, rows - first)
        changed = np.flatnonzero(moved != np.arange(len(moved)))
        part[first + changed] = part[first + moved[changed]]
        part[first:, own] = block[:, : own.stop - own.start]
        done = first + len(swaps)
        if own.stop < part.shape[1]:
            right = slice(own.stop, None)
            lower = block[: len(swaps), : len(swaps)]
            part[first:done, right] = triangle(lower, part[first:done, right], lower=True, unit_diagonal=True)
            part[done:, right] -= block[len(swaps) :, : len(swaps)] @ part[first:done, right]
    return part, pivots, info


def solved(comm: Any, part: np.ndarray, pivots: np.ndarray, right: np.ndarray, transposed: bool = False) -> np.ndarray:
    """The rank's columns of the X for which A X = B, or A^T X = B.

    Args:
        part, pivots: of `factored`, of a square matrix.
        right: [rows, any number], the rank's columns of B.
    """
    X = np.array(right, order="F")
    count = len(pivots)
    order = _order(pivots, count)
    if not transposed:
        X = np.asfortranarray(X[order])
    for lower in (False, True) if transposed else (True, False):
        forward = lower != transposed
        panels = list(_panels(count, comm))
        for first, last, owner, at in panels if forward else panels[::-1]:
            rest = slice(last, None) if lower else slice(None, first)
            own = part[:, at : at + last - first] if owner == comm.rank else None
            block = comm.bcast(own, owner)
            corner, here = block[first:last], slice(first, last)
            kind = {"lower": lower, "unit_diagonal": lower}
            if transposed:
                X[here] -= block[rest].T @ X[rest]
                X[here] = triangle(corner, X[here], trans="T", **kind)
            else:
                X[here] = triangle(corner, X[here], **kind)
                X[rest] -= block[rest] @ X[here]
    if transposed:
        X[order] = X.copy()
    return X


def _panels(columns: int, comm: Any) -> Iterator[tuple[int, int, int, int]]:
    """Each block of columns: its first column, the one behind its last, its owner, and the number of columns of this
    rank before it."""
    width = columns if comm.size == 1 else BLOCK
    for number, first in enumerate(range(0, columns, max(1, width))):
        before = sum(width for block in range(number) if block % comm.size == comm.rank)
        yield first, min(first + width, columns), number % comm.size, before


def _order(swaps: np.ndarray, count: int) -> np.ndarray:
    """Where each row comes from when rows 0, 1, ... have changed places with these, one after the other."""
    order = np.arange(count)
    for row, other in enumerate(swaps):
        order[row], order[other] = order[other], order[row]
    return order


def triangle(matrix: np.ndarray, right: np.ndarray, **kind: Any) -> np.ndarray:
    return solve_triangular(matrix, right, check_finite=False, **kind) if right.size else right
