"""The time of each cluster, beside PyTorch's for the same operators."""

import ctypes
import statistics
import time
from dataclasses import dataclass

import torch

from solkit.clusters import Cluster
from solkit.errors import ConfigError
from solkit.explain.table import html_table, text_table
from solkit.ir import Value
from solkit.reference import evaluate
from solkit.runtime.engine import Engine
from solkit.runtime.weights import Weights


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
        Timing(
            shown.index(cluster),
            " -> ".join(cluster.ops),
            ", ".join(cluster.layers) or "-",
            1e3 * mine,
            1e3 * theirs[cluster],
        )
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
