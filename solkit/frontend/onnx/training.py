"""ONNX's Gradient: a part of the graph once more, differentiated by PyTorch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
import torch
from onnx import NodeProto

from solkit.errors import ModelError
from solkit.frontend.onnx.known import plain
from solkit.frontend.onnx.load import describe

Run = Callable[[Sequence[NodeProto], dict[str, Any]], None]


def is_gradient(node: NodeProto) -> bool:
    return (node.domain, node.op_type) == ("ai.onnx.preview.training", "Gradient")


def gradient(node: NodeProto, nodes: Sequence[NodeProto], scope: Mapping[str, Any], run: Run) -> list[torch.Tensor]:
    """The gradients of the sum of `y` with respect to each of `xs`, at the values that the node is given for `xs` and
    `zs`. Being differentiable themselves, they may be differentiated once more.

    Args:
        node: its attributes are names of tensors in its graph.
        nodes: of that graph.
        scope: values by name, as far as there are any.
        run: runs nodes, and adds what they make to a scope.
    Raises:
        ModelError: `y` is made by no node of the graph, or the number of inputs is not that of the names.
    """
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    xs, zs = ([name.decode() for name in attributes.get(key, ())] for key in ("xs", "zs"))
    y = attributes["y"].decode()
    if len(node.input) != len(xs) + len(zs):
        raise ModelError(f"{describe(node)} has {len(node.input)} inputs for {len(xs) + len(zs)} names in xs and zs")
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        given = [plain(scope[name]) for name in node.input]
        given[: len(xs)] = [x if x.requires_grad else x.detach().requires_grad_() for x in given[: len(xs)]]
        inner = {**scope, **dict(zip((*xs, *zs), given, strict=True))}
        run(_path(node, nodes, y, {*xs, *zs}), inner)
        result = plain(inner[y])
        made = torch.autograd.grad(
            result, given[: len(xs)], torch.ones_like(result), create_graph=again, allow_unused=True
        )
    return [torch.zeros_like(x) if grad is None else grad for x, grad in zip(given, made, strict=False)]


def _path(node: NodeProto, nodes: Sequence[NodeProto], y: str, cut: set[str]) -> list[NodeProto]:
    """The nodes between `cut` and `y`, in their order."""
    makers = {name: maker for maker in nodes for name in maker.output if name}
    if y not in makers:
        raise ModelError(f"{describe(node)} wants the gradient of {y!r}, which no node of its graph makes")
    wanted, found = [y], set()
    while wanted:
        name = wanted.pop()
        if name in cut or name not in makers or name in found:
            continue
        found.update(makers[name].output)
        wanted += makers[name].input
    return [maker for maker in nodes if found & set(maker.output)]
