"""Scaled dot-product attention of ATen as our `attention`."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import Node as FxNode

from solkit.ir import TensorType, Value
from solkit.ir.serialize import Ref
from solkit.ops import TABLE

if TYPE_CHECKING:
    from solkit.frontend.torch import _Importer

MOST_FEATURES = 1024  # of a head: what a task keeps of them stays in half a megabyte


def attention(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    """aten.scaled_dot_product_attention; None, for PyTorch, where it drops out, or where operands broadcast."""
    operands = [importer._value(a[name]) for name in ("query", "key", "value")]
    mask = None if a["attn_mask"] is None else importer._value(a["attn_mask"])
    kinds = {value.type.dtype for value in operands}
    if kinds != {torch.float32} or a["dropout_p"] or not fx.meta["val"].numel() or not operands[1].type.size:
        return None
    if mask is not None and mask.type.dtype not in (torch.float32, torch.bool):
        return None
    if not _fit([value.shape for value in operands], a["enable_gqa"]):
        return None
    if mask is not None and mask.type.dtype == torch.bool:
        mask = _additive(importer, mask)
    alone = len(operands[0].shape) == 3  # one head
    if alone:
        operands = [_with_head(importer, value) for value in operands]
        if mask is not None and len(mask.shape) == 3:
            mask = _with_head(importer, mask)
    scale = operands[0].shape[3] ** -0.5 if a["scale"] is None else float(a["scale"])
    attributes = {"is_causal": a["is_causal"], "scale": scale, "order": (0, 1, 2, 3), "mask_by_keys": False}
    inputs = operands if mask is None else [*operands, mask]
    kind = TABLE["attention"].infer([value.type for value in inputs], attributes)
    made = importer.graph.node("attention", inputs, [kind], attributes, importer.layer, fx.name).output
    return importer.emit(fx, "reshape", [made], {"shape": tuple(fx.meta["val"].shape)}) if alone else made


def _fit(shapes: list[tuple[int, ...]], grouped: bool) -> bool:
    """Whether query, key and value are [N, H, T, D] (or [N, T, D]) without broadcasting, heads in groups aside."""
    query, key, value = shapes
    if any(len(shape) != len(query) for shape in shapes) or len(query) not in (3, 4):
        return False
    if max(query[-1], value[-1]) > MOST_FEATURES or key[:-1] != value[:-1] or key[-1] != query[-1]:
        return False
    if len(query) == 4 and grouped:
        return key[0] == query[0] and query[1] % key[1] == 0
    return key[:-2] == query[:-2]


def _with_head(importer: "_Importer", value: Value) -> Value:
    batch, *rest = value.shape
    kind = TensorType((batch, 1, *rest))
    return importer.graph.node("reshape", [value], [kind], {"shape": kind.shape}, importer.layer, value.name).output


def _additive(importer: "_Importer", mask: Value) -> Value:
    """0 where a boolean mask lets a key be seen, -inf where it does not."""
    attributes = {
        "target": "aten.where.ScalarSelf",
        "args": [Ref(0), 0.0, Ref(1)],
        "kwargs": {},
        "random": False,
        "several": False,
    }
    hidden = importer.graph.constant("hidden", torch.tensor(-math.inf, dtype=torch.float32))
    kind = TensorType(mask.shape)
    return importer.graph.node("torch", [mask, hidden], [kind], attributes, importer.layer, mask.name).output
