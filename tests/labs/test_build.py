"""Notebooks from a source: which cells go where, and the same bytes each time."""

import json
import random

import nbformat
import pytest

from labs import build

SOURCE = """# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
# ---

# %% [markdown]
# # Lab 09: a fixture
# It costs 4 €.

# %%
from labs import check

# %% tags=["exercise"]
answer = ...

# %% tags=["solution"]
answer = 42

# %%
check("09.1", answer)


# %%
check("09.1", answer)

# %% [markdown] tags=["solution"]
# Why 42: see the book.
"""


@pytest.fixture
def labs(tmp_path):
    """A labs folder with one source."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "09_fixture.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


def notebooks(labs):
    """Return the learner's notebook and the one with the solutions, as nbformat reads them."""
    made = build.build(labs / "source" / "09_fixture.py")
    assert list(made) == [labs / "09_fixture.ipynb", labs / "solutions" / "09_fixture.ipynb"]
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
    source = labs / "source" / "09_fixture.py"
    source.write_text(SOURCE.replace("# %% tags", "# %%\nnew = 1\n\n# %% tags", 1), encoding="utf-8")
    assert {cell.id for cell in learner.cells} < {cell.id for cell in notebooks(labs)[0].cells}


def test_the_same_source_makes_the_same_bytes(labs):
    source = labs / "source" / "09_fixture.py"
    first = build.build(source)
    random.seed(1)
    assert build.build(source) == first
    assert all(text.endswith("}\n") and "€" in text and json.loads(text) for text in first.values())


@pytest.mark.parametrize(
    "text",
    [
        SOURCE.replace('# %% tags=["solution"]', "# %%"),
        '# %% tags=["exercise"]\nanswer = ...\n',
        '# %% tags=["solution"]\nanswer = 1\n\n# %% tags=["exercise"]\nanswer = ...\n',
    ],
)
def test_a_blank_without_its_solution_is_named(labs, text):
    source = labs / "source" / "09_fixture.py"
    source.write_text(text, encoding="utf-8")
    with pytest.raises(build.BuildError, match=r"09_fixture.py, cell \d \('answer = \.\.\.'\)"):
        build.build(source)


def test_write_then_check(labs):
    assert len(build.check(labs)) == 2
    assert len(build.write(labs)) == 2
    assert build.check(labs) == []
    assert build.write(labs) == []


def test_check_finds_what_was_changed_and_what_has_no_source(labs):
    build.write(labs)
    changed, orphan = labs / "09_fixture.ipynb", labs / "solutions" / "08_old.ipynb"
    changed.write_text(changed.read_text().replace("fixture", "changed"))
    orphan.write_text("{}")
    assert build.check(labs) == [changed, orphan]


def test_only_numbered_files_are_sources(labs):
    (labs / "source" / "notes.py").touch()
    assert [path.name for path in build.sources(labs)] == ["09_fixture.py"]
