"""Linear algebra on the ranks against NumPy and SciPy in float64."""

import pickle

import numpy as np
import pytest
import scipy.linalg
from ranks import on_ranks
from scipy import sparse
from scipy.sparse.linalg import ArpackNoConvergence

from frovedis_lite import linalg
from frovedis_lite.matrix.crs import FrovedisCRSMatrix
from frovedis_lite.matrix.dense import FrovedisBlockcyclicMatrix, FrovedisColmajorMatrix, FrovedisRowmajorMatrix

KINDS = [np.asarray, FrovedisRowmajorMatrix, FrovedisColmajorMatrix, FrovedisBlockcyclicMatrix]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def numbers(*shape, dtype=np.float64):
    return np.random.default_rng(shape[0]).normal(size=shape).astype(dtype)


def scattered(rows=200, columns=80):
    return sparse.random(rows, columns, 0.1, "csr", rng=np.random.default_rng(0))


def array(made):
    return made if isinstance(made, np.ndarray) else made.to_numpy_array()


@pytest.mark.parametrize(
    "shapes", [((5, 3), (3, 4)), ((5, 3), (3,)), ((5,), (5, 3)), ((0, 3), (3, 2)), ((2, 0), (0, 3))]
)
def test_dot(kind, shapes):
    a, b = (numbers(*shape) for shape in shapes)
    made = linalg.dot(*(kind(x) if x.ndim == 2 else x for x in (a, b)))
    np.testing.assert_allclose(array(made), a @ b, atol=1e-13)
    both = a.ndim == b.ndim == 2
    assert isinstance(made, np.ndarray if kind is np.asarray or not both else kind)
    if both:
        assert isinstance(linalg.matmul(kind(a), kind(b)), type(made))


def test_dot_of_different_kinds():
    A, B = numbers(6, 4), numbers(4, 3)
    S = sparse.csr_matrix(np.where(A > 0, A, 0))
    for made, expected, kind in [
        (linalg.dot(FrovedisRowmajorMatrix(A), B), A @ B, FrovedisRowmajorMatrix),
        (linalg.dot(A, FrovedisRowmajorMatrix(B)), A @ B, FrovedisRowmajorMatrix),
        (linalg.dot(FrovedisRowmajorMatrix(A), FrovedisBlockcyclicMatrix(B)), A @ B, FrovedisBlockcyclicMatrix),
        (linalg.dot(FrovedisCRSMatrix(S), B), S @ B, np.ndarray),
        (linalg.dot(S, B), S @ B, np.ndarray),
        (linalg.dot(S, FrovedisColmajorMatrix(B)), S @ B, FrovedisRowmajorMatrix),
        (linalg.dot(B.T, FrovedisCRSMatrix(S.T)), B.T @ S.T, FrovedisRowmajorMatrix),
        (linalg.dot(FrovedisCRSMatrix(S), S.T), (S @ S.T).toarray(), FrovedisCRSMatrix),
        (linalg.dot(np.ones(6), FrovedisCRSMatrix(S)), np.ones(6) @ S, np.ndarray),
        (linalg.dot(2, A), 2 * A, np.ndarray),
        (linalg.dot(FrovedisBlockcyclicMatrix(A), 2), 2 * A, FrovedisBlockcyclicMatrix),
    ]:
        assert type(made) is kind
        np.testing.assert_allclose(array(made), expected, atol=1e-13)
    assert linalg.dot(np.ones(3), [1, 2, 3]) == 6
    out = np.empty((6, 3))
    assert linalg.dot(A, B, out) is out
    np.testing.assert_allclose(out, A @ B)


