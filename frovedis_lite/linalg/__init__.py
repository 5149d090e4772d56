"""Linear algebra on the ranks, with the names of numpy.linalg and scipy.sparse.linalg.

Matrices may be of ours, or anything NumPy makes an array of, or SciPy's sparse ones. A result is a matrix of ours where
an operand of the same place is one, and an array otherwise. float32 stays float32; whole numbers become float64.
"""

from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.linalg import dense, spectral
from frovedis_lite.linalg.products import product
from frovedis_lite.matrix.crs import FrovedisCRSMatrix
from frovedis_lite.matrix.dense import FrovedisDenseMatrix, FrovedisRowmajorMatrix
from frovedis_lite.matrix.distributed import DistributedMatrix

__all__ = ["dot", "eigsh", "inv", "lsqr", "matmul", "solve", "svd", "svds"]


def matmul(x1: Any, x2: Any, out: np.ndarray | None = None) -> Any:
    """The matrix product, as `numpy.matmul`'s of at most two dimensions.

    Raises:
        ValueError: the sizes do not fit, or an operand is a number.
    """
    if np.isscalar(x1) or np.isscalar(x2):
        raise ValueError("matmul takes matrices and vectors; dot and * also scale by a number")
    return dot(x1, x2, out)


def dot(a: Any, b: Any, out: np.ndarray | None = None) -> Any:
    """The product of matrices, vectors or numbers, as `numpy.dot`'s of at most two dimensions.

    Args:
        out: an array that takes the result, where the result is an array.

    Returns:
        a matrix of ours if one of the operands is; block-cyclic if one of them is that, else in the layout of `a`. A
        product with a vector is a vector, and that of arrays an array.
    Raises:
        ValueError: the sizes do not fit.
    """
    ours = [isinstance(operand, DistributedMatrix) for operand in (a, b)]
    if any(ours):
        made = _dot_of_ours(a, b)
    else:
        a, b = (operand if sparse.issparse(operand) else np.asarray(operand) for operand in (a, b))
        made = _dot_of_arrays(a, b)
    if out is None:
        return made
    if isinstance(made, DistributedMatrix):
        raise TypeError("out takes an array, and this result is a matrix on the ranks")
    if out.shape != np.shape(made) or out.dtype != made.dtype:
        raise ValueError(f"out must be an array of {made.dtype} {np.shape(made)}, not {out.dtype} {out.shape}")
    out[...] = made
    return out


def _dot_of_arrays(a: Any, b: Any) -> Any:
    if a.ndim > 2 or b.ndim > 2:
        raise ValueError("dot is of at most two dimensions")
    if a.ndim < 2 or 0 in a.shape or sparse.issparse(b):
        return a @ b if a.ndim and b.ndim else a * b
    if b.ndim == 0 or a.dtype.kind not in "f" or a.shape[1] != b.shape[0]:
        return a.dot(b)  # NumPy's errors, and small change
    with FrovedisCRSMatrix(a) if sparse.issparse(a) else FrovedisRowmajorMatrix(a) as rows:
        return rows.session.run(_rows_times, rows.parts, b.astype(np.result_type(a.dtype, b.dtype)))


def _rows_times(comm: Any, part: Any, b: np.ndarray) -> np.ndarray:
    return spectral.whole_times(comm, part, b)


def _dot_of_ours(a: Any, b: Any) -> Any:
    for one, other in ((a, b), (b, a)):
        if np.isscalar(other):
            return one * other
    if not isinstance(a, DistributedMatrix):
        if sparse.issparse(a) or np.ndim(a) == 2:
            return dot(FrovedisCRSMatrix(a) if sparse.issparse(a) else FrovedisRowmajorMatrix(a), b)
        return _transposed_dot(b, np.asarray(a))
    if isinstance(a, FrovedisDenseMatrix):
        if isinstance(b, DistributedMatrix) or np.ndim(b) == 2:
            return product(a, b if isinstance(b, FrovedisDenseMatrix) else FrovedisRowmajorMatrix(b))
        vector = np.asarray(b)
        if vector.shape != (a.shape[1],):
            raise ValueError(f"a matrix of shape {a.shape} has no product with an array of shape {vector.shape}")
        return a.session.run(_rows_times, a.parts, vector)
    return a.dot(b)


