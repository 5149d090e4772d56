"""Matrix products of two values that are both made at each call: batches of [M, K] x [K, N].

The tile is that of `matrix.py`. A task packs a panel of columns of the second matrix, all of K or a chunk of it, into
memory that stays in the cache, whatever its strides are, and goes over its share of the rows with it.
"""

from math import prod

from solkit.clusters import CHUNK_STEPS, Cluster
from solkit.codegen.elementwise import Chain, Row
from solkit.codegen.kernel import Kernel, plus, times
from solkit.codegen.matrix import EACH_PIXEL, EACH_VECTOR, WIDE, choose_tile
from solkit.ir import Value, contiguous
from solkit.ops import TABLE, Kind
from solkit.rowspace import full_shape
from solkit.target import Target

TASKS_WANTED = 16


def emit_matmul(cluster: Cluster, target: Target) -> Kernel:
    """The kernel of a cluster of one `matmul`, the views it reads through, and element-wise operators behind it."""
    k, out = Kernel(), cluster.output
    node = next(node for node in cluster.nodes if node.op == "matmul")
    *batch, rows, columns = out.shape
    steps = node.inputs[0].shape[-1]
    (a, a_offset, a_strides), (b, b_offset, b_strides) = (_operand(cluster, value) for value in node.inputs)
    # Code for many sizes is made as for large ones.
    likely = [max(size, WIDE) if len(batch) + i in out.varying else size for i, size in enumerate((rows, columns))]
    pixels, vectors = choose_tile(target, *likely)
    pixels = min(pixels, rows)
    first = k.buffer(a)
    second = k.buffer(b)
    made = k.buffer(out)
    k.constant("PIXELS", pixels, "a register tile is so many rows")
    k.constant("VECTORS", f"SOL_MIN({vectors}, SOL_CEIL({likely[1]}, VLEN))", "times vectors of columns")
    k.constant("GROUPS", f"SOL_CEIL({columns}, VECTORS * VLEN)", "panels of columns")
    k.constant("TILES", -(-rows // pixels), "of rows")
    k.constant("BATCH", prod(batch))
    k.constant("PARTS", f"SOL_MIN(SOL_CEIL(TILES, 4), SOL_CEIL({TASKS_WANTED}, BATCH * GROUPS))", "of the rows")
    k.constant("TASKS", "BATCH * GROUPS * PARTS")
    k.line("const int64_t part = task % PARTS, group = task / PARTS % GROUPS, batch = task / PARTS / GROUPS;")
    index, rest = {}, "batch"
    for axis in reversed(range(len(batch))):
        index[f"i{axis}"] = f"const int64_t i{axis} = {rest}{f' % {batch[axis]}' if axis else ''}"
        rest = f"{rest} / {batch[axis]}"

    def start(buffer: str, offset: int, strides: tuple[int, ...]) -> str:
        return plus(buffer, offset, *(times(f"i{axis}", s) for axis, s in enumerate(strides[: len(batch)]) if s))

    with k.declaring(**index):
        k.line(f"const float *const left = {start(first, a_offset, a_strides)};")
        k.line(f"const float *const right = {start(second, b_offset, b_strides)};")
    k.line(f"float *const to = {plus(made, times('batch', rows * columns), 'group * VECTORS * VLEN')};")
    k.line(f"const int columns = (int)sol_min(VECTORS * VLEN, {columns} - group * VECTORS * VLEN);")
    chunk = min(steps, CHUNK_STEPS)
    k.line(f"float panel[{chunk} * VECTORS * VLEN] __attribute__((aligned(64)));")
    if chunk < steps:
        k.open(f"for (int64_t k0 = 0; k0 < {steps}; k0 += {chunk})")
        k.line(f"const int64_t count = sol_min({chunk}, {steps} - k0);")
    else:
        k.line(f"const int64_t k0 = 0, count = {steps};")
    _pack(k, b_strides)
    k.open("for (int64_t tile = part * TILES / PARTS; tile < (part + 1) * TILES / PARTS; tile++)")
    k.line(f"const int64_t m = sol_min(tile * PIXELS, {rows} - PIXELS);")
    k.line("vf acc[PIXELS][VECTORS];")
    k.open(EACH_PIXEL)
    k.open(EACH_VECTOR)
    k.line("const int lanes = columns - v * VLEN < VLEN ? columns - v * VLEN : VLEN;")
    again = f"to + (m + p) * {columns} + v * VLEN"
    # The last tile overlaps the one before: what this tile has not done itself yet is not to be added to.
    k.line(f"acc[p][v] = k0 > 0 && lanes > 0 ? vf_load_n({again}, lanes) : vf_set1(0.0f);")
    k.close()
    k.close()
    k.line(f"const float *const in = left + m * {a_strides[-2]} + k0 * {a_strides[-1]};")
    k.open("for (int64_t c = 0; c < count; c++)")
    k.line("vf row[VECTORS];")
    k.line(f"{EACH_VECTOR} row[v] = vf_load(panel + (c * VECTORS + v) * VLEN);")
    k.line(EACH_PIXEL)
    k.line(f"    {EACH_VECTOR}")
    step = plus(times("p", a_strides[-2]), times("c", a_strides[-1]))
    k.line(f"        acc[p][v] = vf_axpy(in[{step}], row[v], acc[p][v]);")
    k.close()
    k.open(EACH_PIXEL + " if (m + p >= tile * PIXELS)")
    k.open(EACH_VECTOR)
    k.line("const int lanes = columns - v * VLEN < VLEN ? columns - v * VLEN : VLEN;")
    k.line("if (lanes <= 0) continue;")
    place = Row(k, f"(batch * {rows} + m + p)", "(group * VECTORS + v)", "lanes", columns)
    made = [other for other in cluster.nodes if TABLE[other.op].kind is Kind.ELEMENTWISE]
    k.line(place.store(out, Chain(k, made, place, {node.output: "acc[p][v]"}).vector(out)))
    k.close()
    k.close()
    k.close()
    if chunk < steps:
        k.close()
    return k


def _pack(k: Kernel, strides: tuple[int, ...]) -> None:
    """The panel's columns of `count` rows of the second matrix, zeros where there are no columns."""
    k.open("for (int64_t c = 0; c < count; c++)")
    k.open(EACH_VECTOR)
    k.line("const int lanes = columns - v * VLEN < VLEN ? columns - v * VLEN : VLEN;")
    where = f"right + (k0 + c) * {strides[-2]} + (group * VECTORS + v) * VLEN * {strides[-1]}"
    if strides[-1] == 1:
        load = f"vf_load_n({where}, lanes)"
    elif strides[-1] == 0:
        load = f"vf_set1(*({where}))"
    else:
        load = f"vf_gather({where}, {strides[-1]}, lanes)"
    k.line(f"vf_store(panel + (c * VECTORS + v) * VLEN, lanes > 0 ? {load} : vf_set1(0.0f));")
    k.close()
    k.close()


def _operand(cluster: Cluster, value: Value) -> tuple[Value, int, tuple[int, ...]]:
    """The memory an operand is in, the offset in it, and strides in the batch, rows and columns of the product."""
    node = next((node for node in cluster.nodes if node.output is value and node.op == "strided"), None)
    rank = len(cluster.output.shape)
    shape = full_shape(value.shape, rank)
    if node is None:
        steps = contiguous(shape)
        buffer, offset = value, 0
    else:
        steps = (0,) * (rank - len(value.shape)) + tuple(node.attributes["strides"])
        buffer, offset = node.inputs[0], node.attributes["offset"]
    return buffer, offset, tuple(0 if size == 1 else step for size, step in zip(shape, steps, strict=True))
