"""Grouped convolution in groups that are whole vectors: neighbours are merged, zeros where they do not meet.

A group of 4 channels would fill a quarter of a vector of 16. Four such groups as one dense group cost four times the
multiply-adds, but they are full vectors of them, read from memory that lies as all other images do.
"""

from solkit.ir import Graph, TensorType
from solkit.target import Target


def merge_groups(graph: Graph, target: Target) -> None:
    """Merge the groups of each convolution until input and output channels of a group are multiples of the vector
    length; all of them, where that never happens."""
    for node in graph.nodes.copy():
        if node.op != "conv2d" or node.attributes["groups"] == 1:
            continue
        groups, weight = node.attributes["groups"], node.inputs[1]
        outputs, inputs = weight.shape[0] // groups, weight.shape[1]
        whole = (
            merge
            for merge in range(1, groups)
            if groups % merge == 0
            and merge * outputs % target.vector_length == 0
            and merge * inputs % target.vector_length == 0
        )
        merge = next(whole, groups)
        node.attributes = {**node.attributes, "groups": groups // merge}
        if merge > 1:
            kind = TensorType((weight.shape[0], inputs * merge, *weight.shape[2:]), weight.type.dtype)
            dense = graph.node(
                "merged_groups",
                [weight],
                [kind],
                {"groups": groups, "merge": merge},
                node.layer,
                weight.name,
                node,
            )
            node.inputs = [node.inputs[0], dense.output, *node.inputs[2:]]
