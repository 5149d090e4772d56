"""Depthwise convolution: each channel by itself, so the lanes never meet, and a row of pixels is a few registers."""

from collections.abc import Callable
from math import prod

from solkit.codegen.elementwise import Chain, Pixel
from solkit.codegen.kernel import Kernel, Panels, plane, plus, rows_and_columns, times
from solkit.ir import Node, Value
from solkit.ops.operator import pair

MOST_PIXELS = 8  # neighbours computed at once: as many sums hide the latency of the multiply-adds
OTHERS = 2  # vectors that need registers beside the sums


def emit_depthwise(k: Kernel, node: Node, nodes: list[Node], made: Value, store: Callable[[str, str], str]) -> None:
    """One row of a depthwise convolution, with the element-wise `nodes` behind it up to `made`."""
    x, weight, *bias = node.inputs
    a = node.attributes
    rows, columns = weight.shape[2:]
    stride, padding, dilation = pair(a["stride"]), pair(a["padding"]), pair(a["dilation"])
    width = made.shape[3]
    most = min(MOST_PIXELS, max(2, prod(k.target.tile) - OTHERS))
    pixels = min(most, width) if 3 in made.varying else -(-width // -(-width // most))
    each = f"UNROLL for (int p = 0; p < {pixels}; p++)"
    top, left = x.layout.halo[0] - padding[0], x.layout.halo[1] - padding[1]
    row = times(plus(times("y", stride[0]), top), rows_and_columns(x)[1])
    k.line(f"const float *const row = {plus(k.buffer(x), plane(x, 'n', 'block'), times(plus(row, left), 'VLEN'))};")
    weights = plus(k.buffer(weight, Panels(1, False)), times("block", rows * columns, "VLEN"))
    k.line(f"const float *const weights = {weights};")
    start = "vf_set1(0.0f)"
    if bias:
        start = "bias"
        k.line(f"const vf bias = vf_load_n({plus(k.buffer(bias[0]), 'block * VLEN')}, lanes);")
    k.open(f"for (int64_t x0 = 0; x0 < {width}; x0 += {pixels})")
    k.line(f"const int64_t x = sol_min(x0, {width - pixels});")
    k.line(f"vf acc[{pixels}];")
    k.line(f"{each} acc[p] = {start};")
    k.open(f"for (int64_t ky = 0; ky < {rows}; ky++)")
    k.open(f"UNROLL for (int64_t kx = 0; kx < {columns}; kx++)")
    k.line(f"const vf weight = vf_load(weights + (ky * {columns} + kx) * VLEN);")
    down = times("ky", dilation[0] * rows_and_columns(x)[1])
    step = times(plus(down, times(plus("x", "p"), stride[1]), times("kx", dilation[1])), "VLEN")
    k.line(f"{each} acc[p] = vf_fma(vf_load(row + {step}), weight, acc[p]);")
    k.close()
    k.close()
    k.open(each)
    place = Pixel(k, "n", "block", "y", "(x + p)", "lanes")
    k.line(store("(x + p)", Chain(k, nodes, place, {node.output: "acc[p]"}).vector(made)))
    k.close()
    k.close()
