"""MiniBatchKMeans: k-means by steps on a few rows each (Sculley, "Web-scale k-means clustering", 2010)."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.base import of_rows
from frovedis_lite.mllib.cluster import lloyd
from frovedis_lite.mllib.cluster.kmeans import CentroidEstimator
from frovedis_lite.mllib.cluster.rows import Rows
from frovedis_lite.mllib.cluster.seeding import plus_plus, rows_at


class MiniBatchKMeans(CentroidEstimator):
    """As `sklearn.cluster.MiniBatchKMeans`. Rows are drawn by their numbers among those of all ranks.

    Args:
        n_clusters, init, random_state, verbose: as of `KMeans`.
        max_iter: how often all rows are gone through, in the mean.
        batch_size: rows of a step, on all ranks together.
        compute_labels: whether `fit` sets labels_ and inertia_ at its end.
        tol: steps end when the smoothed centroids move less than this, relative to the mean variance; 0: never.
        max_no_improvement: steps without a lower smoothed inertia until they end; None: never.
        init_size: rows that the start is sought in; None: three batches, and three rows per cluster at least.
        n_init: how many starts, of which the best is taken; "auto": 1, or 3 if they are "random" or a function's.
        reassignment_ratio: centroids with less than this part of the largest's weight begin anew at a row.

    Attributes:
        cluster_centers_: [clusters, columns]; counts_: [clusters] float64, the weight of rows seen by each.
        labels_, inertia_: see `KMeans`; n_iter_, n_steps_: batches in units of all rows, and batches.
    """

    _parameter_constraints = CentroidEstimator._parameter_constraints | {
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "compute_labels": ["boolean"],
        "max_no_improvement": [Interval(Integral, 0, None, closed="left"), None],
        "init_size": [Interval(Integral, 1, None, closed="left"), None],
        "reassignment_ratio": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        verbose: int = 0,
        compute_labels: bool = True,
        random_state: Any = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: int | str = "auto",
        reassignment_ratio: float = 0.01,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.verbose = verbose
        self.compute_labels = compute_labels
        self.random_state = random_state
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.init_size = init_size
        self.n_init = n_init
        self.reassignment_ratio = reassignment_ratio

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Cluster X [rows, columns] with weights [rows].

        Raises:
            ValueError: there are fewer rows than clusters, or the initial centroids have another shape.
        """
        self._validate_params()
        X, table = self._rows(X, sample_weight, reset=True)
        arguments = self._begin(X, table)
        steps = max(1, self.max_iter * table.rows // min(self.batch_size, table.rows))
        stop = Stop(self.tol, self.max_no_improvement, bool(self.verbose))
        made = table.session.run(fit_batches, table.X, table.weights, *arguments, steps, stop)
        self.cluster_centers_, self.counts_, self.n_steps_ = made
        self.n_iter_ = int(np.ceil(self.n_steps_ * min(self.batch_size, table.rows) / table.rows))
        self._label(table)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """One step with X [rows, columns] as its batch."""
        self._validate_params()
        first = not hasattr(self, "cluster_centers_")
        X, table = self._rows(X, sample_weight, reset=first)
        if first:
            self.n_steps_ = 0
            starts, seed, batch = self._begin(X, table)
            made = table.session.run(begin, table.X, table.weights, starts, seed, batch)
            self.cluster_centers_, self.counts_ = made, np.zeros(self.n_clusters)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1)) + self.n_steps_
        state = self.cluster_centers_, self.counts_
        self.cluster_centers_, self.counts_ = table.session.run(
            one_step, table.X, table.weights, *state, self.reassignment_ratio, seed
        )
        self.n_steps_ += 1
        self._label(table)
        return self

    def _begin(self, X: Any, table: Any) -> tuple:
        """Starts, a seed for what is drawn on the ranks, and sizes."""
        rows = table.rows
        batch = min(self.batch_size, rows)
        size = self.init_size or max(3 * batch, 3 * self.n_clusters)
        size = min(rows, max(size, self.n_clusters))
        random = check_random_state(self.random_state)
        starts = self._starts(X, None, otherwise=3)
        if isinstance(self.init, str):  # numbers among `size` rows, which the ranks draw
            draws = [start[1] if isinstance(start, tuple) else None for start in starts]
            starts = [(self.n_clusters, draw) for draw in draws]
        seed = int(random.randint(2**31 - 1))
        return starts, seed, Sizes(batch, size, self.reassignment_ratio)

    def _label(self, table: Any) -> None:
        if not self.compute_labels:
            return
        self.labels_ = of_rows(table, lloyd.nearest, self.cluster_centers_)
        self.inertia_ = table.session.run(lloyd.inertia, table.X, table.weights, self.cluster_centers_)


@dataclass
class Sizes:
    """Rows of a batch and of the start, and the ratio below which centroids begin anew."""

    batch: int
    start: int
    ratio: float


@dataclass
class Stop:
    """When steps end."""

    tol: float
    patience: int | None
    verbose: bool


