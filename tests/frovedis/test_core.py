"""Distributed vectors on one process, against plain Python and NumPy."""

import doctest
import math
import pickle
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest

import frovedis_lite.core
from frovedis_lite.core import broadcast, dvector, load_lines, make_node_local, scatter
from frovedis_lite.core.keys import stable_hash
from frovedis_lite.engine.session import Here
from frovedis_lite.errors import ReleasedError

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "the", "fox"]


def test_example():
    assert doctest.testmod(frovedis_lite.core).failed == 0


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], np.int64),
        ([1, 2.5], np.float64),
        ([True, False], bool),
        ([1j, 2], np.complex128),
        ([np.float32(1), np.float32(2)], np.float32),
        (np.arange(3, dtype=np.int8), np.int8),
        (np.array(["a", "bcd"]), np.dtype("U3")),
        (np.array(["2026-01-01"], "M8[D]"), np.dtype("M8[D]")),
        (range(4), np.int64),
        (np.zeros(0, np.float32), np.float32),
        (["a", "b"], None),
        ([1, "b"], None),
        ([1, None], None),
        ([True, 2], None),
        ([2**70, 1], None),
        ([2**60 + 1, 0.5], None),
        ([(1, 2), (3, 4)], None),
        (np.array([1, "b"], object), None),
        ([], None),
    ],
)
def test_typed_or_not(values, dtype):
    vector = dvector(values)
    assert vector.dtype == dtype
    gathered = vector.gather()
    assert isinstance(gathered, list if dtype is None else np.ndarray)
    assert list(gathered) == list(values)
    assert vector.as_array().shape == (len(list(values)),)


def test_dtype():
    assert scatter([1, 2], dtype=np.float32).gather().dtype == np.float32
    assert scatter(["a", "bcd"], dtype=str).dtype == "U3"
    assert scatter([1, 2], dtype=object).dtype is None
    assert scatter([1, 2]).map(float, dtype=np.float32).dtype == np.float32
    assert scatter([1, 2]).map(float, dtype=object).gather() == [1.0, 2.0]
    with pytest.raises(ValueError, match="could not convert"):
        scatter(["a"], dtype=float)
    with pytest.raises(ValueError, match="sequences"):
        scatter([(1, 2)], dtype=float)


def test_not_a_vector():
    with pytest.raises(ValueError, match=r"one dimension, not the shape \(2, 2\)"):
        dvector(np.ones((2, 2)))
    for value in ("text", 3, None):
        with pytest.raises(TypeError, match="list, an array"):
            dvector(value)
    with pytest.raises(TypeError, match="sorted"):
        dvector({1, 2})


def test_shown():
    vector = dvector([1, 2])
    assert repr(vector) == "<dvector on 1 ranks>"
    assert len(vector) == 2
    assert repr(vector) == "<dvector of 2 elements (int64) on 1 ranks>"
    assert repr(vector.as_node_local()) == "<node_local on 1 ranks>"
    assert repr(vector.zip(vector).group_by_key()) == "<dunordered_map on 1 ranks>"


def test_lines(tmp_path):
    text = tmp_path / "text.txt"
    for content in ("", "one", "one\n", "one\r\n\nthrée\n four", "\n\n"):
        text.write_bytes(content.encode())
        assert load_lines(text).gather() == content.replace("\r", "").removesuffix("\n").split("\n")[: len(content)]
    with pytest.raises(FileNotFoundError):
        load_lines(tmp_path / "missing")


def test_own_memory():
    array = np.arange(3)
    listed = ["a", "b"]
    vector, objects = dvector(array), dvector(listed)
    array[0], listed[0] = 9, "z"
    vector.gather()[1] = 9
    objects.gather()[1] = "z"
    objects.map_partitions(lambda part: part.clear() or part)
    with pytest.raises(ValueError, match="read-only"):
        vector.map_partitions(lambda part: part.sort())
    assert list(vector) == [0, 1, 2]
    assert list(objects) == ["a", "b"]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["int", "float", "str", "mixed"])
def test_like_python(seed, kind):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(-9, 9, rng.integers(0, 60)).tolist()
    change = {"int": int, "float": lambda x: x / 4, "str": "ab".__mul__, "mixed": lambda x: x if x % 2 else (x, None)}[
        kind
    ]
    values = [change(x) for x in numbers]
    vector = dvector(values)
    assert list(vector.gather()) == values
    assert list(vector.map(str)) == [str(x) for x in values]
    assert list(vector.map(lambda x, a, b: (a, x, b), 1, "c")) == [(1, x, "c") for x in values]
    assert list(vector.flat_map(lambda x: [x, x])) == [x for x in values for _ in range(2)]
    assert list(vector.filter(lambda x: hash(x) % 2)) == [x for x in values if hash(x) % 2]
    assert list(vector.map_partitions(lambda part: [len(part)])) == [len(values)]
    assert list(vector.distinct()) == list(dict.fromkeys(values))
    assert vector.zip_with_index().gather() == [(x, i) for i, x in enumerate(values)]
    assert vector.zip(vector.map(str)).gather() == [(x, str(x)) for x in values]
    assert list(vector.take(7)) == values[:7]
    assert len(vector) == vector.count() == vector.size() == sum(vector.sizes()) == len(values)
    for reverse in (False, True):
        assert list(vector.sort(key=lambda x: str(x)[:2], reverse=reverse)) == sorted(
            values, key=lambda x: str(x)[:2], reverse=reverse
        )
        if kind != "mixed":
            assert list(vector.sort(reverse=reverse)) == sorted(values, reverse=reverse)
    assert vector.map(str).reduce(lambda x, y: x + y, "") == "".join(map(str, values))
    if values and kind != "mixed":
        assert vector.min() == min(values)
        assert vector.max() == max(values)
        assert vector.min(key=str) == min(values, key=str)
    if values and kind in ("int", "float"):
        assert vector.sum() == sum(values)
        assert vector.mean() == sum(values) / len(values)
        assert vector.reduce(max) == max(values)
        assert vector.reduce(np.add) == sum(values)


