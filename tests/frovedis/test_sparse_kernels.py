"""Products of sparse matrices of one process, in all formats, against SciPy in float64."""

import numpy as np
import pytest
from scipy import sparse

from frovedis_lite.matrix import products
from frovedis_lite.matrix.formats import ELL, JDS, JDSCRSHybrid
from frovedis_lite.native import threads

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-13}
SHAPES = [(1, 1), (7, 3), (700, 90), (1300, 5), (5, 0), (0, 5), (40, 2000)]


def matrix(rows, columns, dtype=np.float64, seed=0, density=0.1):
    """Rows of very different lengths, some of them empty."""
    rng = np.random.default_rng(seed)
    A = sparse.random(rows, columns, density, "csr", rng=rng, dtype=np.float64)
    A.data -= 0.5
    if rows > 3:
        A = sparse.diags_array((np.arange(rows) % 5 != 0).astype(float)) @ A
        A = sparse.vstack([A[1:], sparse.csr_matrix(rng.normal(size=(1, columns)))])
    A = sparse.csr_matrix(A)
    A.eliminate_zeros()
    return A.astype(dtype)


def close(made, expected, dtype):
    assert made.dtype == dtype
    scale = max(1, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(made, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.fixture(params=[1, 3])
def used(request, monkeypatch):
    """So many threads."""
    monkeypatch.setattr(products, "threads", lambda: request.param)
    return request.param


@pytest.mark.parametrize("pointers", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_csr(shape, dtype, pointers, used):
    A = matrix(*shape, dtype)
    exact = A.astype(np.float64)
    A.indptr = A.indptr.astype(pointers)
    rng = np.random.default_rng(1)
    for width in [None, 0, 1, 2, 7, 16, 63]:
        tail = () if width is None else (width,)
        x, u = rng.normal(size=(shape[1], *tail)).astype(dtype), rng.normal(size=(shape[0], *tail)).astype(dtype)
        close(products.times(A, x), exact @ x.astype(np.float64), dtype)
        close(products.transposed_times(A, u), exact.T @ u.astype(np.float64), dtype)
        close(products.gram_times(A, x), exact.T @ (exact @ x.astype(np.float64)), dtype)
        weights = rng.random(shape[0]).astype(dtype)
        weighted = sparse.diags_array(weights.astype(np.float64)) @ (exact @ x.astype(np.float64))
        close(products.gram_times(A, x, weights), exact.T @ weighted, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [ELL, JDS, JDSCRSHybrid])
def test_formats(kind, shape, dtype):
    A = matrix(*shape, dtype)
    made = kind.from_csr(A)
    back = made.to_csr()
    assert back.dtype == dtype
    assert back.shape == A.shape
    assert (back != A).nnz == 0
    back.check_format(full_check=True)
    for tail in [(), (3,)]:
        x = np.random.default_rng(1).normal(size=(shape[1], *tail)).astype(dtype)
        close(made.dot(x), A.astype(np.float64) @ x.astype(np.float64), dtype)


@pytest.mark.parametrize("least", [1, 10, 100, 10**6])
def test_hybrid_splits(least):
    A = matrix(700, 90)
    made = JDSCRSHybrid.from_csr(A, least)
    assert all(np.diff(made.starts) >= least)
    assert len(made.value) + made.rest.nnz == A.nnz
    assert (made.rest.nnz == 0) == (least == 1)
    x = np.arange(90.0)
    np.testing.assert_allclose(made.dot(x), A @ x, atol=1e-11)


@pytest.mark.parametrize("kind", [ELL, JDS, JDSCRSHybrid])
def test_padding_does_not_spread_what_is_not_finite(kind):
    A = sparse.csr_matrix(np.array([[0.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, np.nan, 0]]))
    x = np.array([np.inf, 1, 2])
    np.testing.assert_array_equal(kind.from_csr(A).dot(x), [3, 0, np.inf, np.nan])
    np.testing.assert_array_equal(products.times(A, x), [3, 0, np.inf, np.nan])


def test_sizes_that_do_not_fit():
    A = matrix(7, 3)
    for product, wrong in [(products.times, 7), (products.transposed_times, 3), (products.gram_times, 7)]:
        with pytest.raises(ValueError, match=r"\(7, 3\).*rows"):
            product(A, np.ones(wrong))
        with pytest.raises(ValueError, match="shape"):
            product(A, np.ones((wrong, 1, 1)))
    with pytest.raises(ValueError, match=r"\(7, 3\) needs 3"):
        ELL.from_csr(A).dot(np.ones(7))


def test_same_bits_again(used):
    A = matrix(3000, 40)
    u = np.random.default_rng(0).normal(size=3000)
    first = products.transposed_times(A, u)
    assert all((products.transposed_times(A, u) == first).all() for _ in range(20))


def test_sums_of_many_columns_take_fewer_threads(monkeypatch):
    monkeypatch.setattr(products, "threads", lambda: 4)
    monkeypatch.setattr(products, "MOST_SUMS", 8 * 90 * 2)
    A = matrix(700, 90)
    assert products._threads_for(90) == 2
    close(products.transposed_times(A, np.ones(700)), A.T @ np.ones(700), np.float64)


def test_uses_the_threads_of_this_process():
    assert products.threads is threads
