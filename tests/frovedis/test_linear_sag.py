"""SAG and SAGA: the kernels beside their definition, and the models beside scikit-learn's."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import linear_model as reference
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks
from test_linear_logistic import objective

from frovedis_lite.engine.comm import Alone
from frovedis_lite.mllib.linear_model import LogisticRegression, Ridge
from frovedis_lite.mllib.optim.sag import LOGISTIC, MULTINOMIAL, SQUARED, Problem, stochastic_average

TIGHT = {"tol": 1e-10, "max_iter": 20000, "random_state": 0}


@parametrize_with_checks(
    [
        LogisticRegression(solver="sag", **TIGHT),
        LogisticRegression(solver="saga", **TIGHT),
        Ridge(solver="sag", **TIGHT),
        Ridge(solver="saga", **TIGHT),
    ]
)
def test_interface(estimator, check):
    check(estimator)


def by_definition(problem, W, epochs, seed):
    """The papers' steps with all weights at a time, [columns + 1, classes]; a warm start knows all rows."""
    X = problem.X.toarray() if sparse.issparse(problem.X) else problem.X.astype(np.float64)
    rows, classes = len(X), W.shape[1]
    random = np.random.default_rng((seed, 0))
    length = problem.step_length(problem.bend(Alone()), problem.l2, rows)
    table, total, seen = np.zeros((rows, classes)), np.zeros_like(W), set()
    if W.any():
        ones = np.column_stack([X, np.full(rows, float(problem.intercept))])
        table, seen = problem.derivatives(ones @ W), set(range(rows))
        total = ones.T @ table
    for _ in range(epochs):
        for i in random.integers(0, rows, rows):
            seen.add(i)
            row = np.append(X[i], float(problem.intercept))
            own = None if problem.weights is None else problem.weights[i : i + 1]
            one = problem._replace(X=X[i : i + 1], y=problem.y[i : i + 1], weights=own)
            new = one.derivatives(row[None] @ W)
            change = np.outer(row, new[0] - table[i])
            total, table[i] = total + change, new[0]
            step = total / len(seen) + (1 - 1 / len(seen)) * change * problem.saga
            step[:-1] += problem.l2 * W[:-1]
            W = W - length * step
            W[:-1] = np.sign(W[:-1]) * np.maximum(np.abs(W[:-1]) - length * problem.l1, 0)
    return W


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [np.ascontiguousarray, sparse.csr_matrix])
@pytest.mark.parametrize("loss", [SQUARED, LOGISTIC, MULTINOMIAL])
@pytest.mark.parametrize(("saga", "l2", "l1"), [(0, 0.1, 0), (0, 30.0, 0), (1, 0.1, 0), (1, 0, 0.02), (1, 5.0, 0.1)])
def test_steps(dtype, make, loss, saga, l2, l1):
    random = np.random.default_rng(loss)
    X = (random.standard_normal((60, 21)) * (random.random((60, 21)) < 0.2)).astype(dtype)
    y = random.standard_normal(60) if loss == SQUARED else random.integers(0, 3, 60).astype(float)
    y = np.where(y > 0, 1.0, -1.0) if loss == LOGISTIC else y
    problem = Problem(make(X), y, random.uniform(0, 2, 60), loss, True, l2, l1, bool(saga))
    warm = random.standard_normal((22, 3 if loss == MULTINOMIAL else 1))
    for start in (warm, np.zeros_like(warm)):
        made = stochastic_average(Alone(), problem, start, tol=0, max_iter=3, seed=7)
        np.testing.assert_allclose(made.w.reshape(start.shape), by_definition(problem, start, 3, 7), atol=1e-10)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("settings", [{}, {"C": np.inf}, {"l1_ratio": 1, "C": 0.05}, {"l1_ratio": 0.3}], ids=str)
