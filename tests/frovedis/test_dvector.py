"""FrovedisDvector, against NumPy."""

import numpy as np
import pytest
from ranks import on_ranks

from frovedis_lite.core import dvector
from frovedis_lite.errors import ReleasedError
from frovedis_lite.matrix.dvector import (
    FrovedisDoubleDvector,
    FrovedisDvector,
    FrovedisFloatDvector,
    FrovedisIntDvector,
    FrovedisLongDvector,
    FrovedisStringDvector,
    FrovedisULongDvector,
)

DTYPES = [np.int32, np.int64, np.uint64, np.float32, np.float64]


@pytest.mark.parametrize("dtype", [*DTYPES, str])
def test_load(dtype):
    values = np.array([3, 1, 2, 3]).astype(dtype)
    vector = FrovedisDvector(values)
    assert vector.dtype == values.dtype
    assert vector.size() == len(vector) == 4
    assert vector.is_fitted()
    made = vector.to_numpy_array()
    assert made.dtype == values.dtype
    np.testing.assert_array_equal(made, values)
    np.testing.assert_array_equal(np.asarray(vector), values)
    np.testing.assert_array_equal(
        FrovedisDvector(["3", "1"] if dtype is str else [3, 1], dtype).to_numpy_array(), values[:2]
    )
    np.testing.assert_array_equal(vector.get_unique_elements(), values[[1, 2, 0]])
    np.testing.assert_array_equal(FrovedisDvector(vector).to_numpy_array(), values)
    np.testing.assert_array_equal(vector.as_dvector().sort().gather(), np.sort(values))


def test_kinds():
    kinds = [FrovedisIntDvector, FrovedisLongDvector, FrovedisULongDvector, FrovedisFloatDvector, FrovedisDoubleDvector]
    for kind, dtype in zip(kinds, DTYPES, strict=True):
        vector = kind([1, 2])
        assert vector.dtype == dtype
        assert kind.as_dvec(vector) is vector
        assert isinstance(kind.as_dvec([1]), kind)
    assert FrovedisStringDvector(["a", "bc"]).dtype == "U2"
    assert FrovedisStringDvector([1, 2]).to_numpy_array().tolist() == ["1", "2"]
    assert FrovedisDvector.as_dvec([1], np.float32).dtype == np.float32
    assert FrovedisDvector.as_dvec(vector) is vector
    assert repr(vector) == "<FrovedisDoubleDvector of 2 elements (float64)>"


def test_other_sources():
    assert FrovedisDvector(dvector([1.5, 2])).dtype == np.float64
    assert FrovedisDvector(dvector(["a", "bc"])).dtype == "U2"
    assert FrovedisDvector(dvector([1.5, 2]), np.int32).to_numpy_array().tolist() == [1, 2]
    assert FrovedisDvector(np.array(["x", "yz"], object)).dtype == "U2"
    assert FrovedisDvector(np.arange(3, dtype=">i8")).dtype == np.dtype("=i8")
    with pytest.warns(UserWarning, match="column-vector"):
        assert FrovedisDvector(np.ones((3, 1))).size() == 3
    empty = FrovedisDvector(np.zeros(0))
    assert len(empty.encode()) == len(empty.replace(0, 1)) == len(empty.astype(str)) == empty.size() == 0
    later = FrovedisDvector(dtype=np.float32)
    assert later.dtype == np.float32
    assert not later.is_fitted()
    assert later.load([1, 2]).dtype == np.float32
    assert later.load([1, 2], dtype=np.int64).dtype == np.int64


@pytest.mark.parametrize(
    ("vec", "dtype", "error", "message"),
    [
        ("text", None, TypeError, "list or an array, not of a str"),
        ({}, None, TypeError, "not of a dict"),
        (3, None, TypeError, "not of a int"),
        ([1, None], None, TypeError, "several types"),
        ([True], None, TypeError, "not bool"),
        ([1j], None, TypeError, "not complex128"),
        ([1], np.int8, TypeError, "int32, int64, uint64, float32, float64 or str, not int8"),
        (dvector([(1, 2)]), None, TypeError, "no numbers or strings"),
        (np.ones((2, 2)), None, ValueError, r"bad input shape \(2, 2\)"),
        (["a"], np.float64, ValueError, "could not convert"),
        ([2**40], np.int32, ValueError, "int32 does not have"),
        ([np.nan], np.int64, ValueError, "int64 does not have"),
        ([-1], np.uint64, ValueError, "uint64 does not have"),
        ([2**70], np.int64, ValueError, "int64 does not have"),
    ],
)
def test_refused(vec, dtype, error, message):
    with pytest.raises(error, match=message):
        FrovedisDvector(vec, dtype)


