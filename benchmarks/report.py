"""From figures to tables: on the terminal, and as Markdown for README.md."""

import json
import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from benchmarks.engines import ENGINES
from benchmarks.peak import Peak

BASE, OURS = "eager", "solkit"  # ratios are solkit's, against the first and against the best of all others
BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"
NOTHING = "-"
WIDTH = 150  # of tables that go into a file


@dataclass(frozen=True)
class Row:
    """One network at one batch size and one number of threads.

    Attributes:
        network: what tables call it.
        flops, weight_bytes: `work.Work` of a call; None where not even PyTorch ran it.
        engines: by name, either `median_ms`, `spread`, `calls` and `error` (of the largest output), or `reason`.
    """

    network: str
    batch: int
    threads: int
    flops: int | None
    weight_bytes: int | None
    engines: Mapping[str, Mapping[str, Any]]

    def ms(self, engine: str) -> float | None:
        """Median milliseconds of a call; None where there are none."""
        return self.engines.get(engine, {}).get("median_ms")

    def speed(self, engine: str, other: str | None) -> float | None:
        """How many times as fast as `other` this engine is."""
        mine, theirs = self.ms(engine), None if other is None else self.ms(other)
        return theirs / mine if mine and theirs else None

    def best_peer(self) -> str | None:
        """The fastest engine that is not solkit."""
        timed = {name: ms for name in self.engines if name != OURS and (ms := self.ms(name))}
        return min(timed, key=timed.__getitem__, default=None)


@dataclass(frozen=True)
class Sheet:
    """A table of text with a title above and notes below."""

    title: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)

    def rich(self) -> Group:
        table = Table(title=self.title, title_justify="left")
        for index, name in enumerate(self.header):
            table.add_column(name, justify="right" if index else "left", no_wrap=index > 0)
        for row in self.rows:
            table.add_row(*row)
        return Group(table, *map(Text, self.notes), "")  # text: a reason may have [brackets]

    def markdown(self) -> str:
        lines = [f"**{self.title}**", "", _line(self.header), _line(["---", *["---:"] * (len(self.header) - 1)])]
        lines += [_line(row) for row in self.rows]
        lines += ["", *(f"- {textwrap.fill(note, 118, subsequent_indent='  ')}" for note in self.notes)]
        return "\n".join(lines).rstrip()


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """The geometric mean of those that are not None; None if there are none."""
    logs = [math.log(value) for value in values if value is not None]
    return math.exp(sum(logs) / len(logs)) if logs else None


# --- the tables ------------------------------------------------------------------------------------------------------


def times(rows: list[Row], peaks: Mapping[int, Peak]) -> list[Sheet]:
    """A sheet for each pair of threads and batch size, in the order the rows have."""
    pairs = dict.fromkeys((row.threads, row.batch) for row in rows)
    return [
        _times([row for row in rows if (row.threads, row.batch) == pair], peaks.get(pair[0])) for pair in sorted(pairs)
    ]


def _times(rows: list[Row], peak: Peak | None) -> Sheet:
    names = list(dict.fromkeys(name for row in rows for name in row.engines))
    first = rows[0]
    means = [geometric_mean(row.speed(name, BASE) for row in rows) for name in names]
    to_base = geometric_mean(row.speed(OURS, BASE) for row in rows)
    to_best = geometric_mean(row.speed(OURS, row.best_peer()) for row in rows)
    return Sheet(
        f"Batch {first.batch}, {first.threads} {'thread' if first.threads == 1 else 'threads'}: ms of a call",
        [
            "network",
            *(ENGINES[name].title for name in names),
            *("solkit to eager", "to the best peer", "FMA peak", "memory peak"),
        ],
        [
            *(
                [
                    *(row.network, *(_number(row.ms(name)) for name in names)),
                    *(_times_as(row.speed(OURS, BASE)), _times_as(row.speed(OURS, row.best_peer()))),
                    *(_percent(share) for share in shares(row, peak)),
                ]
                for row in rows
            ),
            ["geometric mean", *map(_times_as, means), _times_as(to_base), _times_as(to_best), "", ""],
        ],
        [*_errors(rows, names), *_reasons({row.network: row.engines for row in rows})],
    )


