"""Nodes that stand for no call of PyTorch's, but for a part of one."""

from typing import TYPE_CHECKING, Any

from solkit.ir import Value
from solkit.ops import TABLE

if TYPE_CHECKING:
    from solkit.frontend.torch import _Importer


def build(importer: "_Importer", op: str, inputs: list[Value], attributes: dict[str, Any], name: str) -> Value:
    """What a new node at the end of the graph makes; its type is what the operator's shape rule gives."""
    kind = TABLE[op].infer([value.type for value in inputs], attributes)
    return importer.graph.node(op, inputs, [kind], attributes, importer.layer, name).output


def reshaped(importer: "_Importer", value: Value, shape: tuple[int, ...]) -> Value:
    """`value` under another shape of the same size."""
    return build(importer, "reshape", [value], {"shape": tuple(shape)}, value.name)
