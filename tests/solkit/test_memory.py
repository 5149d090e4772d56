"""The memory plan: nothing that lives at once overlaps, and no more is taken than needed."""

import random

import pytest

from solkit.runtime.memory import ALIGNMENT, Interval, aligned, plan


def overlaps(offsets: list[int], intervals: list[Interval]) -> list[tuple[int, int]]:
    """Pairs of buffers that live at once and share bytes."""
    found = []
    for i, one in enumerate(intervals):
        for j, other in enumerate(intervals[:i]):
            apart = offsets[i] + one.size <= offsets[j] or offsets[j] + other.size <= offsets[i]
            if one.meets(other) and not apart:
                found.append((i, j))
    return found


def test_aligned():
    assert [aligned(size) for size in (0, 1, 64, 65)] == [0, 64, 64, 128]


def test_nothing_needs_nothing():
    assert plan([]) == ([], 0)


def test_a_chain_needs_its_two_largest_neighbours():
    chain = [Interval(size, step, step + 1) for step, size in enumerate([640, 6400, 64000, 6400, 640])]
    offsets, total = plan(chain)
    assert not overlaps(offsets, chain)
    assert total == 64000 + 6400


def test_buffers_that_never_meet_share_their_place():
    offsets, total = plan([Interval(100, 0, 1), Interval(90, 2, 3), Interval(80, 4, 5)])
    assert offsets == [0, 0, 0]
    assert total == aligned(100)


@pytest.mark.parametrize("seed", range(20))
def test_random_plans(seed):
    numbers = random.Random(seed)
    intervals = []
    for _ in range(numbers.randrange(1, 60)):
        first = numbers.randrange(30)
        intervals.append(Interval(numbers.randrange(1, 5000), first, first + numbers.randrange(10)))
    offsets, total = plan(intervals)
    assert not overlaps(offsets, intervals)
    assert all(offset % ALIGNMENT == 0 for offset in offsets)
    at_once = [sum(aligned(i.size) for i in intervals if i.first <= step <= i.last) for step in range(45)]
    assert max(at_once) <= total <= sum(aligned(i.size) for i in intervals)
