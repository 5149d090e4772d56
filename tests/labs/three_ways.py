"""Every exercise three ways: right answers pass, the blank is not attempted, and known wrong ones say what is wrong.

That the solution's cell passes is for the solutions notebook to show, which `make labs-test` runs in strict mode.

    from tests.labs.three_ways import three_ways

    def test_layers():
        three_ways("02-1", right=[3, 3.0], wrong=[(4, "counts the pooling"), ("3", "a number, without quotes")])
"""

from collections.abc import Iterable, Sequence

from labs import exercises, notebooks
from labs.lab import _verdict_card


def three_ways(id: str, right: Sequence[object], wrong: Iterable[tuple[object, str]]) -> None:
    """Assert all of it; `wrong` has pairs of an answer and words of the card that it gets.

    An answer that is a function and raises, or never ends, belongs to `wrong`, too, with words like "raised".
    """
    task = exercises.find(id)
    assert task.title
    assert task.minutes > 0
    assert all(hint.strip() for hint in task.hints)
    assert len(set(task.hints)) == exercises.HINTS, "three hints, and each says something else"
    _has_its_cells(task)

    for blank in (..., None):
        verdict = exercises.judge(task, blank)
        assert verdict.outcome == exercises.NOT_ATTEMPTED, verdict

    assert right, "give at least one right answer"
    for answer in right:
        verdict = exercises.judge(task, answer)
        assert verdict.outcome == exercises.PASSED, f"{answer!r}\n{verdict}"

    wrong = list(wrong)
    assert wrong, "give the mistakes that people make"
    for answer, words in wrong:
        verdict = exercises.judge(task, answer)
        assert verdict.outcome in (exercises.NOT_YET, exercises.ERROR), f"{answer!r}\n{verdict}"
        card = _verdict_card(task, verdict)
        assert words in repr(card), f"{answer!r} gets\n{card!r}\nwithout {words!r}"
        assert card._repr_html_().startswith("<div")


def _has_its_cells(task: exercises.Exercise) -> None:
    """The learner's notebook has the blank, the other one the solution."""
    lab, tag = notebooks.find(task.lab), f"ex-{task.id}"
    assert notebooks.cells(lab.learner(), "exercise", tag), f"{lab.name} has no cell tagged exercise and {tag}"
    assert notebooks.cells(lab.solutions(), "solution", tag), f"the solutions have no cell tagged solution and {tag}"
