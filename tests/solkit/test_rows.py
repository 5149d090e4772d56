"""Softmax, norms, reductions and look-ups: rows of all lengths over all kinds of dimensions, fused into one loop."""

import itertools
import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from compare import Calls, Each, compare, images
from torch import nn

import solkit as sol
from solkit.target import host

VLEN = host().vector_length
LENGTHS = (1, 2, VLEN - 1, VLEN, VLEN + 1, 1000, 20000)
SHAPE = (3, 5, 4, 18)


def check(cases, **arguments):
    """All of `cases` at once (by name, a module or function and its input); none of it runs in PyTorch."""
    models, inputs = zip(*cases.values(), strict=True)
    model = compare(Each(dict(zip(cases, models, strict=True))), *inputs, **arguments)
    assert model.explain().in_pytorch == []
    return model


def dims_of(rank):
    """Every choice of dimensions."""
    return [d for count in range(1, rank + 1) for d in itertools.combinations(range(rank), count)]


def at_the_end(dims):
    return max(dims) - min(dims) == len(dims) - 1 and max(dims) == len(SHAPE) - 1


def with_numbers(norm):
    """A norm whose scale and shift are not ones and zeros."""
    for seed, parameter in enumerate(norm.parameters()):
        parameter.data.copy_(images(*parameter.shape, seed=seed))
    return norm


@pytest.mark.parametrize("length", LENGTHS)
def test_rows_of_every_length(length):
    functions = {
        "softmax": lambda x: x.softmax(-1),
        "log_softmax": lambda x: x.log_softmax(-1),
        "sum": lambda x: x.sum(-1),
        "mean": lambda x: x.mean(-1, keepdim=True),
        "amax": lambda x: x.amax(-1),
        "amin": lambda x: x.amin(-1),
        "layer norm": with_numbers(nn.LayerNorm(length)),
        "rms norm": with_numbers(nn.RMSNorm(length)),
    }
    if length > 1:
        functions |= {"var": lambda x: x.var(-1), "std": lambda x: x.std(-1, correction=0)}
    x = images(3, length)
    check({name: (function, x) for name, function in functions.items()})


def test_softmax_over_every_dimension():
    cases = {}
    for shape in (SHAPE, (17,), (1, 1), (2, 3, 2, 2, 5)):
        for dim in range(-len(shape), len(shape)):
            cases[f"{shape} {dim}"] = lambda x, d=dim: x.softmax(d), images(*shape)
            cases[f"log {shape} {dim}"] = lambda x, d=dim: x.log_softmax(d), images(*shape) * 30
    check(cases)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin"])
def test_reductions_over_every_kind_of_dimensions(name):
    cases = {}
    for dims, keep in itertools.product(dims_of(len(SHAPE)), (False, True)):
        if name == "amin" and not at_the_end(dims):
            continue  # see the next test
        cases[f"{dims} {keep}"] = lambda x, d=dims, k=keep: getattr(x, name)(d, keepdim=k), images(*SHAPE)
    cases["negative"] = lambda x: getattr(x, name)(dim=(-1, -2)), images(*SHAPE)
    cases["one number"] = lambda x: getattr(x, name)(-3), images(*SHAPE)
    if name in ("sum", "mean"):
        cases["all"] = lambda x: getattr(x, name)(), images(*SHAPE)
    check(cases)


def test_largest_and_smallest_of_everything():
    check({"max": (torch.max, images(*SHAPE)), "min": (torch.min, images(*SHAPE))})


def test_over_what_is_computed_from_a_view_that_is_no_run():
    x, y = images(3, 5, 4), images(5, 3, 4)
    compare(Calls(lambda m, x, y: (y * x.transpose(0, 1)).sum((1, 2))), x, y)


@pytest.mark.parametrize("name", ["var", "std"])
def test_variances(name):
    function, cases = getattr(torch, name), {"all": (getattr(torch, name), images(*SHAPE))}
    for dims, keep in itertools.product(dims_of(3), (False, True)):
        cases[f"{dims} {keep}"] = lambda x, d=dims, k=keep: function(x, d, keepdim=k), images(4, 5, 18)
    for correction in (0, 1, 2):
        cases[f"correction {correction}"] = lambda x, c=correction: function(x, 1, correction=c), images(4, 5, 18)
    cases["biased"] = lambda x: function(x, 1, unbiased=False), images(4, 5, 18)
    cases["far from zero"] = lambda x: function(x + 100, -1), images(4, 5, 18)
    check(cases, tolerance=2e-5)


def test_variance_of_one_number_is_left_to_pytorch():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compare(Calls(lambda m, x: x.var(-1)), images(3, 1))


