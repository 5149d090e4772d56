"""Two ranks in the benchmark: collectives counted, the model's arithmetic, and a run on small data."""

import importlib.util
import json
import os

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks import analytics_ranks, collectives
from benchmarks.analytics_data import Set, blobs, dense_classes, sparse_classes
from benchmarks.collectives import Call, Network, recording
from frovedis_lite import native
from frovedis_lite.engine.session import Here

NETWORK = Network("net", 1.0, 10.0)
SMALL = {
    "dense": Set("small dense", lambda: dense_classes(2000, 5)),
    "blobs": Set("small blobs", lambda: blobs(2000, 4, 3)),
    "sparse": Set("small sparse", lambda: sparse_classes(2000, 300, 5)),
}


def talk(comm, part, scale=1):
    comm.bcast(np.zeros(3))
    comm.exscan(len(part))
    comm.barrier()
    comm.gather(None)
    comm.alltoall([np.zeros(4, np.float32)])
    comm.allgather(np.zeros((2, 2)))
    return comm.allreduce(part * scale).sum() + comm.allreduce(1, "max")


def test_calls_are_noted_and_results_are_the_same():
    here = Here()
    part = here.scatter(np.ones(5))
    with recording(here) as records:
        assert here.run(talk, part, scale=2) == 11
        assert here.gather(here.run_parts(talk, part)) == [6]
    (record,) = records
    once = [("bcast", 24), ("exscan", 8), ("barrier", 0), ("gather", 4), ("alltoall", 16), ("allgather", 32)]
    assert [(call.kind, call.bytes) for call in record.calls] == 2 * [*once, ("allreduce", 40), ("allreduce", 8)]
    assert 0 < record.compute < record.seconds
    with recording(here) as records:
        pass
    assert records[0].calls == []
    assert "run" not in vars(here)


@pytest.mark.parametrize(
    ("kind", "size", "ranks", "seconds"),
    [
        ("allreduce", 10, 1, 0),
        ("allreduce", 10, 2, 1 + 1),
        ("allreduce", 10, 8, 3 * (1 + 1)),  # by doubling
        ("allreduce", 8000, 8, 2 * 3 + 2 * 7 / 8 * 800),  # by Rabenseifner's algorithm
        ("allreduce", 0, 5, 3),
        ("bcast", 10, 4, 2 * (1 + 1)),
        ("gather", 10, 4, 2 + 3),
        ("allgather", 10, 4, 2 + 3),
        ("alltoall", 40, 4, 3 + 3),
        ("barrier", 0, 64, 6),
        ("exscan", 10, 4, 2 * 2),
    ],
)
def test_cost_of_a_collective(kind, size, ranks, seconds):
    assert NETWORK.seconds(kind, size, ranks) == pytest.approx(seconds)
    assert NETWORK.total([Call(kind, size, 9.0)] * 2, ranks) == pytest.approx(2 * seconds)


def test_what_cannot_be_said():
    with pytest.raises(ValueError, match="there is no collective 'scan'"):
        NETWORK.seconds("scan", 1, 2)
    with pytest.raises(ValueError, match="between two ranks, not 1"):
        collectives.measured("net", Here())
    with pytest.raises(typer.BadParameter, match=r"no task is called lr; there are lr_dense"):
        analytics_ranks.main("lr")


def test_threads_are_those_of_before_afterwards(monkeypatch):
    monkeypatch.setenv("FROVEDIS_THREADS", "3")
    native.threads.cache_clear()
    with analytics_ranks.using(2):
        assert native.threads() == 2
    assert native.threads() == 3
    monkeypatch.delenv("FROVEDIS_THREADS")
    with analytics_ranks.using(1):
        assert native.threads() == 1
    assert "FROVEDIS_THREADS" not in os.environ


def test_tables():
    said = {"net": {1: 8.0, 2: 4.4, 8: 2.0, 64: 1.0}}
    parts = {"caller": {64: 0.25}, "computed": {64: 0.5}, "in_collectives": {"net": {64: 0.25}}}
    seconds = {"half": 8.0, "whole": 4.5, "ranks": 4.0}
    row = {"about": "fit", "data": "d", "seconds": seconds, "difference": 1e-9, "modelled": said, **parts}
    row |= {"collectives": 12, "bytes": 5_000_000}
    sheet = analytics_ranks._speed_sheet([row], 1)
    assert sheet.header[2:5] == ["1 rank, 1 thread", "1 rank, 2 threads", "2 ranks"]
    assert sheet.rows[0] == ["fit", "d", "8.000", "4.500", "4.000", "2.00x", "1.12x", "1e-09"]
    sheet = analytics_ranks._model_sheet([row], NETWORK, 1, True)
    assert sheet.title.startswith("Modelled, not measured: ")
    assert sheet.header[4:8] == ["1 rank", "2 ranks", "measured", "8 ranks"]
    assert sheet.rows == [["fit", "d", "12", "5", "8.000", "4.400 (1.8x)", "4.000", "2.000 (4.0x)", "1.000 (8.0x)"]]
    assert sheet.notes[1:] == [
        "the model of 2 ranks is +10 % to +10 % off what was measured",
        "fit of d, 64 ranks: 0.2500 s of the caller, 0.5000 s computed, 0.2500 s in collectives",
    ]
    sheet = analytics_ranks._model_sheet([row], NETWORK, 1, False)
    assert "measured" not in sheet.header
    assert len(sheet.header) == len(sheet.rows[0])
    assert len(sheet.notes) == 2


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ipyparallel", "mpi4py")), reason="no MPI ranks"
)
def test_all_tables_of_a_run(monkeypatch, tmp_path):
    monkeypatch.setattr(analytics_ranks, "SETS", SMALL)
    monkeypatch.setattr(analytics_ranks, "PAUSE", 0)
    monkeypatch.setattr(collectives, "LARGE", 1 << 10)
    app = typer.Typer()
    app.command()(analytics_ranks.main)
    files = ["--json", str(tmp_path / "new" / "all.json"), "--markdown", str(tmp_path / "all.md")]
    done = CliRunner().invoke(app, ["--rounds", "1", *files])
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "new" / "all.json").read_text())["rows"]
    assert [row["task"] for row in rows] == analytics_ranks.DEFAULT
    for row in rows:
        assert row["difference"] < 1e-6
        assert row["kinds"]["allreduce"] > 3
        assert row["bytes"] > 8 * row["kinds"]["allreduce"]
        assert min(row["computed"].values()) > 0
    assert "**Modelled, not measured:" in (tmp_path / "all.md").read_text()
