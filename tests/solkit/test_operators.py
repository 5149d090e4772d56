"""Every row of the operator table against PyTorch in float64: shapes, broadcasting, NaN and infinity, all arguments."""

import itertools
import math
import random

import pytest
import torch
import torch.nn.functional as F
from compare import Calls, Each, compare, images
from torch import nn

import solkit as sol
from solkit.ops import BY_ATEN, TABLE, Kind

# What runs each row. A new operator is a line here (or in one of the tables of windows and matrices below).
UNARY = {
    "neg": torch.neg,
    "abs": torch.abs,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "relu": F.relu,
    "clamp": lambda x: x.clamp(-0.5, 0.75),
    "clamp from below": lambda x: x.clamp(min=0.25),
    "clamp from above": lambda x: x.clamp(max=1),
    "hardtanh": lambda x: F.hardtanh(x, -0.75, 0.5),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "exp": torch.exp,
    "log": torch.log,
    "square": torch.square,
    "pow 2": lambda x: x**2,
    "pow 3": lambda x: x**3,
    "erf": torch.erf,
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "add a number": lambda x: x + 2.5,
    "sub a number": lambda x: x - 3,
    "rsub a number": lambda x: 1 - x,
    "mul a number": lambda x: x * -0.3,
    "div a number": lambda x: x / 7,
    "div of a number": lambda x: 2 / x,
}
BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "rsub": lambda x, y: torch.rsub(x, y),
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
ELSEWHERE = {"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "conv2d", "linear"}

SHAPES = [(), (17,), (1, 16, 1, 1), (2, 5, 3, 33), (2, 3, 2, 2, 5)]
PAIRS = [
    ((7,), (7,)),
    ((5, 7), (7,)),
    ((7,), (5, 7)),
    ((5, 7), (5, 1)),
    ((5, 1), (1, 7)),
    ((), (3, 3)),
    ((1,), (33,)),
    ((2, 3, 4), (3, 1)),
    ((2, 1, 4), (1, 3, 1)),
    ((2, 3, 4, 5), (3, 1, 1)),
    ((2, 3, 4, 5), (2, 3, 1, 1)),
    ((2, 3, 4, 5), (2, 1, 1, 1)),
    ((2, 3, 4, 5), (1, 1, 1, 5)),
    ((2, 3, 4, 5), (1, 3, 4, 5)),
    ((2, 1, 4, 1), (1, 3, 1, 5)),
    ((1, 20, 1, 1), (20, 1, 1)),
    ((3, 20, 1, 1), (3, 1, 1, 1)),
    ((2, 1, 3, 1, 2), (4, 1, 5, 1)),
]
ODD = [math.nan, math.inf, -math.inf]  # their sums are odd too, while those of large numbers depend on the precision
SPECIAL = torch.tensor([*ODD, 0.0, -0.0, 1.0, -1.0, 1e-41, -1e-41, 3e38, -3e38, 88.0, -88.0, 1e-3])


def test_every_row_with_an_aten_name_is_tested():
    tested = {name.split()[0] for name in (*UNARY, *BINARY)} | ELSEWHERE
    assert tested == {row.name for row in TABLE.values() if row.aten}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_unary(shape):
    model = compare(Each(UNARY), *[images(*shape)] * len(UNARY), tolerance=3e-6)
    assert model.explain().in_pytorch == []


def test_broadcasting():
    inputs = {f"{a} - {b}": (images(*a), images(*b, seed=1)) for a, b in PAIRS}
    model = compare(Each(dict.fromkeys(inputs, torch.sub)), *inputs.values(), tolerance=3e-6)
    assert model.explain().in_pytorch == []


@pytest.mark.parametrize(("a", "b"), PAIRS[::5], ids=str)
def test_binary(a, b):
    model = compare(Each(BINARY), *[(images(*a), images(*b, seed=1))] * len(BINARY), tolerance=3e-6)
    assert model.explain().in_pytorch == []


def test_special_numbers_go_through():
    """NaN, infinities, zeros of both signs, numbers near the ends of the range."""
    unary = {name: function for name, function in UNARY.items() if name != "log"}  # it takes subnormal numbers for 0
    compare(Each(unary), *[SPECIAL] * len(unary), tolerance=3e-6)
    compare(Calls(lambda m, x: x.log()), torch.cat([SPECIAL[:7], SPECIAL[9:]]), tolerance=3e-6)
    compare(Each(BINARY), *[(SPECIAL[:, None], SPECIAL)] * len(BINARY), tolerance=3e-6)


def test_zeros_keep_their_signs():
    functions = {"-x": torch.neg, "abs": torch.abs, "* 1": lambda x: x * 1, "/ 1": lambda x: x / 1}
    functions |= {"+ 0": lambda x: x + 0, "- 0": lambda x: x - 0}
    model, zeros = Each(functions).eval(), [torch.tensor([0.0, -0.0])] * len(functions)
    for name, made in sol.optimize(model, *zeros)(*zeros).items():
        assert torch.equal(made.signbit(), functions[name](zeros[0]).signbit()), name


@pytest.mark.parametrize("channels", [3, 33])
def test_on_blocks_of_channels(channels):
    """The same operators behind a pool, where images lie in blocks of channels."""
    operands = [images(channels, 1, 1), images(3, channels, 1, 1), images(3, channels, 4, 5), images(3, 1, 4, 1)]
    operands += [images(1, channels, 4, 5), images(5), images()]
    unary = UNARY if channels == 33 else {}
    models = {name: lambda x, f=function: f(F.max_pool2d(x, 2)) for name, function in unary.items()}
    for other in operands:
        models[f"* {list(other.shape)}"] = lambda x, y: F.max_pool2d(x, 2) * y
        models[f"{list(other.shape)} -"] = lambda x, y: y - F.max_pool2d(x, 2)
    x = images(3, channels, 8, 10)
    compare(Each(models), *[x] * len(unary), *((x, y) for y in operands for _ in range(2)), tolerance=3e-6)


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (lambda x: torch.add(x, x, alpha=2), images(5)),
        (lambda x: x * 2, torch.arange(5)),
        (lambda x: x + torch.arange(5), images(5)),
        (lambda x: torch.div(x, 3, rounding_mode="floor"), images(5)),
        (lambda x: F.max_pool2d(x, 3, dilation=2), images(1, 3, 9, 9)),
        (lambda x: F.max_pool2d(x, 3), images(3, 9, 9)),
        (lambda x: F.relu(x), images(0, 3)),
    ],
    ids=["alpha", "integers", "mixed", "rounding", "dilated pool", "image without batch", "no elements"],
)
def test_what_a_row_does_not_cover_is_a_call_compiled_by_itself(function, x):
    model = Calls(lambda m, x: function(x)).eval()
    made = sol.optimize(model, x)
    torch.testing.assert_close(made(x), model(x))
    assert made.explain().in_pytorch == []


