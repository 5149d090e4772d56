"""The exercise engine: what becomes of right, wrong, strange, failing and endless answers, and what the cards show."""

import importlib
import pkgutil
import re
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import IPython  # noqa: F401 - it is there in a notebook
import numpy
import pytest
import torch

from labs import exercise_sets, exercises, lab, notebooks
from labs.cards import Card
from labs.exercises import Wrong
from labs.limits import Limit, TimeUp
from labs.values import LONGEST, Printed, shown

HINTS = ("one", "two", "three")


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("AURORA_PROGRESS_DIR", str(tmp_path))
    monkeypatch.delenv("AURORA_STRICT", raising=False)
    monkeypatch.setattr(exercises, "_exercises", dict(exercises._exercises))
    lab._hints_given.clear()


@pytest.fixture
def doubling():
    """An exercise whose answer is a function that doubles its argument; the check may take half a second."""

    @exercises.exercise("97-1", "Double it", minutes=3, hints=HINTS, core=False, seconds=0.5)
    def check(answer):
        if not callable(answer):
            raise Wrong("The answer is a function.", expected="a function of one number")
        if answer(21) != 42:
            raise Wrong("For 21 that is not double.", got=answer(21), expected=42)

    return lab.exercise("97-1")


# --- outcomes --------------------------------------------------------------------------------------------------------


def blank_function(x):
    """What was given to the learner."""


@pytest.mark.parametrize(
    "answer", [..., None, (..., ...), [...], {"a": ...}, blank_function, lambda x: ..., lambda: None]
)
def test_a_blank_is_not_attempted(doubling, answer):
    card = doubling.check(answer)
    assert card.status == "not attempted"
    assert "(optional, 3 min)" in card.text
    assert not lab.kept.history().events, "nothing to keep"


@pytest.mark.parametrize("answer", [(), [], {}, (1, ...), 0, "", False, lambda x: 0, lambda x: x])
def test_what_is_no_blank_is_attempted(doubling, answer):
    assert doubling.check(answer).status == "not yet"


def test_passed_and_not_yet(doubling):
    assert doubling.check(lambda x: 2 * x).passed
    card = doubling.check(lambda x: x * x)
    assert (card.status, card.values) == ("not yet", (("your answer", "441"), ("expected", "42")))
    assert doubling.check(7).values == (("your answer", "7"), ("expected", "a function of one number"))
    assert "ex.hint()" in repr(card)


def raises(x):
    return inner(x)


def inner(x):
    raise KeyError(x)


def recursive(x):
    return recursive(x)


def explode(x):
    class Explosive(Exception):
        def __str__(self):
            raise RuntimeError

    raise Explosive


@pytest.mark.parametrize(("answer", "words"), [
    (raises, ["Your code raised KeyError: 21", "in raises: return inner(x)"]),
    (lambda x: exit(), ["Your code raised SystemExit"]),
    (lambda x: recursive(x), ["Your code raised RecursionError"]),
    (explode, ["Your code raised Explosive: its text cannot be shown"]),
])  # fmt: skip
def test_a_function_that_raises_shows_its_own_line(doubling, answer, words):
    card = doubling.check(answer)
    assert card.status == "error"
    assert all(word in repr(card) for word in words), card
    assert "exercises.py" not in repr(card)


class Hostile:
    @property
    def __class__(self):
        raise RuntimeError

    __repr__ = __len__ = __bool__ = __eq__ = __iter__ = __hash__ = __class__


@pytest.mark.parametrize("around", ["{}", "[{}]", "{}, ...", "dict(a={})"])
def test_an_answer_that_resists_is_not_yet_right(doubling, around):
    card = doubling.check(eval(around.format("Hostile()")))
    assert card.status == "not yet"
    assert "Hostile" in repr(card)


def test_an_error_in_the_check_is_no_error_of_the_learner():
    @exercises.exercise("97-2", "Number", minutes=1, hints=HINTS)
    def check(answer):
        float(answer)

    card = lab.exercise("97-2").check("twelve")
    assert card.status == "not yet"
    assert "of type str, could not be checked (ValueError" in card.text


def endless(x):
    while True:
        x += 1


def stubborn(x):
    while True:
        try:
            time.sleep(60)
        except BaseException:
            x += 1
            if x > 22:
                raise


@pytest.mark.parametrize("answer", [endless, stubborn, lambda x: time.sleep(60)])
def test_what_does_not_end_is_stopped(doubling, answer):
    began = time.monotonic()
    card = doubling.check(answer)
    assert time.monotonic() - began < 10
    assert (card.status, "not come back after 0.5 s" in card.text) == ("error", True)
    assert f"in {answer.__name__}" in repr(card)
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 10 or signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert doubling.check(lambda x: 2 * x).passed


