"""The largest eigenvalues of a symmetric operator by block Lanczos with thick restarts.

Block Lanczos (Golub and Underwood 1977), restarted with the Ritz vectors found so far (Wu and Simon, "Thick-restart
Lanczos method for large symmetric eigenvalue problems", 2000). What costs is a pass over the rows, and one with four
vectors costs little more than with one: each number of the matrix is read once. With blocks it takes a third of the
passes that ARPACK needs, and convergence is looked at after each.
"""

from collections.abc import Callable

import numpy as np

from frovedis_lite.engine.progress import progress

BLOCK = 4  # vectors of a pass
MORE = 30  # Ritz vectors that a restart keeps beside those wanted


def fits(n: int, k: int) -> bool:
    """Whether `largest` has room; else all eigenvalues of the matrix itself are cheaper."""
    return n > _space(k) + BLOCK


def _space(k: int) -> int:
    return k + MORE + max(k, 10 * BLOCK)


def largest(
    apply: Callable[[np.ndarray], np.ndarray], start: np.ndarray, k: int, tol: float
) -> tuple[np.ndarray, np.ndarray]:
    """The k largest eigenvalues, in rising order, and their vectors [n, k], both float64.

    Args:
        apply: the operator times [n, BLOCK].
        start: [n, BLOCK], random numbers.
        tol: residuals are to be this small beside their eigenvalues.
    Raises:
        LinAlgError: they are not after 10 n passes.
    """
    n, space, kept = len(start), _space(k), k + MORE
    V, H = np.empty((n, space)), np.zeros((space, space))
    random = np.random.default_rng(0)
    Q, used = np.linalg.qr(start)[0], 0
    with progress("Lanczos passes") as step:
        for count in range(10 * n):
            step(count)
            new = slice(used, used + BLOCK)
            V[:, new], rest = Q, apply(Q)
            used += BLOCK
            basis = V[:, :used]
            products = basis.T @ rest
            H[:used, new], H[new, :used] = products, products.T
            rest = rest - basis @ products
            rest -= basis @ (basis.T @ rest)  # twice, which is enough (Kahan and Parlett)
            Q, R = np.linalg.qr(rest)
            values, S = np.linalg.eigh(H[:used, :used])
            if used >= k:
                residuals = np.linalg.norm(R @ S[-BLOCK:, -k:], axis=0)
                if np.all(residuals <= tol * np.abs(values[-1])):
                    return values[-k:], basis @ S[:, -k:]
            # Where the operator gives hardly anything new, rounding is what is left of `rest`.
            sizes = np.abs(np.diag(R))
            spent = sizes <= np.finfo(np.float64).eps * np.abs(values).max()
            if spent.any():  # any other direction will do
                Q[:, spent] = random.normal(size=(n, int(spent.sum())))
            for _ in range(2 if spent.any() else int(sizes.min() < 1e-8 * np.abs(values).max())):
                Q -= basis @ (basis.T @ Q)
                Q = np.linalg.qr(Q)[0]
            if used + BLOCK > space:
                V[:, :kept] = basis @ S[:, -kept:]
                H[:] = 0
                H[:kept, :kept] = np.diag(values[-kept:])
                used = kept
    raise np.linalg.LinAlgError(f"{k} eigenvalues did not converge to {tol}; take a larger tol, or fewer of them")
