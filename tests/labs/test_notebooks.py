"""The notebooks of lab 01 from top to bottom, each in a fresh kernel and with an empty cache."""

import nbformat
import papermill
import pytest
import torch

import solkit as sol
from labs import show
from labs.notebooks import LABS
from labs.zoo import deck3
from solkit import target
from solkit.codegen import generate

NAME = "01_sol_introduction.ipynb"


@pytest.mark.parametrize("path", [NAME, pytest.param(f"solutions/{NAME}", marks=pytest.mark.slow)])
def test_runs_to_the_end_and_prints_no_warning(path, tmp_path, monkeypatch):
    monkeypatch.setenv("SOL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("AURORA_STRICT", "1")
    source, done = LABS / path, tmp_path / "done.ipynb"
    assert set(papermill.inspect_notebook(str(source))) == {"runs", "seed"}
    options = {"cwd": str(tmp_path), "progress_bar": False, "execution_timeout": 120}
    papermill.execute_notebook(str(source), str(done), {"runs": 2}, **options)

    cells = [cell for cell in nbformat.read(done, as_version=4).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(cell.execution_count for cell in cells)
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    pages = [output.data.get("text/html", "") for output in outputs if "data" in output]
    assert sum("<img alt=" in page for page in pages) == 3
    cards = [page for page in pages if 'role="status"' in page]
    assert len(cards) == 2
    assert all(("Passed" if "solutions" in path else "Not attempted") in card for card in cards)


@pytest.fixture(scope="module")
def clusters():
    return sol.optimize(deck3(), torch.randn(1, 512, 13, 13)).clusters


MACHINES = [
    *(target.Target(name, lanes, tile) for _, name, lanes, tile in target._X86),
    target.ARM64,
    target.VE,
]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_the_walk_through_the_code_finds_its_lines_on_every_machine(machine, clusters):
    """The generated code differs a little from machine to machine; what the notebook explains is in all of it."""
    program = generate(clusters, machine)
    names = {"show": show, "source": program.sources[program.kernels[0]]}
    cells = nbformat.read(LABS / NAME, as_version=4).cells
    walk = [cell.source for cell in cells if cell.source.startswith("show.code(source, first=")]
    shown = [eval(call, names).data for call in walk]
    last = ["vf acc[PIXELS][VECTORS]", "acc[p][v] = bias[v]", "vf_axpy(", "sum[v] = vf_add(sum[v]", "vf_store_n("]
    assert [words in text for words, text in zip(last, shown, strict=True)] == [True] * len(last)
    assert max(len(text.splitlines()) for text in shown) <= 10, "a few lines each, and the fences"
