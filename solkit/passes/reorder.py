"""MaxPool(ReLU(x)) = ReLU(MaxPool(x)), since ReLU is monotonic; the right side has fewer elements to clip."""

from solkit.ir import Graph
from solkit.target import Target


def relu_after_max_pool(graph: Graph, target: Target) -> None:
    """Swap each ReLU with the max pool that is its only reader. NaN passes through both in either order."""
    for pool in [node for node in graph.nodes if node.op == "max_pool2d"]:
        relu = pool.inputs[0].producer
        if relu is None or relu.op != "relu" or graph.only_reader(relu.output) is None:
            continue
        position = graph.nodes.index(pool) + 1
        behind = graph.nodes[position] if position < len(graph.nodes) else None
        clipped = graph.node("relu", [pool.output], [pool.output.type], {}, relu.layer, relu.output.name, behind)
        pool.inputs = [relu.inputs[0]]
        graph.nodes.remove(relu)
        for node in graph.nodes:
            if node is not clipped:
                node.inputs = [clipped.output if value is pool.output else value for value in node.inputs]
        graph.outputs = [clipped.output if value is pool.output else value for value in graph.outputs]
