"""ONNX operators over whole rows: sums and the like, norms, softmax, sorting."""

from collections.abc import Callable
from typing import Any

import torch

from solkit.frontend.onnx.table import Call, operator

Tensor = torch.Tensor


def _prod(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _extreme(lowest: bool) -> Callable[[Tensor, list[int], bool], Tensor]:
    def function(x: Tensor, axes: list[int], keep: bool) -> Tensor:
        if x.numel():
            return x.amin(axes, keep) if lowest else x.amax(axes, keep)
        bounds = torch.finfo(x.dtype) if x.is_floating_point() else None
        if bounds is not None:  # of nothing
            fill = float("inf") if lowest else float("-inf")
        elif x.dtype == torch.bool:
            fill = lowest
        else:
            fill = torch.iinfo(x.dtype).max if lowest else torch.iinfo(x.dtype).min
        return torch.full_like(x.sum(axes, keep, dtype=x.dtype), fill)

    return function


REDUCE: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keep, dtype=x.dtype),
    "ReduceL2": lambda x, axes, keep: (
        (x * x).sum(axes, keep).to(torch.float64).sqrt().to(x.dtype)
        if not x.is_floating_point()
        else (x * x).sum(axes, keep).sqrt()
    ),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, axes, keep),
    "ReduceMax": _extreme(lowest=False),
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keep),
    "ReduceMin": _extreme(lowest=True),
    "ReduceProd": _prod,
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keep, dtype=x.dtype),
    "ReduceSumSquare": lambda x, axes, keep: (x * x).sum(axes, keep, dtype=x.dtype),
}


