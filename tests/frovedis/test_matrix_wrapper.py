"""PBLAS, ScaLAPACK and ARPACK by Frovedis' names."""

import numpy as np
import pytest
import scipy.linalg
from ranks import on_ranks
from scipy import sparse

from frovedis_lite.matrix.crs import FrovedisCRSMatrix
from frovedis_lite.matrix.dense import FrovedisBlockcyclicMatrix, FrovedisColmajorMatrix
from frovedis_lite.matrix.wrapper import ARPACK, PBLAS, SCALAPACK


@pytest.fixture(params=[FrovedisBlockcyclicMatrix, np.array])
def kind(request):
    return request.param


def numbers(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape)


def close(made, expected):
    np.testing.assert_allclose(np.asarray(made), expected, atol=1e-10)


def test_vectors(kind):
    x, y = numbers(9, 1), numbers(1, 9).T + 1
    a, b = kind(x), kind(y)
    assert PBLAS.dot(a, b) == pytest.approx(np.sum(x * y))
    assert PBLAS.nrm2(a) == pytest.approx(np.linalg.norm(x))
    PBLAS.swap(a, b)
    close(a, y)
    close(b, x)
    PBLAS.axpy(a, b, 3)
    close(b, x + 3 * y)
    PBLAS.scal(a, -2)
    close(a, -2 * y)
    PBLAS.copy(b, a)
    close(a, x + 3 * y)
    close(PBLAS.ger(kind(x), kind(y[:4]), 2), 2 * x @ y[:4].T)


def test_norm_is_scaled():
    assert PBLAS.nrm2(np.array([3e200, 4e200])) == pytest.approx(5e200)
    assert PBLAS.nrm2(np.array([3e-200, 4e-200])) == pytest.approx(5e-200)
    assert PBLAS.nrm2(np.zeros(3)) == 0
    assert np.isnan(PBLAS.nrm2(np.array([1, np.nan])))


def test_matrices(kind):
    A, B, v = numbers(7, 5), numbers(5, 7), numbers(5, 1)
    close(PBLAS.gemv(kind(A), kind(v), al_=2), 2 * A @ v)
    close(PBLAS.gemv(kind(B), kind(v), trans=True), B.T @ v)
    close(PBLAS.gemm(kind(A), kind(B)), A @ B)
    close(PBLAS.gemm(kind(A), kind(B), True, True, 0.5), 0.5 * A.T @ B.T)
    made = kind(B)
    PBLAS.geadd(kind(A), made, True, 2, 3)
    close(made, 2 * A.T + 3 * B)
    made = kind(np.full((7, 5), np.nan))
    PBLAS.geadd(kind(A), made, be_=0)
    close(made, A)


def test_what_does_not_fit():
    with pytest.raises(TypeError, match="float64 and float32"):
        PBLAS.axpy(np.ones(2), np.ones(2, np.float32))
    for wrong in (PBLAS.axpy, PBLAS.dot, PBLAS.swap, PBLAS.geadd):
        with pytest.raises(ValueError, match="must be the same"):
            wrong(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="no product"):
        PBLAS.gemm(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="be_"):
        PBLAS.gemm(np.eye(2), np.eye(2), be_=1)
    with pytest.raises(TypeError, match="cannot be overwritten"):
        PBLAS.scal([1.0, 2.0], 2)
    fixed = np.ones(2)
    fixed.flags.writeable = False
    moving = np.zeros(2)
    with pytest.raises(TypeError, match="cannot be overwritten"):
        PBLAS.swap(moving, fixed)
    assert not moving.any()


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (150, 150)])
def test_getrf(kind, shape):
    A = numbers(*shape)
    made = kind(A)
    result = SCALAPACK.getrf(made)
    lu, pivots = scipy.linalg.lu_factor(A)
    close(made, lu)
    np.testing.assert_array_equal(result.ipiv(), pivots)
    assert result.stat() == 0


def test_solving(kind):
    A, B = numbers(150, 150), numbers(150, 3)
    factors = kind(A)
    pivots = SCALAPACK.getrf(factors).ipiv()
    for transposed in (False, True):
        right = kind(B)
        assert SCALAPACK.getrs(factors, right, pivots, transposed) == 0
        close(right, np.linalg.solve(A.T if transposed else A, B))
    assert SCALAPACK.getri(factors, pivots) == 0
    close(factors, np.linalg.inv(A))
    left, right = kind(A), kind(B)
    assert SCALAPACK.gesv(left, right) == 0
    close(right, np.linalg.solve(A, B))
    close(left, scipy.linalg.lu_factor(A)[0])