@pytest.mark.parametrize("function", [lambda x: x + 1j, torch.linalg.svdvals], ids=["complex", "singular values"])
def test_what_there_is_no_code_for_runs_in_pytorch(function):
    x, model = images(5, 4), Calls(lambda m, x: function(x)).eval()
    made = sol.optimize(model, x)
    torch.testing.assert_close(made(x), model(x))
    assert made.explain().in_pytorch


# -- windows ----------------------------------------------------------------------------------------------------------

IMAGES = [(3, 5, 8, 11), (1, 33, 9, 6)]
POOLS = {
    "max_pool2d": [
        *({"kernel_size": k} for k in (1, 2, (2, 3))),
        *({"kernel_size": 3, "stride": s, "padding": p} for s, p in ((1, 1), ((2, 1), (0, 1)), (5, 0))),
        *({"kernel_size": k, "stride": 2, "ceil_mode": True, "padding": p} for k, p in ((2, 0), (3, 1), (2, 1))),
        {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    ],
    "avg_pool2d": [
        *({"kernel_size": k} for k in (1, (3, 2))),
        {"kernel_size": 3, "stride": (1, 2), "padding": (1, 0)},
        *(
            {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": ceil, "count_include_pad": count}
            for ceil in (True, False)
            for count in (True, False)
        ),
        *({"kernel_size": 2, "stride": 3, "ceil_mode": True, "divisor_override": d} for d in (None, 3)),
        {"kernel_size": 3, "padding": 1, "divisor_override": 2},
    ],
    "adaptive_avg_pool2d": [{"output_size": size} for size in (1, 2, 3, (1, 4), (3, None), 11)],
}


def test_all_windows_are_here():
    assert set(POOLS) | {"depthwise_conv2d"} == {row.name for row in TABLE.values() if row.kind is Kind.WINDOW}


@pytest.mark.parametrize("shape", IMAGES, ids=str)
@pytest.mark.parametrize("name", POOLS)
def test_pools(name, shape):
    pools = {str(a): lambda x, a=a: getattr(F, name)(x, **a) for a in POOLS[name]}
    model = compare(Each(pools), *[images(*shape)] * len(pools))
    assert model.explain().in_pytorch == []


def test_pools_of_special_numbers():
    x = images(1, 20, 7, 7)
    x.view(-1)[::5] = torch.tensor([*ODD, 1e-41]).repeat(49)
    x[0, 3] = -math.inf
    pools = {f"{name} {a}": lambda x, n=name, a=a: getattr(F, n)(x, **a) for name in POOLS for a in POOLS[name][1:8:2]}
    compare(Each(pools), *[x] * len(pools))


# -- matrices ---------------------------------------------------------------------------------------------------------


def named(pairs):
    """Models by what they print, the input beside it."""
    return {f"{index}: {model} of {list(x.shape)}": model for index, (model, x) in enumerate(pairs)}


def conv(channels=(5, 7), size=(9, 11), batch=1, kernel=3, **arguments):
    """A convolution and its input."""
    return nn.Conv2d(*channels, kernel, **arguments), images(batch, channels[0], *size)


CHANNELS = (1, 3, 5, 16, 17, 64, 100)
CONVOLUTIONS = {
    "kernels": [conv(kernel=k) for k in (1, 2, 3, 4, 5, 6, 7, (1, 3), (5, 2))]
    + [conv(kernel=k, padding=k // 2) for k in (2, 3, 7)],
    "strides": [conv(kernel=k, stride=s) for k in (1, 3) for s in (2, (1, 3), 9)],
    "padding": [conv(padding=p) for p in (2, (0, 1), (2, 0), (1, 4))]
    + [conv(kernel=1, padding=p, stride=s) for p, s in ((1, 1), ((2, 0), 2))],
    "padding by name": [conv(kernel=k, padding="same") for k in (1, (3, 5))]
    + [conv(kernel=k, padding="same", dilation=d) for k, d in (((3, 1), (3, 1)), (5, (1, 2)))]
    + [conv(padding="valid")],
    "dilation": [conv(dilation=d, padding=p) for d, p in ((2, 0), (2, 2), ((1, 2), 2), ((4, 1), 0))],
    "channels in": [conv((c, 5), padding=1) for c in CHANNELS],
    "channels out": [conv((5, c), padding=1) for c in CHANNELS],
    "channels of a 1x1": [conv((c, d), kernel=1) for c, d in zip(CHANNELS, CHANNELS[::-1], strict=True)],
    "no bias": [conv(c, padding=p, bias=False) for c, p in (((3, 17), 1), ((16, 16), 0))],
    "sizes": [conv(size=s, padding=1) for s in ((1, 1), (1, 30), (30, 1), (2, 2), (7, 13), (5, 57))],
    "one pixel": [conv((16, c), (1, 1), kernel=1, batch=b) for c, b in ((1, 1), (10, 3), (100, 1), (100, 3))],
    "window as large as the image": [conv((c, 20), (5, 4), kernel=(5, 4), batch=3) for c in (3, 16)],
    "batches": [conv((c, 20), batch=b, padding=1) for c in (3, 17) for b in (2, 3)],
    "many weights": [conv((300, 40), (4, 5), padding=1), conv((1100, 70), (6, 6), kernel=1)],
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name):
    model = compare(Each(named(CONVOLUTIONS[name])), *(x for _, x in CONVOLUTIONS[name]))
    assert model.explain().in_pytorch == []


@pytest.mark.parametrize("seed", range(2))
def test_random_convolutions(seed):
    """Eight of them, in pairs one behind the other, so that one reads what the other has written."""
    choose = random.Random(seed).choice
    pairs = []
    for _ in range(4):
        channels = [choose(CHANNELS) for _ in range(3)]
        layers = []
        for here, there in itertools.pairwise(channels):
            window = {"kernel_size": (choose((1, 2, 3)), choose((1, 3, 5))), "stride": (choose((1, 2)), choose((1, 2)))}
            window |= {"padding": (choose((0, 1, 2)), choose((1, 2))), "dilation": (choose((1, 2)), 1)}
            layers += [nn.Conv2d(here, there, bias=choose((True, False)), **window), choose((nn.ReLU, nn.Tanh))()]
        x = images(choose((1, 3)), channels[0], choose((13, 17, 24)), choose((11, 16, 31)))
        pairs.append((nn.Sequential(*layers), x))
    compare(Each(named(pairs)), *(x for _, x in pairs))


def test_other_convolutions_run_in_pytorch_or_in_parts():
    models = [nn.Conv2d(4, 6, 3, groups=2), nn.Conv2d(4, 6, 2, padding="same")]
    models += [nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect")]
    for shape in ((2, 4, 9, 9), (4, 9, 9)):
        compare(Each({str(model): model for model in models}), *[images(*shape)] * len(models))


def test_special_numbers_in_matrices():
    """One input in a hundred is not a number, or infinite: it reaches just the sums it belongs to."""
    x = images(2, 20, 9, 9)
    x.view(-1)[:3030:101] = torch.tensor(ODD).repeat(10)
    models = {"3x3": nn.Conv2d(20, 17, 3, padding=1), "1x1": nn.Conv2d(20, 17, 1), "linear": nn.Linear(9, 5)}
    compare(Each(models), x, x, x)


LEADING = [(), (1,), (2,), (7,), (50,), (2, 3), (3, 1, 2, 2)]


@pytest.mark.parametrize("features", [(1, 1), (5, 17), (33, 10), (100, 64)], ids=str)
def test_linear(features):
    models = {str(shape): nn.Linear(*features, bias=index % 3 > 0) for index, shape in enumerate(LEADING)}
    model = compare(Each(models), *(images(*shape, features[0]) for shape in LEADING))
    assert model.explain().in_pytorch == []


def test_weights_that_are_not_known_ahead():
    """A convolution reads weights packed ahead, so one of two inputs is a call by itself. Products: test_matmul.py."""
    x, image = images(4, 5), images(2, 5, 6, 6)
    model = compare(Calls(lambda m, x, w: F.conv2d(x, w[:, :, None, None])), image, images(3, 5))
    assert [row.ops for row in model.explain().rows] == ["aten.conv2d.default"]
    assert model.explain().in_pytorch == []
    bias = Calls(lambda m, x, b: F.linear(x, m.linear.weight, b), linear=nn.Linear(5, 3))
    compare(bias, x, images(3))
    fixed = Calls(lambda m, x: F.linear(x, m.a @ m.b), a=nn.Parameter(images(3, 2)), b=nn.Parameter(images(2, 5)))
    assert compare(fixed, x).explain().in_pytorch == []


def test_every_overload_is_one_that_pytorch_has():
    for name in BY_ATEN:
        namespace, operator, overload = name.split(".")
        assert hasattr(getattr(getattr(torch.ops, namespace), operator), overload)
