"""slurm/sweep.sh without a Slurm: what it would submit, what it says about mistakes, and the report of its tasks."""

import html
import json
import re
import subprocess
import sys
import warnings
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest

from labs import lab, pages
from tests.labs.test_browser import AXE
from tests.slurm.repository import ROOT, without_slurm


def dry_run(repository, *arguments):
    return repository.run("sweep.sh", "--dry-run", *arguments)


def test_a_dry_run_shows_the_array_and_every_combination(repository):
    over = ["--over", "runs=1,2,3", "--over=seed=0,1", "--cell-seconds", "60", "--at-once", "2"]
    repository.lab("01", "print(seed)", "seed = 0")
    done = dry_run(repository, "01", *over, "--", "--time=5:00")
    assert (done.returncode, done.stderr) == (0, "")
    (command,) = (row for row in done.stdout.splitlines() if row.startswith("  sbatch"))
    assert "--array=0-5%2 --time=5:00 slurm/sweep.sh 01 --over runs=1" in command
    found = re.findall(r"  (\d): aurora check 01 --cell-seconds 60 -p runs=(\d) -p seed=(\d)\n", done.stdout)
    assert found == [(str(n), *pair) for n, pair in enumerate(product("123", "01"))]
    assert "No Slurm answers on this machine" in done.stdout


def test_a_parameter_goes_to_the_labs_that_have_it(repository):
    repository.lab("02", "print(rows)", "rows = 0")
    done = dry_run(repository, "01", "02", "--over", "runs=1,2", "--over", "rows=5")
    rows = [row.strip() for row in done.stdout.splitlines() if re.match(r"  \d: ", row)]
    assert rows == [
        "0: aurora check 01 -p runs=1",
        "0: aurora check 02 -p runs=1 -p rows=5",
        "1: aurora check 01 -p runs=2",
        "1: aurora check 02 -p runs=2 -p rows=5",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--over", "runs=1,2"], "which lab?"),
        (["01"], "over what?"),
        (["01", "--over"], "--over is a parameter and its values"),
        (["01", "--over", "runs"], "not 'runs'"),
        (["01", "--over", "runs="], "a value is empty"),
        (["01", "--over", "runs=1,,2"], "a value is empty"),
        (["01", "--over", "runs=1,2,1"], "the value 1 is there twice"),
        (["01", "--over", "runs=1", "--over", "runs=2"], "the parameter runs is given twice"),
        (["01", "-p", "runs=1", "--over", "runs=2,3"], "the parameter runs is given twice"),
        (["01", "--over", "rusn=1,2"], "no chosen lab has a parameter rusn"),
        (["99", "--over", "runs=1,2"], "there is no lab 99"),
        (["01", "07", "--over", "runs=1,2"], "lab 07 has none of the parameters"),
        (["01", "--over", "runs=1,2", "--at-once", "many"], "--at-once is a number of tasks, not 'many'"),
        (["01", "--over", "runs=1,2", "--at-once=0"], "--at-once is a number of tasks, not '0'"),
        (["01", "--over", "runs=1,2", "--", "--array=0-7"], "leave --array out"),
        (["01", "--over", "runs=1,2", "--merge", "12"], "By hand: python slurm/merge.py"),
        (["01", "--over", f"runs={','.join(map(str, range(1002)))}"], "1002 combinations"),
    ],
)
def test_mistakes_are_named_before_anything_is_submitted(repository, arguments, words):
    for path in repository.root.glob("labs/**/02_made.ipynb"):
        path.with_name("07_made.ipynb").write_text(path.read_text().replace("runs = 3", "ranks = 3"))
    for done in (dry_run(repository, *arguments), repository.run("sweep.sh", *arguments)):
        assert done.returncode == 2
        assert words in done.stderr
        assert "sbatch" not in done.stdout


