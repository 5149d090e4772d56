"""LinearRegression and Ridge beside scikit-learn's."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import linear_model as reference
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib.linear_model import LinearRegression, Ridge

SOLVERS = ["auto", "cholesky", "svd", "lsqr", "sparse_cg"]


def rows(count=200, columns=8, targets=3):
    random = np.random.default_rng(0)
    X = random.standard_normal((count, columns)) * (random.random((count, columns)) < 0.5) + 0.5
    y = X @ random.standard_normal((columns, targets)) + 0.1 * random.standard_normal((count, targets)) + 3
    return X, y, random.uniform(0, 2, count)


@parametrize_with_checks([LinearRegression(), Ridge(), Ridge(solver="svd")])
def test_interface(estimator, check):
    check(estimator)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("shape", [(200, 8), (10, 30)])
def test_linear_regression(make, intercept, shape):
    X, y, weights = rows(*shape)
    for target in (y, y[:, 0]):
        for w in (None, weights):
            ours = LinearRegression(fit_intercept=intercept).fit(make(X), target, w)
            theirs = reference.LinearRegression(fit_intercept=intercept).fit(X, target, w)
            np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
            np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-6)
            np.testing.assert_allclose(ours.predict(make(X)), theirs.predict(X), atol=1e-6)


def test_columns_that_depend_on_each_other():
    X, y, _ = rows()
    X = np.hstack([X, X[:, :3] * 2])
    ours, theirs = (kind().fit(X, y) for kind in (LinearRegression, reference.LinearRegression))
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-8)
    assert ours.rank_ == theirs.rank_ == 8
    np.testing.assert_allclose(ours.singular_, theirs.singular_, atol=1e-8)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(200, 8), (10, 30)])
def test_ridge(make, solver, shape):
    X, y, weights = rows(*shape)
    for alpha in (2.0, [0.1, 1.0, 10.0]):
        for w in (None, weights):
            ours = Ridge(alpha, solver=solver).fit(make(X), y, w)
            theirs = reference.Ridge(alpha, solver="svd").fit(X, y, w)
            np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
            np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-6)


def test_float32():
    X, y, _ = rows()
    for kind in (LinearRegression, Ridge):
        made = kind().fit(X.astype(np.float32), y.astype(np.float32))
        assert made.coef_.dtype == np.float32
        np.testing.assert_allclose(made.coef_, kind().fit(X, y).coef_, atol=1e-4)


def test_refused():
    X, y, _ = rows()
    with pytest.raises(NotImplementedError, match="Lasso"):
        LinearRegression(positive=True).fit(X, y)
    with pytest.raises(NotImplementedError, match="lbfgs"):
        Ridge(solver="lbfgs").fit(X, y)
    with pytest.raises(ValueError, match="penalties do not correspond"):
        Ridge([1.0, 2.0]).fit(X, y)


def test_ranks_agree():
    code = """
        import numpy as np
        from scipy import sparse
        from frovedis_lite.engine.session import current
        from frovedis_lite.mllib.linear_model import LinearRegression, Ridge

        random = np.random.default_rng(0)
        for shape in ((101, 6), (3, 6)):
            X = random.standard_normal(shape)
            y = X @ np.arange(6.0) + random.standard_normal(shape[0])
            for model in (LinearRegression(), Ridge(), Ridge(solver="svd")):
                for make in (np.asarray, sparse.csr_matrix):
                    made = model.fit(make(X), y, np.arange(1.0, 1 + len(y)))
                    if current().comm.rank == 0:
                        print(" ".join("%.5f" % v for v in (*made.coef_, made.intercept_)))
    """
    assert on_ranks(1, code) == on_ranks(2, code) == on_ranks(4, code) != ""
