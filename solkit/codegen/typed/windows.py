"""Convolutions and pools of one, two and three dimensions, of any dtype: plain loops over each window."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch

from solkit.codegen.kernel import plus, times
from solkit.codegen.typed.call import Call, per_dim
from solkit.codegen.typed.functions import add, mul
from solkit.codegen.typed.loops import TypedKernel, indices, tasks
from solkit.codegen.typed.numbers import Number, number
from solkit.ir import Value, contiguous

BLOCK = 64  # pixels of a row of the result that are summed up at once


# -- convolution ----------------------------------------------------------------------------------------------------


def _convolution(call: Call) -> TypedKernel:
    """All of them, transposed ones too; an image without a batch is a batch of one."""
    x, weight, bias, out = call.tensor("input"), call.tensor("weight"), call.get("bias"), call.output
    rank = len(weight.shape) - 2
    Call.need(x.type.dtype == weight.type.dtype == out.type.dtype and not number(out.type.dtype).is_bool)
    stride, dilation = per_dim(call["stride"], rank), per_dim(call["dilation"], rank)
    window = weight.shape[2:]
    padding = call["padding"]
    if padding == "same":  # an even window pads one more behind
        padding = [d * (k - 1) // 2 for d, k in zip(dilation, window, strict=True)]
    padding = [0] * rank if padding == "valid" else per_dim(padding, rank)
    transposed = "transpose" in call.name or bool(call.get("transposed", False))
    images, channels, *extent = (1,) * (rank + 2 - len(x.shape)) + tuple(x.shape)
    made = ((1,) * (rank + 2 - len(out.shape)) + tuple(out.shape))[1:]
    groups = call["groups"]
    reads, gives = channels // groups, made[0] // groups  # channels of a group
    kernel, kind = TypedKernel(), number(out.type.dtype)
    source, factors, target = kernel.read(x), kernel.read(weight), kernel.write(out)
    *rows, width = made[1:]
    steps, over = contiguous(tuple(extent)), (images, groups, gives, *rows, -(-width // BLOCK))
    place = contiguous((images, groups, gives, *rows, width))
    walk = {**indices(over), "y": [*place[:-1], 0]}
    work = reads * prod(window)
    with tasks(kernel, over, walk, cost=min(width, BLOCK) * work) as at:
        n, g, o, *p, block = (at[f"d{axis}"] for axis in range(len(over)))
        kernel.line(f"const int64_t first = ({block}) * {BLOCK}, count = sol_min({BLOCK}, {width} - first);")
        start = "0" if bias is None else kind.at(kernel.read(bias), plus(times(f"({g})", gives), o))
        kernel.line(f"{kind.value} sum[{BLOCK}];")
        kernel.line(f"for (int64_t j = 0; j < count; j++) sum[j] = {start};")
        kernel.open(f"for (int64_t c = 0; c < {reads}; c++)")
        size = prod(extent)
        image = f"(({n}) * {channels} + ({g}) * {reads} + c) * {size}"
        kernel.line(f"const int64_t image = {image};")
        if transposed:
            kernel.line(f"const int64_t taps = (((({g}) * {reads} + c) * {gives}) + {o}) * {prod(window)};")
        else:
            kernel.line(f"const int64_t taps = (((({g}) * {gives}) + {o}) * {reads} + c) * {prod(window)};")
        for axis in range(rank):
            kernel.open(f"for (int64_t k{axis} = 0; k{axis} < {window[axis]}; k{axis}++)")
            if axis < rank - 1:
                if transposed:
                    kernel.line(f"int64_t q{axis} = ({p[axis]}) + {padding[axis]} - k{axis} * {dilation[axis]};")
                    kernel.line(f"if (q{axis} < 0 || q{axis} % {stride[axis]}) continue;")
                    kernel.line(f"q{axis} /= {stride[axis]};")
                else:
                    where = f"({p[axis]}) * {stride[axis]} - {padding[axis]} + k{axis} * {dilation[axis]}"
                    kernel.line(f"const int64_t q{axis} = {where};")
                kernel.line(f"if (q{axis} < 0 || q{axis} >= {extent[axis]}) continue;")
        tap = plus("taps", *(times(f"k{axis}", s) for axis, s in enumerate(contiguous(tuple(window)))))
        kernel.line(f"const {kind.value} w = {kind.at(factors, tap)};")
        line = plus("image", *(times(f"q{axis}", steps[axis]) for axis in range(rank - 1)))
        _row(kernel, kind, source, line, transposed, stride[-1], padding[-1], dilation[-1], extent[-1], rank - 1)
        for _ in range(rank + 1):
            kernel.close()
        kernel.line(f"for (int64_t j = 0; j < count; j++) {kind.put(target, plus(at['y'], 'first + j'), 'sum[j]')}")
    return kernel


def _row(
    kernel: TypedKernel,
    kind: Number,
    source: str,
    line: str,
    transposed: bool,
    stride: int,
    padding: int,
    dilation: int,
    size: int,
    axis: int,
) -> None:
    """One tap of the window times a row of pixels: those that it meets inside of the image."""
    if transposed:
        kernel.open("for (int64_t j = 0; j < count; j++)")
        kernel.line(f"const int64_t q = first + j + {padding} - k{axis} * {dilation};")
        inside = f"q >= 0 && q % {stride} == 0 && q / {stride} < {size}"
        product = mul(kind, kind.at(source, f"{line} + q / {stride}"), "w")
        kernel.line(f"if ({inside}) sum[j] = {add(kind, 'sum[j]', product)};")
        kernel.close()
        return
    kernel.line(f"const int64_t q = first * {stride} - {padding} + k{axis} * {dilation};")
    kernel.line(f"const int64_t begin = q < 0 ? SOL_CEIL(-q, {stride}) : 0;")
    kernel.line(f"const int64_t end = q < {size} ? sol_min(count, ({size} - 1 - q) / {stride} + 1) : 0;")
    product = mul(kind, kind.at(source, f"{line} + q + {times('j', stride)}"), "w")
    kernel.line(f"for (int64_t j = begin; j < end; j++) sum[j] = {add(kind, 'sum[j]', product)};")


# -- pools ----------------------------------------------------------------------------------------------------------


class _Window:
    """The window of each element of the result, and the loops over it.

    The result is [rows, *made], the input [rows, *extent].
    """

    def __init__(self, kernel: TypedKernel, call: Call, x: Value, out: Value, rank: int) -> None:
        self.kernel, self.rank = kernel, rank
        self.extent, self.made = x.shape[-rank:], out.shape[-rank:]
        self.rows = prod(x.shape[:-rank])
        self.adaptive = "adaptive" in call.name
        if not self.adaptive:
            self.size = per_dim(call["kernel_size"], rank)
            self.stride = per_dim(call.get("stride") or self.size, rank)
            self.padding = per_dim(call.get("padding", 0), rank)
            self.dilation = per_dim(call.get("dilation", 1), rank)

    def tasks(self) -> Any:
        over = (self.rows, *self.made)
        work = prod(self.extent) // prod(self.made) if self.adaptive else prod(self.size)
        walk = {**indices(over), "y": contiguous(over)}
        return tasks(self.kernel, over, walk, cost=max(1, work))

    def bounds(self, at: dict[str, str]) -> None:
        """Declare where the window begins and ends in each dimension: b0, e0 and so on, inside of the image."""
        for axis in range(self.rank):
            p, size, made = f"({at[f'd{axis + 1}']})", self.extent[axis], self.made[axis]
            if self.adaptive:
                self.kernel.line(f"const int64_t b{axis} = {p} * {size} / {made};")
                self.kernel.line(f"const int64_t e{axis} = SOL_CEIL(({p} + 1) * {size}, {made});")
                continue
            d = self.dilation[axis]
            self.kernel.line(f"const int64_t w{axis} = {p} * {self.stride[axis]} - {self.padding[axis]};")
            skipped = f"w{axis} < 0 ? w{axis} + SOL_CEIL(-w{axis}, {d}) * {d} : w{axis}"
            self.kernel.line(f"const int64_t b{axis} = {skipped};")
            end = f"w{axis} + {(self.size[axis] - 1) * d + 1}"
            self.kernel.line(f"const int64_t e{axis} = sol_min({size}, {end});")

    def open(self, at: dict[str, str]) -> str:
        """Open the loops; the position of the element in its plane."""
        for axis in range(self.rank):
            step = 1 if self.adaptive else self.dilation[axis]
            self.kernel.open(f"for (int64_t q{axis} = b{axis}; q{axis} < e{axis}; q{axis} += {step})")
        steps = contiguous(tuple(self.extent))
        return plus(*(times(f"q{axis}", steps[axis]) for axis in range(self.rank)))

    def close(self) -> None:
        for _ in range(self.rank):
            self.kernel.close()


def _rank(call: Call) -> int:
    return next(rank for rank in (1, 2, 3) if f"pool{rank}d" in call.name)


def _max_pool(call: Call) -> TypedKernel:
    """The largest of each window, the first of several, NaN before all; with its place in the plane, where asked."""
    kernel, x, (out, *places) = TypedKernel(), call.tensor("self"), call.outputs
    window, kind = _Window(kernel, call, x, out, _rank(call)), number(x.type.dtype)
    source, target = kernel.read(x), kernel.write(out)
    with window.tasks() as at:
        window.bounds(at)
        kernel.line(f"const int64_t plane = ({at['d0']}) * {prod(window.extent)};")
        corner = plus(*(times(f"b{axis}", s) for axis, s in enumerate(contiguous(tuple(window.extent)))))
        kernel.line(f"int64_t place = {corner};")
        kernel.line(f"{kind.value} best = {kind.at(source, 'plane + place')};")
        position = window.open(at)
        kernel.line(f"const {kind.value} v = {kind.at(source, f'plane + {position}')};")
        kernel.line(f"if (v > best || (v != v && best == best)) best = v, place = {position};")
        window.close()
        kernel.line(kind.put(target, at["y"], "best"))
        for value in places:
            kernel.line(f"{kernel.write(value)}[{at['y']}] = place;")
    return kernel


def _average_pool(call: Call) -> TypedKernel:
    kernel, x, out = TypedKernel(), call.tensor("self"), call.output
    window, kind = _Window(kernel, call, x, out, _rank(call)), number(x.type.dtype)
    Call.need(kind.floating)
    source, target, double = kernel.read(x), kernel.write(out), number(torch.float64)
    with window.tasks() as at:
        window.bounds(at)
        kernel.line(f"const int64_t plane = ({at['d0']}) * {prod(window.extent)};")
        kernel.line("double sum = 0;")
        position = window.open(at)
        kernel.line(f"sum += {double.convert(kind.at(source, f'plane + {position}'), kind)};")
        window.close()
        kernel.line(f"const int64_t count = {_divisor(call, window)};")
        kernel.line(kind.put(target, at["y"], kind.convert("(sum / (double)count)", double)))
    return kernel


def _divisor(call: Call, window: _Window) -> str:
    """How many numbers a window has: with the padding or without it, but without what `ceil_mode` adds."""
    if call.get("divisor_override"):
        return str(call["divisor_override"])
    spans = []
    for axis in range(window.rank):
        if not window.adaptive and call.get("count_include_pad", True):
            end = f"sol_min(w{axis} + {window.size[axis]}, {window.extent[axis] + window.padding[axis]})"
            spans.append(f"({end} - w{axis})")
        else:
            spans.append(f"(e{axis} - b{axis})")
    return " * ".join(spans)


_RANKS = (1, 2, 3)
Emitter = Callable[[Call], TypedKernel]
WINDOWS: dict[str, Emitter] = {
    **{f"aten.conv{rank}d.{variant}": _convolution for rank in _RANKS for variant in ("default", "padding")},
    "aten.conv_transpose1d.default": _convolution,
    "aten.conv_transpose2d.input": _convolution,
    "aten.conv_transpose3d.input": _convolution,
    "aten.convolution.default": _convolution,
    **{f"aten.max_pool{rank}d{kind}.default": _max_pool for rank in _RANKS for kind in ("", "_with_indices")},
    **{f"aten.adaptive_max_pool{rank}d.default": _max_pool for rank in _RANKS},
    **{f"aten.avg_pool{rank}d.default": _average_pool for rank in _RANKS},
    **{f"aten.adaptive_avg_pool{rank}d.default": _average_pool for rank in _RANKS},
    **{f"aten._adaptive_avg_pool{rank}d.default": _average_pool for rank in (2, 3)},
}
