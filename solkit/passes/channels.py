"""Channels picked from images: splits, shuffles and concatenations become one `channel_map` each, and maps of maps one.

Channel shuffle, say, is reshape, transpose, reshape; with the concatenation before and the split behind it, all that
is left is which channel of which input each channel of the result is. Half of them are often only handed on, from map
to map, and never move.
"""

import torch

from solkit.ir import Graph, Node, Value
from solkit.ops import TABLE, Kind
from solkit.target import Target

_VIEWS = ("reshape", "strided")
MOST_SOURCES = 24  # images one map reads
MOST_ELEMENTS = 1 << 24  # of a view that is looked into


def map_channels(graph: Graph, target: Target) -> None:
    """Find views that pick channels; then let each map read past maps and concatenations."""
    images = _images(graph)
    for node in list(graph.nodes):
        if node.op in _VIEWS and len(node.output.shape) == 4:
            _recognise(graph, node, images)
    _drop_unread(graph)
    for node in list(graph.nodes):
        if node.op == "channel_map":
            _compose(graph, node)


def _images(graph: Graph) -> set[Value]:
    """Values of four dimensions that convolutions and pools made, and what was made of these."""
    found: set[Value] = set()
    for node in graph.nodes:
        makes = TABLE[node.op].kind is Kind.WINDOW or node.op == "conv2d"
        follows = TABLE[node.op].kind in (Kind.ELEMENTWISE, Kind.CONCAT, Kind.VIEW, Kind.STRIDED)
        if makes or (follows and found.intersection(node.inputs)):
            found.update(node.outputs)
    return found


def _recognise(graph: Graph, last: Node, images: set[Value]) -> None:
    """Replace `last`, and the views it stands behind, if together they do no more than pick channels."""
    chain = [last]
    while True:
        x = chain[0].inputs[0]
        if x in images and _alike(x, last.output):
            channels = _picked(chain, x)
            if channels is not None:
                break
        if x.producer is None or x.producer.op not in _VIEWS:
            return
        chain.insert(0, x.producer)
    picked = [[0, channel] for channel in channels]
    made = graph.node("channel_map", [x], [last.output.type], {"channels": picked}, last.layer, last.output.name, last)
    graph.replace(last.output, made.output)
    graph.nodes.remove(last)


def _alike(x: Value, made: Value) -> bool:
    """Whether both are images, as many and of one size."""
    return len(x.shape) == 4 and (x.shape[0], *x.shape[2:]) == (made.shape[0], *made.shape[2:]) and x.type.size > 0


def _picked(chain: list[Node], x: Value) -> list[int] | None:
    """For each channel of what the chain makes the channel of `x` it is; None if there is more to it."""
    if x.type.size > MOST_ELEMENTS:
        return None
    numbers = torch.arange(x.type.size).reshape(x.shape)
    made = numbers
    for node in chain:
        made = TABLE[node.op].reference([made], node.attributes)
    pixels = x.shape[2] * x.shape[3]
    channels = made[0, :, 0, 0] // pixels
    expected = numbers.index_select(1, channels)
    return channels.tolist() if torch.equal(made, expected) else None


def _compose(graph: Graph, node: Node) -> None:
    """Read past maps, and past concatenations that nothing but maps reads."""
    users = graph.users()
    sources = [(node.inputs[source], channel) for source, channel in node.attributes["channels"]]

    def only_maps_read(value: Value) -> bool:
        return value not in graph.outputs and all(user.op == "channel_map" for user in users[value])

    def behind(value: Value, channel: int) -> tuple[Value, int]:
        producer = value.producer
        if producer is not None and producer.op == "channel_map":
            source, channel = producer.attributes["channels"][channel]
            return behind(producer.inputs[source], channel)
        if producer is not None and producer.op == "cat" and only_maps_read(value) and producer.attributes["dim"] == 1:
            for part in producer.inputs:
                if channel < part.shape[1]:
                    return behind(part, channel)
                channel -= part.shape[1]
        return value, channel

    found = [behind(*source) for source in sources]
    inputs = list(dict.fromkeys(value for value, _ in found))
    if len(inputs) <= MOST_SOURCES:
        node.inputs = inputs
        node.attributes["channels"] = [[inputs.index(value), channel] for value, channel in found]


def _drop_unread(graph: Graph) -> None:
    """Views that nothing reads any more must not keep a concatenation from being read past."""
    needed = set(graph.outputs)
    for node in reversed(list(graph.nodes)):
        if node.op in _VIEWS and not any(value in needed for value in node.outputs):
            graph.nodes.remove(node)
        else:
            needed.update(node.inputs)
