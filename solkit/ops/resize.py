"""Images made of the pixels of others: interleaved phases, up-sampling, padding. All are [N, C, H, W]."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import torch

from solkit.ir.types import TensorType
from solkit.ops.operator import Kind, Operator

Types = Sequence[TensorType]
Tensors = Sequence[torch.Tensor]
Attributes = dict[str, Any]


# -- phases ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phases:
    """One dimension of a transposed convolution as ordinary ones, one for each phase of the stride.

    Output position o and input position y meet at the weight k where o + padding = y * stride + k * dilation. So with
    o + padding = q * stride + phase it is y = q - shift(k), at those k whose phase is that of o.

    step: dilation of the ordinary convolutions; taps: their kernel size, the largest of all phases.
    """

    kernel: int
    stride: int
    dilation: int

    def phase(self, k: int) -> int:
        return k * self.dilation % self.stride

    def shift(self, k: int) -> int:
        return k * self.dilation // self.stride

    @property
    def reach(self) -> int:
        return self.shift(self.kernel - 1)

    @property
    def step(self) -> int:
        return gcd(*(self.shift(k) for k in range(self.kernel))) or 1

    @property
    def taps(self) -> int:
        return self.reach // self.step + 1

    def tap(self, k: int) -> int:
        """Where the weight k is among the taps of its phase; a convolution runs the other way."""
        return (self.reach - self.shift(k)) // self.step


def phases_of(window: Sequence[int], a: Attributes) -> list[Phases]:
    """Of rows and columns, with `stride` and `dilation` as pairs."""
    return [Phases(*axis) for axis in zip(window, a["stride"], a["dilation"], strict=True)]


def _phase_weights_type(types: Types, a: Attributes) -> TensorType:
    inputs, outputs, *window = types[0].shape
    rows, columns = phases_of(window, a)
    channels = outputs * a["groups"] * rows.stride * columns.stride
    return TensorType((channels, inputs // a["groups"], rows.taps, columns.taps), types[0].dtype)


def _phase_weights(x: Tensors, a: Attributes) -> torch.Tensor:
    inputs, outputs, *window = x[0].shape
    groups = a["groups"]
    rows, columns = phases_of(window, a)
    weight = x[0].reshape(groups, inputs // groups, outputs, *window).transpose(1, 2)
    made = weight.new_zeros(groups, rows.stride, columns.stride, *weight.shape[1:3], rows.taps, columns.taps)
    for ky in range(window[0]):
        for kx in range(window[1]):
            place = made[:, rows.phase(ky), columns.phase(kx), ..., rows.tap(ky), columns.tap(kx)]
            place.copy_(weight[..., ky, kx])
    return made.flatten(0, 3)


def _depth_to_space(x: Tensors, a: Attributes) -> torch.Tensor:
    (high, wide), (top, left), (height, width) = a["scale"], a["first"], a["size"]
    batch, channels, *size = x[0].shape
    inner = channels // (a["groups"] * high * wide)
    split = x[0].reshape(batch, a["groups"], high, wide, inner, *size)
    whole = split.permute(0, 1, 4, 5, 2, 6, 3).reshape(batch, -1, size[0] * high, size[1] * wide)
    return whole[:, :, top : top + height, left : left + width]


def _depth_to_space_type(types: Types, a: Attributes) -> TensorType:
    batch, channels = types[0].shape[:2]
    return TensorType((batch, channels // (a["scale"][0] * a["scale"][1]), *a["size"]))


# -- pixels picked or mixed, by rows and columns --------------------------------------------------------------------


def _resized(types: Types, a: Attributes) -> TensorType:
    return TensorType((*types[0].shape[:2], len(a["rows"]), len(a["columns"])))


def _gather_pixels(x: Tensors, a: Attributes) -> torch.Tensor:
    rows, columns = torch.tensor(a["rows"]), torch.tensor(a["columns"])
    made = x[0][:, :, rows.clamp(min=0)][..., columns.clamp(min=0)]
    return made.masked_fill((rows < 0)[:, None] | (columns < 0), a["value"])


def _mix_pixels(x: Tensors, a: Attributes) -> torch.Tensor:
    made = x[0]
    for axis, name in ((2, "rows"), (3, "columns")):
        low, high, near, far = torch.tensor(a[name], dtype=torch.float64).reshape(-1, 4, *[1] * (3 - axis)).unbind(1)
        first, second = (made.index_select(axis, index.flatten().int()) for index in (low, high))
        made = first * near.to(made.dtype) + second * far.to(made.dtype)
    return made


RESIZE = (
    # The weights [I, O / groups, *window] of a transposed convolution as those of an ordinary one that makes each phase
    # in channels of its own: [groups * phases * O / groups, I / groups, *taps], zero where a phase has fewer taps.
    Operator("phase_weights", Kind.WEIGHT, _phase_weights_type, _phase_weights),
    # Phases of an image, each in channels of its own, interleaved: pixel (y, x) of the result is pixel
    # ((y + first[0]) / scale[0], (x + first[1]) / scale[1]) of the phase that the remainders say. Channels of the input
    # are [groups, phases (rows outside), the rest], those of the result [groups, the rest].
    Operator("depth_to_space", Kind.RESIZE, _depth_to_space_type, _depth_to_space, flops=lambda types, a: 0),
    # Attributes `rows`, `columns`: which of the input each of the result is, -1 for one that is `value` all over.
    Operator("gather_pixels", Kind.RESIZE, _resized, _gather_pixels, flops=lambda types, a: 0),
    # Attributes `rows`, `columns`: for each of the result two of the input, and the weight of each.
    Operator("mix_pixels", Kind.RESIZE, _resized, _mix_pixels, flops=lambda types, a: 7),
)
