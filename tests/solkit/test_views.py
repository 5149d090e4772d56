"""Views: read where they lie by element-wise operators, reductions and products; composed; copied where need be."""

import itertools
import random

import pytest
import torch
import torch.nn.functional as F
from compare import Calls, Each, compare, images
from torch import nn

from solkit import passes
from solkit.frontend.torch import capture
from solkit.target import host

SHAPE = (3, 4, 5, 6)


def check(functions, *inputs, **arguments):
    """All of `functions` at once on the same inputs; none of them runs in PyTorch."""
    inputs = inputs or (images(*SHAPE),)
    model = compare(Each(functions), *[inputs if len(inputs) > 1 else inputs[0]] * len(functions), **arguments)
    assert model.explain().in_pytorch == []
    return model


VIEWS = {
    "permute": lambda x: x.permute(2, 0, 3, 1),
    "transpose": lambda x: x.transpose(1, -1),
    "mT": lambda x: x.mT,
    "movedim": lambda x: x.movedim((0, 2), (-1, 1)),
    "swapaxes": lambda x: x.swapaxes(0, 2),
    "adjoint": lambda x: x.adjoint(),
    "slice": lambda x: x[1:, ::2, :-1, 1:6:3],
    "from the end": lambda x: x[-2:, :, -3:-1],
    "select": lambda x: x[:, 2],
    "select from the end": lambda x: x[..., -1],
    "select two": lambda x: x[1, :, 3],
    "one element": lambda x: x[1, 2, 3, 4],
    "narrow": lambda x: x.narrow(2, 1, 3),
    "expand": lambda x: x[:, :1].expand(-1, 7, -1, -1),
    "expand in front": lambda x: x[0].expand(2, 2, -1, -1, -1),
    "broadcast_to": lambda x: x[:1, :, :1].broadcast_to(3, 4, 2, 6),
    "expand_as": lambda x: x[:, :, :1].expand_as(x),
    "split": lambda x: x.split(2, dim=3)[1],
    "split, a smaller one at the end": lambda x: x.split(4, dim=2)[1],
    "split into sizes": lambda x: x.split([1, 4, 1], dim=-1)[1],
    "chunk": lambda x: x.chunk(2, 1)[1],
    "uneven chunk": lambda x: x.chunk(2, 2)[1],
    "tensor_split": lambda x: x.tensor_split((1, 4), 2)[1],
    "unbind": lambda x: x.unbind(1)[3],
    "unfold": lambda x: x.unfold(2, 3, 2),
    "overlapping": lambda x: x.unfold(3, 4, 1),
    "diagonal": lambda x: x.diagonal(dim1=1, dim2=2),
    "diagonal beside": lambda x: x.diagonal(1, 2, 3),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "unsqueeze": lambda x: x.transpose(0, 1).unsqueeze(2),
    "flatten": lambda x: x.flatten(1, 2),
    "view of a part": lambda x: x[:, 1].reshape(3, 30),
    "view split": lambda x: x.reshape(3, 4, 5, 2, 3).transpose(2, 3),
}
READERS = {
    "a copy": lambda x: x,
    "an operator": lambda x: torch.sigmoid(x) + 1,
    "a sum": lambda x: x.sum(-1, keepdim=True) if x.dim() else -x,
    "a softmax": lambda x: x.softmax(-1) if x.dim() else x.exp(),
}


@pytest.mark.parametrize("reader", READERS)
def test_each_view(reader):
    check({name: lambda x, v=view: READERS[reader](v(x)) for name, view in VIEWS.items()})


def test_each_view_of_what_was_computed():
    check({name: lambda x, v=view: v(x * 2 + 1).abs() for name, view in VIEWS.items()})


