"""`aurora slurm` over stand-ins for Slurm's programs; over a real one: tests/slurm/test_commands.py."""

import re
from pathlib import Path

import pytest

from labs.commands import jobs
from tests.labs.fake_slurm import aurora, job, write
from tests.slurm.repository import without_slurm

FORGOTTEN = "Slurm no longer knows it"


# --- submit


def test_submit_runs_the_template_and_says_what_is_next(slurm, repository):
    result = aurora("submit", "sol_lab", "01", "-p", "runs=5", "--", "--time=30:00")
    assert result.exit_code == 0, result.output
    assert "$ slurm/sol_lab.sh 01 -p runs=5 -- --time=30:00" in result.stderr
    assert "aurora slurm status 12" in result.stdout
    assert slurm.asked[-1].startswith("sbatch --account=icm --partition=ve")
    assert slurm.asked[-1].endswith("--time=30:00 slurm/sol_lab.sh 01 -p runs=5")


@pytest.mark.parametrize("words", [("--dry-run", "sol_lab", "01"), ("slurm/sol_lab.sh", "01", "--dry-run")])
def test_submit_that_is_only_tried(slurm, words):
    result = aurora("submit", *words)
    assert result.exit_code == 0, result.output
    assert "This would submit" in result.stdout
    assert "Next:" not in result.stdout


