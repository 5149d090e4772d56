"""LSTM and GRU against PyTorch in float64, and rounds of tasks on other machines."""

import elsewhere
import pytest
import torch
from compare import Calls, Each, compare, images
from torch import nn

import solkit as sol
from solkit.codegen.kernel import Panels
from solkit.runtime.weights import pack
from solkit.target import VE
from solkit.toolchain import emit_assembly

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
LAYERS = {
    "one layer": ((5, 7), {}, (4, 3)),
    "one step": ((5, 7), {}, (1, 1)),
    "one unit": ((1, 1), {}, (3, 2)),
    "no bias": ((5, 17), {"bias": False}, (3, 2)),
    "whole vectors": ((16, 32), {}, (5, 1)),
    "batch first": ((3, 20), {"batch_first": True}, (2, 6)),
    "many sequences": ((4, 33), {}, (3, 23)),
    "layers": ((5, 9), {"num_layers": 3}, (4, 2)),
    "dropout in training only": ((5, 9), {"num_layers": 2, "dropout": 0.5}, (4, 2)),
    "both directions": ((5, 18), {"bidirectional": True}, (6, 3)),
    "everything": ((6, 19), {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False}, (9, 5)),
}


def states(layer: nn.RNNBase, batch: int):
    """Random initial states, [layers * directions, N, H]."""
    shape = (layer.num_layers * (1 + layer.bidirectional), batch, layer.hidden_size)
    h = images(*shape, seed=1)
    return (h, images(*shape, seed=2)) if isinstance(layer, nn.LSTM) else h


@pytest.mark.parametrize("cell", CELLS)
def test_layers(cell):
    models, inputs = {}, []
    for index, (name, (sizes, arguments, shape)) in enumerate(LAYERS.items()):
        layer = models[name] = CELLS[cell](*sizes, **arguments)
        x = images(*shape, sizes[0])
        batch = shape[0 if layer.batch_first else 1]
        inputs.append(x if index % 2 else (x, states(layer, batch)))
    model = compare(Each(models), *inputs)
    assert {op for op, _ in model.explain().in_pytorch} <= {"aten.zeros.default"}


@pytest.mark.parametrize("cell", CELLS)
def test_one_sequence_without_a_batch(cell):
    compare(CELLS[cell](3, 20), images(4, 3))


@pytest.mark.parametrize("cell", CELLS)
def test_long_sequences_do_not_drift(cell):
    compare(CELLS[cell](8, 40, bidirectional=True), 3 * images(200, 2, 8), tolerance=2e-5)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same(threads):
    """Each step waits for the one before, whoever computes it."""
    layer, x = nn.LSTM(4, 100, 2).eval(), images(50, 9, 4)
    made = sol.optimize(layer, x)
    before = sol.config["threads"]
    sol.config["threads"] = threads
    try:
        results = [made(x)[0] for _ in range(20)]
    finally:
        sol.config["threads"] = before
    assert all(torch.equal(result, results[0]) for result in results)
    torch.testing.assert_close(results[0], layer(x)[0], rtol=1e-4, atol=1e-5)


def test_new_parameters_are_seen():
    layer, x = nn.GRU(3, 6).eval(), images(4, 2, 3)
    made = sol.optimize(layer, x)
    made(x)
    with torch.no_grad():
        for parameter in (*made.parameters(), *layer.parameters()):
            parameter.mul_(0.5)
    torch.testing.assert_close(made(x), layer(x))


def test_states_that_are_computed():
    """One layer begins where another ended, and one with states that are views and learned."""
    models = {
        "decoder": Calls(lambda m, x: m.second(x, m.first(x)[1]), first=nn.LSTM(5, 18, 2), second=nn.LSTM(5, 18, 2)),
        "linear": Calls(lambda m, x: m.rnn(x, m.f(x[:1]).tanh()), rnn=nn.GRU(5, 7), f=nn.Linear(5, 7)),
        "learned": Calls(lambda m, x: m.rnn(x, m.h.expand(1, 2, 7)), rnn=nn.GRU(5, 7), h=nn.Parameter(images(7))),
        "turned": Calls(lambda m, x: m.rnn(x, x[:2, :, :4].transpose(0, 1)[:1]), rnn=nn.GRU(5, 4)),
        "reads a product": Calls(lambda m, x: m.rnn(torch.tanh(m.f(x)))[0] + 1, rnn=nn.GRU(7, 5), f=nn.Linear(5, 7)),
    }
    compare(Each(models), *[images(4, 2, 5)] * len(models))


@pytest.mark.parametrize("cell", CELLS)
def test_on_other_machines(cell, require_tool, tmp_path):
    """The same C text compiles for the Vector Engine, and gives the same on arm64."""
    model, x = CELLS[cell](5, 21, 2, bidirectional=True), images(4, 9, 5)
    made = sol.optimize(model.eval(), x)
    for cluster in made.explain().rows:
        emit_assembly(made.source(cluster.number), VE)
    elsewhere.agree_on_arm64(made, [x], require_tool, tmp_path)


def test_what_the_rows_do_not_cover():
    """Projections are left to PyTorch; weights that are not known ahead are a call by itself."""
    given = Calls(lambda m, x, w_ih, w_hh, h: torch.gru(x, h, [w_ih, w_hh], False, 1, 0.0, False, False, False))
    models = {"projected": nn.LSTM(5, 8, proj_size=3), "given": given}
    x = images(4, 2, 5)
    model = compare(Each(models), x, (x, images(24, 5), images(24, 8), images(1, 2, 8)))
    assert "aten.gru.input" in [row.ops for row in model.explain().rows]
    assert {op for op, _ in model.explain().in_pytorch} == {"aten.lstm.input"}


@pytest.mark.parametrize("length", [4, 8, 256])
def test_a_panel_holds_all_gates_of_its_units(length):
    """Two directions, three gates, ten units: each weight is found where the kernel reads it."""
    weight = torch.arange(2 * 3 * 10 * 10.0).reshape(2, 3, 10, 10)
    blocks = -(-10 // length)
    panels = pack(weight.reshape(-1, 10), Panels(3, False, units=10), length).reshape(2, blocks, 10, 3, length)
    for unit in range(blocks * length):
        found = panels[:, unit // length, :, :, unit % length]  # [direction, input, gate]
        expected = weight[:, :, unit].permute(0, 2, 1) if unit < 10 else torch.zeros(2, 10, 3)
        assert torch.equal(found, expected)
