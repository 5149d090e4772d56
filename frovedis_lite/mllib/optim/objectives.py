"""Objectives over the rows of all ranks: scale * (sum of losses) + the squared norm of the coefficients."""

from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.optim.losses import LOGISTIC, SQUARED, SQUARED_EPSILON, SQUARED_HINGE, Rows
from frovedis_lite.mllib.optim.products import product, transposed_product
from frovedis_lite.mllib.optim.quasi_newton import dot

BLOCK = 1 << 22  # values of X that are scaled at a time for a Hessian
STEEPEST = {LOGISTIC: 0.25, SQUARED: 1.0, SQUARED_HINGE: 2.0, SQUARED_EPSILON: 2.0}  # the largest second derivative


class OneMargin:
    """A loss of one margin per row.

    Args:
        comm: the ranks.
        X: [rows, columns], the local rows.
        y, weights: [rows] float64; weights None: ones.
        loss, parameter: of `losses`.
        intercept: whether the last of the parameters is one.
        scale: of the sum of losses.
        l2: half of this times the squared norm of the coefficients is added.
        l2_intercept: the same for the intercept.
    """

    def __init__(
        self,
        comm: Communicator,
        X: Any,
        y: np.ndarray,
        weights: np.ndarray | None,
        loss: int,
        *,
        intercept: bool = True,
        scale: float = 1.0,
        l2: float = 0.0,
        l2_intercept: float = 0.0,
        parameter: float = 0.0,
    ) -> None:
        self.comm, self.rows, self.y, self.weights = comm, Rows(X), y, weights
        self.loss, self.parameter, self.intercept, self.scale = loss, parameter, intercept, scale
        self.columns = X.shape[1]
        self.penalty = np.full(self.columns + intercept, float(l2))
        if intercept:
            self.penalty[-1] = l2_intercept
        self.curvature = np.empty(X.shape[0])

    def __call__(self, w: np.ndarray, curvature: bool = False) -> tuple[float, np.ndarray]:
        """Value and gradient at w; with `curvature`, `hessian_product` and `hessian` are those at this w from now."""
        bias = float(w[-1]) if self.intercept else 0.0
        kept = self.curvature if curvature else None
        found = self.rows.loss(self._coefficients(w), bias, self.y, self.weights, self.loss, self.parameter, kept)
        value, gradient = self._summed(*found)
        return value + 0.5 * dot(self.penalty, w**2), gradient + self.penalty * w

    def hessian_product(self, v: np.ndarray) -> np.ndarray:
        """X^T D X v, which is the gradient of a weighted squared loss."""
        bias = float(v[-1]) if self.intercept else 0.0
        found = self.rows.loss(self._coefficients(v), bias, None, self.curvature, SQUARED)
        return self._summed(*found)[1] + self.penalty * v

    def diagonal(self) -> np.ndarray:
        """[parameters]: the Hessian's diagonal is nowhere larger."""
        return _positive(STEEPEST[self.loss] * self.scale * _squares(self)[: len(self.penalty)] + self.penalty)

    def hessian(self) -> np.ndarray:
        """[parameters, parameters]."""
        size = self.columns + 1
        made = gram(self.rows.X, self.curvature)
        made = self.scale * self.comm.allreduce(made)[: size - 1 + self.intercept, : size - 1 + self.intercept]
        made[np.diag_indices(len(made))] += self.penalty
        return made

    def _coefficients(self, w: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(w[: self.columns], np.float64)

    def _summed(self, value: float, gradient: np.ndarray) -> tuple[float, np.ndarray]:
        together = self.comm.allreduce(np.append(gradient, value)) * self.scale
        return float(together[-1]), together[: self.columns + self.intercept]


class Multinomial:
    """The multinomial logistic loss. Parameters are [columns + 1, classes] in one row (without the intercepts' row
    where there are none), and the arguments are `OneMargin`'s; y: [rows] int32."""

    def __init__(
        self,
        comm: Communicator,
        X: Any,
        y: np.ndarray,
        weights: np.ndarray | None,
        classes: int,
        *,
        intercept: bool = True,
        scale: float = 1.0,
        l2: float = 0.0,
    ) -> None:
        self.comm, self.rows, self.y, self.weights = comm, Rows(X), y, weights
        self.classes, self.columns, self.intercept, self.scale = classes, X.shape[1], intercept, scale
        self.penalty = np.full((self.columns + intercept, classes), float(l2))
        if intercept:
            self.penalty[-1] = 0
        self.penalty = self.penalty.ravel()

    def __call__(self, w: np.ndarray, curvature: bool = False) -> tuple[float, np.ndarray]:
        """Value and gradient at w; with `curvature`, `hessian_product` and `hessian` are those at this w from now."""
        W = self._matrix(w)
        if curvature:
            margins = product(self.rows.X, W[:-1]) + W[-1]
            margins = np.exp(margins - margins.max(1, keepdims=True))
            self.probabilities = margins / margins.sum(1, keepdims=True)
        value, gradient = self.rows.softmax(W, self.y, self.weights)
        together = self.comm.allreduce(np.append(gradient, value)) * self.scale
        return float(together[-1]) + 0.5 * dot(self.penalty, w**2), together[: len(w)] + self.penalty * w

    def hessian_product(self, v: np.ndarray) -> np.ndarray:
        """X^T (D - P P^T) X v."""
        V, P = self._matrix(v), self.probabilities
        Z = P * (product(self.rows.X, V[:-1]) + V[-1])
        Z -= P * Z.sum(1, keepdims=True)
        if self.weights is not None:
            Z *= self.weights[:, None]
        made = np.vstack([transposed_product(self.rows.X, Z), Z.sum(0)])
        return self.scale * self.comm.allreduce(made).ravel()[: len(v)] + self.penalty * v

    def diagonal(self) -> np.ndarray:
        """[parameters]: that of the Hessian where all coefficients are zero."""
        even = (1 - 1 / self.classes) / self.classes
        squares = np.repeat(_squares(self), self.classes)[: len(self.penalty)]
        return _positive(even * self.scale * squares + self.penalty)

    def hessian(self) -> np.ndarray:
        """[parameters, parameters]."""
        size, P = self.columns + 1, self.probabilities
        made = np.empty((size, self.classes, size, self.classes))
        for a in range(self.classes):
            for b in range(a + 1):
                d = P[:, a] * ((a == b) - P[:, b])
                part = gram(self.rows.X, d if self.weights is None else d * self.weights)
                made[:, a, :, b] = made[:, b, :, a] = part
        for j in range(size):  # the same added to all classes changes nothing: no step may go that way
            made[j, :, j, :] += np.abs(made[j, :, j, :]).max() or 1.0
        made = self.scale * self.comm.allreduce(made.reshape(size * self.classes, -1))
        made = made[: len(self.penalty), : len(self.penalty)]
        made[np.diag_indices(len(made))] += self.penalty
        return made

    def _matrix(self, w: np.ndarray) -> np.ndarray:
        W = np.asarray(w, np.float64).reshape(-1, self.classes)
        return np.ascontiguousarray(W) if self.intercept else np.vstack([W, np.zeros(self.classes)])


def _squares(objective: OneMargin | Multinomial) -> np.ndarray:
    """Weighted sums of squares of all ranks' rows, [columns + 1] float64; the last of a column of ones."""
    rows, weights = objective.rows, objective.weights
    ones = rows.rows if weights is None else weights.sum()
    return objective.comm.allreduce(np.append(rows.squares(weights), ones))


def _positive(diagonal: np.ndarray) -> np.ndarray:
    """Ones in place of zeros: of columns that hold nothing and have no penalty, which never move."""
    return np.where(diagonal > 0, diagonal, 1.0)


def gram(X: Any, weights: np.ndarray | None = None) -> np.ndarray:
    """[X, 1]^T D [X, 1] of the local rows.

    Args:
        X: [rows, columns], an array or CSR matrix.
        weights: [rows], the diagonal of D; None: ones.
    Returns:
        [columns + 1, columns + 1] float64.
    """
    rows, columns = X.shape
    weights = np.ones(rows) if weights is None else weights
    made = np.zeros((columns + 1, columns + 1))
    step = rows if sparse.issparse(X) else max(1, BLOCK // max(columns, 1))
    for first in range(0, rows, max(step, 1)):
        block, d = X[first : first + step], weights[first : first + step]
        if sparse.issparse(X):
            made[:-1, :-1] = (X.T @ sparse.csr_matrix(X.multiply(d[:, None]))).toarray()
        else:
            made[:-1, :-1] += block.T @ (block * d[:, None])
        made[-1, :-1] += block.T @ d
    made[:-1, -1], made[-1, -1] = made[-1, :-1], weights.sum()
    return made
