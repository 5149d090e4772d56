"""Softmax, norms and reductions, taken apart into reductions over rows and element-wise operators.

What is taken apart here, `rowspace` and `codegen.rows` put together again, with whatever stands before and behind it.
"""

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import Node as FxNode

from solkit.frontend.build import build
from solkit.ir import Value

if TYPE_CHECKING:
    from solkit.frontend.torch import _Importer


class Builder:
    """Nodes behind one another, types inferred by broadcasting."""

    def __init__(self, importer: "_Importer", fx: FxNode) -> None:
        self.importer, self.name = importer, fx.name

    def node(self, op: str, *inputs: Value | float, **attributes: Any) -> Value:
        """A node of an operator whose shape rule gives the type; numbers become `scalar` nodes."""
        values = [v if isinstance(v, Value) else self.importer.scalar(float(v)) for v in inputs]
        return build(self.importer, op, values, attributes, self.name)

    def reshape(self, x: Value, *shape: int) -> Value:
        return x if x.shape == shape else self.node("reshape", x, shape=shape)

    def permute(self, x: Value, dims: list[int]) -> Value:
        if dims == list(range(len(dims))):
            return x
        made = torch.empty(x.shape, device="meta").permute(dims)
        return self.node("strided", x, shape=tuple(made.shape), strides=made.stride(), offset=0)

    def mean(self, x: Value, dims: int) -> Value:
        return self.node("mul", self.node("row_sum", x, dims=dims), 1.0 / prod(x.shape[len(x.shape) - dims :]))

    def normalize(self, x: Value, dims: int, eps: float) -> Value:
        """(x - mean) / sqrt(variance + eps) over the last `dims` dimensions."""
        centred = self.node("sub", x, self.mean(x, dims))
        variance = self.mean(self.node("mul", centred, centred), dims)
        return self.node("mul", centred, self.node("rsqrt", self.node("add", variance, eps)))

    def last(self, x: Value, dims: list[int]) -> tuple[Value, list[int]]:
        """`x` with `dims` moved to the end, and the order of dimensions that does it."""
        order = [d for d in range(len(x.shape)) if d not in dims] + sorted(dims)
        return self.permute(x, order), order

    def back(self, x: Value, order: list[int]) -> Value:
        return self.permute(x, [order.index(d) for d in range(len(order))])


def _plain_dtype(a: dict[str, Any]) -> bool:
    return a.get("dtype") in (None, torch.float32)


