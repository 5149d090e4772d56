"""Starting MPI ranks on this machine through ipyparallel, and ending them without leftovers.

A controller and the engines (one on each rank) listen on the loopback interface only; who connects needs the keys of
CurveZMQ, or where pyzmq lacks it of ipyparallel's signed messages, out of a folder that only the user can read.
"""

import logging
import os
import re
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from frovedis_lite.engine import keeper
from frovedis_lite.engine.world import INSTALL, cores
from frovedis_lite.errors import ServerError

START_TIMEOUT = 90.0  # seconds


def parse(command: str | int) -> tuple[str, int]:
    """The launcher and the number of ranks in a command such as "mpirun -np 4", or a number.

    Raises:
        ServerError: it is not understood, or asks for too many or no ranks.
    """
    name, text = "mpiexec", ""
    if isinstance(command, bool) or not isinstance(command, (int, str)):
        raise ServerError(f'the command is a text like "mpirun -np 4" or a number of ranks, not {command!r}')
    if isinstance(command, int):
        text = str(command)
    else:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ServerError(f"the command {command!r} is not understood: {error}") from error
        match words:
            case [name, "-n" | "-np" | "--np" | "--n", text] if Path(name).name in ("mpirun", "mpiexec"):
                pass
            case _:
                raise ServerError(
                    f'the command {command!r} is not understood: give "mpirun -np 4", or the number of ranks. '
                    "What runs on the ranks is Python with this package, so no program is named"
                )
    most = max(16, 4 * cores())
    if not re.fullmatch(r"-?\d+", text) or not 1 <= int(text) <= most:
        where = "job" if "SLURM_JOB_ID" in os.environ else "machine"
        raise ServerError(f"between 1 and {most} ranks can be started on this {where}'s {cores()} cores, not {text}")
    return name, int(text)


def find(name: str) -> str:
    """The launcher: where a path says, beside this Python (the mpich wheel's), or on PATH.

    Raises:
        ServerError: there is none.
    """
    beside = Path(sys.executable).with_name(Path(name).name)
    path = shutil.which(beside) if "/" not in name and beside.exists() else shutil.which(name)
    if path is None:
        raise ServerError(f"there is no {name} beside Python or on PATH: {INSTALL}, or install MPI")
    return path


