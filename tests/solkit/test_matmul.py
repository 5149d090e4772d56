"""Products of two values that are both made at each call: shapes as in torch.matmul, views, long sums, epilogues."""

import pytest
import torch
import torch.nn.functional as F
from compare import Calls, Each, compare, images
from torch import nn

from solkit.clusters import CHUNK_STEPS


def check(cases, **arguments):
    """All of `cases` at once (by name, a function and its inputs); none of it runs in PyTorch."""
    functions = {name: function for name, (function, *_) in cases.items()}
    model = compare(Each(functions), *(tuple(inputs) for _, *inputs in cases.values()), **arguments)
    assert model.explain().in_pytorch == []
    return model


def operands(a, b):
    return images(*a), images(*b, seed=1)


SIZES = [
    (1, 1, 1),
    (1, 5, 1),
    (1, 7, 33),
    (33, 7, 1),
    (2, 2, 2),
    (5, 17, 3),
    (17, 33, 40),
    (64, 64, 64),
    (37, 100, 131),
]


@pytest.mark.parametrize("name", ["matmul", "mm"])
def test_sizes(name):
    """Rows, columns and sums that are no multiple of anything."""
    check({str(s): (getattr(torch, name), *operands((s[0], s[1]), (s[1], s[2]))) for s in SIZES})


def test_batches():
    check({str(s): (torch.bmm, *operands((3, s[0], s[1]), (3, s[1], s[2]))) for s in SIZES})


SHAPES = [
    ((7,), (7,)),
    ((7,), (7, 5)),
    ((5, 7), (7,)),
    ((7,), (3, 7, 5)),
    ((3, 5, 7), (7,)),
    ((2, 3, 5, 7), (7,)),
    ((7,), (2, 3, 7, 5)),
    ((3, 5, 7), (7, 9)),
    ((5, 7), (3, 7, 9)),
    ((3, 5, 7), (1, 7, 9)),
    ((1, 5, 7), (3, 7, 9)),
    ((2, 1, 5, 7), (1, 3, 7, 9)),
    ((2, 1, 5, 7), (3, 7, 9)),
    ((4, 1, 3, 5, 7), (2, 1, 7, 9)),
    ((2, 3, 1, 7), (2, 3, 7, 1)),
    ((1, 1), (1, 1)),
    ((1,), (1,)),
]


def test_shapes_as_in_torch_matmul():
    check({f"{a} @ {b}": (torch.matmul, *operands(a, b)) for a, b in SHAPES})


LENGTHS = (CHUNK_STEPS - 1, CHUNK_STEPS, CHUNK_STEPS + 1, 2 * CHUNK_STEPS, 2 * CHUNK_STEPS + 77)


def test_long_sums():
    """Sums that take several panels, with rows that are no multiple of a tile: the last overlaps the one before."""
    cases = {
        f"{k}, {m} x {n}": (torch.matmul, *operands((m, k), (k, n))) for k in LENGTHS for m, n in ((9, 21), (1, 70))
    }
    cases["behind it"] = lambda a, b: torch.relu(a @ b + 1), *operands((13, LENGTHS[-1]), (LENGTHS[-1], 20))
    cases["turned"] = lambda a, b: a.T @ b.T, *operands((LENGTHS[-1], 13), (20, LENGTHS[-1]))
    check(cases)


VIEWS = {
    "left turned": (lambda a, b: a.mT @ b, *operands((2, 7, 5), (2, 7, 9))),
    "right turned": (lambda a, b: a @ b.transpose(-1, -2), *operands((2, 5, 7), (2, 9, 7))),
    "both turned": (lambda a, b: a.T @ b.T, *operands((7, 35), (19, 7))),
    "heads": (lambda a, b: a.transpose(1, 2) @ b.permute(0, 2, 3, 1), *operands((2, 6, 3, 8), (2, 6, 3, 8))),
    "heads, split off": (
        lambda a, b: a.view(2, 6, 3, 8).transpose(1, 2) @ b.view(2, 6, 3, 8).permute(0, 2, 3, 1),
        *operands((2, 6, 24), (2, 6, 24)),
    ),
    "a part of each": (lambda a, b: a[:, 2:9:2, 1:] @ b[..., 3:], *operands((2, 11, 8), (2, 7, 24))),
    "expanded": (lambda a, b: a.expand(3, 5, 7) @ b.expand(3, 7, 4), *operands((1, 5, 7), (7, 1))),
    "one column all over": (lambda a, b: a @ b.expand(7, 40), *operands((5, 7), (7, 1))),
    "one row all over": (lambda a, b: a.expand(20, 7) @ b, *operands((1, 7), (7, 40))),
    "selected": (lambda a, b: a[1] @ b[:, 1], *operands((2, 5, 7), (7, 2, 9))),
    "diagonal": (lambda a, b: a.diagonal(dim1=0, dim2=1) @ b, *operands((4, 4, 7), (4, 5))),
    "with itself": (lambda a, b: a @ a.T + b @ b.mT, *operands((5, 7), (5, 5))),
    "windows": (lambda a, b: a.unfold(0, 5, 2) @ b, *operands((23,), (5, 9))),
}


def test_views_are_read_where_they_lie():
    check(VIEWS)


@pytest.mark.parametrize("name", VIEWS)
def test_no_copies(name):
    function, *inputs = VIEWS[name]
    rows = compare(Calls(lambda m, *x: function(*x)), *inputs).explain().rows
    assert all("matmul" in row.ops for row in rows), [row.ops for row in rows]


