"""PBLAS, ScaLAPACK and ARPACK by the names of Frovedis' Python client.

Matrices and vectors are `FrovedisBlockcyclicMatrix`, a vector one of one column, or anything NumPy makes an array of.
What a routine overwrites is changed in place: a matrix of ours gets new elements, an array is written into.
"""

from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.linalg import dense, spectral
from frovedis_lite.linalg.products import product
from frovedis_lite.matrix.crs import FrovedisCRSMatrix
from frovedis_lite.matrix.dense import FrovedisBlockcyclicMatrix as Matrix
from frovedis_lite.matrix.dense import FrovedisColmajorMatrix, FrovedisRowmajorMatrix
from frovedis_lite.matrix.distributed import DistributedMatrix
from frovedis_lite.matrix.layout import CYCLIC, PANELS, moved
from frovedis_lite.matrix.results import GetrfResult, SVDResult

__all__ = ["ARPACK", "PBLAS", "SCALAPACK", "GetrfResult", "SVDResult"]


class PBLAS:
    """Sums and products.

    Raises:
        TypeError: operands of different dtypes, or an operand that cannot be overwritten.
        ValueError: sizes that do not fit.
    """

    @staticmethod
    def swap(vec1: Any, vec2: Any) -> None:
        """Exchange the elements of two vectors."""
        x, y = _pair(vec1, vec2, same_shape=True)
        _overwrite(vec1, Matrix(y), vec2, Matrix(x))

    @staticmethod
    def copy(vec1: Any, vec2: Any) -> None:
        """vec2 = vec1"""
        x, _ = _pair(vec1, vec2, same_shape=True)
        _overwrite(vec2, Matrix(x))

    @staticmethod
    def scal(vec: Any, al_: float) -> None:
        """vec = al_ * vec"""
        _overwrite(vec, _matrix(vec) * al_)

    @staticmethod
    def axpy(vec1: Any, vec2: Any, al_: float = 1.0) -> None:
        """vec2 = al_ * vec1 + vec2"""
        x, y = _pair(vec1, vec2, same_shape=True)
        _overwrite(vec2, _sum(x, y, al_, 1.0))

    @staticmethod
    def dot(vec1: Any, vec2: Any) -> float:
        """The sum of the products of elements."""
        x, y = _pair(vec1, vec2, same_shape=True)
        return x.session.run(_dot, x.blocks, y.blocks)

    @staticmethod
    def nrm2(vec1: Any) -> float:
        """The Euclidean norm."""
        x = _matrix(vec1)
        return x.session.run(_norm, x.blocks)

    @staticmethod
    def gemv(mat: Any, vec: Any, trans: bool = False, al_: float = 1.0, be_: float = 0.0) -> Matrix:
        """al_ * op(mat) vec, one column. There is nothing that `be_` could scale: it must be 0."""
        _nothing_to_scale(be_)
        return product(*_pair(mat, vec), transpose_a=trans, factor=al_)

    @staticmethod
    def ger(vec1: Any, vec2: Any, al_: float = 1.0) -> Matrix:
        """al_ * vec1 vec2^T"""
        return product(*_pair(vec1, vec2), transpose_b=True, factor=al_)

    @staticmethod
    def gemm(
        mat1: Any, mat2: Any, trans_m1: bool = False, trans_m2: bool = False, al_: float = 1.0, be_: float = 0.0
    ) -> Matrix:
        """al_ * op(mat1) op(mat2). There is nothing that `be_` could scale: it must be 0."""
        _nothing_to_scale(be_)
        return product(*_pair(mat1, mat2), transpose_a=trans_m1, transpose_b=trans_m2, factor=al_)

    @staticmethod
    def geadd(mat1: Any, mat2: Any, trans: bool = False, al_: float = 1.0, be_: float = 1.0) -> None:
        """mat2 = al_ * op(mat1) + be_ * mat2"""
        a, b = _pair(mat1, mat2)
        _overwrite(mat2, _sum(a.transpose() if trans else a, b, al_, be_))


