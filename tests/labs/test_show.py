"""What notebooks show."""

import time
from types import SimpleNamespace

import numpy
import pytest

import solkit as sol
from labs import show
from labs.zoo import deck3
from solkit.target import ARM64, VE, host
from solkit.toolchain import emit_assembly

CODE = """int f(int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) {
        sum += i;
    }
    return sum;
}"""

# An outer and an inner loop, a jump forward, directives and comments; the inner one adds and multiplies.
ASSEMBLY = """
	.text
kernel:                                 # @kernel
	je	.L9
.L1:                                    # the outer loop
	vmovaps	%zmm0, %zmm1  # a comment
.L2:
	.p2align 4
	vfmadd231ps	%zmm2, %zmm1, %zmm4
	jne	.L2
	vfmadd231ps	%zmm2, %zmm1, %zmm4
	subq	$1, %rax
.L3:
	addq	$1, %rbx
	jne	.L3
	jne	.L1
.L9:
	ret
	.size	kernel, .-kernel
"""


def lines(markdown):
    return markdown.data.splitlines()


def test_code_is_shown_whole_or_in_part():
    assert lines(show.code(CODE)) == ["```c", *CODE.splitlines(), "```"]
    loop = ["for (int i = 0; i < n; i++) {", "    sum += i;"]
    assert lines(show.code(CODE, first="for (", last="sum")) == ["```c", *loop, "```"]
    assert lines(show.code(CODE, "python", first="}"))[0] == "```python"
    assert lines(show.code(CODE, first="return")) == ["```c", "    return sum;", "}", "```"]


@pytest.mark.parametrize(("first", "last"), [("while", None), ("return", "sum +="), ("", "goto")])
def test_code_that_is_not_there_is_an_error(first, last):
    with pytest.raises(ValueError, match="has"):
        show.code(CODE, first=first, last=last)


def test_long_lines_are_folded_and_say_the_same():
    row = "    x = " + " + ".join(f"number_{i}" for i in range(20)) + ";"
    shown = lines(show.code("{\n" + row + "\n}"))[2:-2]
    assert len(shown) > 1
    assert all(len(line) <= 90 for line in shown)
    assert shown[1].startswith(" " * 12 + "+ ") or shown[1].startswith(" " * 12 + "number")
    assert " ".join(" ".join(shown).split()) == row.strip()


def test_the_inner_loop_is_found():
    loop = show.inner_loop(ASSEMBLY).splitlines()
    # The outer loop does more multiply-adds in all, counted once each; but it is not the innermost.
    assert loop == [".L2:", "    vfmadd231ps %zmm2, %zmm1, %zmm4", "    jne .L2"]


def test_machine_code_has_its_multiply_adds_in_bold():
    page = show.machine_code(ASSEMBLY, "a <machine>", 16)
    assert "a &lt;machine&gt;: 1 multiply-adds of 16 floats each" in page
    assert page.count("<b>") == page.count("<b>    vfmadd231ps %zmm2, %zmm1, %zmm4</b>") == 1
    long = ASSEMBLY.replace(".L2:\n", ".L2:\n" + "\tvfmadd231ps\t%zmm2, %zmm1, %zmm4\n" * 40)
    page = show.machine_code(long, "x", 16)
    assert "41 multiply-adds" in page
    assert "... 25 more lines of this kind" in page
    assert page.count("&#10;") == 18


@pytest.mark.parametrize(("target", "name"), [(VE, "vfmad.s"), (ARM64, "fmla"), (host(), None)])
def test_the_inner_loop_of_real_code(target, name, source):
    loop = show.inner_loop(emit_assembly(source, target)).splitlines()
    assert show.multiply_adds(loop) >= 10
    assert len(loop) < 100
    if name:
        assert sum(name in row for row in loop) == show.multiply_adds(loop)


@pytest.fixture(scope="module")
def source():
    import torch

    return sol.optimize(deck3(), torch.randn(1, 512, 13, 13)).source(0)


def test_times_are_medians_and_take_turns(monkeypatch):
    monkeypatch.setattr(show.time, "sleep", lambda seconds: calls.append("pause"))
    calls = []
    found = show.times({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, runs=2, rounds=2)
    block_a, block_b = ["pause", *"aaaaa"], ["pause", *"bbbbb"]
    assert calls == [*block_a, *block_b, *block_a, *block_b]
    assert list(found) == ["a", "b"]
    assert all(0 <= value < 100 for value in found.values())


def test_times_are_milliseconds():
    assert 4 < show.times({"nap": lambda: time.sleep(0.005)}, runs=3, rounds=1)["nap"] < 500


def pictures():
    rows = [SimpleNamespace(solkit_ms=1.5 * i, pytorch_ms=2.0 * i) for i in range(1, 4)]
    return [
        show.trips(),
        show.bars(rows, ["one", "two", "three"]),
        show.photo(numpy.full((8, 8, 3), 1.1), "grey", "it"),
    ]


@pytest.mark.parametrize("picture", pictures(), ids=["trips", "bars", "photo"])
def test_a_picture_has_a_text_a_caption_and_a_width_that_shrinks(picture):
    page = picture._repr_html_()
    assert f'alt="{picture.text}"' in page
    assert f"<figcaption>{picture.caption}</figcaption>" in page
    assert "max-width: 100%" in page
    assert "data:image/png;base64,iVBOR" in page
    assert picture.text in repr(picture)


def test_bars_say_the_sums():
    assert pictures()[1].text == "Bars for 3 clusters; in sum 9.0 ms in solkit and 12.0 ms in PyTorch."


def test_a_picture_is_escaped():
    page = show.Picture(show.trips().figure, 'a "b" <c>', "<d>")._repr_html_()
    assert 'alt="a &quot;b&quot; &lt;c&gt;"' in page
    assert "<d>" not in page
