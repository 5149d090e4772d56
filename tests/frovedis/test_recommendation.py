"""ALS: against its definition in NumPy, its objective, and on several ranks."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn.exceptions import NotFittedError

from frovedis_lite.mllib.recommendation import ALS


def ratings(users=60, items=40, density=0.3, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    full = rng.random((users, 3)) @ rng.random((items, 3)).T * 4 + 1
    full[rng.random(full.shape) > density] = 0
    full[5] = 0  # a user without ratings
    return sparse.csr_matrix(full.astype(dtype))


def reference(X, steps, rank, alpha, reg, implicit, seed=0):
    """Alternating least squares by its definition: weights, targets and penalties of whole rows."""
    R, there = X.toarray().astype(float), X.toarray() != 0
    weight = 1 + alpha * R if implicit else there.astype(float)
    target = there.astype(float) if implicit else R
    items = np.abs(np.random.default_rng(seed).standard_normal((X.shape[1], rank))) / np.sqrt(rank)
    objectives = []

    def side(weight, target, factors, counts):
        made = [
            np.linalg.solve((factors.T * w) @ factors + reg * max(n, 1) * np.eye(rank), factors.T @ (w * t))
            for w, t, n in zip(weight, target, counts, strict=True)
        ]
        return np.array(made)

    user_counts, item_counts = (np.ones(n) if implicit else there.sum(1 - i) for i, n in enumerate(X.shape))
    for _ in range(steps):
        users = side(weight, target, items, user_counts)
        items = side(weight.T, target.T, users, item_counts)
        penalty = (user_counts * (users**2).sum(1)).sum() + (item_counts * (items**2).sum(1)).sum()
        objectives.append((weight * (target - users @ items.T) ** 2).sum() + reg * penalty)
    return users, items, objectives


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_definition(implicit, dtype):
    X = ratings(dtype=dtype)
    model = ALS(max_iter=4, rank=6, alpha=2, reg_param=0.05, implicit=implicit, tol=0).fit(X)
    users, items, objectives = reference(X, 4, 6, 2, 0.05, implicit)
    close = {"rtol": 1e-8, "atol": 1e-9} if dtype == np.float64 else {"rtol": 2e-3, "atol": 2e-3}
    np.testing.assert_allclose(model.user_factors_, users, **close)
    np.testing.assert_allclose(model.item_factors_, items, **close)
    np.testing.assert_allclose(model.objective_, objectives, rtol=1e-9 if dtype == np.float64 else 1e-4)
    assert model.user_factors_.dtype == model.item_factors_.dtype == dtype
    assert model.n_iter_ == 4


@pytest.mark.parametrize("implicit", [False, True])
def test_objective_falls(implicit):
    model = ALS(max_iter=100, rank=5, reg_param=0.1, implicit=implicit, tol=1e-4).fit(ratings())
    assert (np.diff(model.objective_) <= 1e-12 * model.objective_[0]).all()
    assert model.n_iter_ < 100


def test_predictions():
    X = ratings(density=0.6)
    model = ALS(rank=3, reg_param=1e-4).fit(X)
    rows, columns = X.nonzero()
    errors = model.predict(np.stack([rows, columns], 1)) - X.data
    assert model.rmse(X) == pytest.approx(np.sqrt((errors**2).mean()))
    assert model.rmse(X) < 0.1
    assert model.score(X) == -model.rmse(X)
    np.testing.assert_array_equal(model.predict([1, 2, 3, 4]), model.predict([(1, 2), (3, 4)]))
    scores = model.user_factors_ @ model.item_factors_.T
    best = model.recommend_products(7, 4)
    assert [item for item, _ in best] == np.argsort(-scores[7])[:4].tolist()
    assert best[0][1] == pytest.approx(scores[7].max())
    assert [user for user, _ in model.recommend_users(8, 1000)] == np.argsort(-scores[:, 8], kind="stable").tolist()


def test_bad_input():
    X = ratings()
    for name, value in [("rank", 0), ("max_iter", 1.5), ("reg_param", 0), ("alpha", -1), ("tol", "x"), ("implicit", 2)]:
        with pytest.raises(ValueError, match=name):
            ALS(**{name: value}).fit(X)
    with pytest.raises(NotImplementedError, match="nonnegative"):
        ALS(nonnegative=True).fit(X)
    with pytest.raises(TypeError, match="sparse"):
        ALS().fit(X.toarray())
    with pytest.raises(ValueError, match="negative"):
        ALS(implicit=True).fit(-X)
    with pytest.raises(ValueError, match="NaN"):
        ALS().fit(X * np.nan)
    with pytest.raises(NotFittedError):
        ALS().predict([(1, 2)])
    model = ALS(max_iter=2).fit(X, 4)
    assert model.rank == model.user_factors_.shape[1] == 4
    with pytest.raises(IndexError, match="user 60"):
        model.predict([(60, 0)])
    with pytest.raises(IndexError, match="item -1"):
        model.recommend_users(-1, 2)
    with pytest.raises(ValueError, match="pairs"):
        model.predict([1, 2, 3])
    with pytest.raises(ValueError, match="features"):
        model.rmse(X[:, :5])


def test_save(tmp_path):
    model = ALS(max_iter=3).fit(ratings())
    model.save(tmp_path / "model")
    loaded = ALS().load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict([(1, 2)]), model.predict([(1, 2)]))


def test_ranks():
    code = """
        import numpy as np
        from scipy import sparse
        from frovedis_lite.engine.session import current
        from frovedis_lite.mllib.recommendation import ALS

        X = sparse.random(50, 33, density=0.3, random_state=1, format="csr")
        for implicit in (False, True):
            model = ALS(max_iter=5, rank=4, implicit=implicit, tol=0, reg_param=0.1).fit(X)
            assert model.user_factors_.shape == (50, 4)
            error = model.rmse(X)
            if current().comm.rank == 0:
                print(np.array2string(model.objective_, precision=9), model.recommend_products(3, 3)[0][0])
                print(f"{error:.9f}")
        """
    one, two, four = (on_ranks(size, code) for size in (1, 2, 4))
    assert len(one.split()) > 8
    assert one == two == four
