"""Distributed vectors on 1, 2 and 4 ranks: the same results in the same order, and errors that reach all ranks."""

import pytest
from ranks import on_ranks

PROGRAM = """
import random
import numpy as np
from frovedis_lite.core import broadcast, dvector, load_lines, make_node_local, scatter
from frovedis_lite.engine.session import current

said = []


def say(value):
    if isinstance(value, np.ndarray):
        value = (str(value.dtype), value.tolist())
    said.append(repr(value))


KINDS = [int, lambda x: x / 2, "a".__mul__, lambda x: (x // 3, x), lambda x: (x, "b") if x % 2 else None]
for length, kinds in ((0, KINDS[:1]), (1, KINDS[3:4]), (3, KINDS[2:3]), (60, KINDS)):
    rng = random.Random(length)
    numbers = [rng.randrange(-5, 30) for _ in range(length)]
    for make in kinds:
        values = [make(x) for x in numbers]
        vector = scatter(values)
        assert sum(vector.sizes()) == len(vector) == length and len(vector.sizes()) == current().size
        say(vector.gather())
        say(vector.dtype)
        say(vector.map(lambda x: (x, 1)).gather())
        say(vector.map(lambda x: hash(x) % 7 / 2 if isinstance(x, int) else 1).gather())
        say(vector.flat_map(lambda x: [x] if x else []).gather())
        kept = vector.filter(lambda x: str(x) > "2")
        say(kept.gather())
        say(kept.first(3))
        say(vector.take(length // 2))
        distinct = vector.distinct()
        say(distinct.gather())
        say(max(distinct.sizes()) - min(distinct.sizes()) <= 1)
        say(vector.zip_with_index().gather())
        say(kept.zip(kept.map(str)).gather())
        say(vector.zip(vector.sort(key=str)).gather())
        say(vector.map(str).reduce(lambda x, y: x + y, ""))
        for reverse in (False, True):
            ordered = vector.zip_with_index().sort(key=lambda pair: str(pair[0])[:1], reverse=reverse)
            assert ordered.gather() == sorted(
                [(x, i) for i, x in enumerate(values)], key=lambda pair: str(pair[0])[:1], reverse=reverse
            )
            if None not in values:
                assert list(vector.sort(reverse=reverse)) == sorted(values, reverse=reverse)
        pairs = vector.map(lambda x: (str(x)[:2], x))
        groups = pairs.group_by_key()
        say(groups.gather())
        say(groups.map_values(len).as_dvector().gather())
        say(groups.keys().gather())
        say(len(groups))
        say(pairs.count_by_key().gather())
        say(pairs.map(lambda pair: (pair[0], [pair[1]])).reduce_by_key(lambda x, y: x + y).gather())
        others = vector.first(9)
        say(pairs.join(dvector(others).map(lambda x: (str(x)[:2], 0))).gather())
        say(pairs.join(dvector(["0", "1"]).map(lambda x: (x, x)), how="left").gather())
        if length and None not in values:
            say((vector.min(), vector.max(), vector.max(key=str)))
            say(vector.reduce(max))
        if isinstance((values + [0])[0], (int, float)):
            say(vector.sum())
            say(vector.map(np.abs, dtype=np.float32).gather())
            say(vector.mapv(lambda x: np.asarray(x) * 2.0).gather())

# orders with many equal keys are shared out as evenly as others
same = scatter(np.zeros(400))
assert max(same.sort().sizes()) <= 2 * 400 // current().size
say(scatter([3, float("nan"), 1, float("nan"), 2.0] * 4).sort().gather())
say(scatter([3, float("nan"), 1, float("nan"), 2.0] * 4).sort(reverse=True).gather())
say(scatter([0.0, -0.0, 1.0, -0.0] * 5).sort(reverse=True).gather())
say(scatter([float("nan"), 1.0, float("nan")] * 3).distinct().gather())
say(scatter([(float("nan"), i) for i in range(6)]).group_by_key().gather())
say(scatter(np.array(["a", "bcd", "ef"])).map_partitions(lambda part: np.char.upper(part)).gather())
say(scatter(np.array([2**62] * 5)).sum())
dates = scatter(np.array(["2026-02-01", "NaT", "2026-01-01", "NaT", "2026-02-01", "NaT"], "M8[D]"))
say(dates.distinct().gather())
say(dates.sort().gather())
say(dates.map(lambda x: (x, 1)).count_by_key().gather())
say(scatter([2**62, 5, 0.5, 2**62 + 1]).gather())
say(scatter(range(10)).map(lambda x: 2**62 * x).gather())  # too large for int64 on the last rank only
say(scatter(range(10)).map(lambda x: x if x < 9 else "nine").gather())

# shares
vector = scatter(range(20))
sizes = [20] + [0] * (current().size - 1)
assert vector.align(sizes).sizes() == sizes and list(vector.align(sizes)) == list(range(20))
assert vector.align(sizes[::-1]).align().sizes() == vector.sizes()
assert scatter("abcdefghijklmnopqrst"[:20][i] for i in range(20)).align(vector.align(sizes)).sizes() == sizes

# objects of the ranks
prices = broadcast({i: 10 * i for i in range(20)})
say(vector.map(lambda x, price: price[x], prices).gather())
numbers = make_node_local(range(current().size))
assert numbers.gather() == list(range(current().size)) and numbers.get(current().size - 1) == current().size - 1
assert numbers.map(lambda x: x + 1).reduce(max) == current().size
say(vector.as_node_local().map(lambda part: part[::-1][::-1]).as_dvector().gather())
counts = vector.map(lambda x: (x % 7, 1)).reduce_by_key(lambda x, y: x + y)
say([counts[6], 8 in counts, counts.get(8)])

# lines, also longer than a rank's share
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "text")
    for lines in ([], ["only one"], ["", "two", ""], ["é" * 100, "b", "", "c"], [str(i) for i in range(99)]):
        path.write_text("".join(f"{line}\\n" for line in lines), encoding="utf-8")
        current().comm.barrier()
        assert load_lines(path).gather() == lines
        current().comm.barrier()

if current().comm.rank == 0:
    print("\\n".join(said))
"""