class SCALAPACK:
    """Factorizations and what is solved by them. `stat` is LAPACK's info: 0, or the number, from 1, of the first 0 on
    the diagonal of U, and then there is no solution and nothing was overwritten with one.

    Raises:
        TypeError: operands of different dtypes, or an operand that cannot be overwritten.
        ValueError: sizes that do not fit.
    """

    @staticmethod
    def getrf(mat: Any) -> GetrfResult:
        """mat = its L below the diagonal, and U, by partial pivoting."""
        a = _matrix(mat)
        factors, pivots, info = dense.factor(a)
        _overwrite(mat, _of_panels(factors, a))
        return GetrfResult(pivots, info)

    @staticmethod
    def getri(mat: Any, ipiv_ptr: np.ndarray) -> int:
        """mat = the inverse of what `getrf` has factored into it."""
        a = _matrix(mat)
        dense.check_square(a.shape)
        info = _zero_on_diagonal(a)
        if not info:
            _overwrite(mat, Matrix.of(dense.inverse(a.moved_to(PANELS), np.asarray(ipiv_ptr), a), a.shape, a.dtype))
        return info

    @staticmethod
    def getrs(mat_a: Any, mat_b: Any, ipiv_ptr: np.ndarray, is_trans: bool = False) -> int:
        """mat_b = X of A X = mat_b, or of A^T X = mat_b, for the A that `getrf` has factored into mat_a."""
        a, b = _pair(mat_a, mat_b)
        dense.check_square(a.shape)
        info = _zero_on_diagonal(a)
        if not info:
            made = dense.solution(a.moved_to(PANELS), np.asarray(ipiv_ptr), b, is_trans)
            _overwrite(mat_b, Matrix.of(made, b.shape, b.dtype))
        return info

    @staticmethod
    def gesv(mat_a: Any, mat_b: Any) -> int:
        """mat_b = X of mat_a X = mat_b, and mat_a = its factors."""
        a, b = _pair(mat_a, mat_b)
        dense.check_square(a.shape)
        factors, pivots, info = dense.factor(a)
        if not info:
            solution = Matrix.of(dense.solution(factors, pivots, b), b.shape, b.dtype)
            _overwrite(mat_a, _of_panels(factors, a), mat_b, solution)
        else:
            _overwrite(mat_a, _of_panels(factors, a))
        return info

    @staticmethod
    def gels(mat_a: Any, mat_b: Any, is_trans: bool = False) -> int:
        """mat_b = X of least squares of op(mat_a) X - mat_b, or of least norm where there are many; mat_a, of full
        rank, stays as it is. An array mat_b needs as many rows as op(mat_a) has rows or columns; the others become 0.

        Raises:
            numpy.linalg.LinAlgError: mat_a has not full rank.
        """
        a, b = _pair(mat_a, mat_b)
        rows, columns = a.shape[:: -1 if is_trans else 1]
        if not isinstance(mat_b, Matrix):
            if b.shape[0] != max(rows, columns):
                raise ValueError(f"gels: an array mat_b needs {max(rows, columns)} rows here, not {b.shape[0]}")
            right = Matrix(np.asarray(mat_b)[:rows])
            X = dense.least_squares(a, right, is_trans).to_numpy_array()
            full = np.zeros((len(mat_b), b.shape[1]), b.dtype)
            full[:columns] = X
            _overwrite(mat_b, Matrix(full))
        else:
            _overwrite(mat_b, dense.least_squares(a, b, is_trans))
        return 0

    @staticmethod
    def gesvd(mat: Any, want_u: bool = True, want_v: bool = True) -> SVDResult:
        """Singular values and vectors; `mat` stays as it is."""
        U, s, Vh = dense.singular(_matrix(mat), want_u or want_v)
        left = FrovedisColmajorMatrix(U) if want_u else None
        return SVDResult(left, s, FrovedisColmajorMatrix(np.asarray(Vh).T) if want_v else None)


