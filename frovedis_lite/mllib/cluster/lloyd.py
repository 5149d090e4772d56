"""Lloyd's iterations ("Least squares quantization in PCM", 1982), over the rows of all ranks."""

from typing import Any

import numpy as np

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.progress import progress
from frovedis_lite.mllib.cluster.rows import Rows
from frovedis_lite.mllib.cluster.seeding import Start, drawn
from frovedis_lite.mllib.samples import merged


def fit(
    comm: Communicator,
    X: Any,
    weights: np.ndarray | None,
    starts: list[np.ndarray | Start],
    max_iter: int,
    tol: float,
    verbose: bool,
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """k-means from several starts, and the best of what they lead to.

    Args:
        starts: each [centroids, columns], or what is to be drawn.
        tol: iterations end when the squares of the centroids' moves add up to no more than `tol` times the mean
            variance of a column.
    Returns:
        labels [rows of this rank] int32, centroids [centroids, columns], the sum of weighted squared distances, and
        how many iterations.
    """
    rows = Rows(X, weights, _mean(comm, X, weights))
    tol = tol and tol * _variance(comm, rows)
    best = None
    for start in comm.bcast(starts):
        made = _one(comm, rows, start, max_iter, tol, verbose)
        # Rounding makes no other clusters better.
        if best is None or (made[2] < best[2] and not _same(comm, made[0], best[0], len(made[1]))):
            best = made
    return best


def _one(
    comm: Communicator, rows: Rows, start: np.ndarray | Start, max_iter: int, tol: float, verbose: bool
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """The same from one start."""
    centers = drawn(comm, rows, start) if isinstance(start, Start) else start - rows.shift
    labels = np.full(rows.rows, -1, np.int32)
    settled = False
    with progress("k-means", total=max_iter) as step:
        for number in range(1, max_iter + 1):
            sums, changed = rows.assign(centers, labels, sums=True)
            sums = comm.allreduce(sums)
            moved = new_centers(comm, rows, centers, labels, sums)
            if verbose and comm.rank == 0:
                print(f"Iteration {number - 1}, centers moved by {np.linalg.norm(moved - centers):.6g}.")
            shift = float(np.square(moved - centers).sum())
            centers = moved
            settled = comm.allreduce(changed) == 0
            step(number)
            if settled or shift <= tol:
                break
    if not settled:
        rows.assign(centers, labels, sums=False)
    inertia = comm.allreduce(rows.weighted(rows.own(centers, labels)))
    return labels, centers + rows.shift, inertia, number


def _same(comm: Communicator, labels: np.ndarray, others: np.ndarray, count: int) -> bool:
    """Whether two sets of labels are of the same clusters, whatever their numbers."""
    to, none = np.full(count, -1), count
    to[labels] = others
    least, most = comm.allreduce(np.where(to < 0, none, to), "min"), comm.allreduce(to, "max")
    differ = (to[labels] != others).any() or ((least != most) & (most >= 0)).any()
    return comm.allreduce(int(differ)) == 0


def new_centers(
    comm: Communicator, rows: Rows, centers: np.ndarray, labels: np.ndarray, sums: np.ndarray
) -> np.ndarray:
    """The means of clusters; an empty one takes the sample that is farthest from its centroid: all rows equal to it (in
    scikit-learn, one of them)."""
    weight = sums[:, -1]
    empty = np.flatnonzero(weight == 0)
    if len(empty):
        _fill(comm, rows, centers, labels, sums, empty)
    alone = weight > 0
    made = sums[:, :-1] / np.where(alone, weight, 1)[:, None]
    made[~alone] = made[np.argmax(weight)]
    return made.astype(centers.dtype)


def _fill(
    comm: Communicator, rows: Rows, centers: np.ndarray, labels: np.ndarray, sums: np.ndarray, empty: np.ndarray
) -> None:
    """Move samples to empty clusters, in `sums`."""
    own, mass = merged(rows.keys, rows.weights)
    distances, keys = rows.own(centers, labels)[own], rows.keys[own]
    # Distances from rounding are none: then there are fewer different rows than clusters.
    scale = np.square(rows.shift.astype(np.float64)).sum() + np.square(centers, dtype=np.float64).sum(axis=1)
    some = np.flatnonzero(distances > (8 * np.finfo(rows.dtype).eps) ** 2 * scale[labels[own]])
    some = some[np.lexsort((keys[some], -distances[some]))][: len(empty)]
    parts = comm.allgather([(-distances[i], keys[i], rows.row(own[i]), labels[own[i]]) for i in some])
    found = {one[1]: one for one in sorted((one for part in parts for one in part), key=lambda one: one[:2])}
    chosen = np.array(list(found)[: len(empty)], np.uint64)
    at = np.searchsorted(keys, chosen)
    here = np.append(keys, np.uint64(0))[at] == chosen
    masses = np.zeros(len(chosen))
    masses[here] = mass[at[here]]
    for cluster, key, one in zip(empty, chosen, comm.allreduce(masses), strict=False):
        _, _, row, label = found[key]
        left = sums[label, -1] - one
        sums[cluster] = np.append(row, 1.0) * one
        if left > 1e-9 * one:
            sums[label] -= sums[cluster]
        else:  # the whole cluster, but for rounding
            sums[label] = 0


def _mean(comm: Communicator, X: Any, weights: np.ndarray | None) -> np.ndarray | None:
    """The weighted mean of dense rows, [columns]; sparse ones are not shifted."""
    rows = Rows(X)
    if rows.sparse:
        return None
    first = comm.bcast(rows.row(0) if rows.rows else np.zeros(rows.columns, rows.dtype))
    rows = Rows(X, weights, first)
    labels = np.zeros(rows.rows, np.int32)
    sums = comm.allreduce(rows.assign(np.zeros((1, rows.columns), rows.dtype), labels, sums=True)[0])
    return (first + sums[0, :-1] / sums[0, -1]).astype(rows.dtype)


def _variance(comm: Communicator, rows: Rows) -> float:
    """The mean weighted variance of a column."""
    mean = np.zeros((1, rows.columns), rows.dtype)
    total = comm.allreduce(float(rows.rows if rows.weights is None else rows.weights.sum(dtype=np.float64)))
    if rows.sparse:
        sums = rows.X.sum(axis=0) if rows.weights is None else rows.X.T @ rows.weights
        sums = comm.allreduce(np.asarray(sums, dtype=np.float64).reshape(1, -1))
        mean = (sums / total).astype(rows.dtype)
    return float(comm.allreduce(rows.closest(mean, None)[1])[0]) / (total * rows.columns)


def mean_variance(comm: Communicator, X: Any, weights: np.ndarray | None) -> float:
    """The mean over the columns of their weighted variances."""
    return _variance(comm, Rows(X, weights, _mean(comm, X, weights)))


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