def test_an_interrupt_by_the_user_is_passed_on(doubling):
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        doubling.check(interrupted)


def test_what_is_printed_is_shown_shortly(doubling, capsys):
    def chatty(x):
        for number in range(100_000):
            print("line", number)
        return x

    card = doubling.check(chatty)
    printed = dict(card.values)["it printed"]
    assert printed.splitlines()[:2] == ["line 0", "line 1"]
    assert len(printed) < 1500
    assert printed.endswith("...")
    assert capsys.readouterr().out == ""


# --- time limit and short texts --------------------------------------------------------------------------------------


def test_a_timer_that_was_running_goes_on(monkeypatch):
    handler = signal.getsignal(signal.SIGALRM)
    before = signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        with Limit(1):
            assert signal.getitimer(signal.ITIMER_REAL)[0] <= 1
        assert 90 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)
    with pytest.raises(TimeUp), Limit(0.05):
        time.sleep(10)


def test_in_another_thread_there_is_no_limit():
    done = []

    def work():
        with Limit(0.01):
            time.sleep(0.05)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


class Explosive:
    def __repr__(self):
        raise RuntimeError


class Huge:
    def __repr__(self):
        return "x" * 10**7


CYCLE = [1]
CYCLE.append(CYCLE)


@pytest.mark.parametrize(("value", "words"), [
    (numpy.zeros((1000, 1000)), "ndarray of shape (1000, 1000), float64: 0, 0, 0, 0, 0, 0, ..."),
    (torch.tensor([1.5, 2]), "Tensor of shape (2,), float32: 1.5, 2"),
    (torch.tensor(3), "Tensor of shape (), int64: 3"),
    (numpy.float64(2.5), "2.5"),
    pytest.param(10**10_000, "a whole number of 33220 bits", id="long"),
    (Explosive(), "Explosive"),
    ([Explosive(), 1], "1]"),
    (CYCLE, "[1, [1,"),
    (list(range(10**6)), "[0, 1, 2, 3, 4, 5, ...]"),
    (Huge(), "xxx"),
    pytest.param("a" * 10**6, "aaa", id="text"),
    (numpy.ndarray, "<class 'numpy.ndarray'>"),
    ("two", "'two'"),
])  # fmt: skip
def test_any_value_has_a_short_text(value, words):
    assert words in shown(value)
    assert len(shown(value)) <= LONGEST


def test_printed_keeps_the_beginning():
    out = Printed()
    for _ in range(1000):
        print("word " * 100, file=out)
    assert len(out.text()) < 1500
    assert out.text().endswith("...")


# --- the registry ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", exercises.ids())
def test_every_exercise_is_complete(id):
    task = exercises.find(id)
    assert task.title
    assert task.minutes > 0
    assert all(hint.strip() for hint in task.hints)
    assert task.check.__module__ == f"labs.exercise_sets.lab{task.lab}"
    found = notebooks.find(task.lab)
    assert notebooks.cells(found.learner(), "exercise", f"ex-{id}")
    assert notebooks.cells(found.solutions(), "solution", f"ex-{id}")


@pytest.mark.parametrize("id", exercises.ids())
def test_every_exercise_is_tried_three_ways(id):
    tests = Path(__file__).with_name(f"test_lab{id.partition('-')[0]}.py").read_text(encoding="utf-8")
    assert re.search(rf"three_ways\(\s*[\"']{id}[\"']", tests), f"no test calls three_ways for {id}"


def test_every_module_of_exercises_can_be_imported():
    for module in pkgutil.iter_modules(exercise_sets.__path__):
        importlib.import_module(f"labs.exercise_sets.{module.name}")


@pytest.mark.parametrize(("id", "hints", "words"), [
    ("97.1", HINTS, "like '02-1'"),
    ("7-1", HINTS, "like '02-1'"),
    ("97-1", HINTS[:2], "3 hints"),
    ("97-1", "abc", "3 hints"),
])  # fmt: skip
def test_a_wrong_registration_is_refused(id, hints, words):
    with pytest.raises(ValueError, match=words):
        exercises.exercise(id, "title", minutes=1, hints=hints)


def test_two_exercises_with_one_id_are_refused():
    exercises.find("01-1")
    with pytest.raises(ValueError, match="renumber one"):
        exercises.exercise("01-1", "again", minutes=1, hints=HINTS)(lambda answer: None)


@pytest.mark.parametrize(("id", "words"), [
    ("1-1", "did you mean '01-1'"), ("01.1", "did you mean '01-1'"), (1.1, "there is no"), ("zz", "are 00-1, 00-2"),
])  # fmt: skip
def test_an_unknown_id_names_the_nearest(id, words):
    with pytest.raises(exercises.UnknownExercise, match=words):
        lab.exercise(id)


