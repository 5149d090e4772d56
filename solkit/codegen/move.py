"""Moves between layouts: the `reorder` node."""

from solkit.clusters import Cluster
from solkit.codegen.kernel import Kernel, pixel, plane, plus, zero_halo
from solkit.ir import Value


def emit_move(cluster: Cluster) -> Kernel:
    """The kernel of a cluster that is one `reorder`: plain <-> NCHWc, with or without a halo."""
    k, out = Kernel(), cluster.output
    (x,) = cluster.inputs
    batch, channels, height, width = out.shape
    source, made = k.buffer(x), k.buffer(out)
    blocks = f"SOL_CEIL({channels}, VLEN)" if x.layout.blocked or out.layout.blocked else str(channels)
    k.constant("IMAGES", batch)
    k.constant("BLOCKS", blocks, "planes of an image: vectors of channels, or channels")
    k.constant("TASKS", "IMAGES * BLOCKS")
    k.line("const int64_t n = task / BLOCKS, block = task % BLOCKS;")
    zero_halo(k, out, "n", "block")
    k.open(f"for (int64_t y = 0; y < {height}; y++)")
    channel = "block" if blocks == str(channels) else "(block * VLEN)"
    start = {
        value: plus(name, plane(value, "n", "block" if value.layout.blocked else channel))
        for value, name in ((x, source), (out, made))
    }
    row = {
        value: f"{start[value]} + ({pixel(value, 'y', '0')})" + (" * VLEN" if value.layout.blocked else "")
        for value in (x, out)
    }
    k.line(f"const float *const from = {row[x]};")
    k.line(f"float *const to = {row[out]};")
    if out.layout.blocked or x.layout.blocked:
        k.line(f"const int lanes = (int)sol_min(VLEN, {channels} - block * VLEN);")
        k.open(f"for (int64_t x = 0; x < {width}; x++)")
        if out.layout.blocked:
            k.line(f"vf_store(to + x * VLEN, vf_gather(from + x, {_plane_size(x)}, lanes));")
        else:
            k.line(f"vf_scatter(to + x, {_plane_size(out)}, vf_load(from + x * VLEN), lanes);")
        k.close()
    else:
        k.line(f"for (int64_t x = 0; x < {width}; x += VLEN) {{")
        k.line(f"    const int lanes = (int)sol_min(VLEN, {width} - x);")
        k.line("    vf_store_n(to + x, vf_load_n(from + x, lanes), lanes);")
        k.line("}")
    k.close()
    return k


def _plane_size(value: Value) -> int:
    rows, columns = value.layout.halo
    return (value.shape[2] + 2 * rows) * (value.shape[3] + 2 * columns)
