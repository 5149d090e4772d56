"""sol.verify: the cluster that computes something else is found, and it alone; layouts are unpacked."""

import ctypes

import pytest
import torch
from compare import Calls, images
from torch import nn

import solkit as sol
from solkit.ir import BLOCKED, PLAIN, Layout, TensorType, Value
from solkit.runtime.unpack import read, unpack
from solkit.verify import _difference


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(20, 20, 3, padding=1),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 8, 1),
        nn.Flatten(),
        nn.Linear(72, 5),
    ).eval()


def disturb(made: sol.SolModule, layer: str) -> int:
    """Change the packed weights of a layer, and not its parameters; the number of its cluster."""
    weights, buffers = made.weights(), made._engine.program.buffers
    number, cluster = next((i, c) for i, c in enumerate(made.explain().clusters) if layer in c.layers)
    parameter = cluster.nodes[0].inputs[1]
    (index,) = (i for i in weights.addresses if buffers[i][0] is parameter and buffers[i][1])
    for element in range(64):  # not one alone: a point of a Winograd tile need not reach any result
        ctypes.c_float.from_address(weights.addresses[index] + 4 * element).value += 3.0
    return number


def test_rounding_is_all_there_is():
    x = images(2, 3, 6, 6)
    found = sol.verify(convolutions(), x)
    assert found.ok
    assert found.first_drifting is None
    assert found.rows
    assert all(row.local < 1e-5 and row.drift < 1e-5 for row in found.rows)
    assert found.worst.local == max(row.local for row in found.rows)


def test_rows_are_those_of_explain():
    made = sol.optimize(convolutions(), images(2, 3, 6, 6))
    found = sol.verify(made, images(2, 3, 6, 6, seed=1))
    assert [(row.number, row.ops, row.layers) for row in found.rows] == [
        (row.number, row.ops, row.layers) for row in made.explain().rows
    ]


def test_a_wrong_cluster_is_found_and_those_behind_it_drift():
    x = images(2, 3, 6, 6)
    made = sol.optimize(convolutions(), x)
    number = disturb(made, "2")
    found = sol.verify(made, x)
    assert not found.ok
    assert found.first_drifting.number == found.worst.number == number
    for row in found.rows:
        assert (row.local > 1e-4) == (row.number == number)
        assert (row.drift > 1e-4) == (row.number >= number)
    assert f"cluster {number} (" in str(found)
    assert sum(line.endswith("above the tolerance") for line in str(found).splitlines()) == 1
    assert "above the tolerance" in found._repr_html_()
    assert sol.verify(made, x, tolerance=1e6).ok


def test_clusters_that_pytorch_runs_are_passed_through():
    model = Calls(
        lambda m, x: m.second(torch.logcumsumexp(m.first(x), 1)) + x[:, :1],
        first=nn.Conv2d(8, 8, 3, padding=1),
        second=nn.Conv2d(8, 8, 3, padding=1),
    ).eval()
    x = images(1, 8, 5, 5)
    made = sol.optimize(model, x)
    assert made.explain().in_pytorch
    found = sol.verify(made, x)
    assert found.ok
    assert len(found.rows) == sum(row.kind != "PyTorch" for row in made.explain().rows) > 1


def test_a_model_of_pytorch_alone():
    found = sol.verify(Calls(lambda m, x: torch.logcumsumexp(x, 1)).eval(), images(2, 3))
    assert found.ok
    assert found.worst is None
    assert "nothing is compiled" in str(found)