def _transposed_dot(b: DistributedMatrix, vector: np.ndarray) -> np.ndarray:
    if vector.shape != (b.shape[0],):
        raise ValueError(f"an array of shape {vector.shape} has no product with a matrix of shape {b.shape}")
    return b.session.run(_own_transposed_times, b.parts, vector)


def _own_transposed_times(comm: Any, part: Any, vector: np.ndarray) -> np.ndarray:
    return spectral.transposed_times(comm, part, spectral.own_rows(comm, part, vector))


def solve(a: Any, b: Any) -> Any:
    """X of A X = B, by LU with partial pivoting.

    Args:
        a: [n, n].
        b: [n] or [n, any number].

    Returns:
        as `b`: an array for one, a matrix in its layout for one of ours.
    Raises:
        ValueError: `a` is not square, or the sizes do not fit.
        numpy.linalg.LinAlgError: `a` is singular.
    """
    A, B = _floating(a), _floating(b)
    dense.check_square(A.shape)
    if B.shape[0] != A.shape[0]:
        raise ValueError(f"the right side has {B.shape[0]} rows, the matrix {A.shape[0]}")
    dtype = np.result_type(A.dtype, B.dtype)
    A, B = (M if M.dtype == dtype else type(M)(M, dtype) for M in (A, B))
    factors, pivots, info = dense.factor(A)
    dense.check_regular(info)
    X = type(B).of(dense.solution(factors, pivots, B), B.shape, dtype)
    if isinstance(b, DistributedMatrix):
        return X
    return X.to_numpy_array().reshape(np.shape(b))


def inv(a: Any) -> Any:
    """The inverse, by LU with partial pivoting: an array for one, a matrix in its layout for one of ours.

    Raises:
        ValueError: the matrix is not square.
        numpy.linalg.LinAlgError: it is singular.
    """
    A = _floating(a)
    dense.check_square(A.shape)
    factors, pivots, info = dense.factor(A)
    dense.check_regular(info)
    made = type(A).of(dense.inverse(factors, pivots, A), A.shape, A.dtype)
    return made if isinstance(a, DistributedMatrix) else made.to_numpy_array()


def svd(a: Any, full_matrices: bool = False, compute_uv: bool = True) -> Any:
    """Singular values and vectors, by QR of the ranks' rows (TSQR). In each row of V^T the element of largest absolute
    value is positive.

    Args:
        a: [m, n]; its smaller dimension squared must fit into every rank.
        full_matrices: also vectors of the null spaces; then the whole matrix must.

    Returns:
        U [m, min(m, n)], s [min(m, n)], V^T [min(m, n), n], or s alone without `compute_uv`. U and V^T are of the class
        of `a`, if it is one of ours.
    """
    A = _floating(a)
    U, s, Vh = dense.singular(A, compute_uv)
    if not compute_uv:
        return s
    if full_matrices:
        U, Vh = _completed(U.to_numpy_array()), _completed(Vh.T).T
    if isinstance(a, DistributedMatrix):
        return type(A)(U), s, type(A)(Vh)
    return (U if full_matrices else U.to_numpy_array()), s, Vh


def _completed(U: np.ndarray) -> np.ndarray:
    """Orthonormal columns, and as many more as there are rows."""
    Q = np.linalg.qr(U, "complete")[0]
    return np.concatenate([U, Q[:, U.shape[1] :]], axis=1)


def svds(A: Any, k: int = 6, tol: float = 0.0, maxiter: int | None = None) -> tuple[Any, np.ndarray, np.ndarray]:
    """The k largest singular values and their vectors of a dense or sparse matrix, by ARPACK.

    Args:
        A: [m, n], 1 <= k < min(m, n).
        tol: of ARPACK for the eigenvalues of the smaller of A^T A and A A^T; 0: as exact as the dtype.
        maxiter: restarts of ARPACK at most.

    Returns:
        U [m, k], s [k], falling, V^T [k, n]: arrays.
    Raises:
        ValueError: k is out of its range.
        scipy.sparse.linalg.ArpackNoConvergence: not within `maxiter` restarts.
    """
    X = _of_ours(A)
    if not 1 <= k < min(X.shape):
        raise ValueError(f"k must be from 1 to {min(X.shape) - 1} for a matrix of shape {X.shape}, not {k}")
    if X.shape[0] < X.shape[1]:
        V, s, Uh = svds(X.transpose(), k, tol, maxiter)
        signs = np.where(V[np.abs(V).argmax(0), np.arange(k)] < 0, -1, 1).astype(X.dtype)
        return Uh.T * signs, s, (V * signs).T
    return X.session.run(_svds, X.parts, k, tol, maxiter)


