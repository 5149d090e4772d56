"""What estimators of trees share: scikit-learn's parameters in numbers, and rows on their way in."""

from math import ceil
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, assert_all_finite, column_or_1d, validate_data

from frovedis_lite.mllib.base import is_distributed, is_sparse, refuse_vector, validated
from frovedis_lite.mllib.trees.grow import Rules

WHOLE = np.iinfo(np.int32).max

CONSTRAINTS = {
    "max_depth": [Interval(Integral, 1, None, closed="left"), None],
    "min_samples_split": [Interval(Integral, 2, None, closed="left"), Interval(RealNotInt, 0.0, 1.0, closed="right")],
    "min_samples_leaf": [Interval(Integral, 1, None, closed="left"), Interval(RealNotInt, 0.0, 1.0, closed="neither")],
    "min_weight_fraction_leaf": [Interval(Real, 0.0, 0.5, closed="both")],
    "max_features": [
        Interval(Integral, 1, None, closed="left"),
        Interval(RealNotInt, 0.0, 1.0, closed="right"),
        StrOptions({"sqrt", "log2"}),
        None,
    ],
    "random_state": ["random_state"],
    "max_leaf_nodes": [Interval(Integral, 2, None, closed="left"), None],
    "min_impurity_decrease": [Interval(Real, 0.0, None, closed="left")],
    "ccp_alpha": [Interval(Real, 0.0, None, closed="left")],
    "max_bins": [Interval(Integral, 2, 255, closed="both")],
}


def rules_of(estimator: Any, rows: int, columns: int) -> Rules:
    """An estimator's parameters for so many rows and columns; sets `max_features_`."""
    leaf, split = estimator.min_samples_leaf, estimator.min_samples_split
    leaf = leaf if isinstance(leaf, Integral) else ceil(leaf * rows)
    split = split if isinstance(split, Integral) else max(2, ceil(split * rows))
    estimator.max_features_ = features = _features(estimator.max_features, columns)
    depth = WHOLE if estimator.max_depth is None else min(int(estimator.max_depth), WHOLE)
    limits = float(estimator.min_impurity_decrease), float(estimator.min_weight_fraction_leaf)
    return Rules(depth, int(split), int(leaf), min(features, columns), *limits)


def _features(asked: Any, columns: int) -> int:
    if asked is None:
        return columns
    if isinstance(asked, str):
        return max(1, int({"sqrt": np.sqrt, "log2": np.log2}[asked](columns)))
    return int(asked) if isinstance(asked, Integral) else max(1, int(asked * columns))


def refuse(estimator: Any) -> None:
    """Parameters that are scikit-learn's and not ours.

    Raises:
        NotImplementedError: one of them is set.
    """
    if getattr(estimator, "splitter", "best") != "best":
        raise NotImplementedError("splitter='random' is not supported: use splitter='best'")
    if getattr(estimator, "monotonic_cst", None) is not None:
        raise NotImplementedError("monotonic_cst is not supported: leave it None")
    if estimator.criterion in ("absolute_error", "poisson"):
        raise NotImplementedError(f"criterion={estimator.criterion!r} is not supported: use criterion='squared_error'")


def checked_rows(estimator: Any, X: Any, y: Any, missing: bool = True) -> tuple[Any, Any]:
    """X as float32, which may have missing values if it is dense, and y [rows]. A matrix of ours keeps its dtype.

    Raises:
        ValueError: what scikit-learn's trees reject, and y of more than one column.
    """
    if is_distributed(X):
        return validated(estimator, X, y, **_checks(X, missing))
    refuse_vector(X)
    rows = {"dtype": np.float32, "accept_sparse": "csr", "ensure_all_finite": False}
    X, y = validate_data(estimator, X, y, validate_separately=(rows, {"ensure_2d": False, "dtype": None}))
    _check_finite(estimator, X, missing)
    if len(y) != X.shape[0]:
        raise ValueError(f"Number of labels={len(y)} does not match number of samples={X.shape[0]}")
    return X, y


def checked_new_rows(estimator: Any, X: Any, missing: bool = True) -> Any:
    """Rows to predict for, as float32."""
    if is_distributed(X):
        return validated(estimator, X, reset=False, **_checks(X, missing))
    refuse_vector(X)
    X = validate_data(estimator, X, dtype=np.float32, accept_sparse="csr", reset=False, ensure_all_finite=False)
    _check_finite(estimator, X, missing)
    return X


def _checks(X: Any, missing: bool) -> dict[str, Any]:
    return {"accept_sparse": "csr", "ensure_all_finite": "allow-nan" if missing and not is_sparse(X) else True}


def _check_finite(estimator: Any, X: Any, missing: bool) -> None:
    allow_nan = missing and not sparse.issparse(X)
    assert_all_finite(X, allow_nan=allow_nan, estimator_name=type(estimator).__name__, input_name="X")


def checked_weights(sample_weight: Any, rows: int) -> np.ndarray | None:
    """[rows] float64.

    Raises:
        ValueError: as in scikit-learn, and if one is negative or all are zero.
    """
    if sample_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, np.empty((rows, 0)), dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def checked_classes(y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Of a classifier: y [rows], its classes, the number of each row's class [rows], and `checked_weights`."""
    check_classification_targets(y)
    y = column_or_1d(y, warn=True)
    classes, codes = np.unique(y, return_inverse=True)
    return y, classes, codes, checked_weights(sample_weight, len(y))


def checked_values(y: Any) -> np.ndarray:
    """Values of a regressor: [rows] float64, finite."""
    y = column_or_1d(y, dtype=np.float64, warn=True)
    assert_all_finite(y, input_name="y")
    return y
