"""Least squares, with and without a squared norm."""

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy import linalg, sparse
from sklearn.base import MultiOutputMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.base import Table, to_ranks, validated
from frovedis_lite.mllib.linear_model.base import LinearRegressorMixin
from frovedis_lite.mllib.optim.least_squares import lsqr, means, products, solve_triangle, triangle

LSQR_TIGHTER = 1e-6  # LSQR's tolerance is of residuals, this many times tighter than that of the factorizations


class LeastSquares(MultiOutputMixin, LinearRegressorMixin):
    """What models of squared errors share."""

    def _table(self, X: Any, y: Any, sample_weight: Any) -> tuple[Table, int]:
        """Checked rows on the ranks, y as [rows, targets], and how many targets there are."""
        X, y = validated(self, X, y, accept_sparse="csr", y_numeric=True, multi_output=True)
        if isinstance(sample_weight, Real):
            sample_weight = np.full(X.shape[0], float(sample_weight))
        if sample_weight is not None:
            rows = np.empty((X.shape[0], 0))
            sample_weight = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
        self._targets = y.ndim
        y = np.asarray(y, np.float64).reshape(len(y), -1)
        return to_ranks(X, y, sample_weight), y.shape[1]

    def _set(self, table: Table, coefficients: np.ndarray, offsets: tuple) -> None:
        """coef_ and intercept_ from [columns, targets] and the offsets of columns and targets."""
        one, dtype = self.__dict__.pop("_targets") == 1, table.dtype
        intercepts = (offsets[1] - offsets[0] @ coefficients).astype(dtype)
        self.coef_ = np.ascontiguousarray(coefficients.T.astype(dtype))
        if not self.fit_intercept:
            self.intercept_ = 0.0
        else:
            self.intercept_ = intercepts[0] if one else intercepts
        if one:
            self.coef_ = self.coef_[0]


