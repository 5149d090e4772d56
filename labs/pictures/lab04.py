"""What lab 04 shows and reads: the beginning of an ONNX graph, what the recognizer sees, text where it was found."""

import base64
import html
import io
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from labs import ocr_pictures
from labs.ocr import HEIGHT, Line, Reader
from labs.show import OURS, THEIRS, Picture
from solkit.explain import Explanation

WIDTHS = (512, 1024)  # of lines for the recognizer: each takes a moment when it is first seen
PAGE = (960, 736)  # pixels of a page, which the detector takes as they are
SHAPES = {"detect": (1, 3, PAGE[1], PAGE[0]), "direct": (1, 3, HEIGHT, 192)}

MARGIN = 12  # pixels of paper around a drawn line
INK = "#333333"
CELL = "text-align: left; padding: 2px 12px 2px 0; vertical-align: top; color: inherit"


def line(text: str, noise: float = 0.0, blur: float = 0.0, size: int = 40) -> Image.Image:
    """A line of text on paper, as a picture (RGB); the same text with the same noise gives the same picture.

    Args:
        noise: standard deviation, 1 is from black to white; blur: radius in pixels.
        size: of the letters, in pixels.
    """
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text or " ")
    paper = (round(right - left) + 2 * MARGIN, round(max(bottom - top, 0.75 * size)) + 2 * MARGIN)
    made = Image.new("RGB", paper, ocr_pictures.PAPER)
    ImageDraw.Draw(made).text((MARGIN - left, MARGIN - top), text, fill=ocr_pictures.INK, font=font)
    made = made.filter(ImageFilter.GaussianBlur(blur)) if blur else made
    if noise:
        spread = 255 * noise * np.random.default_rng(0).standard_normal((made.height, made.width, 1))
        made = Image.fromarray((np.asarray(made) + spread).clip(0, 255).astype(np.uint8))
    return made


def mounted(photo: Image.Image) -> Image.Image:
    """A photograph on a page of the size of the drawn one."""
    page = Image.new("RGB", PAGE, ocr_pictures.PAPER)
    wide = PAGE[0] - 60
    page.paste(photo.resize((wide, round(wide * photo.height / photo.width)), Image.Resampling.BICUBIC), (30, 60))
    return page


class TwoWidths(Reader):
    """A reader that stretches each line to the next of `WIDTHS`."""

    def recognize(self, line: Image.Image) -> tuple[str, float]:
        natural = HEIGHT * line.width / line.height
        width = next((width for width in WIDTHS if width >= natural), WIDTHS[-1])
        return super().recognize(line.resize((width, HEIGHT), Image.Resampling.BICUBIC))


def image(picture: Image.Image, text: str, width: int = 0) -> str:
    """A picture as HTML, with a text for those who cannot see it; `width` in pixels, its own by default."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<img alt="{html.escape(text)}" width="{width or picture.width}" style="max-width: 100%; height: auto" '
        f'src="data:image/png;base64,{data}">'
    )


# --- the graph -------------------------------------------------------------------------------------------------------


def beginning(proto, count: int = 9) -> Picture:
    """The first nodes of an ONNX graph that compute something, from top to bottom, with who reads whose result.

    Args:
        proto: a ModelProto; its constants are drawn as text beside the node that reads them.
    """
    constants = _constants(proto.graph)
    nodes = [node for node in proto.graph.node if node.op_type != "Constant"][:count]
    places = {value.name: -1 for value in proto.graph.input}
    places |= {name: row for row, node in enumerate(nodes) for name in node.output}
    figure = Figure(figsize=(9, 0.62 * (len(nodes) + 1)), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-2.2, 6.6), ylim=(len(nodes) - 0.4, -1.5))
    axes.set_axis_off()
    _node(axes, -1, f"input {proto.graph.input[0].name}", "#ffffff", INK)
    for row, node in enumerate(nodes):
        _node(axes, row, node.op_type, OURS["color"], "white")
        shapes = [constants[name] for name in node.input if name in constants]
        weights = [str(list(shape)) if np.prod(shape) > 1 else "one number" for shape in shapes]
        beside = f"constants: {', '.join(weights)}" if weights else ""
        axes.text(1.4, row, beside, va="center", fontsize=10, color=INK)
        for name in node.input:
            if name in places:
                _edge(axes, places[name], row)
    read = Counter(places[name] for node in nodes for name in node.input if name in places)
    twice = [nodes[row].op_type for row, times in read.items() if times > 1 and row >= 0]
    names = ", ".join(node.op_type for node in nodes)
    text = f"A chain of nodes from top to bottom: {names}. Read by two nodes: the result of {' and '.join(twice)}."
    return Picture(
        figure, text, "Each box is a node of the file. An arrow is a tensor; a curved one skips nodes on its way."
    )


def _constants(graph) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors in the file, by name: initializers, and the values of Constant nodes."""
    found = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = next((tuple(a.t.dims) for a in node.attribute if a.name == "value"), ())
    return found


