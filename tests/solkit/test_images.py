"""Depthwise and grouped convolution, concatenation in place, channel maps, and what runs as a prologue."""

import pytest
import torch
import torch.nn.functional as F
from compare import Calls, Each, agree, compare, images
from torch import nn

from solkit.target import host

VLEN = host().vector_length


def check(models, *inputs, **arguments):
    """All of `models` at once; one input serves them all. None of them runs in PyTorch."""
    inputs = inputs if len(inputs) > 1 else inputs * len(models)
    model = compare(Each(models), *inputs, **arguments)
    assert model.explain().in_pytorch == []
    return model


def ops_of(model):
    return [row.ops for row in model.explain().rows]


def batch_norm(channels):
    norm = nn.BatchNorm2d(channels)
    norm.running_mean.copy_(images(channels))
    norm.running_var.copy_(images(channels).abs() + 0.5)
    return norm


# -- depthwise and grouped convolution --------------------------------------------------------------------------------


def depthwise(channels=20, kernel=3, **arguments):
    return nn.Conv2d(channels, channels, kernel, groups=channels, **arguments)


DEPTHWISE = {
    "kernels": [
        depthwise(kernel=k, padding=p) for k, p in ((1, 0), (3, 1), (5, 2), (7, 3), ((1, 3), 0), ((5, 2), (2, 1)))
    ],
    "strides": [depthwise(stride=s, padding=1) for s in (2, 3, (1, 2), (2, 1), 9)],
    "dilation": [depthwise(dilation=d, padding=p) for d, p in ((2, 2), ((1, 3), 0), ((3, 1), (3, 1)))],
    "padding": [depthwise(padding=p) for p in (0, 2, (0, 1), (4, 0), "same")],
    "no bias": [depthwise(bias=False, padding=1)],
}


@pytest.mark.parametrize("name", DEPTHWISE)
def test_depthwise(name):
    model = check({f"{i}: {layer}": layer for i, layer in enumerate(DEPTHWISE[name])}, images(2, 20, 9, 11))
    assert any("depthwise_conv2d" in ops for ops in ops_of(model))


def test_depthwise_of_all_numbers_of_channels():
    channels = (2, 3, VLEN - 1, VLEN, VLEN + 1, 40)
    check({str(c): depthwise(c, padding=1) for c in channels}, *(images(2, c, 7, 6) for c in channels))


def test_depthwise_of_small_and_wide_images():
    sizes = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 50), (1, 7)]
    check({str(s): depthwise(padding=1) for s in sizes}, *(images(1, 20, *s) for s in sizes))


def test_several_output_channels_for_each():
    """As many groups as channels, two output channels each: not depthwise in our sense."""
    models = {str(c): nn.Conv2d(c, 2 * c, 3, groups=c, padding=1) for c in (5, 16)}
    check(models, images(1, 5, 7, 6), images(2, 16, 7, 6))


GROUPED = [(2, 32, 32), (2, 6, 10), (3, 12, 9), (4, 16, 64), (8, 64, 32), (32, 128, 128), (2, 34, 34), (3, 48, 48)]


@pytest.mark.parametrize("stride", [1, 2])
def test_grouped(stride):
    models = {}
    for groups, inputs, outputs in GROUPED:
        layer = nn.Conv2d(inputs, outputs, 3, stride, 1, groups=groups, bias=groups % 3 > 0)
        models[str(layer)] = nn.Sequential(layer, nn.ReLU())
    check(models, *(images(2, inputs, 7, 6) for _, inputs, _ in GROUPED))


def test_grouped_1x1_and_others():
    kernels = [(1, 0, 1), ((1, 3), (0, 1), 1), (5, 2, 1), (3, 2, 2)]
    models = {str(k): nn.Conv2d(64, 48, k, 1, p, d, groups=4) for k, p, d in kernels}
    check(models, images(2, 64, 7, 6))


