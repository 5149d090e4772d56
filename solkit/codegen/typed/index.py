"""Reads and writes at indices that are themselves numbers of a tensor: gather, index_select, scatter and their kin.

An index is checked in the kernel, where it is used: one that is outside reads or writes element 0 instead and sets a
fault, which the engine makes an InputError of.
"""

from collections.abc import Callable
from math import prod

from solkit.codegen.kernel import plus, times
from solkit.codegen.typed.call import Call
from solkit.codegen.typed.functions import add, maximum, minimum, mul
from solkit.codegen.typed.loops import TASK_WORK, TypedKernel, broadcast, nest, tasks
from solkit.codegen.typed.numbers import Number, number
from solkit.ir import Value, contiguous


class _Index:
    """How an index tensor is read and checked."""

    def __init__(self, kernel: TypedKernel, value: Value, size: int, dim: int, wrapped: bool = False) -> None:
        kind = number(value.type.dtype)
        Call.need(not kind.floating and not kind.is_bool and size > 0)
        self.name = kernel.read(value)
        end = f"{-size if wrapped else 0} to {size - 1}"
        fault = kernel.fault(f"is given the index {{}}, but dimension {dim} has {size} elements: {end}")
        self._text = f"sol_index{'_wrapped' if wrapped else ''}({self.name}[{{}}], {size}, {fault})"

    def at(self, position: str) -> str:
        """The index at a position of the index tensor."""
        return self._text.format(position)


def _shape(value: Value) -> tuple[int, ...]:
    """A single number is a row of one."""
    return value.shape or (1,)


def _without(steps: tuple[int, ...], dim: int) -> list[int]:
    return [0 if axis == dim else step for axis, step in enumerate(steps)]


# -- reading --------------------------------------------------------------------------------------------------------


def _gather(call: Call) -> TypedKernel:
    kernel, x, index, out = TypedKernel(), call.tensor("self"), call.tensor("index"), call.output
    shape, kind = _shape(x), number(x.type.dtype)
    dim = call["dim"] % len(shape)
    steps, over = contiguous(shape), _shape(index)
    numbers = _Index(kernel, index, shape[dim], dim)
    source, target = kernel.read(x), kernel.write(out)
    with tasks(kernel, over, {"x": _without(steps, dim), "y": contiguous(over)}) as at:
        position = plus(at["x"], times(numbers.at(at["y"]), steps[dim]))
        kernel.line(kind.put(target, at["y"], kind.at(source, position)))
    return kernel


def _select(call: Call) -> TypedKernel:
    """Whole slices along a dimension, by their numbers."""
    kernel, out = TypedKernel(), call.output
    is_table = "embedding" in call.name
    x, index = call.tensor("weight" if is_table else "self"), call.tensor("indices", "index")
    shape, kind = _shape(x), number(x.type.dtype)
    dim = 0 if is_table else call["dim"] % len(shape)
    outer, inner = prod(shape[:dim]), prod(shape[dim + 1 :])
    numbers = _Index(kernel, index, shape[dim], dim)
    source, target = kernel.read(x), kernel.write(out)
    over = (outer, index.type.size, inner)
    strides = {"x": (shape[dim] * inner, 0, 1), "n": (0, 1, 0), "y": contiguous(over)}
    with tasks(kernel, over, strides) as at:
        kernel.line(kind.put(target, at["y"], kind.at(source, plus(at["x"], times(numbers.at(at["n"]), inner)))))
    return kernel


class _Advanced:
    """x[indices]: where each dimension of the result comes from.

    shape: of the result. rest: for each, the step in x of a dimension that is not indexed. numbers: with each index
    its strides over the result, and the step in x of the dimension it stands for.
    """

    def __init__(self, kernel: TypedKernel, x: Value, indices: list[Value | None]) -> None:
        given = [(dim, index) for dim, index in enumerate(indices) if index is not None]
        shape, steps = x.shape, contiguous(x.shape)
        dims = [dim for dim, _ in given]
        together = _broadcast_shape([index.shape for _, index in given])
        # Where they stand side by side, their dimensions take the place of those they index; else they come first.
        beside = dims == list(range(dims[0], dims[0] + len(dims)))
        before = [dim for dim in range(dims[0]) if beside]
        behind = [dim for dim in range(len(shape)) if dim not in dims and dim not in before]
        self.shape = (*(shape[dim] for dim in before), *together, *(shape[dim] for dim in behind))
        self.rest = [*(steps[dim] for dim in before), *[0] * len(together), *(steps[dim] for dim in behind)]
        self.numbers = []
        for dim, index in given:
            own = [*[0] * len(before), *broadcast(index, together), *[0] * len(behind)]
            self.numbers.append((_Index(kernel, index, shape[dim], dim, wrapped=True), own, steps[dim]))

    def strides(self) -> dict[str, list[int]]:
        return {"x": self.rest, **{f"n{i}": own for i, (_, own, _) in enumerate(self.numbers)}}

    def position(self, at: dict[str, str]) -> str:
        return plus(at["x"], *(times(n.at(at[f"n{i}"]), step) for i, (n, _, step) in enumerate(self.numbers)))


