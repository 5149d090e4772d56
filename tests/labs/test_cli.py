"""The `aurora` command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labs import build, cli, doctor, doctor_checks
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
    assert all(command in output for command in ("doctor", "lab", "build", "version"))


def test_help_is_quick():
    code = "import sys, labs.cli; print(*[m for m in ('torch', 'numpy', 'jupytext', 'rich.table') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout
    assert "numpy" not in done.stdout
    assert "jupytext" not in done.stdout


@pytest.mark.parametrize(("stale", "check", "status", "words"), [
    ([], True, 0, "all notebooks"),
    ([cli.HERE / "01_x.ipynb"], True, 1, "labs/01_x.ipynb is not what its source makes: make labs"),
    ([cli.HERE / "01_x.ipynb"], False, 0, "labs/01_x.ipynb written"),
])  # fmt: skip
def test_build(monkeypatch, stale, check, status, words):
    monkeypatch.setattr(build, "check" if check else "write", lambda: stale)
    result = aurora("build", *["--check"] * check)
    assert (result.exit_code, words in result.output) == (status, True)


def test_build_with_a_mistake_in_a_source(monkeypatch):
    def fail():
        raise build.BuildError("01_x.py, cell 3")

    monkeypatch.setattr(build, "write", fail)
    result = aurora("build")
    assert (result.exit_code, "cell 3" in result.output) == (1, True)


def test_lab_starts_jupyterlab_on_this_machine_with_a_token(monkeypatch):
    started = []
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(cli.os, "execv", lambda program, command: started.append(command))
    assert aurora("lab", "--port", "9000", "--no-browser").exit_code == 0
    command = started[0]
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    for option in (
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=9000",
        "--no-browser",
        f"--ServerApp.root_dir={cli.HERE}",
    ):
        assert option in command
    assert not any("token" in option or "password" in option for option in command)
    assert cli.os.environ["PATH"].startswith(str(Path(sys.executable).parent))


def test_root_is_allowed_only_when_one_is_root():
    assert "--allow-root" not in cli.lab_command(Path(), 1, False, root=False)
    assert "--allow-root" in cli.lab_command(Path(), 1, False, root=True)


def test_installed_notebooks_are_copied_once(monkeypatch, tmp_path):
    installed, work = tmp_path / "installed", tmp_path / "work"
    (installed / "solutions").mkdir(parents=True)
    work.mkdir()
    for path in ("01_x.ipynb", "solutions/01_x.ipynb"):
        (installed / path).write_text("new")
    monkeypatch.setattr(cli, "HERE", installed)
    monkeypatch.setattr(doctor_checks, "in_checkout", lambda: False)
    monkeypatch.chdir(work)
    folder = cli.notebooks()
    assert folder == work / "aurora-labs"
    (folder / "01_x.ipynb").write_text("mine")
    (folder / "solutions/01_x.ipynb").unlink()
    cli.notebooks()
    assert (folder / "01_x.ipynb").read_text() == "mine"
    assert (folder / "solutions/01_x.ipynb").read_text() == "new"
