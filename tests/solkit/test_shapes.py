"""Other batch sizes and shapes than those a model was optimized for."""

import copy
import pickle
import re
import sys

import pytest
import torch
import torch.nn.functional as F
from compare import Calls, agree, images
from crowd import at_once
from torch import nn

import solkit as sol
from solkit import shapes

X = images(4, 6)


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(5, 4)).eval()


def tokens():
    """[N, T] -> [N, T, 7]"""
    torch.manual_seed(0)
    return Calls(
        lambda m, ids: F.layer_norm(m.line(m.table(ids)), (7,)), table=nn.Embedding(20, 6), line=nn.Linear(6, 7)
    ).eval()


def ids(*shape, seed=0):
    return torch.randint(0, 20, shape, generator=torch.Generator().manual_seed(seed))


def meeting():
    """Its samples meet."""
    torch.manual_seed(0)
    return Calls(lambda m, x: m.layer(x - x.mean(0)), layer=nn.Linear(6, 5)).eval()


def right(made, model, *inputs, **kwargs):
    with torch.no_grad():
        agree(made(*inputs, **kwargs), model, inputs, kwargs)


@pytest.fixture
def compiled(monkeypatch):
    """A list that grows by one with each shape that is compiled, or found in the cache."""
    seen, module = [], sys.modules["solkit.optimize"]
    make = module._kept_or_new
    monkeypatch.setattr(module, "_kept_or_new", lambda *args: (seen.append(args), make(*args))[1])
    return seen


# -- batches ----------------------------------------------------------------------------------------------------------


def test_any_batch_after_one_optimize(compiled, monkeypatch):
    model = network()
    made = sol.optimize(model, sol.input([0, 3, 6, 7]), batch_size=8)
    assert len(compiled) == 2
    assert made.explain().rows[-1].result == "[N=8, F=4]"
    for batch in (0, 1, 3, 8, 17):
        right(made, model, images(batch, 3, 6, 7))
    assert made(images(0, 3, 6, 7)).shape == (0, 4)
    assert len(compiled) == 2


def test_the_batch_of_an_example_is_the_one_to_expect(compiled):
    model = network()
    made = sol.optimize(model, images(2, 3, 6, 7), vdims=[True])
    for batch in (2, 5):
        right(made, model, images(batch, 3, 6, 7))
    right(sol.optimize(model, images(0, 3, 6, 7), vdims=(True,)), model, images(2, 3, 6, 7))
    assert [call[1][0].shape[0] for call in compiled] == [2, 1, 1]


@pytest.mark.parametrize(("example", "expected"), [(4, 3), (2, 3), (0, 3)])
def test_a_batch_size_beside_an_example(compiled, example, expected):
    model = nn.Linear(6, 5).eval()
    made = sol.optimize(model, images(example, 6), vdims=[True], batch_size=expected)
    assert [call[1][0].shape[0] for call in compiled] == [expected, 1]
    right(made, model, images(7, 6))


def test_samples_that_meet(compiled, caplog):
    model = meeting()
    with caplog.at_level("INFO", "solkit"):
        made = sol.optimize(model, X, vdims=[True])
    assert "cannot be cut, so each size of it is compiled when first seen: a result depends on other" in caplog.text
    for batch in (1, 4, 7, 7):
        right(made, model, images(batch, 6))
    assert len(compiled) == 3


@pytest.mark.parametrize(
    ("function", "inputs", "reason"),
    [
        (lambda m, x: x.sum(0), (X,), "has no batch in dimension 0"),
        (lambda m, x: x.T, (X,), "has no batch in dimension 0"),
        (lambda m, x: (x + 1, m.weight * 2), (X,), "has no batch in dimension 0"),
        (lambda m, x: x.reshape(-1, 3), (X,), "has no batch in dimension 0"),
        (lambda m, x: (x + 1, x.shape[0]), (X,), "the result 3 depends on the batch"),
        (lambda m, x: [*x.split(1)], (X,), "structure of the results"),
        (lambda m, x: x.squeeze(), (X[:, :1],), "no batch|depends"),
        (lambda m, x: x.cumsum(0), (X,), "depends on other samples"),
        (lambda m, x: x.flip(0), (X,), "depends on other samples"),
        (lambda m, x: x + torch.nan, (X,), "nothing can be told"),
        (lambda m, n: n - n.min(0).values, (torch.ones(4, 5, dtype=torch.long),), "depends on other samples"),
        (lambda m, x: F.dropout(x), (X,), "depends on other samples"),
        (lambda m, x: x.reshape(4, -1) if len(x) > 1 else x.no_such(), (X,), "PyTorch cannot run"),
    ],
)
def test_what_cannot_be_cut(caplog, function, inputs, reason):
    torch.manual_seed(0)
    model = Calls(function, weight=nn.Parameter(images(4))).eval()
    with caplog.at_level("INFO", "solkit"):
        made = sol.optimize(model, *inputs, vdims=[True])
    assert "cannot be cut" in caplog.text
    assert re.search(reason, caplog.text)
    if "dropout" not in function.__code__.co_names:
        right(made, model, *inputs)


