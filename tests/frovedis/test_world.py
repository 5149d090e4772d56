"""How a program learns that it is one of several ranks: by what mpiexec and srun put into its environment."""

import os
import sys

import pytest

from frovedis_lite.engine import world
from frovedis_lite.engine.launch import parse
from frovedis_lite.errors import ServerError
from frovedis_lite.exrpc.server import FrovedisServer

HERE = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "PMI", "OMPI_", "MPI_")):
            monkeypatch.delenv(name)


@pytest.fixture
def environment(monkeypatch):
    return lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]


@pytest.mark.parametrize(
    ("variables", "size"),
    [
        ({}, 1),
        ({"PMI_SIZE": "4"}, 4),
        ({"OMPI_COMM_WORLD_SIZE": "3", "PMIX_NAMESPACE": "prterun"}, 3),
        ({"PMIX_NAMESPACE": "slurm.pmix.4.0", "SLURM_STEP_NUM_TASKS": "2"}, 2),
        ({"PMIX_NAMESPACE": "slurm.pmix.4.0", "SLURM_STEP_NUM_TASKS": "2", "PMI_SIZE": "1"}, 1),  # mpiexec -n 1 in it
        ({"SLURM_STEP_NUM_TASKS": "2"}, 1),  # programs that know nothing of each other
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, 1),  # a batch script
        ({"PMI_SIZE": ""}, 1),
    ],
)
def test_how_many_ranks_there_are(environment, variables, size):
    environment(**variables)
    assert world.told() == size


@pytest.mark.parametrize("variables", [{}, {"SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_NTASKS": "4"}])
def test_a_serial_program_is_one_rank(environment, variables):
    environment(**variables)
    with FrovedisServer.initialize():
        assert FrovedisServer.getSize() == 1


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SLURM_STEP_NUM_TASKS": "2"}, r"srun started this program 2 times.* srun --mpi=.* mpiexec -n 2"),
        ({"PMIX_NAMESPACE": "slurm.pmix.4.0", "SLURM_STEP_NUM_TASKS": "2"}, "srun started this program 2 times"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, r"one of 2 ranks.* mpiexec -n 2 .* of this MPI"),
    ],
)
def test_copies_that_mpi_has_not_joined_are_an_error(environment, monkeypatch, variables, words):
    pytest.importorskip("mpi4py")
    environment(**variables)
    monkeypatch.setattr(world, "_joined", lambda: None)
    with pytest.raises(ServerError, match=words):
        FrovedisServer.initialize()
    assert not FrovedisServer.isUP()


def test_without_mpi4py(environment, monkeypatch):
    environment(SLURM_STEP_NUM_TASKS="2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ServerError, match=r"needs mpi4py.*aurora-labs\[mpi\]"):
        FrovedisServer.initialize()


def test_cores_are_those_of_the_job(environment):
    assert (world.cores(), world.cores_of_rank()) == (HERE, HERE)
    environment(SLURM_CPUS_ON_NODE="1", SLURM_JOB_ID="7")
    assert (world.cores(), world.cores_of_rank()) == (1, 1)
    with pytest.raises(ServerError, match="between 1 and 16 ranks can be started on this job's 1 cores, not 99"):
        parse(99)
    environment(SLURM_CPUS_ON_NODE=str(64 * HERE))
    assert world.cores() == HERE


@pytest.mark.parametrize(
    ("variables", "share"),
    [
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x3),1"}, 2),
        ({"SLURM_STEP_TASKS_PER_NODE": "1,4"}, 4),
        ({"SLURM_STEP_TASKS_PER_NODE": ""}, 1),
        ({"SLURM_STEP_TASKS_PER_NODE": "1", "MPI_LOCALNRANKS": "4"}, 4),
    ],
)
def test_ranks_of_one_machine_share_its_cores(environment, monkeypatch, variables, share):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    environment(**variables)
    assert world.cores_of_rank() == 8 // share
    environment(SLURM_CPUS_ON_NODE="4")
    assert world.cores_of_rank() == 4 // share
