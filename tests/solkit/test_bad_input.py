"""What a user may get wrong: each gives right results, or a SolError that says what to do."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import Calls, agree, compare, images
from torch import nn

import solkit as sol
from solkit import cache
from solkit.runtime import library
from solkit.toolchain import find_compiler

X = images(3, 6)


def small(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh()).eval()


@pytest.fixture(scope="module")
def made():
    return sol.optimize(small(), X)


def works(model, *inputs):
    """Optimized, it gives what PyTorch gives."""
    optimized = sol.optimize(model.eval(), *inputs)
    with torch.no_grad():
        agree(optimized(*inputs), model, inputs, {})


# -- the model --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "thing", [nn.Linear, F.relu, None, X, 3, [nn.Linear(6, 5)]], ids=lambda thing: type(thing).__name__
)
def test_not_a_module(thing):
    with pytest.raises(sol.ModelError, match=r"takes a torch\.nn\.Module or an ONNX model, not"):
        sol.optimize(thing, X)


def test_a_name_is_taken_for_a_file():
    with pytest.raises(sol.ModelError, match="the file 'resnet18' cannot be read"):
        sol.optimize("resnet18", X)


def test_a_class_gets_a_hint():
    with pytest.raises(sol.ModelError, match="pass an instance, not the class"):
        sol.optimize(nn.Linear, X)


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x * self.calls


NOT_ONE_GRAPH = {
    "branch on values": (Calls(lambda m, x: x if x.sum() > 0 else -x), "control flow that depends on a tensor"),
    "loop over values": (Calls(lambda m, x: x * sum(range(int(x.max())))), "control flow"),
    "size from values": (Calls(lambda m, x: x[x > 0]), "size that depends on the values"),
    "positions of values": (Calls(lambda m, x: torch.nonzero(x) + 1), "size that depends on the values"),
    "number from values": (Calls(lambda m, x: x.sum().item()), "number|captured as one graph"),
    "numpy": (Calls(lambda m, x: torch.from_numpy(np.tanh(x.numpy()))), "numpy inside forward"),
    "changes a buffer": (Counter(), "changes 'calls'"),
    "changes an input": (Calls(lambda m, x: x.mul_(2)), "changes"),
    "a branch in the graph": (Calls(lambda m, x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,))), "cond"),
    "result of an unknown kind": (Calls(lambda m, x: {1, 2}), "captured as one graph"),
    "lazy": (nn.LazyLinear(5), "captured as one graph"),
    "meta": (nn.Linear(6, 5, device="meta"), r"'weight' is on meta"),
}


@pytest.mark.parametrize("name", NOT_ONE_GRAPH)
def test_models_that_are_not_one_graph(name):
    model, message = NOT_ONE_GRAPH[name]
    x = X.clone()
    with pytest.raises(sol.ModelError, match=message):
        sol.optimize(model.eval(), x)
    assert torch.equal(x, X)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_a_script():
    with pytest.raises(sol.ModelError, match="ScriptModule"):
        sol.optimize(torch.jit.script(nn.Linear(6, 5)), X)


def test_a_model_that_pytorch_cannot_run():
    with pytest.raises(sol.InputError, match=r"PyTorch cannot run Calls on .*no_such_method"):
        sol.optimize(Calls(lambda m, x: x.no_such_method()), X)


def test_the_model_is_left_as_it_was():
    model = Counter().train()
    with pytest.raises(sol.ModelError):
        sol.optimize(model, X)
    assert model.training
    assert model.calls == 0
    assert type(model.calls) is torch.Tensor


@pytest.mark.filterwarnings("ignore:Complex modules")
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16, torch.complex64])
def test_models_of_other_dtypes(dtype):
    model, x = nn.Linear(6, 5).to(dtype).eval(), X.to(dtype)
    left = [("aten.linear.default", "")] if dtype.is_complex else []
    assert sol.optimize(model, x).explain().in_pytorch == left
    with torch.no_grad():
        torch.testing.assert_close(sol.optimize(model, x)(x), model(x))


def test_a_model_that_talks(capsys):
    model = Calls(lambda m, x: (print("hello"), x * 2)[1]).eval()
    optimized = sol.optimize(model, X)
    capsys.readouterr()
    assert torch.equal(optimized(X), X * 2)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)), (0, 3, 8, 8)),
        (small(), (0, 6)),
        (nn.Conv2d(3000, 20, 3, padding=1), (1, 3000, 3, 4)),
        (nn.Conv2d(5, 3000, 1), (1, 5, 3, 4)),
        (nn.Linear(20000, 3), (2, 20000)),
        (nn.Sequential(nn.Linear(1, 20000), nn.ReLU(), nn.Linear(20000, 1)), (2, 1)),
        (nn.MaxPool2d(2), (1, 2000, 4, 4)),
        (nn.Sigmoid(), (1, 1, 1, 70000)),
    ],
    ids=["no images", "no rows", "many channels in", "out", "many features in", "out and in", "pool", "long"],
)
def test_sizes_at_the_ends(model, shape):
    compare(model, images(*shape), tolerance=3e-5)


# -- the inputs -------------------------------------------------------------------------------------------------------

MISMATCHES = {
    "shape": (lambda: (X[:2],), r"input 0 is float32 \[2, 6\], .* float32 \[3, 6\]: call sol.optimize again"),
    "rank": (lambda: (X[None],), r"float32 \[1, 3, 6\]"),
    "no batch": (lambda: (X[0],), r"batch dimension is missing, add it with \.unsqueeze\(0\)"),
    "float64": (lambda: (X.double(),), r"float64.*convert it with \.to\(torch\.float32\)"),
    "integers": (lambda: (X.int(),), r"int32.*\.to\(torch\.float32\)"),
    "complex": (lambda: (X + 0j,), r"complex64"),
    "none at all": (lambda: (), "optimized for 1 input and got 0 inputs"),
    "too many": (lambda: (X, X), "optimized for 1 input and got 2 inputs"),
    "in a list": (lambda: ([X],), "nested in another way|optimized for"),
    "None": (lambda: (None,), r"input 0 is None, .* pass a tensor"),
    "numpy": (lambda: (X.numpy(),), r"input 0 is array.*pass a tensor.*torch\.as_tensor"),
    "a number": (lambda: (1.5,), r"input 0 is 1\.5"),
    "on no device": (lambda: (X.to("meta"),), "on meta; solkit runs on the CPU"),
    "sparse": (lambda: (X.to_sparse(),), r"dense tensors: convert it with \.to_dense\(\)"),
    "compressed": (lambda: (X.to_sparse_csr(),), "to_dense"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("name", MISMATCHES)
def test_calls_with_the_wrong_inputs(made, name):
    inputs, message = MISMATCHES[name]
    with pytest.raises(sol.InputError, match=message):
        made(*inputs())
    with pytest.raises(ValueError, match=message):  # for those who know nothing of solkit
        made(*inputs())


def test_calls_by_the_wrong_name(made):
    with pytest.raises(sol.InputError, match="unexpected keyword argument 'y'"):
        made(X, y=X)
    with pytest.raises(sol.InputError, match="missing a required argument"):
        made(y=X)


def test_other_values_of_what_is_compiled_in():
    model = Calls(lambda m, x, power, names: x**power)
    made = sol.optimize(model.eval(), X, 2, {"a": [1, 2]})
    assert torch.equal(made(X, 2, {"a": [1, 2]}), X**2)
    for other in ((X, 3, {"a": [1, 2]}), (X, 2.0, {"a": [1, 2]}), (X, True, {"a": [1, 2]}), (X, 2, {"a": [1, 3]})):
        with pytest.raises(sol.InputError, match="it is part of the compiled program"):
            made(*other)
    for other in ((X, 2, {"b": [1, 2]}), (X, 2, {"a": (1, 2)}), (X, 2, [1, 2])):
        with pytest.raises(sol.InputError, match="nested in another way"):
            made(*other)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ((), sol.InputError, "missing a required argument"),
        ((X, X), sol.InputError, "too many positional arguments"),
        ((X[:, :5],), sol.InputError, "PyTorch cannot run Sequential on inputs like these: mat1 and mat2"),
        ((X.int(),), sol.InputError, "same dtype"),
        ((X.double(),), sol.InputError, "same dtype"),
        ((None,), sol.InputError, "must be Tensor, not None"),
        ((X.numpy(),), sol.InputError, "must be Tensor, not numpy"),
        ((X.to("meta"),), sol.InputError, "on meta"),
        ((X.to_sparse(),), sol.InputError, "to_dense"),
    ],
    ids=["none", "two", "shape", "integers", "float64", "None", "numpy", "meta", "sparse"],
)
def test_optimizing_with_the_wrong_inputs(inputs, error, message):
    with pytest.raises(error, match=message):
        sol.optimize(small(), *inputs)


def test_inputs_that_want_gradients():
    model, x = small(), X.clone().requires_grad_()
    sol.optimize(model, x)(x).sum().backward()
    mine, x.grad = x.grad, None
    model(x).sum().backward()
    torch.testing.assert_close(mine, x.grad)


def test_an_error_does_no_harm(made):
    for name in ("shape", "None", "numpy"):
        with pytest.raises(sol.InputError):
            made(*MISMATCHES[name][0]())
    with torch.no_grad():
        agree(made(X), small(), (X,), {})


def test_training_mode():
    model = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)).train()
    made = sol.optimize(model, X)
    assert model[1].num_batches_tracked == 0
    torch.manual_seed(0)
    with pytest.warns(RuntimeWarning, match=r"in training mode .* call \.eval\(\)"):
        mine = made(X)
    model[1].reset_running_stats()
    torch.manual_seed(0)
    assert torch.equal(mine, model(X))
    made.eval()
    with torch.no_grad():
        agree(made(X), model.eval(), (X,), {})


# -- a model edited afterwards ----------------------------------------------------------------------------------------


def test_a_layer_replaced_by_one_like_it():
    model = small()
    made = sol.optimize(model, X)
    model[0] = nn.Linear(6, 5).eval()
    with torch.no_grad():
        agree(made(X), model, (X,), {})


def test_there_and_back():
    model = small()
    made = sol.optimize(model, X)
    model.double()
    with pytest.raises(sol.ModelError, match=r"'0\.weight' is now torch\.float64 .* call sol\.optimize again"):
        made(X)
    model.float()
    with torch.no_grad():
        agree(made(X), model, (X,), {})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: setattr(m[0], "weight", nn.Parameter(images(7, 6))), r"is now torch.float32 \[7, 6\]"),
        (lambda m: m[0].to("meta"), "on meta"),
        (lambda m: m.__delitem__(0), "'0.weight' is gone"),
        (lambda m: m.__setitem__(0, nn.Identity().eval()), "'0.weight' is gone"),
        (lambda m: setattr(m[0], "bias", None), "'0.bias' is gone"),
    ],
    ids=["shape", "device", "removed", "replaced", "no bias"],
)
def test_a_model_that_no_longer_fits(edit, message):
    model = small()
    made = sol.optimize(model, X)
    edit(model)
    with pytest.raises(sol.ModelError, match=f"{message}.*call sol.optimize again"), torch.no_grad():
        made(X)


# -- the compiler -----------------------------------------------------------------------------------------------------


def compiler(folder, text):
    path = folder / "cc"
    path.write_text(f'#!/bin/sh\ncase "$*" in *--version) echo fake; exit 0;; esac\n{text}\n')
    path.chmod(0o755)
    return str(path)


GARBAGE = """
while [ "$1" != -o ]; do shift; done
echo garbage > "$2"
"""
NOTHING_IN_IT = """
for argument; do [ "$argument" = -c ] && { while [ "$1" != -o ]; do shift; done; echo > "$2"; exit; }; done
while [ "$1" != -o ]; do shift; done
echo 'int nothing;' | gcc -x c - -shared -o "$2"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exit 1", "failed"),
        ("exit 0", "says nothing and makes nothing"),
        (GARBAGE, "cannot be loaded .*if fake is at fault"),
        (NOTHING_IN_IT, "cannot be loaded .*undefined symbol"),
    ],
    ids=["fails", "does nothing", "makes garbage", "makes an empty library"],
)
def test_compilers_that_do_not_work(cache_folder, tmp_path, monkeypatch, text, message):
    real = find_compiler().command
    monkeypatch.setenv("CC", compiler(tmp_path, text.replace("gcc", " ".join(real))))
    for _ in range(2):
        with pytest.raises(sol.ToolchainError, match=message):
            sol.optimize(small(), X)
    if "undefined" not in message:  # a library that was loaded once stays in the process
        compiler(tmp_path, f'exec {" ".join(real)} "$@"')  # mended, under the same name and version
        works(small(), X)


