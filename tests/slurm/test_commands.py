"""`aurora slurm` on a real Slurm: run with `pytest -m slurm tests/slurm`, as root (see cluster.py)."""

import re
import signal
import subprocess
import sys
import time

import pytest

from tests.slurm.repository import SLOW

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


class Aurora:
    """The command, as a learner types it in the repository."""

    def __init__(self, cluster, repository):
        self.command = [sys.executable, "-m", "labs.cli", "slurm"]
        self.options = {"cwd": repository.root, "text": True}
        self.options["env"] = {
            **cluster.environment,
            "PYTHONPATH": str(repository.root),
            "AURORA_SITE": str(repository.site),
        }

    def __call__(self, *arguments):
        return subprocess.run([*self.command, *arguments], **self.options, capture_output=True, timeout=120)

    def submit(self, *arguments):
        done = self("submit", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return re.search(r"Submitted batch job (\d+)", done.stdout)[1]

    def start(self, *arguments):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*self.command, *arguments], **self.options, **pipes)


@pytest.fixture
def aurora(cluster, repository):
    return Aurora(cluster, repository)


def test_a_job_from_submit_to_report(aurora, repository):
    number = aurora.submit("sol_lab", "-p", "runs=7")
    followed = aurora("logs", number, "--follow")
    assert followed.returncode == 0, followed.stderr
    assert followed.stdout == (repository.root / f"sol_lab-{number}.log").read_text()
    assert followed.stdout.splitlines()[-1].endswith("remaining: nothing")
    assert "has ended: it ran to its end" in followed.stderr
    status = aurora("status", number)
    results = repository.results / f"sol_lab-{number}"
    assert status.returncode == 0
    assert f"{number}  sol_lab  COMPLETED: it ran to its end (ended " in status.stdout
    assert f"    report   {results / 'report.html'}\n" in status.stdout
    report = aurora("report", number)
    assert report.returncode == 0
    assert re.search(r"01_made +ok +\d", report.stdout)
    assert "2 of 2 ran to the end" in report.stdout
    cancel = aurora("cancel", number)
    assert (cancel.returncode, "has ended already (it ran to its end)" in cancel.stdout) == (0, True)


def test_a_lab_that_fails(aurora, repository):
    repository.lab("01", "raise RuntimeError('it is broken')")
    number = aurora.submit("sol_lab")
    followed = aurora("logs", number, "-f")
    assert (followed.returncode, "its script ended with an error" in followed.stderr) == (1, True), followed.stdout
    assert aurora("status", number).returncode == 1
    report = aurora("report", number)
    assert report.returncode == 1
    assert "it is broken" in report.stdout
    assert "not done: 01" in report.stdout
    assert "1 of 2 ran to the end" in report.stdout


def test_a_job_that_runs_and_ctrl_c_and_cancel(aurora, cluster, repository, tmp_path):
    mark = tmp_path / "started"
    repository.lab("01", SLOW.format(mark=str(mark)))
    number = aurora.submit("sol_lab", "01")
    follower = aurora.start("logs", number, "-f")
    try:
        end = time.monotonic() + 120
        while not mark.exists():
            assert time.monotonic() < end
            time.sleep(0.2)
        follower.send_signal(signal.SIGINT)
        out, err = follower.communicate(timeout=30)
    finally:
        follower.kill()
    assert (follower.returncode, f"Job {number} goes on" in err) == (130, True), err
    assert "step 01" in out
    status = aurora("status")
    assert status.returncode == 0
    assert re.search(rf"(?m)^{number}  sol_lab  RUNNING: it runs on \S+; \d min of its time are left$", status.stdout)
    cancel = aurora("cancel", number)
    assert (cancel.returncode, f"job {number} is told to end, on " in cancel.stdout) == (0, True), cancel.stderr
    cluster.wait_for(number, "CANCELLED")
    gone = aurora("status", number)
    assert (gone.returncode, f"{number}  sol_lab  CANCELLED: it was cancelled" in gone.stdout) == (1, True)


def test_jobs_that_wait_say_why(aurora, cluster, repository):
    held = aurora.submit("sol_lab", "01", "--", "--hold")
    later = aurora.submit("sol_lab", "01", "--", "--begin=now+1hour")
    vain = aurora.submit("sol_lab", "01", "--", f"--dependency=afterok:{held}")
    cluster.call("sbatch", "--hold", "--job-name=mine", "--wrap=true", check=True, cwd=repository.root)
    listed = aurora("status").stdout
    assert f"{held}  sol_lab  PENDING (JobHeldUser): it is held: scontrol release {held}\n" in listed
    assert re.search(rf"{later}  sol_lab  PENDING \(BeginTime\): .*; Slurm expects to start it at ", listed)
    assert f"{vain}  sol_lab  PENDING (Dependency): it waits for another job to end\n" in listed
    assert f"    log      {repository.root}/sol_lab-{held}.log   (not there yet)\n" in listed
    assert "  mine  " not in listed
    assert "  mine  PENDING (JobHeldUser)" in aurora("status", "--all").stdout
    log = aurora("logs", held)
    assert (log.returncode, f"there is no log of job {held} yet: PENDING (JobHeldUser)" in log.stderr) == (2, True)
    assert aurora("report", held).returncode == 2
    cancel = aurora("cancel", held)
    assert f"job {held} is out of the queue; it had not started" in cancel.stdout
    end = time.monotonic() + 60
    while "DependencyNeverSatisfied" not in (said := aurora("status", vain).stdout):
        assert time.monotonic() < end, said
        time.sleep(0.5)
    assert "it will never start: cancel it" in said
    every = aurora("cancel", "--all", "--yes")
    assert every.returncode == 0, every.stderr
    assert cluster.wait_for(later, "CANCELLED")
    assert cluster.wait_for(vain, "CANCELLED")
    assert "mine" in cluster.call("squeue", "--me", "--noheader", "--format=%j"), "that is no template's"
    cluster.call("scancel", "--name=mine")


