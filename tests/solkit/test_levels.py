"""The levels of x86-64 machines: one memory layout, the same packed weights, and what PyTorch gives."""

import copy
import itertools
import re
from math import prod

import levels
import pytest
import torch
from compare import Calls, images
from test_portable import Mixed
from torch import nn
from torch.utils import _pytree as pytree

from labs.zoo import NETWORKS, deck3, mlp, resnet18
from labs.zoo.bert import BERT
from solkit.codegen.matrix import choose_tile
from solkit.codegen.winograd import ALGORITHMS
from solkit.target import VE, X86_LEVELS, Target, host
from solkit.toolchain import cross_compiler, emit_assembly, find_compiler

IDS = {"ids": lambda level: level.name}


def recurrent(cell: type[nn.RNNBase], **sizes: int) -> nn.Module:
    if cell is nn.LSTM:
        return Calls(lambda m, x, h, c: m.cell(x, (h, c)), cell=cell(**sizes))
    return Calls(lambda m, x, h: m.cell(x, h), cell=cell(**sizes))


class Attention(nn.Module):
    """Products of matrices, softmax, a norm, and attention with and without a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.projection, self.norm = nn.Linear(24, 72), nn.LayerNorm(24)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        q, k, v = self.projection(x).unflatten(-1, (9, 8)).transpose(1, 2).chunk(3, 1)
        y = nn.functional.scaled_dot_product_attention(q, k, v, mask)
        y = y + nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y + torch.softmax(q @ k.transpose(2, 3), -1) @ v
        return self.norm(x + y.transpose(1, 2).flatten(2))


class Functions(nn.Module):
    """Those that vec.h computes itself, on rows with a ragged end."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.log(x.abs() + 0.1) + torch.sqrt(x.abs()) + torch.erf(x) + nn.functional.gelu(x)
        y = y + nn.functional.gelu(x, approximate="tanh") + torch.tanh(x) * torch.sigmoid(x) + torch.exp(-x)
        return y.amax(-1) + y.sum(-1) + y.min()


