"""Attention in its readers' order: no copy puts heads together, and masks lie as the kernel reads them."""

from itertools import permutations

from solkit.ir import Graph, Node, TensorType, Value, contiguous
from solkit.target import Target

IN_ORDER = (0, 1, 2, 3)


def heads_last(graph: Graph, target: Target) -> None:
    """Attention whose only reader permutes its dimensions, heads to the end of the tokens, writes in that order."""
    for node in [node for node in graph.nodes if node.op == "attention" and node.attributes["order"] == IN_ORDER]:
        made = node.output
        reader = graph.only_reader(made)
        if reader is None or reader.op != "strided":
            continue
        permuted = reader.output
        order = _order(made, reader)
        if order is None:
            continue
        graph.replace(permuted, made)
        graph.nodes.remove(reader)
        made.type, node.attributes = permuted.type, {**node.attributes, "order": order}


def _order(x: Value, view: Node) -> tuple[int, ...] | None:
    """The order in which `view` has the dimensions of `x`, features last; None if it is no such permutation."""
    steps = contiguous(x.shape)
    shape, strides = view.attributes["shape"], view.attributes["strides"]
    if len(shape) != 4 or view.attributes["offset"]:
        return None
    for order in permutations(IN_ORDER[:3]):
        walks = list(zip((*order, 3), shape, strides, strict=True))
        if all(x.shape[axis] == size and (size == 1 or steps[axis] == stride) for axis, size, stride in walks):
            return (*order, 3)
    return None


def masks_by_keys(graph: Graph, target: Target) -> None:
    """A mask that is known ahead is transposed ahead: the kernel reads it for many queries and one key at a time."""
    weights = graph.weight_values()
    for node in [node for node in graph.nodes if node.op == "attention" and not node.attributes["mask_by_keys"]]:
        mask = node.inputs[3] if len(node.inputs) > 3 else None
        if mask is None or mask not in weights or len(mask.shape) < 2 or mask.shape[-2] == 1:
            continue
        *outer, queries, keys = mask.shape
        kind = TensorType((*outer, keys, queries))
        *steps, row, column = contiguous(mask.shape)
        attributes = {"shape": kind.shape, "strides": (*steps, column, row), "offset": 0}
        node.inputs[3] = graph.node("strided", [mask], [kind], attributes, node.layer, mask.name, node).output
        node.attributes["mask_by_keys"] = True
