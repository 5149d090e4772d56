"""What the notebook shows of an exercise: cards and a table, which read well as HTML and as plain text."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

# The words carry the meaning; mark and colour only repeat it. The variables are JupyterLab's, and follow its theme.
LOOK = {
    "passed": ("✓", "var(--jp-success-color1, #2e7d32)"),
    "not yet": ("✗", "var(--jp-warn-color1, #bf360c)"),
    "error": ("!", "var(--jp-error-color1, #c62828)"),
    "not attempted": ("○", "var(--jp-border-color0, #757575)"),
    "hint": ("?", "var(--jp-info-color1, #0277bd)"),
    "solution": ("=", "var(--jp-info-color1, #0277bd)"),
}
INK = "color: var(--jp-content-font-color1, inherit); background: var(--jp-layout-color1, transparent)"
CODE = "font-family: var(--jp-code-font-family, monospace)"
LEFT = "text-align: left; overflow-wrap: anywhere"


@dataclass(frozen=True)
class Card:
    """A line with a status, a text under it, values beside each other, code, and remarks."""

    status: str
    head: str
    text: str = ""
    values: tuple[tuple[str, str], ...] = ()  # pairs of a label and a value
    code: str = ""
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def __repr__(self) -> str:
        wide = max((len(label) for label, _ in self.values), default=0)
        rows = [
            f"[{self.status}] {self.head}",
            self.text,
            *(f"  {label + ':':{wide + 1}} {value}" for label, value in self.values),
            self.code,
            *self.notes,
        ]
        return "\n".join(row for row in rows if row)

    def _repr_html_(self) -> str:
        mark, color = LOOK[self.status]
        parts = [
            f'<strong><span aria-hidden="true" style="color: {color}">{mark}</span> {self.status.capitalize()}</strong>'
            f" · {html.escape(self.head)}"
        ]
        if self.text:
            parts.append(f'<p style="margin: 4px 0">{html.escape(self.text)}</p>')
        if self.values:
            parts.append(_side_by_side(self.values))
        if self.code:
            parts.append(
                f'<pre style="margin: 4px 0; {INK}; {CODE}; white-space: pre-wrap">{html.escape(self.code)}</pre>'
            )
        parts += [f'<p style="margin: 4px 0"><small>{html.escape(note)}</small></p>' for note in self.notes]
        return (
            f'<div role="status" style="border-left: 4px solid {color}; padding: 4px 12px; {INK}">'
            + "".join(parts)
            + "</div>"
        )


def _side_by_side(values: Sequence[tuple[str, str]]) -> str:
    """Label and value in two columns, which are a list of terms to who hears it."""
    cells = "".join(
        f'<dt style="float: none; width: auto; margin: 0; font-weight: bold">{html.escape(label)}</dt>'
        f'<dd style="margin: 0; min-width: 0; overflow-wrap: anywhere; white-space: pre-wrap; '
        f'{CODE}">{html.escape(value)}</dd>'
        for label, value in values
    )
    style = "display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 12px; margin: 4px 0"
    return f'<dl style="{style}">{cells}</dl>'


@dataclass(frozen=True)
class Table:
    """Rows under headings, with a line above; the first column names the row."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = [self.headings, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))]
        table = [
            "  ".join(f"{cell:{wide}}" for cell, wide in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([self.caption, *table, *self.notes])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col" style="{LEFT}">{html.escape(cell)}</th>' for cell in self.headings)
        body = "".join(
            f'<tr><th scope="row" style="{LEFT}">{html.escape(row[0])}</th>'
            + "".join(f'<td style="{LEFT}">{html.escape(cell)}</td>' for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        caption = f'<caption style="caption-side: top; {LEFT}">{html.escape(self.caption)}</caption>'
        return (
            f'<div style="{INK}"><table style="margin: 0">{caption}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table>{notes}</div>"
        )
