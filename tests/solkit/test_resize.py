"""Up-sampling, padding and pixel shuffles against PyTorch in float64."""

import math

import elsewhere
import pytest
import torch
import torch.nn.functional as F
from compare import Each, compare, images
from torch import nn

import solkit as sol
from solkit.target import VE
from solkit.toolchain import emit_assembly

SHAPES = [(3, 5, 8, 11), (1, 33, 9, 6), (2, 16, 4, 4)]


def up(**arguments):
    return lambda x: F.interpolate(x, **arguments)


def padding(widths, *arguments):
    return lambda x: F.pad(x, widths, *arguments)


RESIZES = {
    **{f"nearest by {s}": up(scale_factor=s, mode="nearest") for s in (2, (3, 1), 0.5, 1.7)},
    **{f"nearest to {s}": up(size=s, mode="nearest") for s in (16, (5, 13), 1)},
    **{f"exact by {s}": up(scale_factor=s, mode="nearest-exact") for s in (2, 0.4)},
    **{
        f"bilinear by {s}{', corners' * c}": up(scale_factor=s, mode="bilinear", align_corners=c)
        for s in (2, (3, 1), 0.5, 2.3)
        for c in (False, True)
    },
    **{
        f"bilinear to {s}{', corners' * c}": up(size=s, mode="bilinear", align_corners=c)
        for s in (17, (5, 13), 1)
        for c in (False, True)
    },
    "scale computed again": up(scale_factor=1.3, mode="bilinear", recompute_scale_factor=True),
    "zeros": padding((1, 2, 3, 0)),
    "zeros at columns": padding((1, 2)),
    "nothing": padding(()),
    "ones": padding((0, 1, 1, 0), "constant", 1.5),
    "less": padding((-1, 2, -2, -1)),
    "infinity": padding((1, 1, 1, 1), "constant", -math.inf),
    "reflect": padding((1, 2, 3, 0), "reflect"),
    "replicate": padding((4, 0, 3, 5), "replicate"),
    "circular": padding((1, 2, 3, 1), "circular"),
    "reflection": nn.ReflectionPad2d(2),
    "replication": nn.ReplicationPad2d((1, 0, 2, 3)),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, 1),
    "adaptive max by rows": lambda x: F.adaptive_max_pool2d(x, (1, None)),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_resizes(shape):
    model = compare(Each(RESIZES), *[images(*shape)] * len(RESIZES), tolerance=3e-6)
    assert model.explain().in_pytorch == []


def test_nearest_is_exactly_pytorchs():
    """Where a pixel lies in the middle, the rounding of a scale decides."""
    x = images(1, 2, 13, 29)
    models = {f"{s}": up(scale_factor=s) for s in (1.1, 1.5, 2.9, 0.3, 1 / 3)}
    models |= {f"to {s}": up(size=s) for s in ((7, 58), (26, 15), (100, 3))}
    model = Each(models).eval()
    made = compare(model, *[x] * len(models))
    for mine, theirs in zip(made(*[x] * len(models)).values(), model(*[x] * len(models)).values(), strict=True):
        assert torch.equal(mine, theirs)


SHUFFLES = {"shuffle by 2": nn.PixelShuffle(2), "shuffle by 3": nn.PixelShuffle(3), "shuffle by 1": nn.PixelShuffle(1)}


def test_pixel_shuffles():
    models = {f"{name}, {c} channels": m for name, m in SHUFFLES.items() for c in (36, 72, 576)}
    inputs = [images(2, c, 3, 5) for _ in SHUFFLES for c in (36, 72, 576)]
    models |= {f"unshuffle by {f}": nn.PixelUnshuffle(f) for f in (1, 2, 3)}
    model = compare(Each(models), *inputs, *[images(2, 5, 6, 12)] * 3)
    assert model.explain().in_pytorch == []


def test_what_stands_around():
    models = {
        "net": nn.Sequential(
            nn.Conv2d(5, 20, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(20, 3, 3, padding=1)
        ),
        "mix": nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(5, 36, 3), nn.PixelShuffle(2), nn.Hardswish()),
        "pools": lambda x: F.max_pool2d(
            torch.relu(F.interpolate(torch.tanh(x), scale_factor=2, mode="bilinear")), 3, 2
        ),
        "sum": lambda x: F.pad(F.interpolate(x, scale_factor=0.5), (2, 3, 2, 2)) * 2 + F.avg_pool2d(x, 1),
    }
    model = compare(Each(models), *[images(2, 5, 8, 11)] * 3, images(2, 5, 8, 10))
    assert model.explain().in_pytorch == []


def test_special_numbers():
    x = images(1, 18, 6, 7)
    x.view(-1)[::7] = torch.tensor([math.nan, math.inf, -math.inf]).repeat(36)
    functions = {name: f for name, f in RESIZES.items() if "by 2" in name or "zero" in name or "max" in name}
    compare(Each(functions), *[x] * len(functions))


NET = nn.Sequential(
    nn.Conv2d(3, 40, 3, padding=1),
    nn.ConvTranspose2d(40, 21, 3, 2, 1, 1),
    nn.ReLU(),
    nn.Upsample(scale_factor=2, mode="bilinear"),
    nn.ReflectionPad2d(1),
    nn.Conv2d(21, 36, 3),
    nn.PixelShuffle(2),
    nn.ConstantPad2d(1, 2.0),
    nn.ConvTranspose2d(9, 256, 2, 2),
    nn.Tanh(),
    nn.Conv2d(256, 5, 1),
)


def test_on_other_machines(require_tool, tmp_path):
    """The same C text compiles for the Vector Engine, and gives the same on arm64."""
    model, x = NET, images(2, 3, 5, 4)
    made = sol.optimize(model.eval(), x)
    for cluster in made.explain().rows:
        emit_assembly(made.source(cluster.number), VE)
    elsewhere.agree_on_arm64(made, [x], require_tool, tmp_path)


def test_what_the_rows_do_not_cover():
    """Some of it is a call by itself, some is left to PyTorch."""
    left = {
        "antialias": up(scale_factor=0.5, mode="bilinear", antialias=True),
        "bicubic": up(scale_factor=2, mode="bicubic"),
        "no batch": lambda x: F.pixel_shuffle(x[0], 2),
    }
    calls = {
        "channels": padding((1, 1, 1, 1, 2, 0)),
        "uneven windows": lambda x: F.adaptive_max_pool2d(x, 5),
        "indices": lambda x: F.adaptive_max_pool2d(x, 1, return_indices=True),
    }
    model = compare(Each({**left, **calls}), *[images(2, 4, 8, 11)] * (len(left) + len(calls)))
    assert len(model.explain().in_pytorch) == len(left)
