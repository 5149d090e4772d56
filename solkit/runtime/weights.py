"""Weights in the form kernels read them, made when a model is first called and again whenever a parameter changes."""

import ctypes
import functools
import weakref
from collections.abc import Mapping
from math import prod

import torch

from solkit.codegen.kernel import Buffer, Panels
from solkit.errors import SolError
from solkit.ir import Graph, Node, Value
from solkit.ops import TABLE, Kind
from solkit.reference import CALLS, evaluate
from solkit.runtime.library import Runtime
from solkit.runtime.memory import aligned


def pack(weight: torch.Tensor, panels: Panels, vector_length: int) -> torch.Tensor:
    """[outputs, inputs, *window] as panels of output channels, missing ones zero.

    A panel holds, for each step of the reduction in the order the kernel takes them, one number per output channel of
    the panel. See `codegen.kernel.Panels`. The result may be a view of `weight`, its elements in the order of packing.
    """
    if panels.units:
        gates = weight.reshape(-1, panels.vectors, panels.units, weight.shape[1])
        gates = torch.nn.functional.pad(gates, (0, 0, 0, -panels.units % vector_length))
        weight = gates.unflatten(2, (-1, vector_length)).transpose(1, 2).reshape(-1, weight.shape[1])
    if panels.winograd:
        weight = winograd_weights(weight, panels.winograd)
    outputs, inputs = weight.shape[:2]
    blocks = -(-outputs // vector_length)
    wide = min(panels.vectors, blocks) * vector_length
    groups = -(-outputs // wide)
    padded = weight.reshape(outputs, inputs, -1)
    if groups * wide > outputs:
        padded = torch.nn.functional.pad(padded, (0, 0, 0, 0, 0, groups * wide - outputs))
    panel = padded.reshape(groups, wide, inputs, -1)  # [group, output, input, position]
    if panels.winograd:
        return panel.permute(0, 3, 2, 1)
    if not panels.blocked:
        return panel.permute(0, 2, 3, 1)
    whole = inputs // vector_length * vector_length
    parts = []
    if whole:
        block = panel[:, :, :whole].reshape(groups, wide, -1, vector_length, panel.shape[3])
        parts.append(block.permute(0, 2, 4, 3, 1).reshape(groups, -1))  # [group, block, position, lane, output]
    if whole < inputs:
        parts.append(panel[:, :, whole:].permute(0, 3, 2, 1).reshape(groups, -1))  # [group, position, lane, output]
    return torch.cat(parts, dim=1)


MOVES = (Kind.VIEW, Kind.STRIDED, Kind.CONCAT)
SMALL = 1 << 16  # elements of a value that is remembered while others are computed from it
LENT_BYTES = 1 << 20


def packed_elements(shape: tuple[int, ...], panels: Panels, vector_length: int) -> int:
    """float32 numbers that `pack` makes of weights of this shape."""
    if panels.units:
        return shape[0] // panels.units * (-(-panels.units // vector_length) * vector_length) * shape[1]
    wide = min(panels.vectors, -(-shape[0] // vector_length)) * vector_length
    positions = (panels.winograd + 2) ** 2 if panels.winograd else prod(shape[2:])
    return -(-shape[0] // wide) * wide * shape[1] * positions


# G of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016); see kernels/compute/winograd.h.
_WINOGRAD = {
    2: ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    4: (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
}


def winograd_weights(weight: torch.Tensor, size: int) -> torch.Tensor:
    """[outputs, inputs, 3, 3] as G w G^T, [outputs, inputs, size + 2, size + 2], computed in float64."""
    left = torch.tensor(_WINOGRAD[size], dtype=torch.float64)
    both = torch.kron(left, left)  # one large product in the place of many small ones
    made = weight.reshape(-1, 9).to(torch.float64) @ both.T
    return made.to(torch.float32).reshape(*weight.shape[:2], size + 2, size + 2)


class Weights:
    """Everything of a program that depends on parameters alone, for one state of the parameters.

    addresses: for each buffer of the program that holds weights, where it is.
    """

    def __init__(
        self,
        graph: Graph,
        buffers: list[Buffer],
        parameters: Mapping[str, torch.Tensor],
        vector_length: int,
        runtime: Runtime,
    ) -> None:
        self._values = Values(graph, parameters)
        self._torch: dict[Value, torch.Tensor] = {}
        self._held: list[torch.Tensor] = []
        self.addresses: dict[int, int] = {}
        sizes: dict[int, int] = {}
        for index, (value, panels) in enumerate(buffers):
            if value in self._values:
                packed = 4 * packed_elements(value.shape, panels, vector_length) if panels else value.type.bytes
                sizes[index] = aligned(packed)
        own = {index: size for index, size in sizes.items() if not self._lend(index, buffers[index])}
        # Room behind the last number, so that a whole vector may be loaded anywhere.
        self._memory = _allocate(sum(own.values()) + 4 * vector_length, runtime, self)
        offset = 0
        for index, size in own.items():
            # One layer at a time: what it is made from is gone before the next.
            tensor = self._values.packed(buffers[index], vector_length)
            room = self._memory[offset : offset + tensor.dtype.itemsize * tensor.numel()].view(tensor.dtype)
            room.view(tensor.shape).copy_(tensor)
            self.addresses[index] = self._memory.data_ptr() + offset
            offset += size

    def _lend(self, index: int, buffer: Buffer) -> bool:
        """Let kernels read a large table where the model has it, if it is as they need it."""
        value, panels = buffer
        tensor = self._values.given.get(value)
        if panels or tensor is None or tensor.dtype != value.type.dtype or not tensor.is_contiguous():
            return False
        if value.type.bytes < LENT_BYTES:
            return False
        self._held.append(tensor)
        self.addresses[index] = tensor.data_ptr()
        return True

    def __contains__(self, value: Value) -> bool:
        return value in self._values

    def tensor(self, value: Value) -> torch.Tensor:
        """`value` for a step that PyTorch runs."""
        if value not in self._torch:
            self._torch[value] = self._values[value].to(value.type.dtype)
        return self._torch[value]

    @functools.cached_property
    def tensors(self) -> dict[Value, torch.Tensor]:
        """All values that depend on parameters alone, for people who compare: it takes as much memory again."""
        return {value: self._values[value].to(value.type.dtype) for value in self._values.known}


class Values:
    """Parameters, constants, and what is computed from them alone: in float64, rounded once at the end, or where it is
    an operation of PyTorch's, as PyTorch does it. Computed when asked for; what is small is remembered."""

    def __init__(self, graph: Graph, parameters: Mapping[str, torch.Tensor]) -> None:
        self.known = graph.weight_values()
        self.given = {value: parameters[name].detach() for name, value in graph.parameters.items()}
        self.given.update(dict(graph.constants.values()))
        self._made: dict[Value, torch.Tensor] = {}

    def __contains__(self, value: Value) -> bool:
        return value in self.known

    def __getitem__(self, value: Value) -> torch.Tensor:
        for held in (self.given, self._made):
            if value in held:
                return held[value]
        node = value.producer
        local = {operand: self[operand] for operand in node.inputs}
        with torch.no_grad():
            evaluate([node], local, _precision(node, local))
        for made in node.outputs:
            if made.type.size <= SMALL or len(node.outputs) > 1:
                self._made[made] = local[made]
        return local[value]

    def packed(self, buffer: Buffer, vector_length: int) -> torch.Tensor:
        """What a kernel reads in this buffer, its elements in order; it may share memory with a parameter."""
        value, panels = buffer
        tensor = self[value].to(value.type.dtype)
        return pack(tensor, panels, vector_length) if panels else tensor


def _precision(node: Node, operands: Mapping[Value, torch.Tensor]) -> torch.dtype | None:
    """The dtype that weights are computed in: a node that only moves numbers leaves them at what they have."""
    if node.op in CALLS:
        return None
    if TABLE[node.op].kind in MOVES:
        return functools.reduce(torch.promote_types, (operand.dtype for operand in operands.values()))
    return torch.float64


def _allocate(size: int, runtime: Runtime, owner: object) -> torch.Tensor:
    """`size` bytes outside of PyTorch's allocator, in huge pages where there are any; freed with `owner`."""
    address = runtime.memory_get(size)
    if not address:
        raise SolError(f"there is no memory for {size / 2**20:.0f} MiB of packed weights")
    # Not when Python ends: a thread may still be running the model then.
    weakref.finalize(owner, runtime.memory_free, address).atexit = False
    return torch.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype=torch.uint8)