class Grouped(nn.Module):
    """Depthwise, grouped, dilated and pointwise convolutions, a concatenation, a shuffle of channels, and pools."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 40, 1)
        self.depthwise = nn.Conv2d(40, 40, 3, padding=1, groups=40)
        self.grouped = nn.Conv2d(40, 128, 3, stride=2, padding=1, groups=4)
        self.wide = nn.Conv2d(128, 192, 3, padding=2, dilation=2, groups=2)
        self.last = nn.Sequential(nn.BatchNorm2d(320), nn.ReLU(), nn.Conv2d(320, 70, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.grouped(nn.functional.relu6(self.depthwise(self.first(x))))
        y = torch.cat([x, self.wide(x)], 1)
        y = self.last(nn.functional.channel_shuffle(y, 5))
        return nn.functional.interpolate(nn.functional.avg_pool2d(y, 2), scale_factor=2)


def small_bert() -> nn.Module:
    return BERT(vocabulary=50, positions=16, hidden=48, layers=2, heads=3)


MODELS = {
    "deck3": (deck3, [images(1, 512, 13, 13)]),
    "mixed": (Mixed, [images(2, 3, 29, 31)]),
    "resnet18": (resnet18, [images(1, 3, 64, 64)]),
    "mlp, one row": (lambda: mlp(100), [images(1, 100)]),
    "mlp": (lambda: mlp(100), [images(33, 100)]),
    "wide linear": (lambda: nn.Linear(2000, 1000), [images(9, 2000)]),
    "grouped": (Grouped, [images(2, 3, 13, 15)]),
    "lstm": (
        lambda: recurrent(nn.LSTM, input_size=5, hidden_size=19, bidirectional=True),
        [images(4, 3, 5), images(2, 3, 19, seed=1), images(2, 3, 19, seed=2)],
    ),
    "gru": (lambda: recurrent(nn.GRU, input_size=6, hidden_size=33), [images(3, 11, 6), images(1, 11, 33, seed=1)]),
    "attention": (Attention, [images(2, 37, 24), images(2, 1, 37, 37)]),
    "functions": (Functions, [images(6, 77)]),
}
SHAPES_ONLY = {
    "mobilenet_v2": (NETWORKS["mobilenet_v2"].make, [images(1, 3, 96, 96)]),
    "squeezenet": (NETWORKS["squeezenet1_1"].make, [images(2, 3, 97, 97)]),
    "bert": (small_bert, [torch.zeros(2, 11, dtype=torch.int64)]),
}


def runnable(level: Target) -> Target:
    if not host().name.startswith("x86-64") or not set(level.features) <= set(host().features):
        pytest.skip(f"this processor is no {level.name}")
    return level


def agree(made: list[torch.Tensor], model: nn.Module, inputs: list[torch.Tensor]) -> None:
    with torch.no_grad():
        exact = copy.deepcopy(model).eval().double()(*(x.double() for x in inputs))
    for mine, theirs in zip(made, pytree.tree_leaves(exact), strict=True):
        assert mine.shape == theirs.shape
        assert (mine - theirs).abs().max() <= 1e-4 * theirs.abs().max()


@pytest.mark.parametrize("level", X86_LEVELS, **IDS)
@pytest.mark.parametrize("name", MODELS)
def test_each_level_gives_what_pytorch_gives(name, level, tmp_path):
    torch.manual_seed(0)
    make, inputs = MODELS[name]
    model = make().eval()
    agree(levels.run(model, inputs, runnable(level), find_compiler(), tmp_path), model, inputs)


@pytest.mark.parametrize("level", X86_LEVELS[1:], **IDS)
@pytest.mark.parametrize("name", ["mixed", "grouped", "lstm", "attention"])
def test_with_the_compiler_that_is_always_there(name, level, tmp_path):
    torch.manual_seed(0)
    make, inputs = MODELS[name]
    model = make().eval()
    agree(levels.run(model, inputs, runnable(level), cross_compiler(), tmp_path), model, inputs)


@pytest.mark.parametrize("level", X86_LEVELS, **IDS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_winograd(algorithm, level, tmp_path):
    torch.manual_seed(0)
    layers = [nn.Conv2d(19, 100, 3, padding=1), nn.ReLU(), nn.Conv2d(100, 64, 3)]
    model, inputs = nn.Sequential(*layers).eval(), [images(2, 19, 13, 10)]
    made = levels.run(model, inputs, runnable(level), find_compiler(), tmp_path, algorithm)
    agree(made, model, inputs)


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [*((name, "direct") for name in {**MODELS, **SHAPES_ONLY}), *(("resnet18", name) for name in ALGORITHMS)],
)
def test_all_levels_share_one_memory_layout(name, algorithm):
    """Which buffers, of which sizes, with which weights, in which order, in how many rounds: only tiles differ."""
    make, inputs = {**MODELS, **SHAPES_ONLY}[name]
    model = make()

    def layout(level: Target) -> tuple:
        _, parts, program = levels.generated(model, inputs, level, algorithm)
        buffers = [(v.name, str(v.type), v.layout, v.root[1], panels) for v, panels in program.buffers]
        spaces = [[(v.name, v.shape, v.layout) for v in own] for own in program.workspaces]
        return [part.ops for part in parts], buffers, program.table, spaces, len(program.faults)

    first, *others = map(layout, X86_LEVELS)
    assert all(other == first for other in others)


def test_levels_have_the_widest_first_and_one_vector_length():
    assert {level.vector_length for level in X86_LEVELS} == {16}
    assert {level.panel for level in X86_LEVELS} == {1}
    for wider, narrower in itertools.pairwise(X86_LEVELS):
        assert set(wider.features) > set(narrower.features)


@pytest.mark.parametrize("compiler", [find_compiler, cross_compiler], ids=["this machine's", "zig"])
def test_the_tile_of_two_registers_a_vector_stays_in_registers(compiler, monkeypatch):
    """The inner loop of a convolution on AVX2: 6 pixels x 1 vector in 12 registers, and no memory but what it reads."""
    if not host().name.startswith("x86-64"):
        pytest.skip("an x86-64 machine, which this one is not")
    monkeypatch.setattr("solkit.toolchain.find_compiler", compiler)
    level = X86_LEVELS[1]
    _, _, program = levels.generated(nn.Conv2d(64, 64, 3, padding=1), [images(1, 64, 30, 30)], level)
    (text,) = (text for name, text in program.sources.items() if name.startswith("conv2d"))
    lines = [line.split("#")[0].strip() for line in emit_assembly(text, level).splitlines()]
    labels = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
    ends = {i: line.split()[-1] for i, line in enumerate(lines) if re.match(r"j\w+\s+\.L", line)}
    loops = [lines[labels[label] : i] for i, label in ends.items() if labels.get(label, i) < i]
    inner = min((loop for loop in loops if any("vfmadd" in line for line in loop)), key=len)
    adds = [line for line in inner if re.match(r"vfmadd\d+ps\s.*%ymm", line)]
    stores = [line for line in inner if re.search(r"%[xy]mm\d+,\s*\S*\(", line)]
    assert len(adds) == 12
    assert not stores
    assert not any("(%rsp)" in line and "ymm" in line for line in inner)


@pytest.mark.parametrize("level", X86_LEVELS, **IDS)
@pytest.mark.parametrize("width", [1, 2, 7, 28, 1000])
@pytest.mark.parametrize("channels", [1, 40, 1000])
def test_the_tile_fits_the_registers(level, width, channels):
    pixels, vectors = choose_tile(level, width, channels)
    assert pixels * vectors <= prod(level.tile)
    assert width == 1 or vectors <= level.tile[1]


def test_a_host_keeps_its_own_panels():
    assert host().panel is None
    assert VE.panel is None
