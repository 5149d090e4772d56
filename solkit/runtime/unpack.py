"""From memory to a tensor: what a value in any `ir.types.Layout` is, row-major and without its halo."""

import ctypes

import torch

from solkit.ir import PLAIN, Value


def unpack(raw: torch.Tensor, value: Value, vector_length: int) -> torch.Tensor:
    """`value` as PyTorch has it.

    Args:
        raw: [layout.elements], the memory of the value. With `blocked` that is [N, ceil(C / VLEN), H + 2 * rows of the
            halo, W + 2 * columns, VLEN].
        value: its shape and layout.
        vector_length: VLEN.
    Returns:
        [*value.shape], of raw's dtype; it may share raw's memory.
    """
    layout = value.layout
    if layout == PLAIN:
        return raw.reshape(value.shape)
    batch, channels, height, width = value.shape
    rows, columns = layout.halo
    lanes = vector_length if layout.blocked else 1
    whole = raw.reshape(batch, -(-channels // lanes), height + 2 * rows, width + 2 * columns, lanes)
    image = whole[:, :, rows : rows + height, columns : columns + width]
    return image.permute(0, 1, 4, 2, 3).reshape(batch, -1, height, width)[:, :channels]


def read(address: int, value: Value, vector_length: int) -> torch.Tensor:
    """A copy of `value`, [*value.shape], out of the memory at `address` of the value it lies in (itself, or a
    concatenation)."""
    root, first = value.root
    size = root.type.dtype.itemsize * root.layout.elements(root.shape, vector_length)
    if not size:
        return torch.empty(value.shape, dtype=value.type.dtype)
    memory = torch.frombuffer(bytearray((ctypes.c_uint8 * size).from_address(address)), dtype=root.type.dtype)
    whole = unpack(memory, root, vector_length)
    return whole if root is value else whole[:, first : first + value.shape[1]]
