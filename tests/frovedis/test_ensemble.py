"""Forests and boosting against scikit-learn's, and on several ranks."""

import contextlib
import io

import numpy as np
import pytest
from ranks import on_ranks
from sklearn import ensemble as reference
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_classification, make_regression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from frovedis_lite.mllib.trees import grow


@parametrize_with_checks(
    [
        RandomForestClassifier(n_estimators=3),
        RandomForestRegressor(n_estimators=3),
        GradientBoostingClassifier(n_estimators=3),
        GradientBoostingRegressor(n_estimators=10),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


def scores(data, kind, **parameters):
    a, b, c, d = train_test_split(*data(return_X_y=True), random_state=0)
    pair = [getattr(reference, kind.__name__), kind]
    return [made(random_state=0, **parameters).fit(a, c).score(b, d) for made in pair]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (load_breast_cancer, RandomForestClassifier),
        (load_digits, RandomForestClassifier),
        (load_diabetes, RandomForestRegressor),
        (load_breast_cancer, GradientBoostingClassifier),
        (load_diabetes, GradientBoostingRegressor),
    ],
)
def test_as_good_as_scikit_learn(data, kind):
    theirs, ours = scores(data, kind, n_estimators=40)
    assert ours > theirs - 0.03


@pytest.mark.parametrize("loss", ["log_loss", "exponential"])
def test_same_boosting_as_scikit_learn(loss):
    """No more than 255 values in a column: the same stages."""
    X, y = make_classification(250, 6, n_informative=4, n_redundant=0, flip_y=0.1, random_state=0)
    settings = {"loss": loss, "n_estimators": 8, "max_depth": 2, "random_state": 0}
    ours = GradientBoostingClassifier(**settings).fit(X, y)
    theirs = reference.GradientBoostingClassifier(**settings).fit(X, y)
    np.testing.assert_allclose(ours.train_score_, theirs.train_score_, rtol=1e-9)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-8)
    for mine, other in zip(ours.staged_predict(X), theirs.staged_predict(X), strict=True):
        np.testing.assert_array_equal(mine, other)
    np.testing.assert_array_equal(ours.apply(X), theirs.apply(X))


def test_same_boosting_of_several_classes():
    X, y = make_classification(250, 6, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
    weights = np.random.RandomState(0).rand(250)
    settings = {"n_estimators": 6, "max_depth": 2, "random_state": 0}
    ours = GradientBoostingClassifier(**settings).fit(X, y, weights)
    theirs = reference.GradientBoostingClassifier(**settings).fit(X, y, weights)
    np.testing.assert_allclose(ours.train_score_, theirs.train_score_, rtol=1e-8)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-7)


def test_same_boosted_regression():
    X, y = make_regression(250, 6, n_informative=4, noise=5, random_state=0)
    settings = {"n_estimators": 20, "random_state": 0}
    ours = GradientBoostingRegressor(**settings).fit(X, y)
    theirs = reference.GradientBoostingRegressor(**settings).fit(X, y)
    np.testing.assert_allclose(ours.train_score_, theirs.train_score_, rtol=1e-8)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-7)
    np.testing.assert_allclose(ours.feature_importances_, theirs.feature_importances_, rtol=1e-7)
    assert ours.estimators_.shape == theirs.estimators_.shape
    np.testing.assert_allclose(ours.estimators_[3, 0].predict(X), theirs.estimators_[3, 0].predict(X), rtol=1e-7)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile"])
@pytest.mark.parametrize("weighted", [False, True])
def test_robust_losses(loss, weighted):
    X, y = make_regression(250, 6, n_informative=4, noise=5, random_state=0)
    weights = np.random.RandomState(0).rand(250) if weighted else None
    settings = {"loss": loss, "n_estimators": 3, "max_depth": 2, "random_state": 0}
    ours = GradientBoostingRegressor(**settings).fit(X, y, weights)
    theirs = reference.GradientBoostingRegressor(**settings).fit(X, y, weights)
    np.testing.assert_allclose(ours.train_score_, theirs.train_score_, rtol=1e-9)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)


@pytest.mark.parametrize(
    ("kind", "first"),
    [(GradientBoostingRegressor, LinearRegression()), (GradientBoostingClassifier, LogisticRegression())],
)
def test_init(kind, first):
    X, y = make_classification(200, 5, random_state=0)
    for init in ("zero", first):
        ours = kind(n_estimators=5, max_depth=2, init=init, random_state=0).fit(X, y)
        theirs = getattr(reference, kind.__name__)(n_estimators=5, max_depth=2, init=init, random_state=0).fit(X, y)
        np.testing.assert_allclose(ours.train_score_, theirs.train_score_, rtol=1e-6)
        np.testing.assert_array_equal(np.round(ours.predict(X), 6), np.round(theirs.predict(X), 6))


