"""Operators that compute nothing or little: views, moves between layouts, numbers, weights, and PyTorch itself."""

from collections.abc import Sequence
from typing import Any

import torch

from solkit.ir.types import TensorType
from solkit.ops.operator import Kind, Operator

Types = Sequence[TensorType]


def _same(types: Types, attributes: dict[str, Any]) -> TensorType:
    return types[0]


def _first(x: Sequence[torch.Tensor], attributes: dict[str, Any]) -> torch.Tensor:
    return x[0]


def _batch_norm_scale(x: Sequence[torch.Tensor], a: dict[str, Any]) -> torch.Tensor:
    scale, variance = x
    return scale / torch.sqrt(variance + a["eps"])


def _batch_norm_shift(x: Sequence[torch.Tensor], a: dict[str, Any]) -> torch.Tensor:
    shift, mean, scale, *bias = x
    return shift + ((bias[0] if bias else 0) - mean) * scale


def _strided(x: torch.Tensor, a: dict[str, Any]) -> torch.Tensor:
    return x.as_strided(a["shape"], a["strides"], x.storage_offset() + a["offset"])


STRUCTURAL = (
    Operator("identity", Kind.VIEW, _same, _first),
    Operator("dropout", Kind.VIEW, _same, _first),  # in evaluation mode, the only one compiled
    Operator(
        "reshape",
        Kind.VIEW,
        lambda types, a: TensorType(tuple(a["shape"]), types[0].dtype),
        lambda x, a: x[0].reshape(a["shape"]),
    ),
    # The same memory seen with other strides (in elements of the contiguous input).
    Operator(
        "strided",
        Kind.STRIDED,
        lambda types, a: TensorType(tuple(a["shape"]), types[0].dtype),
        lambda x, a: _strided(x[0].contiguous(), a),
        flops=lambda types, a: 0,
    ),
    # A number among the operands of an element-wise operator.
    Operator(
        "scalar",
        Kind.ELEMENTWISE,
        lambda types, a: TensorType(()),
        lambda x, a: torch.tensor(a["value"], dtype=torch.float32, device="cpu"),
        "vf_set1({value})",
    ),
    # The same values in another layout; attribute `layout`.
    Operator("reorder", Kind.LAYOUT, _same, _first),
    # Batch norm as y = x * scale + shift: scale = gamma / sqrt(var + eps), shift = beta + (bias - mean) * scale.
    Operator("batch_norm_scale", Kind.WEIGHT, _same, _batch_norm_scale),
    Operator("batch_norm_shift", Kind.WEIGHT, _same, _batch_norm_shift),
    # An ATen overload on tensors of any dtype: compiled where codegen/typed has a kernel, else run by PyTorch.
    # See frontend/torch.py for the attributes.
    Operator("typed", Kind.TYPED, None, None),
    Operator("torch", Kind.TORCH, None, None),
)
