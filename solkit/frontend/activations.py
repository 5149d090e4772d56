"""Activation functions that are said by other element-wise operators; roll, stack and channel shuffle by moves."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch.fx import Node as FxNode

from solkit.frontend.rows import Builder
from solkit.ir import Value, contiguous

if TYPE_CHECKING:
    from solkit.frontend.torch import _Importer

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. (2017)

Lowering = Callable[["_Importer", FxNode, dict[str, Any]], Value | None]


def _unary(say: Callable[[Builder, Value, dict[str, Any]], Value]) -> Lowering:
    def lower(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
        return say(Builder(importer, fx), importer._value(fx.args[0]), a)

    return lower


def _exponential(build: Builder, x: Value, below: float, within: float, scale: float) -> Value:
    """scale * (x, or below 0: `below` * (e^(`within` x) - 1))"""
    down = build.node("mul", build.node("clamp", x, min=None, max=0.0), within)
    low = build.node("mul", build.node("sub", build.node("exp", down), 1.0), below)
    return build.node("mul", build.node("add", build.node("relu", x), low), scale)


def _softplus(build: Builder, x: Value, beta: float = 1.0) -> Value:
    """log(1 + e^(beta x)) / beta, as max(x, 0) + log(1 + e^-|beta x|) / beta, which does not overflow."""
    small = build.node("exp", build.node("neg", build.node("abs", build.node("mul", x, beta))))
    rest = build.node("mul", build.node("log", build.node("add", small, 1.0)), 1.0 / beta)
    return build.node("add", build.node("relu", x), rest)


def _mish(build: Builder, x: Value, a: dict[str, Any]) -> Value:
    return build.node("mul", x, build.node("tanh", _softplus(build, x)))


def _log_sigmoid(build: Builder, x: Value, a: dict[str, Any]) -> Value:
    return build.node("neg", _softplus(build, build.node("neg", x)))


def _softsign(build: Builder, x: Value, a: dict[str, Any]) -> Value:
    return build.node("div", x, build.node("add", build.node("abs", x), 1.0))


def _prelu(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value:
    build, x, weight = Builder(importer, fx), importer._value(fx.args[0]), importer._value(fx.args[1])
    if weight.type.size > 1:
        weight = build.reshape(weight, *(weight.type.size if axis == 1 else 1 for axis in range(len(x.shape))))
    low = build.node("mul", build.node("clamp", x, min=None, max=0.0), weight)
    return build.node("add", build.node("relu", x), low)


def _part(build: Builder, x: Value, dim: int, first: int, size: int) -> Value:
    """`size` of the indices of a dimension from `first` on."""
    strides = contiguous(x.shape)
    shape = tuple(size if axis == dim else own for axis, own in enumerate(x.shape))
    return build.node("strided", x, shape=shape, strides=strides, offset=first * strides[dim])


def _glu(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value:
    build, x = Builder(importer, fx), importer._value(a["self"])
    dim = a["dim"] % len(x.shape)
    half = x.shape[dim] // 2
    gate = build.node("sigmoid", _part(build, x, dim, half, half))
    return build.node("mul", _part(build, x, dim, 0, half), gate)


def _roll(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value:
    build, x = Builder(importer, fx), importer._value(a["self"])
    shape = x.shape
    if not a["dims"]:
        x = build.reshape(x, x.type.size)
    for shift, dim in zip(a["shifts"], a["dims"] or [0], strict=True):
        size = x.shape[dim]
        shift %= size
        if shift:
            dim %= len(x.shape)
            end, start = _part(build, x, dim, size - shift, shift), _part(build, x, dim, 0, size - shift)
            x = build.node("cat", end, start, dim=dim)
    return build.reshape(x, *shape)


def _stack(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value:
    build, values = Builder(importer, fx), [importer._value(part) for part in a["tensors"]]
    dim = a["dim"] % (len(values[0].shape) + 1)
    shape = (*values[0].shape[:dim], 1, *values[0].shape[dim:])
    return build.node("cat", *(build.reshape(value, *shape) for value in values), dim=dim)


def _channel_shuffle(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value:
    build, x = Builder(importer, fx), importer._value(fx.args[0])
    batch, channels, *rest = x.shape
    parts = build.reshape(x, batch, a["groups"], channels // a["groups"], *rest)
    order = [0, 2, 1, *range(3, len(parts.shape))]
    return build.reshape(build.permute(parts, order), *x.shape)


ACTIVATIONS: dict[str, Lowering] = {
    "aten.elu.default": _unary(lambda b, x, a: _exponential(b, x, a["alpha"], a["input_scale"], a["scale"])),
    "aten.celu.default": _unary(lambda b, x, a: _exponential(b, x, a["alpha"], 1.0 / a["alpha"], 1.0)),
    "aten.selu.default": _unary(lambda b, x, a: _exponential(b, x, _SELU_ALPHA, 1.0, _SELU_SCALE)),
    "aten.softplus.default": _unary(lambda b, x, a: _softplus(b, x, a["beta"])),
    "aten.mish.default": _unary(_mish),
    "aten.log_sigmoid.default": _unary(_log_sigmoid),
    "aten.softsign.default": _unary(_softsign),
    "aten.relu6.default": _unary(lambda b, x, a: b.node("clamp", x, min=0.0, max=6.0)),
    "aten.prelu.default": _prelu,
    "aten.glu.default": _glu,
    "aten.roll.default": _roll,
    "aten.stack.default": _stack,
    "aten.channel_shuffle.default": _channel_shuffle,
}
