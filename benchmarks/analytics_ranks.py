"""frovedis_lite on two ranks beside one, and a model of what more ranks would do.

python -m benchmarks.analytics_ranks
python -m benchmarks.analytics_ranks --tasks lr_clicks --json results/ranks.json

The first table is measured: a fit by one rank with half of the processors' threads, by one with all of them (which is
what a program without a server gets), and by two ranks with half of them each. The data are on the ranks before; y is
not, and goes there with each fit.

The other tables are a model. A fit on p ranks is taken to last

    what the caller does + what a rank computes for 1/p of the rows + its collectives

The first is measured with one rank and with two, and held constant from there. The second is measured by a fit of
so many of the rows on one rank, and brought to as many collectives as the fit of all rows has; what each rank does
over again, whatever its rows are, is in it. The third is worked out from the collectives that were counted on two
ranks, as `benchmarks.collectives` says. What is not in it: ranks that wait for slower ones, and ranks that share the
bandwidth of one memory.
"""

import importlib
import os
import statistics
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from benchmarks import report
from benchmarks.analytics import KMEANS, SVD
from benchmarks.analytics_data import SETS
from benchmarks.collectives import Call, Network, Record, measured, recording
from benchmarks.measure import PAUSE, machine
from frovedis_lite import native
from frovedis_lite.engine import session as sessions
from frovedis_lite.engine.session import Here, Session
from frovedis_lite.exrpc.server import FrovedisServer
from frovedis_lite.matrix.crs import FrovedisCRSMatrix
from frovedis_lite.matrix.dense import FrovedisRowmajorMatrix

RANKS = 2
MODELLED = (1, 2, 8, 64)
ROUNDS = 5
CLUSTER = Network("a network that is assumed", 2e-6, 10e9)


@dataclass(frozen=True)
class Task:
    """A fit.

    Attributes:
        data: of `SETS`.
        path: of the estimator, in frovedis_lite.mllib.
        result: the fitted attribute that must be the same for all.
    """

    about: str
    data: str
    path: str
    result: str
    options: dict[str, Any] = field(default_factory=dict)

    def fit(self, X: Any, y: Any) -> Any:
        """The fitted estimator."""
        module, name = self.path.rsplit(".", 1)
        return getattr(importlib.import_module(f"frovedis_lite.mllib.{module}"), name)(**self.options).fit(X, y)


def _logistic(data: str, tol: float) -> Task:
    return Task("logistic regression", data, "linear_model.LogisticRegression", "coef_", {"tol": tol})


TASKS = {
    "lr_dense": _logistic("dense", 1e-5),
    "lr_sparse": _logistic("sparse", 1e-5),
    "lr_clicks": _logistic("clicks", 1e-4),
    "kmeans": Task(
        "k-means, k = 10",
        "blobs",
        "cluster.KMeans",
        "cluster_centers_",
        {"n_clusters": 10, "init": "random", "random_state": 0, **KMEANS},
    ),
    "svd": Task("truncated SVD, k = 10", "sparse", "decomposition.TruncatedSVD", "singular_values_", SVD),
}
DEFAULT = [name for name in TASKS if name != "lr_clicks"]  # which takes minutes, and 6 GB


@contextmanager
def using(threads: int) -> Iterator[None]:
    """This process computes with so many threads."""
    before = os.environ.get("FROVEDIS_THREADS")
    os.environ["FROVEDIS_THREADS"] = str(threads)
    native.threads.cache_clear()
    try:
        with threadpool_limits(threads):
            yield
    finally:
        if before is None:
            del os.environ["FROVEDIS_THREADS"]
        else:
            os.environ["FROVEDIS_THREADS"] = before
        native.threads.cache_clear()


def on_ranks(session: Session, X: Any) -> Any:
    """The matrix on the ranks of a session."""
    before = sessions.current()
    sessions.use(session)
    try:
        return (FrovedisCRSMatrix if sparse.issparse(X) else FrovedisRowmajorMatrix)(X)
    finally:
        sessions.use(before)


