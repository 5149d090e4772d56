"""The graph of clusters as a drawing: a box for each, in rows by depth, and lines for what goes from one to the next.

A layered drawing after Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures"
(1981), in its simplest form: one sweep from top to bottom puts each box below the mean of those it reads (weighted by
their widths). A value that is read further down keeps a place of its own, one line wide, in each row between; no line
goes through a box.
"""

import html
import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from solkit.explain.rows import Row
from solkit.explain.svg import LINE, figure, label, shorten

WIDTH = 320  # pixels of a box
PASSING = 16  # pixels of the place of a line in a row it only passes
GAP = 24  # pixels between places of a row
BETWEEN = 34  # pixels between rows
MARGIN = 8

# The kinds differ by outline and by their name in the box; no colour.
_OUTLINES = {
    "DNN": 'stroke-width="2.5" fill="currentColor" fill-opacity="0.09"',
    "DFP": 'rx="16"',
    "PyTorch": 'stroke-dasharray="6 4"',
}
_CAPTION = (
    "Heavy square boxes: matrix kernels (DNN). Round boxes: fused loops (DFP). Dashed boxes: left to PyTorch. No box: "
    "inputs and results. Each lists its operators, their layers, what it makes and in which layout."
)


@dataclass(frozen=True)
class _Box:
    """Lines of text in an outline; `reads`: boxes by their place in the list, all before this one."""

    lines: list[str]
    kind: str
    reads: list[int]


def draw(
    rows: Sequence[Row], inputs: Sequence[tuple[str, str]], results: Sequence[tuple[str, tuple[int | str, ...]]]
) -> str:
    """The drawing as an HTML figure.

    Args:
        rows: the clusters.
        inputs: name and type of each input of the graph.
        results: type of each result, and which cluster or input it is from.
    """
    boxes = _boxes(rows, inputs, results)
    depth, middle = place([box.reads for box in boxes])
    levels = max(depth, default=-1) + 1
    heights = [0.0] * levels
    for box, level in zip(boxes, depth, strict=True):
        heights[level] = max(heights[level], _height(box))
    tops = [MARGIN + sum(heights[:level]) + BETWEEN * level for level in range(levels)]
    left = MARGIN + WIDTH / 2 - min(middle.values(), default=0)
    at = {key: left + x for key, x in middle.items()}
    shapes = [_outline(box, at[i, level], tops[level]) for i, (box, level) in enumerate(zip(boxes, depth, strict=True))]
    shapes += _lines(boxes, depth, at, tops, heights)
    right = max(at.values(), default=0) + WIDTH / 2 + MARGIN
    bottom = (tops[-1] + heights[-1] if levels else 0) + MARGIN
    kinds = ", ".join(f"{sum(row.kind == kind for row in rows)} {kind}" for kind in _OUTLINES)
    text = f"The graph of {len(rows)} clusters ({kinds}) in {levels} rows. The table has the same, line by line."
    return figure(shapes, (right, bottom), text, _CAPTION)


def place(reads: Sequence[Sequence[int]]) -> tuple[list[int], dict[tuple[int, int], float]]:
    """Where boxes go.

    Args:
        reads: for each box those it reads, all of them before it.
    Returns:
        The row of each box; and by (box, row) the middle, in pixels from the middle of the drawing, of the box and, in
        the rows below it as far as the last but one that reads it, of the line that comes from it.
    """
    depth: list[int] = []
    for sources in reads:
        depth.append(1 + max((depth[source] for source in sources), default=-1))
    last = list(depth)
    for box, sources in enumerate(reads):
        for source in sources:
            last[source] = max(last[source], depth[box] - 1)
    rows: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for box, (first, final) in enumerate(zip(depth, last, strict=True)):
        for level in range(first, final + 1):
            rows[level].append(box)
    middle: dict[tuple[int, int], float] = {}
    for level, boxes in enumerate(rows):
        wishes = dict.fromkeys(boxes, 0.0)
        for box in boxes if level else ():
            above = reads[box] if depth[box] == level else [box]
            weights = [WIDTH if depth[source] == level - 1 else PASSING for source in above]
            wishes[box] = statistics.fmean([middle[source, level - 1] for source in above], weights)
        sizes = {box: WIDTH if depth[box] == level else PASSING for box in boxes}
        middle.update(((box, level), x) for box, x in _side_by_side(wishes, sizes).items())
    return depth, middle


