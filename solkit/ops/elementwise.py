"""Element-wise operators: a row is a C expression over vec.h, and the ATen overload that is its own reference.

Operands broadcast as in PyTorch. NaN goes through as in PyTorch: vf_max(a, b) gives b where either is NaN, so the
value at hand always stands second.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from solkit.ir.types import TensorType
from solkit.ops.operator import Kind, Operator


def _broadcast(types: Sequence[TensorType], attributes: dict[str, Any]) -> TensorType:
    return TensorType(tuple(torch.broadcast_shapes(*(t.shape for t in types))), torch.float32)


def _aten(overload: str) -> Callable:
    namespace, name, variant = overload.split(".")

    def reference(inputs: Sequence[torch.Tensor], attributes: dict[str, Any]) -> torch.Tensor:
        return getattr(getattr(getattr(torch.ops, namespace), name), variant)(*inputs, **attributes)

    return reference


def c_float(value: float) -> str:
    """A Python number as a C float literal."""
    if math.isnan(value):
        return '__builtin_nanf("")'
    if math.isinf(value):
        return "__builtin_inff()" if value > 0 else "-__builtin_inff()"
    return f"{float(value)!r}f"


def _clamp(attributes: dict[str, Any]) -> str:
    text = "{0}"
    low, high = attributes.get("min"), attributes.get("max")
    if low is not None:
        text = f"vf_max(vf_set1({c_float(low)}), {text})"
    if high is not None:
        text = f"vf_min(vf_set1({c_float(high)}), {text})"
    return text


def _gelu(attributes: dict[str, Any]) -> str:
    return "vf_gelu_tanh({0})" if attributes.get("approximate") == "tanh" else "vf_gelu({0})"


_POWERS = {
    2: "vf_mul({0}, {0})",
    3: "vf_mul({0}, vf_mul({0}, {0}))",
    0.5: "vf_sqrt({0})",
    -0.5: "vf_div(vf_set1(1.0f), vf_sqrt({0}))",
    -1: "vf_div(vf_set1(1.0f), {0})",
}


def _power(attributes: dict[str, Any]) -> str:
    return _POWERS[attributes["exponent"]]


def _row(
    name: str, expression: str | Callable, *aten: str, accepts: Callable = lambda attributes: True, flops: float = 1
) -> Operator:
    overloads = tuple(f"aten.{overload}" for overload in aten)
    return Operator(
        name,
        Kind.ELEMENTWISE,
        _broadcast,
        _aten(overloads[0]),
        expression,
        overloads,
        accepts,
        lambda types, attributes: flops,
    )


def _unit_alpha(attributes: dict[str, Any]) -> bool:
    return attributes.get("alpha", 1) == 1


ELEMENTWISE = (
    Operator("copy", Kind.ELEMENTWISE, _broadcast, lambda x, a: x[0], "{0}", flops=lambda types, a: 0),
    # name, C expression, ATen overloads; the first of these is the reference
    _row("add", "vf_add({0}, {1})", "add.Tensor", "add.Scalar", accepts=_unit_alpha),
    _row("sub", "vf_sub({0}, {1})", "sub.Tensor", "sub.Scalar", accepts=_unit_alpha),
    _row("rsub", "vf_sub({1}, {0})", "rsub.Tensor", "rsub.Scalar", accepts=_unit_alpha),
    _row("mul", "vf_mul({0}, {1})", "mul.Tensor", "mul.Scalar"),
    _row("div", "vf_div({0}, {1})", "div.Tensor", "div.Scalar"),
    _row("maximum", "vf_max_nan({0}, {1})", "maximum.default"),
    _row("minimum", "vf_neg(vf_max_nan(vf_neg({0}), vf_neg({1})))", "minimum.default"),
    _row("neg", "vf_neg({0})", "neg.default"),
    _row("abs", "vf_add(vf_max(vf_neg({0}), {0}), vf_set1(0.0f))", "abs.default"),  # the sum makes -0 positive
    _row("sqrt", "vf_sqrt({0})", "sqrt.default"),
    _row("rsqrt", "vf_div(vf_set1(1.0f), vf_sqrt({0}))", "rsqrt.default"),
    _row("reciprocal", "vf_div(vf_set1(1.0f), {0})", "reciprocal.default"),
    _row("relu", "vf_max(vf_set1(0.0f), {0})", "relu.default"),
    _row("clamp", _clamp, "clamp.default"),
    _row("hardtanh", "vf_min(vf_set1({max_val}), vf_max(vf_set1({min_val}), {0}))", "hardtanh.default"),
    _row(
        "leaky_relu",
        "vf_fma(vf_set1({negative_slope}), vf_min(vf_set1(0.0f), {0}), vf_max(vf_set1(0.0f), {0}))",
        "leaky_relu.default",
    ),
    _row(
        "hardsigmoid",
        "vf_min(vf_set1(1.0f), vf_max(vf_set1(0.0f), vf_fma({0}, vf_set1(1.0f / 6.0f), vf_set1(0.5f))))",
        "hardsigmoid.default",
    ),
    _row(
        "hardswish",
        "vf_mul({0}, vf_min(vf_set1(1.0f), vf_max(vf_set1(0.0f), vf_fma({0}, vf_set1(1.0f / 6.0f), vf_set1(0.5f)))))",
        "hardswish.default",
    ),
    _row("exp", "vf_exp({0})", "exp.default", flops=16),
    _row("sigmoid", "vf_sigmoid({0})", "sigmoid.default", flops=20),
    _row("tanh", "vf_tanh({0})", "tanh.default", flops=22),
    _row("log", "vf_log({0})", "log.default", flops=20),
    _row("erf", "vf_erf({0})", "erf.default", flops=30),
    _row("gelu", _gelu, "gelu.default", flops=30),
    _row("square", "vf_mul({0}, {0})", "square.default"),
    _row("pow", _power, "pow.Tensor_Scalar", accepts=lambda a: a["exponent"] in _POWERS),
    _row("silu", "vf_mul({0}, vf_sigmoid({0}))", "silu.default", flops=21),
)