def test_sums_with_a_product():
    bias, a, b = images(9), *operands((5, 7), (7, 9))
    batched = images(1, 9), *operands((3, 5, 7), (3, 7, 9))
    cases = {
        "addmm": (torch.addmm, bias, a, b),
        "addmm of a matrix": (torch.addmm, images(5, 9), a, b),
        "addmm of a column": (torch.addmm, images(5, 1), a, b),
        "addmm of a number": (torch.addmm, images(1), a, b),
        "alpha": (lambda *x: torch.addmm(*x, alpha=0.5), bias, a, b),
        "beta": (lambda *x: torch.addmm(*x, beta=-2), bias, a, b),
        "both": (lambda *x: torch.addmm(*x, alpha=3, beta=0.25), images(5, 9), a, b),
        "baddbmm": (torch.baddbmm, *batched),
        "baddbmm, whole": (torch.baddbmm, images(3, 5, 9), *batched[1:]),
        "baddbmm, both": (lambda *x: torch.baddbmm(*x, alpha=3, beta=0.25), *batched),
    }
    check(cases)


def test_linear_with_weights_made_at_the_call():
    x, w, b = images(4, 5), images(3, 5), images(3)
    cases = {
        "weight": (F.linear, x, w),
        "weight and bias": (F.linear, x, w, b),
        "scaled weight": (lambda x, w, s: F.linear(x, w * s), x, w, images(3, 1)),
        "rows of more dimensions": (F.linear, images(2, 3, 4, 5), w, b),
        "one row": (F.linear, images(5), w, b),
        "one output": (F.linear, x, images(5)),
        "itself": (lambda x: F.linear(x, x), x),
    }
    check(cases)


def test_weights_known_ahead():
    """By a weight on the right it is a linear layer, whose weights are packed; on the left, or in batches, not."""
    members = {
        "two": nn.Parameter(images(7, 9)),
        "three": nn.Parameter(images(3, 7, 9)),
        "one": nn.Parameter(images(7)),
    }
    functions = {
        "right": lambda m, x: x @ m.two,
        "right, turned": lambda m, x: x @ m.two.T.contiguous().T,
        "left": lambda m, x: m.two.T @ x.mT,
        "batches": lambda m, x: x @ m.three,
        "batches on the left": lambda m, x: m.three.mT @ x.mT,
        "one": lambda m, x: x @ m.one,
        "mm": lambda m, x: torch.mm(x[0], m.two),
        "addmm": lambda m, x: torch.addmm(m.two[0], x[0], m.two),
        "addmm of a value": lambda m, x: torch.addmm(x[0, :, :1], x[0], m.two),
        "addmm, scaled": lambda m, x: torch.addmm(m.two[0], x[0], m.two, alpha=2, beta=3),
        "both": lambda m, x: x * (m.two @ m.two.T).sum(0),
    }
    check({name: (Calls(function, **members), images(3, 5, 7)) for name, function in functions.items()})


def gate(a, b):
    return torch.sigmoid(a @ b) * 2


EPILOGUES = {
    "activation": (gate, *operands((3, 11, 7), (3, 7, 20))),
    "residual": (lambda a, b, c: a @ b + c, *operands((3, 11, 7), (3, 7, 20)), images(3, 11, 20)),
    "residual and bias": (
        lambda a, b, c, d: F.relu(a @ b + c + d),
        *operands((11, 7), (7, 20)),
        images(11, 20),
        images(20),
    ),
    "scale": (lambda a, b: a @ b.mT / 8**0.5, *operands((3, 11, 8), (3, 20, 8))),
    "bias first": (lambda a, b, c: c - a @ b, *operands((11, 7), (7, 20)), images(20)),
}


@pytest.mark.parametrize("name", EPILOGUES)
def test_epilogues_are_one_cluster(name):
    function, *inputs = EPILOGUES[name]
    rows = compare(Calls(lambda m, *x: function(*x)), *inputs).explain().rows
    assert len(rows) == 1, [row.ops for row in rows]


def test_what_is_no_epilogue():
    """Operands by rows, larger results, softmax, other shapes."""
    a, b = operands((3, 11, 7), (3, 7, 20))
    cases = {
        "by rows": (lambda a, b, c: a @ b * c, a, b, images(11, 1)),
        "by batches": (lambda a, b, c: a @ b * c, a, b, images(3, 1, 1)),
        "larger": (lambda a, b, c: a @ b + c, a, b, images(2, 3, 11, 20)),
        "softmax": (lambda a, b: (a @ b).softmax(-1), a, b),
        "attention by hand": (lambda a: (a @ a.mT / 7**0.5).softmax(-1) @ a, a),
        "reshaped": (lambda a, b: (a @ b).flatten(1).relu(), a, b),
        "turned": (lambda a, b: (a @ b).transpose(1, 2).reshape(3, -1) + 1, a, b),
        "chain": (lambda a, b: (a @ b) @ (b.mT @ a.mT), a, b),
        "read twice": (lambda a, b: ((a @ b).relu(), (a @ b) + 1), a, b),
        "added to itself": (lambda a, b: a @ b + (a @ b).relu(), a, b),
    }
    check(cases)


def test_special_numbers_reach_their_sums_alone():
    a, b = operands((33, 40), (40, 50))
    a[3, 5], a[20, 39] = torch.inf, torch.nan
    b[7, 9], b[0, 49] = -torch.inf, torch.nan
    check({"matmul": (torch.matmul, a, b), "turned": (lambda a, b: a @ b.mT, a, b.mT.contiguous())})
