"""The bootstrap, with pip replaced by a stub: what it does, when, and what it says. No network."""

import ast
import json
import sys
from pathlib import Path

import pytest

from labs import bootstrap

OK = [sys.executable, "-c", "print('Successfully installed')"]
FAILS = [sys.executable, "-c", "import sys; print('no such index'); sys.exit(1)"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project folder, a venv that is made in no time, and a list of the extras pip was asked for."""
    for name in bootstrap.MADE_FROM:
        (tmp_path / name).write_text(name)

    def make(venv):
        (venv / "bin").mkdir(parents=True)
        bootstrap.python_of(venv).symlink_to(sys.executable)

    asked = []

    def pip(root, venv, extras):
        asked.append(sorted(extras))
        return OK

    monkeypatch.setattr(bootstrap, "make_venv", make)
    monkeypatch.setattr(bootstrap, "is_healthy", lambda venv: bootstrap.python_of(venv).exists())
    monkeypatch.setattr(bootstrap, "pip_command", pip)
    return tmp_path, tmp_path / ".venv", asked


def test_second_call_does_nothing(place):
    root, venv, asked = place
    assert bootstrap.bootstrap(root, venv, {"labs"})
    assert not bootstrap.bootstrap(root, venv, {"labs"})
    assert asked == [["labs"]]


def test_extras_are_remembered(place):
    root, venv, asked = place
    bootstrap.bootstrap(root, venv, {"labs"})
    bootstrap.bootstrap(root, venv, {"labs", "test"})
    assert not bootstrap.bootstrap(root, venv, {"labs"})
    (root / "pyproject.toml").write_text("changed")
    bootstrap.bootstrap(root, venv, {"labs"})
    assert asked == [["labs"], ["labs", "test"], ["labs", "test"]]


@pytest.mark.parametrize("name", bootstrap.MADE_FROM)
def test_a_changed_file_installs_again(place, name):
    root, venv, asked = place
    bootstrap.bootstrap(root, venv, {"labs"})
    (root / name).write_text("changed")
    assert bootstrap.bootstrap(root, venv, {"labs"})
    assert len(asked) == 2


def test_interrupted_install_is_done_again_with_its_half_package(place, capsys):
    root, venv, asked = place
    bootstrap.bootstrap(root, venv, {"labs"})
    bootstrap.write_stamp(venv, None, {"labs"})  # what an interrupted install leaves
    for name, files in {"half-1.0": ["METADATA"], "whole-1.0": ["METADATA", "INSTALLER"]}.items():
        record = venv / "lib/python3.11/site-packages" / f"{name}.dist-info"
        record.mkdir(parents=True)
        for file in files:
            (record / file).touch()
    assert bootstrap.bootstrap(root, venv, {"labs"})
    assert len(asked) == 2
    assert [path.name for path in venv.rglob("*.dist-info")] == ["whole-1.0.dist-info"]
    assert "half-1.0.dist-info was half installed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"fingerprint": 1}', '{"fingerprint": 1, "extras": null, "venv": 1}']
)
def test_unreadable_stamp_counts_as_none(place, content):
    root, venv, asked = place
    bootstrap.bootstrap(root, venv, {"labs"})
    (venv / bootstrap.STAMP).write_text(content)
    assert bootstrap.bootstrap(root, venv, {"labs"})
    assert len(asked) == 2


def test_lost_interpreter_makes_the_environment_anew(place, capsys):
    root, venv, _ = place
    bootstrap.bootstrap(root, venv, {"labs"})
    bootstrap.python_of(venv).unlink()
    bootstrap.python_of(venv).parent.rmdir()
    capsys.readouterr()
    assert bootstrap.bootstrap(root, venv, {"labs"})
    assert "[1/3] making the virtual environment" in capsys.readouterr().out


def test_a_moved_environment_is_made_anew(place, monkeypatch):
    root, venv, _ = place
    bootstrap.bootstrap(root, venv, {"labs"})
    moved = venv.rename(root / "moved")
    made = []
    monkeypatch.setattr(bootstrap, "make_venv", made.append)
    bootstrap.bootstrap(root, moved, {"labs"})
    assert made == [moved]


def test_failing_pip_shows_its_end_and_is_tried_again(place, monkeypatch, capsys):
    root, venv, asked = place
    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "pip_command", lambda *_: FAILS)
        with pytest.raises(bootstrap.BootstrapError, match="pip failed"):
            bootstrap.bootstrap(root, venv, {"labs"})
    assert "no such index" in capsys.readouterr().out
    assert json.loads((venv / bootstrap.STAMP).read_text())["fingerprint"] is None
    assert bootstrap.bootstrap(root, venv, {"labs"})
    assert asked == [["labs"]]


def test_signs_of_life_without_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "HEARTBEAT", 0.2)
    code = "import time; print('Collecting torch', flush=True); time.sleep(0.7)"
    assert bootstrap.run_visibly([sys.executable, "-c", code], tmp_path / "log") == 0
    assert "s: Collecting torch" in capsys.readouterr().out


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(bootstrap.BootstrapError, match="is no virtual environment"):
        bootstrap.make_venv(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_pip_is_told_the_pins_and_the_extras(tmp_path):
    command = bootstrap.pip_command(tmp_path, tmp_path / "v", {"test", "labs"})
    assert command[-2:] == ["-e", f"{tmp_path}[labs,test]"]
    assert command[command.index("-c") + 1] == str(tmp_path / "constraints.txt")


def test_files_for_jupyter_are_put_into_the_environment(place):
    root, venv, _ = place
    files = {"mine/kernel.json": "kernels/mine/kernel.json"}
    files["labextension/package.json"] = "labextensions/aurora-slurm/package.json"
    files["labextension/static/one.js"] = "labextensions/aurora-slurm/static/one.js"
    for text in ("{}", "changed"):  # the second time pip has nothing to do
        for name in files:
            file = root / "kernels/jupyter" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        bootstrap.bootstrap(root, venv, {"labs"})
        assert [(venv / "share/jupyter" / name).read_text() for name in files.values()] == [text] * 3


def test_old_python_gets_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 8, 18))
    assert bootstrap.main([]) == 2
    assert "needs Python 3.11 or newer; this one is 3.8" in capsys.readouterr().err
    assert bootstrap.too_old((3, 11, 0)) is None


def test_old_python_can_read_the_file():
    ast.parse(Path(bootstrap.__file__).read_text(), feature_version=(3, 6))


@pytest.mark.parametrize(("error", "status"), [(bootstrap.BootstrapError("do this"), 1), (KeyboardInterrupt(), 130)])
def test_exit_status(monkeypatch, capsys, error, status):
    def fail(*_):
        raise error

    monkeypatch.setattr(bootstrap, "bootstrap", fail)
    assert bootstrap.main(["--extras", "labs,test"]) == status
    assert capsys.readouterr().err.strip()