def test_singular(kind):
    A, B = np.diag([2.0, 0, 1]), np.ones((3, 1))
    left, right = kind(A), kind(B)
    assert SCALAPACK.gesv(left, right) == 2
    close(right, B)
    result = SCALAPACK.getrf(factors := kind(A))
    assert result.stat() == 2
    assert SCALAPACK.getrs(factors, right, result.ipiv()) == SCALAPACK.getri(factors, result.ipiv()) == 2


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (8, 8)])
def test_gels(shape, transposed):
    A = numbers(*shape)
    op = A.T if transposed else A
    B = numbers(len(op), 2)
    expected = np.linalg.lstsq(op, B)[0]
    right = FrovedisBlockcyclicMatrix(B)
    assert SCALAPACK.gels(A, right, transposed) == 0
    close(right, expected)
    right = np.zeros((max(shape), 2))
    right[: len(op)] = B
    SCALAPACK.gels(A, right, transposed)
    close(right[: op.shape[1]], expected)
    assert not right[op.shape[1] :].any()
    with pytest.raises(ValueError, match="rows"):
        SCALAPACK.gels(A, np.ones((3, 1)), transposed)
    with pytest.raises(np.linalg.LinAlgError, match="full rank"):
        SCALAPACK.gels(np.ones_like(A), FrovedisBlockcyclicMatrix(B), transposed)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_singular_values(kind, shape, tmp_path):
    A = numbers(*shape)
    result = SCALAPACK.gesvd(kind(A))
    U, s, V = result.to_numpy_results()
    assert isinstance(result.umat_, FrovedisColmajorMatrix)
    assert isinstance(result.vmat_, FrovedisColmajorMatrix)
    close((U * s) @ V.T, A)
    assert result.get_k() == 8
    result.save(tmp_path / "s", tmp_path / "u", tmp_path / "v")
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "s"), s)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "v"), V)
    alone = SCALAPACK.gesvd(kind(A), False, False)
    assert alone.umat_ is alone.vmat_ is None
    close(alone.singular_values_, s)
    with pytest.raises(ValueError, match="U was not computed"):
        alone.save(tmp_path / "s", tmp_path / "u")
    result.release()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("form", [FrovedisCRSMatrix, sparse.csr_matrix, np.asarray])
def test_arpack(form, turned):
    S = sparse.random(60, 30, 0.2, "csr", rng=np.random.default_rng(0)).toarray()
    S = S.T if turned else S
    U, s, V = ARPACK.compute_svd(form(S), 3).to_numpy_results()
    close(s, np.linalg.svd(S)[1][:3])
    close(S @ V, U * s)
    close(ARPACK.computeSVD(form(S), 3).singular_values_, s)
    with pytest.raises(ValueError, match="from 1 to 29"):
        ARPACK.compute_svd(form(S), 30)


def test_ranks():
    said = on_ranks(
        4,
        """
        import numpy as np
        import scipy.linalg
        from frovedis_lite.engine.session import current
        from frovedis_lite.matrix.dense import FrovedisBlockcyclicMatrix as Matrix
        from frovedis_lite.matrix.wrapper import ARPACK, PBLAS, SCALAPACK

        rng = np.random.default_rng(0)
        A, B, W = rng.normal(size=(200, 200)), rng.normal(size=(200, 3)), rng.normal(size=(150, 70))
        close = lambda made, expected: np.testing.assert_allclose(np.asarray(made), expected, atol=1e-9)
        for X in (A, W, W.T):
            factors = Matrix(X)
            result = SCALAPACK.getrf(factors)
            lu, pivots = scipy.linalg.lu_factor(X)
            close(factors, lu)
            assert (result.ipiv() == pivots).all()
            right = Matrix(np.ones((len(X), 2)))
            SCALAPACK.gels(X, right)
            close(right, np.linalg.lstsq(X, np.ones((len(X), 2)))[0])
            close(ARPACK.compute_svd(X, 2).singular_values_, np.linalg.svd(X)[1][:2])
        for transposed in (False, True):
            factors = Matrix(A)
            pivots = SCALAPACK.getrf(factors).ipiv()
            right = Matrix(B)
            SCALAPACK.getrs(factors, right, pivots, transposed)
            close(right, np.linalg.solve(A.T if transposed else A, B))
        D = np.eye(200)
        D[130, 130] = 0
        assert SCALAPACK.gesv(Matrix(D), Matrix(B)) == 131
        close(PBLAS.gemm(A, B, trans_m1=True), A.T @ B)
        close(PBLAS.dot(A, A), np.sum(A * A))
        close(PBLAS.nrm2(A), np.linalg.norm(A))
        if current().comm.rank == 0:
            print("done")
        """,
    )
    assert said.split() == ["done"]
