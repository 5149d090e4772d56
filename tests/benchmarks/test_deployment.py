"""Deployed networks in the benchmark: tables from made-up figures, and the programs that are started."""

import json
import os
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from benchmarks import deployment, processes, programs, start_up
from benchmarks.programs import Program
from benchmarks.start_up import Start

LISTED = """
    linux-vdso.so.1 (0x00007ffd)
    libtorch_cpu.so => /site/torch/lib/libtorch_cpu.so (0x00007f00)
    libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f01)
    libother.so => not found
    libgomp.so.1 => /site/torch/lib/libgomp.so.1 (0x00007f02)
    /lib64/ld-linux-x86-64.so.2 (0x00007f03)
"""
READY = 'import sys\nprint("ready", flush=True)\nsys.stdin.read()'


def row(network, threads, *ms):
    times = {name: {"median_ms": t, "spread": 0.03} for name, t in zip(("solkit", "embedded", "file"), ms, strict=True)}
    return {"network": network, "input": "1x3", "threads": threads, "error": 2e-7, **times}


ROWS = [row(name, threads, 10.0, 8.0, 12.5) for threads in (1, 2) for name in ("A", "B")]
STARTS = [
    {"title": "ours", "libraries": 1 << 20, "model": 3 << 20, "seconds": 0.05, "peak": 8 << 20},
    {"title": "Python", "libraries": None, "model": None, "seconds": 0.1, "peak": 9 << 20},
    {"title": "theirs", "reason": "RuntimeError: no [compiler]"},
]


def test_table_of_calls():
    sheet = deployment.speed_sheet(ROWS[:2], 2)
    assert sheet.title.startswith("1 thread:")
    assert sheet.rows[0] == ["A", "1x3", "10.00", "8.00", "1.25x", "12.50", "0.80x"]
    assert sheet.rows[-1] == ["geometric mean", "", "", "", "1.25x", "", "0.80x"]
    assert sheet.notes[0] == "more than 5 % slower than sol.optimize: A 1x3 (file), B 1x3 (file)"
    assert "with 2 threads" in sheet.notes[3]
    sheet = deployment.speed_sheet([row("A", 2, 10.0, 10.4, 9.0)], 2)
    assert sheet.notes == [
        "more than 5 % slower than sol.optimize: none",
        "largest difference, of the largest output: 2e-07",
        "largest distance between the quartiles, of the median: 3 %",
    ]


def test_table_of_starts():
    sheet = start_up.start_sheet(STARTS)
    assert sheet.rows == [
        ["ours", "1.0", "3.0", "50.0", "8.0"],
        ["Python", "-", "-", "100.0", "9.0"],
        ["theirs", "-", "-", "-", "-"],
    ]
    assert sheet.notes[-1] == "theirs has no figures: RuntimeError: no [compiler]"


def test_all_tables_of_a_run(monkeypatch, tmp_path):
    asked = []

    def call(function, *arguments, cache):
        *given, folder = arguments
        asked.append((function.__name__, *given))
        assert cache == f"{folder}/cache"
        return STARTS if function is start_up.time_starts else ROWS

    monkeypatch.setattr(processes, "call", call)
    app = typer.Typer()
    app.command()(deployment.main)
    files = ["--json", str(tmp_path / "new" / "all.json"), "--markdown", str(tmp_path / "all.md")]
    done = CliRunner().invoke(app, ["--networks", "resnet18", *files], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert asked == [("time_network", "resnet18", [1, 2], deployment.ROUNDS), ("time_starts", 2)]
    assert "2 threads: ms of a call" in done.output
    assert "no [compiler]" in done.output
    figures = json.loads((tmp_path / "new" / "all.json").read_text())
    assert (figures["rows"], figures["start_up"]) == (ROWS, STARTS)
    assert "| ours | 1.0 | 3.0 | 50.0 | 8.0 |" in (tmp_path / "all.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"networks": "resnet"}, "no network is called resnet; there are mobilenet_v2"),
        ({"threads": "1,0"}, "--threads takes whole numbers above 0"),
    ],
)
def test_wrong_arguments(arguments, says):
    with pytest.raises(typer.BadParameter, match=says):
        deployment.main(**{"networks": "resnet18", "threads": "1", **arguments})


def test_a_process_has_the_cache_it_is_given_or_one_of_its_own(tmp_path):
    assert processes.call(os.getenv, "SOL_CACHE_DIR", cache=str(tmp_path)) == str(tmp_path)
    alone = Path(processes.call(os.getenv, "SOL_CACHE_DIR"))
    assert alone.name.startswith("benchmark-")
    assert not alone.exists()


def test_libraries_of_a_folder():
    found = start_up.libraries(LISTED, Path("/site/torch"))
    assert [path.name for path in found] == ["libtorch_cpu.so", "libgomp.so.1"]


def test_flat():
    one = torch.arange(4.0).reshape(2, 2)
    assert programs.flat({"a": one, "b": (one[0].numpy(),)}).tolist() == [0, 1, 2, 3, 0, 1]


def test_turns_begin_with_another_engine_each_time():
    order = []

    def block(name):
        return lambda: order.append(name) or [1e-3]

    times = deployment.in_turns({name: block(name) for name in "abc"}, 2)
    assert "".join(order) == "abcbca"
    assert times["b"].seconds == [1e-3, 1e-3]


def test_programs_that_start_and_one_that_does_not(tmp_path):
    with Program([sys.executable, "-c", READY]) as program:
        assert program.seconds > 0
        assert program.peak() > 1 << 20
    with pytest.raises(RuntimeError, match=r"ended with 1: .*no library"):
        Program([sys.executable, "-c", "raise SystemExit('no library')"])
    (tmp_path / "output").write_bytes(np.ones(2, np.float32).tobytes())
    start = Start([sys.executable, "-c", READY], 0, 0, tmp_path / "output")
    assert len(start_up._start("right", start, np.ones(2, np.float32))) == 2
    with pytest.raises(ValueError, match=r"wrong: wrong result, by 5\.0e-01 of the largest output"):
        start_up._start("wrong", start, np.full(2, 2.0, np.float32))


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="it is deployed for x86-64")
def test_deployed_network_is_called_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setenv("SOL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("benchmarks.measure.PAUSE", 0)
    monkeypatch.setattr("benchmarks.measure.BLOCK", 0.001)
    model, inputs = torch.nn.Linear(8, 4).eval(), (torch.rand(2, 8),)
    threads = torch.get_num_threads()
    try:
        folder = programs.deployed((model, inputs), "file", 1, tmp_path / "linear")
        assert folder == programs.deployed((model, inputs), "file", 1, tmp_path / "linear")
    finally:
        torch.set_num_threads(threads)
    with torch.no_grad():
        found = deployment._side_by_side(lambda: model(*inputs), {"file": folder}, 1, 1, 2)
    assert found["error"] < 1e-5
    assert found["file"]["median_ms"] > 0
    start = start_up._solkit((model, inputs), "file", 1, tmp_path / "linear")
    assert start.model < 4096 < start.libraries
