"""Least squares with an absolute norm: Lasso and ElasticNet."""

import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight

from frovedis_lite.mllib.base import to_ranks, validated
from frovedis_lite.mllib.linear_model.regression import LeastSquares
from frovedis_lite.mllib.optim.coordinate import elastic_net


class ElasticNet(LeastSquares):
    """Least squares with both norms as `sklearn.linear_model.ElasticNet`: the minimum of

        1/2 mean (y - X w)^2 + alpha (l1_ratio |w|_1 + (1 - l1_ratio) / 2 |w|^2)

    by coordinate descent on products of columns, until the duality gap is below `tol` times y^T y.

    Args:
        precompute: True or False; the products are made in either case, and those of the caller are refused.
        copy_X: without effect; X is never written to.
        selection: "cyclic", or "random": another order of columns in each sweep, drawn from `random_state`.
        alpha, l1_ratio, fit_intercept, max_iter, tol, warm_start, positive: scikit-learn's.

    Attributes:
        coef_: [columns] or [targets, columns]; intercept_: a number or [targets].
        dual_gap_: a number or [targets]; n_iter_: sweeps, a number or a list.
    """

    _parameter_constraints = {  # noqa: RUF012
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "precompute": ["boolean", "array-like"],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "copy_X": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "positive": ["boolean"],
        "random_state": ["random_state"],
        "selection": [StrOptions({"cyclic", "random"})],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        precompute: Any = False,
        max_iter: int = 1000,
        copy_X: bool = True,
        tol: float = 1e-4,
        warm_start: bool = False,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.copy_X = copy_X
        self.tol = tol
        self.warm_start = warm_start
        self.positive = positive
        self.random_state = random_state
        self.selection = selection

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X [rows, columns], y [rows] or [rows, targets] and weights [rows].

        Raises:
            NotImplementedError: products of the columns as `precompute`.
        """
        self._validate_params()
        if not isinstance(self.precompute, (bool, np.bool_)):
            raise NotImplementedError("precompute is True or False here: the ranks make the products of columns")
        if self.alpha == 0:
            text = "With alpha=0, this algorithm does not converge well. You are advised to use LinearRegression"
            warnings.warn(text, UserWarning, stacklevel=2)
        X, y = validated(self, X, y, accept_sparse="csr", y_numeric=True, multi_output=True)
        if isinstance(sample_weight, Real):
            sample_weight = None
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, np.empty((X.shape[0], 0)), dtype=np.float64)
            sample_weight = sample_weight * (X.shape[0] / sample_weight.sum())
        self._targets = y.ndim
        table = to_ranks(X, np.asarray(y, np.float64).reshape(len(y), -1), sample_weight)
        targets = 1 if y.ndim == 1 else y.shape[1]
        start = np.zeros((table.columns, targets))
        if self.warm_start and hasattr(self, "coef_"):
            start = np.atleast_2d(self.coef_).T.astype(np.float64)
        drawn = check_random_state(self.random_state).randint(2**31 - 1) if self.selection == "random" else None
        made = table.session.run(
            elastic_net,
            *(table.X, table.y, table.weights, start),
            intercept=self.fit_intercept,
            alpha=float(self.alpha),
            l1_ratio=float(self.l1_ratio),
            positive=bool(self.positive),
            tol=float(self.tol),
            max_iter=self.max_iter or 1000,
            seed=drawn,
        )
        if not made.converged:
            text = (
                f"Objective did not converge. You might want to increase max_iter. Duality gap: {made.gaps.max():.3e}"
            )
            warnings.warn(text, ConvergenceWarning, stacklevel=2)
        self._set(table, made.coefficients, made.offsets)
        self.dual_gap_ = made.gaps if targets > 1 else float(made.gaps[0])
        self.n_iter_ = made.sweeps.tolist() if targets > 1 else int(made.sweeps[0])
        return self

    @property
    def sparse_coef_(self) -> sparse.csr_array:
        """coef_ as a sparse array, [1 or targets, columns]."""
        return sparse.csr_array(np.atleast_2d(self.coef_))


class Lasso(ElasticNet):
    """Least squares with an absolute norm as `sklearn.linear_model.Lasso`: `ElasticNet` with l1_ratio 1."""

    _parameter_constraints = {**ElasticNet._parameter_constraints}  # noqa: RUF012
    _parameter_constraints.pop("l1_ratio")
    l1_ratio = 1.0

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        precompute: Any = False,
        copy_X: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-4,
        warm_start: bool = False,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.copy_X = copy_X
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.positive = positive
        self.random_state = random_state
        self.selection = selection