def test_same_results():
    one, two, four = (on_ranks(size, PROGRAM) for size in (1, 2, 4))
    assert one.count("\n") > 200
    assert one.splitlines() == two.splitlines()
    assert one.splitlines() == four.splitlines()


@pytest.mark.parametrize("size", [2, 4])
def test_errors(size):
    """One rank fails; no rank waits for it, and all raise the same type."""
    said = on_ranks(
        size,
        """
        from frovedis_lite.core import dvector
        from frovedis_lite.engine.session import current
        from frovedis_lite.errors import RankError, ReleasedError

        class Odd(Exception):
            def __init__(self, first, second):
                super().__init__(f"{first} {second}")

        def odd(x):
            if x == 7:
                raise Odd("only", "here")
            return x

        class Stuck:
            def __reduce__(self):
                raise LookupError("not to be sent")

        def add(x, y):
            if y == 7:
                raise ArithmeticError("seven")
            return x

        numbers = dvector(range(8))
        pairs = numbers.map(lambda x: (x, x))
        cases = [
            (ZeroDivisionError, lambda: numbers.map(lambda x: 1 / (x - 7))),
            (IndexError, lambda: numbers.filter(lambda x: [0][x // 7])),
            (ArithmeticError, lambda: numbers.reduce(add)),
            ((Odd, RankError), lambda: numbers.map(odd)),
            (TypeError, lambda: numbers.map(lambda x: x if x < 7 else (x, x)).group_by_key()),
            (TypeError, lambda: numbers.map(lambda x: x if x < 7 else "x").sort()),
            (TypeError, lambda: numbers.map(lambda x: x if x < 7 else []).distinct()),
            (ZeroDivisionError, lambda: numbers.sort(key=lambda x: 1 / (x - 7))),
            (ZeroDivisionError, lambda: pairs.group_by_key().map_values(lambda x: 1 / (x[0] - 7))),
            (ArithmeticError, lambda: numbers.map(lambda x: (0, x)).reduce_by_key(add)),
            (LookupError, lambda: numbers.map(lambda x: (x, Stuck())).group_by_key()),
            (ValueError, lambda: numbers.mapv(lambda part: part[part != 7])),
            (ValueError, lambda: numbers.filter(lambda x: False).reduce(max)),
        ]
        for kind, call in cases:
            try:
                call()
                raise AssertionError("nothing was raised")
            except kind as error:
                pass
        numbers.release()
        try:
            numbers.gather()
        except ReleasedError:
            print("done")
        """,
    )
    assert said.count("done") == size


def test_sort_shares():
    """Whatever the values are and wherever they lie, no rank gets more than twice its share, and a few."""
    said = on_ranks(
        3,
        """
        import numpy as np
        from frovedis_lite.core import dvector
        from frovedis_lite.engine.session import current

        ranks = current().size
        rng = np.random.default_rng(0)
        for n in (1, 50, 1000):
            for values in (
                rng.random(n),
                rng.integers(0, 3, n),
                np.arange(n),
                np.arange(n)[::-1],
                np.r_[np.zeros(n // 2), rng.random(n - n // 2)],
                rng.choice(["a", "b", "cc"], n),
                rng.exponential(1, n).astype(np.float32) ** 9,
            ):
                for sizes, reverse in ((None, True), ([0, 0, n], False)):
                    vector = dvector(values).align(sizes)
                    made = vector.sort(reverse=reverse)
                    expected = np.sort(values)[::-1] if reverse else np.sort(values)
                    assert np.array_equal(made.gather(), expected)
                    assert max(made.sizes()) <= 2 * n / ranks + ranks**2
                    assert made.dtype == values.dtype
                    if n == 50:
                        places = vector.zip_with_index().sort(key=lambda pair: pair[0], reverse=reverse)
                        assert [i for _, i in places] == sorted(
                            range(n), key=lambda i: values[i], reverse=reverse
                        )
        print("done")
        """,
    )
    assert said.count("done") == 3
