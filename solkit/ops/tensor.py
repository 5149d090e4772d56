"""Operators with a shape rule of their own: convolution, linear, pooling, batch norm. Arguments as in PyTorch."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F

from solkit.ir.graph import Node
from solkit.ir.types import TensorType
from solkit.ops.operator import Kind, Operator, pair

Types = Sequence[TensorType]
Attributes = dict[str, Any]
CONVOLUTIONS = ("conv2d", "depthwise_conv2d")


def is_pointwise(node: Node) -> bool:
    """Whether a node is a matrix product at each pixel: a convolution with a 1x1 window, stride 1 and no padding."""
    if node.op != "conv2d" or node.inputs[1].shape[2:] != (1, 1):
        return False
    return pair(node.attributes["stride"]) == (1, 1) and not any(pair(node.attributes["padding"]))


def window_size(size: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil_mode: bool = False) -> int:
    """Positions of a sliding window along one dimension (the formula in the documentation of nn.MaxPool2d)."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    positions = (span + (stride - 1 if ceil_mode else 0)) // stride + 1
    # With ceil_mode, a window that would start inside the right padding is left out.
    if ceil_mode and (positions - 1) * stride >= size + padding:
        positions -= 1
    return positions


def _conv2d(types: Types, a: Attributes) -> TensorType:
    batch, _, *spatial = types[0].shape
    out, _, *kernel = types[1].shape
    sizes = (
        window_size(size, k, s, p, d)
        for size, k, s, p, d in zip(
            spatial, kernel, pair(a["stride"]), pair(a["padding"]), pair(a["dilation"]), strict=True
        )
    )
    return TensorType((batch, out, *sizes))


def _linear(types: Types, a: Attributes) -> TensorType:
    return TensorType((*types[0].shape[:-1], types[1].shape[0]))


def _matmul(types: Types, a: Attributes) -> TensorType:
    left, right = (t.shape for t in types)
    return TensorType((*torch.broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-1]))


def _pool2d(types: Types, a: Attributes) -> TensorType:
    kernel = pair(a["kernel_size"])
    sizes = (
        window_size(size, k, s, p, d, a.get("ceil_mode", False))
        for size, k, s, p, d in zip(
            types[0].shape[-2:],
            kernel,
            pair(a["stride"] or kernel),
            pair(a["padding"]),
            pair(a.get("dilation", 1)),
            strict=True,
        )
    )
    return TensorType((*types[0].shape[:-2], *sizes))


def _max_pool2d(x: Sequence[torch.Tensor], a: Attributes) -> torch.Tensor:
    return F.max_pool2d(x[0], a["kernel_size"], a["stride"] or None, a["padding"], a["dilation"], a["ceil_mode"])


def _avg_pool2d(x: Sequence[torch.Tensor], a: Attributes) -> torch.Tensor:
    return F.avg_pool2d(
        x[0],
        a["kernel_size"],
        a["stride"] or None,
        a["padding"],
        a["ceil_mode"],
        a["count_include_pad"],
        a["divisor_override"],
    )


def _window_flops(types: Types, a: Attributes) -> float:
    return prod(pair(a["kernel_size"]))


def _convolve(x: Sequence[torch.Tensor], a: Attributes) -> torch.Tensor:
    return F.conv2d(*x, stride=a["stride"], padding=a["padding"], dilation=a["dilation"], groups=a["groups"])


def _merged_groups(x: Sequence[torch.Tensor], a: Attributes) -> torch.Tensor:
    """Weights [O, I, *window] of a convolution in groups as those of one in fewer: `merge` neighbouring groups become
    one that is zero where they do not meet, [O, I * merge, *window]."""
    weight, merge = x[0], a["merge"]
    outputs, inputs, *window = weight.shape
    blocks = weight.reshape(-1, merge, outputs // a["groups"], inputs, *window)
    made = weight.new_zeros(blocks.shape[0], merge, blocks.shape[2], merge, inputs, *window)
    for index in range(merge):
        made[:, index, :, index] = blocks[:, index]
    return made.reshape(outputs, inputs * merge, *window)


def _cat(types: Types, a: Attributes) -> TensorType:
    shape = list(types[0].shape)
    shape[a["dim"]] = sum(t.shape[a["dim"]] for t in types)
    return TensorType(tuple(shape))


def _channel_map(types: Types, a: Attributes) -> TensorType:
    shape = types[0].shape
    return TensorType((shape[0], len(a["channels"]), *shape[2:]))


def _pick_channels(x: Sequence[torch.Tensor], a: Attributes) -> torch.Tensor:
    first = [sum(t.shape[1] for t in x[:index]) for index in range(len(x))]
    picked = torch.tensor([first[source] + channel for source, channel in a["channels"]])
    return torch.cat(list(x), 1).index_select(1, picked)


TENSOR = (
    Operator(
        "conv2d",
        Kind.DNN,
        _conv2d,
        _convolve,
        aten=("aten.conv2d.default",),
        flops=lambda types, a: 2 * prod(types[1].shape[1:]),
    ),
    # As many groups as channels, one output channel each.
    Operator(
        "depthwise_conv2d",
        Kind.WINDOW,
        _conv2d,
        _convolve,
        flops=lambda types, a: 2 * prod(types[1].shape[1:]),
    ),
    Operator(
        "merged_groups",
        Kind.WEIGHT,
        lambda types, a: TensorType((types[0].shape[0], types[0].shape[1] * a["merge"], *types[0].shape[2:])),
        _merged_groups,
    ),
    Operator("cat", Kind.CONCAT, _cat, lambda x, a: torch.cat(list(x), a["dim"]), flops=lambda types, a: 0),
    # Attribute `channels`: for each channel made, which input and which of its channels it is.
    Operator("channel_map", Kind.CHANNELS, _channel_map, _pick_channels, flops=lambda types, a: 0),
    Operator(
        "linear",
        Kind.DNN,
        _linear,
        lambda x, a: F.linear(*x),
        aten=("aten.linear.default",),
        flops=lambda types, a: 2 * types[1].shape[1],
    ),
    # [.., M, K] x [.., K, N], batches broadcast.
    Operator(
        "matmul",
        Kind.MATMUL,
        _matmul,
        lambda x, a: torch.matmul(*x),
        flops=lambda types, a: 2 * types[0].shape[-1],
    ),
    Operator(
        "max_pool2d",
        Kind.WINDOW,
        _pool2d,
        _max_pool2d,
        aten=("aten.max_pool2d.default",),
        accepts=lambda a: pair(a["dilation"]) == (1, 1),
        flops=_window_flops,
    ),
    Operator(
        "avg_pool2d",
        Kind.WINDOW,
        _pool2d,
        _avg_pool2d,
        aten=("aten.avg_pool2d.default",),
        flops=_window_flops,
    ),
    Operator(
        "adaptive_avg_pool2d",
        Kind.WINDOW,
        lambda types, a: TensorType((*types[0].shape[:-2], *pair(a["output_size"]))),
        lambda x, a: F.adaptive_avg_pool2d(x[0], a["output_size"]),
        aten=("aten.adaptive_avg_pool2d.default",),
        flops=lambda types, a: prod(types[0].shape[-2:]) / prod(pair(a["output_size"])),
    ),
    # inputs: x, scale, shift, mean, variance; always evaluation mode. A pass folds it away.
    Operator(
        "batch_norm",
        Kind.WEIGHT,
        lambda types, a: types[0],
        lambda x, a: F.batch_norm(x[0], x[3], x[4], x[1], x[2], eps=a["eps"]),
    ),
)
