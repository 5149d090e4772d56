"""Reductions: sums, products, extremes and where they are, norms, whether any or all hold."""

import math
from collections.abc import Callable
from math import prod
from typing import Any

import torch

from solkit.codegen.typed.call import Call
from solkit.codegen.typed.functions import add, maximum, minimum, mul
from solkit.codegen.typed.loops import LANES, TypedKernel, in_lanes, nest, tasks
from solkit.codegen.typed.numbers import Number, number
from solkit.ir import Value, contiguous

DOUBLE = number(torch.float64)


class Rows:
    """A tensor as rows that are reduced, one for each element of the result.

    Attributes:
        kept, reduced: (shape, strides) of the dimensions the result has, and of those it has not.
        size: elements of a row.
    """

    def __init__(self, value: Value, dims: list[int]) -> None:
        shape, strides = value.shape, contiguous(value.shape)
        kept = [axis for axis in range(len(shape)) if axis not in dims]
        self.kept = [shape[axis] for axis in kept], [strides[axis] for axis in kept]
        self.reduced = [shape[axis] for axis in dims], [strides[axis] for axis in dims]
        self.size = prod(self.reduced[0])


def _accumulator(made: Number) -> Number:
    """What sums are kept in: float64 for floating point, so that the order of long rows does not matter."""
    return DOUBLE if made.floating else made


def _reduction(
    start: Callable,
    step: Callable,
    finish: Callable = lambda n, total, rows, call: total,
    join: Callable | None = None,
) -> Callable:
    """An emitter.

    Args:
        start: (n, call) to what there is before the first element. n is the number it is computed in.
        step: (n, so far, element, call) to what there is with one more.
        finish: (n, total, rows, call) to the result.
        join: (n, total, total, call) to what two parts of a row make; `step`, if nothing is said.
    """
    join = join or step

    def emit(call: Call) -> TypedKernel:
        kernel, x, out = TypedKernel(), call.tensor("self"), call.output
        rows = Rows(x, call.dims(call.get("dim"), len(x.shape)))
        given, made = number(x.type.dtype), number(out.type.dtype)
        within = _accumulator(made)
        source, target = kernel.read(x), kernel.write(out)
        shape, steps = rows.kept
        with tasks(kernel, shape, {"x": steps, "y": contiguous(tuple(shape))}, cost=rows.size) as at:
            # Several sums at once, which do not wait for one another, and which the compiler makes a vector of.
            kernel.line(f"{within.value} part[{LANES}];")
            kernel.line(f"for (int l = 0; l < {LANES}; l++) part[l] = {start(within, call)};")

            def element(places: dict[str, str], lane: str) -> None:
                value = made.convert(given.at(source, places["x"]), given)
                kernel.line(f"const {within.value} v = {within.convert(value, made)};")
                kernel.line(f"part[{lane}] = {step(within, f'part[{lane}]', 'v', call)};")

            in_lanes(kernel, rows.reduced[0], {"x": rows.reduced[1]}, at, element)
            kernel.line(f"{within.value} total = part[0];")
            kernel.line(f"for (int l = 1; l < {LANES}; l++) total = {join(within, 'total', 'part[l]', call)};")
            result = made.convert(finish(within, "total", rows, call), within)
            kernel.line(made.put(target, at["y"], result))
        return kernel

    return emit


def _zero(n: Number, call: Call) -> str:
    return n.literal(0)


def _mean(n: Number, total: str, rows: Rows, call: Call) -> str:
    return f"{total} / {rows.size}" if rows.size else n.literal(math.nan)


def _order(call: Call) -> float:
    order = call.get("ord", call.get("p", 2))
    return Call.need(isinstance(order, (int, float)), float(order))


def _norm_start(n: Number, call: Call) -> str:
    return n.literal(math.inf if _order(call) == -math.inf else 0)


def _norm_step(n: Number, total: str, v: str, call: Call) -> str:
    order, size = _order(call), f"__builtin_fabs({v})"
    Call.need(n.floating)
    if math.isinf(order):
        return (maximum if order > 0 else minimum)(n, size, total)
    known = {0: f"({v} != 0)", 1: size, 2: f"{v} * {v}"}
    return f"{total} + {known.get(order, f'__builtin_pow({size}, {n.literal(order)})')}"


