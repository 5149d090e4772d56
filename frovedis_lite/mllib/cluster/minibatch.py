"""MiniBatchKMeans: k-means by steps on a few rows each (Sculley, "Web-scale k-means clustering", 2010)."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.random import sample_without_replacement

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.progress import progress
from frovedis_lite.mllib.base import of_rows
from frovedis_lite.mllib.cluster import lloyd
from frovedis_lite.mllib.cluster.kmeans import CentroidEstimator
from frovedis_lite.mllib.cluster.rows import Rows
from frovedis_lite.mllib.cluster.seeding import Start, drawn
from frovedis_lite.mllib.samples import keys_of, visits


class MiniBatchKMeans(CentroidEstimator):
    """As `sklearn.cluster.MiniBatchKMeans`.

    A row of weight w is visited ceil(w) times as often as one of weight 1, each time with the weight w / ceil(w). So it
    is the same as w equal rows, and "rows" below are visits. They are drawn by what is in them (see samples.py), so
    neither the order of rows nor the number of ranks matters.

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
        """Cluster X [rows, columns] with weights [rows], which are not negative.

        Raises:
            ValueError: there are fewer rows than clusters, the initial centroids have another shape, or weights add up
                to more than 2^31.
        """
        self._validate_params()
        X, table = self._rows(X, sample_weight, reset=True)
        sizes = Sizes(self.batch_size, self.init_size, self.n_clusters, self.reassignment_ratio)
        stop = Stop(self.max_iter, self.tol, self.max_no_improvement, bool(self.verbose))
        made = table.session.run(fit_batches, table.X, table.weights, *self._begin(X), sizes, stop)
        self.cluster_centers_, self.counts_, self.n_steps_, self.n_iter_ = made
        self._label(table)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """One step with X [rows, columns] as its batch."""
        self._validate_params()
        first = not hasattr(self, "cluster_centers_")
        X, table = self._rows(X, sample_weight, reset=first)
        if first:
            self.n_steps_ = 0
            sizes = Sizes(self.batch_size, self.init_size, self.n_clusters, self.reassignment_ratio)
            made = table.session.run(begin, table.X, table.weights, *self._begin(X), sizes)
            self.cluster_centers_, self.counts_ = made, np.zeros(self.n_clusters)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1)) + self.n_steps_
        state = self.cluster_centers_, self.counts_
        self.cluster_centers_, self.counts_ = table.session.run(
            one_step, table.X, table.weights, *state, self.reassignment_ratio, seed
        )
        self.n_steps_ += 1
        self._label(table)
        return self

    def _begin(self, X: Any) -> tuple:
        """Starts, and a seed for what else is drawn."""
        starts = self._starts(X, otherwise=3)
        return starts, int(check_random_state(self.random_state).randint(2**31 - 1))

    def _label(self, table: Any) -> None:
        if not self.compute_labels:
            return
        self.labels_ = of_rows(table, lloyd.nearest, self.cluster_centers_)
        self.inertia_ = table.session.run(lloyd.inertia, table.X, table.weights, self.cluster_centers_)


@dataclass
class Sizes:
    """Visits of a batch, and of the start or None; centroids; and the ratio below which these begin anew."""

    batch: int
    start: int | None
    clusters: int
    ratio: float

    def of(self, total: int) -> tuple[int, int]:
        """Sizes of a batch and of the start, where there are so many visits."""
        batch = min(self.batch, total)
        start = self.start or max(3 * batch, 3 * self.clusters)
        return batch, min(total, max(start, self.clusters))


@dataclass
class Stop:
    """When steps end."""

    max_iter: int
    tol: float
    patience: int | None
    verbose: bool


class Batches:
    """Draws visits to the rows of all ranks, by their numbers."""

    def __init__(self, comm: Communicator, X: Any, weights: np.ndarray | None) -> None:
        self.comm, self.X = comm, X
        self.visits = visits(comm, keys_of(X), weights)
        self.total = self.visits.total

    def rows(self, numbers: np.ndarray) -> tuple[Any, np.ndarray]:
        """Which of these visits' rows this rank has, and their weights."""
        _, rows, weights = self.visits.at(numbers)
        return self.X[rows], weights.astype(self.X.dtype)

    def all_of(self, numbers: np.ndarray) -> np.ndarray:
        """The rows of a few visits, [numbers, columns], on every rank."""
        made = np.zeros((len(numbers), self.X.shape[1]), self.X.dtype)
        here, rows, _ = self.visits.at(numbers)
        if len(rows):
            made[here] = self.X[rows].toarray() if sparse.issparse(self.X) else self.X[rows]
        return self.comm.allreduce(made)


