"""Transposed convolutions as ordinary ones, and those in one dimension as those in two.

A transposed convolution with a stride writes each phase of its output (the positions of one remainder) from weights of
its own: an ordinary convolution makes all phases, each in channels of its own, and `depth_to_space` interleaves them.
See `ops.resize.Phases` for the arithmetic.
"""

from typing import TYPE_CHECKING, Any

from torch.fx import Node as FxNode

from solkit.frontend.build import build, reshaped
from solkit.ir import Value
from solkit.ops.operator import pair
from solkit.ops.resize import phases_of

if TYPE_CHECKING:
    from solkit.frontend.torch import _Importer

Pair = tuple[int, int]


def conv_transpose2d(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    """aten.conv_transpose2d.input."""
    x, *weights = _operands(importer, a)
    if len(x.shape) != 4 or not importer.are_weights(weights):
        return None
    window = {name: pair(a[name]) for name in ("stride", "padding", "output_padding", "dilation")}
    return _transposed(importer, fx.name, x, weights, window, a["groups"])


def conv_transpose1d(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    """aten.conv_transpose1d.default."""
    operands = _as_images(importer, a)
    if operands is None:
        return None
    padding = {name: (0, a[name][0]) for name in ("padding", "output_padding")}
    window = {name: (1, a[name][0]) for name in ("stride", "dilation")}
    made = _transposed(importer, fx.name, operands[0], operands[1:], {**window, **padding}, a["groups"])
    return reshaped(importer, made, fx.meta["val"].shape)


def conv1d(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    """aten.conv1d.default, and aten.conv1d.padding ("same" or "valid") where both sides are padded alike."""
    operands = _as_images(importer, a)
    if operands is None:
        return None
    stride, dilation, padding = a["stride"][0], a["dilation"][0], a["padding"]
    if isinstance(padding, str):
        reach = dilation * (operands[1].shape[3] - 1) if padding == "same" else 0
        if reach % 2:
            return None
        padding = [reach // 2]
    window = {"stride": (1, stride), "padding": (0, padding[0]), "dilation": (1, dilation)}
    made = _convolution(importer, fx.name, operands[0], operands[1:], {**window, "groups": a["groups"]})
    return reshaped(importer, made, fx.meta["val"].shape)


def _operands(importer: "_Importer", a: dict[str, Any]) -> list[Value]:
    return [importer._value(a[name]) for name in ("input", "weight", "bias") if a[name] is not None]


def _as_images(importer: "_Importer", a: dict[str, Any]) -> list[Value] | None:
    """Operands in one dimension as images of one row; None without a batch, or if the weights come with the call."""
    x, weight, *bias = _operands(importer, a)
    if len(x.shape) != 3 or not importer.are_weights([weight, *bias]):
        return None
    return [*(reshaped(importer, v, (*v.shape[:2], 1, v.shape[2])) for v in (x, weight)), *bias]


def _convolution(importer: "_Importer", name: str, x: Value, weights: list[Value], attributes: dict[str, Any]) -> Value:
    depthwise = 1 < attributes["groups"] == x.shape[1] == weights[0].shape[0]
    return build(importer, "depthwise_conv2d" if depthwise else "conv2d", [x, *weights], attributes, name)


def _transposed(
    importer: "_Importer", name: str, x: Value, weights: list[Value], window: dict[str, Pair], groups: int
) -> Value:
    weight, *bias = weights
    inner = weight.shape[1]  # output channels of a group
    scale = window["stride"]
    repeated = {"stride": scale, "dilation": window["dilation"], "groups": groups}
    axes = phases_of(weight.shape[2:], repeated)
    size, first, padding = [], [], []
    numbers = zip(axes, x.shape[2:], window["padding"], window["output_padding"], strict=True)
    for axis, length, cut, extra in numbers:
        behind = axis.dilation * (axis.kernel - 1) + extra - cut  # outputs behind the last input's own
        size.append((length - 1) * axis.stride + behind - cut + 1)
        padding.append(max(0, axis.reach - cut // axis.stride, behind // axis.stride))
        first.append(cut - axis.stride * (axis.reach - padding[-1]))
    made_of = [build(importer, "phase_weights", [weight], repeated, weight.name)]
    if bias:
        phases = scale[0] * scale[1]
        spread = {"shape": (groups, phases, inner), "strides": (inner, 0, 1), "offset": 0}
        made_of.append(
            reshaped(importer, build(importer, "strided", bias, spread, bias[0].name), (phases * groups * inner,))
        )
    attributes = {"stride": (1, 1), "padding": tuple(padding), "dilation": tuple(axis.step for axis in axes)}
    made = _convolution(importer, name, x, made_of, {**attributes, "groups": groups})
    if made.shape[1:] == (groups * inner, *size):
        return made  # one phase, and nothing to cut off
    interleaved = {"scale": scale, "first": tuple(first), "size": tuple(size), "groups": groups}
    return build(importer, "depth_to_space", [made], interleaved, name)
