"""The exercise engine, and every exercise three ways: its solution passes, the blank is not attempted, and a known
wrong answer gets its own message."""

import itertools
import json

import numpy
import pytest
import torch

import labs
from labs import exercises, progress
from labs.exercise_sets import lab01
from labs.exercises import check, hint, solution

# One trip counted as bytes, all four counted as numbers: each a mistake, with its own answer and words of its message.
WRONG = {
    "01.1": [
        (676_000, "counted once, or four times in floats"),
        (1_352_000, "two trips"),
        (2_028_000, "three trips of four"),
        (4 * 512 * 13 * 13 * 4, "512 channels"),
        (16_000, "one pixel"),
        (21_632_000, "bits"),
        (-2_704_000, "sign"),
        (2.5787, "MiB"),
        (2.704, "MB"),
        (2640.625, "KiB"),
        (2704, "kB"),
        (5_106_112, "what the three layers move"),
        (2_402_112, "what the fused kernel moves"),
        (12, "That is not it"),
        (float("nan"), "That is not it"),
        ("2704000", "without quotes"),
        (True, "without quotes"),
    ],
    "01.2": [
        ((0.25, 72.04), "ReLU: That is right for one trip"),
        ((0.5, 72.04), "ReLU: That counts numbers"),
        ((1, 72.04), "ReLU: That is one FLOP for each number"),
        ((8, 72.04), "ReLU: That is bytes for each FLOP"),
        ((72.04, 0.125), "ReLU: That is the fused kernel's"),
        ((3, 72.04), "ReLU: that is not it"),
        ((0.125, 36.02), "Fused: That counts a multiply-add as one"),
        ((0.125, 288.2), "Fused: That counts numbers"),
        ((0.125, 33.89), "Fused: That is with the bytes of three layers"),
        ((0.125, 64.0), "Fused: That is with the bytes that are saved"),
        ((0.125, 494.5), "Fused: That leaves out the weights"),
        ((0.125, 0.01388), "Fused: That is bytes for each FLOP"),
        ((0.125, float("nan")), "Fused: that is not it"),
        (0.125, "a pair of numbers"),
        ((0.125, ...), "a pair of numbers"),
        ((1, 2, 3), "a pair of numbers"),
        ("0.125, 72", "a pair of numbers"),
        ({0.125, 72.04}, "a pair of numbers"),
    ],
}


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("AURORA_PROGRESS_DIR", str(tmp_path))
    exercises._hints_given.clear()


@pytest.mark.parametrize("id", exercises.ids())
def test_the_solution_passes(id):
    """By convention a check function has the name of the variable that holds the answer."""
    task, names = exercises.find(id), {}
    exec(task.solution, names)
    card = check(id, names[task.check.__name__])
    assert card.passed, card


@pytest.mark.parametrize("id", exercises.ids())
def test_the_blank_is_not_attempted(id):
    assert {check(id).status, check(id, ...).status, check(id, None).status} == {"not attempted"}


@pytest.mark.parametrize("id", exercises.ids())
def test_every_exercise_is_complete(id):
    task = exercises.find(id)
    assert id in WRONG, "a new exercise brings its known wrong answers"
    assert task.title
    assert task.minutes > 0
    assert len(task.hints) >= 2
    assert task.solution


@pytest.mark.parametrize(("id", "answer", "words"), [(id, *row) for id, rows in WRONG.items() for row in rows])
def test_a_known_wrong_answer_gets_its_own_message(id, answer, words):
    card = check(id, answer)
    assert card.status == "wrong"
    assert words in card.text


def test_every_known_answer_of_the_table_is_wrong():
    assert lab01.SAVED == 2_704_000
    assert lab01.SAVED not in lab01.KNOWN
    assert len(lab01.KNOWN) == 8  # no two mistakes share a number


def test_no_two_known_mistakes_of_a_pair_are_near_each_other():
    for right, known, count in ((lab01.RELU, lab01.KNOWN_RELU, 5), (lab01.INTENSITY, lab01.KNOWN_FUSED, 6)):
        numbers = sorted([right, *known])
        assert len(known) == count
        assert all(after > 1.05 * before for before, after in itertools.pairwise(numbers))


