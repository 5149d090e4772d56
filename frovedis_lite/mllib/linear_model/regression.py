"""Least squares, with and without a squared norm."""

import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy import linalg, sparse
from sklearn.base import MultiOutputMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.base import Table, to_ranks, validated
from frovedis_lite.mllib.linear_model.base import LinearRegressorMixin
from frovedis_lite.mllib.optim.least_squares import lsqr, means, products, solve_triangle, triangle
from frovedis_lite.mllib.optim.sag import SQUARED, Problem, stochastic_average

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
            "sparse_cg"; "sag" and "saga", stochastic average gradients (`optim.sag`), which for dense rows need a
            centred copy of X, and for sparse ones learn the intercept in their steps. "lbfgs" is refused.
        tol, max_iter: of LSQR, whose tolerance is a millionth of tol; of "sag" and "saga" the largest change of a
            coefficient in an epoch, relative to the largest coefficient, and epochs (None: 1,000).
        positive: only False.
        random_state: of the rows that "sag" and "saga" draw.
        copy_X: without effect.

    Attributes:
        coef_, intercept_: as `LinearRegression`'s.
        n_iter_: [targets] of LSQR, "sag" and "saga"; 1 where nothing is repeated. solver_: which one it was.
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
        if self.positive or self.solver == "lbfgs":
            raise NotImplementedError(
                "Ridge here has neither positive=True nor solver='lbfgs': use 'auto', 'cholesky', 'svd', 'lsqr', "
                "'sparse_cg', 'sag' or 'saga', or ElasticNet(l1_ratio=0, positive=True)"
            )
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        table, targets = self._table(X, y, sample_weight)
        alphas = np.atleast_1d(np.asarray(self.alpha, np.float64))
        if alphas.size not in (1, targets):
            text = f"Number of targets and number of penalties do not correspond: {alphas.size} != {targets}"
            raise ValueError(text)
        alphas = np.resize(alphas, targets)
        rows = table.X, table.y, table.weights
        if self.solver in ("sag", "saga"):
            options = (self.fit_intercept, alphas, self.solver == "saga", self.tol, self.max_iter or 1000, seed)
            found, offsets, self.n_iter_, converged = table.session.run(_by_average, *rows, *options)
            self.solver_ = self.solver
            if not converged:
                text = "The max_iter was reached which means the coef_ did not converge"
                warnings.warn(text, ConvergenceWarning, stacklevel=2)
        else:
            options = (self.fit_intercept, alphas, self.solver, self.tol, self.max_iter, table.rows)
            found, offsets, self.n_iter_, self.solver_ = table.session.run(_ridge, *rows, *options)
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


def _by_average(
    comm: Communicator,
    X: Any,
    y: np.ndarray,
    weights: np.ndarray | None,
    intercept: bool,
    alphas: np.ndarray,
    saga: bool,
    tol: float,
    max_iter: int,
    seed: int,
) -> tuple[np.ndarray, tuple, np.ndarray, bool]:
    """By stochastic average gradients: [columns, targets], offsets, [targets] epochs, and whether all converged."""
    offsets = means(comm, X, y, weights, intercept)
    inside = intercept and sparse.issparse(X)  # centred, the rows would not be sparse
    if intercept and not inside:
        X = X - offsets[0].astype(X.dtype)
    found, steps, converged = np.zeros((X.shape[1] + inside, y.shape[1])), np.zeros(y.shape[1], np.int32), True
    rows = comm.allreduce(X.shape[0])
    for t, alpha in enumerate(alphas):
        target = np.ascontiguousarray(y[:, t] - offsets[1][t])
        problem = Problem(X, target, weights, SQUARED, inside, alpha / rows, 0.0, saga)
        start = np.zeros((len(found), 1))
        made = stochastic_average(comm, problem, start, tol=tol, max_iter=max_iter, seed=seed)
        found[:, t], steps[t] = made.w, made.steps
        converged &= made.converged
    if inside:
        offsets = np.zeros(X.shape[1]), offsets[1] + found[-1]
    return found[: X.shape[1]], offsets, steps, converged


def _by_cholesky(made: np.ndarray, columns: int, alphas: np.ndarray) -> np.ndarray:
    found = np.empty((columns, len(alphas)))
    for alpha in np.unique(alphas):
        shifted = made[:columns, :columns] + alpha * np.eye(columns)
        which = alphas == alpha
        factor = linalg.cho_factor(shifted, check_finite=False)
        found[:, which] = linalg.cho_solve(factor, made[:columns, columns:][:, which], check_finite=False)
    return found
