"""Lasso and ElasticNet beside scikit-learn's."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import linear_model as reference
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib.linear_model import ElasticNet, Lasso
from frovedis_lite.mllib.optim import coordinate


def rows(count=150, columns=20, targets=2):
    random = np.random.default_rng(0)
    X = random.standard_normal((count, columns)) * (random.random((count, columns)) < 0.5) + 0.2
    y = X[:, :5] @ random.standard_normal((5, targets)) + 0.1 * random.standard_normal((count, targets)) + 3
    return X, y, random.uniform(0, 2, count)


def objective(model, X, y, weights=None):
    return np.average((y - X @ model.coef_ - model.intercept_) ** 2, weights=weights) / 2 + model.alpha * (
        model.l1_ratio * np.abs(model.coef_).sum() + (1 - model.l1_ratio) / 2 * (model.coef_**2).sum()
    )


@parametrize_with_checks([Lasso(), ElasticNet()])
def test_interface(estimator, check):
    check(estimator)


@pytest.mark.parametrize("whole", [2000, 5], ids=["all products", "working sets"])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize(
    "settings", [{}, {"positive": True}, {"selection": "random"}, {"fit_intercept": False}], ids=str
)
def test_minimum(whole, make, settings, monkeypatch):
    monkeypatch.setattr(coordinate, "WHOLE", whole)
    X, y, weights = rows()
    for ratio in (1.0, 0.4):
        for w in (None, weights):
            settings = {
                "alpha": 0.05,
                "l1_ratio": ratio,
                "tol": 1e-10,
                "max_iter": 10000,
                "random_state": 0,
                **settings,
            }
            ours = ElasticNet(**settings).fit(make(X), y[:, 0], w)
            theirs = reference.ElasticNet(**settings).fit(X, y[:, 0], w)
            assert objective(ours, X, y[:, 0], w) <= objective(theirs, X, y[:, 0], w) * (1 + 1e-6)
            np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
            assert 0 <= ours.dual_gap_ <= 1e-9


def test_many_columns():
    random = np.random.default_rng(0)
    X = random.standard_normal((80, 3000))
    y = X[:, :5] @ np.arange(1.0, 6)
    ours, theirs = (kind(alpha=0.5, tol=1e-8).fit(X, y) for kind in (Lasso, reference.Lasso))
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)


def test_targets():
    X, y, _ = rows()
    ours, theirs = (kind(alpha=0.05, tol=1e-8).fit(X, y) for kind in (Lasso, reference.Lasso))
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-5)
    assert len(ours.n_iter_) == len(ours.dual_gap_) == 2


def test_refused():
    X, y, _ = rows()
    with pytest.raises(NotImplementedError, match="precompute"):
        Lasso(precompute=X.T @ X).fit(X, y)


def test_ranks_agree():
    code = """
        import numpy as np
        from scipy import sparse
        from frovedis_lite.engine.session import current
        from frovedis_lite.mllib.linear_model import ElasticNet
        from frovedis_lite.mllib.optim import coordinate

        random = np.random.default_rng(0)
        X = random.standard_normal((61, 12))
        y = X @ np.arange(12.0) + random.standard_normal(61)
        for coordinate.WHOLE in (2000, 5):
            for make in (np.asarray, sparse.csr_matrix):
                made = ElasticNet(0.3, tol=1e-9).fit(make(X), y, np.arange(1.0, 62))
                if current().comm.rank == 0:
                    print(" ".join("%.4f" % v for v in (*made.coef_, made.intercept_)))
    """
    assert on_ranks(1, code) == on_ranks(2, code) == on_ranks(4, code) != ""
