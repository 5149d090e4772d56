"""Singular values and right singular vectors of rows on all ranks.

The rows are many and the columns fewer. So everything goes over X^T X, of which every rank has a share of the sum: what
is reduced over the ranks has the size of the columns, and all ranks do the same with it. Left singular vectors are
X V / s, where anybody wants them.
"""

from contextlib import nullcontext
from typing import Any

import numpy as np
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.progress import progress
from frovedis_lite.matrix.products import gram_times, times
from frovedis_lite.mllib.decomposition.lanczos import fits, largest

BLOCK = 1 << 16  # numbers of dense rows that are centred and multiplied at a time: in the cache


class Gram:
    """(X - mean)^T (X - mean) of the rows of all ranks, as an operator.

    Args:
        X: [rows of this rank, columns], an array or CSR matrix.
        mean: [columns], of the rows of all ranks; None: not to be subtracted.
    """

    def __init__(self, comm: Communicator, X: Any, mean: np.ndarray | None = None) -> None:
        self.comm, self.X, self.mean = comm, X, mean
        self.rows, self.columns = comm.allreduce(X.shape[0]), X.shape[1]

    def __matmul__(self, V: np.ndarray) -> np.ndarray:
        """Times V [columns] or [columns, k]."""
        if not sparse.issparse(self.X):
            made = np.zeros(V.shape)
            for rows in self._blocks():
                made += rows.T @ (rows @ V)
            return self.comm.allreduce(made).astype(V.dtype, copy=False)
        made = self.comm.allreduce(gram_times(self.X, V))
        if self.mean is not None:
            made = made - self.rows * np.multiply.outer(self.mean, self.mean @ V)
        return made

    def matrix(self) -> np.ndarray:
        """All of it, [columns, columns] float64."""
        if sparse.issparse(self.X):
            made = self.comm.allreduce(np.asarray((self.X.T @ self.X).todense(), dtype=np.float64))
            return made if self.mean is None else made - self.rows * np.outer(self.mean, self.mean)
        made = np.zeros((self.columns, self.columns))
        for rows in self._blocks():
            made += rows.T @ rows
        return self.comm.allreduce(made)

    def _blocks(self) -> Any:
        step = max(256, BLOCK // max(1, self.columns))
        for first in range(0, self.X.shape[0], step):
            rows = self.X[first : first + step]
            yield rows if self.mean is None else rows - self.mean


def lanczos(gram: Gram, k: int, start: np.ndarray, tol: float) -> tuple[np.ndarray, np.ndarray]:
    """The k largest singular values, and right vectors [k, columns], to the digits there are.

    Args:
        start: [columns, lanczos.BLOCK] random numbers, of the dtype of the rows.
        tol: relative, of singular values; 0: what the rounding of products leaves.
    """
    if not fits(gram.columns, k):
        s, V = by_covariance(gram)
        return s[:k], V[:k]
    digits = 10 * np.finfo(start.dtype).eps
    # The products of sparse rows have threads of their own. What is left for BLAS is small, and its threads would only
    # take their time.
    one = threadpool_limits(1, "blas") if sparse.issparse(gram.X) else nullcontext()
    with one:
        values, vectors = largest(lambda Q: gram @ Q, start.astype(np.float64), k, max(tol**2, digits))
    return ordered(values, vectors.T)


def randomized(gram: Gram, k: int, sample: np.ndarray, powers: int) -> tuple[np.ndarray, np.ndarray]:
    """The same by power iterations on random vectors (Halko, Martinsson and Tropp 2011, algorithm 4.4 and 5.1).

    Args:
        sample: [columns, k + some] random numbers.
        powers: how many iterations.
    """
    Q = np.asarray(sample, dtype=np.float64)
    with progress("power iterations", total=powers + 1) as step:
        for count in range(powers):
            Q = np.linalg.qr(gram @ Q)[0]
            step(count + 1)
        W = gram @ Q  # X^T of the sampled range X Q, which itself has as many rows as X and is not needed:
    values, vectors = np.linalg.eigh(Q.T @ W)  # its orthonormal basis is X Q vectors / sqrt(values)
    kept = values > values[-1] * len(W) * np.finfo(np.float64).eps
    B = (vectors[:, kept] / np.sqrt(values[kept])).T @ W.T
    _, s, V = linalg.svd(B, full_matrices=False)
    if len(s) < k:  # rows of lower rank: any vectors will do beside
        V = np.vstack([V, linalg.null_space(V).T[: k - len(s)]])
        s = np.append(s, np.zeros(k - len(s)))
    return s[:k], signed(V[:k])


def by_qr(comm: Communicator, X: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All singular values and right vectors of dense rows less their mean, to the digits of X: by QR of each rank's
    rows and of the triangles together (Demmel et al., "Communication-optimal parallel and sequential QR", 2012)."""
    R = np.linalg.qr(X - mean, mode="r")
    if comm.size > 1:
        R = np.vstack(comm.allgather(R))
        if len(R) > R.shape[1]:
            R = np.linalg.qr(R, mode="r")
    _, s, V = linalg.svd(comm.bcast(R), full_matrices=False)
    return s, signed(V)


def by_covariance(gram: Gram) -> tuple[np.ndarray, np.ndarray]:
    """The same by eigenvalues of X^T X, in one pass, with half of the digits for small ones."""
    values, vectors = linalg.eigh(gram.matrix())
    return ordered(values, vectors.T)


def ordered(values: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular values, largest first, from eigenvalues of X^T X; and their vectors."""
    order = np.argsort(-values, kind="stable")
    return np.sqrt(np.maximum(values[order], 0)), signed(vectors[order])


def signed(V: np.ndarray) -> np.ndarray:
    """Vectors [k, columns] whose largest element is positive."""
    largest = np.argmax(np.abs(V), axis=1)
    signs = np.sign(V[np.arange(len(V)), largest])
    return np.ascontiguousarray(V * np.where(signs == 0, 1, signs)[:, None])


def product(X: Any, V: np.ndarray) -> np.ndarray:
    """X V, dense: [rows of this rank, k]."""
    if sparse.issparse(X):
        return times(X, np.ascontiguousarray(V))
    return X @ V
