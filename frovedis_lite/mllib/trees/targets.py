"""What a tree is to predict, in fixed point: sums of whole numbers are the same in any order, so trees do not depend on
the number of threads and ranks, and a child's sums are the parent's minus its sibling's without rounding.
"""

from dataclasses import dataclass

import numpy as np

from frovedis_lite.engine.comm import Communicator

BITS = 61  # of a sum over all rows


@dataclass
class Targets:
    """Local rows' weights and classes, or weights and values, each [rows] or [trees, rows].

    Attributes:
        weight: int64, weight * weight_scale.
        counted: whether rows are counted apart from weights: not all weights are one.
        label: int32 [rows], below `classes`; None for values.
        value: float64, the values minus `shift`; moment, square: int64, weight * value * moment_scale and
            weight * value**2 * square_scale.
    """

    weight: np.ndarray
    weight_scale: float
    counted: bool
    classes: int = 0
    label: np.ndarray | None = None
    entropy: bool = False
    value: np.ndarray | None = None
    moment: np.ndarray | None = None
    square: np.ndarray | None = None
    moment_scale: float = 1.0
    square_scale: float = 1.0
    shift: float = 0.0

    @property
    def channels(self) -> int:
        """Sums that a histogram has for each bin."""
        if self.label is not None:
            return self.classes + self.counted
        return 2 + self.counted

    def weights(self, total: np.ndarray) -> np.ndarray:
        """Weights of nodes from their sums [nodes, channels]."""
        fixed = total[:, 0] if self.label is None else total[:, : self.classes].sum(1)
        return fixed / self.weight_scale

    def rows(self, total: np.ndarray) -> np.ndarray:
        """Rows of nodes."""
        if self.counted:
            return total[:, -1]
        return total[:, 0] if self.label is None else total.sum(1)

    def values(self, total: np.ndarray) -> np.ndarray:
        """[nodes, classes], the shares of the classes, or [nodes, 1], mean values."""
        if self.label is not None:
            shares = total[:, : self.classes].astype(np.float64)
            return shares / np.maximum(shares.sum(1, keepdims=True), 1)
        return ((total[:, 1] / self.moment_scale) / self.weights(total) + self.shift)[:, None]

    def impurities(self, total: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Gini impurity, entropy in bits, or variance."""
        if self.label is None:
            weight = self.weights(total)
            mean = (total[:, 1] / self.moment_scale) / weight
            return np.maximum(square / self.square_scale / weight - mean * mean, 0)
        shares = self.values(total)
        if not self.entropy:
            return 1 - (shares * shares).sum(1)
        return -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(1)

    def are_pure(self, total: np.ndarray, least: np.ndarray, most: np.ndarray) -> np.ndarray:
        """Whether all rows of a node are alike."""
        if self.label is None:
            return least >= most
        return (total[:, : self.classes] > 0).sum(1) < 2


def class_targets(
    comm: Communicator, label: np.ndarray, classes: int, weights: np.ndarray | None, entropy: bool = False
) -> Targets:
    """Targets of a classifier: `label` [rows] below `classes`, weights [rows], [trees, rows] or None for ones."""
    weight, scale, counted = _fixed_weights(comm, label, weights)
    label = np.ascontiguousarray(label, np.int32)
    return Targets(weight, scale, counted, classes, label, entropy)


def value_targets(comm: Communicator, value: np.ndarray, weights: np.ndarray | None, centre: bool = True) -> Targets:
    """Targets of a regressor: values and weights, each [rows] or [trees, rows]; no weights are ones.

    Args:
        centre: take the middle of the values as zero, which keeps more digits of the variance.
    """
    value = np.ascontiguousarray(value, np.float64)
    weight, scale, counted = _fixed_weights(comm, value, weights)
    low, high = (
        comm.allreduce(float(find(value)) if value.size else empty, name)
        for find, name, empty in ((np.min, "min", np.inf), (np.max, "max", -np.inf))
    )
    shift = (low + high) / 2 if centre else 0.0
    value = value - shift if shift else value
    # The largest sum there can be, from exact sums: all ranks find the same power of two.
    most = max(abs(low - shift), abs(high - shift))
    sums = weight.sum(-1, dtype=np.int64)
    whole = float(np.max(comm.allreduce(np.atleast_1d(sums)))) / scale
    moment_scale, square_scale = (_power(whole * most**degree) for degree in (1, 2))
    weighted = value if weights is None else value * weights
    moment = np.rint(weighted * moment_scale).astype(np.int64)
    square = np.rint(weighted * value * square_scale).astype(np.int64)
    if moment.ndim == 2 and weight.ndim == 2 and value.ndim == 1:
        value = np.ascontiguousarray(value)
    return Targets(
        weight,
        scale,
        counted,
        value=value,
        moment=moment,
        square=square,
        moment_scale=moment_scale,
        square_scale=square_scale,
        shift=shift,
    )


def _fixed_weights(comm: Communicator, like: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, float, bool]:
    """Whole weights as they are, others in steps of a power of two; never zero if they were not."""
    if weights is None:
        return np.ones(like.shape[-1], np.int64), 1.0, False
    fractions, others, most = comm.allreduce(
        np.array([np.any(weights != np.rint(weights)), np.any(weights != 1), np.max(weights, initial=0)], np.float64),
        "max",
    )
    if not fractions and most < 2**31:
        return np.ascontiguousarray(weights).astype(np.int64), 1.0, bool(others)
    rows = comm.allreduce(weights.shape[-1])
    scale = _power(rows * most)
    fixed = np.rint(weights * scale).astype(np.int64)
    return np.where(weights > 0, np.maximum(fixed, 1), 0), scale, True


def _power(largest: float) -> float:
    """The power of two that makes use of the bits there are."""
    if not largest > 0:
        return 1.0
    return float(2.0 ** min(BITS - np.ceil(np.log2(largest)), 1000.0))
