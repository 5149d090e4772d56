"""ONNX operators that move, cut, join and make tensors."""

from math import prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from solkit.errors import ModelError
from solkit.frontend.onnx import limits
from solkit.frontend.onnx.load import describe
from solkit.frontend.onnx.table import TORCH, Call, operator

Tensor = torch.Tensor


def _affordable(call: Call, shape: list[int], dtype: torch.dtype) -> list[int]:
    """`shape`, if there may be a tensor of it.

    Raises:
        ModelError: it has negative sizes.
        TooLarge: it takes more bytes than `limits.LIMITS` allows.
    """
    if any(size < 0 for size in shape):
        raise ModelError(f"{describe(call.node)} is to make a tensor of the shape {shape}")
    limits.check_size(shape, dtype.itemsize)
    return shape


def _axes(axes: list[int], rank: int) -> list[int]:
    return [axis % rank if rank else 0 for axis in axes]


# -- shapes ---------------------------------------------------------------------------------------------------------


@operator("Shape")
def shape(call: Call, x: Tensor) -> Tensor:
    return torch.tensor(list(x.shape)[slice(call.get("start", 0), call.get("end"))], dtype=torch.int64)


@operator("Size")
def size(call: Call, x: Tensor) -> Tensor:
    return torch.tensor(prod(x.shape), dtype=torch.int64)


@operator("Reshape")
def reshape(call: Call, x: Tensor, wanted: Tensor | None = None) -> Tensor:
    """0 is the input's own size, unless `allowzero`; -1 what is left."""
    sizes = call.ints("shape", 1, (x, wanted))
    if not call.get("allowzero", 0):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


@operator("Flatten")
def flatten(call: Call, x: Tensor) -> Tensor:
    axis = call.get("axis", 1)
    axis += x.dim() if axis < 0 else 0
    return x.reshape(prod(x.shape[:axis]), -1 if x.numel() else prod(x.shape[axis:]))


@operator("Squeeze")
def squeeze(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
    axes = call.ints("axes", 1, (x, axes))
    if axes is None:
        return x.squeeze()
    axes = _axes(axes, x.dim())
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in axes])


