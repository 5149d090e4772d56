"""Features in at most 255 bins each, made once per fit (G. Ke et al.: LightGBM, NIPS 2017, section 2.1).

A column with no more distinct values than bins has a bin for each, and nothing is lost. In any other the bins hold
about as many rows each. Rows are picked by their numbers in the whole data, so the bins do not depend on the number of
ranks.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite import native
from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import share
from frovedis_lite.mllib.trees.kernels import Size, call

MOST_BINS = 255
SAMPLE_ROWS = 200_000
SAMPLE_VALUES = 1 << 24


@dataclass
class Bins:
    """Local rows in bins.

    Attributes:
        codes: [columns, rows] uint8; the last bin, `count - 1`, holds missing values.
        high, low: [columns, count - 1] float32, the largest and the smallest value a bin can have.
        count: bins of a column, with that of missing values.
    """

    codes: np.ndarray
    high: np.ndarray
    low: np.ndarray
    count: int

    def thresholds(self, column: np.ndarray, last: np.ndarray, following: np.ndarray) -> np.ndarray:
        """Halfway between the last bin on the left and the first one with rows on the right, as in scikit-learn."""
        below, above = (self._limit(side, column, at) for side, at in ((self.high, last), (self.low, following)))
        middle = below / 2 + above / 2
        useless = (middle == above) | ~np.isfinite(middle)
        return np.where(following < 0, np.inf, np.where(useless, below, middle))

    @staticmethod
    def _limit(side: np.ndarray, column: np.ndarray, at: np.ndarray) -> np.ndarray:
        return side[column, np.maximum(at, 0)].astype(np.float64)


def make_bins(comm: Communicator, X: Any, weights: np.ndarray | None = None, most: int = MOST_BINS) -> Bins:
    """The bins of local rows [rows, columns] (float32 array or CSR), found together with the other ranks.

    Args:
        weights: [rows]; rows of weight zero do not count.
        most: bins of a column, 2 to 255.
    """
    counted = X if weights is None else X[weights > 0]
    first, total = comm.exscan(counted.shape[0]), comm.allreduce(counted.shape[0])
    columns = X.shape[1]
    rows = max(1, min(SAMPLE_ROWS, max(10_000, SAMPLE_VALUES // max(columns, 1))))
    step = -(-total // rows)  # every step-th row of all
    sampled = counted[-first % step :: step]
    whole = step == 1
    mine = share(columns, comm.rank, comm.size)
    shares = [share(columns, rank, comm.size) for rank in range(comm.size)]
    gathered = comm.alltoall([_dense(sampled[:, a:b]) for a, b in shares])
    with ThreadPoolExecutor(native.threads()) as pool:  # NumPy sorts without the interpreter's lock
        limits = list(pool.map(partial(_limits, most=most), np.concatenate(gathered).T)) if mine[1] > mine[0] else []
    limits = [pair for part in comm.allgather(limits) for pair in part]
    if not whole:
        limits = _all_values(comm, counted, limits, most)
    count = max((len(high) for high, _ in limits), default=1) + 1
    high, low = (np.full((columns, count - 1), np.inf, np.float32) for _ in range(2))
    for column, (above, below) in enumerate(limits):
        high[column, : len(above)] = above
        low[column, : len(below)] = below
    counts = np.array([max(len(above) - 1, 0) for above, _ in limits], np.int32)
    return Bins(_codes(X, high, counts, count), high, low, count)


def _dense(X: Any) -> np.ndarray:
    return X.toarray() if sparse.issparse(X) else X


def _limits(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest and smallest value of each bin, from a column's values."""
    values = np.sort(values[~np.isnan(values)])
    if not len(values):
        return values, values
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    if len(starts) > most:
        # The bin that a quantile falls into ends with the quantile's value, so equal values share one.
        ends = values[(len(values) * np.arange(1, most + 1)) // most - 1]
        high = np.unique(ends)
        starts = np.concatenate([[0], np.searchsorted(values, high[:-1], "right")])
        return high, values[starts]
    return values[starts], values[starts]


def _all_values(comm: Communicator, X: Any, limits: list[tuple], most: int) -> list[tuple]:
    """Where only some rows were looked at: a column of few values may have more in the others; and a bin begins right
    behind the one before, whatever its smallest sampled value."""
    made = []
    few = [len(high) <= most and np.array_equal(high, low) for high, low in limits]
    for column, (high, low) in enumerate(limits):
        if few[column]:
            values = np.unique(_dense(X[:, [column]]))
            found = comm.allgather(values[~np.isnan(values)][: most + 1])
            values = np.unique(np.concatenate(found))
            if len(values) <= most:
                made.append((values, values))
                continue
        made.append((high, np.concatenate([low[:1], np.nextafter(high[:-1], np.float32(np.inf))])))
    return made


def _codes(X: Any, high: np.ndarray, counts: np.ndarray, count: int) -> np.ndarray:
    rows, columns = X.shape
    codes = np.empty((columns, rows), np.uint8)
    if sparse.issparse(X):  # column by column: only the values that are there are looked up
        X = sparse.csc_matrix(X)
        for column in range(columns):
            limits = high[column, : counts[column]]
            codes[column] = np.searchsorted(limits, np.float32(0))
            part = slice(X.indptr[column], X.indptr[column + 1])
            values = X.data[part]
            found = np.searchsorted(limits, values)
            codes[column, X.indices[part]] = np.where(np.isnan(values), count - 1, found)
        return codes
    X = np.ascontiguousarray(X, np.float32)
    sizes = Size(rows), Size(columns), high, counts, Size(high.shape[1]), Size(count - 1)
    call("trees_bin", X, *sizes, codes, native.threads())
    return codes
