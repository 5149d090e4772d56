"""Formats of a sparse matrix of this process for long vectors, and their conversions from and to SciPy's CSR.

ELL stores the d-th elements of all rows side by side and fills short rows up. JDS (jagged diagonals; Saad: Krylov
subspace methods on supercomputers, SIAM J. Sci. Stat. Comput. 10, 1989) sorts rows by falling length, so that the rows
that have a d-th element are the first ones, and nothing is filled up. In both the inner loop of a product goes over
rows, not over the few elements of one row. The hybrid keeps the long diagonals of JDS and has the ragged rest in CSR.
"""

import ctypes
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import sparse

from frovedis_lite.matrix.products import SHORT, indices_of
from frovedis_lite.native import address, library, threads

LONG = 256  # rows that a diagonal of the hybrid has at least: the vector length of the Vector Engine


@dataclass
class ELL:
    """ELLPACK.

    Attributes:
        lengths: [rows] int32, elements of each row.
        index: [longest row, rows] int32, columns; 0 where a row has no such element.
        value: [longest row, rows], float32 or float64.
    """

    shape: tuple[int, int]
    lengths: np.ndarray
    index: np.ndarray
    value: np.ndarray

    @classmethod
    def from_csr(cls, A: sparse.csr_matrix) -> Self:
        lengths = np.diff(A.indptr).astype(np.int32)
        longest = int(lengths.max(initial=0))
        index = np.zeros((longest, A.shape[0]), np.int32)
        value = np.zeros((longest, A.shape[0]), A.dtype)
        row, place = _places(A.indptr)
        index[place, row], value[place, row] = indices_of(A), A.data
        return cls(A.shape, lengths, index, value)

    def to_csr(self) -> sparse.csr_matrix:
        starts = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])
        row, place = _places(starts)
        return sparse.csr_matrix((self.value[place, row], self.index[place, row], starts), self.shape)

    def dot(self, x: np.ndarray) -> np.ndarray:
        """A x for x [columns] or [columns, k]."""
        return _by_columns(self, x)

    def _times(self, x: np.ndarray, y: np.ndarray) -> None:
        kernel = getattr(library("sparse"), f"sparse_ell_{SHORT[x.dtype.name]}_diagonals")
        arrays = address(self.lengths, np.int32), address(self.index, np.int32), address(self.value, x.dtype)
        sizes = ctypes.c_int64(self.shape[0]), ctypes.c_int64(len(self.value))
        kernel(*sizes, *arrays, address(x, x.dtype), address(y, x.dtype), ctypes.c_int(threads()))

    @property
    def dtype(self) -> np.dtype:
        return self.value.dtype

    @property
    def nnz(self) -> int:
        return int(self.lengths.sum(dtype=np.int64))