def test_grouped_with_batch_norm_and_residual():
    def forward(m, x):
        return torch.relu(m.norm(m.conv(x)) + x)

    model = Calls(forward, conv=nn.Conv2d(32, 32, 3, padding=1, groups=8, bias=False), norm=batch_norm(32))
    check(
        {"block": nn.Sequential(nn.ReLU(), model, depthwise(32, 5, padding=2), batch_norm(32), nn.SiLU())},
        images(2, 32, 7, 9),
    )


def test_readers_with_halos_of_all_widths():
    """One image read with padding 0 to 3, by all kinds of convolution; parts and joins share its rim."""

    def forward(m, x):
        x = torch.relu(m.first(x))
        joined = torch.cat([x, m.third(x)], 1)
        return m.second(x), m.fourth(joined), m.fifth(x[:, 16:]), F.max_pool2d(joined, 3, 2, 1), joined

    model = Calls(
        forward,
        first=nn.Conv2d(3, 32, 3, padding=1),
        second=depthwise(32, 7, padding=(3, 0)),
        third=nn.Conv2d(32, 32, 1),
        fourth=nn.Conv2d(64, 10, 5, padding=2),
        fifth=nn.Conv2d(16, 16, (1, 5), padding=(0, 2), groups=2),
    )
    made = compare(model, images(2, 3, 9, 8))
    other = images(2, 3, 9, 8, seed=1)
    with torch.no_grad():  # what lay in memory before does not show in a rim
        agree(made(other), model, (other,), {}, 1e-5)


# -- concatenation ----------------------------------------------------------------------------------------------------


class Dense(nn.Module):
    """A dense block: each layer reads all that the earlier ones made."""

    def __init__(self, first, growth, layers=4):
        super().__init__()
        sizes = [first + i * growth for i in range(layers)]
        self.layers = nn.ModuleList(
            nn.Sequential(batch_norm(c), nn.ReLU(), nn.Conv2d(c, 24, 1), nn.ReLU(), nn.Conv2d(24, growth, 3, padding=1))
            for c in sizes
        )

    def forward(self, x):
        made = [x]
        for layer in self.layers:
            made.append(layer(torch.cat(made, 1)))
        return torch.cat(made, 1)


@pytest.mark.parametrize("sizes", [(32, 16), (20, 12)], ids=str)
def test_dense_blocks(sizes):
    """Channels that fall on blocks, and channels that do not."""
    model = nn.Sequential(nn.Conv2d(3, sizes[0], 3), Dense(*sizes), nn.AvgPool2d(2))
    check({"block": model}, images(2, 3, 9, 10), tolerance=1e-4)


def test_a_dense_block_copies_nothing():
    layers = [nn.Conv2d(3, 2 * VLEN, 3), Dense(2 * VLEN, VLEN), nn.MaxPool2d(2)]
    model = compare(nn.Sequential(*layers), images(1, 3, 9, 9), tolerance=1e-4)
    assert not any("cat" in ops or "copy" in ops or "channel_map" in ops for ops in ops_of(model)), ops_of(model)


def cats(a, b, c):
    """`a`, `b` and `c`, all [N, C, H, W], joined in all ways."""
    first = torch.cat([a, b], 1)
    return {
        "two": first,
        "nested": torch.cat([first, c], 1),
        "the other way round": torch.cat([c, first], 1),
        "twice the same": torch.cat([a, a], 1),
        "the same around": torch.cat([b, c, b], 1),
        "alone": torch.cat([a], 1),
        "home elsewhere": torch.cat([b, a], 1),
        "changed": torch.relu(torch.cat([a, b * 2, c], 1)) + 1,
        "read by many": (F.max_pool2d(first, 2), first.mean((2, 3)), first - 1),
        "of a join with itself": torch.cat([first, first], 1),
    }