def _norm_join(n: Number, total: str, part: str, call: Call) -> str:
    order = _order(call)
    return (maximum if order > 0 else minimum)(n, part, total) if math.isinf(order) else f"{total} + {part}"


def _norm_finish(n: Number, total: str, rows: Rows, call: Call) -> str:
    order = _order(call)
    if order == 2:
        return f"__builtin_sqrt({total})"
    return total if order in (0, 1) or math.isinf(order) else f"__builtin_pow({total}, {n.literal(1 / order)})"


def _truths(start: int, sign: str) -> Callable:
    """`any` and `all`: of what is not zero."""

    def emit(call: Call) -> TypedKernel:
        kernel, x, out = TypedKernel(), call.tensor("self"), call.output
        rows = Rows(x, call.dims(call.get("dim"), len(x.shape)))
        given, made = number(x.type.dtype), number(out.type.dtype)
        source, target = kernel.read(x), kernel.write(out)
        shape, steps = rows.kept
        with tasks(kernel, shape, {"x": steps, "y": contiguous(tuple(shape))}, cost=rows.size) as at:
            kernel.line(f"int total = {start};")
            with nest(kernel, rows.reduced[0], {"x": rows.reduced[1]}, {"x": at["x"]}) as inner:
                kernel.line(f"total {sign}= {given.at(source, inner['x'])} != 0;")
            kernel.line(f"{target}[{at['y']}] = ({made.storage})total;")
        return kernel

    return emit


def _place(best: Callable) -> Callable:
    """argmax, argmin, and the extreme with its place; of several the first, NaN before all."""

    def emit(call: Call) -> TypedKernel:
        kernel, x = TypedKernel(), call.tensor("self")
        rank, dim = len(x.shape), call.get("dim")
        rows = Rows(x, call.dims(dim, rank))
        given = number(x.type.dtype)
        *values, places = call.outputs
        source, target = kernel.read(x), kernel.write(places)
        shape, steps = rows.kept
        with tasks(kernel, shape, {"x": steps, "y": contiguous(tuple(shape))}, cost=rows.size) as at:
            kernel.line(f"{given.value} best = {given.at(source, at['x'])};")
            kernel.line("int64_t place = 0, k = 0;")
            with nest(kernel, rows.reduced[0], {"x": rows.reduced[1]}, {"x": at["x"]}) as inner:
                kernel.line(f"const {given.value} v = {given.at(source, inner['x'])};")
                kernel.line(f"if ({best(given)}) best = v, place = k;")
                kernel.line("k++;")
            kernel.line(f"{target}[{at['y']}] = place;")
            for value in values:
                kernel.line(f"{kernel.write(value)}[{at['y']}] = {given.store('best')};")
        return kernel

    return emit


def _better(sign: str) -> Callable[[Number], str]:
    return lambda n: f"v {sign} best || (v != v && best == best)" if n.floating else f"v {sign} best"


def _log_sum_exp(call: Call) -> TypedKernel:
    """log of the sum of e^x, without the overflow: the largest is taken out first."""
    kernel, x, out = TypedKernel(), call.tensor("self"), call.output
    rows = Rows(x, call.dims(call["dim"], len(x.shape)))
    given, made = number(x.type.dtype), number(out.type.dtype)
    source, target = kernel.read(x), kernel.write(out)
    shape, steps = rows.kept

    def element(position: str) -> str:
        return f"const double v = {DOUBLE.convert(given.at(source, position), given)};"

    with tasks(kernel, shape, {"x": steps, "y": contiguous(tuple(shape))}, cost=10 * rows.size) as at:
        kernel.line("double most = -__builtin_inf(), total = 0;")
        with nest(kernel, rows.reduced[0], {"x": rows.reduced[1]}, {"x": at["x"]}) as inner:
            kernel.line(element(inner["x"]))
            kernel.line(f"most = {maximum(DOUBLE, 'v', 'most')};")
        kernel.line("if (__builtin_isinf(most)) {")
        kernel.line(f"    {target}[{at['y']}] = {made.store(made.convert('most', DOUBLE))};")
        kernel.line("    continue;")
        kernel.line("}")
        with nest(kernel, rows.reduced[0], {"x": rows.reduced[1]}, {"x": at["x"]}) as inner:
            kernel.line(element(inner["x"]))
            kernel.line("total += __builtin_exp(v - most);")
        kernel.line(made.put(target, at["y"], made.convert("most + __builtin_log(total)", DOUBLE)))
    return kernel