class Processes:
    """Ranks and their controller.

    Args:
        launcher: as `parse` gives it.
        size: how many ranks.
    Attributes:
        client: ipyparallel's.
        engines: ipyparallel's number of the engine on each rank.
        names: what each process is, by its number ("rank 0", ...).
        folder: where files of these ranks may lie.
    Raises:
        ServerError: they cannot be started.
    """

    def __init__(self, launcher: str, size: int) -> None:
        path = find(launcher)
        try:
            import ipyparallel
            import mpi4py  # noqa: F401  it is the ranks that need it; better to know now
        except ImportError as error:
            raise ServerError(f"more than one process needs {error.name}: {INSTALL}") from error
        shared = "/dev/shm"
        self.folder = Path(tempfile.mkdtemp(prefix="frovedis-", dir=shared if os.access(shared, os.W_OK) else None))
        self._cluster: Any = None
        self._launcher = path
        self.client: Any = None
        self.names: dict[int, str] = {}
        self._keeper = keeper.start(os.getpid(), str(self.folder))
        try:
            self._start(ipyparallel, path, size)
        except ServerError:
            self.end()
            raise
        except Exception as error:
            text = self._log()
            self.end()
            raise ServerError(f"the ranks could not be started: {type(error).__name__}: {error}{text}") from error
        except BaseException:  # interrupted
            self.end()
            raise

    def _start(self, ipyparallel: Any, path: str, size: int) -> None:
        import zmq

        begin = time.monotonic()
        key = secrets.token_hex(32).encode()  # messages are signed besides
        (self.folder / "ipcontroller_config.py").write_text(
            f"c = get_config()\nc.Session.key = {key!r}\nc.IPController.enable_curve = {bool(zmq.has('curve'))}\n"
        )
        log = logging.getLogger("frovedis_lite.engine.launch")
        log.setLevel(logging.CRITICAL + 1)  # how ranks end is told by exceptions
        self._cluster = ipyparallel.Cluster(
            engines="mpi",
            n=size,
            cluster_id="frovedis",
            profile_dir=str(self.folder),
            load_profile=False,
            cluster_file="",
            controller_ip="127.0.0.1",
            controller_args=[
                "--IPController.use_threads=True",  # one process where there would be eight
                "--nodb",
                "--HeartMonitor.period=200",  # ms; an engine is registered when its second heartbeat has come
                "--HeartMonitor.max_heartmonitor_misses=1000",  # who has died is seen here, and sooner
            ],
            shutdown_atexit=False,
            log=log,
            config=self._config(path, size),
        )
        self._cluster.start_controller_sync()
        self._cluster.start_engines_sync(n=size)
        self.client = self._cluster.connect_client_sync()
        while len(self.client.ids) < size:
            if any(engines.state == "after" for engines in self._cluster.engines.values()):
                raise ServerError(f"{path} ended before its {size} ranks were up{self._log()}")
            if time.monotonic() - begin > START_TIMEOUT:
                raise ServerError(f"the {size} ranks were not up after {START_TIMEOUT:.0f} seconds{self._log()}")
            time.sleep(0.01)
        self._greet(size, max(5.0, START_TIMEOUT + begin - time.monotonic()))

    def _config(self, path: str, size: int) -> Any:
        from traitlets.config import Config

        threads = str(max(1, cores() // size))
        config = Config()
        config.BaseLauncher.environment = {
            keeper.MARK: str(self.folder),
            "IPYTHONDIR": str(self.folder),
            "FROVEDIS_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            # In a Slurm job Hydra would have srun start the ranks, which waits for cores that this very program holds.
            "HYDRA_LAUNCHER": "fork",
            "HYDRA_RMK": "user",
            # MPI itself: Hydra (MPICH), libfabric and Open MPI, each on the loopback interface
            "HYDRA_IFACE": "lo",
            "FI_TCP_IFACE": "lo",
            "FI_SOCKETS_IFACE": "lo",
            "OMPI_MCA_btl_tcp_if_include": "lo",
        }
        # An srun that started this program says so in variables which ranks of another MPI stumble over.
        of_srun = [word for name in os.environ if name.startswith(("PMI_", "PMI2_", "PMIX_")) for word in ("-u", name)]
        config.MPILauncher.mpi_cmd = ["env", *of_srun, path] if of_srun else [path]
        config.EngineLauncher.engine_args = [
            "--IPEngine.enable_nanny=False",
            "--IPEngine.max_heartbeat_misses=0",
        ]  # ranks are watched here
        return config

    def _greet(self, size: int, timeout: float) -> None:
        """Ranks say who they are."""
        from frovedis_lite.engine import worker

        ids = self.client.ids
        jobs = [self.client[i].apply_async(worker.start, str(self.folder), sys.path, os.getpid()) for i in ids]
        said = [job.get(timeout=timeout) for job in jobs]
        ranks = {rank: engine for engine, (rank, _, _) in zip(ids, said, strict=True)}
        if sorted(ranks) != list(range(size)) or any(count != size for _, count, _ in said):
            raise ServerError(f"the processes that {self._launcher} started are not {size} MPI ranks")
        self.engines = [ranks[rank] for rank in range(size)]
        self.names = {pid: f"rank {rank}" for rank, _, pid in said}
        self.pids = {rank: pid for rank, _, pid in said}
        self.names[self._cluster.engine_set.pid] = "mpiexec"
        self.names[self._cluster.controller.pid] = "the controller"

    def _log(self) -> str:
        """The last lines that the launcher and its ranks wrote, or if there are none, the controller."""
        cluster = self._cluster
        for process in (cluster.engine_set, cluster.controller) if cluster is not None else ():
            lines = process.get_output().splitlines()[-15:] if process is not None else []
            if lines:
                return "".join(f"\n  {line}" for line in lines)
        return ""

    def first(self, ended: list[int]) -> list[int]:
        """Of ranks that have ended, the one that the launcher names: it ends all others after it, so fast that their
        ends may be seen before. Else all."""
        mpiexec = self._cluster.engine_set
        keeper.wait([mpiexec.pid], timeout=1.0)
        named = re.search(r"PID (\d+) RUNNING AT", mpiexec.get_output())
        return [int(named[1])] if named and int(named[1]) in self.names else ended

    def kill(self) -> None:
        """End all processes and remove their files. From any thread, and again."""
        keeper.end_all(str(self.folder))
        self._keeper.kill()
        self._keeper.wait()

    def end(self) -> None:
        """The same, and close the connection to them."""
        self.kill()
        client, self.client = self.client, None
        if client is not None:
            client.close(linger=0)