def test_a_compiler_that_is_not_there(cache_folder, monkeypatch):
    monkeypatch.setenv("CC", "/nowhere/cc")
    with pytest.raises(sol.ToolchainError, match=r"'/nowhere/cc'.* does not start"):
        sol.optimize(small(), X)
    monkeypatch.delenv("CC")
    works(small(), X)


# -- the cache --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["a file", "/proc/solkit"])
def test_a_cache_that_cannot_be_written(cache_folder, tmp_path, settings, where):
    (tmp_path / "a file").touch()
    settings["cache::path"] = tmp_path / where
    with pytest.warns(RuntimeWarning, match="set SOL_CACHE_DIR to a folder you can write"):
        works(small(), X)
    works(small(), X)


def test_a_cache_removed_between_two_models(cache_folder):
    model = sol.optimize(small(), X)
    shutil.rmtree(cache_folder)
    works(small(), X)
    with torch.no_grad():
        agree(model(X), small(), (X,), {})


def entries(folder, file):
    return [path.parent for path in folder.glob(f"*/{file}")]


def replace(path: Path, content: bytes):
    """A new file at `path`; the old one may be mapped into this process."""
    path.unlink()
    path.write_bytes(content)


def cut(path: Path, content: bytes):
    replace(path, content[: len(content) // 2])


def garbage(path: Path, content: bytes):
    replace(path, os.urandom(len(content)))


CONSTANT = Calls(lambda m, x: torch.tanh(x * m.t), t=images(6))


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("library.so", cut),
        ("library.so", garbage),
        ("graph.json", garbage),
        ("constants.pt", lambda path, content: path.unlink()),
        (cache.MANIFEST, cut),
    ],
)
def test_damaged_files_are_made_anew(cache_folder, file, damage):
    works(CONSTANT, X)
    library.runtime.cache_clear()
    for entry in entries(cache_folder, file):
        damage(entry / file, (entry / file).read_bytes())
    works(CONSTANT, X)
    for entry in entries(cache_folder, file):
        assert cache.find(entry.name) == entry


