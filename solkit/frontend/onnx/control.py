"""ONNX operators with graphs inside, and sequences and optional values."""

from typing import Any

import numpy as np
import torch

from solkit.errors import ModelError
from solkit.frontend.onnx.known import Known, plain
from solkit.frontend.onnx.load import describe
from solkit.frontend.onnx.table import Call, operator

Tensor = torch.Tensor
MOST_TURNS = 1 << 20  # of a loop


@operator("If")
def if_(call: Call, condition: Tensor) -> tuple[Any, ...]:
    taken = bool(call.numbers(0, plain(condition))[0])
    return tuple(call.run(call["then_branch"] if taken else call["else_branch"], ()))


@operator("Loop")
def loop(call: Call, limit: Any, condition: Any, *carried: Any) -> tuple[Any, ...]:
    """Turns are unrolled. Outputs of the body: whether to go on, what is carried, and what is stacked up."""
    body, count = call["body"], len(carried)
    most = None if limit is None else int(call.numbers(0, plain(limit))[0])
    going = True if condition is None else bool(call.numbers(1, plain(condition))[0])
    stacked: list[list[Tensor]] = [[] for _ in body.output[1 + count :]]
    turn = 0
    while going and (most is None or turn < most):
        if turn == MOST_TURNS:
            raise ModelError(f"{describe(call.node)} does not end within {MOST_TURNS} turns")
        onward, *made = call.run(body, (Known(np.array(turn)), Known(np.array(True)), *carried))
        carried = tuple(made[:count])
        for items, item in zip(stacked, made[count:], strict=True):
            items.append(plain(item))
        going, turn = _truth(call, onward), turn + 1
    scans = (torch.stack(items) if items else torch.zeros(0) for items in stacked)
    return (*carried, *scans)


def _truth(call: Call, value: Any) -> bool:
    """What a subgraph says of whether to go on.

    Raises:
        ModelError: a program is being traced, and that is known only when it is called.
    """
    if isinstance(value, Known):
        call.decisive |= value.origin
    elif torch.compiler.is_exporting():
        raise ModelError(f"how often {describe(call.node)} goes round depends on what the model is called with")
    return bool(plain(value))


@operator("Scan", since=9)
def scan(call: Call, *inputs: Any) -> tuple[Any, ...]:
    body, many = call["body"], call["num_scan_inputs"]
    states, scanned = list(inputs[: len(inputs) - many]), map(plain, inputs[len(inputs) - many :])
    outputs = len(body.output) - len(states)
    axes = call.get("scan_input_axes") or [0] * many
    backwards = call.get("scan_input_directions") or [0] * many
    rows = [x.unbind(axis)[:: -1 if back else 1] for x, axis, back in zip(scanned, axes, backwards, strict=True)]
    made: list[list[Tensor]] = [[] for _ in range(outputs)]
    for row in zip(*rows, strict=True):
        results = call.run(body, (*states, *row))
        states = results[: len(states)]
        for items, item in zip(made, results[len(states) :], strict=True):
            items.append(plain(item))
    axes = call.get("scan_output_axes") or [0] * outputs
    backwards = call.get("scan_output_directions") or [0] * outputs
    scans = (torch.stack(i[:: -1 if back else 1], a) for i, a, back in zip(made, axes, backwards, strict=True))
    return (*states, *scans)


# -- sequences ------------------------------------------------------------------------------------------------------


@operator("SequenceConstruct")
def sequence_construct(call: Call, *items: Any) -> list[Any]:
    return list(items)


@operator("SequenceEmpty")
def sequence_empty(call: Call) -> list[Any]:
    return []


@operator("SequenceAt")
def sequence_at(call: Call, items: list[Any], place: Tensor) -> Any:
    return items[int(call.numbers(1, place)[0])]


@operator("SequenceInsert")
def sequence_insert(call: Call, items: list[Any], item: Any, place: Tensor | None = None) -> list[Any]:
    at = len(items) if place is None else int(call.numbers(2, place)[0])
    at += len(items) if at < 0 else 0
    return [*items[:at], item, *items[at:]]


@operator("SequenceErase")
def sequence_erase(call: Call, items: list[Any], place: Tensor | None = None) -> list[Any]:
    at = len(items) - 1 if place is None else int(call.numbers(1, place)[0])
    at += len(items) if at < 0 else 0
    return [*items[:at], *items[at + 1 :]]


@operator("SequenceLength")
def sequence_length(call: Call, items: list[Any]) -> Tensor:
    return torch.tensor(len(items))


@operator("ConcatFromSequence")
def concat_from_sequence(call: Call, items: list[Tensor]) -> Tensor:
    return torch.stack(items, call["axis"]) if call.get("new_axis", 0) else torch.cat(items, call["axis"])


@operator("SplitToSequence")
def split_to_sequence(call: Call, x: Tensor, sizes: Tensor | None = None) -> list[Tensor]:
    axis = call.get("axis", 0)
    if sizes is None:
        parts = x.split(1, axis)
        return list(parts) if call.get("keepdims", 1) else [part.squeeze(axis) for part in parts]
    given = call.numbers(1, sizes)
    return list(x.split(given[0] if sizes.dim() == 0 else given, axis))


@operator("Optional")
def optional(call: Call, value: Any = None) -> Any:
    return value


@operator("OptionalGetElement")
def optional_get_element(call: Call, value: Any) -> Any:
    return value


@operator("OptionalHasElement")
def optional_has_element(call: Call, value: Any = None) -> Tensor:
    return torch.tensor(value is not None)
