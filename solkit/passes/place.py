"""Concatenations without copies: what is concatenated is computed in its place.

In NCHWc an image is a run of blocks of channels, so an image whose channels begin and end with a block can be a part of
a larger one. Each input of a `cat` gets its home there, if it has none elsewhere. Where a later `cat` begins with all
that an earlier one joined, as in dense blocks, the earlier one is the beginning of the later.
"""

from solkit.ir import Graph, Node, TensorType, Value


def place_channels(graph: Graph, vector_length: int) -> None:
    """Give homes to the inputs of blocked `cat` nodes, and mark those and the slices that need no code `in_place`.

    A `cat` in which channels do not fall on blocks becomes a `channel_map`; one input too many homes gets a `copy`.
    """
    joins = [node for node in graph.nodes if node.op == "cat" and node.output.layout.blocked]
    for node in sorted(joins, key=lambda node: -node.output.type.size):
        if any(value.shape[1] % vector_length for value in node.inputs[:-1]):
            channels = [[i, channel] for i, value in enumerate(node.inputs) for channel in range(value.shape[1])]
            node.op, node.attributes = "channel_map", {"channels": channels}
        elif "in_place" not in node.attributes:
            _join(graph, node)
    for node in graph.nodes:
        if node.op == "channel_map" and node.output.home is None:
            _slice(node, vector_length)


def _join(graph: Graph, node: Node) -> None:
    node.attributes["in_place"] = True
    if _is_beginning(node):
        node.output.home = node.inputs[0].home
        return
    offset = 0
    for index, value in enumerate(node.inputs):
        if value.producer is None or value.home is not None or value in node.inputs[:index] or _holds(value, node):
            value = _copy(graph, value, node)
            node.inputs[index] = value
        value.home = (node.output, offset)
        offset += value.shape[1]


def _is_beginning(node: Node) -> bool:
    """Whether its inputs lie one behind the other in another value already."""
    homes = [value.home for value in node.inputs]
    if node.output.home is not None or None in homes:
        return False
    parent, offset = homes[0]
    for value, (other, channel) in zip(node.inputs, homes, strict=True):
        if other is not parent or channel != offset:
            return False
        offset += value.shape[1]
    return parent is not node.output


def _holds(value: Value, node: Node) -> bool:
    """Whether the node's output lies in `value`."""
    return node.output.root[0] is value.root[0]


def _copy(graph: Graph, value: Value, node: Node) -> Value:
    copied = graph.node("copy", [value], [TensorType(value.shape)], {}, node.layer, value.name, node).output
    copied.layout = value.layout
    return copied


def _slice(node: Node, vector_length: int) -> None:
    """Whole blocks of one image, in their order, are a part of it."""
    channels = node.attributes["channels"]
    first = channels[0][1]
    run = [[0, first + i] for i in range(len(channels))]
    whole = len(channels) % vector_length == 0 or first + len(channels) == node.inputs[0].shape[1]
    if channels == run and first % vector_length == 0 and whole:
        node.attributes["in_place"] = True
        node.output.home = (node.inputs[0], first)
