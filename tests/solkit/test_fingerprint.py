"""What makes a model another one for the cache of captured graphs, and what does not."""

import abc
import copy
import enum
import functools
import importlib
import math
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import Calls
from torch import nn

from solkit.frontend.fingerprint import fingerprint

X = torch.zeros(2, 4)
SCALE = 2


class Config:
    def __init__(self, **values):
        vars(self).update(values)

    def scaled(self, x):
        return x * self.factor


class Color(enum.Enum):
    RED = 1
    BLUE = 2


def key(model, *inputs, **kwargs):
    return fingerprint(model, inputs or (X,), kwargs)


def with_attribute(value):
    return Calls(lambda m, x: x, kept=value)


def make(source, **names):
    """A model whose forward is this text, in a Python module of its own."""
    module = types.ModuleType("made")
    vars(module).update(names, torch=torch, nn=nn, F=F, math=math)
    exec(f"class Made(nn.Module):\n def forward(self, x):\n  {source}", vars(module))
    return module.Made()


def closing_over(value):
    return Calls(lambda m, x: x * value)


def acts(*functions):
    model = nn.Module()
    model.layers = nn.ModuleList(nn.Module() for _ in functions)
    for layer, function in zip(model.layers, functions, strict=True):
        layer.function = function
    return model


def one(x):
    return x + 1


def two(x):
    return x + 2


DIFFERENT = {  # pairs that only their code, or what it refers to, tells apart
    "constant": (make("return x * 2"), make("return x * 3")),
    "kind of number": (make("return x * 1"), make("return x * 1.0"), make("return x * True")),
    "operator": (make("return x + 2"), make("return x - 2")),
    "method name": (make("return x.exp()"), make("return x.abs()")),
    "code of a method": (make("return x\n def f(self):\n  return 1"), make("return x\n def f(self):\n  return 2")),
    "code inside": (make("return (lambda y: y + 1)(x)"), make("return (lambda y: y + 2)(x)")),
    "default": (make("return x\n def f(self, a=1):\n  return a"), make("return x\n def f(self, a=2):\n  return a")),
    "class attribute": (make("return x\n k = 1"), make("return x\n k = 2")),
    "property": (
        make("return x\n @property\n def p(self):\n  return 1"),
        make("return x\n @property\n def p(self):\n  return 2"),
    ),
    "global number": (make("return x * K", K=1), make("return x * K", K=2)),
    "global function": (make("return f(x)", f=one), make("return f(x)", f=two)),
    "global tensor": (make("return x + t", t=torch.ones(4)), make("return x + t", t=torch.zeros(4))),
    "function of torch": (make("return f(x)", f=F.relu), make("return f(x)", f=F.silu)),
    "closure": (closing_over(2), closing_over(3)),
    "attribute": (with_attribute(1), with_attribute(2), with_attribute("1"), with_attribute(None)),
    "attribute of a kind": (with_attribute((1, 2)), with_attribute([1, 2]), with_attribute({1, 2})),
    "attribute inside": (with_attribute({"a": [1]}), with_attribute({"a": [2]}), with_attribute({"b": [1]})),
    "name of an attribute": (Calls(one, a=1), Calls(one, b=1)),
    "configuration": (with_attribute(Config(factor=1)), with_attribute(Config(factor=2))),
    "method of a configuration": (
        with_attribute(Config(factor=1).scaled),
        with_attribute(Config(factor=2).scaled),
    ),
    "enumeration": (with_attribute(Color.RED), with_attribute(Color.BLUE)),
    "partial function": (
        with_attribute(functools.partial(F.leaky_relu, negative_slope=0.1)),
        with_attribute(functools.partial(F.leaky_relu, negative_slope=0.2)),
    ),
    "which of two functions, again": (acts(one, two, one), acts(one, two, two), acts(one, one, two)),
    "which function of torch, again": (acts(F.relu, F.silu, F.relu), acts(F.relu, F.silu, F.silu)),
    "which of two objects, again": tuple(
        acts(*(objects[i] for i in order))
        for objects in [(Config(a=1), Config(a=2))]
        for order in ((0, 1, 0), (0, 1, 1))
    ),
    "constant tensor": (with_attribute(torch.ones(3)), with_attribute(torch.zeros(3))),
    "dtype kept": (with_attribute(torch.float32), with_attribute(torch.float64)),
    "kind of layer": (nn.Sequential(nn.ReLU()), nn.Sequential(nn.SiLU()), nn.Sequential(nn.ReLU(), nn.ReLU())),
    "argument of a layer": (nn.LeakyReLU(0.1), nn.LeakyReLU(0.2)),
    "size of a layer": (nn.Linear(4, 4), nn.Linear(4, 5), nn.Linear(4, 4, bias=False)),
    "dtype of a layer": (nn.Linear(4, 4), nn.Linear(4, 4).double()),
    "parameter or buffer": (
        with_attribute(nn.Parameter(torch.ones(3))),
        with_attribute(nn.Buffer(torch.ones(3))),
        with_attribute(torch.ones(3)),
    ),
}


