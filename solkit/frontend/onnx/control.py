"""ONNX operators with graphs inside, and sequences and optional values."""

from typing import Any

import numpy as np
import torch

from solkit.errors import ModelError
from solkit.frontend.onnx import limits
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
        return bool(value.array)
    if torch.compiler.is_exporting():
        raise ModelError(f"how often {describe(call.node)} goes round depends on what the model is called with")
    return bool(value)


@operator("Scan", since=9)
def scan(call: Call, *inputs: Any) -> tuple[Any, ...]:
    many = call["num_scan_inputs"]
    states, scanned = list(inputs[: len(inputs) - many]), list(map(plain, inputs[len(inputs) - many :]))
    axes = call.get("scan_input_axes") or [0] * many
    backwards = call.get("scan_input_directions") or [0] * many
    for x, axis in zip(scanned, axes, strict=True):
        limits.check_count(x.shape[axis])
    rows = [x.unbind(axis)[:: -1 if back else 1] for x, axis, back in zip(scanned, axes, backwards, strict=True)]
    states, made = _turns(call, states, rows)
    axes = call.get("scan_output_axes") or [0] * len(made)
    backwards = call.get("scan_output_directions") or [0] * len(made)
    scans = (torch.stack(i[:: -1 if back else 1], a) for i, a, back in zip(made, axes, backwards, strict=True))
    return (*states, *scans)


@operator("Scan", since=8)
def scan_8(call: Call, lengths: Any, *inputs: Any) -> tuple[Any, ...]:
    """Each sample of a batch by itself, along its first axis; behind a sample's length there are zeros."""
    many = call["num_scan_inputs"]
    given = list(map(plain, inputs))
    scanned = given[len(given) - many :]
    most = scanned[0].shape[1]
    limits.check_count(most)
    counts = [most] * len(scanned[0]) if lengths is None else call.numbers(0, plain(lengths))
    backwards = call.get("directions") or [0] * many
    samples = []
    for n, count in enumerate(counts):
        rows = [x[n, :count].unbind(0)[:: -1 if back else 1] for x, back in zip(scanned, backwards, strict=True)]
        states, made = _turns(call, [state[n] for state in given[: len(given) - many]], rows)
        samples.append([*map(plain, states), *(_padded(torch.stack(items), most) for items in made)])
    return tuple(torch.stack(parts) for parts in zip(*samples, strict=True))


def _turns(call: Call, states: list[Any], rows: list[Any]) -> tuple[list[Any], list[list[Tensor]]]:
    """The body of a Scan for one row after the other: the last states, and what each turn made beside them."""
    body = call["body"]
    made: list[list[Tensor]] = [[] for _ in body.output[len(states) :]]
    for row in zip(*rows, strict=True):
        results = call.run(body, (*states, *row))
        states = results[: len(states)]
        for items, item in zip(made, results[len(states) :], strict=True):
            items.append(plain(item))
    return states, made


def _padded(x: Tensor, length: int) -> Tensor:
    return torch.cat([x, x.new_zeros(length - len(x), *x.shape[1:])])


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
        limits.check_count(x.shape[axis])
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
