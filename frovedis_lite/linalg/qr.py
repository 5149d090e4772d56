"""QR and SVD of a tall matrix whose rows are shared out: TSQR (Demmel, Grigori, Hoemmen, Langou: Communication-optimal
parallel and sequential QR and LU factorizations, SIAM J. Sci. Comput. 34, 2012). Each rank has the small factors."""

from typing import Any

import numpy as np
from scipy.linalg import svd


def tall_qr(comm: Any, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X = Q R with a diagonal of R that is not negative, so that the factors do not depend on the number of ranks.

    Args:
        part: [rows of the rank, columns], float32 or float64; with at least as many rows as columns on all ranks.
    Returns:
        the rank's rows of Q [rows of the rank, columns], and R [columns, columns].
    """
    Q, R = np.linalg.qr(part)
    if comm.size > 1:
        high = comm.allgather(R)
        before = sum(len(other) for other in high[: comm.rank])
        Q2, R = np.linalg.qr(np.concatenate(high))
        Q = Q @ Q2[before : before + len(high[comm.rank])]
    signs = np.where(np.diagonal(R) < 0, -1, 1).astype(part.dtype)
    return Q * signs, R * signs[:, None]


def tall_svd(comm: Any, part: np.ndarray, vectors: bool = True) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """X = U diag(s) V^T; in each row of V^T the element of largest absolute value is positive.

    Args:
        part: [rows of the rank, columns], with at least as many rows as columns on all ranks.
    Returns:
        the rank's rows of U [rows of the rank, columns]; s [columns], falling; V^T [columns, columns]. U is None where
        `vectors` is false.
    """
    Q, R = tall_qr(comm, part)
    U, s, Vh = svd(R, full_matrices=False)
    largest = np.argmax(np.abs(Vh), axis=1) if Vh.size else np.zeros(0, int)
    signs = np.where(Vh[np.arange(len(Vh)), largest] < 0, -1, 1).astype(part.dtype)
    return (Q @ (U * signs)) if vectors else None, s, Vh * signs[:, None]
