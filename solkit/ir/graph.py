"""Graph, node, value. A graph is functional: every value is made once, by one node, or comes in from outside."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from solkit.ir.types import PLAIN, Layout, TensorType


@dataclass(eq=False)
class Value:
    """One tensor of the graph. `producer` is None for an input, a parameter or a constant.

    home: where it lies in another value, and from which channel on: a part of a concatenation, written in place.
    varying: the dimensions whose size may be another one for the same code.
    """

    name: str
    type: TensorType
    producer: "Node | None" = None
    layout: Layout = PLAIN
    home: "tuple[Value, int] | None" = None
    varying: frozenset[int] = frozenset()

    @property
    def root(self) -> "tuple[Value, int]":
        """The value whose memory this one's is, and the channel at which it begins there."""
        value, channel = self, 0
        while value.home is not None:
            channel += value.home[1]
            value = value.home[0]
        return value, channel

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    def __repr__(self) -> str:
        return f"%{self.name} {self.type}"


@dataclass(eq=False)
class Node:
    """One operation.

    op: its name in the operator table.
    inputs, outputs: the values it reads and makes.
    attributes: everything else it needs, by PyTorch's argument names.
    layer: dotted name of the module it came from ("layer1.0.conv1"; "" is the model itself).
    """

    op: str
    inputs: list[Value]
    attributes: dict[str, Any] = field(default_factory=dict)
    layer: str = ""
    outputs: list[Value] = field(default_factory=list)

    @property
    def output(self) -> Value:
        """The only output."""
        (value,) = self.outputs
        return value

    def __repr__(self) -> str:
        made = ", ".join(map(repr, self.outputs))
        read = ", ".join(f"%{value.name}" for value in self.inputs)
        return f"{made} = {self.op}({read}){' # ' + self.layer if self.layer else ''}"


class Graph:
    """A whole model.

    inputs: tensors given at each call, in the order of the flattened call.
    parameters: by their PyTorch name, the parameters and buffers the model keeps; their content may change.
    constants: by name, tensors that are part of the program.
    nodes: in an order in which each comes after what it reads.
    outputs: what the call returns, flattened.
    """

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.parameters: dict[str, Value] = {}
        self.constants: dict[str, tuple[Value, torch.Tensor]] = {}
        self.nodes: list[Node] = []
        self.outputs: list[Value] = []
        self._names: set[str] = set()

    # -- building ---------------------------------------------------------------------------------------------------

    def value(self, name: str, type: TensorType, producer: Node | None = None) -> Value:
        """A new value, under this name or one with a number behind it if the name is taken."""
        unique, count = name, 1
        while unique in self._names:
            count += 1
            unique = f"{name}_{count}"
        self._names.add(unique)
        return Value(unique, type, producer)

    def input(self, name: str, type: TensorType) -> Value:
        self.inputs.append(self.value(name, type))
        return self.inputs[-1]

    def parameter(self, name: str, type: TensorType) -> Value:
        if name not in self.parameters:
            self.parameters[name] = self.value(name, type)
        return self.parameters[name]

    def constant(self, name: str, tensor: torch.Tensor) -> Value:
        value = self.value(name, TensorType(tuple(tensor.shape), tensor.dtype))
        self.constants[value.name] = (value, tensor)
        return value

    def node(
        self,
        op: str,
        inputs: Iterable[Value],
        types: Iterable[TensorType],
        attributes: dict[str, Any] | None = None,
        layer: str = "",
        name: str | None = None,
        before: Node | None = None,
    ) -> Node:
        """A new node at the end of the graph, or in front of the node `before`."""
        made = Node(op, list(inputs), dict(attributes or {}), layer)
        made.outputs = [self.value(name or op, type, made) for type in types]
        self.nodes.insert(len(self.nodes) if before is None else self.nodes.index(before), made)
        return made

    # -- asking -----------------------------------------------------------------------------------------------------

    def users(self) -> dict[Value, list[Node]]:
        """For each value the nodes that read it, one entry per use."""
        found: dict[Value, list[Node]] = {value: [] for value in self.values()}
        for node in self.nodes:
            for value in node.inputs:
                found[value].append(node)
        return found

    def only_reader(self, value: Value) -> Node | None:
        """The node that reads `value`, if one does, in one place, and the graph does not return it."""
        readers = [node for node in self.nodes for read in node.inputs if read is value]
        return readers[0] if len(readers) == 1 and value not in self.outputs else None

    def values(self) -> Iterator[Value]:
        yield from self.inputs
        yield from self.parameters.values()
        yield from (value for value, _ in self.constants.values())
        for node in self.nodes:
            yield from node.outputs

    def weight_values(self) -> set[Value]:
        """Values that depend on parameters and constants alone: computed when weights change, not at each call. A move
        between layouts is left to the kernel that knows them."""
        known = set(self.parameters.values()) | {value for value, _ in self.constants.values()}
        for node in self.nodes:
            fixed = node.op != "reorder" and not node.attributes.get("random")
            if fixed and all(value in known for value in node.inputs):
                known.update(node.outputs)
        return known

    # -- changing ---------------------------------------------------------------------------------------------------

    def replace(self, old: Value, new: Value) -> None:
        """Let every reader of `old` read `new`."""
        for node in self.nodes:
            node.inputs = [new if value is old else value for value in node.inputs]
        self.outputs = [new if value is old else value for value in self.outputs]

    def __str__(self) -> str:
        lines = [f"{value!r} = input" for value in self.inputs]
        lines += map(repr, self.nodes)
        return "\n".join([*lines, "return " + ", ".join(f"%{value.name}" for value in self.outputs)])
