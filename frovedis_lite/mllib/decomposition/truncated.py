"""TruncatedSVD."""

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.matrix.products import transposed_times
from frovedis_lite.mllib.base import Estimator, Table, of_rows, to_ranks, validated
from frovedis_lite.mllib.decomposition.lanczos import BLOCK
from frovedis_lite.mllib.decomposition.svd import Gram, lanczos, product, randomized
from frovedis_lite.mllib.moments import column_moments


class TruncatedSVD(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """The largest singular values and their vectors, as `sklearn.decomposition.TruncatedSVD`.

    Args:
        n_components: how many.
        algorithm: "arpack" (to the digits there are; by block Lanczos, see `lanczos.largest`, which needs fewer passes
            over the rows than ARPACK) or "randomized" (Halko, Martinsson and Tropp 2011).
        n_iter, n_oversamples: power iterations of "randomized", and how many more vectors it samples.
        power_iteration_normalizer: "auto" or "QR".
        random_state: seed of what it samples, or of where "arpack" starts.
        tol: of "arpack"; 0: what the dtype can tell.

    Attributes:
        components_: [n_components, columns] of the dtype of X; the largest element of each is positive.
        singular_values_, explained_variance_, explained_variance_ratio_: [n_components].
    """

    _parameter_constraints = {  # noqa: RUF012
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "algorithm": [StrOptions({"arpack", "randomized"})],
        "n_iter": [Interval(Integral, 0, None, closed="left")],
        "n_oversamples": [Interval(Integral, 1, None, closed="left")],
        "power_iteration_normalizer": [StrOptions({"auto", "QR", "LU", "none"})],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        algorithm: str = "randomized",
        n_iter: int = 5,
        n_oversamples: int = 10,
        power_iteration_normalizer: str = "auto",
        random_state: Any = None,
        tol: float = 0.0,
    ) -> None:
        self.n_components = n_components
        self.algorithm = algorithm
        self.n_iter = n_iter
        self.n_oversamples = n_oversamples
        self.power_iteration_normalizer = power_iteration_normalizer
        self.random_state = random_state
        self.tol = tol

    def fit(self, X: Any, y: Any = None) -> Self:
        """Decompose X [rows, columns].

        Raises:
            ValueError: there are no so many singular values.
            NotImplementedError: power_iteration_normalizer is "LU" or "none"; "QR" spans the same space.
        """
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """`fit`, and `transform` of the same: [rows, n_components]."""
        return of_rows(self._fit(X), _projected, self.components_)

    def _fit(self, X: Any) -> Table:
        self._validate_params()
        if self.algorithm == "randomized":
            check_normalizer(self.power_iteration_normalizer)
        least = 2 if self.algorithm == "arpack" else 1
        X = validated(self, X, accept_sparse=["csr", "csc"], ensure_min_features=2, ensure_min_samples=least)
        k, (rows, columns) = self.n_components, X.shape
        random = check_random_state(self.random_state)
        if self.algorithm == "arpack":
            if k >= min(X.shape):
                raise ValueError(
                    f"n_components({k}) must be less than min(n_samples, n_features)={min(X.shape)} with "
                    "algorithm='arpack'"
                )
            start, more = random.uniform(-1, 1, (columns, BLOCK)).astype(X.dtype), self.tol
        else:
            if k > columns:
                raise ValueError(f"n_components({k}) must be <= n_features({columns}).")
            start, more = random.normal(size=(columns, min(columns, k + self.n_oversamples))), self.n_iter
        table = to_ranks(X)
        s, V, variance, total = table.session.run(_fit, table.X, k, self.algorithm, start, more)
        self.components_, self.singular_values_ = V, s[: min(rows, k)]
        if len(self.singular_values_) < k:  # as many as there are rows
            self.components_, variance = V[:rows], variance[:rows]
        self.explained_variance_ = variance
        with np.errstate(invalid="ignore"):
            self.explained_variance_ratio_ = variance / total
        return table

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def transform(self, X: Any) -> np.ndarray:
        """X times the components: [rows, n_components]."""
        check_is_fitted(self)
        X = validated(self, X, reset=False, accept_sparse=["csr", "csc"])
        return of_rows(to_ranks(X), _projected, self.components_)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows [rows, columns] that are nearest to what `transform` makes X of."""
        return check_array(X) @ self.components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def check_normalizer(name: str) -> None:
    """Raises NotImplementedError for one that is not here."""
    if name not in ("auto", "QR"):
        raise NotImplementedError(
            f"power_iteration_normalizer={name!r} is not here; 'QR' spans the same space and loses no digits"
        )


def _fit(
    comm: Communicator, X: Any, k: int, algorithm: str, start: np.ndarray, more: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Singular values, vectors, variances of the projected columns, and the sum of those of the columns of X."""
    gram, start = Gram(comm, X), comm.bcast(start)
    s, V = (lanczos if algorithm == "arpack" else randomized)(gram, k, start, more)
    V = V.astype(X.dtype)
    variance = column_moments(comm, product(X, V.T))[2]
    if sparse.issparse(X):
        squares = comm.allreduce(float(np.einsum("i,i->", X.data, X.data, dtype=np.float64)))
        mean = comm.allreduce(transposed_times(X, np.ones(X.shape[0])).astype(np.float64)) / gram.rows
        total = squares / gram.rows - mean @ mean
    else:
        total = column_moments(comm, X)[2].sum()
    return s.astype(X.dtype), V, variance.astype(X.dtype), total


def _projected(comm: Communicator, X: Any, V: np.ndarray) -> np.ndarray:
    return product(X, V.T.astype(X.dtype))
