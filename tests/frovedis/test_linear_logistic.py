"""Logistic regression beside scikit-learn's."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib.linear_model import LogisticRegression


def rows(classes=2, dtype=np.float64):
    X, y = make_classification(600, 12, n_informative=8, n_classes=classes, random_state=0)
    return X.astype(dtype), y


def objective(model, X, y, weights=None):
    """scikit-learn's, in float64."""
    weights = np.ones(len(y)) if weights is None else weights
    margins = X @ model.coef_.T.astype(float) + model.intercept_
    if len(model.classes_) == 2:
        margins = np.hstack([np.zeros_like(margins), margins])
    own = margins[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    ratio, w = model.l1_ratio, model.coef_
    losses = np.logaddexp.reduce(margins, axis=1) - own
    return model.C * weights @ losses + (1 - ratio) / 2 * (w**2).sum() + ratio * np.abs(w).sum()


@parametrize_with_checks(
    [LogisticRegression(), LogisticRegression(solver="newton-cholesky"), LogisticRegression(solver="liblinear")]
)
def test_interface(estimator, check):
    check(estimator)


SETTINGS = [
    {"solver": "lbfgs"},
    {"solver": "newton-cg"},
    {"solver": "newton-cholesky", "C": 10.0},
    {"solver": "sag"},
    {"solver": "saga", "l1_ratio": 1, "C": 0.05},
    {"solver": "saga", "l1_ratio": 0.3, "C": 0.05},
]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_minimum(classes, make, settings):
    X, y = rows(classes)
    weights = np.random.default_rng(0).uniform(0, 2, len(y))
    ours = LogisticRegression(tol=1e-7, max_iter=2000, **settings).fit(make(X), y, weights)
    theirs = Reference(tol=1e-7, max_iter=2000, **settings).fit(X, y, weights)
    values = [objective(model, X, y, weights) for model in (ours, theirs)]
    assert values[0] <= values[1] * (1 + 1e-6)
    np.testing.assert_allclose(ours.predict_proba(make(X)), theirs.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize(
    "settings", [{}, {"intercept_scaling": 5}, {"l1_ratio": 1.0, "C": 0.1}, {"dual": True}], ids=str
)
def test_liblinear(settings):
    X, y = rows()
    ours = LogisticRegression(solver="liblinear", tol=1e-8, max_iter=5000, **settings).fit(X, y)
    theirs = Reference(solver="liblinear", tol=1e-8, max_iter=5000, **settings).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 4])
def test_float32(classes):
    X, y = rows(classes, np.float32)
    ours, theirs = (kind(tol=1e-6, max_iter=500).fit(X, y) for kind in (LogisticRegression, Reference))
    assert ours.coef_.dtype == ours.intercept_.dtype == np.float32
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-3)


def test_sag_learns_on_sparse_rows():
    random = np.random.default_rng(0)
    X = sparse.random(2000, 300, 0.02, "csr", rng=random)
    y = np.asarray(X @ random.standard_normal(300) > 0).astype(int)
    for solver in ("sag", "saga"):
        assert LogisticRegression(solver=solver, C=100, tol=1e-3, max_iter=1000).fit(X, y).score(X, y) > 0.95


def test_class_weight_and_names():
    X, y = rows(3)
    names = np.array(["a", "b", "c"])[y]
    ours, theirs = (kind(class_weight="balanced", tol=1e-8).fit(X, names) for kind in (LogisticRegression, Reference))
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    assert (ours.predict(X) == theirs.predict(X)).all()


def test_warm_start():
    X, y = rows()
    model = LogisticRegression(warm_start=True, tol=1e-6).fit(X, y)
    assert model.fit(X, y).n_iter_[0] <= 1


def test_refused():
    X, y = rows()
    with pytest.raises(ValueError, match="supports only 'l2' or None penalties"):
        LogisticRegression(l1_ratio=1).fit(X, y)
    with pytest.raises(ValueError, match="only one class"):
        LogisticRegression().fit(X, np.zeros(len(y)))
    with pytest.raises(ValueError, match="does not support multiclass"):
        LogisticRegression(solver="liblinear").fit(*rows(3))


@pytest.mark.filterwarnings("always::sklearn.exceptions.ConvergenceWarning")
def test_says_where_it_did_not_converge():
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        LogisticRegression(max_iter=2).fit(*rows())


def test_saved(tmp_path):
    X, y = rows(3)
    model = LogisticRegression().fit(X, y)
    model.save(tmp_path / "model")
    again = LogisticRegression().load(tmp_path / "model")
    assert (again.predict_proba(X) == model.predict_proba(X)).all()


def test_ranks_agree():
    code = """
        import numpy as np
        from scipy import sparse
        from sklearn.datasets import make_classification
        from frovedis_lite.engine.session import current
        from frovedis_lite.mllib.linear_model import LogisticRegression

        for classes in (2, 3):
            X, y = make_classification(151, 6, n_informative=5, n_redundant=0, n_classes=classes, random_state=0)
            lasso = {"solver": "saga", "l1_ratio": 1, "C": 0.1}
            for settings in ({"solver": "lbfgs"}, {"solver": "newton-cholesky"}, lasso):
                model = LogisticRegression(tol=1e-6, max_iter=1000, **settings).fit(sparse.csr_matrix(X), y)
                made = model.predict_proba(X)[:9].ravel()
                if current().comm.rank == 0:
                    print(" ".join("%.3f" % v for v in made))
    """
    assert on_ranks(1, code) == on_ranks(2, code) == on_ranks(4, code) != ""