@pytest.mark.parametrize("channels", [(16, 32, 16), (16, 16, 5), (5, 16, 20), (33, 1, 2)], ids=str)
def test_concatenation_of_what_was_computed(channels):
    class Join(nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(3, c, 3, padding=1) for c in channels)
            self.tails = nn.ModuleList(nn.Conv2d(sum(channels), 4, k, padding=k // 2) for k in (1, 3))

        def forward(self, x):
            made = cats(*(torch.tanh(conv(x)) for conv in self.convs))
            return made, [tail(made["nested"]) for tail in self.tails]

    made = compare(Join(), images(2, 3, 6, 7))
    assert made.explain().in_pytorch == []


def test_concatenation_of_inputs():
    """Blocks, and inputs of the graph, which lie in nobody's block."""

    def forward(m, x, y):
        return cats(x, y, F.max_pool2d(m.conv(x), 1)), m.tail(torch.cat([x, y], 1))

    model = Calls(forward, conv=nn.Conv2d(16, 32, 1), tail=nn.Conv2d(32, 8, 3, padding=1))
    made = compare(model, images(2, 16, 6, 7), images(2, 16, 6, 7, seed=1))
    assert made.explain().in_pytorch == []


def test_concatenation_over_every_dimension():
    x, functions = images(2, 3, 4, 5), {}
    for dim in range(-4, 4):
        functions[f"{dim}"] = lambda x, d=dim: torch.cat([x, x * 2, x.narrow(d, 0, 1)], d)
    functions["behind convolution"] = nn.Sequential(nn.Conv2d(3, 16, 1), Calls(lambda m, x: torch.cat([x, x], 2)))
    functions["rows"] = lambda x: torch.cat([x.flatten(1), x.flatten(1)[:, :7]], 1)
    functions["vectors"] = lambda x: torch.cat([x.flatten(), x[0, 0, 0]]) * 2
    check(functions, x)


# -- channel maps -----------------------------------------------------------------------------------------------------


def shuffle(x, groups):
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


MAPS = {
    "shuffle": lambda x: shuffle(x, 2),
    "shuffle of four": lambda x: shuffle(x, 4),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "split": lambda x: x.split([16, 4, 28], 1)[2],
    "slice": lambda x: x[:, 5:37],
    "every third": lambda x: x[:, 1::3],
    "one": lambda x: x[:, 7:8],
    "whole blocks": lambda x: x[:, 16:32],
    "there and back": lambda x: shuffle(shuffle(x, 4), 12),
    "of a part": lambda x: shuffle(x[:, 8:], 2)[:, ::2],
    "of a join": lambda x: shuffle(torch.cat([x, x + 1], 1), 2),
    "halves, joined": lambda x: torch.cat([x.chunk(2, 1)[1], x.chunk(2, 1)[0]], 1),
    "maps of joins of maps": lambda x: shuffle(torch.cat([shuffle(x, 2)[:, ::2], x[:, 24:]], 1), 2).chunk(2, 1)[0],
}


@pytest.mark.parametrize("reader", ["outputs", "convolutions", "pools and sums"])
def test_channel_maps(reader):
    conv, models = nn.Conv2d(3, 48, 1), {}

    def tail(function):
        if reader == "convolutions":
            return nn.Conv2d(function(torch.zeros(1, 48, 1, 1)).shape[1], 5, 3, padding=1)
        return nn.Identity() if reader == "outputs" else Calls(lambda m, x: (F.avg_pool2d(x, 2), x.mean((2, 3))))

    for name, function in MAPS.items():
        models[name] = nn.Sequential(conv, nn.Tanh(), Calls(lambda m, x, f=function: f(x)), tail(function))
    check(models, images(2, 3, 4, 6))


BEHIND = {
    "operator": torch.relu,
    "operator with a number": lambda x: x - 1,
    "max pool": lambda x: F.max_pool2d(x, 2),
    "average pool": lambda x: F.avg_pool2d(x, 2),
    "global average": lambda x: F.adaptive_avg_pool2d(x, 1),
}


@pytest.mark.parametrize("name", BEHIND)
def test_what_stands_behind_a_channel_map(name):
    compare(Calls(lambda m, x: BEHIND[name](F.max_pool2d(x, 1)[:, 7:])), images(1, 48, 4, 6))


def test_an_operator_between_a_channel_map_and_a_1x1_convolution():
    model = Calls(lambda m, x: m.conv(F.max_pool2d(x, 1)[:, 7:].relu()), conv=nn.Conv2d(41, 20, 1))
    compare(model, images(1, 48, 4, 6))


def test_two_branches_of_shufflenet():
    class Unit(nn.Module):
        def __init__(self, channels):
            super().__init__()
            half = channels // 2
            layers = [nn.Conv2d(half, half, 1), nn.ReLU(), depthwise(half, 3, padding=1), nn.Conv2d(half, half, 1)]
            self.branch = nn.Sequential(*layers, batch_norm(half), nn.ReLU())

        def forward(self, x):
            left, right = x.chunk(2, 1)
            return shuffle(torch.cat([left, self.branch(right)], 1), 2)

    units = {str(c): nn.Sequential(nn.Conv2d(3, c, 3, 2), *(Unit(c) for _ in range(3))) for c in (32, 58)}
    model = check(units, images(1, 3, 11, 9))
    assert not any("cat" in ops.split(" -> ") for ops in ops_of(model))


# -- 1x1 convolutions -------------------------------------------------------------------------------------------------


def pointwise(inputs=24, outputs=40):
    return nn.Conv2d(inputs, outputs, 1)


PROLOGUES = {
    "norm and activation": ([batch_norm(24), nn.ReLU()], "conv2d"),
    "depthwise": ([depthwise(24, 3, padding=1), nn.ReLU()], "depthwise_conv2d -> relu -> conv2d"),
    "depthwise, alone": ([depthwise(24, 5, padding=2, stride=2)], "depthwise_conv2d -> conv2d"),
    "pool": ([nn.MaxPool2d(3, 2, 1)], "max_pool2d -> conv2d"),
    "pool, same size": ([nn.MaxPool2d(3, 1, 1)], "max_pool2d -> conv2d"),
    "shuffle": ([Calls(lambda m, x: shuffle(x, 3))], "channel_map -> conv2d"),
}


@pytest.mark.parametrize("name", PROLOGUES)
def test_prologues(name):
    """What stands before a 1x1 convolution is a part of it; behind it there may be an epilogue."""
    layers, ops = PROLOGUES[name]
    first = nn.Sequential(nn.Conv2d(3, 24, 3, padding=1), nn.MaxPool2d(2))
    model = compare(nn.Sequential(first, *layers, pointwise(), nn.Sigmoid(), nn.MaxPool2d(2)), images(2, 3, 16, 18))
    assert model.explain().in_pytorch == []
    assert any(ops in found for found in ops_of(model)), ops_of(model)


def test_no_prologue_where_others_read_it():
    def forward(m, x):
        x = torch.relu(m.norm(F.max_pool2d(x, 2)))
        return m.a(x), m.b(x), x

    model = Calls(forward, norm=batch_norm(20), a=pointwise(20), b=pointwise(20, 16))
    check({"read by three": model}, images(2, 20, 8, 6))


def test_average_pools_and_1x1_convolutions_change_places():
    pools = [nn.AvgPool2d(2), nn.AvgPool2d(3, 2), nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(2, ceil_mode=True)]
    pools += [
        nn.AvgPool2d(2, divisor_override=3),
        nn.AvgPool2d(3, 1),
        nn.AvgPool2d((9, 7)),
        nn.AvgPool2d(3, 3, 1, count_include_pad=False),
    ]
    models = {f"{i}: {p}": nn.Sequential(nn.ReLU(), pointwise(), p) for i, p in enumerate(pools)}
    models["read twice"] = Calls(lambda m, x: (m.c(x), F.avg_pool2d(m.c(x), 2)), c=pointwise())
    models["stride"] = nn.Sequential(nn.Conv2d(24, 40, 1, 2), nn.AvgPool2d(2))
    models["padding"] = nn.Sequential(nn.Conv2d(24, 40, 1, padding=1), nn.AvgPool2d(2))
    check(models, images(2, 24, 9, 7))
