"""Ranks in a job of a real Slurm: from srun, from mpiexec, and from a program that starts them itself."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]
PYTHON = sys.executable
MPIEXEC = str(Path(PYTHON).with_name("mpiexec"))
# The ranks that there are; each says what came of all their numbers.
PROGRAM = """
from frovedis_lite.engine.session import current
from frovedis_lite.exrpc.server import FrovedisServer

FrovedisServer.initialize()
comm = current().comm
print(f"rank {comm.rank} of {FrovedisServer.getSize()}, all together {comm.allreduce(comm.rank + 1)}\\n", end="")
"""
# A program that starts its ranks, as the labs do.
STARTS = """
from frovedis_lite.exrpc.server import FrovedisServer

with FrovedisServer.initialize("mpirun -np 3"):
    print(f"{FrovedisServer.getSize()} ranks of one program")
"""
TWO = ["rank 0 of 2, all together 3", "rank 1 of 2, all together 3"]


@pytest.fixture(scope="module")
def job(cluster, tmp_path_factory):
    """A function that runs lines of bash as one job of two tasks, and returns what each `part NAME` of them said."""
    folder = tmp_path_factory.mktemp("mpi")
    (folder / "ranks.py").write_text(PROGRAM)
    (folder / "starts.py").write_text(STARTS)

    def run(lines, *flags):
        script = folder / "job.sh"
        script.write_text(f'#!/usr/bin/env bash\npart() {{ echo "#### $*"; }}\nexec 2>&1\n{lines}\n')
        command = [
            "sbatch",
            "--wait",
            "--partition=short",
            "--ntasks=2",
            "--mem=4G",
            "--output=job.log",
            *flags,
            script,
        ]
        said = cluster.call(*map(str, command), cwd=folder, timeout=300)
        assert "Submitted" in said, said
        parts = (folder / "job.log").read_text().split("#### ")[1:]
        return {name: text.strip() for name, _, text in (part.partition("\n") for part in parts)}

    return run


@pytest.fixture(scope="module")
def said(job):
    """One job, for all of the tests that look at it: each job takes seconds to start and end."""
    return job(f"""
        export HYDRA_IFACE=lo # the name of this machine need not have an address
        part srun
        srun --mpi=pmi2 -n 2 {PYTHON} ranks.py
        part mpiexec
        timeout 60 {MPIEXEC} -n 2 {PYTHON} ranks.py
        part serial
        {PYTHON} ranks.py
        part no PMI
        srun --mpi=none -n 2 --output=lonely.%t {PYTHON} ranks.py
        cat lonely.0 lonely.1
        part independent
        srun --mpi=none -n 2 {PYTHON} -c 'from frovedis_lite.engine.session import current; print(current().size)'
        part starts in a step
        timeout 60 srun --mpi=pmi2 -n 1 {PYTHON} starts.py
        part more tasks than the job has
        srun --mpi=pmi2 -n 3 {PYTHON} ranks.py
        part more ranks than tasks
        timeout 60 {MPIEXEC} -n 3 {PYTHON} ranks.py
    """)


@pytest.mark.parametrize("start", ["srun", "mpiexec"])
def test_ranks_find_each_other(said, start):
    assert sorted(line for line in said[start].splitlines() if line.startswith("rank")) == TWO


def test_a_program_of_the_batch_script_is_one_rank(said):
    assert said["serial"] == "rank 0 of 1, all together 1"


def test_copies_that_are_no_ranks_are_an_error(said):
    text = said["no PMI"]
    assert text.count("ServerError: srun started this program 2 times") == 2
    assert "all together" not in text
    for word in ("srun --mpi=pmi2", "srun --mpi=list", "mpiexec -n 2"):
        assert word in text


def test_programs_that_are_to_be_independent_are(said):
    assert said["independent"].split() == ["1", "1"]


def test_a_program_starts_its_ranks_in_the_job(said):
    """In a step, srun by which MPICH's mpirun would start them waits for ever for the cores that the program has."""
    assert "3 ranks of one program" in said["starts in a step"].splitlines()


def test_more_ranks_than_there_is_room_for(said):
    assert "More processors requested than permitted" in said["more tasks than the job has"]
    assert "rank 2 of 3, all together 6" in said["more ranks than tasks"], "mpiexec does not mind"


def test_the_spmd_program_in_an_allocation(cluster, tmp_path):
    """`salloc`, and srun in it, as one works by hand."""
    program = Path(__file__).resolve().parent.parent.parent / "slurm" / "spmd.py"
    command = ["salloc", "--partition=short", "--ntasks=2", "--mem=4G", "srun", "--mpi=pmi2", PYTHON, str(program)]
    done = subprocess.run(command, env=cluster.environment, cwd=tmp_path, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "2 ranks, blocks on each: [4, 4]" in done.stdout.splitlines()
