"""Newton's method: steps by conjugate gradients from products with the Hessian, or by its Cholesky factors."""

from typing import Any

import numpy as np
from scipy import linalg

from frovedis_lite.engine.progress import progress
from frovedis_lite.mllib.optim.quasi_newton import Minimum

MOST_PRODUCTS = 200  # with the Hessian, for one step


def newton(objective: Any, w: np.ndarray, tol: float, max_iter: int, factorize: bool = False) -> Minimum:
    """The minimum of a convex objective.

    Args:
        objective: of `objectives`.
        w: [parameters], where to begin.
        tol: the largest element of the gradient that may remain.
        max_iter: steps.
        factorize: solve for a step with the whole Hessian; else conjugate gradients, cut short (Dembo, Steihaug 1983).
    """
    w = w.astype(np.float64)
    value, gradient = objective(w, curvature=True)
    with progress("Newton's method", total=max_iter) as shown:
        for step in range(max_iter):
            shown(step)
            if np.max(np.abs(gradient), initial=0) <= tol:
                return Minimum(w, step, True)
            direction = _factorized(objective.hessian(), gradient) if factorize else _conjugate(objective, gradient)
            slope = float(gradient @ direction)
            if not slope < 0:
                direction, slope = -gradient, -float(gradient @ gradient)
            length = 1.0
            noise = 16 * np.finfo(float).eps * abs(value)
            for _ in range(40):
                new = w + length * direction
                new_value, new_gradient = objective(new, curvature=True)
                # Near the minimum values are rounded alike; there a smaller gradient is what counts.
                close = abs(new_value - value) <= noise and np.abs(new_gradient).sum() < np.abs(gradient).sum()
                if new_value <= value + 1e-4 * length * slope or close:
                    break
                length *= 0.5
            else:
                return Minimum(w, step, True)
            w, value, gradient = new, new_value, new_gradient
    return Minimum(w, max_iter, bool(np.max(np.abs(gradient), initial=0) <= tol))


def _factorized(hessian: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    try:
        return -linalg.cho_solve(linalg.cho_factor(hessian, check_finite=False), gradient, check_finite=False)
    except linalg.LinAlgError:  # parameters that the rows do not determine: the step of least norm
        return -linalg.lstsq(hessian, gradient, check_finite=False)[0]


def _conjugate(objective: Any, gradient: np.ndarray) -> np.ndarray:
    """About -H^-1 gradient."""
    size = np.abs(gradient).sum()
    enough = min(0.5, np.sqrt(size)) * np.linalg.norm(gradient)
    direction, residual = np.zeros_like(gradient), -gradient
    p, norm = residual.copy(), float(residual @ residual)
    for _ in range(MOST_PRODUCTS):
        if np.sqrt(norm) <= enough:
            break
        product = objective.hessian_product(p)
        bend = float(p @ product)
        if bend <= 3 * np.finfo(float).eps * float(p @ p):
            return direction if direction.any() else p
        direction += norm / bend * p
        residual = residual - norm / bend * product
        new = float(residual @ residual)
        p, norm = residual + new / norm * p, new
    return direction
