"""What there is to say of each cluster, as data: the table and the drawing show the same."""

from collections.abc import Iterable
from dataclasses import dataclass

from solkit.clusters import Cluster
from solkit.explain.timing import Profile
from solkit.ir import Value
from solkit.ops import TABLE
from solkit.runtime.engine import Engine

_KINDS = {"dnn": "DNN", "dfp": "DFP", "torch": "PyTorch"}


@dataclass(frozen=True)
class Row:
    """One cluster.

    Attributes:
        number: its place among the clusters that run.
        kind: "DNN", "DFP" or "PyTorch".
        ops: its operators, fused in this order.
        layers: the layers they come from.
        reads: what it reads besides weights: numbers of clusters, and names of inputs.
        result: shapes and dtypes of what it makes.
        layout: how that lies in memory.
        mflop: millions of floating-point operations of one call.
        mbytes: megabytes it reads and writes, weights included.
        ms: measured milliseconds of one call; None where nothing was measured.
        choice: the implementation that was chosen; None where there is only one.
        losers: the other implementations that were measured, with their milliseconds.
    """

    number: int
    kind: str
    ops: str
    layers: str
    reads: tuple[int | str, ...]
    result: str
    layout: str
    mflop: float
    mbytes: float
    ms: float | None = None
    choice: str | None = None
    losers: tuple[tuple[str, float], ...] = ()

    @property
    def gflops(self) -> float | None:
        """Billions of floating-point operations per second (MFLOP per millisecond); None where nothing was measured."""
        return self.mflop / self.ms if self.ms else None

    @property
    def implementation(self) -> str:
        """The chosen implementation and the slower ones; "" where there is only one."""
        slower = ", ".join(f"{name} {ms:.3f} ms" for name, ms in self.losers)
        return (self.choice or "") + (f" (slower: {slower})" if slower else "")


def rows_of(engine: Engine, profile: Profile | None = None) -> list[Row]:
    """A row for each cluster that runs, in order; times are those of `profile`."""
    times = {timing.number: timing.solkit_ms for timing in profile or ()}
    sources = Sources(engine)
    return [
        Row(
            number,
            _KINDS[cluster.kind],
            " -> ".join(cluster.ops),
            ", ".join(cluster.layers) or "-",
            sources.of(cluster.inputs),
            ", ".join(str(value.type) for value in cluster.outputs),
            ", ".join(dict.fromkeys(str(value.layout) for value in cluster.outputs)),
            _flops(cluster) / 1e6,
            sum(value.type.bytes for value in {*cluster.inputs, *cluster.outputs}) / 1e6,
            times.get(number),
            getattr(cluster, "choice", None),
            tuple(getattr(cluster, "losers", None) or ()),
        )
        for number, cluster in enumerate(sources.clusters)
    ]


class Sources:
    """Who makes each value.

    clusters: those that run, in order; a cluster's number is its place here.
    """

    def __init__(self, engine: Engine) -> None:
        self.clusters = [cluster for cluster in engine.clusters if cluster.kind != "view"]
        self._makers: dict[Value, tuple[int | str, ...]] = {value: (value.name,) for value in engine.graph.inputs}
        numbers = {cluster: number for number, cluster in enumerate(self.clusters)}
        for cluster in engine.clusters:
            makers = self.of(cluster.inputs) if cluster.kind == "view" else (numbers[cluster],)
            self._makers.update((value, makers) for value in cluster.outputs)

    def of(self, values: Iterable[Value]) -> tuple[int | str, ...]:
        """Numbers of the clusters that make `values`, and names of inputs, each once. Weights are left out, and views
        looked through."""
        return tuple(dict.fromkeys(maker for value in values for maker in self._makers.get(value, ())))


def _flops(cluster: Cluster) -> float:
    total = 0.0
    for node in cluster.nodes:
        if node.op in TABLE and node.op not in ("torch", "scalar", "reorder"):
            elements = sum(value.type.size for value in node.outputs)
            total += elements * TABLE[node.op].flops([v.type for v in node.inputs], node.attributes)
    return total
