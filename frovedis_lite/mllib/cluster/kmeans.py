"""KMeans."""

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_array, check_is_fitted

from frovedis_lite.mllib.base import Estimator, Table, is_distributed, of_rows, to_ranks, validated
from frovedis_lite.mllib.cluster import lloyd
from frovedis_lite.mllib.cluster.seeding import Start


class CentroidEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, Estimator):
    """What k-means and its mini-batches share."""

    _parameter_constraints = {  # noqa: RUF012
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"}), callable, "array-like"],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def _rows(self, X: Any, sample_weight: Any, reset: bool) -> tuple[Any, Table]:
        X = validated(self, X, reset=reset, accept_sparse="csr", order="C", accept_large_sparse=False)
        if sample_weight is not None:
            like = np.empty((X.shape[0], 0), X.dtype)
            sample_weight = _check_sample_weight(sample_weight, like, dtype=X.dtype, ensure_non_negative=True)
        return X, to_ranks(X, sample_weight=sample_weight)

    def _starts(self, X: Any, otherwise: int) -> list:
        """What `lloyd.fit` begins with, as often as it is to be tried."""
        rows = X.shape[0]
        if rows < self.n_clusters:
            raise ValueError(f"n_samples={rows} should be >= n_clusters={self.n_clusters}.")
        given = not isinstance(self.init, (str, Callable))
        times = self.n_init
        if times == "auto":
            times = 1 if given or self.init == "k-means++" else otherwise
        if given and times != 1:
            warnings.warn(
                "Explicit initial center position passed: performing only one init in "
                f"{type(self).__name__} instead of n_init={times}.",
                RuntimeWarning,
                stacklevel=3,
            )
            times = 1
        random = check_random_state(self.random_state)
        return [self._start(X, random) for _ in range(times)]

    def _start(self, X: Any, random: np.random.RandomState) -> Any:
        count = self.n_clusters
        if isinstance(self.init, str):
            return Start(self.init, count, int(random.randint(2**31 - 1)))
        if callable(self.init):
            if is_distributed(X):
                raise ValueError(
                    "init: a function needs the rows here; give the matrix as an array, or an array as init"
                )
            centers = self.init(X, count, random_state=random)
        else:
            centers = self.init
        centers = check_array(centers, dtype=X.dtype, order="C")
        if len(centers) != count:
            raise ValueError(
                f"The shape of the initial centers {centers.shape} does not match the number of clusters {count}."
            )
        if centers.shape[1] != X.shape[1]:
            raise ValueError(
                f"The shape of the initial centers {centers.shape} does not match "
                f"the number of features of the data {X.shape[1]}."
            )
        return centers

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def predict(self, X: Any) -> np.ndarray:
        """The nearest centroid of each row, [rows] int32."""
        check_is_fitted(self)
        _, table = self._rows(X, None, reset=False)
        return of_rows(table, lloyd.nearest, self.cluster_centers_)

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """`fit`, and the labels of the rows."""
        return self.fit(X, sample_weight=sample_weight).labels_

    def transform(self, X: Any) -> np.ndarray:
        """Distances to the centroids, [rows, clusters]."""
        check_is_fitted(self)
        _, table = self._rows(X, None, reset=False)
        return of_rows(table, lloyd.distances, self.cluster_centers_)

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """`fit`, and the distances of the rows."""
        return self.fit(X, sample_weight=sample_weight).transform(X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Less the sum of weighted squared distances to the nearest centroids."""
        check_is_fitted(self)
        _, table = self._rows(X, sample_weight, reset=False)
        return -table.session.run(lloyd.inertia, table.X, table.weights, self.cluster_centers_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class KMeans(CentroidEstimator):
    """k-means by Lloyd's iterations, as `sklearn.cluster.KMeans`: the same start gives the same clusters.

    A row of weight w is the same as w rows, and the order of rows does not matter: starts are drawn by what is in the
    rows (see samples.py), so other ones than scikit-learn's. "random" draws different rows, by their weights. `tol` is
    relative to the weighted variance. All this is so on any number of ranks.

    Args:
        n_clusters: how many centroids.
        init: "k-means++", "random", an array [clusters, columns], or a function (X, n_clusters, random_state) of one.
        n_init: how many starts; "auto": 1, or 10 where they are "random" or a function's.
        max_iter: iterations of each.
        tol: see `lloyd.fit`.
        verbose: print each iteration.
        random_state: seed of the starts.
        copy_x: kept for scikit-learn; X is never changed.
        algorithm: "lloyd".

    Attributes:
        cluster_centers_: [clusters, columns], of the dtype of X.
        labels_: [rows] int32.
        inertia_: sum of weighted squared distances of rows to their centroids.
        n_iter_: of the best start.
    """

    _parameter_constraints = CentroidEstimator._parameter_constraints | {
        "copy_x": ["boolean"],
        "algorithm": [StrOptions({"lloyd", "elkan"})],
    }

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: Any = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Cluster X [rows, columns] with weights [rows], which are not negative.

        Raises:
            NotImplementedError: algorithm is "elkan", which finds the same clusters as "lloyd".
            ValueError: there are fewer rows than clusters, or the initial centroids have another shape.
        """
        self._validate_params()
        if self.algorithm == "elkan":
            raise NotImplementedError("algorithm='elkan' is not here; 'lloyd' finds the same clusters")
        X, table = self._rows(X, sample_weight, reset=True)
        arguments = (self._starts(X, otherwise=10), self.max_iter, self.tol, bool(self.verbose))
        made = table.session.gather(table.session.run_parts(lloyd.fit, table.X, table.weights, *arguments))
        self.labels_ = np.concatenate([part[0] for part in made])
        _, self.cluster_centers_, self.inertia_, self.n_iter_ = made[0]
        distinct = len(np.unique(self.labels_))
        if distinct < self.n_clusters:
            warnings.warn(
                f"Number of distinct clusters ({distinct}) found smaller than n_clusters ({self.n_clusters}). "
                "Possibly due to duplicate points in X.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self
