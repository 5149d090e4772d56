"""What ranks say to each other in a fit, counted; what that costs, measured between two ranks; and what it would cost
between more, on paper.

Each function that a session runs gets a communicator which notes its calls. The costs are those of Thakur, Rabenseifner
and Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J. of High Performance Computing
Applications 19 (2005): a message of n bytes takes latency + n / bandwidth, and a collective takes so many of them in a
row. An allreduce goes by recursive doubling or by Rabenseifner's algorithm, whichever is faster.
"""

import math
import pickle
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from frovedis_lite.engine.session import Session

SMALL, LARGE = 1, 1 << 20  # numbers of 8 bytes in the messages that are timed
REPEATS = 200


@dataclass(frozen=True)
class Call:
    """A collective.

    Attributes:
        kind: what the communicator calls it.
        bytes: that this rank gives.
        seconds: that this rank was in it, waiting included.
    """

    kind: str
    bytes: int
    seconds: float


@dataclass
class Record:
    """What a rank did.

    Attributes:
        seconds: in functions of a session, from beginning to end.
        calls: collectives, in order.
    """

    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list)

    @property
    def compute(self) -> float:
        """Seconds that were not spent in collectives."""
        return self.seconds - sum(call.seconds for call in self.calls)


_record = Record()  # of this process


class Recorder:
    """A communicator that notes each call.

    Args:
        comm: the one that does the work.
        record: where notes go.
    """

    def __init__(self, comm: Any, record: Record) -> None:
        self.rank, self.size = comm.rank, comm.size
        self._comm, self._record = comm, record

    def allreduce(self, value: Any, op: str = "sum") -> Any:
        return self._noted("allreduce", np.asarray(value).nbytes, value, op)

    def bcast(self, value: Any, root: int = 0) -> Any:
        return self._noted("bcast", _size(value), value, root)

    def gather(self, value: Any, root: int = 0) -> list[Any] | None:
        return self._noted("gather", _size(value), value, root)

    def allgather(self, value: Any) -> list[Any]:
        return self._noted("allgather", _size(value), value)

    def alltoall(self, values: Sequence[Any]) -> list[Any]:
        return self._noted("alltoall", sum(map(_size, values)), values)

    def exscan(self, value: int) -> int:
        return self._noted("exscan", 8, value)

    def barrier(self) -> None:
        self._noted("barrier", 0)

    def _noted(self, kind: str, size: int, *args: Any) -> Any:
        begin = time.perf_counter()
        result = getattr(self._comm, kind)(*args)
        self._record.calls.append(Call(kind, size, time.perf_counter() - begin))
        return result


def _size(value: Any) -> int:
    return value.nbytes if isinstance(value, np.ndarray) else len(pickle.dumps(value))


@contextmanager
def recording(session: Session) -> Iterator[list[Record]]:
    """While this lasts, notes are taken of all that the session runs. The list has every rank's at the end."""
    records: list[Record] = []
    run, run_parts = session.run, session.run_parts
    run(_taken)
    try:
        session.run, session.run_parts = _through(run), _through(run_parts)
        yield records
    finally:
        del session.run, session.run_parts  # the methods of the class are seen again
    records += run(_taken)


def _through(call: Callable[..., Any]) -> Callable[..., Any]:
    def through(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        inside = function is _recorded  # one of the two calls may be made of the other
        return call(function, *args, **kwargs) if inside else call(_recorded, function, *args, **kwargs)

    return through


def _recorded(comm: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    begin = time.perf_counter()
    try:
        return function(Recorder(comm, _record), *args, **kwargs)
    finally:
        _record.seconds += time.perf_counter() - begin


def _taken(comm: Any) -> list[Record]:
    global _record
    taken, _record = _record, Record()
    return comm.allgather(taken)


@dataclass(frozen=True)
class Network:
    """What a message costs.

    Attributes:
        latency: seconds of a message without content.
        bandwidth: bytes a second.
    """

    name: str
    latency: float
    bandwidth: float

    def seconds(self, kind: str, size: int, ranks: int) -> float:
        """Of one collective, on paper.

        Args:
            kind, size: as in `Call`.
        """
        if ranks == 1:
            return 0.0
        steps, most = math.ceil(math.log2(ranks)), (ranks - 1) / ranks
        a, n = self.latency, size / self.bandwidth
        match kind:
            case "allreduce":
                return min(steps * (a + n), 2 * steps * a + 2 * most * n)
            case "bcast":
                return min(steps * (a + n), (steps + ranks - 1) * a + 2 * most * n)
            case "gather" | "allgather":
                return steps * a + (ranks - 1) * n
            case "alltoall":
                return (ranks - 1) * a + most * n
            case "exscan" | "barrier":
                return steps * (a + n)
        raise ValueError(f"there is no collective {kind!r}")

    def total(self, calls: Sequence[Call], ranks: int) -> float:
        """Seconds of all of these."""
        return sum(self.seconds(call.kind, call.bytes, ranks) for call in calls)


def measured(name: str, session: Session) -> Network:
    """What lies between the two ranks of a session, by allreduce of small and of large arrays: with two ranks it takes
    one message each way. The sum is in it, and Python's part."""
    if session.size != 2:
        raise ValueError(f"messages are measured between two ranks, not {session.size}")
    small, large = session.run(_allreduced, SMALL, REPEATS), session.run(_allreduced, LARGE, REPEATS // 10)
    return Network(name, small, 8 * (LARGE - SMALL) / max(large - small, 1e-9))


def _allreduced(comm: Any, size: int, repeats: int) -> float:
    """Median seconds of an allreduce of so many numbers."""
    array, seconds = np.ones(size), []
    for _ in range(repeats + 3):
        comm.barrier()
        begin = time.perf_counter()
        comm.allreduce(array)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[3:])
