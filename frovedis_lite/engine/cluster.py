"""Ranks that this program has started, behind the calls of any session.

One message goes to each rank for each call, and one comes back. What goes wrong there is told here: an exception of a
rank is raised with its type, ranks that hang are ended and started anew at the next call, and if one dies all end.
"""

import contextlib
import itertools
import os
import pickle
import queue
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

import cloudpickle

from frovedis_lite.engine import keeper, worker
from frovedis_lite.engine.launch import Processes
from frovedis_lite.engine.progress import Follower
from frovedis_lite.engine.session import Parts, Rows, Session, count_rows, share
from frovedis_lite.engine.wire import Packed, unpack
from frovedis_lite.errors import RankError, ReleasedError, ServerError

PACKAGE = __name__.split(".")[0]
GRACE = 5.0  # seconds that ranks have to end by themselves after one raised an exception, or Control-C
AGAIN = "FrovedisServer.initialize starts new ranks; FrovedisServer.shut_down goes back to this process alone"


class ClusterSession(Session):
    """Ranks on this machine, driven through ipyparallel. Calls from several threads go one after the other.

    Args:
        launcher: the program that starts MPI ranks: mpirun, mpiexec, or a path of it.
        size: how many ranks.
    Attributes:
        pids: the process of each rank.
    Raises:
        ServerError: they cannot be started.
    """

    def __init__(self, launcher: str, size: int) -> None:
        self.launcher, self.size = launcher, size
        self._lock = threading.RLock()
        self._numbers = itertools.count()
        self._generation = 0  # of ranks: parts of an earlier one are gone
        self._dropped: deque[tuple[int, int]] = deque()
        self._died: str | None = None
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._processes: Processes | None = None
        self._start()

    @property
    def pids(self) -> list[int]:
        """The process of each rank; none while they are not running."""
        processes = self._processes
        return [] if processes is None or self._died else [processes.pids[rank] for rank in range(self.size)]

    def check(self) -> None:
        if self._died:
            raise ServerError(f"{self._died}; what was on the ranks is lost. {AGAIN}")
        super().check()

    def scatter(self, rows: Rows) -> Parts:
        count = count_rows(rows)
        bounds = [share(count, rank, self.size) for rank in range(self.size)]
        return self._store(worker.keep, [((rows[first:last],), {}) for first, last in bounds])

    def gather(self, parts: Parts) -> list[Any]:
        with self._lock:
            return self._call(worker.own, [self._sent((parts,), {})], everyone=True)

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            self.check()
            return self._call(function, [self._sent(args, kwargs)])[0]

    def run_parts(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Parts:
        with self._lock:
            self.check()
            return self._store(function, [self._sent(args, kwargs)])

    def drop(self, held: Any) -> None:
        self._dropped.append(held)  # the ranks hear of it with the next call: this may be the garbage collector

    def describe(self) -> list[tuple[str, int, int, int, int, int]]:
        """Of each rank: host, process, threads, memory in use (bytes), number of parts, and their size (bytes)."""
        with self._lock:
            return self._call(worker.describe, [((), {})], everyone=True)

    def restart(self) -> None:
        """End the ranks; the next call starts new ones. What was on them is lost."""
        with self._lock:
            self._stop()

    def shut_down(self) -> None:
        with self._lock:
            self.is_up = False
            self._stop()

    # Processes

    def _start(self) -> None:
        self._renew = False
        self._generation += 1
        self._dropped.clear()
        self._processes = processes = Processes(self.launcher, self.size)
        self._watcher = threading.Thread(target=self._watch, args=(processes,), name="ranks", daemon=True)
        self._watcher.start()

    def _stop(self) -> None:
        processes, self._processes = self._processes, None
        if processes is not None:
            processes.end()

    def _watch(self, processes: Processes) -> None:
        """In a thread: the first end of one of the processes that is not our doing is the end of all."""
        ended: list[int] = []
        while not ended and processes is self._processes:
            ended = keeper.wait(list(processes.names), timeout=1.0)
        if processes is not self._processes:
            return
        if any(processes.names[pid].startswith("rank") for pid in ended):
            ended = processes.first(ended)
        ranks = sorted(processes.names[pid] for pid in ended if processes.names[pid].startswith("rank"))
        names = ranks or [processes.names[pid] for pid in ended]
        pids = ", ".join(str(pid) for pid in ended if processes.names[pid] in names)
        self._died = f"{' and '.join(names)} (process {pids}) ended unexpectedly, as it does when it is killed"
        processes.kill()
        self._events.put(None)

    # Calls

    def _sent(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return tuple(self._part(item) for item in args), {key: self._part(item) for key, item in kwargs.items()}

    def _part(self, item: Any) -> Any:
        """What stands for `Parts` in a message."""
        if not isinstance(item, Parts):
            return item
        held = item.held
        if item.session is not self:
            raise ValueError("this data belongs to another session")
        generation, number = held
        if generation != self._generation or self._processes is None:
            raise ReleasedError("this data is no longer on the ranks: they were restarted after an error")
        return worker.Part(number)

    def _store(self, function: Callable[..., Any], sent: list[Any]) -> Parts:
        with self._lock:
            number = next(self._numbers)
            try:
                self._call(function, sent, store=number)
            except BaseException:
                self._dropped.append((self._generation, number))
                raise
            return Parts(self, (self._generation, number))

    def _call(
        self, function: Callable[..., Any], sent: list[Any], store: int | None = None, everyone: bool = False
    ) -> list[Any]:
        """One call on all ranks.

        Args:
            sent: arguments and keyword arguments, those of each rank or the same for all.
        Returns:
            Every rank's result, None where it was not asked for.
        """
        with self._lock:
            self.check()
            if self._processes is None:
                self._start()
            kinds, results = self._ask(function, sent, store, everyone)
            if "unreadable" in kinds and _by_value(function, results[kinds.index("unreadable")]):
                kinds, results = self._ask(function, sent, store, everyone)
            for kind, result in zip(kinds, results, strict=True):
                if kind in ("raised", "unreadable"):
                    raise result
            if "aborted" in kinds:
                raise RankError("the ranks gave up, and none said why")
            return results

    def _ask(
        self, function: Callable[..., Any], sent: list[Any], store: int | None, everyone: bool
    ) -> tuple[list[str], list[Any]]:
        """What kind of answer each rank gave, and the result or exception."""
        processes, packed = self._processes, []
        try:
            packed.extend(Packed((function, *item), processes.folder) for item in sent)
            order = {"drop": self._to_drop(), "renew": self._renew, "store": store, "everyone": everyone}
            self._renew = False
            events = self._events = queue.SimpleQueue()
            jobs = {}
            try:
                for rank in range(self.size):
                    frames = packed[rank if len(packed) > 1 else 0].frames
                    try:
                        view = processes.client[processes.engines[rank]]
                        jobs[rank] = job = view.apply_async(worker.call, order, frames)
                    except Exception as error:  # ipyparallel's own: the engine is gone
                        self._broken(rank, error)
                    view.history.clear()
                    job.add_done_callback(lambda job, rank=rank: events.put(rank))
                with contextlib.closing(Follower(processes.folder)) as follower:
                    replies = self._await(jobs, events, follower)
                results = [self._result(frames) for _, _, *frames in replies]
                _tell([said for _, said, *_ in replies])
                return [kind for kind, *_ in replies], results
            except KeyboardInterrupt:
                self._interrupt(processes, jobs)
                raise
        finally:
            for item in packed:
                item.remove()

    def _to_drop(self) -> list[int]:
        dropped = []
        while self._dropped:
            generation, number = self._dropped.popleft()
            if generation == self._generation:
                dropped.append(number)
        return dropped

    def _await(self, jobs: dict[int, Any], events: Any, follower: Follower) -> list[Any]:
        """Every rank's answer, in the order of ranks; those that hang after an exception have none."""
        replies: dict[int, Any] = {}
        deadline = None
        while len(replies) < self.size:
            self.check()  # a rank that died
            waits = [follower.wait, None if deadline is None else max(0.0, deadline - time.monotonic())]
            try:
                rank = events.get(timeout=min((wait for wait in waits if wait is not None), default=None))
            except queue.Empty:
                if deadline is not None and time.monotonic() >= deadline:
                    self.restart()
                    break
                follower.look()
                continue
            if rank is None:
                continue
            try:
                replies[rank] = jobs[rank].get()
            except Exception as error:  # ipyparallel's own: the engine is gone, or the message was damaged
                self._broken(rank, error)
            if replies[rank][0] in ("raised", "unreadable"):
                self._renew = True
                deadline = deadline or time.monotonic() + GRACE
        return [replies[rank] for rank in sorted(replies)]

    def _broken(self, rank: int, error: Exception) -> None:
        """Ranks that cannot be spoken to are of no use."""
        for _ in range(20):  # the watcher may be about to know better
            self.check()
            time.sleep(0.05)
        self.restart()
        raise ServerError(f"rank {rank} does not answer: {type(error).__name__}: {error}") from error

    def _result(self, frames: list[Any]) -> Any:
        if not frames:
            return None
        try:
            return unpack(frames, remove=True)
        except OSError:  # a rank died, and files with it
            for _ in range(20):
                self.check()
                time.sleep(0.05)
            raise

    def _interrupt(self, processes: Processes, jobs: dict[int, Any]) -> None:
        """After Control-C: ranks that are in the middle of a call stop too, or end."""
        self._renew = True
        try:
            begin, told = time.monotonic(), -1.0
            while (now := time.monotonic() - begin) < GRACE and not self._died:
                waiting = [rank for rank, job in jobs.items() if not job.done()]
                if len(jobs) == self.size and not waiting:
                    return
                if now - told > 0.5:  # a rank that had not begun yet did not listen
                    told = now
                    for rank in waiting:
                        os.kill(processes.pids[rank], signal.SIGINT)
                time.sleep(0.01)
        except (OSError, KeyboardInterrupt):  # the second one does not wait
            pass
        self.restart()


def _tell(said: list[bytes]) -> None:
    """Print what ranks printed, and give their warnings, each once."""
    known = set()
    for rank, pickled in enumerate(said):
        if not pickled:
            continue
        text, caught = pickle.loads(pickled)
        for line in text.splitlines():
            print(f"rank {rank}: {line}")
        for message, category, file, number in caught:
            if (message, category) not in known:
                known.add((message, category))
                warnings.warn_explicit(message, category, file, number)


def _by_value(function: Callable[..., Any], error: Exception) -> bool:
    """Whether the ranks could not import the module of a function, which is sent along with it from now on."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if (
        module is None
        or not isinstance(error, (ImportError, AttributeError))
        or module.__name__.split(".")[0] == PACKAGE
    ):
        return False
    if module.__name__ in cloudpickle.list_registry_pickle_by_value():
        return False
    cloudpickle.register_pickle_by_value(module)
    return True