@pytest.mark.parametrize("affine", [True, False])
def test_layer_norms(affine):
    cases = {}
    for count in (1, 2, 3):
        layer = nn.LayerNorm(SHAPE[-count:], elementwise_affine=affine)
        cases[f"{count}"] = with_numbers(layer), images(*SHAPE)
        cases[f"rms {count}"] = with_numbers(nn.RMSNorm(SHAPE[-count:], elementwise_affine=affine)), images(*SHAPE)
    cases["no bias"] = with_numbers(nn.LayerNorm(18, elementwise_affine=affine, bias=False)), images(*SHAPE)
    cases["eps"] = with_numbers(nn.LayerNorm(18, 0.5, elementwise_affine=affine)), images(*SHAPE)
    cases["eps of rms"] = with_numbers(nn.RMSNorm(18, 0.5, elementwise_affine=affine)), images(*SHAPE)
    cases["one row"] = with_numbers(nn.LayerNorm(33, elementwise_affine=affine)), images(33)
    check(cases)


@pytest.mark.parametrize("affine", [True, False])
def test_norms_of_groups_and_of_images(affine):
    cases = {}
    for groups, channels in ((1, 6), (2, 6), (3, 6), (6, 6), (4, 32)):
        layer = with_numbers(nn.GroupNorm(groups, channels, affine=affine))
        for shape in ((3, channels), (3, channels, 7), (2, channels, 5, 4), (2, channels, 2, 3, 4)):
            if channels // groups * math.prod(shape[2:]) > 1:
                cases[f"{groups} of {shape}"] = layer, images(*shape)
    cases["instance 1d"] = with_numbers(nn.InstanceNorm1d(5, affine=affine)), images(2, 5, 19)
    cases["instance 2d"] = with_numbers(nn.InstanceNorm2d(5, affine=affine)), images(2, 5, 6, 7)
    cases["instance 3d"] = with_numbers(nn.InstanceNorm3d(5, affine=affine)), images(2, 5, 3, 2, 4)
    check(cases)


def test_group_norm_between_convolutions():
    """Images in blocks of channels become plain for the norm, and blocks again."""
    block = [nn.Conv2d(3, 32, 3, padding=1), nn.GroupNorm(4, 32), nn.SiLU(), nn.Conv2d(32, 20, 3, padding=1)]
    check({"block": (nn.Sequential(*block), images(2, 3, 9, 8))})


def test_instance_norm_with_running_statistics():
    layer = with_numbers(nn.InstanceNorm2d(5, affine=True, track_running_stats=True))
    layer.running_mean.copy_(images(5))
    layer.running_var.copy_(images(5).abs() + 0.5)
    compare(layer, images(2, 5, 6, 7))


def test_infinite_and_odd_rows():
    x = images(12, 35)
    x[0, 3] = -math.inf
    x[1, :] = -math.inf
    x[2, 34] = math.inf
    x[3, 0] = math.nan
    x[4, 34] = math.nan
    x[5, ::2] = -math.inf
    x[6, :34] = -math.inf
    x[7, :] = 3e38
    x[8] = 0
    x[9] = torch.linspace(-1e4, 1e4, 35)
    softmax = {"softmax": lambda x: x.softmax(-1), "log_softmax": lambda x: x.log_softmax(-1)}
    softmax["columns"] = lambda x: x.softmax(0)
    largest = {"amax": lambda x: x.amax(-1), "amin": lambda x: x.amin(-1), "amax 0": lambda x: x.amax(0)}
    check({name: (function, x) for name, function in {**softmax, **largest}.items()})
    x[7] = 1  # the squares of such numbers are infinite in float32 alone
    norms = {"layer norm": nn.LayerNorm(35), "rms norm": nn.RMSNorm(35), "sum": lambda x: x.sum(-1)}
    check({name: (norm, x) for name, norm in norms.items()})


# -- what becomes one loop --------------------------------------------------------------------------------------------


class Embedded(nn.Module):
    """Tokens and positions, looked up, added and normalized, as BERT begins."""

    def __init__(self, width=40):
        super().__init__()
        self.words, self.places = nn.Embedding(50, width), nn.Embedding(7, width)
        self.norm = with_numbers(nn.LayerNorm(width))
        self.register_buffer("numbers", torch.arange(7)[None])

    def forward(self, ids):
        return self.norm(self.words(ids) + self.places(self.numbers[:, : ids.shape[1]]))


IDS = torch.randint(0, 50, (3, 7), generator=torch.Generator().manual_seed(0))


def residual(m, x, y):
    """The sum goes on to the next block, and so does its norm."""
    return m.norm(x + y * 0.5)


