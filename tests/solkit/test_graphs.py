"""Small graphs: what is fused with what, values with many readers, inputs and outputs of every structure."""

import copy
import dataclasses
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from compare import Calls, compare, images
from torch import nn
from torch.utils import _pytree as pytree

import solkit as sol
from solkit import cache, reference
from solkit.frontend.fingerprint import fingerprint
from solkit.frontend.torch import capture
from solkit.ir import serialize, verify
from solkit.passes import PASSES
from solkit.target import host


def norm(kind=nn.BatchNorm2d, channels=7, **arguments):
    """A batch norm that has seen data."""
    made = kind(channels, **arguments)
    for tensor, (low, high) in ((made.running_mean, (-1, 1)), (made.running_var, (0.5, 2)), (made.weight, (-1, 1))):
        if tensor is not None:
            nn.init.uniform_(tensor, low, high)
    return made


def conv(inputs=7, outputs=7, kernel=3, **arguments):
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **arguments)


def residual(m, x):
    y = F.relu(m.norm1(m.conv1(x)))
    return F.relu(m.norm2(m.conv2(y)) + x)


def squeeze_and_excite(m, x):
    x = m.stem(x)
    scale = torch.sigmoid(m.up(F.relu(m.down(F.adaptive_avg_pool2d(x, 1)))))
    return x * scale


def long_chain(m, x):
    for step in range(45):
        x = torch.tanh(x * (1 + step / 40)) + 0.1
    return x


def in_place(m, x):
    y = m.conv(x)
    y += 1
    y.relu_().mul_(2)
    y[:, 0] = 0
    return y


def reshapes(m, x):
    y = m.conv(x).flatten(2).unsqueeze(1).squeeze(1).view(2, 7, 6, 8)
    return m.linear(torch.relu(y).reshape(2, -1)).unflatten(1, (1, 5))


def many_readers(m, x):
    y = m.conv(x)
    return y, F.relu(y), F.max_pool2d(y, 2), F.adaptive_avg_pool2d(y, 1).flatten(1), m.conv(y) + y


def pooled_and_kept(m, x):
    y = F.relu(m.conv(x))
    return F.max_pool2d(y, 2), y


def global_averages(m, x):
    y = m.conv(x)
    pools = (F.adaptive_avg_pool2d(y, 1), y.mean((2, 3)), y.mean((-1, -2), keepdim=True), F.avg_pool2d(y, (6, 8)))
    return *(torch.tanh(F.relu(pool)) for pool in pools), y.mean(1), y.mean()


def back_and_forth(m, x):
    """PyTorch between compiled clusters, each reading what the other made, as views too."""
    y = m.conv(x)
    z = F.softmax(y, 1).transpose(2, 3) * 2
    return m.up(F.relu(z.transpose(2, 3) + y)) + 1, z[:, 1:3], torch.cat([y, y], 1).abs()


def standardized(m, x):
    w = m.conv.weight
    return F.conv2d(x, (w - w.mean((1, 2, 3), keepdim=True)) / w.std((1, 2, 3), keepdim=True), m.conv.bias, padding=1)


