"""`sol.verify`: where a compiled model begins to differ from PyTorch in float64, cluster by cluster."""

import copy
import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from solkit.clusters import Cluster
from solkit.config import config
from solkit.explain.rows import rows_of
from solkit.explain.table import html_table, plural, text_table
from solkit.ir import Graph, Value
from solkit.module import SolModule
from solkit.optimize import optimize
from solkit.reference import evaluate
from solkit.runtime.library import Runtime
from solkit.runtime.unpack import read


@dataclass(frozen=True)
class Check:
    """One compiled cluster.

    Attributes:
        number, ops, layers: as in `explain()`.
        local: largest difference between what it makes and its nodes in float64 on the inputs it saw, relative to the
            largest element; infinite where one is NaN or infinite and the other is not.
        drift: the same difference to a run that was in float64 from the start.
        rounding: how much of the local error its own half-precision values explain, each of them rounded once.
    """

    number: int
    ops: str
    layers: str
    local: float
    drift: float
    rounding: float = 0.0


class Verification:
    """What `verify` found. Prints as a table.

    Attributes:
        rows: a Check for each compiled cluster, in order.
        tolerance: the largest local error that is taken for rounding.
    """

    _HEAD = ("#", "operators", "layers", "local error", "drift", "")

    def __init__(self, rows: list[Check], tolerance: float) -> None:
        self.rows, self.tolerance = rows, tolerance

    @property
    def worst(self) -> Check | None:
        """The cluster of the largest local error; None where nothing is compiled."""
        return max(self.rows, key=lambda row: row.local, default=None)

    @property
    def first_drifting(self) -> Check | None:
        """The first cluster whose local error is above the tolerance: the first to look at."""
        return next((row for row in self.rows if self._is_above(row)), None)

    @property
    def ok(self) -> bool:
        """Whether no cluster's local error is above the tolerance."""
        return self.first_drifting is None

    def _is_above(self, row: Check) -> bool:
        return row.local > self.tolerance + row.rounding

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                str(row.number),
                row.ops,
                row.layers,
                f"{row.local:.1e}",
                f"{row.drift:.1e}",
                "above the tolerance" if self._is_above(row) else "",
            )
            for row in self.rows
        ]

    def _summary(self) -> str:
        if self.worst is None:
            return "nothing is compiled: all of the model runs in PyTorch"
        first = self.first_drifting
        said = "none is above" if first is None else f"cluster {first.number} ({first.ops}) is the first above"
        return (
            f"{plural(len(self.rows), 'compiled cluster')} against float64: {said} the tolerance of "
            f"{self.tolerance:g}; the largest local error is {self.worst.local:.1e}, in cluster {self.worst.number}"
        )

    def __str__(self) -> str:
        return f"{text_table(self._HEAD, self._cells())}\n{self._summary()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._HEAD, self._cells(), self._summary())


def verify(
    model: torch.nn.Module, *inputs: Any, tolerance: float = 1e-4, kwargs: Mapping[str, Any] | None = None
) -> Verification:
    """Compare each compiled cluster with the same nodes in float64 PyTorch.

    Once on the inputs the compiled code saw, which shows what this cluster does wrong, and once in a run that is in
    float64 from the start, which shows what has added up.

    Args:
        model: a model from `sol.optimize`, or any module, which is then optimized (and not checked as a whole).
        inputs: the arguments of a call, as for the model.
        tolerance: the largest local error that is taken for rounding, relative to the largest element. What values of
            half precision round is allowed for besides.
        kwargs: arguments by name.
    Raises:
        ModelError: `model` is no module, cannot be captured, or one of its parameters is of another type now.
        InputError: the inputs are not what the model was optimized for.
    """
    kwargs = dict(kwargs or {})
    made = model if isinstance(model, SolModule) else _unchecked(model, inputs, kwargs)
    used, tensors, weights = made._running(inputs, kwargs)
    engine = used.engine
    rows = [row for row in rows_of(engine) if row.kind != "PyTorch"]
    natives = [cluster for cluster in engine.clusters if cluster.compiled]
    buffers = {value: index for index, (value, panels) in enumerate(engine.program.buffers) if panels is None}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        state = torch.get_rng_state()
        exact = _exact(engine.graph, tensors, used.parameters(made.__dict__["_model"]))
        torch.set_rng_state(state)  # operators that draw numbers draw the same again
        checks: list[Check] = []

        def value_of(value: Value, table: ctypes.Array) -> torch.Tensor:
            return read(table[buffers[value.root[0]]], value, engine.library.vector_length)

        def around(number: int, table: ctypes.Array, run: Callable[[], None]) -> None:
            cluster = natives[number]
            seen = {v: weights.tensors[v] if v in weights.tensors else value_of(v, table) for v in cluster.inputs}
            run()
            mine = {value: value_of(value, table) for value in cluster.outputs}
            local, drift = _errors(cluster, seen, mine, exact)
            row = rows[number]
            checks.append(Check(row.number, row.ops, row.layers, local, drift, _rounding(cluster)))

        watched = copy.copy(engine)
        watched.runtime = _OneByOne(engine.runtime, around)
        watched.run(tensors, weights)
    return Verification(checks, tolerance)


