"""Operators along the rows of plain tensors: reductions over the innermost dimensions, and look-ups in a table."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F

from solkit.ir.types import TensorType
from solkit.ops.operator import Kind, Operator

Types = Sequence[TensorType]
Attributes = dict[str, Any]


def _reduced(types: Types, a: Attributes) -> TensorType:
    shape = types[0].shape
    return TensorType((*shape[: len(shape) - a["dims"]], *[1] * a["dims"]))


def _over(x: Sequence[torch.Tensor], a: Attributes) -> tuple[int, ...]:
    return tuple(range(x[0].dim() - a["dims"], x[0].dim()))


def _length(types: Types, a: Attributes) -> float:
    return prod(types[0].shape[len(types[0].shape) - a["dims"] :])


ROWS = (
    # Over the last `dims` dimensions, which stay, with size 1.
    Operator("row_sum", Kind.REDUCE, _reduced, lambda x, a: x[0].sum(_over(x, a), keepdim=True), flops=_length),
    Operator("row_max", Kind.REDUCE, _reduced, lambda x, a: x[0].amax(_over(x, a), keepdim=True), flops=_length),
    # inputs: table [rows, width], numbers int64 [...]; output [..., width]
    Operator(
        "embedding",
        Kind.LOOKUP,
        lambda types, a: TensorType((*types[1].shape, types[0].shape[1])),
        lambda x, a: F.embedding(x[1], x[0]),
        flops=lambda types, a: 0,
    ),
)
