"""Pictures of lab 02: a block before and after fusion, times by cluster, implementations, one cluster as text."""

import html
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from labs.show import OURS, THEIRS, Picture
from solkit import autotune, cache
from solkit.target import host

INK = "#333333"
MATRIX, LOOPS, OUTSIDE = OURS, THEIRS, {"color": "#999999", "hatch": "..."}
_LOOK = {"DNN": (MATRIX, "white"), "DFP": (LOOPS, "black"), "PyTorch": (OUTSIDE, "black")}
CELL = "text-align: left; vertical-align: top; padding: 2px 12px 2px 0; color: inherit"


def fusion(nodes: Sequence, rows: Sequence, prefix: str) -> Picture:
    """A part of a network before and after: operators on the left, the clusters they became on the right.

    Args:
        nodes: of the captured graph, before all passes.
        rows: of `explain()`.
        prefix: the dotted name of the part ("features.3").
    """
    nodes = [node for node in nodes if _within(node.layer, prefix) and node.op != "scalar"]
    rows = [row for row in rows if any(_within(name, prefix) for name in _layers(row))]
    homes = [next((i for i, row in enumerate(rows) if node.layer in _layers(row)), None) for node in nodes]
    rows = [row for number, row in enumerate(rows) if number in homes]  # none that only moves data
    homes = [next((i for i, row in enumerate(rows) if node.layer in _layers(row)), None) for node in nodes]
    figure = Figure(figsize=(9, 0.45 * len(nodes) + 0.7), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 9), ylim=(len(nodes) - 0.4, -1.1))
    axes.set_axis_off()
    axes.text(1.75, -0.8, f"{len(nodes)} operators, as you wrote them", ha="center", fontsize=11, color=INK)
    axes.text(6.8, -0.8, f"{len(rows)} clusters, as they run", ha="center", fontsize=11, color=INK)
    for place, node in enumerate(nodes):
        _box(axes, 0.2, place - 0.33, 3.1, 0.66, "#ffffff", 1)
        axes.text(0.35, place, node.op, va="center", fontsize=10, color=INK)
        axes.text(3.2, place, node.layer.removeprefix(prefix).strip(".") or "shortcut", va="center", ha="right",
                  fontsize=9, color="#595959")  # fmt: skip
    for number, row in enumerate(rows):
        mine = [place for place, home in enumerate(homes) if home == number]
        top, bottom = min(mine) - 0.33, max(mine) + 0.33
        look, ink = _LOOK[row.kind]
        _box(axes, 4.6, top, 4.3, bottom - top, look["color"], 1)
        middle = (top + bottom) / 2
        axes.text(6.75, middle, f"#{row.number} {row.kind}\n" + _broken(row.ops), va="center", ha="center",
                  fontsize=10, color=ink, linespacing=1.5)  # fmt: skip
        for place in mine:
            axes.plot([3.3, 4.6], [place, min(max(place, top + 0.2), bottom - 0.2)], color=INK, linewidth=1)
    text = f"{prefix}: {len(nodes)} operators ({', '.join(n.op for n in nodes)}) become {len(rows)} clusters: " + (
        "; ".join(row.ops for row in rows)
    )
    return Picture(figure, text, "Left: operators with the end of their layer's name. A line leads to the cluster that "
                   "does its work; a batch norm's is folded into the weights.")  # fmt: skip


def _within(layer: str, prefix: str) -> bool:
    return layer == prefix or layer.startswith(f"{prefix}.")


def _layers(row) -> list[str]:
    return row.layers.split(", ")


def _broken(ops: str, width: int = 34) -> str:
    """A chain of operators in lines that fit into a box."""
    lines = [""]
    for op in ops.split(" -> "):
        if len(lines[-1]) + len(op) > width:
            lines.append("")
        lines[-1] += f"{op} -> "
    return "\n".join(lines).removesuffix(" -> ")


def _box(axes, left: float, top: float, width: float, height: float, color: str, line: float) -> None:
    shape = FancyBboxPatch((left, top), width, height, boxstyle="round,pad=0,rounding_size=0.08",
                           facecolor=color, edgecolor=INK, linewidth=line)  # fmt: skip
    axes.add_patch(shape)


