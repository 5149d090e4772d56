"""Images made of the pixels of others, in blocks: a vector is VLEN channels of one pixel, and moves as a whole."""

from solkit.clusters import Cluster
from solkit.codegen.elementwise import Chain, Pixel
from solkit.codegen.kernel import Kernel, pixel, plane, plus
from solkit.codegen.loops import open_rows, plane_tasks
from solkit.ir import Node
from solkit.ops import TABLE, Kind
from solkit.ops.elementwise import c_float


def emit_resize(cluster: Cluster) -> Kernel:
    """The kernel of a cluster of one operator of Kind.RESIZE and the element-wise ones behind it."""
    k, out = Kernel(), cluster.output
    node = next(node for node in cluster.nodes if TABLE[node.op].kind is Kind.RESIZE)
    place = Pixel(k, "n", "block", "y", "x", "lanes")
    with plane_tasks(k, out):
        if node.op == "depth_to_space":
            _first_channels(k, node)
        open_rows(k, out)
        k.open(f"for (int64_t x = 0; x < {out.shape[3]}; x++)")
        _FOUND[node.op](k, node)
        k.line(place.store(out, Chain(k, cluster.nodes, place, {node.output: "found"}).vector(out)))
        k.close()
        k.close()
    return k


def _first_channels(k: Kernel, node: Node) -> None:
    """Of which channel of the input the first phase is, for each lane."""
    high, wide = node.attributes["scale"]
    k.constant("INNER", node.output.shape[1] // node.attributes["groups"], "channels of a phase, in a group")
    k.line("int64_t first[VLEN];")
    k.open("for (int lane = 0; lane < lanes; lane++)")
    k.line("const int64_t made = block * VLEN + lane;")
    k.line(f"first[lane] = made / INNER * INNER * {high * wide} + made % INNER;")
    k.close()


def _depth_to_space(k: Kernel, node: Node) -> None:
    (x,), a = node.inputs, node.attributes
    (high, wide), (top, left) = a["scale"], a["first"]
    address = plus(k.buffer(x), plane(x, "n", "c / VLEN"), pixel(x, f"v / {high}", f"u / {wide}"))
    k.line(f"const int64_t v = {plus('y', top)}, u = {plus('x', left)};")
    k.line(f"const int64_t phase = (v % {high} * {wide} + u % {wide}) * INNER;")
    k.line("vf found;")
    k.open("if (INNER % VLEN == 0)")
    k.line("const int64_t c = first[0] + phase;")
    k.line(f"found = vf_load({address});")
    k.depth -= 1
    k.open("} else")
    k.line("float picked[VLEN];")
    k.open("for (int lane = 0; lane < lanes; lane++)")
    k.line("const int64_t c = first[lane] + phase;")
    k.line(f"picked[lane] = *({address} + c % VLEN);")
    k.close()
    k.line("found = vf_load_n(picked, lanes);")
    k.close()


def _gather_pixels(k: Kernel, node: Node) -> None:
    (x,), a = node.inputs, node.attributes
    rows, columns = k.table("rows", "int32_t", a["rows"]), k.table("columns", "int32_t", a["columns"])
    k.line(f"const int64_t v = {rows}[y], u = {columns}[x];")
    found = f"vf_load({plus(k.buffer(x), plane(x, 'n', 'block'), pixel(x, 'v', 'u'))})"
    outside = [f"{at} < 0" for name, at in (("rows", "v"), ("columns", "u")) if min(a[name]) < 0]
    if outside:
        found = f"{' || '.join(outside)} ? vf_set1({c_float(a['value'])}) : {found}"
    k.line(f"const vf found = {found};")


def _mix_pixels(k: Kernel, node: Node) -> None:
    (x,), a = node.inputs, node.attributes
    for name in ("rows", "columns"):
        *pair, near, far = zip(*a[name], strict=True)
        k.table(f"{name}", "int32_t", (index for both in zip(*pair, strict=True) for index in both))
        weights = (c_float(weight) for both in zip(near, far, strict=True) for weight in both)
        k.table(f"weight_of_{name}", "float", weights)
    for at, row in enumerate(("upper", "lower")):
        where = plus(k.buffer(x), plane(x, "n", "block"), pixel(x, f"rows[2 * y + {at}]", "0"))
        k.line(f"const float *const {row} = {where};")
    k.line("const int64_t left = columns[2 * x] * VLEN, right = columns[2 * x + 1] * VLEN;")
    k.line("const vf near = vf_set1(weight_of_columns[2 * x]), far = vf_set1(weight_of_columns[2 * x + 1]);")
    for row in ("upper", "lower"):
        k.line(f"const vf {row}_mix = vf_fma(near, vf_load({row} + left), vf_mul(far, vf_load({row} + right)));")
    k.line("const vf below = vf_mul(vf_set1(weight_of_rows[2 * y + 1]), lower_mix);")
    k.line("const vf found = vf_fma(vf_set1(weight_of_rows[2 * y]), upper_mix, below);")


_FOUND = {"depth_to_space": _depth_to_space, "gather_pixels": _gather_pixels, "mix_pixels": _mix_pixels}
