"""Decision trees on the ranks, with scikit-learn's names (L. Breiman et al.: Classification and Regression Trees,
1984).

Features go into at most 255 bins first. A feature with no more distinct values loses nothing by that: the tree is
scikit-learn's, but for which of equally good splits is taken. One with more values has thresholds at quantiles only.
"""

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from frovedis_lite.mllib.base import ByProbability, Estimator, to_ranks, where_they_are
from frovedis_lite.mllib.trees import settings
from frovedis_lite.mllib.trees.fit import Plan, fit_trees, single
from frovedis_lite.mllib.trees.tree import Tree

MOST_SEED = np.iinfo(np.int32).max


class _DecisionTree(Estimator):
    """What the two have in common.

    Args:
        max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, max_features, max_leaf_nodes,
            min_impurity_decrease, ccp_alpha: when not to split, as in scikit-learn.
        splitter: "best".
        random_state: of the order in which features are looked at: the first of equally good splits is taken.
        max_bins: of a feature, 2 to 255.

    Attributes:
        tree_: flat arrays with scikit-learn's names.
        n_features_in_, n_outputs_, max_features_.
    """

    tree_: Tree

    def get_depth(self) -> int:
        """The number of splits on the longest way to a leaf."""
        check_is_fitted(self)
        return self.tree_.max_depth

    def get_n_leaves(self) -> int:
        """How many leaves there are."""
        check_is_fitted(self)
        return self.tree_.n_leaves

    @property
    def feature_importances_(self) -> np.ndarray:
        """[columns], each feature's part in the decrease of impurity; their sum is 1."""
        check_is_fitted(self)
        return self.tree_.compute_feature_importances()

    def apply(self, X: Any) -> np.ndarray:
        """The number of each row's leaf: [rows] int64."""
        return self._of_rows(X, _apply)

    def decision_path(self, X: Any) -> sparse.csr_matrix:
        """Which nodes each row passes: CSR [rows, nodes] of ones."""
        return self._of_rows(X, _decision_path)

    def cost_complexity(self) -> float:
        """The impurity of the leaves, weighted: what minimal cost-complexity pruning weighs against their number."""
        check_is_fitted(self)
        tree = self.tree_
        leaves = tree.children_left < 0
        weights = tree.weighted_n_node_samples[leaves] / tree.weighted_n_node_samples[0]
        return float((weights * tree.impurity[leaves]).sum())

    def _of_rows(self, X: Any, function: Any) -> Any:
        check_is_fitted(self)
        return where_they_are(settings.checked_new_rows(self, X), function, self.tree_)

    def _grow(self, X: Any, y: np.ndarray, weights: np.ndarray | None, classes: int) -> Self:
        rows, columns = X.shape
        self.n_outputs_ = 1
        rules = settings.rules_of(self, rows, columns)
        seed = check_random_state(self.random_state).randint(MOST_SEED)
        entropy = self.criterion in ("entropy", "log_loss")
        limits = self.max_leaf_nodes, self.ccp_alpha, self.max_bins
        plan = Plan(np.array([seed]), rules, classes, entropy, *limits)
        table = to_ranks(X, y, weights)
        made = table.session.run(fit_trees, table.X, table.y, table.weights, plan)
        (self.tree_,) = made.trees
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


def _apply(comm: Any, X: Any, tree: Tree) -> np.ndarray:
    return tree.apply(single(X))


def _decision_path(comm: Any, X: Any, tree: Tree) -> sparse.csr_matrix:
    return tree.decision_path(single(X))


def _predict(comm: Any, X: Any, tree: Tree) -> np.ndarray:
    return tree.predict(single(X))


class DecisionTreeClassifier(ByProbability, _DecisionTree):
    """A tree that tells classes apart, as `sklearn.tree.DecisionTreeClassifier`.

    Args:
        criterion: "gini", "entropy" or "log_loss".
        class_weight: class -> weight, "balanced", or None for ones.
        others: as in `_DecisionTree`.

    Attributes:
        classes_: [classes]; n_classes_.

    Raises (fit):
        NotImplementedError: splitter="random" or monotonic_cst.
        ValueError: y of several columns, and what scikit-learn rejects.
    """

    _parameter_constraints = {  # noqa: RUF012
        **settings.CONSTRAINTS,
        "criterion": [StrOptions({"gini", "entropy", "log_loss"})],
        "splitter": [StrOptions({"best", "random"})],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "monotonic_cst": ["array-like", None],
    }

    def __init__(
        self,
        *,
        criterion: str = "gini",
        splitter: str = "best",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = None,
        random_state: Any = None,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        class_weight: Any = None,
        ccp_alpha: float = 0.0,
        monotonic_cst: Any = None,
        max_bins: int = 255,
    ) -> None:
        self.criterion = criterion
        self.splitter = splitter
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.class_weight = class_weight
        self.ccp_alpha = ccp_alpha
        self.monotonic_cst = monotonic_cst
        self.max_bins = max_bins

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the tree from X [rows, columns], classes y [rows] and weights [rows]."""
        self._validate_params()
        settings.refuse(self)
        X, y = settings.checked_rows(self, X, y)
        y, self.classes_, codes, weights = settings.checked_classes(y, sample_weight)
        self.n_classes_ = len(self.classes_)
        if self.class_weight is not None:
            of_classes = compute_sample_weight(self.class_weight, y)
            weights = of_classes if weights is None else weights * of_classes
        return self._grow(X, codes.astype(np.int32), weights, self.n_classes_)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The shares of the classes in each row's leaf: [rows, classes]."""
        return self._of_rows(X, _predict)


class DecisionTreeRegressor(RegressorMixin, _DecisionTree):
    """A tree with a mean value in each leaf, as `sklearn.tree.DecisionTreeRegressor`.

    Args:
        criterion: "squared_error"; "absolute_error" and "poisson" are not supported.
        others: as in `_DecisionTree`.

    Raises (fit):
        NotImplementedError: another criterion, splitter="random" or monotonic_cst.
        ValueError: y of several columns, and what scikit-learn rejects.
    """

    _parameter_constraints = {  # noqa: RUF012
        **settings.CONSTRAINTS,
        "criterion": [StrOptions({"squared_error", "absolute_error", "poisson"})],
        "splitter": [StrOptions({"best", "random"})],
        "monotonic_cst": ["array-like", None],
    }

    def __init__(
        self,
        *,
        criterion: str = "squared_error",
        splitter: str = "best",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = None,
        random_state: Any = None,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        ccp_alpha: float = 0.0,
        monotonic_cst: Any = None,
        max_bins: int = 255,
    ) -> None:
        self.criterion = criterion
        self.splitter = splitter
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.ccp_alpha = ccp_alpha
        self.monotonic_cst = monotonic_cst
        self.max_bins = max_bins

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the tree from X [rows, columns], values y [rows] and weights [rows]."""
        self._validate_params()
        settings.refuse(self)
        X, y = settings.checked_rows(self, X, y)
        y = settings.checked_values(y)
        return self._grow(X, y, settings.checked_weights(sample_weight, X.shape[0]), 0)

    def predict(self, X: Any) -> np.ndarray:
        """The mean of each row's leaf: [rows]."""
        return self._of_rows(X, _predict)[:, 0]
