"""What an ONNX model is made of, and whether somebody can walk through it and come to an end.

onnx's own checker and shape inference go down into subgraphs and functions without a limit: deep nesting or a function
that calls itself would crash them, and with them the process. So this is looked at first.
"""

from collections.abc import Iterator, Sequence

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

from solkit.errors import ModelError

DEEPEST = 32  # subgraphs and calls of functions within one another
MOST_NODES = 1 << 18  # with every call of a function replaced by its nodes
LONGEST_NAME = 1 << 12  # characters


def describe(node: NodeProto) -> str:
    """What to call a node in a message."""
    made = f" that makes {node.output[0]!r}" if node.output and not node.name else ""
    return f"the node {(node.name or node.op_type)[:LONGEST_NAME]!r} ({node.op_type[:LONGEST_NAME]}){made}"


def graphs_of(node: NodeProto) -> Iterator[GraphProto]:
    """The subgraphs of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def check_structure(model: ModelProto, where: str) -> None:
    """Whether a model is of a depth and size that can be walked through.

    Args:
        where: what to call the model in a message.
    Raises:
        ModelError: subgraphs or functions lie too deep within one another, a function calls itself, there are too many
            nodes, or two functions of one name.
    """
    functions: dict[tuple[str, str], FunctionProto] = {}
    for function in model.functions:
        if functions.setdefault(key := (function.domain, function.name), function) is not function:
            raise ModelError(
                f"{where} has two functions {_name(key)!r}; solkit tells functions apart by domain and name"
            )
    sizes = _Sizes(functions, where)
    sizes.of_nodes(model.graph.node, (), 0)
    for function in model.functions:  # also those that nobody calls: onnx looks at them
        sizes.of_nodes(function.node, ((function.domain, function.name),), 0)


def _name(key: tuple[str, str]) -> str:
    return "::".join(part for part in key if part)


class _Sizes:
    """Counts nodes with functions expanded; each function is walked through once."""

    def __init__(self, functions: dict[tuple[str, str], FunctionProto], where: str) -> None:
        self._functions, self._where = functions, where
        self._known: dict[tuple[str, str], tuple[int, int]] = {}

    def of_nodes(self, nodes: Sequence[NodeProto], callers: tuple, depth: int) -> tuple[int, int]:
        """How many nodes there are, and how deep they lie below these.

        Args:
            callers: the functions that these are part of, outermost first.
            depth: of these nodes.
        """
        self._check(depth)
        count, deepest = 0, depth
        for node in nodes:
            count += 1
            inner = [self.of_nodes(graph.node, callers, depth + 1) for graph in graphs_of(node)]
            if (node.domain, node.op_type) in self._functions:
                inner.append(self._of_function((node.domain, node.op_type), callers, depth + 1, node))
            count += sum(number for number, _ in inner)
            deepest = max([deepest, *(depth for _, depth in inner)])
            if count > MOST_NODES:
                raise ModelError(f"{self._where} has more than {MOST_NODES} nodes with its functions expanded")
        return count, deepest

    def _of_function(self, key: tuple[str, str], callers: tuple, depth: int, node: NodeProto) -> tuple[int, int]:
        if key in callers:
            raise ModelError(f"{self._where}: {describe(node)} calls the function {_name(key)!r} that it is a part of")
        if key not in self._known:
            count, deepest = self.of_nodes(self._functions[key].node, (*callers, key), depth)
            self._known[key] = count, deepest - depth
        count, below = self._known[key]
        self._check(depth + below)
        return count, depth + below

    def _check(self, depth: int) -> None:
        if depth > DEEPEST:
            raise ModelError(
                f"{self._where} has subgraphs and functions more than {DEEPEST} deep within one another; "
                "onnx.inliner.inline_local_functions(model) takes the functions away, if you trust it"
            )


def tensors(model: ModelProto) -> Iterator[tuple[TensorProto | SparseTensorProto, str]]:
    """Every tensor of a model, those of subgraphs and functions too, each with what to call it."""
    yield from _in_graph(model.graph)
    for function in model.functions:
        for attribute in function.attribute_proto:
            yield from _in_attribute(attribute, f"the attribute {attribute.name!r} of the function {function.name!r}")
        yield from _in_nodes(function.node)


def _in_graph(graph: GraphProto) -> Iterator[tuple[TensorProto | SparseTensorProto, str]]:
    for tensor in graph.initializer:
        yield tensor, f"the initializer {tensor.name!r}"
    for sparse in graph.sparse_initializer:
        yield sparse, f"the sparse initializer {sparse.values.name!r}"
    yield from _in_nodes(graph.node)


def _in_nodes(nodes: Sequence[NodeProto]) -> Iterator[tuple[TensorProto | SparseTensorProto, str]]:
    for node in nodes:
        for attribute in node.attribute:
            yield from _in_attribute(attribute, f"the attribute {attribute.name!r} of {describe(node)}")


def _in_attribute(attribute: AttributeProto, place: str) -> Iterator[tuple[TensorProto | SparseTensorProto, str]]:
    for tensor in (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors):
        yield tensor, place
    sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else ()
    for tensor in (*sparse, *attribute.sparse_tensors):
        yield tensor, place
    for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
        yield from _in_graph(graph)