@operator("Unsqueeze")
def unsqueeze(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
    axes = call.ints("axes", 1, (x, axes))
    for axis in sorted(_axes(axes, x.dim() + len(axes))):
        x = x.unsqueeze(axis)
    return x


@operator("Transpose")
def transpose(call: Call, x: Tensor) -> Tensor:
    return x.permute(call.get("perm", list(range(x.dim()))[::-1]))


@operator("DepthToSpace")
def depth_to_space(call: Call, x: Tensor) -> Tensor:
    block = call["blocksize"]
    if call.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    n, c, h, w = x.shape
    x = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // block**2, h * block, w * block)


@operator("SpaceToDepth")
def space_to_depth(call: Call, x: Tensor) -> Tensor:
    block = call["blocksize"]
    n, c, h, w = x.shape
    order = (0, 1, 3, 5, 2, 4) if call.get("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    x = x.reshape(n, c, h // block, block, w // block, block).permute(order)
    return x.reshape(n, c * block**2, h // block, w // block)


# -- parts ----------------------------------------------------------------------------------------------------------


@operator("Slice")
def slice_(call: Call, x: Tensor, *numbers: Tensor) -> Tensor:
    given = (x, *numbers)
    starts, ends = call.ints("starts", 1, given), call.ints("ends", 2, given)
    axes = call.ints("axes", 3, given, list(range(len(starts))))
    steps = call.ints("steps", 4, given, [1] * len(starts))
    index: list[Any] = [slice(None)] * x.dim()
    backwards = []
    for start, end, axis, step in zip(starts, ends, _axes(axes, x.dim()), steps, strict=True):
        wanted = range(x.shape[axis])[_slice(start, end, step)]
        if step < 0:  # PyTorch steps forwards only
            backwards.append(axis)
            wanted = wanted[::-1]
        index[axis] = slice(wanted.start, wanted.stop, wanted.step) if len(wanted) else slice(0, 0)
    x = x[tuple(index)]
    return x.flip(backwards) if backwards else x


def _slice(start: int, end: int, step: int) -> slice:
    """Python's slice; ONNX's lowest numbers mean "to the very beginning"."""
    return slice(start, None if step < 0 and end <= -(2**31) else end, step)


@operator("Split")
def split(call: Call, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = call.get("axis", 0)
    sizes = call.ints("split", 1, (x, sizes))
    if sizes is None:
        count = call.get("num_outputs", call.outputs)
        limits.check_count(count)
        piece = -(-x.shape[axis] // count)
        sizes = [max(0, min(piece, x.shape[axis] - i * piece)) for i in range(count)]
    return tuple(x.split(sizes, axis))


@operator("Concat")
def concat(call: Call, *parts: Tensor) -> Tensor:
    return torch.cat(parts, call.get("axis", 1) if call.opset < 4 else call["axis"])


@operator("Gather")
def gather(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    axis = call.get("axis", 0) % max(1, x.dim())
    rows = x.index_select(axis, _forward(indices, x.shape[axis]).reshape(-1))
    return rows.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def _forward(indices: Tensor, size: int) -> Tensor:
    """Indices counted from the end, counted from the beginning."""
    indices = indices.to(torch.int64)
    return torch.where(indices < 0, indices + size, indices)


@operator("GatherElements")
def gather_elements(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    axis = call.get("axis", 0)
    return x.gather(axis, _forward(indices, x.shape[axis]))


@operator("GatherND")
def gather_nd(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    batch, depth = call.get("batch_dims", 0), indices.shape[-1]
    lead = list(x.shape[:batch])
    rows = x.reshape(prod(lead), *x.shape[batch:])
    flat = indices.to(torch.int64).reshape(prod(lead), -1, depth)
    number = torch.arange(prod(lead)).reshape(-1, 1).expand(flat.shape[:2])
    made = rows[(number, *flat.unbind(-1))]
    return made.reshape([*lead, *indices.shape[batch:-1], *x.shape[batch + depth :]])


REDUCE = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@operator("ScatterElements", "Scatter")
def scatter_elements(call: Call, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    axis, how = call.get("axis", 0), call.get("reduction", "none")
    indices = _forward(indices, x.shape[axis])
    if how == "none":
        return x.scatter(axis, indices, updates)
    return x.scatter_reduce(axis, indices, updates, REDUCE[how])


@operator("ScatterND")
def scatter_nd(call: Call, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    how, depth = call.get("reduction", "none"), indices.shape[-1]
    inner = prod(x.shape[depth:])
    strides = [prod(x.shape[i + 1 : depth]) for i in range(depth)]
    parts = (_forward(index, size) for index, size in zip(indices.unbind(-1), x.shape, strict=False))
    row = sum(part * stride for part, stride in zip(parts, strides, strict=True)).reshape(-1, 1)
    places = (row * inner + torch.arange(inner)).reshape(-1)
    flat, new = x.reshape(-1), updates.reshape(-1)
    made = flat.scatter(0, places, new) if how == "none" else flat.scatter_reduce(0, places, new, REDUCE[how])
    return made.reshape(x.shape)


# -- larger ---------------------------------------------------------------------------------------------------------


@operator("Expand")
def expand(call: Call, x: Tensor, wanted: Tensor) -> Tensor:
    shape = list(torch.broadcast_shapes(x.shape, call.numbers(1, wanted)))
    return x.expand(_affordable(call, shape, x.dtype))


@operator("Tile", since=6)
def tile(call: Call, x: Tensor, repeats: Tensor) -> Tensor:
    times = call.numbers(1, repeats)
    _affordable(call, [size * count for size, count in zip(x.shape, times, strict=True)], x.dtype)
    return x.repeat(times) if times else x


@operator("Tile")
def tile_1(call: Call, x: Tensor, count: Tensor, axis: Tensor) -> Tensor:
    """One axis, given as an input."""
    times, chosen = int(call.numbers(1, count)[0]), int(call.numbers(2, axis)[0])
    shape = [size * (times if i == chosen % x.dim() else 1) for i, size in enumerate(x.shape)]
    _affordable(call, shape, x.dtype)
    return x.repeat([times if i == chosen % x.dim() else 1 for i in range(x.dim())])


@operator("Pad")
def pad(call: Call, x: Tensor, pads: Tensor | None = None, value: Tensor | None = None, axes: Any = None) -> Tensor:
    given = (x, pads, value, axes)
    widths, mode = call.ints("pads", 1, given, call.get("paddings")), call.get("mode", "constant")
    axes = _axes(call.ints("axes", 3, given, list(range(x.dim()))), x.dim())
    before, after = widths[: len(axes)], widths[len(axes) :]
    sizes = dict(zip(axes, zip(before, after, strict=True), strict=True))
    _affordable(call, [max(0, n) + sum(sizes.get(axis, (0, 0))) for axis, n in enumerate(x.shape)], x.dtype)
    if mode == "constant":
        fill = call.get("value", 0.0) if value is None else call.numbers(2, value)[0]
        flat = [width for axis in reversed(range(x.dim())) for width in sizes.get(axis, (0, 0))]
        return F.pad(x, flat, value=fill)
    for axis, (low, high) in sizes.items():  # an axis at a time: PyTorch pads the last three only, and no whole numbers
        _affordable(call, [x.shape[axis] + low + high], torch.int64)
        x = x.index_select(axis, torch.from_numpy(_places(x.shape[axis], low, high, mode)))
    return x


def _places(size: int, low: int, high: int, mode: str) -> np.ndarray:
    """Which row of the input each row of the padded tensor is."""
    places = np.arange(-low, size + high, dtype=np.int64)
    if mode == "wrap":
        return places % size
    if mode == "edge":
        return places.clip(0, size - 1)
    period = max(1, 2 * (size - 1))
    return np.minimum(places % period, period - places % period)


# -- made anew ------------------------------------------------------------------------------------------------------


@operator("Constant")
def constant(call: Call) -> Any:
    from solkit.frontend.onnx import reference

    if "value_string" in call.attributes or "value_strings" in call.attributes:
        strings = call.get("value_strings", call.get("value_string"))
        return np.array(strings, dtype=object)
    for name, kind in (("float", torch.float32), ("int", torch.int64)):
        found = call.get(f"value_{name}", call.get(f"value_{name}s"))
        if found is not None:
            return torch.tensor(found, dtype=kind)
    return reference.constant(call)


@operator("ConstantOfShape")
def constant_of_shape(call: Call, sizes: Tensor) -> Tensor:
    from solkit.frontend.onnx import reference

    fill = reference.constant(call) if "value" in call.attributes else torch.zeros(1)
    shape = _affordable(call, call.numbers(0, sizes), fill.dtype)
    return torch.full(shape, fill.reshape(-1)[0].item(), dtype=fill.dtype)


@operator("Range")
def range_(call: Call, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    first, end, step = (call.numbers(i, value)[0] for i, value in enumerate((start, limit, delta)))
    count = max(0, int(np.ceil((end - first) / step)))
    _affordable(call, [count], start.dtype)
    return (first + step * torch.arange(count)).to(start.dtype)


@operator("EyeLike")
def eye_like(call: Call, x: Tensor) -> Tensor:
    dtype = TORCH[call["dtype"]] if "dtype" in call.attributes else x.dtype
    rows, columns = (torch.arange(size) for size in x.shape)
    return (columns == rows.reshape(-1, 1) + call.get("k", 0)).to(dtype)


@operator("Trilu", since=14)
def trilu(call: Call, x: Tensor, k: Tensor | None = None) -> Tensor:
    diagonal = 0 if k is None else int(call.numbers(1, k)[0])
    return x.triu(diagonal) if call.get("upper", 1) else x.tril(diagonal)


@operator("OneHot", since=9)
def one_hot(call: Call, indices: Tensor, depth: Tensor, values: Tensor) -> Tensor:
    """Indices that lie outside of -depth to depth - 1 are nowhere on."""
    axis, count = call.get("axis", -1), int(call.numbers(1, depth)[0])
    _affordable(call, [*indices.shape, count], values.dtype)
    axis += indices.dim() + 1 if axis < 0 else 0
    wanted = _forward(indices, count).unsqueeze(axis)
    numbers = torch.arange(count).reshape([count if i == axis else 1 for i in range(indices.dim() + 1)])
    return torch.where(wanted == numbers, values[1], values[0])
