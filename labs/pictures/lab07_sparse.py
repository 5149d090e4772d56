"""Sparse formats in lab 07: one small matrix in each of them, and what the loops of a large one come to.

What is measured runs on this machine; what is modelled counts vector instructions as lab 06 does.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
from matplotlib.figure import Figure
from scipy import sparse

from frovedis_lite.matrix import formats
from frovedis_lite.matrix.products import times as crs_times
from labs import show
from labs.pictures.lab06_svg import LINE, Controls, box, menu, page, paragraph, svg, words
from labs.pictures.lab07 import cell
from labs.show import OURS, THEIRS, Picture

VALUE, INDEX = 8, 4  # bytes of a float64 and of an int32
LENGTH, LANES = 256, 32  # of the Vector Engine
FORMATS = {
    "CRS: by rows": "CRS",
    "CCS: by columns": "CCS",
    "ELL: rows filled up": "ELL",
    "JDS: jagged diagonals": "JDS",
    "JDS/CRS hybrid": "hybrid",
}
LEAST = 4  # rows that a diagonal of the hybrid has at least, in the drawing
MATRICES = {  # the columns of each row
    "one long row": ((2,), (0, 3), (1, 2, 3, 4, 5, 6, 7), (4,), (0, 4), (5,), (1, 3, 6), (7,)),
    "even rows": ((0, 1), (0, 2), (1, 3), (3, 4), (2, 5), (4, 6), (5, 7), (6, 7)),
}
SIZE = 8
Loop = tuple[str, list["tuple[int, int] | None"]]  # a name, and places (row, column); None is padding


def small(name: str) -> sparse.csr_matrix:
    """One of the matrices that are drawn; its elements are 1, 2, 3, ..."""
    rows = MATRICES[name]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    columns = [column for row in rows for column in row]
    return sparse.csr_matrix((np.arange(1.0, len(columns) + 1), columns, starts), (SIZE, SIZE))


def loops(name: str, kind: str) -> list[Loop]:
    """The inner loops of a product, in the order in which the format keeps them in memory."""
    rows = MATRICES[name]
    if kind == "CRS":
        return [(f"row {row}", [(row, column) for column in rows[row]]) for row in range(SIZE)]
    if kind == "CCS":
        return [(f"column {c}", [(row, c) for row in range(SIZE) if c in rows[row]]) for c in range(SIZE)]
    longest = max(map(len, rows))
    if kind == "ELL":
        return [
            (f"{_th(d)} of each row", [(row, of[d]) if d < len(of) else None for row, of in enumerate(rows)])
            for d in range(longest)
        ]
    order = sorted(range(SIZE), key=lambda row: -len(rows[row]))
    diagonals = [[(row, rows[row][d]) for row in order if len(rows[row]) > d] for d in range(longest)]
    kept = [places for places in diagonals if kind == "JDS" or len(places) >= LEAST]
    rest = sorted((place for places in diagonals[len(kept) :] for place in places), key=lambda at: order.index(at[0]))
    left = [(f"rest of row {row}", list(places)) for row, places in groupby(rest, lambda at: at[0])]
    return [(f"diagonal {d}", places) for d, places in enumerate(kept)] + left


def _th(d: int) -> str:
    return {0: "1st", 1: "2nd", 2: "3rd"}.get(d, f"{d + 1}th")


def sparse_formats() -> Controls:
    """A widget: a small matrix, and the inner loops that each format makes of it."""
    controls = {"kind": menu("format", FORMATS, "CRS"), "name": menu("matrix", list(MATRICES), "one long row")}
    return Controls(draw_format, controls)


def draw_format(kind: str, name: str) -> str:
    """The matrix with a letter for each element, coloured by rows; beside it a strip for each inner loop."""
    rows = MATRICES[name]
    letters = {at: chr(97 + n) for n, at in enumerate((row, column) for row in range(SIZE) for column in rows[row])}
    drawn = [words(10, 16, "the matrix")]
    for row in range(SIZE):
        for column in range(SIZE):
            x, y = 10 + 26 * column, 24 + 26 * row
            at = (row, column)
            drawn.append(cell(x, y, 26, letters[at], row, 26) if at in letters else box(x, y, 26, 26, _FAINT))
    made = loops(name, kind)
    drawn.append(words(375, 16, "in memory, one inner loop in each line"))
    for line, (label, places) in enumerate(made):
        y = 24 + 26 * line
        drawn.append(words(366, y + 17, label, "end"))
        for step, at in enumerate(places):
            x = 375 + 27 * step
            if at is None:
                drawn.append(box(x, y, 24, 22, _FAINT) + f'<path d="M{x + 5} {y + 4}l14 14m0 -14l-14 14" {_CROSS}/>')
            else:
                drawn.append(cell(x, y, 24, letters[at], at[0]))
        drawn.append(words(375 + 27 * len(places) + 6, y + 17, str(len(places))))
    stored = sum(len(places) for _, places in made)
    padding = stored - len(letters)
    text = (
        f"{kind}: {len(made)} inner loops with {stored / len(made):.1f} elements each on average. {len(letters)} "
        f"elements are stored, {f'and {padding} fillers that are computed with for nothing' if padding else 'no more'}."
    )
    height = 32 + 26 * max(SIZE, len(made))
    return page(svg(700, height, text, *drawn), paragraph(text))


_FAINT = f'{LINE} stroke-opacity="0.3"'
_CROSS = f'{LINE} stroke-opacity="0.6"'


# --- a large matrix --------------------------------------------------------------------------------------------------


def heavy_tailed(rows: int, seed: int) -> sparse.csr_matrix:
    """A square matrix whose rows have few elements, but a few of them many: like words in texts, or links of pages."""
    random = np.random.default_rng(seed)
    lengths = np.clip(4 * (1 + random.pareto(1.6, rows)), 1, rows // 10).astype(int)
    columns = random.integers(rows, size=lengths.sum())
    values = random.standard_normal(len(columns))
    made = sparse.csr_matrix((values, columns, np.concatenate([[0], np.cumsum(lengths)])), (rows, rows))
    made.sum_duplicates()
    return made


def in_formats(A: sparse.csr_matrix) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The product with a vector in each format, by name."""
    kept = {
        "ELL": formats.ELL.from_csr(A),
        "JDS": formats.JDS.from_csr(A),
        "JDS/CRS hybrid": formats.JDSCRSHybrid.from_csr(A),
    }
    return {"CRS": lambda x: crs_times(A, x)} | {name: made.dot for name, made in kept.items()}


