"""frovedis_lite beside scikit-learn, scikit-learn-intelex, networkx and PySpark: the same fits, in turns, in one run.

python -m benchmarks.analytics
python -m benchmarks.analytics --tasks lr_dense,kmeans --peers scikit-learn --json results/analytics.json

The time of a task is that of a fit, its data in memory (for Spark, cached on its side). Beside it stands a figure that
says how good the result is, which must be the same for all. Peers that are not installed (`pip install
scikit-learn-intelex pyspark`) are left out, and the tables say so.
"""

import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from benchmarks import report
from benchmarks.analytics_data import SETS
from benchmarks.analytics_spark import SPARK, Spark
from benchmarks.measure import PAUSE, machine

OURS, BASE = "frovedis_lite", "scikit-learn"
PACKAGES = {OURS: "sklearn", BASE: "sklearn", "intelex": "sklearnex", "networkx": "networkx", "spark": "pyspark"}
ROUNDS = 3

Fit = Callable[[Any, Any], float]  # of X and y; how good the result is


@dataclass(frozen=True)
class Task:
    """A fit that several engines can do.

    Attributes:
        data: of `SETS`.
        quality: what the figure is that each fit returns.
        engines: by name; each makes a fit when it is called, so that only engines in use are imported.
    """

    about: str
    data: str
    quality: str
    engines: Mapping[str, Callable[[], Fit]]


def _estimator(package: str, path: str, quality: Callable[[Any, Any, Any], float], **options: Any) -> Callable[[], Fit]:
    def make() -> Fit:
        module, name = path.rsplit(".", 1)
        kind = getattr(importlib.import_module(f"{package}.{module}"), name)
        return lambda X, y: quality(kind(**options).fit(X, y), X, y)

    return make


def _all_three(path: str, quality: Callable[[Any, Any, Any], float], **options: Any) -> dict[str, Callable[[], Fit]]:
    packages = {OURS: "frovedis_lite.mllib", BASE: "sklearn", "intelex": "sklearnex"}
    return {name: _estimator(package, path, quality, **options) for name, package in packages.items()}


def _loss(model: Any, X: Any, y: np.ndarray) -> float:
    """Mean logistic loss and the penalty: what LogisticRegression minimises."""
    weights = np.ravel(model.coef_)
    margins = np.where(y == 1, 1, -1) * (X @ weights + np.ravel(model.intercept_)[0])
    return float(np.logaddexp(0, -margins).mean() + 0.5 * weights @ weights / len(y))


def _inertia(model: Any, X: Any, y: None) -> float:
    return float(model.inertia_)


def _largest(model: Any, X: Any, y: None) -> float:
    return float(np.sum(model.singular_values_))


def _our_pagerank() -> Fit:
    from frovedis_lite.graph import Graph, pagerank

    def fit(edges: np.ndarray, _: None) -> float:
        ranks = pagerank(Graph.from_edges(edges[:, 0], edges[:, 1], directed=True), tol=1e-8)
        return float(max(ranks.values()))

    return fit


def _their_pagerank() -> Fit:
    import networkx

    def fit(edges: np.ndarray, _: None) -> float:
        graph = networkx.DiGraph()
        graph.add_edges_from(edges.tolist())
        return float(max(networkx.pagerank(graph, tol=1e-8).values()))

    return fit


_SVD = {"n_components": 10, "algorithm": "arpack", "tol": 1e-6, "random_state": 0}
_KMEANS = {"n_init": 1, "init": "random", "max_iter": 20, "tol": 0.0, "random_state": 0}
TASKS = {
    "lr_dense": Task(
        "logistic regression", "dense", "objective", _all_three("linear_model.LogisticRegression", _loss, tol=1e-5)
    ),
    "lr_sparse": Task(
        "logistic regression", "sparse", "objective", _all_three("linear_model.LogisticRegression", _loss, tol=1e-5)
    ),
    "lr_clicks": Task(
        "logistic regression", "clicks", "objective", _all_three("linear_model.LogisticRegression", _loss, tol=1e-4)
    ),
    "kmeans": Task(
        "k-means, k = 10", "blobs", "inertia", _all_three("cluster.KMeans", _inertia, n_clusters=10, **_KMEANS)
    ),
    "kmeans_documents": Task(
        "k-means, k = 20", "documents", "inertia", _all_three("cluster.KMeans", _inertia, n_clusters=20, **_KMEANS)
    ),
    "svd": Task("truncated SVD, k = 10", "sparse", "sum", _all_three("decomposition.TruncatedSVD", _largest, **_SVD)),
    "svd_documents": Task(
        "truncated SVD, k = 10", "documents", "sum", _all_three("decomposition.TruncatedSVD", _largest, **_SVD)
    ),
    "pagerank": Task(
        "PageRank, loading included", "links", "largest rank", {OURS: _our_pagerank, "networkx": _their_pagerank}
    ),
}


