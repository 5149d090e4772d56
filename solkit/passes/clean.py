"""Remove what does nothing: identities, and nodes that nobody reads."""

from solkit.ir import Graph, Node
from solkit.target import Target

_NEUTRAL = {"mul": 1.0, "div": 1.0}  # x + 0 is not here: it turns -0 into +0


def _is_identity(node: Node) -> bool:
    if node.op in ("identity", "dropout"):
        return True
    if node.op == "reshape":
        return node.inputs[0].type == node.output.type
    if node.op not in _NEUTRAL or node.inputs[0].type != node.output.type:
        return False
    number = node.inputs[1].producer
    return number is not None and number.op == "scalar" and number.attributes["value"] == _NEUTRAL[node.op]


def drop_identities(graph: Graph, target: Target) -> None:
    """Readers of a node that changes nothing read its input instead."""
    for node in [node for node in graph.nodes if _is_identity(node)]:
        graph.replace(node.output, node.inputs[0])
        graph.nodes.remove(node)


def remove_dead_code(graph: Graph, target: Target) -> None:
    """Drop every node whose results nobody reads, and parameters and constants that are no longer read."""
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if any(value in needed for value in node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    graph.nodes = kept[::-1]
    graph.parameters = {name: value for name, value in graph.parameters.items() if value in needed}
    graph.constants = {name: pair for name, pair in graph.constants.items() if pair[0] in needed}
