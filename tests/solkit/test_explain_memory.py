"""explain().memory(): what lies where in the arena, and how much of it is alive."""

import re
from xml.etree import ElementTree

import pytest
import torch
from compare import Calls, images
from torch import nn

import solkit as sol
from solkit.runtime.memory import aligned


@pytest.fixture(scope="module")
def memory():
    layers = [nn.Conv2d(8 if n else 3, 8, 3, padding=1) for n in range(5)]
    return sol.optimize(nn.Sequential(*layers).eval(), images(1, 3, 9, 9)).explain().memory()


def test_blocks_that_live_at_once_do_not_share_bytes(memory):
    assert len(memory.blocks) >= 4
    for index, one in enumerate(memory.blocks):
        assert one.offset + one.bytes <= memory.arena
        for other in memory.blocks[:index]:
            if one.first <= other.last and other.first <= one.last:
                assert one.offset + one.bytes <= other.offset or other.offset + other.bytes <= one.offset


def test_rows_say_what_is_alive(memory):
    assert [row.step for row in memory.rows] == list(range(len(memory.rows)))
    for row in memory.rows:
        alive = [block for block in memory.blocks if block.first <= row.step <= block.last]
        assert row.alive == sum(aligned(block.bytes) for block in alive)
        assert row.alive <= row.arena == memory.arena
    assert max(row.alive for row in memory.rows) <= memory.arena < memory.without_reuse


def test_text_and_picture(memory):
    assert len(str(memory).splitlines()) == len(memory.rows) + 3
    page = memory._repr_html_()
    assert page == memory.to_html()
    image = ElementTree.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL).group())
    titles = [item.text for item in image.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == len(memory.blocks)
    assert "without reuse" in image.get("aria-label")


def test_a_model_without_anything_between_clusters():
    memory = sol.optimize(nn.Linear(4, 4).eval(), images(2, 4)).explain().memory()
    assert (memory.blocks, memory.arena, memory.without_reuse) == ([], 0, 0)
    assert [row.alive for row in memory.rows] == [0]
    assert "<svg" in memory.to_html()
    assert "0 values" in str(memory)


def test_what_pytorch_reads_stays_alive():
    made = sol.optimize(
        Calls(lambda m, x: m.b(torch.logcumsumexp(m.a(x), 1)) + m.a(x), a=nn.Linear(8, 8), b=nn.Linear(8, 8)),
        images(2, 8),
    )
    explanation = made.explain()
    (torch_row,) = (row for row in explanation.rows if row.kind == "PyTorch")
    assert any(block.first < torch_row.number <= block.last for block in explanation.memory().blocks)