def test_submit_without_a_slurm(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", without_slurm(tmp_path)["PATH"])
    result = aurora("submit", "sol_lab", "--dry-run", "01")
    assert (result.exit_code, "No Slurm answers on this machine" in result.stdout) == (0, True)
    assert aurora("submit", "sol_lab", "01").exit_code == 2


def test_submit_that_slurm_refuses(slurm):
    slurm.says("sbatch", "sbatch: error: invalid partition specified: wrong")
    result = aurora("submit", "sol_lab", "01")
    assert result.exit_code == 2
    assert "Next:" not in result.stdout


def test_submit_out_of_a_job_does_not_run_in_it(slurm, monkeypatch):
    """As from a terminal of a JupyterLab that is a job itself."""
    monkeypatch.setenv("SLURM_JOB_ID", "3")
    assert "Submitted batch job 12" in aurora("submit", "sol_lab", "01").stdout


def test_templates_are_listed_and_help_is_the_templates(repository):
    listed = aurora("submit").stdout
    assert re.search(r"(?m)^sol_lab +Runs the SOL labs", listed)
    assert "common" not in listed
    assert "sbatch -p ve slurm/sol_lab.sh 01" in aurora("submit", "sol_lab", "--help").stdout


@pytest.mark.parametrize(
    ("name", "words"), [("sol_lap", "did you mean sol_lab?"), ("common", "no template common"), ("x", "there are ")]
)
def test_an_unknown_template(repository, name, words):
    result = aurora("submit", name)
    assert (result.exit_code, words in result.stderr) == (2, True)


def test_no_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    for words in (["submit", "sol_lab"], ["submit"], ["report", "12"]):
        result = aurora(*words)
        assert (result.exit_code, "run this in a clone of the repository" in result.stderr) == (2, True)
    (tmp_path / "clone" / "slurm").mkdir(parents=True)
    (tmp_path / "clone" / "slurm" / "common.sh").touch()
    monkeypatch.chdir(tmp_path / "clone" / "slurm")
    assert jobs.folder() == tmp_path / "clone" / "slurm"


# --- status


def test_status_of_all(slurm, repository):
    write(repository, "sol_lab-12", results=["01"])
    slurm.knows(
        job("12", repository.root),
        job("13", repository.root, state="PENDING", Reason="Resources", StartTime="2099-01-02T03:04:05"),
        job("8_1", repository.root, "sweep"),
        job("8_[2-4%2]", repository.root, "sweep", "PENDING", Reason="JobArrayTaskLimit"),
        job("9", repository.root, "sweep", "PENDING", Reason="Dependency", JobName="sweep_report")
        | {"Command": f"{repository.root}/slurm/sweep.sh --merge 8 01"},
        job("5", Path("/home/me/mine"), JobName="simulation", Command="/home/me/slurm/simulate.sh"),
    )
    text = aurora("status").stdout
    assert re.search(r"12  sol_lab  RUNNING: it runs on vm; (5|4) min of its time are left", text)
    assert f"    log      {repository.root}/sol_lab-12.log\n" in text
    assert f"    results  {repository.results}/sol_lab-12\n" in text
    assert f"    report   {repository.results}/sol_lab-12/report.html\n" in text
    assert "13  sol_lab  PENDING (Resources): it is next" in text
    assert "expects to start it at 02 Jan 03:04" in text
    assert f"{repository.root}/sol_lab-13.log   (not there yet)" in text
    assert "8  sweep  an array; Slurm knows 4 of its tasks" in text
    assert "    1: RUNNING" in text
    assert "    2-4: PENDING (JobArrayTaskLimit): as many tasks" in text
    assert f"    logs     {repository.root}/sweep-8_TASK.log" in text
    assert text.count(f"    results  {repository.results}/sweep-8   ") == 2, "the report is the array's"
    assert "simulation" not in text
    assert "Other jobs of yours: 1, with --all" in text
    everything = aurora("status", "--all").stdout
    assert "5  simulation  RUNNING" in everything
    assert "with --all" not in everything


def test_status_of_nothing(slurm):
    result = aurora("status")
    assert result.exit_code == 0
    assert "You have no job of these templates in the queue" in result.stdout
    assert "$ squeue --me" in result.stderr


@pytest.mark.parametrize(
    ("state", "reason", "words", "status"),
    [
        ("PENDING", "Priority", "others are before it", 0),
        ("PENDING", "QOSMaxCpuPerUserLimit", "a limit of its quality of service", 0),
        ("PENDING", "PartitionNodeLimit", "more nodes than partition short allows", 0),
        ("PENDING", "ReqNodeNotAvail, UnavailableNodes:vm", "is down, or reserved", 0),
        ("PENDING", "AssocGrpCPUMinutesLimit", "a limit of your account", 0),
        ("PENDING", "DependencyNeverSatisfied", "it will never start: cancel it", 0),
        ("PENDING", "JobHeldUser", "scontrol release 12", 0),
        ("PENDING", "BadConstraints", "RESOURCE in site.conf", 0),
        ("PENDING", "launch failed requeued held", "ask the administrators", 0),
        ("COMPLETED", "None", "it ran to its end", 0),
        ("FAILED", "NonZeroExitCode", "see its log", 1),
        ("FAILED", "BadConstraints", "refused when it was submitted", 1),
        ("TIMEOUT", "TimeLimit", "TIME in site.conf", 1),
        ("PREEMPTED", "None", "better right", 1),
        ("NODE_FAIL", "NodeDown", "submit it again", 1),
        ("CANCELLED", "None", "it was cancelled", 1),
    ],
)
def test_states_and_reasons_in_plain_words(slurm, repository, state, reason, words, status):
    slurm.knows(job("12", repository.root, state=state, Reason=reason))
    result = aurora("status", "12")
    assert (result.exit_code, words in result.stdout) == (status, True), result.output
    if state == "PENDING":
        assert f"({reason})" in result.stdout, "Slurm's own word is there, too"


def test_status_from_the_accounting(slurm, repository):
    (slurm.folder / "sacct.rows").write_text(
        f"12|sol_lab|CANCELLED by 1000|None|short|vm|2026-11-23T16:43:53|2026-11-23T16:48:53|{repository.root}\n"
    )
    result = aurora("status", "12")
    assert (result.exit_code, "12  sol_lab  CANCELLED: it was cancelled" in result.stdout) == (1, True)
    assert "$ sacct -X --jobs=12" in result.stderr
    assert f"{repository.root}/sol_lab-12.log" in result.stdout


@pytest.mark.parametrize(
    ("said", "words", "status"),
    [
        ("17:01:30  remaining: nothing\n", "it ran to its end", 0),
        ("17:01:30  remaining: 02 03\n", "not done: 02 03", 1),
        ("error: no Python in .venv\n", "its script ended with an error", 1),
        ("slurmstepd-vm: error: *** JOB 12 ON vm CANCELLED AT 2026-11-23T16:45:19 DUE TO TIME LIMIT ***\n", "TIME", 1),
        ("slurmstepd: error: *** JOB 12 ON vm CANCELLED AT 2026-11-23T16:45:19 ***\n", "it was cancelled", 1),
        (
            "17:01:30  remaining: 02\n17:01:30  requeued: it goes on\n17:03:30  step 02\n",
            "how it ended is not in it",
            0,
        ),
        ("error: in a cell\n17:01:30  remaining: nothing\n", "it ran to its end", 0),
        ("17:01:30  step 01\n", "how it ended is not in it", 0),
        ("x: error: *** JOB 12 ON vm CANCELLED AT 2026 ***\n17:01:30  remaining: 02\n", "cancelled; not done: 02", 1),
        (
            "error: x\n17:09:00  job 12 on vm, 1 cores, start number 2\n17:10  remaining: nothing\n",
            "to its end\n",
            0,
        ),
        ("17:01:30  remaining: 02\n17:09:00  job 12 on vm, 1 cores, start number 2\n", "is not in it\n", 0),
    ],
)
def test_status_of_a_job_that_slurm_has_forgotten(slurm, repository, said, words, status):
    write(repository, "sol_lab-12", said, results=["01"])
    result = aurora("status", "12")
    assert (result.exit_code, words in result.stdout) == (status, True), result.output
    assert FORGOTTEN in result.stdout
    assert f"    results  {repository.results}/sol_lab-12\n" in result.stdout


def test_status_of_an_array_that_slurm_has_forgotten(slurm, repository):
    for task, left in enumerate(["nothing", "01", "nothing"]):
        write(repository, f"sweep-8_{task}", f"17:01:30  remaining: {left}\n", results=["01"])
    result = aurora("status", "8")
    assert result.exit_code == 1
    assert "sweep-8_1.log says: its script ended with an error: see its log; not done: 01" in result.stdout
    assert f"    results  {repository.results}/sweep-8\n" in result.stdout
    one = aurora("status", "8_2")
    assert (one.exit_code, f"    results  {repository.results}/sweep-8/2\n" in one.stdout) == (0, True)
    assert "sweep-8_1" not in one.stdout


@pytest.mark.parametrize("command", ["status", "logs", "cancel", "report"])
@pytest.mark.parametrize(
    ("number", "words"), [("99", "Slurm knows no job 99|no log of job 99"), ("sol_lab", "sol_lab is not the number")]
)
def test_a_number_that_nobody_knows(slurm, command, number, words):
    result = aurora(command, number)
    assert result.exit_code == 2
    assert re.search(words, result.stderr)


def test_no_slurm_answers(slurm):
    slurm.says("squeue", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    result = aurora("status")
    assert result.exit_code == 2
    assert "Unable to contact slurm controller" in result.stderr
    assert "no Slurm answers here" in result.stderr


# --- cancel


def cancelled(slurm):
    return [line for line in slurm.asked if line.startswith("scancel")]


def test_cancel(slurm, repository):
    slurm.knows(job("12", repository.root), job("13", repository.root, state="PENDING"))
    result = aurora("cancel", "12", "13")
    assert result.exit_code == 0, result.output
    assert "job 12 is told to end, on vm" in result.stdout
    assert "job 13 is out of the queue; it had not started" in result.stdout
    assert "$ scancel 12" in result.stderr
    assert cancelled(slurm) == ["scancel 12", "scancel 13"]


def test_cancel_tasks_of_an_array(slurm, repository):
    slurm.knows(job("8_0", repository.root, "sweep"), job("8_[2-5]", repository.root, "sweep", "PENDING"))
    assert aurora("cancel", "8_[2-3]").exit_code == 0
    assert aurora("cancel", "8_0").exit_code == 0
    assert cancelled(slurm) == ["scancel 8_[2-3]", "scancel 8_0"]
    assert aurora("cancel", "8_1").exit_code == 2, "nobody knows of it"


def test_cancel_of_what_has_ended_is_no_error(slurm, repository):
    slurm.knows(job("12", repository.root, state="TIMEOUT"))
    write(repository, "sol_lab-7")
    result = aurora("cancel", "12", "7")
    assert result.exit_code == 0
    assert "job 12 has ended already (it ran out of time" in result.stdout
    assert f"job 7 has ended already ({FORGOTTEN})" in result.stdout
    assert cancelled(slurm) == []


def test_cancel_of_somebody_elses_job_and_the_rest_goes_on(slurm, repository):
    slurm.knows(job("12", repository.root, UserId="anna(4711)"), job("13", repository.root))
    result = aurora("cancel", "12", "13")
    assert result.exit_code == 2
    assert "job 12 is anna's" in result.stderr
    assert cancelled(slurm) == ["scancel 13"]


def test_a_wrong_word_cancels_nothing(slurm, repository):
    slurm.knows(job("12", repository.root))
    for words in (["12", "l3"], [], ["12", "--all"]):
        assert aurora("cancel", *words).exit_code == 2
    assert cancelled(slurm) == []


@pytest.mark.parametrize(("words", "answer", "done"), [([], "n\n", False), ([], "y\n", True), (["-y"], "", True)])
def test_cancel_all(slurm, repository, words, answer, done):
    slurm.knows(
        job("12", repository.root),
        job("8_1", repository.root, "sweep"),
        job("8_[2-3]", repository.root, "sweep", "PENDING"),
        job("11", repository.root, state="COMPLETED"),
        job("5", repository.root, Command="/home/me/simulate.sh"),
    )
    result = aurora("cancel", "--all", *words, input=answer)
    assert (result.exit_code == 0) == done
    assert cancelled(slurm) == (["scancel 8", "scancel 12"] if done else [])
    if not words:
        assert "Cancel these 2 jobs?" in result.output


def test_cancel_all_of_none(slurm):
    result = aurora("cancel", "--all")
    assert (result.exit_code, "no job to cancel" in result.stdout) == (0, True)


# --- numbers


@pytest.mark.parametrize(
    ("text", "job_number", "tasks"),
    [("12", "12", None), ("12_3", "12", {3}), ("12_[0-2,7]", "12", {0, 1, 2, 7}), ("12_[0-6:3%2]", "12", {0, 3, 6})],
)
def test_numbers(text, job_number, tasks):
    number = jobs.number(text)
    assert (number.job, number.tasks) == (job_number, tasks and frozenset(tasks))


@pytest.mark.parametrize("text", ["", "-1", "12.0", "12_", "12_x", "12_[", "12 13", "sol_lab", "$(date)", "12;13"])
def test_what_is_no_number(text):
    with pytest.raises(jobs.Unknown, match="is not the number of a job"):
        jobs.number(text)


def test_ranges_are_written_as_slurm_does():
    assert jobs.ranges([7, 0, 1, 2, 4]) == "0-2,4,7"
