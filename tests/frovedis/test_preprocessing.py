"""StandardScaler against scikit-learn's."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import preprocessing as reference
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib.preprocessing import StandardScaler


@parametrize_with_checks([StandardScaler()])
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_agrees(dtype, weighted, make):
    random = np.random.default_rng(0)
    X = random.normal(3, 2, (200, 6)) * (random.random((200, 6)) < 0.7)
    X[:, 2] = 5
    X[3, 1] = X[7, 1] = np.nan
    X = make(X.astype(dtype))
    weight = random.random(200) if weighted else None
    ours, theirs = (kind(with_mean=not sparse.issparse(X)) for kind in (StandardScaler, reference.StandardScaler))
    for part in (slice(0, 50), slice(50, 200)):
        w = None if weight is None else weight[part]
        ours.partial_fit(X[part], sample_weight=w)
        theirs.partial_fit(X[part].astype(np.float64), sample_weight=w)
    tight = 1e-12 if dtype == np.float64 else 1e-5
    for name in ("mean_", "var_", "scale_", "n_samples_seen_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=tight, atol=tight, err_msg=name)
    made, wanted = (s.transform(X) for s in (ours, theirs))
    assert made.dtype == dtype
    back = ours.inverse_transform(made)
    if sparse.issparse(X):
        made, wanted, back, X = (m.toarray() for m in (made, wanted, back, X))
    np.testing.assert_allclose(made, wanted, rtol=10 * tight, atol=10 * tight)
    np.testing.assert_allclose(back, X, rtol=10 * tight, atol=10 * tight)


def test_far_from_zero():
    X = np.random.default_rng(1).normal(size=(1000, 3)) + 1e9
    np.testing.assert_allclose(StandardScaler().fit(X).var_, np.var(X - 1e9, axis=0), rtol=1e-6)


def test_sparse_is_not_centred():
    with pytest.raises(ValueError, match="Cannot center sparse"):
        StandardScaler().fit(sparse.eye_array(3, format="csr"))


def test_saved(tmp_path):
    X = np.arange(12.0).reshape(4, 3)
    StandardScaler().fit(X).save(tmp_path / "scaler")
    np.testing.assert_array_equal(StandardScaler().load(tmp_path / "scaler").mean_, X.mean(0))


def test_ranks():
    code = """
    import numpy as np
    from frovedis_lite.engine.session import current
    from frovedis_lite.mllib.preprocessing import StandardScaler
    X = np.random.default_rng(0).normal(2, 3, (101, 4))
    scaler = StandardScaler().fit(X, sample_weight=np.arange(101.0))
    if getattr(getattr(current(), "comm", None), "rank", 0) == 0:
        print(*np.round(np.concatenate([scaler.mean_, scaler.var_]), 10))
    """
    one, two, four = (on_ranks(size, code) for size in (1, 2, 4))
    assert one == two == four


@pytest.mark.parametrize("wrong", [-1, 3])
def test_column_indices_that_do_not_exist(wrong):
    X = sparse.csr_matrix(np.eye(3))
    X.indices[1] = wrong
    with pytest.raises(ValueError, match="outside of its 3 columns"):
        StandardScaler(with_mean=False).fit(X)
