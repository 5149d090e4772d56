"""The exercise engine: which exercises there are, and what becomes of an answer. Learners meet it through labs/lab.py.

labs/exercise_sets/labNN.py registers a check function for each exercise of lab NN, with the ids NN-1, NN-2, ...
"""

import contextlib
import difflib
import importlib
import importlib.util
import itertools
import linecache
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType

from labs import blanks
from labs.limits import Limit, TimeUp
from labs.values import Printed, error_line, shown

PASSED, NOT_YET, NOT_ATTEMPTED, ERROR = "passed", "not yet", "not attempted", "error"
ID = re.compile(r"(\d\d)-(\d+)")
HINTS = 3
SECONDS = 10
FRAMES = 3  # of the learner's code that are shown
_ABSENT = object()


class Wrong(Exception):
    """Raised by a check: the answer is wrong; the message says what is wrong with it.

    `got` and `expected` are shown beside each other. `got` is the learner's value, and is the whole answer if left
    out; `expected` is a value, or a str that describes one.
    """

    def __init__(self, message: str, got: object = _ABSENT, expected: object = _ABSENT) -> None:
        super().__init__(message)
        self.got, self.expected = got, expected


class UnknownExercise(LookupError):
    """There is no exercise with that id; the text names the nearest one."""


@dataclass(frozen=True)
class Exercise:
    id: str  # "02-1": the lab's number, a dash, the exercise's number
    title: str
    minutes: int
    core: bool  # False: optional
    check: Callable[[object], None]
    hints: tuple[str, ...]
    seconds: float  # that the check may take

    @property
    def lab(self) -> str:
        return self.id.partition("-")[0]

    @property
    def kind(self) -> str:
        return "core" if self.core else "optional"


@dataclass(frozen=True)
class Verdict:
    """What became of an answer."""

    outcome: str
    text: str
    got: str = ""
    expected: str = ""
    where: tuple[str, ...] = ()  # the lines of the learner's code that led to the error
    printed: str = ""


_exercises: dict[str, Exercise] = {}


def exercise(
    id: str, title: str, *, minutes: int, hints: Sequence[str], core: bool = True, seconds: float = SECONDS
) -> Callable[[Callable[[object], None]], Callable[[object], None]]:
    """Return a decorator that registers a check function as an exercise.

    The function gets the answer, and raises Wrong unless it is right. It may take `seconds`.

    Raises:
        ValueError: the id is not of the form "02-1" or is taken, or there are not three hints.
    """
    if not ID.fullmatch(id):
        raise ValueError(f"the id of an exercise is like '02-1', two digits, a dash and a number; this one is {id!r}")
    if isinstance(hints, str) or len(hints) != HINTS:
        raise ValueError(f"exercise {id} has to have {HINTS} hints, each of which says more than the one before")

    def register(function: Callable[[object], None]) -> Callable[[object], None]:
        old = _exercises.get(id)
        if old is not None and old.check.__module__ != function.__module__:
            raise ValueError(f"exercise {id} is in {old.check.__module__} and in {function.__module__}: renumber one")
        _exercises[id] = Exercise(id, title, minutes, core, function, tuple(hints), seconds)
        return function

    return register


