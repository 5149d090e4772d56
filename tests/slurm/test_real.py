"""The templates on a real Slurm of one node: run with `pytest -m slurm tests/slurm`, as root (see cluster.py)."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.slurm.jobs import Job
from tests.slurm.repository import ROOT, SLOW

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


def test_the_sol_labs_run_to_the_end(cluster, repository):
    job = Job(cluster, repository, "sol_lab.sh", "-p", "runs=7")
    found = job.ends()
    assert found["TresPerNode"] == "gres:ve:1"
    assert "Vector Engine 0 granted" in job.log or re.search(r"Vector Engine \d granted", job.log)
    assert "(this node shows no card, though" in job.log
    assert "remaining: nothing" in job.log
    assert "aurora doctor" in job.log
    for name in ("01_made", "02_made"):
        text = (job.results / f"{name}.ipynb").read_text()
        assert "7 times" in text
        assert "7 times" in (job.results / f"{name}.html").read_text()
    page = (job.results / "report.html").read_text()
    assert '<a href="01_made.html">01_made</a>' in page
    assert f"job {job.number} on " in page
    labs = json.loads((job.results / "report.json").read_text())["labs"]
    assert [(lab["lab"], lab["ok"]) for lab in labs] == [("01_made", True), ("02_made", True)]


def test_sbatch_from_another_folder_and_no_engine(cluster, repository, tmp_path):
    script = repository.root / "slurm" / "sol_lab.sh"
    said = cluster.call("sbatch", "--partition=short", "--mem=2G", "--parsable", str(script), "01", cwd=tmp_path)
    number = said.strip()
    log = tmp_path / f"sol_lab-{number}.log"
    assert cluster.wait_for(number, "COMPLETED", "FAILED")["JobState"] == "COMPLETED", log.read_text()
    assert "no Vector Engine was asked for" in log.read_text()
    assert (repository.results / f"sol_lab-{number}" / "report.html").exists()


def test_two_engines(cluster, repository):
    job = Job(cluster, repository, "sol_lab.sh", "01", "--", "--gres=ve:2")
    job.ends()
    assert re.search(r"Vector Engine \d[-,]\d granted", job.log)


def test_a_lab_that_fails_fails_the_job_and_is_in_the_report(cluster, repository):
    repository.lab("01", "print('before', runs)\nraise RuntimeError('it is broken')")
    job = Job(cluster, repository, "sol_lab.sh")
    job.ends("FAILED")
    assert "remaining: 01" in job.log
    assert "it is broken" in (job.results / "report.html").read_text()
    for name in ("01_made.ipynb", "01_made.html"):
        text = (job.results / name).read_text()
        assert "before 3" in text, "what it did until then is kept"
        assert "it is broken" in text
    assert (job.results / "02.done").exists(), "one that fails does not keep the others from running"


def test_the_warning_saves_and_a_requeue_finishes(cluster, repository, tmp_path):
    mark = tmp_path / "started"
    repository.lab("02", SLOW.format(mark=str(mark)))
    job = Job(cluster, repository, "sol_lab.sh")
    job.wait(mark)
    first = (job.results / "01_made.ipynb").stat().st_mtime_ns
    cluster.call("scancel", "--batch", "--signal=USR1", job.number, check=True)
    cluster.wait_for(job.number, "PENDING", "COMPLETED")
    assert "the time is nearly over" in job.log
    assert "remaining: 02" in job.log
    assert (job.results / "report.html").exists()
    job.ends()
    assert "start number 2" in job.log
    assert "01 is done already" in job.log
    assert "remaining: nothing" in job.log
    assert (job.results / "01_made.ipynb").stat().st_mtime_ns == first, "what is finished is not run again"
    assert "went on" in (job.results / "02_made.ipynb").read_text()


def test_the_warning_before_anything_is_finished_is_no_endless_loop(cluster, repository, tmp_path):
    mark = tmp_path / "started"
    repository.lab("01", SLOW.format(mark=str(mark)))
    job = Job(cluster, repository, "sol_lab.sh", "01")
    job.wait(mark)
    cluster.call("scancel", "--batch", "--signal=USR1", job.number, check=True)
    job.ends("FAILED")
    assert "nothing was finished in this time" in job.log
    assert job.left() == []


def test_scancel_leaves_nothing_running(cluster, repository, tmp_path):
    mark = tmp_path / "started"
    repository.lab("01", SLOW.format(mark=str(mark)))
    job = Job(cluster, repository, "sol_lab.sh", "01")
    job.wait(mark)
    assert job.left()
    cluster.call("scancel", job.number, check=True)
    job.ends("CANCELLED")
    end = time.monotonic() + 30
    while job.left() and time.monotonic() < end:
        time.sleep(0.3)
    assert job.left() == []
    assert "cancelled: ending what runs" in job.log
    assert "remaining: 01" in job.log


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"ACCOUNT": "nobody"}, "Invalid account"),
        ({"PARTITION": "wrong"}, "invalid partition specified: wrong"),
        ({"RESOURCE": "--gres=ve:9"}, "node configuration is not available"),
        ({"RESOURCE": "--gres=aurora:1"}, "Invalid generic resource"),
    ],
)
def test_what_slurm_refuses_is_said(cluster, repository, setting, words):
    repository.set(**setting)
    for arguments in (["01"], ["--dry-run", "01"]):
        done = repository.run("sol_lab.sh", *arguments, environment=cluster.environment)
        assert done.returncode == 2
        assert words in done.stderr
        assert f"settings, in {repository.site}" in done.stderr


def test_the_frovedis_labs_on_ranks(cluster, repository):
    repository.lab("07", "import frovedis_lite\nprint('on', ranks, 'ranks')")
    for path in repository.root.glob("labs/**/07_made.ipynb"):
        path.write_text(path.read_text().replace("runs = 3", "ranks = 1"))
    job = Job(cluster, repository, "frovedis_lab.sh", "07", "--", "--ntasks=3")
    job.ends()
    assert "on 3 ranks" in (job.results / "07_made.ipynb").read_text()
    said = (job.results / "spmd.txt").read_text()
    assert "3 ranks, blocks on each: [2, 3, 3]" in said or re.search(r"3 ranks, blocks on each: \[\d, \d, \d\]", said)
    assert said.count("pi is about") == 1, "the first rank prints, and no other"
    assert "remaining: nothing" in job.log


def test_the_spmd_program_under_mpiexec_and_alone(cluster):
    """As the template starts it where Slurm has no PMI-2."""
    python = Path(sys.executable)
    for command in ([python], [python.with_name("mpiexec"), "-n", "2", python]):
        done = subprocess.run([*command, ROOT / "slurm" / "spmd.py"], text=True, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "coefficients [1.0, 2.0, 3.0], intercept 4.000" in done.stdout


def test_lab_10_asks_this_slurm(cluster, repository, tmp_path):
    """What lab 10 shows where a Slurm answers is live, the job of a few seconds too."""
    code = (
        "from labs.pictures import lab10\n"
        "print(lab10.ask('sinfo --format=%P').data, lab10.ask('slurm/sol_lab.sh --dry-run 01').data)\n"
        "print(lab10.tiny_job(True, 60).data, lab10.where_am_i().data)"
    )
    environment = {**cluster.environment, "AURORA_SITE": str(repository.site), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "shipped result" not in done.stdout
    assert done.stdout.count("run here, now") == 3
    assert "sbatch: Job" in done.stdout
    assert "engine: none" in done.stdout
    assert "probably a login node" in done.stdout
    assert list(tmp_path.glob("tiny-*.log")) == []


def test_no_lab_runs_without_a_python_environment(cluster, repository):
    repository.set(ENVIRONMENT=".venv")
    job = Job(cluster, repository, "sol_lab.sh", "01")
    job.ends("FAILED")
    assert "no Python in" in job.log
    assert "make doctor" in job.log
