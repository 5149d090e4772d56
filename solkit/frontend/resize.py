"""Up-sampling, padding and pixel shuffles of images [N, C, H, W].

Rows and columns are treated alike and apart. Which of them one of the result is a copy of is PyTorch's own knowledge:
the overload is applied to their numbers, and what comes out is read off.
"""

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import Node as FxNode

from solkit.frontend.build import build, reshaped
from solkit.ir import Value

if TYPE_CHECKING:
    from solkit.frontend.torch import _Importer

aten = torch.ops.aten


def nearest(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    """aten.upsample_nearest2d.vec and .default, and aten._upsample_nearest_exact2d."""

    def picked(length: int, made: int, scale: float | None) -> list[int]:
        numbers = torch.arange(length, dtype=torch.float32).reshape(1, 1, length, 1)
        return fx.target.overloadpacket.default(numbers, [made, 1], scale).flatten().int().tolist()

    return _scaled(importer, fx, a, "gather_pixels", picked, value=0.0)


def bilinear(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    """aten.upsample_bilinear2d.vec and .default."""

    def mixed(length: int, made: int, scale: float | None) -> list[tuple[int, int, float, float]]:
        # As in aten/src/ATen/native/UpSample.h; pixels are squares, or with `align_corners` points.
        corners = a["align_corners"] or length == made
        ratio = 1 / scale if scale and not corners else (length - corners) / max(made - corners, 1)
        rows = []
        for number in range(made):
            place = ratio * number if corners else max(0.0, ratio * (number + 0.5) - 0.5)
            low = min(int(place), length - 1)
            far = min(place - low, 1.0)
            rows.append((low, min(low + 1, length - 1), 1.0 - far, far))
        return rows

    return _scaled(importer, fx, a, "mix_pixels", mixed)


def pad(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    """aten.pad.default in any mode, aten.constant_pad_nd.default, and the paddings of images by name; rows and columns
    only."""
    x, widths = importer._value(a.get("self", fx.args[0])), a["pad"] if "pad" in a else a["padding"]
    if len(x.shape) != 4 or len(widths) > 4:
        return None
    name = str(fx.target).split(".")[1]
    mode = a.get("mode") or {"reflection_pad2d": "reflect", "replication_pad2d": "replicate"}.get(name, "constant")

    def numbers(length: int, *both: int) -> list[int]:
        outside = -1 if mode == "constant" else None
        return aten.pad(torch.arange(float(length))[None], both, mode, outside).flatten().int().tolist()

    left, right, top, bottom = (*widths, 0, 0, 0, 0)[:4]
    rows, columns = numbers(x.shape[2], top, bottom), numbers(x.shape[3], left, right)
    attributes = {"rows": rows, "columns": columns, "value": float(a.get("value") or 0)}
    return importer.emit(fx, "gather_pixels", [x], attributes)


def pixel_shuffle(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    """aten.pixel_shuffle.default."""
    x, factor = importer._value(a["self"]), a["upscale_factor"]
    if len(x.shape) != 4:
        return None
    _, channels, *size = fx.meta["val"].shape
    attributes = {"scale": (factor, factor), "first": (0, 0), "size": tuple(size), "groups": channels}
    return importer.emit(fx, "depth_to_space", [x], attributes)


def pixel_unshuffle(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value | None:
    """aten.pixel_unshuffle.default."""
    x, factor = importer._value(a["self"]), a["downscale_factor"]
    if len(x.shape) != 4:
        return None
    batch, channels, height, width = x.shape
    shape = (batch, channels, factor, factor, height // factor, width // factor)
    strides = (prod(x.shape[1:]), height * width, width, 1, width * factor, factor)
    view = build(importer, "strided", [x], {"shape": shape, "strides": strides, "offset": 0}, fx.name)
    return reshaped(importer, view, fx.meta["val"].shape)


def adaptive_max_pool2d(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> list[Value] | None:
    """aten.adaptive_max_pool2d.default where all windows are of one size, and nobody asks for the indices."""
    x = importer._value(a["self"])
    made = fx.meta["val"][0].shape[-2:]
    whole = len(x.shape) == 4 and not any(size % count for size, count in zip(x.shape[2:], made, strict=True))
    if not whole or any(user.args[1] != 0 for user in fx.users):
        return None
    window = tuple(size // count for size, count in zip(x.shape[2:], made, strict=True))
    attributes = {"kernel_size": window, "stride": window, "padding": 0, "dilation": 1, "ceil_mode": False}
    return [build(importer, "max_pool2d", [x], attributes, fx.name)]


def _scaled(
    importer: "_Importer", fx: FxNode, a: dict[str, Any], op: str, axis: Callable[..., list], **attributes: float
) -> Value:
    """`axis` says of what each row, or column, is made: from their number before and behind, and the scale if given."""
    x = importer._value(fx.args[0])
    scales = a.get("scale_factors") or (a.get("scales_h"), a.get("scales_w"))
    sizes = zip(x.shape[2:], fx.meta["val"].shape[2:], scales, strict=True)
    rows, columns = (axis(*numbers) for numbers in sizes)
    return importer.emit(fx, op, [x], {"rows": rows, "columns": columns, **attributes})


RESIZE = {
    **dict.fromkeys(("aten.upsample_nearest2d.vec", "aten.upsample_nearest2d.default"), nearest),
    **dict.fromkeys(("aten._upsample_nearest_exact2d.vec", "aten._upsample_nearest_exact2d.default"), nearest),
    **dict.fromkeys(("aten.upsample_bilinear2d.vec", "aten.upsample_bilinear2d.default"), bilinear),
    "aten.pad.default": pad,
    "aten.constant_pad_nd.default": pad,
    "aten.reflection_pad2d.default": pad,
    "aten.replication_pad2d.default": pad,
    "aten.pixel_shuffle.default": pixel_shuffle,
    "aten.pixel_unshuffle.default": pixel_unshuffle,
    "aten.adaptive_max_pool2d.default": adaptive_max_pool2d,
}
