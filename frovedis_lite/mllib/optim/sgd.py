"""Stochastic gradient descent: each rank over its own rows, and the mean of the ranks' models after each epoch."""

import ctypes
from typing import Any, NamedTuple

import numpy as np

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.progress import progress
from frovedis_lite.mllib import samples
from frovedis_lite.mllib.optim.losses import Rows
from frovedis_lite.native import address, library

LOSSES = {
    "hinge": 0,
    "squared_hinge": 1,
    "perceptron": 2,
    "log_loss": 3,
    "modified_huber": 4,
    "squared_error": 5,
    "huber": 6,
    "epsilon_insensitive": 7,
    "squared_epsilon_insensitive": 8,
}
RATES = {"constant": 0, "optimal": 1, "invscaling": 2, "adaptive": 3, "pa1": 4, "pa2": 5}
SPARSE_DECAY = 0.01  # of the intercept's steps where rows are sparse, as scikit-learn has it


class Settings(NamedTuple):
    """What does not change from epoch to epoch; the names are scikit-learn's."""

    loss: str
    epsilon: float
    alpha: float
    l1: float  # part of alpha
    l2: float
    learning_rate: str
    eta0: float
    power_t: float
    intercept: bool
    shuffle: bool
    max_iter: int
    tol: float | None
    patience: int
    average: int  # weights count in the mean from the epoch on that has this step; 0: no mean
    held_out: float  # part of the samples that tell when to stop; 0: the objective tells
    sparse: bool


class State(NamedTuple):
    """Weights [columns], intercept, and the number of the next step; `mean`: sums of weights and intercept."""

    w: np.ndarray
    bias: float
    steps: float
    mean: np.ndarray
    counted: float
    epochs: int


def descend(
    comm: Communicator, X: Any, y: np.ndarray, weights: np.ndarray, state: State, settings: Settings, seed: int
) -> State:
    """Epochs until the objective (or the score of held-out rows) is no better for `patience` of them.

    On one rank that is plain SGD (Bottou 2010). On several, each makes an epoch over its rows, and weights are averaged
    (Zinkevich and others, "Parallelized stochastic gradient descent", NIPS 2010), by the numbers of steps.

    A sample of weight w takes ceil(w) steps in an epoch, each with the weight w / ceil(w). So it is the same as w equal
    rows, and a large weight is no large step, which would go too far (Karampatziakis and Langford, "Online importance
    weight aware updates", UAI 2011). With `shuffle`, equal rows of a rank are one sample, and the order does not depend
    on that of the rows.

    Args:
        y: [rows] float64, -1 or 1 for losses of classes.
        weights: [rows] float64, not negative.
    Raises:
        ValueError: weights became infinite, or an epoch has more than 2^31 steps.
    """
    rows, columns = Rows(X), X.shape[1]
    keys = samples.keys_of(X, y) if settings.shuffle or settings.held_out else None
    held = _held_out(comm, keys, weights, seed, settings.held_out)
    steps_of, own = _steps(comm, keys, np.where(held, 0, weights), settings.shuffle)
    mine, trained, weight = len(steps_of), comm.allreduce(len(steps_of)), comm.allreduce(float(own[steps_of].sum()))
    share = mine / max(trained, 1)
    random = np.random.default_rng((seed, comm.rank))
    w, bias, steps = state.w.astype(np.float64), np.array([state.bias]), np.array([float(state.steps)])
    mean, counted = state.mean.copy(), state.counted
    pulled, pull = np.zeros(columns), np.zeros(1)
    eta, best, idle, number = settings.eta0, np.inf, 0, 0
    epoch = getattr(library("sgd"), f"sgd_epoch_{rows.name}")
    epoch.restype = ctypes.c_double
    with progress("stochastic descent", total=settings.max_iter) as show:
        for number in range(1, settings.max_iter + 1):
            order = random.permutation(steps_of) if settings.shuffle else steps_of
            averaging = bool(settings.average) and number * trained > settings.average
            drift = np.zeros(columns + 1) if averaging else None
            cost = epoch(
                *(ctypes.c_int64(mine), ctypes.c_int64(columns), *rows.matrix),
                *(address(order, np.int64), address(y, np.float64), address(own, np.float64)),
                *(ctypes.c_int(LOSSES[settings.loss]), ctypes.c_double(settings.epsilon)),
                *(ctypes.c_int(RATES[settings.learning_rate]), ctypes.c_double(eta), ctypes.c_double(settings.power_t)),
                *(ctypes.c_double(_start(settings)), ctypes.c_double(settings.alpha)),
                *(ctypes.c_double(settings.l2), ctypes.c_double(settings.l1), ctypes.c_int(settings.intercept)),
                ctypes.c_double(SPARSE_DECAY if settings.sparse else 1.0),
                *(address(a, np.float64) for a in (w, bias, steps)),
                None if drift is None else address(drift, np.float64),
                *(address(pulled, np.float64), address(pull, np.float64), ctypes.c_int(1)),
            )
            local = np.concatenate([w, bias]) * share
            sums = np.zeros(columns + 1) if drift is None else drift
            together = comm.allreduce(np.concatenate([local, [cost], sums]))
            if not np.isfinite(together[: columns + 1]).all():
                raise ValueError(
                    f"Floating-point under-/overflow occurred at epoch #{number}. Scaling input data with "
                    "StandardScaler or MinMaxScaler might help."
                )
            w, bias = together[:columns].copy(), together[columns : columns + 1].copy()
            if averaging:
                mean += together[columns + 2 :]
                counted += trained
            show(number)
            if settings.held_out > 0:
                worse = _cost(comm, X, y, np.where(held, weights, 0), w, bias[0], settings)
            else:
                worse = together[columns + 1] / (weight or 1.0) + settings.l1 * np.abs(w).sum()
            idle = idle + 1 if settings.tol is not None and worse > best - settings.tol else 0
            best = min(best, worse)
            if idle >= settings.patience:
                if settings.learning_rate != "adaptive" or eta <= 1e-6:
                    break
                eta, idle = eta / 5, 0
    return State(w, float(bias[0]), float(steps[0]), mean, counted, number)


