"""A call of an ATen overload, as the emitters see it: arguments by name, tensors as values of the graph."""

from collections.abc import Sequence
from typing import Any

from torch.utils import _pytree as pytree

from solkit.ir import Node, Value
from solkit.ir.serialize import Ref
from solkit.reference import overload


class Unsupported(Exception):
    """There is no kernel for this call: PyTorch runs it. Never seen outside of code generation."""


class Call:
    """The call a `torch` or `typed` node stands for.

    Attributes:
        node: the node; `name`: the full name of the ATen overload.
        arguments: by the names of the ATen schema, defaults filled in; tensors are `Value`s.
        outputs: what the node makes.
    """

    def __init__(self, node: Node) -> None:
        self.node, self.name, self.outputs = node, node.attributes["target"], node.outputs
        args, kwargs = pytree.tree_map_only(
            Ref, lambda ref: node.inputs[ref], (node.attributes["args"], node.attributes["kwargs"])
        )
        self.arguments: dict[str, Any] = {}
        for position, argument in enumerate(overload(self.name)._schema.arguments):
            if position < len(args):
                self.arguments[argument.name] = args[position]
            elif argument.name in kwargs:
                self.arguments[argument.name] = kwargs[argument.name]
            else:
                self.arguments[argument.name] = argument.default_value if argument.has_default_value() else None

    @property
    def output(self) -> Value:
        """The only output."""
        (value,) = self.outputs
        return value

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument the overload may not have, or that is None."""
        value = self.arguments.get(name)
        return default if value is None else value

    def tensor(self, *names: str) -> Value:
        """The tensor that goes by the first of these names.

        Raises:
            Unsupported: there is none.
        """
        for name in names:
            if isinstance(self.arguments.get(name), Value):
                return self.arguments[name]
        raise Unsupported(f"{self.name} has no tensor {names[0]!r}")

    def tensors(self, name: str) -> list[Value]:
        """A list of tensors."""
        return [self.need(isinstance(item, Value), item) for item in self.arguments[name]]

    @staticmethod
    def need(holds: bool, result: Any = None) -> Any:
        """`result`, where something holds that the kernel counts on.

        Raises:
            Unsupported: it does not.
        """
        if not holds:
            raise Unsupported
        return result

    def dims(self, given: Any, rank: int) -> list[int]:
        """Dimensions, counted from the front, in order; all of them for None and the empty list."""
        dims = [given] if isinstance(given, int) else list(given or ()) or list(range(rank))
        return sorted({dim % max(rank, 1) for dim in dims}) if rank else []


def per_dim(given: Any, rank: int) -> list[int]:
    """PyTorch's "a number, or one for each dimension" as one for each."""
    items: Sequence[int] = [given] if isinstance(given, int) else list(given)
    return list(items) * rank if len(items) == 1 else list(items)
