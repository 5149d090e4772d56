"""A rank's part of a vector: a NumPy array if the vector is typed, else a list; on all ranks the same of the two."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

Local = np.ndarray | list[Any]

NUMBERS = {bool: "?", int: "i8", float: "f8", complex: "c16"}
EXACT = 2**53  # whole numbers up to here are float64s too
BIG = "beyond float64"


def objects(part: Local) -> list[Any]:
    """The elements as Python's objects."""
    if isinstance(part, list):
        return part
    return part.tolist() if part.dtype.kind in "biufcUS" else list(part)  # of dates, tolist would make whole numbers


def joined(parts: Sequence[Local]) -> Local:
    """All parts' elements in order, in new memory."""
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return list(chain.from_iterable(map(objects, parts)))


def picked(part: Local, places: Sequence[int]) -> Local:
    """The elements at some places."""
    return part[np.asarray(places, np.intp)] if isinstance(part, np.ndarray) else [part[i] for i in places]


def guarded(part: Local) -> Local:
    """The elements for a function that might write into them: it cannot, or its own copy."""
    if isinstance(part, list):
        return list(part)
    view = part.view()
    view.flags.writeable = False
    return view


def as_local(values: Any) -> Local:
    """What a caller or a function gave, as a part.

    Raises:
        TypeError: it is no sequence of elements.
        ValueError: an array that has not one dimension.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"a vector is made of a list, an array or another iterable, not of a {type(values).__name__}")
    if isinstance(values, list) or not hasattr(values, "__array__"):
        return values if isinstance(values, list) else list(values)
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(
            f"a vector has one dimension, not the shape {array.shape}; list(array) makes rows its elements"
        )
    return list(array) if array.dtype.kind in "OV" else array


def typed(values: Local, dtype: Any) -> Local:
    """Elements of a given dtype; `object`: a list.

    Raises:
        ValueError, TypeError, OverflowError: what NumPy says about a value that is none.
    """
    if np.dtype(dtype) == object:
        return list(objects(values))
    array = np.asarray(values, dtype)
    if array.ndim != 1:
        raise ValueError(f"elements that are sequences cannot be a vector of {np.dtype(dtype)}")
    return array


def described(part: Local) -> tuple[bool, set[str]]:
    """Whether there are elements, and the dtypes they have: "O" for what has none, BIG if one is a whole number that
    float64 has not."""
    if isinstance(part, np.ndarray):
        return len(part) > 0, {part.dtype.str}
    types = set(map(type, part))
    kinds = {_kind(kind) for kind in types}
    if int in types and "O" not in kinds:
        whole = part if len(types) == 1 else [value for value in part if isinstance(value, int)]
        low, high = min(whole), max(whole)
        if max(-low, high) > EXACT:
            kinds.add(BIG if low >= -(2**63) and high < 2**63 else "O")
    return len(part) > 0, kinds


def _kind(kind: type) -> str:
    if kind in NUMBERS:
        return NUMBERS[kind]
    return np.dtype(kind).str if issubclass(kind, (np.number, np.bool_)) else "O"


def settle(part: Local, told: Sequence[tuple[bool, set[str]]]) -> Local:
    """The part as an array of the dtype that has all ranks' elements, else as a list.

    Args:
        told: how each rank's part was described.
    """
    # An array without elements has NumPy's default dtype as often as one that was meant.
    full = [kinds for has, kinds in told if has] or [kinds for _, kinds in told]
    dtype = _common(set().union(*full))
    if dtype is None:
        return objects(part)
    return np.asarray(part, dtype) if len(part) else np.empty(0, dtype)


def _common(names: set[str]) -> np.dtype | None:
    """The dtype that has all values of these; None if none has, or there are none."""
    dtypes = [np.dtype(name) for name in names - {BIG}]
    kinds = {dtype.kind for dtype in dtypes}
    if not kinds or "O" in kinds:
        return None
    if len(kinds) > 1 and not kinds <= set("iufc"):
        return None
    dtype = np.result_type(*dtypes)
    return None if dtype.kind in "fc" and (BIG in names or kinds <= set("iu")) else dtype  # or int64 and uint64
