"""L-BFGS, and OWL-QN for objectives with an absolute norm."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from frovedis_lite.engine.progress import progress

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
Pair = tuple[np.ndarray, np.ndarray, float]  # a step, the change of the gradient, one over their product
MEMORY = 10  # pairs
MOST_TRIALS = 30  # of one step's length
NOISE = 2 * np.finfo(float).eps  # values that differ by less, relatively, are the same


class Minimum(NamedTuple):
    """Where an iteration ended: the parameters, how many steps it took, and whether it got there."""

    w: np.ndarray
    steps: int
    converged: bool


def lbfgs(objective: Objective, w: np.ndarray, tol: float, max_iter: int, diagonal: np.ndarray) -> Minimum:
    """L-BFGS (Nocedal 1980), until no element of the gradient is over `tol` or rounding is all that changes.

    A step goes to where a cubic through the values and derivatives so far is lowest, until it meets the strong Wolfe
    conditions (Nocedal and Wright, "Numerical Optimization", 2006, section 3.5); most often the first one does.

    Args:
        objective: value and gradient.
        w: [parameters], where to begin.
        tol: the largest element of the gradient that may remain.
        max_iter: steps.
        diagonal: [parameters], positive, about that of the Hessian: what its approximation begins with, so that
            features of very different sizes or frequencies cost no steps (section 7.2).
    """
    w = w.astype(np.float64)
    value, gradient = objective(w)
    pairs: deque[Pair] = deque(maxlen=MEMORY)
    with progress("L-BFGS", total=max_iter) as shown:
        for step in range(max_iter):
            shown(step)
            if np.max(np.abs(gradient), initial=0) <= tol:
                return Minimum(w, step, True)
            direction = -_inverse_hessian(gradient, pairs, diagonal)
            slope = dot(gradient, direction)
            length = 1.0 if pairs else 1.0 / float(np.sqrt(-slope))
            low, high = (0.0, value, slope), None  # ends of where a good length is: length, value, derivative
            for _ in range(MOST_TRIALS):
                new = w + length * direction
                new_value, new_gradient = objective(new)
                here = length, new_value, dot(new_gradient, direction)
                if not new_value <= value + 1e-3 * length * slope + NOISE * abs(value):
                    high = here
                elif abs(here[2]) <= -0.9 * slope:
                    break
                elif here[2] > 0:
                    high = here
                else:
                    low, beyond = here, low
                if high is None:  # still going down: further
                    length = min(max(_lowest(beyond, here), 1.5 * length), 5 * length)
                else:
                    margin = 0.05 * (high[0] - low[0])
                    length = min(max(_lowest(low, high), low[0] + margin), high[0] - margin)
            else:
                if not pairs:
                    return Minimum(w, step, True)
                pairs.clear()
                continue
            _remember(pairs, new - w, new_gradient - gradient)
            lower = value - new_value
            w, value, gradient = new, new_value, new_gradient
            if lower <= 64 * np.finfo(float).eps * max(abs(value), 1e-300) and step + 1 < max_iter:
                return Minimum(w, step + 1, True)
    return Minimum(w, max_iter, bool(np.max(np.abs(gradient), initial=0) <= tol))


def owlqn(
    objective: Objective, w: np.ndarray, l1: np.ndarray, tol: float, max_iter: int, diagonal: np.ndarray
) -> Minimum:
    """The minimum of objective(w) + sum(l1 |w|): OWL-QN (Andrew and Gao, "Scalable training of L1-regularized
    log-linear models", ICML 2007). Within an orthant the norm is linear, so a step is L-BFGS's, kept in the orthant.

    Args:
        objective: value and gradient of the smooth part.
        w: [parameters], where to begin.
        l1: [parameters], 0 where there is no norm.
        tol: the largest element of the subgradient that may remain.
        max_iter: steps.
        diagonal: [parameters], about that of the Hessian of the smooth part.
    """
    w = w.astype(np.float64)
    smooth, gradient = objective(w)
    value = smooth + dot(l1, np.abs(w))
    pairs: deque[Pair] = deque(maxlen=MEMORY)
    stalled = 0
    with progress("OWL-QN", total=max_iter) as shown:
        for step in range(max_iter):
            shown(step)
            slope = _steepest(w, gradient, l1)
            if np.max(np.abs(slope), initial=0) <= tol:
                return Minimum(w, step, True)
            direction = -_inverse_hessian(slope, pairs, diagonal)
            if (l1 > 0).any():
                direction = np.where((direction * slope < 0) | (l1 == 0), direction, 0)
            if not dot(direction, slope) < 0:
                direction, pairs = -slope, deque(maxlen=MEMORY)
            orthant = np.where(w != 0, np.sign(w), -np.sign(slope))
            length = 1.0 if pairs else 1.0 / float(np.sqrt(-dot(direction, slope)))
            for _ in range(MOST_TRIALS):
                new = w + length * direction
                new = np.where((l1 > 0) & (new * orthant <= 0), 0.0, new)
                smooth, new_gradient = objective(new)
                new_value = smooth + dot(l1, np.abs(new))
                if new_value <= value + 1e-4 * dot(slope, new - w) + NOISE * abs(value):
                    break
                length *= 0.5
            else:  # rounding: there is nothing lower near here, or the memory misleads
                if not pairs:
                    return Minimum(w, step, True)
                pairs.clear()
                continue
            _remember(pairs, new - w, new_gradient - gradient)
            stalled = stalled + 1 if value - new_value <= 1e-14 * abs(value) else 0
            w, value, gradient = new, new_value, new_gradient
            if stalled >= 5:
                return Minimum(w, step + 1, True)
    return Minimum(w, max_iter, bool(np.max(np.abs(_steepest(w, gradient, l1)), initial=0) <= tol))


def _lowest(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Where the cubic through two points (length, value, derivative) is lowest; half-way if there is no such place."""
    width = b[0] - a[0]
    if width == 0:
        return b[0]
    with np.errstate(all="ignore"):
        d = a[2] + b[2] - 3 * (b[1] - a[1]) / width
        root = np.sqrt(d * d - a[2] * b[2])
        made = b[0] - width * (b[2] + root - d) / (b[2] - a[2] + 2 * root)
    return float(made) if np.isfinite(made) else 0.5 * (a[0] + b[0])


def _remember(pairs: deque[Pair], change: np.ndarray, bend: np.ndarray) -> None:
    product = dot(change, bend)
    if product > 1e-12 * dot(bend, bend):
        pairs.append((change, bend, 1.0 / product))


def _steepest(w: np.ndarray, gradient: np.ndarray, l1: np.ndarray) -> np.ndarray:
    """The subgradient of least norm."""
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0)
    return np.where(w != 0, gradient + l1 * np.sign(w), at_zero)


def _inverse_hessian(slope: np.ndarray, pairs: deque[Pair], diagonal: np.ndarray) -> np.ndarray:
    """L-BFGS's two loops."""
    made, step, factors = slope.copy(), np.empty_like(slope), []
    for change, bend, rate in reversed(pairs):
        factors.append(rate * dot(change, made))
        made -= np.multiply(bend, factors[-1], out=step)
    made /= diagonal
    if pairs:
        _, bend, rate = pairs[-1]
        made /= rate * dot(bend, np.divide(bend, diagonal, out=step))
    for (change, bend, rate), factor in zip(pairs, reversed(factors), strict=True):
        made += np.multiply(change, factor - rate * dot(bend, made), out=step)
    return made


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """The sum of products of [elements], on this thread: BLAS would wake its own, in the way of the kernels'."""
    return float(np.einsum("i,i->", a, b))
