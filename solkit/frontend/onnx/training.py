"""ONNX's operators for training: Gradient, a part of the graph once more, differentiated by PyTorch; and optimizers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
import torch
from onnx import NodeProto

from solkit.errors import ModelError
from solkit.frontend.onnx.known import plain
from solkit.frontend.onnx.load import describe
from solkit.frontend.onnx.table import Call, operator

Tensor = torch.Tensor
DOMAIN = "ai.onnx.preview.training"
Run = Callable[[Sequence[NodeProto], dict[str, Any]], None]


def is_gradient(node: NodeProto) -> bool:
    return (node.domain, node.op_type) == (DOMAIN, "Gradient")


def gradient(node: NodeProto, nodes: Sequence[NodeProto], scope: Mapping[str, Any], run: Run) -> list[Tensor]:
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


def _optimizer(name: str, step: Callable[..., tuple[Tensor, ...]]) -> None:
    """Enter an optimizer: the same step for each parameter. Inputs are rate and count of steps so far, then all
    parameters, all gradients, and each kind of state; outputs are parameters and states."""

    def row(call: Call, rate: Tensor, count: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        many = len(values) - call.outputs  # as many gradients as parameters; everything else is given back
        groups = [values[i : i + many] for i in range(0, len(values), many)]
        made = [step(call, rate, count, *each) for each in zip(*groups, strict=True)]
        return tuple(result for kind in zip(*made, strict=True) for result in kind)

    operator(name, domain=DOMAIN)(row)


def _adagrad(call: Call, rate: Tensor, count: Tensor, x: Tensor, grad: Tensor, squares: Tensor) -> tuple[Tensor, ...]:
    rate = rate / (1 + count * call.get("decay_factor", 0.0))
    grad = call.get("norm_coefficient", 0.0) * x + grad
    squares = squares + grad * grad
    return (x - rate * grad / (torch.sqrt(squares) + call.get("epsilon", 1e-6))).to(x.dtype), squares


def _adam(
    call: Call, rate: Tensor, count: Tensor, x: Tensor, grad: Tensor, mean: Tensor, squares: Tensor
) -> tuple[Tensor, ...]:
    alpha, beta = call.get("alpha", 0.9), call.get("beta", 0.999)
    grad = call.get("norm_coefficient", 0.0) * x + grad
    mean, squares = alpha * mean + (1 - alpha) * grad, beta * squares + (1 - beta) * (grad * grad)
    # Both begin at 0, which the first steps make up for.
    started = count.to(x.dtype).clamp(min=1)
    corrected = rate * torch.sqrt(1 - beta**started) / (1 - alpha**started)
    rate = torch.where(count > 0, corrected, rate)
    x = x - rate * mean / (torch.sqrt(squares) + call.get("epsilon", 1e-6))
    return ((1 - call.get("norm_coefficient_post", 0.0)) * x).to(grad.dtype), mean, squares


def _momentum(call: Call, rate: Tensor, count: Tensor, x: Tensor, grad: Tensor, speed: Tensor) -> tuple[Tensor, ...]:
    alpha, nesterov = call["alpha"], call["mode"] == "nesterov"
    grad = call["norm_coefficient"] * x + grad
    speed = alpha * speed + torch.where(count > 0, call["beta"], 1.0).to(x.dtype) * grad
    return (x - rate * (grad + alpha * speed if nesterov else speed)).to(x.dtype), speed


_optimizer("Adagrad", _adagrad)
_optimizer("Adam", _adam)
_optimizer("Momentum", _momentum)
