"""Weights in the form kernels read them, made when a model is first called and again whenever a parameter changes."""

import ctypes
import weakref
from collections.abc import Mapping
from math import prod

import torch

from solkit.codegen.kernel import Buffer, Panels
from solkit.errors import SolError
from solkit.ir import Graph, Value
from solkit.reference import evaluate
from solkit.runtime.library import Runtime
from solkit.runtime.memory import aligned


def pack(weight: torch.Tensor, panels: Panels, vector_length: int) -> torch.Tensor:
    """[outputs, inputs, *window] as panels of output channels, missing ones zero.

    A panel holds, for each step of the reduction in the order the kernel takes them, one number per output channel of
    the panel. See `codegen.kernel.Panels`.
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
        return panel.permute(0, 3, 2, 1).reshape(-1)
    if not panels.blocked:
        return panel.permute(0, 2, 3, 1).reshape(-1)
    whole = inputs // vector_length * vector_length
    parts = []
    if whole:
        block = panel[:, :, :whole].reshape(groups, wide, -1, vector_length, panel.shape[3])
        parts.append(block.permute(0, 2, 4, 3, 1).reshape(groups, -1))  # [group, block, position, lane, output]
    if whole < inputs:
        parts.append(panel[:, :, whole:].permute(0, 3, 2, 1).reshape(groups, -1))  # [group, position, lane, output]
    return torch.cat(parts, dim=1).reshape(-1)


def packed_elements(shape: tuple[int, ...], panels: Panels, vector_length: int) -> int:
    """float32 numbers that `pack` makes of weights of this shape."""
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
    return (left @ weight.to(torch.float64) @ left.T).to(torch.float32)


class Weights:
    """Everything of a program that depends on parameters alone, for one state of the parameters.

    addresses: for each buffer of the program that holds weights, where it is.
    tensors: the same values for steps that PyTorch runs.
    """

    def __init__(
        self,
        graph: Graph,
        buffers: list[Buffer],
        parameters: Mapping[str, torch.Tensor],
        vector_length: int,
        runtime: Runtime,
    ) -> None:
        known = _values(graph, parameters)
        wanted = [(index, *buffer) for index, buffer in enumerate(buffers) if buffer[0] in known]
        packed = [
            (index, pack(_float32(known[value]), panels, vector_length) if panels else _float32(known[value]))
            for index, value, panels in wanted
        ]
        # Room behind the last number, so that a whole vector may be loaded anywhere.
        size = sum(aligned(4 * tensor.numel()) for _, tensor in packed) + 4 * vector_length
        self._memory = _allocate(size, runtime, self)
        self.addresses: dict[int, int] = {}
        offset = 0
        for index, tensor in packed:
            self._memory[offset : offset + 4 * tensor.numel()].view(torch.float32).copy_(tensor.reshape(-1))
            self.addresses[index] = self._memory.data_ptr() + offset
            offset += aligned(4 * tensor.numel())
        self.tensors: dict[Value, torch.Tensor] = {
            value: tensor.to(value.type.dtype) for value, tensor in known.items()
        }


def _values(graph: Graph, parameters: Mapping[str, torch.Tensor]) -> dict[Value, torch.Tensor]:
    """Parameters, constants, and what is computed from them alone: in float64, rounded once at the end, or where it is
    an operation of PyTorch's, as PyTorch does it."""
    weights = graph.weight_values()
    known = {value: parameters[name].detach() for name, value in graph.parameters.items()}
    known.update(dict(graph.constants.values()))
    nodes = [node for node in graph.nodes if all(value in weights for value in node.outputs)]
    with torch.no_grad():
        for node in nodes:
            evaluate([node], known, None if node.op == "torch" else torch.float64)
    return known


def _float32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.float32).contiguous()


def _allocate(size: int, runtime: Runtime, owner: object) -> torch.Tensor:
    """`size` bytes outside of PyTorch's allocator, in huge pages where there are any; freed with `owner`."""
    address = runtime.memory_get(size)
    if not address:
        raise SolError(f"there is no memory for {size / 2**20:.0f} MiB of packed weights")
    # Not when Python ends: a thread may still be running the model then.
    weakref.finalize(owner, runtime.memory_free, address).atexit = False
    return torch.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype=torch.uint8)
