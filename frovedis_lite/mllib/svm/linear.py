"""Linear support vector machines: LIBLINEAR's problems (Fan and others, JMLR 2008), on the ranks that have the rows."""

import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.base import Estimator, Table, to_ranks, validated
from frovedis_lite.mllib.linear_model.base import LinearClassifier, LinearRegressorMixin
from frovedis_lite.mllib.optim.dual import dual_descent
from frovedis_lite.mllib.optim.losses import SQUARED_EPSILON, SQUARED_HINGE
from frovedis_lite.mllib.optim.newton import newton
from frovedis_lite.mllib.optim.objectives import OneMargin
from frovedis_lite.mllib.optim.quasi_newton import Minimum, owlqn

TIGHTER = 1e-2  # LIBLINEAR's tolerance by this: Newton's method gets there for one more step, if any
_CONSTRAINTS = {
    "tol": [Interval(Real, 0.0, None, closed="neither")],
    "C": [Interval(Real, 0.0, None, closed="neither")],
    "fit_intercept": ["boolean"],
    "intercept_scaling": [Interval(Real, 0, None, closed="neither")],
    "dual": ["boolean", StrOptions({"auto"})],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
    "max_iter": [Interval(Integral, 0, None, closed="left")],
}


class _LinearMachine(Estimator):
    """What both have in common."""

    def _checked(self, X: Any, y: Any, sample_weight: Any, **checks: Any) -> tuple:
        self._validate_params()
        X, y = validated(self, X, y, accept_sparse="csr", accept_large_sparse=False, **checks)
        weights = _check_sample_weight(sample_weight, np.empty((X.shape[0], 0)), dtype=np.float64, copy=True)
        return X, y, weights

    def _run(self, table: Table, l1: bool, loss: str, epsilon: float | None, classes: int, of_class: Any) -> None:
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        scaling = float(self.intercept_scaling) if self.fit_intercept else None
        options = (l1, loss, epsilon, scaling, float(self.C), float(self.tol), self.max_iter, seed, classes, of_class)
        made = table.session.run(_fit, table.X, table.y, table.weights, *options)
        if not all(each.converged for each in made):
            text = "Liblinear's problem was not solved to its tolerance, increase the number of iterations."
            warnings.warn(text, ConvergenceWarning, stacklevel=3)
        W = np.stack([each.w for each in made])
        self.coef_ = np.ascontiguousarray(W[:, : table.columns])
        self.intercept_ = W[:, -1].copy() if self.fit_intercept else 0.0
        self.n_iter_ = max(each.steps for each in made)


class LinearSVC(LinearClassifier, _LinearMachine):
    """Classification as `sklearn.svm.LinearSVC`: the minimum of |w|^2 / 2 (or |w|_1) + C sum(weight loss), where the
    intercept is the weight of a column that is `intercept_scaling`.

    The squared hinge loss is minimized by Newton's method (trust regions apart, Lin, Weng and Keerthi 2008), with
    |w|_1 by OWL-QN, whatever `dual` says, as the minimum is the same; the hinge loss by dual coordinate descent.

    Args:
        tol: LIBLINEAR's for the squared hinge loss; of the hinge loss a tenth of it, as a relative duality gap.
        max_iter: steps, or sweeps of the dual.
        multi_class: only "ovr", each class against the others.

    Attributes:
        classes_: [classes]; coef_: [1 or classes, columns] float64; intercept_: [1 or classes]; n_iter_: steps.
    """

    _parameter_constraints = {  # noqa: RUF012
        **_CONSTRAINTS,
        "penalty": [StrOptions({"l1", "l2"})],
        "loss": [StrOptions({"hinge", "squared_hinge"})],
        "multi_class": [StrOptions({"ovr", "crammer_singer"})],
        "class_weight": [None, dict, StrOptions({"balanced"})],
    }

    def __init__(
        self,
        penalty: str = "l2",
        loss: str = "squared_hinge",
        *,
        dual: Any = "auto",
        tol: float = 1e-4,
        C: float = 1.0,
        multi_class: str = "ovr",
        fit_intercept: bool = True,
        intercept_scaling: float = 1,
        class_weight: Any = None,
        verbose: int = 0,
        random_state: Any = None,
        max_iter: int = 1000,
    ) -> None:
        self.penalty = penalty
        self.loss = loss
        self.dual = dual
        self.tol = tol
        self.C = C
        self.multi_class = multi_class
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.verbose = verbose
        self.random_state = random_state
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X [rows, columns], classes y [rows] and weights [rows].

        Raises:
            ValueError: there is one class only, or penalty, loss and dual do not go together.
            NotImplementedError: multi_class="crammer_singer".
        """
        X, y, weights = self._checked(X, y, sample_weight)
        if self.multi_class != "ovr":
            raise NotImplementedError("LinearSVC here has no multi_class='crammer_singer': use 'ovr'")
        wrong = self.loss == "hinge" and (self.penalty == "l1" or self.dual is False)
        if wrong or (self.penalty == "l1" and self.dual is True):
            raise ValueError(
                f"Unsupported set of arguments: The combination of penalty='{self.penalty}' and loss='{self.loss}' "
                f"is not supported when dual={self.dual}"
            )
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        classes = len(self.classes_)
        if classes < 2:
            raise ValueError(
                "This solver needs samples of at least 2 classes in the data, but the data contains only one class: "
                f"{self.classes_[0]!r}"
            )
        of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y, sample_weight=weights)
        table = to_ranks(X, codes.astype(np.float64), weights)
        self._run(table, self.penalty == "l1", self.loss, None, classes, np.asarray(of_class, np.float64))
        return self


class LinearSVR(LinearRegressorMixin, _LinearMachine):
    """Regression as `sklearn.svm.LinearSVR`: the minimum of |w|^2 / 2 + C sum(weight loss) of the error beyond
    epsilon, or its square. Methods, `tol` and `max_iter` as `LinearSVC`'s.

    Attributes:
        coef_: [columns] float64; intercept_: [1]; n_iter_: steps, or sweeps of the dual.
    """

    _parameter_constraints = {  # noqa: RUF012
        **_CONSTRAINTS,
        "epsilon": [Real],
        "loss": [StrOptions({"epsilon_insensitive", "squared_epsilon_insensitive"})],
    }

    def __init__(
        self,
        *,
        epsilon: float = 0.0,
        tol: float = 1e-4,
        C: float = 1.0,
        loss: str = "epsilon_insensitive",
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        dual: Any = "auto",
        verbose: int = 0,
        random_state: Any = None,
        max_iter: int = 1000,
    ) -> None:
        self.epsilon = epsilon
        self.tol = tol
        self.C = C
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.dual = dual
        self.verbose = verbose
        self.random_state = random_state
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X [rows, columns], y [rows] and weights [rows].

        Raises:
            ValueError: the epsilon-insensitive loss with dual=False.
        """
        X, y, weights = self._checked(X, y, sample_weight, y_numeric=True)
        if self.loss == "epsilon_insensitive" and self.dual is False:
            raise ValueError(
                "Unsupported set of arguments: The combination of penalty='l2' and loss='epsilon_insensitive' is not "
                "supported when dual=False"
            )
        table = to_ranks(X, np.asarray(y, np.float64), weights)
        self._run(table, False, self.loss, float(self.epsilon), 1, None)
        self.coef_ = self.coef_.ravel()
        return self


