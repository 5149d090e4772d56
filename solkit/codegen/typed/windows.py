"""Pools of one, two and three dimensions, of any dtype: plain loops over each window."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch

from solkit.codegen.kernel import plus, times
from solkit.codegen.typed.call import Call, per_dim
from solkit.codegen.typed.loops import TypedKernel, indices, tasks
from solkit.codegen.typed.numbers import number
from solkit.ir import Value, contiguous


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
    **{f"aten.max_pool{rank}d{kind}.default": _max_pool for rank in _RANKS for kind in ("", "_with_indices")},
    **{f"aten.adaptive_max_pool{rank}d.default": _max_pool for rank in _RANKS},
    **{f"aten.avg_pool{rank}d.default": _average_pool for rank in _RANKS},
    **{f"aten.adaptive_avg_pool{rank}d.default": _average_pool for rank in _RANKS},
    **{f"aten._adaptive_avg_pool{rank}d.default": _average_pool for rank in (2, 3)},
}
