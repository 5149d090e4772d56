"""What happens to each element, and to all of them: functions of a rank's part and a communicator."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from frovedis_lite.core.collective import everywhere, settled, together
from frovedis_lite.core.local import Local, as_local, guarded, joined, objects, typed
from frovedis_lite.engine.comm import Communicator

LOW = np.uint64(0xFFFFFFFF)


def owned(comm: Communicator, part: Local) -> Local:
    """A copy, that nobody else writes into."""
    return part.copy()


def same(comm: Communicator, value: Any) -> Any:
    """The object itself, in one more handle."""
    return value


def known(comm: Communicator, part: Local) -> tuple[list[int], str | None]:
    """How many elements each rank has, and their dtype."""
    return comm.allgather(len(part)), part.dtype.str if isinstance(part, np.ndarray) else None


def mapped(comm: Communicator, part: Local, f: Callable, vectorized: bool | None, dtype: Any, *args: Any) -> Local:
    if vectorized is None:
        vectorized = isinstance(f, np.ufunc) and isinstance(part, np.ndarray)

    def local() -> Local:
        if not vectorized:
            return [f(value, *args) for value in objects(part)]
        made = as_local(f(guarded(part), *args))
        if len(made) != len(part):
            raise ValueError(f"a vectorized function made {len(made)} elements of {len(part)}")
        return made

    return _finished(comm, local, dtype)


def map_partitions(comm: Communicator, part: Local, f: Callable, dtype: Any, *args: Any) -> Local:
    return _finished(comm, lambda: as_local(f(guarded(part), *args)), dtype)


def flat_mapped(comm: Communicator, part: Local, f: Callable, dtype: Any, *args: Any) -> Local:
    return _finished(comm, lambda: [made for value in objects(part) for made in f(value, *args)], dtype)


def _finished(comm: Communicator, local: Callable[[], Local], dtype: Any) -> Local:
    """What `local()` makes, of a dtype that was asked for or that fits."""
    if dtype is None:
        return settled(comm, local)
    if np.dtype(dtype) == object:
        return together(comm, lambda: objects(local()))
    return settled(comm, lambda: typed(local(), dtype))


def filtered(comm: Communicator, part: Local, f: Callable, vectorized: bool, *args: Any) -> Local:
    def local() -> Local:
        if vectorized:
            keep = np.asarray(f(guarded(part), *args))
            if keep.shape != (len(part),) or keep.dtype != bool:
                raise ValueError(
                    f"a vectorized filter needs one truth value for each of {len(part)} elements, "
                    f"not {keep.dtype} of shape {keep.shape}"
                )
        else:
            keep = [bool(f(value, *args)) for value in objects(part)]
        if isinstance(part, np.ndarray):
            return part[np.asarray(keep, bool)]
        return [value for value, kept in zip(part, keep, strict=True) if kept]

    return together(comm, local)


def reduced(comm: Communicator, part: Local, f: Callable, initial: list[Any]) -> Any:
    """`initial` has one element or none."""

    def local() -> list[Any]:
        if len(part) == 0:
            return []
        if isinstance(f, np.ufunc) and isinstance(part, np.ndarray):
            return [_plain(f.reduce(part))]
        return [reduce(f, objects(part))]

    partial = [value for values in everywhere(comm, together(comm, local)) for value in values]
    if not initial and not partial:
        raise ValueError("reduce of a vector without elements needs `initial`")
    return _plain(together(comm, reduce, f, initial + partial))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) and value.dtype.kind in "biufc" else value


def total(comm: Communicator, part: Local) -> Any:
    """The sum: whole numbers exactly, float32 in float64."""
    return together(comm, sum, everywhere(comm, together(comm, _sum, part)))


def _sum(part: Local) -> Any:
    if isinstance(part, list):
        return sum(part)
    if part.dtype.kind == "b":
        return int(np.count_nonzero(part))
    if part.dtype.kind in "iu":  # in halves, whose sums stay below 2**63
        part = part.astype(np.int64 if part.dtype.kind == "i" else np.uint64, copy=False)
        high, low = part >> part.dtype.type(32), part.view(np.uint64) & LOW
        return (int(high.sum()) << 32) + int(low.sum())
    if part.dtype.kind in "fc":
        return part.sum(dtype=np.result_type(part.dtype, np.float64)).item()
    raise TypeError(f"a vector of {part.dtype} has no sum")


def extreme(comm: Communicator, part: Local, which: str, key: Callable | None) -> Any:
    """The smallest ("min") or largest ("max") element; NaN if there is one, as in NumPy."""

    def best(part: Local) -> list[Any]:
        if len(part) == 0:
            return []
        if key is None and isinstance(part, np.ndarray) and part.dtype.kind in "biufc":
            return [getattr(part, which)().item()]
        return [{"min": min, "max": max}[which](objects(part), key=key)]

    partial = joined(everywhere(comm, together(comm, best, part)))
    if not partial:
        raise ValueError(f"a vector without elements has no {which}")
    number = key is None and isinstance(part, np.ndarray) and part.dtype.kind in "biufc"
    return together(comm, best, np.array(partial, part.dtype) if number else partial)[0]


def first(comm: Communicator, part: Local, count: int) -> Local:
    before = comm.exscan(len(part))
    return joined(everywhere(comm, part[: max(count - before, 0)]))


def zipped(comm: Communicator, one: Local, other: Local) -> Local:
    return list(zip(objects(one), objects(other), strict=True))


def with_index(comm: Communicator, part: Local) -> Local:
    before = comm.exscan(len(part))
    return list(zip(objects(part), range(before, before + len(part)), strict=True))
