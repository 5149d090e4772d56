"""Loops over tensors of any shape and strides, in tasks: what all kernels for typed numbers are made of."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod

import torch

from solkit.codegen.kernel import Kernel, plus, times
from solkit.codegen.typed.numbers import number
from solkit.ir import TensorType, Value

LANES = 16  # parts that a sum is made in
TASK_WORK = 8192  # elements, or steps, of a task: a few microseconds

Shape = Sequence[int]


class TypedKernel(Kernel):
    """A kernel whose buffers are of any dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.headers.append("typed.h")
        self._pointers: dict[Value, str] = {}
        self._declarations: list[str] = []

    def read(self, value: Value) -> str:
        """C name of a pointer to the elements of `value`."""
        return self._pointer(value, "x", "const ")

    def write(self, value: Value) -> str:
        """C name of a pointer to memory that this kernel fills: no other buffer shares it."""
        return self._pointer(value, "y", "")

    def _pointer(self, value: Value, prefix: str, const: str) -> str:
        if value not in self._pointers:
            kind = f"{const}{number(value.type.dtype).storage} *"
            name = f"{prefix}{len(self._pointers)}"
            restrict = "" if const else "restrict "
            self._declarations.append(f"    {kind}{restrict}const {name} = ({kind}){self.buffer(value)};")
            self._pointers[value] = name
        return self._pointers[value]

    def memory(self, name: str, count: int, dtype: torch.dtype) -> str:
        """C name of a pointer to `count` elements that only this kernel uses, while it runs."""
        self.workspaces.append(Value(name, TensorType((count,), dtype)))
        return self.write(self.workspaces[-1])

    def fault(self, message: str) -> str:
        """C name of a fault (see typed.h): where it is set, the call raises an InputError with this message, in which
        `{}` is the number at fault."""
        value = next((known for known, said in self.faults if said == message), None)
        if value is None:
            value = Value("fault", TensorType((2,), torch.int64))
            self.faults.append((value, message))
        return self.write(value)

    def function(self, name: str) -> str:
        """The C text of the finished kernel, its pointers declared in front of all loops."""
        lines = self.lines
        self.lines = [*self._declarations, *lines]
        try:
            return super().function(name)
        finally:
            self.lines = lines


def merged(shape: Shape, strides: Mapping[str, Shape]) -> tuple[list[int], dict[str, list[int]]]:
    """The same walk over the same elements with as few dimensions as do, at least one."""
    axes: list[list[int]] = []
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if axes and all(steps[axes[-1][-1]] == steps[axis] * size for steps in strides.values()):
            axes[-1].append(axis)
        else:
            axes.append([axis])
    if not axes:
        return [1], {name: [0] for name in strides}
    sizes = [prod(shape[axis] for axis in group) for group in axes]
    return sizes, {name: [steps[group[-1]] for group in axes] for name, steps in strides.items()}


def broadcast(value: Value, shape: Shape) -> list[int]:
    """Strides of a contiguous tensor over `shape`, to which it broadcasts: 0 where it repeats."""
    missing = len(shape) - len(value.shape)
    own = value.shape
    return [0] * missing + [0 if size == 1 else prod(own[axis + 1 :]) for axis, size in enumerate(own)]


