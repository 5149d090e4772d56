"""The verifier: what must hold of every graph, checked after each pass in tests (and when the log is at DEBUG)."""

from solkit.errors import GraphError
from solkit.ir.graph import Graph


def verify(graph: Graph) -> None:
    """Check that the graph is well formed.

    Every value is made before it is read, by the node it names as its producer, under a name of its own; every
    operator is in the table; every type is the one the operator's shape rule gives.

    Raises:
        GraphError: naming the node and what does not hold.
    """
    from solkit.ops import TABLE

    known = set(graph.inputs) | set(graph.parameters.values()) | {value for value, _ in graph.constants.values()}
    names = [value.name for value in graph.values()]
    if len(names) != len(set(names)):
        raise GraphError(f"two values share the name {next(n for n in names if names.count(n) > 1)!r}")
    for value in known:
        if value.producer is not None:
            raise GraphError(f"{value!r} comes from outside and yet names {value.producer!r} as its producer")
    for node in graph.nodes:
        if node.op not in TABLE:
            raise GraphError(f"no operator is called {node.op!r}, used by {node!r}")
        for value in node.inputs:
            if value not in known:
                raise GraphError(f"{node!r} reads %{value.name} before it is made")
        for value in node.outputs:
            if value.producer is not node:
                raise GraphError(f"{value!r} is made by {node!r} but names {value.producer!r}")
            if value in known:
                raise GraphError(f"{value!r} is made twice")
        infer = TABLE[node.op].infer
        if infer is not None:
            expected = infer([value.type for value in node.inputs], node.attributes)
            if node.output.type != expected:
                raise GraphError(f"{node!r} should make {expected}, and is typed {node.output.type}")
        known.update(node.outputs)
    for value in graph.outputs:
        if value not in known:
            raise GraphError(f"the output %{value.name} is made by no node")
