"""Several processes and one cache: at once, one after the other, and one that is stopped half way."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from compare import agree, images
from torch import nn

import solkit as sol
from solkit import cache
from solkit.toolchain import find_compiler

X = images(2, 3, 8, 8)
SCRIPT = """
import sys, time
from pathlib import Path
import torch
from torch import nn
import solkit as sol

torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1)).eval()
x = torch.ones(2, 3, 8, 8)
print("ready", flush=True)
while not Path(sys.argv[1]).exists():
    time.sleep(0.01)
made = sol.optimize(model, x)
with torch.no_grad():
    torch.testing.assert_close(made(x), model(x))
print("right", "torch._dynamo" in sys.modules, [row.ops for row in made.explain().rows], flush=True)
"""


def model():
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1)).eval()


@pytest.fixture
def start(tmp_path, cache_folder):
    """A function that starts a process which optimizes a model as soon as the file `go` is there."""
    (tmp_path / "script.py").write_text(SCRIPT)
    started = []

    def begin(**environment):
        command = [sys.executable, tmp_path / "script.py", tmp_path / "go"]
        process = subprocess.Popen(
            command,
            env={**os.environ, "SOL_LOG": "INFO", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a group of its own, to which signals go as from a terminal
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def whole(folder):
    """Names of all entries, none of them half made."""
    names = [path.name for path in folder.iterdir() if len(path.name) == 64]
    assert all(cache.find(name) for name in names)
    return sorted(names)


def temporary(folder):
    return list(folder.glob(f"{cache._TEMPORARY}*"))


def test_two_at_once_on_an_empty_cache(start, tmp_path, cache_folder):
    processes = [start(), start()]
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert all(out.startswith("right True") for out, _ in said)
    assert len(whole(cache_folder)) == 3  # graph, program, runtime
    assert temporary(cache_folder) == []

    # A third finds everything there, in whatever process: it neither captures nor compiles.
    third = start()
    out, log = third.communicate(timeout=120)
    assert out.startswith("right False"), "a kept graph needs nothing of torch.export"
    assert "capturing" not in log
    assert "compiling" not in log
    assert out.partition("[")[2] == said[0][0].partition("[")[2]


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_stopped_in_the_middle_of_a_compile(start, tmp_path, cache_folder, monkeypatch, stop):
    compiler = " ".join(find_compiler().command)
    slow = tmp_path / "cc"
    slow.write_text(
        f"""#!/bin/sh
case "$*" in *--version) exec {compiler} --version;; esac
{compiler} "$@" || exit 1
mkdir {tmp_path}/at-it 2>/dev/null && sleep 60
exit 0
"""
    )
    slow.chmod(0o755)
    monkeypatch.setenv("CC", str(slow))
    (tmp_path / "go").touch()
    process = start()
    end = time.monotonic() + 60
    while not (tmp_path / "at-it").exists():
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, stop)
    out, log = process.communicate(timeout=60)
    assert out == ""
    assert process.returncode != 0
    assert len(temporary(cache_folder)) == (stop == signal.SIGKILL), log
    if stop == signal.SIGINT:
        assert "KeyboardInterrupt" in log

    before = whole(cache_folder)
    optimized = sol.optimize(model(), X)
    with torch.no_grad():
        agree(optimized(X), optimized.__dict__["_model"], (X,), {})
    assert len(whole(cache_folder)) > len(before)


def test_damage_of_all_kinds_is_found_by_the_next_process(start, tmp_path, cache_folder):
    """In this process the libraries are loaded already; a new one would load what is on disk."""
    torch.manual_seed(0)
    sol.optimize(model(), X)
    sol.optimize(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), images(2, 3))
    for index, path in enumerate(sorted(cache_folder.glob("*/library.so"))):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes([content[:4096], b"", content[:-1], os.urandom(len(content))][index % 4])
    for path in cache_folder.glob("*/graph.json"):
        path.write_text(path.read_text()[:-10])
    (tmp_path / "go").touch()
    process = start()
    out, log = process.communicate(timeout=120)
    assert out.startswith("right"), log
    assert "is damaged; making it anew" in log
