"""`torch.compile(model, backend="solkit")` against the same model without it."""

import copy
import gc
import itertools
import logging
import os
import subprocess
import sys

import pytest
import torch
from crowd import at_once
from torch import nn
from torch.nn import functional as F

from solkit.errors import ConfigError
from solkit.frontend import dynamo

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(autouse=True)
def _fresh():
    """Nothing that TorchDynamo compiled in another test counts towards its limits here."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    yield
    torch._dynamo.reset()


@pytest.fixture
def said(caplog):
    """A function: the lines solkit has logged since it was last asked, of these words."""
    caplog.set_level(logging.INFO, logger="solkit")

    def lines(words):
        found = [record.getMessage() for record in caplog.records if words in record.getMessage()]
        caplog.clear()
        return found

    return lines


def compiled(model, **options):
    return torch.compile(model, backend="solkit", **options)


def conv_net():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10)),
    ).eval()


def mlp():
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)).eval()


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x, mask=None):
        q, k, v = (part.unflatten(-1, (4, 4)).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, dim=-1))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return {"y": x + self.out(y.transpose(1, 2).flatten(2)), "parts": [q, v], "none": None, "length": x.shape[1]}


@pytest.mark.parametrize(
    ("model", "shape"), [(conv_net(), (2, 3, 16, 16)), (mlp(), (5, 16)), (Attention().eval(), (2, 7, 16))]
)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_models(model, shape, mode, said):
    fast = compiled(model, fullgraph=True)
    with mode():
        for _ in range(3):
            x = torch.randn(shape)
            torch.testing.assert_close(fast(x), model(x), **CLOSE)
    assert len(said("compiled cluster")) == 1
    assert not said("runs in PyTorch")


def test_an_input_by_name():
    model = Attention().eval()
    x, mask = torch.randn(2, 7, 16), torch.zeros(7, 7).masked_fill(torch.ones(7, 7).triu(1).bool(), -torch.inf)
    with torch.no_grad():
        torch.testing.assert_close(compiled(model)(x=x, mask=mask), model(x, mask), **CLOSE)


def test_a_process_that_never_imports_solkit(tmp_path):
    script = (
        "import torch; m = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()); x = torch.randn(2, 4)\n"
        "with torch.no_grad(): torch.testing.assert_close(torch.compile(m, backend='solkit')(x), m(x))\n"
        "assert 'solkit' in torch._dynamo.list_backends()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "SOL_LOG": "info"},
    )
    assert done.returncode == 0, done.stderr
    assert "graph 0/0: solkit: " in done.stderr


# -- what TorchDynamo makes of Python -------------------------------------------------------------------------------


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.yes, self.no = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        y = self.first(x).relu()
        print("mean", round(y.mean().item(), 3))
        return self.yes(y).relu() if y.sum() > 20 else self.no(y).tanh()


def test_a_model_that_prints_and_branches(said, capsys):
    model, small, large = Branching().eval(), torch.randn(4, 8) * 0.1, torch.randn(4, 8) * 10
    fast = compiled(model)
    with torch.no_grad():
        for x in (small, large, small):
            assert not torch.equal(model.yes(x), model.no(x))
            torch.testing.assert_close(fast(x), model(x), **CLOSE)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 6
    assert printed[::2] == printed[1::2]
    assert len(said("compiled cluster")) >= 2


def test_a_function_with_a_graph_break(said):
    weight = torch.randn(8, 8)

    def function(x, scale):
        y = torch.relu(x @ weight) * scale
        torch._dynamo.graph_break()
        first, second = y.chunk(2, dim=-1)
        return torch.sigmoid(first) + second.exp(), 3, None

    x = torch.randn(4, 8)
    torch.testing.assert_close(compiled(function)(x, 2), function(x, 2), **CLOSE)
    assert len(said("compiled cluster")) == 2


def test_five_sizes_of_one_dimension(said):
    model = conv_net()
    fast = compiled(model)
    with torch.no_grad():
        for size in (2, 3, 5, 4, 6, 3, 5, 6):
            x = torch.randn(size, 3, 16, 16)
            torch.testing.assert_close(fast(x), model(x), **CLOSE)
    assert len(said("compiled cluster")) == 5


def test_too_many_sizes_run_in_pytorch(said, monkeypatch):
    monkeypatch.setattr(dynamo, "MOST_SHAPES", 2)
    model = mlp()
    fast = compiled(model, dynamic=True)
    with torch.no_grad():
        for size in (2, 3, 4, 5, 2):
            x = torch.randn(size, 16)
            torch.testing.assert_close(fast(x), model(x), **CLOSE)
    assert len(said("2 shapes; others run in PyTorch")) == 1


def test_reset(said):
    model, x = mlp(), torch.randn(2, 16)
    fast = compiled(model)
    with torch.no_grad():
        fast(x)
        torch._dynamo.reset()
        torch.testing.assert_close(fast(x), model(x), **CLOSE)
    assert len(said("compiled cluster")) == 2


# -- memory ---------------------------------------------------------------------------------------------------------


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("total", torch.zeros(4))

    def forward(self, x):
        self.calls += 1
        y = self.layer(x).relu()
        self.total.add_(y.sum(0))
        return y * self.calls, self.total


def test_buffers_that_forward_changes(said):
    model = Counting().eval()
    fast, slow = compiled(model), copy.deepcopy(model)
    with torch.no_grad():
        for _ in range(4):
            x = torch.randn(3, 4)
            torch.testing.assert_close(fast(x), slow(x), **CLOSE)
    assert model.calls.item() == 4
    torch.testing.assert_close(model.total, slow.total, **CLOSE)
    assert said("compiled cluster")


def test_inputs_that_a_function_writes_into(said):
    def function(x, y):
        x.mul_(2).add_(torch.relu(y) * 3)
        y[0] = torch.exp(y[1])
        return x.sigmoid()

    fast = compiled(function)
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    mine, yours = (x.clone(), y.clone()), (x.clone(), y.clone())
    torch.testing.assert_close((fast(*mine), *mine), (function(*yours), *yours), **CLOSE)
    assert said("compiled cluster")
    mine, yours = torch.cat([x, y]), torch.cat([x, y])  # one overlaps the other
    torch.testing.assert_close(fast(mine[:3], mine[2:5]), function(yours[:3], yours[2:5]), **CLOSE)
    torch.testing.assert_close(mine, yours, **CLOSE)


def test_results_share_memory_as_in_pytorch(said):
    def function(x):
        y = torch.relu(x * 2 + 1).sigmoid()
        return y.t(), y[1], x.view(-1), y.permute(1, 0).contiguous().t(), y.expand(2, 3, 4).amax(0)

    x = torch.randn(3, 4)
    mine, yours = compiled(function)(x), function(x)
    assert said("compiled cluster")
    torch.testing.assert_close(mine, yours, **CLOSE)
    assert [tensor.stride() for tensor in mine] == [tensor.stride() for tensor in yours]
    mine[1].fill_(7)
    assert (mine[0][:, 1] == 7).all()
    mine[2].fill_(5)
    assert (x == 5).all()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x.relu() * 2).view(torch.int32),
        lambda x: (x.relu() + 1).unsqueeze_(0).expand(3, 2, 4),
        lambda x: x.unsqueeze_(0).relu() * 2,
        lambda x: torch.nonzero(x.relu() * 2),
        lambda x: torch.complex(x, x.exp()).conj(),
        lambda x: x.to_sparse().to_dense().relu(),
        lambda x: x[:0].relu() * 2,
        lambda x: (x.double().sin() + 1).tolist(),
        lambda x: x.shape,
        torch.func.grad(lambda x: (x.relu() * 2).sum()),
        lambda x: torch.cond(x.sum() > 0, lambda x: x.relu() + 1, lambda x: x.sigmoid(), (x,)),
    ],
)
def test_what_only_pytorch_can_do(function):
    x = torch.randn(2, 4)
    mine, yours = compiled(function)(x.clone()), function(x.clone())
    torch.testing.assert_close(mine, yours, **CLOSE)


# -- weights --------------------------------------------------------------------------------------------------------


def test_weights_that_change(said):
    model, x = conv_net(), torch.randn(2, 3, 16, 16)
    other = copy.deepcopy(model)
    fast = compiled(model)

    def same():
        with torch.no_grad():
            torch.testing.assert_close(fast(x), model(x), **CLOSE)
            return model(x)

    results = [same()]
    with torch.no_grad():
        model[0].weight.mul_(1.5)
    results.append(same())
    model[0].weight.data = torch.randn_like(model[0].weight)
    results.append(same())
    model.load_state_dict(other.state_dict())
    torch.testing.assert_close(same(), results[0], **CLOSE)
    model[4].weight = nn.Parameter(torch.randn_like(model[4].weight))
    results.append(same())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(x).sum().backward()
    optimizer.step()
    results.append(same())
    with torch.no_grad():
        model.train()(x)  # batch norm does not count this change
        model.eval()
    results.append(same())
    assert all(not torch.allclose(a, b, **CLOSE) for a, b in itertools.pairwise(results))
    assert len(said("compiled cluster")) == 1


def test_tied_weights():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(11, 8), nn.Linear(8, 11, bias=False)
            self.head.weight = self.table.weight

        def forward(self, tokens):
            return self.head(self.table(tokens).relu())

    model, tokens = Tied().eval(), torch.tensor([[1, 2, 10]])
    fast = compiled(model)
    with torch.no_grad():
        torch.testing.assert_close(fast(tokens), model(tokens), **CLOSE)
        model.table.weight.add_(1)
        torch.testing.assert_close(fast(tokens), model(tokens), **CLOSE)


def test_one_graph_for_many_blocks(said):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x):
            torch._dynamo.graph_break()
            return self.layer(x).relu() + x

    model = nn.Sequential(*(Block() for _ in range(4))).eval()
    fast, x = compiled(model), torch.randn(2, 8)
    with torch.no_grad():
        for _ in range(3):
            torch.testing.assert_close(fast(x), model(x), **CLOSE)
    assert len(said("compiled cluster")) < 4


def test_packed_weights_go_with_the_weights():
    known = []

    class Watched(dynamo._Compiled):
        def __init__(self, *args):
            super().__init__(*args)
            known.append(self.bound)

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(dynamo, "_Compiled", Watched)

        def run(layer, x):
            return layer(x).relu()

        fast = compiled(run)
        layers = [nn.Linear(4, 4) for _ in range(3)]
        for layer in layers:
            fast(layer, torch.randn(2, 4))
        assert sum(map(len, known)) == 3
        del layers, layer
        gc.collect()
        assert sum(map(len, known)) == 0


# -- training, modes ------------------------------------------------------------------------------------------------


def test_training_is_pytorchs(said):
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1)).train()
    slow = copy.deepcopy(model)
    x, y = torch.randn(32, 8), torch.randn(32, 1)

    def losses(call, parameters):
        optimizer, found = torch.optim.Adam(parameters, lr=0.01), []
        for _ in range(20):
            optimizer.zero_grad()
            loss = F.mse_loss(call(x), y)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    mine, yours = losses(compiled(model), model.parameters()), losses(slow, slow.parameters())
    assert mine == pytest.approx(yours, rel=1e-4)
    assert mine[-1] < 0.8 * mine[0]
    torch.testing.assert_close(model.state_dict(), slow.state_dict(), **CLOSE)
    assert said("gradients may be wanted")


def test_training_mode_without_gradients():
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1)).train()
    slow, x = copy.deepcopy(model), torch.randn(32, 8)
    fast = compiled(model)
    with torch.no_grad():
        for seed in range(3):
            torch.manual_seed(seed)
            mine = fast(x)
            torch.manual_seed(seed)
            torch.testing.assert_close(mine, slow(x), **CLOSE)
    torch.testing.assert_close(model.state_dict(), slow.state_dict(), **CLOSE)


def test_gradients_of_a_part(said):
    frozen, head = conv_net(), nn.Linear(10, 2)

    def call(x):
        with torch.no_grad():
            y = frozen(x)
        return head(y)

    x = torch.randn(2, 3, 16, 16)
    compiled(call)(x).sum().backward()
    mine = head.weight.grad.clone()
    head.weight.grad = None
    call(x).sum().backward()
    torch.testing.assert_close(mine, head.weight.grad, **CLOSE)
    assert all(parameter.grad is None for parameter in frozen.parameters())


@pytest.mark.parametrize("inside", [False, True])
def test_autocast(inside):
    model = conv_net()

    def call(x):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=inside):
            return model(x)

    fast, x = compiled(call), torch.randn(2, 3, 16, 16)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        mine, yours = fast(x), call(x)
    assert mine.dtype == yours.dtype
    torch.testing.assert_close(mine, yours, rtol=2e-2, atol=2e-2)
    with torch.no_grad():
        mine, yours = fast(x), call(x)
    assert mine.dtype == yours.dtype


def test_autocast_that_a_failed_trace_entered(said):
    def call(x, scale):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return (x @ x) * scale

    fast, x = compiled(call), torch.randn(4, 4)
    with torch.no_grad():
        for scale in (1.0, 2.5):  # a number that changes becomes a tensor whose value the graph reads
            torch.testing.assert_close(fast(x, scale), call(x, scale), rtol=2e-2, atol=2e-2)
            assert not torch.is_autocast_enabled("cpu")
    assert torch.autocast_increment_nesting() == 1
    assert torch.autocast_decrement_nesting() == 0
    assert said("cannot be traced")


def test_inference_tensors_as_weights():
    with torch.inference_mode():
        model, x = mlp(), torch.randn(2, 16)
        torch.testing.assert_close(compiled(model)(x), model(x), **CLOSE)


def test_two_threads():
    models = [conv_net() for _ in range(2)]
    fast = [compiled(model) for model in models]
    inputs = [torch.randn(size, 3, 16, 16) for size in (1, 2, 3)]
    # Beforehand: while one thread traces, PyTorch replaces nn.Module.__call__ in all of them.
    with torch.no_grad():
        expected = [[model(x) for x in inputs] for model in models]

    def work(seed):
        with torch.no_grad():
            for turn in range(12):
                size, index = (turn + seed) % 3, (turn + seed) % 2
                torch.testing.assert_close(fast[index](inputs[size]), expected[index][size], **CLOSE)

    at_once(2, work)


# -- options --------------------------------------------------------------------------------------------------------


def test_options(tmp_path, settings):
    model, x = mlp(), torch.randn(2, 16)
    before = dict(settings)
    with torch.no_grad():
        fast = compiled(model, options={"cache::path": str(tmp_path / "mine"), "verify": False})
        torch.testing.assert_close(fast(x), model(x), **CLOSE)
    assert list((tmp_path / "mine").iterdir())
    assert dict(settings) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"verfy": True}, "takes the options verify, compiler::name, cache::path, not 'verfy'"),
        ({"threads": 1}, "set sol.config['threads']"),
        ({"verify": 3}, "cannot be 3: it takes True or False"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed) as caught, torch.no_grad():
        compiled(mlp(), options=options)(torch.randn(2, 16))
    assert isinstance(caught.value.inner_exception, ConfigError)
    assert words in str(caught.value)


def test_a_mode_is_ignored(said):
    model, x = mlp(), torch.randn(2, 16)
    with torch.no_grad():
        torch.testing.assert_close(compiled(model, mode="reduce-overhead")(x), model(x), **CLOSE)
    assert said("mode='reduce-overhead'")


def test_without_a_compiler_pytorch_runs(said, tmp_path):
    model, x = mlp(), torch.randn(2, 16)
    options = {"compiler::name": str(tmp_path / "none"), "cache::path": str(tmp_path / "cache")}
    with torch.no_grad():
        torch.testing.assert_close(compiled(model, options=options)(x), model(x), **CLOSE)
    assert said("runs in PyTorch: ")
