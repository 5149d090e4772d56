"""Stochastic average gradients: SAG and SAGA on one rank, and as the local steps of several.

On one rank: SAG (Schmidt, Le Roux and Bach 2013) or SAGA (Defazio, Bach and Lacoste-Julien, NIPS 2014), an iteration of
which is as many steps as there are rows, each along a row drawn at random. Until all rows were seen, the mean is over
those that were.

On several ranks an iteration is a round of DANE (Shamir, Srebro and Zhang, ICML 2014) with those as the local solver,
as in AIDE (Reddi and others 2016): from the same weights, and the mean gradient of all rows there, each rank makes as
many steps as it has rows, which lead to the minimum of its own losses with their gradient corrected to that of all. The
directions of the ranks are averaged, each one leading down, and how far to go along the mean is found by a line search
over the margins of all rows. Where ranks have rows of different kinds, their directions disagree and the search stops
early; then a squared distance from the common weights (DANE's mu) holds the ranks together. Averaging weights with
nothing more, as CentralVR (De and Goldstein 2016) does, diverges where a column is on some of the ranks only.
"""

import ctypes
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.utils.extmath import row_norms

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.progress import progress
from frovedis_lite.mllib.optim.losses import Rows
from frovedis_lite.mllib.optim.products import product, transposed_product
from frovedis_lite.mllib.optim.quasi_newton import Minimum
from frovedis_lite.native import address, library

SQUARED, LOGISTIC, MULTINOMIAL = range(3)
FLAT = 0.1  # of the slope at its begin is flat enough to end a line search
FARTHEST = 16.0  # times the mean of the ranks' steps


class Problem(NamedTuple):
    """The mean over all rows of weight * loss(X W + b), + l2 / 2 |W|^2 + l1 |W|_1.

    Attributes:
        X: [rows, columns], the local rows, an array or CSR matrix.
        y: [rows] float64: targets, or -1 and 1, or numbers of classes.
        weights: [rows] float64, or None.
        loss: SQUARED, LOGISTIC or MULTINOMIAL.
        intercept: whether there is a b.
        saga: whether steps are SAGA's; SAG has no l1.
    """

    X: Any
    y: np.ndarray
    weights: np.ndarray | None
    loss: int
    intercept: bool
    l2: float
    l1: float
    saga: bool

    def derivatives(self, margins: np.ndarray) -> np.ndarray:
        """Of the local rows' weighted losses by their margins, [rows, classes]."""
        if self.loss == MULTINOMIAL:
            made = softmax(margins, axis=1)
            made[np.arange(len(made)), self.y.astype(np.int64)] -= 1
        elif self.loss == LOGISTIC:
            made = -self.y[:, None] * expit(-self.y[:, None] * margins)
        else:
            made = margins - self.y[:, None]
        return made if self.weights is None else made * self.weights[:, None]

    def bend(self, comm: Communicator) -> float:
        """The largest second derivative of a row's loss, of all rows: what bounds the length of steps."""
        most = row_norms(self.X, squared=True).astype(np.float64) + self.intercept
        if self.weights is not None:
            most *= self.weights
        return comm.allreduce(float(most.max(initial=0)), "max") * (1.0 if self.loss == SQUARED else 0.25)

    def step_length(self, bend: float, l2: float, rows: int) -> float:
        """scikit-learn's: 1 / L for SAG, 1 / (2 L + min(2 rows l2, L)) for SAGA."""
        L = bend + l2
        length = 1.0 / max(2 * L + min(2 * rows * l2, L) if self.saga else L, np.finfo(float).tiny)
        return length if length * l2 < 1 else 0.5 / l2


