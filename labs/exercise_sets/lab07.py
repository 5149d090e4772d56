"""Exercises of lab 07: who has a row, a mean by key, bytes of sparse formats, a product with jagged diagonals."""

import math
import sys

import numpy as np

from labs.answers import NOTHING, a_function, a_number
from labs.exercises import Wrong, exercise

# --- 07-1 ------------------------------------------------------------------------------------------------------------


def _owner(i, n, p):
    return next(rank for rank in range(p) if n * rank // p <= i < n * (rank + 1) // p)


OWNER_CASES = [(i, n, p) for n, p in ((8, 2), (10, 3), (11, 4), (100, 7), (5, 8), (1797, 6), (1, 1)) for i in range(n)]
OWNER_MISTAKES = [
    (
        lambda i, n, p: i * p // n,
        "That is nearly it: i * p // n. The bounds are rounded down, so a rank begins a little before that says.",
    ),
    (
        lambda i, n, p: i // math.ceil(n / p),
        "That cuts pieces of one size, so the last rank gets less, or nothing. The sizes here differ by one at most.",
    ),
    (lambda i, n, p: i // max(n // p, 1), "That cuts pieces of n // p rows, and then there are rows without a rank."),
    (
        lambda i, n, p: min(i // max(n // p, 1), p - 1),
        "That gives all rows that are left over to the last rank. The sizes here differ by one at most.",
    ),
    (lambda i, n, p: i % p, "That deals rows out like cards. Here each rank has neighbours, in one piece."),
    (lambda i, n, p: _owner(i, n, p) + 1, "That counts ranks from 1. Their numbers begin with 0."),
]


@exercise(
    "07-1",
    "Which rank has row i?",
    minutes=5,
    hints=[
        "You know where each rank begins. Row i belongs to the last rank that begins at i or before it.",
        "It need not be a formula. A loop over the ranks that looks whether first <= i < last is a good answer.",
        "for rank in range(p): if n * rank // p <= i < n * (rank + 1) // p, then return the rank.",
    ],
)
def owner(answer):
    """Accept a function of (i, n, p), tried with numbers the notebook does not show."""
    a_function(answer, "i, n and p")
    found = {}
    for case in OWNER_CASES:
        call, right = f"owner{case}", _owner(*case)
        number = found[case] = a_number(answer(*case), call)
        if number == right:
            continue
        rest = {each: a_number(answer(*each), f"owner{each}") for each in OWNER_CASES[:40]}
        for mistake, text in OWNER_MISTAKES:
            if number == mistake(*case) and all(value == mistake(*each) for each, value in rest.items()):
                raise Wrong(f"{call}: {text}", got=number, expected=right)
        if not 0 <= number < case[2]:
            raise Wrong(f"{call}: there are ranks 0 to {case[2] - 1}.", got=number, expected=right)
        raise Wrong(f"{call}: that is not it. Where does each rank begin?", got=number, expected=right)


# --- 07-2 ------------------------------------------------------------------------------------------------------------

MEANS = [
    [("a", 1.0), ("b", 10.0), ("a", 2.0), ("a", 6.0), ("b", 20.0), ("c", -4.0), ("a", 3.0), ("b", 60.0)],
    [(2020, 5), (2021, 7), (2020, 6), (2020, 100), (2021, 0)],
    [("only", 3.5)],
    [(key % 5, key * key) for key in range(101)],
]


def _by_key(pairs, combine):
    grouped = {}
    for key, value in pairs:
        grouped.setdefault(key, []).append(value)
    return {key: combine(values) for key, values in grouped.items()}


def _halved(values):
    """What a reduction by (a + b) / 2 gives, from left to right."""
    made = values[0]
    for value in values[1:]:
        made = (made + value) / 2
    return made


MEAN_MISTAKES = [
    (sum, "Those are sums. Divide each by how many values the key has."),
    (len, "Those are counts. They are half of what you need."),
    (lambda values: sum(values) / (len(values) + 1), "The counts are too large by one."),
    (max, "Those are the largest values."),
    (_halved, "(a + b) / 2 is not associative: the mean of means is another number. Reduce what can be added up."),
]


def _as_dict(made, call):
    """The learner's result, which may still be on the ranks."""
    if made is None:
        raise Wrong(f"{call} {NOTHING}", got=made, expected="a dictionary")
    if hasattr(made, "gather"):
        made = made.gather()
    try:
        return dict(made)
    except (TypeError, ValueError):
        raise Wrong(f"{call} gives no keys with their means.", got=made, expected="a dictionary") from None


@exercise(
    "07-2",
    "A mean by key",
    minutes=8,
    hints=[
        "The mean of two means is not the mean of all. Which numbers may be added up, in any grouping, and give the "
        "mean in the end?",
        "Make (value, 1) of each value. Pairs like that can be added up: sums with sums, counts with counts.",
        "pairs.map(lambda pair: (pair[0], (pair[1], 1))), then reduce_by_key with a function that adds both places, "
        "then map_values with a division.",
    ],
)
def mean_by_key(answer):
    """Accept a function of a dvector of pairs that gives the mean of each key, tried on other pairs, on the ranks in
    use."""
    from frovedis_lite.core import scatter

    a_function(answer, "one dvector of pairs")
    for pairs in MEANS:
        call = "mean_by_key(scatter(" + (str(pairs) if len(pairs) < 9 else f"[... {len(pairs)} pairs]") + "))"
        made, right = _as_dict(answer(scatter(pairs)), call), _by_key(pairs, lambda values: sum(values) / len(values))
        if set(made) != set(right):
            raise Wrong(f"{call}: these are not the keys.", got=sorted(made, key=str), expected=sorted(right, key=str))
        if any(isinstance(value, list | tuple) for value in made.values()):
            raise Wrong(f"{call}: a key still has several numbers. Make one mean of them.", got=made, expected=right)
        numbers = {key: a_number(value, f"The mean of {key!r}") for key, value in made.items()}
        if all(math.isclose(numbers[key], right[key], rel_tol=1e-9, abs_tol=1e-9) for key in right):
            continue
        for mistake, text in MEAN_MISTAKES:
            known = _by_key(pairs, mistake)
            if all(math.isclose(numbers[key], known[key]) for key in right):
                raise Wrong(f"{call}: {text}", got=made, expected=right)
        text = "that is not it. Do you divide by how many values this key has? And is what you reduce by associative?"
        raise Wrong(f"{call}: {text}", got=made, expected=right)


# --- 07-3 ------------------------------------------------------------------------------------------------------------

LENGTHS = [[1, 6, 2, 0], [3, 1, 2], [4, 4, 4, 4], [1, 1, 1, 100], [0, 2, 0, 5, 1], [7], list(range(1, 51))]


def _crs(lengths):
    return 12 * sum(lengths) + 4 * (len(lengths) + 1)


def _ell(lengths):
    return 12 * max(lengths) * len(lengths) + 4 * len(lengths)


CRS_MISTAKES = [
    (lambda lengths: 12 * sum(lengths), "That leaves out where rows begin: n + 1 numbers of 4 bytes."),
    (
        lambda lengths: 12 * sum(lengths) + 4 * len(lengths),
        "Rows begin at n + 1 places: the last one says where the last row ends.",
    ),
    (lambda lengths: 8 * sum(lengths) + 4 * (len(lengths) + 1), "That leaves out the columns, 4 bytes each."),
    (lambda lengths: 16 * sum(lengths) + 8 * (len(lengths) + 1), "A column has 4 bytes here, not 8."),
    (lambda lengths: 12 * sum(lengths) + 8 * (len(lengths) + 1), "Where a row begins is a number of 4 bytes."),
    (_ell, "That is ELL. The pair begins with CRS."),
]
ELL_MISTAKES = [
    (
        lambda lengths: 12 * sum(lengths) + 4 * len(lengths),
        "That has no padding. Each row is as long as the longest.",
    ),
    (lambda lengths: 12 * max(lengths) * len(lengths), "That leaves out the lengths of the rows, 4 bytes each."),
    (
        lambda lengths: 8 * max(lengths) * len(lengths) + 4 * len(lengths),
        "That leaves out the columns. Padding has a column, too: 0.",
    ),
    (
        lambda lengths: 12 * max(lengths) * len(lengths) + 4 * (len(lengths) + 1),
        "There is one length for each row, n numbers. The n + 1 are for where rows begin in CRS.",
    ),
    (_crs, "That is CRS. The pair ends with ELL."),
]


@exercise(
    "07-3",
    "How many bytes do CRS and ELL take?",
    minutes=5,
    hints=[
        "Count what is stored. CRS: each element once, and where rows begin. ELL: as if all rows were as long as the "
        "longest, and the lengths.",
        "A value and its column are 8 + 4 = 12 bytes. CRS has sum(lengths) of them, ELL max(lengths) * n.",
        "CRS: 12 * sum(lengths) + 4 * (n + 1). ELL: 12 * max(lengths) * n + 4 * n.",
    ],
)
def sparse_bytes(answer):
    """Accept a function of row lengths that gives (bytes of CRS, bytes of ELL), tried on other lengths."""
    a_function(answer, "a list of row lengths")
    for lengths in LENGTHS:
        call = f"sparse_bytes({lengths if len(lengths) < 9 else '[1, 2, ... 50]'})"
        made = answer(list(lengths))
        if made is None:
            raise Wrong(f"{call} {NOTHING}", got=made, expected="a pair (CRS, ELL)")
        try:
            crs, ell = made
        except (TypeError, ValueError):
            raise Wrong(f"{call} has to give two numbers.", got=made, expected="a pair (CRS, ELL)") from None
        for kind, value, right, mistakes in (
            ("CRS", crs, _crs, CRS_MISTAKES),
            ("ELL", ell, _ell, ELL_MISTAKES),
        ):
            number = a_number(value, f"{kind} of {call}")
            if number == right(lengths):
                continue
            for mistake, text in mistakes:
                if number == mistake(lengths):
                    raise Wrong(f"{call}, {kind}: {text}", got=number, expected=right(lengths))
            if number == 8 * right(lengths):
                raise Wrong(f"{call}, {kind}: Those are bits.", got=number, expected=right(lengths))
            raise Wrong(f"{call}, {kind}: that is not it.", got=number, expected=right(lengths))


# --- 07-4 ------------------------------------------------------------------------------------------------------------


def _jagged(lengths, columns, seed):
    """A matrix as jagged diagonals, and as it is."""
    from scipy import sparse

    from frovedis_lite.matrix.formats import JDS

    random = np.random.default_rng(seed)
    places = [np.sort(random.choice(columns, n, replace=False)) for n in lengths]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    index = np.concatenate([*places, np.zeros(0, int)])
    A = sparse.csr_matrix((random.integers(1, 9, len(index)).astype(float), index, starts), (len(lengths), columns))
    return JDS.from_csr(A), A


def _jds_times(order, starts, index, value, x):
    y = np.zeros(len(order))
    for d in range(len(starts) - 1):
        part = slice(starts[d], starts[d + 1])
        y[order[: starts[d + 1] - starts[d]]] += value[part] * x[index[part]]
    return y


def _in_falling_order(order, starts, index, value, x):
    y = np.empty(len(order))
    y[:] = _jds_times(order, starts, index, value, x)[order]
    return y


JAGGED = (([3, 1, 2], 4, 0), ([1, 4, 2, 0, 4, 3], 7, 1), ([2] * 6, 5, 2), ([0, 0, 5], 6, 3), ([1, 9, 1, 1, 2], 9, 4))


def _steps(function, *arguments):
    """How many lines of Python a call runs."""
    count, before = 0, sys.gettrace()

    def watch(_frame, _event, _argument):
        nonlocal count
        count += 1
        return watch

    sys.settrace(watch)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return count


def _arguments(jds, x):
    return jds.order.copy(), jds.starts.copy(), jds.index.copy(), jds.value.copy(), x


@exercise(
    "07-4",
    "A product with jagged diagonals",
    minutes=10,
    hints=[
        "The only loop goes over the diagonals. Diagonal d lies from starts[d] to starts[d + 1] in index and value, "
        "and it has one element of each of the first rows in order.",
        "Its products, all at once: value[first:last] * x[index[first:last]]. There are last - first of them.",
        "y[order[: last - first]] += value[first:last] * x[index[first:last]], for each d in range(len(starts) - 1).",
    ],
)
def jds_times(answer):
    """Accept a function of (order, starts, index, value, x) whose loop does not go over elements, tried on other
    matrices."""
    a_function(answer, "order, starts, index, value and x")
    for lengths, columns, seed in JAGGED:
        jds, A = _jagged(lengths, columns, seed)
        x = np.arange(1.0, columns + 1)
        given, right = _arguments(jds, x), A @ x
        made = answer(*given)
        name = f"A matrix with rows of {lengths} elements"
        if made is None:
            raise Wrong(f"The function {NOTHING}", got=made, expected="an array")
        y = np.asarray(made, float)
        if y.shape != right.shape:
            raise Wrong(f"{name}: the product has one number for each row, {len(right)}.", got=y, expected=right)
        if not np.array_equal(x, np.arange(1.0, columns + 1)) or not np.array_equal(given[3], jds.value):
            raise Wrong("The function writes into what it was given. Make a new array for the result.")
        if np.allclose(y, right):
            continue
        if np.allclose(y, _in_falling_order(*_arguments(jds, x))):
            text = "the numbers are right, and in the order of falling lengths. `order` says where each belongs."
        elif len(jds.starts) > 2 and np.allclose(y, _jds_times(jds.order, jds.starts[:2], jds.index, jds.value, x)):
            text = "that is the first diagonal alone."
        elif np.allclose(y, _last(jds, x)):
            text = "each diagonal overwrites the one before. Add to y: +=."
        else:
            text = "that is not it."
        raise Wrong(f"{name}: {text}", got=y, expected=right)
    small, large = (_jagged([5, *[3] * rows], 8, 5)[0] for rows in (20, 400))
    x = np.ones(8)
    if _steps(answer, *_arguments(large, x)) > _steps(answer, *_arguments(small, x)) + 100:
        raise Wrong(
            "The result is right, and there is a loop over rows or elements: more rows take more steps of Python. Let "
            "NumPy take a whole diagonal at once."
        )


def _last(jds, x):
    """As if each diagonal overwrote what was there."""
    y = np.zeros(len(jds.order))
    for d in range(len(jds.starts) - 1):
        part = slice(jds.starts[d], jds.starts[d + 1])
        y[jds.order[: jds.starts[d + 1] - jds.starts[d]]] = jds.value[part] * x[jds.index[part]]
    return y
