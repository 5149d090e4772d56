"""Sums of squares over the rows of all ranks: triangular factors, Gram matrices, and LSQR."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import linalg, sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.progress import progress
from frovedis_lite.mllib.optim.products import product, transposed_product

BLOCK = 1 << 20  # values of X that are copied at a time


def means(
    comm: Communicator, X: Any, y: np.ndarray, weights: np.ndarray | None, intercept: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means of columns [columns] and targets [targets] in float64; zeros without an intercept.

    Args:
        X: [rows, columns]; y: [rows, targets]; weights: [rows] or None.
    """
    if not intercept:
        return np.zeros(X.shape[1]), np.zeros(y.shape[1])
    weights = np.ones(X.shape[0]) if weights is None else weights
    sums = np.concatenate([np.ravel(X.T @ weights), y.T @ weights, [weights.sum()]]).astype(np.float64)
    sums = comm.allreduce(sums)
    return sums[: X.shape[1]] / sums[-1], sums[X.shape[1] : -1] / sums[-1]


def blocks(X: Any, y: np.ndarray, weights: np.ndarray | None, offsets: tuple) -> Iterator[np.ndarray]:
    """[X, y] less their offsets, times the roots of weights, a few rows at a time: float64."""
    step = max(BLOCK // max(X.shape[1], 1), 2 * X.shape[1], 1)
    for first in range(0, X.shape[0], step):
        part = X[first : first + step]
        part = part.toarray() if sparse.issparse(part) else part
        made = np.hstack([part - offsets[0], y[first : first + step] - offsets[1]]).astype(np.float64, copy=False)
        if weights is not None:
            made *= np.sqrt(weights[first : first + step])[:, None]
        yield made


def triangle(comm: Communicator, X: Any, y: np.ndarray, weights: np.ndarray | None, offsets: tuple) -> np.ndarray:
    """R of the QR decomposition of `blocks`' rows on all ranks (TSQR: Demmel and others 2012), which has their products
    and is as accurate as they are. [at most columns + targets, columns + targets], the same on all ranks."""
    width = X.shape[1] + y.shape[1]
    made = np.zeros((0, width))
    for part in blocks(X, y, weights, offsets):
        made = np.linalg.qr(np.vstack([made, part]), mode="r")
    return np.linalg.qr(np.vstack(comm.bcast(comm.gather(made))), mode="r")


def products(comm: Communicator, X: Any, y: np.ndarray, weights: np.ndarray | None, offsets: tuple) -> np.ndarray:
    """[X, y]^T [X, y] of the same rows, [columns + targets, columns + targets]."""
    width = X.shape[1] + y.shape[1]
    made = np.zeros((width, width))
    if not sparse.issparse(X):
        for part in blocks(X, y, weights, offsets):
            made += part.T @ part
        return comm.allreduce(made)
    weights = np.ones(X.shape[0]) if weights is None else weights
    columns, y = X.shape[1], y - offsets[1]
    scaled = sparse.csr_matrix(X.multiply(weights[:, None]))
    made[:columns, :columns] = (X.T @ scaled).toarray()
    made[:columns, columns:] = scaled.T @ y
    made[columns:, columns:] = y.T @ (y * weights[:, None])
    sums = comm.allreduce(np.concatenate([np.ravel(X.T @ weights), y.T @ weights, [weights.sum()]]))
    made = comm.allreduce(made)
    a, shift = sums[:-1], np.append(offsets[0], np.zeros(y.shape[1]))
    made[columns:, :columns] = made[:columns, columns:].T
    return made - np.outer(a, shift) - np.outer(shift, a) + sums[-1] * np.outer(shift, shift)


def lsqr(
    comm: Communicator,
    X: Any,
    y: np.ndarray,
    weights: np.ndarray | None,
    offsets: tuple,
    damp: float,
    tol: float,
    max_iter: int,
) -> tuple[np.ndarray, int]:
    """The w of least norm that minimizes |sqrt(weights) (y - X w)|^2 + damp^2 |w|^2, all less their offsets: LSQR
    (Paige and Saunders 1982), whose vectors of rows stay on their ranks.

    Args:
        y: [rows], one target; offsets: of columns [columns], and of the target.
    Returns:
        w [columns] and the number of iterations.
    """
    roots = np.ones(X.shape[0]) if weights is None else np.sqrt(weights)

    def forward(v: np.ndarray) -> np.ndarray:
        return roots * (product(X, v) - offsets[0] @ v)

    def backward(u: np.ndarray) -> np.ndarray:
        scaled = roots * u
        made = comm.allreduce(np.append(transposed_product(X, scaled), scaled.sum()))
        return made[:-1] - offsets[0] * made[-1]

    def norm(u: np.ndarray) -> float:
        return float(np.sqrt(comm.allreduce(float(u @ u))))

    w = np.zeros(X.shape[1])
    u = roots * (y - offsets[1])
    size = beta = norm(u)
    if beta == 0:
        return w, 0
    u = u / beta
    v = backward(u)
    alpha = float(np.linalg.norm(v))
    if alpha == 0:
        return w, 0
    v /= alpha
    direction, phi, rho, frobenius, step = v.copy(), beta, alpha, 0.0, 0
    with progress("LSQR", total=max_iter) as shown:
        while step < max_iter:
            shown(step)
            step += 1
            u = forward(v) - alpha * u
            beta = norm(u)
            if beta > 0:
                u /= beta
            frobenius += alpha**2 + beta**2 + damp**2
            v = backward(u) - beta * v
            alpha = float(np.linalg.norm(v))
            if alpha > 0:
                v /= alpha
            damped = float(np.hypot(rho, damp))  # a rotation takes the damping away, a second one beta
            phi *= rho / damped
            length = float(np.hypot(damped, beta))
            cosine, sine = damped / length, beta / length
            theta, rho = sine * alpha, -cosine * alpha
            ahead, phi = cosine * phi, sine * phi
            w += ahead / length * direction
            direction = v - theta / length * direction
            normal = abs(phi * alpha * cosine)  # |X^T r|
            if normal <= tol * np.sqrt(frobenius) * max(abs(phi), tol * size) or abs(phi) <= tol * size:
                break
    return w, step


def solve_triangle(factor: np.ndarray, columns: int, tol: float) -> tuple[np.ndarray, int, np.ndarray]:
    """Least squares of least norm from `triangle`: coefficients [columns, targets], rank, singular values."""
    made, _, rank, singular = linalg.lstsq(factor[:, :columns], factor[:, columns:], cond=tol, check_finite=False)
    return made, rank, singular