def _fit(
    comm: Communicator,
    X: Any,
    y: np.ndarray,
    weights: np.ndarray,
    l1: bool,
    loss: str,
    epsilon: float | None,
    scaling: float | None,
    C: float,
    tol: float,
    max_iter: int,
    seed: int,
    classes: int,
    of_class: np.ndarray | None,
) -> list[Minimum]:
    """For each class against the others (for two classes, the second one), or of a regression: [columns (+ 1)]."""
    made = []
    for k in [1] if classes <= 2 else range(classes):
        own, target = weights, y
        if epsilon is None:
            target = np.where(y == k, 1.0, -1.0)
            others = of_class[1 - k] if classes == 2 else 1.0  # as LIBLINEAR has it
            own = weights * np.where(y == k, of_class[k], others)
        if loss in ("hinge", "epsilon_insensitive"):
            bias = scaling or 0.0
            options = {"bias": bias, "epsilon": epsilon, "tol": 0.1 * tol, "max_iter": max_iter, "seed": seed}
            found = dual_descent(comm, X, target, C * own, **options)
            w = np.append(found.w[:-1], bias * found.w[-1]) if scaling else found.w[:-1]
            made.append(found._replace(w=w))
        else:
            made.append(_primal(comm, X, target, own, l1, epsilon, scaling, C, tol, max_iter))
    return made


def _primal(
    comm: Communicator,
    X: Any,
    y: np.ndarray,
    weights: np.ndarray,
    l1: bool,
    epsilon: float | None,
    scaling: float | None,
    C: float,
    tol: float,
    max_iter: int,
) -> Minimum:
    """The squared losses. The objective is divided by C and the sum of weights."""
    total, positive = comm.allreduce(np.array([weights.sum(), weights[y > 0].sum()]))
    strength = 1.0 / (C * total)
    loss = SQUARED_HINGE if epsilon is None else SQUARED_EPSILON
    settings = {"intercept": scaling is not None, "scale": 1.0 / total, "parameter": epsilon or 0.0}
    if not l1:
        settings |= {"l2": strength, "l2_intercept": strength / (scaling or 1.0) ** 2}
    objective = OneMargin(comm, X, y, weights, loss, **settings)
    start = np.zeros(X.shape[1] + (scaling is not None))
    tol *= TIGHTER * float(np.max(np.abs(objective(start)[1]), initial=0))
    if epsilon is None:
        tol *= max(min(positive, total - positive), 1) / total
    if not l1:
        return newton(objective, start, tol, max_iter)
    norm = np.full(start.shape, strength)
    if scaling is not None:
        norm[-1] /= scaling
    return owlqn(objective, start, norm, tol, max_iter, objective.diagonal())
