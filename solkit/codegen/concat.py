"""`cat` of plain tensors: each input is copied, row by row, to its place."""

from math import prod

from solkit.clusters import Cluster
from solkit.codegen.kernel import Kernel, plus

TASK_ELEMENTS = 8192


def emit_concat(cluster: Cluster) -> Kernel:
    """The kernel of a cluster that is one `cat`. A row is what lies together: all dimensions from `dim` on."""
    k, out = Kernel(), cluster.output
    (node,) = cluster.nodes
    dim = node.attributes["dim"]
    rows, total = prod(out.shape[:dim]), prod(out.shape[dim:])
    per_task = max(1, TASK_ELEMENTS // max(total, 1))
    k.constant("ROWS", rows)
    k.constant("PIECES", max(1, total // TASK_ELEMENTS) if rows < 16 else 1, "of a row")
    k.constant("TASKS", f"SOL_CEIL(ROWS, {per_task}) * PIECES")
    k.line("const int64_t piece = task % PIECES;")
    k.open(f"for (int64_t r = task / PIECES * {per_task}; r < sol_min(ROWS, (task / PIECES + 1) * {per_task}); r++)")
    first = 0
    for value in node.inputs:
        size = prod(value.shape[dim:])
        source, made = plus(k.buffer(value), f"r * {size}"), plus(k.buffer(out), f"r * {total}", first)
        k.open(f"for (int64_t i = piece * {size} / PIECES, end = (piece + 1) * {size} / PIECES; i < end; i += VLEN)")
        k.line("const int lanes = (int)sol_min(VLEN, end - i);")
        k.line(f"vf_store_n({made} + i, vf_load_n({source} + i, lanes), lanes);")
        k.close()
        first += size
    k.close()
    return k