class LinearRegression(LeastSquares):
    """Least squares as `sklearn.linear_model.LinearRegression`: of all solutions the one of least norm.

    Dense rows become triangular factors on each rank (Householder's), sparse ones stay sparse (LSQR).

    Args:
        tol: singular values below this times the largest count as zero; for sparse rows, a millionth of it is LSQR's
            tolerance.
        positive: only False; `Lasso(alpha, positive=True)` with a small alpha has such coefficients.
        copy_X, n_jobs: without effect; X is never written to.

    Attributes:
        coef_: [columns] or [targets, columns]; intercept_: a number or [targets].
        rank_, singular_: of dense rows.
    """

    _parameter_constraints = {  # noqa: RUF012
        "fit_intercept": ["boolean"],
        "copy_X": ["boolean"],
        "n_jobs": [None, Integral],
        "positive": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        positive: bool = False,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.tol = tol
        self.n_jobs = n_jobs
        self.positive = positive

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X [rows, columns], y [rows] or [rows, targets] and weights [rows].

        Raises:
            NotImplementedError: positive.
        """
        self._validate_params()
        if self.positive:
            raise NotImplementedError("LinearRegression here has no positive=True: use Lasso(alpha=..., positive=True)")
        table, _ = self._table(X, y, sample_weight)
        run = table.session.run
        found, offsets, rank, singular = run(
            _least_squares, table.X, table.y, table.weights, self.fit_intercept, self.tol
        )
        self._set(table, found, offsets)
        if rank is not None:
            self.rank_, self.singular_ = rank, singular
        return self


def _least_squares(
    comm: Communicator, X: Any, y: np.ndarray, weights: np.ndarray | None, intercept: bool, tol: float
) -> tuple:
    offsets = means(comm, X, y, weights, intercept)
    if not sparse.issparse(X):
        factor = triangle(comm, X, y, weights, offsets)
        found, rank, singular = solve_triangle(factor, X.shape[1], tol)
        return found, offsets, rank, singular
    found, _ = _by_lsqr(comm, X, y, weights, offsets, np.zeros(y.shape[1]), tol * LSQR_TIGHTER, None)
    return found, offsets, None, None


def _by_lsqr(
    comm: Communicator,
    X: Any,
    y: np.ndarray,
    weights: np.ndarray | None,
    offsets: tuple,
    alphas: np.ndarray,
    tol: float,
    max_iter: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """[columns, targets] and [targets] iterations."""
    most = max_iter or 10 * X.shape[1] + 100
    made = [
        lsqr(comm, X, y[:, t], weights, (offsets[0], offsets[1][t]), float(np.sqrt(alphas[t])), tol, most)
        for t in range(y.shape[1])
    ]
    return np.stack([w for w, _ in made], axis=1), np.array([steps for _, steps in made], np.int32)


class Ridge(LeastSquares):
    """Least squares with a squared norm as `sklearn.linear_model.Ridge`: |y - X w|^2 + alpha |w|^2.

    Args:
        alpha: a number, or one for each target.
        solver: "cholesky", of the normal equations (and of fewer rows than columns by "svd"); "svd", of triangular
            factors, for columns that nearly depend on each other; "lsqr" and "sparse_cg", which without rounding have
            the same iterates: LSQR runs for both; "auto": "cholesky" for dense rows or up to 1,000 columns, else
            "sparse_cg". "sag", "saga" and "lbfgs" are refused.
        tol, max_iter: of LSQR, whose tolerance is a millionth of tol.
        positive: only False.
        copy_X, random_state: without effect.

    Attributes:
        coef_, intercept_: as `LinearRegression`'s.
        n_iter_: [targets] of LSQR; 1 where nothing is repeated. solver_: which one it was.
    """

    _parameter_constraints = {  # noqa: RUF012
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        "fit_intercept": ["boolean"],
        "copy_X": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga", "lbfgs"})],
        "positive": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        alpha: Any = 1.0,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        max_iter: int | None = None,
        tol: float = 1e-4,
        solver: str = "auto",
        positive: bool = False,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.positive = positive
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X [rows, columns], y [rows] or [rows, targets] and weights [rows].

        Raises:
            NotImplementedError: a solver that is not there, or positive.
            ValueError: the number of alphas is not that of the targets.
        """
        self._validate_params()
        if self.positive or self.solver in ("sag", "saga", "lbfgs"):
            raise NotImplementedError(
                f"Ridge here has no positive=True, nor solver={self.solver!r} with it or for itself: use 'auto', "
                "'cholesky', 'svd', 'lsqr' or 'sparse_cg', or ElasticNet(l1_ratio=0, positive=True)"
            )
        table, targets = self._table(X, y, sample_weight)
        alphas = np.atleast_1d(np.asarray(self.alpha, np.float64))
        if alphas.size not in (1, targets):
            text = f"Number of targets and number of penalties do not correspond: {alphas.size} != {targets}"
            raise ValueError(text)
        options = (self.fit_intercept, np.resize(alphas, targets), self.solver, self.tol, self.max_iter, table.rows)
        found, offsets, self.n_iter_, self.solver_ = table.session.run(
            _ridge, table.X, table.y, table.weights, *options
        )
        self._set(table, found, offsets)
        return self


def _ridge(
    comm: Communicator,
    X: Any,
    y: np.ndarray,
    weights: np.ndarray | None,
    intercept: bool,
    alphas: np.ndarray,
    solver: str,
    tol: float,
    max_iter: int | None,
    rows: int,
) -> tuple:
    columns = X.shape[1]
    if solver == "auto":
        solver = "cholesky" if not sparse.issparse(X) or columns <= 1000 else "sparse_cg"
    offsets = means(comm, X, y, weights, intercept)
    if solver in ("lsqr", "sparse_cg"):
        found, steps = _by_lsqr(comm, X, y, weights, offsets, alphas, tol * LSQR_TIGHTER, max_iter)
        return found, offsets, steps, solver
    once = np.ones(len(alphas), np.int32)
    if solver == "cholesky" and columns <= rows:
        made = products(comm, X, y, weights, offsets)
        try:
            return _by_cholesky(made, columns, alphas), offsets, once, solver
        except linalg.LinAlgError:
            solver = "svd"
    factor = triangle(comm, X, y, weights, offsets)
    U, s, V = linalg.svd(factor[:, :columns], full_matrices=False, check_finite=False)
    s = s[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        shrunk = np.where(s > 1e-15, s / (s**2 + alphas), 0.0)
    return V.T @ (shrunk * (U.T @ factor[:, columns:])), offsets, once, solver


def _by_cholesky(made: np.ndarray, columns: int, alphas: np.ndarray) -> np.ndarray:
    found = np.empty((columns, len(alphas)))
    for alpha in np.unique(alphas):
        shifted = made[:columns, :columns] + alpha * np.eye(columns)
        which = alphas == alpha
        factor = linalg.cho_factor(shifted, check_finite=False)
        found[:, which] = linalg.cho_solve(factor, made[:columns, columns:][:, which], check_finite=False)
    return found