def test_views_as_outputs():
    """Of an input, of what was computed, of each other; all of the parts of one."""
    check(
        {
            "input": lambda x: (x.transpose(1, 2), x[1:], x[:, 0]),
            "parts": lambda x: x.split(2, 1),
            "computed": lambda x: ((x + 1).chunk(3, 3)[::2], (x + 1).mT),
            "both": lambda x: (x.abs(), x.abs()[:, ::2]),
            "of a view": lambda x: (x[1:], x[1:, 1], x[1:, 1].T if x.dim() == 3 else x[1:, 1].mT),
            "unbind": lambda x: [part.relu() for part in x.unbind(2)],
            "expanded": lambda x: x[:1].expand(3, 4, 5, 6),
        }
    )


def test_views_in_place_of_an_operand():
    functions = {
        "turned": lambda x, y: x.mT * y.mT,
        "one turned": lambda x, y: x[:, :, :4] * y.transpose(1, 2)[:, :4, :4].transpose(1, 2),
        "expanded": lambda x, y: x[:1].expand_as(y) - y,
        "rows and columns": lambda x, y: x[..., :1] * y[:, :, :1],
        "halves": lambda x, y: x[..., :3] * x[..., 3:].sigmoid() + y[..., ::2],
        "diagonals": lambda x, y: x.diagonal(dim1=1, dim2=2) + y.diagonal(dim1=1, dim2=2),
        "rotated": lambda x, y: torch.cat([-x[..., 3:], x[..., :3]], -1) * y,
    }
    functions["with itself"] = lambda x, y: x[:, :4, :4] + x[:, :4, :4].transpose(1, 2) * y[:, :4, :4]
    check(functions, images(*SHAPE), images(*SHAPE, seed=1))


# What was a view is read where it lies: no cluster for it.
READ_THROUGH = {
    "permuted": (lambda x: torch.relu(x.permute(0, 2, 1)), "strided -> relu"),
    "sliced": (lambda x: torch.relu(x[:, 1::2, 3:]), "strided -> relu"),
    "of a view": (lambda x: torch.relu(x.permute(0, 2, 1)[1:, :, 2:]), "strided -> relu"),
    "reduced": (lambda x: x[:, 1:, 3:].sum(-1), "strided -> row_sum"),
    "columns": (lambda x: x.sum(1), "strided -> row_sum"),
    "multiplied": (lambda x: x @ x.mT, "strided -> matmul"),
    "gated": (lambda x: x[..., :10] * x[..., 10:], "strided -> strided -> mul"),
}


@pytest.mark.parametrize("name", READ_THROUGH)
def test_read_through(name):
    function, ops = READ_THROUGH[name]
    rows = compare(Calls(lambda m, x: function(x)), images(3, 7, 20)).explain().rows
    assert [row.ops for row in rows] == [ops]


COPIED = {
    "for a linear layer": lambda m, x: m.linear(x.transpose(1, 2)),
    "for PyTorch": lambda m, x: x.transpose(1, 2).cumsum(-1),
    "for a reshape": lambda m, x: x.transpose(1, 2).reshape(3, -1) * 2,
    "as an output": lambda m, x: x.transpose(1, 2),
}


@pytest.mark.parametrize("name", COPIED)
def test_views_that_are_copied(name):
    rows = compare(Calls(COPIED[name], linear=nn.Linear(7, 5)), images(3, 7, 20)).explain().rows
    assert rows[0].ops == "strided" or rows[0].ops.startswith("strided -> mul"), [row.ops for row in rows]


def test_one_reader_that_needs_a_copy_among_others():
    def forward(m, x):
        turned = (x + 1).transpose(1, 2)
        return turned.relu(), m.linear(turned), turned.softmax(-1), turned.flip(-1), turned @ x

    model = compare(Calls(forward, linear=nn.Linear(7, 5)), images(3, 7, 20))
    assert "aten.flip.default" in [row.ops for row in model.explain().rows]


