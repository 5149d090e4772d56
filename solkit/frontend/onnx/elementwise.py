"""ONNX operators that compute each element by itself."""

from typing import Any

import torch
import torch.nn.functional as F
from onnx import TensorProto

from solkit.frontend.onnx import reference
from solkit.frontend.onnx.table import TORCH, Call, Row, operator

Tensor = torch.Tensor

UNARY = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "BitwiseNot": torch.bitwise_not,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "HardSwish": F.hardswish,
    "IsNaN": torch.isnan,
    "Log": torch.log,
    "Mish": F.mish,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
}
BINARY = {
    "Add": torch.add,
    "And": torch.logical_and,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Mul": torch.mul,
    "Or": torch.logical_or,
    "Sub": torch.sub,
    "Xor": torch.logical_xor,
}

# Those that broadcast by attributes in opset 6.
STRETCHED = {"Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor"}


def _as_in_opset_6(row: Row) -> Row:
    """Before opset 7 the second input stretches to the first only if `broadcast` says so, from `axis` on."""

    def old(call: Call, a: Tensor, b: Tensor) -> Tensor:
        axis = call.get("axis")
        if call.get("broadcast", 0) and axis is not None and b.dim():
            b = b.reshape([*b.shape, *[1] * (a.dim() - axis % a.dim() - b.dim())])
        return row(call, a, b)

    return old


def _enter(name: str, row: Row) -> None:
    operator(name, since=7 if name in STRETCHED else 1)(row)
    if name in STRETCHED:
        operator(name)(_as_in_opset_6(row))


def _plain(function: Any) -> Any:
    return lambda call, *inputs: function(*inputs)


for _name, _function in {**UNARY, **BINARY}.items():
    _enter(_name, _plain(_function))


def div(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Whole numbers are cut towards zero, as in C."""
    return a / b if a.is_floating_point() or a.is_complex() else torch.div(a, b, rounding_mode="trunc")


@operator("Mod")
def mod(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """With fmod the sign is that of the dividend, else that of the divisor."""
    return torch.fmod(a, b) if call.get("fmod", 0) else torch.remainder(a, b)


def power(call: Call, base: Tensor, exponent: Tensor) -> Tensor:
    """The type is that of the base. An exponent that is one known number, a square say, is part of the program."""
    known = call.known[1] if len(call.known) > 1 else None
    if known is not None and known.size == 1 and known.ndim <= base.dim() and base.is_floating_point():
        return torch.pow(base, call.numbers(1, exponent)[0])
    return torch.pow(base, exponent).to(base.dtype)


_enter("Div", div)
_enter("Pow", power)


@operator("BitShift")
def bit_shift(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return a << b if call["direction"] == "LEFT" else a >> b


@operator("Max")
def maximum(call: Call, first: Tensor, *others: Tensor) -> Tensor:
    for other in others:
        first = torch.maximum(first, other)
    return first


@operator("Min")
def minimum(call: Call, first: Tensor, *others: Tensor) -> Tensor:
    for other in others:
        first = torch.minimum(first, other)
    return first


@operator("Sum")
def add_all(call: Call, first: Tensor, *others: Tensor) -> Tensor:
    for other in others:
        first = first + other
    return first


@operator("Mean")
def mean_of_all(call: Call, *inputs: Tensor) -> Tensor:
    return add_all(call, *inputs) / len(inputs)


@operator("Where")
def where(call: Call, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(condition, a, b)


@operator("Clip")
def clip(call: Call, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Limits are attributes before opset 11. A lower limit above the upper one gives the upper."""
    low, high = (call.get(name) if limit is None else limit for name, limit in (("min", low), ("max", high)))
    for limit, function in ((low, torch.maximum), (high, torch.minimum)):
        if limit is not None:
            x = function(x, torch.as_tensor(limit, dtype=x.dtype))
    return x


@operator("Cast")
def cast(call: Call, x: Tensor) -> Tensor:
    """Before opset 6 the type is a name."""
    to = call["to"]
    return x.to(TORCH[TensorProto.DataType.Value(to) if isinstance(to, str) else to])


@operator("CastLike")
def cast_like(call: Call, x: Tensor, like: Tensor) -> Tensor:
    return x.to(like.dtype)


@operator("BitCast")
def bit_cast(call: Call, x: Tensor) -> Tensor:
    return x.view(TORCH[call["to"]])


@operator("IsInf")
def is_inf(call: Call, x: Tensor) -> Tensor:
    up, down = (call.get(f"detect_{which}", 1) for which in ("positive", "negative"))
    found = torch.isinf(x)
    if not up:
        found = found & (x < 0)
    return found if down else found & (x > 0)


@operator("PRelu", since=7)
def prelu(call: Call, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, x * slope, x)


@operator("PRelu")
def prelu_1(call: Call, x: Tensor, slope: Tensor) -> Tensor:
    """One slope, or one for each channel."""
    return prelu(call, x, slope.reshape([-1, *[1] * (x.dim() - 2)]) if slope.numel() > 1 else slope)


# -- activations with numbers in their attributes -------------------------------------------------------------------


@operator("Celu")
def celu(call: Call, x: Tensor) -> Tensor:
    return F.celu(x, call.get("alpha", 1.0))


@operator("Elu")
def elu(call: Call, x: Tensor) -> Tensor:
    return F.elu(x, call.get("alpha", 1.0))


@operator("Gelu", since=20)
def gelu(call: Call, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=call.get("approximate", "none"))


@operator("HardSigmoid")
def hard_sigmoid(call: Call, x: Tensor) -> Tensor:
    return torch.clamp(x * call.get("alpha", 0.2) + call.get("beta", 0.5), 0, 1)


@operator("LeakyRelu")
def leaky_relu(call: Call, x: Tensor) -> Tensor:
    return F.leaky_relu(x, call.get("alpha", 0.01))


@operator("Selu")
def selu(call: Call, x: Tensor) -> Tensor:
    alpha, gamma = call.get("alpha", 1.67326319217681884765625), call.get("gamma", 1.05070102214813232421875)
    return gamma * torch.where(x > 0, x, alpha * (torch.exp(x) - 1))


@operator("Shrink")
def shrink(call: Call, x: Tensor) -> Tensor:
    limit, bias = call.get("lambd", 0.5), call.get("bias", 0.0)
    zero = torch.zeros_like(x)
    return torch.where(x < -limit, x + bias, torch.where(x > limit, x - bias, zero)).to(x.dtype)


@operator("Swish", since=24)
def swish(call: Call, x: Tensor) -> Tensor:
    return x * torch.sigmoid(call.get("alpha", 1.0) * x)


@operator("ThresholdedRelu")
def thresholded_relu(call: Call, x: Tensor) -> Tensor:
    return torch.where(x > call.get("alpha", 1.0), x, torch.zeros_like(x))


@operator("Identity")
def identity(call: Call, x: Any) -> Any:
    return x


@operator("Dropout")
def dropout(call: Call, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None) -> Any:
    """The identity, unless the third input says to train. The mask is of `x`'s type before opset 10."""
    if training is not None and call.numbers(2, training)[0]:
        return reference.row(call.node, call.opset)(call, x, ratio, training)
    kind = torch.bool if call.opset >= 10 else x.dtype
    return x if call.outputs == 1 else (x, torch.ones_like(x, dtype=kind))
