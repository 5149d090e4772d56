"""DFP clusters: element-wise chains and pooling windows as one loop nest.

Over images, a vector is VLEN channels of one pixel (NCHWc), so the lanes never meet and every operator that treats
channels alike is the same few lines. Over plain tensors, a vector runs along the innermost dimension.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from solkit.clusters import Cluster
from solkit.codegen.channels import emit_channels
from solkit.codegen.depthwise import emit_depthwise
from solkit.codegen.elementwise import Chain, Pixel, Place, store
from solkit.codegen.kernel import Kernel, plus, zero_halo
from solkit.ir import Node, Value
from solkit.ops import TABLE, Kind
from solkit.ops.operator import pair

TASKS_WANTED = 16
TASK_ELEMENTS = 8192  # of a plain tensor: a task of a few microseconds


def emit_loops(cluster: Cluster) -> Kernel:
    """The kernel of a cluster of element-wise operators and at most one window, or of one `channel_map`."""
    if cluster.output.layout.blocked or any(TABLE[node.op].kind is Kind.WINDOW for node in cluster.nodes):
        return _over_pixels(cluster)
    return _over_elements(cluster)


# -- images ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Destination:
    """Where a row of an image goes: in C the address of the vector at column `x`; `whole`: all lanes may be written."""

    address: Callable[[str], str]
    whole: bool = True

    def store(self, x: str, vector: str) -> str:
        return store(self.address(x), vector, None if self.whole else "lanes")


def _over_pixels(cluster: Cluster) -> Kernel:
    k, out = Kernel(), cluster.output
    batch, channels, height, _ = out.shape
    k.constant("IMAGES", batch)
    k.constant("BLOCKS", f"SOL_CEIL({channels}, VLEN)", "vectors of channels")
    k.constant("PARTS", f"SOL_MIN({height}, SOL_CEIL({TASKS_WANTED}, IMAGES * BLOCKS))", "rows are shared out")
    k.constant("TASKS", "IMAGES * BLOCKS * PARTS")
    k.line("const int64_t n = task / (BLOCKS * PARTS), block = task / PARTS % BLOCKS, part = task % PARTS;")
    with k.declaring(lanes=f"const int lanes = (int)sol_min(VLEN, {channels} - block * VLEN)"):
        if out.layout.halo != (0, 0):
            k.open("if (part == 0)")
            zero_halo(k, out, "n", "block")
            k.close()
        k.open(f"for (int64_t y = part * {height} / PARTS; y < (part + 1) * {height} / PARTS; y++)")
        emit_row(k, cluster.nodes, out, _row_of(k, out))
        k.close()
    return k


def _row_of(k: Kernel, value: Value) -> Destination:
    def address(x: str) -> str:
        return plus(k.buffer(value), Pixel(k, "n", "block", "y", x, "lanes").address(value))

    return Destination(address, value.layout.blocked)


def emit_row(k: Kernel, nodes: list[Node], made: Value, row: Destination) -> None:
    """Row `y` of block `block` of image `n` of the value `made`, which `nodes` compute; `lanes` of its lanes count."""
    window = next((node for node in nodes if TABLE[node.op].kind is Kind.WINDOW), None)
    if nodes[0].op == "channel_map":
        emit_channels(k, nodes[0], row.address)
    elif window is not None and window.op == "depthwise_conv2d":
        emit_depthwise(k, window, nodes, made, row.store)
    else:
        k.open(f"for (int64_t x = 0; x < {made.shape[3]}; x++)")
        known = {}
        if window is not None:
            _WINDOWS[window.op](k, nodes, window)
            known[window.output] = "found"
        place = Pixel(k, "n", "block", "y", "x", "lanes")
        k.line(row.store("x", Chain(k, nodes, place, known).vector(made)))
        k.close()


def _window_input(k: Kernel, nodes: list[Node], window: Node) -> str:
    """The window's input at (wy, wx), with what is fused before it: depth first, computed where it is needed."""
    place = Pixel(k, "n", "block", "wy", "wx", "lanes")
    return Chain(k, nodes, place, {}).vector(window.inputs[0])


def _bounds(k: Kernel, window: Node) -> None:
    """Rows wy0 to wy1 - 1 and columns wx0 to wx1 - 1: the window without the padding."""
    a = window.attributes
    kernel = pair(a["kernel_size"])
    stride, padding = pair(a["stride"] or kernel), pair(a["padding"])
    for axis, (at, size) in enumerate(zip("yx", window.inputs[0].shape[2:], strict=True)):
        start = f"{at} * {stride[axis]} - {padding[axis]}"
        k.line(f"const int64_t w{at}0 = sol_max(0, {start}), w{at}1 = sol_min({size}, {start} + {kernel[axis]});")


def _over_window(k: Kernel, nodes: list[Node], window: Node, start: str, combine: str) -> None:
    k.line(f"vf found = vf_set1({start});")
    k.open("for (int64_t wy = wy0; wy < wy1; wy++)")
    k.open("for (int64_t wx = wx0; wx < wx1; wx++)")
    k.line(f"found = {combine}(found, {_window_input(k, nodes, window)});")
    k.close()
    k.close()


def _max_pool2d(k: Kernel, nodes: list[Node], window: Node) -> None:
    _bounds(k, window)
    _over_window(k, nodes, window, "-__builtin_inff()", "vf_max_nan")


