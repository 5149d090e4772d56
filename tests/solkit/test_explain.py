"""explain(): rows, the table, the drawing, times, and the files of compiler::debug."""

import itertools
import re
from xml.etree import ElementTree

import pytest
import torch
from compare import Calls, images
from torch import nn

import solkit as sol
from solkit.explain import drawing
from solkit.explain.rows import Row


def residual() -> nn.Module:
    """A convolution that is read twice, and an operator that PyTorch runs."""
    return Calls(
        lambda m, x: torch.logcumsumexp(m.second(m.first(x)) + m.first(x), 1),
        first=nn.Conv2d(8, 8, 3, padding=1),
        second=nn.Conv2d(8, 8, 3, padding=1),
    ).eval()


@pytest.fixture(scope="module")
def model():
    return sol.optimize(residual(), images(1, 8, 6, 6))


def svg(page: str) -> ElementTree.Element:
    """The only drawing of a page, which must be well-formed."""
    (text,) = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    return ElementTree.fromstring(text)


def texts(drawing: ElementTree.Element) -> list[str]:
    return [item.text for item in drawing.iter("{http://www.w3.org/2000/svg}text")]


def test_rows_say_what_reads_what(model):
    rows = model.explain().rows
    assert [row.number for row in rows] == list(range(len(rows)))
    assert rows[0].reads == (model.graph.inputs[0].name,)
    for row in rows[1:]:
        assert row.reads
        assert all(source < row.number for source in row.reads if isinstance(source, int))
    assert rows[-1].kind == "PyTorch"
    assert any(row.layout.startswith("NCHWc") for row in rows)
    assert rows[0].ms is rows[0].gflops is rows[0].choice is None


def test_views_are_looked_through():
    made = sol.optimize(nn.Sequential(nn.Linear(8, 8), nn.Flatten(), nn.Linear(16, 4)).eval(), images(1, 2, 8))
    assert [row.reads for row in made.explain().rows] == [(made.graph.inputs[0].name,), (0,)]


def test_text_has_a_line_for_each_cluster_and_a_summary(model):
    explanation = model.explain()
    lines = str(explanation).splitlines()
    assert len(lines) == len(explanation.rows) + 3
    assert lines[0].split() == ["#", "kind", "operators", "layers", "reads", "result", "MFLOP", "MB"]
    assert "aten.logcumsumexp.default" in lines[-1]


def test_drawing_has_every_box_and_line(model):
    explanation = model.explain()
    page = explanation.to_html()
    assert page == explanation._repr_html_()
    image = svg(page)
    words = texts(image)
    for row in explanation.rows:
        assert f"#{row.number} {row.kind}" in words
        assert row.ops in words
    assert "result 0" in words
    assert f"input {model.graph.inputs[0].name}" in words
    assert "PyTorch" in image.get("aria-label")
    outlines = {item.get("stroke-dasharray") for item in image.iter("{http://www.w3.org/2000/svg}rect")}
    assert None in outlines, "PyTorch alone is dashed"
    assert len(outlines) == 2


def test_drawing_has_no_colour_of_its_own(model):
    for page in (model.explain().to_html(), model.explain().memory().to_html()):
        assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', page)) <= {"currentColor", "none"}


def test_explain_with_inputs_measures(model):
    explanation = model.explain(inputs=images(1, 8, 6, 6))
    for row in explanation.rows:
        assert (row.ms is None) == (row.kind == "PyTorch")
        if row.ms:
            assert row.gflops == pytest.approx(row.mflop / row.ms)
    assert "GFLOP/s" in str(explanation).splitlines()[0]
    assert " ms, " in explanation.to_html()
    with pytest.raises(sol.InputError, match="optimized for"):
        model.explain(inputs=images(2, 8, 6, 6))


def test_explain_remembers_the_last_profile():
    made = sol.optimize(nn.Linear(4, 4).eval(), images(2, 4))
    assert "GFLOP/s" not in str(made.explain())
    (timing,) = made.profile(images(2, 4), runs=1)
    assert made.explain().rows[0].ms == timing.solkit_ms


