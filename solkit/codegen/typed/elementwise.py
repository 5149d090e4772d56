"""Element-wise calls: what each element of the result is, as an expression on values, and the loop around it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from solkit.codegen.typed.call import Call
from solkit.codegen.typed.loops import TypedKernel, broadcast, tasks
from solkit.codegen.typed.numbers import Number, number
from solkit.ir import Value

# Takes the number the call is computed in, the operands as C text (None where an optional one is not there), and the
# call; each operand is a name or a constant, which may be repeated. FAULT in the text is a fault of division by zero.
Text = Callable[..., str]
FAULT = "FAULT"


@dataclass(frozen=True)
class Function:
    """An ATen overload that computes each element by itself.

    Attributes:
        operands: its arguments that may be tensors, by their names in the schema.
        text: the expression.
        result: computed in the dtype of the result; otherwise in the one that the operands promote to.
        predicate: the expression is true or false, whatever it was computed in.
        truths: operands of which only counts whether they are zero.
    """

    operands: tuple[str, ...]
    text: Text
    result: bool = True
    predicate: bool = False
    truths: tuple[str, ...] = ()


def emit_elementwise(calls: Sequence[Call], functions: dict[str, Function]) -> TypedKernel:
    """The kernel of calls one behind the other, all of them of the shape of the last, whose result is kept.

    Raises:
        Unsupported: one of them is of a dtype that C has no number for.
    """
    kernel, out = TypedKernel(), calls[-1].output
    made = {call.output for call in calls}
    inputs = [value for call in calls for value in _values(call, functions[call.name]) if value not in made]
    names = {value: kernel.read(value) for value in dict.fromkeys(inputs)}
    strides = {name: broadcast(value, out.shape) for value, name in names.items()}
    written = kernel.write(out)
    strides[written] = broadcast(out, out.shape)
    with tasks(kernel, out.shape, strides, cost=len(calls)) as at:
        known: dict[Value, str] = {}
        for value, name in names.items():
            kind = number(value.type.dtype)
            known[value] = f"v{len(known)}"
            kernel.line(f"const {kind.value} {known[value]} = {kind.load(f'{name}[{at[name]}]')};")
        for call in calls:
            kind, text = _expression(kernel, call, functions[call.name], known)
            if call is calls[-1]:
                kernel.line(f"{written}[{at[written]}] = {kind.store(text)};")
            else:
                known[call.output] = f"v{len(known)}"
                kernel.line(f"const {kind.value} {known[call.output]} = {kind.rounded(text)};")
    return kernel


def _values(call: Call, function: Function) -> list[Value]:
    return [call[name] for name in function.operands if isinstance(call.arguments.get(name), Value)]


def _expression(kernel: TypedKernel, call: Call, function: Function, known: dict[Value, str]) -> tuple[Number, str]:
    """The number a call gives, and its value, which is not yet rounded to it."""
    made = number(call.output.type.dtype)
    within = made if function.result else number(_promoted([call.arguments.get(name) for name in function.operands]))
    operands = [_operand(call.arguments.get(n), within, n in function.truths, known) for n in function.operands]
    text = function.text(within, *operands, call)
    if FAULT in text:
        text = text.replace(FAULT, kernel.fault("divides whole numbers by zero"))
    if function.predicate:
        return made, text
    return made, text if within is made else made.convert(text, within)


def _operand(given: Any, within: Number, truth: bool, known: dict[Value, str]) -> str | None:
    if given is None:
        return None
    if not isinstance(given, Value):
        Call.need(isinstance(given, (bool, int, float)))
        return number(torch.bool).literal(given) if truth else within.literal(given)
    kind = number(given.type.dtype)
    return number(torch.bool).convert(known[given], kind) if truth else within.convert(known[given], kind)


def _promoted(operands: list[Any]) -> torch.dtype:
    """What PyTorch computes in, given these."""
    given = [
        torch.empty((1,) * len(operand.shape), dtype=operand.type.dtype, device="meta")
        if isinstance(operand, Value)
        else operand
        for operand in operands
        if operand is not None
    ]
    return torch.result_type(given[0], given[1]) if len(given) > 1 else given[0].dtype
