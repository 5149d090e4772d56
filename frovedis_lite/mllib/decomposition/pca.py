"""PCA."""

from math import lgamma, log
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy import linalg, sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.extmath import fast_logdet
from sklearn.utils.validation import check_is_fitted

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.base import Estimator, Table, is_sparse, of_rows, to_ranks, validated
from frovedis_lite.mllib.decomposition.lanczos import BLOCK
from frovedis_lite.mllib.decomposition.svd import Gram, by_covariance, by_qr, lanczos, product, randomized
from frovedis_lite.mllib.decomposition.truncated import check_normalizer
from frovedis_lite.mllib.moments import column_moments


class PCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """Directions of largest variance, as `sklearn.decomposition.PCA`.

    Args:
        n_components: how many; None: all; between 0 and 1: so many that this part of the variance is explained; "mle":
            as many as is likeliest (Minka, "Automatic choice of dimensionality for PCA", 2000).
        copy: kept for scikit-learn; X is never changed.
        whiten: divide by the standard deviations, too.
        svd_solver: "full" (QR of the rows), "covariance_eigh", "arpack" (block Lanczos), "randomized", or "auto", which
            chooses as scikit-learn does. Sparse rows: "arpack" or "covariance_eigh".
        tol: of "arpack".
        iterated_power, n_oversamples, power_iteration_normalizer: of "randomized"; see `TruncatedSVD`.
        random_state: seed of the last two.

    Attributes:
        components_: [n_components_, columns] of the dtype of X; the largest element of each is positive.
        explained_variance_, explained_variance_ratio_, singular_values_: [n_components_].
        mean_: [columns]. noise_variance_: mean variance of the directions left out.
        n_components_, n_samples_.
    """

    _parameter_constraints = {  # noqa: RUF012
        "n_components": [
            Interval(Integral, 0, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            StrOptions({"mle"}),
            None,
        ],
        "copy": ["boolean"],
        "whiten": ["boolean"],
        "svd_solver": [StrOptions({"auto", "full", "covariance_eigh", "arpack", "randomized"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "iterated_power": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "n_oversamples": [Interval(Integral, 1, None, closed="left")],
        "power_iteration_normalizer": [StrOptions({"auto", "QR", "LU", "none"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components: Any = None,
        *,
        copy: bool = True,
        whiten: bool = False,
        svd_solver: str = "auto",
        tol: float = 0.0,
        iterated_power: int | str = "auto",
        n_oversamples: int = 10,
        power_iteration_normalizer: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.copy = copy
        self.whiten = whiten
        self.svd_solver = svd_solver
        self.tol = tol
        self.iterated_power = iterated_power
        self.n_oversamples = n_oversamples
        self.power_iteration_normalizer = power_iteration_normalizer
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Decompose X [rows, columns].

        Raises:
            TypeError: X is sparse and the solver takes dense rows alone.
            ValueError: there are no so many components, or the solver cannot choose their number.
        """
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """`fit`, and `transform` of the same: [rows, n_components_]."""
        return self._projected(self._fit(X))

    def _fit(self, X: Any) -> Table:
        self._validate_params()
        if is_sparse(X) and self.svd_solver not in ("auto", "arpack", "covariance_eigh"):
            raise TypeError(
                'PCA only support sparse inputs with the "arpack" and "covariance_eigh" solvers, while '
                f'"{self.svd_solver}" was passed. See TruncatedSVD for a possible alternative.'
            )
        X = validated(self, X, accept_sparse=("csr", "csc"), ensure_min_samples=2)
        solver, wanted = self._plan(X)
        if solver == "randomized":
            check_normalizer(self.power_iteration_normalizer)
        random, columns = check_random_state(self.random_state), X.shape[1]
        start: Any = None
        if solver == "arpack":
            start = random.uniform(-1, 1, (columns, BLOCK)).astype(X.dtype), self.tol
        elif solver == "randomized":
            powers = self.iterated_power
            if powers == "auto":
                powers = 7 if wanted < 0.1 * min(X.shape) else 4
            start = random.normal(size=(columns, min(columns, wanted + self.n_oversamples))), powers
        table = to_ranks(X)
        self._fit_svd_solver = solver
        self.n_samples_ = rows = table.rows
        k = wanted if start is not None else None
        mean, s, V, total = table.session.run(_fit, table.X, solver, k, start)
        variance = s**2 / (rows - 1)
        ratio = variance / total
        if wanted == "mle":
            wanted = likeliest(variance, rows)
        elif 0 < wanted < 1:
            wanted = int(np.searchsorted(np.cumsum(ratio), wanted, side="right")) + 1
        least = min(X.shape)
        self.n_components_ = wanted
        self.noise_variance_ = 0.0
        if wanted < least:
            rest = variance[wanted:].sum() if start is None else total - variance.sum()
            self.noise_variance_ = rest / (least - wanted)
        kept = (V[:wanted], variance[:wanted], ratio[:wanted], s[:wanted], mean)
        names = ("components_", "explained_variance_", "explained_variance_ratio_", "singular_values_", "mean_")
        for name, value in zip(names, kept, strict=True):
            setattr(self, name, value.astype(X.dtype))
        return table

    def _plan(self, X: Any) -> tuple[str, Any]:
        """The solver, and how many components are wanted."""
        rows, columns = X.shape
        least, solver, wanted = min(X.shape), self.svd_solver, self.n_components
        if solver == "auto" and is_sparse(X):
            solver = "arpack"
        if wanted is None:
            wanted = least - 1 if solver == "arpack" else least
        if solver == "auto":
            if columns <= 1000 and rows >= 10 * columns:
                solver = "covariance_eigh"
            elif max(X.shape) <= 500 or wanted == "mle" or not 1 <= wanted < 0.8 * least:
                solver = "full"
            else:
                solver = "randomized"
        what = f"n_components={wanted!r}"
        if solver in ("full", "covariance_eigh"):
            if wanted == "mle":
                if rows < columns:
                    raise ValueError("n_components='mle' is only supported if n_samples >= n_features")
            elif not 0 <= wanted <= least:
                raise ValueError(
                    f"{what} must be between 0 and min(n_samples, n_features)={least} with svd_solver={solver!r}"
                )
        elif isinstance(wanted, str):
            raise ValueError(f"{what} cannot be a string with svd_solver='{solver}'")
        elif not 1 <= wanted <= least:
            raise ValueError(
                f"{what} must be between 1 and min(n_samples, n_features)={least} with svd_solver='{solver}'"
            )
        elif solver == "arpack" and wanted == least:
            raise ValueError(
                f"{what} must be strictly less than min(n_samples, n_features)={least} with svd_solver='{solver}'"
            )
        return solver, wanted

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def transform(self, X: Any) -> np.ndarray:
        """Rows on the components: [rows, n_components_]."""
        check_is_fitted(self)
        return self._projected(to_ranks(validated(self, X, reset=False, accept_sparse=("csr", "csc"))))

    def _projected(self, table: Table) -> np.ndarray:
        made = of_rows(table, _projected, self.components_, self.mean_)
        return made / np.maximum(self._deviations(), np.finfo(made.dtype).eps) if self.whiten else made

    def _deviations(self) -> np.ndarray:
        return np.sqrt(self.explained_variance_)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows [rows, columns] that are nearest to what `transform` makes X of."""
        check_is_fitted(self)
        X = check_array(X, input_name="X", dtype=[np.float64, np.float32])
        scaled = self._deviations()[:, None] * self.components_ if self.whiten else self.components_
        return X @ scaled + self.mean_

    def get_covariance(self) -> np.ndarray:
        """Of the model: the components and noise of the same variance in all other directions, [columns, columns]."""
        check_is_fitted(self)
        more = np.maximum(self.explained_variance_ - self.noise_variance_, 0)
        covariance = (self.components_.T * more) @ self.components_
        covariance.flat[:: len(covariance) + 1] += self.noise_variance_
        return covariance

    def get_precision(self) -> np.ndarray:
        """The inverse of `get_covariance`, by the matrix inversion lemma."""
        columns, noise = self.components_.shape[1], self.noise_variance_
        if self.n_components_ == 0:
            return np.eye(columns) / noise
        if noise == 0:
            return linalg.inv(self.get_covariance())
        more = np.maximum(self.explained_variance_ - noise, 0)
        inner = np.eye(self.n_components_) + (self.components_ @ self.components_.T) * (more / noise)[:, None]
        precision = -(self.components_.T @ linalg.solve(inner, more[:, None] * self.components_)) / noise**2
        precision.flat[:: columns + 1] += 1 / noise
        return precision

    def score_samples(self, X: Any) -> np.ndarray:
        """Log-likelihood of each row under the model (Tipping and Bishop 1999), [rows]."""
        check_is_fitted(self)
        X = validated(self, X, reset=False)
        precision = self.get_precision()
        constant = X.shape[1] * log(2 * np.pi) - fast_logdet(precision)
        return of_rows(to_ranks(X), _likelihood, self.mean_, precision, constant)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`."""
        return float(np.mean(self.score_samples(X)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.svd_solver in ("auto", "arpack", "covariance_eigh")
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def likeliest(spectrum: np.ndarray, rows: int) -> int:
    """How many components are likeliest, by the evidence of each number (Minka 2000, equation 30).

    Args:
        spectrum: [columns], the variances.
    """
    columns = len(spectrum)
    best, found = -np.inf, 0
    for rank in range(1, columns):
        evidence = _evidence(spectrum.astype(np.float64), rank, rows)
        if evidence > best:
            best, found = evidence, rank
    return found


def _evidence(spectrum: np.ndarray, rank: int, rows: int) -> float:
    columns = len(spectrum)
    if spectrum[rank - 1] < np.finfo(np.float64).eps:
        return -np.inf
    half = (columns - np.arange(rank)) / 2
    prior = -rank * log(2.0) + sum(lgamma(h) - log(np.pi) * h for h in half)
    noise = max(np.finfo(np.float64).eps, spectrum[rank:].mean())
    fit = -(np.log(spectrum[:rank]).sum() + log(noise) * (columns - rank)) * rows / 2
    free = columns * rank - rank * (rank + 1) / 2
    smoothed = np.append(spectrum[:rank], np.full(columns - rank, noise))
    curvature = 0.0
    for i in range(rank):
        apart = (spectrum[i] - spectrum[i + 1 :]) * (1 / smoothed[i + 1 :] - 1 / smoothed[i])
        with np.errstate(divide="ignore"):
            curvature += np.log(apart).sum() + log(rows) * len(apart)
    return prior + fit + log(2 * np.pi) * (free + rank) / 2 - curvature / 2 - rank * log(rows) / 2


def _fit(
    comm: Communicator, X: Any, solver: str, k: int | None, start: tuple | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Mean, singular values, vectors, and the sum of the variances of all columns, divided by rows - 1."""
    _, mean, variance = column_moments(comm, X)
    gram = Gram(comm, X, mean if sparse.issparse(X) else mean.astype(X.dtype))
    if solver == "full":
        s, V = by_qr(comm, X, gram.mean)
    elif solver == "covariance_eigh":
        s, V = by_covariance(gram)
        least = min(gram.rows, gram.columns)
        s, V = s[:least], V[:least]
    else:
        begin, more = comm.bcast(start)
        s, V = lanczos(gram, k, begin, more) if solver == "arpack" else randomized(gram, k, begin, more)
    if solver in ("full", "covariance_eigh"):
        total = float(np.square(s.astype(np.float64)).sum()) / (gram.rows - 1)
    else:
        total = float(variance.sum() * gram.rows / (gram.rows - 1))
    return mean, s, V, total


def _projected(comm: Communicator, X: Any, V: np.ndarray, mean: np.ndarray) -> np.ndarray:
    V, mean = V.astype(X.dtype), mean.astype(X.dtype)
    if sparse.issparse(X):
        return product(X, V.T) - mean @ V.T
    return (X - mean) @ V.T


def _likelihood(
    comm: Communicator, X: np.ndarray, mean: np.ndarray, precision: np.ndarray, constant: float
) -> np.ndarray:
    off = X - mean
    return -0.5 * (np.einsum("ij,ij->i", off, off @ precision) + constant)
