"""The dual of linear support vector machines, for the losses that have a corner."""

import ctypes
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.progress import progress
from frovedis_lite.mllib.optim.losses import Rows
from frovedis_lite.mllib.optim.quasi_newton import Minimum
from frovedis_lite.native import address, library

LOOKS = 4  # sweeps between two looks at the duality gap


def dual_descent(
    comm: Communicator,
    X: Any,
    y: np.ndarray,
    most: np.ndarray,
    *,
    bias: float,
    epsilon: float | None,
    tol: float,
    max_iter: int,
    seed: int,
) -> Minimum:
    """The minimum of 1/2 |w|^2 + sum(most * loss(X w)), the hinge loss or that of a regression.

    Each rank sweeps over its rows, with the curvature overstated by the number of ranks, and their steps are added up
    (CoCoA+: Ma and others, "Adding vs. averaging in distributed primal-dual optimization", ICML 2015). On one rank that
    is LIBLINEAR's dual coordinate descent, without shrinking.

    Args:
        X: [rows, columns], the local rows, with a last column `bias` put to it.
        y: [rows] float64, -1 or 1, or targets.
        most: [rows] float64, C times the weights.
        epsilon: of a regression; None: classes.
        tol: the duality gap, as a part of the objective, that may remain.
        max_iter: sweeps.
        seed: of the order of rows.
    Returns:
        w [columns + 1].
    """
    rows, (count, columns) = Rows(X), X.shape
    squared = X.multiply(X).sum(1) if sparse.issparse(X) else np.einsum("ij,ij->i", X, X, dtype=np.float64)
    norms = np.asarray(squared, np.float64).ravel() + bias**2
    w, a = np.zeros(columns + 1), np.zeros(count)
    random = np.random.default_rng((seed, comm.rank))
    epoch = getattr(library("dual"), f"dual_epoch_{rows.name}")
    with progress("dual coordinate descent", total=max_iter) as shown:
        for sweep in range(1, max_iter + 1):
            shown(sweep - 1)
            moved, order = w.copy(), random.permutation(count)
            arrays = [address(v, np.float64) for v in (y, most, norms)]
            epoch(
                *(ctypes.c_int64(count), ctypes.c_int64(columns), *rows.matrix, ctypes.c_double(bias), *arrays),
                address(order, np.int64),
                *(ctypes.c_double(epsilon or 0.0), ctypes.c_int(epsilon is not None), ctypes.c_double(comm.size)),
                *(address(moved, np.float64), address(a, np.float64), ctypes.c_int(1)),
            )
            w = w + comm.allreduce((moved - w) / comm.size)
            if sweep % LOOKS == 0 or sweep == max_iter:
                margins = X @ w[:-1] + bias * w[-1]
                if epsilon is None:
                    losses, gains = np.maximum(1 - y * margins, 0), y * a
                else:
                    losses, gains = np.maximum(np.abs(y - margins) - epsilon, 0), y * a - epsilon * np.abs(a)
                sums = comm.allreduce(np.array([most @ losses, gains.sum()]))
                primal, dual = 0.5 * w @ w + sums[0], sums[1] - 0.5 * w @ w
                if primal - dual <= tol * abs(primal):
                    return Minimum(w, sweep, True)
    return Minimum(w, max_iter, False)
