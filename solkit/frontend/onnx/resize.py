"""ONNX's Resize: each axis by itself, as a product with a matrix of weights that is known ahead.

Where PyTorch's interpolate means the same, it is that; a matrix for each axis covers every other mode.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from solkit.errors import ModelError
from solkit.frontend.onnx import limits
from solkit.frontend.onnx.load import describe
from solkit.frontend.onnx.table import Call, operator

Tensor = torch.Tensor
PYTHON_NUMBER = 32  # bytes
NEAREST: dict[str, Callable[[float], int]] = {
    "round_prefer_floor": lambda x: math.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: math.floor(x + 0.5),
    "floor": math.floor,
    "ceil": math.ceil,
}


@operator("Upsample")
def upsample(call: Call, x: Tensor, scales: Tensor | None = None) -> Tensor:
    """Resize as it was before opset 10."""
    given = [1.0, 1.0, call.get("height_scale"), call.get("width_scale")]  # of opset 1
    return _resize(call, x, call.ints("scales", 1, (x, scales), given), None, None, "asymmetric", "floor")


@operator("Resize", since=11)
def resize(call: Call, x: Tensor, roi: Any = None, scales: Any = None, sizes: Any = None) -> Tensor:
    scales = None if scales is None or not scales.numel() else call.numbers(2, scales)
    sizes = None if sizes is None or not sizes.numel() else call.numbers(3, sizes)
    where = call.get("coordinate_transformation_mode", "half_pixel")
    roi = call.numbers(1, roi) if where == "tf_crop_and_resize" else None
    return _resize(call, x, scales, sizes, roi, where, call.get("nearest_mode", "round_prefer_floor"))


@operator("Resize", since=10)
def resize_10(call: Call, x: Tensor, scales: Tensor) -> Tensor:
    return _resize(call, x, call.numbers(1, scales), None, None, "asymmetric", "floor")


def _resize(call: Call, x: Tensor, scales: Any, sizes: Any, roi: Any, where: str, rounding: str) -> Tensor:
    axes = [axis % x.dim() for axis in call.get("axes") or range(x.dim())]
    old = [x.shape[axis] for axis in axes]
    if sizes is not None:
        scales = [new / size for new, size in zip(sizes, old, strict=True)]
        policy = call.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            scale = min(scales) if policy == "not_larger" else max(scales)
            scales = [scale] * len(axes)
            sizes = [math.floor(scale * size + 0.5) for size in old]
    else:
        bounds = [(0.0, 1.0)] * len(axes) if roi is None else list(zip(roi[: len(axes)], roi[len(axes) :], strict=True))
        pairs = zip(old, scales, bounds, strict=True)
        sizes = [
            math.floor(size * scale * (end - start)) if roi else math.floor(size * scale)
            for size, scale, (start, end) in pairs
        ]
    if any(size < 1 for size in sizes) and x.numel():
        raise ModelError(f"{describe(call.node)} is to make {sizes} of {old}: a size below 1")
    fast = _by_pytorch(call, x, axes, scales, sizes, where, rounding)
    if fast is not None:
        return fast
    limits.check_size(
        [dict(zip(axes, sizes, strict=True)).get(axis, n) for axis, n in enumerate(x.shape)], x.dtype.itemsize
    )
    for new, size, scale in zip(sizes, old, scales, strict=True):
        reach = 1 / min(scale, 1.0) if call.get("antialias", 0) else 1
        limits.check_size([new, max(size, int(reach))], PYTHON_NUMBER)
    outside = call.get("extrapolation_value", 0.0)
    made, beyond = x, []
    for index, axis in enumerate(axes):
        bound = None if roi is None else (roi[index], roi[index + len(axes)])
        if sizes[index] == old[index] and scales[index] == 1 and bound is None:
            continue
        rows = [
            _weights(call, at, old[index], scales[index], sizes[index], where, rounding, bound)
            for at in range(sizes[index])
        ]
        made = _along(made, axis, [row or [0.0] * old[index] for row in rows])
        if any(row is None for row in rows):
            shape = [-1 if i == axis else 1 for i in range(x.dim())]
            beyond.append(torch.tensor([row is None for row in rows]).reshape(shape))
    for mask in beyond:
        made = torch.where(mask, torch.tensor(outside, dtype=made.dtype), made)
    return made


def _mode(call: Call) -> str:
    """nearest, linear or cubic; opset 1 called the second bilinear."""
    mode = call.get("mode", "nearest")
    return "linear" if mode == "bilinear" else mode


def _along(x: Tensor, axis: int, matrix: list[list[float]]) -> Tensor:
    """The product with `matrix` [new, old] along an axis; by picking rows where each is a single one."""
    if all(max(row) == 1 and row.count(0.0) == len(row) - 1 for row in matrix):
        return x.index_select(axis, torch.tensor([row.index(1.0) for row in matrix]))
    return torch.matmul(x.transpose(axis, -1), torch.tensor(matrix, dtype=x.dtype).T).transpose(axis, -1)


def _by_pytorch(call: Call, x: Tensor, axes: Any, scales: Any, sizes: Any, where: str, rounding: str) -> Tensor | None:
    """The same by F.interpolate, where there is one."""
    inner = list(range(2, x.dim()))
    moved = [axis for axis, size in zip(axes, sizes, strict=True) if size != x.shape[axis]]
    if x.dim() != 4 or not set(moved) <= set(inner) or call.get("antialias", 0) or x.dtype != torch.float32:
        return None
    new = [dict(zip(axes, sizes, strict=True)).get(axis, x.shape[axis]) for axis in inner]
    exact = all(s == n / x.shape[a] for a, s, n in zip(axes, scales, sizes, strict=True))
    mode = _mode(call)
    if mode == "linear" and exact and where in ("half_pixel", "align_corners"):
        return F.interpolate(x, new, mode="bilinear", align_corners=where == "align_corners")
    whole = all(n % x.shape[a] == 0 for a, n in zip(inner, new, strict=True))
    if mode == "nearest" and exact and whole and where == "asymmetric" and rounding == "floor":
        return F.interpolate(x, new, mode="nearest")
    return None


def _position(at: int, old: int, scale: float, new: int, where: str, bound: Any) -> float:
    """Where in the input the centre of output pixel `at` lies."""
    if where == "asymmetric":
        return at / scale
    if where == "align_corners":
        length = scale * old  # not rounded, as in onnx's reference
        return 0.0 if new == 1 or length == 1 else at * (old - 1) / (length - 1)
    if where == "pytorch_half_pixel":
        return -0.5 if new == 1 else (at + 0.5) / scale - 0.5
    if where == "half_pixel_symmetric":
        adjustment = new / (old * scale)
        return old / 2 * (1 - adjustment) + (at + 0.5) / scale - 0.5
    if where == "tf_crop_and_resize":
        start, end = bound
        if new == 1:
            return 0.5 * (start + end) * (old - 1)
        return start * (old - 1) + at * (end - start) * (old - 1) / (new - 1)
    return (at + 0.5) / scale - 0.5


def _weights(
    call: Call, at: int, old: int, scale: float, new: int, where: str, rounding: str, bound: Any
) -> list[float] | None:
    """What each input pixel counts for output pixel `at`; None if that lies outside of the input."""
    x = _position(at, old, scale, new, where, bound)
    if bound is not None and not 0 <= x <= old - 1:
        return None
    mode = _mode(call)
    if mode == "nearest":
        chosen = min(max(NEAREST[rounding](x), 0), old - 1)
        return [float(i == chosen) for i in range(old)]
    stretch = min(scale, 1.0) if call.get("antialias", 0) else 1.0
    reach = (1 if mode == "linear" else 2) / stretch
    curve = _linear if mode == "linear" else _cubic(call.get("cubic_coeff_a", -0.75))
    row = [0.0] * old
    total = 0.0
    for i in range(math.floor(x - reach), math.ceil(x + reach) + 1):
        weight = curve(abs(i - x) * stretch)
        if not 0 <= i < old and call.get("exclude_outside", 0):
            continue
        row[min(max(i, 0), old - 1)] += weight
        total += weight
    return [weight / total for weight in row]


def _linear(distance: float) -> float:
    return max(0.0, 1.0 - distance)


def _cubic(a: float) -> Callable[[float], float]:
    """Keys' kernel (IEEE Trans. ASSP 29, 1981)."""

    def curve(d: float) -> float:
        if d <= 1:
            return ((a + 2) * d - (a + 3)) * d * d + 1
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a if d < 2 else 0.0

    return curve
