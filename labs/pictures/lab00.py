"""What lab 00 shows: the machine as a table, the map of the labs, two bars."""

import html
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from labs import doctor, exercises, notebooks
from labs import progress as kept
from labs.cards import Table
from labs.show import OURS, THEIRS, Picture

INK = "color: var(--jp-content-font-color1, inherit); background: none"
CELL = "text-align: left; padding: 2px 12px 2px 0; vertical-align: top; color: inherit"


def machine(rows: Sequence[doctor.Row] | None = None) -> Table:
    """What `aurora doctor` finds, as a table for a notebook; with what mends it, where something is not in order."""
    rows = doctor.run() if rows is None else rows
    cells = []
    for row in rows:
        word = row.status if row.needed or row.status == doctor.PASSED else f"{row.status} (optional)"
        mend = f"; to mend it: {row.fix}" if row.fix and row.status != doctor.PASSED else ""
        cells.append((row.name, word, row.detail + mend))
    bad = doctor.failed(rows)
    caption = f"Not ready: {', '.join(row.name for row in bad)}" if bad else "This machine is ready for the labs"
    return Table(caption, ("what", "state", "found"), tuple(cells))


class Map:
    """All labs that are installed, with links, minutes and how many exercises are passed."""

    _HEAD = ("lab", "about", "core, min", "optional, min", "exercises passed")

    def __init__(self) -> None:
        standings = kept.history().standings()
        self.rows = []
        for lab in notebooks.every():
            tasks = exercises.of_lab_if_it_loads(lab.number)
            passed = sum(standings.get(task.id, kept.Standing()).passed for task in tasks)
            done = f"{passed} of {len(tasks)}" if tasks else "-"
            self.rows.append((lab.name, lab.title, str(lab.core), str(lab.optional), done))

    def __repr__(self) -> str:
        return repr(Table("The labs", self._HEAD, tuple(self.rows)))

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col" style="{CELL}">{name}</th>' for name in self._HEAD)
        body = "".join(
            f'<tr><th scope="row" style="{CELL}"><a href="{html.escape(name)}.ipynb">{html.escape(name[:2])}</a></th>'
            + "".join(f'<td style="{CELL}">{html.escape(cell)}</td>' for cell in cells)
            + "</tr>"
            for name, *cells in self.rows
        )
        caption = f'<caption style="text-align: left; {INK}">The labs; a number is a link</caption>'
        return (
            f'<div style="{INK}"><table style="margin: 0">{caption}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )


def bars(milliseconds: Mapping[str, float], ours: str, what: str) -> Picture:
    """A bar for each name; `ours` is the name of the one that is solkit's, `what` is measured."""
    figure = Figure(figsize=(9, 0.7 + 0.45 * len(milliseconds)), layout="constrained")
    axes = figure.subplots()
    for place, (name, ms) in enumerate(milliseconds.items()):
        bar = axes.barh(place, ms, 0.7, **(OURS if name == ours else THEIRS))
        axes.bar_label(bar, fmt="%.1f ms", padding=4)
    axes.set_yticks(range(len(milliseconds)), list(milliseconds))
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("milliseconds (shorter is faster)")
    axes.spines[["top", "right"]].set_visible(False)
    text = ", ".join(f"{name} {ms:.1f} ms" for name, ms in milliseconds.items())
    return Picture(figure, f"{what}: {text}.", f"{what}: {text}. Measured on this machine, now.")
