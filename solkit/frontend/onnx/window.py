"""ONNX operators with a sliding window: convolution and pooling, in one to three dimensions; and resizing."""

from math import prod
from typing import Any

import torch
import torch.nn.functional as F

from solkit.errors import ModelError
from solkit.frontend.onnx.load import describe
from solkit.frontend.onnx.table import Call, operator

Tensor = torch.Tensor
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


class Window:
    """The attributes that all of them share, with their defaults filled in.

    Attributes:
        before, after: padding of each dimension.
        ceil: added behind the padding where `ceil_mode` lets the last window stand over.
    """

    def __init__(self, call: Call, x: Tensor, kernel: list[int]) -> None:
        rank = x.dim() - 2
        if rank not in CONV:
            raise ModelError(f"{describe(call.node)} has {rank} dimensions beside batch and channels; 1 to 3 are known")
        self.kernel, self.rank = list(kernel), rank
        self.stride = call.get("strides") or [1] * rank
        self.dilation = call.get("dilations") or [1] * rank
        pads = call.get("pads") or [0] * (2 * rank)
        self.before, self.after = pads[:rank], pads[rank:]
        span = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        auto = call.get("auto_pad", "NOTSET")
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            whole = [
                max(0, (-(-size // s) - 1) * s + w - size)
                for size, s, w in zip(x.shape[2:], self.stride, span, strict=True)
            ]
            low = [width // 2 if auto == "SAME_UPPER" else -(-width // 2) for width in whole]
            self.before, self.after = low, [width - first for width, first in zip(whole, low, strict=True)]
        self.ceil = [0] * rank
        if call.get("ceil_mode", 0):
            for i, (size, s, w) in enumerate(zip(x.shape[2:], self.stride, span, strict=True)):
                padded = size + self.before[i] + self.after[i]
                positions = -(-(padded - w) // s) + 1
                if (positions - 1) * s >= size + self.before[i]:  # it would begin in the padding
                    positions -= 1
                self.ceil[i] = max(0, (positions - 1) * s + w - padded)

    @property
    def even(self) -> bool:
        """Whether PyTorch's own padding does."""
        return self.before == self.after and not any(self.ceil)

    def pad(self, x: Tensor, fill: float, ceil: bool = True) -> Tensor:
        """`x` with the padding around it."""
        more = self.ceil if ceil else [0] * self.rank
        widths = [w for low, high, c in zip(self.before, self.after, more, strict=True) for w in (high + c, low)]
        return F.pad(x, widths[::-1], value=fill) if any(widths) else x


@operator("Conv")
def conv(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    window = Window(call, x, list(weight.shape[2:]))
    padding = window.before if window.even else 0
    x = x if window.even else window.pad(x, 0.0)
    return CONV[window.rank](x, weight, bias, window.stride, padding, window.dilation, call.get("group", 1))


@operator("ConvTranspose")
def conv_transpose(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`output_shape` and `auto_pad` say how much is cut from the full result."""
    window = Window(call, x, list(weight.shape[2:]))
    more = call.get("output_padding") or [0] * window.rank
    shape, auto = call.get("output_shape"), call.get("auto_pad", "NOTSET")
    made = CONV_TRANSPOSE[window.rank](x, weight, bias, window.stride, 0, 0, call.get("group", 1), window.dilation)
    full = list(made.shape[2:])
    cut = [(low, high - extra) for low, high, extra in zip(window.before, window.after, more, strict=True)]
    if shape is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        shape = [size * s for size, s in zip(x.shape[2:], window.stride, strict=True)]
    if shape is not None:
        totals = [size + extra - wanted for size, extra, wanted in zip(full, more, shape[-window.rank :], strict=True)]
        lows = [t // 2 if auto == "SAME_UPPER" else t - t // 2 for t in totals]
        cut = [(low, t - low - extra) for low, t, extra in zip(lows, totals, more, strict=True)]
    elif auto == "VALID":
        cut = [(0, -extra) for extra in more]
    widths = [-width for low, high in cut for width in (high, low)]
    grown = F.pad(made, widths[::-1]) if any(widths) else made
    if bias is not None and any(width > 0 for width in widths):  # new places get the bias alone
        fresh = F.pad(torch.zeros_like(made), widths[::-1], value=1.0)
        grown = grown + fresh * bias.reshape(1, -1, *[1] * window.rank)
    return grown


@operator("MaxPool")
def max_pool(call: Call, x: Tensor) -> Any:
    window = Window(call, x, call["kernel_shape"])
    real = x if x.is_floating_point() else x.to(torch.float32)
    padded = window.pad(real, float("-inf")) if not _fits(window) else real
    padding = 0 if padded is not real else window.before
    arguments = (window.kernel, window.stride, padding, window.dilation)
    if call.outputs == 1:
        return MAX_POOL[window.rank](padded, *arguments).to(x.dtype)
    made, places = MAX_POOL[window.rank](padded, *arguments, return_indices=True)
    return made.to(x.dtype), _flat_places(call, x, list(padded.shape[2:]), window, places)


def _fits(window: Window) -> bool:
    """Whether PyTorch pads like this by itself: as much on both sides, at most half a window."""
    return window.even and all(2 * low <= k for low, k in zip(window.before, window.kernel, strict=True))


def _flat_places(call: Call, x: Tensor, padded: list[int], window: Window, places: Tensor) -> Tensor:
    """PyTorch counts within a plane, ONNX within the whole tensor; with `storage_order` 1 columns come first."""
    before = window.before if padded != list(x.shape[2:]) else [0] * window.rank
    coordinates = []
    for axis in reversed(range(window.rank)):
        coordinates.append(places % padded[axis] - before[axis])
        places = torch.div(places, padded[axis], rounding_mode="floor")
    coordinates = coordinates[::-1]
    sizes = list(x.shape[2:])
    if call.get("storage_order", 0):
        coordinates, sizes = coordinates[::-1], sizes[::-1]
    flat = torch.zeros_like(places)
    for place, size in zip(coordinates, sizes, strict=True):
        flat = flat * size + place
    planes = torch.arange(prod(x.shape[:2])).reshape([*x.shape[:2], *[1] * window.rank])
    return flat + planes * prod(sizes)


@operator("MaxUnpool")
def max_unpool(call: Call, x: Tensor, places: Tensor, shape: Tensor | None = None) -> Tensor:
    window = Window(call, x, call["kernel_shape"])
    sizes = [
        (size - 1) * s + k - low - high
        for size, s, k, low, high in zip(
            x.shape[2:], window.stride, window.kernel, window.before, window.after, strict=True
        )
    ]
    inner = [*x.shape[:2], *sizes]
    made = torch.zeros(prod(inner), dtype=x.dtype).scatter(0, places.reshape(-1), x.reshape(-1)).reshape(inner)
    if shape is None:
        return made
    wanted = call.numbers(2, shape)
    widths = [w for size, goal in zip(reversed(inner), reversed(wanted), strict=True) for w in (0, goal - size)]
    return F.pad(made, widths)


@operator("AveragePool")
def average_pool(call: Call, x: Tensor) -> Tensor:
    window = Window(call, x, call["kernel_shape"])
    counted = bool(call.get("count_include_pad", 0))
    if _fits(window) and window.dilation == [1] * window.rank and (counted or not any(window.before)):
        return AVG_POOL[window.rank](x, window.kernel, window.stride, window.before, False, counted)
    if _fits(window) and window.dilation == [1] * window.rank:
        return AVG_POOL[window.rank](x, window.kernel, window.stride, window.before, False, False)
    ones = torch.ones([1, 1, *x.shape[2:]], dtype=x.dtype)
    there = window.pad(F.pad(ones, [0, 0] * window.rank), 0.0) if not counted else None
    if there is None:  # the padding counts, what stands over at the end does not
        plain = window.pad(ones, 1.0, ceil=False)
        more = [width for c in reversed(window.ceil) for width in (0, c)]
        there = F.pad(plain, more)
    return _sums(x=window.pad(x, 0.0), window=window) / _sums(x=there, window=window)


def _sums(x: Tensor, window: Window) -> Tensor:
    """Sums over windows: a depthwise convolution with ones."""
    kernel = torch.ones([x.shape[1], 1, *window.kernel], dtype=x.dtype)
    return CONV[window.rank](x, kernel, None, window.stride, 0, window.dilation, x.shape[1])


@operator("LpPool")
def lp_pool(call: Call, x: Tensor) -> Tensor:
    window, p = Window(call, x, call["kernel_shape"]), call.get("p", 2)
    return _sums(window.pad(x.abs() ** p, 0.0), window) ** (1.0 / p)


@operator("GlobalAveragePool")
def global_average_pool(call: Call, x: Tensor) -> Tensor:
    return x.mean(list(range(2, x.dim())), keepdim=True)


@operator("GlobalMaxPool")
def global_max_pool(call: Call, x: Tensor) -> Tensor:
    return x.amax(list(range(2, x.dim())), keepdim=True)


@operator("GlobalLpPool")
def global_lp_pool(call: Call, x: Tensor) -> Tensor:
    p = call.get("p", 2)
    return (x.abs() ** p).sum(list(range(2, x.dim())), keepdim=True) ** (1.0 / p)
