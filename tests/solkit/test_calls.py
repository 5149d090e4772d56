"""Calls under unusual conditions: gradients of gradients, fused optimizers, autocast, hooks, threads, errors inside."""

import copy

import pytest
import torch
import torch.nn.functional as F
from compare import Calls, agree, images
from crowd import at_once
from torch import nn
from torch.utils import _pytree as pytree

import solkit as sol

X = images(3, 6)


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4)).eval()


@pytest.fixture
def pair():
    """A model and what it is optimized to."""
    model = small()
    return model, sol.optimize(model, X)


def same(made, model, *inputs):
    with torch.no_grad():
        agree(made(*inputs), model, inputs, {})


# -- gradients --------------------------------------------------------------------------------------------------------


def gradients(call, *inputs, wanted=()):
    """Of the sum of squares of all results, with respect to `wanted` or to the inputs that want one."""
    results = [result for result in pytree.tree_leaves(call(*inputs)) if result.requires_grad]
    wanted = [*wanted] or [tensor for tensor in inputs if tensor.requires_grad]
    return torch.autograd.grad(sum((result**2).sum() for result in results), wanted, allow_unused=True)


def leaf(seed=0):
    return images(3, 6, seed=seed).requires_grad_()


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda m, x: m.layer(x), (X,)),
        (lambda m, x, y: m.layer(x) * m.layer(y), (leaf(), X)),
        (lambda m, x, y: m.layer(x * y) + y.sum(1, keepdim=True), (*[leaf()] * 2,)),
        (lambda m, x: (m.layer(x), x, x + 1, m.layer.weight), (leaf(),)),
        (lambda m, x: (m.layer(x), m.layer(x).argmax(1), m.layer(x).detach()), (leaf(),)),
        (lambda m, x: F.layer_norm(m.layer(x), (5,))[:, 1:], (leaf(),)),
        (lambda m, d: m.layer(d["a"]) + d["b"], ({"a": X, "b": images(5)},)),
        (lambda m, x, n, none=None: m.layer(x) * n, (leaf(), 3)),
    ],
    ids=["weights", "one of two", "one tensor twice", "many results", "whole numbers", "PyTorch", "dict", "numbers"],
)
def test_gradients(function, inputs):
    model = Calls(function, layer=nn.Linear(6, 5)).eval()
    made = sol.optimize(model, *inputs)
    given = [item for item in pytree.tree_leaves(inputs) if isinstance(item, torch.Tensor)]
    wanted = [*{tensor for tensor in given if tensor.requires_grad}, *model.parameters()]
    mine, theirs = (gradients(call, *inputs, wanted=wanted) for call in (made, model))
    torch.testing.assert_close(mine, theirs)


def test_gradients_of_gradients(pair):
    """A penalty on the size of a gradient, as in training against an adversary."""

    def penalty(call):
        x = leaf()
        (slope,) = torch.autograd.grad(call(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(slope.norm() + call(x).sum(), [x, *pair[0].parameters()])

    torch.testing.assert_close(*map(penalty, pair[::-1]))


def test_a_change_of_mode_between_forward_and_backward():
    model = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)).eval()
    made, x = sol.optimize(model, X), leaf()
    (expected,) = gradients(model, x)
    result = (made(x) ** 2).sum()
    made.train()
    model.train()
    torch.testing.assert_close(torch.autograd.grad(result, x)[0], expected)
    assert model[1].num_batches_tracked == 0
    assert model[2].training


def test_a_weight_changed_between_forward_and_backward_is_an_error(pair):
    model, made = pair
    result = made(leaf()).sum()
    with torch.no_grad():
        model[0].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}, {}], ids=str)
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_steps_of_every_optimizer_are_seen(pair, kind, options):
    model, made = pair
    optimizer = kind(made.parameters(), lr=0.1, **options)
    for _ in range(2):
        optimizer.zero_grad()
        made(X).square().sum().backward()
        optimizer.step()
        same(made, model, X)


# -- surroundings -----------------------------------------------------------------------------------------------------


def mixed(m, a, b):
    return F.relu(torch.matmul(a, b) + 1) * 2 + m.layer(b)


