"""NearestNeighbors."""

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from frovedis_lite.mllib.base import Estimator, Table, gathered, is_distributed, is_sparse, plain, to_ranks, validated
from frovedis_lite.mllib.neighbors import search

SAME = {"l2": "euclidean", "l1": "manhattan", "cityblock": "manhattan"}
SPARSE = ("euclidean", "manhattan", "cosine")
METRICS = {"euclidean", "l2", "manhattan", "l1", "cityblock", "chebyshev", "minkowski", "cosine"}


class Neighbors(Estimator):
    """Rows that are searched. They stay on the ranks."""

    _parameter_constraints = {  # noqa: RUF012
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
        "radius": [Interval(Real, 0, None, closed="both"), None],
        "algorithm": [StrOptions({"auto", "ball_tree", "kd_tree", "brute"})],
        "leaf_size": [Interval(Integral, 1, None, closed="left")],
        "p": [Interval(Real, 0, None, closed="right"), None],
        "metric": [StrOptions(METRICS)],
        "metric_params": [dict, None],
        "n_jobs": [Integral, None],
    }

    def _fit_rows(self, X: Any, y: Any = "no_validation") -> Any:
        self._validate_params()
        if self.algorithm not in ("auto", "brute"):
            raise NotImplementedError(f"algorithm={self.algorithm!r} is not here; 'brute' finds the same rows")
        if self.metric_params:
            raise NotImplementedError("metric_params is not here; the parameter p is, for metric='minkowski'")
        made = validated(self, X, y, accept_sparse="csr", order="C", multi_output=True) if _given(y) else None
        X, y = made or (validated(self, X, accept_sparse="csr", order="C"), None)
        metric, more = SAME.get(self.metric, self.metric), {}
        if metric == "minkowski":
            p = 2 if self.p is None else self.p
            metric = {1: "manhattan", 2: "euclidean", np.inf: "chebyshev"}.get(p, "minkowski")
            more = {"p": p} if metric == "minkowski" else {}
        if is_sparse(X) and metric not in SPARSE:
            raise ValueError(f"Metric {metric!r} not valid for sparse input. Valid ones are {', '.join(SPARSE)}")
        self.effective_metric_, self.effective_metric_params_ = metric, more
        self.n_samples_fit_ = X.shape[0]
        self.fit_rows_ = X
        self._table = (X, to_ranks(X))
        return y

    def _rows(self) -> Table:
        """The rows on the ranks; a copy or a loaded model shares them out again."""
        held, table = getattr(self, "_table", (None, None))
        if held is not self.fit_rows_ or not table.session.is_up:
            table = to_ranks(self.fit_rows_)
            self._table = (self.fit_rows_, table)
        return table

    def __getstate__(self) -> dict[str, Any]:
        return {name: gathered(value) for name, value in super().__getstate__().items() if name != "_table"}

    def release(self) -> None:
        super().release()
        vars(self).pop("_table", None)

    def _points(self, X: Any) -> Any:
        check_is_fitted(self)
        made = self.fit_rows_ if X is None else validated(self, X, reset=False, accept_sparse="csr", order="C")
        return gathered(made) if is_distributed(made) else plain(made)

    def kneighbors(self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """The nearest rows of each point.

        Args:
            X: [points, columns]; None: the rows themselves, of which none is its own neighbour.
            n_neighbors: how many; None: as the estimator says.
            return_distance: whether distances are wanted, too.
        Returns:
            Distances [points, n_neighbors] float64, nearest first, and numbers of rows [points, n_neighbors] int64; of
            rows as near, the first.
        Raises:
            ValueError: there are no so many rows.
        """
        points = self._points(X)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(k, Integral):
            raise TypeError(f"n_neighbors does not take {type(k)} value, enter integer value")
        if k <= 0:
            raise ValueError(f"Expected n_neighbors > 0. Got {k}")
        rows, own = self.n_samples_fit_, X is None
        if k + own > rows:
            raise ValueError(
                f"Expected n_neighbors {'<' if own else '<='} n_samples_fit, but n_neighbors = {k}, "
                f"n_samples_fit = {rows}, n_samples = {points.shape[0]}"
            )
        table = self._rows()
        arguments = (points, k + own, self.effective_metric_, self.effective_metric_params_)
        made = table.session.gather(table.session.run_parts(search.nearest, table.X, *arguments))
        distances, found = (np.concatenate(each) for each in zip(*made, strict=True))
        if own:
            other = found != np.arange(rows)[:, None]
            other[np.all(other, axis=1), 0] = False  # among many of the same rows it did not find itself
            distances, found = (each[other].reshape(rows, k) for each in (distances, found))
        return (distances, found) if return_distance else found

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> sparse.csr_matrix:
        """Who is whose neighbour: CSR [points, rows] of 1 ("connectivity") or distances ("distance")."""
        _check_mode(mode)
        distances, found = self.kneighbors(X, n_neighbors)
        number, k = found.shape
        values = np.ones(found.size) if mode == "connectivity" else distances.ravel()
        starts = np.arange(0, found.size + 1, k)
        return sparse.csr_matrix((values, found.ravel(), starts), shape=(number, self.n_samples_fit_))

    def _within(self, X: Any, radius: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        points = self._points(X)
        radius = self.radius if radius is None else radius
        table = self._rows()
        arguments = (points, radius, self.effective_metric_, self.effective_metric_params_)
        made = table.session.gather(table.session.run_parts(search.within, table.X, *arguments))
        point, row, distances = (np.concatenate(each) for each in zip(*made, strict=True))
        order = np.argsort(point, kind="stable")  # ranks have their rows in order
        if X is None:
            order = order[point[order] != row[order]]
        return point[order], row[order], distances[order], points.shape[0]


class NearestNeighbors(Neighbors):
    """The nearest of all rows, by brute force, as `sklearn.neighbors.NearestNeighbors`.

    Args:
        n_neighbors, radius: what the searches find unless they are told otherwise.
        algorithm: "auto" or "brute".
        leaf_size: kept for scikit-learn; it belongs to trees.
        metric: "euclidean", "manhattan", "chebyshev", "minkowski" with the exponent p, or "cosine".
        p: of "minkowski".
        metric_params: None.
        n_jobs: kept for scikit-learn; the threads are those of the process, see `native.threads`.

    Attributes:
        effective_metric_, effective_metric_params_, n_samples_fit_; fit_rows_: X.
    """

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        radius: float = 1.0,
        algorithm: str = "auto",
        leaf_size: int = 30,
        metric: str = "minkowski",
        p: float = 2,
        metric_params: dict[str, Any] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.metric = metric
        self.p = p
        self.metric_params = metric_params
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Keep X [rows, columns] on the ranks.

        Raises:
            NotImplementedError: algorithm is a tree, or metric_params are given.
            ValueError: the metric is none for sparse rows.
        """
        self._fit_rows(X)
        return self

    def radius_neighbors(
        self, X: Any = None, radius: float | None = None, return_distance: bool = True, sort_results: bool = False
    ) -> Any:
        """All rows within a radius of each point, those on its border too.

        Returns:
            Distances and numbers of rows, each an array [points] of arrays, by number or (sort_results) by distance.
        Raises:
            ValueError: distances are to be sorted, but not returned.
        """
        if sort_results and not return_distance:
            raise ValueError("return_distance must be True if sort_results is True.")
        point, row, distances, number = self._within(X, radius)
        if sort_results:
            order = np.lexsort((distances, point))
            row, distances = row[order], distances[order]
        ends = np.cumsum(np.bincount(point, minlength=number))
        made = []
        for flat in (distances, row):
            parts = np.empty(number, dtype=object)
            parts[:] = np.split(flat, ends[:-1])
            made.append(parts)
        return tuple(made) if return_distance else made[1]

    def radius_neighbors_graph(
        self, X: Any = None, radius: float | None = None, mode: str = "connectivity", sort_results: bool = False
    ) -> sparse.csr_matrix:
        """The same as CSR [points, rows] of 1 ("connectivity") or distances ("distance")."""
        _check_mode(mode)
        point, row, distances, number = self._within(X, radius)
        if sort_results:
            order = np.lexsort((distances, point))
            row, distances = row[order], distances[order]
        values = np.ones(len(row)) if mode == "connectivity" else distances
        starts = np.concatenate([[0], np.cumsum(np.bincount(point, minlength=number))])
        return sparse.csr_matrix((values, row, starts), shape=(number, self.n_samples_fit_))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _given(y: Any) -> bool:
    return not (isinstance(y, str) and y == "no_validation")


def _check_mode(mode: str) -> None:
    if mode not in ("connectivity", "distance"):
        raise ValueError(f'Unsupported mode, must be one of "connectivity", or "distance" but got "{mode}" instead')
