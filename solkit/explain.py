"""Seeing what became of a model: its clusters as a table, the generated code, and the time each takes."""

import ctypes
import html
import statistics
import time
from dataclasses import dataclass

import torch

from solkit.clusters import Cluster
from solkit.errors import ConfigError
from solkit.ir import Value
from solkit.ops import TABLE
from solkit.reference import evaluate
from solkit.runtime.engine import Engine
from solkit.runtime.weights import Weights

_KINDS = {"dnn": "DNN", "dfp": "DFP", "torch": "PyTorch"}


def _flops(cluster: Cluster) -> float:
    total = 0.0
    for node in cluster.nodes:
        if node.op in TABLE and node.op not in ("torch", "scalar", "reorder"):
            total += node.output.type.size * TABLE[node.op].flops([v.type for v in node.inputs], node.attributes)
    return total


def plural(count: int, noun: str) -> str:
    """ "1 cluster", "2 clusters"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _layers(cluster: Cluster) -> str:
    return ", ".join(cluster.layers) or "-"


@dataclass(frozen=True)
class Row:
    """One cluster: its number, kind, operators, layers, what it makes, and how much it computes and moves."""

    number: int
    kind: str
    ops: str
    layers: str
    result: str
    mflop: float
    mbytes: float


class Explanation:
    """What `explain()` gives: rows for people and programs. Prints as a table, shows as one in a notebook."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.clusters = [cluster for cluster in engine.clusters if cluster.kind != "view"]
        self.rows = [
            Row(
                number,
                _KINDS[cluster.kind],
                " -> ".join(cluster.ops),
                _layers(cluster),
                ", ".join(str(value.type) for value in cluster.outputs),
                _flops(cluster) / 1e6,
                sum(value.type.bytes for value in {*cluster.inputs, *cluster.outputs}) / 1e6,
            )
            for number, cluster in enumerate(self.clusters)
        ]

    @property
    def in_pytorch(self) -> list[tuple[str, str]]:
        """(operator, layer) of everything solkit has no code for."""
        return [(c.ops[0], c.nodes[0].layer) for c in self.clusters if c.kind == "torch"]

    def source(self, number: int | None = None) -> str:
        """The C text of cluster `number` as in the table, or of the whole program.

        Raises:
            ConfigError: there is no such cluster, or PyTorch runs it.
        """
        program = self._engine.program
        if number is None:
            return "\n".join(f"// ---- {name}\n{text}" for name, text in program.sources.items())
        if not isinstance(number, int) or not 0 <= number < len(self.clusters):
            raise ConfigError(f"there is no cluster {number!r}: they go from 0 to {len(self.clusters) - 1}")
        if self.clusters[number].kind == "torch":
            raise ConfigError(f"cluster {number} ({self.rows[number].ops}) runs in PyTorch and has no C source")
        return program.sources[program.kernels[self._native(number)]]

    def _native(self, number: int) -> int:
        return sum(cluster.compiled for cluster in self.clusters[:number])

    def _cells(self) -> list[tuple[str, ...]]:
        head = ("#", "kind", "operators", "layers", "result", "MFLOP", "MB")
        rows = [
            (str(r.number), r.kind, r.ops, r.layers, r.result, f"{r.mflop:.1f}", f"{r.mbytes:.2f}") for r in self.rows
        ]
        return [head, *rows]

    def _summary(self) -> str:
        compiled = sum(cluster.compiled for cluster in self.clusters)
        left = self.in_pytorch
        between = self._engine.arena_bytes / 1e6
        text = f"{plural(compiled, 'compiled cluster')}, {between:.2f} MB of memory for what lies between them"
        if not left:
            return f"{text}; nothing runs in PyTorch"
        listed = ", ".join(f"{op} (layer {layer!r})" if layer else op for op, layer in left)
        return f"{text}; in PyTorch: {listed}"

    def __str__(self) -> str:
        head, *rows = self._cells()
        return f"{text_table(head, rows)}\n{self._summary()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rows = self._cells()
        return html_table(head, rows, self._summary())