class _Epochs:
    """What the steps over the local rows keep: a table of derivatives [rows, classes], the sum of their gradients."""

    def __init__(self, problem: Problem, classes: int, seed: tuple[int, int]) -> None:
        self.problem, self.classes, self.rows = problem, classes, Rows(problem.X)
        count, columns = problem.X.shape
        self.dense = not sparse.issparse(problem.X)
        self.random = np.random.default_rng(seed)
        self.table, self.seen = np.zeros((count, classes)), np.zeros(count, np.uint8)
        self.sum, self.drawn = np.zeros((columns + 1, classes)), np.zeros(1, np.int64)
        self.room = [np.empty(count + 1), np.empty(count + 1)] if not self.dense else []
        self.done = np.empty(columns if not self.dense else 0, np.int64)

    def know(self, derivatives: np.ndarray) -> None:
        """Fill the table: every row was seen."""
        self.table[:] = derivatives
        self.seen[:], self.drawn[0] = 1, len(self.seen)

    def run(self, W: np.ndarray, length: float, l2: float, l2_bias: float) -> bool:
        """One epoch, W [columns + 1, classes] in place; whether all are finite."""
        problem, (count, columns) = self.problem, self.problem.X.shape
        if not count:
            return True
        order = self.random.integers(0, count, count)
        w, sums = (np.ascontiguousarray(a[:-1].T if self.dense else a[:-1]) for a in (W, self.sum))
        bias, bias_sum = W[-1].copy(), self.sum[-1].copy()
        epoch = getattr(library("sag"), f"sag_epoch_{self.rows.name}")
        epoch.restype = ctypes.c_int
        doubles = [address(a, np.float64) for a in (w, bias, sums, bias_sum, self.table)]
        finite = epoch(
            *(ctypes.c_int64(count), ctypes.c_int64(columns), *self.rows.matrix, ctypes.c_int64(self.classes)),
            *(ctypes.c_int64(count), address(order, np.int64), address(problem.y, np.float64)),
            None if problem.weights is None else address(problem.weights, np.float64),
            *(ctypes.c_int(problem.loss), ctypes.c_int(problem.saga), ctypes.c_int(problem.intercept)),
            *(ctypes.c_double(v) for v in (length, l2, l2_bias, problem.l1)),
            *(*doubles, address(self.seen, np.uint8), address(self.drawn, np.int64)),
            *([None, None] if self.dense else [address(a, np.float64) for a in self.room]),
            None if self.dense else address(self.done, np.int64),
        )
        for whole, part, last in ((W, w, bias), (self.sum, sums, bias_sum)):
            whole[:-1], whole[-1] = part.T if self.dense else part, last
        return bool(finite)


def stochastic_average(
    comm: Communicator, problem: Problem, start: np.ndarray, *, tol: float, max_iter: int, seed: int
) -> Minimum:
    """The minimum of a problem.

    Args:
        start: [columns, classes], and a row of intercepts if there are; 1 class but for the multinomial loss.
        tol: of the largest change of a weight or intercept in an iteration, divided by the largest of them.
        max_iter: iterations.
        seed: of the rows that are drawn.
    Returns:
        W like `start`, in one row.
    Raises:
        ValueError: weights became infinite.
    """
    W = np.zeros((problem.X.shape[1] + 1, start.shape[1]))
    W[: len(start)] = start
    epochs = _Epochs(problem, W.shape[1], (seed, comm.rank))
    rows, bend = comm.allreduce(problem.X.shape[0]), problem.bend(comm)
    with progress("SAGA" if problem.saga else "SAG", total=max_iter) as step:
        if comm.size > 1:
            W, steps, converged = _over_ranks(comm, problem, epochs, W, rows, bend, tol, max_iter, step)
        else:
            W, steps, converged = _alone(comm, problem, epochs, W, rows, bend, tol, max_iter, step)
    return Minimum(W[: len(start)].ravel(), steps, converged)


def _alone(
    comm: Communicator,
    problem: Problem,
    epochs: _Epochs,
    W: np.ndarray,
    rows: int,
    bend: float,
    tol: float,
    max_iter: int,
    step: Any,
) -> tuple[np.ndarray, int, bool]:
    length = problem.step_length(bend, problem.l2, rows)
    if W.any():  # a warm start: with the derivatives there in the table, who begins at the minimum stays at it
        epochs.know(problem.derivatives(product(problem.X, W[:-1]) + W[-1]))
        epochs.sum[:] = _gradient(comm, problem, epochs.table)
    for number in range(1, max_iter + 1):
        before = W.copy()
        if not epochs.run(W, length, problem.l2, 0.0):
            raise _infinite(number)
        if _is_settled(W, W - before, tol):
            return W, number, True
        step(number)
    return W, max_iter, False


