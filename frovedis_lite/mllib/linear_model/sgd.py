"""Linear models by stochastic gradient descent."""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from frovedis_lite.mllib.base import Estimator, is_sparse, to_ranks, validated
from frovedis_lite.mllib.linear_model.base import LinearClassifier, LinearRegressorMixin
from frovedis_lite.mllib.optim.sgd import Settings, State, descend

REGRESSION = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive")
LOSSES = ("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", *REGRESSION)
_CONSTRAINTS: dict[str, list] = {
    "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
    "fit_intercept": ["boolean"],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left"), None],
    "shuffle": ["boolean"],
    "verbose": ["verbose"],
    "epsilon": [Interval(Real, 0, None, closed="left")],
    "random_state": ["random_state"],
    "learning_rate": [StrOptions({"constant", "optimal", "invscaling", "adaptive", "pa1", "pa2"})],
    "eta0": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, None, None, closed="neither")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "warm_start": ["boolean"],
    "average": [Interval(Integral, 0, None, closed="neither"), "boolean"],
}


def _weights(sample_weight: Any, rows: int) -> np.ndarray:
    like = np.empty((rows, 0))
    return _check_sample_weight(sample_weight, like, dtype=np.float64, copy=True, ensure_non_negative=True)


class _StochasticDescent(Estimator):
    """What both have in common."""

    def _check_settings(self, partial: bool) -> None:
        self._validate_params()
        if self.early_stopping and partial:
            raise ValueError("early_stopping should be False with partial_fit")
        if self.learning_rate == "optimal" and self.alpha == 0:
            raise ValueError("alpha must be > 0 since learning_rate is 'optimal'. alpha is used to compute the rate.")
        if self.learning_rate in ("pa1", "pa2") and self.loss not in ("hinge", "epsilon_insensitive"):
            raise ValueError(f"learning_rate={self.learning_rate!r} needs loss 'hinge' or 'epsilon_insensitive'")
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")

    def _descend(self, X: Any, targets: list[np.ndarray], weights: list[np.ndarray], partial: bool, keep: bool) -> None:
        """coef_, intercept_ and so on of one model for each of `targets`."""
        ratio = {"l1": 1.0, "elasticnet": self.l1_ratio}.get(self.penalty, 0.0)
        alpha = float(self.alpha) if self.penalty else 0.0
        settings = Settings(
            loss=self.loss,
            epsilon=float(self.epsilon),
            alpha=float(self.alpha),
            l1=alpha * ratio,
            l2=alpha * (1 - ratio),
            learning_rate=self.learning_rate,
            eta0=float(self.eta0),
            power_t=float(self.power_t),
            intercept=self.fit_intercept,
            shuffle=self.shuffle,
            max_iter=1 if partial else self.max_iter,
            tol=None if partial else self.tol,
            patience=self.n_iter_no_change,
            average=int(self.average),
            held_out=self.validation_fraction if self.early_stopping else 0.0,
            sparse=is_sparse(X),
        )
        columns, seed = X.shape[1], check_random_state(self.random_state).randint(2**31 - 1)
        states = getattr(self, "_states", None) if keep else None
        if states is None or len(states) != len(targets):
            states = [State(np.zeros(columns), 0.0, 1.0, np.zeros(columns + 1), 0.0, 0)] * len(targets)
            if keep and hasattr(self, "coef_"):
                W, b = np.atleast_2d(self.coef_), np.ravel(self.intercept_)
                begun = zip(states, W, b, strict=True)
                states = [state._replace(w=w.astype(float), bias=float(v)) for state, w, v in begun]
        table, made = to_ranks(X, targets[0], weights[0]), []
        for target, own, state in zip(targets, weights, states, strict=True):
            each = table if target is targets[0] else to_ranks(X, target, own)
            made.append(table.session.run(descend, table.X, each.y, each.weights, state, settings, int(seed)))
        self._states = made
        self.n_iter_ = max(state.epochs for state in made)
        self.t_ = made[0].steps
        if not partial and self.tol is not None and self.n_iter_ == self.max_iter:
            text = "Maximum number of iteration reached before convergence. Consider increasing max_iter."
            warnings.warn(text, ConvergenceWarning, stacklevel=4)
        W = np.stack([s.mean / s.counted if s.counted else np.append(s.w, s.bias) for s in made]).astype(X.dtype)
        self.coef_, self.intercept_ = np.ascontiguousarray(W[:, :-1]), W[:, -1].copy()


