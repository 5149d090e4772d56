"""Calls that move elements and compute nothing: views, concatenations, flips, repetitions, padding, triangles."""

from collections.abc import Callable
from math import prod

import torch
from torch.utils import _pytree as pytree

from solkit.codegen.kernel import plus, times
from solkit.codegen.typed.call import Call
from solkit.codegen.typed.loops import Parts, Shape, TypedKernel, indices, tasks
from solkit.codegen.typed.numbers import number
from solkit.frontend.views import SPLITS, VIEWS
from solkit.ir import contiguous
from solkit.ir.serialize import Ref
from solkit.reference import overload

MOST_PARTS = 60  # of a split: a kernel takes SOL_MOST_BUFFERS (64, in sol.h) buffers

_RESHAPES = (
    *("view.default", "reshape.default", "_unsafe_view.default", "view_as.default", "reshape_as.default"),
    *("unsqueeze.default", "squeeze.default", "squeeze.dim", "squeeze.dims", "flatten.using_ints", "unflatten.int"),
)


def _views(call: Call) -> TypedKernel:
    """Whatever is the same memory in another order: PyTorch itself says in which, of a tensor without data."""
    kernel, node = TypedKernel(), call.node
    Call.need(len(node.outputs) <= MOST_PARTS)
    metas = [torch.empty(value.shape, dtype=value.type.dtype, device="meta") for value in node.inputs]
    args, kwargs = pytree.tree_map_only(
        Ref, lambda ref: metas[ref], (node.attributes["args"], node.attributes["kwargs"])
    )
    made = overload(call.name)(*args, **kwargs)
    made = list(made) if isinstance(made, (list, tuple)) else [made]
    memory = metas[0].untyped_storage()._cdata
    Call.need(all(part.untyped_storage()._cdata == memory for part in made))
    source = kernel.read(node.inputs[0])
    parts = Parts(kernel)
    for part, value in zip(made, call.outputs, strict=True):
        target = kernel.write(value)
        with parts.tasks(value.shape, {"x": part.stride(), "y": contiguous(value.shape)}) as at:
            kernel.line(f"{target}[{at['y']}] = {source}[{plus(part.storage_offset(), at['x'])}];")
    parts.finish()
    return kernel


def _copy(call: Call, shape: Shape, strides: Shape, offset: int = 0) -> TypedKernel:
    """Elements of `self` in the order of a walk over `shape`."""
    kernel = TypedKernel()
    source, target = kernel.read(call.tensor("self")), kernel.write(call.output)
    with tasks(kernel, shape, {"x": strides, "y": contiguous(tuple(shape))}) as at:
        kernel.line(f"{target}[{at['y']}] = {source}[{plus(offset, at['x'])}];")
    return kernel


def _join(call: Call) -> TypedKernel:
    """cat and stack; tensors of other dtypes are converted."""
    kernel, out = TypedKernel(), call.output
    values = [value for value in call.tensors("tensors") if value.shape != (0,) or len(out.shape) == 1]
    Call.need(len(values) <= MOST_PARTS)
    dim = call["dim"] % max(1, len(out.shape))
    rows, whole = prod(out.shape[:dim]), prod(out.shape[dim:])
    kind, target, parts, first = number(out.type.dtype), kernel.write(out), Parts(kernel), 0
    for value in values:
        own, size, source = number(value.type.dtype), value.type.size // max(1, rows), kernel.read(value)
        with parts.tasks((rows, size), {"x": (size, 1), "y": (whole, 1)}) as at:
            if value.type.size:
                kernel.line(kind.put(target, plus(first, at["y"]), kind.convert(own.at(source, at["x"]), own)))
        first += size
    parts.finish()
    return kernel


def _flip(call: Call) -> TypedKernel:
    shape = call.tensor("self").shape
    steps, dims = contiguous(shape), call.dims(call["dims"], len(shape)) if call["dims"] else []
    turned = [-step if axis in dims else step for axis, step in enumerate(steps)]
    return _copy(call, shape, turned, sum((shape[axis] - 1) * steps[axis] for axis in dims))


def _repeat(call: Call) -> TypedKernel:
    """repeat and tile: the whole again and again."""
    shape = call.tensor("self").shape
    times_ = list(call.get("repeats", call.get("dims")))
    rank = max(len(shape), len(times_))
    shape = (1,) * (rank - len(shape)) + tuple(shape)
    times_ = [1] * (rank - len(times_)) + times_
    walk = [size for pair in zip(times_, shape, strict=True) for size in pair]
    return _copy(call, walk, [step for own in contiguous(shape) for step in (0, own)])


def _repeat_interleave(call: Call) -> TypedKernel:
    """Each element again and again."""
    shape, dim = call.tensor("self").shape, call["dim"]
    if dim is None:
        shape, dim = (prod(shape),), 0
    dim %= max(1, len(shape))
    shape, steps = shape or (1,), contiguous(shape or (1,))
    walk = (*shape[: dim + 1], call["repeats"], *shape[dim + 1 :])
    return _copy(call, walk, (*steps[: dim + 1], 0, *steps[dim + 1 :]))


def _roll(call: Call) -> TypedKernel:
    kernel, x, out = TypedKernel(), call.tensor("self"), call.output
    shape, dims = (x.shape, list(call["dims"])) if call["dims"] else ((x.type.size,), [0])
    shifts = dict.fromkeys(range(len(shape)), 0)
    for shift, dim in zip([call["shifts"]] if isinstance(call["shifts"], int) else call["shifts"], dims, strict=True):
        shifts[dim % len(shape)] += shift
    source, target, steps = kernel.read(x), kernel.write(out), contiguous(shape)
    with tasks(kernel, shape, {**indices(shape), "y": contiguous(shape)}) as at:
        terms = []
        for axis, size in enumerate(shape):
            shift = -shifts[axis] % size
            index = f"({at[f'd{axis}']} + {shift}) % {size}" if shift else at[f"d{axis}"]
            terms.append(times(f"({index})", steps[axis]))
        kernel.line(f"{target}[{at['y']}] = {source}[{plus(*terms)}];")
    return kernel