def test_autocast_around_a_call_changes_nothing():
    model, inputs = Calls(mixed, layer=nn.Linear(6, 6)).eval(), (images(6, 6), images(6, 6, seed=1))
    made = sol.optimize(model, *inputs)
    with torch.no_grad():
        expected = made(*inputs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(made(*inputs), expected)
            made.refresh()
            assert torch.equal(made(*inputs), expected)


def test_autocast_when_a_model_is_optimized_is_kept():
    model, inputs = Calls(mixed, layer=nn.Linear(6, 6)).eval(), (images(6, 6), images(6, 6, seed=1))
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        made, expected = sol.optimize(model, *inputs), model(*inputs)
    with torch.no_grad():
        torch.testing.assert_close(made(*inputs), expected)


def test_defaults_of_pytorch_do_not_matter():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Softmax(1)).eval()
    x = images(1, 3, 5, 5)
    torch.set_default_dtype(torch.float64)
    try:
        made = sol.optimize(model, x)
        with torch.device("meta"), torch.no_grad():
            mine = made(x)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(mine, model(x))


def test_weights_made_in_inference_mode(pair):
    with torch.inference_mode():
        model = small()
    made = sol.optimize(model, X)
    with torch.inference_mode():
        same(made, model, X)
        model[0].weight.mul_(2)
        made.refresh()
        same(made, model, X)


def test_weights_for_one_call(pair):
    model, made = pair
    zeros = {name: torch.zeros_like(tensor) for name, tensor in model.named_parameters()}
    with torch.no_grad():
        assert not torch.func.functional_call(made, zeros, (X,)).any()
    same(made, model, X)


def test_hooks(pair):
    model, made = pair
    seen = []
    handles = [
        made.register_forward_pre_hook(lambda module, args: seen.append("before")),
        made.register_forward_hook(lambda module, args, result: (seen.append("behind"), result + 1)[1]),
    ]
    with torch.no_grad():
        result = made(X)
        assert seen == ["before", "behind"]
        for handle in handles:
            handle.remove()
        torch.testing.assert_close(result, made(X) + 1)
        torch.testing.assert_close(made(X), model(X))


@pytest.mark.parametrize("training", [True, False])
def test_a_copy_keeps_its_mode(training):
    model = small().train()
    made = sol.optimize(model, X).train(training)
    other = copy.deepcopy(made)
    assert other.training == training
    assert [module.training for module in other.modules()] == [module.training for module in made.modules()]


class Clash(nn.Module):
    """Its names are those of SolModule too."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(images(6))
        self.clusters = nn.Linear(6, 6)

    def forward(self, x):
        return self.clusters(x) * self.weights


def test_names_that_clash():
    model = Clash().eval()
    made = sol.optimize(model, X)
    same(made, model, X)
    assert made.state_dict().keys() == model.state_dict().keys()


# -- threads and errors -----------------------------------------------------------------------------------------------


def test_threads_that_find_new_weights_pack_them_once(pair, monkeypatch):
    model, made = pair
    with torch.no_grad():
        model[0].weight.mul_(2)
        expected = model(X)
    calls, bind = [], made._engine.bind
    monkeypatch.setattr(made._engine, "bind", lambda tensors: (calls.append(1), bind(tensors))[1])

    def call(_):
        with torch.no_grad():
            torch.testing.assert_close(made(X), expected)

    at_once(6, call)
    assert len(calls) == 1


def test_gradients_in_threads(pair):
    model, made = pair
    (expected,) = gradients(model, leaf())

    def call(_):
        for _ in range(5):
            torch.testing.assert_close(gradients(made, leaf())[0], expected)

    at_once(4, call)


def test_models_optimized_in_threads():
    def work(_):
        model = nn.Sequential(nn.Linear(6, 3), nn.Sigmoid()).eval()
        same(sol.optimize(model, X), model, X)

    at_once(4, work)


def test_calls_leave_nothing_behind(pair):
    _, made = pair
    with torch.no_grad():
        for _ in range(50):
            made(X)
    assert len(made._engine._free) == 1


@pytest.mark.parametrize(
    ("function", "x", "bad", "error"),
    [
        (lambda m, x: m.table.index_select(0, x), torch.arange(6), torch.arange(7, 13), sol.errors.InputError),
        (lambda m, x: torch.linalg.cholesky(x), torch.eye(6), -torch.eye(6), torch.linalg.LinAlgError),
    ],
    ids=["compiled code", "PyTorch"],
)
def test_an_error_inside_a_call_does_no_harm(function, x, bad, error):
    def forward(m, x):
        return m.linear(function(m, x)).relu()

    model = Calls(forward, table=nn.Parameter(images(10, 6)), linear=nn.Linear(6, 4)).eval()
    made = sol.optimize(model, x)
    for _ in range(3):
        with pytest.raises(error), torch.no_grad():
            made(bad)
        same(made, model, x)
    assert len(made._engine._free) == 1