def main(
    tasks: Annotated[str, typer.Option(help="names with commas between")] = ",".join(TASKS),
    peers: Annotated[str, typer.Option(help="names with commas between")] = "scikit-learn,intelex,networkx,spark",
    rounds: Annotated[int, typer.Option(min=1, help="fits of each engine that count")] = ROUNDS,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all figures there")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="write the table there")] = None,
) -> None:
    """Print seconds of each fit, and how many times as fast frovedis_lite is."""
    chosen = [OURS, *(name for name in peers.split(",") if name)]
    for kind, given, known in (("task", tasks.split(","), TASKS), ("peer", chosen, PACKAGES)):
        if unknown := [name for name in given if name not in known]:
            raise typer.BadParameter(f"no {kind} is called {', '.join(unknown)}; there are {', '.join(known)}")
    missing = [name for name in chosen if importlib.util.find_spec(PACKAGES[name]) is None]
    progress = Console(stderr=True, soft_wrap=True)
    rows = []
    for name in tasks.split(","):
        task = TASKS[name]
        progress.print(f"{task.about}: {SETS[task.data].about}")
        row = _measured(name, task, [engine for engine in chosen if engine not in missing], rounds)
        progress.print(
            *(f"  {k}: {v['seconds']:.3f} s, {v['quality']:.8g}" for k, v in row["engines"].items()), sep="\n"
        )
        rows.append(row)
    where = machine("aurora-labs", "numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "networkx", "pyspark")
    sheet = _sheet(rows, [name for name in chosen if name not in missing], missing)
    report.publish(where, [sheet], {"rows": rows}, json_file, markdown_file)


def _measured(name: str, task: Task, chosen: list[str], rounds: int) -> dict[str, Any]:
    """Seconds of each engine's fits, in turns: one that does not count and `rounds` that do."""
    X, y = SETS[task.data].make()
    fits = {engine: make() for engine, make in task.engines.items() if engine in chosen}
    spark = Spark(name, X, y) if "spark" in chosen and name in SPARK else None
    if spark is not None:
        fits["spark"] = spark.fit
    seconds: dict[str, list[float]] = {engine: [] for engine in fits}
    quality: dict[str, float] = {}
    order = list(fits)
    for turn in range(rounds + 1):
        for engine in order[turn % len(order) :] + order[: turn % len(order)]:
            time.sleep(PAUSE)
            begin = time.perf_counter()
            quality[engine] = fits[engine](X, y)
            seconds[engine].append(time.perf_counter() - begin)
    if spark is not None:
        spark.stop()
    found = {k: {"seconds": statistics.median(v[1:]), "all": v, "quality": quality[k]} for k, v in seconds.items()}
    return {"task": name, "about": task.about, "data": SETS[task.data].about, "of": task.quality, "engines": found}


def _sheet(rows: list[dict[str, Any]], names: list[str], missing: list[str]) -> report.Sheet:
    peers = [name for name in names if name != OURS]
    lines, ratios = [], {name: [] for name in peers}
    for row in rows:
        engines = row["engines"]
        mine = engines[OURS]["seconds"]
        cells = []
        for name in peers:
            if name not in engines:
                cells += ["-", "-"]
                continue
            ratios[name].append(engines[name]["seconds"] / mine)
            cells += [f"{engines[name]['seconds']:.3f}", f"{ratios[name][-1]:.2f}x"]
        worst = max(abs(e["quality"] / engines[OURS]["quality"] - 1) for e in engines.values())
        lines.append([row["about"], row["data"], f"{mine:.3f}", *cells, f"{worst:.0e}"])
    means = [("", f"{report.geometric_mean(ratios[n]):.2f}x") if ratios[n] else ("", "-") for n in peers]
    lines.append(["geometric mean", "", "", *(cell for pair in means for cell in pair), ""])
    header = ["task", "data", OURS, *(cell for name in peers for cell in (name, "ratio")), "largest difference"]
    notes = [
        "seconds of a fit, and how many times as fast frovedis_lite is; the last column is of the results' quality"
    ]
    notes += [f"not installed: {', '.join(missing)}"] if missing else []
    return report.Sheet(f"{os.cpu_count()} processors: seconds of a fit", header, lines, notes)


if __name__ == "__main__":
    typer.run(main)
