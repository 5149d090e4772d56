"""Choose how each image lies in memory, and insert the moves between layouts.

Convolutions and pools work on NCHWc blocks (`ir.types.Layout`), element-wise operators follow what they read, and
everything else, with the graph's inputs and outputs, is plain. A convolution reads plain memory as it is where it
needs no padding and has a 1x1 kernel, or few channels. Images of one pixel are plain: there is nothing to block.
"""

from dataclasses import replace

from solkit.ir import BLOCKED, PLAIN, Graph, Layout, Node, Value
from solkit.ops import TABLE, Kind
from solkit.ops.operator import pair
from solkit.ops.tensor import CONVOLUTIONS
from solkit.passes.place import place_channels
from solkit.target import Target

FEW_CHANNELS = 4  # an RGB image in blocks of 16 channels would be four fifths padding


def choose_layouts(graph: Graph, target: Target) -> None:
    """Give every value its layout; add `reorder` nodes where a reader needs another one."""
    moves = _Moves(graph)
    weights = graph.weight_values()
    for node in list(graph.nodes):
        if node.op == "reorder" or all(value in weights for value in node.outputs):
            continue
        _WISHES.get(TABLE[node.op].kind, _all_plain)(node, moves)
    graph.outputs = [moves.to(value, PLAIN) for value in graph.outputs]
    place_channels(graph, target.vector_length)
    _grow_halos(graph)


class _Moves:
    """The `reorder` nodes made so far, at most one for each value and layout."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.made: dict[tuple[Value, bool, bool], Value] = {}

    def to(self, value: Value, layout: Layout, halo: bool = False) -> Value:
        """`value` in `layout`; with `halo`, a copy whose halo may grow even though it is plain."""
        if value.layout.blocked == layout.blocked and not halo:
            return value
        key = (value, layout.blocked, halo)
        if key not in self.made:
            producer = value.producer
            index = 0 if producer is None else self.graph.nodes.index(producer) + 1
            before = self.graph.nodes[index] if index < len(self.graph.nodes) else None
            node = self.graph.node("reorder", [value], [value.type], {}, "", value.name, before)
            if producer is not None:
                node.layer = producer.layer
            node.output.layout = layout
            self.made[key] = node.output
        return self.made[key]


def _all_plain(node: Node, moves: _Moves) -> None:
    node.inputs = [moves.to(value, PLAIN) for value in node.inputs]


def _dnn(node: Node, moves: _Moves) -> None:
    if node.op != "conv2d":
        _all_plain(node, moves)
        return
    x = node.inputs[0]
    padded = any(pair(node.attributes["padding"]))
    if node.attributes["groups"] > 1:
        node.inputs[0] = moves.to(x, BLOCKED)
    elif not x.layout.blocked:
        few = x.shape[1] <= FEW_CHANNELS
        moved = x.producer is not None and x.producer.op == "reorder"  # in an earlier run of the pass
        if few and padded and not moved:
            node.inputs[0] = moves.to(x, PLAIN, halo=True)
        elif not few and (padded or node.inputs[1].shape[2:] != (1, 1)):
            node.inputs[0] = moves.to(x, BLOCKED)
    node.output.layout = _image(node.output)


def _window(node: Node, moves: _Moves) -> None:
    node.inputs[0] = moves.to(node.inputs[0], BLOCKED)
    node.output.layout = _image(node.output)


def _channels(node: Node, moves: _Moves) -> None:
    node.inputs = [moves.to(value, BLOCKED) for value in node.inputs]
    node.output.layout = BLOCKED


def _concat(node: Node, moves: _Moves) -> None:
    images = len(node.output.shape) == 4 and node.attributes["dim"] == 1
    if images and any(value.layout.blocked for value in node.inputs):
        _channels(node, moves)
    else:
        _all_plain(node, moves)


def _elementwise(node: Node, moves: _Moves) -> None:
    shape = node.output.shape
    whole = [value for value in node.inputs if value.shape == shape]
    if any(v.layout.blocked for v in whole) and all(v in whole or per_channel(v, shape) for v in node.inputs):
        node.inputs = [moves.to(value, BLOCKED) if value in whole else value for value in node.inputs]
        node.output.layout = BLOCKED
    else:
        _all_plain(node, moves)


_WISHES = {
    Kind.DNN: _dnn,
    Kind.WINDOW: _window,
    Kind.RESIZE: _window,
    Kind.ELEMENTWISE: _elementwise,
    Kind.CHANNELS: _channels,
    Kind.CONCAT: _concat,
}


def _image(value: Value) -> Layout:
    return PLAIN if value.shape[2:] == (1, 1) else BLOCKED


def per_channel(value: Value, shape: tuple[int, ...]) -> bool:
    """Whether `value` broadcasts to [N, C, H, W] as one number, or one per channel (and image)."""
    if value.type.size == 1:
        return True
    full = (1,) * (len(shape) - len(value.shape)) + value.shape
    return full[1:] == (shape[1], 1, 1) and full[0] in (1, shape[0])


def _grow_halos(graph: Graph) -> None:
    """A halo is as wide as the widest padding among the convolutions that read the value, or a value it shares memory
    with."""
    widest: dict[Value, tuple[int, int]] = {}
    for node in graph.nodes:
        if node.op in CONVOLUTIONS and any(pair(node.attributes["padding"])):
            root = node.inputs[0].root[0]
            halo = map(max, widest.get(root, (0, 0)), pair(node.attributes["padding"]))
            widest[root] = tuple(halo)
    for value in graph.values():
        if value.root[0] in widest:
            value.layout = replace(value.layout, halo=widest[value.root[0]])