def test_one_of_two_inputs_varies(compiled):
    model = Calls(lambda m, x, y: x @ y.T).eval()
    made = sol.optimize(model, X, images(5, 6), vdims=[True, False])
    for batch in (4, 9):
        right(made, model, images(batch, 6), images(5, 6, seed=3))
    assert len(compiled) == 2
    with pytest.raises(sol.InputError, match=r"input 1 is float32 \[4, 6\], .* optimized for float32 \[5, 6\]"):
        made(X, images(4, 6))


def test_both_of_two_inputs_vary():
    model = Calls(lambda m, x, y: x * y).eval()
    made = sol.optimize(model, X, sol.input([0, 6]), vdims=[True, True])
    right(made, model, images(9, 6), images(9, 6, seed=3))
    with pytest.raises(sol.InputError, match=r"batches of 3, 9, .* must have the same: .*\[\*, 6\]"):
        made(images(9, 6), images(3, 6))


def test_many_results_and_inputs_by_name(compiled):
    model = Calls(lambda m, x, *, more, scale: {"a": x + more["y"], "b": (x.argmax(1), m.layer(x)), "c": scale}).eval()
    model.layer = nn.Linear(6, 2).eval()
    made = sol.optimize(model, X, kwargs={"more": {"y": sol.input([0, 6])}, "scale": 3}, vdims=[True, True])
    for batch in (6, 0):
        given = images(batch, 6)
        right(made, model, given, more={"y": given * 2}, scale=3)
    assert len(compiled) == 2
    with pytest.raises(sol.InputError, match="part of the compiled program"):
        made(X, more={"y": X}, scale=4)


# -- other sizes ------------------------------------------------------------------------------------------------------


def test_sequences_of_many_lengths(compiled):
    model = tokens()
    made = sol.optimize(model, ids(2, 5), vdims=[(0, 1)])
    assert len(compiled) == 2
    for again in range(2):
        for length in (5, 7, 9):
            right(made, model, ids(3, length, seed=again))
        assert len(compiled) == 6  # slices of 2 and 1 for each length
    right(made, model, ids(0, 11))
    assert made(ids(0, 11)).shape == (0, 11, 7)


def test_a_new_length_is_said(caplog):
    made = sol.optimize(tokens(), ids(1, 5), vdims=[(0, 1)])
    with caplog.at_level("INFO", "solkit"):
        made(ids(1, 6))
    assert "optimizing Calls for (int64 [1, 6])" in caplog.text


def test_sizes_known_at_the_first_call_only(compiled):
    model = network()
    made = sol.optimize(model, sol.input([0, 3, 0, 0]))
    right(made, model, images(2, 3, 9, 5))
    assert [tuple(call[1][0].shape) for call in compiled] == [(1, 3, 32, 32), (1, 3, 9, 5)]
    with pytest.raises(sol.InputError, match=r"mat1 .* was taken to be 32: pass an example tensor and vdims"):
        sol.optimize(nn.Linear(6, 5), sol.input([0, 0]))


def test_a_batch_that_does_not_vary_beside_a_length_that_does(compiled):
    model = tokens()
    made = sol.optimize(model, ids(2, 5), vdims=[(1,)])
    right(made, model, ids(2, 8))
    assert len(compiled) == 2
    with pytest.raises(sol.InputError, match=r"input 0 is int64 \[3, 5\], .* optimized for int64 \[2, \*\]"):
        made(ids(3, 5))


