"""k-means against scikit-learn's."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import cluster as reference
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib.cluster import KMeans, MiniBatchKMeans


@parametrize_with_checks([KMeans(), MiniBatchKMeans()])
def test_scikit_learn(estimator, check):
    check(estimator)


def rows(dtype=np.float64, columns=7, centers=6):
    X, _ = make_blobs(500, columns, centers=centers, cluster_std=3.0, random_state=1)
    return (X + 20).astype(dtype), np.random.default_rng(0).random(500)


def first_rows(X, count, random_state=None):
    return X[:count].toarray() if sparse.issparse(X) else X[:count].copy()


EVERY_START = [
    KMeans(6, random_state=0),
    KMeans(6, init="random", n_init=3, random_state=0),
    KMeans(60, random_state=0),
    KMeans(3, init=[[-1e4] * 7, [0] * 7, [1e4] * 7]),  # two clusters are empty
    MiniBatchKMeans(6, random_state=0, batch_size=64),
    MiniBatchKMeans(6, init="random", random_state=0, batch_size=64, reassignment_ratio=0.5, tol=1e-3),
]


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("model", EVERY_START, ids=str)
def test_weights_are_repetitions(model, make):
    X, _ = rows()
    random = np.random.default_rng(0)
    times = random.integers(0, 4, 500)
    order = random.permutation(times.sum())
    whole = clone(model).fit(make(X.repeat(times, axis=0)[order]))
    halves = clone(model).fit(make(np.vstack([X, X])), sample_weight=np.tile(times / 2, 2))
    order = random.permutation(500)
    weighted = clone(model).fit(make(X[order]), sample_weight=times[order])
    for other in (whole, halves):
        assert weighted.n_iter_ == other.n_iter_
        np.testing.assert_allclose(weighted.inertia_, other.inertia_, rtol=1e-9)
        np.testing.assert_allclose(weighted.cluster_centers_, other.cluster_centers_, rtol=1e-9)


@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_rows_without_weight_are_no_centroids(kind, init):
    X, weight = np.arange(40.0)[:, None], np.repeat([0.0, 1.0], 20)
    for seed in range(5):
        found = np.sort(kind(20, init=init, random_state=seed).fit(X, sample_weight=weight).cluster_centers_.ravel())
        assert found[0] >= 20
        if kind is KMeans:  # mini-batches move them
            np.testing.assert_allclose(found, np.arange(20.0, 40.0))
    few = kind(25, init=init, random_state=0).fit(X, sample_weight=weight)  # there are 20
    assert few.cluster_centers_.min() >= 20


@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
def test_weights_below_zero(kind):
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        kind(2).fit(np.eye(3), sample_weight=[1, 1, -1])


@pytest.mark.parametrize("init", ["k-means++", "random"])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_starts_are_as_good(init, make):
    X, weight = rows()
    found = np.zeros((2, 12))
    for (which, seed), _ in np.ndenumerate(found):
        model = [KMeans, reference.KMeans][which](6, init=init, n_init=1, random_state=seed)
        found[which, seed] = model.fit(make(X), sample_weight=weight).inertia_
    assert np.median(found[0]) < 1.1 * np.median(found[1])
    np.testing.assert_allclose(found[0].min(), found[1].min(), rtol=0.02)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("init", ["array", "function"])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_the_same_clusters(make, init, weighted):
    X, weight = rows()
    X = make(X * (np.random.default_rng(2).random(X.shape) < 0.7)) if make is not np.asarray else X
    init = {"array": first_rows(X, 6), "function": first_rows}[init]
    made, wanted = (
        kind(6, init=init, n_init=1, tol=0).fit(X, sample_weight=weight if weighted else None)
        for kind in (KMeans, reference.KMeans)
    )
    np.testing.assert_array_equal(made.labels_, wanted.labels_)
    np.testing.assert_allclose(made.cluster_centers_, wanted.cluster_centers_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(made.inertia_, wanted.inertia_, rtol=1e-9)
    assert made.n_iter_ == wanted.n_iter_
    np.testing.assert_array_equal(made.predict(X), made.labels_)
    np.testing.assert_allclose(made.transform(X), wanted.transform(X), rtol=1e-6)
    np.testing.assert_allclose(made.score(X), wanted.score(X), rtol=1e-9)


@pytest.mark.parametrize("columns", [1, 8, 33])
@pytest.mark.parametrize("centers", [1, 5, 21])
def test_float32(columns, centers):
    X, _ = rows(np.float32, columns, centers)
    made = KMeans(centers, random_state=0).fit(X)
    assert made.cluster_centers_.dtype == made.transform(X).dtype == np.float32
    wide = X.astype(np.float64)
    distances = np.square(wide[:, None] - made.cluster_centers_.astype(np.float64)).sum(-1)
    np.testing.assert_allclose(made.inertia_, distances.min(1).sum(), rtol=1e-4)
    np.testing.assert_allclose(distances[np.arange(500), made.labels_], distances.min(1), rtol=1e-3, atol=1e-3)


def test_far_from_zero():
    X, _ = rows()
    near, far = (KMeans(6, init=Y[:6]).fit(Y) for Y in (X, X + 1e6))
    np.testing.assert_array_equal(near.labels_, far.labels_)


def test_empty_clusters_begin_anew():
    X, _ = rows()
    init = np.vstack([X[:4], np.full((1, 7), 1e4)])
    made, wanted = (kind(5, init=init, n_init=1).fit(X) for kind in (KMeans, reference.KMeans))
    np.testing.assert_allclose(made.inertia_, wanted.inertia_, rtol=1e-9)
    assert len(np.unique(made.labels_)) == 5


def test_fewer_different_rows():
    with pytest.warns(ConvergenceWarning, match="distinct clusters"):
        KMeans(3, random_state=0).fit(np.repeat([[0.0], [1.0]], 5, axis=0))


def test_bad_parameters():
    X, _ = rows()
    with pytest.raises(NotImplementedError, match="elkan"):
        KMeans(algorithm="elkan").fit(X)
    with pytest.raises(ValueError, match="n_samples=2 should be >= n_clusters=8"):
        KMeans().fit(X[:2])
    with pytest.raises(ValueError, match="does not match the number of clusters"):
        KMeans(init=X[:2]).fit(X)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_mini_batches(make):
    X, y = make_blobs(3000, 5, centers=4, random_state=0)
    model = MiniBatchKMeans(4, random_state=0, batch_size=256).fit(make(X))
    assert adjusted_rand_score(y, model.labels_) > 0.95
    assert model.inertia_ < 1.05 * KMeans(4, random_state=0).fit(X).inertia_
    steps = MiniBatchKMeans(4, random_state=0)
    for first in range(0, 3000, 300):
        steps.partial_fit(make(X[first : first + 300]))
    assert adjusted_rand_score(y, steps.predict(make(X))) > 0.9


def test_saved(tmp_path):
    X, _ = rows()
    model = KMeans(3, random_state=0).fit(X)
    model.save(tmp_path / "kmeans")
    np.testing.assert_array_equal(KMeans().load(tmp_path / "kmeans").predict(X), model.labels_)


def test_ranks():
    code = """
    import numpy as np
    from scipy import sparse
    from sklearn.datasets import make_blobs
    from frovedis_lite.engine.session import current
    from frovedis_lite.mllib.cluster import KMeans, MiniBatchKMeans
    X, _ = make_blobs(301, 4, centers=5, cluster_std=3, random_state=0)
    Z = sparse.csr_matrix(X * (X > 0))
    w = np.random.default_rng(0).random(301)
    far = np.vstack([X[:4], np.full((1, 4), 1e4)])  # a cluster that is empty
    models = [KMeans(5, random_state=0).fit(X, sample_weight=w), KMeans(5, init=far).fit(X)]
    models += [KMeans(5, random_state=0).fit(Z)]
    models += [KMeans(5, init="random", n_init=3, random_state=1).fit(X), MiniBatchKMeans(5, random_state=0).fit(X)]
    models += [MiniBatchKMeans(5, random_state=0).partial_fit(X)]
    many = {"X": np.vstack([X, X[::-1]]), "sample_weight": np.append(w, 3 * w)}  # equal rows on different ranks
    far = np.full((4, 4), 1e4) + np.arange(4)[:, None]  # three clusters are empty
    models += [kind(4, random_state=2, max_iter=10).fit(**many) for kind in (KMeans, MiniBatchKMeans)]
    models += [KMeans(4, init=far).fit(**many), KMeans(9, init="random", random_state=0).fit(**many)]
    models += [MiniBatchKMeans(4, random_state=2, init="random").partial_fit(**many)]
    models += [kind(2, random_state=0).fit(X[:3]) for kind in (KMeans, MiniBatchKMeans)]  # a rank has no row
    if current().comm.rank == 0:
        for model in models:
            print(*np.round(model.cluster_centers_.ravel(), 8) + 0.0, round(model.inertia_, 7), model.labels_.sum())
    """
    one, two, four = (on_ranks(size, code) for size in (1, 2, 4))
    assert one == two == four