def _held_out(comm: Communicator, keys: np.ndarray | None, weights: np.ndarray, seed: int, part: float) -> np.ndarray:
    """Which rows tell when to stop: drawn by their content, at least one sample, and not all of them."""
    if part <= 0:
        return np.zeros(len(weights), bool)
    drawn = np.where(weights > 0, samples.uniform(keys, seed), np.nan)
    least = comm.allreduce(float(np.nanmin(drawn, initial=1.0)), "min")
    most = comm.allreduce(float(np.nanmax(drawn, initial=0.0)), "max")
    return (drawn < max(part, np.nextafter(least, 1))) & (drawn < most)


def _steps(comm: Communicator, keys: np.ndarray, weights: np.ndarray, shuffle: bool) -> tuple[np.ndarray, np.ndarray]:
    """The rows of an epoch's steps, [steps] int64, not shuffled yet; and the weight of a step at each, [rows]."""
    if shuffle:
        rows, total = samples.merged(keys, weights)
    else:
        rows = np.flatnonzero(weights > 0)
        total = weights[rows]
    samples.check_visits(comm, total)
    times = samples.visits_of(total)
    made = np.zeros(len(weights))
    made[rows] = total / times
    return np.repeat(rows, times), made


def _cost(
    comm: Communicator, X: Any, y: np.ndarray, weights: np.ndarray, w: np.ndarray, bias: float, settings: Settings
) -> float:
    """How bad the model is on the held-out rows, those with a weight here: minus the accuracy, or minus R^2."""
    held = weights > 0
    margins, target, weights = X[held] @ w + bias, y[held], weights[held]
    if LOSSES[settings.loss] <= LOSSES["modified_huber"]:
        right, count = comm.allreduce(np.array([weights @ ((margins > 0) == (target > 0)), weights.sum()]))
        return -right / (count or 1.0)
    sums = np.array([weights @ (target - margins) ** 2, weights @ target, weights @ target**2, weights.sum()])
    errors, total, squares, count = comm.allreduce(sums)
    return errors / max(squares - total**2 / (count or 1.0), 1e-300) - 1


def _start(settings: Settings) -> float:
    """Where the rate "optimal" begins (Bottou's heuristic, as scikit-learn has it)."""
    if settings.learning_rate != "optimal":
        return 0.0
    return 1.0 / (np.sqrt(1.0 / np.sqrt(settings.alpha)) * settings.alpha)