def main(
    tasks: Annotated[str, typer.Option(help=f"names with commas between; there are {', '.join(TASKS)}")] = ",".join(
        DEFAULT
    ),
    rounds: Annotated[int, typer.Option(min=1, help="fits of each kind that count")] = ROUNDS,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all figures there")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="write the tables there")] = None,
) -> None:
    """Print seconds of fits on one rank and on two, and what a model says of more."""
    if unknown := [name for name in tasks.split(",") if name not in TASKS]:
        raise typer.BadParameter(f"no task is called {', '.join(unknown)}; there are {', '.join(TASKS)}")
    progress = Console(stderr=True, soft_wrap=True)
    each = max(1, len(os.sched_getaffinity(0)) // RANKS)
    rows = []
    with FrovedisServer.initialize(f"mpirun -np {RANKS}"):
        server = sessions.current()
        here = measured("messages as on this machine", server)
        for name in tasks.split(","):
            task = TASKS[name]
            progress.print(f"{task.about}: {SETS[task.data].about}")
            X, y = SETS[task.data].make()
            found = _timed(task, X, y, server, each, rounds)
            model = _modelled(task, X, y, server, each, rounds, [here, CLUSTER])
            rows.append({"task": name, "about": task.about, "data": SETS[task.data].about, **found, **model})
    where = machine("aurora-labs", "numpy", "scipy", "scikit-learn", "mpi4py", "mpich")
    sheets = [_speed_sheet(rows, each), _model_sheet(rows, here, each, True), _model_sheet(rows, CLUSTER, each, False)]
    figures = {"rows": rows, "networks": [vars(here), vars(CLUSTER)], "threads": each}
    report.publish(where, sheets, figures, json_file, markdown_file)


def _timed(task: Task, X: Any, y: Any, server: Session, each: int, rounds: int) -> dict[str, Any]:
    """Seconds of fits, in turns: one of each kind that does not count and `rounds` that do."""
    alone, shared = on_ranks(Here(), X), on_ranks(server, X)
    matrices = {"half": (alone, each), "whole": (alone, RANKS * each), "ranks": (shared, each)}
    seconds: dict[str, list[float]] = {kind: [] for kind in matrices}
    results: dict[str, np.ndarray] = {}
    order = list(matrices)
    for turn in range(rounds + 1):
        for kind in order[turn % len(order) :] + order[: turn % len(order)]:
            matrix, threads = matrices[kind]
            with using(threads):
                time.sleep(PAUSE)
                begin = time.perf_counter()
                model = task.fit(matrix, y)
                seconds[kind].append(time.perf_counter() - begin)
            results[kind] = np.asarray(getattr(model, task.result))
    alone.release()
    shared.release()
    first = results["half"]
    differences = [np.abs(result - first).max() / np.abs(first).max() for result in results.values()]
    return {
        "seconds": {kind: statistics.median(times[1:]) for kind, times in seconds.items()},
        "all": seconds,
        "difference": float(max(differences)),
    }


def _modelled(
    task: Task, X: Any, y: Any, server: Session, each: int, rounds: int, networks: list[Network]
) -> dict[str, Any]:
    """What the model is made of, and what it says: {network: {ranks: seconds}}."""
    on_all, around = _observed(task, X, y, server, rounds)
    calls = on_all.calls
    computed, caller = {}, {}
    for ranks in MODELLED:
        count = X.shape[0] // ranks
        with using(each):
            own, alone = _observed(task, X[:count], None if y is None else y[:count], Here(), rounds)
        # A fit of fewer rows may take more steps or fewer, each with its collectives.
        computed[ranks] = own.compute * len(calls) / len(own.calls)
        caller[ranks] = alone if ranks == 1 else around
    sent = {network.name: {p: network.total(calls, p) for p in MODELLED} for network in networks}
    return {
        "collectives": len(calls),
        "bytes": sum(call.bytes for call in calls),
        "kinds": {kind: sum(call.kind == kind for call in calls) for kind in {call.kind: None for call in calls}},
        "caller": caller,
        "computed": computed,
        "in_collectives": sent,
        "modelled": {name: {p: caller[p] + computed[p] + of[p] for p in MODELLED} for name, of in sent.items()},
    }


def _observed(task: Task, X: Any, y: Any, session: Session, rounds: int) -> tuple[Record, float]:
    """The slowest rank in fits of these rows, median seconds; and seconds of a fit in which no rank did anything."""
    matrix = on_ranks(session, X)
    found: list[tuple[float, float, list[Call]]] = []
    for _ in range(rounds + 1):
        time.sleep(PAUSE)
        with recording(session) as records, warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of a few rows; the timed fits were heard
            begin = time.perf_counter()
            task.fit(matrix, y)
            seconds = time.perf_counter() - begin
        busy = max(record.seconds for record in records)
        found.append((seconds - busy, max(record.compute for record in records), records[0].calls))
    matrix.release()
    counted = found[1:]
    calls = counted[-1][2]
    compute = statistics.median(compute for _, compute, _ in counted)
    return Record(compute + sum(call.seconds for call in calls), calls), statistics.median(s for s, *_ in counted)


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _speed_sheet(rows: list[dict[str, Any]], each: int) -> report.Sheet:
    lines = []
    ratios: dict[str, list[float]] = {"half": [], "whole": []}
    for row in rows:
        seconds = row["seconds"]
        for kind, values in ratios.items():
            values.append(seconds[kind] / seconds["ranks"])
        cells = [f"{seconds[kind]:.3f}" for kind in ("half", "whole", "ranks")]
        last = [f"{values[-1]:.2f}x" for values in ratios.values()]
        lines.append([row["about"], row["data"], *cells, *last, f"{row['difference']:.0e}"])
    means = [f"{report.geometric_mean(values):.2f}x" for values in ratios.values()]
    lines.append(["geometric mean", "", "", "", "", *means, ""])
    one, two = f"1 rank, {_threads(each)}", f"1 rank, {_threads(RANKS * each)}"
    return report.Sheet(
        f"Measured: seconds of a fit, {RANKS} ranks of {_threads(each)} each beside one rank",
        ["task", "data", one, two, f"{RANKS} ranks", "to the first", "to the second", "largest difference"],
        lines,
        [
            "how many times as fast the ranks are as one with as many threads as each of them, and with all threads",
            "the last column is of the results, of their largest element",
        ],
    )


def _model_sheet(rows: list[dict[str, Any]], network: Network, each: int, is_here: bool) -> report.Sheet:
    """
    Args:
        is_here: whether the network is the one that fits were measured with, which then stand beside the model's.
    """
    last, lines, notes = MODELLED[-1], [], []
    for row in rows:
        said, name = row["modelled"][network.name], f"{row['about']} of {row['data']}"
        cells = {p: [f"{said[p]:.3f} ({said[1] / said[p]:.1f}x)"] for p in MODELLED}
        cells[1] = [f"{said[1]:.3f}"]
        if is_here:
            cells[RANKS].append(f"{row['seconds']['ranks']:.3f}")
        size = f"{row['bytes'] / 1e6:.3g}"
        lines.append(
            [row["about"], row["data"], str(row["collectives"]), size, *(c for p in MODELLED for c in cells[p])]
        )
        notes.append(
            f"{name}, {last} ranks: {row['caller'][last]:.4f} s of the caller, {row['computed'][last]:.4f} s computed, "
            f"{row['in_collectives'][network.name][last]:.4f} s in collectives"
        )
    heads = {p: [f"{p} rank{'' if p == 1 else 's'}"] for p in MODELLED}
    if is_here:
        heads[RANKS].append("measured")
        off = [row["modelled"][network.name][RANKS] / row["seconds"]["ranks"] - 1 for row in rows]
        text = f"the model of {RANKS} ranks is {100 * min(off):+.0f} % to {100 * max(off):+.0f} % off what was measured"
        notes.insert(0, text)
    first = (
        f"{network.name}: {1e6 * network.latency:.3g} us, {network.bandwidth / 1e9:.3g} GB/s; collectives, and the "
        "MB that a rank gives to them, are of one fit; speed-ups are to the model of 1 rank"
    )
    return report.Sheet(
        f"Modelled, not measured: seconds of a fit on ranks of {_threads(each)} each; {network.name}",
        ["task", "data", "collectives", "MB", *(head for p in MODELLED for head in heads[p])],
        lines,
        [first, *notes],
    )


if __name__ == "__main__":
    typer.run(main)
