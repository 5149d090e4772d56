"""What the tests of `aurora slurm` share."""

import os

import pytest

from labs.commands import jobs
from tests.labs.fake_slurm import FakeSlurm
from tests.slurm.repository import Repository


@pytest.fixture
def repository(tmp_path, monkeypatch):
    made = Repository(tmp_path)
    made.lab("01")
    monkeypatch.setattr(jobs, "ROOT", made.root)
    monkeypatch.setenv("AURORA_SITE", str(made.site))
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def slurm(repository, tmp_path, monkeypatch):
    """A Slurm whose programs are the first on the PATH."""
    made = FakeSlurm(tmp_path / "slurm programs")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    return made