def begin(comm: Communicator, X: Any, weights: np.ndarray | None, starts: list, seed: int, sizes: Sizes) -> np.ndarray:
    """The best of several starts on some of the rows: [centroids, columns].

    Args:
        starts: arrays [centroids, columns], or what is to be drawn.
    """
    return _begin(comm, Batches(comm, X, weights), *comm.bcast((starts, seed)), sizes)


def _begin(comm: Communicator, batches: Batches, starts: list, seed: int, sizes: Sizes) -> np.ndarray:
    random = np.random.RandomState(seed)
    dtype, best = batches.X.dtype, None
    for start in starts:
        if isinstance(start, np.ndarray) and len(starts) == 1:
            return start.astype(dtype)
        numbers = np.sort(sample_without_replacement(batches.total, sizes.of(batches.total)[1], random_state=random))
        rows = Rows(*batches.rows(numbers))
        centers = drawn(comm, rows, start) if isinstance(start, Start) else start.astype(dtype)
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
    centers, counts, _ = _step(comm, Rows(X, weights), centers, counts)
    if (counts == 0).any():
        batches = Batches(comm, X, weights)
        weak = _weak(counts, ratio, batches.total)
        _anew(batches, centers, counts, weak, sample_without_replacement(batches.total, len(weak), random_state=random))
    return centers, counts


def _step(
    comm: Communicator, rows: Rows, centers: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Each centroid becomes the mean of all rows it has seen; also the batch's inertia."""
    X, weights, labels = rows.X, rows.weights, np.zeros(rows.rows, np.int32)
    if not rows.sparse:
        middle = centers.mean(axis=0, dtype=np.float64).astype(X.dtype)
        rows = Rows(X, weights, middle)
    about = (centers - rows.shift).astype(X.dtype)
    sums = rows.assign(about, labels, sums=True)[0]
    inertia = rows.weighted(rows.own(about, labels))
    made = comm.allreduce(np.append(sums.ravel(), inertia))
    sums, inertia = made[:-1].reshape(sums.shape), made[-1]
    sums[:, :-1] += sums[:, -1:] * rows.shift
    weight = counts + sums[:, -1]
    some = np.where(weight > 0, weight, 1)[:, None]
    centers = np.where(weight[:, None] > 0, (centers * counts[:, None] + sums[:, :-1]) / some, centers).astype(X.dtype)
    return centers, weight, inertia


def _weak(weight: np.ndarray, ratio: float, number: int) -> np.ndarray:
    """Centroids that begin anew after a batch of so many visits."""
    weak = np.flatnonzero(weight < ratio * weight.max())
    return weak[np.argsort(weight[weak], kind="stable")][: number // 2]


def _anew(batches: Batches, centers: np.ndarray, weight: np.ndarray, weak: np.ndarray, numbers: np.ndarray) -> None:
    """Put the weak centroids at the rows of these visits."""
    if len(weak):
        centers[weak] = batches.all_of(numbers)
        weight[weak] = np.delete(weight, weak).min()


def fit_batches(
    comm: Communicator, X: Any, weights: np.ndarray | None, starts: list, seed: int, sizes: Sizes, stop: Stop
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Centroids, their weights, how many steps, and in units of all rows."""
    starts, seed = comm.bcast((starts, seed))
    batches = Batches(comm, X, weights)
    centers = _begin(comm, batches, starts, seed, sizes)
    random = np.random.RandomState((seed + 1) % (1 << 32))
    counts, since = np.zeros(len(centers)), 0
    total, (size, _) = batches.total, sizes.of(batches.total)
    steps = max(1, stop.max_iter * total // size)
    tol = stop.tol and stop.tol * lloyd.mean_variance(comm, X, weights)
    smooth = best = moves = None
    waited = 0
    with progress("mini-batches", total=steps) as show:
        for step in range(1, steps + 1):
            numbers = np.sort(random.randint(0, total, size))
            since += size
            anew = bool((counts == 0).any()) or since >= 10 * len(centers)
            before = centers
            centers, counts, inertia = _step(comm, Rows(*batches.rows(numbers)), centers, counts)
            inertia /= size
            if anew:
                since, weak = 0, _weak(counts, sizes.ratio, size)
                _anew(batches, centers, counts, weak, numbers[random.choice(size, len(weak), replace=False)])
            show(step)
            if stop.verbose and comm.rank == 0:
                print(f"Minibatch step {step}/{steps}: mean batch inertia: {inertia}")
            if step == 1:  # the inertia of the start says nothing
                continue
            share = min(1.0, 2.0 * size / (total + 1))
            smooth = inertia if smooth is None else smooth * (1 - share) + inertia * share
            move = float(np.square(centers - before).sum())
            moves = move if moves is None else moves * (1 - share) + move * share
            if tol and moves <= tol:
                break
            waited = 0 if best is None or smooth < best else waited + 1
            best = smooth if best is None else min(best, smooth)
            if stop.patience is not None and waited >= stop.patience:
                break
    return centers, counts, step, -(-step * size // total)
