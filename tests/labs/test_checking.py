"""`aurora check` and `aurora export` on small notebooks: one works, one fails in the middle, one hangs."""

import json
import os
import re
import signal
import threading
import time

import nbformat
import pytest
from typer.testing import CliRunner

from labs import build, checking, cli, notebooks
from labs.commands import learner, teacher

HEAD = "# Lab {}: {}\n\n| 1. One | 4 min | core |\n"
SAYS = "class Card:\n    def __repr__(self):\n        return '[passed] 97-1 Title'\nCard()"
LABS = {
    "96_first": ["print(runs, type(runs).__name__)", SAYS],
    "97_fails": ["1 / 0", "print('never')"],
    "98_hangs": ["while True:\n    pass"],
}


def notebook(name, code):
    cells = [nbformat.v4.new_markdown_cell(HEAD.format(name[:2], name[3:]))]
    cells.append(nbformat.v4.new_code_cell("runs = 20\nseed = 0", metadata={"tags": ["parameters"]}))
    return nbformat.v4.new_notebook(cells=[*cells, *map(nbformat.v4.new_code_cell, code)], metadata=build.METADATA)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the three labs, each as learner's notebook and as solutions."""
    (tmp_path / "solutions").mkdir()
    for name, code in LABS.items():
        for path in (tmp_path / f"{name}.ipynb", tmp_path / "solutions" / f"{name}.ipynb"):
            nbformat.write(notebook(name, code), path)
    every = notebooks.every
    monkeypatch.setattr(notebooks, "every", lambda folder=None: every(tmp_path))
    monkeypatch.setattr(teacher, "LABS", tmp_path)
    monkeypatch.setattr(learner, "LABS", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def aurora(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def test_check_runs_all_and_says_what_failed(place):
    result = aurora(
        "check", "--jobs", 3, "--cell-seconds", 20, "--json", "out/r.json", "--html", "r.html", "-p", "runs=3"
    )
    assert result.exit_code == 1
    report = json.loads((place / "out/r.json").read_text())
    first, fails, hangs = report["labs"]
    assert [lab["ok"] for lab in report["labs"]] == [True, False, False]
    assert (first["exercises"], first["minutes_core"], first["seconds"] > 0) == ({"97-1": "passed"}, 4, True)
    assert outputs(first["executed"]) == "3 int\n"
    assert "ZeroDivisionError: division by zero" in fails["error"]
    assert "longer than 20 s" in hangs["error"]
    assert hangs["cell"] == fails["cell"] == 3
    assert "never" not in outputs(fails["executed"])
    assert "1 of 3 ran to the end" in result.output
    page = (place / "r.html").read_text()
    assert '<th scope="row">97_fails</th>' in page
    assert "failed in cell" in page
    assert not re.search(r"(src|href)=", page)


def test_an_interrupt_ends_what_is_running(place):
    hangs = notebooks.find("98")
    timer = threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        checking.run({hangs: hangs.learner(place)}, {hangs: {}}, place / "out", jobs=1, strict=False)
    timer.join()
    assert time.monotonic() - began < 60, "a cell may take 300 s"


def test_check_of_a_learners_notebook(place):
    made = place / "aurora-labs"
    made.mkdir()
    nbformat.write(
        notebook("96_first", ["import os; print(os.environ.get('AURORA_STRICT'), os.listdir())"]),
        made / "96_first.ipynb",
    )
    result = aurora("check", "96", "--learner", "--keep", "executed")
    assert result.exit_code == 0, result.output
    assert outputs(place / "executed/96_first.ipynb").startswith("None ["), "a wrong answer is no failure"


ENDLESS = """from labs import exercises, lab
@exercises.exercise("96-1", "Title", minutes=1, hints=["a", "b", "c"], seconds=0.5)
def check(answer):
    answer()

def endless():
    while True:
        pass

lab.exercise("96-1").check(endless)"""


def test_a_check_that_never_ends_is_stopped_in_a_kernel_too(place):
    nbformat.write(notebook("96_first", [ENDLESS]), place / "96_first.ipynb")
    result = aurora("check", "96", "--learner", "--cell-seconds", 60, "--json", "r.json")
    assert result.exit_code == 0, result.output
    assert json.loads((place / "r.json").read_text())["labs"][0]["exercises"] == {"96-1": "error"}


@pytest.mark.parametrize(("arguments", "words"), [
    (["96_frist"], "did you mean 96_first?"),
    (["96", "-p", "run=3"], "no chosen notebook has a parameter 'run': did you mean 'runs'?"),
    (["96", "-p", "zzzzzz=3"], "there are runs, seed"),
    (["96", "-p", "runs"], "a parameter is name=value"),
    (["96", "--keep", "96_first.ipynb"], "File exists"),
])  # fmt: skip
def test_what_is_refused_runs_nothing(place, monkeypatch, arguments, words):
    monkeypatch.setattr(checking, "_run_one", lambda *_: pytest.fail("ran"))
    result = aurora("check", *arguments)
    assert (result.exit_code, words in result.output) == (1, True), result.output


def test_a_notebook_that_is_not_there_is_named(place):
    (place / "96_first.ipynb").unlink()
    result = aurora("check", "96", "--learner")
    assert (result.exit_code, "aurora reset" in result.output) == (1, True)


@pytest.mark.parametrize(("word", "value"), [
    ("runs=2", 2), ("a=1e-3", 0.001), ("a=true", True), ("a=None", None), ("a=fast", "fast"), ("a=b=c", "b=c"),
    ("a=", ""),
])  # fmt: skip
def test_parameters_have_types(word, value):
    [found] = checking.parameters([word]).values()
    assert (found, type(found)) == (value, type(value))


# --- export ----------------------------------------------------------------------------------------------------------

LOADS = re.compile(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["'](?!data:)[^"']*|\bimport\(|from ['"]https?:""")


@pytest.mark.parametrize("slides", [False, True])
def test_export_loads_nothing_from_anywhere(place, slides):
    widget = nbformat.v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}})
    made = notebook("96_first", ["print(1)", "widget"])
    made.cells[-2].outputs = [nbformat.v4.new_output("stream", text="one & <two>\n")]
    made.cells[-1].outputs = [widget]
    nbformat.write(made, place / "96_first.ipynb")
    result = aurora("export", "96", *["--slides"] * slides)
    assert result.exit_code == 0, result.output
    page = (place / f"96_first{'-slides' * slides}.html").read_text()
    assert "<title>Lab 96: first</title>" in page
    assert "one &amp; &lt;two&gt;" in page
    assert "needs a running kernel" in page
    assert LOADS.findall(page) == []
    assert ("ArrowRight" in page) == slides


def test_export_runs_first_when_asked(place):
    result = aurora("export", "96", "--run", "-o", "sub/page.html")
    assert result.exit_code == 0, result.output
    assert "20 int" in (place / "sub/page.html").read_text()
    failed = aurora("export", "97", "--run")
    assert (failed.exit_code, "ZeroDivisionError" in failed.output) == (1, True)
    assert not (place / "97_fails.html").exists()


def test_export_of_what_is_no_notebook(place):
    (place / "96_first.ipynb").write_text("no notebook")
    result = aurora("export", "96")
    assert (result.exit_code, "cannot be exported" in result.output) == (1, True)
