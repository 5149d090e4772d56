"""Sparse matrices on the ranks by columns."""

from typing import Any, Self

import numpy as np
from scipy import sparse

from frovedis_lite.engine.session import Parts, share
from frovedis_lite.matrix.crs import FrovedisCRSMatrix, transposed
from frovedis_lite.matrix.products import transposed_times
from frovedis_lite.matrix.sparse import FrovedisSparseMatrix


class FrovedisCCSMatrix(FrovedisSparseMatrix):
    """A sparse matrix whose columns are shared out, nearly the same number to each rank; `blocks` are CSC matrices
    [rows, columns of the rank] with sorted indices, each once."""

    @property
    def parts(self) -> Parts:
        """Each rank's rows as CSR; they are moved each time this is asked for."""
        return self.session.run_parts(_rows, self.blocks, self.shape)

    def transpose(self) -> "FrovedisCCSMatrix":
        """The transposed matrix, its columns shared out."""
        return self._moved(self.session.run_parts(_turned, self.blocks), self.shape[::-1])

    @property
    def T(self) -> "FrovedisCCSMatrix":
        """The transposed matrix."""
        return self.transpose()

    def to_crs(self) -> FrovedisCRSMatrix:
        """The same elements compressed by rows."""
        return FrovedisCRSMatrix(self)

    def _array_product(self, x: np.ndarray) -> np.ndarray:
        """Each rank has the elements of x for its columns, and the products are added up."""
        return self._run(_product, self.blocks, self.shape[1], x)

    def _moved(self, rows: Parts, shape: tuple[int, int]) -> "FrovedisCCSMatrix":
        return FrovedisCCSMatrix()._from_rows(rows, shape, self.dtype)

    def _from_rows(self, rows: Parts, shape: tuple[int, int], dtype: np.dtype) -> Self:
        return self._take(rows.session.run_parts(_columns, rows, shape), shape, dtype)


def _columns(comm: Any, part: sparse.csr_matrix, shape: tuple[int, int]) -> sparse.csc_matrix:
    return transposed(comm, part, shape).T


def _rows(comm: Any, part: sparse.csc_matrix, shape: tuple[int, int]) -> sparse.csr_matrix:
    return transposed(comm, part.T, shape[::-1])


def _turned(comm: Any, part: sparse.csc_matrix) -> sparse.csr_matrix:
    """The rank's columns as rows of the transposed matrix."""
    return part.T


def _product(comm: Any, part: sparse.csc_matrix, columns: int, x: np.ndarray) -> np.ndarray:
    first, last = share(columns, comm.rank, comm.size)
    return comm.allreduce(transposed_times(part.T, x[first:last]))
