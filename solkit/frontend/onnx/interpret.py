"""Running an ONNX graph in PyTorch, node by node.

What follows from constants and from shapes alone is worked out with real tensors, also while torch.export traces: it is
`known`, and operators may make Python numbers of it. So the chains of Shape, Gather, Concat that exporters write before
each Reshape leave nothing in the traced graph.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto
from torch.utils._python_dispatch import _disable_current_modes

from solkit.errors import ModelError, SolError, first_line
from solkit.frontend.onnx import limits, reference, training
from solkit.frontend.onnx.known import Known, plain
from solkit.frontend.onnx.load import describe
from solkit.frontend.onnx.table import Call, Value, find, schema

FEW = 64  # elements of weights whose numbers may decide something; these are part of the key of a kept graph
KNOWN = 1 << 16  # elements of a result that is worked out ahead; what is larger is left to the graph

# They say something of shapes, which are known while tracing, whatever is in the tensor.
OF_SHAPES = {"Shape", "Size"}


class Interpreter:
    """The operators and functions of a model.

    Args:
        model: as `load` gives it.
    Attributes:
        decisive: the inputs of the model whose numbers decided a shape or a branch, of those that were given as
            `Known` with their name as origin.
    """

    def __init__(self, model: ModelProto) -> None:
        self.decisive: set[str] = set()
        self.opsets = {opset.domain: opset.version for opset in model.opset_import}
        self.functions = {(f.domain, f.name): f for f in model.functions}

    def run(self, graph: GraphProto, values: Mapping[str, Any], outer: Mapping[str, Any] | None = None) -> list[Value]:
        """The outputs of a graph; a `Known` where one does not depend on the model's inputs.

        Args:
            values: of its inputs and initializers, by name; a `Known` if it does not depend on the model's inputs.
            outer: what a subgraph sees of the graphs around it.
        Raises:
            ModelError: an operator that nobody knows, or one that fails on its inputs.
        """
        scope = {**(outer or {}), **values}
        with limits.counting():
            limits.step()
            self._nodes(graph.node, scope, self.opsets)
        return [scope[output.name] for output in graph.output]

    def _nodes(
        self,
        nodes: Sequence[NodeProto],
        scope: dict[str, Any],
        opsets: Mapping[str, int],
        graph: Sequence[NodeProto] = (),
    ) -> None:
        """Runs some nodes of a graph, or all of them, and adds what they make to the scope."""
        graph = graph or nodes
        for node in nodes:
            inputs = [scope[name] if name else None for name in node.input]
            try:
                limits.step()
                if training.is_gradient(node):
                    again = functools.partial(self._nodes, opsets=opsets, graph=graph)
                    made = training.gradient(node, graph, scope, again)
                else:
                    made = self._node(node, inputs, scope, opsets)
                limits.check_results(made)
            except SolError:
                raise
            except Exception as error:
                raise ModelError(f"{describe(node)} fails: {type(error).__name__}: {first_line(error)}") from error
            scope.update({name: value for name, value in zip(node.output, made, strict=False) if name})

    def _node(self, node: NodeProto, inputs: list[Any], scope: dict[str, Any], opsets: Mapping[str, int]) -> list[Any]:
        function = self.functions.get((node.domain, node.op_type))
        if function is not None:
            return self._function(node, function, inputs)
        domain = "" if node.domain == "ai.onnx" else node.domain
        opset = opsets.get(domain) or opsets.get("ai.onnx" if domain == "" else domain, 0)
        row = find(node.domain, node.op_type, opset)
        if row is not None and reference.is_foreign(node, list(map(plain, inputs))):
            row = reference.row(node, opset)
        attributes = {a.name: _attribute(a) for a in node.attribute}
        if row is None and (body := _body(node, inputs, opset)) is not None:
            return self._function(node, body, inputs)
        if row is None:
            row = reference.row(node, opset)
        call = Call(node, opset, attributes, decisive=self.decisive)
        call.run = lambda graph, given=(): self._subgraph(graph, given, scope)
        return self._call(call, row, inputs)

    def _call(self, call: Call, row: Callable, inputs: list[Any]) -> list[Any]:
        call.known = [value.array if isinstance(value, Known) else None for value in inputs]
        call.origins = [value.origin if isinstance(value, Known) else frozenset() for value in inputs]
        graphs = any(isinstance(a, GraphProto) for a in call.attributes.values())
        if graphs:
            return _listed(row(call, *inputs))
        values = list(map(plain, inputs))
        of_shapes = call.node.op_type in OF_SHAPES
        ahead = all(value is None or (isinstance(value, Known) and value.fixed) for value in inputs)
        if (ahead or of_shapes) and not reference.is_random(call.node):
            origin = frozenset() if of_shapes else frozenset().union(*call.origins)
            with _disable_current_modes(), limits.counted():
                values = [value.real if isinstance(value, Known) else value for value in inputs]
                return [_known(value, origin) for value in _listed(row(call, *values))]
        made = _listed(row(call, *values))
        known = all(value is None or (isinstance(value, Known) and value.array.size <= FEW) for value in inputs)
        if not (known and inputs and torch.compiler.is_exporting()) or reference.is_random(call.node):
            return made
        # Made of small weights, bounds say: its numbers may decide how often a loop goes round.
        with _disable_current_modes(), limits.counted():
            values = [value.real if isinstance(value, Known) else value for value in inputs]
            numbers = list(map(reference.to_numpy, _listed(row(call, *values))))
        origin = frozenset().union(*call.origins)
        return [
            Known(array, tensor, fixed=False, origin=origin) if isinstance(tensor, torch.Tensor) else tensor
            for array, tensor in zip(numbers, made, strict=True)
        ]

    def _subgraph(self, graph: GraphProto, given: Sequence[Value], scope: dict[str, Any]) -> list[Value]:
        values = {item.name: value for item, value in zip(graph.input, given, strict=True)}
        return self.run(graph, {**initializers(graph), **values}, scope)

    def _function(self, node: NodeProto, function: FunctionProto, inputs: list[Any]) -> list[Any]:
        """A node that stands for several: its attributes go to those that refer to them."""
        given = {a.name: a for a in (*function.attribute_proto, *node.attribute)}
        padded = [*inputs, *[None] * (len(function.input) - len(inputs))]
        scope = dict(zip(function.input, padded, strict=False))
        opsets = self.opsets | {opset.domain: opset.version for opset in function.opset_import}
        self._nodes([_filled(inner, given) for inner in function.node], scope, opsets)
        return [scope.get(name) for name in function.output]


def initializers(graph: GraphProto) -> dict[str, Known]:
    """The constants of a subgraph."""
    found = {t.name: Known(onnx.numpy_helper.to_array(t)) for t in graph.initializer}
    return found | {s.values.name: Known(reference.dense(s)) for s in graph.sparse_initializer}


def _listed(made: Any) -> list[Any]:
    return list(made) if isinstance(made, tuple) else [made]


def _known(value: Value, origin: frozenset[str]) -> Any:
    if isinstance(value, torch.Tensor) and value.numel() <= KNOWN:
        return Known(reference.to_numpy(value), value, origin=origin)
    return Known(value, origin=origin) if isinstance(value, np.ndarray) else value


def _attribute(attribute: AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.STRING:
        return value.decode()
    return [item.decode() for item in value] if attribute.type == AttributeProto.STRINGS else value


def _filled(node: NodeProto, given: Mapping[str, AttributeProto]) -> NodeProto:
    """A node of a function, with the attributes that the function was called with."""
    if not any(attribute.ref_attr_name for attribute in node.attribute):
        return node
    made = NodeProto()
    made.CopyFrom(node)
    del made.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            made.attribute.append(attribute)
        elif attribute.ref_attr_name in given:
            filled = made.attribute.add()
            filled.CopyFrom(given[attribute.ref_attr_name])
            filled.name = attribute.name
    return made


def _body(node: NodeProto, inputs: list[Any], opset: int) -> FunctionProto | None:
    """What the standard says an operator is made of, if it does; with the defaults of its attributes."""
    says = schema(node.domain, node.op_type, opset)
    body = None if says is None else _body_of(says, node, inputs, opset)
    if body is not None:
        for name, attribute in says.attributes.items():
            if attribute.default_value.type:
                body.attribute_proto.add().CopyFrom(attribute.default_value)
                body.attribute_proto[-1].name = name
    return body


def _body_of(says: onnx.defs.OpSchema, node: NodeProto, inputs: list[Any], opset: int) -> FunctionProto | None:
    if says.has_function:
        versions = [version for version in says.function_opset_versions if version <= opset]
        return FunctionProto.FromString(says.get_function_with_opset_version(max(versions))) if versions else None
    if says.has_context_dependent_function:
        types = [reference.type_of(value) for value in inputs]
        versions = [version for version in says.context_dependent_function_opset_versions if version <= opset]
        if versions:
            return FunctionProto.FromString(
                says.get_context_dependent_function_with_opset_version(
                    max(versions), node.SerializeToString(), [t.SerializeToString() for t in types]
                )
            )
    return None
