"""PySpark as a peer of `benchmarks.analytics`: a local session with a thread for each processor, that talks to nobody
but this process. Its data are in its own memory before a fit is timed.

They come to it through a file in LIBSVM's format, which it reads in the JVM: rows that go through Python one by one
would take longer than all fits. The numbers there have sixteen digits.

As it comes from the package index, Spark computes with BLAS and ARPACK in Java, unless it finds libblas.so.3 and
libarpack.so.2; it says on stderr that it did not.
"""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

MEMORY = "8g"
LOOPBACK = "127.0.0.1"

Outcome = tuple[float, int | None]  # how good a result is, and after how many iterations


class Spark:
    """A Spark session with the data of one task.

    Args:
        task: of `SPARK`.
        X: [rows, columns], an array or CSR matrix.
        y: [rows] of 0 and 1, or None.
        memory: of the JVM, in its notation; that of the first session of a process counts.
    """

    def __init__(self, task: str, X: Any, y: np.ndarray | None, memory: str = MEMORY) -> None:
        from pyspark.sql import SparkSession
        from pyspark.storagelevel import StorageLevel

        self._task = SPARK[task]
        os.environ["SPARK_LOCAL_IP"] = LOOPBACK
        builder = SparkSession.builder.master(f"local[{len(os.sched_getaffinity(0))}]").appName("benchmark")
        for key, value in {
            "spark.driver.memory": memory,
            "spark.driver.host": LOOPBACK,
            "spark.driver.bindAddress": LOOPBACK,
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }.items():
            builder = builder.config(key, value)
        self._folder = tempfile.TemporaryDirectory(prefix="benchmark-")
        self._session = builder.getOrCreate()
        self._session.sparkContext.setLogLevel("ERROR")
        rows = self._rows(X, y)
        if self._task is _svd:
            self._data: Any = _matrix(rows, X.shape)
        else:
            self._data = rows.persist(StorageLevel.MEMORY_AND_DISK_DESER)
            self._data.count()

    def _rows(self, X: Any, y: np.ndarray | None) -> Any:
        from sklearn.datasets import dump_svmlight_file

        path = str(Path(self._folder.name) / "rows.libsvm")
        dump_svmlight_file(X, np.zeros(X.shape[0], np.int64) if y is None else y, path, zero_based=False)
        kind = "sparse" if sparse.issparse(X) else "dense"
        reader = self._session.read.format("libsvm").option("vectorType", kind)
        return reader.option("numFeatures", X.shape[1]).load(path)

    def fit(self, X: Any, y: np.ndarray | None) -> Callable[[], Outcome]:
        """One fit on the data that Spark has; what it gives says how good the result is."""
        return self._task(self._data, X, y)

    def stop(self) -> None:
        """End the session, and remove its files."""
        self._session.stop()
        self._folder.cleanup()


def _logistic(data: Any, X: Any, y: np.ndarray) -> Callable[[], Outcome]:
    """The objective of scikit-learn with C = 1, divided by the number of rows as Spark's is."""
    from pyspark.ml.classification import LogisticRegression

    model = LogisticRegression(maxIter=100, tol=1e-6, regParam=1 / X.shape[0], standardization=False).fit(data)

    def outcome() -> Outcome:
        weights = model.coefficients.toArray()
        margins = np.where(y == 1, 1, -1) * (X @ weights + model.intercept)
        objective = np.logaddexp(0, -margins).mean() + 0.5 * weights @ weights / len(y)
        return float(objective), int(model.summary.totalIterations)

    return outcome


def _kmeans(clusters: int, data: Any, X: Any, y: None) -> Callable[[], Outcome]:
    """From other random rows than scikit-learn's: Spark has its own generator."""
    from pyspark.ml.clustering import KMeans

    model = KMeans(k=clusters, initMode="random", maxIter=20, tol=0.0, seed=0).fit(data)
    return lambda: (float(model.summary.trainingCost), int(model.summary.numIter))


def _svd(data: Any, X: Any, y: None) -> Callable[[], Outcome]:
    found = data.computeSVD(10)
    return lambda: (float(sum(found.s.toArray())), None)


def _matrix(rows: Any, shape: tuple[int, int]) -> Any:
    """Spark's `RowMatrix` of the features, its rows in memory."""
    from pyspark.mllib.linalg.distributed import RowMatrix
    from pyspark.mllib.util import MLUtils

    matrix = RowMatrix(MLUtils.convertVectorColumnsFromML(rows.select("features"), "features"), *shape)
    # Python's own `rows` would be another set of rows, made of these.
    matrix._java_matrix_wrapper._java_model.rows().cache().count()
    return matrix


SPARK: dict[str, Callable[[Any, Any, Any], Callable[[], Outcome]]] = {  # the tasks that it is asked for
    "lr_dense": _logistic,
    "lr_sparse": _logistic,
    "lr_clicks": _logistic,
    "kmeans": partial(_kmeans, 10),
    "kmeans_documents": partial(_kmeans, 20),
    "svd": _svd,
    "svd_documents": _svd,
}
