"""k-means against scikit-learn's."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import cluster as reference
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib.cluster import KMeans, MiniBatchKMeans

DRAWN = "starts are drawn by the numbers of rows, as in scikit-learn, whose own estimators fail this check too"
EXPECTED = {f"check_sample_weight_equivalence_on_{kind}_data": DRAWN for kind in ("dense", "sparse")}


@parametrize_with_checks([KMeans(), MiniBatchKMeans()], expected_failed_checks=lambda estimator: EXPECTED)
def test_scikit_learn(estimator, check):
    check(estimator)


def rows(dtype=np.float64, columns=7, centers=6):
    X, _ = make_blobs(500, columns, centers=centers, cluster_std=3.0, random_state=1)
    return (X + 20).astype(dtype), np.random.default_rng(0).random(500)


def first_rows(X, count, random_state=None):
    return X[:count].toarray() if sparse.issparse(X) else X[:count].copy()


def test_weights_are_repetitions():
    X, _ = rows()
    times = np.random.default_rng(0).integers(0, 4, 500)
    weighted = KMeans(6, init=X[:6]).fit(X, sample_weight=times)
    repeated = KMeans(6, init=X[:6]).fit(X.repeat(times, axis=0))
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("init", ["k-means++", "random", "array", "function"])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_the_same_clusters(make, init, weighted):
    X, weight = rows()
    X = make(X * (np.random.default_rng(2).random(X.shape) < 0.7)) if make is not np.asarray else X
    init = {"array": first_rows(X, 6), "function": first_rows}.get(init, init)
    times = 3 if isinstance(init, str) else 1
    made, wanted = (
        kind(6, init=init, n_init=times, random_state=3).fit(X, sample_weight=weight if weighted else None)
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
    near, far = (KMeans(6, random_state=0).fit(Y) for Y in (X, X + 1e6))
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
    models += [kind(2, random_state=0).fit(X[:3]) for kind in (KMeans, MiniBatchKMeans)]  # a rank has no row
    if current().comm.rank == 0:
        for model in models:
            print(*np.round(model.cluster_centers_.ravel(), 8) + 0.0, round(model.inertia_, 7), model.labels_.sum())
    """
    one, two, four = (on_ranks(size, code) for size in (1, 2, 4))
    assert one == two == four