def test_random_numbers_are_the_same_in_both_runs_and_the_generator_is_left_alone():
    model = Calls(lambda m, x: m.a(x) + 100 * torch.rand_like(x), a=nn.Linear(8, 8)).eval()
    x = images(4, 8)
    made = sol.optimize(model, x)
    state = torch.get_rng_state()
    found = sol.verify(made, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(row.drift < 1e-5 for row in found.rows)


def test_concatenations_and_arguments_by_name():
    model = Calls(
        lambda m, x, shift: torch.cat([m.a(x), m.b(x) + shift], 1), a=nn.Conv2d(4, 64, 1), b=nn.Conv2d(4, 24, 1)
    ).eval()
    x, shift = images(1, 4, 5, 5), images(1, 24, 5, 5)
    found = sol.verify(model, x, kwargs={"shift": shift})
    assert found.ok
    assert found.rows


def test_the_run_is_not_seen_by_later_calls():
    x = images(2, 3, 6, 6)
    made = sol.optimize(convolutions(), x)
    before = made(x)
    sol.verify(made, images(2, 3, 6, 6, seed=5))
    assert torch.equal(made(x), before)


def test_a_plain_module_is_handed_out_unchecked_and_the_setting_stays(settings):
    settings["verify"] = True
    sol.verify(nn.Linear(4, 4), images(2, 4))
    assert settings["verify"] is True


def test_what_does_not_fit_is_refused():
    made = sol.optimize(nn.Linear(4, 4).eval(), images(2, 4))
    with pytest.raises(sol.InputError, match="optimized for"):
        sol.verify(made, images(3, 4))
    with pytest.raises(sol.InputError, match="cannot be called"):
        sol.verify(made)
    with pytest.raises(sol.ModelError, match=r"takes a torch\.nn\.Module"):
        sol.verify(lambda x: x, images(2, 4))
    made.weight = nn.Parameter(torch.zeros(5, 4))
    with pytest.raises(sol.ModelError, match="weight"):
        sol.verify(made, images(2, 4))


INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("mine", "exact", "expected"),
    [
        ([1.0, 4.5], [1.0, 5.0], 0.1),
        ([INF, NAN, -1.0], [INF, NAN, -1.0], 0.0),
        ([INF, 1.0], [-INF, 1.0], INF),
        ([NAN, 1.0], [2.0, 1.0], INF),
        ([1.0, 1.0], [NAN, 1.0], INF),
        ([0.25], [0.0], 0.25),
        ([], [], 0.0),
    ],
)
def test_difference(mine, exact, expected):
    assert _difference(torch.tensor(mine), torch.tensor(exact)) == pytest.approx(expected)


def packed(tensor: torch.Tensor, layout: Layout, lanes: int) -> torch.Tensor:
    """`tensor` in `layout`, element by element as the layout's definition says; the rest is NaN."""
    batch, channels, height, width = tensor.shape
    rows, columns = layout.halo
    lanes = lanes if layout.blocked else 1
    shape = (batch, -(-channels // lanes), height + 2 * rows, width + 2 * columns, lanes)
    raw = torch.full(shape, NAN)
    for n in range(batch):
        for c in range(channels):
            raw[n, c // lanes, rows : rows + height, columns : columns + width, c % lanes] = tensor[n, c]
    return raw.reshape(-1)


@pytest.mark.parametrize("channels", [1, 4, 7])
@pytest.mark.parametrize("layout", [PLAIN, BLOCKED, Layout(False, (1, 2)), Layout(True, (2, 1))], ids=str)
def test_unpack(layout, channels):
    tensor = images(2, channels, 3, 5)
    value = Value("v", TensorType(tuple(tensor.shape)), layout=layout)
    raw = packed(tensor, layout, 4)
    assert raw.numel() == layout.elements(value.shape, 4)
    assert torch.equal(unpack(raw, value, 4), tensor)
    assert torch.equal(read(raw.data_ptr(), value, 4), tensor)


def test_read_copies_and_knows_other_dtypes():
    tensor = torch.arange(6).reshape(2, 3)
    made = read(tensor.data_ptr(), Value("v", TensorType((2, 3), torch.int64)), 8)
    assert made.data_ptr() != tensor.data_ptr()
    assert torch.equal(made, tensor)
    assert read(0, Value("v", TensorType((0, 3))), 8).shape == (0, 3)


def test_read_finds_a_part_of_a_concatenation():
    whole = images(1, 12, 2, 2)
    parent = Value("cat", TensorType((1, 12, 2, 2)), layout=BLOCKED)
    part = Value("part", TensorType((1, 4, 2, 2)), layout=BLOCKED, home=(parent, 8))
    assert torch.equal(read(packed(whole, BLOCKED, 4).data_ptr(), part, 4), whole[:, 8:])
