"""Progress shows where somebody looks, after two seconds, and goes away."""

import time

import pytest
from clusters import needs_mpi

from frovedis_lite.engine import progress as module
from frovedis_lite.engine.cluster import ClusterSession
from frovedis_lite.engine.progress import progress


class Lines:
    """Stands for the bar on a terminal."""

    said: list = []  # noqa: RUF012

    def show(self, what, done, total):
        self.said.append((what, done, total))

    def close(self):
        self.said.append("closed")


@pytest.fixture
def said(monkeypatch):
    """What shows, if the terminal were one."""
    monkeypatch.setattr(module, "AFTER", 0.2)
    monkeypatch.setattr(module, "EVERY", 0.05)
    monkeypatch.setattr(module, "is_seen", lambda: True)
    monkeypatch.setattr(module, "bar", Lines)
    Lines.said = []
    return Lines.said


def fit(count=8, pause=0.1):
    with progress("fitting", count) as step:
        for i in range(count):
            time.sleep(pause)
            with progress("inside") as inner:
                inner(i)
            step(i + 1)


def test_shows(said):
    fit()
    assert said[-1] == "closed"
    assert all(what == "fitting" and total == 8 for what, _, total in said[:-1])
    assert [done for _, done, _ in said[:-1]] == sorted(done for _, done, _ in said[:-1])
    assert 2 <= said[0][1] <= 4


def test_short_ones_are_silent(said):
    fit(3, 0.01)
    assert said == []


def test_error(said):
    def fails():
        with progress("fitting") as step:
            time.sleep(0.3)
            step(1)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert said == [("fitting", 1, None), "closed"]
    fit(4, 0.1)
    assert said[-1] == "closed"


def test_nobody_looks(monkeypatch, capfd):
    monkeypatch.setattr(module, "AFTER", 0.0)
    fit(3, 0.01)
    assert capfd.readouterr() == ("", "")


def test_bar(monkeypatch):
    """rich's own takes what it is given."""
    bar = module.TerminalBar()
    bar.show("fitting", 1, 10)
    bar.show("fitting", 2, None)
    bar.close()


def on_ranks(comm, count):
    with progress("fitting", count) as step:
        for i in range(count):
            time.sleep(0.1)
            comm.barrier()
            step(i + 1)
    return comm.rank


@needs_mpi
def test_ranks(said):
    session = ClusterSession("mpiexec", 2)
    try:
        session.run(lambda comm: setattr(__import__("frovedis_lite.engine.progress").engine.progress, "AFTER", 0.2))
        assert session.run(on_ranks, 15) == 0
        assert said[-1] == "closed"
        assert len(said) > 2
        assert all(what == "fitting" and total == 15 for what, _, total in said[:-1])
        assert not (session._processes.folder / "progress").exists()
    finally:
        session.shut_down()


IN_A_CELL = """
import time
from frovedis_lite.engine import progress as module
module.AFTER = module.EVERY = 0.0
with module.progress("fitting", 3) as step:
    for i in range(3):
        time.sleep(0.01)
        step(i + 1)
"""


def test_in_a_notebook(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(IN_A_CELL)])
    said = []

    class Client(nbclient.NotebookClient):
        def process_message(self, message, cell, index):
            said.append(message["content"].get("data", {}).get("text/plain"))
            return super().process_message(message, cell, index)

    Client(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "fitting: 3 of 3, 0 s" in said
    assert [dict(output["data"]) for output in notebook.cells[0].outputs] == [{"text/plain": "", "text/html": ""}]
