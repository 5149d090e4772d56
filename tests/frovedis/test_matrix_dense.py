"""Dense matrices on the ranks: layouts, files, operators, errors."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse

from frovedis_lite.errors import ReleasedError
from frovedis_lite.matrix.ccs import FrovedisCCSMatrix
from frovedis_lite.matrix.crs import FrovedisCRSMatrix
from frovedis_lite.matrix.dense import FrovedisBlockcyclicMatrix, FrovedisColmajorMatrix, FrovedisRowmajorMatrix
from frovedis_lite.matrix.jds import FrovedisJDSMatrix
from frovedis_lite.matrix.layout import COLUMNS, CYCLIC, PANELS, ROWS, grid
from frovedis_lite.mllib.base import to_ranks

KINDS = [FrovedisRowmajorMatrix, FrovedisColmajorMatrix, FrovedisBlockcyclicMatrix]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def numbers(rows, columns, dtype=np.float64):
    return np.random.default_rng(rows).normal(size=(rows, columns)).astype(dtype)


@pytest.mark.parametrize("layout", [ROWS, COLUMNS, CYCLIC, PANELS])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 6])
def test_every_element_is_on_one_rank(layout, size):
    for shape in [(0, 3), (1, 1), (130, 200), (64, 65)]:
        count = np.zeros(shape, int)
        for rank in range(size):
            count[np.ix_(*layout.places(shape, rank, size))] += 1
        assert (count == 1).all()


def test_grid():
    assert [grid(size) for size in [1, 2, 3, 4, 6, 12]] == [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (130, 70)])
def test_there_and_back(kind, shape, dtype):
    A = numbers(*shape, dtype)
    made = kind(A)
    assert made.shape == shape
    assert made.dtype == dtype
    assert made.size == A.size
    for other in KINDS:
        np.testing.assert_array_equal(other(made).to_numpy_array(), A)
    np.testing.assert_array_equal(made.T.to_numpy_array(), A.T)
    np.testing.assert_array_equal(np.asarray(made), A)
    back = made.to_numpy_matrix()
    assert isinstance(back, np.matrix)
    np.testing.assert_array_equal(np.concatenate(made.session.gather(made.parts)), A)


def test_has_elements_of_its_own(kind):
    A = numbers(5, 3)
    made, expected = kind(A), A.copy()
    copy = kind(made)
    A[:] = 0
    made.release()
    np.testing.assert_array_equal(copy.to_numpy_array(), expected)


def test_dtypes():
    assert FrovedisRowmajorMatrix([[1, 2]]).dtype == np.int64
    assert FrovedisRowmajorMatrix(np.ones((1, 1), np.int16)).dtype == np.float64
    assert FrovedisBlockcyclicMatrix([[1, 2]]).dtype == np.float64
    assert FrovedisColmajorMatrix([[1.5]], np.float32).dtype == np.float32
    assert FrovedisColmajorMatrix(FrovedisRowmajorMatrix([[1.5]]), np.float32).dtype == np.float32
    with pytest.raises(TypeError, match="float32, float64, not of int32"):
        FrovedisBlockcyclicMatrix(dtype=np.int32)
    with pytest.raises(TypeError, match="real numbers, not of complex"):
        FrovedisRowmajorMatrix([[1j]])
    with pytest.raises(TypeError, match="real numbers"):
        FrovedisRowmajorMatrix([["a"]])
    with pytest.raises(ValueError, match="two dimensions, not the 3"):
        FrovedisRowmajorMatrix(np.ones((1, 1, 1)))


def test_other_things_to_load(kind):
    np.testing.assert_array_equal(kind([1.0, 2.0]).to_numpy_array(), [[1], [2]])
    S = sparse.random(7, 5, 0.5, "csr", rng=np.random.default_rng(0))
    np.testing.assert_array_equal(kind(S).to_numpy_array(), S.toarray())


def test_release(kind):
    with kind(np.ones((2, 2))) as made:
        assert made.is_loaded()
    assert not made.is_loaded()
    made.release()
    for use in (made.to_numpy_array, made.transpose):
        with pytest.raises(ReleasedError, match="empty"):
            use()
    assert kind().shape == (0, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_files(kind, dtype, tmp_path):
    A = numbers(9, 4, dtype)
    A[0, :3] = np.nan, np.inf, -np.inf
    made = kind(A)
    made.save(tmp_path / "a.txt")
    np.testing.assert_array_equal(kind(tmp_path / "a.txt", dtype).to_numpy_array(), A)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "a.txt", dtype), A)
    made.save_binary(tmp_path / "a.npy")
    again = kind().load_binary(tmp_path / "a.npy")
    assert again.dtype == dtype
    np.testing.assert_array_equal(again.to_numpy_array(), A)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), A)
    assert kind().load_binary(tmp_path / "a.npy", np.float64).dtype == np.float64
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "a.txt"]


def test_files_that_are_wrong(tmp_path):
    path = tmp_path / "a"
    for wrong, message in [
        ("1 2\n3\n", "line 2: 1 numbers, not 2"),
        ("1 x\n", "no float64"),
        ("1\n\n2\n", "line 2: 0"),
    ]:
        path.write_text(wrong)
        with pytest.raises(ValueError, match=message):
            FrovedisRowmajorMatrix(path)
    path.write_text("1.5\n")
    with pytest.raises(ValueError, match="no int32"):
        FrovedisRowmajorMatrix(path, np.int32)
    with pytest.raises(ValueError, match="npy"):
        FrovedisRowmajorMatrix().load_binary(path)
    np.save(tmp_path / "b.npy", np.ones(3))
    with pytest.raises(ValueError, match="not a matrix"):
        FrovedisRowmajorMatrix().load_binary(tmp_path / "b.npy")
    with pytest.raises(FileNotFoundError):
        FrovedisRowmajorMatrix(tmp_path / "none")
    path.write_text("")
    assert FrovedisRowmajorMatrix(path).shape == (0, 0)
    path.write_text("1 2\r\n3 4\n\n")
    np.testing.assert_array_equal(FrovedisRowmajorMatrix(path).to_numpy_array(), [[1, 2], [3, 4]])


@pytest.mark.parametrize("make", [*KINDS, FrovedisCRSMatrix, FrovedisCCSMatrix, FrovedisJDSMatrix])
def test_estimators_get_rows(make):
    """Whatever the layout: what `mllib` asks a matrix of ours for are its rows."""
    A = numbers(20, 3)
    table = to_ranks(make(A), np.arange(20.0))
    parts = table.session.gather(table.X)
    assert (table.rows, table.columns, table.dtype) == (20, 3, np.float64)
    rows = [part.toarray() if sparse.issparse(part) else part for part in parts]
    np.testing.assert_array_equal(np.concatenate(rows), A)


def test_operators():
    A, B = numbers(70, 70), numbers(71, 70)[:70]
    a, b = FrovedisBlockcyclicMatrix(A), FrovedisBlockcyclicMatrix(B)
    for made, expected in [
        (a + b, A + B),
        (a - B, A - B),
        (a * b, A @ B),
        (a @ b, A @ B),
        (a * 2, A * 2),
        (2 * a, A * 2),
        (-a, -A),
        (~a, A.T),
        (a.inv(), np.linalg.inv(A)),
    ]:
        assert type(made) is FrovedisBlockcyclicMatrix
        np.testing.assert_allclose(made.to_numpy_array(), expected, atol=1e-11)
    with pytest.raises(ValueError, match="no sum"):
        a + numbers(3, 3)
    with pytest.raises(ValueError, match="no product"):
        a @ numbers(3, 3)
    with pytest.raises(TypeError, match="float64 and float32"):
        a + FrovedisBlockcyclicMatrix(B, np.float32)
    with pytest.raises(ValueError, match="square"):
        FrovedisBlockcyclicMatrix(numbers(3, 2)).inv()


@pytest.mark.parametrize("size", [2, 4])
def test_ranks(size, tmp_path):
    said = on_ranks(
        size,
        f"""
        import numpy as np
        from pathlib import Path
        from frovedis_lite.matrix.dense import *
        from frovedis_lite.engine.session import current

        A, S = (np.random.default_rng(i).normal(size=(150, 150 - 20 * i)) for i in (1, 0))
        folder = Path({str(tmp_path)!r})
        kinds = FrovedisRowmajorMatrix, FrovedisColmajorMatrix, FrovedisBlockcyclicMatrix
        for kind in kinds:
            made = kind(A)
            assert (made.to_numpy_array() == A).all() and (made.T.to_numpy_array() == A.T).all()
            assert all((other(made).to_numpy_array() == A).all() for other in kinds)
            assert (np.concatenate(current().gather(made.parts)) == A).all()
            made.save(folder / "a")
            assert (kind(folder / "a").to_numpy_array() == A).all()
            made.save_binary(folder / "b")
            assert (kind().load_binary(folder / "b").to_numpy_array() == A).all()
        few = FrovedisBlockcyclicMatrix([[1.0]])
        assert (few + few).to_numpy_array() == 2
        s = FrovedisBlockcyclicMatrix(S)
        np.testing.assert_allclose((s * A).to_numpy_array(), S @ A, atol=1e-11)
        np.testing.assert_allclose(s.inv().to_numpy_array(), np.linalg.inv(S), atol=1e-9)
        if current().comm.rank == 0:
            (folder / "a").write_text("1 2\\n3 4\\n5 x\\n7 8\\n9 1\\n")
        current().comm.barrier()
        try:
            FrovedisRowmajorMatrix(folder / "a")
        except ValueError as error:
            assert "no float64" in str(error)
            if current().comm.rank == 0:
                print("raised")
        """,
    )
    assert said.split() == ["raised"]
