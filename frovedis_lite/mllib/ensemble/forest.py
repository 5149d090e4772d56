"""Random forests on the ranks (L. Breiman: Random Forests, Machine Learning 45, 2001).

All trees grow together over one matrix of bins, level by level. A forest does not depend on the number of ranks nor on
the order of the rows (`trees/fit.py`).
"""

import warnings
from numbers import Integral
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import check_is_fitted

from frovedis_lite.mllib.base import ByProbability, Estimator, to_ranks, where_they_are
from frovedis_lite.mllib.tree import MOST_SEED, DecisionTreeClassifier, DecisionTreeRegressor
from frovedis_lite.mllib.trees import settings
from frovedis_lite.mllib.trees.fit import Plan, fit_trees, single
from frovedis_lite.mllib.trees.tree import Tree, add_up, apply

CONSTRAINTS = {
    **settings.CONSTRAINTS,
    "n_estimators": [Interval(Integral, 1, None, closed="left")],
    "bootstrap": ["boolean"],
    "oob_score": ["boolean", callable],
    "n_jobs": [Integral, None],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "monotonic_cst": ["array-like", None],
    "max_samples": [
        None,
        Interval(RealNotInt, 0.0, None, closed="neither"),
        Interval(Integral, 1, None, closed="left"),
    ],
}