X = images(2, 7, 6, 8)
MODELS = {  # name: model, its inputs
    "residual": (Calls(residual, conv1=conv(), norm1=norm(), conv2=conv(bias=False), norm2=norm()), X),
    "few channels": (nn.Sequential(conv(3, 7), nn.ReLU(), conv(7, 3, 1), conv(3, 3)), images(2, 3, 6, 8)),
    "diamond": (Calls(lambda m, x: (y := m.conv(x)) * torch.sigmoid(y), conv=conv()), X),
    "many readers": (Calls(many_readers, conv=conv()), X),
    "pooled and kept": (Calls(pooled_and_kept, conv=conv()), X),
    "long chain": (Calls(long_chain), images(40)),
    "squeeze and excite": (Calls(squeeze_and_excite, stem=conv(), down=conv(7, 2, 1), up=conv(2, 7, 1)), X),
    "global averages": (Calls(global_averages, conv=conv()), X),
    "average times a number per image": (
        Calls(lambda m, x, g: (y := m.conv(x), F.adaptive_avg_pool2d(F.relu(y) * 2, 1) * g), conv=conv()),
        *(X, images(2, 1, 1, 1)),
    ),
    "norm behind a convolution": (nn.Sequential(conv(), norm(), norm(affine=False), nn.SiLU()), X),
    "norm of a convolution with two readers": (Calls(lambda m, x: m.n(y := m.c(x)) + y, c=conv(), n=norm()), X),
    "norm of a pool": (nn.Sequential(nn.AvgPool2d(2), norm(), nn.ReLU()), X),
    "norm of an input, not affine": (norm(affine=False), X),
    "norm of a matrix": (nn.Sequential(nn.Linear(5, 9), norm(nn.BatchNorm1d, 9), nn.ReLU()), images(4, 5)),
    "norm of sequences": (norm(nn.BatchNorm1d, 5), images(4, 5, 3)),
    "norm of a grouped convolution": (nn.Sequential(conv(8, 8, groups=4), norm(channels=8)), images(1, 8, 5, 5)),
    "norm by an input": (
        Calls(lambda m, x, mean, var: F.batch_norm(m.conv(x), mean, var), conv=conv()),
        *(X, images(7), images(7).abs()),
    ),
    "relu before max pool": (nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(3, 2, 1), conv()), X),
    "relu before two max pools": (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, 1), nn.MaxPool2d(2)), X),
    "one module twice": (Calls(lambda m, x: m.block(m.block(x)), block=nn.Sequential(conv(), nn.ReLU())), X),
    "dropout": (nn.Sequential(conv(), nn.Dropout2d(0.5), nn.ReLU(), nn.Dropout(0.9)), X),
    "in place": (Calls(in_place, conv=conv()), X),
    "module in place": (nn.Sequential(conv(), nn.ReLU(inplace=True), nn.Hardswish(inplace=True)), X),
    "reshapes": (Calls(reshapes, conv=conv(), linear=nn.Linear(336, 5)), X),
    "back and forth": (Calls(back_and_forth, conv=conv(), up=conv(7, 9)), X),
    "transposed convolution": (nn.Sequential(conv(), nn.ConvTranspose2d(7, 5, 2, 2), nn.ReLU(), conv(5, 3)), X),
    "embedding": (nn.Sequential(nn.Embedding(10, 6), nn.Linear(6, 4), nn.ReLU()), torch.arange(8).view(2, 4)),
    "attention": (nn.TransformerEncoderLayer(12, 3, 8, batch_first=True), images(2, 5, 12)),
    "recurrent": (nn.LSTM(5, 4, batch_first=True), images(2, 3, 5)),
    "computed weights": (Calls(standardized, conv=conv()), X),
    "weight norm": (nn.utils.parametrizations.weight_norm(nn.Linear(5, 3)), images(2, 5)),
    "bits of weights": (
        Calls(lambda m, x: x * m.p.to(torch.float32).view(torch.int32).to(torch.float32), p=nn.Parameter(images(5))),
        images(2, 5),
    ),
    "image that is a parameter": (
        Calls(lambda m, x: m.conv(x) + m.conv(m.p), conv=conv(), p=nn.Parameter(images(1, 7, 6, 8))),
        images(1, 7, 6, 8),
    ),
    "parameter as large as the image": (
        Calls(lambda m, x: F.relu(m.conv(x) + m.p), conv=conv(), p=nn.Parameter(images(1, 7, 6, 8))),
        images(1, 7, 6, 8),
    ),
    "one feature": (
        Calls(lambda m, x: m.linear(x) + m.p, linear=nn.Linear(7, 1), p=nn.Parameter(images(1, 5, 1, 1))),
        images(3, 5, 1, 7),
    ),
    "constants": (Calls(lambda m, x: x * m.t + torch.arange(8) + torch.full((8,), 0.5), t=images(6, 1)), X),
    "no compiled code at all": (Calls(lambda m, x: torch.logcumsumexp(x.flatten(), 0)), X),
    "nothing at all": (nn.Identity(), X),
    "no elements": (nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2)), images(0, 7, 6, 8)),
    "no inputs": (Calls(lambda m: m.p.exp() * 2, p=nn.Parameter(images(5)))),
    "half precision inside": (Calls(lambda m, x: m.conv(x).bfloat16().float() * 2, conv=conv()), X, 0.02),
}


def model_of(name):
    """The model, its inputs, and how near results should come."""
    model, *rest = MODELS[name] if isinstance(MODELS[name], tuple) else (MODELS[name],)
    tolerance = rest.pop() if rest and isinstance(rest[-1], float) else 1e-5
    return copy.deepcopy(model).eval(), tuple(rest), tolerance