def shares(row: Row, peak: Peak | None) -> tuple[float | None, float | None]:
    """What solkit reaches of the FMA peak, and of the memory's peak by reading the weights alone."""
    ms = row.ms(OURS)
    if not ms or peak is None or row.flops is None or row.weight_bytes is None:
        return None, None
    return row.flops / (ms * 1e6 * peak.gflops), row.weight_bytes / (ms * 1e6 * peak.gbytes)


def _errors(rows: list[Row], names: list[str]) -> list[str]:
    largest = {name: [row.engines[name]["error"] for row in rows if "error" in row.engines[name]] for name in names}
    said = [f"{ENGINES[name].title} {max(errors):.0e}" for name, errors in largest.items() if errors]
    return [f"largest error, of the largest output: {', '.join(said)}"] if said else []


def _reasons(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    return [
        f"{ENGINES[name].title} has no figure for {network}: {figures['reason']}"
        for network, engines in found.items()
        for name, figures in engines.items()
        if "reason" in figures
    ]


def memory(found: Mapping[str, Mapping[str, Mapping[str, Any]]], batch: int, threads: int) -> Sheet:
    """Memory of a call, from {network: {engine: what `child.memory` gives, or a reason}}."""
    names = list(dict.fromkeys(name for engines in found.values() for name in engines))

    def cell(figures: Mapping[str, Any]) -> str:
        return NOTHING if "reason" in figures else f"{figures['peak'] - figures['held']:.0f} / {figures['peak']:.0f}"

    return Sheet(
        f"Memory, batch {batch}, threads {threads}: MiB more during a call / largest resident set of the process",
        ["network", *(ENGINES[name].title for name in names)],
        [[network, *(cell(engines[name]) for name in names)] for network, engines in found.items()],
        ["buffers that an engine keeps between calls are in the second figure only", *_reasons(found)],
    )


def start_up(found: Mapping[str, Mapping[str, Any]], batch: int) -> Sheet:
    """Seconds of sol.optimize, from {network: {first, again} or a reason}."""
    rows = [[name, _number(figures.get("first")), _number(figures.get("again"))] for name, figures in found.items()]
    return Sheet(
        f"Seconds of sol.optimize in a new process, batch {batch}",
        ["network", "empty cache", "full cache"],
        rows,
        [f"no figure for {name}: {figures['reason']}" for name, figures in found.items() if "reason" in figures],
    )


def _number(value: float | None) -> str:
    """Three digits, none of them lost before the point."""
    return NOTHING if value is None else f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def _times_as(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}x"


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.0f} %"


# --- README.md -------------------------------------------------------------------------------------------------------


def markdown(sheets: Iterable[Sheet], machine: Mapping[str, str], peaks: Mapping[int, Peak]) -> str:
    """The whole report between its two markers."""
    parts = [textwrap.fill(where(machine, peaks), 120), *(sheet.markdown() for sheet in sheets)]
    return "\n\n".join([BEGIN, *parts, END]) + "\n"


def where(machine: Mapping[str, str], peaks: Mapping[int, Peak]) -> str:
    """What was measured on, and its peaks, in one paragraph."""
    text = ", ".join(f"{key} {value}" for key, value in machine.items())
    for peak in peaks.values():
        plural = "" if peak.threads == 1 else "s"
        text += f"; peak of {peak.threads} thread{plural} {peak.gflops:.0f} GFLOP/s, {peak.gbytes:.0f} GB/s"
    return f"Measured on {text}."


def publish(
    machine: Mapping[str, str],
    sheets: Sequence[Sheet],
    figures: Mapping[str, Any],
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Print the tables and what was measured on, and write them, and all figures, to the files there are."""
    out = Console() if Console().is_terminal else Console(width=WIDTH)
    for sheet in sheets:
        out.print(sheet.rich())
    place = where(machine, {})
    out.print(place, markup=False)
    for path, text in (
        (json_file, json.dumps({"machine": machine, **figures}, indent=1) + "\n"),
        (markdown_file, "\n\n".join([place, *(sheet.markdown() for sheet in sheets)]) + "\n"),
    ):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def replace_in(path: Path, report: str) -> None:
    """Put `report` in the place of what stands between the markers in this file.

    Raises:
        ValueError: the file has not each marker once, the first before the second.
    """
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}\n?", re.DOTALL)
    if text.count(BEGIN) != 1 or text.count(END) != 1 or not pattern.search(text):
        raise ValueError(f"{path.name} must have the line {BEGIN} once, and after it {END} once")
    path.write_text(pattern.sub(lambda _: report, text), encoding="utf-8")
