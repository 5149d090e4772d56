"""The plots of slurm/merge.py: each number that the runs have, over each parameter that was varied."""

import itertools
import math
import re
import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from labs.show import Picture

# Seven that differ in colour (Okabe and Ito), marker and line, so that each of these is enough to tell them apart.
STYLES = [
    ("#0072b2", "o", "-"),
    ("#d55e00", "s", "--"),
    ("#009e73", "^", "-."),
    ("#cc79a7", "D", ":"),
    ("#000000", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#b8860b", "P", (0, (1, 3))),
    ("#56b4e9", "X", (0, (8, 3))),
]
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?")
WIDTH = 4.4  # of a panel, in inches


def figures(runs: Sequence, names: Sequence[str], quantities: Sequence[str]) -> list[str]:
    """Return figures as HTML, one for each lab and number; in each a panel for each parameter that this lab has."""
    found = []
    for lab in sorted({run.lab for run in runs}):
        mine = [run for run in runs if run.lab == lab]
        swept = [name for name in names if name in mine[0].parameters]
        for quantity in quantities:
            if swept and any(_has(run, quantity) for run in mine):
                found.append(_picture(lab, mine, swept, quantity)._repr_html_())
    return found


def _has(run, quantity: str) -> bool:
    return run.state == "ok" and quantity in run.numbers


def _picture(lab: str, runs: Sequence, names: Sequence[str], quantity: str) -> Picture:
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    width = max(WIDTH * columns, 6.5)
    figure = Figure(figsize=(width, 3.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    texts = [_panel(axes, runs, name, names, quantity) for axes, name in zip(panels, names, strict=False)]
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes in panels[: len(names) : columns]:
        axes.set_ylabel(quantity)
    return Picture(figure, " ".join(texts), f"Lab {lab}: {quantity}, over {' and over '.join(names)}.")


def _panel(axes: Axes, runs: Sequence, name: str, names: Sequence[str], quantity: str) -> str:
    """Draw one number over one parameter; return the same in words."""
    values = list(dict.fromkeys(run.parameters[name] for run in runs))
    ordered = all(map(NUMBER.fullmatch, values))  # between names there is nothing that a line could show
    places = _places(axes, values, ordered)
    good = [run for run in runs if _has(run, quantity)]
    groups: dict[str, list] = {}  # a line for each: runs that differ in nothing else
    for run in runs:
        others = [f"{other}={run.parameters[other]}" for other in names if other != name]
        groups.setdefault(", ".join(others), []).append(run)
    for (label, group), (color, marker, line) in zip(groups.items(), itertools.cycle(STYLES), strict=False):
        if len(groups) > len(STYLES):  # too many to tell apart
            (color, marker, _), line, label = STYLES[0], "", ""
        group.sort(key=lambda run: places[run.parameters[name]])
        x = [places[run.parameters[name]] for run in group]
        y = [run.numbers[quantity] if _has(run, quantity) else math.nan for run in group]  # the line has a gap there
        axes.plot(x, y, color=color, marker=marker, linestyle=line if ordered else "", label=label or None)
    lost = sorted({places[run.parameters[name]] for run in runs if not _has(run, quantity)})
    axes.plot(lost, [0.03] * len(lost), "kx", markersize=9, transform=axes.get_xaxis_transform())
    axes.set_xlabel(name)
    _scale(axes, [run.numbers[quantity] for run in good])
    axes.grid(axis="y", alpha=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    if lost:
        handles.append(Line2D([], [], color="black", marker="x", markersize=9, linestyle=""))
        labels.append("no result")
    if labels:
        axes.legend(handles, labels, fontsize=8)
    return f"{quantity} over {name}: {_words(good, name, values, quantity)}."


def _places(axes: Axes, values: Sequence[str], ordered: bool) -> dict[str, float]:
    """Return where each value is on the axis: numbers by their size, anything else side by side."""
    if not ordered:
        axes.set_xticks(range(len(values)), values)
        axes.margins(x=0.15)
        return {value: float(place) for place, value in enumerate(values)}
    numbers = [float(value) for value in values]
    if len(values) > 2 and min(numbers) > 0 and max(numbers) >= 8 * min(numbers):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_minor_locator(NullLocator())
    if len(values) <= 10:
        axes.set_xticks(numbers, values)
    return dict(zip(values, numbers, strict=True))


def _scale(axes: Axes, numbers: Sequence[float]) -> None:
    """From zero, so that lengths may be compared; logarithmic if the small ones could not be seen then."""
    if min(numbers) > 0 and max(numbers) > 30 * min(numbers):
        axes.set_yscale("log")
    elif min(numbers) >= 0:
        axes.set_ylim(0, 1.12 * max(numbers) or 1)


def _words(good: Sequence, name: str, values: Sequence[str], quantity: str) -> str:
    """Return the median for each value of a parameter."""
    found = []
    for value in values:
        numbers = [run.numbers[quantity] for run in good if run.parameters[name] == value]
        many = f" (median of {len(numbers)})" if len(numbers) > 1 else ""
        found.append(f"{value}: {statistics.median(numbers):.4g}{many}" if numbers else f"{value}: no result")
    return ", ".join(found)
