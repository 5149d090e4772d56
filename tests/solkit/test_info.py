"""What solkit says of itself: devices, versions, seeds, `python -m solkit`, and what it is at while it compiles."""

import contextlib
import io
import subprocess
import sys

import pytest
import torch
from compare import Calls, images
from torch import nn
from typer.testing import CliRunner

import solkit as sol
from solkit import __main__ as command
from solkit import info, progress


def test_the_host_is_the_default_device(settings):
    settings["threads"] = 3
    here, *others = sol.devices()
    assert here.default
    assert here.threads == 3
    assert here.cores >= 1
    assert here.vector_length in (4, 8, 16)
    assert others
    for device in others:
        assert not device.default
        assert device.cores is device.threads is device.memory is None


def test_devices_print_as_a_table():
    lines = str(sol.devices()).splitlines()
    assert [line.startswith("*") for line in lines] == [False, False, True, *[False] * (len(lines) - 3)]
    assert lines[-1].endswith("code only")
    assert "<table>" in sol.devices()._repr_html_()


def test_memory_in_use_counts_what_is_alive():
    before = sol.devices()[0].memory
    made = sol.optimize(nn.Sequential(nn.Linear(64, 64), nn.Softmax(-1)).eval(), images(2, 64))
    made(images(2, 64))
    held = sol.devices()[0].memory - before
    assert held >= 64 * 64 * 4
    del made
    assert sol.devices()[0].memory - before < held


def test_versions():
    found = sol.versions()
    assert list(found) == ["solkit", "torch", "numpy", "python", "compiler", "platform"]
    assert found["torch"] == torch.__version__
    assert all(version in str(found) for version in found.values())


def test_versions_without_a_compiler(settings):
    settings["compiler::name"] = "no-such-compiler"
    assert sol.versions()["compiler"].startswith("none: the C compiler 'no-such-compiler'")


@pytest.fixture
def _own_seed(monkeypatch):
    monkeypatch.setattr(info, "_seed", None)
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.mark.usefixtures("_own_seed")
def test_seeds():
    assert sol.seeds()["global"] is None
    sol.set_seed(42)
    assert sol.seed() == 42
    assert sol.seeds() == {"global": 42, sol.devices()[0].name: 42}
    torch.manual_seed(7)
    assert sol.seed() == 7, "what the generator really has"
    assert sol.seeds()["global"] == 42


@pytest.mark.usefixtures("_own_seed")
def test_a_seed_decides_what_random_operators_draw():
    x = images(4, 4)
    made = sol.optimize(Calls(lambda m, x: m.a(x) + torch.rand_like(x), a=nn.Linear(4, 4)).eval(), x)
    sol.set_seed(1)
    one = made(x)
    sol.set_seed(2)
    assert not torch.equal(made(x), one)
    sol.set_seed(1)
    assert torch.equal(made(x), one)


@pytest.mark.parametrize("seed", ["1", 1.0, True, None, 2**64, -(2**63) - 1])
def test_bad_seeds(seed):
    with pytest.raises(sol.ConfigError, match="set_seed takes"):
        sol.set_seed(seed)


def test_the_command_shows_everything(cache_folder):
    sol.optimize(nn.Linear(4, 4).eval(), images(2, 4))
    done = CliRunner().invoke(command.app, [])
    assert done.exit_code == 0
    for part in (torch.__version__, "code only", "compiler::debug", str(cache_folder)):
        assert part in done.output
    assert "entries" in done.output


def test_the_command_clears_the_cache(cache_folder):
    sol.optimize(nn.Linear(4, 4).eval(), images(2, 4))
    _, entries, size = info.cache_usage()
    assert entries >= 2
    assert size > 1000
    done = CliRunner().invoke(command.app, ["cache", "clear"])
    assert done.output.startswith(f"removed {entries} entries")
    assert info.cache_usage()[1:] == (0, 0)