@pytest.mark.parametrize("models", DIFFERENT.values(), ids=DIFFERENT)
def test_different(models):
    keys = [key(model) for model in models]
    assert None not in keys
    assert len(set(keys)) == len(models)


def tied():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    return model


def own_forward():
    model = nn.Linear(4, 4)
    model.forward = types.MethodType(lambda self, x: x, model)
    return model


def test_sharing_counts():
    twice = nn.ReLU()
    untied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    models = [tied(), untied, nn.Sequential(nn.ReLU(), nn.ReLU()), nn.Sequential(twice, twice)]
    assert len({key(model) for model in models}) >= 3
    assert key(tied()) != key(untied)


def test_a_forward_of_its_own_counts():
    assert None is not key(own_forward()) != key(nn.Linear(4, 4))


def test_inputs_count_by_their_type():
    model = make("return x")
    inputs = [(X,), (torch.zeros(2, 5),), (X.double(),), (X, X), ([X],), ({"x": X},), ({"y": X},), (1,), (2,), (None,)]
    keys = [fingerprint(model, given, {}) for given in inputs]
    keys += [fingerprint(model, (), {"x": X}), fingerprint(model, (X,), {"flag": True}), key(model, X, flag=False)]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_the_way_numbers_are_treated_counts():
    model = make("return x @ torch.ones(4)")
    keys = [key(model)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        keys.append(key(model))
    torch.set_default_dtype(torch.float64)
    try:
        keys.append(key(model))
    finally:
        torch.set_default_dtype(torch.float32)
    assert len(set(keys)) == 3
    assert key(model) == keys[0]


def changed_weights(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    return model


SAME = {
    "a copy": copy.deepcopy,
    "weights": changed_weights,
    "mode": lambda model: copy.deepcopy(model).train(),
    "gradients": lambda model: copy.deepcopy(model).requires_grad_(False),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_the_same(change):
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()).eval()
    before = key(model)
    assert None is not before == key(change(model))


def test_content_and_place_of_inputs_do_not_count():
    model = make("return x")
    assert key(model, X) == key(model, torch.ones(2, 4)) == key(model, torch.ones(4, 2).t())


def registering(hook):
    model = nn.Linear(4, 4)
    getattr(model, hook)(lambda *args: None)
    return model


def forgetful():
    model = Calls(lambda m, x: later)
    if model.training:
        return model
    later = 1
    return later


UNSURE = {
    "hook before": registering("register_forward_pre_hook"),
    "hook behind": registering("register_forward_hook"),
    "layer that is not registered": with_attribute([nn.Linear(4, 4)]),
    "global layer": make("return layer(x)", layer=nn.Linear(4, 4)),
    "numpy": with_attribute(np.ones(3)),
    "generator": with_attribute(torch.Generator()),
    "large constant": with_attribute(torch.zeros(100, 100)),
    "meta": nn.Linear(4, 4, device="meta"),
    "lazy": nn.LazyLinear(4),
    "abstract class": with_attribute(type("Abstract", (abc.ABC,), {})()),
    "empty closure": forgetful(),
}


@pytest.mark.parametrize("model", UNSURE.values(), ids=UNSURE)
def test_no_key_is_better_than_an_unsure_one(model):
    assert key(model) is None


def test_what_goes_in_circles_has_an_end():
    circle = Config()
    circle.itself = circle
    assert key(with_attribute(circle))
    items = []
    items.append(items)
    assert key(with_attribute(items)) is None


def test_deep_models():
    model = nn.ReLU()
    for _ in range(100):
        model = nn.Sequential(model)
    assert key(model)


MODULE = """
import torch
from torch import nn
from solkit.frontend.fingerprint import fingerprint

class Model(nn.Module):
    kinds = {"a", "b", "c", "d", "e"}
    def forward(self, x, kind="a"):
        return x if kind in {"k1", "k2", "k3", "k4"} or kind in self.kinds else x[..., 0]

KEY = fingerprint(Model(), (torch.zeros(3),), {})
"""


def test_another_process_finds_the_same_key(tmp_path, monkeypatch):
    (tmp_path / "some_model.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    key = importlib.import_module("some_model").KEY
    command = [sys.executable, "-c", "import some_model; print(some_model.KEY)"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONHASHSEED": "7"}
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert key is not None
    assert there.strip() == key
