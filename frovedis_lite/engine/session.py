"""Where data lies and code runs: in this process, on the ranks of an MPI program that this is one of, or on ranks that
this process has started (`engine/cluster.py`). The same calls on all three.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Alone, Communicator, Ranks
from frovedis_lite.engine.world import ranks, world
from frovedis_lite.errors import ReleasedError, ServerError

Rows = np.ndarray | sparse.csr_array | sparse.csr_matrix | Sequence[Any]


class Parts:
    """A handle of something of which every rank has a part. It is released when nobody has the handle any more.

    Args:
        session: whose ranks these are.
        held: what the session knows it by.
    """

    def __init__(self, session: "Session", held: Any) -> None:
        self.session, self._held = session, held

    @property
    def held(self) -> Any:
        """What the session knows it by.

        Raises:
            ReleasedError: it was released, or its ranks have shut down.
        """
        if self._held is None or not self.session.is_up:
            raise ReleasedError("this data is no longer on the ranks: it was released, or the server was shut down")
        return self._held

    def release(self) -> None:
        """Give back the memory on the ranks."""
        held, self._held = self._held, None
        if held is not None and self.session.is_up:
            self.session.drop(held)

    def __del__(self) -> None:
        try:
            self.release()
        except Exception:  # while Python ends, the ranks may be gone already
            self._held = None


class Session(ABC):
    """What runs functions on ranks.

    Attributes:
        size: how many ranks there are.
        is_up: whether they can be used.
    """

    size: int
    is_up: bool = True

    @abstractmethod
    def scatter(self, rows: Rows) -> Parts:
        """Rows shared out in order, nearly the same number to each rank: an array or CSR matrix by its first dimension,
        or a list."""

    @abstractmethod
    def gather(self, parts: Parts) -> list[Any]:
        """Every rank's part, in the order of ranks."""

    @abstractmethod
    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """`function(comm, *args, **kwargs)` on every rank, with its own part where an argument is `Parts`.

        Returns:
            Rank 0's result.
        Raises:
            Exception: what the function raised on the first rank that raised something.
        """

    @abstractmethod
    def run_parts(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Parts:
        """The same, but each rank's result stays where it is."""

    @abstractmethod
    def drop(self, held: Any) -> None:
        """Forget what `Parts` held."""

    def check(self) -> None:
        """See whether the ranks can be used.

        Raises:
            ServerError: they were shut down, or one of them died.
        """
        if not self.is_up:
            raise ServerError("these ranks were shut down: FrovedisServer.initialize starts new ones")

    def shut_down(self) -> None:
        """End the ranks. Calling it again does nothing."""
        self.is_up = False


class Here(Session):
    """Ranks that run this very program: one process, or each process of `mpiexec` or `srun`.

    Every rank makes the same calls with the same data, and keeps its own share of them.
    """

    def __init__(self, comm: Communicator | None = None) -> None:
        self.comm = comm or Alone()
        self.size = self.comm.size

    def scatter(self, rows: Rows) -> Parts:
        first, last = share(count_rows(rows), self.comm.rank, self.size)
        return Parts(self, [rows if self.size == 1 else rows[first:last]])

    def gather(self, parts: Parts) -> list[Any]:
        return self.comm.allgather(parts.held[0])

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        local = [local_part(item) for item in args]
        return function(self.comm, *local, **{key: local_part(item) for key, item in kwargs.items()})

    def run_parts(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Parts:
        return Parts(self, [self.run(function, *args, **kwargs)])

    def drop(self, held: Any) -> None:
        held.clear()


def local_part(item: Any) -> Any:
    """The part of `Parts` that is in this process; anything else as it is."""
    return item.held[0] if isinstance(item, Parts) else item


def count_rows(rows: Rows) -> int:
    """How many rows there are to share out."""
    return rows.shape[0] if hasattr(rows, "shape") else len(rows)


def share(count: int, rank: int, size: int) -> tuple[int, int]:
    """The first row of a rank's share of so many, and the one behind its last."""
    return count * rank // size, count * (rank + 1) // size


_lock = threading.Lock()
_current: Session | None = None


def current() -> Session:
    """The session that estimators and matrices use: the one of `FrovedisServer`, or this process.

    Raises:
        ServerError: a rank of the server died. To go on without it, in this process, is for the caller to decide.
    """
    global _current
    with _lock:
        if _current is None or not _current.is_up:
            _current = _here(world())
        _current.check()
        return _current


def started() -> Session:
    """The ranks that `mpiexec` or `srun` started, made the current session; this process if it was started alone.

    Raises:
        ServerError: the program was started several times, but MPI does not make ranks of that.
    """
    session = _here(ranks())
    use(session)
    return session


def _here(mpi: Any) -> Session:
    return Here(Alone() if mpi is None else Ranks(mpi))


def use(session: Session | None) -> None:
    """Make `session` the current one; None: this process again."""
    global _current
    with _lock:
        _current = session
