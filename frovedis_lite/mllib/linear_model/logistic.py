"""Logistic regression, of two classes or more."""

import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Hidden, Interval, StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.extmath import softmax
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.base import to_ranks, validated
from frovedis_lite.mllib.linear_model.base import LinearClassifier
from frovedis_lite.mllib.optim.losses import LOGISTIC
from frovedis_lite.mllib.optim.newton import newton
from frovedis_lite.mllib.optim.objectives import Multinomial, OneMargin
from frovedis_lite.mllib.optim.quasi_newton import Minimum, lbfgs, owlqn
from frovedis_lite.mllib.optim.sag import LOGISTIC as LOGISTIC_LOSS
from frovedis_lite.mllib.optim.sag import MULTINOMIAL, Problem, stochastic_average

SOLVERS = ("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga")


class LogisticRegression(LinearClassifier):
    """Logistic regression as `sklearn.linear_model.LogisticRegression`: the same parameters, and the same minimum of

        C sum(weight loss) + (1 - l1_ratio) / 2 |w|^2 + l1_ratio |w|_1

    The solvers:

    - "lbfgs": L-BFGS.
    - "newton-cg": Newton's method by products with the Hessian; "newton-cholesky": by its factors, for few columns.
    - "sag" and "saga": stochastic average gradients (`optim.sag`), whose iterations are epochs over the rows, and on
      several ranks rounds of one on each. They stop where no weight or intercept changes by more than `tol` times the
      largest in an iteration. Rows that weigh more have shorter steps. The others' steps read all rows once.
    - "liblinear": LIBLINEAR's problem, where the intercept is penalized as the weight of a column that is
      `intercept_scaling`, by Newton's method or OWL-QN. With `dual` the minimum is the same, and so is what is done.

    Attributes:
        classes_: [classes].
        coef_: [1 or classes, columns] of X's dtype.
        intercept_: [1 or classes].
        n_iter_: [1], the steps or epochs taken.
    """

    _parameter_constraints = {  # noqa: RUF012
        "penalty": [StrOptions({"l1", "l2", "elasticnet"}), None, Hidden(StrOptions({"deprecated"}))],
        "C": [Interval(Real, 0, None, closed="right")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "dual": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
        "intercept_scaling": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "random_state": ["random_state"],
        "solver": [StrOptions(set(SOLVERS))],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "n_jobs": [None, Integral],
    }

    def __init__(
        self,
        penalty: str | None = "deprecated",
        *,
        C: float = 1.0,
        l1_ratio: float | None = 0.0,
        dual: bool = False,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        intercept_scaling: float = 1,
        class_weight: Any = None,
        random_state: Any = None,
        solver: str = "lbfgs",
        max_iter: int = 100,
        verbose: int = 0,
        warm_start: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.penalty = penalty
        self.C = C
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.warm_start = warm_start
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X [rows, columns], classes y [rows] and weights [rows].

        Raises:
            ValueError: the solver does not go with the penalty, or there is one class only.
        """
        self._validate_params()
        l1_ratio, C = self._penalty()
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        X, y = validated(self, X, y, accept_sparse="csr", order="C")
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        classes = len(self.classes_)
        if self.solver == "liblinear" and classes > 2:
            raise ValueError(
                "The 'liblinear' solver does not support multiclass classification (n_classes >= 3). Either use "
                "another solver or wrap the estimator in a OneVsRestClassifier to keep applying a one-versus-rest "
                "scheme. Only binary classification is supported."
            )
        if classes < 2:
            raise ValueError(
                "This solver needs samples of at least 2 classes in the data, but the data contains only one class: "
                f"{self.classes_[0]!r}"
            )
        weights = self._weights(X, y, codes, sample_weight)
        target = np.where(codes == 1, 1.0, -1.0) if classes == 2 else codes.astype(np.int32)
        table = to_ranks(X, target, weights)
        start = self._start(table.columns, classes)
        scaling = self.intercept_scaling if self.solver == "liblinear" else None
        options = (self.solver, C, l1_ratio, self.fit_intercept, scaling, self.tol, self.max_iter, seed)
        found = table.session.run(_fit, table.X, table.y, table.weights, classes, start, *options)
        if not found.converged:
            text = f"{self.solver} failed to converge after {found.steps} iteration(s). Increase max_iter or scale X."
            warnings.warn(text, ConvergenceWarning, stacklevel=2)
        W = found.w.reshape(-1, 1 if classes == 2 else classes).T.astype(table.dtype)
        self.coef_ = np.ascontiguousarray(W[:, : table.columns])
        self.intercept_ = W[:, -1].copy() if self.fit_intercept else np.zeros(len(W), table.dtype)
        self.n_iter_ = np.array([found.steps], np.int32)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of X's rows, [rows, classes]."""
        check_is_fitted(self)
        made = self.decision_function(X)
        if made.ndim > 1:
            return softmax(made, copy=False)
        return np.stack([1 - expit(made), expit(made)], axis=1)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of probabilities of X's rows, [rows, classes]."""
        return np.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self.solver != "liblinear"
        return tags

    def _penalty(self) -> tuple[float, float]:
        """l1_ratio and C after scikit-learn's rules, with its warnings and errors."""
        penalty, C = self.penalty, float(self.C)
        if penalty == "deprecated":
            if self.l1_ratio is None:
                text = "'l1_ratio=None' was deprecated in version 1.8 and will trigger an error in 1.10."
                warnings.warn(text, FutureWarning, stacklevel=3)
            penalty = {0: "l2", 1: "l1"}.get(self.l1_ratio or 0, "elasticnet")
            if np.inf == C:
                penalty = None
        else:
            text = "'penalty' was deprecated in version 1.8 and will be removed in 1.10. Use l1_ratio or C=np.inf."
            warnings.warn(text, FutureWarning, stacklevel=3)
            if penalty == "elasticnet" and self.l1_ratio is None:
                raise ValueError("l1_ratio must be specified when penalty is elasticnet.")
        if self.solver not in ("liblinear", "saga") and penalty not in ("l2", None):
            raise ValueError(f"Solver {self.solver} supports only 'l2' or None penalties, got {penalty} penalty.")
        if self.solver != "liblinear" and self.dual:
            raise ValueError(f"Solver {self.solver} supports only dual=False, got dual={self.dual}")
        if penalty == "elasticnet" and self.solver != "saga":
            raise ValueError(f"Only 'saga' solver supports elasticnet penalty, got solver={self.solver}.")
        if self.solver == "liblinear" and penalty is None:
            raise ValueError("C=np.inf as well as penalty=None is not supported for the liblinear solver")
        if self.solver == "liblinear" and penalty == "l1" and self.dual:
            raise ValueError("Unsupported set of arguments: penalty='l1' with dual=True and solver='liblinear'")
        if self.n_jobs is not None:
            text = f"'n_jobs' has no effect since 1.8 and will be removed in 1.10. You provided 'n_jobs={self.n_jobs}'."
            warnings.warn(text, FutureWarning, stacklevel=3)
        ratio = {"l1": 1.0, "elasticnet": self.l1_ratio}.get(penalty, 0.0)
        return float(ratio), np.inf if penalty is None else C

    def _weights(self, X: Any, y: np.ndarray, codes: np.ndarray, sample_weight: Any) -> np.ndarray | None:
        if sample_weight is None and self.class_weight is None:
            return None
        weights = _check_sample_weight(sample_weight, np.empty((X.shape[0], 0)), dtype=np.float64, copy=True)
        if self.class_weight is not None:
            of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y, sample_weight=weights)
            weights *= of_class[codes]
        return weights

    def _start(self, columns: int, classes: int) -> np.ndarray:
        """Parameters to begin with: zeros, or what was fitted before."""
        outputs = 1 if classes == 2 else classes
        if not self.warm_start or getattr(self, "coef_", None) is None:
            return np.zeros((columns + self.fit_intercept) * outputs)
        if self.coef_.shape != (outputs, columns):
            raise ValueError(f"Initialization coef is of shape {self.coef_.shape}, expected shape {(outputs, columns)}")
        parts = [self.coef_, self.intercept_[:, None]] if self.fit_intercept else [self.coef_]
        return np.concatenate(parts, axis=1).T.astype(np.float64).ravel()


def _fit(
    comm: Communicator,
    X: Any,
    y: np.ndarray,
    weights: np.ndarray | None,
    classes: int,
    start: np.ndarray,
    solver: str,
    C: float,
    l1_ratio: float,
    intercept: bool,
    scaling: float | None,
    tol: float,
    max_iter: int,
    seed: int,
) -> Minimum:
    """The parameters [columns (+ 1), outputs] in one row. The objective is divided by C and the sum of weights."""
    if solver in ("sag", "saga"):
        loss, y = (LOGISTIC_LOSS, y) if classes == 2 else (MULTINOMIAL, y.astype(np.float64))
        strength = 1.0 / (C * comm.allreduce(X.shape[0]))
        norms = (1 - l1_ratio) * strength, l1_ratio * strength
        problem = Problem(X, y, weights, loss, intercept, *norms, solver == "saga")
        start = start.reshape(X.shape[1] + intercept, -1)
        return stochastic_average(comm, problem, start, tol=tol, max_iter=max_iter, seed=seed)
    total = comm.allreduce(float(X.shape[0] if weights is None else weights.sum()))
    strength = 1.0 / (C * total)
    settings = {"intercept": intercept, "scale": 1.0 / total, "l2": (1 - l1_ratio) * strength}
    l1 = np.full(start.shape, l1_ratio * strength).reshape(X.shape[1] + intercept, -1)
    if classes > 2:
        objective = Multinomial(comm, X, y, weights, classes, **settings)
    else:
        if scaling is not None:
            settings["l2_intercept"] = settings["l2"] / scaling**2
        objective = OneMargin(comm, X, y, weights, LOGISTIC, **settings)
    if intercept:
        l1[-1] = l1[-1] / scaling if scaling is not None else 0
    if solver == "liblinear":  # its tolerance is of the gradient at zero, and of the rarer class
        positive = comm.allreduce(float((y > 0).sum() if weights is None else weights[y > 0].sum()))
        tol *= max(min(positive, total - positive), 1) / total
        tol *= float(np.max(np.abs(objective(np.zeros_like(start))[1])))
    if l1_ratio > 0:
        return owlqn(objective, start, l1.ravel(), tol, max_iter, objective.diagonal())
    if solver == "lbfgs":
        return lbfgs(objective, start, tol, max_iter, objective.diagonal())
    return newton(objective, start, tol, max_iter, factorize=solver == "newton-cholesky")
