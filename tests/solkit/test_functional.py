"""Programs that write in place, made functional: the same results, and traced twice only where they have to be."""

import random

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

from solkit import reference
from solkit.frontend.torch import capture


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def same(function, x):
    expected = Calls(function)(x.clone())
    expected = expected if isinstance(expected, tuple) else (expected,)
    graph, _, _ = capture(Calls(function), (x,), {})
    made = reference.run(graph, [x], {}, None)
    assert [y.dtype for y in made] == [y.dtype for y in expected]
    torch.testing.assert_close(tuple(made), expected)


@pytest.fixture
def traced_again(monkeypatch):
    """Programs that were traced a second time."""
    seen, trace = [], ExportedProgram.run_decompositions
    monkeypatch.setattr(
        ExportedProgram, "run_decompositions", lambda self, *rest: seen.append(self) or trace(self, *rest)
    )
    return seen


def chained(x):
    y = x * 2
    y.relu_().add_(1)
    z = y + x
    z *= y
    return z, y


def several_names(x):
    y = x + 1
    same_tensor = y
    y.mul_(3)
    return y.view(-1) + same_tensor.reshape(-1)


def batch_norm(x):
    y = nn.functional.batch_norm(x[..., None], torch.zeros(4), torch.ones(4))
    return nn.functional.relu_(y)


def second_names(x):
    y = torch.subtract(x, 1).multiply_(2)
    y.divide_(torch.absolute(x) + 1)
    return torch.concat([torch.clip(y, -1, 1), torch.negative(y)]), torch.greater(y, x)


def constants(x):
    return torch.maximum(x, torch.tensor(0.5)).relu_() + x.to("cpu", torch.float64)


@pytest.mark.parametrize("function", [chained, several_names, batch_norm, second_names, constants])
def test_replaced(function, traced_again):
    same(function, torch.randn(3, 4))
    assert not traced_again


def view_before(x):
    y = x * 2
    view = y[0]
    y.relu_()
    return view


def view_of_a_later_name(x):
    y = x * 2
    view = y.relu_().view(-1)
    y.add_(1)
    return view


def through_a_view(x):
    y = x * 2
    y[:, 0] = 5
    y[1].relu_()
    return y


def part(x):
    first, second = (x * 2).chunk(2)
    return first.relu_() + second.neg_()


def other_dtype(x):
    y = x * 2
    y.add_(torch.ones(4, dtype=torch.float64))
    return y.mul_(torch.arange(4))


def autocast(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return (x @ torch.ones(4, 4)).relu_()


@pytest.mark.parametrize("function", [view_before, view_of_a_later_name, through_a_view, part, other_dtype, autocast])
def test_traced_again(function, traced_again):
    same(function, torch.randn(4, 4))
    assert traced_again


STEPS = [
    "{a} = {b} * 2",
    "{a} = {b}",
    "{a} = {b}[::2].repeat(2, 1)",
    "{a} = {b}.view(-1).view(4, 4)",
    "{a} = {b}.t()",
    "{a} = {b}.contiguous()",
    "{a}.relu_()",
    "{a} += {b}.exp()",
    "{a}.mul_(0.5).add_({b}.sum(0))",
    "{a}, {b} = {a}.chunk(2)[0].repeat(2, 1), {b}.clone()",
    "{a} = torch.stack(({a}, {b})).sum(0)",
    "{a}.clamp_(-1, 1)",
]


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed):
    """A few statements over three names, some of which share memory and are written into."""
    draw = random.Random(seed)
    lines = [draw.choice(STEPS).format(a=draw.choice("pqr"), b=draw.choice("pqr")) for _ in range(8)]
    text = "\n    ".join(["def function(x):", "p, q, r = x + 1, x.clone(), x * 3", *lines, "return p, q, r"])
    scope = {"torch": torch}
    exec(text, scope)
    same(scope["function"], torch.randn(4, 4, generator=torch.Generator().manual_seed(seed)))
