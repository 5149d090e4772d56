"""Lloyd's iterations ("Least squares quantization in PCM", 1982), over the rows of all ranks."""

from typing import Any

import numpy as np

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.cluster.rows import Rows
from frovedis_lite.mllib.cluster.seeding import plus_plus, rows_at


def fit(
    comm: Communicator,
    X: Any,
    weights: np.ndarray | None,
    start: np.ndarray | tuple,
    max_iter: int,
    tol: float,
    verbose: bool,
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """k-means from one start.

    Args:
        start: [centroids, columns]; or numbers of the first rows, [centroids]; or (number of the first, draws of
            `plus_plus`).
        tol: iterations end when the squares of the centroids' moves add up to no more than `tol` times the mean
            variance of a column.
    Returns:
        labels [rows of this rank] int32, centroids [centroids, columns], the sum of weighted squared distances, and
        how many iterations.
    """
    start = comm.bcast(start)
    rows = Rows(X, weights, _mean(comm, X))
    tol = tol and tol * _variance(comm, rows)
    if isinstance(start, tuple):
        centers = plus_plus(comm, rows, *start)
    elif start.ndim == 1:
        centers = rows_at(comm, rows, start)
    else:
        centers = start - rows.shift
    labels = np.full(rows.rows, -1, np.int32)
    settled = False
    for number in range(1, max_iter + 1):
        sums, changed = rows.assign(centers, labels, sums=True)
        sums = comm.allreduce(sums)
        moved = new_centers(comm, rows, centers, labels, sums)
        if verbose and comm.rank == 0:
            print(f"Iteration {number - 1}, centers moved by {np.linalg.norm(moved - centers):.6g}.")
        shift = float(np.square(moved - centers).sum())
        centers = moved
        settled = comm.allreduce(changed) == 0
        if settled or shift <= tol:
            break
    if not settled:
        rows.assign(centers, labels, sums=False)
    inertia = comm.allreduce(rows.weighted(rows.own(centers, labels)))
    return labels, centers + rows.shift, inertia, number


def new_centers(
    comm: Communicator, rows: Rows, centers: np.ndarray, labels: np.ndarray, sums: np.ndarray
) -> np.ndarray:
    """The means of clusters; an empty one takes the row that is farthest from its centroid, as in scikit-learn."""
    weight = sums[:, -1]
    empty = np.flatnonzero(weight == 0)
    if len(empty):
        first = comm.exscan(rows.rows)
        distances = rows.own(centers, labels)
        order = np.argsort(-distances, kind="stable")[: len(empty)]
        weights = np.ones(rows.rows) if rows.weights is None else rows.weights
        mine = [(-distances[i], first + i, rows.row(i), weights[i], labels[i]) for i in order]
        found = sorted((one for part in comm.allgather(mine) for one in part), key=lambda one: one[:2])
        if found and found[0][0] < 0:  # else there are fewer different rows than clusters
            for cluster, (_, _, row, w, label) in zip(empty, found, strict=False):
                taken = np.append(row, 1.0) * w
                sums[label] -= taken
                sums[cluster] = taken
    alone = weight > 0
    made = sums[:, :-1] / np.where(alone, weight, 1)[:, None]
    made[~alone] = made[np.argmax(weight)]
    return made.astype(centers.dtype)


def _mean(comm: Communicator, X: Any) -> np.ndarray | None:
    """The mean of dense rows, [columns]; sparse ones are not shifted."""
    rows = Rows(X)
    if rows.sparse:
        return None
    first = comm.bcast(rows.row(0) if rows.rows else np.zeros(rows.columns, rows.dtype))
    rows = Rows(X, None, first)
    labels = np.zeros(rows.rows, np.int32)
    sums = comm.allreduce(rows.assign(np.zeros((1, rows.columns), rows.dtype), labels, sums=True)[0])
    return (first + sums[0, :-1] / sums[0, -1]).astype(rows.dtype)


def _variance(comm: Communicator, rows: Rows) -> float:
    """The mean variance of a column."""
    mean = np.zeros((1, rows.columns), rows.dtype)
    count = comm.allreduce(rows.rows)
    if rows.sparse:
        mean = (comm.allreduce(np.asarray(rows.X.sum(axis=0), dtype=np.float64).reshape(1, -1)) / count).astype(
            rows.dtype
        )
    everything = Rows(rows.X, None, rows.shift)
    return float(comm.allreduce(everything.closest(mean, None)[1])[0]) / (count * rows.columns)


def mean_variance(comm: Communicator, X: Any) -> float:
    """The mean over the columns of their variances."""
    return _variance(comm, Rows(X, None, _mean(comm, X)))


def nearest(comm: Communicator, X: Any, centers: np.ndarray) -> np.ndarray:
    """The label of every row, [rows of this rank] int32."""
    rows, middle = _about(X, centers)
    labels = np.zeros(rows.rows, np.int32)
    rows.assign(middle, labels, sums=False)
    return labels


def inertia(comm: Communicator, X: Any, weights: np.ndarray | None, centers: np.ndarray) -> float:
    """The sum over all ranks of weighted squared distances to the nearest centroid."""
    rows, middle = _about(X, centers)
    rows = Rows(X, weights, rows.shift)
    labels = np.zeros(rows.rows, np.int32)
    rows.assign(middle, labels, sums=False)
    return comm.allreduce(rows.weighted(rows.own(middle, labels)))


def distances(comm: Communicator, X: Any, centers: np.ndarray) -> np.ndarray:
    """[rows of this rank, centroids], of the dtype of X."""
    rows, middle = _about(X, centers)
    return np.ascontiguousarray(np.sqrt(rows.closest(middle, None)[0]).T.astype(X.dtype))


def _about(X: Any, centers: np.ndarray) -> tuple[Rows, np.ndarray]:
    """Rows about the middle of centroids, and these."""
    rows = Rows(X)
    if rows.sparse:
        return rows, centers.astype(X.dtype)
    middle = centers.mean(axis=0, dtype=np.float64).astype(X.dtype)
    return Rows(X, None, middle), (centers - middle).astype(X.dtype)
