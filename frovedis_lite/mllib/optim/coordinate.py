"""Coordinate descent for least squares with an absolute norm, on the Gram matrix of the columns that matter."""

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.progress import progress
from frovedis_lite.mllib.optim.least_squares import means, products
from frovedis_lite.native import address, library, threads

WHOLE = 2000  # so many columns have all their products made at once
SWEEPS = 10  # between two looks at the duality gap of a problem that does not settle


class Path(NamedTuple):
    """A fit: coefficients [columns, targets], offsets of columns and targets, gaps and sweeps [targets]."""

    coefficients: np.ndarray
    offsets: tuple[np.ndarray, np.ndarray]
    gaps: np.ndarray
    sweeps: np.ndarray
    converged: bool


class Penalty(NamedTuple):
    """l1 |w|_1 + l2 / 2 |w|^2; with `positive`, no coefficient is below 0."""

    l1: float
    l2: float
    positive: bool

    def over(self, pull: np.ndarray) -> np.ndarray:
        """How strongly each column would have its coefficient larger."""
        return np.maximum(pull, 0) if self.positive else np.abs(pull)

    def gap(self, w: np.ndarray, pull: np.ndarray, squares: float, product: float) -> float:
        """The duality gap (Kim and others 2007, extended to l2), as scikit-learn has it.

        Args:
            pull: X^T r - l2 w; squares: r^T r; product: r^T y.
        """
        if self.l1 == 0:
            if self.l2 == 0:
                return float(pull @ pull)
            pull = pull + self.l2 * w
            return float(squares + 0.5 * self.l2 * (w @ w) - product + (pull @ pull) / (2 * self.l2))
        most = float(np.max(self.over(pull), initial=0))
        scale = min(1.0, self.l1 / most) if most > 0 else 1.0
        norms = self.l1 * np.abs(w).sum() + 0.5 * self.l2 * (1 + scale**2) * (w @ w)
        return float(0.5 * (1 + scale**2) * squares + norms - scale * product)


def elastic_net(
    comm: Communicator,
    X: Any,
    y: np.ndarray,
    weights: np.ndarray | None,
    start: np.ndarray,
    *,
    intercept: bool,
    alpha: float,
    l1_ratio: float,
    positive: bool,
    tol: float,
    max_iter: int,
    seed: int | None,
) -> Path:
    """The minimum of 1/2 mean (y - X w)^2 + alpha (l1_ratio |w|_1 + (1 - l1_ratio) / 2 |w|^2).

    Up to WHOLE columns one `allreduce` of X^T X is all that ranks have to say. Of more, only those of a working set
    are made: the columns whose coefficients are not 0, and those that violate the optimality condition most (as in
    Johnson and Guestrin, "Blitz", ICML 2015), until the duality gap of all columns is small enough.

    Args:
        y: [rows, targets]; weights: [rows], on all ranks with the sum of rows, or None.
        start: [columns, targets], coefficients to begin with.
        tol: the gap, as a part of y^T y, that may remain.
        max_iter: sweeps.
        seed: of the order of coordinates, drawn anew for each sweep; None: as they are.
    """
    offsets = means(comm, X, y, weights, intercept)
    rows = comm.allreduce(X.shape[0])
    penalty = Penalty(alpha * l1_ratio * rows, alpha * (1 - l1_ratio) * rows, positive)
    random = None if seed is None else np.random.default_rng(seed)
    columns, targets = start.shape
    whole = products(comm, X, y, weights, offsets) if columns <= WHOLE else None
    made = start.astype(np.float64)
    gaps, sweeps, converged = np.zeros(targets), np.zeros(targets, np.int64), True
    with progress("coordinate descent", total=max_iter * targets) as shown:
        for t in range(targets):

            def so_far(done: int, before: int = t * max_iter) -> None:
                shown(before + done)

            if whole is not None:
                gram, q = whole[:columns, :columns], whole[:columns, columns + t]
                problem = _Quadratic(gram, q, float(whole[columns + t, columns + t]), penalty)
                made[:, t], gaps[t], sweeps[t], done = problem.solve(made[:, t], tol, max_iter, random, so_far)
            else:
                local = offsets[0], offsets[1][t : t + 1]
                args = (comm, X, y[:, t : t + 1], weights, local, penalty, made[:, t], tol, max_iter, random, so_far)
                made[:, t], gaps[t], sweeps[t], done = _by_working_set(*args)
            converged &= done
    return Path(made, offsets, gaps / rows, sweeps, converged)