@pytest.mark.parametrize("seed", range(5))
def test_pairs_like_python(seed):
    rng = np.random.default_rng(seed)
    make = [int, str, float, lambda x: (x, str(x)), lambda x: frozenset((x, -x)), lambda x: Fraction(x, 3)][seed]
    pairs = [(make(k), int(v)) for k, v in rng.integers(0, 12, (rng.integers(1, 50), 2))]
    others = [(make(k), str(v)) for k, v in rng.integers(0, 20, (20, 2))]
    groups = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    vector = dvector(pairs)
    grouped = vector.group_by_key()
    assert grouped.gather() == groups
    assert list(grouped.gather()) == list(groups)  # and their order
    assert vector.count_by_key().gather() == Counter(key for key, _ in pairs)
    minus = {key: reduce(max, values) for key, values in groups.items()}
    assert vector.reduce_by_key(max).gather() == minus
    assert grouped.map_values(len).gather() == {key: len(values) for key, values in groups.items()}
    assert list(grouped.keys()) == list(groups)
    assert list(grouped.map_values(sum).values()) == [sum(values) for values in groups.values()]
    assert len(grouped) == grouped.count() == len(groups)
    joined = [(k, (v, w)) for k, v in pairs for other, w in others if k == other]
    assert vector.join(dvector(others)).gather() == joined
    known = dict(others)
    left = [(k, (v, w)) for k, v in pairs for w in ([x for other, x in others if other == k] if k in known else [None])]
    assert vector.join(dvector(others), how="left").gather() == left


def test_words():
    counts = scatter(WORDS).map(lambda word: (word, 1)).reduce_by_key(lambda x, y: x + y)
    assert counts.gather() == Counter(WORDS)
    assert counts["the"] == counts.lookup("the") == 3
    assert "cat" not in counts
    assert counts.get("cat", 0) == 0
    with pytest.raises(KeyError, match="cat"):
        counts.lookup("cat")
    assert dict(counts) == Counter(WORDS)
    assert counts.as_dvector().sort(key=lambda pair: (-pair[1], pair[0])).first(2) == [("the", 3), ("fox", 2)]


def test_vectorized():
    vector = dvector(np.arange(5, dtype=np.float32))
    assert vector.map(np.sqrt).dtype == np.float32  # a ufunc
    np.testing.assert_array_equal(vector.map(lambda x: x + x, vectorized=True).gather(), np.arange(5) * 2)
    np.testing.assert_array_equal(vector.mapv(lambda x, y: x * y, 3).gather(), np.arange(5) * 3)
    np.testing.assert_array_equal(vector.filter(lambda x: x > 2, vectorized=True).gather(), [3, 4])
    np.testing.assert_array_equal(vector.map_partitions(np.cumsum).gather(), [0, 1, 3, 6, 10])
    assert vector.filter(lambda x: x > 9).dtype == np.float32
    with pytest.raises(ValueError, match="made 4 elements of 5"):
        vector.mapv(lambda x: x[1:])
    with pytest.raises(ValueError, match="truth value"):
        vector.filter(lambda x: x, vectorized=True)
    with pytest.raises(TypeError, match="float"):
        vector.map_partitions(lambda x: 1.5)


def test_numbers():
    large = np.array([2**62, 2**62, 2**62, -5], np.int64)
    assert dvector(large).sum() == 3 * 2**62 - 5
    assert dvector(np.full(3, 2**64 - 1, np.uint64)).sum() == 3 * (2**64 - 1)
    assert dvector(np.array([-1, -2], np.int8)).sum() == -3
    assert dvector([True, True, False]).sum() == 2
    ones = np.full(3 * 10**6, 0.1, np.float32)
    assert dvector(ones).sum() == pytest.approx(ones.astype(float).sum(), rel=1e-12)
    assert dvector([Decimal("0.1"), Decimal("0.2")]).sum() == Decimal("0.3")
    assert math.isnan(dvector([1.0, math.nan, 0.0]).max())
    assert dvector([2.0, math.nan, 1.0]).sort().first(2).tolist() == [1, 2]
    assert math.isnan(dvector([2.0, math.nan, 1.0]).sort(reverse=True).first(1)[0])
    zeros = dvector([0.0, -0.0, -1.0, 0.0]).sort().gather()
    assert np.signbit(zeros).tolist() == [True, False, True, False]
    assert dvector([math.nan, float("nan"), 1.0]).distinct().count() == 2
    assert dvector([(math.nan, 1), (float("nan"), 2)]).group_by_key()[float("nan")] == [1, 2]
    assert dvector([((0, math.nan), 1), ((0, float("nan")), 2)]).count_by_key().count() == 1
    with pytest.raises(TypeError, match="no sum"):
        dvector(np.array(["a"])).sum()