def _svds(comm: Any, part: Any, k: int, tol: float, maxiter: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    U, s, Vh = spectral.top_singular(comm, part, k, tol, maxiter)
    return np.concatenate(comm.allgather(U)), s, Vh


def eigsh(
    A: Any,
    k: int = 6,
    M: Any = None,
    sigma: float | None = None,
    which: str = "LM",
    v0: np.ndarray | None = None,
    ncv: int | None = None,
    maxiter: int | None = None,
    tol: float = 0.0,
    return_eigenvectors: bool = True,
    Minv: Any = None,
    OPinv: Any = None,
    mode: str = "normal",
) -> Any:
    """k eigenvalues of a real symmetric matrix, dense or sparse, and their vectors, by ARPACK: the parameters of
    `scipy.sparse.linalg.eigsh`. With `sigma`, rank 0 has the whole matrix for a while.

    Returns:
        eigenvalues [k] rising, and eigenvectors [n, k] if asked for: arrays.
    Raises:
        NotImplementedError: a generalized problem (M, Minv), OPinv, or another mode than "normal".
        ValueError: the matrix is not square, or a parameter is out of its range.
        scipy.sparse.linalg.ArpackNoConvergence: not within `maxiter` restarts.
    """
    for name, value in (("M", M), ("Minv", Minv), ("OPinv", OPinv)):
        if value is not None:
            raise NotImplementedError(f"eigsh: {name} is not supported; use scipy.sparse.linalg.eigsh")
    if mode != "normal":
        raise NotImplementedError(f"eigsh: mode {mode!r} is not supported; use 'normal'")
    if which not in ("LM", "SM", "LA", "SA", "BE"):
        raise ValueError(f"which must be one of LM, SM, LA, SA, BE, not {which!r}")
    X = _of_ours(A)
    dense.check_square(X.shape)
    if not 1 <= k < X.shape[0]:
        raise ValueError(f"k must be from 1 to {X.shape[0] - 1} for a matrix of shape {X.shape}, not {k}")
    options = {"k": k, "which": which, "ncv": ncv, "maxiter": maxiter, "tol": tol}
    options["return_eigenvectors"] = return_eigenvectors
    if v0 is not None:
        options["v0"] = np.asarray(v0, X.dtype)
    if sigma is not None:
        return X.session.run(spectral.near_eigen, X.parts, options | {"sigma": sigma})
    return X.session.run(spectral.top_eigen, X.parts, options)


def lsqr(A: Any, b: Any, damp: float = 0.0, atol: float = 1e-6, btol: float = 1e-6, **options: Any) -> tuple[Any, ...]:
    """Least squares of a large sparse or dense matrix: the parameters and results of `scipy.sparse.linalg.lsqr`.

    Args:
        A: [m, n].
        b: [m].

    Raises:
        ValueError: the sizes do not fit.
    """
    X = _of_ours(A)
    b = np.asarray(b).squeeze()
    if b.shape != (X.shape[0],):
        raise ValueError(f"b must have {X.shape[0]} elements, not the shape {b.shape}")
    options |= {"damp": damp, "atol": atol, "btol": btol}
    return X.session.run(spectral.least_squares, X.parts, X.shape[0], b, options)


def _floating(a: Any) -> FrovedisDenseMatrix:
    """A dense matrix of ours, of float32 or float64."""
    if not isinstance(a, FrovedisDenseMatrix):
        a = FrovedisRowmajorMatrix(a)
    return a if a.dtype.kind == "f" else type(a)(a, np.float64)


def _of_ours(A: Any) -> DistributedMatrix:
    """A matrix of ours, dense or sparse, of float32 or float64."""
    if sparse.issparse(A):
        A = FrovedisCRSMatrix(A)
    if isinstance(A, DistributedMatrix) and not isinstance(A, FrovedisDenseMatrix):
        return A
    return _floating(A)