def find(id: str) -> Exercise:
    """Return the exercise; raise UnknownExercise, with the nearest id, when there is none."""
    id = str(id)
    if id not in _exercises:
        _load(id.partition("-")[0])
    if id not in _exercises:
        number, _, rest = id.replace(".", "-").partition("-")
        near = difflib.get_close_matches(f"{number.zfill(2)}-{rest}" if rest else id, ids(), n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"the exercises are {', '.join(ids())}"
        raise UnknownExercise(f"there is no exercise {id!r}: {advice}")
    return _exercises[id]


def of_lab(number: str) -> list[Exercise]:
    """Return the exercises of one lab, by its two digits, in the order of their ids."""
    _load(number)
    found = [task for task in _exercises.values() if task.lab == number]
    return sorted(found, key=lambda task: int(task.id.partition("-")[2]))


def ids() -> list[str]:
    """Return the ids of all exercises of all labs; a lab whose module cannot be imported here has none."""
    return [task.id for number in labs() for task in of_lab_if_it_loads(number)]


def of_lab_if_it_loads(number: str) -> list[Exercise]:
    """As `of_lab`; nothing when the lab's module needs a package that is not installed here, or is broken."""
    try:
        return of_lab(number)
    except Exception:  # one lab must not hide the others
        return []


def labs() -> list[str]:
    """Return the numbers of the labs that have exercises."""
    from labs import exercise_sets

    names = {module.name[3:] for module in pkgutil.iter_modules(exercise_sets.__path__) if module.name[:3] == "lab"}
    return sorted(names | {task.lab for task in _exercises.values()})


def _load(number: str) -> None:
    name = f"labs.exercise_sets.lab{number}"
    if number.isdecimal() and importlib.util.find_spec(name):
        importlib.import_module(name)


# --- judging ---------------------------------------------------------------------------------------------------------


def judge(task: Exercise, answer: object = ...) -> Verdict:
    """Return what becomes of an answer; nothing the answer does is raised, but an interrupt by the user.

    The check may take `task.seconds`. What does not come back until then is stopped, unless it is in one long call into
    compiled code, or not in the main thread.
    """
    if blanks.is_blank(answer):
        return Verdict(NOT_ATTEMPTED, f"Put your answer in place of the dots ({task.kind}, {task.minutes} min).")
    printed, limit = Printed(), Limit(task.seconds)
    try:
        with limit, contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            task.check(answer)
    except TimeUp as late:
        limit.stop()
        text = f"Stopped: it had not come back after {task.seconds:g} s. Is there a loop that does not end?"
        return Verdict(ERROR, text, where=_where(late, answer), printed=printed.text())
    except Wrong as wrong:
        return _wrong(wrong, answer, printed.text())
    except (Exception, SystemExit) as error:  # a strange answer must not end in a traceback through our code
        return _error(task, error, answer, printed.text())
    return Verdict(PASSED, "Correct.", printed=printed.text())


def _wrong(wrong: Wrong, answer: object, printed: str) -> Verdict:
    got = "" if callable(answer) else shown(answer)  # a function's name says nothing
    if wrong.got is not _ABSENT:
        got = shown(wrong.got)
    expected = ""
    if wrong.expected is not _ABSENT:
        expected = wrong.expected if isinstance(wrong.expected, str) else shown(wrong.expected)
    return Verdict(NOT_YET, str(wrong), got, expected, printed=printed)


def _error(task: Exercise, error: BaseException, answer: object, printed: str) -> Verdict:
    where = _where(error, answer)
    if where:
        return Verdict(ERROR, f"Your code raised {error_line(error)}", where=where, printed=printed)
    text = (
        f"This answer, of type {type(answer).__name__}, could not be checked ({error_line(error)}). "
        "The text of the exercise says what is asked for."
    )
    return Verdict(NOT_YET, text, "" if callable(answer) else shown(answer), printed=printed)


def _where(error: BaseException, answer: object) -> tuple[str, ...]:
    """The lines of the learner's own code in the traceback, the innermost last; none when it was ours that failed."""
    codes, rows, trace = set(_codes(answer)), [], error.__traceback__.tb_next  # without judge() itself
    while trace:
        frame = trace.tb_frame
        if frame.f_code in codes or frame.f_globals.get("__name__") == "__main__":
            line = linecache.getline(frame.f_code.co_filename, trace.tb_lineno, frame.f_globals).strip()
            rows.append(f"line {trace.tb_lineno}, in {frame.f_code.co_name}" + (f": {line}" if line else ""))
        trace = trace.tb_next
    return tuple(rows[-FRAMES:])


def _codes(answer: object) -> Iterator[CodeType]:
    """The code of a function, or of the functions in a list, tuple or dict of them."""
    if type(answer) in (list, tuple, dict):
        for value in itertools.islice(answer.values() if type(answer) is dict else answer, 100):
            if type(value) not in (list, tuple, dict):
                yield from _codes(value)
    elif type(answer) is MethodType:
        yield from _codes(answer.__func__)
    elif type(answer) is FunctionType:
        yield answer.__code__
