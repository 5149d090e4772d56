"""Rows as samples with weights, whatever their order."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse

from frovedis_lite.engine.comm import Alone
from frovedis_lite.mllib.samples import Lottery, keys_of, merged, uniform, visits, visits_of

ALONE = Alone()


def rows(count=300, columns=11, dtype=np.float64):
    random = np.random.default_rng(0)
    return (random.integers(-2, 3, (count, columns)) / 4).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [1, 2, 8, 11, 40])
def test_keys_are_of_the_content(columns, dtype):
    X = rows(300, columns, dtype)
    keys, different = keys_of(X), np.unique(X, axis=0, return_inverse=True)[1].ravel()
    assert len(np.unique(keys)) == different.max() + 1
    np.testing.assert_array_equal(keys[:, None] == keys, different[:, None] == different)
    np.testing.assert_array_equal(keys_of(np.where(X == 0, dtype(-0.0), X)), keys)
    Z = sparse.csr_matrix(X)
    np.testing.assert_array_equal(keys_of(Z), keys)
    Z.data[::3] = 0  # is stored
    np.testing.assert_array_equal(keys_of(Z), keys_of(Z.toarray()))


def test_keys_with_targets():
    X = np.zeros((4, 2))
    keys = keys_of(X, np.array([1.0, -1.0, 0.0, -0.0]))
    assert len(np.unique(keys)) == 3
    assert keys[2] == keys[3]


def test_keys_are_spread_out():
    keys = keys_of(np.arange(100_000.0)[:, None])
    for bits in (keys >> np.uint64(60), keys & np.uint64(15)):
        assert abs(np.bincount(bits.astype(int)) - 6250).max() < 6 * 6250**0.5
    drawn = uniform(keys, 3)
    assert abs(drawn.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(drawn, uniform(keys, 4))[0, 1]) < 0.02


def test_merged():
    X = np.array([[1.0], [2.0], [1.0], [3.0]])
    chosen, weights = merged(keys_of(X), np.array([0.5, 0.0, 1.0, 2.0]))
    assert dict(zip(X[chosen, 0], weights, strict=True)) == {1.0: 1.5, 3.0: 2.0}


def test_visits():
    np.testing.assert_array_equal(
        visits_of(np.array([0.1, 1, 1.5, 3, 3 + 1e-15, np.full(30, 0.1).sum()])), [1, 1, 2, 3, 3, 3]
    )
    made = visits(ALONE, keys_of(rows(50, 2)), np.linspace(0, 3, 50))
    places, chosen, weights = made.at(np.arange(made.total))
    np.testing.assert_array_equal(places, np.arange(made.total))
    assert made.total == len(chosen)
    np.testing.assert_allclose(weights.sum(), np.linspace(0, 3, 50).sum())


def test_chances_are_masses():
    X, masses = np.arange(10.0)[:, None], np.array([0, 1, 2, 3, 4, 0, 5, 6, 7, 0.0])
    lottery, random = Lottery(ALONE, keys_of(X)), np.random.RandomState(0)
    numbers, _ = lottery.draw(masses, random.uniform(size=28_000))
    found = np.bincount(numbers, minlength=10)
    assert (abs(found - 1000 * masses) <= 5 * np.sqrt(1000 * masses)).all()
    numbers, _ = lottery.draw(masses, np.array([0.0, 1.0, np.nextafter(1, 0)]))  # the ends
    assert masses[numbers].all()
    assert lottery.draw(np.zeros(10), np.zeros(1)) is None
    firsts = [tuple(lottery.different(masses, 2, random)) for _ in range(3000)]
    second = sum(b == 8 for a, b in firsts) / 3000  # sum over the first of its chance times 7 / (28 - its mass)
    wanted = sum(m / 28 * 7 / (28 - m) for m in masses[:8])
    assert abs(second - wanted) < 0.03
    assert sorted(lottery.different(masses, 7, random)) == [1, 2, 3, 4, 6, 7, 8]
    assert len(lottery.different(masses, 9, random)) == 9


def test_ranks():
    code = """
    import numpy as np
    from frovedis_lite.engine.session import current
    from frovedis_lite.mllib.samples import Lottery, keys_of, visits
    comm = current().comm
    X = np.random.default_rng(0).integers(0, 20, (101, 2)) / 4
    w = np.random.default_rng(1).integers(0, 5, 101) / 2
    cut = [0, *(101 * (r + 1) ** 2 // comm.size**2 for r in range(comm.size))]
    mine = slice(cut[comm.rank], cut[comm.rank + 1])
    made = visits(comm, keys_of(X[mine]), w[mine])
    numbers = np.arange(made.total)
    here, rows, weights = made.at(numbers)
    table = np.zeros((made.total, 3))
    table[here] = np.column_stack([X[mine][rows], weights])
    table = comm.allreduce(table)
    drawn, _ = Lottery(comm, keys_of(X[mine])).draw(w[mine], np.linspace(0, 1, 40))
    if comm.rank == 0:
        print(made.total, table.tolist(), X[drawn].tolist())
    """
    one, two, four = (on_ranks(size, code) for size in (1, 2, 4))
    assert one == two == four