def graph_of(model, inputs):
    """Its graph as captured; from the cache, if it is there."""
    key = fingerprint(model, inputs, {})
    kept = key and cache.find(key)
    return serialize.load(kept)[0] if kept else capture(model, inputs, {})[0]


@pytest.mark.parametrize("name", MODELS)
def test_results(name):
    model, inputs, tolerance = model_of(name)
    compare(model, *inputs, tolerance=tolerance)


WITHOUT_REFERENCE = ("half precision inside", "bits of weights")


@pytest.mark.parametrize("name", [name for name in MODELS if name not in WITHOUT_REFERENCE])
def test_each_pass_keeps_the_results(name):
    model, inputs, _ = model_of(name)
    graph = graph_of(model, inputs)
    verify(graph)
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    before = reference.run(graph, inputs, state)
    for run in (*PASSES, *PASSES):
        run(graph, host())
        verify(graph)
        torch.testing.assert_close(reference.run(graph, inputs, state), before)


@pytest.mark.parametrize("name", ["residual", "few channels"])
def test_a_second_round_of_passes_changes_nothing(name):
    model, inputs, _ = model_of(name)
    graph = graph_of(model, inputs)
    for run in PASSES:
        run(graph, host())
    once = str(graph)
    for run in PASSES:
        run(graph, host())
    assert str(graph) == once


# -- what is fused ----------------------------------------------------------------------------------------------------


def clusters_of(model, *inputs):
    return [row.ops for row in sol.optimize(model.eval(), *inputs).explain().rows]


@pytest.mark.parametrize(
    ("model", "clusters"),
    [
        (nn.Sequential(nn.Linear(8, 8), nn.ReLU()), ["linear -> relu"]),
        (Calls(lambda m, x: torch.sigmoid(x * 2 + 1) * x), ["mul -> add -> sigmoid -> mul"]),
        (Calls(lambda m, x: (y := x + 1, y * 2)), ["add", "mul"]),
        (Calls(lambda m, x: ((x + 1) * 2, (x - 1) * 3)), ["add -> mul", "sub -> mul"]),
        (Calls(lambda m, x: torch.flip(x + 1, (0,)) * 2), ["add", "aten.flip.default", "mul"]),
        (Calls(lambda m, x: torch.logcumsumexp(x + 1, 0) * 2), ["add", "aten.logcumsumexp.default", "mul"]),
    ],
    ids=["epilogue", "chain", "value that is also an output", "two chains", "around a call", "around PyTorch"],
)
def test_clusters(model, clusters):
    assert clusters_of(model, images(3, 8)) == clusters


