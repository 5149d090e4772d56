"""Naive Bayes: classes told apart by what each feature says for itself (Manning, Raghavan and Schuetze, "Introduction
to Information Retrieval", 2008, chapter 13). Every fit is one or two passes over the rows, and sums over the ranks.
"""

import warnings
from abc import abstractmethod
from numbers import Real
from typing import Any, Self

import numpy as np
from scipy import sparse
from scipy.special import logsumexp
from sklearn.utils._param_validation import Interval
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, check_non_negative

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.mllib.base import ByProbability, Estimator, Table, is_distributed, of_rows, to_ranks, validated
from frovedis_lite.mllib.moments import column_moments, merge_moments


class _NaiveBayes(ByProbability, Estimator):
    """What the three have in common: rows by class, and probabilities from the joint log likelihood."""

    _sparse = "csr"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X [rows, columns], classes y [rows] and weights [rows]."""
        self.release()
        return self._fit(X, y, np.unique(_labels(y)), sample_weight)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn from more rows. The first call names all `classes`.

        Raises:
            ValueError: the first call does not, or a later one names others, or y has a class that is none of them.
        """
        return self._fit(X, y, classes, sample_weight)

    def _fit(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> Self:
        self._validate_params()
        first = _check_partial_fit_first_call(self, classes)
        X, y = validated(self, X, y, reset=first, accept_sparse=self._sparse)
        y = _labels(y)
        strange = ~np.isin(y, self.classes_)
        if strange.any():
            raise ValueError(
                f"The target label(s) {np.unique(y[strange])} in y do not exist in the initial classes {self.classes_}"
            )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, np.empty((X.shape[0], 0)))
        self._check_rows(X)
        self._learn(to_ranks(X, np.searchsorted(self.classes_, y), sample_weight), first)
        return self

    def _check_rows(self, X: Any) -> None:
        """Raises ValueError for numbers that the model has no meaning for."""

    @abstractmethod
    def _learn(self, table: Table, first: bool) -> None:
        """Take in rows whose y are numbers of classes."""

    @abstractmethod
    def _model(self) -> tuple:
        """A function of a communicator, rows and more arguments that gives the joint log likelihood; the arguments."""

    def predict_joint_log_proba(self, X: Any) -> np.ndarray:
        """log P(x, class), [rows, classes]."""
        check_is_fitted(self)
        X = validated(self, X, reset=False, accept_sparse=self._sparse)
        self._check_rows(X)
        function, *arguments = self._model()
        return of_rows(to_ranks(X), function, *arguments)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """log P(class | x), [rows, classes]."""
        joint = self.predict_joint_log_proba(X)
        return joint - logsumexp(joint, axis=1, keepdims=True)

    def predict_proba(self, X: Any) -> np.ndarray:
        """P(class | x), [rows, classes]."""
        return np.exp(self.predict_log_proba(X))

    def _likelihoods(self, X: Any) -> np.ndarray:
        return self.predict_joint_log_proba(X)


class GaussianNB(_NaiveBayes):
    """A normal distribution per class and feature, as `sklearn.naive_bayes.GaussianNB`.

    Args:
        priors: [classes], with the sum 1; None: how often each class is seen.
        var_smoothing: this part of the largest variance of a feature is added to all variances.

    Attributes:
        classes_, class_count_, class_prior_: [classes].
        theta_, var_: [classes, columns] float64, mean and variance.
        epsilon_: what was added to the variances.

    Probabilities are of the dtype of X.
    """

    _sparse = False
    _parameter_constraints = {  # noqa: RUF012
        "priors": ["array-like", None],
        "var_smoothing": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, priors: Any = None, var_smoothing: float = 1e-9) -> None:
        self.priors = priors
        self.var_smoothing = var_smoothing

    def _learn(self, table: Table, first: bool) -> None:
        classes = len(self.classes_)
        run = table.session.run
        made = run(_moments_of_classes, table.X, table.y, table.weights, classes)
        if not first:
            made = merge_moments((self.class_count_[:, None], self.theta_, self.var_ - self.epsilon_), made)
        counts, self.theta_, variance = made
        self.epsilon_ = self.var_smoothing * run(column_moments, table.X)[2].max()
        self.var_ = variance + self.epsilon_
        self.class_count_ = counts[:, 0]
        if self.priors is None:
            self.class_prior_ = self.class_count_ / self.class_count_.sum()
            return
        self.class_prior_ = priors = np.asarray(self.priors, dtype=np.float64)
        if len(priors) != classes:
            raise ValueError("Number of priors must match number of classes.")
        if not np.isclose(priors.sum(), 1.0):
            raise ValueError("The sum of the priors should be 1.")
        if (priors < 0).any():
            raise ValueError("Priors must be non-negative.")

    def _model(self) -> tuple:
        with np.errstate(divide="ignore"):
            return _gaussian, np.log(self.class_prior_), self.theta_, self.var_


