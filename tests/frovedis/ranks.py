"""Programs on several MPI ranks of this machine."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TIMEOUT = 240  # seconds


def on_ranks(size: int, code: str) -> str:
    """What a program prints when `mpiexec` runs it on so many ranks, each with one thread.

    Raises:
        AssertionError: a rank failed.
    """
    mpiexec = Path(sys.executable).with_name("mpiexec")
    if not mpiexec.exists():
        pytest.skip('more than one process needs: pip install "aurora-labs[mpi]"')
    environment = {**os.environ, "FROVEDIS_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [mpiexec, "-n", str(size), sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