def test_empty():
    for vector in (dvector([]), dvector(np.zeros(0)), dvector(["a"]).filter(lambda x: False)):
        assert len(vector) == len(vector.gather()) == len(vector.first(3)) == len(vector.sort()) == 0
        assert len(vector.map(str)) == len(vector.flat_map(str)) == len(vector.distinct()) == 0
        assert vector.sum() == 0
        assert vector.reduce(max, 7) == 7
        assert vector.group_by_key().gather() == vector.count_by_key().gather() == {}
        assert len(vector.zip(vector)) == len(vector.join(vector)) == len(vector.align()) == 0
        assert vector.as_array().shape == (0,)
        for call in (vector.min, vector.max, vector.mean, lambda vector=vector: vector.reduce(max)):
            with pytest.raises(ValueError, match="without elements"):
                call()


def test_node_local():
    prices = broadcast({"apple": 10, "grape": 30})
    assert prices.gather() == [{"apple": 10, "grape": 30}]
    assert scatter(["grape", "apple"]).map(lambda x, price: price[x], prices).sum() == 40
    assert scatter(["grape", "fig"]).filter(lambda x, price: x in price, prices).gather() == ["grape"]
    lengths = dvector([3, 4]).as_node_local().map(len)
    assert lengths.get() == 2
    assert lengths.reduce(max) == 2
    assert list(make_node_local([[1, 2]]).as_dvector()) == [1, 2]
    assert dvector(np.arange(3)).viewed_as_node_local().viewed_as_dvector().dtype == np.int64
    with pytest.raises(ValueError, match="as many ranks; there are 1"):
        make_node_local([1, 2])
    with pytest.raises(IndexError):
        prices.get(1)


def test_errors():
    vector = dvector([3, 1, 0])
    with pytest.raises(ZeroDivisionError):
        vector.map(lambda x: 1 / x)
    with pytest.raises(LookupError, match="nothing"):
        vector.reduce(lambda x, y: (_ for _ in ()).throw(LookupError("nothing")))
    with pytest.raises(TypeError, match="pairs"):
        vector.group_by_key()
    with pytest.raises(TypeError, match="unhashable"):
        dvector([([], 1)]).count_by_key()
    with pytest.raises(TypeError, match="not supported between"):
        dvector([1, "a"]).sort()
    with pytest.raises(ValueError, match="of 3 and 1 elements"):
        vector.zip(dvector([1]))
    with pytest.raises(TypeError, match="not a list"):
        vector.zip([1, 2, 3])
    with pytest.raises(ValueError, match="sessions"):
        vector.join(dvector([], session=Here()))
    with pytest.raises(ValueError, match="'outer'"):
        vector.join(vector, how="outer")
    with pytest.raises(ValueError, match="sizes"):
        vector.align([2])
    with pytest.raises(ValueError, match="-1"):
        vector.first(-1)


def test_released():
    vector, table = dvector([1, 2]), broadcast([1])
    view = vector.as_node_local()
    len(vector)
    vector.release()
    vector.release()
    table.release()
    uses = (vector.gather, vector.count, vector.sum, vector.sort, lambda: vector.map(str), lambda: vector.dtype)
    for use in (*uses, table.gather, lambda: dvector([1]).map(max, table), lambda: dvector([1]).join(vector)):
        with pytest.raises(ReleasedError):
            use()
    assert view.gather()[0].tolist() == [1, 2]
    with dvector([1]) as inside:
        assert inside.persist() is inside
    with pytest.raises(ReleasedError):
        inside.gather()
    with pytest.raises(TypeError, match="as an argument"):
        pickle.dumps(view)


def test_hash():
    assert (
        stable_hash(1) == stable_hash(1.0) == stable_hash(True) == stable_hash(np.float32(1)) == stable_hash(Decimal(1))
    )
    assert stable_hash(np.True_) == stable_hash(True)
    assert stable_hash(0.0) == stable_hash(-0.0)
    assert stable_hash((1, "a")) == stable_hash((1.0, np.str_("a")))
    assert stable_hash(frozenset("abc")) == stable_hash(frozenset("cba"))
    assert stable_hash("a") == 3904355907 * 0x9E3779B97F4A7C15 % 2**64 >> 32  # in any process
    for keys in (range(1000), [x / 8 for x in range(1000)], map(str, range(1000)), [(x, x) for x in range(1000)]):
        shares = Counter(stable_hash(key) % 4 for key in keys)
        assert min(shares.values()) > 150