def _spread(call: Call) -> TypedKernel:
    """Variance and standard deviation: of the differences to the mean."""
    kernel, x, out = TypedKernel(), call.tensor("self"), call.output
    rows = Rows(x, call.dims(call.get("dim"), len(x.shape)))
    given, made = number(x.type.dtype), number(out.type.dtype)
    correction = call.get("correction", int(call.get("unbiased", True)))
    Call.need(rows.size > correction)
    source, target = kernel.read(x), kernel.write(out)
    shape, steps = rows.kept
    with tasks(kernel, shape, {"x": steps, "y": contiguous(tuple(shape))}, cost=2 * rows.size) as at:
        kernel.line("double sum = 0, total = 0;")
        for step in ("sum += v;", "total += (v - mean) * (v - mean);"):
            with nest(kernel, rows.reduced[0], {"x": rows.reduced[1]}, {"x": at["x"]}) as inner:
                element = given.at(source, inner["x"])
                kernel.line(f"const double v = {DOUBLE.convert(element, given)};")
                kernel.line(step)
            if step.startswith("sum"):
                kernel.line(f"const double mean = sum / {rows.size};")
        result = f"total / {float(rows.size - correction)!r}"
        result = f"__builtin_sqrt({result})" if "std" in call.name else result
        kernel.line(made.put(target, at["y"], made.convert(f"({result})", DOUBLE)))
    return kernel


def _scan(start: int, step: Callable) -> Callable:
    """Running sums and products."""

    def emit(call: Call) -> TypedKernel:
        kernel, x, out = TypedKernel(), call.tensor("self"), call.output
        rank = len(x.shape)
        rows = Rows(x, [call["dim"] % rank] if rank else [])
        given, made = number(x.type.dtype), number(out.type.dtype)
        within = _accumulator(made)
        source, target = kernel.read(x), kernel.write(out)
        with tasks(kernel, rows.kept[0], {"x": rows.kept[1]}, cost=rows.size) as at:
            kernel.line(f"{within.value} total = {start};")
            with nest(kernel, rows.reduced[0], {"x": rows.reduced[1]}, {"x": at["x"]}) as inner:
                element = made.convert(given.at(source, inner["x"]), given)
                kernel.line(f"const {within.value} v = {within.convert(element, made)};")
                kernel.line(f"total = {step(within, 'total', 'v')};")
                kernel.line(made.put(target, inner["x"], made.convert("total", within)))
        return kernel

    return emit


def _first(value: str) -> Callable:
    """Of no elements there is no extreme: PyTorch raises where it can be reached at all."""
    return lambda n, call: getattr(n, value)()


_SUM = _reduction(_zero, lambda n, total, v, call: add(n, total, v))
_MEAN = _reduction(_zero, lambda n, total, v, call: add(n, total, v), _mean)
_PROD = _reduction(lambda n, call: n.literal(1), lambda n, total, v, call: mul(n, total, v))
_MAX = _reduction(_first("least"), lambda n, total, v, call: maximum(n, v, total))
_MIN = _reduction(_first("most"), lambda n, total, v, call: minimum(n, v, total))
_NORM = _reduction(_norm_start, _norm_step, _norm_finish, _norm_join)

REDUCTIONS: dict[str, Any] = {
    f"aten.{overload}": emitter
    for emitter, overloads in {
        _SUM: ("sum.default", "sum.dim_IntList"),
        _MEAN: ("mean.default", "mean.dim"),
        _PROD: ("prod.default", "prod.dim_int"),
        _MAX: ("amax.default", "max.default"),
        _MIN: ("amin.default", "min.default"),
        _NORM: ("linalg_vector_norm.default", "norm.ScalarOpt_dim", "norm.Scalar"),
        _truths(0, "|"): ("any.default", "any.dim", "any.dims"),
        _truths(1, "&"): ("all.default", "all.dim", "all.dims"),
        _place(_better(">")): ("argmax.default", "max.dim"),
        _place(_better("<")): ("argmin.default", "min.dim"),
        _log_sum_exp: ("logsumexp.default",),
        _spread: ("var.correction", "var.dim", "var.default", "std.correction", "std.dim", "std.default"),
        _scan(0, add): ("cumsum.default",),
        _scan(1, mul): ("cumprod.default",),
    }.items()
    for overload in overloads
}
