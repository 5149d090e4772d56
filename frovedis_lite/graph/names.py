"""Names of nodes and their numbers: 0, 1, ... in the order in which the names appear first."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np


def number(named: Sequence[Hashable] | np.ndarray) -> tuple[list[Hashable], np.ndarray]:
    """Number names.

    Args:
        named: [count] names, with repetitions.

    Returns:
        Each name once, as it was given (of an array: as Python's own number or string), and [count] numbers, int32.
    """
    array = _array(named)
    if array is None:
        index: dict[Hashable, int] = {}
        codes = np.fromiter((index.setdefault(name, len(index)) for name in named), np.int32, len(named))
        return list(index), codes
    if array.dtype.kind in "iu" and len(array):
        least, most = int(array.min()), int(array.max())
        if most - least < 4 * len(array) + 1_000_000:
            return _number_by_table(array.astype(np.int64 if array.dtype.kind == "i" else np.uint64), least, most)
    _, first, inverse = np.unique(array, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return array[first[order]].tolist(), place[inverse]


def _array(named: Any) -> np.ndarray | None:
    """The names as an array whose elements compare as the names do; None if there is no such array."""
    if isinstance(named, np.ndarray) and named.dtype.kind in "iufUS" and named.ndim == 1:
        return named
    if all(type(name) is int for name in named):
        try:
            return np.fromiter(named, np.int64, len(named))
        except OverflowError:
            return None
    return None


def _number_by_table(array: np.ndarray, least: int, most: int) -> tuple[list[Hashable], np.ndarray]:
    """Whole numbers close together need no sort."""
    places = array - array.dtype.type(least)
    first = np.full(most - least + 1, -1, np.int64)
    first[places[::-1]] = np.arange(len(array) - 1, -1, -1)  # of equal indices NumPy keeps the last: the first in order
    is_first = np.zeros(len(array), bool)
    is_first[first[first >= 0]] = True
    names = array[is_first]
    table = np.empty(most - least + 1, np.int32)
    table[places[is_first]] = np.arange(len(names), dtype=np.int32)
    return names.tolist(), table[places]
