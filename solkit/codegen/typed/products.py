"""Sums of products: matrix products of any kind, and whatever einsum says.

A block of the result's last dimension is summed up at a time, in an array that stays in the cache, each element in the
same order. Half precision and float32 are summed in float, whole numbers wrap.
"""

import functools
from collections.abc import Sequence
from math import prod

import torch

from solkit.codegen.kernel import plus, times
from solkit.codegen.typed.call import Call
from solkit.codegen.typed.functions import add, mul
from solkit.codegen.typed.loops import LANES, TypedKernel, broadcast, in_lanes, nest, tasks
from solkit.codegen.typed.numbers import number
from solkit.ir import Value, contiguous

BLOCK = 64  # elements of the result that are summed up at once

Labels = Sequence[object]  # names of dimensions, as the letters of einsum


def emit_product(
    call: Call,
    operands: Sequence[tuple[Value, Labels]],
    labels: Labels,
    scale: float = 1,
    bias: Value | None = None,
    bias_scale: float = 1,
) -> TypedKernel:
    """The result, of dimensions `labels`: the product of the operands, summed over all labels it does not have.

    A dimension of size 1 broadcasts. The result is scale * product + bias_scale * bias.
    """
    kernel, out = TypedKernel(), call.output
    kind = number(out.type.dtype)
    sizes: dict[object, int] = {}
    for value, own in operands:
        Call.need(len(own) == len(value.shape) and value.type.dtype == out.type.dtype)
        for label, size in zip(own, value.shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1)) if size and sizes.get(label, 1) else 0
    summed = [label for label in sizes if label not in labels]
    names = [kernel.read(value) for value, _ in operands]
    strides = [_strides(value, own) for value, own in operands]
    *outer, last = [sizes[label] for label in labels] or [1]
    last_label = labels[-1] if labels else None
    walk = {f"x{i}": [s.get(label, 0) for label in labels[:-1]] + [0] for i, s in enumerate(strides)}
    shape = (*outer, -(-last // BLOCK))
    walk["y"] = [*(step for step in contiguous((*outer, last))[:-1]), 0]
    walk["block"] = [0] * len(outer) + [1]
    biased = None
    if bias is not None and bias_scale != 0:
        biased = kernel.read(bias)
        *walk["bias"], along_bias = broadcast(bias, out.shape) or [0]
        walk["bias"] = [*walk["bias"], 0]
    target = kernel.write(out)
    with tasks(kernel, shape, walk, cost=min(last, BLOCK) * prod(sizes[label] for label in summed)) as at:
        kernel.line(f"const int64_t first = ({at['block']}) * {BLOCK}, count = sol_min({BLOCK}, {last} - first);")
        kernel.line(f"{kind.value} sum[{BLOCK}] = {{0}};")
        inner = {f"x{i}": [s.get(label, 0) for label in summed] for i, s in enumerate(strides)}
        along = [s.get(last_label, 0) for s in strides]
        lengths = [sizes[label] for label in summed]

        def product(values: Sequence[str], total: str) -> str:
            return f"{total} = {add(kind, total, functools.reduce(lambda a, b: mul(kind, a, b), values))};"

        if max(along) > 1 and summed and all(steps[-1] <= 1 for steps in inner.values()):
            # What is summed over lies side by side, and the elements of the result do not: one after the other.
            kernel.open("for (int64_t j = 0; j < count; j++)")
            kernel.line(f"{kind.value} part[{LANES}] = {{0}};")
            starts = {f"x{i}": plus(at[f"x{i}"], times("(first + j)", step)) for i, step in enumerate(along)}

            def element(places: dict[str, str], lane: str) -> None:
                values = [kind.at(name, places[f"x{i}"]) for i, name in enumerate(names)]
                kernel.line(product(values, f"part[{lane}]"))

            in_lanes(kernel, lengths, inner, starts, element)
            kernel.line(f"for (int l = 0; l < {LANES}; l++) sum[j] = {add(kind, 'sum[j]', 'part[l]')};")
            kernel.close()
        else:
            with nest(kernel, lengths, inner, at, "k") as place:
                values = []
                for i, step in enumerate(along):
                    position = plus(place[f"x{i}"], times("(first + j)", step))
                    values.append(kind.at(names[i], position))
                    if not step:
                        kernel.line(f"const {kind.value} f{i} = {values[i]};")
                        values[i] = f"f{i}"
                kernel.line(f"for (int64_t j = 0; j < count; j++) {product(values, 'sum[j]')}")
        kernel.open("for (int64_t j = 0; j < count; j++)")
        result = "sum[j]" if scale == 1 else mul(kind, "sum[j]", kind.literal(scale))
        if biased is not None:
            own = number(bias.type.dtype)
            extra = kind.convert(own.at(biased, plus(at["bias"], f"(first + j) * {along_bias}")), own)
            result = add(kind, result, extra if bias_scale == 1 else mul(kind, extra, kind.literal(bias_scale)))
        kernel.line(kind.put(target, plus(at["y"], "first + j"), result))
        kernel.close()
    return kernel


def _strides(value: Value, labels: Labels) -> dict[object, int]:
    """Steps along each label: a label that stands twice walks along the diagonal."""
    found: dict[object, int] = {}
    for label, size, step in zip(labels, value.shape, contiguous(value.shape), strict=True):
        found[label] = found.get(label, 0) + (step if size != 1 else 0)
    return found


def _matrix_labels(a: Value, b: Value) -> tuple[Labels, Labels, Labels]:
    """Labels of a, b and a @ b, as torch.matmul has it."""
    batch = max(len(a.shape), len(b.shape), 2) - 2
    left = [*range(batch)][batch - max(0, len(a.shape) - 2) :] + (["m", "k"] if len(a.shape) > 1 else ["k"])
    right = [*range(batch)][batch - max(0, len(b.shape) - 2) :] + (["k", "n"] if len(b.shape) > 1 else ["k"])
    made = [*range(batch), *(label for label in ("m", "n") if label in left or label in right)]
    return left, right, made


def _matmul(call: Call) -> TypedKernel:
    a, b = call.tensor("self"), call.tensor("other", "mat2", "vec", "tensor")
    left, right, made = _matrix_labels(a, b)
    return emit_product(call, [(a, left), (b, right)], made)


def _addmm(call: Call) -> TypedKernel:
    """beta * self + alpha * (a @ b)"""
    a, b = call.tensor("mat1", "batch1", "mat"), call.tensor("mat2", "batch2", "vec")
    left, right, made = _matrix_labels(a, b)
    scales = call.get("alpha", 1), call.tensor("self"), call.get("beta", 1)
    return emit_product(call, [(a, left), (b, right)], made, *scales)


def _linear(call: Call) -> TypedKernel:
    x, weight = call.tensor("input"), call.tensor("weight")
    batch = list(range(len(x.shape) - 1))
    right = ["n", "k"] if len(weight.shape) == 2 else ["k"]
    operands = [(x, [*batch, "k"]), (weight, right)]
    return emit_product(call, operands, [*batch, *right[:-1]], bias=call.get("bias"))


def _einsum(call: Call) -> TypedKernel:
    values, equation = call.tensors("tensors"), call["equation"].replace(" ", "")
    given, arrow, made = equation.partition("->")
    terms = given.split(",")
    Call.need(len(terms) == len(values) and not call.get("path"))
    rank = 0  # dimensions that "..." stands for, counted from the back
    for term, value in zip(terms, values, strict=True):
        if "..." in term:
            rank = max(rank, len(value.shape) - len(term.replace("...", "")))
    operands = [(v, _spelled(term, len(v.shape), rank)) for term, v in zip(terms, values, strict=True)]
    if arrow:
        labels = _spelled(made, rank + len(made.replace("...", "")), rank)
    else:
        letters = "".join(terms).replace(".", "")
        labels = [*range(rank), *sorted(letter for letter in set(letters) if letters.count(letter) == 1)]
    return emit_product(call, operands, labels)


def _spelled(term: str, rank: int, most: int) -> Labels:
    """A term of einsum as labels, numbers for the dimensions of "..."."""
    before, dots, behind = term.partition("...")
    count = rank - len(before) - len(behind) if dots else 0
    return [*before, *range(most - count, most), *behind]


def _det(call: Call) -> TypedKernel:
    """The determinant, by elimination with the largest pivot of each column."""
    kernel, x, out = TypedKernel(), call.tensor("A", "self"), call.output
    size, kind = x.shape[-1], number(x.type.dtype)
    Call.need(kind.floating and len(x.shape) >= 2)
    source, target = kernel.read(x), kernel.write(out)
    copy = kernel.memory("matrix", x.type.size, torch.float64)
    with tasks(kernel, (out.type.size,), {"y": (1,)}, cost=size**3) as at:
        kernel.line(f"double *const m = {copy} + ({at['y']}) * {size * size};")
        element = kind.at(source, f"({at['y']}) * {size * size} + j")
        kernel.line(f"for (int64_t j = 0; j < {size * size}; j++) m[j] = {element};")
        kernel.line("double product = 1;")
        kernel.open(f"for (int64_t c = 0; c < {size}; c++)")
        kernel.line("int64_t p = c;")
        column = f"m[{{}} * {size} + c]"
        larger = f"__builtin_fabs({column.format('j')}) > __builtin_fabs({column.format('p')})"
        kernel.line(f"for (int64_t j = c + 1; j < {size}; j++) if ({larger}) p = j;")
        kernel.open(f"for (int64_t j = 0; p != c && j < {size}; j++)")
        kernel.line(f"const double other = m[p * {size} + j];")
        kernel.line(f"m[p * {size} + j] = m[c * {size} + j], m[c * {size} + j] = other;")
        kernel.close()
        kernel.line(f"product *= p != c ? -{column.format('c')} : {column.format('c')};")
        kernel.line(f"if ({column.format('c')} == 0) break;")
        kernel.open(f"for (int64_t r = c + 1; r < {size}; r++)")
        kernel.line(f"const double factor = {column.format('r')} / {column.format('c')};")
        kernel.line(f"for (int64_t j = c; j < {size}; j++) m[r * {size} + j] -= factor * m[c * {size} + j];")
        kernel.close()
        kernel.close()
        kernel.line(kind.put(target, at["y"], kind.convert("product", number(torch.float64))))
    return kernel


PRODUCTS = {
    f"aten.{overload}": emitter
    for emitter, overloads in {
        _matmul: ("matmul.default", "mm.default", "bmm.default", "mv.default", "dot.default"),
        _addmm: ("addmm.default", "baddbmm.default", "addmv.default"),
        _linear: ("linear.default",),
        _einsum: ("einsum.default",),
        _det: ("linalg_det.default", "det.default"),
    }.items()
    for overload in overloads
}