def test_control_flow_that_depends_on_the_shape():
    model = Calls(lambda m, x: (x * 2, x.shape[1]) if x.shape[1] > 6 else (torch.tanh(x), [x])).eval()
    made = sol.optimize(model, X, vdims=[(1,)])
    for width in (6, 8, 5):
        right(made, model, images(4, width))
    x = images(4, 8).requires_grad_()
    made(x)[0].sum().backward()
    assert torch.equal(x.grad, torch.full((4, 8), 2.0))


def test_the_shape_that_was_not_used_for_longest_goes(compiled, monkeypatch):
    monkeypatch.setattr(shapes, "MOST_SHAPES", 3)
    made = sol.optimize(nn.ReLU().eval(), X, vdims=[(1,)])

    def call(*widths):
        before = len(compiled)
        for width in widths:
            assert torch.equal(made(images(4, width)), images(4, width).relu())
        return len(compiled) - before

    assert call(2, 3, 2, 4) == 3  # 3 went
    assert call(2, 4, 6) == 0
    assert call(3) == 1
    assert call(6, 4, 3) == 0
    assert len(made._shapes._table) == 3


def test_what_was_captured_once_is_found_in_the_cache(cache_folder, caplog):
    for _ in range(2):
        caplog.clear()
        with caplog.at_level("INFO", "solkit"):
            made = sol.optimize(tokens(), ids(2, 5), vdims=[(0, 1)])
            made(ids(1, 6))
    assert "optimizing" in caplog.text
    assert "capturing" not in caplog.text


def test_a_shape_pytorch_cannot_take_does_no_harm():
    model = Calls(lambda m, x: m.layer(x.reshape(4, -1)), layer=nn.Linear(6, 5)).eval()
    made = sol.optimize(model, X, vdims=[(1,)])
    with pytest.raises(sol.InputError, match="PyTorch cannot run Calls on inputs like these: mat1 and mat2"):
        made(images(4, 7))
    right(made, model, X)


# -- all else as before -----------------------------------------------------------------------------------------------


def test_changed_weights_are_seen_by_all_shapes():
    model = tokens()
    made = sol.optimize(model, ids(2, 5), vdims=[(0, 1)])
    calls = [ids(2, 5), ids(1, 5), ids(3, 6)]
    for _ in range(2):
        for given in calls:
            right(made, model, given)
        with torch.no_grad():
            model.table.weight.mul_(-2)
    model.table.weight.data.mul_(-2)  # which nobody counts
    made.refresh()
    for given in calls:
        right(made, model, given)


@pytest.mark.parametrize("make", [network, meeting], ids=["slices", "a shape each"])
@pytest.mark.parametrize("gradients", [False, True])
def test_eight_threads_with_different_batches(cache_folder, compiled, make, gradients):
    """On an empty cache, so that some capture while others call."""
    model = make()
    shape = (3, 6, 7) if make is network else (6,)
    made, twin = sol.optimize(model, images(4, *shape), vdims=[True]), copy.deepcopy(model)

    def work(number):
        for count in range(20):
            x = images(1 + (number + count) % 6, *shape, seed=number).requires_grad_(gradients)
            mine, theirs = made(x), twin(x)
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
            if gradients and number % 2:
                results = (torch.autograd.grad(result.square().sum(), x)[0] for result in (mine, theirs))
                torch.testing.assert_close(*results, rtol=1e-3, atol=1e-4)

    with torch.set_grad_enabled(gradients):
        at_once(8, work)
    assert len(compiled) == (2 if make is network else 6)


def test_gradients_of_a_batch_in_slices():
    model = network()
    made = sol.optimize(model, images(2, 3, 6, 7), vdims=[True])
    gradients = []
    for module in (made, model):
        x = images(5, 3, 6, 7).requires_grad_()
        gradients.append(torch.autograd.grad(module(x).square().sum(), [x, *model.parameters()]))
    torch.testing.assert_close(*gradients)


def test_training_mode_takes_any_shape():
    model = network()
    made = sol.optimize(model, images(2, 3, 6, 7), vdims=[True]).train()
    with pytest.warns(RuntimeWarning, match="in training mode"):
        assert made(images(5, 3, 6, 7)).shape == (5, 4)
    right(made.eval(), model, images(5, 3, 6, 7))


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda made: pickle.loads(pickle.dumps(made))}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_takes_the_same_shapes(how):
    model = nn.Sequential(nn.Embedding(20, 6), nn.Linear(6, 5)).eval()
    other = COPIES[how](sol.optimize(model, ids(3, 5), vdims=[(0, 1)]))
    assert other._shapes.slices == (3, 1)
    for given in (ids(3, 5), ids(4, 5), ids(1, 8)):
        right(other, model, given)
    with pytest.raises(sol.InputError, match=r"optimized for int64 \[\*, \*\]"):
        other(ids(3))


