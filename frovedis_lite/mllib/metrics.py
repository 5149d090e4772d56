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
from sklearn.utils import assert_all_finite

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import Parts, Session
from frovedis_lite.mllib.base import _in_step

DISTANCES = 1 << 22  # of silhouette_score, in memory at a time


# -------------------------------------------------------------------- Classes.


def accuracy_score(y_true: Any, y_pred: Any, *, normalize: bool = True, sample_weight: Any = None) -> float:
    """The part, or without `normalize` the number, of rows whose class was predicted."""
    return _of_pairs(metrics.accuracy_score, y_true, y_pred, sample_weight, normalize=normalize)


def precision_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Any:
    """How many of the rows that were predicted to be of a class are of it."""
    options = {"labels": labels, "pos_label": pos_label, "average": average, "zero_division": zero_division}
    return _of_pairs(metrics.precision_score, y_true, y_pred, sample_weight, **options)


def recall_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Any:
    """How many of the rows of a class were predicted to be of it."""
    options = {"labels": labels, "pos_label": pos_label, "average": average, "zero_division": zero_division}
    return _of_pairs(metrics.recall_score, y_true, y_pred, sample_weight, **options)


def f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Any:
    """The harmonic mean of precision and recall."""
    options = {"labels": labels, "pos_label": pos_label, "average": average, "zero_division": zero_division}
    return _of_pairs(metrics.f1_score, y_true, y_pred, sample_weight, **options)


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
    if not _distributed(*columns):
        options = {"normalize": normalize, "sample_weight": sample_weight, "labels": labels}
        return metrics.log_loss(y_true, y_proba, **options)
    session, parts = _on_ranks(*columns)
    return session.run(_log_loss, *parts, labels, normalize)


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
    if not _distributed(*columns):
        options = {"sample_weight": sample_weight, "multioutput": multioutput, "force_finite": force_finite}
        return metrics.r2_score(y_true, y_pred, **options)
    session, parts = _on_ranks(*columns)
    errors, deviations, rows = session.run(_error_sums, *parts, np.square)
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
    if not _distributed(labels_true, labels_pred):
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
    if not _distributed(labels_true, labels_pred):
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
    if not _distributed(X, labels):
        options = {"metric": metric, "sample_size": sample_size, "random_state": random_state}
        return metrics.silhouette_score(X, labels, **options, **kwds)
    if sample_size is not None or metric == "precomputed":
        raise NotImplementedError("distributed rows: no sample_size, and a metric that is computed from rows")
    session, parts = _on_ranks(X, labels)
    return session.run(_silhouette, *parts, metric, kwds)


# -------------------------------------------------------------------- On its way to the ranks.


def _parts(column: Any) -> Parts | None:
    column = getattr(column, "parts", column)
    return column if isinstance(column, Parts) else None


def _distributed(*columns: Any) -> bool:
    return any(_parts(column) is not None for column in columns)


def _on_ranks(*columns: Any) -> tuple[Session, list[Parts | None]]:
    """The columns' parts, plain arrays shared out as the first distributed one is.

    Raises:
        ValueError: lengths differ, or two vectors are shared out differently.
    """
    known = [_parts(column) for column in columns]
    leader = next(parts for parts in known if parts is not None)
    session = leader.session
    lengths = [
        None if column is None else session.run(_count, parts) if parts is not None else len(column)
        for column, parts in zip(columns, known, strict=True)
    ]
    if len({length for length in lengths if length is not None}) > 1:
        found = [length for length in lengths if length is not None]
        raise ValueError(f"Found input variables with inconsistent numbers of samples: {found}")
    made = [
        parts if column is None or parts is not None else _in_step(session, leader, np.asarray(column))
        for column, parts in zip(columns, known, strict=True)
    ]
    if not session.run(_are_in_step, *(parts for parts in made if parts is not None)):
        raise ValueError("the vectors are shared out differently over the ranks; align them first")
    return session, made


def _rows(part: Any) -> int:
    return part.shape[0] if hasattr(part, "shape") else len(part)


def _count(comm: Communicator, part: Any) -> int:
    return comm.allreduce(_rows(part))


