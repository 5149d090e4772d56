"""ONNX operators on sequences that lie along an axis: turned round, or written into a cache."""

import torch

from solkit.frontend.onnx.table import Call, operator

Tensor = torch.Tensor


@operator("ReverseSequence")
def reverse_sequence(call: Call, x: Tensor, lengths: Tensor) -> Tensor:
    """The first `lengths` steps of each sample, last first."""
    time, batch = call.get("time_axis", 0), call.get("batch_axis", 1)
    step = torch.arange(x.shape[time])
    counts = lengths.reshape(-1, 1)
    places = torch.where(step < counts, counts - 1 - step, step)  # [batch, time]
    places = places if batch < time else places.transpose(0, 1)
    shape = [size if axis in (time, batch) else 1 for axis, size in enumerate(x.shape)]
    return x.gather(time, places.reshape(shape).expand(x.shape))


@operator("TensorScatter")
def tensor_scatter(call: Call, cache: Tensor, update: Tensor, first: Tensor | None = None) -> Tensor:
    """`update` written along an axis of the cache, from `first` [N] on, round and round if `circular`."""
    axis = call.get("axis", -2) % cache.dim()
    places = torch.arange(update.shape[axis]).reshape([-1 if i == axis else 1 for i in range(cache.dim())])
    if first is not None:
        places = places + first.reshape([-1, *[1] * (cache.dim() - 1)])
    if call.get("mode", "linear") == "circular":
        places = places % cache.shape[axis]
    return cache.scatter(axis, places.expand(update.shape), update)
