"""Sample sort of a vector that no rank has whole.

Each rank sorts its part and picks as many samples from it as there are ranks, at regular distances. All samples,
sorted, give the splitters; the elements between two of them go to one rank, which merges what came. No rank gets more
than about twice its share (H. Shi, J. Schaeffer: Parallel sorting by regular sampling, J. Parallel Distrib. Comput. 14,
1992).
That holds for distinct keys, so equal ones are told apart by their rank and place, which also makes the sort stable.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from frovedis_lite.core.collective import aligned, everywhere, exchange, settled, together
from frovedis_lite.core.local import Local, joined, objects, picked
from frovedis_lite.engine.comm import Communicator


def sample_sorted(comm: Communicator, part: Local, key: Callable | None, reverse: bool) -> Local:
    """The vector's elements in order: each rank's not before those of the ranks before it."""
    part = aligned(comm, part)  # samples of equal weight
    keys = part
    if key is not None:
        keys = settled(comm, lambda: [key(value) for value in objects(part)])
    keys, values = together(comm, _sorted, keys, None if key is None else part, reverse, None)
    if comm.size == 1:
        return values
    samples = everywhere(comm, _samples(keys, comm.size))
    cuts = together(comm, _cuts, keys, samples, reverse, comm.rank)
    pieces = [(values[a:b], None if key is None else keys[a:b]) for a, b in pairwise(cuts)]
    came = exchange(comm, pieces)
    values = joined([piece[0] for piece in came])
    keys = values if key is None else joined([piece[1] for piece in came])
    return together(comm, _sorted, keys, None if key is None else values, reverse, "stable")[1]


def _sorted(keys: Local, values: Local | None, reverse: bool, kind: Any) -> tuple[Local, Local]:
    """Keys and values in the order of the keys.

    Args:
        values: None: the keys.
        kind: NumPy's of a sort of numbers: "stable" merges what is in sorted runs, None is faster for others.
    """
    if values is None and isinstance(keys, np.ndarray) and keys.dtype.kind in "biuf":
        made = np.sort(keys, kind=kind)  # several times as fast as finding places
        made = made[::-1].copy() if reverse else made
        if keys.dtype.kind == "f":
            made[made == 0] = keys[keys == 0]  # 0 and -0 are equal, and stay as they are
        return made, made
    order = _order(keys, reverse)
    keys = picked(keys, order)
    return keys, keys if values is None else picked(values, order)


def _order(keys: Local, reverse: bool) -> Any:
    """The places of the elements in order. Equal ones stay as they are, also in reverse order; NaN is the largest."""
    if isinstance(keys, list):
        return sorted(range(len(keys)), key=keys.__getitem__, reverse=reverse)
    if reverse:
        return (len(keys) - 1 - np.argsort(keys[::-1], kind="stable"))[::-1]
    return np.argsort(keys, kind="stable")


def _samples(keys: Local, count: int) -> tuple[Local, list[int]]:
    """Keys at regular distances in a sorted part, and their places."""
    places = sorted({len(keys) * i // count for i in range(count)}) if len(keys) else []
    return picked(keys, places), places


def _cuts(keys: Local, samples: list[tuple[Local, list[int]]], reverse: bool, rank: int) -> list[int]:
    """Where the pieces for each rank begin in a sorted part, and where the last one ends."""
    size = len(samples)
    pool = joined([of_rank[0] for of_rank in samples])
    origin = [(sender, place) for sender, (_, places) in enumerate(samples) for place in places]
    order = _order(pool, reverse)  # stable: equal samples stay in the order of ranks and places
    cuts = [0]
    for i in range(1, size):
        if len(order) == 0:
            cuts.append(0)
            continue
        chosen = order[min(len(order) * i // size, len(order) - 1)]
        sender, place = origin[chosen]
        first, last = _equal(keys, pool[chosen], reverse)
        cut = place if sender == rank else last if rank < sender else first
        cuts.append(max(cut, cuts[-1]))  # keys without an order, say tuples with NaN, may not lose elements
    return [*cuts, len(keys)]


def _equal(keys: Local, key: Any, reverse: bool) -> tuple[int, int]:
    """Where the keys that equal `key` begin and end among sorted ones."""
    if isinstance(keys, np.ndarray):
        rising = keys[::-1] if reverse else keys
        first, last = (int(np.searchsorted(rising, key, side)) for side in ("left", "right"))
        return (len(keys) - last, len(keys) - first) if reverse else (first, last)
    if reverse:
        key = _Falling(key)
        return bisect_left(keys, key, key=_Falling), bisect_right(keys, key, key=_Falling)
    return bisect_left(keys, key), bisect_right(keys, key)


class _Falling:
    """A key in reverse order."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __lt__(self, other: "_Falling") -> bool:
        return other.key < self.key