def _are_in_step(comm: Communicator, *parts: Any) -> bool:
    return comm.allreduce(int(len({_rows(part) for part in parts}) > 1)) == 0


def _together(comm: Communicator, step: Callable[[], Any]) -> Any:
    """`step()`; if it is refused on one rank, then on all."""
    try:
        made, wrong = step(), None
    except (ValueError, TypeError) as error:
        made, wrong = None, error
    for error in comm.allgather(wrong):
        if error is not None:
            raise error
    return made


# -------------------------------------------------------------------- Classes on the ranks.


def _of_pairs(metric: Callable[..., Any], y_true: Any, y_pred: Any, sample_weight: Any, **options: Any) -> Any:
    """A metric that takes weights: a row for every different pair weighs what all of them do."""
    if not _distributed(y_true, y_pred, sample_weight):
        return metric(y_true, y_pred, sample_weight=sample_weight, **options)
    session, parts = _on_ranks(y_true, y_pred, sample_weight)
    first, second, weights = session.run(_pairs, *parts)
    return metric(first, second, sample_weight=weights, **options)


def _pairs(comm: Communicator, first: Any, second: Any, weights: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every different pair of the ranks, and its rows' weight in sum, int64 without weights."""
    local = _together(comm, lambda: _local_pairs(first, second, weights))
    full = [columns for columns in comm.allgather(local) if len(columns[0])] or [local]
    return _local_pairs(*(np.concatenate(columns) for columns in zip(*full, strict=True)))


def _local_pairs(first: Any, second: Any, weights: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second = np.asarray(first), np.asarray(second)
    for column in (first, second):
        if column.ndim > 1 and column.size != len(column):
            raise ValueError(f"distributed vectors have one column here, not shape {column.shape}")
    (a, i), (b, j) = (np.unique(column.ravel(), return_inverse=True) for column in (first, second))
    codes, inverse = np.unique(i.astype(np.int64) * max(len(b), 1) + j, return_inverse=True)
    sums = np.bincount(inverse, None if weights is None else np.ravel(weights), len(codes))
    whole = weights is None or np.asarray(weights).dtype.kind in "iub"
    return a[codes // max(len(b), 1)], b[codes % max(len(b), 1)], sums.astype(np.int64) if whole else sums


def _log_loss(comm: Communicator, y: Any, proba: Any, weights: Any, labels: Any, normalize: bool) -> float:
    if labels is None:
        local = [part for part in comm.allgather(np.unique(np.asarray(y))) if len(part)]
        labels = np.unique(np.concatenate(local)) if local else []
    rows = _rows(y)

    def local_loss() -> float:
        return metrics.log_loss(y, proba, normalize=False, sample_weight=weights, labels=labels) if rows else 0.0

    loss = comm.allreduce(float(_together(comm, local_loss)))
    total = comm.allreduce(float(rows if weights is None else np.sum(weights)))
    return loss / total if normalize else loss


# -------------------------------------------------------------------- Numbers on the ranks.


def _of_errors(
    metric: Callable[..., Any], size: np.ufunc, y_true: Any, y_pred: Any, sample_weight: Any, multioutput: Any
) -> Any:
    if not _distributed(y_true, y_pred, sample_weight):
        return metric(y_true, y_pred, sample_weight=sample_weight, multioutput=multioutput)
    session, parts = _on_ranks(y_true, y_pred, sample_weight)
    return _of_columns(session.run(_mean_errors, *parts, size), multioutput)


def _of_columns(values: np.ndarray, multioutput: Any) -> Any:
    if not isinstance(multioutput, str):
        return float(np.average(values, weights=multioutput))
    if multioutput not in ("raw_values", "uniform_average"):
        raise ValueError(f"multioutput is 'raw_values', 'uniform_average' or weights of columns, not {multioutput!r}")
    return values if multioutput == "raw_values" else float(values.mean())


def _numbers(first: Any, second: Any, weights: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two arrays [rows, columns] and weights [rows, 1], float64."""
    a, b = (np.asarray(column, np.float64) for column in (first, second))
    a, b = (column[:, None] if column.ndim == 1 else column for column in (a, b))
    w = np.ones((len(a), 1)) if weights is None else np.asarray(weights, np.float64).reshape(-1, 1)
    if len(a) and a.shape[1] != b.shape[1]:
        raise ValueError(f"y_true and y_pred have different number of output ({a.shape[1]}!={b.shape[1]})")
    for column in (a, b, w):
        assert_all_finite(column)
    return a, b, w


def _sums(comm: Communicator, local: np.ndarray) -> np.ndarray:
    """[columns] sums over all ranks of [rows, columns]; ranks without rows may not know how many columns there are."""
    columns = comm.allreduce(local.shape[1] if len(local) else 0, "max")
    return comm.allreduce(local.sum(0) if len(local) else np.zeros(columns))


def _mean_errors(comm: Communicator, first: Any, second: Any, weights: Any, size: np.ufunc) -> np.ndarray:
    a, b, w = _together(comm, lambda: _numbers(first, second, weights))
    return _sums(comm, w * size(a - b)) / _sums(comm, w)


def _error_sums(
    comm: Communicator, first: Any, second: Any, weights: Any, size: np.ufunc
) -> tuple[np.ndarray, np.ndarray, int]:
    """[columns] sums of errors and of deviations from the mean, and how many rows there are."""
    a, b, w = _together(comm, lambda: _numbers(first, second, weights))
    mean = _sums(comm, w * a) / _sums(comm, w)
    deviations = _sums(comm, w * size(a - mean) if len(a) else a)
    return _sums(comm, w * size(a - b) if len(a) else a), deviations, comm.allreduce(len(a))


# -------------------------------------------------------------------- Clusters on the ranks.


def _contingency(labels_true: Any, labels_pred: Any) -> sparse.csr_array:
    """[classes, clusters] how many rows each pair has."""
    session, parts = _on_ranks(labels_true, labels_pred)
    first, second, counts = session.run(_pairs, *parts, None)
    (a, i), (b, j) = (np.unique(column, return_inverse=True) for column in (first, second))
    return sparse.csr_array((counts, (i, j)), shape=(len(a), len(b)))


def _entropy(counts: np.ndarray) -> float:
    counts, total = counts[counts > 0], counts.sum()
    return float(-np.sum(counts / total * (np.log(counts) - np.log(total)))) if len(counts) > 1 else 0.0


def _silhouette(comm: Communicator, X: Any, labels: Any, metric: str, kwds: dict[str, Any]) -> float:
    local = [part for part in comm.allgather(np.unique(np.asarray(labels))) if len(part)]
    names = np.unique(np.concatenate(local)) if local else np.empty(0)
    codes = np.searchsorted(names, np.asarray(labels)) if len(names) else np.empty(0, int)
    counts = comm.allreduce(np.bincount(codes, minlength=len(names)))
    rows = int(counts.sum())
    if not 1 < len(names) < rows:
        found = f"Number of labels is {len(names)}."
        raise ValueError(f"{found} Valid values are 2 to n_samples - 1 (inclusive)")
    _together(comm, lambda: assert_all_finite(X.data if sparse.issparse(X) else X))
    sums = np.zeros((X.shape[0], len(names)))
    for root in range(comm.size):
        others, others_codes = comm.bcast((X, codes) if root == comm.rank else None, root)
        if not others.shape[0]:
            continue
        member = sparse.csr_array((np.ones(len(others_codes)), (np.arange(len(others_codes)), others_codes)),
                                  shape=(len(others_codes), len(names)))  # fmt: skip
        step = max(1, DISTANCES // others.shape[0])
        for at in range(0, X.shape[0], step):
            far = metrics.pairwise_distances(X[at : at + step], others, metric=metric, **kwds)
            if root == comm.rank:  # a row to itself, free of rounding
                far[np.arange(len(far)), np.arange(at, at + len(far))] = 0
            sums[at : at + step] += far @ member
    own = np.arange(len(codes))
    with np.errstate(divide="ignore", invalid="ignore"):
        within = sums[own, codes] / (counts[codes] - 1)
        means = sums / counts
        means[own, codes] = np.inf
        between = means.min(1) if len(means) else np.empty(0)
        scores = np.nan_to_num((between - within) / np.maximum(within, between))
    scores[counts[codes] == 1] = 0
    return comm.allreduce(float(scores.sum())) / rows
