"""Pieces of SVG that read well in a light and in a dark theme: all ink is the colour of the text around it."""

import html
from collections.abc import Iterable

_INK = "color: var(--jp-content-font-color1, inherit)"  # JupyterLab's text; elsewhere that of the page
CHARACTER = 6.7  # pixels a character of the 11 pixel monospace font is wide
LINE = 15  # pixels from one line of text to the next


def figure(shapes: Iterable[str], size: tuple[float, float], text: str, caption: str) -> str:
    """A drawing of (width, height) pixels that scrolls where it is larger than its place.

    Args:
        text: stands for the drawing where it cannot be seen.
        caption: below it, for everyone.
    """
    width, height = size
    text = html.escape(text)
    return (
        f'<figure style="margin: 0; {_INK}">'
        f'<div style="overflow: auto; max-height: 40em" tabindex="0" role="group" aria-label="Drawing that scrolls">'
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{text}" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" style="max-width: none" '
        f'font-family="monospace" font-size="11" fill="none" stroke="currentColor">{"".join(shapes)}</svg></div>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def label(x: float, y: float, text: str, extra: str = "") -> str:
    """A line of text whose baseline begins at (x, y)."""
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="currentColor" stroke="none"{extra}>{html.escape(text)}</text>'


def shorten(text: str, width: float) -> str:
    """`text`, cut where it is wider than `width` pixels."""
    room = max(4, int(width / CHARACTER))
    return text if len(text) <= room else text[: room - 3] + "..."


def page(title: str, body: str) -> str:
    """A whole HTML document, light or dark as the reader's system is."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        "<style>:root { color-scheme: light dark } body { font-family: sans-serif } td, th { padding: 0 0.6em }</style>"
        f"</head><body><h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n"
    )