def test_no_folder_for_results(repository):
    repository.set(SCRATCH="")
    done = dry_run(repository, "01", "--over", "runs=1,2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "SCRATCH in" in done.stderr


def test_no_sbatch(repository):
    done = repository.run("sweep.sh", "01", "--over", "runs=1,2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no sbatch here" in done.stderr


class Array:
    """The folder of an array, as its tasks leave it."""

    def __init__(self, folder: Path, lab: str = "01", **over: list) -> None:
        self.folder, self.lab = folder / "sweep-12", lab
        self.folder.mkdir()
        self.combinations = [dict(zip(over, values, strict=True)) for values in product(*over.values())]
        rows = []
        for task, combination in enumerate(self.combinations):
            words = ["-p", "rows=9"]
            for name, value in combination.items():
                words += ["-p", f"{name}={value}"]
            rows.append("\t".join([str(task), lab, "--cell-seconds", "60", *words]))
        (self.folder / "plan.tsv").write_text("\n".join(rows) + "\n")

    def leave(self, task: int, seconds: float, error: str = "", **numbers: float) -> None:
        place = self.folder / str(task)
        place.mkdir(exist_ok=True)
        (place / "node.txt").write_text("node7\n")
        (place / f"{self.lab}_made.html").touch()
        result = {"lab": f"{self.lab}_made", "ok": not error, "cell": 3 if error else 0, "error": error}
        result |= {"seconds": seconds, "executed": str(place / f"{self.lab}_made.ipynb"), "numbers": numbers}
        (place / f"{self.lab}.json").write_text(json.dumps({"labs": [result]}))

    def merge(self) -> tuple[int, dict, str]:
        """Return the status, report.json and the page."""
        command = [sys.executable, ROOT / "slurm" / "merge.py", self.folder]
        environment = {**without_slurm(self.folder.parent), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, cwd="/", text=True, capture_output=True)
        assert done.stderr == ""
        report = json.loads((self.folder / "report.json").read_text())
        return done.returncode, report, html.unescape((self.folder / "report.html").read_text())


def test_a_report_of_all(tmp_path):
    array = Array(tmp_path, runs=[1, 2, 4, 8], seed=[0, 1])
    for task in range(8):
        array.leave(task, 10 + task)
    status, report, page = array.merge()
    assert (status, report["ok"]) == (0, True)
    assert "<h1>Sweep: 8 of 8 ran to the end</h1>" in page
    assert "sweep-12: lab 01 with rows=9" in page
    assert '<a href="7/01_made.html">7</a></th><td>8</td><td>1</td><td>ok</td><td>17</td><td>node7</td>' in page
    assert "run time, s over runs: 1: 10.5 (median of 2), 2: 12.5 (median of 2)" in page
    assert "run time, s over seed: 0: 13 (median of 4), 1: 14 (median of 4)." in page
    assert page.count("<img") == 1


def test_what_failed_is_missing_or_cannot_be_read_is_said(tmp_path):
    array = Array(tmp_path, mode=["fast", "slow", "other", "last"])
    array.leave(0, 10)
    array.leave(1, 11, error="RuntimeError: <b>it is broken</b>")
    array.leave(3, 11)
    (array.folder / "3" / "01.json").write_text('{"labs": [')
    status, report, page = array.merge()
    assert (status, report["ok"]) == (1, False)
    assert [run["state"] for run in report["runs"]] == ["ok", "failed", "missing", "missing"]
    assert "1 of 4 ran to the end, 1 failed, 2 missing" in page
    assert "failed (cell 3: RuntimeError: <b>it is broken</b>)" in page
    assert "<b>" not in (array.folder / "report.html").read_text()
    assert "missing (its task has left no result, see its log)" in page
    assert "missing (its result cannot be read: " in page
    assert "run time, s over mode: fast: 10, slow: no result, other: no result, last: no result." in page


def test_numbers_that_a_notebook_has_recorded_have_plots_too(tmp_path):
    array = Array(tmp_path, runs=[1, 2])
    array.leave(0, 10, speed=1.5)
    array.leave(1, 10, speed=-2.25)
    status, report, page = array.merge()
    assert status == 0
    assert report["runs"][1]["numbers"] == {"run time, s": 10.0, "speed": -2.25}
    assert "speed over runs: 1: 1.5, 2: -2.25." in page
    assert page.count("<img") == 2


def test_numbers_of_one_unit_share_a_figure_while_lines_can_be_told_apart(tmp_path):
    array = Array(tmp_path, runs=[1, 2])
    for task in range(2):
        array.leave(task, 10, **{"CRS, ms": 0.01, "ELL, ms": 2.0, "memory, GB/s": 50.0})
    _, _, page = array.merge()
    assert "CRS, ms over runs: 1: 0.01, 2: 0.01. ELL, ms over runs: 1: 2, 2: 2." in page
    assert "Lab 01 over runs: CRS, ms; ELL, ms." in page
    assert page.count("<img") == 3
    (tmp_path / "more").mkdir()
    array = Array(tmp_path / "more", runs=[1, 2], seed=range(5))
    for task in range(10):
        array.leave(task, 10, **{"CRS, ms": 0.01, "ELL, ms": 2.0})
    _, _, page = array.merge()
    assert page.count("<img") == 3


def test_a_notebook_records_numbers(repository):
    code = "from labs import lab\nlab.record({'speed, GB/s': 4 * runs})\nlab.record({'wait, s': 1})"
    repository.lab("01", f"{code}\nprint('after it')")
    command = [sys.executable, "-m", "labs.cli", "check", "01", "-p", "runs=2", "--json", "01.json"]
    done = subprocess.run(command, cwd=repository.root, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = json.loads((repository.root / "01.json").read_text())["labs"]
    assert result["numbers"] == {"speed, GB/s": 8.0, "wait, s": 1.0}
    with warnings.catch_warnings(action="error"):  # nbconvert cannot show such an output, and would say so
        assert "after it" in pages.export(Path(result["executed"]), "made for a test")


@pytest.mark.parametrize(
    ("number", "error"), [(float("nan"), ValueError), (float("inf"), ValueError), ([1], TypeError)]
)
def test_only_finite_numbers_are_recorded(number, error):
    with pytest.raises(error):
        lab.record({"speed": number})


def test_no_plan(tmp_path):
    command = [sys.executable, ROOT / "slurm" / "merge.py", tmp_path]
    done = subprocess.run(command, text=True, capture_output=True, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert "error: there is no report" in done.stderr
    assert "plan.tsv" in done.stderr


def test_the_page_in_a_browser(tmp_path, browser):
    """In a light and in a dark theme it fits into the window, axe finds nothing serious, and nothing is loaded."""
    axe = find_spec("axe_playwright_python")
    if axe is None:
        pytest.skip("axe-playwright-python is not installed, which brings axe; to install it: pip install it")
    array = Array(tmp_path, runs=[1, 2, 3], seed=[0, 1])
    for task in range(5):
        array.leave(task, 10 + task, error="RuntimeError: " + 40 * "no " if task == 3 else "")
    array.merge()
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1100, "height": 800}, color_scheme=scheme)
        asked = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto((array.folder / "report.html").as_uri())
        page.add_script_tag(path=Path(axe.origin).with_name("axe.min.js"))
        assert page.evaluate(AXE.replace("{ include: [['.jp-OutputArea']] }", "document")) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        page.close()
