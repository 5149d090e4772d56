"""What checks of several labs ask of an answer first."""

from labs.exercises import Wrong

FUNCTION = "Give the function itself, without calling it: its name, and no parentheses after it."
NOTHING = "gives nothing back. Is there a return?"


def a_function(answer: object, arguments: str) -> None:
    """Raise Wrong if the answer cannot be called; `arguments` says of what it is a function."""
    if not callable(answer):
        raise Wrong(FUNCTION, expected=f"a function of {arguments}")


def a_number(value: object, call: str) -> float:
    """What the learner's function gave at `call`, as a float; raise Wrong if it is none."""
    if value is None:
        raise Wrong(f"{call} {NOTHING}", got=value, expected="a number")
    if isinstance(value, str | bytes):
        raise Wrong(f"{call} gives text.", got=value, expected="a number")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Wrong(f"{call} gives no number.", got=value, expected="a number") from None


def a_pair(answer: object, expected: str) -> tuple[float, float]:
    """The two numbers of an answer; raise Wrong, with what they are `expected` to be, if it is no such pair."""
    if isinstance(answer, str | dict | set):
        raise Wrong("The answer is a pair of numbers.", expected=expected)
    try:
        first, second = (float(number) for number in answer)
    except (TypeError, ValueError):
        raise Wrong("The answer is a pair of numbers.", expected=expected) from None
    return first, second