def _over_ranks(
    comm: Communicator,
    problem: Problem,
    epochs: _Epochs,
    W: np.ndarray,
    rows: int,
    bend: float,
    tol: float,
    max_iter: int,
    step: Any,
) -> tuple[np.ndarray, int, bool]:
    X, count = problem.X, problem.X.shape[0]
    margins, held, done = product(X, W[:-1]) + W[-1], 0.0, False
    for number in range(1, max_iter + 1):
        epochs.know(problem.derivatives(margins))
        gradient = _gradient(comm, problem, epochs.table) / rows
        # SAGA's sum is what the local steps add to: with that of all rows in its place, and the pull towards W in
        # its linear part, its steps lead to the minimum of the corrected losses.
        epochs.sum[:] = count * (gradient - held * W)
        moved = W.copy()
        length = problem.step_length(bend, problem.l2 + held, count)
        finite = epochs.run(moved, length, problem.l2 + held, held)
        moved = (moved - W) * (count / rows) if finite else np.full_like(W, np.nan)
        moved = comm.allreduce(moved)
        if not np.isfinite(moved).all():
            raise _infinite(number)
        along = product(X, moved[:-1]) + moved[-1]
        far = _line_search(comm, problem, W, moved, gradient, margins, along, rows)
        done = _is_settled(W + moved, moved, tol)
        if far < 0.5:
            held = max(4 * held, 1e-3 * bend)
        elif far >= 0.9:
            held = 0.5 * held if held > 1e-6 * bend else 0.0
        W, margins = W + far * moved, margins + far * along
        if done:
            break
        step(number)
    if problem.l1 > 0 and bend > 0:  # a mean of several has few zeros; one step along the whole gradient sets them
        gradient = _gradient(comm, problem, problem.derivatives(margins)) / rows
        gradient[:-1] += problem.l2 * W[:-1]
        W = W - gradient / (bend + problem.l2)
        pull = problem.l1 / (bend + problem.l2)
        W[:-1] = np.sign(W[:-1]) * np.maximum(np.abs(W[:-1]) - pull, 0)
    return W, number if max_iter else 0, done


def _gradient(comm: Communicator, problem: Problem, derivatives: np.ndarray) -> np.ndarray:
    """The sum of the gradients of all rows' losses, [columns + 1, classes]."""
    bias = derivatives.sum(0) * problem.intercept
    return comm.allreduce(np.vstack([transposed_product(problem.X, derivatives), bias]))


def _line_search(
    comm: Communicator,
    problem: Problem,
    W: np.ndarray,
    moved: np.ndarray,
    gradient: np.ndarray,
    margins: np.ndarray,
    along: np.ndarray,
    rows: int,
) -> float:
    """How far to go along `moved` until the objective is about lowest there: where its derivative, which only grows, is
    about 0. It is 0 if the objective rises at once."""
    w, d = W[:-1], moved[:-1]

    def slope(far: float, losses: float) -> float:
        at = w + far * d
        made = losses + problem.l2 * float(np.sum(at * d))
        if problem.l1 > 0:
            made += problem.l1 * float(np.sum(np.where(at != 0, np.sign(at) * d, np.abs(d))))
        return made

    first = slope(0.0, float(np.sum(gradient * moved)))
    if not first < 0:
        return 0.0
    low, low_slope, high, high_slope, far = 0.0, first, None, 0.0, 1.0
    for _ in range(20):
        local = float(np.sum(problem.derivatives(margins + far * along) * along))
        here = slope(far, comm.allreduce(local) / rows)
        if abs(here) <= -FLAT * first or (here < 0 and far >= FARTHEST):
            return far
        if here < 0:
            low, low_slope = far, here
        else:
            high, high_slope = far, here
        if high is None:
            far *= 2
        else:  # where a line through the ends is 0, kept away from both
            far = low + (high - low) * min(max(-low_slope / (high_slope - low_slope), 0.1), 0.9)
    return low


def _is_settled(W: np.ndarray, change: np.ndarray, tol: float) -> bool:
    return float(np.abs(change).max(initial=0)) <= tol * float(np.abs(W).max(initial=0))


def _infinite(number: int) -> ValueError:
    return ValueError(
        f"Floating-point under-/overflow occurred at epoch #{number}. Scaling input data with StandardScaler or "
        "MinMaxScaler might help."
    )
