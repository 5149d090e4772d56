"""Scaling of features."""

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.sparsefuncs import inplace_column_scale
from sklearn.utils.validation import _check_sample_weight, check_array, check_is_fitted

from frovedis_lite.mllib.base import FLOATS, Estimator, is_distributed, is_sparse, of_rows, to_ranks, validated
from frovedis_lite.mllib.moments import column_moments, merge_moments

CENTER = (
    "Cannot {}center sparse matrices: pass `with_mean=False` instead. See docstring for motivation and alternatives."
)


class StandardScaler(OneToOneFeatureMixin, TransformerMixin, Estimator):
    """Columns with mean 0 and variance 1, as `sklearn.preprocessing.StandardScaler`. NaN does not count and stays.

    Args:
        copy: False changes the caller's array where that can be done.
        with_mean: subtract the mean; not for sparse matrices, which would become dense.
        with_std: divide by the standard deviation.

    Attributes:
        mean_, var_, scale_: [columns] float64, None where they are not needed. A constant column has the scale 1.
        n_samples_seen_: rows, or their weight; [columns] where NaN makes them differ.
    """

    _parameter_constraints = {"copy": ["boolean"], "with_mean": ["boolean"], "with_std": ["boolean"]}  # noqa: RUF012

    def __init__(self, *, copy: bool = True, with_mean: bool = True, with_std: bool = True) -> None:
        self.copy = copy
        self.with_mean = with_mean
        self.with_std = with_std

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Mean and variance of X [rows, columns], with weights [rows].

        Raises:
            ValueError: X is sparse and would have to be centred, or is no matrix of finite numbers and NaN.
        """
        self.release()
        return self.partial_fit(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """The same with the rows seen before (Chan, Golub and LeVeque 1983)."""
        self._validate_params()
        first = not hasattr(self, "n_samples_seen_")
        X = validated(self, X, reset=first, accept_sparse=("csr", "csc"), ensure_all_finite="allow-nan")
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        if self.with_mean and is_sparse(X):
            raise ValueError(CENTER.format(""))
        table = to_ranks(X, sample_weight=sample_weight)
        made = table.session.run(column_moments, table.X, table.weights)
        if not first:
            before = (self.n_samples_seen_, *(0 if v is None else v for v in (self.mean_, self.var_)))
            made = merge_moments(before, made)
        count, mean, variance = made
        if sample_weight is None and np.all(count == np.rint(count)):
            count = count.astype(np.int64)
        self.n_samples_seen_ = count[0] if np.ptp(count) == 0 else count
        wanted = self.with_mean or self.with_std
        self.mean_ = mean if wanted else None
        self.var_ = variance if self.with_std else None
        self.scale_ = _scale(count, mean, variance) if self.with_std else None
        return self

    def transform(self, X: Any, copy: bool | None = None) -> Any:
        """X [rows, columns] scaled, of the dtype it has."""
        check_is_fitted(self)
        copy = self.copy if copy is None else copy
        checks = {"accept_sparse": "csr", "ensure_all_finite": "allow-nan", "copy": copy, "force_writeable": True}
        X = validated(self, X, reset=False, **checks)
        mean = self.mean_ if self.with_mean else None
        if is_distributed(X):
            return of_rows(to_ranks(X), _transformed, mean, self.scale_)
        if mean is not None and sparse.issparse(X):
            raise ValueError(CENTER.format(""))
        return _in_place(X, mean, self.scale_)

    def inverse_transform(self, X: Any, copy: bool | None = None) -> Any:
        """What `transform` would make X [rows, columns] of."""
        check_is_fitted(self)
        copy = self.copy if copy is None else copy
        X = check_array(
            X, accept_sparse="csr", copy=copy, dtype=list(FLOATS), force_writeable=True, ensure_all_finite="allow-nan"
        )
        if sparse.issparse(X):
            if self.with_mean:
                raise ValueError(CENTER.format("un"))
            if self.scale_ is not None:
                inplace_column_scale(X, self.scale_)
            return X
        if self.with_std:
            X *= self.scale_
        if self.with_mean:
            X += self.mean_
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = not self.with_mean
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _scale(count: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """The standard deviation, and 1 where it is no more than the rounding errors of the variance."""
    eps = np.finfo(np.float64).eps
    constant = variance <= count * eps * variance + (count * mean * eps) ** 2
    return np.where(constant, 1.0, np.sqrt(variance))


def _transformed(comm: Any, X: Any, mean: np.ndarray | None, scale: np.ndarray | None) -> Any:
    return _in_place(X.copy(), mean, scale)


def _in_place(X: Any, mean: np.ndarray | None, scale: np.ndarray | None) -> Any:
    if sparse.issparse(X):
        if scale is not None:
            inplace_column_scale(X, 1 / scale)
        return X
    if mean is not None:
        X -= mean
    if scale is not None:
        X /= scale
    return X