@pytest.mark.parametrize(
    ("file", "content"),
    [("graph.json", b""), ("graph.json", b'{"nodes": 3}'), ("graph.json", b"[]"), ("constants.pt", b"{}")],
)
def test_a_graph_that_was_kept_wrong_is_captured_again(cache_folder, file, content):
    """Its manifest agrees with it, and yet it makes no sense: written by another version, say."""
    works(CONSTANT, X)
    (entry,) = entries(cache_folder, file)
    replace(entry / file, content)
    listed = {path.name: cache._hash(path) for path in entry.iterdir() if path.name != cache.MANIFEST}
    replace(entry / cache.MANIFEST, str(listed).replace("'", '"').encode())
    assert cache.find(entry.name) == entry
    works(CONSTANT, X)
    assert len((entry / file).read_bytes()) > 100


def test_a_graph_that_belongs_to_another_model_is_captured_again(cache_folder, caplog):
    """The comparison with PyTorch finds what the fingerprint has missed."""
    works(nn.Sequential(nn.Linear(6, 5), nn.Sigmoid()), X)
    (other,) = entries(cache_folder, "graph.json")
    shutil.move(other, cache_folder.parent / "other")
    works(small(), X)
    (entry,) = entries(cache_folder, "graph.json")
    shutil.rmtree(entry)
    shutil.move(cache_folder.parent / "other", entry)
    works(small(), X)
    assert "no longer fits it; capturing it again" in caplog.text


def test_results_that_differ_are_not_handed_out(monkeypatch, settings):
    monkeypatch.setattr(sys.modules["solkit.optimize"], "close", lambda mine, yours: False)
    with pytest.raises(sol.NumericsError, match="does not agree with PyTorch"):
        sol.optimize(small(), X)
    settings["verify"] = False
    sol.optimize(small(), X)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: (m.layer(x) * 1e4).int(),
        lambda m, x: m.layer(x).argmax(1),
        lambda m, x: m.layer(x) > 0,
        lambda m, x: torch.fft.rfft(m.layer(x)),
        lambda m, x: torch.log(m.layer(x)),
        lambda m, x: m.layer(x) * 1e30 * 1e10,
    ],
    ids=["whole numbers", "positions", "truth", "complex", "not a number", "infinite"],
)
def test_rounding_is_no_difference(function):
    sol.optimize(Calls(function, layer=nn.Linear(40, 30)).eval(), images(50, 40))
