"""Notebooks from a source: which cells go where, and the same bytes each time."""

import json
import random

import nbformat
import pytest

from labs import build, exercises

SOURCE = """# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
# ---

# %% [markdown]
# # Lab 97: a fixture
# It costs 4 €.

# %%
from labs import lab

# %% tags=["exercise", "ex-97-1"]
answer = ...

# %% tags=["solution", "ex-97-1"]
answer = 42

# %%
lab.exercise("97-1").check(answer)


# %%
lab.exercise("97-1").check(answer)

# %% [markdown] tags=["solution", "ex-97-1"]
# Why 42: see the book.
"""


@pytest.fixture
def labs(tmp_path, monkeypatch):
    """A labs folder with one source, and its exercise."""
    monkeypatch.setattr(exercises, "_exercises", dict(exercises._exercises))
    exercises.exercise("97-1", "What is it?", minutes=1, hints=["a", "b", "c"])(print)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "97_fixture.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


def notebooks(labs):
    """Return the learner's notebook and the one with the solutions, as nbformat reads them."""
    made = build.build(labs / "source" / "97_fixture.py")
    assert list(made) == [labs / "97_fixture.ipynb", labs / "solutions" / "97_fixture.ipynb"]
    return [nbformat.reads(text, as_version=4) for text in made.values()]


def test_each_reader_gets_their_cells(labs):
    learner, teacher = ([cell.source for cell in notebook.cells] for notebook in notebooks(labs))
    assert "answer = ..." in learner
    assert "answer = 42" not in learner
    assert "answer = 42" in teacher
    assert "answer = ..." not in teacher
    assert [len(learner), len(teacher)] == [5, 6]
    assert learner.index("answer = ...") == teacher.index("answer = 42")


def test_notebooks_are_valid_and_clean(labs):
    for notebook in notebooks(labs):
        nbformat.validate(notebook)
        assert notebook.metadata == build.METADATA
        for cell in notebook.cells:
            assert set(cell.metadata) <= {"tags"}
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None


def test_ids_are_unique_stable_and_shared(labs):
    learner, teacher = notebooks(labs)
    for notebook in (learner, teacher):
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert [cell.id for cell in learner.cells[-2:]] == [cell.id for cell in teacher.cells[-3:-1]]
    source = labs / "source" / "97_fixture.py"
    source.write_text(SOURCE.replace("# %% tags", "# %%\nnew = 1\n\n# %% tags", 1), encoding="utf-8")
    assert {cell.id for cell in learner.cells} < {cell.id for cell in notebooks(labs)[0].cells}


def test_the_same_source_makes_the_same_bytes(labs):
    source = labs / "source" / "97_fixture.py"
    first = build.build(source)
    random.seed(1)
    assert build.build(source) == first
    assert all(text.endswith("}\n") and "€" in text and json.loads(text) for text in first.values())


BLANK, FILLED = '# %% tags=["exercise", "ex-97-1"]\nanswer = ...\n', '# %% tags=["solution", "ex-97-1"]\nanswer = 42\n'
CHECKED = '# %%\nlab.exercise("97-1").check(answer)\n'


@pytest.mark.parametrize(("text", "words"), [
    (BLANK + CHECKED, "cell 1 .*has to be tagged solution and ex-97-1"),
    (FILLED + BLANK + CHECKED, "cell 2 .*has to be tagged solution and ex-97-1"),
    (BLANK + FILLED.replace("97-1", "97-2") + CHECKED, "cell 1 .*has to be tagged solution and ex-97-1"),
    (BLANK.replace(', "ex-97-1"', "") + FILLED + CHECKED, "cell 1 .*needs the tag of its exercise"),
    (BLANK + FILLED.replace(', "ex-97-1"', "") + CHECKED, "cell 1 .*has to be tagged solution"),
    (BLANK.replace('"exercise"', '"exercise", "solution"') + CHECKED, "both exercise and solution"),
    (CHECKED, "one cell tagged exercise and ex-97-1; it has 0"),
    ((BLANK + FILLED) * 2 + CHECKED, "it has 2"),
    (BLANK + FILLED, "never checks exercise 97-1"),
    ((BLANK + FILLED + CHECKED) + (BLANK + FILLED).replace("97-1", "97-2"), "97-2, which is not registered"),
])  # fmt: skip
def test_a_mistake_in_the_cells_of_an_exercise_is_named(labs, text, words):
    source = labs / "source" / "97_fixture.py"
    source.write_text(text, encoding="utf-8")
    with pytest.raises(build.BuildError, match=f"97_fixture.py.*{words}"):
        build.build(source)


def test_a_mistake_in_one_source_keeps_back_no_other(labs):
    (labs / "source" / "96_first.py").write_text('# %% tags=["exercise"]\n1\n')
    with pytest.raises(build.BuildError, match=r"96_first\.py, cell 1"):
        build.write(labs)
    assert (labs / "97_fixture.ipynb").exists()
    assert build.write(labs, only="97") == []


def test_write_then_check(labs):
    assert len(build.check(labs)) == 2
    assert len(build.write(labs)) == 2
    assert build.check(labs) == []
    assert build.write(labs) == []


def test_check_finds_what_was_changed_and_what_has_no_source(labs):
    build.write(labs)
    changed, orphan = labs / "97_fixture.ipynb", labs / "solutions" / "08_old.ipynb"
    changed.write_text(changed.read_text().replace("fixture", "changed"))
    orphan.write_text("{}")
    assert build.check(labs) == [changed, orphan]


def test_only_numbered_files_are_sources(labs):
    (labs / "source" / "notes.py").touch()
    assert [path.name for path in build.sources(labs)] == ["97_fixture.py"]
