"""What metrics need to know of vectors on the ranks: functions of the local rows and a communicator, and the vectors'
way there."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from sklearn import metrics
from sklearn.utils import assert_all_finite

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import Parts, Session
from frovedis_lite.mllib.base import _in_step

DISTANCES = 1 << 22  # of silhouette, in memory at a time


# -------------------------------------------------------------------- On its way to the ranks.


def _parts(column: Any) -> Parts | None:
    column = getattr(column, "parts", column)
    return column if isinstance(column, Parts) else None


def is_distributed(*columns: Any) -> bool:
    """Whether one of them is on the ranks: Parts, or something of ours that has them."""
    return any(_parts(column) is not None for column in columns)


def on_ranks(*columns: Any) -> tuple[Session, list[Parts | None]]:
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


def pairs(comm: Communicator, first: Any, second: Any, weights: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def log_loss_of(comm: Communicator, y: Any, proba: Any, weights: Any, labels: Any, normalize: bool) -> float:
    """scikit-learn's log_loss of all ranks' rows."""
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


def mean_errors(comm: Communicator, first: Any, second: Any, weights: Any, size: np.ufunc) -> np.ndarray:
    """[columns] means of `size` of the errors."""
    a, b, w = _together(comm, lambda: _numbers(first, second, weights))
    return _sums(comm, w * size(a - b)) / _sums(comm, w)


def error_sums(
    comm: Communicator, first: Any, second: Any, weights: Any, size: np.ufunc
) -> tuple[np.ndarray, np.ndarray, int]:
    """[columns] sums of errors and of deviations from the mean, and how many rows there are."""
    a, b, w = _together(comm, lambda: _numbers(first, second, weights))
    mean = _sums(comm, w * a) / _sums(comm, w)
    deviations = _sums(comm, w * size(a - mean) if len(a) else a)
    return _sums(comm, w * size(a - b) if len(a) else a), deviations, comm.allreduce(len(a))


# -------------------------------------------------------------------- Clusters on the ranks.


def silhouette(comm: Communicator, X: Any, labels: Any, metric: str, kwds: dict[str, Any]) -> float:
    """The mean silhouette coefficient. The ranks take turns in showing their rows to the others.

    Raises:
        ValueError: there are fewer than two clusters, or no more rows than clusters.
    """
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
