"""What runs on a rank that this package has started: it keeps parts under numbers, and calls functions on them."""

import io
import os
import pickle
import platform
import signal
import sys
import threading
import time
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import psutil

from frovedis_lite.engine import keeper
from frovedis_lite.engine.comm import Ranks
from frovedis_lite.engine.progress import on_rank
from frovedis_lite.engine.wire import Packed, unpack

PATIENCE = 0.02  # seconds of waiting for other ranks, until this one looks after them less often
PAUSE = 0.0001


class Aborted(BaseException):
    """Another rank raised an exception, and will not come to where this one waits. No `except Exception` stops it."""


_pending: list[Any] = []  # operations that were given up: MPI may still write into their memory


@dataclass(frozen=True)
class Part:
    """Stands for a part that the rank has."""

    number: int


class Watched(Ranks):
    """MPI's ranks, which do not wait for one that has raised an exception.

    Sums do not block; while they are not done, the rank looks whether another has given alarm. Other operations begin
    with such a barrier, behind which all ranks are known to be in them.
    After an alarm the communicator is in pieces, and the
    next call gets a new one.

    Args:
        mpi: an mpi4py communicator that nobody else uses.
        alarms: another one.
    """

    def __init__(self, mpi: Any, alarms: Any) -> None:
        super().__init__(mpi)
        self.alarms = alarms

    def alarm(self) -> None:
        """Tell all others to give up."""
        from mpi4py import MPI

        for rank in range(self.size):
            if rank != self.rank:
                self.alarms.Isend((b"", 0, MPI.BYTE), rank).Free()

    def finish(self, request: Any, *memory: Any) -> None:
        """Wait until an operation is done.

        Args:
            memory: what it reads and writes.
        Raises:
            Aborted: a rank will not come.
        """
        begin = time.perf_counter()
        while not request.Test():
            if self.alarms.Iprobe():
                _pending.append((request, *memory))
                raise Aborted
            if time.perf_counter() - begin < PATIENCE:
                os.sched_yield()  # there may be more ranks than processors
            else:
                time.sleep(PAUSE)

    def meet(self) -> None:
        """Wait for all."""
        self.finish(self.mpi.Ibarrier())

    def reduce(self, array: np.ndarray, made: np.ndarray, kind: Any) -> None:
        self.finish(self.mpi.Iallreduce(array, made, kind), array, made)

    def bcast(self, value: Any, root: int = 0) -> Any:
        self.meet()
        return super().bcast(value, root)

    def gather(self, value: Any, root: int = 0) -> list[Any] | None:
        self.meet()
        return super().gather(value, root)

    def allgather(self, value: Any) -> list[Any]:
        self.meet()
        return super().allgather(value)

    def alltoall(self, values: Any) -> list[Any]:
        self.meet()
        return super().alltoall(values)

    def exscan(self, value: int) -> int:
        self.meet()
        return super().exscan(value)

    def barrier(self) -> None:
        self.meet()


@dataclass
class State:
    """Of this rank."""

    folder: Path
    world: Any
    comm: Watched
    parts: dict[int, Any] = field(default_factory=dict)


_state: State | None = None


def start(folder: str, path: list[str], driver: int) -> tuple[int, int, int]:
    """Make ready; every rank calls it once.

    Args:
        driver: the process that started the ranks.
        folder: of the cluster.
        path: where the program looks for modules.
    Returns:
        The rank, how many there are, and its process.
    """
    global _state
    from mpi4py import MPI

    sys.path.extend(entry for entry in path if entry not in sys.path)
    threading.Thread(target=_end_with, args=(driver, folder), name="keeper", daemon=True).start()
    world = MPI.COMM_WORLD
    on_rank(Path(folder), world.Get_rank())
    _state = State(Path(folder), world, Watched(world.Dup(), world.Dup()))
    return world.Get_rank(), world.Get_size(), os.getpid()


def _end_with(driver: int, folder: str) -> None:
    """In a thread: what the keeper does too, should somebody have killed it."""
    while driver not in keeper.wait([driver]):
        pass
    keeper.start(0, folder)
    os.kill(os.getpid(), signal.SIGKILL)


