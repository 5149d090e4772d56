"""Scaled dot-product attention against PyTorch in float64: sizes, masks, groups of heads, views, special numbers."""

import math
import re

import elsewhere
import pytest
import torch
import torch.nn.functional as F
from compare import Calls, Each, compare, images
from torch import nn

import solkit as sol
from solkit import passes, reference
from solkit.frontend.torch import capture
from solkit.target import VE
from solkit.toolchain import emit_assembly


def operands(heads=2, tokens=(5, 5), depth=(8, 8), batch=1, groups=None):
    """Query, key and value of these sizes."""
    query = images(batch, heads, tokens[0], depth[0])
    key = images(batch, groups or heads, tokens[1], depth[0], seed=1)
    return query, key, images(batch, groups or heads, tokens[1], depth[1], seed=2)


def attention(**arguments):
    return lambda *x: F.scaled_dot_product_attention(*x, **arguments)


def check(cases, **arguments):
    """All of `cases` at once (by name, a function and its inputs), and nothing of them in PyTorch."""
    model = compare(
        Each({name: case[0] for name, case in cases.items()}), *(case[1] for case in cases.values()), **arguments
    )
    assert model.explain().in_pytorch == []
    return model


SIZES = [
    {"tokens": (1, 1), "heads": 1},
    {"tokens": (1, 300), "depth": (32, 32)},
    {"tokens": (300, 1)},
    {"tokens": (5, 5), "batch": 3, "heads": 12},
    {"tokens": (64, 64), "depth": (64, 64)},
    {"tokens": (128, 128), "depth": (80, 80), "batch": 2},
    {"tokens": (197, 197), "depth": (64, 64), "heads": 3},
    {"tokens": (300, 300), "depth": (32, 32)},
    {"tokens": (17, 131), "depth": (8, 80)},
    {"tokens": (131, 17), "depth": (80, 8), "batch": 2},
    {"tokens": (33, 40), "depth": (1, 1)},
    {"tokens": (20, 30), "depth": (300, 200)},
]


@pytest.mark.parametrize("is_causal", [False, True])
def test_sizes(is_causal):
    check({str(size): (attention(is_causal=is_causal), operands(**size)) for size in SIZES})


def test_heads_in_groups():
    cases = {}
    for heads, groups in ((4, 2), (6, 1), (4, 4)):
        for causal in (False, True):
            x = operands(heads, (40, 50), (32, 16), 2, groups)
            cases[f"{heads} in {groups}, {causal}"] = (attention(enable_gqa=True, is_causal=causal), x)
    check(cases)


def test_scale():
    cases = {str(scale): (attention(scale=scale), operands(tokens=(20, 30))) for scale in (None, 0.3, 1, 0, -0.5)}
    # Scores of the size of hundreds: exp of them as they are would be infinite.
    cases["large"] = (attention(scale=100.0), operands(tokens=(20, 300)))
    check(cases, tolerance=5e-5)


def test_one_head_without_its_dimension():
    x = [tensor[:, 0] for tensor in operands(tokens=(20, 30), batch=3)]
    mask = images(3, 20, 30, seed=3)
    check({"plain": (attention(), tuple(x)), "mask": (lambda q, k, v, m: attention(attn_mask=m)(q, k, v), (*x, mask))})


MASKS = [(1, 1), (20, 150), (1, 150), (20, 1), (2, 1, 1, 150), (3, 20, 150), (2, 3, 20, 150), (1, 3, 1, 150)]


def masked(q, k, v, mask):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def test_masks():
    x = operands(3, (20, 150), (16, 16), 2)
    check({str(shape): (masked, (*x, images(*shape, seed=3))) for shape in MASKS})


def test_boolean_masks():
    x = operands(3, (20, 150), (16, 16), 2)
    cases = {str(shape): (masked, (*x, images(*shape, seed=3) > -0.5)) for shape in MASKS}
    model = compare(Each({name: case[0] for name, case in cases.items()}), *(case[1] for case in cases.values()))
    assert not model.explain().in_pytorch


@pytest.mark.parametrize("kind", [torch.float32, torch.bool])
def test_masks_known_ahead(kind):
    """They become an additive mask when the model is compiled, not at each call."""
    cases, members = {}, {}
    for index, shape in enumerate([(20, 150), (1, 150), (2, 3, 20, 150), (2, 1, 20, 1)]):
        mask = images(*shape, seed=3)
        member = nn.Module()
        member.register_buffer("mask", mask > -0.5 if kind is torch.bool else mask)
        members[f"m{index}"] = member
    x = operands(3, (20, 150), (16, 16), 2)
    for name, member in members.items():
        cases[name] = Calls(lambda m, q, k, v: masked(q, k, v, m.member.mask), member=member)
    model = compare(Each(cases), *[x] * len(cases))
    assert model.explain().in_pytorch == []
    assert len(model.explain().rows) == len(cases), "transposing a mask is no cluster of its own"


def test_what_sees_nothing_gives_zero():
    """Rows of -inf: the first keys, the last ones, a whole chunk, all of them."""
    x = operands(2, (20, 300), (16, 16))
    mask = torch.zeros(20, 300)
    for row, hidden in enumerate([slice(0, 5), slice(0, 200), slice(100, 300), slice(None), slice(1, None)]):
        mask[3 * row, hidden] = -math.inf
    made = check({"mask": (masked, (*x, mask))})((*x, mask))["mask"]
    assert not made[:, :, 9].any()
    lowest = mask.clamp(min=torch.finfo(torch.float32).min)
    check({"lowest": (masked, (*x, lowest))})


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf], ids=str)
def test_special_numbers_go_through(odd):
    """They reach the queries they belong to, and no other; so also in the mask."""
    cases = {}
    for operand in range(3):
        for key in (0, 19, 150, 299):
            x = [tensor.clone() for tensor in operands(2, (20, 300), (16, 16))]
            x[operand][0, 1, key % 20 if operand == 0 else key, 3] = odd
            cases[f"{operand} at {key}"] = (attention(), tuple(x))
    mask = torch.zeros(20, 300)
    mask[7, 200] = mask[9, 3] = odd
    cases["mask"] = (masked, (*operands(2, (20, 300), (16, 16)), mask))
    check(cases)


