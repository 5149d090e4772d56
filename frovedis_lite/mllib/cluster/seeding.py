"""Where centroids begin."""

import numpy as np

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.cluster.rows import Rows


def rows_at(comm: Communicator, rows: Rows, numbers: np.ndarray) -> np.ndarray:
    """Rows by their numbers among those of all ranks, less shift: [numbers, columns]."""
    first = comm.exscan(rows.rows)
    made = np.zeros((len(numbers), rows.columns), rows.dtype)
    for i, number in enumerate(numbers):
        if 0 <= number - first < rows.rows:
            made[i] = rows.row(int(number - first))
    return comm.allreduce(made)


def plus_plus(comm: Communicator, rows: Rows, first: int, draws: np.ndarray) -> np.ndarray:
    """k-means++ (Arthur and Vassilvitskii 2007), greedy: of several rows drawn by the squares of their distances, the
    one that lowers the sum of these most is the next centroid.

    Args:
        first: number of the first row.
        draws: [centroids - 1, trials], from 0 to 1; they say which rows among those of all ranks.
    Returns:
        [centroids, columns], less shift.
    """
    centers = [rows_at(comm, rows, np.array([first]))[0]]
    nearest, potential = rows.closest(centers[0][None], None)
    nearest, total = nearest[0], comm.allreduce(potential)[0]
    for draw in draws:
        numbers = _drawn(comm, rows, nearest, draw * total)
        candidates = rows_at(comm, rows, numbers)
        distances, potential = rows.closest(candidates, nearest)
        potential = comm.allreduce(potential)
        best = int(np.argmin(potential))
        centers.append(candidates[best])
        nearest, total = np.ascontiguousarray(distances[best]), potential[best]
    return np.array(centers)


def _drawn(comm: Communicator, rows: Rows, nearest: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The rows, by number, at which the running sum of weighted distances reaches these values."""
    sums = np.cumsum(nearest if rows.weights is None else nearest * rows.weights)
    parts = comm.allgather((float(sums[-1]) if len(sums) else 0.0, rows.rows))
    ends = np.cumsum([part[0] for part in parts])
    starts = np.cumsum([0] + [part[1] for part in parts])
    made = np.full(len(values), -1)
    for i, value in enumerate(values):
        rank = int(min(np.searchsorted(ends, value), len(ends) - 1))
        if rank == comm.rank:
            at = np.searchsorted(sums, value - (ends[rank - 1] if rank else 0.0))
            made[i] = starts[rank] + at
    return np.minimum(comm.allreduce(made, "max"), starts[-1] - 1)
