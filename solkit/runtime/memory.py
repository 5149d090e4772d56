"""Memory planned ahead: one arena holds every intermediate value, those that never live at once on the same bytes."""

from dataclasses import dataclass

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


def aligned(size: int) -> int:
    """`size` in bytes, rounded up."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Interval:
    """A buffer of `size` bytes that is needed from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: "Interval") -> bool:
        return self.first <= other.last and other.first <= self.last


def plan(intervals: list[Interval]) -> tuple[list[int], int]:
    """An offset for each interval, and the size of the arena.

    The largest buffer first, each at the lowest offset where it meets no buffer that lives at the same time: the
    "greedy by size" of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020).
    """
    offsets = [0] * len(intervals)
    placed: list[int] = []
    for index in sorted(range(len(intervals)), key=lambda i: -intervals[i].size):
        needed = intervals[index]
        offset = 0
        for other in sorted(placed, key=lambda i: offsets[i]):
            if not needed.meets(intervals[other]):
                continue
            if offset + aligned(needed.size) <= offsets[other]:
                break
            offset = max(offset, offsets[other] + aligned(intervals[other].size))
        offsets[index] = offset
        placed.append(index)
    total = max((offsets[i] + aligned(intervals[i].size) for i in placed), default=0)
    return offsets, total
