"""Whether an answer is still the blank that it was: dots, nothing, or a function with nothing in it."""

import dis
from types import FunctionType

# What a function does that does nothing: it begins, and returns a constant.
NOTHING = {"RESUME", "NOP", "CACHE", "COPY_FREE_VARS", "MAKE_CELL", "POP_TOP", "LOAD_CONST", "RETURN_VALUE"}
NOTHING |= {"RETURN_CONST", "LOAD_COMMON_CONSTANT", "NOT_TAKEN"}


def is_blank(answer: object) -> bool:
    """Return whether this is `...` or None, a tuple, list or dict of nothing else, or a function with such a body."""
    if answer is ... or answer is None:
        return True
    if type(answer) in (tuple, list, dict):
        values = answer.values() if type(answer) is dict else answer
        return bool(values) and all(value is ... for value in values)
    return type(answer) is FunctionType and _does_nothing(answer)  # isinstance would ask the answer


def _does_nothing(function: FunctionType) -> bool:
    code = function.__code__
    returned = [value for value in code.co_consts if value is not None and value is not ...]
    if returned and returned != [function.__doc__]:
        return False
    return all(step.opname in NOTHING for step in dis.get_instructions(code))