# -- padding --------------------------------------------------------------------------------------------------------


def _reflected(index: str, size: int) -> str:
    return f"({index} < 0 ? -({index}) : {index} >= {size} ? {2 * size - 2} - ({index}) : {index})"


_MODES = {"constant": "constant", "reflection": "reflect", "replication": "replicate"}
_BEYOND: dict[str, Callable[[str, int], str]] = {
    "reflect": _reflected,
    "replicate": lambda index, size: f"sol_max(0, sol_min({size - 1}, {index}))",
    "circular": lambda index, size: f"(({index} + {size}) % {size})",
}


def _pad(call: Call) -> TypedKernel:
    """Padding by a number, by what is inside, or from the other side."""
    kernel, x, out = TypedKernel(), call.tensor("self"), call.output
    name = call.name.split(".")[1]
    mode = call.get("mode", "constant") if name == "pad" else _MODES[name.partition("_")[0]]
    kind, shape, widths = number(x.type.dtype), out.shape, list(call.get("pad", call.get("padding")))
    before = [0] * len(shape)
    for position, width in enumerate(widths[::2]):
        before[len(shape) - 1 - position] = width
    source, target, steps = kernel.read(x), kernel.write(out), contiguous(x.shape)
    with tasks(kernel, shape, {**indices(shape), "y": contiguous(shape)}, cost=len(shape)) as at:
        inside, terms = [], []
        for axis, size in enumerate(x.shape):
            index = plus(at[f"d{axis}"], -before[axis])
            if size != shape[axis] or before[axis]:
                kernel.line(f"const int64_t p{axis} = {index};")
                index = f"p{axis}"
                if mode == "constant":
                    inside.append(f"{index} >= 0 && {index} < {size}")
                else:
                    index = Call.need(size > 0, _BEYOND[mode](index, size))
            terms.append(times(f"({index})", steps[axis]))
        taken = f"{source}[{plus(*terms)}]"
        if inside:
            taken = f"{' && '.join(inside)} ? {taken} : {kind.store(kind.literal(call.get('value', 0)))}"
        kernel.line(f"{target}[{at['y']}] = {taken};")
    return kernel


def _triangle(sign: str) -> Callable[[Call], TypedKernel]:
    def emit(call: Call) -> TypedKernel:
        kernel, x, out = TypedKernel(), call.tensor("self"), call.output
        shape, rank = out.shape, len(out.shape)
        source, target = kernel.read(x), kernel.write(out)
        with tasks(kernel, shape, {**indices(shape), "y": contiguous(shape)}) as at:
            column, row = at[f"d{rank - 1}"], at[f"d{rank - 2}"]
            place = at["y"]
            kept = f"({column}) - ({row}) {sign} {call['diagonal']}"
            kernel.line(f"{target}[{place}] = {kept} ? {source}[{place}] : 0;")
        return kernel

    return emit


def _into_part(call: Call) -> TypedKernel:
    """`self`, with `src` written over one slice of it."""
    kernel, x, given, out = TypedKernel(), call.tensor("self"), call.tensor("src"), call.output
    Call.need(given.type.dtype == x.type.dtype)
    shape, rank = x.shape, len(x.shape)
    dim = call["dim"] % rank
    size = shape[dim]

    def bounded(index: int | None, default: int) -> int:
        index = default if index is None else index
        return min(max(index + size if index < 0 else index, 0), size)

    if "select" in call.name:
        start, step, count = call["index"] % size, 1, 1
        own = (*given.shape[:dim], 1, *given.shape[dim:])
    else:
        start, step, own = bounded(call.get("start"), 0), call.get("step", 1), given.shape
        count = own[dim]
    source, name, target = kernel.read(x), kernel.read(given), kernel.write(out)
    steps = [0 if axis == dim else own_step for axis, own_step in enumerate(contiguous(own))]
    walk = {**indices(shape), "s": steps, "y": contiguous(shape)}
    with tasks(kernel, shape, walk) as at:
        kernel.line(f"const int64_t along = {plus(at[f'd{dim}'], -start)};")
        taken = f"{name}[{plus(at['s'], times(f'(along / {step})', contiguous(own)[dim]))}]"
        within = f"along >= 0 && along < {count * step} && along % {step} == 0"
        kernel.line(f"{target}[{at['y']}] = {within} ? {taken} : {source}[{at['y']}];")
    return kernel


MOVES = {
    **dict.fromkeys((*VIEWS, *SPLITS, *(f"aten.{name}" for name in _RESHAPES)), _views),
    **{
        f"aten.{overload}": emitter
        for emitter, overloads in {
            _join: ("cat.default", "stack.default"),
            _flip: ("flip.default",),
            _repeat: ("repeat.default", "tile.default"),
            _repeat_interleave: ("repeat_interleave.self_int",),
            _roll: ("roll.default",),
            _pad: (
                *("pad.default", "constant_pad_nd.default"),
                *(f"{mode}_pad{rank}d.default" for mode in ("reflection", "replication") for rank in (1, 2, 3)),
            ),
            _triangle("<="): ("tril.default",),
            _triangle(">="): ("triu.default",),
            _into_part: ("slice_scatter.default", "select_scatter.default"),
        }.items()
        for overload in overloads
    },
}
