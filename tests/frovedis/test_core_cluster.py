"""Distributed vectors on ranks that this program has started."""

import numpy as np
import pytest
from clusters import needs_mpi

from frovedis_lite.core import broadcast, dvector, make_node_local, scatter
from frovedis_lite.engine.cluster import ClusterSession
from frovedis_lite.errors import ReleasedError

pytestmark = needs_mpi


@pytest.fixture(scope="module")
def session():
    made = ClusterSession("mpiexec", 2)
    yield made
    made.shut_down()


def test_operations(session):
    vector = dvector(range(9), session=session)
    assert vector.sizes() == [4, 5]
    shift = 10
    assert vector.map(lambda x: x + shift).sum() == 126
    assert list(vector.filter(lambda x: x % 2).sort(reverse=True)) == [7, 5, 3, 1]
    assert vector.reduce(max) == 8
    np.testing.assert_array_equal(vector.mapv(np.sqrt).gather(), np.sqrt(np.arange(9)))
    assert vector.zip(vector.align([9, 0])).gather() == [(x, x) for x in range(9)]
    table = broadcast({x: str(x) for x in range(9)}, session)
    assert vector.map(lambda x, table: table[x], table).gather() == [str(x) for x in range(9)]
    assert make_node_local(["a", "b"], session).gather() == ["a", "b"]
    words = scatter(["a b a", "c a", "b"], session=session).flat_map(str.split).map(lambda word: (word, 1))
    counts = words.reduce_by_key(lambda x, y: x + y)
    assert counts.gather() == {"a": 3, "b": 2, "c": 1}
    assert counts["a"] == 3


def test_local_class(session):
    """Objects and keys of a class that only this function knows go from rank to rank."""

    class Point:
        def __init__(self, x):
            self.x = x

        def __eq__(self, other):
            return self.x == other.x

        def __hash__(self):
            return self.x

    points = dvector([4, 2, 2, 4, 3], session=session).map(Point)
    assert [point.x for point in points.distinct().gather()] == [4, 2, 3]
    assert [point.x for point in points.sort(key=lambda point: point.x)] == [2, 2, 3, 4, 4]


def test_errors(session):
    vector = dvector(range(4), session=session)
    with pytest.raises(ZeroDivisionError):
        vector.map(lambda x: 1 / (x - 3)).sum()
    assert vector.sum() == 6  # the ranks and their data are still there
    with pytest.raises(TypeError, match="as an argument"):
        vector.map(lambda x: x + vector.sum())
    vector.release()
    with pytest.raises(ReleasedError):
        vector.sum()