class _Forest(Estimator):
    """What the two have in common.

    Args:
        n_estimators: trees.
        max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, max_features, max_leaf_nodes,
            min_impurity_decrease, ccp_alpha: when not to split, as in scikit-learn.
        bootstrap: each tree sees rows drawn with replacement.
        max_samples: how many rows are drawn: a number, or relative to the sum of the weights. None: as many as there
            are; weights that are whole numbers (16 on the average at most) count as numbers of equal rows here.
        oob_score: also score the rows by the trees that did not see them, by accuracy or R2, or by a function of the
            true and the predicted y.
        n_jobs: taken, and without effect: all threads of all ranks work.
        warm_start: a further fit adds trees to those there are.
        max_bins: of a feature, 2 to 255.

    Attributes:
        trees_: the trees, flat arrays with scikit-learn's names.
        oob_score_: where asked for.
        n_features_in_, n_outputs_, max_features_.
    """

    trees_: list[Tree]

    @property
    def estimators_(self) -> list[Any]:
        """The trees, each a fitted decision tree of this package."""
        check_is_fitted(self)
        return [self._as_estimator(tree, int(seed)) for tree, seed in zip(self.trees_, self._seeds_, strict=True)]

    def __len__(self) -> int:
        return len(self.trees_)

    @property
    def feature_importances_(self) -> np.ndarray:
        """[columns], each feature's part in the decrease of impurity, the mean of the trees; their sum is 1."""
        check_is_fitted(self)
        of_trees = [tree.compute_feature_importances() for tree in self.trees_ if tree.node_count > 1]
        if not of_trees:
            return np.zeros(self.n_features_in_)
        mean = np.mean(of_trees, axis=0)
        return mean / mean.sum()

    def apply(self, X: Any) -> np.ndarray:
        """The number of each row's leaf in each tree: [rows, trees] int64."""
        return self._of_rows(X, _apply)

    def decision_path(self, X: Any) -> tuple[sparse.csr_matrix, np.ndarray]:
        """Which nodes each row passes: CSR [rows, nodes of all trees]; where each tree's nodes begin, [trees + 1]."""
        check_is_fitted(self)
        nodes = np.cumsum([0, *(tree.node_count for tree in self.trees_)])
        return self._of_rows(X, _decision_path), nodes

    def _of_rows(self, X: Any, function: Any) -> Any:
        check_is_fitted(self)
        return where_they_are(settings.checked_new_rows(self, X), function, self.trees_)

    def _as_estimator(self, tree: Tree, seed: int) -> Any:
        kind = DecisionTreeClassifier if hasattr(self, "classes_") else DecisionTreeRegressor
        names = kind._parameter_constraints.keys() & self._parameter_constraints.keys() - {"class_weight"}
        made = kind(**{name: getattr(self, name) for name in names} | {"random_state": seed})
        made.tree_, made.n_features_in_, made.n_outputs_ = tree, self.n_features_in_, 1
        made.max_features_ = self.max_features_
        if hasattr(self, "classes_"):
            made.classes_, made.n_classes_ = np.arange(self.n_classes_), self.n_classes_
        return made

    def _grow(
        self, X: Any, y: np.ndarray, weights: np.ndarray | None, classes: int
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Add trees.

        Returns:
            Sums of what trees say of rows that they did not see, and how many do; None if that is not asked for.
        """
        if not self.bootstrap and self.max_samples is not None:
            raise ValueError(
                "`max_sample` cannot be set if `bootstrap=False`. Either switch to `bootstrap=True` or set "
                "`max_sample=None`."
            )
        if not self.bootstrap and self.oob_score:
            raise ValueError("Out of bag estimation only available if bootstrap=True")
        if not (self.warm_start and hasattr(self, "trees_")):
            self.trees_, self._seeds_ = [], np.empty(0, np.int64)
        more = self.n_estimators - len(self.trees_)
        if more < 0:
            raise ValueError(
                f"n_estimators={self.n_estimators} must be larger or equal to len(estimators_)={len(self.trees_)} when "
                "warm_start==True"
            )
        if more == 0:
            warnings.warn("Warm-start fitting without increasing n_estimators does not fit new trees.", stacklevel=3)
            return None
        self.n_outputs_ = 1
        rules = settings.rules_of(self, *X.shape)
        seeds = check_random_state(self.random_state).randint(MOST_SEED, size=self.n_estimators)
        entropy = self.criterion in ("entropy", "log_loss")
        draws = (self.max_samples if self.max_samples is None else _plain(self.max_samples)) if self.bootstrap else 0
        plan = Plan(
            seeds[len(self.trees_) :],
            rules,
            classes,
            entropy,
            self.max_leaf_nodes,
            self.ccp_alpha,
            self.max_bins,
            draws,
            self.bootstrap and getattr(self, "class_weight", None) == "balanced_subsample",
            bool(self.oob_score),
        )
        table = to_ranks(X, y, weights)
        made = table.session.run(fit_trees, table.X, table.y, table.weights, plan)
        self.trees_ = [*self.trees_, *made.trees]
        self._seeds_ = seeds
        if made.votes is None:
            return None
        if not made.votes.all():
            warnings.warn(
                "Some inputs do not have OOB scores. This probably means too few trees were used to compute any "
                "reliable OOB estimates.",
                stacklevel=3,
            )
        return made.sums / np.maximum(made.votes, 1)[:, None]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


def _plain(number: Any) -> int | float:
    return int(number) if isinstance(number, Integral) else float(number)


def _apply(comm: Any, X: Any, trees: list[Tree]) -> np.ndarray:
    return apply(trees, single(X)).astype(np.int64)


def _decision_path(comm: Any, X: Any, trees: list[Tree]) -> sparse.csr_matrix:
    X = single(X)
    return sparse.hstack([tree.decision_path(X) for tree in trees], format="csr")


def _mean(comm: Any, X: Any, trees: list[Tree]) -> np.ndarray:
    values = np.concatenate([tree.value[:, 0] for tree in trees])
    made = np.zeros((X.shape[0], values.shape[1]))
    add_up(trees, single(X), values, made)
    return made / len(trees)


class RandomForestClassifier(ByProbability, _Forest):
    """A forest that tells classes apart, as `sklearn.ensemble.RandomForestClassifier`.

    Args:
        criterion: "gini", "entropy" or "log_loss".
        class_weight: class -> weight, "balanced", "balanced_subsample" or None; it makes rows more likely to be drawn.
        others: as in `_Forest`.

    Attributes:
        classes_: [classes]; n_classes_.
        oob_decision_function_: [rows, classes].

    Raises (fit):
        NotImplementedError: monotonic_cst.
        ValueError: y of several columns, and what scikit-learn rejects.
    """

    _parameter_constraints = {  # noqa: RUF012
        **CONSTRAINTS,
        "criterion": [StrOptions({"gini", "entropy", "log_loss"})],
        "class_weight": [dict, StrOptions({"balanced", "balanced_subsample"}), None],
    }

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = "sqrt",
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = True,
        oob_score: Any = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        warm_start: bool = False,
        class_weight: Any = None,
        ccp_alpha: float = 0.0,
        max_samples: int | float | None = None,
        monotonic_cst: Any = None,
        max_bins: int = 255,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.class_weight = class_weight
        self.ccp_alpha = ccp_alpha
        self.max_samples = max_samples
        self.monotonic_cst = monotonic_cst
        self.max_bins = max_bins

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the trees from X [rows, columns], classes y [rows] and weights [rows]."""
        self._validate_params()
        settings.refuse(self)
        X, y = settings.checked_rows(self, X, y)
        y, classes, codes, weights = settings.checked_classes(y, sample_weight)
        of_classes = self._class_weights(y, codes, len(classes), weights)
        if of_classes is not None:
            weights = of_classes if weights is None else weights * of_classes
        self.classes_, self.n_classes_ = classes, len(classes)
        unseen = self._grow(X, codes.astype(np.int32), weights, self.n_classes_)
        if unseen is not None:
            self.oob_decision_function_ = unseen
            score = self.oob_score if callable(self.oob_score) else accuracy_score
            self.oob_score_ = score(y, self.classes_[np.argmax(unseen, axis=1)])
        return self

    def _class_weights(self, y: np.ndarray, codes: np.ndarray, classes: int, weights: Any) -> np.ndarray | None:
        if self.class_weight is None or (self.class_weight == "balanced_subsample" and self.bootstrap):
            return None
        if isinstance(self.class_weight, dict):
            return compute_sample_weight(self.class_weight, y)
        sums = np.bincount(codes, weights, classes)
        return (sums.sum() / (classes * np.where(sums > 0, sums, 1)))[codes]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The mean of the trees' shares of classes: [rows, classes]."""
        return self._of_rows(X, _mean)


class RandomForestRegressor(RegressorMixin, _Forest):
    """A forest whose trees' values are averaged, as `sklearn.ensemble.RandomForestRegressor`.

    Args:
        criterion: "squared_error"; "absolute_error" and "poisson" are not supported.
        others: as in `_Forest`.

    Attributes:
        oob_prediction_: [rows].

    Raises (fit):
        NotImplementedError: another criterion, or monotonic_cst.
        ValueError: y of several columns, and what scikit-learn rejects.
    """

    _parameter_constraints = {  # noqa: RUF012
        **CONSTRAINTS,
        "criterion": [StrOptions({"squared_error", "absolute_error", "poisson"})],
    }

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "squared_error",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = 1.0,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = True,
        oob_score: Any = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        warm_start: bool = False,
        ccp_alpha: float = 0.0,
        max_samples: int | float | None = None,
        monotonic_cst: Any = None,
        max_bins: int = 255,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.ccp_alpha = ccp_alpha
        self.max_samples = max_samples
        self.monotonic_cst = monotonic_cst
        self.max_bins = max_bins

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the trees from X [rows, columns], values y [rows] and weights [rows]."""
        self._validate_params()
        settings.refuse(self)
        X, y = settings.checked_rows(self, X, y)
        y = settings.checked_values(y)
        unseen = self._grow(X, y, settings.checked_weights(sample_weight, X.shape[0]), 0)
        if unseen is not None:
            self.oob_prediction_ = unseen[:, 0]
            score = self.oob_score if callable(self.oob_score) else r2_score
            self.oob_score_ = score(y, self.oob_prediction_)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The mean of the trees' values: [rows]."""
        return self._of_rows(X, _mean)[:, 0]
