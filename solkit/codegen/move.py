"""Moves between layouts: the `reorder` node."""

from math import prod

from solkit.clusters import Cluster
from solkit.codegen.kernel import Kernel, pixel, plane, plus, rows_and_columns, zero_halo


def emit_move(cluster: Cluster) -> Kernel:
    """The kernel of a cluster that is one `reorder`: plain <-> NCHWc, with or without a halo."""
    k, out = Kernel(), cluster.output
    (x,) = cluster.inputs
    batch, channels, height, width = out.shape
    source, made = k.buffer(x), k.buffer(out)
    in_blocks = x.layout.blocked or out.layout.blocked
    channel = "(block * VLEN)" if in_blocks else "block"  # the first of the plane, or planes, a task moves
    k.constant("IMAGES", batch)
    k.constant(
        "BLOCKS",
        f"SOL_CEIL({channels}, VLEN)" if in_blocks else channels,
        "planes of an image: vectors of channels, or channels",
    )
    k.constant("TASKS", "IMAGES * BLOCKS")
    k.line("const int64_t n = task / BLOCKS, block = task % BLOCKS;")
    zero_halo(k, out, "n", "block")
    k.open(f"for (int64_t y = 0; y < {height}; y++)")
    row = {
        value: plus(name, plane(value, "n", "block" if value.layout.blocked else channel), pixel(value, "y", "0"))
        for value, name in ((x, source), (out, made))
    }
    k.line(f"const float *const from = {row[x]};")
    k.line(f"float *const to = {row[out]};")
    if in_blocks:
        k.line(f"const int lanes = (int)sol_min(VLEN, {channels} - block * VLEN);")
        k.open(f"for (int64_t x = 0; x < {width}; x++)")
        if out.layout.blocked:
            k.line(f"vf_store(to + x * VLEN, vf_gather(from + x, {prod(rows_and_columns(x))}, lanes));")
        else:
            k.line(f"vf_scatter(to + x, {prod(rows_and_columns(out))}, vf_load(from + x * VLEN), lanes);")
        k.close()
    else:
        k.line(f"for (int64_t x = 0; x < {width}; x += VLEN) {{")
        k.line(f"    const int lanes = (int)sol_min(VLEN, {width} - x);")
        k.line("    vf_store_n(to + x, vf_load_n(from + x, lanes), lanes);")
        k.line("}")
    k.close()
    return k