def test_the_command_says_what_is_wrong(monkeypatch, capsys):
    def nowhere():
        raise sol.CacheError("no place")

    monkeypatch.setattr(sol.cache, "directory", nowhere)
    monkeypatch.setattr(sys, "argv", ["solkit", "cache", "clear"])
    with pytest.raises(SystemExit, match="1"):
        command.main()
    assert capsys.readouterr().err == "CacheError: no place\n"


def test_the_package_can_be_run():
    done = subprocess.run([sys.executable, "-m", "solkit", "cache", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "clear" in done.stdout


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def _at_once(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)


@pytest.mark.usefixtures("_at_once")
def test_each_stage_has_a_line():
    with contextlib.redirect_stderr(Terminal()) as terminal, progress.stage("optimizing Net"):
        progress._display._timer.join(10)
        with progress.stage("compiling Net"):
            progress.update("compiling 1 of 2 files")
            progress.update("compiled")
        with progress.stage("checking Net"):
            pass
    lines = [line.split("\r")[-1].rstrip() for line in terminal.getvalue().split("\n")]
    assert lines == ["[solkit] compiled", "[solkit] checking Net", ""]
    assert progress._display is None


@pytest.mark.usefixtures("_at_once")
def test_optimize_shows_its_stages(cache_folder, monkeypatch):
    started = []
    monkeypatch.setattr(progress._Display, "_write", lambda self: started.append(self._text))
    with contextlib.redirect_stderr(Terminal()):
        sol.optimize(nn.Linear(4, 4).eval(), images(2, 4))
    shown = list(dict.fromkeys(text for text in started if text))
    wanted = ("optimizing", "capturing", "generating", "checking")
    assert [text.split()[0] for text in shown if text.split()[-1] != "files"] == list(wanted)


@pytest.mark.usefixtures("_at_once")
def test_a_stage_that_fails_leaves_nothing_behind():
    with (
        contextlib.redirect_stderr(Terminal()),
        pytest.raises(ValueError, match="wrong"),
        progress.stage("optimizing Net"),
    ):
        raise ValueError("wrong")
    assert progress._display is None


def test_quick_stages_show_nothing():
    with contextlib.redirect_stderr(Terminal()) as terminal, progress.stage("optimizing Net"):
        assert progress._display is not None
        with progress.stage("compiling Net"):
            pass
    assert terminal.getvalue() == ""


def test_nothing_is_shown_where_stderr_is_no_terminal():
    with contextlib.redirect_stderr(io.StringIO()) as stream, progress.stage("optimizing Net"):
        assert progress._display is None
    assert stream.getvalue() == ""


def test_the_log_has_every_stage_with_its_time_at_trace(caplog, monkeypatch, cache_folder):
    monkeypatch.setattr(progress.log, "propagate", True)
    with caplog.at_level(5, logger="solkit"), contextlib.redirect_stderr(Terminal()) as terminal:
        sol.optimize(nn.Linear(4, 4).eval(), images(2, 4))
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    for what in ("capturing", "generating code for", "checking", "optimizing"):
        name = f"{what} Linear" + (" against PyTorch" if what == "checking" else "")
        assert ("INFO", name) in said
        assert any(level == "TRACE" and text.startswith(f"{name} took ") for level, text in said)
    assert any(level == "TRACE" and "-shared" in text for level, text in said), "the compiler's commands"
    assert terminal.getvalue() == "", "the log tells it"


def test_import_is_lazy_and_whole():
    """PyTorch is not imported before it is needed; functions stay functions beside modules of their names."""
    code = (
        "import sys, solkit as sol\n"
        "assert 'torch' not in sys.modules\n"
        "assert sol.errors.InputError is sol.InputError\n"
        "import solkit.optimize, solkit.verify, solkit.deploy\n"
        "assert callable(sol.optimize) and callable(sol.verify) and callable(sol.deploy)\n"
        "assert all(hasattr(sol, name) for name in sol.__all__) and not hasattr(sol, 'nothing')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
