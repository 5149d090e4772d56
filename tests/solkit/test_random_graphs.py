"""Random networks, the same ones every time: fusion, layouts and memory in combinations nobody would think of.

RANDOM_SEEDS=100-200 pytest tests/solkit/test_random_graphs.py tries others.
"""

import os
import random

import pytest
import torch
import torch.nn.functional as F
from compare import Each, agree, compare, images
from torch import nn

FIRST, _, LAST = os.environ.get("RANDOM_SEEDS", "0-4").partition("-")
CHANNELS = (1, 3, 4, 8, 16, 17, 33)
UNARY = [F.relu, torch.sigmoid, torch.tanh, torch.abs, F.hardswish, lambda x: 1 - x * 0.5, lambda x: (x + 1).relu_()]
BINARY = [torch.add, torch.sub, torch.mul, torch.maximum]
OF_ANY_TYPE = [
    lambda x: x.flip(-1),
    lambda x: x.cumsum(-1),
    lambda x: x.roll(1, 1),
    lambda x: torch.where(x > 0, x, -x),
]
IN_PYTORCH = [lambda x: x.logcumsumexp(-1), lambda x: torch.special.i0e(x)]
PLAIN = [
    lambda x: x.softmax(-1),
    lambda x: x.softmax(1),
    lambda x: x.mean(-1, keepdim=True) * x,
    lambda x: x.transpose(-1, -2),
    lambda x: x.transpose(1, -1),
    lambda x: x[:, x.shape[1] // 2 :],
    lambda x: x[:, ::2],
    lambda x: x.chunk(2, 1)[0],
    lambda x: x[..., -1:].expand_as(x),
    lambda x: torch.cat([x, x * 2], 1),
    lambda x: torch.cat([x[:, :1], x], 1),
    lambda x: x @ x.mT,
]
TWO = [*BINARY, lambda x, y: torch.cat([x, y], 1), lambda x, y: torch.cat([y, x, y], -1), lambda x, y: x @ y.mT]


def pair(choose, *numbers):
    return choose(numbers), choose(numbers)


def window(choose, shape):
    kernel = pair(choose, 1, 2, 3)
    padding = tuple(choose(range(size // 2 + 1)) for size in kernel)
    kind = choose((nn.MaxPool2d, nn.AvgPool2d))
    return kind(kernel, pair(choose, 1, 2, 3), padding, ceil_mode=choose((True, False)))


def convolution(choose, shape):
    channels = choose(CHANNELS)
    sizes = {"stride": pair(choose, 1, 1, 2), "padding": pair(choose, 0, 1, 2), "dilation": pair(choose, 1, 1, 2)}
    made = nn.Conv2d(shape[1], channels, pair(choose, 1, 1, 2, 3, 5), bias=choose((True, False)), **sizes)
    return nn.Sequential(made, nn.BatchNorm2d(channels)) if choose((True, False)) else made


def depthwise(choose, shape):
    kernel = choose((1, 3, 5))
    return nn.Conv2d(
        shape[1], shape[1], kernel, choose((1, 2)), kernel // 2, groups=shape[1], bias=choose((True, False))
    )


def grouped(choose, shape):
    groups = choose([groups for groups in (1, 2, 3, 4, 8, 11, 16) if shape[1] % groups == 0])
    return nn.Conv2d(shape[1], groups * choose((1, 2, 4, 16)), choose((1, 3)), 1, choose((0, 1)), groups=groups)


def norm(choose, shape):
    groups = choose([groups for groups in range(1, shape[1] + 1) if shape[1] % groups == 0])
    return choose(
        (nn.LayerNorm(shape[-1]), nn.LayerNorm(shape[1:]), nn.RMSNorm(shape[-1]), nn.GroupNorm(groups, shape[1]))
    )


class Parameter(nn.Module):
    """A value and a parameter that broadcasts with it."""

    def __init__(self, choose, shape):
        super().__init__()
        sizes = [choose((1, size)) for size in shape]
        self.parameter = nn.Parameter(torch.randn(sizes[choose(range(len(sizes))) :]))
        self.function = choose(BINARY)

    def forward(self, x):
        return self.function(x, self.parameter)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


LAYERS = [  # each with the ranks it takes
    (convolution, {4}),
    (convolution, {4}),
    (window, {4}),
    (lambda choose, shape: nn.AdaptiveAvgPool2d(choose((1, 1, 2, (1, 3)))), {4}),
    (lambda choose, shape: nn.Flatten(choose((1, 2))), {4}),
    (lambda choose, shape: nn.Linear(shape[-1], choose(CHANNELS)), {2, 3, 4}),
    (lambda choose, shape: Function(choose(UNARY)), {2, 3, 4}),
    (lambda choose, shape: Function(choose((*IN_PYTORCH, *OF_ANY_TYPE))), {2, 3, 4}),
    (lambda choose, shape: Function(choose(PLAIN)), {2, 3, 4}),
    (lambda choose, shape: Function(choose(PLAIN)), {2, 3, 4}),
    (depthwise, {4}),
    (grouped, {4}),
    (norm, {2, 3, 4}),
    (Parameter, {2, 3, 4}),
]


class Network(nn.Module):
    """A random straight line of layers, each reading one or two of the values made last; some values are outputs."""

    def __init__(self, choose, shape):
        super().__init__()
        self.layers, self.reads, values = nn.ModuleList(), [], [images(*shape)]
        while len(self.layers) < 8:
            read = [choose(range(max(0, len(values) - 3), len(values)))]
            layer = self._layer(choose, values, read)
            try:
                made = layer.eval()(*(values[i] for i in read))
            except RuntimeError:
                continue  # a window larger than its image, say
            # What is nearly zero is rounding alone: a norm behind it would make numbers of it.
            if 0 < made.numel() < 20000 and made.abs().max() > 1e-3:
                values.append(made.detach())
                self.layers.append(layer)
                self.reads.append(read)
        self.outputs = [len(values) - 1, choose(range(1, len(values)))]

    def _layer(self, choose, values, read):
        x = values[read[0]]
        others = [i for i, value in enumerate(values) if value.dim() == x.dim() and value is not x]
        if others and choose((True, False, False)):
            read.append(choose(others))
            return Function(choose(TWO))
        return choose([make for make, ranks in LAYERS if x.dim() in ranks])(choose, x.shape)

    def forward(self, x):
        values = [x]
        for layer, read in zip(self.layers, self.reads, strict=True):
            values.append(layer(*(values[i] for i in read)))
        return [values[i] for i in self.outputs]


@pytest.mark.parametrize("seed", range(int(FIRST), int(LAST or FIRST)))
def test_random_networks(seed):
    torch.manual_seed(seed)
    choose = random.Random(seed).choice
    shapes = [(choose((1, 2)), choose(CHANNELS), choose(range(1, 14)), choose(range(1, 14))) for _ in range(8)]
    model = Each({str(index): Network(choose, shape) for index, shape in enumerate(shapes)})
    made = compare(model, *(images(*shape) for shape in shapes), tolerance=1e-4)
    others = tuple(images(*shape, seed=1) for shape in shapes)
    with torch.no_grad():  # what the first call left in memory does not reach the second
        agree(made(*others), model, others, {}, tolerance=1e-4)