CLUSTERS = {
    "softmax": (Calls(lambda m, x: x.softmax(-1)), (images(4, 33),)),
    "softmax of scaled and masked scores": (
        Calls(lambda m, x, mask: (x * 0.125 + mask).softmax(-1) * 2),
        (images(2, 3, 9, 33), images(2, 1, 1, 33, seed=1)),
    ),
    "layer norm": (with_numbers(nn.LayerNorm(33)), (images(4, 33),)),
    "layer norm of two dimensions": (with_numbers(nn.LayerNorm((5, 33))), (images(4, 5, 33),)),
    "rms norm and gate": (nn.Sequential(with_numbers(nn.RMSNorm(33)), nn.SiLU()), (images(4, 33),)),
    "residual and norm": (Calls(residual, norm=with_numbers(nn.LayerNorm(33))), (images(4, 9, 33), images(4, 9, 33))),
    "residual from a row": (
        Calls(lambda m, x, y: m.norm(x + y), norm=nn.LayerNorm(33)),
        (images(4, 9, 33), images(33)),
    ),
    "embedding": (nn.Embedding(50, 40), (IDS,)),
    "embeddings and norm": (Embedded(), (IDS,)),
    "reductions of one another": (
        Calls(lambda m, x: (x / x.amax(-1, keepdim=True)).exp().sum(-1, keepdim=True).sqrt() * x),
        (images(4, 33).abs() + 1,),
    ),
    "two norms in a row": (
        nn.Sequential(with_numbers(nn.LayerNorm(33)), nn.GELU(), with_numbers(nn.LayerNorm(33))),
        (images(4, 33),),
    ),
    "rows too long to keep": (Calls(lambda m, x: x.softmax(-1).log()), (images(2, 20000),)),
}


@pytest.mark.parametrize("name", CLUSTERS)
def test_one_cluster(name):
    model, inputs = CLUSTERS[name]
    explanation = compare(model, *inputs).explain()
    assert explanation.in_pytorch == []
    assert len(explanation.rows) == 1, str(explanation)


def test_a_sum_that_is_read_twice_is_written_once():
    def both(m, x, y):
        total = x + y
        return total, m.norm(total)

    model = compare(Calls(both, norm=nn.LayerNorm(33)), images(4, 33), images(4, 33, seed=1))
    assert model.explain().rows[0].ops == "add"


def test_many_reductions():
    """More operators than one cluster takes."""

    def many(m, x):
        for _ in range(9):
            x = torch.softmax(x, -1) + x.mean(-1, keepdim=True)
        return x

    check({"many": (Calls(many), images(5, 37))})


def test_rows_that_do_not_fit_one_another():
    """Reductions over other dimensions, and operands with rows of other lengths, are clusters of their own."""
    functions = {
        "rows and columns": lambda x: x.softmax(-1) * x.softmax(-2),
        "rows then columns": lambda x: x.softmax(-1).softmax(-2),
        "columns of sums": lambda x: x / x.sum(-1, keepdim=True).abs().amax(1, keepdim=True),
        "one of all": lambda x: x / x.abs().amax(),
        "standardized": lambda x: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-3),
        "cosine": lambda x: (x * x[:1]).sum(-1, keepdim=True) * ((x * x).sum(-1, keepdim=True) + 1).rsqrt(),
        "a row of its own": lambda x: F.layer_norm(x + x[0, 0] * 0.5, (33,)),
        "softmax over columns": lambda x: x.softmax(1),
        "outer": lambda x: x.mean(-1, keepdim=True) * x.mean(-2, keepdim=True),
        "larger": lambda x: x[:, :1].softmax(-1) + x,
        "a part": lambda x: x.softmax(-1)[..., 3:9],
    }
    check({name: (function, images(4, 9, 33)) for name, function in functions.items()})


# -- rows of tables ---------------------------------------------------------------------------------------------------


def test_embeddings():
    table, shapes = nn.Embedding(50, 17, padding_idx=3), [(3, 7), (21,), (1, 1), (3, 1, 7), ()]
    check({str(shape): (table, IDS.flatten()[: math.prod(shape)].reshape(shape)) for shape in shapes})
    compare(nn.Embedding(50, 17), IDS.int())
    compare(nn.Sequential(nn.Embedding(50, 17), nn.Linear(17, 50), nn.LogSoftmax(-1)), IDS)
    compare(Calls(lambda m, ids, x: m.table(ids) + x[:, None], table=nn.Embedding(50, 17)), IDS, images(3, 17))


def test_a_table_that_comes_with_the_call():
    compare(Calls(lambda m, ids, table: F.embedding(ids, table).sum(1)), IDS, images(50, 17))


@pytest.mark.parametrize("wrong", [-1, 50, 1 << 40])
def test_numbers_outside_of_the_table_are_refused(wrong):
    """PyTorch raises IndexError, solkit an InputError that names the input."""
    model = sol.optimize(
        Calls(lambda m, tokens: m.table(tokens), table=nn.Embedding(50, 17)).eval(), kwargs={"tokens": IDS}
    )
    ids = IDS.clone()
    ids[1, 2] = wrong
    with pytest.raises(sol.InputError, match="tokens"):
        model(tokens=ids)
