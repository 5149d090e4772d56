"""Winograd's minimal filtering against PyTorch in float64: sizes of all kinds, epilogues, bands, special numbers."""

import re

import elsewhere
import pytest
import torch
from compare import Calls, Each, agree, compare, images
from torch import nn

import solkit as sol
from solkit.codegen import program, winograd
from solkit.codegen.winograd import ALGORITHMS

TOLERANCE = {"winograd 4x4": 1e-4, "winograd 2x2": 1e-5, "direct": 1e-5}


@pytest.fixture(params=ALGORITHMS)
def algorithm(request, monkeypatch, cache_folder):
    """Both tile sizes, each the only choice of all convolutions it fits."""

    def only(cluster):
        names = program.implementations(cluster)
        return [request.param, "direct"] if request.param in names else names

    monkeypatch.setattr("solkit.autotune.implementations", only)
    return request.param


def check(algorithm, models, *inputs):
    """All of `models` by this algorithm; nothing in PyTorch."""
    made = compare(Each(models), *inputs, tolerance=TOLERANCE[algorithm])
    assert made.explain().in_pytorch == []
    choices = [cluster.choice for cluster in made.clusters if "conv2d" in cluster.ops]
    assert set(choices) == {algorithm}
    return made


def conv(inputs=16, outputs=16, **arguments):
    return nn.Conv2d(inputs, outputs, 3, **{"padding": 1, **arguments})


@pytest.mark.parametrize("padding", [0, 1, (2, 0)], ids=str)
def test_sizes_of_images(algorithm, padding):
    """Heights and widths from 2 to 13: tiles are cut off in all ways."""
    sizes = [(2, 2), (3, 13), (4, 5), (6, 3), (13, 8)]
    across = padding if isinstance(padding, tuple) else (padding, padding)
    sizes = [s for s in sizes if all(size + 2 * pad - 2 > 1 for size, pad in zip(s, across, strict=True))]
    layer = conv(padding=padding)
    check(algorithm, {str(s): layer for s in sizes}, *(images(1, 16, *s) for s in sizes))


@pytest.mark.parametrize("bias", [True, False])
def test_channels_and_batches(algorithm, bias):
    cases = [((16, 17), 1), ((17, 16), 3), ((33, 40), 2), ((20, 100), 1)]
    models = {f"{c} x {batch}": conv(*c, bias=bias) for c, batch in cases}
    check(algorithm, models, *(images(batch, c[0], 7, 9) for c, batch in cases))


def test_many_channels(algorithm):
    check(algorithm, {"many": conv(300, 70)}, images(1, 300, 9, 6))


class Residual(nn.Module):
    """Two convolutions and a way around them, with a per-channel operand."""

    def __init__(self, channels):
        super().__init__()
        self.first, self.second = conv(channels, channels, bias=False), conv(channels, channels, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2))
        self.scale = nn.Parameter(images(channels, 1, 1))
        for norm in self.norms:
            norm.running_mean.copy_(images(channels))
            norm.running_var.copy_(images(channels).abs() + 0.5)

    def forward(self, x):
        made = torch.relu(self.norms[0](self.first(x)))
        return torch.relu(self.norms[1](self.second(made)) * self.scale + x)


def test_epilogues(algorithm):
    models = {str(c): nn.Sequential(nn.ReLU(), Residual(c)) for c in (16, 20)}
    models |= {"silu": nn.Sequential(conv(), nn.SiLU()), "hardswish": nn.Sequential(conv(), nn.Hardswish())}
    inputs = [images(2, c, 9, 7) for c in (16, 20, 16, 16)]
    check(algorithm, models, *inputs)


