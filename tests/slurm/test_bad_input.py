"""What goes wrong with jobs, on a real Slurm: the templates end in order, say why, and lose nothing."""

import re

import pytest

from tests.slurm import cluster as slurm
from tests.slurm.jobs import Job
from tests.slurm.repository import SLOW

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]
# A partition whose jobs take the node from others, and a node that is soon seen as lost.
CONF = """
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=urgent Nodes=ALL PriorityTier=10
PartitionName=patient Nodes=ALL PriorityTier=1
"""


@pytest.fixture(scope="module")
def fragile(cluster, tmp_path_factory):
    """A Slurm of this file's own, in which jobs are preempted and the node is lost."""
    with slurm.Cluster(tmp_path_factory.mktemp("slurm") / "fragile", conf=CONF) as started:
        yield started


def last_line(text):
    return text.strip().splitlines()[-1]


def test_preempted(fragile, repository, tmp_path):
    """Somebody's urgent job gets the node; this one goes on afterwards with what was left."""
    mark = tmp_path / "started"
    repository.lab("02", SLOW.format(mark=str(mark)))
    repository.set(PARTITION="patient")
    job = Job(fragile, repository, "sol_lab.sh", "--", "--exclusive")
    job.wait(mark)
    urgent = ["--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 2"]
    fragile.call("sbatch", *urgent, check=True, cwd=tmp_path)
    job.ends()
    assert re.search(r"CANCELLED AT .* DUE TO PREEMPTION \*\*\*\n\S+  cancelled: ending what runs", job.log)
    assert "remaining: 02" in job.log
    assert "start number 2" in job.log
    assert "01 is done already" in job.log
    assert last_line(job.log).endswith("remaining: nothing")


def test_the_node_is_lost(fragile, repository, tmp_path):
    """The node does not answer, and an operator takes it out of the cluster: Slurm starts the job again elsewhere, or
    here when it is back. What the first start left on the node is gone by then."""
    mark = tmp_path / "started"
    repository.lab("02", SLOW.format(mark=str(mark)))
    repository.set(PARTITION="patient")
    job = Job(fragile, repository, "sol_lab.sh")
    job.wait(mark)
    first = job.left()
    fragile.lose_node()
    fragile.wait_for(job.number, "PENDING")
    fragile.return_node()
    job.ends()
    assert "start number 2" in job.log
    assert "01 is done already" in job.log
    assert last_line(job.log).endswith("remaining: nothing")
    assert not set(first) & set(job.left())
