"""Which operators over plain tensors fit into one loop over rows, and what the rows are."""

import itertools

from solkit.ir import Node
from solkit.ops import TABLE, Kind

LOADS = ("strided", "embedding")  # nodes that are no more than a way to read memory
_KINDS = {Kind.ELEMENTWISE, Kind.REDUCE, Kind.LOOKUP, Kind.STRIDED}


def over_rows(nodes: list[Node]) -> bool:
    """Whether these are all operators over rows of plain tensors."""
    return all(TABLE[node.op].kind in _KINDS and not node.output.layout.blocked for node in nodes)


def full_shape(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """`shape` with ones in front, so that it has `rank` dimensions."""
    return (1,) * (rank - len(shape)) + tuple(shape)


def rows_of(nodes: list[Node]) -> tuple[tuple[int, ...], int] | None:
    """The shape that `nodes` go over, and how many of its last dimensions are the row that is reduced (0: none is).

    None where they do not fit into one loop.

    Each value has the whole shape, or one number for each row. An operand's row is one number, or lies in memory as one
    run of as many as the loop has.
    """
    reductions = [node for node in nodes if TABLE[node.op].kind is Kind.REDUCE]
    made = {node.output for node in nodes}
    if any(made.intersection(node.inputs) for node in nodes if node.op in LOADS):
        return None
    computing = [node for node in nodes if node.op != "strided"] or nodes
    shape, count = computing[-1].output.shape, 0
    if reductions:
        shape, count = reductions[0].inputs[0].shape, reductions[0].attributes["dims"]
        if any(node.attributes["dims"] != count or node.inputs[0].shape != shape for node in reductions):
            return None
    rank = len(shape)
    row = (*shape[: rank - count], *[1] * count)
    runs = {shape[rank - count :], (1,) * count}
    for node in nodes:
        if node.op == "strided":
            fits = full_shape(node.output.shape, rank)[rank - count :] in runs and _is_run(node, count)
        else:
            operands = () if node.op == "embedding" else node.inputs
            fits = node.output.shape in (shape, row)
            fits = fits and all(full_shape(value.shape, rank)[rank - count :] in runs for value in operands)
        if not fits:
            return None
    return shape, count


def _is_run(view: Node, count: int) -> bool:
    """Whether the last `count` dimensions of a view are one, with one stride."""
    if len(view.output.shape) < count:
        return count <= 1
    inner = list(zip(view.attributes["strides"], view.output.shape, strict=True))[len(view.output.shape) - count :]
    return all(outer[0] == step * size for outer, (step, size) in itertools.pairwise(inner))


def reads_through(reader: Node, view: Node) -> bool:
    """Whether `reader` can read what `view` is a view of, in the order of the view."""
    kind = TABLE[reader.op].kind
    if kind is Kind.REDUCE:
        return _is_run(view, reader.attributes["dims"])
    return kind in (Kind.ELEMENTWISE, Kind.MATMUL, Kind.ATTENTION) and not reader.output.layout.blocked