class _DiscreteNB(_NaiveBayes):
    """Counts of features per class, smoothed (Lidstone)."""

    def _learn(self, table: Table, first: bool) -> None:
        counts = table.session.run(
            _counts_of_classes, table.X, table.y, table.weights, len(self.classes_), getattr(self, "binarize", None)
        )
        class_count, feature_count = counts[:, 0], counts[:, 1:]
        self.class_count_ = class_count if first else self.class_count_ + class_count
        self.feature_count_ = feature_count if first else self.feature_count_ + feature_count
        self.feature_log_prob_ = self._log_probabilities(self._alpha())
        self.class_log_prior_ = self._log_prior()

    @abstractmethod
    def _log_probabilities(self, alpha: Any) -> np.ndarray:
        """log P(feature | class), [classes, columns]."""

    def _alpha(self) -> Any:
        alpha = self.alpha
        if not isinstance(alpha, Real):
            alpha = np.asarray(alpha, dtype=np.float64)
            if alpha.shape != (self.n_features_in_,):
                raise ValueError(
                    "When alpha is an array, it should contains `n_features`. "
                    f"Got {alpha.shape[0]} elements instead of {self.n_features_in_}."
                )
        least = np.min(alpha)
        if least < 0:
            raise ValueError("All values in alpha must be greater than 0.")
        if least < 1e-10 and not self.force_alpha:
            warnings.warn(
                "alpha too small will result in numeric errors, setting alpha = 1.0e-10. "
                "Use `force_alpha=True` to keep alpha unchanged.",
                stacklevel=2,
            )
            return np.maximum(alpha, 1e-10)
        return alpha

    def _log_prior(self) -> np.ndarray:
        classes = len(self.classes_)
        if self.class_prior is not None:
            if len(self.class_prior) != classes:
                raise ValueError("Number of priors must match number of classes.")
            return np.log(self.class_prior)
        if not self.fit_prior:
            return np.full(classes, -np.log(classes))
        with np.errstate(divide="ignore"):  # a class that is not seen yet
            return np.log(self.class_count_) - np.log(self.class_count_.sum())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.poor_score = True
        return tags


_DISCRETE = {
    "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
    "fit_prior": ["boolean"],
    "class_prior": ["array-like", None],
    "force_alpha": ["boolean"],
}


class MultinomialNB(_DiscreteNB):
    """Words drawn by class, as `sklearn.naive_bayes.MultinomialNB`.

    Args:
        alpha: added to every count; a number or [columns].
        force_alpha: False raises an alpha below 1e-10 to that.
        fit_prior: False: all classes are as likely.
        class_prior: [classes], instead of both.

    Attributes:
        classes_, class_count_, class_log_prior_: [classes].
        feature_count_, feature_log_prob_: [classes, columns] float64.
    """

    _parameter_constraints = _DISCRETE

    def __init__(
        self, *, alpha: Any = 1.0, force_alpha: bool = True, fit_prior: bool = True, class_prior: Any = None
    ) -> None:
        self.alpha = alpha
        self.force_alpha = force_alpha
        self.fit_prior = fit_prior
        self.class_prior = class_prior

    def _check_rows(self, X: Any) -> None:
        if not is_distributed(X):
            check_non_negative(X, "MultinomialNB (input X)")
        elif X.session.run(_least, X.parts) < 0:
            check_non_negative(np.array([[-1.0]]), "MultinomialNB (input X)")

    def _log_probabilities(self, alpha: Any) -> np.ndarray:
        counts = self.feature_count_ + alpha
        return np.log(counts) - np.log(counts.sum(axis=1, keepdims=True))

    def _model(self) -> tuple:
        return _multinomial, self.class_log_prior_, self.feature_log_prob_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags


class BernoulliNB(_DiscreteNB):
    """Features that are there or not, as `sklearn.naive_bayes.BernoulliNB`.

    Args:
        alpha, force_alpha, fit_prior, class_prior: as of `MultinomialNB`.
        binarize: what is above it is there; None: X has 0 and 1 alone.

    Attributes: as of `MultinomialNB`.
    """

    _parameter_constraints = _DISCRETE | {"binarize": [None, Interval(Real, 0, None, closed="left")]}

    def __init__(
        self,
        *,
        alpha: Any = 1.0,
        force_alpha: bool = True,
        binarize: float | None = 0.0,
        fit_prior: bool = True,
        class_prior: Any = None,
    ) -> None:
        self.alpha = alpha
        self.force_alpha = force_alpha
        self.binarize = binarize
        self.fit_prior = fit_prior
        self.class_prior = class_prior

    def _log_probabilities(self, alpha: Any) -> np.ndarray:
        return np.log(self.feature_count_ + alpha) - np.log(self.class_count_[:, None] + alpha * 2)

    def _model(self) -> tuple:
        return _bernoulli, self.class_log_prior_, self.feature_log_prob_, self.binarize


def _labels(y: Any) -> np.ndarray:
    check_classification_targets(y)
    return np.asarray(y)


def _least(comm: Communicator, X: Any) -> float:
    """The smallest element, or 0."""
    values = X.data if sparse.issparse(X) else X
    return comm.allreduce(float(values.min(initial=0)), "min")


def _moments_of_classes(
    comm: Communicator, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight [classes, 1], mean and variance [classes, columns] of the rows of each class."""
    made = []
    for number in range(classes):
        mine = y == number
        made.append(column_moments(comm, X[mine], None if weights is None else weights[mine]))
    count, mean, variance = (np.stack(each) for each in zip(*made, strict=True))
    return count[:, :1], mean, variance


def _counts_of_classes(
    comm: Communicator, X: Any, y: np.ndarray, weights: np.ndarray | None, classes: int, binarize: float | None
) -> np.ndarray:
    """[classes, 1 + columns] float64: weight, and weighted sums of the features, of each class."""
    rows = len(y)
    w = np.ones(rows) if weights is None else weights.astype(np.float64)
    member = sparse.csr_array((w, (y, np.arange(rows))), shape=(classes, rows))
    sums = member @ _binarized(X, binarize)
    if sparse.issparse(sums):
        sums = sums.toarray()
    counts = np.bincount(y, weights=w, minlength=classes)
    return comm.allreduce(np.column_stack([counts, sums]))


def _binarized(X: Any, threshold: float | None) -> Any:
    if threshold is None:
        return X
    if not sparse.issparse(X):
        return (threshold < X).astype(X.dtype)
    return sparse.csr_array(((X.data > threshold).astype(X.dtype), X.indices, X.indptr), shape=X.shape)


def _gaussian(
    comm: Communicator, X: np.ndarray, prior: np.ndarray, theta: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    joint = np.empty((len(X), len(prior)))
    for i in range(len(prior)):
        constant = prior[i] - 0.5 * np.sum(np.log(2.0 * np.pi * variance[i]))
        joint[:, i] = constant - 0.5 * np.sum((X - theta[i]) ** 2 / variance[i], axis=1)
    return joint.astype(X.dtype, copy=False)


def _multinomial(comm: Communicator, X: Any, prior: np.ndarray, log_probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(safe_sparse_dot(X, log_probabilities.T)) + prior


def _bernoulli(
    comm: Communicator, X: Any, prior: np.ndarray, log_probabilities: np.ndarray, binarize: float | None
) -> np.ndarray:
    """The sum over features of log p where one is there and log (1 - p) where it is not."""
    absent = np.log(1 - np.exp(log_probabilities))
    joint = np.asarray(safe_sparse_dot(_binarized(X, binarize), (log_probabilities - absent).T))
    return joint + prior + absent.sum(axis=1)