@dataclass
class JDS:
    """Jagged diagonals, and a rest in CSR that only the hybrid has.

    Attributes:
        order: [rows] int32, rows by falling length.
        starts: [diagonals + 1] int64, where each diagonal begins; the d-th has one element of each of the first
            `starts[d + 1] - starts[d]` rows in `order`.
        index: columns, int32; value: float32 or float64; diagonal after diagonal.
        rest: [rows with a rest, columns], CSR, what the first rows in `order` have behind the last diagonal.
    """

    shape: tuple[int, int]
    order: np.ndarray
    starts: np.ndarray
    index: np.ndarray
    value: np.ndarray
    rest: sparse.csr_matrix

    @classmethod
    def from_csr(cls, A: sparse.csr_matrix, least: int = 1) -> Self:
        """`A` with the diagonals of at least so many rows as diagonals."""
        lengths = np.diff(A.indptr)
        order = np.argsort(-lengths, kind="stable").astype(np.int32)
        falling = lengths[order]
        longest = int(falling[0]) if len(falling) else 0
        counts = np.searchsorted(-falling, -np.arange(longest), "left")  # rows with more than d elements
        counts = counts[counts >= least]
        diagonals = len(counts)
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        row, place = _places(A.indptr)
        rank = np.empty(A.shape[0], np.int64)
        rank[order] = np.arange(A.shape[0])
        inside = place < diagonals
        to = starts[place[inside]] + rank[row[inside]]
        index, value = np.empty(starts[-1], np.int32), np.empty(starts[-1], A.dtype)
        index[to], value[to] = indices_of(A)[inside], A.data[inside]
        return cls(A.shape, order, starts, index, value, _rest(A, order[falling > diagonals], diagonals))

    def to_csr(self) -> sparse.csr_matrix:
        counts = np.diff(self.starts)
        row = np.concatenate([np.arange(n) for n in counts] + [np.repeat(*_lengths(self.rest))]).astype(np.int64)
        column = np.concatenate([self.index, self.rest.indices])
        data = np.concatenate([self.value, self.rest.data])
        lengths = np.bincount(self.order[row], minlength=self.shape[0])
        by_row = np.argsort(self.order[row], kind="stable")  # diagonals come in order, the rest last
        starts = np.concatenate([[0], np.cumsum(lengths)])
        return sparse.csr_matrix((data[by_row], column[by_row], starts), self.shape)

    def dot(self, x: np.ndarray) -> np.ndarray:
        """A x for x [columns] or [columns, k]."""
        return _by_columns(self, x)

    def _times(self, x: np.ndarray, y: np.ndarray) -> None:
        kernel = getattr(library("sparse"), f"sparse_jds_{SHORT[x.dtype.name]}_diagonals")
        rest, dtype = self.rest, x.dtype
        rest_starts, rest_index = rest.indptr.astype(np.int64), rest.indices.astype(np.int32, copy=False)
        kernel(
            *(ctypes.c_int64(self.shape[0]), ctypes.c_int64(len(self.starts) - 1)),
            *(address(self.order, np.int32), address(self.starts, np.int64)),
            *(address(self.index, np.int32), address(self.value, dtype)),
            *(ctypes.c_int64(rest.shape[0]), address(rest_starts, np.int64)),
            *(address(rest_index, np.int32), address(rest.data, dtype)),
            *(address(x, dtype), address(y, dtype), ctypes.c_int(threads())),
        )

    @property
    def dtype(self) -> np.dtype:
        return self.value.dtype

    @property
    def nnz(self) -> int:
        return len(self.value) + self.rest.nnz


@dataclass
class JDSCRSHybrid(JDS):
    """JDS whose short diagonals are left to CSR."""

    @classmethod
    def from_csr(cls, A: sparse.csr_matrix, least: int = LONG) -> Self:
        """`A` with the diagonals of at least so many rows as diagonals, and the rest as CSR."""
        return super().from_csr(A, least)


def _places(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row of each element of a CSR matrix, and its place within it."""
    lengths = np.diff(starts).astype(np.int64)
    row = np.repeat(np.arange(len(lengths)), lengths)
    return row, np.arange(len(row)) - np.repeat(np.asarray(starts[:-1], np.int64) - starts[0], lengths)


def _lengths(A: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(A.shape[0]), np.diff(A.indptr)


def _rest(A: sparse.csr_matrix, rows: np.ndarray, diagonals: int) -> sparse.csr_matrix:
    """What these rows have from their `diagonals`-th element on."""
    picked = A[rows]
    _, place = _places(picked.indptr)
    left = place >= diagonals
    starts = np.concatenate([[0], np.cumsum(np.diff(picked.indptr) - diagonals, dtype=np.int64)])
    return sparse.csr_matrix((picked.data[left], picked.indices[left], starts), picked.shape)


def _by_columns(A: ELL | JDS, x: np.ndarray) -> np.ndarray:
    """A x, one column of x after the other.

    Raises:
        ValueError: the sizes do not fit.
    """
    x = np.ascontiguousarray(x, A.dtype)
    if x.ndim not in (1, 2) or x.shape[0] != A.shape[1]:
        raise ValueError(f"a matrix of shape {A.shape} needs {A.shape[1]} rows on its right, not shape {x.shape}")
    columns = np.ascontiguousarray(np.atleast_2d(x.T))
    y = np.zeros((len(columns), A.shape[0]), A.dtype)
    if A.shape[1]:
        for one, made in zip(columns, y, strict=True):
            A._times(one, made)
    return y[0] if x.ndim == 1 else np.ascontiguousarray(y.T)
