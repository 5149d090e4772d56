"""Softmax and norms of any dtype: each row is gone over several times, and computed with as float or double."""

from collections.abc import Sequence
from math import prod

import torch

from solkit.codegen.typed.call import Call
from solkit.codegen.typed.functions import maximum
from solkit.codegen.typed.loops import Shape, TypedKernel, broadcast, nest, tasks
from solkit.codegen.typed.numbers import number
from solkit.codegen.typed.reduce import Rows
from solkit.ir import TensorType, Value, contiguous


def _softmax(call: Call) -> TypedKernel:
    """e^x / sum of e^x, or its logarithm; the largest of a row is taken out first."""
    kernel, x, out = TypedKernel(), call.tensor("self"), call.output
    rank = len(x.shape)
    rows = Rows(x, [call["dim"] % rank] if rank else [])
    given, made = number(x.type.dtype), number(out.type.dtype)
    Call.need(made.floating)
    source, target = kernel.read(x), kernel.write(out)
    (shape, steps), (length, step) = rows.kept, rows.reduced
    with tasks(kernel, shape, {"x": steps}, cost=20 * rows.size) as at:
        kernel.line(f"{made.value} most = {made.least()};")
        kernel.line("double total = 0;")
        for line in (
            f"most = {maximum(made, 'v', 'most')};",
            f"total += {made.function('exp')}(v - most);",
            None,
        ):
            with nest(kernel, length, {"x": step}, {"x": at["x"]}) as inner:
                kernel.line(f"const {made.value} v = {made.convert(given.at(source, inner['x']), given)};")
                if line is None:
                    kernel.line(made.put(target, inner["x"], _share(call, made.function("exp"), made.value)))
                else:
                    kernel.line(line)
    return kernel


def _share(call: Call, exp: str, value: str) -> str:
    if "log_softmax" in call.name:
        return f"(v - most - ({value})__builtin_log(total))"
    return f"({value})({exp}(v - most) / total)"


def _normalize(
    call: Call,
    x: Value,
    rows: tuple[Shape, Shape],
    reduced: tuple[Shape, Shape],
    along: tuple[Shape, Shape],
    statistics: Sequence[Value] = (),
    centred: bool = True,
) -> TypedKernel:
    """(x - mean) / sqrt(variance + eps) * weight + bias, the two over each row.

    Args:
        rows, reduced: (shape, strides in x) of what there is a row for, and of a row.
        along: steps in weight, bias and given statistics, over both of them.
        statistics: mean and variance, where they are not those of the row.
        centred: whether the mean is taken away, and the variance is around it.
    """
    kernel, out = TypedKernel(), call.outputs[0]
    Call.need(all(value.type.size == 0 for value in call.outputs[1:]))
    kind, double = number(x.type.dtype), number(torch.float64)
    Call.need(kind.floating and out.type.dtype == x.type.dtype)
    source, target, size = kernel.read(x), kernel.write(out), prod(reduced[0])
    factors = {name: call.arguments.get(name) for name in ("weight", "bias")}
    names = {name: kernel.read(value) for name, value in factors.items() if value is not None}
    for value in call.outputs[1:]:
        kernel.write(value)
    epsilon = call.get("eps", torch.finfo(x.type.dtype).eps)
    element = f"const double v = {double.convert(kind.at(source, '{}'), kind)};"
    with tasks(kernel, rows[0], {"x": rows[1], "w": along[0]}, cost=3 * size) as at:
        if statistics:
            mean, variance = (number(v.type.dtype).at(kernel.read(v), at["w"]) for v in statistics)
            kernel.line(f"const double mean = {mean}, variance = {variance};")
        else:
            kernel.line("double sum = 0, squares = 0;")
            for line in ("sum += v;", "squares += (v - mean) * (v - mean);")[0 if centred else 1 :]:
                if line.startswith("squares"):
                    kernel.line(f"const double mean = {f'sum / {size}' if centred else '0'};")
                with nest(kernel, reduced[0], {"x": reduced[1]}, at) as inner:
                    kernel.line(element.format(inner["x"]))
                    kernel.line(line)
            kernel.line(f"const double variance = squares / {size};")
        kernel.line(f"const double scale = 1 / __builtin_sqrt(variance + {double.literal(epsilon)});")
        with nest(kernel, reduced[0], {"x": reduced[1], "w": along[1]}, at) as inner:
            kernel.line(element.format(inner["x"]))
            made = "(v - mean) * scale"
            for name, sign in (("weight", "*"), ("bias", "+")):
                if name in names:
                    made = f"{made} {sign} {number(factors[name].type.dtype).at(names[name], inner['w'])}"
            kernel.line(kind.put(target, inner["x"], kind.convert(f"({made})", double)))
    return kernel


