"""Average pooling is linear, and so is a 1x1 convolution: swapped, the convolution has a quarter of the pixels."""

from solkit.ir import Graph, TensorType
from solkit.ops.operator import pair
from solkit.ops.tensor import is_pointwise
from solkit.target import Target


def pool_before_pointwise(graph: Graph, target: Target) -> None:
    """AvgPool(Conv1x1(x)) = Conv1x1(AvgPool(x)), where each window has all its pixels (the bias keeps its weight)."""
    for pool in [node for node in graph.nodes if node.op == "avg_pool2d"]:
        conv = pool.inputs[0].producer
        if conv is None or not is_pointwise(conv) or graph.only_reader(conv.output) is None:
            continue
        fewer = pool.output.type.size < conv.output.type.size
        if any(pair(pool.attributes["padding"])) or pool.attributes["divisor_override"] is not None or not fewer:
            continue
        x, *weights = conv.inputs
        kind = TensorType((*x.shape[:2], *pool.output.shape[2:]), x.type.dtype)
        pooled = graph.node("avg_pool2d", [x], [kind], pool.attributes, pool.layer, pool.output.name, pool)
        made = graph.node(
            "conv2d",
            [pooled.output, *weights],
            [pool.output.type],
            conv.attributes,
            conv.layer,
            conv.output.name,
            pool,
        )
        graph.replace(pool.output, made.output)
        graph.nodes.remove(pool)
        graph.nodes.remove(conv)
