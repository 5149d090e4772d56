"""Losses of boosting with medians or other quantiles in the leaves (J. Friedman: Greedy Function Approximation, Annals
of Statistics 29, 2001, sections 4.3 and 4.4). For those, all ranks see the residuals of all rows."""

from typing import Any

import numpy as np

from frovedis_lite.engine.comm import Communicator


class QuantileLoss:
    """The pinball loss: a part `alpha` of the values is to lie below the prediction. With one half, and doubled, it is
    the absolute error.

    Args:
        absolute: take the absolute error.
    """

    outputs, factor = 1, 1.0

    def __init__(self, alpha: float, absolute: bool = False) -> None:
        self.alpha, self.absolute = (0.5, True) if absolute else (alpha, False)

    def prepare(self, comm: Communicator, y: np.ndarray, raw: np.ndarray, weights: np.ndarray) -> None:
        """Nothing to be done before a stage."""

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, Any]:
        """Which side of the prediction a value is on."""
        if self.absolute:
            return np.where(raw[:, 0] > y, -1.0, 1.0)[None], None
        return np.where(y >= raw[:, 0], self.alpha, self.alpha - 1)[None], None

    def of_rows(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """[rows]."""
        over = y - raw[:, 0]
        return np.abs(over) if self.absolute else np.where(over >= 0, self.alpha, self.alpha - 1) * over

    def start(self, comm: Communicator, y: np.ndarray, weights: np.ndarray, weighted: bool) -> np.ndarray:
        """The quantile of y; as in scikit-learn, between two values only without weights."""
        if weighted:
            return quantiles(comm, y, weights, np.zeros(len(y), np.int64), 1, self.alpha)
        return np.percentile(np.concatenate(comm.allgather(y[weights > 0])), [100 * self.alpha])

    def leaf_values(
        self, comm: Communicator, y: np.ndarray, raw: np.ndarray, weights: np.ndarray, leaves: np.ndarray, count: int
    ) -> np.ndarray:
        """The quantile of the residuals in each leaf."""
        return quantiles(comm, y - raw, weights, leaves, count, self.alpha)


class HuberLoss(QuantileLoss):
    """Squared for the part `alpha` of the rows with small residuals, linear for the others (P. Huber, Annals of
    Mathematical Statistics 35, 1964)."""

    def __init__(self, alpha: float) -> None:
        super().__init__(0.5)
        self.part, self.delta = alpha, 1.0

    def prepare(self, comm: Communicator, y: np.ndarray, raw: np.ndarray, weights: np.ndarray) -> None:
        """Find out which residuals are small."""
        size = np.abs(y - raw[:, 0])
        self.delta = float(quantiles(comm, size, weights, np.zeros(len(y), np.int64), 1, self.part)[0])

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, Any]:
        """Residuals, cut off."""
        return np.clip(y - raw[:, 0], -self.delta, self.delta)[None], None

    def of_rows(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """[rows]."""
        size = np.abs(y - raw[:, 0])
        return np.where(size <= self.delta, size * size / 2, self.delta * (size - self.delta / 2))

    def leaf_values(
        self, comm: Communicator, y: np.ndarray, raw: np.ndarray, weights: np.ndarray, leaves: np.ndarray, count: int
    ) -> np.ndarray:
        """The median, and the mean of what is left, cut off."""
        median = super().leaf_values(comm, y, raw, weights, leaves, count)
        rest = np.clip(y - raw - median[leaves], -self.delta, self.delta)
        sums = comm.allreduce(np.stack([np.bincount(leaves, part, count) for part in (rest * weights, weights)]))
        return median + sums[0] / np.where(sums[1] > 0, sums[1], 1)


def quantiles(
    comm: Communicator, values: np.ndarray, weights: np.ndarray, groups: np.ndarray, count: int, part: float
) -> np.ndarray:
    """The smallest value in each group that so much of its weight is not above: [count]; zero in a group of none."""
    seen = weights > 0
    values, weights, groups = (np.concatenate(comm.allgather(column[seen])) for column in (values, weights, groups))
    order = np.lexsort((values, groups))
    sums = np.cumsum(weights[order])
    ends = np.searchsorted(groups[order], np.arange(count), "right")
    begins = np.concatenate([[0], ends[:-1]])
    some = ends > begins
    before = np.where(begins > 0, sums[begins - 1], 0.0)
    wanted = before + part * (sums[ends - 1] - before)
    at = np.clip(np.searchsorted(sums, wanted), begins, np.maximum(ends - 1, begins))
    return np.where(some, values[order[np.minimum(at, len(order) - 1)]], 0.0)