def _side_by_side(wishes: dict[int, float], sizes: dict[int, float]) -> dict[int, float]:
    """Middles of the places of one row, in the order of their wishes, none over another, and as near to the wishes as
    can be: the least squares weighted by size, so that a line makes way for a box rather than the other way round.

    By pooling adjacent violators (Ayer et al., 1955), after taking from each wish the room of those left of it.
    """
    order = sorted(wishes, key=lambda box: (wishes[box], box))
    room = [0.0]
    for left, right in itertools.pairwise(order):
        room.append(room[-1] + (sizes[left] + sizes[right]) / 2 + GAP)
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for box, taken in zip(order, room, strict=True):
        mean, weight, count = wishes[box] - taken, sizes[box], 1
        while pools and pools[-1][0] > mean:
            other, heavy, more = pools.pop()
            mean, weight, count = (mean * weight + other * heavy) / (weight + heavy), weight + heavy, count + more
        pools.append((mean, weight, count))
    means = (mean for mean, _, count in pools for _ in range(count))
    return {box: mean + taken for box, mean, taken in zip(order, means, room, strict=True)}


def _boxes(
    rows: Sequence[Row], inputs: Sequence[tuple[str, str]], results: Sequence[tuple[str, tuple[int | str, ...]]]
) -> list[_Box]:
    boxes = [_Box([f"input {name}", kind], "", []) for name, kind in inputs]
    places: dict[int | str, int] = {name: index for index, (name, _) in enumerate(inputs)}
    for row in rows:
        places[row.number] = len(boxes)
        boxes.append(_Box(_describe(row), row.kind, [places[source] for source in row.reads]))
    boxes += [
        _Box([f"result {index}", kind], "", [places[source] for source in sources])
        for index, (kind, sources) in enumerate(results)
    ]
    return boxes


def _describe(row: Row) -> list[str]:
    cost = f"{row.mflop:.1f} MFLOP, {row.mbytes:.2f} MB"
    if row.ms is not None:
        cost = f"{row.ms:.3f} ms, {cost}, {row.gflops or 0:.1f} GFLOP/s"
    lines = [f"#{row.number} {row.kind}", row.ops, row.layers, f"{row.result} {row.layout}", cost]
    return [*lines, row.implementation] if row.implementation else lines


def _height(box: _Box) -> float:
    return LINE * len(box.lines) + 12


def _outline(box: _Box, x: float, top: float) -> str:
    left = x - WIDTH / 2
    parts = [f"<title>{html.escape(chr(10).join(box.lines))}</title>"]
    if box.kind:
        corner = f'x="{left:.0f}" y="{top:.0f}" width="{WIDTH}" height="{_height(box):.0f}"'
        parts.append(f"<rect {corner} {_OUTLINES[box.kind]}/>")
    for number, line in enumerate(box.lines):
        bold = ' font-weight="bold"' if number == 0 else ""
        parts.append(label(left + 12, top + LINE * (number + 1) + 2, shorten(line, WIDTH - 24), bold))
    return f"<g>{''.join(parts)}</g>"


def _lines(
    boxes: list[_Box],
    depth: list[int],
    at: dict[tuple[int, int], float],
    tops: list[float],
    heights: list[float],
) -> list[str]:
    def down(box: int, level: int, x: float) -> str:
        """From the box, or its line, in the row above `level` to the top of that row."""
        begin, bottom, top = tops[level - 1], tops[level - 1] + heights[level - 1], tops[level]
        if depth[box] == level - 1:
            begin += _height(boxes[box])  # the line begins below the box; else it passes the whole row
        half, from_x = (bottom + top) / 2, at[box, level - 1]
        return (
            f"M{from_x:.0f} {begin:.0f} L{from_x:.0f} {bottom:.0f} "
            f"C{from_x:.0f} {half:.0f} {x:.0f} {half:.0f} {x:.0f} {top:.0f}"
        )

    shapes = [f'<path d="{down(box, level, x)}"/>' for (box, level), x in at.items() if depth[box] < level]
    for reader, box in enumerate(boxes):
        x, top = at[reader, depth[reader]], tops[depth[reader]]
        shapes += [f'<path d="{down(source, depth[reader], x)}"/>' for source in box.reads]
        if box.reads:
            head = f"M{x - 4:.0f} {top - 8:.0f} L{x:.0f} {top:.0f} L{x + 4:.0f} {top - 8:.0f} Z"
            shapes.append(f'<path d="{head}" fill="currentColor"/>')
    return shapes
