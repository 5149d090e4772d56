"""A rank is killed at whatever moment: the program hears of it in seconds, nothing is left behind, all starts anew."""

import contextlib
import os
import random
import signal
import threading
import time

import numpy as np
import psutil
import pytest
from clusters import forever, leftovers, many_sums, needs_mpi, program, total

from frovedis_lite.engine.session import Here, current
from frovedis_lite.errors import ReleasedError, ServerError
from frovedis_lite.exrpc.server import FrovedisServer

pytestmark = needs_mpi
X = np.random.default_rng(0).standard_normal((20_000, 5))  # large enough to go through files
NOTICED = 5.0  # seconds


@pytest.fixture(autouse=True)
def _ended():
    yield
    FrovedisServer.shut_down()


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def is_lost(folder):
    """What the rest of a program sees of a server that died."""
    assert leftovers(folder) == []
    assert not FrovedisServer.isUP()
    with pytest.raises(ServerError, match="shut_down goes back"):
        current()
    with pytest.raises(ServerError, match="ended unexpectedly"):
        FrovedisServer.getSize()


def test_idle():
    FrovedisServer.initialize(2)
    session = current()
    folder, parts = session._processes.folder, session.scatter(X)
    kill(pid := session.pids[1])
    end = time.monotonic() + NOTICED
    while FrovedisServer.isUP() and time.monotonic() < end:
        time.sleep(0.01)
    is_lost(folder)
    with pytest.raises(ServerError, match=rf"rank 1 \(process {pid}\) ended unexpectedly"):
        session.run(total, parts)

    with FrovedisServer.initialize(2):  # without shut_down
        np.testing.assert_allclose(current().run(total, current().scatter(X)), X.sum(0))
        with pytest.raises(ReleasedError):
            parts.held  # noqa: B018
        with pytest.raises(ServerError):
            session.run(total, parts)
    assert isinstance(current(), Here)


@pytest.mark.parametrize("which", ["mpiexec", "the controller"])
def test_other_processes(which):
    FrovedisServer.initialize(2)
    session = current()
    folder = session._processes.folder
    pid = next(pid for pid, name in session._processes.names.items() if name == which)
    threading.Timer(0.5, kill, [pid]).start()
    begin = time.monotonic()
    with pytest.raises(ServerError, match=f"{which} .*ended unexpectedly"):
        session.run(forever)
    assert time.monotonic() - begin < NOTICED
    is_lost(folder)
    FrovedisServer.shut_down()
    assert current().size == 1


def kill_at_some_moment(seed):
    """A rank dies while data goes there, functions run, or results come back."""
    draw = random.Random(seed)
    FrovedisServer.initialize(2)
    session = current()
    folder, rank = session._processes.folder, draw.randrange(2)
    timer = threading.Timer(draw.uniform(0, 0.5), kill, [session.pids[rank]])
    killed_by = time.monotonic() + 0.5
    timer.start()
    with pytest.raises(ServerError, match=f"rank {rank} "):
        use_until(session, killed_by + NOTICED)
    timer.join()
    is_lost(folder)
    FrovedisServer.shut_down()


def use_until(session, end):
    while time.monotonic() < end:
        parts = session.scatter(X)
        session.run(many_sums, 200)
        session.run_parts(double, parts)
        session.gather(parts)


def double(comm, X):
    comm.barrier()
    return 2 * X


@pytest.mark.parametrize("seed", range(5))
def test_moments(seed):
    kill_at_some_moment(seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_moments():
    for seed in range(100, 150):
        kill_at_some_moment(seed)
    with FrovedisServer.initialize(2):
        np.testing.assert_allclose(current().run(total, current().scatter(X)), X.sum(0))


def test_rank_leaves():
    """A function that ends its process, which no exception tells of."""
    FrovedisServer.initialize(2)
    session = current()
    folder = session._processes.folder
    with pytest.raises(ServerError, match="rank 0 "):
        session.run(lambda comm: os._exit(0) if comm.rank == 0 else comm.barrier())
    is_lost(folder)


def test_program_is_killed_while_starting():
    """Nobody has a list of the processes then."""
    code = """
        import threading
        from frovedis_lite.engine import launch
        from frovedis_lite.exrpc.server import FrovedisServer

        start = launch.Processes._start

        def tell(self, *args):
            print(self.folder, flush=True)
            start(self, *args)

        launch.Processes._start = tell
        FrovedisServer.initialize(2)
    """
    with contextlib.closing((started := program(code)).stdout), started:
        folder = started.stdout.readline().strip()
        time.sleep(1.2)
        started.kill()
    assert leftovers(folder, within=10) == []


def test_nothing_is_left_in_this_process():
    """Neither open files nor threads pile up."""

    def count():
        process = psutil.Process()
        return process.num_fds(), threading.active_count()

    counts = []
    for _ in range(2):
        with FrovedisServer.initialize(1):
            current().run(many_sums, 1)
        time.sleep(1.2)  # threads that look once a second whether they are still needed
        counts.append(count())
    assert counts[1][0] <= counts[0][0]
    assert counts[1][1] <= counts[0][1]
