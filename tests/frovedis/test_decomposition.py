"""PCA and TruncatedSVD against scikit-learn's."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import decomposition as reference
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib.decomposition import PCA, TruncatedSVD
from frovedis_lite.mllib.decomposition.lanczos import largest


@parametrize_with_checks([PCA(), TruncatedSVD(), TruncatedSVD(1, algorithm="arpack")])
def test_scikit_learn(estimator, check):
    check(estimator)


def rows(n=200, columns=12, dtype=np.float64):
    random = np.random.default_rng(0)
    scales = 2.0 ** -np.arange(columns)
    mixed = np.linalg.qr(random.normal(size=(columns, columns)))[0]
    return (random.normal(size=(n, columns)) * scales @ mixed + 3).astype(dtype)


def sparse_rows(dtype=np.float64):
    X = sparse.random_array((300, 40), density=0.2, rng=np.random.default_rng(1), format="csr", dtype=np.float64)
    return sparse.csr_matrix(X * np.linspace(0.1, 3, 40)).astype(dtype)


PCA_ATTRIBUTES = (
    "components_ explained_variance_ explained_variance_ratio_ singular_values_ mean_ noise_variance_ n_components_"
)
SVD_ATTRIBUTES = "components_ explained_variance_ explained_variance_ratio_ singular_values_"


def assert_same(made, wanted, names, tight):
    for name in names.split():
        np.testing.assert_allclose(getattr(made, name), getattr(wanted, name), rtol=tight, atol=tight, err_msg=name)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("n_components", [None, 3, 0.95, "mle", 0])
@pytest.mark.parametrize("solver", ["auto", "full", "covariance_eigh", "arpack", "randomized"])
def test_pca(solver, n_components, whiten):
    if n_components in (0.95, "mle", 0, None) and solver in ("arpack", "randomized"):
        pytest.skip("a number alone")
    if n_components == 0 and whiten:
        pytest.skip("nothing to divide")
    X = rows()
    made, wanted = (
        module(n_components, svd_solver=solver, whiten=whiten, random_state=0).fit(X) for module in (PCA, reference.PCA)
    )
    tight = 1e-5 if solver == "randomized" else 1e-8
    assert_same(made, wanted, PCA_ATTRIBUTES, tight)
    loose = 100 * tight if whiten else tight  # small deviations have lost digits in scikit-learn's X^T X
    np.testing.assert_allclose(made.transform(X), wanted.transform(X), rtol=loose, atol=loose)
    wanted.whiten = False  # scikit-learn's model of whitened data has variances squared
    np.testing.assert_allclose(made.get_covariance(), wanted.get_covariance(), rtol=tight, atol=tight)
    np.testing.assert_allclose(made.score(X), wanted.score(X), rtol=max(tight, 1e-6))
    wanted.whiten = whiten
    if n_components != 0:
        back, right = (model.inverse_transform(model.transform(X)) for model in (made, wanted))
        np.testing.assert_allclose(back, right, rtol=loose, atol=loose)


@pytest.mark.parametrize("solver", ["arpack", "covariance_eigh"])
def test_pca_of_sparse_rows(solver):
    X = sparse_rows()
    made, wanted = (module(4, svd_solver=solver, random_state=0).fit(X) for module in (PCA, reference.PCA))
    assert_same(made, wanted, PCA_ATTRIBUTES, 1e-8)
    np.testing.assert_allclose(made.transform(X), wanted.transform(X), atol=1e-8)


def test_pca_of_wide_rows():
    X = rows(8)
    for k in (5, 7):
        assert_same(PCA(k, svd_solver="full").fit(X), reference.PCA(k, svd_solver="full").fit(X), SVD_ATTRIBUTES, 1e-7)
    assert PCA(svd_solver="full").fit(X).components_.shape == (8, 12)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("algorithm", ["arpack", "randomized"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_truncated(dtype, algorithm, make):
    X = sparse_rows(dtype)
    X = X.toarray() if make is np.asarray else X
    made, wanted = (
        module(4, algorithm=algorithm, random_state=0, n_iter=10) for module in (TruncatedSVD, reference.TruncatedSVD)
    )
    projected, right = made.fit_transform(X), wanted.fit_transform(X)
    tight = {np.float64: 1e-7, np.float32: 2e-3}[dtype]
    assert projected.dtype == made.components_.dtype == dtype
    assert_same(made, wanted, SVD_ATTRIBUTES, tight)
    np.testing.assert_allclose(projected, right, rtol=tight, atol=tight)
    np.testing.assert_allclose(made.transform(X), projected, rtol=tight, atol=tight)
    np.testing.assert_allclose(made.inverse_transform(projected), wanted.inverse_transform(right), atol=tight)


@pytest.mark.parametrize("rank", [2, 3, 50])
def test_block_lanczos(rank):
    random = np.random.default_rng(0)
    V = np.linalg.qr(random.normal(size=(300, rank)))[0]
    wanted = np.sort(random.random(rank))[-3:]
    values = np.concatenate([np.zeros(3), wanted])[-3:]
    spectrum = np.sort(np.append(np.linspace(0, wanted[0] * 0.9, rank)[: max(rank - 3, 0)], wanted))
    found, vectors = largest(lambda Q: V @ (spectrum[:, None] * (V.T @ Q)), random.normal(size=(300, 4)), 3, 1e-14)
    np.testing.assert_allclose(found, values, atol=1e-12)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-12)


def test_wide_sparse_rows():
    X = sparse.csr_matrix(sparse.random_array((400, 300), density=0.1, rng=np.random.default_rng(0), dtype=np.float64))
    made, wanted = (m(5, algorithm="arpack").fit(X) for m in (TruncatedSVD, reference.TruncatedSVD))
    assert_same(made, wanted, SVD_ATTRIBUTES, 1e-9)
    made, wanted = (m(5, svd_solver="arpack").fit(X) for m in (PCA, reference.PCA))
    assert_same(made, wanted, PCA_ATTRIBUTES, 1e-9)
    single = TruncatedSVD(5, algorithm="arpack").fit(X.astype(np.float32)).singular_values_
    np.testing.assert_allclose(single, TruncatedSVD(5, algorithm="arpack").fit(X).singular_values_, rtol=1e-5)


def test_rows_of_low_rank():
    X = np.outer(np.arange(30.0), np.ones(6))
    model = TruncatedSVD(3, random_state=0).fit(X)
    np.testing.assert_allclose(model.singular_values_, [np.linalg.norm(X), 0, 0], atol=1e-6)
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        (TruncatedSVD(13), ValueError, "n_features"),
        (TruncatedSVD(12, algorithm="arpack"), ValueError, "less than"),
        (TruncatedSVD(power_iteration_normalizer="LU"), NotImplementedError, "QR"),
        (PCA(13), ValueError, "must be between 0"),
        (PCA(0.5, svd_solver="arpack"), ValueError, "must be between 1"),
        (PCA("mle", svd_solver="randomized"), ValueError, "cannot be a string"),
        (PCA(svd_solver="none"), ValueError, "svd_solver"),
    ],
)
def test_bad_parameters(model, error, says):
    with pytest.raises(error, match=says):
        model.fit(rows())


def test_sparse_rows_need_their_solvers():
    with pytest.raises(TypeError, match="See TruncatedSVD"):
        PCA(2, svd_solver="full").fit(sparse_rows())


def test_ranks():
    code = """
    import numpy as np
    from scipy import sparse
    from frovedis_lite.engine.session import current
    from frovedis_lite.mllib.decomposition import PCA, TruncatedSVD
    random = np.random.default_rng(0)
    X = random.normal(size=(141, 105)) * np.arange(1, 106) ** 0.2
    Z = sparse.csr_matrix(X * (X > 0))
    models = [PCA(3, svd_solver=s, random_state=0) for s in ("full", "covariance_eigh", "arpack", "randomized")]
    models += [TruncatedSVD(3, algorithm=a, random_state=0) for a in ("arpack", "randomized")]
    for i, model in enumerate(models):
        made = model.fit_transform(X if i < 4 else Z)
        if current().comm.rank == 0:
            said = *model.components_.ravel(), *model.explained_variance_ratio_, *np.abs(made).sum(0)
            print(*np.round(said, 6) + 0.0)
    few = [PCA(2).fit(X[:3]), TruncatedSVD(2, random_state=0).fit(Z[:3])]  # a rank has no row
    if current().comm.rank == 0:
        print(*(round(float(model.explained_variance_.sum()), 6) for model in few))
    """
    one, two, four = (on_ranks(size, code) for size in (1, 2, 4))
    assert one == two == four
