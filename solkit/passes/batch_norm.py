"""Batch norm in evaluation mode is y = x * scale + shift, per channel.

Behind a convolution both go into its weights: conv(x, w * scale) + (beta + (bias - mean) * scale). The new weights are
nodes of the graph that read parameters alone, so they are computed when a parameter changes and not at each call, and
the parameters keep their names and their meaning.
"""

from solkit.ir import Graph, Node, TensorType, Value
from solkit.ops.tensor import CONVOLUTIONS
from solkit.target import Target


def fold_batch_norm(graph: Graph, target: Target) -> None:
    """Replace every `batch_norm` node."""
    for node in [node for node in graph.nodes if node.op == "batch_norm"]:
        convolution = node.inputs[0].producer
        folds = convolution is not None and convolution.op in CONVOLUTIONS
        if folds and graph.only_reader(convolution.output):
            graph.replace(node.output, _into_convolution(graph, convolution, node))
        else:
            graph.replace(node.output, _as_elementwise(graph, node))
        graph.nodes.remove(node)


def _scale_and_shift(graph: Graph, norm: Node, bias: list[Value]) -> tuple[Value, Value]:
    """Per-channel scale and shift, both [C]."""
    _, gamma, beta, mean, variance = norm.inputs
    kind = gamma.type
    scale = graph.node("batch_norm_scale", [gamma, variance], [kind], norm.attributes, norm.layer, "scale", norm)
    shift = graph.node("batch_norm_shift", [beta, mean, scale.output, *bias], [kind], {}, norm.layer, "shift", norm)
    return scale.output, shift.output


def _per_channel(graph: Graph, value: Value, shape: tuple[int, ...], norm: Node) -> Value:
    kind = TensorType(shape, value.type.dtype)
    return graph.node("reshape", [value], [kind], {"shape": shape}, norm.layer, value.name, norm).output


def _into_convolution(graph: Graph, convolution: Node, norm: Node) -> Value:
    x, weight, *bias = convolution.inputs
    scale, shift = _scale_and_shift(graph, norm, bias)
    column = _per_channel(graph, scale, (weight.shape[0], 1, 1, 1), norm)
    scaled = graph.node("mul", [weight, column], [weight.type], {}, norm.layer, "folded", norm).output
    made = graph.node(
        convolution.op,
        [x, scaled, shift],
        [norm.output.type],
        convolution.attributes,
        convolution.layer,
        convolution.output.name,
        norm,
    )
    made.attributes = {**convolution.attributes, "folded": norm.layer}
    graph.nodes.remove(convolution)
    return made.output


def _as_elementwise(graph: Graph, norm: Node) -> Value:
    x = norm.inputs[0]
    scale, shift = _scale_and_shift(graph, norm, [])
    shape = (1, x.shape[1], *[1] * (len(x.shape) - 2))
    scaled = graph.node(
        "mul", [x, _per_channel(graph, scale, shape, norm)], [x.type], {}, norm.layer, "scaled", norm
    ).output
    return graph.node(
        "add", [scaled, _per_channel(graph, shift, shape, norm)], [x.type], {}, norm.layer, norm.output.name, norm
    ).output
