"""What notebooks show: code, figures with a text for those who cannot see them, times.

Figures are made without pyplot: nothing global, and nothing drawn twice. They are white paper in a dark theme too.
"""

import base64
import html
import io
import itertools
import re
import statistics
import textwrap
import time
from collections.abc import Callable, Sequence

import matplotlib
from IPython.display import Markdown
from matplotlib.figure import Figure

# Two colours that every eye tells apart (Okabe and Ito), and a hatching for print.
OURS, THEIRS = {"color": "#0072b2"}, {"color": "#e69f00", "hatch": "///"}
PIXELS_PER_INCH = 96  # a figure of 9 inches is as wide as a notebook's output

# A multiply-add in the machine code of x86 (with FMA, and before it), arm64 and the Vector Engine.
MULTIPLY_ADD = re.compile(r"\s(vfmadd\w+|v?mulps|fmla|vfmad\.s)\s")


class Picture:
    """A figure for a notebook, with a caption under it and a text in its place for who cannot see it."""

    def __init__(self, figure: Figure, text: str, caption: str) -> None:
        self.figure, self.text, self.caption = figure, text, caption

    def __repr__(self) -> str:
        return f"[figure: {self.text}]"

    def _repr_html_(self) -> str:
        """JupyterLab gives a plain image output no alternative text; as HTML it has one."""
        file = io.BytesIO()
        with matplotlib.rc_context({"hatch.color": "white", "hatch.linewidth": 0.8}):
            self.figure.savefig(file, format="png", dpi=2 * PIXELS_PER_INCH, facecolor="white")
        width = round(self.figure.get_figwidth() * PIXELS_PER_INCH)
        return (
            f'<figure style="margin: 0"><img alt="{html.escape(self.text)}" width="{width}" '
            f'style="max-width: 100%; height: auto" '
            f'src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        )


def code(text: str, language: str = "c", first: str = "", last: str | None = None) -> Markdown:
    """Code in the colours of the notebook's theme, no wider than its column: all of it, or the lines from the first
    that has `first` in it to the next that has `last`.

    Raises:
        ValueError: there is no such line.
    """
    rows = text.splitlines()
    begin = _find(first, rows, 0)
    end = len(rows) - 1 if last is None else _find(last, rows, begin)
    shown = textwrap.dedent("\n".join(rows[begin : end + 1])).splitlines()
    return Markdown("\n".join([f"```{language}", *map(_wrapped, shown), "```"]))


def _find(words: str, rows: list[str], begin: int) -> int:
    found = next((i for i in range(begin, len(rows)) if words in rows[i]), None)
    if found is None:
        raise ValueError(f"no line of the code, from line {begin + 1} on, has {words!r} in it")
    return found


def _wrapped(row: str) -> str:
    indent = " " * (len(row) - len(row.lstrip()) + 8)
    return textwrap.fill(row, 90, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def inner_loop(assembly: str) -> str:
    """The innermost loop that does the most multiply-adds, from its label to the jump back; comments are left out."""
    rows = [re.sub(r"\s+(//|#\s|#$).*", "", row).rstrip() for row in assembly.splitlines()]
    rows = [row for row in rows if row.strip() and not re.match(r"\s+\.", row)]
    labels: dict[str, int] = {}
    loops: list[tuple[int, int]] = []  # the rows of a label and of a jump back to it
    for number, row in enumerate(rows):
        if row.endswith(":"):
            labels[row[:-1]] = number
        else:
            loops += [(labels[word], number) for word in re.findall(r"[.\w]+", row) if word in labels]
    inner = [(begin, end) for begin, end in loops if not any(begin < b and e < end for b, e in loops)]
    begin, end = max(inner, key=lambda loop: multiply_adds(rows[loop[0] : loop[1] + 1]))
    return "\n".join(rows[begin : end + 1]).replace("\n\t", "\n    ").replace("\t", " ")


def machine_code(assembly: str, name: str, floats: int) -> str:
    """The inner loop as HTML, its multiply-adds in bold: the first lines, and the last, with the jump back.

    HTML, so that a widget can show it without an output area: with those, a notebook that runs unattended may hang
    (github.com/jupyter/nbclient/issues/312).
    """
    rows = inner_loop(assembly).splitlines()
    text = f"{name}: {multiply_adds(rows)} multiply-adds of {floats} floats each in the innermost loop"
    shown = [f"<b>{html.escape(row)}</b>" if MULTIPLY_ADD.search(row) else html.escape(row) for row in rows]
    if len(rows) > 20:
        shown[14:-4] = [f"    ... {len(rows) - 18} more lines of this kind"]
    color = "color: var(--jp-content-font-color1, inherit); background: none"
    return f'<div style="{color}">{html.escape(text)}<pre style="{color}">{"&#10;".join(shown)}</pre></div>'


def multiply_adds(rows: Sequence[str]) -> int:
    """How many lines of machine code multiply and add."""
    return sum(bool(MULTIPLY_ADD.search(row)) for row in rows)


def times(functions: dict[str, Callable[[], object]], runs: int = 20, rounds: int = 3) -> dict[str, float]:
    """Median milliseconds of each function, by name.

    They take turns in blocks of `runs` calls. A block begins with a pause, in which threads of the one before stop
    spinning, and with calls that do not count.
    """
    samples: dict[str, list[float]] = {name: [] for name in functions}
    for _, (name, function) in itertools.product(range(rounds), functions.items()):
        time.sleep(0.1)
        for call in range(-3, runs):
            start = time.perf_counter()
            function()
            if call >= 0:
                samples[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in samples.items()}


def photo(pixels, text: str, caption: str) -> Picture:
    """A photograph; pixels are [height, width, 3], from 0 to 1."""
    figure = Figure(figsize=(3.2, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(pixels.clip(0, 1))
    axes.set_axis_off()
    return Picture(figure, text, caption)


def bars(profile: Sequence, labels: Sequence[str]) -> Picture:
    """`sol_model.profile(x)` as pairs of bars: milliseconds of each cluster in solkit and in PyTorch."""
    figure = Figure(figsize=(9, 1 + 0.36 * len(profile)), layout="constrained")
    axes = figure.subplots()
    for name, shift, style in (("solkit", -0.2, OURS), ("PyTorch", 0.2, THEIRS)):
        values = [getattr(row, f"{name.lower()}_ms") for row in profile]
        made = axes.barh([place + shift for place in range(len(values))], values, 0.4, label=name, **style)
        axes.bar_label(made, fmt="%.2f", padding=3, fontsize=8)
    axes.set_yticks(range(len(profile)), labels)
    axes.invert_yaxis()  # the first cluster on top, as the network runs
    axes.set_xlabel("milliseconds, median (shorter is faster)")
    axes.margins(x=0.08, y=0.01)
    axes.legend(loc="lower right", ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    ours, theirs = sum(row.solkit_ms for row in profile), sum(row.pytorch_ms for row in profile)
    text = f"Bars for {len(profile)} clusters; in sum {ours:.1f} ms in solkit and {theirs:.1f} ms in PyTorch."
    return Picture(figure, text, f"{text} Measured on this machine, now.")


def trips() -> Picture:
    """Three layers and one fused kernel: what goes to memory and comes back."""
    figure = Figure(figsize=(9, 3.3), layout="constrained")
    panels = figure.subplots(1, 2, width_ratios=[3, 1.6])
    plane = "[1000,\n13, 13]"
    _trips(panels[0], "three layers: three trips", [
        ("Conv 1x1\n+ bias", "input,\nweights", plane), ("ReLU", plane, plane), ("AvgPool\n13x13", plane, "result"),
    ])  # fmt: skip
    _trips(panels[1], "one fused kernel: one trip", [("Conv + bias\n+ ReLU\n+ AvgPool", "input,\nweights", "result")])
    text = (
        "Left, three layers: the convolution reads input and weights and writes a tensor of 1000 x 13 x 13 numbers, "
        "ReLU reads it and writes another, AvgPool reads that and writes the result. Right, one fused kernel: it "
        "reads input and weights and writes the result."
    )
    return Picture(figure, text, "Each arrow is a tensor on its way from memory, or back to it.")


def _trips(axes, title: str, layers: list[tuple[str, str, str]]) -> None:
    wide, arrow = 2.4 * len(layers), {"arrowstyle": "-|>", "linewidth": 2, "color": "#333333"}
    axes.set(xlim=(0, wide), ylim=(-0.1, 3.1))
    axes.set_title(title, fontsize=11)
    axes.set_axis_off()
    axes.add_patch(matplotlib.patches.Rectangle((0, 0), wide, 0.5, facecolor="#d9d9d9"))
    axes.text(wide / 2, 0.25, "memory", ha="center", va="center", fontsize=11)
    for number, (name, read, written) in enumerate(layers):
        left = 2.4 * number + 0.2
        axes.add_patch(matplotlib.patches.Rectangle((left, 2.1), 2.0, 0.9, facecolor=OURS["color"]))
        axes.text(left + 1, 2.55, name, ha="center", va="center", color="white", fontsize=11)
        for x, label, (begin, end) in ((left + 0.5, read, (0.5, 2.1)), (left + 1.5, written, (2.1, 0.5))):
            axes.annotate("", (x, end), (x, begin), arrowprops=arrow)
            axes.text(x, 1.3, label, ha="center", va="center", fontsize=9, backgroundcolor="white")
