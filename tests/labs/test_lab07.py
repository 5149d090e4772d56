"""Lab 07: its exercises three ways, and what its widgets draw against the library itself."""

import math
from itertools import pairwise

import numpy as np
import pytest

from frovedis_lite.core import scatter
from frovedis_lite.engine.session import share
from frovedis_lite.matrix import formats
from labs.exercise_sets import lab07 as answers
from labs.pictures import lab06, lab07, lab07_sparse
from labs.pictures.lab06_svg import Controls
from tests.labs.three_ways import three_ways


def test_owner():
    three_ways(
        "07-1",
        right=[
            answers._owner,
            lambda i, n, p: ((i + 1) * p - 1) // n,
            lambda i, n, p: np.int64(answers._owner(i, n, p)),
        ],
        wrong=[
            (lambda i, n, p: i * p // n, "rounded down"),
            (lambda i, n, p: i // math.ceil(n / p), "cuts pieces of one size"),
            (lambda i, n, p: i // max(n // p, 1), "rows without a rank"),
            (lambda i, n, p: min(i // max(n // p, 1), p - 1), "to the last rank"),
            (lambda i, n, p: i % p, "like cards"),
            (lambda i, n, p: answers._owner(i, n, p) + 1, "counts ranks from 1"),
            (lambda i, n, p: 17, "there are ranks 0 to"),
            (lambda i, n, p: 0, "Where does each rank begin"),
            (lambda i, n, p: print(i), "gives nothing back"),
            (lambda i, n, p: "1", "gives text"),
            (lambda i, n, p: [i], "gives no number"),
            (2, "Give the function itself"),
        ],
    )


def test_mean_by_key():
    def pairs_added(pairs):
        ones = pairs.map(lambda pair: (pair[0], (pair[1], 1)))
        return ones.reduce_by_key(lambda a, b: (a[0] + b[0], a[1] + b[1])).map_values(lambda t: t[0] / t[1])

    def by_groups(pairs):
        return pairs.group_by_key().map_values(lambda values: sum(values) / len(values)).gather()

    def as_pairs(pairs):
        return by_groups(pairs).items()

    def halves(pairs):
        return pairs.reduce_by_key(lambda a, b: (a + b) / 2)

    three_ways(
        "07-2",
        right=[pairs_added, by_groups, as_pairs],
        wrong=[
            (halves, "not associative"),
            (lambda pairs: pairs.reduce_by_key(lambda a, b: a + b), "Those are sums"),
            (lambda pairs: pairs.count_by_key().gather(), "Those are counts"),
            (lambda pairs: pairs.reduce_by_key(max), "the largest values"),
            (lambda pairs: pairs.group_by_key(), "still has several numbers"),
            (lambda pairs: {"a": 3.0}, "these are not the keys"),
            (lambda pairs: pairs.map_values(len), "raised AttributeError"),
            (lambda pairs: 3.0, "no keys with their means"),
            (lambda pairs: print(pairs), "gives nothing back"),
            (lambda pairs: pairs.reduce_by_key(min), "is what you reduce by associative"),
            ({"a": 3.0}, "Give the function itself"),
        ],
    )


def test_bytes_of_formats():
    def right(lengths):
        return answers._crs(lengths), answers._ell(lengths)

    three_ways(
        "07-3",
        right=[right, lambda lengths: np.array(right(lengths)), lambda lengths: [*map(float, right(lengths))]],
        wrong=[
            *((lambda n, f=f: (f(n), answers._ell(n)), words) for f, words in answers.CRS_MISTAKES),
            *((lambda n, f=f: (answers._crs(n), f(n)), words) for f, words in answers.ELL_MISTAKES),
            (lambda lengths: [8 * value for value in right(lengths)], "Those are bits"),
            (lambda lengths: (1, 2), "that is not it"),
            (lambda lengths: 76, "has to give two numbers"),
            (lambda lengths: print(lengths), "gives nothing back"),
            (lambda lengths: ("88", "84"), "gives text"),
            ((88, 84), "Give the function itself"),
        ],
    )


def test_product_with_jagged_diagonals():
    def by_elements(order, starts, index, value, x):
        y = np.zeros(len(order))
        for d in range(len(starts) - 1):
            for place in range(starts[d], starts[d + 1]):
                y[order[place - starts[d]]] += value[place] * x[index[place]]
        return y

    def sorted_first(order, starts, index, value, x):
        falling = np.zeros(len(order))
        for first, last in pairwise(starts):
            falling[: last - first] += value[first:last] * x[index[first:last]]
        y = np.empty_like(falling)
        y[order] = falling
        return y

    def first_alone(order, starts, index, value, x):
        return answers._jds_times(order, starts[:2], index, value, x)

    def spoils(order, starts, index, value, x):
        y = answers._jds_times(order, starts, index, value, x)
        x[:] = 0
        return y

    def overwritten(order, starts, index, value, x):
        y = np.zeros(len(order))
        for first, last in pairwise(starts):
            y[order[: last - first]] = value[first:last] * x[index[first:last]]
        return y

    three_ways(
        "07-4",
        right=[answers._jds_times, sorted_first],
        wrong=[
            (by_elements, "a loop over rows or elements"),
            (answers._in_falling_order, "order of falling lengths"),
            (first_alone, "the first diagonal alone"),
            (overwritten, "overwrites the one before"),
            (spoils, "writes into what it was given"),
            (lambda order, starts, index, value, x: np.zeros(len(order)), "that is not it"),
            (lambda order, starts, index, value, x: 0.0, "one number for each row"),
            (lambda order, starts, index, value, x: value[: len(order)] @ x, "raised ValueError"),
            (lambda order, starts, index, value, x: print(x), "gives nothing back"),
            (3, "Give the function itself"),
        ],
    )


def test_the_drawn_vector_is_cut_as_the_library_cuts():
    for elements, ranks in ((8, 2), (10, 3), (2, 5), (0, 2)):
        sizes = [len(part) for part in lab07.parts_after("scatter", elements, ranks)]
        assert sizes == [last - first for first, last in (share(elements, rank, ranks) for rank in range(ranks))]
    assert lab07.parts_after("filter", 8, 2) == [[3], [6]]
    assert lab07.parts_after("align", 12, 3) == [[3], [6], [9, 12]]
    assert sum(part[0] for part in lab07.parts_after("reduce", 8, 3)) == 36


def test_drawn_words_are_counted():
    for ranks in (1, 2, 3, 4):
        parts = lab07.counted(ranks, 3)
        lines = scatter(list(lab07.LINES))
        counts = lines.flat_map(str.split).map(lambda word: (word, 1)).reduce_by_key(lambda a, b: a + b).gather()
        assert {word: count for part in parts for word, count in part} == counts
        assert all(lab07.home(word, ranks) == rank for rank, part in enumerate(parts) for word, _ in part)


def test_owners_of_a_dense_matrix():
    assert lab07.owners("row-major", 3)[:, 0].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert np.array_equal(lab07.owners("column-major", 5), lab07.owners("row-major", 5).T)
    cyclic = lab07.owners("block-cyclic", 4)
    assert cyclic[:4, :4].tolist() == [[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2
    assert np.bincount(cyclic.ravel()).tolist() == [36] * 4


@pytest.mark.parametrize("name", lab07_sparse.MATRICES)
@pytest.mark.parametrize("kind", lab07_sparse.FORMATS.values())
def test_loops_have_every_element_once(kind, name):
    places = [at for _, loop in lab07_sparse.loops(name, kind) for at in loop if at is not None]
    assert sorted(places) == sorted(zip(*lab07_sparse.small(name).nonzero(), strict=True))


def test_drawn_diagonals_are_those_of_the_library():
    matrix = lab07_sparse.small("one long row")
    jds = formats.JDS.from_csr(matrix)
    drawn = [place for _, loop in lab07_sparse.loops("one long row", "JDS") for place in loop]
    assert [matrix[at] for at in drawn] == jds.value.tolist()
    assert np.diff(jds.starts).tolist() == [len(loop) for _, loop in lab07_sparse.loops("one long row", "JDS")]


def test_loops_of_a_large_matrix():
    matrix = lab07_sparse.heavy_tailed(2000, 1)
    lengths = lab07_sparse.loop_lengths(matrix)
    assert {name: int(n.sum()) for name, n in lengths.items() if name != "ELL"} == dict.fromkeys(
        ("CRS", "JDS", "JDS/CRS hybrid"), matrix.nnz
    )
    assert lengths["JDS"].tolist() == np.diff(formats.JDS.from_csr(matrix).starts).tolist()
    hybrid = formats.JDSCRSHybrid.from_csr(matrix)
    assert len(lengths["JDS/CRS hybrid"]) == len(hybrid.starts) - 1 + hybrid.rest.shape[0]
    one = [300, 256, 31]
    assert lab07_sparse.cycles(one, 10) == sum(10 + math.ceil(n / 32) for size in one for n in lab06.strips(size, 256))
    assert lab07_sparse.vector_length(one) == sum(one) / 4
    for name, dot in lab07_sparse.in_formats(matrix).items():
        assert np.allclose(dot(np.ones(2000)), matrix.sum(1).A1), name
    picture = lab07_sparse.compare(matrix, dict.fromkeys(lengths, 1.0))
    assert "JDS: 1.00 ms here" in picture.text


@pytest.mark.parametrize(
    "made",
    [
        lab07.partitions,
        lab07.word_count,
        lab07.layouts,
        lab07_sparse.sparse_formats,
        lambda: lab07.few_values(*np.linalg.svd(np.eye(8) / 2, full_matrices=False)),
    ],
)
def test_widgets(made):
    widget = made()
    assert isinstance(widget, Controls)
    assert all(control.description for control in widget.named.values())
    for control in widget.named.values():
        for value in (control.max, control.min) if hasattr(control, "max") else [v for _, v in control._options_full]:
            control.value = value
            assert "aria-label" in widget.drawing.value or "alt=" in widget.drawing.value
    assert widget._repr_mimebundle_()["text/html"] == widget.first


def test_what_ranks_say_of_an_error():
    error = ValueError("no")
    error.add_note("It was raised on rank 1.")
    error.add_note(
        "On rank 0 of 2:\nTraceback (most recent call last):\n"
        '  File "/x/frovedis_lite/core/elements.py", line 43, in mapped\n    return f(x)\n           ^^^^\n'
        '  File "/tmp/cell.py", line 2, in mine\n    raise ValueError("no")\nValueError: no\nIt was raised on rank 1.'
    )
    assert lab07.told_by_ranks(error) == [
        "It was raised on rank 1.",
        "On rank 0 of 2:",
        '  File "/tmp/cell.py", line 2, in mine',
        '    raise ValueError("no")',
        "ValueError: no",
    ]
    assert lab07.told_by_ranks(ValueError("alone")) == []
