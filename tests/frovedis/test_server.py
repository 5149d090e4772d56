"""The server's life: starting, using, ending, and every way to do it wrong."""

import contextlib
import os
import sys

import numpy as np
import pytest
from clusters import leftovers, needs_mpi, program, total
from ranks import on_ranks

from frovedis_lite.engine import launch
from frovedis_lite.engine.session import Here, current
from frovedis_lite.errors import ReleasedError, ServerError
from frovedis_lite.exrpc.server import FrovedisServer

X = np.arange(24.0).reshape(12, 2)


@pytest.fixture(autouse=True)
def _ended():
    yield
    FrovedisServer.shut_down()


def test_this_process(capsys):
    assert not FrovedisServer.isUP()
    server = FrovedisServer.initialize()
    assert FrovedisServer.isUP()
    assert FrovedisServer.getSize() == 1
    assert isinstance(current(), Here)
    assert str(os.getpid()) in FrovedisServer.display()
    assert str(os.getpid()) in capsys.readouterr().out
    assert "1 ranks" in repr(server)
    parts = current().scatter(X)
    FrovedisServer.reset()
    with pytest.raises(ReleasedError):
        current().gather(parts)
    FrovedisServer.shut_down()
    FrovedisServer.shut_down()
    assert "not running" in repr(server)


@needs_mpi
def test_ranks():
    with FrovedisServer.initialize("mpirun -np 2"):
        session = current()
        folder = session._processes.folder
        assert oct(folder.stat().st_mode)[-3:] == "700"
        assert FrovedisServer.getSize() == session.size == 2
        parts = session.scatter(X)
        np.testing.assert_array_equal(session.run(total, parts), X.sum(0))
        text = FrovedisServer.display()
        assert all(str(pid) in text for pid in session.pids)
        assert f"1 parts, {X.nbytes // 2} B" in text
        with pytest.raises(ServerError, match="shut_down first"):
            FrovedisServer.initialize("mpirun -np 2")

        FrovedisServer.reset()
        with pytest.raises(ReleasedError, match="restarted"):
            session.gather(parts)
        assert session.run(total, session.scatter(X), factor=2)[0] == 2 * X.sum(0)[0]
        later = session._processes.folder
    assert leftovers(folder) == leftovers(later) == []
    assert not FrovedisServer.isUP()
    assert isinstance(current(), Here)
    with pytest.raises(ReleasedError, match="shut down"):
        session.gather(parts)
    with pytest.raises(ServerError, match="were shut down"):
        session.run(total, X)
    for use in (FrovedisServer.getSize, FrovedisServer.display, FrovedisServer.reset):
        with pytest.raises(ServerError, match="initialize first"):
            use()
    assert FrovedisServer.getServerInstance().getSize() == 1


@needs_mpi
def test_listens_on_this_machine_only():
    import psutil

    with FrovedisServer.initialize(1):
        processes = current()._processes
        controller = next(pid for pid, name in processes.names.items() if name == "the controller")
        listening = [c.laddr.ip for c in psutil.Process(controller).net_connections("inet") if c.status == "LISTEN"]
        assert set(listening) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("mpirun -np x", "between 1 and"),
        ("mpirun -np 0", "between 1 and"),
        ("mpirun -np 100000", "between 1 and"),
        (-1, "between 1 and"),
        ("mpirun 4", "not understood"),
        ("mpirun -np 4 frovedis_server", "no program is named"),
        ("rm -rf /", "not understood"),
        ("", "not understood"),
        ("mpirun -np '4", "not understood"),
        (2.0, "not 2.0"),
        (True, "not True"),
        ("/nowhere/mpirun -np 2", "there is no /nowhere/mpirun"),
    ],
)
def test_commands(command, message):
    with pytest.raises(ServerError, match=message):
        FrovedisServer.initialize(command)
    assert not FrovedisServer.isUP()


def test_no_mpi(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ServerError, match="pip install"):
        FrovedisServer.initialize(2)


@needs_mpi
@pytest.mark.parametrize("text", ["#!/bin/sh\necho out of slots; exit 3", "#!/bin/sh\nsleep 60"])
def test_mpi_does_not_start(monkeypatch, tmp_path, text):
    """A launcher that fails, and one that hangs."""
    monkeypatch.setattr(launch, "START_TIMEOUT", 3.0)
    folders = []
    start = launch.Processes._start
    monkeypatch.setattr(
        launch.Processes, "_start", lambda self, *args: folders.append(self.folder) or start(self, *args)
    )
    path = tmp_path / "mpirun"
    path.write_text(text)
    path.chmod(0o755)
    with pytest.raises(ServerError, match="out of slots" if "slots" in text else "not up after 3 seconds"):
        FrovedisServer.initialize(f"{path} -np 2")
    assert leftovers(folders[0]) == []
    assert isinstance(current(), Here)


@needs_mpi
def test_within_mpiexec():
    said = on_ranks(
        2,
        """
        from frovedis_lite.engine.session import current
        from frovedis_lite.exrpc.server import FrovedisServer

        with FrovedisServer.initialize() as server:
            assert server.getSize() == 2
            assert current().run(lambda comm: comm.allreduce(1)) == 2
            assert server.display().count("in the program") == 2
        try:
            FrovedisServer.initialize("mpirun -np 2")
        except RuntimeError as error:
            print(error)
        """,
    )
    assert said.count("runs on 2 MPI ranks itself") == 2


@needs_mpi
@pytest.mark.parametrize(
    "end",
    [
        "raise KeyError",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "current()._processes._keeper.kill(); os.kill(os.getpid(), signal.SIGKILL)",
    ],
    ids=["error", "killed", "killed with its keeper"],
)
def test_program_ends(end):
    """Without shut_down: by an error, and killed in the middle of a run."""
    code = f"""
        import os, signal, threading, time
        from clusters import forever
        from frovedis_lite.engine.session import current
        from frovedis_lite.exrpc.server import FrovedisServer

        FrovedisServer.initialize(2)
        print(current()._processes.folder, flush=True)
        if "kill" in {end!r}:
            threading.Thread(target=lambda: current().run(forever), daemon=True).start()
            time.sleep(0.5)
        {end}
    """
    with contextlib.closing((started := program(code)).stdout), started:
        folder = started.stdout.readline().strip()
        started.wait(timeout=60)
    assert leftovers(folder, within=10) == []
