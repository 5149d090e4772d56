"""What goes wrong with jobs, on a real Slurm: the templates end in order, say why, and lose nothing."""

import re
import shutil
import subprocess
import time

import pytest

from tests.slurm import cluster as slurm
from tests.slurm.jobs import Job
from tests.slurm.repository import ROOT, SLOW, Repository

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]
# A partition whose jobs take the node from those of another.
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


@pytest.fixture(scope="module", autouse=True)
def late(cluster, tmp_path_factory):
    """A job with less time than the warning before its end, which takes its time while the other tests run."""
    folder = tmp_path_factory.mktemp("late")
    made = Repository(folder)
    made.lab("01")
    made.lab("02", SLOW.format(mark=str(folder / "started")))
    return Job(cluster, made, "sol_lab.sh", "--", "--time=1")


def last_line(text):
    return text.strip().splitlines()[-1]


def test_preempted(fragile, repository, tmp_path):
    """Somebody's urgent job gets the node; this one is started again after it."""
    mark = tmp_path / "started"
    repository.lab("02", SLOW.format(mark=str(mark)))
    repository.set(PARTITION="patient")
    job = Job(fragile, repository, "sol_lab.sh", "02", "--", "--exclusive")
    job.wait(mark)
    lock = ["flock", "--nonblock", str(job.results / ".lock"), "true"]
    assert subprocess.run(lock).returncode == 1, "results belong to one start of a job"
    urgent = ["--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 2"]
    fragile.call("sbatch", *urgent, check=True, cwd=tmp_path)
    job.ends()
    assert re.search(r"CANCELLED AT .* DUE TO PREEMPTION \*\*\*\n\S+  cancelled: ending what runs", job.log)
    assert "remaining: 02" in job.log
    assert "start number 2" in job.log
    assert last_line(job.log).endswith("remaining: nothing")


def test_the_node_is_lost(fragile, repository, tmp_path):
    """The node does not answer, and an operator takes it out of the cluster: Slurm starts the job again elsewhere, or
    here when it is back. What the first start left on the node is gone by then."""
    mark = tmp_path / "started"
    repository.lab("02", SLOW.format(mark=str(mark)))
    repository.set(PARTITION="patient")
    job = Job(fragile, repository, "sol_lab.sh", "02")
    job.wait(mark)
    first = job.left()
    fragile.lose_node()
    fragile.wait_for(job.number, "PENDING")
    fragile.return_node()
    job.ends()
    assert "start number 2" in job.log
    assert last_line(job.log).endswith("remaining: nothing")
    assert not set(first) & set(job.left())


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 300 kB."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_the_disk_is_full(cluster, repository, small_disk):
    repository.set(SCRATCH=str(small_disk))
    fill = f"import shutil\nopen('{small_disk}/all', 'wb').write(bytes(shutil.disk_usage('{small_disk}').free))"
    repository.lab("01", fill)
    job = Job(cluster, repository, "sol_lab.sh", "01")
    job.ends("FAILED")
    words = f"nothing can be written to {small_disk}/sol_lab-NUMBER: is the disk full, or your quota? (SCRATCH in"
    assert words.replace("NUMBER", job.number) in job.log
    assert last_line(job.log).endswith("remaining: 01")
    again = Job(cluster, repository, "sol_lab.sh", "01")
    again.ends("FAILED")
    assert words.replace("NUMBER", again.number) in again.log
    assert "step 01" not in again.log, "it is seen before anything is run"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"SETUP": "/nowhere/vars.sh"}, r"there is no /nowhere/vars\.sh on \S+ \(SETUP in "),
        ({"SETUP": "/bin/false"}, r"SETUP in .*, /bin/false, ended with an error"),
        ({"MODULES": "necmpi"}, r"there is no command module on \S+, for necmpi \(MODULES in "),
        ({"SCRATCH": "/dev/null/results"}, r"no folder for results at /dev/null/results/sol_lab-\d+ \(SCRATCH in "),
        ({"SCRATCH": ""}, r"no folder is named for results: SCRATCH in "),
    ],
)
def test_wrong_settings_of_the_node_are_named(cluster, repository, setting, words):
    repository.set(**setting)
    job = Job(cluster, repository, "sol_lab.sh", "01")
    job.ends("FAILED")
    assert re.search(words + re.escape(str(repository.site)) if words.endswith(" in ") else words, job.log), job.log


def test_another_login_shell_and_results_of_an_old_job(cluster, repository, tmp_path):
    """Submitted from tcsh, with next to nothing in the environment; and the number was another job's in its time."""
    modules = tmp_path / "init" / "bash"
    modules.parent.mkdir()
    modules.write_text('module() { echo "modules loaded: $2 $3"; }\n')
    repository.set(MODULES="gcc necmpi")
    given = {name: cluster.environment[name] for name in ("PATH", "SLURM_CONF")}
    environment = {**given, "SHELL": "/bin/tcsh", "MODULESHOME": str(tmp_path), "CDPATH": str(tmp_path)}
    job = Job(cluster, repository, "sol_lab.sh", "01", "--", "--hold", environment=environment)
    assert "Where it is, and why it waits: squeue --me, or aurora slurm status" in job.said
    job.results.mkdir(parents=True)
    (job.results / "01.done").touch()
    cluster.call("scontrol", "release", job.number, check=True)
    job.ends()
    assert "modules loaded: gcc necmpi" in job.log
    assert "3 times" in (job.results / "01_made.ipynb").read_text()
    (old,) = repository.results.glob(f"sol_lab-{job.number}-before-*")
    assert f"there were results of another job with this number; they are in {old} now" in job.log
    assert (old / "01.done").exists()


@pytest.mark.parametrize("template", ["sol_lab.sh", "frovedis_lab.sh", "jupyter.sh"])
def test_slurm_would_take_the_shipped_settings(cluster, repository, template):
    """Those of ICM, with an account that there is: nothing is submitted."""
    repository.lab("07")
    shutil.copy(ROOT / "slurm" / "site.conf", repository.site)
    repository.set(ACCOUNT="icm")
    done = repository.run(template, "--dry-run", environment=cluster.environment)
    assert done.returncode == 0, done.stderr
    assert re.search(r"sbatch: Job \d+ to start at .* in partition ve", done.stdout + done.stderr)


def test_the_time_is_over(late):
    """The warning comes at once then, and is no reason to stop."""
    late.ends("TIMEOUT")
    assert "hardly more than the 90 seconds of the warning" in late.log
    assert re.search(r"CANCELLED AT .* DUE TO TIME LIMIT \*\*\*\n\S+  cancelled: ending what runs", late.log)
    for _ in range(60):
        if "remaining" in late.log:
            break
        time.sleep(0.5)
    assert last_line(late.log).endswith("remaining: 02")
    assert "3 times" in (late.results / "01_made.html").read_text()
    assert late.left() == []
