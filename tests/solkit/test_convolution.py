"""Transposed and one-dimensional convolutions against PyTorch in float64."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from compare import Calls, Each, compare, images
from torch import nn

TRANSPOSED = {
    "up by two": [((20, 16, 2), {"stride": 2}, (2, 5, 6)), ((5, 7, 2), {"stride": 2}, (3, 4, 3))],
    "kernels": [((3, 5, k), {"stride": s}, (1, 4, 5)) for k in (1, 2, 3, 4, (2, 5)) for s in (1, 2, 3, (2, 1))],
    "padding": [
        ((4, 17, k), {"stride": s, "padding": p}, (2, 5, 4))
        for k, s, p in ((3, 2, 1), (4, 2, 1), (5, 3, 2), (3, 1, 1), (3, 1, 2), (4, (1, 2), (3, 0)), (2, 3, 1))
    ],
    "output padding": [
        ((4, 6, 3), {"stride": s, "padding": 1, "output_padding": e}, (1, 4, 4))
        for s, e in ((2, 1), (3, 2), ((2, 3), (0, 1)))
    ],
    "dilation": [
        ((4, 6, k), {"stride": s, "dilation": d, "padding": p}, (2, 5, 6))
        for k, s, d, p in ((3, 1, 2, 2), (3, 2, 2, 1), (3, 2, 3, 0), (2, 4, 2, 0), (3, (1, 2), (2, 3), (0, 2)))
    ],
    "groups": [
        ((c, o, 3), {"stride": s, "padding": 1, "groups": g}, (2, 4, 5))
        for c, o, g, s in ((4, 6, 2, 2), (32, 48, 2, 2), (9, 9, 9, 2), (9, 9, 9, 1), (4, 8, 4, (2, 3)))
    ],
    "no bias": [((16, 32, 4), {"stride": 2, "padding": 1, "bias": False}, (1, 7, 7))],
    "one pixel": [((40, 33, 4), {}, (2, 1, 1)), ((5, 3, 2), {"stride": 2}, (1, 1, 1))],
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed(name):
    models, inputs = {}, []
    for sizes, arguments, (batch, *size) in TRANSPOSED[name]:
        layer = nn.ConvTranspose2d(*sizes, **arguments)
        models[f"{len(models)}: {layer}"] = layer
        inputs.append(images(batch, sizes[0], *size))
    model = compare(Each(models), *inputs)
    assert model.explain().in_pytorch == []


def test_what_stands_around_transposed_convolutions():
    """Batch norm and ReLU behind, a concatenation and a padded convolution, a pool that reads it."""
    models = {
        "norm": nn.Sequential(nn.ConvTranspose2d(6, 20, 4, 2, 1), nn.BatchNorm2d(20), nn.ReLU()),
        "chain": nn.Sequential(nn.ConvTranspose2d(6, 16, 2, 2), nn.Conv2d(16, 7, 3, padding=1), nn.Tanh()),
        "pool": nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(6, 18, 2, 2), nn.Sigmoid(), nn.MaxPool2d(3, 2, 1)),
        "1x1": nn.Sequential(nn.ConvTranspose2d(6, 18, 2, 2), nn.ReLU(), nn.Conv2d(18, 5, 1)),
    }
    for norm in (m for m in nn.Sequential(*models.values()).modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean.copy_(images(20))
        norm.running_var.copy_(images(20).abs() + 0.5)
    models["skip"] = Calls(
        lambda m, x, y: m.conv(torch.cat([y, m.up(x)], 1)),
        up=nn.ConvTranspose2d(6, 16, 2, 2),
        conv=nn.Conv2d(32, 9, 3, padding=1),
    )
    x = images(2, 6, 5, 4)
    model = compare(Each(models), *[x] * 4, (x, images(2, 16, 10, 8)))
    assert model.explain().in_pytorch == []


def test_in_one_dimension():
    models = {}
    for kernel, stride, padding, dilation, groups in (
        (1, 1, 0, 1, 1),
        (3, 1, 1, 1, 1),
        (4, 3, 2, 2, 2),
        (3, 2, 1, 1, 18),
        (5, 1, "same", 2, 1),
        (3, 1, "valid", 1, 3),
    ):
        layer = nn.Conv1d(18, 18, kernel, stride, padding, dilation, groups)
        models[str(layer)] = nn.Sequential(nn.ReLU(), layer, nn.Tanh())
    for kernel, stride, padding, extra, groups in itertools.product((2, 5), (1, 3), (0, 1), (0,), (1, 2)):
        layer = nn.ConvTranspose1d(18, 20, kernel, stride, padding, extra, groups)
        models[str(layer)] = layer
    model = compare(Each(models), *[images(3, 18, 11)] * len(models))
    assert model.explain().in_pytorch == []


def test_what_is_a_call_by_itself():
    """Images without a batch, weights that come with the call, an even kernel that pads one side more, volumes."""
    models = {
        "no batch": (nn.ConvTranspose2d(3, 4, 2), images(3, 5, 5)),
        "no batch, 1d": (nn.Conv1d(3, 4, 2), images(3, 5)),
        "even": (nn.Conv1d(3, 4, 2, padding="same"), images(2, 3, 5)),
        "volume": (nn.Conv3d(3, 4, 2), images(2, 3, 5, 4, 4)),
        "given": (F.conv_transpose2d, (images(1, 3, 4, 4), images(3, 2, 2, 2))),
    }
    model = compare(Each({name: layer for name, (layer, _) in models.items()}), *(x for _, x in models.values()))
    assert model.explain().in_pytorch == []
    assert all(row.ops.startswith("aten.conv") for row in model.explain().rows)
