"""The exercises of lab 02, and its pictures. The networks here are small, and nothing is measured by the optimizer."""

import copy

import pytest
import torch
from torch import nn

import solkit as sol
from labs.exercise_sets import lab02
from labs.pictures import lab02 as pictures
from solkit.optimize import capture_graph
from tests.labs.three_ways import three_ways


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """No measuring of implementations, no gradients."""
    monkeypatch.setitem(sol.config, "autotuning", "off")
    with torch.no_grad():
        yield


def test_slowest():
    def by(name, take="number"):
        return lambda profile: getattr(max(profile, key=lambda row: getattr(row, name)), take)

    three_ways(
        "02-1",
        right=[
            by("solkit_ms"),
            lambda profile: max(profile, key=lambda row: row.solkit_ms),
            lambda profile: torch.tensor(by("solkit_ms")(profile)),
        ],
        wrong=[
            (by("solkit_ms", "solkit_ms"), "That is the time"),
            (by("pytorch_ms"), "where PyTorch takes longest"),
            (lambda profile: max(range(len(profile)), key=lambda i: profile[i].solkit_ms), "the place in the list"),
            (lambda profile: min(profile, key=lambda row: row.solkit_ms).number, "the fastest one"),
            (lambda profile: 99, "The profile given was"),
            (by("solkit_ms", "layers"), "has to give the number"),
            (lambda profile: print(profile[0].number), "has to give the number"),
            (lambda profile: profile[0].ms, "AttributeError"),
            (6, "a function of a profile"),
        ],
    )


def test_flexible():
    encoder, ids = lab02.encoder(), torch.zeros(1, 16, dtype=torch.int64)
    other = copy.deepcopy(encoder)
    other.embeddings.LayerNorm.weight += 1
    three_ways(
        "02-2",
        right=[sol.optimize(encoder, ids, vdims=[(0, 1)])],
        wrong=[
            (encoder, "before sol.optimize"),
            (sol.optimize(encoder, ids), "but not a batch of 5"),
            (sol.optimize(encoder, ids, vdims=[True]), "not the number of tokens"),
            (sol.optimize(other, ids, vdims=[(0, 1)]), "does not give what the encoder gives"),
            ([(0, 1)], "The answer is a model"),
        ],
    )


def _leaky(layer):
    made = lab02.leaky()
    made.middle[1] = layer
    return made


def test_mended():
    right, fresh = _leaky(nn.LeakyReLU((1 / 8 + 1 / 3) / 2)), lab02.leaky()
    fresh.leave[0] = nn.Linear(128, 10)
    three_ways(
        "02-3",
        right=[right, sol.optimize(right, torch.ones(8, 32)), _leaky(nn.PReLU(init=(1 / 8 + 1 / 3) / 2))],
        wrong=[
            (lab02.leaky(), "something still runs in PyTorch"),
            (_leaky(nn.LeakyReLU()), "its slope is not"),
            (_leaky(nn.Identity()), "another result than before"),
            (fresh, "The weights are not those of"),
            (nn.LeakyReLU, "an nn.Module"),
            ("middle.1", "an nn.Module"),
        ],
    )


def test_predicted():
    right = {block.__name__: lab02.clusters_of(block) for block in lab02.BLOCKS}
    assert list(right.values()) == [1, 1, 2, 1, 0]
    three_ways(
        "02-4",
        right=[right, list(right.values()), {"plain": 1, "in_place": 1.0, "TWICE": 2, "on_shape": 1, "OnValues": None}],
        wrong=[
            ([3, 1, 2, 1, 0], "Plain: Think of lab 01"),
            ([1, 3, 2, 1, 0], "InPlace: solkit rewrites"),
            ([1, 1, 1, 1, 0], "Twice: A value that somebody outside wants"),
            ([1, 1, 2, 2, 0], "OnShape: When is x.shape[1] known"),
            ([1, 1, 2, 1, 2], "OnValues: When is y.mean() known"),
            ([1, 1, 2, 1], "a number for each of the five"),
            (1, "a number for each of the five"),
            ({"Plain": 1}, "no number for InPlace, Twice, OnShape, OnValues"),
            ({**right, "Twice": ...}, "no number for Twice yet"),
        ],
    )


class Together(lab02.Grouped):
    def forward(self, x):
        return nn.functional.silu(x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * self.gain)


class AllAtOnce(lab02.Grouped):
    """The mean over all groups at once."""

    def forward(self, x):
        return nn.functional.silu(x / (x.pow(2).mean((1, 2), keepdim=True) + 1e-6).sqrt() * self.gain)


class Raises(lab02.Grouped):
    def forward(self, x):
        return x @ self.gain


def test_one_cluster():
    three_ways(
        "02-5",
        right=[Together, Together(), sol.optimize(Together().eval(), torch.ones(2, 4, 64))],
        wrong=[
            (lab02.Grouped, "The results are right; it is 5 clusters"),
            (AllAtOnce, "It does not give what Grouped gives"),
            (nn.Linear(64, 64), "the parameters of Grouped"),
            (3, "a module, or its class"),
            (Raises, "RuntimeError"),
        ],
    )


# --- pictures --------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8))

    def forward(self, x):
        return self.second(self.first(x)) + 1


def test_pictures():
    model, x = nn.Sequential(Block()).eval(), torch.ones(1, 4, 8, 8)
    made = sol.optimize(model, x)
    nodes = capture_graph(model, (x,), {})[0].nodes
    profile = made.profile(x, runs=1)
    rows = made.explain().rows
    before = pictures.fusion(nodes, rows, "0")
    assert "6 operators (conv2d, batch_norm, relu, depthwise_conv2d, batch_norm, add) become" in before.text
    for picture in (before, pictures.strip(profile, rows)):
        assert picture._repr_html_().startswith("<figure")
    for row in rows:
        shown = pictures.cluster(made.explain(), row.number)
        assert "<table" in shown
        assert "Its C, " in shown


def test_implementations(monkeypatch):
    monkeypatch.setitem(sol.config, "autotuning", "on")
    model = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()).eval()
    (group,) = pictures.measured(sol.optimize(model, torch.ones(1, 16, 8, 8)))
    assert group.shape == (1, 16, 8, 8)
    assert "direct" in group.times
    assert group.times[group.best] == min(group.times.values())
    picture = pictures.implementations([group])
    assert f"{group.best} {group.times[group.best]:.2f} ms" in picture.text
    assert picture._repr_html_().startswith("<figure")
    assert pictures.implementations([])._repr_html_().startswith("<figure")