def _broadcast_shape(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    rank = max(map(len, shapes))
    full = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*full, strict=True))


def _index(call: Call) -> TypedKernel:
    kernel, x, out = TypedKernel(), call.tensor("self"), call.output
    found, kind = _Advanced(kernel, x, call["indices"]), number(x.type.dtype)
    source, target = kernel.read(x), kernel.write(out)
    with tasks(kernel, found.shape, {**found.strides(), "y": contiguous(found.shape)}) as at:
        kernel.line(kind.put(target, at["y"], kind.at(source, found.position(at))))
    return kernel


# -- writing --------------------------------------------------------------------------------------------------------


def _in_two_rounds(kernel: TypedKernel, x: Value, out: Value, work: int) -> None:
    """The result begins as a copy of `x`; what is written behind this comes in a round of its own, for tasks
    `first` to `end` of `work` pieces of work."""
    count = max(1, min(256, -(-max(out.type.size, work) // TASK_WORK)))
    kernel.rounds = 2
    kernel.constant("TASKS", count)
    size, source, target = out.type.size, kernel.read(x), kernel.write(out)
    kernel.open("if (task < TASKS)")
    kernel.line(f"for (int64_t i = task * {size} / TASKS; i < (task + 1) * {size} / TASKS; i++)")
    kernel.line(f"    {target}[i] = {source}[i];")
    kernel.line("return;")
    kernel.close()
    kernel.line("task -= TASKS;")


Reduce = Callable[[Number, str, str], str]
_REDUCE: dict[str, Reduce] = {
    **dict.fromkeys(("sum", "add", "mean"), add),
    **dict.fromkeys(("prod", "multiply"), mul),
    "amax": lambda n, a, b: maximum(n, b, a),
    "amin": lambda n, a, b: minimum(n, b, a),
}
_NEUTRAL = {
    **dict.fromkeys(("sum", "add", "mean"), lambda n: n.literal(0)),
    **dict.fromkeys(("prod", "multiply"), lambda n: n.literal(1)),
    "amax": lambda n: n.least(),
    "amin": lambda n: n.most(),
}


def _scatter(call: Call) -> TypedKernel:
    """out[.., index[i], ..] = src[i], or joined with what is there. Along one line of `dim` in the order of the
    indices; lines do not meet, and tasks take whole ones."""
    kernel, x, index, out = TypedKernel(), call.tensor("self"), call.tensor("index"), call.output
    shape, over, kind = _shape(x), _shape(index), number(x.type.dtype)
    dim, steps = call["dim"] % len(shape), contiguous(shape)
    how = "add" if "scatter_add" in call.name else call.get("reduce")
    source = call.get("src", call.get("value"))
    if prod(over) == 0:
        return _copied(call, x, out)
    lines = [1 if axis == dim else size for axis, size in enumerate(over)]
    _in_two_rounds(kernel, x, out, prod(over))
    target, numbers = kernel.write(out), _Index(kernel, index, shape[dim], dim)
    strides = {"y": _without(steps, dim), "n": _without(contiguous(over), dim)}
    along = contiguous(over)[dim]
    if isinstance(source, Value):
        own = contiguous(_shape(source))
        name, taken, strides["s"] = kernel.read(source), own[dim], _without(own, dim)
    count = prod(lines)
    kernel.open(f"for (int64_t line = task * {count} / TASKS; line < (task + 1) * {count} / TASKS; line++)")
    rest = "line"
    places = dict.fromkeys(strides, "0")
    for axis in reversed(range(len(lines))):
        if lines[axis] > 1:
            kernel.line(f"const int64_t l{axis} = {rest} % {lines[axis]};")
            rest = f"{rest} / {lines[axis]}"
            places = {key: plus(place, times(f"l{axis}", strides[key][axis])) for key, place in places.items()}
    each = f"for (int64_t j = 0; j < {over[dim]}; j++)"
    where = plus(places["y"], times(numbers.at(plus(places["n"], times("j", along))), steps[dim]))
    if how is not None and not call.get("include_self", True):
        kernel.line(f"{each} {kind.put(target, where, _NEUTRAL[how](kind))}")
    kernel.open(each)
    kernel.line(f"const int64_t place = {where};")
    if isinstance(source, Value):
        value = number(source.type.dtype).at(name, plus(places["s"], times("j", taken)))
    else:
        value = Call.need(isinstance(source, (bool, int, float)), kind.literal(source))
    if how is not None:
        kernel.line(f"const {kind.value} old = {kind.at(target, 'place')}, v = {value};")
        value = _REDUCE[how](kind, "old", "v")
    kernel.line(kind.put(target, "place", value))
    kernel.close()
    if how == "mean":
        _divide(kernel, kind, target, each, where, bool(call.get("include_self", True)))
    kernel.close()
    return kernel


def _divide(kernel: TypedKernel, kind: Number, target: str, each: str, where: str, with_self: bool) -> None:
    """What several came together in is divided by how many: counted at the first of them."""
    kernel.open(each)
    kernel.line(f"const int64_t place = {where};")
    kernel.line(f"int64_t count = {int(with_self)}, before = 0;")
    kernel.line(f"for (int64_t i = j, j = 0; j <= i; j++) before += j < i && ({where}) == place;")
    kernel.line("if (before) continue;")
    kernel.line(f"{each} count += ({where}) == place;")
    mean = f"{kind.at(target, 'place')} / count" if kind.floating else "0"
    if not kind.floating:
        mean = f"({kind.value})sol_div_floor({kind.at(target, 'place')}, count, 0)"
    kernel.line(kind.put(target, "place", mean))
    kernel.close()


def _copied(call: Call, x: Value, out: Value) -> TypedKernel:
    kernel = TypedKernel()
    source, target = kernel.read(x), kernel.write(out)
    with tasks(kernel, out.shape, {"x": contiguous(out.shape)}) as at:
        kernel.line(f"{target}[{at['x']}] = {source}[{at['x']}];")
    return kernel


def _index_put(call: Call) -> TypedKernel:
    """x with values written, or added, at indices; one task writes them all, in their order."""
    kernel, x, values, out = TypedKernel(), call.tensor("self"), call.tensor("values"), call.output
    kind = number(x.type.dtype)
    kernel.rounds = 1
    kernel.constant("TASKS", 1)
    found = _Advanced(kernel, x, call["indices"])
    source, given, target = kernel.read(x), kernel.read(values), kernel.write(out)
    kernel.line(f"for (int64_t i = 0; i < {out.type.size}; i++) {target}[i] = {source}[i];")
    strides = {**found.strides(), "v": broadcast(values, found.shape)}
    with nest(kernel, found.shape, strides, dict.fromkeys(strides, "0")) as at:
        kernel.line(f"const int64_t place = {found.position(at)};")
        value = kind.at(given, at["v"])
        if call.get("accumulate", False):
            value = add(kind, kind.at(target, "place"), value)
        kernel.line(kind.put(target, "place", value))
    return kernel


def _write_slices(call: Call) -> TypedKernel:
    """index_add, index_copy and index_fill: slices along a dimension, one after the other."""
    kernel, x, index, out = TypedKernel(), call.tensor("self"), call.tensor("index"), call.output
    shape, kind = _shape(x), number(x.type.dtype)
    dim = call["dim"] % len(shape)
    inner, outer, count = prod(shape[dim + 1 :]), prod(shape[:dim]), index.type.size
    kernel.constant("TASKS", f"{outer}")
    numbers = _Index(kernel, index, shape[dim], dim)
    given = call.get("source", call.get("value"))
    source, target = kernel.read(x), kernel.write(out)
    name = kernel.read(given) if isinstance(given, Value) else None
    size = shape[dim] * inner
    kernel.line(f"for (int64_t i = task * {size}; i < (task + 1) * {size}; i++) {target}[i] = {source}[i];")
    kernel.open(f"for (int64_t j = 0; j < {count}; j++)")
    kernel.line(f"const int64_t row = task * {size} + {times(numbers.at('j'), inner)};")
    kernel.open(f"for (int64_t i = 0; i < {inner}; i++)")
    if name is None:
        value = kind.literal(given)
    else:
        Call.need(given.type.dtype == x.type.dtype)
        value = kind.at(name, f"(task * {count} + j) * {inner} + i" if given.shape else "0")
    if "index_add" in call.name:
        factor = call.get("alpha", 1)
        value = value if factor == 1 else mul(kind, value, kind.literal(factor))
        value = add(kind, kind.at(target, "row + i"), value)
    kernel.line(kind.put(target, "row + i", value))
    kernel.close()
    kernel.close()
    return kernel


INDEXING = {
    f"aten.{overload}": emitter
    for emitter, overloads in {
        _gather: ("gather.default",),
        _select: ("index_select.default", "embedding.default"),
        _index: ("index.Tensor",),
        _scatter: (
            *("scatter.src", "scatter.value", "scatter.reduce", "scatter.value_reduce"),
            *("scatter_add.default", "scatter_reduce.two"),
        ),
        _index_put: ("index_put.default",),
        _write_slices: ("index_add.default", "index_copy.default", "index_fill.int_Scalar", "index_fill.int_Tensor"),
    }.items()
    for overload in overloads
}
