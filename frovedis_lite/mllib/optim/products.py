"""Products of the local rows with vectors and matrices, in float64 and on all threads."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.matrix.products import times, transposed_times

BLOCK = 1 << 22  # values of float32 rows that are copied at a time


def product(X: Any, v: np.ndarray) -> np.ndarray:
    """X v; X: [rows, columns], an array or CSR matrix; v: [columns] or [columns, k] float64."""
    if sparse.issparse(X):  # the kernels' results are of X's type
        return times(X, v) if X.dtype == np.float64 else X @ v
    if X.dtype == np.float64:
        return X @ v
    return np.concatenate([X[:0].astype(np.float64) @ v, *(part @ v for _, part in _wide(X))])


def transposed_product(X: Any, u: np.ndarray) -> np.ndarray:
    """X^T u; u: [rows] or [rows, k] float64."""
    if sparse.issparse(X):
        return transposed_times(X, u) if X.dtype == np.float64 else X.T @ u
    if X.dtype == np.float64:
        return X.T @ u
    made = np.zeros((X.shape[1], *u.shape[1:]))
    for first, part in _wide(X):
        made += part.T @ u[first : first + len(part)]
    return made


def _wide(X: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Some rows at a time in float64, and which is their first."""
    step = max(1, BLOCK // max(X.shape[1], 1))
    for first in range(0, X.shape[0], step):
        yield first, X[first : first + step].astype(np.float64)
