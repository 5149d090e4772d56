"""One C text for every machine: what is compiled for this one also runs on arm64 and is vector code on the VE."""

import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import solkit as sol
from labs.zoo import deck3, mlp, resnet18
from solkit.target import VE
from solkit.toolchain import emit_assembly

sys.path.insert(0, str(Path(__file__).parent))
import elsewhere


class Mixed(nn.Module):
    """A little of everything: odd sizes, every way to combine, and functions that vec.h has to compute itself."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 21, 5, stride=2, padding=2), nn.BatchNorm2d(21), nn.SiLU())
        self.body = nn.Sequential(nn.Conv2d(21, 37, 3, padding=1, dilation=1), nn.Tanh(), nn.MaxPool2d(3, 2, 1))
        self.side = nn.Conv2d(21, 37, 1, stride=2)
        self.tail = nn.Linear(37 * 9, 19)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x)
        y = self.body(x) + torch.sigmoid(self.side(x))
        z = nn.functional.adaptive_avg_pool2d(y, 3)
        return self.tail(z.flatten(1)).exp(), nn.functional.avg_pool2d(y, 2)


MODELS = {
    "deck3": (deck3, (1, 512, 13, 13)),
    "mlp": (lambda: mlp(100), (3, 100)),
    "mixed": (lambda: Mixed().eval(), (2, 3, 29, 31)),
    "resnet18": (resnet18, (1, 3, 64, 64)),
}


def optimized(name: str) -> tuple[sol.SolModule, torch.Tensor]:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    x = torch.randn(shape)
    return sol.optimize(make(), x), x


@pytest.mark.parametrize("name", MODELS)
def test_arm64_gives_the_result_of_this_machine(name, require_tool, tmp_path):
    model, x = optimized(name)
    elsewhere.agree_on_arm64(model, [x], require_tool, tmp_path)


MULTIPLY_ADD, LOAD = r"p?vfmad(?:\.s)?", r"vldu?"
SCALAR_FLOAT = r"f(?:add|sub|mul|div|max|min|cmp)(?:\.[sd])?"


def inner_loop(assembly: str) -> list[str]:
    """Mnemonics of the smallest loop, from a label to the jump back to it, with the most multiply-adds."""
    lines = [line.strip() for line in assembly.splitlines()]
    labels = {line.split(":")[0]: i for i, line in enumerate(lines) if re.match(r"\.LBB\w+:", line)}
    loops = []
    for i, line in enumerate(lines):
        jump = re.search(r"^br\S*\s.*?(\.LBB\w+)$", line)
        if jump and labels[jump.group(1)] < i:
            body = lines[labels[jump.group(1)] : i + 1]
            loops.append([part.split()[0] for part in body if part and not part.startswith((".", "#"))])
    return max(loops, key=lambda loop: (sum(bool(re.fullmatch(MULTIPLY_ADD, word)) for word in loop), -len(loop)))


@pytest.mark.parametrize("name", MODELS)
def test_vector_engine_gets_vector_code(name):
    model, _ = optimized(name)
    for cluster in model.explain().rows:
        assembly = emit_assembly(model.source(cluster.number), VE)
        assert re.search(r"^\s+lvl\b", assembly, re.M), f"{cluster.ops} sets no vector length"
        assert re.search(r"^\s+vldu?\b", assembly, re.M), f"{cluster.ops} loads no vector"
        if cluster.kind == "DNN":
            assert re.search(rf"^\s+{MULTIPLY_ADD}\b", assembly, re.M), f"{cluster.ops} has no vfmad"


def test_the_decks_inner_loop_on_the_vector_engine():
    model, _ = optimized("deck3")
    loop = inner_loop(emit_assembly(model.source(0), VE))
    adds = [word for word in loop if re.fullmatch(MULTIPLY_ADD, word)]
    loads = [word for word in loop if re.fullmatch(LOAD, word)]
    scalar = [word for word in loop if re.fullmatch(SCALAR_FLOAT, word)]
    assert len(adds) == 26, "13 pixels x 2 vectors of channels, one multiply-add each"
    assert len(loads) == 2, "one row of weights, loaded once for all pixels"
    assert "lvl" in loop
    assert not scalar