def test_choice_and_losers_are_shown_where_there_are_any():
    made = sol.optimize(nn.Linear(4, 4).eval(), images(2, 4))
    made.clusters[0].choice, made.clusters[0].losers = "panels", [("rows", 0.25)]
    explanation = made.explain()
    assert "panels (slower: rows 0.250 ms)" in str(explanation)
    assert "panels (slower: rows 0.250 ms)" in explanation.to_html()


def test_names_are_escaped_and_cut():
    row = Row(0, "DFP", "a<b" + " -> relu" * 40, "x&y", ("in",), "[F=1]", "plain", 1.0, 1.0)
    words = texts(svg(drawing.draw([row], [("in", "[F=1]")], [("[F=1]", (0,))])))
    assert next(word for word in words if word.startswith("a<b")).endswith("...")
    assert "x&y" in words


def places_overlap(reads: list[list[int]]) -> list[tuple]:
    """Pairs of places in one row that are nearer than they are wide."""
    depth, middle = drawing.place(reads)
    for box, sources in enumerate(reads):
        assert all(depth[source] < depth[box] for source in sources)
        assert all((source, depth[box] - 1) in middle for source in sources), "a line from the row above"
    found = []
    for level in range(max(depth, default=-1) + 1):
        row = sorted((x, box) for (box, r), x in middle.items() if r == level)
        for (x, box), (y, other) in itertools.pairwise(row):
            sizes = sum(drawing.WIDTH if depth[b] == level else drawing.PASSING for b in (box, other))
            if y - x < sizes / 2:
                found.append((level, box, other))
    return found


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [[]],
        [[], [0], [0, 1], [0, 1, 2], [0, 3]],
        [[], [], [0], [1], [2, 3], [4, 0], [4], [4], [5, 6, 7]],
        [[], *([i] for i in range(30))],
        [list(range(i)) for i in range(40)],
    ],
    ids=["nothing", "one", "skips", "branches", "chain", "dense"],
)
def test_boxes_and_lines_have_room(reads):
    assert places_overlap(reads) == []


def test_a_chain_is_straight():
    _, middle = drawing.place([[], [0], [1], [2]])
    assert set(middle.values()) == {0.0}


def test_two_hundred_clusters():
    sources = [("x",), (0,), *((n - 1, n - 2) for n in range(2, 200))]
    rows = [Row(n, "DNN", "conv2d", f"layer{n}", sources[n], "[F=1]", "plain", 1.0, 1.0) for n in range(200)]
    page = drawing.draw(rows, [("x", "[F=1]")], [("[F=1]", (199,))])
    assert len(page) < 500_000
    assert len(list(svg(page).iter("{http://www.w3.org/2000/svg}g"))) == 202


def test_debug_writes_graphs_sources_and_explain(tmp_path, settings, cache_folder):
    settings["compiler::debug"] = tmp_path / "debug"
    made = sol.optimize(residual(), images(1, 8, 6, 6))
    (folder,) = (tmp_path / "debug").iterdir()
    assert folder.name.startswith("Calls-")
    before, after = ((folder / f"graph_{when}.txt").read_text() for when in ("before", "after"))
    assert "reorder" not in before
    assert "reorder" in after
    assert "NCHWc" in after
    assert "parameter first.weight" in before
    assert {path.name for path in (folder / "source").iterdir()} == set(made._engine.program.sources)
    assert (folder / "explain.html").read_text().startswith("<!doctype html>")
    assert not (folder / "memory.html").exists()


def test_debug_memory_goes_beside_the_program_or_into_the_debug_folder(tmp_path, settings, cache_folder):
    settings["compiler::debug_memory_consumption"] = True
    model = nn.Sequential(nn.Linear(8, 8), nn.Softmax(-1), nn.Linear(8, 8)).eval()
    sol.optimize(model, images(2, 8))
    (beside,) = cache_folder.glob("*/memory.html")
    assert (beside.parent / "library.so").exists()
    settings["compiler::debug"] = str(tmp_path)
    sol.optimize(model, images(2, 8))
    assert len(list(tmp_path.glob("Sequential-*/memory.html"))) == 1


def test_debug_into_a_file_is_refused(tmp_path, settings):
    (tmp_path / "file").write_text("")
    settings["compiler::debug"] = tmp_path / "file"
    with pytest.raises(sol.ConfigError, match="compiler::debug"):
        sol.optimize(nn.Linear(4, 4).eval(), images(2, 4))
