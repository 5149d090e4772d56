"""Where centroids begin: drawn by the contents and weights of rows (see samples.py), whatever their order."""

from typing import NamedTuple

import numpy as np

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.cluster.rows import Rows
from frovedis_lite.mllib.samples import Lottery


class Start(NamedTuple):
    """What is to be drawn.

    Attributes:
        init: "k-means++" or "random".
        count: centroids.
        seed: of the draws.
    """

    init: str
    count: int
    seed: int


def drawn(comm: Communicator, rows: Rows, start: Start) -> np.ndarray:
    """Centroids [count, columns], less shift."""
    random = np.random.RandomState(start.seed)
    if start.init == "random":  # different ones, as long as there are any
        numbers = Lottery(comm, rows.keys).different(rows.weights, start.count, random)
        return rows_at(comm, rows, numbers)
    return plus_plus(comm, rows, start.count, random)


def rows_at(comm: Communicator, rows: Rows, numbers: np.ndarray) -> np.ndarray:
    """Rows by their numbers among those of all ranks, less shift: [numbers, columns]."""
    first = comm.exscan(rows.rows)
    made = np.zeros((len(numbers), rows.columns), rows.dtype)
    for i, number in enumerate(numbers):
        if 0 <= number - first < rows.rows:
            made[i] = rows.row(int(number - first))
    return comm.allreduce(made)


def plus_plus(comm: Communicator, rows: Rows, count: int, random: np.random.RandomState) -> np.ndarray:
    """k-means++ (Arthur and Vassilvitskii 2007), greedy: of several rows drawn by the squares of their distances, the
    one that lowers the sum of these most is the next centroid.

    Returns:
        [count, columns], less shift.
    """
    lottery, trials = Lottery(comm, rows.keys), 2 + int(np.log(count))
    numbers, _ = lottery.draw(rows.weights, random.uniform(size=1))
    centers = [rows_at(comm, rows, numbers)[0]]
    nearest = rows.closest(centers[0][None], None)[0][0]
    for _ in range(count - 1):
        values = random.uniform(size=trials)
        found = lottery.draw(nearest if rows.weights is None else nearest * rows.weights, values)
        # Without any distance there are fewer different rows than centroids.
        numbers, _ = found or lottery.draw(rows.weights, values)
        candidates = rows_at(comm, rows, numbers)
        distances, potential = rows.closest(candidates, nearest)
        best = int(np.argmin(comm.allreduce(potential)))
        centers.append(candidates[best])
        nearest = np.ascontiguousarray(distances[best])
    return np.array(centers)
