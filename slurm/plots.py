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
    """Return figures as HTML, for each lab; in each figure a panel for each parameter that this lab has.

    Numbers of one unit, "CRS, ms" and "ELL, ms", share a figure, as long as their lines can be told apart.
    """
    found = []
    for lab in sorted({run.lab for run in runs}):
        mine = [run for run in runs if run.lab == lab]
        swept = [name for name in names if name in mine[0].parameters]
        units: dict[str, list[str]] = {}
        for quantity in quantities:
            if any(_has(run, quantity) for run in mine):
                units.setdefault(quantity.rpartition(", ")[2], []).append(quantity)
        most = max((len({_others(run, name, swept) for run in mine}) for name in swept), default=0)
        for group in units.values():
            together = [group] if most * len(group) <= len(STYLES) else [[quantity] for quantity in group]
            found += [_picture(lab, mine, swept, some)._repr_html_() for some in together if swept]
    return found


def _has(run, quantity: str) -> bool:
    return run.state == "ok" and quantity in run.numbers


def _others(run, name: str, names: Sequence[str]) -> str:
    """Return all parameters but one, in words."""
    return ", ".join(f"{other}={run.parameters[other]}" for other in names if other != name)


def _picture(lab: str, runs: Sequence, names: Sequence[str], quantities: Sequence[str]) -> Picture:
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(max(WIDTH * columns, 6.5), 3.9 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    texts = [_panel(axes, runs, name, names, quantities) for axes, name in zip(panels, names, strict=False)]
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes in panels[: len(names) : columns]:
        axes.set_ylabel(quantities[0] if len(quantities) == 1 else quantities[0].rpartition(", ")[2])
    caption = f"Lab {lab} over {' and over '.join(names)}: {'; '.join(quantities)}."
    return Picture(figure, " ".join(texts), caption)


def _panel(axes: Axes, runs: Sequence, name: str, names: Sequence[str], quantities: Sequence[str]) -> str:
    """Draw numbers over one parameter; return the same in words."""
    values = list(dict.fromkeys(run.parameters[name] for run in runs))
    ordered = all(map(NUMBER.fullmatch, values))  # between names there is nothing that a line could show
    places = _places(axes, values, ordered)
    lines: dict[str, list] = {}  # of runs that differ in nothing else
    for quantity, run in itertools.product(quantities, runs):
        several = quantity.rpartition(", ")[0] if len(quantities) > 1 else ""
        label = ", ".join(filter(None, [several, _others(run, name, names)]))
        number = run.numbers[quantity] if _has(run, quantity) else math.nan  # the line has a gap there
        lines.setdefault(label, []).append((places[run.parameters[name]], number))
    for (label, points), (color, marker, line) in zip(lines.items(), itertools.cycle(STYLES), strict=False):
        if len(lines) > len(STYLES):  # too many to tell apart
            (color, marker, _), line, label = STYLES[0], "", ""
        x, y = zip(*sorted(points, key=lambda point: point[0]), strict=True)
        axes.plot(x, y, color=color, marker=marker, linestyle=line if ordered else "", label=label or None)
    lost = {places[run.parameters[name]] for run in runs if not all(_has(run, quantity) for quantity in quantities)}
    axes.plot(sorted(lost), [0.03] * len(lost), "kx", markersize=9, transform=axes.get_xaxis_transform())
    axes.set_xlabel(name)
    _scale(axes, [number for points in lines.values() for _, number in points if not math.isnan(number)])
    axes.grid(axis="y", alpha=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    if lost:
        handles.append(Line2D([], [], color="black", marker="x", markersize=9, linestyle=""))
        labels.append("no result")
    if labels:
        # Above, where no line is.
        axes.legend(handles, labels, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return " ".join(f"{quantity} over {name}: {_words(runs, name, values, quantity)}." for quantity in quantities)


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
        axes.yaxis.set_major_formatter("{x:g}")
    elif min(numbers) >= 0:
        axes.set_ylim(0, 1.12 * max(numbers) or 1)


def _words(runs: Sequence, name: str, values: Sequence[str], quantity: str) -> str:
    """Return the median for each value of a parameter."""
    found = []
    for value in values:
        numbers = [run.numbers[quantity] for run in runs if _has(run, quantity) and run.parameters[name] == value]
        many = f" (median of {len(numbers)})" if len(numbers) > 1 else ""
        found.append(f"{value}: {statistics.median(numbers):.4g}{many}" if numbers else f"{value}: no result")
    return ", ".join(found)
