"""A rank's part of a vector: a NumPy array if the vector is typed, else a list; on all ranks the same of the two."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from frovedis_lite.engine.comm import Communicator

Local = np.ndarray | list[Any]

NUMBERS = {bool: "?", int: "i8", float: "f8", complex: "c16"}
EXACT = 2**53  # whole numbers up to here are float64s too


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


def settled(comm: Communicator, part: Local) -> Local:
    """The part as an array if all elements on all ranks are numbers, or arrays of one kind, else as a list.

    Strings of a list stay what they are: in an array each would take the memory of the longest. A whole number that is
    none of int64, or between floats none of float64, keeps all as they are.
    """
    told = comm.allgather((len(part), _kinds(part)))
    # An array without elements has NumPy's default dtype as often as one that was meant.
    full = [kinds for length, kinds in told if length] or [kinds for _, kinds in told]
    dtype = _common(set().union(*full))
    made = None if dtype is None else _converted(part, dtype)
    if comm.allreduce(int(made is not None), "min"):
        return made
    return objects(part)


def _kinds(part: Local) -> set[str]:
    """The dtypes that elements have, "O" for what has none."""
    if isinstance(part, np.ndarray):
        return {part.dtype.str}
    return {_kind(kind) for kind in set(map(type, part))}


def _kind(kind: type) -> str:
    if kind in NUMBERS:
        return NUMBERS[kind]
    return np.dtype(kind).str if issubclass(kind, (np.number, np.bool_)) else "O"


def _common(names: set[str]) -> np.dtype | None:
    """The dtype that has all values of these; None if none has, or there are none."""
    dtypes = [np.dtype(name) for name in names]
    kinds = {dtype.kind for dtype in dtypes}
    if not kinds or "O" in kinds:
        return None
    if len(kinds) > 1 and not kinds <= set("iufc"):
        return None
    dtype = np.result_type(*dtypes)
    return None if kinds <= set("iu") and dtype.kind == "f" else dtype  # int64 and uint64


def _converted(part: Local, dtype: np.dtype) -> np.ndarray | None:
    """As an array, or None where a whole number would not be the same."""
    if len(part) == 0:
        return np.empty(0, dtype)
    if isinstance(part, np.ndarray):
        return part.astype(dtype, copy=False)
    mixed = dtype.kind in "fc" and int in set(map(type, part))
    if mixed and any(isinstance(value, int) and abs(value) > EXACT for value in part):
        return None
    try:
        return np.array(part, dtype)
    except OverflowError:
        return None
