"""The exercises, as a learner uses them in a notebook; all of it works offline.

from labs import lab
ex = lab.exercise("02-1")
ex.check(answer)  # what is right or wrong with it
ex.hint()  # the next of three hints
ex.solution()  # how it can be done
lab.progress()  # all exercises, and how far you are; lab.progress("02"): those of one lab
lab.record({"solkit, ms": 1.9})  # keeps a number in the notebook, for slurm/sweep.sh
"""

import math
import os
import sys
from collections import Counter
from collections.abc import Mapping

from labs import exercises, notebooks
from labs import progress as kept
from labs.cards import Card, Table

STRICT = "AURORA_STRICT"  # set by `make labs-test`: what is wrong is an error

_hints_given: Counter = Counter()  # since the kernel started: a fresh kernel starts with the first hint again


class Exercise:
    """One exercise: shows how far the learner is with it, checks answers, and helps."""

    def __init__(self, id: str) -> None:
        self._task = exercises.find(id)

    @property
    def id(self) -> str:
        return self._task.id

    def check(self, answer: object = ...) -> Card:
        """Check an answer; return the card to show.

        With AURORA_STRICT set, as in `make labs-test`, an answer that is not right raises Wrong; so does one that is
        not attempted where the solution's cell has run. So a notebook that fails its own check cannot pass the tests.
        """
        task = self._task
        verdict = exercises.judge(task, answer)
        attempted = verdict.outcome != exercises.NOT_ATTEMPTED
        card = _verdict_card(task, verdict)
        if os.environ.get(STRICT) and not card.passed and (attempted or _solution_has_run(task)):
            raise exercises.Wrong(str(card))
        remark = kept.record(task.id, "check", outcome=verdict.outcome) if attempted else ""
        return _with_note(card, remark)

    def hint(self) -> Card:
        """Return the next of three hints; the last one stays."""
        task, total = self._task, len(self._task.hints)
        number = min(_hints_given[task.id] + 1, total)
        _hints_given[task.id] = number
        more = "run it again for the next" if number < total else "the last; after it there is ex.solution()"
        card = Card("hint", f"{task.id}, hint {number} of {total} ({more})", task.hints[number - 1])
        return _with_note(card, kept.record(task.id, "hint", number=number))

    def solution(self) -> Card:
        """Return the solution, as it is in the solutions notebook."""
        task = self._task
        cells = _solution(task)
        code = "\n\n".join(text for kind, text in cells if kind == "code")
        words = "\n\n".join(text for kind, text in cells if kind != "code")
        if not cells:
            words = f"The notebook labs/solutions/{task.lab}_... is not where it was installed; install it again."
        card = Card("solution", f"{task.id} {task.title}", words, code=code)
        return _with_note(card, kept.record(task.id, "solution"))

    def _card(self) -> Card:
        history = kept.history()
        standing = history.standings().get(self.id, kept.Standing())
        used = [f"{standing.tries} {'try' if standing.tries == 1 else 'tries'}"] if standing.tries else []
        used += [f"{standing.hints} of {len(self._task.hints)} hints"] if standing.hints else []
        used += ["solution seen"] if standing.solution else []
        head = f"{self.id} {self._task.title} · {self._task.minutes} min, {self._task.kind}"
        return Card(standing.outcome, head, ", ".join(used).capitalize(), notes=tuple(history.notes))

    def __repr__(self) -> str:
        return repr(self._card())

    def _repr_html_(self) -> str:
        return self._card()._repr_html_()


def exercise(id: str) -> Exercise:
    """Return the exercise "NN-M"; raise UnknownExercise, with the nearest id, when there is none."""
    return Exercise(id)


def progress(number: str | None = None) -> Table:
    """Return a table of exercises: how far you are, how many tries it took, how many hints.

    Args:
        number: of a lab, like "02"; None: all labs.
    Raises:
        UnknownExercise: that lab has none.
    """
    history = kept.history()
    found, rows, done = history.standings(), [], 0
    numbers = exercises.labs() if number is None else [number]  # one lab alone: others' modules may be slow to import
    tasks = [task for each in numbers for task in exercises.of_lab_if_it_loads(each)]
    if number is not None and not tasks:
        known = ", ".join(exercises.labs())
        raise exercises.UnknownExercise(f"there are no exercises of a lab {number!r}; the labs are {known}")
    for task in tasks:
        standing = found.get(task.id, kept.Standing())
        done += standing.passed
        hints = f"{standing.hints} of {len(task.hints)}" + (" and the solution" if standing.solution else "")
        rows.append((task.id, task.title, f"{task.minutes}, {task.kind}", standing.outcome, str(standing.tries), hints))
    headings = ("exercise", "title", "minutes", "outcome", "tries", "hints seen")
    return Table(f"{done} of {len(rows)} exercises passed", headings, tuple(rows), tuple(history.notes))


def record(numbers: Mapping[str, float]) -> None:
    """Keep numbers in the notebook, by names that say the unit, too: "solkit, ms". Nothing is shown.

    They are in an output of the cell. `aurora check --json` collects them, and slurm/sweep.sh plots them over the
    notebook's parameters.

    Raises:
        ValueError: one is not finite; TypeError: one is no number.
    """
    from IPython.display import display

    found = {name: float(number) for name, number in numbers.items()}
    for name, number in found.items():
        if not math.isfinite(number):
            raise ValueError(f"{name!r} is {number}; only a finite number can be recorded")
    display({notebooks.NUMBERS: found}, raw=True)


def _verdict_card(task: exercises.Exercise, verdict: exercises.Verdict) -> Card:
    values = [
        ("your answer", verdict.got),
        ("expected", verdict.expected),
        *(("your code", row) for row in verdict.where),
        ("it printed", verdict.printed),
    ]
    helps = verdict.outcome in (exercises.NOT_YET, exercises.ERROR)
    return Card(
        verdict.outcome,
        f"{task.id} {task.title}",
        verdict.text,
        tuple(pair for pair in values if pair[1]),
        notes=("Stuck? ex.hint()",) if helps else (),
    )


def _with_note(card: Card, remark: str) -> Card:
    return Card(card.status, card.head, card.text, card.values, card.code, (*card.notes, remark)) if remark else card


def _solution(task: exercises.Exercise) -> list[tuple[str, str]]:
    """Kind and text of the cells that are the exercise's solution; none when the notebook is not there."""
    try:
        lab = notebooks.find(task.lab)
        return notebooks.cells(lab.solutions(), "solution", f"ex-{task.id}")
    except (LookupError, OSError, ValueError):
        return []


def _solution_has_run(task: exercises.Exercise) -> bool:
    """Whether this is the solutions notebook: IPython has run the solution's cells."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return False
    ran = {text.strip() for text in shell.history_manager.input_hist_raw}
    return any(kind == "code" and text.strip() in ran for kind, text in _solution(task))
