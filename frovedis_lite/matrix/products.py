"""Products of a CSR matrix of this process with dense vectors and matrices: kernels/compute/sparse.c from Python.

The matrix is a scipy.sparse csr_matrix or csr_array of float32 or float64 whose column indices are within its shape
(kernels do not check them; `FrovedisCRSMatrix` does). Results are of the dtype of the matrix. Sums over all rows are
added up in float64: each thread has columns x k of them, and the result depends on the number of threads and on nothing
else.
"""

import ctypes
from typing import Any

import numpy as np

from frovedis_lite.native import address, aligned, library, threads

SHORT = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64"}
MOST_SUMS = 1 << 27  # bytes that the threads of one transposed product may add up in


def times(A: Any, x: np.ndarray) -> np.ndarray:
    """A x.

    Args:
        A: [rows, columns], CSR.
        x: [columns] or [columns, k].
    Returns:
        [rows] or [rows, k].
    Raises:
        ValueError: the sizes do not fit.
    """
    x, width = _operand(A, x, A.shape[1])
    y = np.empty((A.shape[0], *x.shape[1:]), A.dtype)
    _call("sparse_product", A, (), width, x, (), y, threads())
    return y


def transposed_times(A: Any, x: np.ndarray) -> np.ndarray:
    """A^T x.

    Args:
        A: [rows, columns], CSR.
        x: [rows] or [rows, k].
    Returns:
        [columns] or [columns, k].
    Raises:
        ValueError: the sizes do not fit.
    """
    x, width = _operand(A, x, A.shape[0])
    y = np.empty((A.shape[1], *x.shape[1:]), A.dtype)
    used = _threads_for(A.shape[1] * width)
    sums = np.zeros((used, A.shape[1] * width))
    _call("sparse_transposed", A, (A.shape[1],), width, x, (sums,), y, used)
    return y


def gram_times(A: Any, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """A^T W A x, in one pass over the matrix: what Lanczos' method and Newton's ask for.

    Args:
        A: [rows, columns], CSR.
        x: [columns] or [columns, k].
        weights: [rows], the diagonal of W; 1 where there are none.
    Returns:
        [columns] or [columns, k].
    Raises:
        ValueError: the sizes do not fit.
    """
    x, width = _operand(A, x, A.shape[1])
    y = np.empty((A.shape[1], *x.shape[1:]), A.dtype)
    if width == 4:  # Lanczos' blocks, each beside its sums
        used = _threads_for(A.shape[1] * 8)
        room = None, aligned((used, A.shape[1], 8), np.float64)
    else:
        used = _threads_for(A.shape[1] * width)
        room = np.zeros((used, A.shape[1] * width)), None
    if weights is not None:
        weights, _ = _operand(A, weights, A.shape[0])
    _call("sparse_gram", A, (A.shape[1], weights), width, x, room, y, used)
    return y


def indices_of(A: Any) -> np.ndarray:
    """The column indices as int32, which is what kernels take; as many columns as need more do not fit.

    Raises:
        ValueError: the matrix has 2^31 columns or more.
    """
    if A.shape[1] > np.iinfo(np.int32).max:
        raise ValueError(f"a sparse matrix here has less than 2^31 columns, not {A.shape[1]}")
    return np.ascontiguousarray(A.indices, np.int32)


def _threads_for(sums: int) -> int:
    """So few that the sums of all threads fit."""
    return max(1, min(threads(), MOST_SUMS // (8 * max(1, sums))))


def _operand(A: Any, x: np.ndarray, length: int) -> tuple[np.ndarray, int]:
    x = np.ascontiguousarray(x, A.dtype)
    if x.ndim not in (1, 2) or x.shape[0] != length:
        raise ValueError(f"a matrix of shape {A.shape} needs an operand of {length} rows here, not of shape {x.shape}")
    return x, x.size // length if length else int(np.prod(x.shape[1:]))


def _call(name: str, A: Any, before: tuple[Any, ...], width: int, x: np.ndarray, between: tuple, y: np.ndarray, n: int):
    """The kernel for the types of A. `before`: the number of columns, then weights."""
    columns, weights = before[:1], before[1:]
    starts = np.ascontiguousarray(A.indptr)
    kernel = getattr(library("sparse"), f"{name}_{SHORT[A.dtype.name]}_{SHORT[starts.dtype.name]}")
    index, value = indices_of(A), np.ascontiguousarray(A.data)
    arrays = [address(starts, starts.dtype), address(index, np.int32), address(value, A.dtype)]
    weighing = [None if w is None else address(w, A.dtype) for w in weights]
    sums = [None if s is None else address(s, np.float64) for s in between]
    sizes = [ctypes.c_int64(n) for n in (A.shape[0], *columns)]
    operands = [ctypes.c_int64(width), address(x, A.dtype), *sums, address(y, A.dtype)]
    kernel(*sizes, *arrays, *weighing, *operands, ctypes.c_int(n))