def _avg_pool2d(k: Kernel, nodes: list[Node], window: Node) -> None:
    _bounds(k, window)
    _over_window(k, nodes, window, "0.0f", "vf_add")
    a = window.attributes
    if a["divisor_override"] is not None:
        count = str(a["divisor_override"])
    elif a["count_include_pad"]:
        # PyTorch counts padding, but not what ceil_mode adds beyond it.
        kernel = pair(a["kernel_size"])
        stride, padding = pair(a["stride"] or kernel), pair(a["padding"])
        spans = (
            f"(sol_min({at} * {s} - {p} + {size}, {length} + {p}) - ({at} * {s} - {p}))"
            for at, s, p, size, length in zip("yx", stride, padding, kernel, window.inputs[0].shape[2:], strict=True)
        )
        count = " * ".join(spans)
    else:
        count = "(wy1 - wy0) * (wx1 - wx0)"
    k.line(f"found = vf_div(found, vf_set1((float)({count})));")


def _adaptive_avg_pool2d(k: Kernel, nodes: list[Node], window: Node) -> None:
    for at, size, made in zip("yx", window.inputs[0].shape[2:], window.output.shape[2:], strict=True):
        k.line(f"const int64_t w{at}0 = {at} * {size} / {made}, w{at}1 = (({at} + 1) * {size} + {made - 1}) / {made};")
    _over_window(k, nodes, window, "0.0f", "vf_add")
    k.line("found = vf_div(found, vf_set1((float)((wy1 - wy0) * (wx1 - wx0))));")


_WINDOWS = {"max_pool2d": _max_pool2d, "avg_pool2d": _avg_pool2d, "adaptive_avg_pool2d": _adaptive_avg_pool2d}


# -- plain tensors --------------------------------------------------------------------------------------------------


class _Element(Place):
    """Elements i ... of one row of a tensor; operands broadcast by their strides."""

    lanes = "lanes"

    def __init__(self, kernel: Kernel, strides: dict[Value, tuple[int, ...]]) -> None:
        super().__init__(kernel)
        self.strides = strides

    def address(self, value: Value) -> str:
        *outer, inner = self.strides[value]
        terms = [f"i{axis} * {stride}" if stride != 1 else f"i{axis}" for axis, stride in enumerate(outer) if stride]
        return " + ".join([*terms, *(["i"] if inner else [])]) or "0"

    def broadcasts(self, value: Value) -> bool:
        return self.strides[value][-1] == 0


def _over_elements(cluster: Cluster) -> Kernel:
    k, out = Kernel(), cluster.output
    values = [*cluster.inputs, out]
    shape, strides = _collapse(out.shape, values)
    for value in values:
        k.buffer(value)
    *outer, inner = shape
    per_task = max(1, TASK_ELEMENTS // max(inner, 1))
    k.constant("ROWS", prod(outer), "vectors run along the innermost dimension")
    k.constant("PIECES", max(1, -(-inner // TASK_ELEMENTS)), "of a row")
    k.constant("TASKS", f"SOL_CEIL(ROWS, {per_task}) * PIECES")
    k.line("const int64_t piece = task % PIECES;")
    first, end = f"task / PIECES * {per_task}", f"sol_min(ROWS, (task / PIECES + 1) * {per_task})"
    k.open(f"for (int64_t r = {first}; r < {end}; r++)")
    rest, index = "r", {}
    for axis in reversed(range(len(outer))):
        index[f"i{axis}"] = f"const int64_t i{axis} = {rest}{f' % {outer[axis]}' if axis else ''}"
        rest = f"{rest} / {outer[axis]}"
    with k.declaring(**index):
        k.line(f"const int64_t end = (piece + 1) * {inner} / PIECES;")
        k.open(f"for (int64_t i = piece * {inner} / PIECES; i < end; i += VLEN)")
        k.line("const int lanes = (int)sol_min(VLEN, end - i);")
        place = _Element(k, strides)
        k.line(place.store(out, Chain(k, cluster.nodes, place, {}).vector(out)))
        k.close()
    k.close()
    return k


def _collapse(shape: tuple[int, ...], values: list[Value]) -> tuple[list[int], dict[Value, tuple[int, ...]]]:
    """The iteration space with as few dimensions as do, and for each value its strides in it (0 where it repeats)."""
    full = {value: (1,) * (len(shape) - len(value.shape)) + value.shape for value in values}
    strides: dict[Value, list[int]] = {value: [] for value in values}
    for value, own in full.items():
        step = 1
        for size in reversed(own):
            strides[value].insert(0, 0 if size == 1 else step)
            step *= size
    sizes: list[int] = []
    merged: dict[Value, list[int]] = {value: [] for value in values}
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        # Two neighbouring dimensions are one, if for every value the outer is a run of the inner.
        joins = bool(sizes) and all(merged[v][-1] == strides[v][axis] * size for v in values)
        if joins:
            sizes[-1] *= size
        else:
            sizes.append(size)
        for value in values:
            if joins:
                merged[value][-1] = strides[value][axis]
            else:
                merged[value].append(strides[value][axis])
    if not sizes:
        sizes, merged = [1], {value: [1] for value in values}
    return sizes, {value: tuple(steps) for value, steps in merged.items()}