def test_clusters_of_images():
    names = clusters_of(nn.Sequential(conv(), norm(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), X)
    assert names[-1] == "conv2d -> relu -> adaptive_avg_pool2d"
    model, inputs, _ = model_of("residual")
    assert clusters_of(model, *inputs).count("conv2d -> add -> relu") == 1


def test_what_runs_in_pytorch_is_listed_with_its_layer():
    odd, summed = Calls(lambda m, x: torch.special.i0e(x)), Calls(lambda m, x: x.logcumsumexp(-1))
    model = nn.Sequential(nn.Linear(8, 8), odd, nn.ReLU(), summed).eval()
    model = sol.optimize(model, X)
    assert model.explain().in_pytorch == [("aten.special_i0e.default", "1"), ("aten.logcumsumexp.default", "3")]
    assert "aten.special_i0e.default (layer '1')" in str(model.explain())


# -- inputs and outputs -----------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


@dataclasses.dataclass
class Output:
    first: torch.Tensor
    second: dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def output():
    torch.export.register_dataclass(Output)
    return Output


A, B = images(3, 4), images(3, 4, seed=1)
PARAMETER = nn.Parameter(images(4))


@pytest.mark.parametrize(
    ("function", "inputs", "kwargs"),
    [
        (lambda m, a: a, (A,), {}),
        (lambda m, a: (a, a + 1, a, m.p, m.p * 2, m.p.view(2, 2)), (A,), {}),
        (lambda m, a: (a * 2, None, 3, "text", True, 0.5), (A,), {}),
        (lambda m, a: {"x": [a + 1, (a - 1, {})], "y": {"z": a * 2}}, (A,), {}),
        (lambda m, a: Pair(a + 1, a * 2), (A,), {}),
        (lambda m, a: torch.ones(2, 3), (A,), {}),
        (lambda m, a, b: a - b, (A,), {"b": B}),
        (lambda m, a, b: a - b, (), {"b": B, "a": A}),
        (lambda m, *items, **named: items[0] + items[1] * named["x"], (A, B), {"x": A}),
        (lambda m, pairs: sum(a * b for a, b in pairs), ([(A, B), (B, B)],), {}),
        (lambda m, d: d["a"] - d["b"]["c"], ({"a": A, "b": {"c": B}},), {}),
        (lambda m, a, flag, *, k=2, mode="x": a * k if mode == "y" and flag else a, (A, True), {"k": 3, "mode": "y"}),
        (lambda m, a, unused, none=None: a + 1 if none is None else a, (A, B), {}),
        (lambda m, a, b: a * b, (A, A), {}),
        (lambda m, a, b: a[:, :2] * b, (A, A[:, 2:]), {}),
    ],
    ids=range(15),
)
def test_structures(function, inputs, kwargs):
    compare(Calls(function, p=PARAMETER), *inputs, kwargs=kwargs)


def test_dataclasses(output):
    model = Calls(lambda m, x: output(x + 1, {"y": x * 2})).eval()
    made = sol.optimize(model, A)(A)
    assert isinstance(made, output)
    assert torch.equal(made.second["y"], A * 2)


class Scaled(nn.Module):
    def forward(self, d, scale):
        return (d["a"] - d["b"]) * scale


def test_the_same_inputs_in_another_form():
    model = Scaled().eval()
    made = sol.optimize(model, {"a": A, "b": B}, B)
    expected = model({"a": A, "b": B}, B)
    assert torch.equal(made({"b": B, "a": A}, B), expected)
    assert torch.equal(made(scale=B, d={"a": A, "b": B}), expected)


@pytest.mark.parametrize(
    "x",
    [
        A.t().contiguous().t(),
        torch.stack([A, B], -1)[..., 0],
        A[:1].expand(3, 4),
        A.flip(0)[::1],
        torch._neg_view(A),
        nn.Parameter(A),
        A.clone().as_subclass(type("Own", (torch.Tensor,), {})),
    ],
    ids=["transposed", "strided", "expanded", "flipped", "negative view", "parameter", "subclass"],
)
def test_tensors_anywhere_in_memory(x):
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU()).eval()
    with torch.no_grad():
        torch.testing.assert_close(sol.optimize(model, A)(x), model(x), check_dtype=False)
        torch.testing.assert_close(sol.optimize(model, x)(A), model(A))


def test_results_belong_to_the_caller():
    """What is written into a result reaches no input, no weight, no other result and no later call."""

    def results(m, x):
        y = m.linear(x)
        return x, m.linear.weight, y, y.clone(), y.view(-1), y.view(-1) + 0

    model, x = Calls(results, linear=nn.Linear(4, 4)).eval(), A.clone()
    made = sol.optimize(model, x)
    with torch.no_grad():
        expected = pytree.tree_map(torch.clone, model(x))
        for index in range(len(expected)):
            results = made(x)
            results[index].fill_(7)
            others = [i for i in range(len(expected)) if i != index]
            torch.testing.assert_close([results[i] for i in others], [expected[i] for i in others])
        torch.testing.assert_close(made(x), expected)


def test_random_operators():
    model = Calls(lambda m, x: F.relu(x + torch.rand(4)) + F.dropout(x, 0.5, training=True)).eval()
    made = sol.optimize(model, A)
    torch.manual_seed(3)
    mine = made(A)
    assert not torch.equal(mine, made(A))
    torch.manual_seed(3)
    torch.testing.assert_close(mine, model(A))


def test_a_model_of_models():
    inner = sol.optimize(nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval(), A)
    made = compare(nn.Sequential(copy.deepcopy(inner.__dict__["_model"]), nn.Tanh()), A)
    outer = sol.optimize(nn.Sequential(inner, nn.Tanh()).eval(), A)
    assert [row.ops for row in outer.explain().rows] == [row.ops for row in made.explain().rows]
    with torch.no_grad():
        inner.get_parameter("0.weight").mul_(2)
    torch.testing.assert_close(outer(A), torch.tanh(inner(A)))
    assert torch.equal(sol.optimize(inner, A)(A), inner(A))
