"""frovedis_lite beside scikit-learn, scikit-learn-intelex, networkx and PySpark: the same fits, in turns, in one run.

python -m benchmarks.analytics
python -m benchmarks.analytics --tasks lr_dense,kmeans --peers scikit-learn --json results/analytics.json

The time of a task is that of a fit, its data in memory (for Spark, cached on its side). Beside it stands a figure that
says how good the result is, which must be the same for all; where they took different numbers of iterations, a note
says how many. Peers that are not installed (`pip install "aurora-labs[bench]"`, and Java for Spark) are left out, and
the tables say so.
"""

import importlib.util
import os
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from scipy import sparse

from benchmarks import report
from benchmarks.analytics_data import SETS
from benchmarks.analytics_spark import SPARK, Outcome, Spark
from benchmarks.measure import PAUSE, machine

OURS, BASE = "frovedis_lite", "scikit-learn"
PACKAGES = {OURS: "sklearn", BASE: "sklearn", "intelex": "sklearnex", "networkx": "networkx", "spark": "pyspark"}
ROUNDS = 3
PATIENCE = 120.0

Fit = Callable[
    [Any, Any], Callable[[], Outcome]
]  # of X and y; what it gives says how good the result is, off the clock


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


def _estimator(
    package: str, path: str, quality: Callable[[Any, Any, Any], float], from_rows: bool, **options: Any
) -> Callable[[], Fit]:
    def make() -> Fit:
        module, name = path.rsplit(".", 1)
        kind = getattr(importlib.import_module(f"{package}.{module}"), name)

        def fit(X: Any, y: Any) -> Callable[[], Outcome]:
            model = kind(**options, **({"init": _first(X, options["n_clusters"])} if from_rows else {})).fit(X, y)
            steps = getattr(model, "n_iter_", None)
            return lambda: (quality(model, X, y), None if steps is None else int(np.max(steps)))

        return fit

    return make


def _first(X: Any, count: int) -> np.ndarray:
    """So many rows, the same for all engines."""
    return X[:count].toarray() if sparse.issparse(X) else X[:count]


def _engines(
    path: str,
    quality: Callable[[Any, Any, Any], float],
    intelex: bool = True,
    from_rows: bool = False,
    **options: Any,
) -> dict[str, Callable[[], Fit]]:
    """The same estimator of several packages.

    Args:
        intelex: whether it has this one, too.
        from_rows: whether it begins with the first rows as centroids.
    """
    packages = {OURS: "frovedis_lite.mllib", BASE: "sklearn", **({"intelex": "sklearnex"} if intelex else {})}
    return {name: _estimator(package, path, quality, from_rows, **options) for name, package in packages.items()}


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

    def fit(edges: np.ndarray, _: None) -> Callable[[], Outcome]:
        ranks = pagerank(Graph.from_edges(edges[:, 0], edges[:, 1], directed=True), tol=1e-8)
        return lambda: (float(max(ranks.values())), None)

    return fit


def _their_pagerank() -> Fit:
    import networkx

    def fit(edges: np.ndarray, _: None) -> Callable[[], Outcome]:
        graph = networkx.DiGraph()
        graph.add_edges_from(edges.tolist())
        ranks = networkx.pagerank(graph, tol=1e-8)
        return lambda: (float(max(ranks.values())), None)

    return fit


SVD = {"n_components": 10, "algorithm": "arpack", "tol": 1e-6, "random_state": 0}
KMEANS = {"n_init": 1, "max_iter": 20, "tol": 0.0}
# scikit-learn-intelex has none
_SVD_ENGINES = _engines("decomposition.TruncatedSVD", _largest, intelex=False, **SVD)
TASKS = {
    "lr_dense": Task(
        "logistic regression", "dense", "objective", _engines("linear_model.LogisticRegression", _loss, tol=1e-5)
    ),
    "lr_sparse": Task(
        "logistic regression", "sparse", "objective", _engines("linear_model.LogisticRegression", _loss, tol=1e-5)
    ),
    "lr_clicks": Task(
        "logistic regression", "clicks", "objective", _engines("linear_model.LogisticRegression", _loss, tol=1e-4)
    ),
    "kmeans": Task(
        "k-means, k = 10",
        "blobs",
        "inertia",
        _engines("cluster.KMeans", _inertia, n_clusters=10, from_rows=True, **KMEANS),
    ),
    "kmeans_documents": Task(
        "k-means, k = 20",
        "documents",
        "inertia",
        _engines("cluster.KMeans", _inertia, n_clusters=20, from_rows=True, **KMEANS),
    ),
    "svd": Task("truncated SVD, k = 10", "sparse", "sum", _SVD_ENGINES),
    "svd_documents": Task("truncated SVD, k = 10", "documents", "sum", _SVD_ENGINES),
    "pagerank": Task(
        "PageRank, loading included", "links", "largest rank", {OURS: _our_pagerank, "networkx": _their_pagerank}
    ),
}