def begin(comm: Communicator, X: Any, weights: np.ndarray | None, starts: list, seed: int, sizes: Sizes) -> np.ndarray:
    """The best of several starts on some of the rows: [centroids, columns].

    Args:
        starts: arrays [centroids, columns], or (how many, draws for `plus_plus` or None for random rows).
    """
    starts, seed = comm.bcast((starts, seed))
    random = np.random.RandomState(seed)
    total, first = comm.allreduce(X.shape[0]), comm.exscan(X.shape[0])
    best = None
    for start in starts:
        numbers = np.sort(random.choice(total, size=sizes.start, replace=False))
        mine = numbers[(numbers >= first) & (numbers < first + X.shape[0])] - first
        rows = Rows(X[mine], None if weights is None else weights[mine], None)
        if isinstance(start, np.ndarray):
            centers = start.astype(X.dtype)
        elif start[1] is None:
            centers = rows_at(comm, rows, random.choice(sizes.start, size=start[0], replace=False))
        else:
            centers = plus_plus(comm, rows, int(random.randint(sizes.start)), start[1])
        if len(starts) == 1:
            return centers
        inertia = lloyd.inertia(comm, rows.X, rows.weights, centers)
        if best is None or inertia < best[0]:
            best = inertia, centers
    return best[1]


def one_step(
    comm: Communicator,
    X: Any,
    weights: np.ndarray | None,
    centers: np.ndarray,
    counts: np.ndarray,
    ratio: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Centroids and their weights after a step with all these rows."""
    random = np.random.RandomState(comm.bcast(seed))
    anew = bool((counts == 0).any())
    return _step(comm, X, weights, centers, counts, ratio if anew else 0.0, random)[:2]


def _step(
    comm: Communicator,
    X: Any,
    weights: np.ndarray | None,
    centers: np.ndarray,
    counts: np.ndarray,
    ratio: float,
    random: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Each centroid becomes the mean of all rows it has seen; also the batch's inertia."""
    rows = Rows(X, weights)
    labels = np.zeros(rows.rows, np.int32)
    if not rows.sparse:
        middle = centers.mean(axis=0, dtype=np.float64).astype(X.dtype)
        rows = Rows(X, weights, middle)
    about = (centers - rows.shift).astype(X.dtype)
    sums = rows.assign(about, labels, sums=True)[0]
    inertia = rows.weighted(rows.own(about, labels))
    made = comm.allreduce(np.append(sums.ravel(), [inertia, rows.rows]))
    sums, (inertia, number) = made[:-2].reshape(sums.shape), made[-2:]
    sums[:, :-1] += sums[:, -1:] * rows.shift
    weight = counts + sums[:, -1]
    some = np.where(weight > 0, weight, 1)[:, None]
    centers = np.where(weight[:, None] > 0, (centers * counts[:, None] + sums[:, :-1]) / some, centers).astype(X.dtype)
    weak = np.flatnonzero(weight < ratio * weight.max())
    weak = weak[np.argsort(weight[weak], kind="stable")][: int(number / 2)]
    if len(weak):
        chosen = random.choice(int(number), size=len(weak), replace=False)
        centers[weak] = rows_at(comm, rows, chosen) + rows.shift
        weight[weak] = np.delete(weight, weak).min()
    return centers, weight, inertia / number


def fit_batches(
    comm: Communicator,
    X: Any,
    weights: np.ndarray | None,
    starts: list,
    seed: int,
    sizes: Sizes,
    steps: int,
    stop: Stop,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Centroids, their weights, and how many steps."""
    seed = comm.bcast(seed)
    centers = begin(comm, X, weights, starts, seed, sizes)
    random = np.random.RandomState(seed + 1)
    counts, since = np.zeros(len(centers)), 0
    total, first = comm.allreduce(X.shape[0]), comm.exscan(X.shape[0])
    tol = stop.tol and stop.tol * lloyd.mean_variance(comm, X)
    smooth = best = moves = None
    waited = 0
    for step in range(1, steps + 1):
        numbers = np.sort(random.randint(0, total, sizes.batch))
        mine = numbers[(numbers >= first) & (numbers < first + X.shape[0])] - first
        since += sizes.batch
        anew = bool((counts == 0).any()) or since >= 10 * len(centers)
        since = 0 if anew else since
        batch = X[mine], None if weights is None else weights[mine]
        before = centers
        centers, counts, inertia = _step(comm, *batch, centers, counts, sizes.ratio if anew else 0.0, random)
        if stop.verbose and comm.rank == 0:
            print(f"Minibatch step {step}/{steps}: mean batch inertia: {inertia}")
        if step == 1:  # the inertia of the start says nothing
            continue
        share = min(1.0, 2.0 * sizes.batch / (total + 1))
        smooth = inertia if smooth is None else smooth * (1 - share) + inertia * share
        move = float(np.square(centers - before).sum())
        moves = move if moves is None else moves * (1 - share) + move * share
        if tol and moves <= tol:
            break
        waited = 0 if best is None or smooth < best else waited + 1
        best = smooth if best is None else min(best, smooth)
        if stop.patience is not None and waited >= stop.patience:
            break
    return centers, counts, step
