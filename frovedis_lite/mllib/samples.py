"""Weights as repetitions: a row of weight w counts as w rows, exactly and in any order of rows.

What is drawn by chance therefore depends on what is in a row, not on its place: rows are ordered by a 64-bit hash of
their content, their `key`. Rows with the same key are one sample with the sum of their weights, and those of weight 0
are none. (Two different rows have the same key with a chance of 2^-64; any two of a million, with one of 3e-8.)
"""

import ctypes
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.matrix.products import indices_of
from frovedis_lite.native import address, library, threads

MOST = 1 << 31  # visits on a rank
# A sum of weights that should be whole may lie above it by rounding, which is no reason for one more visit.
ROUNDING = 1e-12


def keys_of(X: Any, y: np.ndarray | None = None) -> np.ndarray:
    """[rows] uint64. Dense and sparse rows with the same numbers have the same; float32 and float64 do not.

    Args:
        X: [rows, columns], an array or CSR matrix, float32 or float64.
        y: [rows], what else belongs to the content.
    """
    rows, columns = X.shape
    made, none = np.empty(rows, np.uint64), ctypes.c_void_p(None)
    if sparse.issparse(X):
        kept = np.ascontiguousarray(X.indptr, np.int64), indices_of(X), np.ascontiguousarray(X.data)
        matrix = none, address(kept[0], np.int64), address(kept[1], np.int32), address(kept[2], X.dtype)
    else:
        kept = np.ascontiguousarray(X)
        matrix = address(kept, X.dtype), none, none, none
    name = "samples_keys_f32" if X.dtype == np.float32 else "samples_keys_f64"
    sizes = (rows, columns, max(1, min(16, rows // 256)))
    getattr(library("samples"), name)(
        *matrix, address(made, np.uint64), *(ctypes.c_int64(size) for size in sizes), ctypes.c_int(threads())
    )
    if y is not None:
        bits = (np.asarray(y, np.float64) + 0.0).view(np.uint64)  # -0 becomes 0
        made = mixed(made ^ mixed(bits, 1), 2)
    return made


def mixed(keys: np.ndarray, seed: int) -> np.ndarray:
    """Other keys, [rows] uint64: SplitMix64 (see samples.c) from another state for each seed."""
    z = keys + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % (1 << 64))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(keys: np.ndarray, seed: int) -> np.ndarray:
    """For each key a number from 0 to 1, [rows] float64."""
    return (mixed(keys, seed) >> np.uint64(11)) * 2.0**-53


def merged(keys: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The different samples of this rank.

    Args:
        keys: [rows].
        weights: [rows], not negative; None: ones.
    Returns:
        A row for each sample, in the order of keys, and their weights float64, all above 0.
    """
    rows = np.arange(len(keys)) if weights is None else np.flatnonzero(weights > 0)
    order = rows[np.argsort(keys[rows], kind="stable")]
    first = _firsts(keys[order])
    if weights is None:
        return order[first], np.diff(first, append=len(order)).astype(np.float64)
    return order[first], _sums(weights[order], first)


def visits_of(weights: np.ndarray) -> np.ndarray:
    """How often a sample of each weight is visited, [samples] int64: so that no visit has a weight above 1."""
    return np.maximum(np.ceil(weights * (1 - ROUNDING)), 1).astype(np.int64)


def check_visits(comm: Communicator, weights: np.ndarray) -> None:
    """Before `visits_of`, on all ranks.

    Raises:
        ValueError: there would be too many.
    """
    if not comm.allreduce(float(weights.sum() + len(weights))) < MOST * comm.size:
        raise ValueError(
            "sample_weight: a sample of weight w is visited ceil(w) times, and these weights add up to more than 2^31; "
            "divide them by a number"
        )


@dataclass
class Visits:
    """The samples of all ranks as visits with numbers, in the order of keys. Weight w is ceil(w) equal visits.

    Attributes:
        rows: [samples] where on this rank the samples are that it has.
        first, count: [samples] int64, the numbers of their visits.
        weights: [samples] float64, of a visit.
        total: visits on all ranks.
    """

    rows: np.ndarray
    first: np.ndarray
    count: np.ndarray
    weights: np.ndarray
    total: int

    def at(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which of the visits [numbers] are to samples of this rank: their places in `numbers`, rows and weights."""
        if not len(self.first):
            return (np.zeros(0, np.int64),) * 2 + (np.zeros(0),)
        sample = np.maximum(np.searchsorted(self.first, numbers, side="right") - 1, 0)
        here = np.flatnonzero((numbers >= self.first[sample]) & (numbers < self.first[sample] + self.count[sample]))
        return here, self.rows[sample[here]], self.weights[sample[here]]


def visits(comm: Communicator, keys: np.ndarray, weights: np.ndarray | None) -> Visits:
    """The visits to all samples; equal rows of several ranks become a sample of the first of these.

    Raises:
        ValueError: there are too many.
    """
    rows, own = merged(keys, weights)
    check_visits(comm, own)
    # Each rank counts the visits of a range of keys, and tells the ranks that have the rows.
    mine = keys[rows]
    rank = ((mine >> np.uint64(32)) * np.uint64(comm.size)) >> np.uint64(32)
    ends = np.searchsorted(rank, np.arange(comm.size + 1, dtype=np.uint64))
    sent = [(mine[a:b], own[a:b]) for a, b in itertools.pairwise(ends)]
    got = comm.alltoall(sent)
    sizes = np.cumsum([0] + [len(part[0]) for part in got])
    together = np.concatenate([part[0] for part in got])
    order = np.argsort(together, kind="stable")
    first = _firsts(together[order])
    total = _sums(np.concatenate([part[1] for part in got])[order], first)
    count = visits_of(total)
    number = comm.exscan(int(count.sum())) + np.cumsum(count) - count
    answer = np.full((3, len(together)), -1.0)  # numbers below 2^53 are exact
    answer[:, order[first]] = number, count, total / np.maximum(count, 1)
    back = np.concatenate(comm.alltoall([answer[:, a:b] for a, b in itertools.pairwise(sizes)]), axis=1)
    kept = np.flatnonzero(back[0] >= 0)
    made = back[0][kept].astype(np.int64), back[1][kept].astype(np.int64), back[2][kept]
    return Visits(rows[kept], *made, comm.allreduce(int(count.sum())))


class Lottery:
    """Draws rows of all ranks with chances in proportion to masses, the same whatever their order and their ranks: the
    inverse of the running sum of masses, in the order of keys.

    Only sums of buckets of keys go to all ranks, and then the rows of the buckets in which the draws end.

    Args:
        keys: [rows of this rank].
    """

    def __init__(self, comm: Communicator, keys: np.ndarray) -> None:
        self.comm, self.keys = comm, keys
        total = comm.allreduce(len(keys))
        bits = min(max(total.bit_length() // 2, 4), 16)  # as many buckets as rows in each of them
        self.bucket, self.buckets = (keys >> np.uint64(64 - bits)).view(np.int64), 1 << bits
        self.first = comm.exscan(len(keys))

    def draw(self, masses: np.ndarray | None, values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """
        Args:
            masses: [rows of this rank], not negative; None: ones.
            values: [draws] from 0 to 1.
        Returns:
            Numbers of rows among those of all ranks, none of mass 0, and their keys; None if no row has any mass.
        """
        sums = self.comm.allreduce(np.bincount(self.bucket, masses, self.buckets).astype(np.float64))
        ends, some = np.cumsum(sums), np.flatnonzero(sums > 0)
        if not len(some):
            return None
        wanted = values * ends[-1]
        buckets = np.minimum(np.searchsorted(ends, wanted, side="right"), some[-1])
        asked = np.zeros(self.buckets, bool)
        asked[buckets] = True
        mine = np.flatnonzero(asked[self.bucket])
        mass = np.ones(len(mine)) if masses is None else masses[mine].astype(np.float64)
        mine, mass = mine[mass > 0], mass[mass > 0]
        parts = self.comm.allgather((self.bucket[mine], self.keys[mine], self.first + mine, mass))
        bucket, keys, numbers, mass = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(keys, kind="stable")  # buckets are the first bits of keys
        bucket, keys, numbers, mass = bucket[order], keys[order], numbers[order], mass[order]
        made = np.empty(len(values), np.int64)
        for i, (value, b) in enumerate(zip(wanted, buckets, strict=True)):
            low, high = np.searchsorted(bucket, [b, b + 1])
            rest = value - (ends[b] - sums[b])
            made[i] = min(low + np.searchsorted(np.cumsum(mass[low:high]), rest, side="right"), high - 1)
        return numbers[made], keys[made]

    def different(self, masses: np.ndarray | None, count: int, random: np.random.RandomState) -> np.ndarray:
        """Numbers of so many different samples, drawn one by one by masses; if there are fewer, all, and some again."""
        left, made, seen = masses, [], set()
        while len(made) < count:
            found = self.draw(left, random.uniform(size=count - len(made)))
            if found is None:
                found = self.draw(masses, random.uniform(size=count - len(made)))
                return np.array(made + list(found[0]))
            for number, key in zip(*found, strict=True):
                if key not in seen:  # to pass over what was drawn is to draw from the others
                    seen.add(key)
                    made.append(number)
            if len(made) < count:
                left = np.ones(len(self.keys)) if left is None else np.array(left, np.float64)
                left[np.isin(self.keys, np.array(list(seen)))] = 0
        return np.array(made)


def _firsts(ordered: np.ndarray) -> np.ndarray:
    """Where each new value begins."""
    return np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])


def _sums(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Sums float64 of the values of each run."""
    return np.add.reduceat(values.astype(np.float64), first) if len(first) else np.zeros(0)