class ARPACK:
    """A few singular values of a large matrix."""

    @staticmethod
    def compute_svd(X: Any, k: int) -> SVDResult:
        """The k largest singular values and their vectors of a dense or sparse matrix.

        Args:
            X: [m, n], of ours or not, 1 <= k < min(m, n).

        Raises:
            ValueError: k is out of its range.
        """
        if not isinstance(X, DistributedMatrix):
            X = FrovedisCRSMatrix(X) if sparse.issparse(X) else FrovedisRowmajorMatrix(X)
        if not 1 <= k < min(X.shape):
            raise ValueError(f"k must be from 1 to {min(X.shape) - 1} for a matrix of shape {X.shape}, not {k}")
        wide = X.shape[0] < X.shape[1]
        tall = X.transpose() if wide else X
        made = tall.session.run_parts(spectral.top_singular, tall.parts, k)
        s, Vh = made.session.run(_second_and_third, made)
        rows = FrovedisRowmajorMatrix.of(made.session.run_parts(_first, made), (tall.shape[0], k), tall.dtype)
        left, right = FrovedisColmajorMatrix(rows), FrovedisColmajorMatrix(Vh.T)
        return SVDResult(right, s, left) if wide else SVDResult(left, s, right)

    computeSVD = compute_svd


def _matrix(value: Any) -> Matrix:
    return value if isinstance(value, Matrix) else Matrix(value)


def _pair(one: Any, other: Any, same_shape: bool = False) -> tuple[Matrix, Matrix]:
    a, b = _matrix(one), _matrix(other)
    if a.dtype != b.dtype:
        raise TypeError(f"the operands are of {a.dtype} and {b.dtype}: convert one of them first")
    if same_shape and a.shape != b.shape:
        raise ValueError(f"the operands have the shapes {a.shape} and {b.shape}, which must be the same")
    return a, b


def _sum(a: Matrix, b: Matrix, al_: float, be_: float) -> Matrix:
    if a.shape != b.shape:
        raise ValueError(f"the operands have the shapes {a.shape} and {b.shape}, which must be the same")
    scaled = a if al_ == 1 else a * al_
    return Matrix(scaled) if be_ == 0 else scaled + (b if be_ == 1 else b * be_)  # with 0, b is not looked at


def _overwrite(*pairs: Any) -> None:
    """Each target, one of ours or an array, with the matrix that follows it; all of them or none."""
    targets, values = pairs[::2], pairs[1::2]
    for target in targets:
        if not isinstance(target, Matrix) and not (isinstance(target, np.ndarray) and target.flags.writeable):
            raise TypeError(f"a {type(target).__name__} cannot be overwritten: pass a block-cyclic matrix or an array")
    for target, value in zip(targets, values, strict=True):
        if isinstance(target, Matrix):
            target._take(value.blocks, value.shape, value.dtype)
        else:
            target[...] = value.to_numpy_array().reshape(target.shape)


def _nothing_to_scale(be_: float) -> None:
    if be_ != 0:
        raise ValueError(f"be_ scales what is added to, and this product is not added to anything: 0, not {be_}")


def _of_panels(factors: Any, a: Matrix) -> Matrix:
    return Matrix.of(factors.session.run_parts(moved, factors, a.shape, PANELS, CYCLIC), a.shape, a.dtype)


def _zero_on_diagonal(a: Matrix) -> int:
    """The number of the first 0 on the diagonal, from 1; 0 if there is none."""
    return a.session.run(_first_zero, a.blocks, a.shape)


def _first_zero(comm: Any, part: np.ndarray, shape: tuple[int, int]) -> int:
    rows, columns = CYCLIC.places(shape, comm.rank, comm.size)
    at_rows, at_columns = np.nonzero(rows[:, None] == columns[None, :])
    zeros = rows[at_rows][part[at_rows, at_columns] == 0]
    first = comm.allreduce(int(zeros.min(initial=max(shape))), "min")
    return 0 if first == max(shape) else first + 1


def _dot(comm: Any, x: np.ndarray, y: np.ndarray) -> float:
    return float(comm.allreduce(float(np.sum(x * y, dtype=np.float64))))


def _norm(comm: Any, x: np.ndarray) -> float:
    """Scaled, so that squares neither overflow nor vanish."""
    largest = comm.allreduce(float(np.abs(x).max(initial=0)), "max")
    if largest == 0 or not np.isfinite(largest):
        return largest
    return largest * comm.allreduce(float(np.sum((x.astype(np.float64) / largest) ** 2))) ** 0.5


def _first(comm: Any, made: tuple) -> Any:
    return made[0]


def _second_and_third(comm: Any, made: tuple) -> tuple:
    return made[1], made[2]
