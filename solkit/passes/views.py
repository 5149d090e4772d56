"""Views of views become one view, so that whoever reads it reads the memory it is a view of."""

import torch

from solkit.ir import Graph, Node, TensorType
from solkit.target import Target


def compose_views(graph: Graph, target: Target) -> None:
    """Let each `strided` and `reshape` node read past the views before it, where the two are one."""
    for node in graph.nodes:
        while node.op in ("strided", "reshape") and (before := node.inputs[0].producer) is not None:
            if before.op not in ("strided", "reshape"):
                break
            if before.op == "reshape":
                node.inputs = [before.inputs[0]]  # the same numbers in the same order
                continue
            composed = _reshaped(before, node) if node.op == "reshape" else _seen_through(before, node)
            if composed is None:
                break
            node.op, node.attributes, node.inputs = "strided", composed, [before.inputs[0]]
        if node.op == "strided" and _is_whole(node):
            node.op, node.attributes = "reshape", {"shape": node.attributes["shape"]}


def linear_past_views(graph: Graph, target: Target) -> None:
    """A `linear` behind a `reshape` that leaves rows as they are takes the rows from before it, so that what stands
    behind finds its result in the shape it is used in."""
    for node in [node for node in graph.nodes if node.op == "linear"]:
        view = node.inputs[0].producer
        if view is None or view.op != "reshape" or view.inputs[0].shape[-1:] != node.inputs[0].shape[-1:]:
            continue
        x, shape = view.inputs[0], node.output.shape
        kind = TensorType((*x.shape[:-1], shape[-1]))
        made = graph.node("linear", [x, *node.inputs[1:]], [kind], node.attributes, node.layer, node.output.name, node)
        back = graph.node(
            "reshape", [made.output], [node.output.type], {"shape": shape}, node.layer, node.output.name, node
        )
        graph.replace(node.output, back.output)
        graph.nodes.remove(node)


def _is_whole(view: Node) -> bool:
    """Whether a view has all elements in their order."""
    a = view.attributes
    whole = torch.empty(a["shape"], device="meta").stride()
    same = all(s == t or size == 1 for s, t, size in zip(a["strides"], whole, a["shape"], strict=True))
    return same and a["offset"] == 0 and view.inputs[0].type.size == view.output.type.size


def _reshaped(view: Node, node: Node) -> dict | None:
    """The shape of `node` on the memory that `view` is a view of."""
    a = view.attributes
    memory = torch.empty_strided(a["shape"], a["strides"], device="meta")
    try:
        made = memory.view(node.attributes["shape"])
    except RuntimeError:  # it takes a copy
        return None
    return {"shape": tuple(made.shape), "strides": made.stride(), "offset": a["offset"]}


def _seen_through(view: Node, node: Node) -> dict | None:
    """What `node` sees of the memory that `view` is a view of: each of its dimensions walks along one of the view's."""
    a, b = view.attributes, node.attributes
    shape, steps = a["shape"], torch.empty(a["shape"], device="meta").stride()
    start, rest = [], b["offset"]
    for size, step in zip(shape, steps, strict=True):
        start.append(rest // step if size > 1 else 0)
        rest -= start[-1] * step
    if rest:
        return None
    strides = []
    for size, stride in zip(b["shape"], b["strides"], strict=True):
        walk = next(
            (
                (axis, stride // step)
                for axis, step in enumerate(steps)
                if shape[axis] > 1 and stride % step == 0 and start[axis] + stride // step * (size - 1) < shape[axis]
            ),
            None,
        )
        if size > 1 and stride and walk is None:
            return None
        strides.append(a["strides"][walk[0]] * walk[1] if size > 1 and stride else 0)
    moved = sum(index * stride for index, stride in zip(start, a["strides"], strict=True))
    return {"shape": b["shape"], "strides": tuple(strides), "offset": a["offset"] + moved}