def test_a_broken_module_hides_no_other(monkeypatch):
    monkeypatch.setattr(exercises, "labs", lambda: ["01", "98"])
    of_lab = exercises.of_lab

    def broken(number):
        if number == "98":
            raise ImportError("a package that is not here")
        return of_lab(number)

    monkeypatch.setattr(exercises, "of_lab", broken)
    assert "01-1" in exercises.ids()
    assert "01-1" in repr(lab.progress())


# --- what learners use -----------------------------------------------------------------------------------------------


def test_hints_come_one_by_one_and_the_last_stays(doubling):
    cards = [doubling.hint() for _ in range(4)]
    assert [card.text for card in cards] == ["one", "two", "three", "three"]
    assert "hint 1 of 3 (run it again" in cards[0].head
    assert "ex.solution()" in cards[3].head


def test_the_solution_is_that_of_the_notebook():
    first, second = (repr(lab.exercise(id).solution()) for id in ("01-1", "01-2"))
    assert "bytes_saved = 4 * between" in first
    assert "intensity = (relu, flop / moved)" in second
    assert "96 % idle" in second, "text cells, too"


def test_a_solution_that_is_not_there_is_said(monkeypatch, tmp_path, doubling):
    assert "is not where it was installed" in doubling.solution().text
    monkeypatch.setattr(notebooks.Lab, "solutions", lambda *_: tmp_path / "gone.ipynb")
    assert "is not where it was installed" in lab.exercise("01-1").solution().text


def test_an_exercise_shows_how_far_one_is(doubling):
    assert repr(doubling) == "[not attempted] 97-1 Double it · 3 min, optional"
    doubling.check(1)
    doubling.hint()
    assert repr(doubling).splitlines() == ["[not yet] 97-1 Double it · 3 min, optional", "1 try, 1 of 3 hints"]
    doubling.check(lambda x: x + x)
    doubling.check(2)
    doubling.solution()
    assert repr(doubling).splitlines()[0].startswith("[passed]")
    assert repr(doubling).splitlines()[1] == "2 tries, 1 of 3 hints"
    assert "role" in doubling._repr_html_()


def test_progress_is_a_table(doubling):
    doubling.check(1)
    doubling.solution()
    table = lab.progress()
    row = next(line for line in repr(table).splitlines() if line.startswith("97-1"))
    assert row.split("  ")[0::1][-1].strip() == "0 of 3 and the solution"
    assert "not yet" in row
    page = table._repr_html_()
    assert '<th scope="col"' in page
    assert '<th scope="row"' in page
    assert "<caption" in page
    assert page.count("<tr>") == len(exercises.ids()) + 1
    assert len(repr(table).splitlines()) == len(exercises.ids()) + 2


def test_progress_of_one_lab():
    assert {row[0] for row in lab.progress("00").rows} == {id for id in exercises.ids() if id.startswith("00-")}
    with pytest.raises(exercises.UnknownExercise, match="lab '77'; the labs are 00, 01"):
        lab.progress("77")


def test_strict_raises_for_what_is_not_right(monkeypatch, doubling):
    monkeypatch.setenv("AURORA_STRICT", "1")
    assert doubling.check().status == "not attempted"
    assert doubling.check(lambda x: 2 * x).passed
    for answer, words in ((3, "is a function"), (raises, "Your code raised")):
        with pytest.raises(Wrong, match=words):
            doubling.check(answer)


@pytest.mark.parametrize("ran", [True, False])
def test_strict_raises_in_the_solutions_for_what_is_not_attempted(monkeypatch, ran):
    """The solutions notebook is known by its solution's cell, which IPython has run."""
    [code] = [text for kind, text in lab._solution(exercises.find("01-1")) if kind == "code"]
    history = SimpleNamespace(input_hist_raw=["", "import torch", code + "\n" if ran else "bytes_saved = ..."])
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(history_manager=history))
    assert lab.exercise("01-1").check().status == "not attempted"
    monkeypatch.setenv("AURORA_STRICT", "1")
    if not ran:
        assert lab.exercise("01-1").check().status == "not attempted"
        return
    with pytest.raises(Wrong, match="not attempted"):
        lab.exercise("01-1").check()


def test_cards_read_well_without_colour_and_are_escaped():
    card = Card("not yet", "a < b", "<script>&", (("your answer", "<b>"),), "x < 1", ("<i>",))
    page = card._repr_html_()
    assert 'role="status"' in page
    assert "Not yet" in page
    assert not any(tag in page for tag in ("<script>", "<b>", "<i>"))
    assert "--jp-warn-color1" in page
    assert repr(card) == "[not yet] a < b\n<script>&\n  your answer: <b>\nx < 1\n<i>"
