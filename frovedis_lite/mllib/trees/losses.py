"""Losses of gradient boosting (J. Friedman: Greedy Function Approximation, Annals of Statistics 29, 2001).

Each has, for local rows and raw predictions [rows, outputs]: the negative gradient and the curvature, [outputs, rows],
from which leaves get their values; the loss of each row; and the best constant.
"""

from typing import Any

import numpy as np
from scipy.special import expit, logsumexp, softmax

from frovedis_lite.mllib.trees.robust import HuberLoss, QuantileLoss

SMALL = np.finfo(np.float64).eps


class SquaredError:
    """(y - raw)^2; a leaf's mean residual is the best value, so there is no curvature."""

    outputs, factor = 1, 1.0

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, Any]:
        """Residuals."""
        return (y - raw[:, 0])[None], None

    def of_rows(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """[rows]."""
        return (y - raw[:, 0]) ** 2

    def constant(self, mean: np.ndarray) -> np.ndarray:
        """From the weighted mean of y."""
        return mean


class BinomialLoss:
    """Twice the negative log likelihood; raw is the logarithm of the odds."""

    outputs, factor = 1, 1.0

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, Any]:
        """y - p and p (1 - p)."""
        p = expit(raw[:, 0])
        return (y - p)[None], (p * (1 - p))[None]

    def of_rows(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """[rows]."""
        odds = raw[:, 0]
        return 2 * (np.log1p(np.exp(-np.abs(odds))) + np.maximum(odds, 0) - y * odds)

    def constant(self, mean: np.ndarray) -> np.ndarray:
        """From the shares of the classes."""
        p = np.clip(mean[1:], SMALL, 1 - SMALL)
        return np.log(p / (1 - p))

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        """[rows, 2]."""
        p = expit(raw[:, 0])
        return np.stack([1 - p, p], 1)


class ExponentialLoss(BinomialLoss):
    """exp(-raw) for the second class, exp(raw) for the first, as in AdaBoost; raw is half the logarithm of the odds."""

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, Any]:
        """The loss is its own curvature."""
        size = self.of_rows(y, raw)
        return np.where(y > 0, size, -size)[None], size[None]

    def of_rows(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """[rows]."""
        return np.exp(np.where(y > 0, -raw[:, 0], raw[:, 0]))

    def constant(self, mean: np.ndarray) -> np.ndarray:
        """From the shares of the classes."""
        return super().constant(mean) / 2

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        """[rows, 2]."""
        return super().probabilities(2 * raw)


class MultinomialLoss:
    """The negative log likelihood of more than two classes; a tree for each of them."""

    def __init__(self, classes: int) -> None:
        self.outputs, self.factor = classes, (classes - 1) / classes

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, Any]:
        """[y = k] - p_k and p_k (1 - p_k)."""
        p = np.ascontiguousarray(softmax(raw, axis=1).T)
        slope = -p
        slope[y.astype(np.int64), np.arange(len(y))] += 1
        return slope, p * (1 - p)

    def of_rows(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """[rows]."""
        return logsumexp(raw, axis=1) - raw[np.arange(len(y)), y.astype(np.int64)]

    def constant(self, mean: np.ndarray) -> np.ndarray:
        """From the shares of the classes: logarithms, with mean zero."""
        logs = np.log(np.clip(mean, SMALL, 1 - SMALL))
        return logs - logs.mean()

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        """[rows, classes]."""
        return softmax(raw, axis=1)


def loss_of(name: str, classes: int, alpha: float = 0.9) -> Any:
    """The loss scikit-learn calls so; `alpha` is that of "huber" and "quantile".

    Raises:
        ValueError: the exponential loss with more than two classes.
    """
    if name == "squared_error":
        return SquaredError()
    if name == "exponential":
        if classes > 2:
            raise ValueError(
                "loss='exponential' is only suitable for a binary classification problem, you have "
                f"n_classes={classes}. Please use loss='log_loss' instead."
            )
        return ExponentialLoss()
    if name == "log_loss":
        return BinomialLoss() if classes == 2 else MultinomialLoss(classes)
    return HuberLoss(alpha) if name == "huber" else QuantileLoss(alpha, name == "absolute_error")
