"""Every operator in PyTorch: runs a graph, or one node of it, at any floating-point precision.

Weights are computed here when they change, and every pass and kernel is checked against it.
"""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.utils import _pytree as pytree

from solkit.ir import Graph, Node, Value
from solkit.ir.serialize import Ref
from solkit.ops import TABLE

CALLS = ("torch", "typed")  # nodes that stand for an ATen overload


def run_node(node: Node, inputs: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """One node on these tensors; as many results as it has outputs."""
    inputs = list(inputs)
    if node.op not in CALLS:
        return [TABLE[node.op].reference(inputs, node.attributes)]
    args, kwargs = pytree.tree_map_only(
        Ref, lambda ref: inputs[ref], (node.attributes["args"], node.attributes["kwargs"])
    )
    # The graph already holds the conversions that autocast, if it was on, made when the graph was captured.
    autocast = torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu", enabled=False) if autocast else contextlib.nullcontext():
        made = overload(node.attributes["target"])(*args, **kwargs)
    return list(made) if node.attributes["several"] else [made]


def overload(name: str) -> Any:
    """The ATen overload called "namespace.operator.overload"."""
    found = torch.ops
    for part in name.split("."):
        found = getattr(found, part)
    return found


def evaluate(nodes: Iterable[Node], known: dict[Value, torch.Tensor], dtype: torch.dtype | None) -> None:
    """Run `nodes` in order, adding what they make to `known`. Floating-point tensors are taken to `dtype` first; with
    None, each to the one it has in the graph."""
    for node in nodes:
        inputs = [_at(known[value], dtype or value.type.dtype) for value in node.inputs]
        known.update(zip(node.outputs, run_node(node, inputs), strict=True))


def _at(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def run(
    graph: Graph,
    inputs: Iterable[torch.Tensor],
    parameters: Mapping[str, torch.Tensor],
    dtype: torch.dtype | None = torch.float64,
) -> list[torch.Tensor]:
    """The whole graph, floating point at `dtype`; with None, at what each value has."""
    known: dict[Value, torch.Tensor] = dict(zip(graph.inputs, inputs, strict=True))
    known.update({value: parameters[name] for name, value in graph.parameters.items()})
    known.update(dict(graph.constants.values()))
    with torch.no_grad():
        evaluate(graph.nodes, known, dtype)
    return [known[value] for value in graph.outputs]
