"""Gradient boosting on the ranks, with scikit-learn's names (J. Friedman: Greedy Function Approximation, Annals of
Statistics 29, 2001). Features are put into at most 255 bins, once."""

import warnings
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Hidden, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from frovedis_lite.mllib.base import Estimator, beside, is_distributed, to_ranks, where_they_are
from frovedis_lite.mllib.tree import MOST_SEED, DecisionTreeRegressor
from frovedis_lite.mllib.trees import settings
from frovedis_lite.mllib.trees.boost import BoostPlan, boost
from frovedis_lite.mllib.trees.fit import Plan, single
from frovedis_lite.mllib.trees.losses import loss_of
from frovedis_lite.mllib.trees.tree import Tree, add_up, apply

CONSTRAINTS = {
    **settings.CONSTRAINTS,
    "learning_rate": [Interval(Real, 0.0, None, closed="left")],
    "n_estimators": [Interval(Integral, 1, None, closed="left")],
    "criterion": [StrOptions({"squared_error"}), Hidden(StrOptions({"deprecated", "friedman_mse"}))],
    "subsample": [Interval(Real, 0.0, 1.0, closed="right")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "validation_fraction": [Interval(Real, 0.0, 1.0, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
    "tol": [Interval(Real, 0.0, None, closed="left")],
}


class _GradientBoosting(Estimator):
    """What the two have in common.

    Args:
        learning_rate, n_estimators: the step along each tree, and how many stages there are.
        subsample: the part of the rows that each stage sees.
        min_samples_split, min_samples_leaf, min_weight_fraction_leaf, max_depth, min_impurity_decrease, max_features,
            max_leaf_nodes, ccp_alpha: when not to split, as in scikit-learn.
        init: None for the best constant, "zero", or an estimator to begin with.
        n_iter_no_change, validation_fraction, tol: end when so many stages have not made the loss of this part of the
            rows, held out, smaller by `tol`.
        warm_start: a further fit adds stages to those there are.
        criterion, verbose: taken, and without effect.
        max_bins: of a feature, 2 to 255.

    Attributes:
        trees_: flat arrays, stage by stage, a tree for each output.
        train_score_: [stages], the loss of the rows that a stage has seen.
        oob_improvement_, oob_scores_: [stages], of the others, and oob_score_; with a subsample only.
        n_estimators_, n_trees_per_iteration_, n_features_in_, max_features_.
    """

    trees_: list[Tree]

    @property
    def estimators_(self) -> np.ndarray:
        """The trees as fitted regressors of this package: [stages, outputs] of object."""
        check_is_fitted(self)
        made = np.empty(len(self.trees_), object)
        for i, tree in enumerate(self.trees_):
            made[i] = DecisionTreeRegressor(max_depth=self.max_depth)
            made[i].tree_, made[i].n_features_in_ = tree, self.n_features_in_
            made[i].n_outputs_, made[i].max_features_ = 1, self.max_features_
        return made.reshape(-1, self.n_trees_per_iteration_)

    @property
    def feature_importances_(self) -> np.ndarray:
        """[columns], each feature's part in the decrease of impurity; their sum is 1."""
        check_is_fitted(self)
        of_trees = [tree.compute_feature_importances(normalize=False) for tree in self.trees_ if tree.node_count > 1]
        if not of_trees:
            return np.zeros(self.n_features_in_)
        mean = np.mean(of_trees, axis=0)
        return mean / mean.sum()

    def _boost(self, X: Any, y: np.ndarray, weights: np.ndarray | None, classes: int) -> Self:
        if self.criterion != "deprecated":
            warnings.warn(
                "The parameter `criterion` is deprecated and will be removed in 1.11. It has no effect. Leave it to "
                "its default value to avoid this warning.",
                FutureWarning,
                stacklevel=3,
            )
        loss = loss_of(self.loss, classes, getattr(self, "alpha", 0.9))
        if not self.warm_start:
            for name in ("trees_", "init_", "oob_scores_", "oob_improvement_", "oob_score_"):
                vars(self).pop(name, None)
        old = list(getattr(self, "trees_", []))
        done = len(old) // loss.outputs
        if self.n_estimators < done:
            raise ValueError(
                f"n_estimators={self.n_estimators} must be larger or equal to estimators_.shape[0]={done} when "
                "warm_start==True"
            )
        held_out = None if self.n_iter_no_change is None else self._held_out(y, classes)
        offsets = self._first_model(X, y, weights, held_out, loss)
        seeds = check_random_state(self.random_state).randint(MOST_SEED, size=self.n_estimators)
        rows = X.shape[0] if held_out is None else int((~held_out).sum())
        rules = settings.rules_of(self, rows, X.shape[1])
        limits = self.max_leaf_nodes, self.ccp_alpha, self.max_bins
        plan = Plan(seeds[done:], rules, classes, False, *limits)
        start = self._start_ if old else np.zeros(loss.outputs) if self.init is not None else None
        steps = float(self.learning_rate), float(self.subsample)
        todo = BoostPlan(plan, self.loss, *steps, start, old, self.n_iter_no_change, self.tol)
        todo.alpha = getattr(self, "alpha", 0.9)
        table = to_ranks(X, y, weights)
        more = beside(table, held_out), beside(table, offsets)
        made = table.session.run(boost, table.X, table.y, table.weights, *more, todo)
        self.trees_, self._start_ = [*old, *made.trees], made.start
        self.train_score_ = np.concatenate([getattr(self, "train_score_", np.empty(0))[:done], made.scores])
        self.n_trees_per_iteration_, self.n_estimators_ = loss.outputs, len(self.trees_) // loss.outputs
        if self.subsample < 1 and made.scores:
            scores = np.array(made.unseen_scores)
            before = getattr(self, "oob_scores_", np.empty(0))[:done]
            gained = getattr(self, "oob_improvement_", np.empty(0))[:done]
            self.oob_scores_ = np.concatenate([before, scores[1:]])
            self.oob_improvement_ = np.concatenate([gained, scores[:-1] - scores[1:]])
            self.oob_score_ = float(self.oob_scores_[-1])
        return self

    def _held_out(self, y: np.ndarray, classes: int) -> np.ndarray:
        stratify = y if classes else None
        split = {"random_state": self.random_state, "test_size": self.validation_fraction, "stratify": stratify}
        learn, held = train_test_split(np.arange(len(y)), **split)
        if classes and len(np.unique(y[learn])) < classes:
            raise ValueError(
                "The training data after the early stopping split is missing some classes. Try using another random "
                "seed."
            )
        made = np.zeros(len(y), bool)
        made[held] = True
        return made

    def _first_model(self, X: Any, y: np.ndarray, weights: Any, held_out: Any, loss: Any) -> np.ndarray | None:
        """Fit `init` where it is an estimator: its raw predictions, [rows, outputs]."""
        if self.init is None or isinstance(self.init, str):
            return None
        if is_distributed(X):
            raise NotImplementedError("init=estimator needs the rows here: use init=None or init='zero'")
        if not hasattr(self, "init_"):
            learn = slice(None) if held_out is None else ~held_out
            model = clone(self.init)
            try:
                if weights is None:
                    model.fit(X[learn], y[learn])
                else:
                    model.fit(X[learn], y[learn], sample_weight=weights[learn])
            except TypeError as error:
                if "unexpected keyword argument 'sample_weight'" not in str(error):
                    raise
                raise ValueError(
                    f"The initial estimator {type(model).__name__} does not support sample weights."
                ) from error
            self.init_ = model
        return self._raw_of_init(X, loss)

    def _raw_of_init(self, X: Any, loss: Any) -> np.ndarray:
        if not hasattr(self, "classes_"):
            return np.asarray(self.init_.predict(X), np.float64).reshape(-1, 1)
        return np.stack([loss.constant(row) for row in self.init_.predict_proba(X)])

    def _raw(self, X: Any, count: int | None = None) -> np.ndarray:
        """Raw predictions after so many stages, or all: [rows, outputs]."""
        check_is_fitted(self)
        X = settings.checked_new_rows(self, X, missing=False)
        trees = self.trees_[: None if count is None else count * self.n_trees_per_iteration_]
        model = trees, self._start_, float(self.learning_rate)
        made = where_they_are(X, _raw_of_rows, *model)
        return made + self._raw_of_init(X, self._loss()) if hasattr(self, "init_") else made

    def _staged_raw(self, X: Any) -> Iterator[np.ndarray]:
        check_is_fitted(self)
        X = settings.checked_new_rows(self, X, missing=False)
        raw = self._raw(X, 0)
        for stage in range(self.n_estimators_):
            part = self.trees_[stage * self.n_trees_per_iteration_ : (stage + 1) * self.n_trees_per_iteration_]
            model = part, np.zeros(self.n_trees_per_iteration_), float(self.learning_rate)
            raw = raw + where_they_are(X, _raw_of_rows, *model)
            yield raw

    def _loss(self) -> Any:
        return loss_of(self.loss, getattr(self, "n_classes_", 0))

    def _leaves(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = settings.checked_new_rows(self, X, missing=False)
        made = where_they_are(X, _apply, self.trees_)
        return made.reshape(len(made), -1, self.n_trees_per_iteration_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _raw_of_rows(comm: Any, X: Any, trees: list[Tree], start: np.ndarray, rate: float) -> np.ndarray:
    raw = np.tile(np.asarray(start, np.float64), (X.shape[0], 1))
    if trees:
        add_up(trees, single(X), rate * np.concatenate([tree.value[:, 0, 0] for tree in trees]), raw, len(start))
    return raw


def _apply(comm: Any, X: Any, trees: list[Tree]) -> np.ndarray:
    return apply(trees, single(X)).astype(np.float64)
