"""Gradient boosting on the ranks, with scikit-learn's names."""

from collections.abc import Iterator
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from frovedis_lite.mllib.base import ByProbability
from frovedis_lite.mllib.ensemble.stages import CONSTRAINTS, _GradientBoosting
from frovedis_lite.mllib.trees import settings


class GradientBoostingClassifier(ByProbability, _GradientBoosting):
    """Boosted trees that tell classes apart, as `sklearn.ensemble.GradientBoostingClassifier`.

    Args:
        loss: "log_loss", or "exponential" for two classes.
        others: as in `_GradientBoosting`.

    Attributes:
        classes_: [classes]; n_classes_.

    Raises (fit):
        ValueError: less than two classes, missing values, and what scikit-learn rejects.
    """

    _parameter_constraints = {  # noqa: RUF012
        **CONSTRAINTS,
        "loss": [StrOptions({"log_loss", "exponential"})],
        "init": [StrOptions({"zero"}), None, HasMethods(["fit", "predict_proba"])],
    }

    def __init__(
        self,
        *,
        loss: str = "log_loss",
        learning_rate: float = 0.1,
        n_estimators: int = 100,
        subsample: float = 1.0,
        criterion: str = "deprecated",
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_depth: int | None = 3,
        min_impurity_decrease: float = 0.0,
        init: Any = None,
        random_state: Any = None,
        max_features: int | float | str | None = None,
        verbose: int = 0,
        max_leaf_nodes: int | None = None,
        warm_start: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = None,
        tol: float = 1e-4,
        ccp_alpha: float = 0.0,
        max_bins: int = 255,
    ) -> None:
        self.loss = loss
        self.learning_rate = learning_rate
        self.n_estimators = n_estimators
        self.subsample = subsample
        self.criterion = criterion
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_depth = max_depth
        self.min_impurity_decrease = min_impurity_decrease
        self.init = init
        self.random_state = random_state
        self.max_features = max_features
        self.verbose = verbose
        self.max_leaf_nodes = max_leaf_nodes
        self.warm_start = warm_start
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.ccp_alpha = ccp_alpha
        self.max_bins = max_bins

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Boost trees on X [rows, columns], classes y [rows] and weights [rows]."""
        self._validate_params()
        X, y = settings.checked_rows(self, X, y, missing=False)
        y, classes, codes, weights = settings.checked_classes(y, sample_weight)
        present = np.count_nonzero(np.bincount(codes, weights))
        if present < 2:
            raise ValueError(
                f"y contains {present} class after sample_weight trimmed classes with zero weights, while a minimum of "
                "2 classes are required."
            )
        self.classes_, self.n_classes_ = classes, len(classes)
        return self._boost(X, codes.astype(np.float64), weights, len(classes))

    def decision_function(self, X: Any) -> np.ndarray:
        """Raw predictions: [rows] for two classes, else [rows, classes]."""
        raw = self._raw(X)
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def staged_decision_function(self, X: Any) -> Iterator[np.ndarray]:
        """Raw predictions after each stage: [rows, outputs]."""
        yield from self._staged_raw(X)

    def predict_proba(self, X: Any) -> np.ndarray:
        """[rows, classes]."""
        raw = self._raw(X)
        return self._loss().probabilities(raw)

    def staged_predict_proba(self, X: Any) -> Iterator[np.ndarray]:
        """[rows, classes] after each stage."""
        for raw in self._staged_raw(X):
            yield self._loss().probabilities(raw)

    def predict(self, X: Any) -> np.ndarray:
        """The most likely class of each row: [rows]."""
        return self._classes_of(self._raw(X))

    def staged_predict(self, X: Any) -> Iterator[np.ndarray]:
        """[rows] after each stage."""
        for raw in self._staged_raw(X):
            yield self._classes_of(raw)

    def _classes_of(self, raw: np.ndarray) -> np.ndarray:
        return self.classes_[(raw[:, 0] >= 0).astype(int) if raw.shape[1] == 1 else np.argmax(raw, axis=1)]

    def apply(self, X: Any) -> np.ndarray:
        """The number of each row's leaf in each tree: [rows, stages, outputs]."""
        return self._leaves(X)


class GradientBoostingRegressor(RegressorMixin, _GradientBoosting):
    """Boosted trees whose values add up, as `sklearn.ensemble.GradientBoostingRegressor`.

    Args:
        loss: "squared_error", "absolute_error", "huber" or "quantile"; with the last three, all ranks see the
            residuals of all rows.
        alpha: the part of the rows with a squared loss ("huber"), or the quantile.
        others: as in `_GradientBoosting`.

    Raises (fit):
        ValueError: missing values, and what scikit-learn rejects.
    """

    _parameter_constraints = {  # noqa: RUF012
        **CONSTRAINTS,
        "loss": [StrOptions({"squared_error", "absolute_error", "huber", "quantile"})],
        "init": [StrOptions({"zero"}), None, HasMethods(["fit", "predict"])],
        "alpha": [Interval(Real, 0.0, 1.0, closed="neither")],
    }

    def __init__(
        self,
        *,
        loss: str = "squared_error",
        learning_rate: float = 0.1,
        n_estimators: int = 100,
        subsample: float = 1.0,
        criterion: str = "deprecated",
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_depth: int | None = 3,
        min_impurity_decrease: float = 0.0,
        init: Any = None,
        random_state: Any = None,
        max_features: int | float | str | None = None,
        alpha: float = 0.9,
        verbose: int = 0,
        max_leaf_nodes: int | None = None,
        warm_start: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = None,
        tol: float = 1e-4,
        ccp_alpha: float = 0.0,
        max_bins: int = 255,
    ) -> None:
        self.loss = loss
        self.learning_rate = learning_rate
        self.n_estimators = n_estimators
        self.subsample = subsample
        self.criterion = criterion
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_depth = max_depth
        self.min_impurity_decrease = min_impurity_decrease
        self.init = init
        self.random_state = random_state
        self.max_features = max_features
        self.alpha = alpha
        self.verbose = verbose
        self.max_leaf_nodes = max_leaf_nodes
        self.warm_start = warm_start
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.ccp_alpha = ccp_alpha
        self.max_bins = max_bins

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Boost trees on X [rows, columns], values y [rows] and weights [rows]."""
        self._validate_params()
        X, y = settings.checked_rows(self, X, y, missing=False)
        y = settings.checked_values(y)
        return self._boost(X, y, settings.checked_weights(sample_weight, X.shape[0]), 0)

    def predict(self, X: Any) -> np.ndarray:
        """[rows]."""
        return self._raw(X)[:, 0]

    def staged_predict(self, X: Any) -> Iterator[np.ndarray]:
        """[rows] after each stage."""
        for raw in self._staged_raw(X):
            yield raw[:, 0]

    def apply(self, X: Any) -> np.ndarray:
        """The number of each row's leaf in each tree: [rows, stages]."""
        return self._leaves(X)[:, :, 0]
