"""The widgets of lab 07 about who has what: a vector on the ranks, words that meet by their hash, three layouts of a
dense matrix, and a picture of a few singular values.

A rank has a colour and its number in it, so the drawings read without colour too.
"""

import base64
import html
import io
from collections import Counter
from itertools import pairwise

import numpy as np

from frovedis_lite.engine.session import share
from frovedis_lite.matrix.layout import grid
from labs.pictures.lab06_svg import LINE, Controls, box, menu, page, paragraph, svg, words
from labs.widgets import Slider

# Light enough for black letters, on the paper of either theme.
PALE = ("#9ecae9", "#ffd08a", "#a8ddb5", "#f4b6c2", "#d9d9d9", "#fff3a3", "#cbb7e8", "#a6e3e0")
INK = "#000000"
STEPS = {
    "scatter": "scatter: share out",
    "map": "map: twice each",
    "filter": "filter: keep what 3 divides",
    "align": "filter, then align",
    "reduce": "reduce: add up",
}
LINES = ("the cat sees the dog", "the dog runs", "a cat and a dog", "the end")
ORDER = 12  # rows and columns of the dense matrix that is drawn, in blocks of 2 x 2
LAYOUTS = ("row-major", "column-major", "block-cyclic")


def cell(x: float, y: float, width: float, text: str, rank: int, height: float = 22) -> str:
    """A box in the colour of a rank, or of anything else that is counted, with a text in it."""
    edge = f'fill="{PALE[rank % len(PALE)]}" stroke="{INK}" stroke-width="0.7"'
    return box(x, y, width, height, edge) + words(x + width / 2, y + height - 6, text, "middle", INK)


# --- a vector --------------------------------------------------------------------------------------------------------


def partitions() -> Controls:
    """A widget: the elements of a vector on the ranks, before and after each step of the first example."""
    choices = {name: step for step, name in STEPS.items()}
    controls = {
        "elements": Slider("elements", 8, 0, 24),
        "ranks": Slider("ranks", 2, 1, 8),
        "step": menu("step", choices, "scatter"),
    }
    return Controls(draw_partitions, controls)


def parts_after(step: str, elements: int, ranks: int) -> list[list[int]]:
    """What each rank has after a step of the example, on the numbers from 1 on."""
    cuts = [share(elements, rank, ranks)[0] for rank in range(ranks)] + [elements]
    parts = [list(range(first + 1, last + 1)) for first, last in pairwise(cuts)]
    if step == "map":
        return [[2 * value for value in part] for part in parts]
    if step in ("filter", "align"):
        parts = [[value for value in part if value % 3 == 0] for part in parts]
    if step == "align":
        kept = [value for part in parts for value in part]
        return [kept[slice(*share(len(kept), rank, ranks))] for rank in range(ranks)]
    return [[sum(part)] for part in parts] if step == "reduce" else parts


def draw_partitions(elements: int, ranks: int, step: str) -> str:
    """A row of boxes for each rank."""
    parts = parts_after(step, elements, ranks)
    drawn = []
    for rank, part in enumerate(parts):
        top = 4 + 30 * rank
        drawn.append(words(52, top + 16, f"rank {rank}", "end"))
        wide = 60 if step == "reduce" else 25
        drawn += [cell(62 + (wide + 1) * place, top, wide, str(value), rank) for place, value in enumerate(part)]
        if not part:
            drawn.append(words(66, top + 16, "nothing"))
    sizes = ", ".join(str(len(part)) for part in parts)
    said = {
        "scatter": f"Each rank gets neighbours, and nearly as many as the others: {sizes}.",
        "map": "Each rank works on what it has. Nothing is sent.",
        "filter": f"What is left stays where it is. The ranks now have {sizes} elements, which may be uneven.",
        "align": f"align evens out: {sizes}. Now elements were sent, and the order is still that of the vector.",
        "reduce": f"Each rank adds up its own, then {ranks} partial {'sum is' if ranks == 1 else 'sums are'} added: "
        f"{sum(map(sum, parts))}.",
    }
    return page(svg(700, 30 * ranks + 6, f"{STEPS[step]}. {_listed(parts)}", *drawn), paragraph(said[step]))


