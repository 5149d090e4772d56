"""Code for many shapes: compiled once, right for all of them."""

import pytest
import torch
from torch import nn

import solkit as sol
from solkit.codegen.template import merge
from solkit.runtime import compiled as compiled_code

KERNEL = """enum {{
    ROWS = {rows},  /* of all */
    TASKS = SOL_CEIL(ROWS, 4),
    PIXELS = 4,
}};

const int64_t kernel_tasks = TASKS;

void kernel(float *const *b, int64_t task) {{
    vf acc[{tile}];
    for (int64_t r = task * 4; r < sol_min({rows}, task * 4 + 4); r++) b[1][r] = b[0][r] * {scale};
}}
"""


def text(rows, tile="PIXELS", scale="0.5f"):
    return KERNEL.format(rows=rows, tile=tile, scale=scale)


def test_numbers_are_left_open():
    made = merge([text(10), text(30)])
    assert made.sizes(text(17)) == [17]
    code = made.text("f", 2)
    assert "int64_t f_count(const int64_t *size) {" in code
    assert "const int64_t ROWS = size[0];" in code
    assert "(const int64_t *)b[2]" in code
    assert "sol_min(size[0]," in code
    assert "ROWS = 10" not in code
    assert made.sizes(text(17).replace("b[1]", "b[2]")) is None
    assert made.sizes(text(17).replace("* 4 + 4", "* 4 + 8")) is None


def test_numbers_of_floating_point_travel_as_bits():
    made = merge([text(10, scale="0.25f"), text(10, scale="0.125f")])
    assert "sol_real(size[0])" in made.text("f", 2)
    assert made.sizes(text(10, scale="1.0f")) == [0x3F800000]


def test_what_cannot_be_left_open():
    assert merge([text(10), text(30).replace("vf acc", "vf sum")]) is None
    assert merge([text(10, tile="4"), text(10, tile="8")]).text("f", 2) is None, "registers have a fixed number"


@pytest.fixture
def compiled(monkeypatch):
    """How many programs the compiler was called for."""
    calls, build = [], compiled_code.build_library
    monkeypatch.setattr(compiled_code, "build_library", lambda *rest: calls.append(rest) or build(*rest))
    return calls


class Recognizer(nn.Module):
    """Like networks that read a line of text: convolutions, depthwise ones, a gate, tokens, attention."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, 2, 1)
        self.depthwise = nn.Conv2d(24, 24, 5, 1, 2, groups=24)
        self.wide = nn.Conv2d(24, 40, 3, 1, 1)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(40, 40, 1), nn.Hardsigmoid())
        self.norm = nn.LayerNorm(40)
        self.attention = nn.MultiheadAttention(40, 2, batch_first=True)
        self.head = nn.Linear(40, 50)

    def forward(self, x):
        x = nn.functional.hardswish(self.depthwise(torch.relu(self.stem(x))))
        x = self.wide(x)
        x = nn.functional.max_pool2d(x * self.gate(x), (2, 1))
        tokens = x.mean(2).transpose(1, 2)
        tokens = tokens + self.attention(self.norm(tokens), tokens, tokens, need_weights=False)[0]
        return self.head(tokens).softmax(-1)


def test_widths_share_code(compiled):
    torch.manual_seed(0)
    model = Recognizer().eval()
    fast = sol.optimize(model, torch.randn(1, 3, 16, 160), vdims=[(3,)])
    before = len(compiled)
    with torch.no_grad():
        for width in (160, 192, 200, 231, 256, 320, 333, 480):
            x = torch.randn(1, 3, 16, width)
            torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-6)
    assert len(compiled) == before
    assert not fast.explain().in_pytorch


def test_a_width_that_does_not_fit_is_compiled_alone(compiled):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 24, 3, 1, 1), nn.ReLU(), nn.Conv2d(24, 8, 1)).eval()
    fast = sol.optimize(model, torch.randn(1, 3, 8, 64), vdims=[(2, 3)])
    before = len(compiled)
    with torch.no_grad():
        for shape in ((8, 64), (3, 2), (16, 96), (1, 1), (40, 33)):
            x = torch.randn(1, 3, *shape)
            torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-6)
    assert len(compiled) > before


def test_a_size_that_the_model_does_not_take_twice(compiled):
    model = nn.Sequential(nn.Flatten(2), nn.Linear(64, 4)).eval()
    fast = sol.optimize(model, torch.randn(2, 3, 8, 8), vdims=[(2,)])
    with torch.no_grad():
        x = torch.randn(2, 3, 8, 8)
        torch.testing.assert_close(fast(x), model(x))