def text_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table for a terminal."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    ruled = [head, tuple("-" * width for width in widths), *rows]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in ruled)


def html_table(head: tuple[str, ...], rows: list[tuple[str, ...]], caption: str) -> str:
    """A table for a notebook."""
    top = "".join(f'<th scope="col" style="text-align:left">{html.escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{html.escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return (
        f'<table><caption style="text-align:left">{html.escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )


@dataclass(frozen=True)
class Timing:
    """Median milliseconds of one cluster in solkit, and of the same operators one by one in PyTorch."""

    number: int
    ops: str
    layers: str
    solkit_ms: float
    pytorch_ms: float


class Profile(list[Timing]):
    """Timings of all compiled clusters, in order. Prints as a table."""

    _HEAD = ("#", "operators", "layers", "solkit ms", "PyTorch ms", "ratio")

    def _cells(self) -> list[tuple[str, ...]]:
        def row(number: str, ops: str, layers: str, ours: float, theirs: float) -> tuple[str, ...]:
            return (number, ops, layers, f"{ours:.3f}", f"{theirs:.3f}", f"{theirs / ours:.2f}" if ours else "-")

        rows = [row(str(t.number), t.ops, t.layers, t.solkit_ms, t.pytorch_ms) for t in self]
        return [*rows, row("", "sum", "", sum(t.solkit_ms for t in self), sum(t.pytorch_ms for t in self))]

    def __str__(self) -> str:
        return text_table(self._HEAD, self._cells())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(
            self._HEAD,
            self._cells(),
            "Median time of each cluster, beside PyTorch's for the same operators (batch norms folded away)",
        )


PAUSE = 0.1  # seconds: threads of whoever ran before come to rest
WARM_UP = 3  # calls that do not count


def profile(engine: Engine, inputs: list[torch.Tensor], weights: Weights, runs: int) -> Profile:
    """Time each compiled cluster over `runs` calls, then the same operators in PyTorch, in their order, `runs` times.

    Raises:
        ConfigError: `runs` is not a positive number.
    """
    if not isinstance(runs, int) or runs < 1:
        raise ConfigError(f"profile takes at least one run, not {runs!r}")
    natives = [cluster for cluster in engine.clusters if cluster.compiled]
    ours = _time_clusters(engine, inputs, weights, runs, len(natives))
    theirs = _time_pytorch(engine, inputs, weights, runs)
    shown = [cluster for cluster in engine.clusters if cluster.kind != "view"]
    return Profile(
        Timing(shown.index(cluster), " -> ".join(cluster.ops), _layers(cluster), 1e3 * mine, 1e3 * theirs[cluster])
        for cluster, mine in zip(natives, ours, strict=True)
    )


def _time_clusters(engine: Engine, inputs: list[torch.Tensor], weights: Weights, runs: int, count: int) -> list[float]:
    time.sleep(PAUSE)
    samples: list[list[float]] = []
    for _ in range(WARM_UP + runs):
        seconds = (ctypes.c_double * max(1, count))()
        engine.run(inputs, weights, seconds)
        samples.append(list(seconds)[:count])
    return [statistics.median(times) for times in zip(*samples[WARM_UP:], strict=True)]


def _time_pytorch(engine: Engine, inputs: list[torch.Tensor], weights: Weights, runs: int) -> dict[Cluster, float]:
    time.sleep(PAUSE)
    samples: dict[Cluster, list[float]] = {cluster: [] for cluster in engine.clusters}
    for _ in range(WARM_UP + runs):
        known: dict[Value, torch.Tensor] = {**weights.tensors, **dict(zip(engine.graph.inputs, inputs, strict=True))}
        for cluster, times in samples.items():
            nodes = [node for node in cluster.nodes if node.op != "scalar"]
            start = time.perf_counter()
            with torch.no_grad():
                evaluate(nodes, known, torch.float32)
            times.append(time.perf_counter() - start)
    return {cluster: statistics.median(times[WARM_UP:]) for cluster, times in samples.items()}
