"""slurm/sweep.sh on a real Slurm: an array of tasks, and the job that makes one report of them."""

import json
import re
import subprocess
import sys
import time

import pytest

from tests.slurm.jobs import Job
from tests.slurm.repository import ROOT, SLOW

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


class Sweep(Job):
    """A submitted array, and the job for its report."""

    def __init__(self, cluster, repository, *arguments):
        super().__init__(cluster, repository, "sweep.sh", *arguments)
        self.reporter = re.findall(r"Submitted batch job (\d+)", self.said)[1]

    @property
    def log(self):
        return "\n".join(path.read_text() for path in sorted(self.repository.root.glob("sweep*-*.log")))

    def task_log(self, task):
        return (self.repository.root / f"sweep-{self.number}_{task}.log").read_text()

    def report(self, state):
        """Wait until the report is made, by a job that ends so; return report.json and the page."""
        found = self.cluster.wait_for(self.reporter, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
        assert found["JobState"] == state, self.log
        page = (self.results / "report.html").read_text()
        return json.loads((self.results / "report.json").read_text()), page


def states(report):
    return [run["state"] for run in report["runs"]]


def test_four_tasks_and_one_report_with_plots(cluster, repository):
    repository.lab("01", "assert runs * 3 == {2: 6, 4: 12, 6: 18, 8: 24}[runs]")
    sweep = Sweep(cluster, repository, "01", "--over", "runs=2,4,6,8", "--at-once", "3")
    assert f"The report will be in {sweep.results}" in sweep.said
    report, page = sweep.report("COMPLETED")
    assert report["ok"]
    assert [run["parameters"] for run in report["runs"]] == [{"runs": str(runs)} for runs in (2, 4, 6, 8)]
    assert states(report) == ["ok"] * 4
    assert "4 of 4 ran to the end" in page
    assert page.count("<img") == 1
    assert re.search(r'alt="run time, s over runs: 2: [\d.]+, 4: [\d.]+, 6: [\d.]+, 8: [\d.]+\."', page)
    node = cluster.call("sinfo", "--noheader", "--format=%n").strip()
    for task in range(4):
        assert f'<a href="{task}/01_made.html">{task}</a>' in page
        assert f'"runs = {2 * task + 2}' in (sweep.results / str(task) / "01_made.ipynb").read_text()
        assert f"job {sweep.number}_{task} on {node}" in sweep.task_log(task)
        assert re.search(r"Vector Engine \d granted", sweep.task_log(task))
        assert report["runs"][task]["node"] == node
    assert sorted(path.name for path in sweep.results.parent.iterdir()) == [sweep.results.name]


def test_a_task_that_fails_and_one_that_is_cancelled(cluster, repository, tmp_path):
    mark = tmp_path / "started"
    slow = SLOW.format(mark=str(mark)).replace("\n", "\n    ")
    repository.lab("01", f"if runs == 2:\n    raise RuntimeError('it is broken')\nif runs == 3:\n    {slow}")
    sweep = Sweep(cluster, repository, "01", "--over", "runs=1,2,3,4")
    sweep.wait(mark)
    cluster.call("scancel", f"{sweep.number}_2", check=True)
    report, page = sweep.report("FAILED")
    assert states(report) == ["ok", "failed", "missing", "ok"]
    assert "it is broken" in report["runs"][1]["why"]
    assert report["runs"][2]["why"] == "CANCELLED: it was cancelled"
    assert "Sweep: 2 of 4 ran to the end, 1 failed, 1 missing" in page
    assert cluster.job(f"{sweep.number}_1")["JobState"] == "FAILED"
    assert cluster.job(f"{sweep.number}_3")["JobState"] == "COMPLETED"
    assert "it is broken" in (sweep.results / "1" / "01_made.ipynb").read_text(), "its executed notebook is kept"
    assert sweep.left() == []


def test_an_array_that_never_starts_has_a_report_too(cluster, repository):
    sweep = Sweep(cluster, repository, "01", "--over", "runs=1,2", "--", "--begin=now+1hour", "--ntasks=3")
    time.sleep(2)
    reporter = cluster.job(sweep.reporter)
    assert [reporter[name] for name in ("JobState", "Reason", "NumTasks")] == ["PENDING", "Dependency", "1"]
    cluster.call("scancel", sweep.number, check=True)
    report, page = sweep.report("FAILED")
    assert states(report) == ["missing", "missing"]
    assert report["runs"][1]["why"] == "CANCELLED: it was cancelled"
    assert "<img" not in page


def test_one_task_goes_back_into_the_queue_and_the_others_do_not(cluster, repository, tmp_path):
    mark = tmp_path / "started"
    slow = SLOW.format(mark=str(mark)).replace("\n", "\n    ")
    repository.lab("02", f"if runs == 2:\n    {slow}")
    sweep = Sweep(cluster, repository, "01", "02", "--over", "runs=1,2")
    sweep.wait(mark)
    cluster.wait_for(f"{sweep.number}_0", "COMPLETED")
    first = (sweep.results / "1" / "01_made.ipynb").stat().st_mtime_ns
    done = subprocess.run([sys.executable, ROOT / "slurm" / "merge.py", sweep.results], env=cluster.environment)
    assert done.returncode == 1, "by hand there is a report before all tasks have ended"
    runs = json.loads((sweep.results / "report.json").read_text())["runs"]
    assert [(run["state"], run["why"]) for run in runs[2:]] == [
        ("ok", ""),
        ("missing", f"RUNNING: it runs (sweep-{sweep.number}_1.log)"),
    ]
    cluster.call("scancel", "--batch", "--signal=USR1", f"{sweep.number}_1", check=True)
    report, _ = sweep.report("COMPLETED")
    assert states(report) == ["ok"] * 4
    assert "remaining: 02" in sweep.task_log(1)
    assert "start number 2" in sweep.task_log(1)
    assert "01 is done already" in sweep.task_log(1)
    assert (sweep.results / "1" / "01_made.ipynb").stat().st_mtime_ns == first, "what is finished is not run again"
    assert "start number 2" not in sweep.task_log(0)
    assert "went on" in (sweep.results / "1" / "02_made.ipynb").read_text()


def test_more_combinations_than_slurm_takes(cluster, repository):
    values = ",".join(map(str, range(1002)))
    done = repository.run("sweep.sh", "01", "--over", f"runs={values}", environment=cluster.environment)
    assert done.returncode == 2
    assert "1002 combinations: Slurm takes 1001 in an array (MaxArraySize)" in done.stderr


def test_tasks_that_cannot_start_their_labs(cluster, repository):
    repository.set(SETUP=str(repository.root / "setup.sh"))
    (repository.root / "setup.sh").write_text("[ -z ${SLURM_ARRAY_TASK_ID:-} ]")  # wrong in the tasks alone
    report, page = Sweep(cluster, repository, "01", "--over", "runs=1,2").report("FAILED")
    assert states(report) == ["missing", "missing"]
    assert "its script ended with an error: see its log (sweep-" in report["runs"][0]["why"]
    assert "error: SETUP in" in page


def test_without_a_job_for_the_report_there_is_no_array(cluster, repository):
    """Slurm takes the array and refuses what is to come after it."""
    repository.set(TIME="10:00")
    shim = repository.root.parent / "shim"
    shim.mkdir()
    (shim / "sbatch").write_text('#!/bin/sh\ncase "$*" in *dependency*) exit 1 ;; esac\nexec /usr/bin/sbatch "$@"\n')
    (shim / "sbatch").chmod(0o755)
    environment = {**cluster.environment, "PATH": f"{shim}:{cluster.environment['PATH']}"}
    done = repository.run("sweep.sh", "01", "--over", "runs=1,2", environment=environment)
    assert done.returncode == 2
    assert "so the array is cancelled, too" in done.stderr
    number = re.search(r"Submitted batch job (\d+)", done.stdout)[1]
    cluster.wait_for(number, "CANCELLED", seconds=30)


def test_the_template_given_to_sbatch_without_an_array(cluster, repository):
    script = str(repository.root / "slurm" / "sweep.sh")
    said = cluster.call("sbatch", "--parsable", script, "01", "--over", "runs=1,2", cwd=repository.root)
    number = said.strip()
    cluster.wait_for(number, "FAILED")
    logs = "".join(path.read_text() for path in repository.root.glob(f"sweep-{number}_*.log"))
    assert "give sbatch --array=0-1" in logs
