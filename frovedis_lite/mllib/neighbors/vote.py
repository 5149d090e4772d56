"""KNeighborsClassifier and KNeighborsRegressor."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets

from frovedis_lite.mllib.neighbors.nearest import Neighbors

CONSTRAINTS = {name: rule for name, rule in Neighbors._parameter_constraints.items() if name != "radius"} | {
    "weights": [StrOptions({"uniform", "distance"}), callable, None]
}


class _Voting(MultiOutputMixin, Neighbors):
    """The parameters of both, and the weights of neighbours."""

    _parameter_constraints = CONSTRAINTS

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: str | Callable | None = "uniform",
        algorithm: str = "auto",
        leaf_size: int = 30,
        p: float = 2,
        metric: str = "minkowski",
        metric_params: dict[str, Any] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.p = p
        self.metric = metric
        self.metric_params = metric_params
        self.n_jobs = n_jobs

    def _weighted(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Neighbours of each point and their weights, both [points, n_neighbors]."""
        distances, found = self.kneighbors(X)
        if self.weights in (None, "uniform"):
            return found, np.ones(found.shape)
        if callable(self.weights):
            return found, np.asarray(self.weights(distances), dtype=np.float64)
        with np.errstate(divide="ignore"):
            weights = 1 / distances
        exact = np.isinf(weights)
        meet = exact.any(axis=1)
        weights[meet] = exact[meet]  # rows in the very place are all that counts
        return found, weights

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class KNeighborsClassifier(ClassifierMixin, _Voting):
    """The class that most neighbours have, as `sklearn.neighbors.KNeighborsClassifier`.

    Args:
        n_neighbors: how many neighbours vote.
        weights: "uniform", "distance" (by its inverse), or a function of distances [points, n_neighbors].
        algorithm, leaf_size, p, metric, metric_params, n_jobs: as of `NearestNeighbors`.

    Attributes:
        classes_: [classes], or a list of these where y has several columns; others as of `NearestNeighbors`.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Keep X [rows, columns] and classes y [rows] or [rows, outputs].

        Raises: see `NearestNeighbors.fit`.
        """
        y = self._fit_rows(X, y)
        check_classification_targets(y)
        self.outputs_2d_ = y.ndim == 2 and y.shape[1] > 1
        columns = y.T if y.ndim == 2 else [y]
        found = [np.unique(column, return_inverse=True) for column in columns]
        self.targets_ = np.stack([codes for _, codes in found], axis=1)
        self.classes_ = [classes for classes, _ in found] if self.outputs_2d_ else found[0][0]
        return self

    def _votes(self, X: Any) -> list[np.ndarray]:
        """For each output the weight of each class, [points, classes]."""
        found, weights = self._weighted(X)
        if not np.all(np.any(weights != 0, axis=1)):
            raise ValueError(
                "All neighbors of some sample is getting zero weights. "
                "Please modify 'weights' to avoid this case if you are using a user-defined function."
            )
        point = np.repeat(np.arange(len(found)), found.shape[1])
        made = []
        for column, classes in zip(self.targets_.T, self._classes(), strict=True):
            count = len(classes)
            votes = np.bincount(point * count + column[found].ravel(), weights.ravel(), len(found) * count)
            made.append(votes.reshape(len(found), count))
        return made

    def _classes(self) -> list[np.ndarray]:
        return self.classes_ if self.outputs_2d_ else [self.classes_]

    def predict(self, X: Any) -> np.ndarray:
        """The class of each point, [points] or [points, outputs]; of classes with as many votes, the first.

        Args:
            X: [points, columns]; None: the rows themselves, without their own votes.
        """
        votes = self._votes(X)
        made = [classes[np.argmax(each, axis=1)] for each, classes in zip(votes, self._classes(), strict=True)]
        return np.stack(made, axis=1) if self.outputs_2d_ else made[0]

    def predict_proba(self, X: Any) -> Any:
        """Parts of the votes, [points, classes], or a list of these for several outputs."""
        made = [each / each.sum(axis=1, keepdims=True) for each in self._votes(X)]
        return made if self.outputs_2d_ else made[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class KNeighborsRegressor(RegressorMixin, _Voting):
    """The mean of the neighbours' values, as `sklearn.neighbors.KNeighborsRegressor`.

    Args: as of `KNeighborsClassifier`.

    Attributes: as of `NearestNeighbors`.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Keep X [rows, columns] and values y [rows] or [rows, outputs].

        Raises: see `NearestNeighbors.fit`.
        """
        self.targets_ = np.asarray(self._fit_rows(X, y))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The weighted mean of each point's neighbours, [points] or [points, outputs].

        Args:
            X: [points, columns]; None: the rows themselves, without their own values.
        """
        found, weights = self._weighted(X)
        values = self.targets_[found].astype(np.float64, copy=False)
        weights = weights / weights.sum(axis=1, keepdims=True)
        return np.einsum("ij,ij...->i...", weights, values)
