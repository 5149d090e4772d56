"""The exercise engine: check an answer, give hints step by step, show the solution; all of it offline.

In a notebook: `from labs import check, hint, solution`, then `check("01.1", answer)`. A lab's exercises are in
labs/exercise_sets/labNN.py, and are looked up by the number in front of the dot.
"""

import difflib
import html
import importlib
import importlib.util
import os
import pkgutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labs import progress


class Wrong(Exception):
    """Raised by a check: the answer is wrong; the text says what is wrong with it."""


class UnknownExercise(LookupError):
    """There is no exercise with that id; the text names the nearest one."""


@dataclass(frozen=True)
class Exercise:
    id: str  # "01.1": the lab's number, a dot, the exercise's number
    title: str
    minutes: int
    core: bool  # False: optional
    check: Callable[[object], None]
    hints: tuple[str, ...]
    solution: str


@dataclass(frozen=True)
class Card:
    """What a notebook shows: a line with a status, and a text under it. Made to read well as HTML and as plain text."""

    status: str
    head: str
    text: str
    code: bool = False

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def __repr__(self) -> str:
        return f"[{self.status}] {self.head}\n{self.text}"

    def _repr_html_(self) -> str:
        mark, color = _LOOK[self.status]
        tag, wrap = ("pre", "; white-space: pre-wrap; word-break: normal") if self.code else ("p", "")
        return (
            f'<div role="status" style="border-left: 4px solid {color}; padding: 4px 12px; '
            'color: var(--jp-content-font-color1, inherit); background: var(--jp-layout-color1, transparent)">'
            f'<strong><span aria-hidden="true" style="color: {color}">{mark}</span> {self.status.capitalize()}</strong>'
            f' · {html.escape(self.head)}<{tag} style="margin: 4px 0{wrap}">{html.escape(self.text)}</{tag}></div>'
        )


# The words carry the meaning; mark and colour only repeat it. The variables are JupyterLab's, and follow its theme.
_LOOK = {
    "passed": ("✓", "var(--jp-success-color1, #2e7d32)"),
    "wrong": ("✗", "var(--jp-error-color1, #c62828)"),
    "not attempted": ("○", "var(--jp-border-color0, #757575)"),
    "hint": ("?", "var(--jp-info-color1, #0277bd)"),
    "solution": ("=", "var(--jp-info-color1, #0277bd)"),
}

_exercises: dict[str, Exercise] = {}
_hints_given: Counter = Counter()  # since the kernel started: a fresh kernel starts with the first hint again


def exercise(
    id: str, title: str, *, minutes: int, hints: Sequence[str], solution: str, core: bool = True
) -> Callable[[Callable[[object], None]], Callable[[object], None]]:
    """Return a decorator that registers a check function as an exercise; raise ValueError when the id is taken."""

    def register(function: Callable[[object], None]) -> Callable[[object], None]:
        old = _exercises.get(id)
        if old is not None and old.check.__module__ != function.__module__:
            raise ValueError(f"exercise {id} is in {old.check.__module__} and in {function.__module__}: renumber one")
        _exercises[id] = Exercise(id, title, minutes, core, function, tuple(hints), solution.strip())
        return function

    return register


def find(id: str) -> Exercise:
    """Return the exercise; raise UnknownExercise, with the nearest id, when there is none."""
    id = str(id)
    lab = id.partition(".")[0]
    if id not in _exercises and lab.isdecimal() and importlib.util.find_spec(f"labs.exercise_sets.lab{lab}"):
        importlib.import_module(f"labs.exercise_sets.lab{lab}")
    if id not in _exercises:
        near = difflib.get_close_matches(id, ids(), n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"the exercises are {', '.join(ids())}"
        raise UnknownExercise(f"there is no exercise {id!r}: {advice}")
    return _exercises[id]


def ids() -> list[str]:
    """Return the ids of all exercises of all labs."""
    from labs import exercise_sets

    for module in pkgutil.iter_modules(exercise_sets.__path__):
        importlib.import_module(f"labs.exercise_sets.{module.name}")
    return sorted(_exercises)


def check(id: str, answer: object = ...) -> Card:
    """Check an answer and return the card to show; raise UnknownExercise for a wrong id, and nothing else.

    With AURORA_STRICT set, as in `make labs-test`, a wrong answer raises Wrong: so a notebook that fails its own
    check cannot pass the tests.
    """
    task = find(id)
    status, text = _judge(task, answer)
    if status == "wrong" and os.environ.get("AURORA_STRICT"):
        raise Wrong(f"{task.id}: {text}")
    progress.record(task.id, "check", status=status)
    return Card(status, f"{task.id} {task.title}", text)


def _judge(task: Exercise, answer: object) -> tuple[str, str]:
    if answer is ... or answer is None:
        kind = "core" if task.core else "optional"
        return "not attempted", f"Put your answer in place of the dots ({kind}, about {task.minutes} minutes)."
    try:
        task.check(answer)
    except Wrong as wrong:
        return "wrong", f'{wrong} Stuck? hint("{task.id}")'
    except Exception as error:  # a strange answer must not end in a traceback through our code
        return "wrong", (
            f"This answer, of type {type(answer).__name__}, could not be checked ({type(error).__name__}: {error}). "
            f'What is asked for is in the text of the exercise, and in hint("{task.id}").'
        )
    return "passed", "Correct."


def hint(id: str) -> Card:
    """Return the next hint, from the first to the last; raise UnknownExercise."""
    task = find(id)
    number = min(_hints_given[task.id] + 1, len(task.hints))
    _hints_given[task.id] = number
    progress.record(task.id, "hint", number=number)
    if not task.hints:
        return Card("hint", f"{task.id} {task.title}", f'This exercise has no hints; see solution("{task.id}").')
    more = "ask again for the next one" if number < len(task.hints) else f'the last one; then solution("{task.id}")'
    return Card("hint", f"{task.id}, hint {number} of {len(task.hints)} ({more})", task.hints[number - 1])


def solution(id: str) -> Card:
    """Return the solution as a card; raise UnknownExercise."""
    task = find(id)
    progress.record(task.id, "solution")
    return Card("solution", f"{task.id} {task.title}", task.solution, code=True)
