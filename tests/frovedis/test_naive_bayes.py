"""Naive Bayes against scikit-learn's."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import naive_bayes as reference
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib import naive_bayes

NAMES = ("GaussianNB", "MultinomialNB", "BernoulliNB")


@parametrize_with_checks([getattr(naive_bayes, name)() for name in NAMES])
def test_scikit_learn(estimator, check):
    check(estimator)


def rows(dtype=np.float64):
    random = np.random.default_rng(0)
    X = random.poisson(1.0, (300, 8)).astype(dtype)
    y = np.array(["a", "b", "c"])[random.integers(0, 3, 300)]
    return X, y, random.random(300)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_agrees(name, weighted, make, dtype):
    if name == "GaussianNB" and make is not np.asarray:
        pytest.skip("dense only")
    X, y, w = rows(dtype)
    X = make(X)
    ours, theirs = (getattr(module, name)() for module in (naive_bayes, reference))
    for model in (ours, theirs):
        model.fit(X, y, sample_weight=w if weighted else None)
    tight = 1e-10 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=tight)
    np.testing.assert_allclose(ours.predict_joint_log_proba(X), theirs.predict_joint_log_proba(X), rtol=tight)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("name", NAMES)
def test_partial_fit(name):
    X, y, w = rows()
    ours, theirs = (getattr(module, name)() for module in (naive_bayes, reference))
    for model in (ours, theirs):
        model.partial_fit(X[:100], y[:100], classes=["a", "b", "c"], sample_weight=w[:100])
        model.partial_fit(X[100:], y[100:], sample_weight=w[100:])
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-8)
    with pytest.raises(ValueError, match="do not exist in the initial classes"):
        ours.partial_fit(X[:2], ["a", "z"])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("GaussianNB", {"priors": [0.2, 0.3, 0.5]}),
        ("MultinomialNB", {"class_prior": [0.2, 0.3, 0.5], "alpha": np.arange(1.0, 9)}),
        ("BernoulliNB", {"fit_prior": False, "binarize": 1.5}),
    ],
)
def test_parameters(name, parameters):
    X, y, _ = rows()
    ours, theirs = (getattr(module, name)(**parameters).fit(X, y) for module in (naive_bayes, reference))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-10)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (naive_bayes.GaussianNB(priors=[0.5, 0.5]), "Number of priors"),
        (naive_bayes.GaussianNB(priors=[0.5, 0.5, 0.5]), "sum of the priors"),
        (naive_bayes.MultinomialNB(alpha=[1.0, 2.0]), "alpha is an array"),
        (naive_bayes.BernoulliNB(alpha=-1), "alpha"),
    ],
)
def test_bad_parameters(model, says):
    X, y, _ = rows()
    with pytest.raises(ValueError, match=says):
        model.fit(X, y)


def test_ranks():
    code = """
    import numpy as np
    from frovedis_lite.engine.session import current
    from frovedis_lite.mllib.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
    random = np.random.default_rng(0)
    X, y = random.poisson(1.0, (101, 4)).astype(float), random.integers(0, 3, 101)
    made = [m().fit(X, y).predict_proba(X).sum(0) for m in (GaussianNB, MultinomialNB, BernoulliNB)]
    if current().comm.rank == 0:
        print(*np.round(np.concatenate(made), 9))
    """
    one, two, four = (on_ranks(size, code) for size in (1, 2, 4))
    assert one == two == four
