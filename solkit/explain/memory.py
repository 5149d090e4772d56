"""Memory over time: which value lies where in the arena while which cluster runs."""

import html
from collections.abc import Callable
from dataclasses import dataclass

from solkit.explain.rows import Sources
from solkit.explain.svg import figure, label, shorten
from solkit.explain.table import html_table, plural, text_table
from solkit.ir import Value
from solkit.runtime.engine import Engine
from solkit.runtime.memory import aligned


@dataclass(frozen=True)
class Block:
    """One value in the arena: from byte `offset` on, while clusters `first` to `last` run, both included."""

    name: str
    type: str
    layout: str
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class MemoryRow:
    """What is alive while cluster `step`, by its number in `explain()`, runs; its operators are in `cluster`.

    alive: bytes of the arena that hold a value somebody still needs. arena: bytes of the whole arena.
    """

    step: int
    cluster: str
    alive: int
    arena: int


class Memory:
    """The arena of a compiled model. Prints as a table; a notebook shows a picture.

    In it is what compiled clusters make for one another. Inputs, weights, results, and what PyTorch makes have memory
    of their own.

    Attributes:
        rows: what is alive, for each cluster.
        blocks: the values, in the order they are made.
        arena: bytes of the arena.
        without_reuse: bytes it would take if no two values shared a place.
    """

    def __init__(self, engine: Engine) -> None:
        sources = Sources(engine)
        self.arena = engine.placement.arena_bytes
        self.blocks = _blocks(engine, sources)
        self.without_reuse = sum(aligned(block.bytes) for block in self.blocks)
        self.rows = [
            MemoryRow(step, " -> ".join(cluster.ops), self._alive(step), self.arena)
            for step, cluster in enumerate(sources.clusters)
        ]

    def _alive(self, step: int) -> int:
        """Bytes held at this step; those that two values share (one made in the other's place) count once."""
        held, end = 0, 0
        for begin, size in sorted((b.offset, aligned(b.bytes)) for b in self.blocks if b.first <= step <= b.last):
            held += max(0, begin + size - max(begin, end))
            end = max(end, begin + size)
        return held

    def _summary(self) -> str:
        most = max((row.alive for row in self.rows), default=0)
        return (
            f"{plural(len(self.blocks), 'value')} in an arena of {_mb(self.arena)}; at most {_mb(most)} are alive at "
            f"once, and without reuse it would be {_mb(self.without_reuse)}"
        )

    def __str__(self) -> str:
        head = ("#", "operators", "alive", "arena")
        rows = [(str(row.step), row.cluster, _mb(row.alive), _mb(row.arena)) for row in self.rows]
        return f"{text_table(head, rows)}\n{self._summary()}"

    __repr__ = __str__

    def to_html(self) -> str:
        """The picture, and the table of values, as HTML that needs nothing else."""
        head = ("value", "type", "layout", "offset", "bytes", "made by", "last read by")
        rows = [(b.name, b.type, b.layout, *map(str, (b.offset, b.bytes, b.first, b.last))) for b in self.blocks]
        table = html_table(head, rows, "The values in the arena; who makes and reads them by the number of the cluster")
        return f"{_picture(self, self._summary())}<details><summary>The values as a table</summary>{table}</details>"

    def _repr_html_(self) -> str:
        return self.to_html()


def _blocks(engine: Engine, sources: Sources) -> list[Block]:
    first: dict[Value, int] = {}
    last: dict[Value, int] = {}
    for step, cluster in enumerate(sources.clusters):
        for value in map(engine.placement.of, [*cluster.inputs, *cluster.outputs]):
            first.setdefault(value, step)
            last[value] = step
    length = engine.library.vector_length
    return sorted(
        (
            Block(
                value.name,
                str(value.type),
                str(value.layout),
                offset,
                value.type.dtype.itemsize * value.layout.elements(value.shape, length),
                first[value],
                last[value],
            )
            for value, offset in engine.placement.offsets.items()
        ),
        key=lambda block: (block.first, block.offset),
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:.3f} MB"


HEIGHT = 320  # pixels of the arena
LEFT, TOP = 90, 24  # pixels beside and above it
_CAPTION = (
    "Each box is a value: its height the bytes it takes, its width the clusters that run while it is needed. The heavy "
    "line is the number of bytes alive, the dashed line the size of the arena. The bars compare it with an arena "
    "without reuse."
)


def _picture(memory: Memory, text: str) -> str:
    steps = max(1, len(memory.rows))
    column = min(48.0, max(7.0, 900 / steps))
    scale = HEIGHT / max(1, memory.arena)
    bottom, right = TOP + HEIGHT, LEFT + column * steps

    def y(offset: float) -> float:
        return bottom - offset * scale

    shapes = [_rectangle(block, LEFT + block.first * column, column, y, scale) for block in memory.blocks]
    shapes.append(f'<path stroke-dasharray="8 4" d="M{LEFT} {TOP} H{right:.1f}"/>')
    line = " ".join(f"V{y(row.alive):.1f} H{LEFT + (row.step + 1) * column:.1f}" for row in memory.rows)
    shapes.append(f'<path stroke-width="3" d="M{LEFT} {bottom} {line}"/>')
    shapes.append(f'<path d="M{LEFT} {TOP} V{bottom} H{right:.1f}"/>')
    shapes += [label(4, TOP + 4, _mb(memory.arena)), label(4, bottom, "0 MB"), label(4, bottom + 16, "cluster")]
    every = max(1, -(-24 // int(column)))  # numbers as near to one another as can be read
    shapes += [label(LEFT + (row.step + 0.5) * column - 6, bottom + 16, str(row.step)) for row in memory.rows[::every]]
    shapes += _bars(memory, bottom + 34)
    return figure(
        shapes, (max(right, LEFT + 700) + 8, bottom + 80), f"Memory over time: {text}.", f"{text}. {_CAPTION}"
    )


def _rectangle(block: Block, x: float, column: float, y: Callable[[float], float], scale: float) -> str:
    width, height = column * (block.last - block.first + 1), block.bytes * scale
    top = y(block.offset + block.bytes)
    told = f"{block.name} {block.type} {block.layout}: {_mb(block.bytes)} at {block.offset}, clusters {block.first} to "
    name = shorten(block.name, width - 8)
    fits = height >= 14 and width >= 40
    return (
        f"<g><title>{html.escape(told)}{block.last}</title>"
        f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="currentColor" '
        f'fill-opacity="0.1"/>{label(x + 4, top + min(height, 24) - 4, name) if fits else ""}</g>'
    )


def _bars(memory: Memory, top: float) -> list[str]:
    whole = max(1, memory.arena, memory.without_reuse)
    bars = (("arena", memory.arena, 'fill="currentColor" fill-opacity="0.3"'), ("no reuse", memory.without_reuse, ""))
    shapes = []
    for number, (name, size, style) in enumerate(bars):
        y, width = top + 20 * number, 500 * size / whole
        shapes.append(f'<rect x="{LEFT}" y="{y:.0f}" width="{width:.1f}" height="14" {style}/>')
        shapes += [label(4, y + 11, name), label(LEFT + width + 8, y + 11, _mb(size))]
    return shapes