class _Walk:
    """A walk over a shape, cut into tasks: whole rows of the innermost dimension, or pieces of one.

    count: of tasks.
    """

    def __init__(self, shape: Shape, strides: Mapping[str, Shape], cost: int) -> None:
        sizes, self.steps = merged(shape, strides)
        *self.outer, self.inner = sizes
        work = max(1, TASK_WORK // max(1, cost))
        self.rows, self.pieces = prod(self.outer), -(-self.inner // work)
        self.per_task = 1 if self.pieces > 1 else max(1, work // max(1, self.inner))
        self.count = -(-self.rows // self.per_task) * self.pieces

    @contextlib.contextmanager
    def loops(self, kernel: Kernel) -> Iterator[dict[str, str]]:
        """The loops of task number `task`."""
        # One form for all sizes: code for many shapes differs in numbers alone.
        kernel.line(f"const int64_t share = task / {self.pieces}, piece = task % {self.pieces};")
        first, end = (f"{part} * {self.inner} / {self.pieces}" for part in ("piece", "(piece + 1)"))
        last = f"sol_min({self.rows}, (share + 1) * {self.per_task})"
        kernel.open(f"for (int64_t r = share * {self.per_task}; r < {last}; r++)")
        rest, indices = "r", {}
        for axis in reversed(range(len(self.outer))):
            indices[f"i{axis}"] = f"const int64_t i{axis} = {rest}{f' % {self.outer[axis]}' if axis else ''}"
            rest = f"{rest} / {self.outer[axis]}"
        with kernel.declaring(**indices):
            places = {}
            for name, along in self.steps.items():
                start = plus(*(times(f"i{axis}", step) for axis, step in enumerate(along[:-1])))
                if start != "0":
                    kernel.line(f"const int64_t at_{name} = {start};")
                    start = f"at_{name}"
                places[name] = plus(start, times("i", along[-1]))
            kernel.open(f"for (int64_t i = {first}; i < {end}; i++)")
            yield places
            kernel.close()
        kernel.close()


@contextlib.contextmanager
def tasks(kernel: Kernel, shape: Shape, strides: Mapping[str, Shape], cost: int = 1) -> Iterator[dict[str, str]]:
    """The outermost loops of a kernel: over all of `shape`, in tasks.

    Args:
        strides: by a name of one's choice, steps in memory along each dimension.
        cost: steps that one element takes.
    Yields:
        The position in memory of the element at hand, by the same names, as C text.
    """
    walk = _Walk(shape, strides, cost)
    kernel.constant("TASKS", walk.count)
    with walk.loops(kernel) as places:
        yield places


class Parts:
    """Walks over several shapes in one kernel, each with tasks of its own; `finish` when there are no more."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._count = kernel, 0

    @contextlib.contextmanager
    def tasks(self, shape: Shape, strides: Mapping[str, Shape]) -> Iterator[dict[str, str]]:
        """As the function of this name."""
        if not prod(shape):
            yield dict.fromkeys(strides, "0")
            return
        walk = _Walk(shape, strides, 1)
        self._kernel.open(f"if (task < {walk.count})")
        with walk.loops(self._kernel) as places:
            yield places
        self._kernel.line("return;")
        self._kernel.close()
        self._kernel.line(f"task -= {walk.count};")
        self._count += walk.count

    def finish(self) -> None:
        self._kernel.constant("TASKS", self._count)


def indices(shape: Shape) -> dict[str, list[int]]:
    """Strides under which a walk gives the index along each dimension, as d0, d1 and so on."""
    rank = len(shape)
    return {f"d{axis}": [int(other == axis) for other in range(rank)] for axis in range(rank)}


@contextlib.contextmanager
def nest(
    kernel: Kernel, shape: Shape, strides: Mapping[str, Shape], starts: Mapping[str, str], index: str = "j"
) -> Iterator[dict[str, str]]:
    """Loops over all of `shape` inside of a task; as `tasks`, from the positions `starts` on."""
    sizes, steps = merged(shape, strides)
    for axis, size in enumerate(sizes):
        kernel.open(f"for (int64_t {index}{axis} = 0; {index}{axis} < {size}; {index}{axis}++)")
    yield {
        name: plus(starts[name], *(times(f"{index}{axis}", step) for axis, step in enumerate(along)))
        for name, along in steps.items()
    }
    for _ in sizes:
        kernel.close()


def in_lanes(
    kernel: Kernel,
    shape: Shape,
    strides: Mapping[str, Shape],
    starts: Mapping[str, str],
    body: Callable[[dict[str, str], str], None],
) -> None:
    """As `nest`, LANES elements of the innermost dimension at a time.

    Args:
        body: writes the lines for one element, given its positions, and which lane it is.
    """
    sizes, steps = merged(shape, strides)
    *outer, inner = sizes

    def places(last: str) -> dict[str, str]:
        names = [*(f"j{axis}" for axis in range(len(outer))), last]
        return {
            name: plus(starts[name], *(times(index, step) for index, step in zip(names, along, strict=True)))
            for name, along in steps.items()
        }

    for axis, size in enumerate(outer):
        kernel.open(f"for (int64_t j{axis} = 0; j{axis} < {size}; j{axis}++)")
    whole = inner // LANES * LANES
    if whole:
        kernel.open(f"for (int64_t k = 0; k < {whole}; k += {LANES})")
        kernel.open(f"for (int l = 0; l < {LANES}; l++)")
        body(places("(k + l)"), "l")
        kernel.close()
        kernel.close()
    if whole < inner:
        kernel.open(f"for (int64_t k = {whole}; k < {inner}; k++)")
        body(places("k"), "0")
        kernel.close()
    for _ in outer:
        kernel.close()
