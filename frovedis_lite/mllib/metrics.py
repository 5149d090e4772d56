"""scikit-learn's metrics for vectors on the ranks, by scikit-learn's names and with its results.

Where all arguments are plain arrays, scikit-learn itself is called. Otherwise each rank makes a summary of its rows (a
count for every pair of classes, sums of errors), and the metric follows from all ranks' summaries, by scikit-learn's
own function where there is one for that. Plain arrays beside distributed ones are shared out in step with them.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning

from frovedis_lite.mllib.summaries import (
    error_sums,
    is_distributed,
    log_loss_of,
    mean_errors,
    on_ranks,
    pairs,
    silhouette,
)

# -------------------------------------------------------------------- Classes.


def accuracy_score(y_true: Any, y_pred: Any, *, normalize: bool = True, sample_weight: Any = None) -> float:
    """The part, or without `normalize` the number, of rows whose class was predicted."""
    return _of_pairs(metrics.accuracy_score, y_true, y_pred, sample_weight, normalize=normalize)


def _of_each_class(metric: Callable[..., Any], what: str) -> Callable[..., Any]:
    """One of scikit-learn's metrics that are numbers for each class."""

    def score(
        y_true: Any,
        y_pred: Any,
        *,
        labels: Any = None,
        pos_label: Any = 1,
        average: str | None = "binary",
        sample_weight: Any = None,
        zero_division: Any = "warn",
    ) -> Any:
        options = {"labels": labels, "pos_label": pos_label, "average": average, "zero_division": zero_division}
        return _of_pairs(metric, y_true, y_pred, sample_weight, **options)

    score.__name__ = score.__qualname__ = metric.__name__
    score.__doc__ = what
    return score


precision_score = _of_each_class(
    metrics.precision_score, "How many of the rows that were predicted to be of a class are of it."
)
recall_score = _of_each_class(metrics.recall_score, "How many of the rows of a class were predicted to be of it.")
f1_score = _of_each_class(metrics.f1_score, "The harmonic mean of precision and recall.")


def confusion_matrix(
    y_true: Any, y_pred: Any, *, labels: Any = None, sample_weight: Any = None, normalize: str | None = None
) -> np.ndarray:
    """[classes, classes] how many rows of a class (row) were predicted to be of another (column)."""
    return _of_pairs(metrics.confusion_matrix, y_true, y_pred, sample_weight, labels=labels, normalize=normalize)


