"""What linear models share: predictions from coefficients, on the ranks that have the rows."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.base import Estimator, of_rows, to_ranks, validated


def margins(comm: Communicator, X: Any, coefficients: np.ndarray, intercepts: np.ndarray) -> np.ndarray:
    """X W^T + b of the local rows."""
    return safe_sparse_dot(X, coefficients.T, dense_output=True) + intercepts


class LinearModel(Estimator):
    """Coefficients `coef_` and intercepts `intercept_`, dense and sparse rows."""

    def _margins(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validated(self, X, reset=False, accept_sparse="csr")
        return of_rows(to_ranks(X), margins, self.coef_, np.asarray(self.intercept_))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class LinearRegressorMixin(RegressorMixin, LinearModel):
    """Regression by X w + b."""

    def predict(self, X: Any) -> np.ndarray:
        """X [rows, columns] to [rows] or [rows, targets]."""
        return self._margins(X)


class LinearClassifier(ClassifierMixin, LinearModel):
    """Classification by the sign, or the largest, of X w + b."""

    def decision_function(self, X: Any) -> np.ndarray:
        """X [rows, columns] to [rows], above 0 for the second class, or [rows, classes] where there are more."""
        made = self._margins(X)
        return made.ravel() if made.ndim > 1 and made.shape[1] == 1 else made

    def predict(self, X: Any) -> np.ndarray:
        """X [rows, columns] to classes [rows]."""
        made = self.decision_function(X)
        return self.classes_[(made > 0).astype(int) if made.ndim == 1 else made.argmax(axis=1)]
