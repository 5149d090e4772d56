"""Stochastic gradient descent beside scikit-learn's."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import linear_model as reference
from sklearn.datasets import make_classification
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib.linear_model import SGDClassifier, SGDRegressor


def rows(classes=2):
    return make_classification(500, 8, n_informative=6, n_classes=classes, random_state=0)


@parametrize_with_checks([SGDClassifier(), SGDRegressor()])
def test_interface(estimator, check):
    check(estimator)


CLASSES = ["hinge", "squared_hinge", "perceptron", "log_loss", "modified_huber", "squared_error"]
STEADY = ["hinge", "perceptron", "log_loss"]  # whose derivatives are bounded, however long the first steps are
RATES = [{"learning_rate": "constant", "eta0": 0.01}, {"learning_rate": "invscaling", "eta0": 0.01}]


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet", None])
@pytest.mark.parametrize("rate", [*RATES, {"learning_rate": "optimal"}, {"average": True}], ids=str)
def test_the_same_steps(make, penalty, rate):
    if "average" in rate and penalty in ("l1", "elasticnet"):
        pytest.skip("scikit-learn takes the mean before the absolute norm acts, we behind it")
    X, y = rows()
    for loss in CLASSES if "eta0" in rate else STEADY:
        settings = {"loss": loss, "penalty": penalty, "shuffle": False, "max_iter": 1, "tol": None, **rate}
        ours = SGDClassifier(alpha=0.01, **settings).fit(make(X), y)
        theirs = reference.SGDClassifier(alpha=0.01, **settings).fit(make(X), y)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"])
def test_regression(loss):
    X, _ = rows()
    y = X @ np.arange(8.0)
    settings = {"loss": loss, "shuffle": False, "max_iter": 3, "tol": None}
    ours, theirs = (kind(**settings).fit(X, y) for kind in (SGDRegressor, reference.SGDRegressor))
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"learning_rate": "adaptive"}], ids=str)
def test_learns(settings):
    X, y = rows(3)
    ours, theirs = (
        kind(random_state=0, loss="log_loss", **settings).fit(X, y) for kind in (SGDClassifier, reference.SGDClassifier)
    )
    assert ours.score(X, y) > theirs.score(X, y) - 0.05
    np.testing.assert_allclose(ours.predict_proba(X).sum(1), 1)


def test_partial_fit():
    X, y = rows()
    model = SGDClassifier(shuffle=False)
    whole = SGDClassifier(shuffle=False, max_iter=2, tol=None).fit(X, y)
    model.partial_fit(X, y, classes=[0, 1]).partial_fit(X, y)
    np.testing.assert_allclose(model.coef_, whole.coef_)


SETTINGS = [
    {},
    {"average": 300},
    {"early_stopping": True, "n_iter_no_change": 2},
    {"penalty": "elasticnet"},
    {"learning_rate": "adaptive"},
]


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", [SGDClassifier, SGDRegressor])
def test_weights_are_repetitions(kind, settings, make):
    X, y = rows(3)
    random = np.random.default_rng(0)
    times = random.integers(0, 4, len(y))
    if kind is SGDClassifier:
        settings = {**settings, "class_weight": "balanced"}
    order, again = random.permutation(len(y)), random.permutation(times.sum())
    whole = kind(random_state=0, **settings).fit(make(X.repeat(times, axis=0)[again]), y.repeat(times)[again])
    weighted = kind(random_state=0, **settings).fit(make(X[order]), y[order], sample_weight=times[order])
    np.testing.assert_allclose(weighted.coef_, whole.coef_, rtol=1e-9)
    assert (weighted.n_iter_, weighted.t_) == (whole.n_iter_, whole.t_)


def test_repetitions_in_order():
    X, y = rows()
    times = np.random.default_rng(0).integers(0, 4, len(y))
    whole, weighted = (SGDClassifier(shuffle=False) for _ in range(2))
    for _ in range(2):
        whole.partial_fit(X.repeat(times, axis=0), y.repeat(times), classes=[0, 1])
        weighted.partial_fit(X, y, classes=[0, 1], sample_weight=times)
    np.testing.assert_allclose(weighted.coef_, whole.coef_)


def test_small_weights_are_short_steps():
    X, y = rows()
    weights = np.random.default_rng(0).random(len(y))
    settings = {"shuffle": False, "max_iter": 2, "tol": None}
    models = (kind(**settings).fit(X, y, sample_weight=weights) for kind in (SGDClassifier, reference.SGDClassifier))
    np.testing.assert_allclose(*(model.coef_ for model in models), rtol=1e-6)


def test_large_weights_do_not_diverge():
    X, y = rows()
    weights = np.where(np.arange(len(y)) % 50 == 0, 1000.0, 1.0)
    model = SGDRegressor(random_state=0, max_iter=20, tol=None).fit(X, y, sample_weight=weights)
    assert model.score(X, y, weights) > reference.LinearRegression().fit(X, y, weights).score(X, y, weights) - 0.02


def test_refused():
    X, y = rows()
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        SGDClassifier().fit(X, y, sample_weight=-np.ones(len(y)))
    with pytest.raises(ValueError, match="add up to more than"):
        SGDClassifier().fit(X, y, sample_weight=np.full(len(y), 1e9))
    assert not hasattr(SGDClassifier(), "predict_proba")
    with pytest.raises(ValueError, match="pa1"):
        SGDClassifier(loss="log_loss", learning_rate="pa1").fit(X, y)


@pytest.mark.parametrize("size", [2, 4])
def test_ranks_learn(size):
    code = """
        import numpy as np
        from sklearn.datasets import make_classification
        from frovedis_lite.engine.session import current
        from frovedis_lite.mllib.linear_model import SGDClassifier

        X, y = make_classification(500, 8, n_informative=6, random_state=0)
        model = SGDClassifier(loss="log_loss", random_state=0, max_iter=50).fit(X, y)
        score = model.score(X, y)
        weights = np.arange(500) % 4.0 * (np.arange(500) >= 125)  # of four ranks, one has no sample
        weighted = SGDClassifier(random_state=0, early_stopping=True).fit(X, y, sample_weight=weights)
        assert weighted.score(X, y, weights) > score - 0.1
        if current().comm.rank == 0:
            print(score)
    """
    X, y = rows()
    alone = SGDClassifier(loss="log_loss", random_state=0, max_iter=50).fit(X, y).score(X, y)
    assert float(on_ranks(size, code)) > alone - 0.05
