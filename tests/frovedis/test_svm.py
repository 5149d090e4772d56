"""Linear support vector machines beside scikit-learn's."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import svm as reference
from sklearn.datasets import make_classification
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib.svm import LinearSVC, LinearSVR


def rows(classes=2):
    X, y = make_classification(300, 8, n_informative=6, n_classes=classes, random_state=0)
    return X, y, np.random.default_rng(0).uniform(0.1, 2, len(y))


def objective(model, X, signs, weights, k=0):
    w, b = np.atleast_2d(model.coef_)[k], np.ravel(model.intercept_)[k]
    margins = X @ w + b
    losses = {
        "hinge": np.maximum(1 - signs * margins, 0),
        "squared_hinge": np.maximum(1 - signs * margins, 0) ** 2,
        "epsilon_insensitive": np.maximum(np.abs(signs - margins) - getattr(model, "epsilon", 0), 0),
        "squared_epsilon_insensitive": np.maximum(np.abs(signs - margins) - getattr(model, "epsilon", 0), 0) ** 2,
    }[model.loss]
    all_weights = np.append(w, b / model.intercept_scaling)
    norm = np.abs(all_weights).sum() if getattr(model, "penalty", "l2") == "l1" else all_weights @ all_weights / 2
    return norm + model.C * weights @ losses


@parametrize_with_checks([LinearSVC(), LinearSVR(loss="squared_epsilon_insensitive"), LinearSVR(tol=1e-7)])
def test_interface(estimator, check):
    check(estimator)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize(
    "settings",
    [{}, {"penalty": "l1", "dual": False}, {"loss": "hinge", "C": 0.1}, {"intercept_scaling": 3, "C": 0.1}],
    ids=str,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_classes(make, settings, classes):
    X, y, weights = rows(classes)
    settings = {"tol": 1e-7, "max_iter": 20000, "random_state": 0, **settings}
    ours = LinearSVC(**settings).fit(make(X), y, weights)
    theirs = reference.LinearSVC(**settings).fit(X, y, weights)
    assert ours.coef_.shape == theirs.coef_.shape
    for k in range(len(ours.coef_)):
        signs = np.where(y == (k if classes > 2 else 1), 1.0, -1.0)
        assert objective(ours, X, signs, weights, k) <= objective(theirs, X, signs, weights, k) * (1 + 1e-6)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=5e-3)


@pytest.mark.parametrize("loss", ["epsilon_insensitive", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_regression(loss, dtype):
    X, _, weights = rows()
    y = X @ np.arange(8.0) + weights + 2
    settings = {"loss": loss, "epsilon": 0.3, "tol": 1e-7, "max_iter": 20000, "random_state": 0, "C": 0.5}
    ours = LinearSVR(**settings).fit(X.astype(dtype), y, weights)
    theirs = reference.LinearSVR(**settings).fit(X, y, weights)
    assert objective(ours, X, y, weights) <= objective(theirs, X, y, weights) * (1 + 1e-6)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-2)


def test_class_weight_of_one_against_the_others():
    X, y, _ = rows(3)
    settings = {"class_weight": {0: 5.0}, "tol": 1e-8, "max_iter": 10000, "dual": False}
    ours, theirs = (kind(**settings).fit(X, y) for kind in (LinearSVC, reference.LinearSVC))
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)


def test_refused():
    X, y, _ = rows()
    with pytest.raises(ValueError, match="Unsupported set of arguments"):
        LinearSVC(loss="hinge", dual=False).fit(X, y)
    with pytest.raises(NotImplementedError, match="ovr"):
        LinearSVC(multi_class="crammer_singer").fit(X, y)


def test_ranks_agree():
    code = """
        import numpy as np
        from scipy import sparse
        from frovedis_lite.engine.session import current
        from frovedis_lite.mllib.svm import LinearSVC, LinearSVR

        random = np.random.default_rng(0)
        X = random.standard_normal((81, 4))
        y = X @ np.arange(4.0) + random.standard_normal(81)
        for model, target in (
            (LinearSVC(tol=1e-6), y > 0),
            (LinearSVC(tol=1e-6, loss="hinge", C=0.1, random_state=0), y > 0),
            (LinearSVR(tol=1e-6, C=0.1, epsilon=0.2, random_state=0), y),
        ):
            model.fit(sparse.csr_matrix(X), target)
            made = model.decision_function(X) if target.dtype == bool else model.predict(X)
            if current().comm.rank == 0:
                print(" ".join("%.2f" % v for v in made[:5]))
    """
    assert on_ranks(1, code) == on_ranks(2, code) == on_ranks(4, code) != ""