def test_what_stands_around(algorithm):
    """A wider halo than its padding, concatenation in place, a pool behind, readers that want it plain."""
    models = {
        "halo": Calls(lambda m, x: (m.a(x.relu()), m.b(x.relu())), a=conv(), b=nn.Conv2d(16, 16, 7, padding=3)),
        "joined": Calls(lambda m, x: m.c(torch.cat([m.a(x), m.b(x)], 1)), a=conv(), b=conv(), c=conv(32, 16)),
        "pool": nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2), conv(16, 20)),
        "plain": nn.Sequential(conv(), nn.Flatten(), nn.Linear(16 * 99, 5)),
        "average": nn.Sequential(conv(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    }
    made = compare(Each(models), *[images(2, 16, 11, 9)] * len(models), tolerance=TOLERANCE[algorithm])
    assert made.explain().in_pytorch == []
    assert algorithm in [cluster.choice for cluster in made.clusters]


def test_a_second_call_finds_nothing_of_the_first(algorithm):
    model, x = nn.Sequential(conv(16, 33), nn.ReLU(), conv(33, 16)), images(2, 16, 10, 11, seed=7)
    made = check(algorithm, {"a": model}, images(2, 16, 10, 11))
    with torch.no_grad():
        agree(made(x)["a"], model, (x,), {}, TOLERANCE[algorithm])


@pytest.mark.parametrize("size", [(5, 6), (13, 8), (31, 30)], ids=str)
def test_in_bands(algorithm, size, monkeypatch):
    """More tiles than fit the cache at once: several bands, the last one smaller."""
    monkeypatch.setattr(winograd, "BAND_BYTES", 1)
    monkeypatch.setattr(winograd, "PRODUCT_BYTES", 1 << 14)
    model = check(algorithm, {"a": nn.Sequential(conv(16, 24), nn.ReLU())}, images(3, 16, *size))
    rounds = [int(n) for n in re.findall(r"(\d+)\},$", model._engine.program.sources["program.c"], re.M)]
    tile = ALGORITHMS[algorithm]
    tiles = 3 * -(-size[0] // tile) * -(-size[1] // tile)
    assert max(rounds) == 2 * max(1, round(tiles / 56))


def test_threads(algorithm, settings):
    settings["threads"] = 3
    check(algorithm, {"a": conv(40, 50)}, images(2, 40, 19, 17))


def test_special_numbers_spread_as_in_direct_convolution(algorithm):
    """In the windows with such a number the result is odd; a tile that has one may be odd as a whole, and no other."""
    x = images(1, 16, 24, 24)
    x[0, 3, 5, 6], x[0, 9, 20, 1] = torch.nan, torch.inf
    layer = conv(16, 16).eval()
    made = compare(Calls(lambda m, x: m.layer(x), layer=layer), images(1, 16, 24, 24), tolerance=1e-4)
    with torch.no_grad():
        mine, expected = made(x), layer(x)
    tile = ALGORITHMS[algorithm]
    assert not mine[~expected.isfinite()].isfinite().any(), "every window with an odd number is odd"
    reached = torch.zeros(24, 24, dtype=torch.bool)
    for row, column in ((5, 6), (20, 1)):
        rows, columns = ((max(0, p - 1) // tile * tile, ((p + 1) // tile + 1) * tile) for p in (row, column))
        reached[slice(*rows), slice(*columns)] = True
    assert mine[0, :, ~reached].isfinite().all()
    torch.testing.assert_close(mine[0, :, ~reached], expected[0, :, ~reached], rtol=1e-4, atol=1e-4)


UNFIT = {
    "stride": conv(stride=2),
    "dilation": conv(dilation=2, padding=2),
    "groups": conv(32, 32, groups=2),
    "few channels": conv(3, 16),
    "few channels out": conv(16, 8),
    "another window": nn.Conv2d(16, 16, (3, 5), padding=(1, 2)),
    "one row": conv(padding=(0, 1)),
}


def test_what_it_does_not_fit(algorithm):
    inputs = [images(1, m.in_channels, 3 if name == "one row" else 8, 8) for name, m in UNFIT.items()]
    made = compare(Each(UNFIT), *inputs)
    assert {cluster.choice for cluster in made.clusters} <= {None, "direct"}


def test_without_measuring_the_larger_tile_is_taken(cache_folder):
    made = compare(conv(), images(1, 16, 9, 9), tolerance=1e-4)
    assert "winograd 4x4" in [row.choice for row in made.explain().rows]


def test_new_weights_are_transformed_anew(algorithm):
    layer = conv().eval()
    made, x = compare(nn.Sequential(layer), images(1, 16, 9, 9), tolerance=1e-4), images(1, 16, 9, 9)
    with torch.no_grad():
        layer.weight.mul_(-2)
        agree(made(x), nn.Sequential(layer), (x,), {}, TOLERANCE[algorithm])


def test_on_arm64(algorithm, require_tool, tmp_path):
    model, x = nn.Sequential(conv(20, 24), nn.ReLU()).eval(), images(2, 20, 9, 6)
    elsewhere.agree_on_arm64(sol.optimize(model, x), [x], require_tool, tmp_path)