def loop_lengths(A: sparse.csr_matrix) -> dict[str, np.ndarray]:
    """How many elements the inner loops of a product have, in each format."""
    lengths = np.diff(A.indptr)
    falling = np.sort(lengths)[::-1]
    diagonals = np.searchsorted(-falling, -np.arange(falling[0]), "left")
    long = diagonals[diagonals >= formats.LONG]
    rest = falling[falling > len(long)] - len(long)
    return {
        "CRS": lengths[lengths > 0],
        "ELL": np.full(falling[0], A.shape[0]),
        "JDS": diagonals,
        "JDS/CRS hybrid": np.concatenate([long, rest]),
    }


def cycles(lengths: Sequence[int], start: int) -> int:
    """Of the Vector Engine, as lab 06 models them: each instruction takes `start` and one cycle for 32 elements."""
    lengths = np.asarray(lengths)
    full, tail = np.divmod(lengths, LENGTH)
    return int((full * (start + LENGTH // LANES) + np.where(tail > 0, start + -(-tail // LANES), 0)).sum())


def vector_length(lengths: Sequence[int]) -> float:
    """Elements of a vector instruction, on average."""
    return float(np.sum(lengths) / np.sum(-(-np.asarray(lengths) // LENGTH)))


def compare(A: sparse.csr_matrix, milliseconds: dict[str, float], start: int = 10) -> Picture:
    """Bars: the times measured here, and the cycles that the model has for a Vector Engine."""
    of_loops = loop_lengths(A)
    names = list(of_loops)
    modelled = [cycles(of_loops[name], start) / 1000 for name in names]
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, values, title, style, form in (
        (left, [milliseconds[name] for name in names], "here, ms (measured)", OURS, "%.2f"),
        (right, modelled, "Vector Engine, 1000 cycles (modelled)", THEIRS, "%.0f"),
    ):
        bars = axes.barh(names, values, 0.6, **style)
        axes.bar_label(bars, fmt=form, padding=3, fontsize=9)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_title(title, fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    each = "; ".join(
        f"{name}: {milliseconds[name]:.2f} ms here, {cost:.0f} thousand cycles modelled"
        for name, cost in zip(names, modelled, strict=True)
    )
    return Picture(
        figure,
        f"Bars of a sparse product. {each}.",
        f"Shorter is faster. Left: measured on this machine, now. Right: with a start of {start} cycles.",
    )


def table(A: sparse.csr_matrix) -> None:
    """Print for each format what it stores, and how long its loops are."""
    print(f"{'format':<16}{'stored':>12}{'padding':>9}{'inner loops':>13}{'vector length':>15}")
    for name, lengths in loop_lengths(A).items():
        stored = int(lengths.sum())
        padding = 1 - A.nnz / stored
        print(f"{name:<16}{stored:>12,}{padding:>9.0%}{len(lengths):>13,}{vector_length(lengths):>15.1f}")


def measure(A: sparse.csr_matrix, runs: int) -> dict[str, float]:
    """Milliseconds of a product in each format."""
    x = np.ones(A.shape[1])
    return show.times({name: lambda dot=dot: dot(x) for name, dot in in_formats(A).items()}, runs)
