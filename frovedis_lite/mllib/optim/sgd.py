"""Stochastic gradient descent: each rank over its own rows, and the mean of the ranks' models after each epoch."""

import ctypes
from typing import Any, NamedTuple

import numpy as np

from frovedis_lite.engine.comm import Communicator
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
    held_out: float  # part of the rows that tell when to stop; 0: the objective tells
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
    (Zinkevich and others, "Parallelized stochastic gradient descent", NIPS 2010), by the numbers of rows.

    Args:
        y: [rows] float64, -1 or 1 for losses of classes.
        weights: [rows] float64.
    Raises:
        ValueError: weights became infinite.
    """
    rows, (count, columns) = Rows(X), X.shape
    before, total = comm.exscan(count), comm.allreduce(count)
    held = np.zeros(count, bool)
    if settings.held_out > 0:  # drawn by the numbers of rows in the whole
        held = np.random.default_rng(seed).random(total)[before : before + count] < settings.held_out
    own = np.flatnonzero(~held)
    trained = comm.allreduce(len(own))
    share = len(own) / max(trained, 1)
    random = np.random.default_rng((seed, comm.rank))
    w, bias, steps = state.w.astype(np.float64), np.array([state.bias]), np.array([float(state.steps)])
    mean, counted = state.mean.copy(), state.counted
    pulled, pull = np.zeros(columns), np.zeros(1)
    eta, best, idle, number = settings.eta0, np.inf, 0, 0
    epoch = getattr(library("sgd"), f"sgd_epoch_{rows.name}")
    epoch.restype = ctypes.c_double
    for number in range(1, settings.max_iter + 1):
        order = own[random.permutation(len(own))] if settings.shuffle else own
        averaging = bool(settings.average) and number * total > settings.average
        drift = np.zeros(columns + 1) if averaging else None
        cost = epoch(
            *(ctypes.c_int64(len(order)), ctypes.c_int64(columns), *rows.matrix),
            *(address(order, np.int64), address(y, np.float64), address(weights, np.float64)),
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
        together = comm.allreduce(np.concatenate([local, [cost], np.zeros(columns + 1) if drift is None else drift]))
        if not np.isfinite(together[: columns + 1]).all():
            raise ValueError(
                f"Floating-point under-/overflow occurred at epoch #{number}. Scaling input data with StandardScaler "
                "or MinMaxScaler might help."
            )
        w, bias = together[:columns].copy(), together[columns : columns + 1].copy()
        if averaging:
            mean += together[columns + 2 :]
            counted += trained
        if settings.held_out > 0:
            worse = _cost(comm, X, y, held, w, bias[0], settings)
        else:
            worse = together[columns + 1] / max(trained, 1) + settings.l1 * np.abs(w).sum()
        idle = idle + 1 if settings.tol is not None and worse > best - settings.tol else 0
        best = min(best, worse)
        if idle >= settings.patience:
            if settings.learning_rate != "adaptive" or eta <= 1e-6:
                break
            eta, idle = eta / 5, 0
    return State(w, float(bias[0]), float(steps[0]), mean, counted, number)


def _cost(
    comm: Communicator, X: Any, y: np.ndarray, held: np.ndarray, w: np.ndarray, bias: float, settings: Settings
) -> float:
    """How bad the model is on the held-out rows: minus the accuracy, or minus R^2."""
    margins, target = X[held] @ w + bias, y[held]
    if LOSSES[settings.loss] <= LOSSES["modified_huber"]:
        right, count = comm.allreduce(np.array([float(((margins > 0) == (target > 0)).sum()), float(len(target))]))
        return -right / max(count, 1.0)
    sums = np.array([((target - margins) ** 2).sum(), target.sum(), (target**2).sum(), float(len(target))])
    errors, total, squares, count = comm.allreduce(sums)
    return errors / max(squares - total**2 / max(count, 1.0), 1e-300) - 1


def _start(settings: Settings) -> float:
    """Where the rate "optimal" begins (Bottou's heuristic, as scikit-learn has it)."""
    if settings.learning_rate != "optimal":
        return 0.0
    return 1.0 / (np.sqrt(1.0 / np.sqrt(settings.alpha)) * settings.alpha)