def _reduce(function: Callable[[Tensor, list[int], bool], Tensor]) -> Any:
    def row(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
        """No axes mean all of them, or with `noop_with_empty_axes` each element by itself."""
        chosen = call.ints("axes", 1, (x, axes))
        if not chosen:
            if call.get("noop_with_empty_axes", 0):
                return function(x.unsqueeze(-1), [-1], False)
            chosen = list(range(x.dim()))
        return function(x, chosen, bool(call.get("keepdims", 1))) if x.dim() else function(x.reshape(1), [0], False)

    return row


for _name, _function in REDUCE.items():
    operator(_name)(_reduce(_function))


@operator("ArgMax", "ArgMin")
def arg_extreme(call: Call, x: Tensor) -> Tensor:
    axis, keep = call.get("axis", 0), bool(call.get("keepdims", 1))
    function = torch.argmax if call.node.op_type == "ArgMax" else torch.argmin
    if call.get("select_last_index", 0):
        return x.shape[axis] - 1 - function(x.flip(axis), axis, keep)
    return function(x, axis, keep)


@operator("CumSum")
def cum_sum(call: Call, x: Tensor, axis: Tensor) -> Tensor:
    return _along(call, x, int(call.numbers(1, axis)[0]), lambda y, a: y.cumsum(a).to(y.dtype), 0)


@operator("CumProd")
def cum_prod(call: Call, x: Tensor, axis: Tensor) -> Tensor:
    return _along(call, x, int(call.numbers(1, axis)[0]), lambda y, a: y.cumprod(a).to(y.dtype), 1)


def _along(call: Call, x: Tensor, axis: int, function: Callable[[Tensor, int], Tensor], neutral: int) -> Tensor:
    """Running sums or products: `exclusive` begins with the neutral element and leaves out the last."""
    if call.get("reverse", 0):
        x = x.flip(axis)
    if call.get("exclusive", 0):
        first = torch.full_like(x.narrow(axis, 0, 1), neutral)
        x = torch.cat([first, x.narrow(axis, 0, x.shape[axis] - 1)], axis)
    x = function(x, axis)
    return x.flip(axis) if call.get("reverse", 0) else x


@operator("TopK")
def top_k(call: Call, x: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Of equal elements the first comes first, as in a stable sort."""
    axis, (k,) = call.get("axis", -1), call.ints("k", 1, (x, count), [call.get("k", 1)])
    values, indices = torch.sort(x, dim=axis, descending=bool(call.get("largest", 1)), stable=True)
    return values.narrow(axis, 0, k), indices.narrow(axis, 0, k)


# -- softmax and norms ----------------------------------------------------------------------------------------------


def _as_rows(call: Call, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Before opset 13, what stands behind the axis is one row."""
    axis = call.get("axis", 1)
    axis += x.dim() if axis < 0 else 0
    return function(x.reshape([*x.shape[:axis], -1])).reshape(x.shape)


def _one_hot_of_largest(x: Tensor, axis: int) -> Tensor:
    numbers = torch.arange(x.shape[axis]).reshape([-1 if i == axis % x.dim() else 1 for i in range(x.dim())])
    return (numbers == x.argmax(axis, keepdim=True)).to(x.dtype)


def _enter_softmax(name: str, function: Callable[[Tensor, int], Tensor]) -> None:
    operator(name, since=13)(lambda call, x: function(x, call.get("axis", -1)))
    operator(name)(lambda call, x: _as_rows(call, x, lambda rows: function(rows, -1)))


_enter_softmax("Softmax", torch.softmax)
_enter_softmax("LogSoftmax", torch.log_softmax)
_enter_softmax("Hardmax", _one_hot_of_largest)


@operator("LpNormalization")
def lp_normalization(call: Call, x: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(x, call.get("p", 2), call.get("axis", -1), keepdim=True)
    return torch.where(norm == 0, torch.zeros_like(x), x / norm)


@operator("BatchNormalization")
def batch_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Any:
    """In training the statistics are those of the batch, and new running ones are given back; before opset 14 they
    are asked for by wanting more outputs, the last two the statistics of the batch. With `spatial` 0, which ended with
    opset 9, each place has its own."""
    epsilon, momentum = call.get("epsilon", 1e-5), call.get("momentum", 0.9)
    spatial = bool(call.get("spatial", 1))
    training = call.get("training_mode", 0) if call.opset >= 14 else call.outputs > 1 and not call.get("is_test", 0)
    if not training and spatial:
        return torch.nn.functional.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)
    axes = [axis for axis in range(x.dim()) if axis != 1] if spatial else [0]
    shape = [-1 if axis == 1 else 1 for axis in range(x.dim())] if spatial else list(x.shape[1:])
    now, spread = (x.mean(axes), x.var(axes, correction=0)) if training else (mean, var)
    y = (x - now.reshape(shape)) / torch.sqrt(spread.reshape(shape) + epsilon) * scale.reshape(shape)
    running = (old * momentum + new * (1 - momentum) for old, new in ((mean, now), (var, spread)))
    made = (y + bias.reshape(shape), *running, now, spread)[: call.outputs]
    return made if len(made) > 1 else made[0]


@operator("InstanceNormalization")
def instance_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return torch.nn.functional.instance_norm(x, weight=scale, bias=bias, eps=call.get("epsilon", 1e-5))


@operator("GroupNormalization", since=21)
def group_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return torch.nn.functional.group_norm(x, call["num_groups"], scale, bias, call.get("epsilon", 1e-5))


@operator("GroupNormalization", since=18)
def group_normalization_18(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """A scale and a bias for each group."""
    times = x.shape[1] // call["num_groups"]
    return group_normalization(call, x, scale.repeat_interleave(times), bias.repeat_interleave(times))


@operator("LayerNormalization")
def layer_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
    axis = call.get("axis", -1) % x.dim()
    epsilon = call.get("epsilon", 1e-5)
    if call.outputs == 1 and scale.shape == x.shape[axis:]:
        return torch.nn.functional.layer_norm(x, x.shape[axis:], scale, bias, epsilon)
    axes = list(range(axis, x.dim()))
    mean = x.mean(axes, keepdim=True)
    inverse = torch.rsqrt(x.var(axes, correction=0, keepdim=True) + epsilon)
    y = (x - mean) * inverse * scale
    return (y if bias is None else y + bias, mean, inverse)[: call.outputs]


@operator("RMSNormalization", since=23)
def rms_normalization(call: Call, x: Tensor, scale: Tensor) -> Tensor:
    axes = list(range(call.get("axis", -1) % x.dim(), x.dim()))
    return x * torch.rsqrt((x * x).mean(axes, keepdim=True) + call.get("epsilon", 1e-5)) * scale


@operator("MeanVarianceNormalization")
def mean_variance_normalization(call: Call, x: Tensor) -> Tensor:
    axes = call.get("axes", [0, 2, 3])
    centred = x - x.mean(axes, keepdim=True)
    return centred / (torch.sqrt((centred * centred).mean(axes, keepdim=True)) + 1e-9)


@operator("LRN")
def lrn(call: Call, x: Tensor) -> Tensor:
    """Windows of an even size reach one further to the back (the formula of the standard)."""
    size = call["size"]
    squares = (
        torch.nn.functional.pad((x * x).transpose(1, -1), ((size - 1) // 2, size // 2)).unfold(-1, size, 1).sum(-1)
    )
    scale = call.get("bias", 1.0) + call.get("alpha", 1e-4) / size * squares.transpose(1, -1)
    return x / scale ** call.get("beta", 0.75)
