"""Sparse matrices on the ranks: formats, products, files, errors."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse

from frovedis_lite.errors import ReleasedError
from frovedis_lite.matrix.ccs import FrovedisCCSMatrix
from frovedis_lite.matrix.crs import FrovedisCRSMatrix
from frovedis_lite.matrix.dense import FrovedisColmajorMatrix, FrovedisRowmajorMatrix
from frovedis_lite.matrix.dvector import FrovedisDvector
from frovedis_lite.matrix.ell import FrovedisELLMatrix
from frovedis_lite.matrix.jds import FrovedisJDSCRSHybridMatrix, FrovedisJDSMatrix

KINDS = [FrovedisCRSMatrix, FrovedisCCSMatrix, FrovedisELLMatrix, FrovedisJDSMatrix, FrovedisJDSCRSHybridMatrix]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def matrix(rows=70, columns=40, dtype=np.float64):
    return sparse.random(rows, columns, 0.2, "csr", rng=np.random.default_rng(rows), dtype=np.float64).astype(dtype)


def same(made, expected):
    assert made.shape == expected.shape
    assert made.dtype == expected.dtype
    assert (made != expected).nnz == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_there_and_back(kind, dtype):
    A = matrix(dtype=dtype)
    made = kind(A)
    assert (made.shape, made.dtype, made.nnz) == (A.shape, dtype, A.nnz)
    same(made.to_scipy_matrix(), A)
    for other in KINDS:
        same(other(made).to_scipy_matrix(), A)
    same(made.T.to_scipy_matrix(), A.T)
    same(sparse.vstack(made.session.gather(made.parts)), A)
    np.testing.assert_array_equal(made.to_frovedis_rowmajor_matrix().to_numpy_array(), A.toarray())
    np.testing.assert_array_equal(made.to_frovedis_colmajor_matrix().to_numpy_array(), A.toarray())


def test_conversions():
    A = matrix()
    made = FrovedisCRSMatrix(A)
    for other in (made.to_ccs(), made.to_ell(), made.to_jds(), made.to_jds_crs_hybrid()):
        same(other.to_scipy_matrix(), A)
        same(other.to_crs().to_scipy_matrix(), A)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dot(kind, dtype):
    A = matrix(dtype=dtype)
    made, exact, tolerance = kind(A), A.astype(np.float64), 1e-5 if dtype == np.float32 else 1e-13
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(dtype)
    for operand in (x[:, 0], x, x.tolist()):
        y = made.dot(operand)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, exact @ np.asarray(operand, np.float64), atol=tolerance)
    for layout in (FrovedisRowmajorMatrix, FrovedisColmajorMatrix):
        y = made.dot(layout(x))
        assert type(y) is FrovedisRowmajorMatrix
        np.testing.assert_allclose(y.to_numpy_array(), exact @ x.astype(np.float64), atol=tolerance)
    for other in (A.T, kind(A.T)):
        y = made @ other
        assert type(y) is FrovedisCRSMatrix
        np.testing.assert_allclose(y.to_numpy_array(), (exact @ exact.T).toarray(), atol=tolerance)


def test_dot_with_a_vector_of_ours(kind):
    made = kind(matrix()).dot(FrovedisDvector(np.arange(40.0)))
    assert isinstance(made, FrovedisDvector)
    np.testing.assert_allclose(made.to_numpy_array(), matrix() @ np.arange(40.0))


def test_all_finite(kind):
    A = matrix()
    assert kind(A).all_finite()
    A.data[5] = np.finfo(float).max
    A.data[7] = np.finfo(float).max
    assert kind(A).all_finite()
    A.data[7] = np.nan
    assert not kind(A).all_finite()
    assert not FrovedisColmajorMatrix([[1, np.inf]]).all_finite()
    assert FrovedisColmajorMatrix([[1, 2]]).all_finite()


def test_sizes_that_do_not_fit(kind):
    made = kind(matrix())
    for wrong in (np.ones(3), np.ones((3, 2)), np.ones((40, 1, 1)), FrovedisRowmajorMatrix(np.ones((3, 2))), matrix(3)):
        with pytest.raises(ValueError, match=r"\(70, 40\)"):
            made.dot(wrong)


def test_not_canonical():
    """Indices out of order, and places twice, are put right in a copy."""
    data, index, starts = np.array([1.0, 2, 3, 4]), np.array([2, 0, 0, 1]), np.array([0, 3, 4])
    A = sparse.csr_matrix((data, index, starts), (2, 3))
    made = FrovedisCRSMatrix(A).to_scipy_matrix()
    assert made.has_canonical_format
    np.testing.assert_array_equal(made.toarray(), [[5, 0, 1], [0, 4, 0]])
    np.testing.assert_array_equal(A.indices, [2, 0, 0, 1])
    coo = sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), (1, 2))
    np.testing.assert_array_equal(FrovedisCRSMatrix(coo).to_numpy_array(), [[0, 3]])


@pytest.mark.parametrize("wrong", [7, -1])
def test_indices_outside(kind, wrong):
    A = matrix()
    A.indices[3] = 39 + wrong if wrong > 0 else wrong
    with pytest.raises(ValueError, match="ind"):
        kind(A)


def test_types():
    assert FrovedisCRSMatrix(np.eye(3, dtype=int)).dtype == np.float64
    assert FrovedisCRSMatrix(matrix(), np.float32).dtype == np.float32
    made = FrovedisCRSMatrix(matrix(), itype=np.int64)
    assert made.get_itype() == made.session.gather(made.parts)[0].indices.dtype == np.int64
    np.testing.assert_allclose(made.dot(np.ones(40)), matrix() @ np.ones(40))
    for wrong in (np.int64, complex):
        with pytest.raises(TypeError, match="float32 or float64"):
            FrovedisCRSMatrix(dtype=wrong)
    with pytest.raises(TypeError, match="int32 or int64"):
        FrovedisCRSMatrix(itype=np.int16)
    with pytest.raises(TypeError, match="real numbers"):
        FrovedisCRSMatrix(sparse.eye(3, dtype=complex))
    with pytest.raises(ValueError, match="two dimensions"):
        FrovedisCRSMatrix(np.ones((1, 1, 1)))
    with pytest.raises(ValueError, match="2\\^31"):
        FrovedisCRSMatrix(sparse.csr_matrix((1, 2**31)))


def test_release(kind):
    with kind(matrix()) as made:
        assert made.is_loaded()
    assert made.nnz == 0
    with pytest.raises(ReleasedError, match="empty"):
        made.dot(np.ones(40))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_files(kind, dtype, tmp_path):
    A = matrix(dtype=dtype)
    A.data[:2] = np.nan, np.inf
    A.data[A.indptr[5] : A.indptr[6]] = 0
    A.eliminate_zeros()
    made = kind(A)
    made.save(tmp_path / "a.txt")
    for again in (kind().load_text(tmp_path / "a.txt", dtype, 40), made):
        np.testing.assert_array_equal(again.to_numpy_array(), A.toarray())
    made.save_binary(tmp_path / "a")
    made.save_binary(tmp_path / "a")
    again = kind().load_binary(tmp_path / "a")
    assert again.dtype == dtype
    np.testing.assert_array_equal(again.to_numpy_array(), A.toarray())
    assert kind().load_binary(tmp_path / "a", np.float32).dtype == np.float32
    with pytest.raises(FileExistsError, match="no sparse matrix"):
        made.save_binary(tmp_path / "a.txt")


def test_text(tmp_path):
    path = tmp_path / "a"
    path.write_text("2:1.5 0:-1\n\n1:2e3 1:1")
    np.testing.assert_array_equal(FrovedisCRSMatrix(path).to_numpy_array(), [[-1, 0, 1.5], [0, 0, 0], [0, 2001, 0]])
    for text, message in [
        ("0:1\n3\n", "line 2: not column:value"),
        ("0:x\n", "no float64"),
        ("0.5:1\n", "whole numbers"),
        ("-1:1\n", "whole numbers"),
        ("0 :1\n", "line 1"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            FrovedisCRSMatrix(path)
    path.write_text("9:1\n")
    with pytest.raises(ValueError, match="column 9 in a matrix of 5"):
        FrovedisCRSMatrix().load_text(path, columns=5)


@pytest.mark.parametrize("size", [2, 4])
def test_ranks(size, tmp_path):
    said = on_ranks(
        size,
        f"""
        import numpy as np
        from pathlib import Path
        from scipy import sparse
        from frovedis_lite.engine.session import current
        from frovedis_lite.matrix.ccs import FrovedisCCSMatrix
        from frovedis_lite.matrix.crs import *
        from frovedis_lite.matrix.dense import FrovedisColmajorMatrix

        folder = Path({str(tmp_path)!r})
        rng = np.random.default_rng(0)
        A, x = sparse.random(53, 30, 0.2, "csr", rng=rng), rng.normal(size=(30, 4))
        kinds = FrovedisCRSMatrix, FrovedisCCSMatrix, FrovedisELLMatrix, FrovedisJDSMatrix, FrovedisJDSCRSHybridMatrix
        for kind in kinds:
            made = kind(A)
            assert made.nnz == A.nnz and (made.to_scipy_matrix() != A).nnz == 0
            assert (made.T.to_scipy_matrix() != A.T).nnz == 0
            assert (sparse.vstack(current().gather(made.parts)) != A).nnz == 0
            for y in (made.dot(x), made.dot(FrovedisColmajorMatrix(x)).to_numpy_array()):
                np.testing.assert_allclose(y, A @ x, atol=1e-13)
            np.testing.assert_allclose(made.dot(x[:, 0]), A @ x[:, 0], atol=1e-13)
            np.testing.assert_allclose(made.dot(A.T).to_numpy_array(), (A @ A.T).toarray(), atol=1e-13)
            made.save(folder / "a")
            assert (kind().load_text(folder / "a", columns=30).to_scipy_matrix() != A).nnz == 0
            made.save_binary(folder / "b")
            assert (kind().load_binary(folder / "b").to_scipy_matrix() != A).nnz == 0
        few = FrovedisCRSMatrix([[0.0, 3.0]])
        assert few.nnz == 1 and few.T.to_numpy_array().tolist() == [[0.0], [3.0]]
        if current().comm.rank == 0:
            print("done")
        """,
    )
    assert said.split() == ["done"]