def strip(profile: Sequence, rows: Sequence) -> Picture:
    """Milliseconds of each cluster as bars side by side, by kind; below it what PyTorch needs for the same work."""
    kinds = {row.number: row.kind for row in rows}
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    for kind in ("DNN", "DFP"):
        mine = [row for row in profile if kinds[row.number] == kind]
        if mine:
            upper.bar([row.number for row in mine], [row.solkit_ms for row in mine], 0.8, label=kind, **_LOOK[kind][0])
    lower.bar([row.number for row in profile], [row.pytorch_ms for row in profile], 0.8, color="#999999",
              hatch="...")  # fmt: skip
    upper.set_ylabel("solkit, ms")
    lower.set_ylabel("PyTorch, ms")
    last = max((row.number for row in profile), default=0)
    lower.set_xticks(range(0, last + 1, 1 if last < 40 else 5))
    lower.tick_params(axis="x", labelsize=8)
    lower.set_xlabel("number of the cluster, in the order they run (the two scales differ)")
    upper.legend(title="kind", ncols=2, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    for axes in (upper, lower):
        axes.margins(x=0.01)
        axes.spines[["top", "right"]].set_visible(False)
    ours, theirs = sum(row.solkit_ms for row in profile), sum(row.pytorch_ms for row in profile)
    text = (
        f"{len(profile)} clusters: in sum {ours:.1f} ms in solkit, {theirs:.1f} ms in PyTorch for the same operators."
    )
    return Picture(figure, text, f"{text} Measured on this machine, now.")


@dataclass(frozen=True)
class Measured:
    """Clusters whose results have one shape, and the mean milliseconds of each implementation of them."""

    numbers: tuple[int, ...]
    shape: tuple[int, ...]
    times: dict[str, float]

    @property
    def best(self) -> str:
        return min(self.times, key=self.times.get)


def measured(model) -> list[Measured]:
    """What the optimizer measured, once, for each shape that has several implementations; from its cache."""
    groups: dict[tuple[int, ...], list[tuple[int, dict[str, float]]]] = {}
    for number, cluster in enumerate(model.explain().clusters):
        kept = cache.find(autotune._signature(cluster, host())) if cluster.losers else None
        if kept is not None:
            times = json.loads((kept / autotune._FILE).read_text())
            groups.setdefault(cluster.outputs[0].shape, []).append((number, times))
    return [
        Measured(
            tuple(number for number, _ in members),
            tuple(shape),
            {name: statistics.fmean(times[name] for _, times in members) for name in sorted(members[0][1])},
        )
        for shape, members in groups.items()
    ]


def implementations(groups: Sequence[Measured]) -> Picture:
    """For each shape what each implementation took; the best is named above its bar."""
    names = sorted({name for group in groups for name in group.times})
    looks = dict(zip(names, ({"color": "#dddddd", "edgecolor": INK}, LOOPS, MATRIX), strict=False))
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    wide = 0.8 / max(1, len(names))
    for shift, name in enumerate(names):
        there = [(place, group.times[name]) for place, group in enumerate(groups) if name in group.times]
        places = [place + (shift - (len(names) - 1) / 2) * wide for place, _ in there]
        axes.bar(places, [ms for _, ms in there], wide, label=name, **looks.get(name, OUTSIDE))
        for place, (number, ms) in zip(places, there, strict=True):
            if groups[number].best == name:
                axes.text(place, ms, "fastest", ha="center", va="bottom", fontsize=9)
    axes.set_xticks(range(len(groups)), [_group(group) for group in groups], fontsize=9)
    axes.set_ylabel("ms (shorter is faster)")
    axes.margins(y=0.28)
    axes.spines[["top", "right"]].set_visible(False)
    if names:
        axes.legend(ncols=len(names), loc="upper left", fontsize=9)
    said = "; ".join(
        f"{_size(group)}: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in group.times.items()) for group in groups
    )
    return Picture(
        figure,
        f"Times of the implementations for {len(groups)} shapes. {said}.",
        "One group of bars for each shape of result (channels x height x width), and the clusters that make it. "
        "Measured on this machine, when the network was optimized for the first time.",
    )


def _size(group: Measured) -> str:
    return " x ".join(map(str, group.shape[1:]))


def _group(group: Measured) -> str:
    return f"{_size(group)}\nclusters {', '.join(map(str, group.numbers))}"


def cluster(explanation, number: int) -> str:
    """One cluster as HTML: what is in it, and how its C begins."""
    row = explanation.rows[number]
    entries = [
        ("kind", row.kind),
        ("operators", row.ops),
        ("layers", row.layers),
        ("reads", ", ".join(map(str, row.reads))),
        ("makes", f"{row.result}, layout {row.layout}"),
        ("work", f"{row.mflop:.1f} MFLOP, {row.mbytes:.2f} MB"),
    ]
    if row.ms is not None:
        entries.append(("time", f"{row.ms:.3f} ms, {row.gflops or 0:.1f} GFLOP/s"))
    if row.implementation:
        entries.append(("implementation", row.implementation))
    cells = "".join(
        f'<tr><th scope="row" style="{CELL}">{html.escape(name)}</th><td style="{CELL}">{html.escape(value)}</td></tr>'
        for name, value in entries
    )
    source = "" if row.kind == "PyTorch" else _first_lines(explanation.source(number))
    ink = "color: var(--jp-content-font-color1, inherit); background: none"
    return (
        f'<div style="{ink}"><table style="margin: 0"><caption style="text-align: left; {ink}">Cluster {number} of '
        f"{len(explanation.rows)}</caption><tbody>{cells}</tbody></table>{source}</div>"
    )


def _first_lines(source: str, most: int = 12) -> str:
    lines = [line[:100] for line in source.splitlines() if line.strip() and not line.startswith(("#", "//"))]
    text = html.escape("\n".join(lines[:most])).replace("\n", "&#10;")
    ink = "color: var(--jp-content-font-color1, inherit); background: none; "
    ink += "font-family: var(--jp-code-font-family, monospace)"
    return (
        f"<div>Its C, {len(source.splitlines())} lines, begins:</div>"
        f'<pre tabindex="0" style="{ink}; max-width: 100%; overflow: auto">{text}</pre>'
    )