def test_logistic(classes, make, settings):
    X, y = make_classification(300, 10, n_informative=6, n_classes=classes, flip_y=0.2, random_state=0)
    weights = np.random.default_rng(0).uniform(0, 2, len(y))
    theirs = reference.LogisticRegression(solver="saga", **settings, **TIGHT).fit(X, y, weights)
    for solver in ("sag", "saga")[bool(settings.get("l1_ratio")) :]:
        ours = LogisticRegression(solver=solver, **settings, **TIGHT).fit(make(X), y, weights)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
        if np.isfinite(ours.C):
            assert objective(ours, X, y, weights) <= objective(theirs, X, y, weights) * (1 + 1e-9)
        assert ((ours.coef_ == 0) == (theirs.coef_ == 0)).all()


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("solver", ["sag", "saga"])
def test_ridge(make, solver):
    random = np.random.default_rng(0)
    X = random.standard_normal((200, 8)) + 0.5
    y = X @ random.standard_normal((8, 2)) + 0.1 * random.standard_normal((200, 2)) + 3
    weights = random.uniform(0, 2, 200)
    for intercept in (True, False):
        ours = Ridge([0.5, 5.0], solver=solver, fit_intercept=intercept, **TIGHT).fit(make(X), y, weights)
        theirs = reference.Ridge([0.5, 5.0], solver="svd", fit_intercept=intercept).fit(X, y, weights)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-7)
        np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-7)
        assert ours.n_iter_.shape == (2,)
        assert ours.solver_ == solver


def test_types_seeds_and_starts():
    X, y = make_classification(200, 6, random_state=0)
    for kind in (LogisticRegression, Ridge):
        one, same, other = (kind(solver="saga", random_state=seed).fit(X, y) for seed in (0, 0, 1))
        assert (one.coef_ == same.coef_).all()
        assert (one.coef_ != other.coef_).any()
        assert kind(solver="sag").fit(X.astype(np.float32), y).coef_.dtype == np.float32
    for solver in ("sag", "saga"):
        for rows in (X, sparse.csr_array(X)):
            model = LogisticRegression(solver=solver, warm_start=True, tol=1e-6, max_iter=1000).fit(rows, y)
            before = model.n_iter_[0]
            assert model.fit(rows, y).n_iter_[0] <= before / 4, "a second fit begins where the first ended"


@pytest.mark.filterwarnings("always::sklearn.exceptions.ConvergenceWarning")
def test_says_where_it_did_not_converge():
    X, y = make_classification(100, 5, random_state=0)
    for kind in (LogisticRegression, Ridge):
        with pytest.warns(ConvergenceWarning, match="max_iter"):
            assert np.max(kind(solver="sag", max_iter=2, tol=1e-12).fit(X, y).n_iter_) == 2


def test_ranks_agree():
    code = """
        import numpy as np
        from scipy import sparse
        from frovedis_lite.engine.session import current
        from frovedis_lite.mllib.linear_model import LogisticRegression, Ridge

        random = np.random.default_rng(0)
        X = random.standard_normal((203, 12)) * (random.random((203, 12)) < 0.4)
        X[:101, :4] = 0  # the first half has none of some columns, and larger values
        X[:101] *= 2
        y = np.digitize(X @ random.standard_normal(12) + random.standard_normal(203), [-1, 1])
        tight = {"tol": 1e-5, "max_iter": 1000, "random_state": 0}
        lasso = LogisticRegression(solver="saga", l1_ratio=1, C=0.2, **tight)
        for model, rows, target in (
            (LogisticRegression(solver="sag", C=0.2, **tight), X, y),
            (lasso, sparse.csr_matrix(X), y > 0),
            (Ridge(solver="saga", **tight), X[:3], y[:3] - 1.0),
            (Ridge(solver="saga", **tight), sparse.csr_matrix(X), y),
        ):
            model.fit(rows, target, 1.0 + np.arange(len(target)) % 2)
            if current().comm.rank == 0:
                print(*model.coef_.ravel(), *np.atleast_1d(model.intercept_))
    """
    made = [np.array(on_ranks(count, code).split(), float) for count in (1, 2, 4)]
    assert len(made[0]) == 78
    np.testing.assert_allclose(made[1], made[0], atol=1e-3)
    np.testing.assert_allclose(made[2], made[0], atol=1e-3)