def _softmax(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    x = importer._value(a["self"])
    if not _plain_dtype(a) or not x.shape:
        return None
    build = Builder(importer, fx)
    moved, order = build.last(x, [a["dim"] % len(x.shape)])
    centred = build.node("sub", moved, build.node("row_max", moved, dims=1))
    powers = build.node("exp", centred)
    total = build.node("row_sum", powers, dims=1)
    if "log" in str(fx.target):
        return build.back(build.node("sub", centred, build.node("log", total)), order)
    return build.back(build.node("mul", powers, build.node("reciprocal", total)), order)


def _layer_norm(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value:
    build, x = Builder(importer, fx), importer._value(a["input"])
    made = build.normalize(x, len(a["normalized_shape"]), a["eps"])
    return _affine(importer, build, made, a, None)


def _affine(
    importer: "_Importer", build: Builder, made: Value, a: dict[str, Any], shape: tuple[int, ...] | None
) -> Value:
    for op, name in (("mul", "weight"), ("add", "bias")):
        if a.get(name) is not None:
            value = importer._value(a[name])
            made = build.node(op, made, build.reshape(value, *shape) if shape else value)
    return made


def _rms_norm(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value:
    build, x = Builder(importer, fx), importer._value(a["input"])
    eps = torch.finfo(torch.float32).eps if a["eps"] is None else a["eps"]
    mean = build.mean(build.node("mul", x, x), len(a["normalized_shape"]))
    made = build.node("mul", x, build.node("rsqrt", build.node("add", mean, eps)))
    return _affine(importer, build, made, a, None)


def _group_norm(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    x, groups = importer._value(a["input"]), a["num_groups"]
    return _norm_of_groups(importer, fx, a, x, groups)


def _instance_norm(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    x = importer._value(a["input"])
    return _norm_of_groups(importer, fx, a, x, x.shape[1]) if a["use_input_stats"] else None


def _norm_of_groups(importer: "_Importer", fx: FxNode, a: dict[str, Any], x: Value, groups: int) -> Value:
    build = Builder(importer, fx)
    rows = build.reshape(x, x.shape[0] * groups, x.type.size // (x.shape[0] * groups))
    made = build.reshape(build.normalize(rows, 1, a["eps"]), *x.shape)
    return _affine(importer, build, made, a, (1, x.shape[1], *[1] * (len(x.shape) - 2)))


def _reduction(finish: Callable[[Builder, Value, int], Value]) -> Callable:
    """A reduction over any dimensions, by one over the last: these are moved there first."""

    def lower(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
        x = importer._value(a["self"])
        dims = a.get("dim")
        dims = [dims] if isinstance(dims, int) else list(dims or range(len(x.shape)))
        if not _plain_dtype(a) or not x.shape:
            return None
        dims = [d % len(x.shape) for d in dims]
        if len(x.shape) == 4 and sorted(dims) == [2, 3] and "mean" in str(fx.target):
            return _global_average(importer, fx, x)
        build = Builder(importer, fx)
        moved, _ = build.last(x, dims)
        return build.reshape(finish(build, moved, len(dims)), *fx.meta["val"].shape)

    return lower


def _global_average(importer: "_Importer", fx: FxNode, x: Value) -> Value:
    build = Builder(importer, fx)
    return build.reshape(build.node("adaptive_avg_pool2d", x, output_size=(1, 1)), *fx.meta["val"].shape)


def _variance(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    x = importer._value(a["self"])
    dims = [d % len(x.shape) for d in (a.get("dim") or range(len(x.shape)))]
    count = prod(x.shape[d] for d in dims)
    correction = 1 if a.get("correction") is None else a["correction"]
    if "unbiased" in a:
        correction = int(a["unbiased"])
    if count <= correction:
        return None
    build = Builder(importer, fx)
    moved, _ = build.last(x, dims)
    centred = build.node("sub", moved, build.mean(moved, len(dims)))
    total = build.node("row_sum", build.node("mul", centred, centred), dims=len(dims))
    made = build.node("mul", total, 1.0 / (count - correction))
    if "std" in str(fx.target):
        made = build.node("sqrt", made)
    return build.reshape(made, *fx.meta["val"].shape)


def _embedding(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    table, numbers = importer._value(a["weight"]), importer._value(a["indices"])
    if table.type.dtype != torch.float32 or numbers.type.dtype != torch.int64 or not fx.meta["val"].numel():
        return None
    return Builder(importer, fx).node("embedding", table, numbers)


def _filled(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    """zeros_like and its kin read no more of their argument than its shape, which is fixed: a constant."""
    made = fx.meta["val"]
    if made.numel() > MOST_CONSTANT:
        return None
    name = str(fx.target)
    value = 0 if "zeros" in name else 1 if "ones" in name else a["fill_value"]
    if isinstance(value, FxNode):
        return None
    return importer.graph.constant(fx.name, torch.full(made.shape, value, dtype=made.dtype))


MOST_CONSTANT = 1 << 24  # elements of a constant that is kept with the graph

_SUM = _reduction(lambda build, x, dims: build.node("row_sum", x, dims=dims))
_MAX = _reduction(lambda build, x, dims: build.node("row_max", x, dims=dims))
_MIN = _reduction(lambda build, x, dims: build.node("neg", build.node("row_max", build.node("neg", x), dims=dims)))
_MEAN = _reduction(lambda build, x, dims: build.mean(x, dims))

LOWERED = {
    "aten.softmax.int": _softmax,
    "aten._softmax.default": _softmax,
    "aten.log_softmax.int": _softmax,
    "aten._log_softmax.default": _softmax,
    "aten.layer_norm.default": _layer_norm,
    "aten.rms_norm.default": _rms_norm,
    "aten.group_norm.default": _group_norm,
    "aten.instance_norm.default": _instance_norm,
    "aten.sum.default": _SUM,
    "aten.sum.dim_IntList": _SUM,
    "aten.mean.default": _MEAN,
    "aten.mean.dim": _MEAN,
    "aten.amax.default": _MAX,
    "aten.max.default": _MAX,
    "aten.amin.default": _MIN,
    "aten.min.default": _MIN,
    "aten.var.correction": _variance,
    "aten.std.correction": _variance,
    "aten.var.dim": _variance,
    "aten.std.dim": _variance,
    "aten.var.default": _variance,
    "aten.std.default": _variance,
}
"""What is lowered from floating-point tensors alone."""

LOWERED_WITH_NUMBERS = {
    "aten.embedding.default": _embedding,
    **dict.fromkeys(
        (
            "aten.zeros_like.default",
            "aten.ones_like.default",
            "aten.full_like.default",
            "aten.new_zeros.default",
            "aten.new_ones.default",
            "aten.new_full.default",
        ),
        _filled,
    ),
}
"""What takes whole numbers, too, and looks at the types itself."""