def test_looking_at_it():
    model = network()
    made = sol.optimize(model, images(2, 3, 6, 7), vdims=[(0, 2)])
    assert "N=2" in str(made.explain())
    assert "N=1" in str(made.explain(images(1, 3, 6, 7)))
    assert made.profile(images(2, 3, 9, 7), runs=1)
    assert "conv" in made.source()
    assert made.state_dict().keys() == model.state_dict().keys()
    assert sol.verify(made, images(2, 3, 6, 7)).ok
    with pytest.raises(sol.InputError, match="a batch of 5 runs in slices of 2 and 1: pass a batch of one of these"):
        made.profile(images(5, 3, 6, 7))


def test_as_a_part_of_a_larger_model():
    model = network()
    larger = nn.Sequential(sol.optimize(model, images(2, 3, 6, 7), vdims=[True]), nn.ReLU()).eval()
    made = sol.optimize(larger, sol.input([0, 3, 6, 7]), batch_size=2)
    right(made, nn.Sequential(model, nn.ReLU()), images(5, 3, 6, 7))
    program = torch.export.export(larger, (images(5, 3, 6, 7),), strict=False)
    torch.testing.assert_close(program.module()(images(5, 3, 6, 7)), larger(images(5, 3, 6, 7)))


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vdims": True}, r"vdims is a list with an entry for each input, .* not True"),
        ({"vdims": [True]}, "vdims has 1 entries, but the inputs hold 2 tensors"),
        ({"vdims": [True] * 3}, "vdims has 3 entries"),
        ({"vdims": [True, 0]}, r"vdims\[1\] is True for .*, not 0"),
        ({"vdims": [True, "batch"]}, r"vdims\[1\] is True for .*, not 'batch'"),
        ({"vdims": [(True,), False]}, r"vdims\[0\] is True for .*, not \(True,\)"),
        ({"vdims": [(0, 2), False]}, r"vdims\[0\] names dimension 2 .* go from 0 to 1"),
        ({"vdims": [(-1,), False]}, r"vdims\[0\] names dimension -1"),
        ({"vdims": [True, True]}, r"batches of \[3, 4\]: they must be the same"),
        ({"vdims": [True, False], "batch_size": 0}, "batch_size is a whole number from 1 on, not 0"),
        ({"vdims": [True, False], "batch_size": True}, "batch_size is a whole number"),
        ({"batch_size": 8}, "batch_size is for a batch that varies, and none does"),
    ],
)
def test_what_optimize_does_not_take(options, message):
    with pytest.raises(sol.InputError, match=message):
        sol.optimize(Calls(lambda m, x, y: x + y.sum()), X, images(3, 6), **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8,), "takes a list of sizes, .*not 8"),
        (([0, -1],), "takes a list of sizes"),
        (([0, 2.0],), "takes a list of sizes"),
        (([0], "float32"), "takes a dtype such as torch.float32, not 'float32'"),
        (([0], torch.int64, True), "no gradients of torch.int64"),
    ],
)
def test_what_input_does_not_take(arguments, message):
    with pytest.raises(sol.InputError, match=message):
        sol.input(*arguments)


def test_an_input_with_fixed_sizes():
    model = nn.Linear(6, 5).eval()
    made = sol.optimize(model, sol.input([4, 6], requires_grad=True))
    right(made, model, X)
    with pytest.raises(sol.InputError, match=r"optimized for float32 \[4, 6\]: call sol.optimize again"):
        made(images(5, 6))


def test_calls_that_do_not_fit():
    made = sol.optimize(nn.Linear(6, 5), sol.input([0, 6])).eval()
    for given, message in [
        (X.double(), r"float64 .* float32 \[\*, 6\]: convert it with"),
        (images(4, 7), r"float32 \[4, 7\], .* float32 \[\*, 6\]: call sol.optimize again"),
        (X[0], r"batch dimension is missing, add it with \.unsqueeze\(0\)"),
        (None, "pass a tensor"),
    ]:
        with pytest.raises(sol.InputError, match=message):
            made(given)