class _OneByOne:
    """The runtime, for an engine to use, that lets `around` run each cluster of a program, given its place in the
    program and the table of addresses of the call."""

    def __init__(self, runtime: Runtime, around: Callable[[int, ctypes.Array, Callable[[], None]], None]) -> None:
        self._runtime, self._around = runtime, around
        self.pool = runtime.pool

    def run(
        self, pool: int, clusters: int, table: ctypes.Array, first: int, last: int, threads: int, seconds: Any
    ) -> None:
        for number in range(first, last):
            self._around(
                number,
                table,
                lambda n=number: self._runtime.run(pool, clusters, table, n, n + 1, threads, seconds),
            )


def _unchecked(model: torch.nn.Module, inputs: tuple, kwargs: dict[str, Any]) -> SolModule:
    """Optimized, and handed out whatever it computes."""
    before = config["verify"]
    config["verify"] = False
    try:
        return optimize(model, *inputs, kwargs=kwargs)
    finally:
        config["verify"] = before


def _exact(
    graph: Graph, inputs: list[torch.Tensor], parameters: Mapping[str, torch.Tensor]
) -> dict[Value, torch.Tensor]:
    """Every value of the graph, in float64 from the start; random numbers as drawn in the graph's own precision."""
    known: dict[Value, torch.Tensor] = dict(zip(graph.inputs, inputs, strict=True))
    known.update((value, parameters[name].detach()) for name, value in graph.parameters.items())
    known.update(dict(graph.constants.values()))
    for node in graph.nodes:
        evaluate([node], known, None if node.attributes.get("random") else torch.float64)
    return known


def _rounding(cluster: Cluster) -> float:
    kinds = [value.type.dtype for node in cluster.nodes for value in node.outputs]
    return sum(torch.finfo(kind).eps for kind in kinds if kind in (torch.float16, torch.bfloat16))


def _errors(
    cluster: Cluster,
    seen: Mapping[Value, torch.Tensor],
    mine: Mapping[Value, torch.Tensor],
    exact: Mapping[Value, torch.Tensor],
) -> tuple[float, float]:
    """Local error and drift."""
    local = dict(seen)
    evaluate(cluster.nodes, local, torch.float64)
    return (
        max(_difference(tensor, local[value]) for value, tensor in mine.items()),
        max(_difference(tensor, exact[value]) for value, tensor in mine.items()),
    )


def _difference(mine: torch.Tensor, exact: torch.Tensor) -> float:
    """Largest difference, relative to the largest finite element; infinite where only one is NaN or infinite."""
    mine, exact = mine.double(), exact.double()
    if not mine.numel():
        return 0.0
    same = (mine == exact) | (mine.isnan() & exact.isnan())
    differences = (mine - exact).abs().masked_fill(same, 0.0).nan_to_num(nan=float("inf"), posinf=float("inf"))
    largest = exact.abs().masked_fill(~exact.isfinite(), 0.0).max().item()
    return differences.max().item() / (largest or 1.0)