def test_views_of_weights():
    members = {"w": nn.Parameter(images(7, 20)), "b": nn.Parameter(images(40))}
    functions = {
        "added": lambda m, x: x + m.w.T[:, None, :].transpose(0, 2)[:, 0, :][:, :20] + m.b[::2],
        "a part": lambda m, x: F.linear(x, m.w[2:5], m.b[1:7:2]),
        "turned": lambda m, x: x @ m.w.T,
        "turned twice": lambda m, x: F.linear(x, m.w.T.mT.T.T),
        "expanded": lambda m, x: x * m.b[:1].expand(20),
        "selected": lambda m, x: x * m.w[3],
        "as an output": lambda m, x: (x + 1, m.w[1:]),
    }
    functions["parts of one"] = lambda m, x: F.linear(x, m.w.split(3)[1], m.b.split([37, 3])[1])
    x = images(2, 7, 20)
    model = compare(Each({name: Calls(f, **members) for name, f in functions.items()}), *[x] * len(functions))
    assert model.explain().in_pytorch == []


# -- views of views ---------------------------------------------------------------------------------------------------


def part(x, axis, first, step):
    return x.movedim(axis, 0)[first::step].movedim(0, axis)


def random_view(choose, shape):
    """A function and the arguments behind the first."""
    rank, (axis, other) = len(shape), random.Random(choose(range(1000))).sample(range(len(shape)), 2)
    size = shape[axis]
    possible = [(torch.transpose, axis, other), (part, axis, choose(range(size)), choose((1, 1, 2)))]
    if rank > 2:
        possible += [(torch.select, axis, choose(range(size))), (torch.diagonal, 0, axis, other)]
        possible += [(torch.flatten, min(axis, rank - 2), min(axis, rank - 2) + 1)]
    if rank < 5:
        possible += [(torch.unsqueeze, axis)]
        possible += [(torch.unflatten, axis, (2, -1))] if size % 2 == 0 else []
        possible += [(torch.Tensor.unfold, axis, 3, choose((1, 2)))] if size > 3 else []
    possible += [(torch.Tensor.expand, [3 if d == axis else -1 for d in range(rank)])] * 2 if size == 1 else []
    return choose(possible)


def random_views(choose, shape, count):
    """Some views behind one another, as a function."""
    steps, meta = [], torch.empty(shape, device="meta")
    while len(steps) < count:
        step, *arguments = random_view(choose, meta.shape)
        made = step(meta, *arguments)
        if made.numel() < 3000:
            meta = made
            steps.append((step, arguments))

    def views(x):
        for step, arguments in steps:
            x = step(x, *arguments)
        return x

    return views


@pytest.mark.parametrize("seed", range(4))
def test_views_of_views(seed):
    choose = random.Random(seed).choice
    functions = {}
    for index, reader in zip(range(24), itertools.cycle(READERS.values())):
        views = random_views(choose, (4, 6, 5, 8), choose((2, 3, 4, 5)))
        functions[str(index)] = lambda x, v=views, r=reader: r(v(x))
    check(functions, images(4, 6, 5, 8))


def strided(function):
    """`strided` nodes left of a function of one input after all passes."""
    graph, _, _ = capture(Calls(lambda m, x: function(x)).eval(), (images(*SHAPE),), {})
    passes.optimize(graph, check=True, target=host())
    return [node for node in graph.nodes if node.op == "strided"]


@pytest.mark.parametrize(
    ("function", "left"),
    [
        (lambda x: x.permute(3, 1, 0, 2).permute(2, 0, 1, 3).abs(), 1),
        (lambda x: x.mT.mT.abs(), 0),
        (lambda x: x[1:][:, 1:][..., ::2].abs(), 1),
        (lambda x: x.transpose(1, 2)[:, 1:, ::2].unsqueeze(1).abs(), 1),
        (lambda x: x.unbind(0)[1].chunk(2)[1].mT.abs(), 1),
        (lambda x: x.reshape(3, 20, 6).transpose(1, 2).abs(), 1),
        (lambda x: x.transpose(0, 1).reshape(4, 3, 30).abs(), 1),
        (lambda x: x.transpose(0, 1).reshape(12, 30).transpose(0, 1).abs(), 2),
    ],
    ids=["permutes", "there and back", "slices", "mixed", "parts", "shape before", "shape behind", "takes a copy"],
)
def test_what_is_left_of_views_of_views(function, left):
    assert len(strided(function)) == left