class _Quadratic:
    """1/2 w^T gram w - q^T w + squares / 2 and a penalty."""

    def __init__(self, gram: np.ndarray, q: np.ndarray, squares: float, penalty: Penalty) -> None:
        self.gram, self.q = np.ascontiguousarray(gram), np.ascontiguousarray(q)
        self.squares, self.penalty = squares, penalty

    def gap(self, w: np.ndarray, product: np.ndarray) -> float:
        squares = max(self.squares - 2 * w @ self.q + w @ product, 0.0)
        pull = self.q - product - self.penalty.l2 * w
        return self.penalty.gap(w, pull, squares, self.squares - w @ self.q)

    def solve(
        self,
        w: np.ndarray,
        tol: float,
        max_iter: int,
        random: np.random.Generator | None,
        shown: Callable[[int], None],
    ) -> tuple[np.ndarray, float, int, bool]:
        """Coefficients, gap, sweeps, and whether the gap is at most tol * squares."""
        w, sweeps = w.copy(), 0
        product = self.gram @ w
        enough, settled = tol * self.squares, min(tol, 1e-2)
        while sweeps < max_iter:
            most = min(1 if random is not None else SWEEPS, max_iter - sweeps)
            sweeps += self._sweep(w, product, random, settled, most)
            shown(sweeps)
            gap = self.gap(w, product)
            if gap <= enough:
                return w, gap, sweeps, True
        return w, self.gap(w, product), sweeps, False

    def _sweep(
        self, w: np.ndarray, product: np.ndarray, random: np.random.Generator | None, settled: float, most: int
    ) -> int:
        """At most so many sweeps, in place; how many."""
        drawn = None if random is None else random.permutation(len(w))
        kernel = library("coordinate").coordinate_gram
        kernel.restype = ctypes.c_int64
        arrays = [address(a, np.float64) for a in (self.gram, self.q, w, product)]
        return kernel(
            ctypes.c_int64(len(w)),
            *arrays,
            ctypes.c_double(self.penalty.l1),
            ctypes.c_double(self.penalty.l2),
            ctypes.c_int(self.penalty.positive),
            None if drawn is None else address(drawn, np.int64),
            ctypes.c_double(settled),
            ctypes.c_int64(most),
            ctypes.c_int(threads()),
        )


def _by_working_set(
    comm: Communicator,
    X: Any,
    y: np.ndarray,
    weights: np.ndarray | None,
    offsets: tuple,
    penalty: Penalty,
    w: np.ndarray,
    tol: float,
    max_iter: int,
    random: np.random.Generator | None,
    shown: Callable[[int], None],
) -> tuple[np.ndarray, float, int, bool]:
    """One target of many columns."""
    target = y[:, 0] - offsets[1][0]
    own = np.ones(len(target)) if weights is None else weights
    squares = comm.allreduce(float(own @ target**2))
    sweeps, size = 0, 200
    columns = sparse.csc_matrix(X) if sparse.issparse(X) else X
    while True:
        r = target - (X @ w - offsets[0] @ w)
        weighted = own * r
        sums = np.concatenate([X.T @ weighted, [weighted.sum(), weighted @ r, weighted @ target]])
        sums = comm.allreduce(sums.astype(np.float64))
        pull = sums[: len(w)] - offsets[0] * sums[-3] - penalty.l2 * w
        gap = penalty.gap(w, pull, sums[-2], sums[-1])
        if gap <= tol * squares or sweeps >= max_iter:
            return w, gap, sweeps, gap <= tol * squares
        over = penalty.over(pull)
        over[w != 0] = np.inf
        chosen = np.sort(np.argsort(-over, kind="stable")[: max(size, int(2 * np.count_nonzero(w)))])
        local = offsets[0][chosen], offsets[1]
        part = columns[:, chosen]
        whole = products(comm, part.tocsr() if sparse.issparse(part) else part, y, weights, local)
        problem = _Quadratic(whole[:-1, :-1], whole[:-1, -1], squares, penalty)

        def so_far(done: int, before: int = sweeps) -> None:
            shown(before + done)

        w[chosen], _, made, _ = problem.solve(w[chosen], 0.3 * tol, max_iter - sweeps, random, so_far)
        sweeps, size = sweeps + made, 2 * size
