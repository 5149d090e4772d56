"""ONNX's Attention: masks, caches, shared heads, windows, and scores to be looked at."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from onnx import TensorProto

from solkit.frontend.onnx.table import Call, operator

Tensor = torch.Tensor


@operator("Attention", since=23)
def attention(
    call: Call,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    past_k: Tensor | None = None,
    past_v: Tensor | None = None,
    held: Tensor | None = None,
) -> Any:
    """Scaled dot products, [N, heads, T, E] or [N, T, heads * E]; keys and values of earlier calls come first. Fewer
    key heads than query heads are shared among them.

    Args:
        mask: False or -inf where a query does not see a key; other numbers are added to the scores.
        held: [N], how many of the keys count, where `k` is all of a cache.
    """
    flat = q.dim() == 3
    if flat:
        q = _heads(q, call["q_num_heads"])
        k, v = (_heads(x, call["kv_num_heads"]) for x in (k, v))
    if past_k is not None:
        k, v = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
    present = k, v
    shared = q.shape[1] // k.shape[1]
    if shared > 1:
        k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
    kind = q.dtype
    if kind in (torch.float16, torch.bfloat16):  # each step rounded would be off by more than the result's last bit
        q, k, v = q.float(), k.float(), v.float()
    scale = call.get("scale") or 1 / math.sqrt(q.shape[-1])
    seen = _seen(call, q.shape[2], k.shape[2], 0 if past_k is None else past_k.shape[2], held)
    bias = _bias(q, k.shape[2], mask, seen)
    if call.get("softcap", 0.0) or call.outputs == 4 or "softmax_precision" in call.attributes:
        y, shown = _explicit(call, q, k, v, bias, scale)
    else:
        y, shown = F.scaled_dot_product_attention(q, k, v, bias, scale=scale), None
    y = (_joined(y) if flat else y).to(kind)
    return (y, *present, None if shown is None else shown.to(kind))[: call.outputs]


def _explicit(call: Call, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """The result, and what `qk_matmul_output_mode` wants to see of the way to it."""
    root, cap = math.sqrt(scale), call.get("softcap", 0.0)
    raw = torch.matmul(q * root, (k * root).transpose(-1, -2))
    capped = cap * torch.tanh(raw / cap) if cap else raw
    scores = capped if bias is None else capped + bias
    precise = call.get("softmax_precision") == TensorProto.DOUBLE
    weights = torch.softmax(scores.double() if precise else scores, -1).to(q.dtype)
    if bias is not None:  # a query that sees no key
        blind = bias.amax(-1, keepdim=True) == float("-inf")
        weights = torch.where(blind, torch.zeros((), dtype=q.dtype), weights)
    shown = (raw, capped, scores, weights)[call.get("qk_matmul_output_mode", 0)]
    return torch.matmul(weights, v), shown


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def _joined(x: Tensor) -> Tensor:
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)


def _seen(call: Call, rows: int, columns: int, past: int, held: Tensor | None) -> Tensor | None:
    """Which keys a query sees by where they stand, [T, S] or [N, 1, T, S]; None if all of them. The first query stands
    behind the keys of earlier calls; those are in the cache if there is one."""
    key = torch.arange(columns)
    query = torch.arange(rows).reshape(-1, 1)
    query = query + (past if held is None or past else held.reshape(-1, 1, 1, 1) - rows)
    left, right = call.get("left_window_size", -1), call.get("right_window_size", -1)
    conditions = [key <= query] if call.get("is_causal", 0) else []
    conditions += [key >= query - left] if left >= 0 else []
    conditions += [key <= query + right] if right >= 0 else []
    conditions += [key < held.reshape(-1, 1, 1, 1)] if held is not None else []
    if not conditions:
        return None
    seen = conditions[0]
    for condition in conditions[1:]:
        seen = seen & condition
    return seen


def _bias(q: Tensor, columns: int, mask: Tensor | None, seen: Tensor | None) -> Tensor | None:
    """What is added to the scores, of `q`'s type; None if nothing is."""
    if mask is not None and mask.shape[-1] < columns:
        fill = False if mask.dtype == torch.bool else float("-inf")
        mask = F.pad(mask, (0, columns - mask.shape[-1]), value=fill)
    if mask is not None and mask.dtype == torch.bool:
        seen, mask = mask if seen is None else mask & seen, None
    mask = None if mask is None else mask.to(q.dtype)
    if seen is None:
        return mask
    limit = torch.where(seen, 0.0, float("-inf")).to(q.dtype)
    return limit if mask is None else mask + limit
