"""The server: which ranks everything runs on.

    from frovedis_lite.exrpc.server import FrovedisServer

    FrovedisServer.initialize("mpirun -np 4")  # or a number; without it this process, or the ranks of mpiexec or srun
    ...
    FrovedisServer.shut_down()

or `with FrovedisServer.initialize("mpirun -np 4"):`. The server also shuts down when the program ends, however it ends.
"""

import atexit
import os
import platform
import threading
from types import TracebackType
from typing import Self

import psutil

from frovedis_lite.engine import session as sessions
from frovedis_lite.engine.cluster import ClusterSession
from frovedis_lite.engine.launch import parse
from frovedis_lite.engine.session import Here, Session
from frovedis_lite.errors import ServerError
from frovedis_lite.native import threads

NO_SERVER = "there is no server: call FrovedisServer.initialize first"


class FrovedisServer:
    """The ranks in use. There is at most one server in a program, and all methods are of the class."""

    _session: Session | None = None
    _owner: int | None = None  # the process that called initialize: not one forked from it
    _lock = threading.RLock()

    @classmethod
    def initialize(cls, command: str | int | None = None) -> Self:
        """Start the server, or say that it is this process.

        Args:
            command: "mpirun -np 4", "mpiexec -n 4", or a number: so many ranks are started on this machine. None: this
                process, or all ranks if the program itself was started by mpiexec or srun.
        Returns:
            The server, for `with`.
        Raises:
            ServerError: there is a server already, the command is not understood, or ranks cannot be started; without a
                command, srun or mpiexec has started several programs that MPI has not made ranks of.
        """
        with cls._lock:
            if cls.isUP():
                raise ServerError("there is a server already: call FrovedisServer.shut_down first")
            cls._end()  # ranks of which one died
            sessions.use(None)
            if command is None:
                session = sessions.started()
            else:
                launcher, size = parse(command)
                here = sessions.current()
                if here.size > 1:
                    raise ServerError(
                        f"this program runs on {here.size} MPI ranks itself: FrovedisServer.initialize() uses them"
                    )
                session = ClusterSession(launcher, size)
            cls._session, cls._owner = session, os.getpid()
            sessions.use(session)
            return cls()

    @classmethod
    def shut_down(cls) -> None:
        """End the ranks; what was on them is lost, and everything runs in this process again. No error if there is no
        server."""
        with cls._lock:
            cls._end()

    @classmethod
    def isUP(cls) -> bool:
        """Whether there is a server, all of whose ranks are alive."""
        try:
            cls._running()
        except ServerError:
            return False
        return True

    @classmethod
    def getSize(cls) -> int:
        """How many ranks there are.

        Raises:
            ServerError: there is no server, or a rank of it died.
        """
        return cls._running().size

    @classmethod
    def getServerInstance(cls) -> Self:
        """The server; `initialize()` is called if there is none.

        Raises:
            ServerError: a rank of it died.
        """
        with cls._lock:
            if cls._session is None:
                return cls.initialize()
            cls._running()
            return cls()

    @classmethod
    def reset(cls) -> None:
        """Begin anew with as many ranks: what was on them is lost, and modules that have changed are imported again.

        Raises:
            ServerError: there is no server, or a rank of it died.
        """
        with cls._lock:
            session = cls._running()
            if isinstance(session, ClusterSession):
                session.restart()
            else:
                cls._end()
                cls.initialize()

    @classmethod
    def display(cls) -> str:
        """Print a table of the ranks, and return its text.

        Raises:
            ServerError: there is no server, or a rank of it died.
        """
        session = cls._running()
        if isinstance(session, ClusterSession):
            rows = session.describe()
        else:
            memory = psutil.Process().memory_info().rss
            mine = (platform.node(), os.getpid(), threads(), memory, None, None)
            rows = session.comm.allgather(mine) if isinstance(session, Here) else [mine]
        lines = [f"{'rank':>4}  {'host':<16}  {'process':>8}  {'threads':>7}  {'memory':>9}  {'held here':>20}"]
        for rank, (host, process, count, memory, parts, held) in enumerate(rows):
            data = "in the program" if parts is None else f"{parts} parts, {_readable(held)}"
            lines.append(f"{rank:>4}  {host:<16}  {process:>8}  {count:>7}  {_readable(memory):>9}  {data:>20}")
        text = "\n".join(lines)
        if not isinstance(session, Here) or session.comm.rank == 0:
            print(text)
        return text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shut_down()

    def __repr__(self) -> str:
        return f"<FrovedisServer of {self.getSize()} ranks>" if self.isUP() else "<FrovedisServer, not running>"

    @classmethod
    def _running(cls) -> Session:
        session = cls._session
        if session is None or cls._owner != os.getpid():
            raise ServerError(NO_SERVER)
        session.check()
        return session

    @classmethod
    def _end(cls) -> None:
        session, cls._session = cls._session, None
        if session is not None and cls._owner == os.getpid():
            session.shut_down()
            sessions.use(None)


def _readable(size: int) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return ""


atexit.register(FrovedisServer.shut_down)
