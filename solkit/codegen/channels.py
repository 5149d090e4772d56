"""`channel_map`: lanes picked from the blocks of other images, by a table."""

from collections.abc import Callable

from solkit.codegen.kernel import Kernel, rows_and_columns
from solkit.ir import Node, Value


def emit_channels(k: Kernel, node: Node, address: Callable[[str], str]) -> None:
    """One row of the image the node makes: lane by lane, each from a channel of some image."""
    channels = node.attributes["channels"]
    geometry = [_geometry(k, value) for value in node.inputs]
    source = k.table("source", "uint8_t", (index for index, _ in channels))
    channel = k.table("channel", "int32_t", (node.inputs[index].root[1] + picked for index, picked in channels))
    names = ("buffer", "blocks", "plane", "columns", "corner")
    for name, column in zip(names, zip(*geometry, strict=True), strict=True):
        k.table(name, "int32_t", column)
    k.open("for (int lane = 0; lane < lanes; lane++)")
    k.line(f"const int s = {source}[block * VLEN + lane], c = {channel}[block * VLEN + lane];")
    inside = "(n * blocks[s] + c / VLEN) * plane[s] + y * columns[s] + corner[s]"
    k.line(f"const float *const from = b[buffer[s]] + ({inside}) * VLEN + c % VLEN;")
    k.open(f"for (int64_t x = 0; x < {node.output.shape[3]}; x++)")
    k.line(f"({address('x')})[lane] = from[x * VLEN];")
    k.close()
    k.close()


def _geometry(k: Kernel, value: Value) -> tuple[str | int, ...]:
    """Buffer, blocks of an image, and in pixels: a plane, a row, and where the first pixel lies."""
    rows, columns = rows_and_columns(value)
    halo = value.layout.halo
    buffer = k.buffer(value)[2:-1]
    blocks = f"SOL_CEIL({value.root[0].shape[1]}, VLEN)"
    return buffer, blocks, rows * columns, columns, halo[0] * columns + halo[1]