def test_early_stopping_and_subsample():
    X, y = make_regression(600, 6, n_informative=4, noise=50, random_state=0)
    made = GradientBoostingRegressor(n_estimators=300, subsample=0.5, n_iter_no_change=4, random_state=0).fit(X, y)
    assert 4 < made.n_estimators_ < 300
    assert len(made.train_score_) == len(made.oob_scores_) == len(made.oob_improvement_) == made.n_estimators_
    assert made.oob_improvement_[0] > 0


@pytest.mark.parametrize("kind", [RandomForestRegressor, GradientBoostingRegressor])
def test_warm_start(kind):
    X, y = make_regression(200, 6, random_state=0)
    whole = kind(n_estimators=9, random_state=0).fit(X, y)
    steps = kind(n_estimators=4, random_state=0, warm_start=True).fit(X, y)
    steps.set_params(n_estimators=9).fit(X, y)
    np.testing.assert_allclose(steps.predict(X), whole.predict(X), rtol=1e-9)
    with pytest.raises(ValueError, match="n_estimators=3 must be larger"):
        steps.set_params(n_estimators=3).fit(X, y)


def test_out_of_bag():
    X, y = load_breast_cancer(return_X_y=True)
    made = RandomForestClassifier(60, oob_score=True, random_state=0).fit(X, y)
    assert made.oob_decision_function_.shape == (len(y), 2)
    assert 0.93 < made.oob_score_ < made.score(X, y)


def test_order_of_rows_does_not_matter():
    X, y = make_classification(300, 6, random_state=0)
    other = np.random.RandomState(0).permutation(300)
    one = RandomForestClassifier(5, random_state=0).fit(X, y)
    two = RandomForestClassifier(5, random_state=0).fit(X[other], y[other])
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.parametrize("class_weight", ["balanced", "balanced_subsample", {0: 1, 1: 5}])
def test_class_weight(class_weight):
    X, y = make_classification(400, 6, weights=[0.9], flip_y=0.1, random_state=0)
    plain = RandomForestClassifier(20, max_depth=3, random_state=0).fit(X, y)
    made = RandomForestClassifier(20, max_depth=3, class_weight=class_weight, random_state=0).fit(X, y)
    assert made.predict(X).mean() > plain.predict(X).mean()


def test_trees_of_a_forest():
    X, y = make_classification(200, 6, n_classes=2, random_state=0)
    made = RandomForestClassifier(5, max_samples=0.5, random_state=0).fit(X, y)
    np.testing.assert_allclose(np.mean([tree.predict_proba(X) for tree in made.estimators_], 0), made.predict_proba(X))
    path, nodes = made.decision_path(X)
    assert path.shape == (200, nodes[-1])
    assert made.apply(X).shape == (200, 5)


def test_refused():
    with pytest.raises(ValueError, match="only suitable for a binary"):
        GradientBoostingClassifier(loss="exponential").fit(np.eye(3), [0, 1, 2])
    with pytest.raises(ValueError, match="Out of bag"):
        RandomForestRegressor(bootstrap=False, oob_score=True).fit(np.eye(2), [0, 1])


def test_saved(tmp_path):
    X, y = make_classification(100, 5, random_state=0)
    for made in (RandomForestClassifier(3).fit(X, y), GradientBoostingClassifier(n_estimators=3).fit(X, y)):
        made.save(tmp_path / "model")
        again = type(made)().load(tmp_path / "model")
        np.testing.assert_array_equal(again.predict_proba(X), made.predict_proba(X))


RANKS = """
import hashlib
import numpy as np
from sklearn.datasets import make_classification
from frovedis_lite.engine.session import current
from frovedis_lite.mllib.ensemble import *
from frovedis_lite.mllib.trees import grow

grow.MOVED_ROWS = 60
X, y = make_classification(501, 6, n_informative=4, n_classes=3, random_state=0)
models = [
    RandomForestClassifier(4, random_state=0, oob_score=True).fit(X, y),
    RandomForestRegressor(4, random_state=0).fit(X, y, np.arange(501) % 5),
    GradientBoostingClassifier(n_estimators=4, subsample=0.7, random_state=0).fit(X, y),
    GradientBoostingRegressor(n_estimators=12, n_iter_no_change=3, random_state=0).fit(X, y),
    GradientBoostingRegressor(n_estimators=3, loss="huber", random_state=0).fit(X, y),
]
shape = [getattr(tree, name) for model in models for tree in model.trees_ for name in ("feature", "threshold")]
digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in shape)).hexdigest()
if current().size == 1 or current().comm.rank == 0:
    print(digest, round(models[0].oob_score_, 9), *np.round(models[2].train_score_, 9))
"""


@pytest.mark.filterwarnings("ignore:Some inputs")
def test_ranks(monkeypatch):
    monkeypatch.setattr(grow, "MOVED_ROWS", grow.MOVED_ROWS)
    alone = io.StringIO()
    with contextlib.redirect_stdout(alone):
        exec(RANKS, {})
    for size in (2, 4):
        assert on_ranks(size, RANKS) == alone.getvalue()