def test_an_array(aurora, cluster, repository):
    """As any template can be made one; with %1, the second task has to wait for the first."""
    script = repository.root / "slurm" / "sol_lab.sh"
    options = ["--parsable", "--array=0-2%1", "--output=%x-%A_%a.log", "--partition=short", "--mem=1G"]
    number = cluster.call("sbatch", *options, str(script), "01", cwd=repository.root).strip()
    cluster.wait_for(f"{number}_0", "RUNNING")
    text = aurora("status", number).stdout
    assert f"{number}  sol_lab  an array; Slurm knows 3 of its tasks\n" in text
    assert "    0: RUNNING" in text
    assert re.search(r"    1-2: PENDING( \(\w+\))?: ", text)
    assert f"    logs     {repository.root}/sol_lab-{number}_TASK.log\n" in text
    follow = aurora("logs", number, "-f")
    assert (follow.returncode, "follow one of its tasks" in follow.stderr) == (2, True)
    assert aurora("cancel", f"{number}_[1-2]").returncode == 0
    text = aurora("status", number).stdout
    assert "    0: " in text
    assert "    1-2: CANCELLED: it was cancelled" in text or "PENDING" not in text
    assert aurora("cancel", number).returncode == 0


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"ACCOUNT": "nobody"}, "Invalid account"),
        ({"PARTITION": "wrong"}, "invalid partition specified: wrong"),
        ({"RESOURCE": "--gres=ve:9"}, "node configuration is not available"),
    ],
)
def test_what_slurm_refuses(aurora, repository, setting, words):
    repository.set(**setting)
    done = aurora("submit", "sol_lab", "01")
    assert (done.returncode, words in done.stderr, "Next:" in done.stdout) == (2, True, False)


def test_slurms_own_words_in_a_log_say_how_a_job_ended(aurora, cluster, repository):
    """A template without a trap is cancelled; then its log has another number, which Slurm does not know."""
    plain = repository.root / "slurm" / "plain.sh"
    plain.write_text("#!/bin/sh\n#SBATCH --output=%x-%j.log --job-name=plain\necho on\nsleep 300\n")
    plain.chmod(0o755)
    number = cluster.call("sbatch", "--parsable", "--mem=1G", str(plain), cwd=repository.root).strip()
    log = repository.root / f"plain-{number}.log"
    end = time.monotonic() + 60
    while not (log.exists() and log.read_text()) and time.monotonic() < end:
        time.sleep(0.2)
    assert aurora("cancel", number).returncode == 0
    cluster.wait_for(number, "CANCELLED")
    log.rename(repository.root / f"plain-{number}000.log")
    gone = aurora("status", f"{number}000")
    assert gone.returncode == 1
    assert "Slurm no longer knows it" in gone.stdout
    assert f"plain-{number}000.log says: it was cancelled" in gone.stdout


def test_submitted_out_of_a_job(aurora, cluster, repository, tmp_path):
    """As from a terminal of a JupyterLab that is a job: what runs there is no part of it."""
    said = tmp_path / "said"
    words = " ".join([f"PYTHONPATH='{repository.root}'", *aurora.command, "submit sol_lab 01"])
    number = cluster.call(
        *("sbatch", "--parsable", "--mem=1G", f"--output={said}", f"--wrap={words}"),
        cwd=repository.root,
        env=aurora.options["env"],
    ).strip()
    cluster.wait_for(number, "COMPLETED")
    other = re.search(r"Submitted batch job (\d+)", said.read_text())[1]
    assert other != number
    found = cluster.wait_for(other, "COMPLETED", "FAILED")
    assert found["JobState"] == "COMPLETED"
    assert found["Partition"] == "ve", "and not that of the job around it"


def test_a_controller_that_is_down(aurora, cluster, tmp_path):
    conf = re.sub(r"SlurmctldPort=\d+", "SlurmctldPort=1", cluster.conf.read_text()) + "MessageTimeout=2\n"
    (tmp_path / "down.conf").write_text(conf)
    aurora.options["env"]["SLURM_CONF"] = str(tmp_path / "down.conf")
    for command in (["status"], ["cancel", "12"]):
        done = aurora(*command)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Unable to contact slurm controller" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_sweep(aurora, cluster, repository):
    """An array, and the job that waits for it and makes its report."""
    number = aurora.submit("sweep", "01", "--over", "runs=1,2")
    merge = str(int(number) + 1)
    listed = aurora("status").stdout
    results = repository.results / f"sweep-{number}"
    assert f"{number}  sweep  an array; Slurm knows 2 of its tasks\n" in listed
    assert f"{merge}  sweep_report  PENDING (Dependency): it waits for another job to end\n" in listed
    assert listed.count(f"    results  {results}") == 2, "of both"
    followed = aurora("logs", merge, "--follow")
    assert followed.returncode == 0, followed.stderr
    assert "-- PENDING (Dependency): it waits" in followed.stderr
    for one in (number, merge):
        report = aurora("report", one)
        assert report.returncode == 0, report.stdout + report.stderr
        assert re.search(r"0: 01_made -p runs=1 +ok", report.stdout)
        assert re.search(r"1: 01_made -p runs=2 +ok", report.stdout)
        assert f"report:  {results / 'report.html'}\n" in report.stdout
    assert f"==> {repository.root}/sweep-{number}_1.log <==" in aurora("logs", number).stdout
    status = aurora("status", number)
    assert (status.returncode, "    0-1: COMPLETED: it ran to its end\n" in status.stdout) == (0, True)