def _layer_norm(call: Call) -> TypedKernel:
    x = call.tensor("input")
    count = len(x.shape) - len(call["normalized_shape"])
    steps = contiguous(x.shape)
    inner = x.shape[count:], steps[count:]
    along = [0] * count, contiguous(tuple(inner[0]))
    return _normalize(call, x, (x.shape[:count], steps[:count]), inner, along, centred="rms" not in call.name)


def _group_norm(call: Call) -> TypedKernel:
    """Over groups of channels; instance norm has as many as channels."""
    x = call.tensor("input")
    images, channels, pixels = x.shape[0], x.shape[1], prod(x.shape[2:])
    Call.need(call.get("use_input_stats", True))
    groups = call.get("num_groups", channels)
    own = channels // groups
    shape = (images, groups, own, pixels)
    steps = contiguous(shape)
    return _normalize(call, x, (shape[:2], steps[:2]), (shape[2:], steps[2:]), ((0, own), (1, 0)))


def _batch_norm(call: Call) -> TypedKernel:
    """With statistics of the batch, where it trains without keeping them; else with the given ones."""
    x, kept = call.tensor("input"), [call.get(name) for name in ("running_mean", "running_var")]
    shape = (x.shape[0], x.shape[1], prod(x.shape[2:]))
    steps = contiguous(shape)
    if call.get("training", False):
        Call.need(kept == [None, None])
        return _normalize(call, x, (shape[1:2], steps[1:2]), (shape[::2], steps[::2]), ((1,), (0, 0)))
    Call.need(None not in kept)
    return _normalize(call, x, (shape[:2], steps[:2]), (shape[2:], steps[2:]), ((0, 1), (0,)), kept)


def _prelu(call: Call) -> TypedKernel:
    """x, or where it is negative x times the weight of its channel."""
    kernel, x, weight, out = TypedKernel(), call.tensor("self"), call.tensor("weight"), call.output
    kind, rank = number(x.type.dtype), len(x.shape)
    channels = [weight.type.size if axis == min(1, rank - 1) else 1 for axis in range(rank)]
    source, factors, target = kernel.read(x), kernel.read(weight), kernel.write(out)
    steps = broadcast(Value("weight", TensorType(tuple(channels))), x.shape)
    with tasks(kernel, x.shape, {"x": contiguous(x.shape), "w": steps}) as at:
        kernel.line(f"const {kind.value} v = {kind.at(source, at['x'])};")
        kernel.line(kind.put(target, at["x"], f"(v > 0 ? v : v * {kind.at(factors, at['w'])})"))
    return kernel


NORMS = {
    f"aten.{overload}": emitter
    for emitter, overloads in {
        _softmax: ("softmax.int", "_softmax.default", "log_softmax.int", "_log_softmax.default"),
        _layer_norm: ("layer_norm.default", "rms_norm.default"),
        _group_norm: ("group_norm.default", "instance_norm.default"),
        _batch_norm: ("batch_norm.default", "_native_batch_norm_legit_no_training.default"),
        _prelu: ("prelu.default", "_prelu_kernel.default"),
    }.items()
    for overload in overloads
}