class SGDClassifier(LinearClassifier, _StochasticDescent):
    """Classification as `sklearn.linear_model.SGDClassifier`: the same losses, penalties and learning rates, with an
    epoch over each rank's rows and the mean of their models behind it. Several classes are each against the others.

    With `average`, weights count from the epoch on that has this step. `n_jobs` and `verbose` are without effect.

    A row of weight w takes ceil(w) steps in an epoch, each with the weight w / ceil(w), and is so the same as w equal
    rows. On one rank and with `shuffle` that is exact, and the order of rows does not matter; on several ranks it is so
    for the rows of each. With `early_stopping`, the rows held out are drawn by what is in them, equal ones together.

    Attributes:
        classes_: [classes]; coef_: [1 or classes, columns]; intercept_: [1 or classes]; n_iter_: epochs; t_: steps.
    """

    _parameter_constraints: ClassVar[dict] = {
        **_CONSTRAINTS,
        "loss": [StrOptions(set(LOSSES))],
        "n_jobs": [None, Integral],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        loss: str = "hinge",
        *,
        penalty: str | None = "l2",
        alpha: float = 0.0001,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int = 0,
        epsilon: float = 0.1,
        n_jobs: int | None = None,
        random_state: Any = None,
        learning_rate: str = "optimal",
        eta0: float = 0.01,
        power_t: float = 0.5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: Any = None,
        warm_start: bool = False,
        average: Any = False,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.average = average

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X [rows, columns], classes y [rows] and weights [rows], which are not negative."""
        self._check_settings(False)
        if not self.warm_start:
            self.release()
            self._states = None
        return self._learn(X, y, None, sample_weight, False)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One epoch over more rows. The first call names all `classes`.

        Raises:
            ValueError: the first call does not, or class_weight is "balanced".
        """
        self._check_settings(True)
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
                "compute_class_weight('balanced', classes=classes, y=y) and pass them as class_weight."
            )
        first = _check_partial_fit_first_call(self, classes)
        return self._learn(X, y, self.classes_, sample_weight, True, first)

    def _learn(self, X: Any, y: Any, classes: Any, weights: Any, partial: bool, reset: bool = True) -> Self:
        X, y = validated(self, X, y, accept_sparse="csr", accept_large_sparse=False, reset=reset)
        check_classification_targets(y)
        if classes is None:
            classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(f"The number of classes has to be greater than one; got {len(classes)} class")
        self.classes_ = classes
        weights = _weights(weights, X.shape[0])
        with np.errstate(divide="ignore"):  # a class without weight
            of_class = compute_class_weight(self.class_weight, classes=classes, y=y, sample_weight=weights)
        of_class[np.isinf(of_class)] = 0
        targets, own = [], []
        for k in [1] if len(classes) == 2 else range(len(classes)):
            mine = y == classes[k]
            targets.append(np.where(mine, 1.0, -1.0))
            others = of_class[1 - k] if len(classes) == 2 else 1.0
            own.append(weights * np.where(mine, of_class[k], others))
        self._descend(X, targets, own, partial, partial or self.warm_start)
        return self

    @available_if(lambda self: self.loss in ("log_loss", "modified_huber"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities [rows, classes], of the losses "log_loss" and "modified_huber" (Zadrozny and Elkan 2002)."""
        check_is_fitted(self)
        made = self.decision_function(X)
        made = expit(made) if self.loss == "log_loss" else (np.clip(made, -1, 1) + 1) / 2
        if made.ndim == 1:
            return np.stack([1 - made, made], axis=1)
        total = made.sum(1, keepdims=True)
        return np.where(total > 0, made / np.where(total > 0, total, 1), 1 / made.shape[1])

    @available_if(lambda self: self.loss in ("log_loss", "modified_huber"))
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of `predict_proba`."""
        return np.log(self.predict_proba(X))


class SGDRegressor(LinearRegressorMixin, _StochasticDescent):
    """Regression as `sklearn.linear_model.SGDRegressor`; see `SGDClassifier`.

    Attributes:
        coef_: [columns]; intercept_: [1]; n_iter_: epochs; t_: steps.
    """

    _parameter_constraints: ClassVar[dict] = {**_CONSTRAINTS, "loss": [StrOptions(set(REGRESSION))]}

    def __init__(
        self,
        loss: str = "squared_error",
        *,
        penalty: str | None = "l2",
        alpha: float = 0.0001,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int = 0,
        epsilon: float = 0.1,
        random_state: Any = None,
        learning_rate: str = "invscaling",
        eta0: float = 0.01,
        power_t: float = 0.25,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        average: Any = False,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X [rows, columns], y [rows] and weights [rows], which are not negative."""
        self._check_settings(False)
        if not self.warm_start:
            self.release()
            self._states = None
        return self._learn(X, y, sample_weight, False, True)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch over more rows."""
        self._check_settings(True)
        return self._learn(X, y, sample_weight, True, not hasattr(self, "coef_"))

    def _learn(self, X: Any, y: Any, weights: Any, partial: bool, reset: bool) -> Self:
        X, y = validated(self, X, y, accept_sparse="csr", accept_large_sparse=False, y_numeric=True, reset=reset)
        weights = _weights(weights, X.shape[0])
        self._descend(X, [np.asarray(y, np.float64)], [weights], partial, partial or self.warm_start)
        self.coef_ = self.coef_.ravel()
        return self