def test_dropout_runs_in_pytorch():
    x = operands()
    model = sol.optimize(Calls(lambda m, *x: attention(dropout_p=0.5)(*x)).eval(), *x)
    assert [op for op, _ in model.explain().in_pytorch] == ["aten.scaled_dot_product_attention.default"]


def test_what_broadcasts_is_a_call_by_itself():
    q, k, v = operands(batch=2)
    model = compare(Calls(lambda m, q, k, v: attention()(q, k, v)), q, k[:1], v[:1])
    assert [row.ops for row in model.explain().rows][-1] == "aten.scaled_dot_product_attention.default"
    assert model.explain().in_pytorch == []


# -- views ------------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    """Attention of a transformer: heads are split off the features, and put back."""

    def __init__(self, features: int, heads: int, way: str) -> None:
        super().__init__()
        self.heads, self.way = heads, way
        self.project = nn.ModuleList(nn.Linear(features, features) for _ in range(3))
        self.together = nn.Linear(features, 3 * features)
        self.out = nn.Linear(features, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.way == "one by one":
            q, k, v = (linear(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for linear in self.project)
        elif self.way == "chunks":
            parts = self.together(x).chunk(3, -1)
            q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        else:
            q, k, v = self.together(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("way", ["one by one", "chunks", "permuted"])
def test_heads_are_never_copied(way, batch):
    model = compare(Block(48, 4, way), images(batch, 37, 48))
    clusters = [row.ops.split(" ") for row in model.explain().rows]
    linears = 3 if way == "one by one" else 1
    assert [ops[-1] for ops in clusters] == ["linear"] * linears + ["attention", "linear"], "a view is copied"


@pytest.mark.parametrize("batch", [1, 2])
def test_multihead_attention_of_pytorch(batch):
    layer = nn.MultiheadAttention(48, 4, batch_first=True)
    model = compare(Calls(lambda m, x: m.layer(x, x, x, need_weights=False)[0], layer=layer), images(batch, 37, 48))
    assert model.explain().in_pytorch == []
    assert sum("attention" in row.ops for row in model.explain().rows) == 1


def test_views_that_others_read_too():
    def model(m, x):
        q, k, v = m.linear(x).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return y, k, v.contiguous() + 1, F.scaled_dot_product_attention(k, q, v.flip(2))

    compare(Calls(model, linear=nn.Linear(16, 48)), images(2, 20, 16))


def test_views_with_any_strides():
    def apart(q, k, v):
        return F.scaled_dot_product_attention(q.mT, k.mT, v[:, :, ::2, 1:].mT)

    def repeated(x):
        key = x[:, :1].expand(-1, 2, -1, -1)
        return F.scaled_dot_product_attention(x, key, key)

    model = check({"apart": (apart, (images(2, 3, 8, 20), images(2, 3, 8, 33), images(2, 3, 10, 34)))})
    assert len(model.explain().rows) == 1
    check({"repeated": (repeated, (images(2, 2, 33, 8),))})


def test_element_wise_operators_before_and_behind():
    compare(Calls(lambda m, q, k, v: attention()(q * 2, k + 1, v).relu() + q), *operands(tokens=(20, 20)))


def test_passes_keep_the_numbers():
    """In float64, without a kernel: order of the result, views, a mask transposed ahead."""

    class Masked(Block):
        def forward(self, x):
            q, k, v = self.together(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            return masked(q, k, v, self.out.weight[:37, :37].tril()).transpose(1, 2).flatten(2)

    for model in (Block(48, 4, "chunks").eval(), Masked(48, 4, "").eval()):
        x = images(2, 37, 48)
        graph, _, _ = capture(model, (x,), {})
        before = reference.run(graph, [x], dict(model.named_parameters()))
        passes.optimize(graph, check=True)
        after = reference.run(graph, [x], dict(model.named_parameters()))
        torch.testing.assert_close(after, before)
        (node,) = (node for node in graph.nodes if node.op == "attention")
        assert node.attributes["order"] == (0, 2, 1, 3)
        assert node.attributes["mask_by_keys"] == (len(node.inputs) > 3)


# -- other machines ---------------------------------------------------------------------------------------------------


class Everything(nn.Module):
    """A mask, a causal one, groups of heads, sizes that fit nothing."""

    def forward(self, x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        q, k, v = x.unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        other = y.unflatten(-1, (2, 1, -1)).permute(2, 0, 3, 1, 4)
        made = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return made.transpose(1, 2), F.scaled_dot_product_attention(q, *other, attn_mask=mask, enable_gqa=True)


def everything():
    inputs = [images(2, 37, 6 * 10), images(2, 141, 2 * 10, seed=1), images(37, 141, seed=2)]
    return compare(Everything(), *inputs), inputs


def test_arm64_gives_the_result_of_this_machine(require_tool, tmp_path):
    model, inputs = everything()
    elsewhere.agree_on_arm64(model, inputs, require_tool, tmp_path)


def test_vector_engine_gets_vector_code():
    model, _ = everything()
    for number in range(len(model.explain().rows)):
        assembly = emit_assembly(model.source(number), VE)
        assert re.search(r"^\s+p?vfmad(\.s)?\b", assembly, re.M)
        assert not re.search(r"^\s+bsic\b", assembly, re.M), "a call: no vector lives across it"