def test_dot_is_told_what_does_not_fit(kind):
    with pytest.raises(ValueError, match=r"product|matmul|aligned"):
        linalg.dot(kind(numbers(3, 2)), kind(numbers(3, 2)))
    with pytest.raises(ValueError, match=r"product|matmul|aligned"):
        linalg.dot(kind(numbers(3, 2)), np.ones(3))
    with pytest.raises(ValueError, match="number"):
        linalg.matmul(2, kind(numbers(3, 2)))
    with pytest.raises(ValueError, match="out must be"):
        linalg.dot(np.eye(2), np.eye(2), out=np.empty(3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_solve_and_inv(kind, dtype):
    A, b = numbers(150, 150, dtype=dtype), numbers(150, 4, dtype=dtype)
    exact = A.astype(np.float64)
    tolerance = 2e-2 if dtype == np.float32 else 1e-10
    X = linalg.solve(kind(A), kind(b))
    assert isinstance(X, np.ndarray if kind is np.asarray else kind)
    assert X.dtype == dtype
    np.testing.assert_allclose(array(X), np.linalg.solve(exact, b), atol=tolerance)
    np.testing.assert_allclose(linalg.solve(kind(A), b[:, 0]), np.linalg.solve(exact, b[:, 0]), atol=tolerance)
    inverse = linalg.inv(kind(A))
    assert isinstance(inverse, type(X))
    np.testing.assert_allclose(array(inverse), np.linalg.inv(exact), atol=tolerance)


def test_what_cannot_be_solved(kind):
    singular = np.ones((3, 3))
    for call in (lambda: linalg.inv(kind(singular)), lambda: linalg.solve(kind(singular), np.ones(3))):
        with pytest.raises(np.linalg.LinAlgError, match="Singular"):
            call()
    with pytest.raises(ValueError, match="square, not 3 x 2"):
        linalg.inv(kind(np.ones((3, 2))))
    with pytest.raises(ValueError, match="2 rows, the matrix 3"):
        linalg.solve(kind(np.eye(3)), np.ones(2))
    np.testing.assert_array_equal(linalg.solve([[2, 0], [0, 4]], [1, 1]), [0.5, 0.25])


@pytest.mark.parametrize("shape", [(90, 20), (20, 90), (7, 7), (1, 5), (5, 1)])
def test_svd(kind, shape):
    A = numbers(*shape)
    s = np.linalg.svd(A, compute_uv=False)
    U, made, Vh = (array(part) for part in linalg.svd(kind(A)))
    np.testing.assert_allclose(made, s, atol=1e-12)
    np.testing.assert_allclose((U * made) @ Vh, A, atol=1e-12)
    np.testing.assert_allclose(U.T @ U, np.eye(len(s)), atol=1e-12)
    np.testing.assert_allclose(linalg.svd(kind(A), compute_uv=False), s, atol=1e-12)
    U, _, Vh = (array(part) for part in linalg.svd(kind(A), full_matrices=True))
    np.testing.assert_allclose(U @ U.T, np.eye(shape[0]), atol=1e-12)
    np.testing.assert_allclose(Vh @ Vh.T, np.eye(shape[1]), atol=1e-12)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("form", [FrovedisCRSMatrix, FrovedisBlockcyclicMatrix, np.asarray, sparse.csr_matrix])
def test_svds(form, turned):
    S = scattered().T.tocsr() if turned else scattered()
    U, s, Vh = linalg.svds(form(S.toarray()), 5)
    expected = scipy.linalg.svd(S.toarray(), full_matrices=False)
    np.testing.assert_allclose(s, expected[1][:5], rtol=1e-12)
    np.testing.assert_allclose(np.abs(np.sum(U * expected[0][:, :5], 0)), 1, atol=1e-9)
    np.testing.assert_allclose(np.abs(np.sum(Vh * expected[2][:5], 1)), 1, atol=1e-9)
    assert (Vh[np.arange(5), np.abs(Vh).argmax(1)] > 0).all()


def test_small_singular_values_keep_their_digits():
    Q, P = (np.linalg.qr(numbers(n, 6))[0] for n in (60, 7))
    s = np.array([1, 1e-3, 1e-6, 1e-9, 0, 0])
    made = linalg.svds((Q * s) @ P.T, 4)[1]
    np.testing.assert_allclose(made[:3], s[:3], rtol=1e-6)


def symmetric():
    S = scattered(80, 80)
    return sparse.csr_matrix(S + S.T)


@pytest.mark.parametrize("form", [FrovedisCRSMatrix, FrovedisColmajorMatrix, np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("options", [{}, {"which": "SA"}, {"which": "BE"}, {"sigma": 0.3}])
def test_eigsh(form, options):
    A = symmetric().toarray()
    expected = scipy.sparse.linalg.eigsh(A, 4, **options)[0]
    w, V = linalg.eigsh(form(A), 4, **options)
    np.testing.assert_allclose(np.sort(w), np.sort(expected), atol=1e-11)
    np.testing.assert_allclose(A @ V, V * w, atol=1e-10)
    w = linalg.eigsh(form(A), 4, return_eigenvectors=False, **options)
    np.testing.assert_allclose(np.sort(w), np.sort(expected), atol=1e-11)


def test_eigsh_is_told_what_is_wrong():
    A = symmetric()
    for wrong in ({"k": 0}, {"k": 80}, {"which": "XX"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            linalg.eigsh(A, **wrong)
    for wrong in ({"M": A}, {"OPinv": A}, {"mode": "buckling"}):
        with pytest.raises(NotImplementedError, match=next(iter(wrong))):
            linalg.eigsh(A, **wrong)
    with pytest.raises(ValueError, match="square"):
        linalg.eigsh(scattered())
    with pytest.raises(ArpackNoConvergence):
        linalg.eigsh(A, maxiter=1, ncv=8)
    with pytest.raises(ValueError, match="k must be from 1 to 79"):
        linalg.svds(scattered(), 80)


@pytest.mark.parametrize("form", [FrovedisCRSMatrix, FrovedisRowmajorMatrix, np.asarray])
def test_lsqr(form):
    A, b = scattered().toarray(), numbers(200)
    made = linalg.lsqr(form(A), b, damp=0.1, atol=1e-12, btol=1e-12)
    expected = scipy.sparse.linalg.lsqr(A, b, damp=0.1, atol=1e-12, btol=1e-12)
    np.testing.assert_allclose(made[0], expected[0], atol=1e-9)
    assert len(made) == len(expected)
    with pytest.raises(ValueError, match="200 elements"):
        linalg.lsqr(form(A), b[1:])


@pytest.mark.parametrize("size", [2, 4])
def test_ranks(size):
    said = on_ranks(
        size,
        """
        import numpy as np
        from scipy import sparse
        from scipy.sparse.linalg import ArpackNoConvergence
        from frovedis_lite import linalg
        from frovedis_lite.engine.session import current
        from frovedis_lite.matrix.crs import FrovedisCRSMatrix
        from frovedis_lite.matrix.dense import *

        rng = np.random.default_rng(0)
        A, b, T = rng.normal(size=(200, 200)), rng.normal(size=(200, 3)), rng.normal(size=(70, 9))
        for kind in (np.asarray, FrovedisRowmajorMatrix, FrovedisColmajorMatrix, FrovedisBlockcyclicMatrix):
            np.testing.assert_allclose(np.asarray(linalg.dot(kind(A), kind(b))), A @ b, atol=1e-11)
            np.testing.assert_allclose(np.asarray(linalg.solve(kind(A), kind(b))), np.linalg.solve(A, b), atol=1e-9)
            np.testing.assert_allclose(np.asarray(linalg.inv(kind(A))), np.linalg.inv(A), atol=1e-9)
            for X in (T, T.T, A[:3, :3]):
                U, s, Vh = map(np.asarray, linalg.svd(kind(X)))
                np.testing.assert_allclose((U * s) @ Vh, X, atol=1e-12)
                np.testing.assert_allclose(s, np.linalg.svd(X)[1], atol=1e-12)
            try:
                linalg.inv(kind(np.ones((150, 150))))
                raise AssertionError
            except np.linalg.LinAlgError:
                pass
        S = sparse.random(90, 40, 0.2, "csr", rng=rng)
        for X in (FrovedisCRSMatrix(S), FrovedisCRSMatrix(S.T), FrovedisRowmajorMatrix(S)):
            U, s, Vh = linalg.svds(X, 3)
            np.testing.assert_allclose(s, np.linalg.svd(S.toarray())[1][:3], rtol=1e-12)
            np.testing.assert_allclose(X.dot(Vh.T) if X.shape[0] == 40 else S @ Vh.T, U * s, atol=1e-8)
        G = (S.T @ S).toarray()
        for options in ({}, {"sigma": 1.0}):
            w, V = linalg.eigsh(FrovedisCRSMatrix(G), 3, **options)
            np.testing.assert_allclose(G @ V, V * w, atol=1e-10)
        np.testing.assert_allclose(
            linalg.lsqr(FrovedisCRSMatrix(S), S @ np.ones(40), atol=1e-13, btol=1e-13)[0], np.ones(40), atol=1e-6
        )
        try:
            linalg.eigsh(FrovedisCRSMatrix(G), 3, maxiter=1, ncv=4, tol=1e-15)
            raise AssertionError
        except ArpackNoConvergence as error:  # on every rank
            assert current().size == len(current().comm.allgather(error))
        if current().comm.rank == 0:
            print("done")
        """,
    )
    assert said.split() == ["done"]


def test_an_error_that_goes_from_process_to_process():
    again = pickle.loads(pickle.dumps(ArpackNoConvergence("slow", np.ones(1), np.ones((2, 1)))))
    assert str(again) == "ARPACK error -1: slow"
    assert again.eigenvectors.shape == (2, 1)