def call(order: dict[str, Any], frames: list[bytes | str]) -> list[Any]:
    """Run a function on this rank.

    Args:
        order: "drop", numbers of parts to forget; "renew", whether to make a new communicator first; "store", the
            number to keep the result under, or None; "everyone", whether every rank sends its result, or only rank 0.
        frames: function, arguments and keyword arguments, packed.
    Returns:
        "done", "unreadable", "raised" or "aborted"; what it said meanwhile, as `_said` gives it; and frames of the
        result or the exception.
    """
    text = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(text), redirect_stderr(text):
        warnings.simplefilter("default")
        kind, *packed = _run(order, frames, _state)
    return [kind, _said(text.getvalue(), caught), *packed]


def _said(text: str, caught: list[warnings.WarningMessage]) -> bytes:
    """What was printed, and warnings (text, category, file, line), pickled; nothing for nothing."""
    if not text and not caught:
        return b""
    told = []
    for warning in caught:
        category = warning.category if _can_travel(warning.category) else UserWarning
        told.append((str(warning.message), category, warning.filename, warning.lineno))
    return cloudpickle.dumps((text, told))


def _can_travel(item: Any) -> bool:
    try:
        pickle.loads(cloudpickle.dumps(item))
    except Exception:
        return False
    return True


def _run(order: dict[str, Any], frames: list[bytes | str], state: State) -> list[Any]:
    if order["renew"]:
        state.comm = Watched(state.world.Dup(), state.world.Dup())
    for number in order["drop"]:
        state.parts.pop(number, None)
    try:
        function, args, kwargs = unpack(frames)
    except Exception as error:
        state.comm.alarm()
        return ["unreadable", *_described(error, state)]
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler) if main else None
    try:
        local = [state.parts[item.number] if isinstance(item, Part) else item for item in args]
        named = {key: state.parts[item.number] if isinstance(item, Part) else item for key, item in kwargs.items()}
        result = function(state.comm, *local, **named)
        if order["store"] is not None:
            state.parts[order["store"]] = result
            result = None
        wanted = state.comm.rank == 0 or order["everyone"]
        return ["done", *Packed(result if wanted else None, state.folder).frames]
    except Aborted:
        return ["aborted"]
    except BaseException as error:
        state.comm.alarm()
        return ["raised", *_described(error, state)]
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


def _described(error: BaseException, state: State) -> list[Any]:
    """The exception with its traceback as a note: the same type if it survives the journey, else a RankError."""
    from frovedis_lite.errors import RankError

    rank = state.comm.rank
    lines = traceback.format_exception(error)
    text = f"On rank {rank} of {state.comm.size}:\n" + "".join(lines)
    try:
        if isinstance(error, (Exception, KeyboardInterrupt)):  # not SystemExit: it is not for the whole program
            error.add_note(text)
            if _can_travel(error):  # some can be written, but not read
                return Packed(error, state.folder).frames
    except Exception:  # one that takes no notes
        pass
    return Packed(RankError(text), state.folder).frames


def keep(comm: Any, item: Any) -> Any:
    """The function that stores what was sent."""
    return item


def own(comm: Any, part: Any) -> Any:
    """The function that sends what is stored."""
    return part


def describe(comm: Any) -> tuple[str, int, int, int, int, int]:
    """Host, process, threads, memory in use (bytes), number of parts, and their size (bytes)."""
    from frovedis_lite.native import threads

    memory = psutil.Process().memory_info().rss
    sizes = [size(part) for part in _state.parts.values()]
    return platform.node(), os.getpid(), threads(), memory, len(sizes), sum(sizes)


def size(item: Any) -> int:
    """Bytes that an array, sparse matrix or collection of them holds; others count as small objects."""
    if hasattr(item, "nbytes"):
        return int(item.nbytes)
    if all(hasattr(item, name) for name in ("data", "indices", "indptr")):
        return sum(int(getattr(item, name).nbytes) for name in ("data", "indices", "indptr"))
    if isinstance(item, dict):
        return sum(size(value) for value in item.values())
    if isinstance(item, (list, tuple)):
        return sum(size(value) for value in item)
    return sys.getsizeof(item)
