"""A few singular values or eigenvalues, and least squares, by iterations of products with a matrix on the ranks.

ARPACK (Lehoucq, Sorensen, Yang: ARPACK Users' Guide, SIAM 1998) and LSQR (Paige, Saunders: ACM Trans. Math. Software 8,
1982) are SciPy's and run on rank 0; the products, which take the time, run on all ranks.
"""

import copyreg
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, lsqr
from scipy.sparse.linalg import eigsh as eigsh_of

from frovedis_lite.linalg.local import gram_times, led, own_rows, times, transposed_times, whole_times
from frovedis_lite.linalg.qr import tall_svd

SEED = 0


def _reduced(error: ArpackNoConvergence) -> tuple:
    text = str(error.args[0]).removeprefix("ARPACK error -1: ")
    return ArpackNoConvergence, (text, error.eigenvalues, error.eigenvectors)


copyreg.pickle(ArpackNoConvergence, _reduced)  # SciPy's exception cannot go from one process to another by itself


def top_singular(
    comm: Any, part: Any, k: int, tol: float = 0.0, maxiter: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k largest singular values: those of X^T X by ARPACK, then once more of X on the space found, which gives
    small singular values the digits that the square has lost.

    Args:
        part: [rows of the rank, columns], dense or CSR; k < columns and k < rows.
    Returns:
        the rank's rows of U [rows of the rank, k]; s [k], falling; V^T [k, columns].
    Raises:
        scipy.sparse.linalg.ArpackNoConvergence: not within `maxiter` restarts.
    """
    columns = part.shape[1]
    start = np.random.default_rng(SEED).uniform(-1, 1, columns).astype(part.dtype)
    basis = min(columns, max(3 * k, 20))  # a third less products than with SciPy's 2 k + 1

    def lead(call: Any) -> np.ndarray:
        square = LinearOperator((columns, columns), matvec=call, dtype=part.dtype)
        return eigsh_of(square, k, v0=start, ncv=basis, tol=tol, maxiter=maxiter)[1]

    V = led(comm, lambda x: gram_times(comm, part, x.ravel()), lead)
    V = np.linalg.qr(V)[0]
    U, s, W = tall_svd(comm, times(part, V))
    Vh = W @ V.T
    signs = np.where(Vh[np.arange(k), np.abs(Vh).argmax(1)] < 0, -1, 1).astype(part.dtype)
    return U * signs, s, Vh * signs[:, None]


def top_eigen(comm: Any, part: Any, options: dict[str, Any]) -> Any:
    """SciPy's `eigsh` of a symmetric matrix, of which each rank has some rows; on every rank."""
    size = part.shape[1]

    def lead(call: Any) -> Any:
        operator = LinearOperator((size, size), matvec=call, dtype=part.dtype)
        start = np.random.default_rng(SEED).uniform(-1, 1, size).astype(part.dtype)
        return eigsh_of(operator, **({"v0": start} | options))

    return led(comm, lambda x: whole_times(comm, part, x.ravel()), lead)


def near_eigen(comm: Any, part: Any, options: dict[str, Any]) -> Any:
    """The same near a number `sigma`: the inverse that this needs is made on rank 0, of the whole matrix."""
    parts = comm.gather(part)

    def lead(call: Any) -> Any:
        whole = sparse.vstack(parts, format="csc") if sparse.issparse(part) else np.concatenate(parts)
        start = np.random.default_rng(SEED).uniform(-1, 1, part.shape[1]).astype(part.dtype)
        return eigsh_of(whole, **({"v0": start} | options))

    return led(comm, lambda: None, lead)


def least_squares(comm: Any, part: Any, rows: int, b: np.ndarray, options: dict[str, Any]) -> tuple[Any, ...]:
    """SciPy's `lsqr` of a matrix of which each rank has some rows; on every rank.

    Args:
        b: [rows], on every rank.
    """

    def apply(transposed: bool, x: np.ndarray) -> np.ndarray:
        if transposed:
            return transposed_times(comm, part, own_rows(comm, part, x))
        return whole_times(comm, part, x)

    def lead(call: Any) -> tuple[Any, ...]:
        operator = LinearOperator(
            (rows, part.shape[1]),
            matvec=lambda x: call(False, x.ravel()),
            rmatvec=lambda x: call(True, x.ravel()),
            dtype=part.dtype,
        )
        return lsqr(operator, b, **options)

    return led(comm, apply, lead)
