"""What tests of started ranks need: functions that run there, and what a server leaves behind."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from frovedis_lite.engine import keeper

needs_mpi = pytest.mark.skipif(
    not Path(sys.executable).with_name("mpiexec").exists(),
    reason='more than one process needs: pip install "aurora-labs[mpi]"',
)


def total(comm, X, factor=1):
    return comm.allreduce(X.sum(0)) * factor


def many_sums(comm, count):
    for _ in range(count):
        comm.allreduce(np.ones(3))
    return count


def forever(comm):
    while True:
        comm.allreduce(np.ones(3))


def leftovers(folder: Path, within: float = 5.0) -> list[str]:
    """What is still there of a cluster after so many seconds: processes (zombies aside) and files."""
    end = time.monotonic() + within
    while True:
        pids = keeper.marked(str(folder))
        found = [" ".join(_command(pid)) for pid in pids] + ([str(folder)] if os.path.exists(folder) else [])
        for process in psutil.process_iter():  # the keeper does not have the mark
            found += [" ".join(line) for line in [_command(process.pid)] if str(folder) in line]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.05)


def _command(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []


def program(code: str) -> subprocess.Popen:
    """A program that may be killed; it can write to us."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )
