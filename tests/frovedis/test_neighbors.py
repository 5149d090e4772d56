"""Nearest neighbours against scikit-learn's."""

import pickle

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import neighbors as reference
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.matrix.crs import FrovedisCRSMatrix
from frovedis_lite.matrix.dense import FrovedisRowmajorMatrix
from frovedis_lite.mllib.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors


@parametrize_with_checks([NearestNeighbors(), KNeighborsClassifier(), KNeighborsRegressor()])
def test_scikit_learn(estimator, check):
    check(estimator)


def rows(dtype=np.float64, number=103, columns=7):
    random = np.random.default_rng(0)
    return random.normal(size=(number, columns)).astype(dtype), random.normal(size=(29, columns)).astype(dtype)


METRICS = [("minkowski", 2), ("minkowski", 3), ("manhattan", 2), ("chebyshev", 2), ("cosine", 2)]


@pytest.mark.parametrize("k", [1, 5, 103])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("metric", "p"), METRICS)
def test_nearest(metric, p, dtype, k):
    X, points = rows(dtype)
    wanted = reference.NearestNeighbors(n_neighbors=k, metric=metric, p=p, algorithm="brute").fit(X.astype(np.float64))
    made = NearestNeighbors(n_neighbors=k, metric=metric, p=p).fit(X)
    distances, found = made.kneighbors(points)
    right, which = wanted.kneighbors(points.astype(np.float64))
    tight = 1e-7 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(distances, right, rtol=tight, atol=tight)
    if dtype == np.float64:
        np.testing.assert_array_equal(found, which)
    if k < 103:
        np.testing.assert_allclose(made.kneighbors()[0], wanted.kneighbors()[0], rtol=tight, atol=tight)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_sparse_rows(metric):
    X, points = (sparse.csr_matrix(each * (each > 0)) for each in rows())
    made, wanted = (m(metric=metric).fit(X) for m in (NearestNeighbors, reference.NearestNeighbors))
    np.testing.assert_allclose(made.kneighbors(points)[0], wanted.kneighbors(points)[0], atol=1e-7)
    np.testing.assert_array_equal(made.kneighbors(points)[1], wanted.kneighbors(points)[1])
    with pytest.raises(ValueError, match="not valid for sparse"):
        NearestNeighbors(metric="chebyshev").fit(X)


def test_the_first_of_the_same():
    X = np.repeat(np.arange(4.0), 30)[:, None]
    np.testing.assert_array_equal(NearestNeighbors(n_neighbors=3).fit(X).kneighbors([[1.0]])[1], [[30, 31, 32]])
    assert not np.any(NearestNeighbors(n_neighbors=3).fit(X).kneighbors()[1] == np.arange(120)[:, None])


@pytest.mark.parametrize("own", [False, True])
def test_within_a_radius(own):
    X, points = rows()
    points = None if own else points
    made, wanted = (m(radius=2.5).fit(X) for m in (NearestNeighbors, reference.NearestNeighbors))
    for ours, theirs in zip(
        made.radius_neighbors(points, sort_results=True),
        wanted.radius_neighbors(points, sort_results=True),
        strict=True,
    ):
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other)
    for mode in ("connectivity", "distance"):
        for name in ("kneighbors_graph", "radius_neighbors_graph"):
            graphs = [getattr(m, name)(points, mode=mode).toarray() for m in (made, wanted)]
            np.testing.assert_allclose(*graphs, atol=1e-12)


def gaussian(distances):
    return np.exp(-(distances**2))


@pytest.mark.parametrize("weights", ["uniform", "distance", gaussian])
@pytest.mark.parametrize("outputs", [1, 2])
def test_votes(outputs, weights):
    X, points = rows()
    points = np.vstack([points, X[:5]])
    random = np.random.default_rng(1)
    classes = np.array(["a", "b", "c"])[random.integers(0, 3, (103, outputs))].squeeze()
    values = random.normal(size=(103, outputs)).squeeze()
    made, wanted = (m.KNeighborsClassifier(4, weights=weights).fit(X, classes) for m in (_ours, reference))
    np.testing.assert_array_equal(made.predict(points), wanted.predict(points))
    np.testing.assert_allclose(made.predict_proba(points), wanted.predict_proba(points), atol=1e-7)
    made, wanted = (m.KNeighborsRegressor(4, weights=weights).fit(X, values) for m in (_ours, reference))
    np.testing.assert_allclose(made.predict(points), wanted.predict(points), atol=1e-7)


class _ours:
    KNeighborsClassifier, KNeighborsRegressor = KNeighborsClassifier, KNeighborsRegressor


def test_copies_and_files(tmp_path):
    X, points = rows()
    model = KNeighborsClassifier().fit(X, X[:, 0] > 0)
    model.save(tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(model)), KNeighborsClassifier().load(tmp_path / "model")):
        np.testing.assert_array_equal(other.predict(points), model.predict(points))


def test_bad_parameters():
    X, points = rows()
    with pytest.raises(NotImplementedError, match="brute"):
        NearestNeighbors(algorithm="kd_tree").fit(X)
    with pytest.raises(ValueError, match="metric"):
        NearestNeighbors(metric="haversine").fit(X)
    with pytest.raises(ValueError, match="n_neighbors <= n_samples_fit"):
        NearestNeighbors().fit(X).kneighbors(points, 104)
    with pytest.raises(ValueError, match="sort_results"):
        NearestNeighbors().fit(X).radius_neighbors(points, return_distance=False, sort_results=True)


def test_ranks():
    code = """
    import numpy as np
    from frovedis_lite.engine.session import current
    from frovedis_lite.mllib.neighbors import KNeighborsClassifier, NearestNeighbors
    random = np.random.default_rng(0)
    X, points = np.round(random.normal(size=(31, 3))), random.normal(size=(5, 3))
    model = NearestNeighbors(n_neighbors=12).fit(X)
    made = [*model.kneighbors(points), *model.kneighbors()]
    made += [NearestNeighbors(n_neighbors=3, metric="cosine").fit(points).kneighbors()[1]]
    made += [model.radius_neighbors_graph(points, 1.5).toarray(), KNeighborsClassifier().fit(X, X[:, 0] > 0).predict(X)]
    if current().comm.rank == 0:
        for each in made:
            print(*np.round(each.ravel() * 1.0, 9))
    """
    one, two, four = (on_ranks(size, code) for size in (1, 2, 4))
    assert one == two == four


@pytest.mark.parametrize("make", [FrovedisRowmajorMatrix, lambda X: FrovedisCRSMatrix(sparse.csr_matrix(X))])
def test_rows_on_the_ranks(make):
    X, points = rows()
    made, wanted = (NearestNeighbors().fit(each) for each in (make(X), X))
    for mine, other in ((make(points), points), (points, points), (None, None)):
        np.testing.assert_allclose(made.kneighbors(mine)[0], wanted.kneighbors(other)[0], atol=1e-7)
