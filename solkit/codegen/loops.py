"""DFP clusters over images: element-wise chains and windows as one loop nest.

A vector is VLEN channels of one pixel (NCHWc), so the lanes never meet and every operator that treats channels alike is
the same few lines.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from solkit.clusters import Cluster
from solkit.codegen.channels import emit_channels
from solkit.codegen.depthwise import emit_depthwise
from solkit.codegen.elementwise import Chain, Pixel, store
from solkit.codegen.kernel import Kernel, plus, zero_halo
from solkit.ir import Node, Value
from solkit.ops import TABLE, Kind
from solkit.ops.operator import pair
from solkit.target import Target

TASKS_WANTED = 16


@dataclass(frozen=True)
class Destination:
    """Where a row of an image goes: in C the address of the vector at column `x`; `whole`: all lanes may be written."""

    address: Callable[[str], str]
    whole: bool = True

    def store(self, x: str, vector: str) -> str:
        return store(self.address(x), vector, None if self.whole else "lanes")


def emit_images(cluster: Cluster, target: Target) -> Kernel:
    """The kernel of a cluster of element-wise operators and at most one window, or of one `channel_map`."""
    k, out = Kernel(target), cluster.output
    with plane_tasks(k, out):
        open_rows(k, out)
        emit_row(k, cluster.nodes, out, _row_of(k, out))
        k.close()
    return k


@contextlib.contextmanager
def plane_tasks(k: Kernel, out: Value) -> Iterator[None]:
    """A task is a share of the rows of a plane: part `part` of block `block` of image `n`; the first zeroes the halo.

    In here, `lanes` says how many lanes of the block there are.
    """
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
        yield


def open_rows(k: Kernel, out: Value) -> None:
    """The loop over the rows `y` of the task's share."""
    height = out.shape[2]
    k.open(f"for (int64_t y = part * {height} / PARTS; y < (part + 1) * {height} / PARTS; y++)")


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
