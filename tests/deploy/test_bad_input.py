"""What `sol.deploy` refuses, and what a deployed library says to what it cannot use."""

import ctypes
import sys

import networks
import numpy as np
import pytest
import torch
from torch import nn

import solkit as sol
from solkit.errors import ToolchainError

X = torch.randn(2, 4)


def linear():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()


class Uncovered(nn.Module):
    """Two layers that PyTorch has to run."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = Inverse(), nn.Linear(4, 4), Determinant()

    def forward(self, x):
        return self.third(self.second(self.first(x)))


class Inverse(nn.Module):
    def forward(self, x):
        return torch.linalg.inv(x)


class Determinant(nn.Module):
    def forward(self, x):
        return torch.linalg.svdvals(x)


def test_layers_without_code_are_all_named_and_nothing_is_written(tmp_path):
    with pytest.raises(sol.DeployError, match=r"(?s)inv.*in layer first.*svd.*in layer third"):
        sol.deploy(Uncovered(), [torch.randn(4, 4)], path=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_overwritten_unless_asked(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(sol.DeployError, match="force=True"):
        sol.deploy(linear(), [X], path=folder)
    assert (folder / "mine.txt").read_text() == "mine"
    sol.deploy(linear(), [X], path=folder, force=True)
    assert not (folder / "mine.txt").exists()
    assert (folder / "libnetwork.so").exists()
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_nothing_behind(there, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    if there:
        folder.mkdir()
        (folder / "mine.txt").write_text("mine")

    def fail(*_):
        raise ToolchainError("no linker today")

    monkeypatch.setattr(sys.modules["solkit.deploy.build"], "link_shared", fail)
    with pytest.raises(ToolchainError, match="no linker"):
        sol.deploy(linear(), [X], path=folder, force=True)
    assert [path.name for path in tmp_path.rglob("*")] == (["out", "mine.txt"] if there else [])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"lib_name": "a/b"}, "lib_name"),
        ({"lib_name": ""}, "lib_name"),
        ({"func_name": "1st"}, "func_name"),
        ({"func_name": "while"}, "func_name"),
        ({"weights": "both"}, "weights"),
        ({"target": "shared_lib"}, r"sol\.deployment\.shared_lib"),
        ({"device": "x86"}, r"sol\.device\.x86"),
        ({"vdims": [(0, 1)]}, "the batch alone"),
    ],
)
def test_options(options, match, tmp_path):
    with pytest.raises(sol.DeployError, match=match):
        sol.deploy(linear(), [X], path=tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


class MeanOfBatch(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


def test_a_batch_whose_samples_meet(tmp_path):
    with pytest.raises(sol.DeployError, match="other samples of the batch"):
        sol.deploy(MeanOfBatch(), [X], path=tmp_path / "out", vdims=[True])


def test_what_is_no_model(tmp_path):
    with pytest.raises(sol.ModelError):
        sol.deploy(nn.Linear, [X], path=tmp_path / "out")
    with pytest.raises(sol.ModelError):
        sol.deploy(tmp_path / "none.onnx", [X], path=tmp_path / "out")


def test_complex_numbers_are_refused(tmp_path):
    with pytest.raises(sol.DeployError):
        sol.deploy(MeanOfBatch(), [torch.randn(2, 3, dtype=torch.complex64)], path=tmp_path / "out")


# -- a library at run time ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(deployed):
    return deployed("picture", weights="file")


@pytest.fixture
def broken(folder, tmp_path):
    """A copy of the weights to damage."""
    path = tmp_path / "weights"
    path.write_bytes((folder / "picture.weights").read_bytes())
    return path


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("at", [0, 7])
def test_a_file_that_is_no_weights(at, folder, broken):
    flip(broken, at)
    with pytest.raises(RuntimeError, match="no file of weights"):
        networks.load(folder)(weights=broken)


@pytest.mark.parametrize("at", [24, 31, 64, 1000, -1])
def test_damaged_weights(at, folder, broken):
    flip(broken, at)
    with pytest.raises(RuntimeError, match="damaged"):
        networks.load(folder)(weights=broken)


def test_weights_of_another_network(folder, broken, deployed):
    flip(broken, 8)
    with pytest.raises(RuntimeError, match="another network"):
        networks.load(folder)(weights=broken)
    other = deployed("sequence", weights="file") / "sequence.weights"
    with pytest.raises(RuntimeError, match="another network"):
        networks.load(folder)(weights=other)


@pytest.mark.parametrize("length", [0, 10, 64, 5000])
def test_weights_that_are_cut_off(length, folder, broken):
    broken.write_bytes(broken.read_bytes()[:length])
    with pytest.raises(RuntimeError, match=r"cut off|no file of weights"):
        networks.load(folder)(weights=broken)


def test_weights_that_are_too_long(folder, broken):
    broken.write_bytes(broken.read_bytes() + b"more")
    with pytest.raises(RuntimeError, match="longer"):
        networks.load(folder)(weights=broken)


def test_no_weights(folder, tmp_path):
    with pytest.raises(RuntimeError, match=r"cannot open the file of weights .*missing"):
        networks.load(folder)(weights=tmp_path / "missing")
    with pytest.raises(RuntimeError, match="weights"):
        networks.load(folder)(weights=tmp_path)
    with pytest.raises(RuntimeError, match="cannot open"):
        networks.load(folder)(weights="x" * 10_000)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"device": 1}, "no device 1"),
        ({"device": -1}, "no device -1"),
        ({"threads": -2}, "-2 threads"),
        ({"instructions": "x86-64-v9"}, "x86-64-v9"),
    ],
)
def test_contexts_that_cannot_be_opened(options, match, folder):
    with pytest.raises(RuntimeError, match=match):
        networks.load(folder)(**options)


def test_wrong_arrays(folder):
    network = networks.load(folder)()
    image, made = np.zeros((2, 3, 17, 19), np.float32), np.zeros((2, 7), np.float32)
    given, out = network._list([image]), network._list([made])
    nothing, short = network._list([])[0], (ctypes.c_int64 * 1)(image.nbytes - 4)
    for code, match, arguments in (
        (1, "the input image is NULL", (None, nothing, given[1], *out)),
        (1, "the output output is NULL", (None, *given, nothing, out[1])),
        (1, "NULL", (None, None, given[1], *out)),
        (2, "has 7748 bytes and not 7752", (None, given[0], short, *out)),
    ):
        assert network._run(network._context, *arguments) == code
        assert match in network._message(network._context).decode()
        assert network._status(network._context) == code
    assert network._run(None, None, *given, *out) == 1
    assert network._status(None) == 1
    assert b"NULL" in network._message(None)
    assert network._run(network._context, None, *given, *out) == 0
    assert network._message(network._context) == b""
    network._free(None)


def test_there_is_no_such_input(folder):
    network = networks.load(folder)()
    assert not any((network._input(-1), network._input(1), network._output(7)))


@pytest.mark.parametrize("wrong", [-1, 50, 2**40])
def test_an_index_that_does_not_exist(wrong, deployed):
    network = networks.load(deployed("text"))()
    _, inputs = networks.make("text")
    ids, mask = networks.arrays(inputs)
    right = network(ids, mask)
    bad = ids.copy()
    bad[1, 3] = wrong
    with pytest.raises(RuntimeError, match=f"{wrong} is no row of a table of 50"):
        network(bad, mask)
    for mine, yours in zip(network(ids, mask), right, strict=True):
        np.testing.assert_array_equal(mine, yours)


def test_an_index_found_wrong_by_a_kernel(deployed):
    network = networks.load(deployed("odd"))()
    _, inputs = networks.make("odd")
    given = networks.arrays(inputs)
    right = network(*given)
    with pytest.raises(RuntimeError, match="5"):
        network(*given[:4], np.array([0, 5]))
    for mine, yours in zip(network(*given), right, strict=True):
        np.testing.assert_array_equal(mine, yours)