def test_encode():
    vector = FrovedisDvector([30, 10, 30, 20], np.int32)
    encoded, logic = vector.encode(need_logic=True)
    assert encoded.to_numpy_array().tolist() == vector.encode().to_numpy_array().tolist() == [2, 0, 2, 1]
    assert encoded.dtype == np.int32
    assert logic == {0: 10, 1: 20, 2: 30}
    words, logic = FrovedisDvector(["b", "a", "b"]).encode(need_logic=True)
    assert words.dtype == np.int64
    assert words.to_numpy_array().tolist() == [1, 0, 1]
    assert logic == {0: "a", 1: "b"}
    made, logic = vector.encode([10, 20, 30], [-1, 0, 1], need_logic=True)
    assert made.dtype == np.int32
    assert made.to_numpy_array().tolist() == [1, -1, 1, 0]
    assert logic == {-1: 10, 0: 20, 1: 30}
    halves = vector.encode(src=[30, 10, 20], target=[0.5, 1, 2])
    assert halves.dtype == np.float64
    assert halves.to_numpy_array().tolist() == [0.5, 1, 0.5, 2]
    small = FrovedisDvector([0.1, 0.2, np.nan], np.float32).encode([0.2, 0.1, np.nan], [0.3, 0.4, 7])
    np.testing.assert_array_equal(small.to_numpy_array(), np.array([0.4, 0.3, 7], np.float32))
    assert vector.encode([10, 20, 30], ["x", "y", "z"]).to_numpy_array().tolist() == ["z", "x", "z", "y"]
    with pytest.raises(ValueError, match="has 30, which"):
        vector.encode([10, 20], [1, 2])
    with pytest.raises(ValueError, match="3 values and target 1"):
        vector.encode([10, 20, 30], [1])
    with pytest.raises(ValueError, match="more than once"):
        vector.encode([10, 10], [1, 2])
    with pytest.raises(TypeError, match="vector of int32"):
        vector.encode(["a"], [1])


def test_replace():
    vector = FrovedisDvector([0.0, 1.5, np.nan, 1.5], np.float32)
    np.testing.assert_array_equal(
        vector.replace(1.5, 0.1).to_numpy_array(), np.array([0, 0.1, np.nan, 0.1], np.float32)
    )
    np.testing.assert_array_equal(vector.replace(np.nan, 7).to_numpy_array(), [0, 1.5, 7, 1.5])
    np.testing.assert_array_equal(vector.replace(0, 2).to_numpy_array(), [2, 1.5, np.nan, 1.5])
    np.testing.assert_array_equal(vector.replace(0, 2, skip_zero=True).to_numpy_array(), [0, 1.5, np.nan, 1.5])
    assert vector.replace(np.nan, 7, inplace=True) is vector
    assert vector.to_numpy_array().tolist() == [0, 1.5, 7, 1.5]
    words = FrovedisDvector(["a", "b"]).replace("a", "long")
    assert words.to_numpy_array().tolist() == ["long", "b"]
    for src, target, error in (
        (1, 0.5, ValueError),
        (1, 2**40, ValueError),
        (1, 2**80, ValueError),
        ("a", 1, TypeError),
    ):
        with pytest.raises(error, match="replace"):
            FrovedisIntDvector([1, 2]).replace(src, target)
    with pytest.raises(TypeError, match="target is 1"):
        words.replace("b", 1)


def test_astype():
    vector = FrovedisDvector([1.9, -2.0])
    for dtype in (np.int32, np.int64, np.float32, str):
        made = vector.astype(dtype)
        np.testing.assert_array_equal(made.to_numpy_array(), vector.to_numpy_array().astype(dtype))
        assert made.dtype.kind == np.dtype(dtype).kind
    assert FrovedisDvector(["1.5", "2"]).astype(np.float64).to_numpy_array().tolist() == [1.5, 2]
    for values, dtype in (([2**40], np.int32), ([np.inf], np.int64), (["a"], np.float32), (["99999999999"], np.int32)):
        with pytest.raises(ValueError, match=r"does not have|could not convert"):
            FrovedisDvector(values).astype(dtype)
    with pytest.raises(TypeError, match="not bool"):
        vector.astype(bool)


def test_released():
    with FrovedisDvector([1, 2]) as vector:
        assert len(vector) == 2
    assert not vector.is_fitted()
    assert vector.size() == 0
    for use in (vector.to_numpy_array, vector.encode, vector.get_unique_elements, lambda: vector.replace(1, 2)):
        with pytest.raises(ReleasedError, match="released"):
            use()
    vector.release()
    assert vector.load([3]).to_numpy_array().tolist() == [3]


def test_shown(capsys):
    FrovedisDvector(["a", "bc"]).debug_print(1)
    assert capsys.readouterr().out == "size: 2, first: ['a'], dtype: <U2\n"


def test_ranks():
    program = """
    import numpy as np
    from frovedis_lite.engine.session import current
    from frovedis_lite.matrix.dvector import FrovedisDvector

    said = []
    for values in ([3, 1, 2, 3, 1, 3], [0.5, np.nan, 0.5], ["b", "a", "ccc"], [7]):
        vector = FrovedisDvector(values)
        for made in (vector, vector.encode(), vector.astype(str), vector.replace(values[0], values[-1])):
            said.append((made.to_numpy_array().tolist(), str(made.dtype), len(made)))
        said.append(vector.get_unique_elements().tolist())
    try:
        FrovedisDvector([1, 2, 3, 4]).encode([1, 2, 3], [1, 2, 3])
    except ValueError as error:
        said.append(str(error))
    if current().comm.rank == 0:
        print(said)
    """
    one, two, four = (on_ranks(size, program) for size in (1, 2, 4))
    assert one == two == four
    assert "has 4" in one