def _listed(parts: list[list]) -> str:
    return "; ".join(f"rank {rank}: {' '.join(map(str, part)) or 'nothing'}" for rank, part in enumerate(parts))


# --- words -----------------------------------------------------------------------------------------------------------


def word_count() -> Controls:
    """A widget: reduce_by_key of the words of four lines, step by step."""
    return Controls(draw_word_count, {"ranks": Slider("ranks", 2, 1, 4), "step": Slider("step", 0, 0, 3)})


def home(word: str, ranks: int) -> int:
    """The rank where a word is counted. A simple hash, for the picture."""
    return sum(word.encode()) % ranks


def counted(ranks: int, step: int) -> list[list[tuple[str, int]]]:
    """What each rank has: 0, each word once; 1, its own words counted; 2, after the exchange; 3, all counted."""
    cuts = [share(len(LINES), rank, ranks) for rank in range(ranks)]
    parts = [[(word, 1) for line in LINES[slice(*cut)] for word in line.split()] for cut in cuts]
    if step >= 1:
        parts = [_added(part) for part in parts]
    if step >= 2:
        parts = [[pair for part in parts for pair in part if home(pair[0], ranks) == rank] for rank in range(ranks)]
    return [_added(part) for part in parts] if step >= 3 else parts


def _added(pairs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    total: Counter = Counter()
    for word, count in pairs:
        total[word] += count
    return list(total.items())


def draw_word_count(ranks: int, step: int) -> str:
    """A row of words for each rank, in the colour and with the number of the rank where they will be counted."""
    parts, drawn, top = counted(ranks, step), [], 4
    for rank, part in enumerate(parts):
        drawn.append(words(52, top + 16, f"rank {rank}", "end"))
        left = 62
        for word, count in part:
            text = f"{word} {count} \u2192{home(word, ranks)}"
            wide = 14 + 7 * len(text)
            if left + wide > 696:
                left, top = 62, top + 26
            drawn.append(cell(left, top, wide, text, home(word, ranks)))
            left += wide + 3
        top += 32
    before = [(place, pair) for place, part in enumerate(counted(ranks, 1)) for pair in part]
    sent = sum(home(pair[0], ranks) != place for place, pair in before)
    total = sum(len(line.split()) for line in LINES)
    said = (
        f"0: {total} pairs of a word and 1. The arrow and the colour say on which rank a word will be counted.",
        f"1: each rank adds up what it has already. {total} pairs became {len(before)}, and nothing was sent.",
        f"2: each pair goes to its rank; {sent} of {len(before)} had to move. Equal words are now together.",
        "3: each rank adds up. Every word is on one rank, with its count.",
    )
    return page(svg(700, top, f"Step {said[step]} {_pairs(parts)}", *drawn), paragraph(f"Step {said[step]}"))


def _pairs(parts: list[list[tuple[str, int]]]) -> str:
    return _listed([[f"{word} {count}" for word, count in part] for part in parts])


# --- dense matrices --------------------------------------------------------------------------------------------------


def layouts() -> Controls:
    """A widget: which rank has which element of a dense matrix, and who has work when a part of it is done."""
    controls = {
        "layout": menu("layout", LAYOUTS, "row-major"),
        "ranks": Slider("ranks", 4, 1, 8),
        "done": Slider("done", 0, 0, ORDER),
    }
    return Controls(draw_layout, controls)


def owners(layout: str, ranks: int) -> np.ndarray:
    """[ORDER, ORDER], the rank of each element."""
    place = np.arange(ORDER)
    if layout == "block-cyclic":
        high, wide = grid(ranks)
        return place[:, None] // 2 % high * wide + place // 2 % wide
    of = np.concatenate([np.full(last - first, rank) for rank in range(ranks) for first, last in [_cut(rank, ranks)]])
    return np.broadcast_to(of[:, None] if layout == "row-major" else of, (ORDER, ORDER))


def _cut(rank: int, ranks: int) -> tuple[int, int]:
    return share(ORDER, rank, ranks)


def draw_layout(layout: str, ranks: int, done: int) -> str:
    """The matrix, each element with the number of its rank; what elimination has done with is empty."""
    of, side, drawn = owners(layout, ranks), 25, []
    for row, column in np.ndindex(ORDER, ORDER):
        x, y = 4 + side * column, 4 + side * row
        if row < done or column < done:
            drawn.append(box(x, y, side, side, f'{LINE} stroke-opacity="0.25"'))
        else:
            drawn.append(cell(x, y, side, str(of[row, column]), of[row, column], side))
    left = np.bincount(of[done:, done:].ravel(), minlength=ranks)
    largest = max(1, left.max())
    for rank, count in enumerate(left):
        y = 34 + 30 * rank
        drawn.append(words(390, y + 16, f"rank {rank}", "end"))
        drawn.append(cell(400, y, max(22, 220 * count / largest), str(count), rank))
    drawn.append(words(400, 22, "elements that are still to be worked on"))
    busy = int((left > 0).sum())
    text = (
        f"{layout} on {ranks} {'rank' if ranks == 1 else 'ranks'}, {done} rows and columns done: {busy} of {ranks} "
        f"{'has' if busy == 1 else 'have'} work. The busiest has {left.max()} of {left.sum()} elements."
    )
    if left.sum():
        text += f" All ranks working, that is a use of {left.sum() / (ranks * left.max()):.0%}."
    return page(svg(640, 310, text, *drawn), paragraph(text))


# --- singular values -------------------------------------------------------------------------------------------------


def few_values(U: np.ndarray, s: np.ndarray, Vh: np.ndarray) -> Controls:
    """A widget: a grey photograph [height, width] made of the first k singular values and vectors."""

    def draw(k: int) -> str:
        return draw_few_values(U, s, Vh, k)

    return Controls(draw, {"k": Slider("singular values k", min(10, len(s)), 1, len(s))})


def draw_few_values(U: np.ndarray, s: np.ndarray, Vh: np.ndarray, k: int) -> str:
    """The photograph of k values, and what that costs."""
    from matplotlib.image import imsave

    pixels, file = ((U[:, :k] * s[:k]) @ Vh[:k]).clip(0, 1), io.BytesIO()
    imsave(file, pixels, cmap="gray", vmin=0, vmax=1, format="png")
    (high, wide), numbers = pixels.shape, k * (U.shape[0] + Vh.shape[1] + 1)
    missing = (s[k:] ** 2).sum() / (s**2).sum()
    text = (
        f"k = {k}: {numbers:,} numbers instead of {high * wide:,}, {numbers / (high * wide):.0%}. "
        f"What is missing is {missing**0.5:.1%} of the picture."
    )
    image = base64.b64encode(file.getvalue()).decode()
    alt = html.escape(f"A grey photograph of a tower on a hill, made of {k} singular values.")
    return page(
        f'<img alt="{alt}" width="{wide}" height="{high}" style="max-width: 100%" src="data:image/png;base64,{image}">',
        paragraph(text),
    )


# --- errors ----------------------------------------------------------------------------------------------------------


def told_by_ranks(error: BaseException) -> list[str]:
    """What the ranks say of an exception, without the heads of their tracebacks and without the library's own lines."""
    found = []
    for note in getattr(error, "__notes__", []):
        rows = note.splitlines()
        ours = False  # whether a line of source that follows is the library's
        for row in rows:
            if row.lstrip().startswith("File "):
                ours = "frovedis_lite" in row
            elif row.startswith("  ") and ours:
                continue
            if not ours and not row.startswith("Traceback") and set(row.strip()) - set("^~"):
                found.append(row)
            ours = ours and row.startswith("  ")
    found = list(dict.fromkeys(found))
    return found[:-1] if found and found[-1].startswith("On rank") else found
