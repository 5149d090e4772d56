"""What all tests on a real Slurm share: one cluster, and a small copy of this repository for each test."""

import os

import pytest

from tests.slurm import cluster as slurm
from tests.slurm.repository import Repository


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A Slurm that runs as long as the tests do. Who changes its nodes starts another: `slurm.Cluster(folder)`."""
    absent = slurm.missing()
    if absent or os.geteuid() != 0:
        say = pytest.fail if "slurm" in os.environ.get("AURORA_REQUIRE", "").split(",") else pytest.skip
        say(f"a Slurm of one's own needs root, and {', '.join(absent) or 'nothing else'}; {slurm.INSTALL}")
    with slurm.Cluster(tmp_path_factory.mktemp("slurm") / "cluster") as started:
        yield started


@pytest.fixture
def repository(tmp_path):
    """A copy with the labs 01 and 02, which print how many times they ran."""
    made = Repository(tmp_path)
    made.lab("01")
    made.lab("02")
    return made
