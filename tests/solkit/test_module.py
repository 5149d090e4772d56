"""The contract of what sol.optimize gives back: names, weights that change, gradients, modes, copies, threads."""

import copy
import io
import os
import pickle
import warnings

import pytest
import torch
from crowd import at_once
from torch import nn

import solkit as sol


class Net(nn.Module):
    """Convolution with batch norm, then a linear layer; small and with every kind of state."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 5)
        self.size = "small"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.bn(self.conv(x))).mean((2, 3)))


@pytest.fixture(scope="module")
def x():
    return torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def pair(x):
    """(model, optimized)"""
    torch.manual_seed(0)
    model = Net().eval()
    model.bn.running_mean.normal_()
    model.bn.running_var.uniform_(0.5, 2)
    return model, sol.optimize(model, x)


def same(optimized: nn.Module, model: nn.Module, x: torch.Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(optimized(x), model(x), rtol=1e-4, atol=1e-5)


# -- names and weights ----------------------------------------------------------------------------------------------


def test_it_is_a_module_with_the_names_of_the_model(pair):
    model, optimized = pair
    assert isinstance(optimized, nn.Module)
    assert list(optimized.state_dict()) == list(model.state_dict())
    assert [name for name, _ in optimized.named_parameters()] == [name for name, _ in model.named_parameters()]
    assert optimized.size == "small"
    assert optimized.fc is model.fc


def test_state_goes_both_ways(pair, x):
    _, optimized = pair
    other = Net().eval()
    assert optimized.load_state_dict(other.state_dict()) == nn.modules.module._IncompatibleKeys([], [])
    same(optimized, other, x)
    third = Net().eval()
    third.load_state_dict(optimized.state_dict())
    same(optimized, third, x)


def in_place(model: nn.Module) -> None:
    with torch.no_grad():
        model.conv.weight.mul_(2)


def through_data(model: nn.Module) -> None:
    model.fc.bias.data = torch.ones(5)


def new_parameter(model: nn.Module) -> None:
    model.fc.weight = nn.Parameter(torch.randn(5, 8))


def new_statistics(model: nn.Module) -> None:
    model.bn.running_var.fill_(3)


def optimizer_step(model: nn.Module) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(torch.ones(2, 3, 6, 7)).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("change", [in_place, through_data, new_parameter, new_statistics, optimizer_step])
@pytest.mark.parametrize("whose", ["model", "optimized"])
def test_a_later_change_of_a_weight_is_seen(pair, x, change, whose):
    model, optimized = pair
    before = optimized(x).detach().clone()
    change(model if whose == "model" else optimized)
    same(optimized, model, x)
    assert not torch.allclose(optimized(x).detach(), before)


def test_a_change_behind_pytorchs_back_is_seen_after_refresh(pair, x):
    model, optimized = pair
    optimized(x)
    model.fc.bias.data.fill_(7)
    optimized.refresh()
    same(optimized, model, x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: setattr(m, "fc", nn.Linear(8, 6).eval()),
            r"fc\.weight.*\[6, 8\].*was.*\[5, 8\].*sol.optimize again",
        ),
        (lambda m: m.double(), "float64.*float32.*sol.optimize again"),
        (lambda m: delattr(m, "bn"), r"bn\.\w+.*is gone"),
    ],
    ids=["another shape", "another dtype", "gone"],
)
def test_a_model_edited_beyond_its_weights_is_an_error(pair, x, change, message):
    model, optimized = pair
    change(model)
    with pytest.raises(sol.ModelError, match=message), torch.no_grad():
        optimized(x)


# -- gradients and modes --------------------------------------------------------------------------------------------


def test_gradients_are_pytorchs(pair, x):
    model, optimized = pair
    gradients = []
    for module in (model, optimized):
        given = x.clone().requires_grad_()
        module.zero_grad()
        (module(given) ** 2).sum().backward()
        gradients.append([given.grad, *(p.grad.clone() for p in module.parameters())])
    for theirs, ours in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_only_what_wants_a_gradient_gets_one(pair, x):
    _, optimized = pair
    optimized.requires_grad_(False)
    assert not optimized(x).requires_grad
    optimized.fc.bias.requires_grad_()
    optimized(x).sum().backward()
    assert optimized.fc.bias.grad is not None
    assert optimized.fc.weight.grad is None


def test_no_gradient_is_kept_where_none_is_wanted(pair, x):
    _, optimized = pair
    with torch.no_grad():
        assert not optimized(x).requires_grad
    with torch.inference_mode():
        assert optimized(x).shape == (2, 5)


def test_training_mode_is_pytorchs_and_says_so(pair, x):
    model, optimized = pair
    other = copy.deepcopy(model).train()
    optimized.train()
    with pytest.warns(RuntimeWarning, match="call .eval()"):
        made = optimized(x)
    torch.testing.assert_close(made, other(x))
    torch.testing.assert_close(optimized.bn.running_mean, other.bn.running_mean)
    assert optimized.eval() is optimized
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(optimized, other.eval(), x)


def test_a_model_in_training_mode_is_optimized_for_evaluation_and_left_as_it_was(x):
    model = Net()
    model.bn.eval()
    optimized = sol.optimize(model, x)
    assert model.training
    assert model.conv.training
    assert not model.bn.training
    optimized.eval()
    same(optimized, copy.deepcopy(model).eval(), x)


# -- copies ---------------------------------------------------------------------------------------------------------


def through_a_file(optimized: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(optimized, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda m: pickle.loads(pickle.dumps(m)), "torch.save": through_a_file}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_works_and_is_its_own(pair, x, how):
    model, optimized = pair
    other = COPIES[how](optimized)
    same(other, model, x)
    with torch.no_grad():
        model.fc.bias.add_(1)
    same(optimized, model, x)
    with torch.no_grad():
        assert not torch.allclose(other(x), optimized(x))


# -- threads and processes ------------------------------------------------------------------------------------------


def test_four_threads_call_one_model_at_once(pair, x):
    _, optimized = pair
    inputs = [torch.randn_like(x) for _ in range(8)]
    with torch.no_grad():
        alone = [optimized(item) for item in inputs]
    wrong: list[object] = []

    def work(_: int) -> None:
        with torch.no_grad():
            for _ in range(20):
                wrong.extend(i for i, item in enumerate(inputs) if not torch.equal(optimized(item), alone[i]))

    at_once(4, work)
    assert not wrong


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_as_many_threads_as_one_likes(pair, x, threads):
    model, optimized = pair
    sol.config["threads"] = threads
    try:
        same(optimized, model, x)
    finally:
        del sol.config["threads"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_runs_the_model_too(pair, x):
    _, optimized = pair
    with torch.no_grad():
        here = optimized(x)
        child = os.fork()
        if child == 0:
            os._exit(0 if torch.equal(optimized(x), here) else 3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert torch.equal(optimized(x), here)


def test_printing_says_what_it_is(pair):
    _, optimized = pair
    assert "solkit: " in repr(optimized)
    assert "0 operators in PyTorch" in repr(optimized)
