"""Rows of one rank against centroids, by kernels/compute/kmeans.c."""

import ctypes
import functools
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.matrix.products import times
from frovedis_lite.mllib.samples import keys_of
from frovedis_lite.native import address, aligned, library, threads

TASKS = 16  # sums of rows side by side: as many as there are threads, or this many where they are small
SMALL = 1 << 19  # numbers in all of them


class Rows:
    """The rows of this rank.

    Args:
        X: [rows, columns], a row-major array or CSR matrix, float32 or float64.
        weights: [rows] of the same dtype, or None.
        shift: [columns], a point near their middle; only of dense rows.
    Raises:
        ValueError: there are 2^31 non-zeros or more.
    """

    def __init__(self, X: Any, weights: np.ndarray | None = None, shift: np.ndarray | None = None) -> None:
        self.sparse = sparse.issparse(X)
        self.X, self.dtype = X, X.dtype
        self.rows, self.columns = X.shape
        self.weights = None if weights is None else np.ascontiguousarray(weights, dtype=X.dtype)
        self.shift = np.zeros(self.columns, X.dtype) if shift is None else np.ascontiguousarray(shift, dtype=X.dtype)
        self.kind = "f32" if X.dtype == np.float32 else "f64"
        self._summed: tuple[np.ndarray, np.ndarray] | None = None  # labels, and the sums of sparse rows by them
        if self.sparse:
            if X.nnz > np.iinfo(np.int32).max:
                raise ValueError(f"k-means takes less than 2^31 non-zeros on a rank, not {X.nnz}; use more ranks")
            self.indices, self.indptr = (np.ascontiguousarray(a, dtype=np.int32) for a in (X.indices, X.indptr))
            self.squares = np.asarray(X.multiply(X).sum(axis=1), dtype=np.float64).ravel()

    @functools.cached_property
    def keys(self) -> np.ndarray:
        """Hashes of the rows' contents, [rows] uint64."""
        return keys_of(self.X)

    def _call(self, name: str, *arguments: Any) -> None:
        made = [self._pointer(argument) for argument in arguments]
        getattr(library("kmeans"), f"{name}_{self.kind}")(*made, threads())

    def _pointer(self, argument: Any) -> Any:
        if isinstance(argument, np.ndarray):
            return address(argument, argument.dtype)
        return ctypes.c_void_p(None) if argument is None else ctypes.c_int64(argument)

    def assign(self, centers: np.ndarray, labels: np.ndarray, sums: bool) -> tuple[np.ndarray | None, int]:
        """The nearest centroid of every row, the first of several.

        Where the same labels come in that came out the last time, only sparse rows that change theirs are summed up
        anew. (Not with weights: sums of what has left would end in rounding, and not in zero.)

        Args:
            centers: [count, columns], less `shift`.
            labels: [rows] int32; they are replaced.
            sums: whether to sum up.
        Returns:
            [count, columns + 1] float64, the weighted sums of the rows (less shift) of each centroid and of their
            weights, or None; and how many labels of rows with a weight are not what they were.
        """
        count = len(centers)
        tasks = max(1, min(max(threads(), min(TASKS, SMALL // (count * (self.columns + 1)))), self.rows // 64))
        again = sums and self._summed is not None and self._summed[0] is labels
        made = self._summed[1] if again else np.zeros((tasks, count, self.columns + 1)) if sums else None
        self._summed = (labels, made) if sums and self.sparse and self.weights is None else None
        changed = np.zeros(tasks, np.int64)
        centers = np.ascontiguousarray(centers, dtype=self.dtype)
        half = (np.einsum("ij,ij->i", centers, centers, dtype=np.float64) / 2).astype(self.dtype)
        if not self.sparse:
            sizes = (self.rows, self.columns, count, tasks)
            self._call("kmeans_assign", self.X, self.weights, self.shift, centers, half, labels, made, changed, *sizes)
        else:
            lanes = 64 // self.dtype.itemsize
            padded = -(-count // lanes) * lanes
            turned, halves = aligned((self.columns, padded), self.dtype), aligned((padded,), self.dtype)
            turned[:, :count], halves[:count] = centers.T, half
            sizes = (self.rows, self.columns, count, padded, int(again), tasks)
            own = np.ascontiguousarray(self.X.data), self.indices, self.indptr
            self._call("kmeans_assign_csr", *own, self.weights, turned, halves, labels, made, changed, *sizes)
        return None if made is None else made.sum(axis=0), int(changed.sum())

    def closest(self, centers: np.ndarray, nearest: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Squares of distances to centers [count, columns] (less `shift`), or `nearest` [rows] float64 if it is less.

        Returns:
            [count, rows] float64, and their weighted sums [count].
        """
        count = len(centers)
        if self.sparse:
            wide = centers.astype(np.float64)
            fast = self.dtype == np.float64  # a kernel's products are of the dtype of X
            products = (times(self.X, wide.T) if fast else np.asarray(self.X @ wide.T)).T
            distances = np.asarray(self.squares - 2 * products + np.square(wide).sum(axis=1)[:, None])
            self._exactly(distances, wide)
            if nearest is not None:
                np.minimum(distances, nearest, out=distances)
            return distances, distances.sum(axis=1) if self.weights is None else distances @ self.weights
        tasks = max(1, min(TASKS, self.rows // 64))
        distances, potential = np.empty((count, self.rows)), np.zeros((tasks, count))
        centers = np.ascontiguousarray(centers, dtype=self.dtype)
        sizes = (self.rows, self.columns, count, tasks)
        self._call("kmeans_closest", self.X, self.weights, self.shift, centers, nearest, distances, potential, *sizes)
        return distances, potential.sum(axis=0)

    def own(self, centers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Squares of distances of rows to centers [count, columns] (less `shift`) of their labels: [rows] float64."""
        if self.sparse:
            wide = np.ascontiguousarray(centers, np.float64)
            distances, tasks = np.empty(self.rows), max(1, min(TASKS, self.rows // 64))
            own = np.ascontiguousarray(self.X.data), self.indices, self.indptr
            self._call("kmeans_own_csr", *own, wide, labels, distances, self.rows, self.columns, tasks)
            distances += np.square(wide).sum(axis=1)[labels]
            self._exactly(distances[None], wide, labels)
            return distances
        distances = np.empty(self.rows)
        centers = np.ascontiguousarray(centers + self.shift, dtype=self.dtype)
        sizes = (self.rows, self.columns, max(1, min(TASKS, self.rows // 64)))
        self._call("kmeans_own", self.X, centers, labels, distances, *sizes)
        return distances

    def _exactly(self, distances: np.ndarray, centers: np.ndarray, labels: np.ndarray | None = None) -> None:
        """Compute again what is only rounding: distances [count, rows], or [1, rows] to the centers of labels."""
        squares, own = np.square(centers).sum(axis=1), sparse.csr_matrix(centers)
        limit = squares[:, None] if labels is None else squares[labels][None]
        of, small = np.nonzero(distances < 1e-7 * (limit + self.squares))
        for first in range(0, len(small), 1 << 16):
            center, row = of[first : first + (1 << 16)], small[first : first + (1 << 16)]
            off = self.X[row] - own[center if labels is None else labels[row]]
            distances[center, row] = np.asarray(off.multiply(off).sum(axis=1), dtype=np.float64).ravel()

    def row(self, number: int) -> np.ndarray:
        """A row less `shift`, [columns]."""
        made = self.X[number]
        return made.toarray().ravel() if self.sparse else made - self.shift

    def weighted(self, values: np.ndarray) -> float:
        """The sum of a number for each row, each times its row's weight."""
        return float(values.sum() if self.weights is None else values @ self.weights)
