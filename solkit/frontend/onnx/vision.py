"""ONNX operators that read images at places in between pixels, and that put columns together to images."""

from math import prod
from typing import Any

import torch
import torch.nn.functional as F

from solkit.frontend.onnx import reference
from solkit.frontend.onnx.table import Call, operator

Tensor = torch.Tensor
MODES = {"linear": "bilinear", "bilinear": "bilinear", "cubic": "bicubic", "bicubic": "bicubic", "nearest": "nearest"}


@operator("GridSample")
def grid_sample(call: Call, x: Tensor, grid: Tensor) -> Any:
    mode = MODES[call.get("mode", "linear")]
    if x.dim() not in (4, 5) or (x.dim() == 5 and mode == "bicubic"):
        return reference.row(call.node, call.opset)(call, x, grid)
    aligned = bool(call.get("align_corners", 0))
    return F.grid_sample(x, grid, mode, call.get("padding_mode", "zeros"), aligned)


@operator("Col2Im")
def col2im(call: Call, x: Tensor, image: Tensor, block: Tensor) -> Tensor:
    """[N, C * block, L] -> [N, C, *image]: each column is added where its window lies; in any number of dimensions."""
    sizes, kernel = call.numbers(1, image), call.numbers(2, block)
    rank = len(sizes)
    strides, dilations = call.get("strides") or [1] * rank, call.get("dilations") or [1] * rank
    pads = call.get("pads") or [0] * (2 * rank)
    padded = [size + low + high for size, low, high in zip(sizes, pads[:rank], pads[rank:], strict=True)]
    places = torch.zeros([1] * (2 * rank), dtype=torch.int64)
    for i in range(rank):
        count = (padded[i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        inside = (torch.arange(kernel[i]) * dilations[i]).reshape([-1 if j == i else 1 for j in range(2 * rank)])
        first = (torch.arange(count) * strides[i]).reshape([-1 if j == rank + i else 1 for j in range(2 * rank)])
        places = places * padded[i] + inside + first
    channels = x.shape[1] // prod(kernel)
    flat = torch.zeros([x.shape[0], channels, prod(padded)], dtype=x.dtype)
    made = flat.index_add(2, places.reshape(-1), x.reshape(x.shape[0], channels, -1))
    made = made.reshape([x.shape[0], channels, *padded])
    for i in range(rank):
        made = made.narrow(2 + i, pads[i], sizes[i])
    return made


def _corners(at: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """The two pixels of an axis beside each place, and what they count; one outside of the image counts 0."""
    low = torch.floor(at)
    found = []
    for pixel, weight in ((low, 1 - (at - low)), (low + 1, at - low)):
        inside = (pixel >= 0) & (pixel <= size - 1)
        found.append((pixel.clamp(0, size - 1).to(torch.int64), weight * inside.to(at.dtype)))
    return found


@operator("DeformConv")
def deform_conv(
    call: Call, x: Tensor, weight: Tensor, offset: Tensor, bias: Tensor | None = None, mask: Tensor | None = None
) -> Any:
    """A convolution whose window reads at places of its own, `offset` [N, groups * KH * KW * 2, OH, OW] away from the
    usual ones."""
    if x.dim() != 4:
        return reference.row(call.node, call.opset)(call, x, weight, offset, bias, mask)
    (n, channels, height, width), (kh, kw) = x.shape, weight.shape[2:]
    strides, dilations = call.get("strides") or [1, 1], call.get("dilations") or [1, 1]
    pads, groups, parts = call.get("pads") or [0] * 4, call.get("group", 1), call.get("offset_group", 1)
    oh, ow = offset.shape[2:]
    moved = offset.reshape(n, parts, kh * kw, 2, oh, ow)
    rows = torch.arange(oh).reshape(-1, 1) * strides[0] - pads[0]
    columns = torch.arange(ow) * strides[1] - pads[1]
    inner = torch.arange(kh * kw).reshape(-1, 1, 1)
    y = moved[:, :, :, 0] + (rows + torch.div(inner, kw, rounding_mode="floor") * dilations[0]).to(x.dtype)
    at = moved[:, :, :, 1] + (columns + inner % kw * dilations[1]).to(x.dtype)
    pixels = x.reshape(n, parts, channels // parts, height * width)
    read = None
    for row, row_weight in _corners(y, height):
        for column, column_weight in _corners(at, width):
            place = (row * width + column).reshape(n, parts, 1, -1).expand(-1, -1, channels // parts, -1)
            value = pixels.gather(3, place) * (row_weight * column_weight).reshape(n, parts, 1, -1)
            read = value if read is None else read + value
    if mask is not None:
        read = read * mask.reshape(n, parts, 1, -1)
    windows = read.reshape(n, groups, channels // groups * kh * kw, oh * ow)
    made = torch.matmul(weight.reshape(groups, weight.shape[0] // groups, -1), windows)
    made = made.reshape(n, weight.shape[0], oh, ow)
    return made if bias is None else made + bias.reshape(-1, 1, 1)


@operator("RoiAlign")
def roi_align(call: Call, x: Tensor, rois: Tensor, batch: Tensor) -> Any:
    """[R, C, output_height, output_width]: the mean or the largest of some samples of each cell of each region."""
    samples = call.get("sampling_ratio", 0)
    if samples < 1:  # how many there are depends on the size of the region
        return reference.row(call.node, call.opset)(call, x, rois, batch)
    n, channels, height, width = x.shape
    out = call.get("output_height", 1), call.get("output_width", 1)
    half = call.opset >= 16 and call.get("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    scaled = rois * call.get("spatial_scale", 1.0) - (0.5 if half else 0.0)
    axes = []
    for first, last, cells, size in ((1, 3, out[0], height), (0, 2, out[1], width)):
        start, extent = scaled[:, first : first + 1], scaled[:, last : last + 1] - scaled[:, first : first + 1]
        extent = extent if half else extent.clamp(min=1.0)
        steps = (torch.arange(cells * samples) + 0.5) / (cells * samples)
        axes.append(_inside(start + extent * steps.to(x.dtype), size))
    pixels = x.permute(0, 2, 3, 1).reshape(n * height * width, channels)
    base = batch.to(torch.int64).reshape(-1, 1, 1) * (height * width)
    values = []
    for row, row_weight in axes[0]:
        for column, column_weight in axes[1]:
            place = base + row.unsqueeze(2) * width + column.unsqueeze(1)
            read = pixels.index_select(0, place.reshape(-1)).reshape(*place.shape, channels)
            values.append(read * (row_weight.unsqueeze(2) * column_weight.unsqueeze(1)).unsqueeze(-1))
    largest = call.get("mode", "avg") == "max"
    made = values[0]
    for value in values[1:]:  # the largest of the four products, as in the first implementations
        made = torch.maximum(made, value) if largest else made + value
    made = made.reshape(len(rois), out[0], samples, out[1], samples, channels)
    made = made.amax((2, 4)) if largest else made.mean((2, 4))
    return made.permute(0, 3, 1, 2)


def _inside(at: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """As `_corners`, but up to one pixel beyond the border it is the border's pixel that is read."""
    there = ((at >= -1) & (at <= size)).to(at.dtype)
    at = at.clamp(0, size - 1)
    low = torch.floor(at)
    share = at - low
    low = low.to(torch.int64)
    return [(low, (1 - share) * there), ((low + 1).clamp(max=size - 1), share * there)]
