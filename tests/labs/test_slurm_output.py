"""`aurora slurm logs` and `report` over stand-ins for Slurm's programs."""

import os
import re
import threading
import time
import webbrowser

import pytest

from labs.commands import cluster_output
from tests.labs.fake_slurm import aurora, job, write

# --- logs


def test_a_log_and_its_last_lines(slurm, repository):
    log = write(repository, "sol_lab-12", "last line \xe9\n")
    slurm.knows(job("12", repository.root))
    result = aurora("logs", "12")
    assert (result.exit_code, result.stdout) == (0, log.read_text())
    assert str(log) in result.stderr
    assert aurora("logs", "12", "-n", "1").stdout == "last line \xe9\n"
    slurm.knows()
    assert aurora("logs", "12", "--lines", "1").stdout == "last line \xe9\n", "found by its name"
    slurm.says("scontrol", "Unable to contact slurm controller")
    assert aurora("logs", "12", "--lines", "1").stdout == "last line \xe9\n"


def test_a_log_with_a_name_of_its_own(slurm, repository, tmp_path):
    log = tmp_path / "mine 12.txt"
    log.write_text("mine\n")
    slurm.knows(job("12", repository.root, StdOut=str(log)))
    assert aurora("logs", "12").stdout == "mine\n"


def test_logs_of_an_array(slurm, repository):
    for task in (0, 1):
        write(repository, f"sweep-8_{task}", f"task {task}\n")
    slurm.knows(job("8_1", repository.root, "sweep"), job("8_[2-3]", repository.root, "sweep", "PENDING"))
    text = aurora("logs", "8").stdout
    assert text.index("sweep-8_1.log <==") < text.index("task 1")
    assert "task 0" in text
    assert "task 0" not in aurora("logs", "8_[1-3]").stdout
    for command in ("8", "8_[1-3]"):
        refused = aurora("logs", command, "--follow")
        assert (refused.exit_code, "follow one of its tasks, like 8_0" in refused.stderr) == (2, True)
    waits = aurora("logs", "8_2")
    assert (waits.exit_code, "there is no log of job 8_2 yet: PENDING" in waits.stderr) == (2, True)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(cluster_output, "LOOK", 0.02)
    monkeypatch.setattr(cluster_output, "ASK", 0.02)


def until(ready):
    end = time.monotonic() + 30
    while not ready() and time.monotonic() < end:
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("state", "status", "words"),
    [("COMPLETED", 0, "it ran to its end"), ("TIMEOUT", 1, "it ran out of time"), ("", 0, "it ran to its end")],
)
def test_follow_until_the_end(slurm, repository, quick, state, status, words):
    """From the queue through two stretches of log to the end, which at last Slurm may have forgotten."""
    slurm.knows(job("12", repository.root, state="PENDING", Reason="Priority"))

    def go_on():
        until(lambda: any(line.startswith("squeue") for line in slurm.asked))
        log = write(repository, "sol_lab-12", "\xe9 first\n")
        slurm.knows(job("12", repository.root))
        with log.open("a") as file:
            file.write("17:01:30  remaining: nothing\n")
        slurm.knows(*([job("12", repository.root, state=state)] if state else []))

    thread = threading.Thread(target=go_on)
    thread.start()
    result = aurora("logs", "12", "-f")
    thread.join()
    assert result.exit_code == status, result.output
    assert result.stdout.endswith("\xe9 first\n17:01:30  remaining: nothing\n")
    assert "-- PENDING (Priority): others are before it in the queue" in result.stderr
    assert f"-- job 12 has ended: {words}" in result.stderr


def test_follow_goes_on_while_slurm_does_not_answer(slurm, repository, quick):
    write(repository, "sol_lab-12")
    slurm.knows(job("12", repository.root))
    slurm.says("squeue", "Unable to contact slurm controller")

    def answer_again():
        until(lambda: [line.split()[0] for line in slurm.asked].count("squeue") > 2)
        slurm.knows(job("12", repository.root, state="COMPLETED"))
        (slurm.folder / "squeue.refuses").unlink()

    thread = threading.Thread(target=answer_again)
    thread.start()
    result = aurora("logs", "12", "-f")
    thread.join()
    assert (result.exit_code, result.stderr.count("Unable to contact")) == (0, 1)


