"""Pairs of a key and a value: equal keys meet on the rank that owns them.

Python's hash of a string differs from process to process, so the owner is found by a hash that does not. What each rank
can combine alone is combined before it is sent. Orders are those of first appearance, whatever the number of ranks.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from numbers import Number
from typing import Any
from zlib import crc32

import numpy as np

from frovedis_lite.core.collective import aligned, everywhere, exchange, settled, together
from frovedis_lite.core.local import Local, objects, picked
from frovedis_lite.engine.comm import Communicator

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: multiplied by it, keys in arithmetic sequence spread
NAT = np.datetime64("NaT")


@dataclass
class Shard:
    """A rank's part of a map.

    Attributes:
        values: of the keys that it owns.
        homes: for each key in order the rank where it appeared first, and which of that rank's keys it was.
    """

    values: dict[Any, Any]
    homes: list[tuple[int, int]]


def stable_hash(key: Any) -> int:
    """A hash that is the same in every process, and the same for keys that are equal.

    It spreads numbers, strings, bytes, dates, and tuples and frozensets of these. All keys of other classes have the
    same.
    """
    if isinstance(key, str):
        code = crc32(key.encode("utf-8", "surrogatepass"))
    elif isinstance(key, int):
        code = hash(key)
    elif isinstance(key, bytes):
        code = crc32(key)
    elif isinstance(key, tuple):
        code = 1
        for item in key:
            code = (code * 1000003 ^ stable_hash(item)) & MASK
    elif isinstance(key, frozenset):
        code = sum(map(stable_hash, key))
    elif isinstance(key, (Number, np.bool_)):
        code = 0 if key != key else hash(key)  # NaN's is its address
    elif isinstance(key, date) and not isinstance(key, datetime):
        code = key.toordinal()
    else:
        code = 0
    return (code * GOLDEN & MASK) >> 32


def _one_nan(key: Any) -> Any:
    """The key; for any NaN in it the same one, which a dictionary finds again."""
    if type(key) is tuple:
        return tuple(map(_one_nan, key))
    if isinstance(key, (float, np.generic)) and key != key:
        return NAT if isinstance(key, (np.datetime64, np.timedelta64)) else math.nan
    return key


def _pairs(part: Local) -> Iterator[tuple[Any, Any]]:
    for item in objects(part):
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise TypeError(f"by key, elements must be pairs (key, value), not {item!r:.100}")
        yield _one_nan(item[0]), item[1]


def _combined(pairs: Iterator[tuple[Any, Any]], f: Callable) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for key, value in pairs:
        made[key] = f(made[key], value) if key in made else value
    return made


def _grouped(pairs: Iterator[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    made: dict[Any, list[Any]] = {}
    for key, value in pairs:
        made.setdefault(key, []).append(value)
    return made


def _extended(one: list[Any], other: list[Any]) -> list[Any]:
    one.extend(other)
    return one


def _added(one: int, other: int) -> int:
    return one + other


def reduced_by_key(comm: Communicator, part: Local, f: Callable) -> Shard:
    return _meet(comm, together(comm, lambda: _combined(_pairs(part), f)), f)


def grouped_by_key(comm: Communicator, part: Local) -> Shard:
    return _meet(comm, together(comm, lambda: _grouped(_pairs(part))), _extended)


def counted_by_key(comm: Communicator, part: Local) -> Shard:
    ones = ((key, 1) for key, _ in _pairs(part))
    return _meet(comm, together(comm, _combined, ones, _added), _added)


def _meet(comm: Communicator, local: dict[Any, Any], f: Callable) -> Shard:
    """Every rank's values go to the owners of their keys, who combine them in the order of ranks."""
    outgoing: list[list[Any]] = [[] for _ in range(comm.size)]
    for place, (key, value) in enumerate(local.items()):
        outgoing[stable_hash(key) % comm.size].append((place, key, value))
    incoming = exchange(comm, outgoing)

    def merged() -> Shard:
        values, homes = {}, []
        for rank, items in enumerate(incoming):
            for place, key, value in items:
                key = _one_nan(key)
                if key in values:
                    values[key] = f(values[key], value)
                else:
                    values[key] = value
                    homes.append((rank, place))
        return Shard(values, homes)

    return together(comm, merged)


def mapped_values(comm: Communicator, shard: Shard, f: Callable, *args: Any) -> Shard:
    made = together(comm, lambda: {key: f(value, *args) for key, value in shard.values.items()})
    return Shard(made, shard.homes)


def listed(comm: Communicator, shard: Shard, what: str) -> Local:
    """A map as a vector: its "items", "keys" or "values" in the order in which keys first appeared."""
    outgoing: list[list[Any]] = [[] for _ in range(comm.size)]
    for (rank, place), item in zip(shard.homes, getattr(shard.values, what)(), strict=True):
        outgoing[rank].append((place, item))
    came = [pair for pairs in exchange(comm, outgoing) for pair in pairs]
    came.sort(key=lambda pair: pair[0])
    return aligned(comm, settled(comm, lambda: [item for _, item in came]))


def looked_up(comm: Communicator, shard: Shard, key: Any) -> list[Any]:
    """The key's value in a list, or an empty list."""
    key = _one_nan(key)
    found = together(comm, lambda: [shard.values[key]] if key in shard.values else [])
    return [value for values in everywhere(comm, found) for value in values]


def counted(comm: Communicator, shard: Shard) -> int:
    return comm.allreduce(len(shard.values))


def distinct(comm: Communicator, part: Local) -> Local:
    """The first of each equal elements, in their order."""

    def local() -> dict[Any, int]:
        if isinstance(part, np.ndarray):
            places = np.sort(np.unique(part, return_index=True)[1])
            return dict(zip(map(_one_nan, objects(part[places])), places.tolist(), strict=True))
        made: dict[Any, int] = {}
        for place, value in enumerate(part):
            made.setdefault(_one_nan(value), place)
        return made

    outgoing: list[list[Any]] = [[] for _ in range(comm.size)]
    for key, place in together(comm, local).items():
        outgoing[stable_hash(key) % comm.size].append((key, place))
    seen: set[Any] = set()
    answers: list[list[int]] = []
    for items in exchange(comm, outgoing):  # in the order of ranks, so the first to come is the first of all
        answers.append([place for key, place in items if _one_nan(key) not in seen])
        seen.update(_one_nan(key) for key, _ in items)
    kept = sorted(place for places in exchange(comm, answers) for place in places)
    return aligned(comm, picked(part, kept))


def joined_by_key(comm: Communicator, left: Local, right: Local, how: str) -> Local:
    """(key, (value, value of the other)) for each pair of pairs with equal keys, in the order of the left ones and for
    each in that of the right ones: a rank asks the owners of its keys for all that the right side has."""
    owned = grouped_by_key(comm, right).values

    def asked() -> tuple[list[tuple[Any, Any]], list[list[Any]]]:
        pairs = list(_pairs(left))
        keys: list[list[Any]] = [[] for _ in range(comm.size)]
        for key in dict(pairs):
            keys[stable_hash(key) % comm.size].append(key)
        return pairs, keys

    pairs, keys = together(comm, asked)
    asked_of_me = exchange(comm, keys)
    answers = exchange(comm, [[owned.get(_one_nan(key)) for key in of_rank] for of_rank in asked_of_me])
    found = {key: values for ks, vs in zip(keys, answers, strict=True) for key, values in zip(ks, vs, strict=True)}
    missing = [None] if how == "left" else []
    return [(key, (value, other)) for key, value in pairs for other in found[key] or missing]
