"""The `aurora` command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labs import build, cli, doctor, doctor_checks, exercises, notebooks, progress
from labs.commands import learner
from labs.doctor import Row

GOOD = Row("compiler", "ok", True, "gcc")
LUXURY = Row("card", "missing", False, "none", "buy one")
BAD = Row("memory", "wrong", True, "little", "buy some")


def aurora(*arguments):
    return CliRunner().invoke(cli.app, arguments)


@pytest.mark.parametrize(("rows", "status"), [([GOOD], 0), ([GOOD, LUXURY], 0), ([GOOD, LUXURY, BAD], 1)])
def test_doctor(monkeypatch, rows, status):
    monkeypatch.setattr(doctor, "run", lambda: rows)
    plain, as_json = aurora("doctor"), aurora("doctor", "--json")
    assert plain.exit_code == as_json.exit_code == status
    assert all(row.name in plain.output for row in rows)
    report = json.loads(as_json.output)
    assert [row["name"] for row in report["rows"]] == [row.name for row in rows]
    assert report["summary"]["ready"] == (status == 0)


def test_version():
    result = aurora("version")
    assert result.exit_code == 0
    assert "aurora-labs 0.1.0, Python 3." in result.output


def test_nothing_asked_shows_the_commands():
    output = aurora().output
    assert all(command in output for command in ("doctor", "lab", "list", "reset", "check", "progress", "export"))


def test_help_is_quick():
    code = "import sys, labs.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "numpy", "jupytext", "papermill"}


@pytest.mark.parametrize(("stale", "check", "status", "words"), [
    ([], True, 0, "all notebooks"),
    ([cli.LABS / "01_x.ipynb"], True, 1, "labs/01_x.ipynb is not what its source makes: make labs"),
    ([cli.LABS / "01_x.ipynb"], False, 0, "labs/01_x.ipynb written"),
])  # fmt: skip
def test_build(monkeypatch, stale, check, status, words):
    monkeypatch.setattr(build, "check" if check else "write", lambda **_: stale)
    result = aurora("build", *["--check"] * check)
    assert (result.exit_code, words in result.output) == (status, True)


def test_build_with_a_mistake_in_a_source(monkeypatch):
    def fail(**_):
        raise build.BuildError("01_x.py, cell 3")

    monkeypatch.setattr(build, "write", fail)
    result = aurora("build")
    assert (result.exit_code, "cell 3" in result.output) == (1, True)


def test_lab_starts_jupyterlab_on_this_machine_with_a_token(monkeypatch):
    started = []
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(learner.os, "execv", lambda program, command: started.append(command))
    assert aurora("lab", "--port", "9000", "--no-browser").exit_code == 0
    command = started[0]
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    for option in (
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=9000",
        "--no-browser",
        f"--ServerApp.root_dir={cli.LABS}",
    ):
        assert option in command
    assert not any("token" in option or "password" in option for option in command)
    assert learner.os.environ["PATH"].startswith(str(Path(sys.executable).parent))


def test_lab_listens_for_other_machines_when_told_so():
    assert "--ServerApp.ip=10.0.0.5" in learner.lab_command(Path(), 1, False, root=False, ip="10.0.0.5")


def test_root_is_allowed_only_when_one_is_root():
    assert "--allow-root" not in learner.lab_command(Path(), 1, False, root=False)
    assert "--allow-root" in learner.lab_command(Path(), 1, False, root=True)


def test_installed_notebooks_are_copied_once(monkeypatch, tmp_path):
    installed, work = tmp_path / "installed", tmp_path / "work"
    (installed / "solutions").mkdir(parents=True)
    work.mkdir()
    for path in ("01_x.ipynb", "solutions/01_x.ipynb"):
        (installed / path).write_text("new")
    monkeypatch.setattr(learner, "LABS", installed)
    monkeypatch.setattr(doctor_checks, "in_checkout", lambda: False)
    monkeypatch.chdir(work)
    folder = learner.notebooks()
    assert folder == work / "aurora-labs"
    (folder / "01_x.ipynb").write_text("mine")
    (folder / "solutions/01_x.ipynb").unlink()
    learner.notebooks()
    assert (folder / "01_x.ipynb").read_text() == "mine"
    assert (folder / "solutions/01_x.ipynb").read_text() == "new"


# --- aurora list and reset -------------------------------------------------------------------------------------------

SOURCE = """# %% [markdown]
# # Lab 97: A fixture
#
# | 1. One | 4 min | core |
# | 2. Two | 3 min | optional |

# %% tags=["exercise", "ex-97-1"]
answer = ...

# %% tags=["solution", "ex-97-1"]
answer = 42

# %%
from labs import lab

lab.exercise("97-1").check(answer)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A labs folder with one lab and its exercise, and progress of its own."""
    monkeypatch.setenv("AURORA_PROGRESS_DIR", str(tmp_path / "progress"))
    monkeypatch.setattr(exercises, "_exercises", dict(exercises._exercises))
    exercises.exercise("97-1", "Answer", minutes=1, hints=["a", "b", "c"])(print)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "97_fixture.py").write_text(SOURCE)
    build.write(tmp_path)
    every = notebooks.every
    monkeypatch.setattr(notebooks, "every", lambda folder=None: every(tmp_path))
    monkeypatch.setattr(learner, "LABS", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_list(place):
    for outcome in ("not yet", "passed"):
        progress.record("97-1", "check", outcome=outcome)
        line = aurora("list").output.splitlines()[1]
        state = "1 of 1" if outcome == "passed" else "0 of 1; not yet: 97-1"
        assert line.split("  ")[0] == "97_fixture"
        assert all(words in line for words in ("A fixture", " 4 ", " 3 ", "97-1", state))


def test_reset_keeps_what_was_there(place):
    path = place / "97_fixture.ipynb"
    made = path.read_text()
    assert "nothing to do" in aurora("reset", "97").output
    for text in ("my work", "more work"):
        path.write_text(text)
        result = aurora("reset", "97_fixture.ipynb")
        assert result.exit_code == 0, result.output
        assert path.read_text() == made
    kept = sorted((place / "kept").glob("97_fixture-*.ipynb"), key=lambda file: file.stat().st_mtime_ns)
    assert [file.read_text() for file in kept] == ["my work", "more work"]
    assert str(kept[-1]) in result.output.replace("\n", "")
    path.unlink()
    assert aurora("reset", "97").exit_code == 0
    assert path.read_text() == made


def test_reset_of_the_copy_that_an_installed_package_made(place):
    copy = place / "aurora-labs" / "97_fixture.ipynb"
    copy.parent.mkdir()
    copy.write_text("mine")
    assert aurora("reset", "97").exit_code == 0
    assert copy.read_text() == (place / "97_fixture.ipynb").read_text()


def test_reset_that_cannot_write_changes_nothing(place, monkeypatch):
    """As root every folder can be written, so the refusal is made."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    path = place / "97_fixture.ipynb"
    path.write_text("mine")
    monkeypatch.setattr(learner, "_replace", refuse)
    result = aurora("reset", "97")
    assert result.exit_code == 1
    assert "could not be put back (Permission denied); it is as it was" in result.output
    assert path.read_text() == "mine"


def test_an_unknown_lab_names_the_nearest(place):
    result = aurora("reset", "97_fixtures")
    assert (result.exit_code, "did you mean 97_fixture?" in result.output) == (1, True)
    assert "there are 97_fixture" in aurora("reset", "zzz").output