def roc_curve(
    y_true: Any, y_score: Any, *, pos_label: Any = None, sample_weight: Any = None, drop_intermediate: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False positive rates, true positive rates, thresholds. Each different score of a class is gathered once."""
    options = {"pos_label": pos_label, "drop_intermediate": drop_intermediate}
    return _of_pairs(metrics.roc_curve, y_true, y_score, sample_weight, **options)


def roc_auc_score(
    y_true: Any,
    y_score: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    max_fpr: float | None = None,
    multi_class: str = "raise",
    labels: Any = None,
) -> Any:
    """The area under `roc_curve`. Distributed vectors: two classes."""
    options = {"average": average, "max_fpr": max_fpr, "multi_class": multi_class, "labels": labels}
    return _of_pairs(metrics.roc_auc_score, y_true, y_score, sample_weight, **options)


def log_loss(
    y_true: Any, y_proba: Any, *, normalize: bool = True, sample_weight: Any = None, labels: Any = None
) -> float:
    """The mean, or without `normalize` the sum, of minus the logarithm of the probability of each row's class.

    Args:
        y_proba: [rows] of the second of two classes, or [rows, classes].
    """
    columns = (y_true, y_proba, sample_weight)
    if not is_distributed(*columns):
        options = {"normalize": normalize, "sample_weight": sample_weight, "labels": labels}
        return metrics.log_loss(y_true, y_proba, **options)
    session, parts = on_ranks(*columns)
    return session.run(log_loss_of, *parts, labels, normalize)


# -------------------------------------------------------------------- Numbers.


def mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> Any:
    """The mean of squared errors; columns as `multioutput` says, as in scikit-learn."""
    return _of_errors(metrics.mean_squared_error, np.square, y_true, y_pred, sample_weight, multioutput)


def mean_absolute_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> Any:
    """The mean of absolute errors; columns as `multioutput` says, as in scikit-learn."""
    return _of_errors(metrics.mean_absolute_error, np.abs, y_true, y_pred, sample_weight, multioutput)


def r2_score(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    multioutput: Any = "uniform_average",
    force_finite: bool = True,
) -> Any:
    """The coefficient of determination: 1 minus squared errors over squared deviations from the mean."""
    columns = (y_true, y_pred, sample_weight)
    if not is_distributed(*columns):
        options = {"sample_weight": sample_weight, "multioutput": multioutput, "force_finite": force_finite}
        return metrics.r2_score(y_true, y_pred, **options)
    session, parts = on_ranks(*columns)
    errors, deviations, rows = session.run(error_sums, *parts, np.square)
    if rows < 2:
        message = "R^2 score is not well-defined with less than two samples."
        warnings.warn(message, UndefinedMetricWarning, stacklevel=2)
        return float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = 1 - errors / deviations
    if force_finite:  # a constant that was predicted exactly, or not
        scores = np.where(deviations == 0, np.where(errors == 0, 1.0, 0.0), scores)
    if isinstance(multioutput, str) and multioutput == "variance_weighted":
        multioutput = deviations if deviations.any() else "uniform_average"
    return _of_columns(scores, multioutput)


# -------------------------------------------------------------------- Clusters.


def adjusted_rand_score(labels_true: Any, labels_pred: Any) -> float:
    """The Rand index adjusted for chance (Hubert and Arabie, 1985)."""
    if not is_distributed(labels_true, labels_pred):
        return metrics.adjusted_rand_score(labels_true, labels_pred)
    table = _contingency(labels_true, labels_pred)
    rows, columns = (np.asarray(table.sum(axis)).ravel() for axis in (1, 0))
    total, squares = int(table.sum()), int((table.data**2).sum())
    both = squares - total  # ordered pairs of rows that are together in both, in one, in the other
    first, second = int((rows**2).sum()) - squares, int((columns**2).sum()) - squares
    neither = total**2 - squares - first - second
    if first == 0 and second == 0:
        return 1.0
    apart = (both + first) * (first + neither) + (both + second) * (second + neither)
    return 2.0 * (both * neither - first * second) / apart


def homogeneity_completeness_v_measure(
    labels_true: Any, labels_pred: Any, *, beta: float = 1.0
) -> tuple[float, float, float]:
    """Whether clusters have rows of one class, whether classes are in one cluster, and the mean of both (Rosenberg and
    Hirschberg, 2007)."""
    if not is_distributed(labels_true, labels_pred):
        return metrics.homogeneity_completeness_v_measure(labels_true, labels_pred, beta=beta)
    table = _contingency(labels_true, labels_pred)
    if table.nnz == 0:
        return 1.0, 1.0, 1.0
    common = metrics.mutual_info_score(None, None, contingency=table)
    known = [_entropy(np.asarray(table.sum(axis)).ravel()) for axis in (1, 0)]
    homogeneity, completeness = (common / entropy if entropy else 1.0 for entropy in known)
    if homogeneity + completeness == 0:
        return float(homogeneity), float(completeness), 0.0
    v = (1 + beta) * homogeneity * completeness / (beta * homogeneity + completeness)
    return float(homogeneity), float(completeness), float(v)


def homogeneity_score(labels_true: Any, labels_pred: Any) -> float:
    """Whether clusters have rows of one class."""
    return homogeneity_completeness_v_measure(labels_true, labels_pred)[0]


def completeness_score(labels_true: Any, labels_pred: Any) -> float:
    """Whether classes are in one cluster."""
    return homogeneity_completeness_v_measure(labels_true, labels_pred)[1]


def v_measure_score(labels_true: Any, labels_pred: Any, *, beta: float = 1.0) -> float:
    """The mean of homogeneity and completeness."""
    return homogeneity_completeness_v_measure(labels_true, labels_pred, beta=beta)[2]


def silhouette_score(
    X: Any,
    labels: Any,
    *,
    metric: str = "euclidean",
    sample_size: int | None = None,
    random_state: Any = None,
    **kwds: Any,
) -> float:
    """The mean over rows of how much nearer a row is to its own cluster than to the next (Rousseeuw, 1987).

    Of distributed rows all distances are computed, a block at a time.

    Raises:
        NotImplementedError: distributed rows with `sample_size` or a precomputed metric.
    """
    if not is_distributed(X, labels):
        options = {"metric": metric, "sample_size": sample_size, "random_state": random_state}
        return metrics.silhouette_score(X, labels, **options, **kwds)
    if sample_size is not None or metric == "precomputed":
        raise NotImplementedError("distributed rows: no sample_size, and a metric that is computed from rows")
    session, parts = on_ranks(X, labels)
    return session.run(silhouette, *parts, metric, kwds)


# -------------------------------------------------------------------- By way of summaries.


def _of_pairs(metric: Callable[..., Any], y_true: Any, y_pred: Any, sample_weight: Any, **options: Any) -> Any:
    """A metric that takes weights: a row for every different pair weighs what all of them do."""
    if not is_distributed(y_true, y_pred, sample_weight):
        return metric(y_true, y_pred, sample_weight=sample_weight, **options)
    session, parts = on_ranks(y_true, y_pred, sample_weight)
    first, second, weights = session.run(pairs, *parts)
    return metric(first, second, sample_weight=weights, **options)


def _of_errors(
    metric: Callable[..., Any], size: np.ufunc, y_true: Any, y_pred: Any, sample_weight: Any, multioutput: Any
) -> Any:
    if not is_distributed(y_true, y_pred, sample_weight):
        return metric(y_true, y_pred, sample_weight=sample_weight, multioutput=multioutput)
    session, parts = on_ranks(y_true, y_pred, sample_weight)
    return _of_columns(session.run(mean_errors, *parts, size), multioutput)


def _of_columns(values: np.ndarray, multioutput: Any) -> Any:
    if not isinstance(multioutput, str):
        return float(np.average(values, weights=multioutput))
    if multioutput not in ("raw_values", "uniform_average"):
        raise ValueError(f"multioutput is 'raw_values', 'uniform_average' or weights of columns, not {multioutput!r}")
    return values if multioutput == "raw_values" else float(values.mean())


def _contingency(labels_true: Any, labels_pred: Any) -> sparse.csr_array:
    """[classes, clusters] how many rows each pair has."""
    session, parts = on_ranks(labels_true, labels_pred)
    first, second, counts = session.run(pairs, *parts, None)
    (a, i), (b, j) = (np.unique(column, return_inverse=True) for column in (first, second))
    return sparse.csr_array((counts, (i, j)), shape=(len(a), len(b)))


def _entropy(counts: np.ndarray) -> float:
    counts, total = counts[counts > 0], counts.sum()
    return float(-np.sum(counts / total * (np.log(counts) - np.log(total)))) if len(counts) > 1 else 0.0