@pytest.mark.parametrize(
    "pair",
    [(0.125, 72), [0.125, 72.2], numpy.array([0.125, 72.04]), torch.tensor([0.125, 72.3]), (1 / 8, lab01.INTENSITY)],
)
def test_a_pair_may_be_rounded_and_of_any_kind(pair):
    """72.2 is with ReLU, pooling and bias counted, as `explain()` does."""
    assert check("01.2", pair).passed


@pytest.mark.parametrize("kind", [int, float, numpy.int64, numpy.float32, numpy.array, torch.tensor])
def test_any_kind_of_number_is_accepted(kind):
    assert check("01.1", kind(2_704_000)).passed


class Strange:
    def __float__(self):
        raise RuntimeError("no number in here")


@pytest.mark.parametrize("answer", [[1, 2], numpy.zeros(3), {}, object(), lambda: 0, Strange(), torch.zeros(2)])
def test_a_strange_answer_is_wrong_and_no_traceback(answer):
    card = check("01.1", answer)
    assert card.status == "wrong"
    assert f"of type {type(answer).__name__}" in card.text


def test_strict_raises_for_wrong_and_for_nothing_else(monkeypatch):
    monkeypatch.setenv("AURORA_STRICT", "1")
    assert check("01.1").status == "not attempted"
    assert check("01.1", 2_704_000).passed
    with pytest.raises(exercises.Wrong, match=r"01\.1: That is two trips"):
        check("01.1", 1_352_000)


def test_hints_come_one_by_one_and_the_last_stays():
    total = len(exercises.find("01.1").hints)
    heads = [hint("01.1").head for _ in range(total + 1)]
    assert [f"hint {n} of {total}" in head for n, head in enumerate([*heads[:total]], 1)] == [True] * total
    assert heads[-1] == heads[-2]
    assert 'then solution("01.1")' in heads[-1]


@pytest.mark.parametrize(("id", "words"), [("1.1", "did you mean '01.1'"), (1.1, "did you mean"), ("zz", "are 01.1")])
def test_unknown_id(id, words):
    for function in (check, hint, solution):
        with pytest.raises(exercises.UnknownExercise, match=words):
            function(id)


def test_cards_read_well_without_colour_and_are_escaped():
    card = exercises.Card("wrong", "a < b", "<script>&")
    page = card._repr_html_()
    assert 'role="status"' in page
    assert "Wrong" in page
    assert "&lt;script&gt;&amp;" in page
    assert "<script>" not in page
    assert "--jp-error-color1" in page
    assert repr(card) == "[wrong] a < b\n<script>&"
    assert "<pre" in solution("01.1")._repr_html_()


def test_two_exercises_with_one_id_are_refused():
    def other(answer):
        pass

    with pytest.raises(ValueError, match=r"renumber one"):
        exercises.exercise("01.1", "again", minutes=1, hints=[], solution="")(other)


def test_progress_is_kept_without_the_answers():
    check("01.1", 123456789)
    hint("01.1")
    solution("01.1")
    found = progress.events()
    assert [(event["exercise"], event["event"]) for event in found] == [
        ("01.1", "check"),
        ("01.1", "hint"),
        ("01.1", "solution"),
    ]
    assert found[0]["status"] == "wrong"
    assert "123456789" not in progress.path().read_text()
    assert all(json.loads(line) for line in progress.path().read_text().splitlines())


def test_progress_that_cannot_be_written_breaks_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AURORA_PROGRESS_DIR", str(tmp_path / "file"))  # a folder cannot be made in a file
    assert check("01.1", 2_704_000).passed
    assert progress.events() == []


def test_damaged_progress_lines_are_left_out():
    check("01.1", 1)
    with progress.path().open("a") as file:
        file.write('{"half": \n[]\n')
    assert len(progress.events()) == 1


def test_progress_has_a_place_of_its_own(monkeypatch):
    monkeypatch.delenv("AURORA_PROGRESS_DIR")
    assert progress.path().parts[-2:] == ("aurora-labs", "progress.jsonl")


def test_a_notebook_needs_one_line():
    assert (labs.check, labs.hint, labs.solution) == (check, hint, solution)
