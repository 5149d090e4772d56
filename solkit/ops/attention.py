"""Scaled dot-product attention: softmax(q k^T * scale + mask) v for each head (Vaswani et al. 2017)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from solkit.ir.types import TensorType
from solkit.ops.operator import Kind, Operator

Attributes = dict[str, Any]


def _infer(types: Sequence[TensorType], a: Attributes) -> TensorType:
    query, _, value, *_ = (t.shape for t in types)
    made = (*query[:3], value[3])
    return TensorType(tuple(made[axis] for axis in a["order"]))


def _attention(x: Sequence[torch.Tensor], a: Attributes) -> torch.Tensor:
    query, key, value, *mask = x
    if mask and a["mask_by_keys"]:
        mask = [mask[0].mT]
    made = F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask[0] if mask else None,
        is_causal=a["is_causal"],
        scale=a["scale"],
        enable_gqa=key.shape[1] != query.shape[1],
    )
    return made.permute(a["order"])


def _flops(types: Sequence[TensorType], a: Attributes) -> float:
    query, key, value, *_ = (t.shape for t in types)
    keys = key[2] / 2 if a["is_causal"] else key[2]
    return keys * (2 * query[3] + 2 * value[3] + 20) / value[3]  # 20: the softmax of one score


ATTENTION = (
    # inputs: query [N, H, Tq, D], key [N, G, Tk, D], value [N, G, Tk, Dv] with G a divisor of H, and optionally a mask
    # that broadcasts to [N, H, Tq, Tk] and is added to the scores. Attributes:
    #   is_causal     query i sees keys 0 to i only
    #   scale         of the scores
    #   order         of the dimensions of the result: (0, 1, 2, 3) is [N, H, Tq, Dv], (0, 2, 1, 3) has heads behind
    #   mask_by_keys  the mask broadcasts to [N, H, Tk, Tq] instead
    Operator("attention", Kind.ATTENTION, _infer, _attention, flops=_flops),
)