def main(
    tasks: Annotated[str, typer.Option(help="names with commas between")] = ",".join(TASKS),
    peers: Annotated[str, typer.Option(help="names with commas between")] = "scikit-learn,intelex,networkx,spark",
    rounds: Annotated[int, typer.Option(min=1, help="fits of each engine that count")] = ROUNDS,
    patience: Annotated[
        float, typer.Option(min=0, help="seconds; a peer whose first fit took longer is not run again, and it counts")
    ] = PATIENCE,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all figures there")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="write the table there")] = None,
) -> None:
    """Print seconds of each fit, and how many times as fast frovedis_lite is."""
    chosen = [OURS, *(name for name in peers.split(",") if name)]
    for kind, given, known in (("task", tasks.split(","), TASKS), ("peer", chosen, PACKAGES)):
        if unknown := [name for name in given if name not in known]:
            raise typer.BadParameter(f"no {kind} is called {', '.join(unknown)}; there are {', '.join(known)}")
    missing = [name for name in chosen if not _is_there(name)]
    progress = Console(stderr=True, soft_wrap=True)
    rows = []
    for name in tasks.split(","):
        task = TASKS[name]
        progress.print(f"{task.about}: {SETS[task.data].about}")
        row = _measured(name, task, [engine for engine in chosen if engine not in missing], rounds, patience)
        progress.print(
            *(f"  {k}: {v['seconds']:.3f} s, {v['quality']:.8g}" for k, v in row["engines"].items()), sep="\n"
        )
        rows.append(row)
    where = machine("aurora-labs", "numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "networkx", "pyspark")
    sheet = _sheet(rows, [name for name in chosen if name not in missing], missing)
    report.publish(where, [sheet], {"rows": rows}, json_file, markdown_file)


def _is_there(name: str) -> bool:
    java = "JAVA_HOME" in os.environ or shutil.which("java")
    return importlib.util.find_spec(PACKAGES[name]) is not None and bool(name != "spark" or java)


def _measured(name: str, task: Task, chosen: list[str], rounds: int, patience: float) -> dict[str, Any]:
    """Seconds of each engine's fits, in turns: one that does not count and `rounds` that do.

    Args:
        patience: in seconds; of a peer whose first fit takes longer it is the only one, and counts.
    """
    X, y = SETS[task.data].make()
    fits = {engine: make() for engine, make in task.engines.items() if engine in chosen}
    spark = Spark(name, X, y) if "spark" in chosen and name in SPARK else None
    if spark is not None:
        fits["spark"] = spark.fit
    seconds: dict[str, list[float]] = {engine: [] for engine in fits}
    outcomes: dict[str, Outcome] = {}
    once: set[str] = set()
    order = list(fits)
    for turn in range(rounds + 1):
        for engine in order[turn % len(order) :] + order[: turn % len(order)]:
            if engine in once:
                continue
            time.sleep(PAUSE)
            begin = time.perf_counter()
            result = fits[engine](X, y)
            seconds[engine].append(time.perf_counter() - begin)
            outcomes[engine] = result()
            if engine != OURS and seconds[engine][0] > patience:
                once.add(engine)
    if spark is not None:
        spark.stop()
    found = {
        engine: {"seconds": statistics.median(all_[1:] or all_), "all": all_, "once": engine in once}
        | dict(zip(("quality", "iterations"), outcomes[engine], strict=True))
        for engine, all_ in seconds.items()
    }
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
    notes += [note for row in rows for note in _notes(row)]
    notes += [f"not installed: {', '.join(missing)}"] if missing else []
    return report.Sheet(f"{os.cpu_count()} processors: seconds of a fit", header, lines, notes)


def _notes(row: dict[str, Any]) -> list[str]:
    """What to know of a row: different iterations, and peers that were too slow to be measured more than once."""
    engines, of = row["engines"], f"{row['about']} of {row['data']}"
    steps = {name: found["iterations"] for name, found in engines.items() if found["iterations"] is not None}
    once = [name for name, found in engines.items() if found["once"]]
    notes = []
    if len(set(steps.values())) > 1:
        notes.append(f"{of}: iterations {', '.join(f'{count} ({name})' for name, count in steps.items())}")
    if once:
        notes.append(f"{of}: one fit only of {', '.join(once)}, which took longer than a peer is waited for")
    return notes


if __name__ == "__main__":
    typer.run(main)
