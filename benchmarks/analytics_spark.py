"""PySpark as a peer of `benchmarks.analytics`: a local session of two threads, data cached before a fit is timed."""

from typing import Any

import numpy as np

SPARK = {"lr_sparse", "lr_clicks", "kmeans_documents", "svd", "svd_documents"}  # the tasks that it is asked for
MEMORY = "8g"


class Spark:
    """A Spark session with the data of one task.

    Args:
        task: of `SPARK`.
        X, y: as for the other engines.
    """

    def __init__(self, task: str, X: Any, y: np.ndarray | None) -> None:
        from pyspark.ml.linalg import Vectors
        from pyspark.sql import SparkSession

        self._task = task
        builder = SparkSession.builder.master("local[2]").appName("benchmark").config("spark.driver.memory", MEMORY)
        self._session = builder.config("spark.ui.enabled", "false").getOrCreate()
        self._session.sparkContext.setLogLevel("ERROR")
        rows = (
            (float(0 if y is None else y[i]), Vectors.sparse(X.shape[1], X[i].indices.tolist(), X[i].data.tolist()))
            for i in range(X.shape[0])
        )
        self._data = self._session.createDataFrame(rows, ["label", "features"]).cache()
        self._data.count()

    def fit(self, X: Any, y: np.ndarray | None) -> float:
        """One fit on the cached data; the same quality as the others return."""
        if self._task.startswith("lr"):
            from pyspark.ml.classification import LogisticRegression

            model = LogisticRegression(maxIter=100, tol=1e-6, regParam=1 / X.shape[0], standardization=False).fit(
                self._data
            )
            weights = model.coefficients.toArray()
            margins = np.where(y == 1, 1, -1) * (X @ weights + model.intercept)
            return float(np.logaddexp(0, -margins).mean() + 0.5 * weights @ weights / len(y))
        if self._task.startswith("kmeans"):
            from pyspark.ml.clustering import KMeans

            model = KMeans(k=20, initMode="random", maxIter=20, tol=0.0, seed=0).fit(self._data)
            return float(model.summary.trainingCost)
        from pyspark.mllib.linalg import Vectors
        from pyspark.mllib.linalg.distributed import RowMatrix

        rows = self._data.rdd.map(lambda row: Vectors.fromML(row.features))
        return float(sum(RowMatrix(rows).computeSVD(10).s.toArray()))

    def stop(self) -> None:
        """End the session."""
        self._session.stop()
