"""Sparse matrices on the ranks by rows: compressed (CRS), and in the formats for long vectors."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from scipy import sparse

from frovedis_lite.engine.session import Parts, share
from frovedis_lite.matrix.formats import ELL, JDS, JDSCRSHybrid
from frovedis_lite.matrix.sparse import FrovedisSparseMatrix

if TYPE_CHECKING:
    from frovedis_lite.matrix.ccs import FrovedisCCSMatrix


class FrovedisCRSMatrix(FrovedisSparseMatrix):
    """A sparse matrix whose rows are shared out, nearly the same number to each rank; `parts` are CSR matrices [rows of
    the rank, columns] with sorted indices, each once.

    Args:
        mat, dtype: as `FrovedisSparseMatrix`.
        itype: of the indices, int32 (the default) or int64. Products are made of int32.

    Raises:
        TypeError, ValueError: as `FrovedisSparseMatrix`; an itype that is neither.
    """

    def __init__(self, mat: Any = None, dtype: Any = None, itype: Any = None) -> None:
        self.itype = np.dtype(np.int32 if itype is None else itype)
        if self.itype not in (np.int32, np.int64):
            raise TypeError(f"indices are int32 or int64, not {self.itype}")
        super().__init__(mat, dtype)

    def get_itype(self) -> np.dtype:
        """The dtype of the indices."""
        return self.itype

    def transpose(self) -> "FrovedisCRSMatrix":
        """The transposed matrix, its rows shared out."""
        blocks = self.session.run_parts(transposed, self.blocks, self.shape)
        made = FrovedisCRSMatrix(itype=self.itype)
        return made._from_rows(blocks, self.shape[::-1], self.dtype)

    @property
    def T(self) -> "FrovedisCRSMatrix":
        """The transposed matrix."""
        return self.transpose()

    def to_ccs(self) -> "FrovedisCCSMatrix":
        """The same elements compressed by columns."""
        from frovedis_lite.matrix.ccs import FrovedisCCSMatrix

        return FrovedisCCSMatrix(self)

    def to_ell(self) -> "FrovedisELLMatrix":
        """The same elements in ELLPACK format."""
        return FrovedisELLMatrix(self)

    def to_jds(self) -> "FrovedisJDSMatrix":
        """The same elements as jagged diagonals."""
        return FrovedisJDSMatrix(self)

    def to_jds_crs_hybrid(self) -> "FrovedisJDSCRSHybridMatrix":
        """The same elements as jagged diagonals, the short ones as CRS."""
        return FrovedisJDSCRSHybridMatrix(self)

    def _from_rows(self, rows: Parts, shape: tuple[int, int], dtype: np.dtype) -> Self:
        return self._take(rows.session.run_parts(_indexed, rows, self.itype), shape, dtype)


class _ByDiagonals(FrovedisSparseMatrix):
    """Each rank's rows in a format for long vectors."""

    kind: ClassVar[type]

    @property
    def parts(self) -> Parts:
        """Each rank's rows as CSR; they are made each time this is asked for."""
        return self.session.run_parts(_back, self.blocks)

    def to_crs(self) -> FrovedisCRSMatrix:
        """The same elements compressed by rows."""
        return FrovedisCRSMatrix(self)

    def transpose(self) -> Self:
        """The transposed matrix, in the same format."""
        return type(self)(self.to_crs().transpose())

    @property
    def T(self) -> Self:
        """The transposed matrix."""
        return self.transpose()

    def _from_rows(self, rows: Parts, shape: tuple[int, int], dtype: np.dtype) -> Self:
        return self._take(rows.session.run_parts(_formatted, rows, self.kind), shape, dtype)

    def _operands(self) -> tuple[Any, ...]:
        return (self.blocks,)


class FrovedisELLMatrix(_ByDiagonals):
    """A sparse matrix whose rows are shared out, each rank's in ELLPACK format (`formats.ELL`)."""

    kind = ELL


class FrovedisJDSMatrix(_ByDiagonals):
    """A sparse matrix whose rows are shared out, each rank's as jagged diagonals (`formats.JDS`)."""

    kind = JDS


class FrovedisJDSCRSHybridMatrix(_ByDiagonals):
    """A sparse matrix whose rows are shared out, each rank's as jagged diagonals, the short ones as CRS
    (`formats.JDSCRSHybrid`)."""

    kind = JDSCRSHybrid


def transposed(comm: Any, part: sparse.csr_matrix, shape: tuple[int, int]) -> sparse.csr_matrix:
    """The rank's rows of the transposed matrix.

    Args:
        part: the rank's rows.
        shape: of the whole matrix.
    """
    columns = sparse.csc_matrix(part)
    bounds = [share(shape[1], rank, comm.size) for rank in range(comm.size)]
    came = comm.alltoall([columns[:, first:last] for first, last in bounds])
    made = sparse.csr_matrix(came[0].T if len(came) == 1 else sparse.hstack([piece.T for piece in came], format="csr"))
    made.sort_indices()
    return made


def _indexed(comm: Any, part: sparse.csr_matrix, itype: np.dtype) -> sparse.csr_matrix:
    if part.indices.dtype == itype == part.indptr.dtype:
        return part
    made = sparse.csr_matrix(part.shape, dtype=part.dtype)
    made.data, made.indices, made.indptr = part.data, part.indices.astype(itype), part.indptr.astype(itype)
    return made


def _formatted(comm: Any, part: sparse.csr_matrix, kind: type) -> Any:
    return kind.from_csr(part)


def _back(comm: Any, part: Any) -> sparse.csr_matrix:
    return part.to_csr()
