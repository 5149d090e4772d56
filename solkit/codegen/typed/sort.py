"""Sorting along a dimension: a stable merge sort of the numbers of the elements, NaN above all numbers."""

from solkit.codegen.kernel import plus, times
from solkit.codegen.typed.call import Call
from solkit.codegen.typed.loops import TypedKernel, tasks
from solkit.codegen.typed.numbers import INDEX, Number, number
from solkit.codegen.typed.reduce import Rows
from solkit.ir import contiguous

FEW = 32  # of the first elements: so many are found without sorting the rest


def _before(n: Number, descending: bool) -> str:
    """Whether p comes before q, and not just beside it."""
    if not n.floating:
        return "p > q" if descending else "p < q"
    return "p > q || (p != p && q == q)" if descending else "p < q || (q != q && p == p)"


def _sort(call: Call) -> TypedKernel:
    """`sort`, `argsort` and `topk`; each gives values, their places, or both."""
    kernel, x = TypedKernel(), call.tensor("self")
    rank = len(x.shape)
    dim = call.get("dim", -1) % rank if rank else 0
    descending = call.get("largest", True) if "topk" in call.name else call.get("descending", False)
    count = call["k"] if "topk" in call.name else None
    rows, kind = Rows(x, [dim] if rank else []), number(x.type.dtype)
    size, step = rows.size, rows.reduced[1][0] if rank else 1
    count = size if count is None else count
    made = [count if axis == dim else extent for axis, extent in enumerate(x.shape)]
    along = contiguous(tuple(made))
    kept = [along[axis] for axis in range(rank) if axis != dim]
    shape, steps = rows.kept
    values, places = (None, *call.outputs) if len(call.outputs) == 1 else call.outputs
    source = kernel.read(x)
    order = kernel.memory("order", 2 * x.type.size, INDEX.dtype)
    strides = {"x": steps, "y": kept, "row": contiguous(tuple(shape))}
    with tasks(kernel, shape, strides, cost=size * max(1, size.bit_length())) as at:
        kernel.line(f"int64_t *from = {order} + ({at['row']}) * {2 * size}, *to = from + {size};")
        place = plus(at["x"], times("from[{0}]", step))
        before = _before(kind, descending)
        if count <= FEW and count < size:
            element = kind.at(source, plus(at["x"], times("j", step)))
            _select(kernel, kind.value, size, count, element, kind.at(source, place.format("m - 1")), before)
        else:
            _merge(kernel, kind.value, size, kind.at(source, place), before)
        kernel.open(f"for (int64_t j = 0; j < {count}; j++)")
        target = plus(at["y"], times("j", along[dim] if rank else 1))
        if values is not None:
            kernel.line(f"{kernel.write(values)}[{target}] = {source}[{place.format('j')}];")
        kernel.line(f"{kernel.write(places)}[{target}] = from[j];")
        kernel.close()
    return kernel


def _merge(kernel: TypedKernel, value: str, size: int, element: str, before: str) -> None:
    """Sort the numbers of all elements: runs of 1, 2, 4 and so on are merged, from one array into the other."""
    kernel.line(f"for (int64_t j = 0; j < {size}; j++) from[j] = j;")
    kernel.open(f"for (int64_t width = 1; width < {size}; width *= 2)")
    kernel.open(f"for (int64_t first = 0; first < {size}; first += 2 * width)")
    kernel.line(f"const int64_t middle = sol_min(first + width, {size}), end = sol_min(first + 2 * width, {size});")
    kernel.line("int64_t a = first, b = middle, j = first;")
    kernel.open("while (a < middle && b < end)")
    kernel.line(f"const {value} p = {element.format('b')}, q = {element.format('a')};")
    kernel.line(f"to[j++] = {before} ? from[b++] : from[a++];")
    kernel.close()
    kernel.line("while (a < middle) to[j++] = from[a++];")
    kernel.line("while (b < end) to[j++] = from[b++];")
    kernel.close()
    kernel.line("int64_t *const other = from;")
    kernel.line("from = to, to = other;")
    kernel.close()


def _select(kernel: TypedKernel, value: str, size: int, count: int, element: str, last: str, before: str) -> None:
    """The first few alone: each element moves forward past those it comes before, if it comes before any."""
    kernel.open(f"for (int64_t j = 0; j < {size}; j++)")
    kernel.line(f"const {value} p = {element};")
    kernel.line(f"int64_t m = sol_min(j, {count});")
    kernel.open("for (; m > 0; m--)")
    kernel.line(f"const {value} q = {last};")
    kernel.line(f"if (!({before})) break;")
    kernel.line(f"if (m < {count}) from[m] = from[m - 1];")
    kernel.close()
    kernel.line(f"if (m < {count}) from[m] = j;")
    kernel.close()


SORTS = {
    f"aten.{overload}": _sort
    for overload in ("sort.default", "sort.stable", "argsort.default", "argsort.stable", "topk.default")
}
