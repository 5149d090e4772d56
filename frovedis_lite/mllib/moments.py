"""Mean and variance of columns, over the rows of all ranks.

Two passes, so that a mean far from zero costs no digits: sums for the mean, then squares about it, with what the
rounding of the mean leaves taken off again (Chan, Golub and LeVeque, "Algorithms for computing the sample variance",
1983).
"""

from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator

BLOCK = 1 << 17  # numbers that are widened to float64 at a time


def column_moments(
    comm: Communicator, X: Any, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight, mean and variance of every column, in float64; NaN does not count.

    Args:
        X: [rows of this rank, columns], an array or CSR matrix.
        weights: [rows of this rank]; None: all 1.
    Returns:
        Three arrays [columns]: sum of weights, mean, variance (divided by the sum of weights). 0 where nothing counts.
    """
    sums = _sparse_sums if sparse.issparse(X) else _dense_sums
    columns = X.shape[1]
    count, total, _ = comm.allreduce(sums(X, weights, np.zeros(columns)))
    some = np.where(count > 0, count, 1)
    mean = total / some
    _, rest, squares = comm.allreduce(sums(X, weights, mean))
    return count, mean, np.maximum(squares - rest**2 / some, 0) / some


def merge_moments(first: tuple, second: tuple) -> tuple:
    """Weight, mean and variance of two sets of rows together, from those of each (Chan et al., formula 2.1)."""
    (n, mean, variance), (m, other_mean, other_variance) = first, second
    both = n + m
    some = np.where(both > 0, both, 1)
    delta = other_mean - mean
    squares = n * variance + m * other_variance + delta**2 * (n * m / some)
    return both, mean + delta * (m / some), squares / some


def _dense_sums(X: np.ndarray, weights: np.ndarray | None, mean: np.ndarray) -> np.ndarray:
    """[3, columns]: sums of weights, and of weighted distances to the mean and their squares."""
    rows, columns = X.shape
    sums = np.zeros((3, columns))
    step = max(1, BLOCK // max(columns, 1))
    for first in range(0, rows, step):
        block = X[first : first + step].astype(np.float64)
        block -= mean
        w = np.ones(len(block)) if weights is None else weights[first : first + step].astype(np.float64)
        missing = np.isnan(block)
        if missing.any():
            block[missing] = 0
            sums[0] -= w @ missing
        sums[0] += w.sum()
        sums[1] += w @ block
        block *= block
        sums[2] += w @ block
    return sums


def _sparse_sums(X: sparse.csr_matrix, weights: np.ndarray | None, mean: np.ndarray) -> np.ndarray:
    rows, columns = X.shape
    w = np.ones(X.nnz) if weights is None else np.repeat(weights.astype(np.float64), np.diff(X.indptr))
    total = rows if weights is None else weights.sum(dtype=np.float64)
    off = X.data.astype(np.float64) - mean[X.indices]
    missing = np.isnan(off)
    w_missing = np.bincount(X.indices[missing], weights=w[missing], minlength=columns)
    off[missing] = 0
    zeros = total - np.bincount(X.indices, weights=w, minlength=columns)  # weight of what is not stored
    sums = np.bincount(X.indices, weights=w * off, minlength=columns) - zeros * mean
    squares = np.bincount(X.indices, weights=w * off * off, minlength=columns) + zeros * mean**2
    return np.stack([total - w_missing, sums, squares])