def test_ctrl_c_leaves_the_job_alone(slurm, repository, monkeypatch):
    write(repository, "sol_lab-12")
    slurm.knows(job("12", repository.root))

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster_output.time, "sleep", interrupt)
    result = aurora("logs", "12", "-f")
    assert result.exit_code == 130
    assert "Job 12 goes on. To end it: aurora slurm cancel 12" in result.stderr
    assert not any(line.startswith("scancel") for line in slurm.asked)


def test_a_log_that_is_begun_anew(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo\n")
    place, text = cluster_output._new(log, 0, lines=1)
    assert (place, text) == (8, b"two\n")
    log.write_bytes(b"new\n")
    assert cluster_output._new(log, place) == (4, b"new\n")


# --- report


def test_report(slurm, repository, monkeypatch):
    write(repository, "sol_lab-12", "17:01:30  remaining: nothing\n", results=["01", "02"])
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    result = aurora("report", "12", "--open")
    assert result.exit_code == 0, result.output
    assert re.search(r"01_made +ok +2.8", result.stdout)
    assert "2 of 2 ran to the end" in result.stdout
    page = repository.results / "sol_lab-12" / "report.html"
    assert f"report:  {page}" in result.stdout
    assert opened == [page.as_uri()]
    assert slurm.asked == [], "the files say it all"
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert f"scp -r '{os.uname().nodename}:{page.parent}' ." in aurora("report", "12", "--open").stdout


def test_a_report_of_what_failed(slurm, repository):
    write(repository, "sol_lab-12", "17:01:30  remaining: 02 03\n", results=["01"])
    result = aurora("report", "12")
    assert result.exit_code == 1
    assert "not done: 02 03; the log says why: aurora slurm logs 12" in result.stdout
    write(repository, "sol_lab-13", results=["01"], ok=False)
    result = aurora("report", "13")
    assert result.exit_code == 1
    assert "failed in cell 2: broken" in result.stdout
    assert "0 of 1 ran to the end" in result.stdout


def test_a_report_without_a_log_and_of_a_job_that_waits(slurm, repository):
    write(repository, "frovedis_lab-12", results=["07"]).unlink()
    assert "07_made" in aurora("report", "12").stdout
    slurm.knows(job("13", repository.root, state="PENDING", Reason="Priority"))
    result = aurora("report", "13")
    assert (result.exit_code, "no results of job 13: PENDING (Priority)" in result.stderr) == (2, True)
    (repository.results / "sol_lab-14").mkdir()
    result = aurora("report", "14")
    assert (result.exit_code, "no lab has a result" in result.stdout) == (1, True)


def test_the_report_of_a_sweep(slurm, repository):
    for task in (0, 2, 10):
        write(repository, f"sweep-8_{task}", "17:01:30  remaining: nothing\n", results=["01"])
    place = repository.results / "sweep-8"
    (place / "plan.tsv").write_text("".join(f"{task}\t01\t-p\truns={task + 1}\n" for task in (0, 2, 3, 10)))
    (place / "report.html").write_text("a page")
    (place / "2" / "01.json").write_text("{")  # being written
    result = aurora("report", "8")
    assert result.exit_code == 1
    rows = [" ".join(row.split()) for row in result.stdout.splitlines()[1:5]]
    assert rows == [
        "0: 01_made -p runs=1 ok 2.8",
        "2: 01 -p runs=3 missing",
        "3: 01 -p runs=4 missing",
        "10: 01_made -p runs=11 ok 2.8",
    ]
    assert "2 of 4 ran to the end" in result.stdout
    assert aurora("report", "8_10").exit_code == 0


def test_settings_that_cannot_be_read(slurm, repository):
    repository.site.write_text("PARTITON=ve\n")
    slurm.knows(job("12", repository.root))
    status = aurora("status", "12")
    assert (status.exit_code, "there is no setting PARTITON" in status.stdout) == (0, True), "the rest is said anyhow"
    result = aurora("report", "12")
    assert (result.exit_code, "there is no setting PARTITON" in result.stderr) == (2, True)
