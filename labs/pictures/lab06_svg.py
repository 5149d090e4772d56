"""What the widgets of lab 06 are drawn with: SVG that follows the notebook's theme, and controls beside it.

A drawing is a function of numbers that returns HTML. `controls` shows it with a slider or menu for each number. No
output areas: with those, a notebook that runs unattended may hang (github.com/jupyter/nbclient/issues/312).
"""

import html
import itertools
from collections.abc import Callable, Sequence

import ipywidgets

# The theme's ink on the theme's paper. Blue is dark enough for white letters, orange light enough for black ones.
INK = "color: var(--jp-content-font-color1, inherit); background: none; line-height: 1.45"
BLUE, ORANGE = "#0072b2", "#e69f00"
LINE = 'fill="none" stroke="currentColor"'


class Controls(ipywidgets.VBox):
    """Controls above what they draw. A viewer without a kernel, which cannot show widgets, shows the first drawing."""

    def __init__(self, draw: Callable[..., str], named: dict[str, ipywidgets.Widget]) -> None:
        self.draw, self.named = draw, named
        self.first = self._drawn()
        self.drawing = ipywidgets.HTML(self.first, layout={"width": "100%"})
        for control in named.values():
            control.observe(self._again, "value")
        super().__init__([*named.values(), self.drawing])

    def _drawn(self) -> str:
        return self.draw(**{name: control.value for name, control in self.named.items()})

    def _again(self, _change: dict) -> None:
        self.drawing.value = self._drawn()

    def _repr_mimebundle_(self, **options: object) -> dict[str, str]:
        return super()._repr_mimebundle_(**options) | {"text/html": self.first}


def menu(description: str, options: dict | Sequence, value: object) -> ipywidgets.Dropdown:
    """A menu with its name before it."""
    wide = {"width": "min(44em, 100%)"}
    style = {"description_width": "11em"}
    return ipywidgets.Dropdown(options=options, value=value, description=description, layout=wide, style=style)


def page(*parts: str) -> str:
    """Parts of HTML, one under the other, in the theme's ink."""
    return f'<div style="{INK}">{"".join(parts)}</div>'


def paragraph(text: str) -> str:
    """A line of text under or over a drawing; numbers in it are kept in place by the reader's own font."""
    return f'<p style="margin: 4px 0">{html.escape(text)}</p>'


def svg(width: int, height: int, text: str, *parts: str) -> str:
    """A drawing, with a text in its place for who cannot see it; never wider than the notebook's column."""
    return (
        f'<svg role="img" aria-label="{html.escape(text)}" viewBox="0 0 {width} {height}" '
        f'style="display: block; width: {width}px; max-width: 100%; height: auto" font-size="12" '
        f'font-family="var(--jp-ui-font-family, sans-serif)">{"".join(parts)}</svg>'
    )


def words(x: float, y: float, text: str, anchor: str = "start", color: str = "currentColor") -> str:
    """Letters in a drawing."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{color}">{html.escape(text)}</text>'


def box(x: float, y: float, width: float, height: float, style: str) -> str:
    """A rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" {style}/>'


# What a place of a register can be. Each looks different without colour too: full, striped, empty, crossed out.
DONE, NOW, WAITS, UNUSED = "done", "now", "waits", "unused"


def places(corners: dict[str, Sequence[tuple[float, float]]], width: float, height: float) -> str:
    """Places of a register, by what they are, each by its upper left corner. One path for all of a kind is short."""
    rectangle = f"h{width:g}v{height:g}h{-width:g}z"

    def path(kind: str, mark: str, style: str) -> str:
        steps = "".join(f"M{x:g} {y:g}{mark}" for x, y in corners.get(kind, ()))
        return f'<path d="{steps}" {style}/>' if steps else ""

    stripe = f"m0 {height:g}l{width:g} {-height:g}"
    cross = f"m3 3l{width - 6:g} {height - 6:g}m0 {6 - height:g}l{6 - width:g} {height - 6:g}"
    return (
        path(DONE, rectangle, f'fill="{BLUE}"')
        + path(NOW, rectangle, f'fill="{ORANGE}" stroke="#000"')
        + path(NOW, stripe, 'fill="none" stroke="#000"')
        + path(WAITS, rectangle, f'{LINE} stroke-opacity="0.7"')
        + path(UNUSED, rectangle, f'{LINE} stroke-opacity="0.25"')
        + path(UNUSED, cross, f'{LINE} stroke-opacity="0.35"')
    )


def legend(width: int, entries: dict[str, str]) -> str:
    """What the places mean, in one line."""
    each = width / len(entries)
    parts = [
        places({kind: [(each * number, 2)]}, 16, 14) + words(each * number + 22, 14, text)
        for number, (kind, text) in enumerate(entries.items())
    ]
    return svg(width, 20, "Legend: " + ", ".join(entries.values()), *parts)


class Chart:
    """Axes in a drawing, and lines along them; x and y from 0 to their most."""

    def __init__(self, left: float, top: float, width: float, height: float, most: tuple[float, float]) -> None:
        self.left, self.top, self.width, self.height, self.most = left, top, width, height, most

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a value is, in the drawing."""
        return self.left + self.width * x / self.most[0], self.top + self.height * (1 - y / self.most[1])

    def axes(self, xs: Sequence[float], ys: Sequence[float], x_name: str, y_name: str, unit: str = "") -> str:
        """A frame with ticks; the y axis' name stands above it."""
        parts = [box(self.left, self.top, self.width, self.height, f'{LINE} stroke-opacity="0.5"')]
        for x in xs:
            place, bottom = self.at(x, 0)
            parts += [words(place, bottom + 15, f"{x:g}", "middle"), self._line((place, bottom), (place, bottom + 4))]
        for y in ys:
            start, place = self.at(0, y)
            parts += [
                words(start - 6, place + 4, f"{y:g}{unit}", "end"),
                self._line((start - 4, place), (start, place)),
            ]
        parts.append(words(self.left + self.width / 2, self.top + self.height + 31, x_name, "middle"))
        parts.append(words(self.left, self.top - 8, y_name))
        return "".join(parts)

    def line(self, points: Sequence[tuple[float, float]], style: str) -> str:
        """A line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in itertools.starmap(self.at, points))
        return f'<polyline points="{path}" fill="none" {style}/>'

    def mark(self, x: float, y: float, text: str) -> str:
        """A dot with a text on the side where there is room."""
        left, top = self.at(x, y)
        right_half = left > self.left + self.width / 2
        dot = f'<circle cx="{left:.1f}" cy="{top:.1f}" r="6" fill="{ORANGE}" stroke="#000" stroke-width="1.5"/>'
        level = min(max(top + 18, self.top + 16), self.top + self.height - 6)
        return dot + words(left + (-10 if right_half else 10), level, text, "end" if right_half else "start")

    @staticmethod
    def _line(begin: tuple[float, float], end: tuple[float, float]) -> str:
        return f'<path d="M{begin[0]:g} {begin[1]:g}L{end[0]:g} {end[1]:g}" {LINE} stroke-opacity="0.7"/>'
