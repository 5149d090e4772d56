"""The generated C: which layers become one function, and what it looks like.

The texts in golden/ are reviewed like code. After a wanted change: UPDATE_GOLDEN=1 pytest tests/solkit/test_codegen.py
"""

import os
import re
from math import prod
from pathlib import Path

import pytest
import torch
from torch import nn

from labs.zoo import deck3, mlp, resnet18
from solkit import clusters, passes
from solkit.codegen import generate
from solkit.codegen.kernel import plus, times
from solkit.codegen.matrix import choose_tile
from solkit.frontend.torch import capture
from solkit.target import ARM64, VE, Target, host
from solkit.toolchain import FLAGS, cross_compiler, find_compiler, kernels

GOLDEN = Path(__file__).parent / "golden"
AVX512 = Target("x86-64 AVX-512", 16, (7, 4))
AVX2 = Target("x86-64 AVX2", 8, (6, 2))


def parts_of(model: nn.Module, *shape: int) -> list[clusters.Cluster]:
    graph, _, _ = capture(model.eval(), (torch.zeros(shape),), {})
    passes.optimize(graph, check=True, target=AVX512)
    return [cluster for cluster in clusters.partition(graph) if cluster.kind != "view"]


MODELS = {
    "deck3": (deck3, (1, 512, 13, 13)),
    "residual": (lambda: Residual(), (2, 24, 9, 10)),
    "elementwise": (lambda: nn.Sequential(nn.Hardswish(), nn.Sigmoid()), (3, 5, 7)),
}


class Residual(nn.Module):
    """Chunked sums, a ragged tile, a halo, an operand from memory, a pool with something before and behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(24, 24, 3, padding=1)
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv(x) + x)
        return self.pool(torch.sigmoid(self.conv(x)) * 2) + 1


@pytest.mark.parametrize("name", MODELS)
def test_golden(name):
    make, shape = MODELS[name]
    program = generate(parts_of(make(), *shape), AVX512)
    text = "\n".join(f"// ---- {file}\n{source}" for file, source in program.sources.items())
    path = GOLDEN / f"{name}.c"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text, "the generated code changed; the docstring of this file says how to accept it"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compiler", [find_compiler, cross_compiler], ids=["this machine's", "zig"])
def test_compiles_without_a_warning(name, compiler, tmp_path):
    make, shape = MODELS[name]
    for file, text in generate(parts_of(make(), *shape), AVX512).sources.items():
        (tmp_path / file).write_text(text)
        warnings = ("-Wextra", "-Werror", "-Wno-unused-command-line-argument")
        flags = (*FLAGS, *compiler().flags(host()), *warnings, f"-I{kernels()}")
        compiler().run(*flags, "-c", tmp_path / file, "-o", tmp_path / "made.o")


def test_the_decks_three_layers_are_one_function_with_one_loop_nest_over_the_pixels():
    parts = parts_of(deck3(), 1, 512, 13, 13)
    assert [cluster.layers for cluster in parts] == [["0", "1", "2"]]
    program = generate(parts, AVX512)
    (name,) = set(program.sources) - {"program.c"}
    assert re.fullmatch(r"conv2d_relu_avg_pool2d_[0-9a-f]{8}\.c", name), "its operators, and a mark of the text"
    text = program.sources[name]
    assert len(re.findall(r"^\w.*\) \{$", text, re.M)) == 1, "one function"
    loops = [line for line in text.splitlines() if re.search(r"\bfor \(int64_t", line)]
    assert len(loops) == 2, "over the rows of pixels, and inside it the sum over input channels"
    assert len(re.findall(r"vf_store", text)) == 1, "only the averages go to memory"


def test_resnet18_has_no_operator_in_pytorch_and_fuses_what_stands_behind_convolutions():
    parts = parts_of(resnet18(), 1, 3, 64, 64)
    assert {cluster.kind for cluster in parts} == {"dnn", "dfp"}
    assert len(parts) == 24
    assert all(cluster.ops != ["relu"] for cluster in parts), "every ReLU belongs to something"
    kernels = generate(parts, AVX512).kernels
    assert len(set(kernels)) < len(kernels), "equal layers share a function"


def test_an_mlp_is_a_function_a_layer():
    assert [cluster.ops for cluster in parts_of(mlp(32), 4, 32)] == [["linear", "relu"]] * 2 + [["linear"]]


@pytest.mark.parametrize("target", [AVX512, AVX2, ARM64, VE], ids=lambda target: target.name)
@pytest.mark.parametrize("width", [1, 2, 3, 7, 13, 14, 17, 56, 112, 149, 1000])
@pytest.mark.parametrize("channels", [1, 16, 24, 64, 1000])
def test_the_tile_fits_the_registers_and_the_row(target, width, channels):
    pixels, vectors = choose_tile(target, width, channels)
    assert 1 <= pixels <= width
    assert 1 <= vectors <= target.tile[1]
    assert pixels * vectors <= prod(target.tile)
    computed = -(-width // pixels) * pixels
    assert computed < 2 * width, "less is wasted than needed"


def test_c_arithmetic():
    assert plus("a", 0, "b", "0") == "a + b"
    assert plus() == "0"
    assert times("a + b", 3, "VLEN") == "(a + b) * 3 * VLEN"
    assert times("(a + b)", 1) == "(a + b)"
    assert times("(a) + (b)", 2) == "((a) + (b)) * 2"
    assert times("a", 0) == "0"
    assert times(1, 1) == "1"