def _node(axes, row: int, name: str, color: str, ink: str) -> None:
    axes.add_patch(
        FancyBboxPatch((-1, row - 0.27), 2, 0.54, boxstyle="round,pad=0,rounding_size=0.1", facecolor=color, ec=INK)
    )
    axes.text(0, row, name, ha="center", va="center", fontsize=11, color=ink)


def _edge(axes, begin: int, end: int) -> None:
    arrow = {"arrowstyle": "-|>", "linewidth": 1.5, "color": INK}
    if end == begin + 1:
        axes.annotate("", (0, end - 0.27), (0, begin + 0.27), arrowprops=arrow)
    else:  # around the nodes between
        arrow["connectionstyle"] = f"arc3,rad={0.9 / (end - begin) + 0.25}"
        axes.annotate("", (-1, end), (-1, begin), arrowprops=arrow)


def operators(nodes: Mapping[str, int], most: int = 10) -> Picture:
    """How often each operator is in a file, the most frequent first; constants are hatched.

    Args:
        nodes: how many there are, by operator.
    """
    top = Counter(nodes).most_common(most)
    rest = sum(nodes.values()) - sum(number for _, number in top)
    rows = [*top, *([("all others", rest)] if rest else [])]
    figure = Figure(figsize=(9, 0.6 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, (name, number) in enumerate(rows):
        bar = axes.barh(place, number, 0.7, **(THEIRS if name == "Constant" else OURS))
        axes.bar_label(bar, padding=3, fontsize=9)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.set_xlabel("nodes")
    axes.margins(x=0.08, y=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    text = f"Bars for the operators of {sum(nodes.values())} nodes: " + ", ".join(f"{n} {name}" for name, n in rows)
    return Picture(figure, f"{text}.", "How often each operator is in the file. Hatched: nodes that compute nothing.")


# --- the recognizer --------------------------------------------------------------------------------------------------


def steps(picture: Image.Image, probabilities: np.ndarray, names: Sequence[str], text: str) -> Picture:
    """The probabilities of a line over its time steps, under its picture.

    Args:
        picture: the line, whose width all time steps share.
        probabilities: float32 [T, classes]; names: of the classes.
        text: what was read.
    """
    best = probabilities.argmax(axis=1)
    rows = [0, *dict.fromkeys(int(index) for index in best if index)]  # no character, then each in order
    figure = Figure(figsize=(9, 1.3 + 0.24 * len(rows)), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[1, 0.32 * len(rows)], sharex=True)
    count = len(best)
    above.imshow(np.asarray(picture), extent=(-0.5, count - 0.5, 0, 1), aspect="auto")
    above.set_axis_off()
    shown = below.imshow(probabilities[:, rows].T, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    below.set_yticks(range(len(rows)), [_named(names[index]) for index in rows], fontsize=9)
    below.set_xlabel("time step")
    below.set_ylabel("class")
    before = [0, *best[:-1]]
    for step in np.flatnonzero((best != before) & (best != 0)):  # where a letter begins
        name, ink = names[best[step]], "white" if probabilities[step, best[step]] > 0.55 else INK
        below.text(step, rows.index(best[step]), name if name.isascii() else "?", ha="center", va="center", color=ink)
    figure.colorbar(shown, ax=below, label="probability", fraction=0.03, pad=0.01)
    none = float(np.mean(best == 0))
    alternative = (
        f"A map of {count} time steps and {len(rows)} classes under the picture of the line. The letters of "
        f"{text!r} light up one after the other from left to right; at {none:.0%} of the steps it is 'no character'."
    )
    return Picture(figure, alternative, f"What the recognizer says at each of {count} steps. It reads: {text}")


def _named(name: str) -> str:
    """A class's name in letters that every font has."""
    return {"": "none", " ": "space"}.get(name, name if name.isascii() else f"U+{ord(name[0]):04X}")


def at_step(probabilities: np.ndarray, names: Sequence[str], step: int, count: int = 5) -> str:
    """The most likely classes at one time step as HTML, with a bar for each."""
    rows = []
    for index in np.argsort(probabilities[step])[::-1][:count]:
        share = float(probabilities[step, index])
        width = max(1, round(240 * share))
        bar = f'<span style="display: inline-block; height: 0.8em; width: {width}px; background: #0072b2"></span>'
        name = html.escape({"": "no character", " ": "space"}.get(names[index], names[index]))
        rows.append(f'<tr><th scope="row" style="{CELL}">{name}</th><td style="{CELL}">{bar} {share:.3f}</td></tr>')
    return _table(f"step {step} of {len(probabilities)}", ("class", "probability"), rows)


def reading(picture: Image.Image, written: str, said: str, sure: float) -> str:
    """A line and what was read of it, as HTML."""
    same = "as it was written" if said == written else "not as it was written"
    return (
        f'<div style="color: var(--jp-content-font-color1, inherit)">{image(picture, f"The line {written!r}.")}'
        f"<p>read: <b>{html.escape(said) or '(nothing)'}</b> ({same}; sure: {sure:.2f})</p></div>"
    )


def code_by_width(model) -> dict[int, str]:
    """The C text that runs for each width that an optimized network was called with, in that order."""
    # explain(x) would say it too, but measures every cluster on the way.
    return {shapes[0][3]: Explanation(made.engine).source() for shapes, made in model._shapes._table.items()}


# --- pages -----------------------------------------------------------------------------------------------------------


def boxes(picture: Image.Image, lines: Sequence[Line], probability: np.ndarray | None = None) -> Picture:
    """Numbered boxes around the lines of a picture; with the detector's map [H, W], that beside it."""
    panels = 1 if probability is None else 2
    wide, title = (4.5, 0.4) if panels == 2 else (7.0, 0.0)
    figure = Figure(figsize=(panels * wide, wide * picture.height / picture.width + title), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, panels))
    for one in axes:
        one.set_axis_off()
    if probability is not None:
        axes[0].imshow(probability, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes[0].set_title("where text is likely", fontsize=11)
        axes[1].set_title("lines, in reading order", fontsize=11)
    axes[-1].imshow(np.asarray(picture), aspect="auto")
    for number, item in enumerate(lines, 1):
        axes[-1].add_patch(Polygon(item.box.corners, fill=False, linewidth=1.8, edgecolor=OURS["color"]))
        (x, y), (_, below) = item.box.corners[[0, 3]]
        circle = {"boxstyle": "circle,pad=0.15", "facecolor": OURS["color"], "edgecolor": "white"}
        left, middle = x - 0.024 * picture.width, (y + below) / 2  # beside the first letter
        axes[-1].text(left, middle, str(number), ha="center", va="center", fontsize=9, color="white", bbox=circle)
    text = f"A picture with numbered boxes around {len(lines)} lines of text: " + "; ".join(
        f"{number} {item.text}" for number, item in enumerate(lines, 1)
    )
    return Picture(figure, f"{text}.", f"{len(lines)} lines of text were found.")


def beside(ours: Sequence[Line], theirs: Sequence[Line]) -> HTML:
    """What two engines read, line by line."""
    rows = []
    for number, (mine, yours) in enumerate(itertools.zip_longest(ours, theirs), 1):
        texts = [item.text if item else "(no such line)" for item in (mine, yours)]
        same = "yes" if texts[0] == texts[1] else "no"
        score = f"{mine.score:.3f}" if mine else ""
        cells = "".join(f'<td style="{CELL}">{html.escape(cell)}</td>' for cell in (*texts, same, score))
        rows.append(f'<tr><th scope="row" style="{CELL}">{number}</th>{cells}</tr>')
    return HTML(_table("What was read", ("line", "solkit", "ONNX Runtime", "same", "sure"), rows))


def _table(caption: str, head: Sequence[str], rows: Sequence[str]) -> str:
    top = "".join(f'<th scope="col" style="{CELL}">{html.escape(cell)}</th>' for cell in head)
    color = "color: var(--jp-content-font-color1, inherit); background: none; font-size: inherit"
    return (
        f'<table style="{color}"><caption style="text-align: left; color: inherit">{html.escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )
