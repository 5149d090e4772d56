"""Analytics beside its peers: the tables from made-up figures, and a run on small data."""

import importlib.util
import json
import shutil
import time

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import analytics
from benchmarks.analytics_data import Set, blobs, dense_classes, documents, links, sparse_classes
from benchmarks.analytics_spark import Spark

SMALL = {
    "dense": Set("small dense", lambda: dense_classes(400, 5)),
    "blobs": Set("small blobs", lambda: blobs(400, 4, 3)),
    "sparse": Set("small sparse", lambda: sparse_classes(400, 60, 5)),
    "clicks": Set("small clicks", lambda: sparse_classes(400, 90, 8, 3.0)),
    "documents": Set("small documents", lambda: documents(200, 60, 20)),
    "links": Set("small links", lambda: links(50, 300)),
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(analytics, "SETS", SMALL)
    monkeypatch.setattr(analytics, "PAUSE", 0)


def engine(seconds, quality, iterations=None, once=False):
    return {"seconds": seconds, "all": [seconds], "quality": quality, "iterations": iterations, "once": once}


def tolerance(name):
    """k-means may begin with other rows, and ends in another of its minima then."""
    return 0.2 if name.startswith("kmeans") else 1e-4


def test_table():
    engines = {"frovedis_lite": engine(1.0, 2.0, 12), "scikit-learn": engine(2.0, 2.0, 12)}
    slow = {**engines, "spark": engine(300.0, 2.2, 20, once=True)}
    rows = [{"about": "fit", "data": data, "engines": e} for data, e in (("a", engines), ("b", slow))]
    sheet = analytics._sheet(rows, ["frovedis_lite", "scikit-learn", "spark"], ["intelex"])
    assert sheet.rows[0] == ["fit", "a", "1.000", "2.000", "2.00x", "-", "-", "0e+00"]
    assert sheet.rows[1][-3:] == ["300.000", "300.00x", "1e-01"]
    assert sheet.rows[-1] == ["geometric mean", "", "", "", "2.00x", "", "300.00x", ""]
    assert sheet.notes[1:] == [
        "fit of b: iterations 12 (frovedis_lite), 12 (scikit-learn), 20 (spark)",
        "fit of b: one fit only of spark, which took longer than a peer is waited for",
        "not installed: intelex",
    ]


def test_a_slow_peer_is_run_once(monkeypatch):
    runs = []

    def fits(name, seconds):
        return lambda: lambda X, y: (runs.append(name), time.sleep(seconds), lambda: (1.0, None))[-1]

    fake = analytics.Task(
        "fit", "dense", "one", {"frovedis_lite": fits("ours", 0.02), "scikit-learn": fits("it", 0.02)}
    )
    row = analytics._measured("fake", fake, ["frovedis_lite", "scikit-learn"], 2, patience=0.01)
    assert sorted(runs) == ["it", "ours", "ours", "ours"]
    assert row["engines"]["scikit-learn"]["once"]
    assert row["engines"]["scikit-learn"]["seconds"] >= 0.02
    assert not row["engines"]["frovedis_lite"]["once"]


def test_all_tasks_on_small_data(tmp_path):
    app = typer.Typer()
    app.command()(analytics.main)
    files = ["--json", str(tmp_path / "all.json"), "--markdown", str(tmp_path / "all.md")]
    done = CliRunner().invoke(app, ["--peers", "scikit-learn,networkx", "--rounds", "1", *files])
    assert done.exit_code == 0, done.output
    rows = {row["task"]: row["engines"] for row in json.loads((tmp_path / "all.json").read_text())["rows"]}
    assert list(rows) == list(analytics.TASKS)
    for name, engines in rows.items():
        ours, theirs = (found["quality"] for found in engines.values())
        assert ours == pytest.approx(theirs, rel=tolerance(name))
    assert "| truncated SVD, k = 10 | small sparse |" in (tmp_path / "all.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"), [(("lr",), "no task is called lr;"), (("svd", "R"), "no peer is called R;")]
)
def test_wrong_arguments(arguments, says):
    with pytest.raises(typer.BadParameter, match=says):
        analytics.main(*arguments)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pyspark") is None or shutil.which("java") is None, reason="no Spark")
@pytest.mark.parametrize("name", ["lr_dense", "lr_sparse", "kmeans_documents", "svd"])
def test_spark_does_the_same(name):
    task = analytics.TASKS[name]
    X, y = SMALL[task.data].make()
    theirs, _ = task.engines["scikit-learn"]()(X, y)()
    spark = Spark(name, X, y, memory="1g")
    try:
        quality, _ = spark.fit(X, y)()
    finally:
        spark.stop()
    assert quality == pytest.approx(theirs, rel=tolerance(name))
