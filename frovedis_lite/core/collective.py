"""What ranks do together where a caller's function runs: if it raises on one of them, all of them raise.

A rank that left with an error while the others wait for its data would never be missed. So each step that may raise is
followed by a word to all ranks, and objects are pickled, which may fail too, before anything is sent.
"""

import pickle
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from frovedis_lite.core.local import Local, described, joined, settle
from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import share
from frovedis_lite.errors import RankError

T = TypeVar("T")


def together(comm: Communicator, function: Callable[..., T], *args: Any) -> T:
    """`function(*args)`, which says nothing to other ranks.

    Raises:
        Exception: what it raised on the first rank where it did, on every rank.
    """
    return _told(comm, lambda: function(*args), lambda made: None)[0]


def settled(comm: Communicator, function: Callable[..., Local], *args: Any) -> Local:
    """The part that `function(*args)` makes: an array if all elements on all ranks are numbers, or arrays of one kind,
    else a list.

    Strings of a list stay what they are: in an array each would take the memory of the longest. A whole number that is
    none of int64, or beside floats none of float64, keeps all as they are.
    """
    made, told = _told(comm, lambda: function(*args), described)
    return settle(made, told)


def _told(comm: Communicator, function: Callable[[], T], about: Callable[[T], Any]) -> tuple[T, list[Any]]:
    """What `function()` makes, and what `about` says of it on every rank; an error as in `together`."""
    if comm.size == 1:
        made = function()
        return made, [about(made)]
    error = None
    try:
        made = function()
        said = (None, about(made))
    except Exception as raised:
        error = raised
        said = (_portable(error), None)
    told = comm.allgather(said)
    first = next((rank for rank, (failed, _) in enumerate(told) if failed is not None), None)
    if first is None:
        return made, [about for _, about in told]
    if error is not None and first == comm.rank:
        raise error
    elsewhere = pickle.loads(told[first][0])
    elsewhere.add_note(f"It was raised on rank {first}.")
    raise elsewhere


def _portable(error: Exception) -> bytes:
    """The error as other ranks can raise it."""
    try:
        text = _dumped(error)
        pickle.loads(text)
        return text
    except Exception:  # a class that others do not have, or whose constructor wants more than its message
        return pickle.dumps(RankError("".join(traceback.format_exception(error))))


def everywhere(comm: Communicator, value: T) -> list[T]:
    """Every rank's object in the order of ranks, on every rank."""
    if comm.size == 1:
        return [value]
    return [pickle.loads(text) for text in comm.allgather(together(comm, _dumped, value))]


def exchange(comm: Communicator, outgoing: Sequence[T]) -> list[T]:
    """The i-th object goes to rank i; what came from each, in the order of ranks."""
    if comm.size == 1:
        return list(outgoing)
    texts = together(comm, lambda: [_dumped(item) for item in outgoing])
    return [pickle.loads(text) for text in comm.alltoall(texts)]


def _dumped(value: Any) -> bytes:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError):  # of a class or function that came to the ranks by value
        import cloudpickle

        return cloudpickle.dumps(value)


def aligned(comm: Communicator, part: Local, sizes: Sequence[int] | None = None) -> Local:
    """The same elements in the same order, `sizes[i]` of them on rank i; None: nearly the same number on each."""
    lengths = comm.allgather(len(part))
    total = sum(lengths)
    if sizes is None:
        bounds = [share(total, rank, comm.size)[0] for rank in range(comm.size)] + [total]
    else:
        bounds = [sum(sizes[:rank]) for rank in range(comm.size + 1)]
    if lengths == [last - first for first, last in pairwise(bounds)]:
        return part
    begin = sum(lengths[: comm.rank])
    cuts = [min(max(bound - begin, 0), len(part)) for bound in bounds]
    return joined(exchange(comm, [part[first:last] for first, last in pairwise(cuts)]))
