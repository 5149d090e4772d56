"""The distributed vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from frovedis_lite.core import elements, keys
from frovedis_lite.core.collective import aligned
from frovedis_lite.core.handle import Distributed
from frovedis_lite.core.local import as_local, described, joined, settle, typed
from frovedis_lite.core.maps import dunordered_map
from frovedis_lite.core.per_rank import node_local
from frovedis_lite.core.sort import sample_sorted
from frovedis_lite.engine.session import Session, current

NOTHING: Any = object()


class dvector(Distributed):
    """A vector whose elements are shared out to the ranks in order.

    It is typed if its elements are numbers of a NumPy dtype, if they came in an array, or if a dtype was given: each
    rank then has an array. Else each rank has a list, of any Python objects. Strings are in arrays only if they came in
    one, or by dtype: there each takes the memory of the longest.

    Functions get elements as Python objects, or with `vectorized` and in `map_partitions` a rank's whole part, a
    read-only array or a list. More arguments of `map` and its like go to the function as they are, and where one is a
    `node_local`, as its object on that rank. A function runs on the ranks and may not call methods of distributed
    things itself. What it raises is raised to the caller. Vectors are never changed, and every result is a new one.

    Args:
        values: a list, an array of one dimension, or another iterable.
        dtype: NumPy's; None: found out; `object`: a list, whatever the elements are.
        session: whose ranks; None: `current()`.
    Raises:
        TypeError: what is no sequence of elements, or a set.
        ValueError: an array of more dimensions, or a value that the dtype does not have.
    """

    def __init__(self, values: Any = (), dtype: Any = None, session: Session | None = None) -> None:
        if isinstance(values, (set, frozenset)):
            raise TypeError("a set has no order that is the same on all ranks; make it a list, sorted(values)")
        session = session or current()
        local = as_local(values)
        local = settle(local, [described(local)]) if dtype is None else typed(local, dtype)
        self.parts = session.run_parts(elements.owned, session.scatter(local))

    # What it is

    def _described(self) -> tuple[list[int], str | None]:
        known = self.__dict__.get("_known")
        if known is None or self.parts.held is None:  # held says when it was released
            known = self._known = self.run(elements.known)
        return known

    @property
    def dtype(self) -> np.dtype | None:
        """The dtype of a typed vector, else None."""
        name = self._described()[1]
        return None if name is None else np.dtype(name)

    def sizes(self) -> list[int]:
        """How many elements each rank has."""
        return list(self._described()[0])

    def count(self) -> int:
        """How many elements there are."""
        return sum(self._described()[0])

    size = count

    def __len__(self) -> int:
        return self.count()

    def __repr__(self) -> str:
        known = self.__dict__.get("_known")  # where several programs are the ranks, one alone may print this
        what = f"of {sum(known[0])} elements ({np.dtype(known[1]).name if known[1] else 'objects'}) " if known else ""
        return f"<dvector {what}on {self.session.size} ranks>"

    # To this process

    def gather(self) -> Any:
        """All elements in order: an array of a typed vector, else a list."""
        return joined(self.session.gather(self.parts))

    collect = gather

    def as_array(self) -> np.ndarray:
        """All elements in order as an array of one dimension; objects that are no numbers or strings stay objects."""
        values = self.gather()
        if isinstance(values, np.ndarray):
            return values
        if values and all(isinstance(value, str) for value in values):
            return np.array(values)
        made = np.empty(len(values), object)
        for i, value in enumerate(values):
            made[i] = value
        return made

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.as_array(), dtype)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.gather())

    def first(self, n: int) -> Any:
        """The first n elements, or all if there are fewer, as `gather` gives them."""
        if n < 0:
            raise ValueError(f"n is how many elements to take, not {n}")
        return self.run(elements.first, n)

    take = first

    # Element by element

    def map(self, f: Callable[..., Any], *args: Any, vectorized: bool | None = None, dtype: Any = None) -> dvector:
        """`f(element, *args)` of each.

        Args:
            vectorized: `f` gets each rank's part and returns as many elements. None: if the vector is typed and `f` is
                a NumPy ufunc.
            dtype: of the result; None: found out.
        """
        return dvector.of(self.run_parts(elements.mapped, f, vectorized, dtype, *args))

    def mapv(self, f: Callable[..., Any], *args: Any, dtype: Any = None) -> dvector:
        """`map` with a vectorized function."""
        return self.map(f, *args, vectorized=True, dtype=dtype)

    def map_partitions(self, f: Callable[..., Any], *args: Any, dtype: Any = None) -> dvector:
        """What `f(part, *args)` of each rank's part returns, of any length."""
        return dvector.of(self.run_parts(elements.map_partitions, f, dtype, *args))

    def flat_map(self, f: Callable[..., Any], *args: Any, dtype: Any = None) -> dvector:
        """All elements of what `f(element, *args)` of each returns."""
        return dvector.of(self.run_parts(elements.flat_mapped, f, dtype, *args))

    def filter(self, f: Callable[..., Any], *args: Any, vectorized: bool = False) -> dvector:
        """The elements of which `f(element, *args)` is true. They stay on their ranks; `align()` evens out."""
        return dvector.of(self.run_parts(elements.filtered, f, vectorized, *args))

    # To one value

    def reduce(self, f: Callable[[Any, Any], Any], initial: Any = NOTHING) -> Any:
        """All elements combined, in order, by an associative `f`; a NumPy ufunc of two operands runs vectorized.

        Raises:
            ValueError: there are no elements and no `initial`.
        """
        return self.run(elements.reduced, f, [] if initial is NOTHING else [initial])

    def sum(self) -> Any:
        """The sum, 0 of no elements. Whole numbers of a typed vector are summed exactly, floats in float64."""
        return self.run(elements.total)

    def min(self, key: Callable[[Any], Any] | None = None) -> Any:
        """The smallest element, or the first of those with the smallest key; NaN if there is one, as in NumPy.

        Raises:
            ValueError: there are no elements.
        """
        return self.run(elements.extreme, "min", key)

    def max(self, key: Callable[[Any], Any] | None = None) -> Any:
        """The same, the largest."""
        return self.run(elements.extreme, "max", key)

    def mean(self) -> Any:
        """The sum over the number of elements.

        Raises:
            ValueError: there are no elements.
        """
        if not self.count():
            raise ValueError("a vector without elements has no mean")
        return self.sum() / self.count()

    # Order and place

    def sort(self, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> dvector:
        """The elements in order, as `sorted` would have them: equal ones keep theirs. NaN is the largest number.

        Raises:
            TypeError: elements that have no order.
        """
        return dvector.of(self.run_parts(sample_sorted, key, reverse))

    def align(self, to: dvector | Sequence[int] | None = None) -> dvector:
        """The same elements in the same order, shared out differently.

        Args:
            to: how many elements each rank gets, or a vector whose sizes are taken; None: nearly the same number each.
        Raises:
            ValueError: sizes that do not fit the ranks or the elements.
        """
        sizes = None if to is None else to.sizes() if isinstance(to, dvector) else [int(size) for size in to]
        if sizes is not None and (len(sizes) != self.session.size or min(sizes) < 0 or sum(sizes) != self.count()):
            raise ValueError(f"{self.count()} elements on {self.session.size} ranks cannot have the sizes {sizes}")
        return dvector.of(self.run_parts(aligned, sizes))

    def zip(self, other: dvector) -> dvector:
        """Pairs of the elements of two vectors at the same places; the other one is aligned to this.

        Raises:
            ValueError: they have not the same length, or not the same ranks.
        """
        self._check_with(other)
        if len(self) != len(other):
            raise ValueError(f"zip needs vectors of the same length, not of {len(self)} and {len(other)} elements")
        return dvector.of(self.run_parts(elements.zipped, other.align(self)))

    def zip_with_index(self) -> dvector:
        """Pairs (element, place in the whole vector)."""
        return dvector.of(self.run_parts(elements.with_index))

    def distinct(self) -> dvector:
        """The elements without repetition, in the order of first appearance, nearly the same number on each rank.

        Raises:
            TypeError: elements that cannot be hashed.
        """
        return dvector.of(self.run_parts(keys.distinct))

    # Pairs of a key and a value

    def reduce_by_key(self, f: Callable[[Any, Any], Any]) -> dunordered_map:
        """For each key its values combined, in order, by an associative `f`.

        Raises:
            TypeError: elements that are no pairs, or a key that cannot be hashed.
        """
        return dunordered_map.of(self.run_parts(keys.reduced_by_key, f))

    def group_by_key(self) -> dunordered_map:
        """For each key the list of its values, in order."""
        return dunordered_map.of(self.run_parts(keys.grouped_by_key))

    def count_by_key(self) -> dunordered_map:
        """For each key how many values it has."""
        return dunordered_map.of(self.run_parts(keys.counted_by_key))

    def join(self, other: dvector, how: str = "inner") -> dvector:
        """(key, (value, value of the other)) for all pairs with equal keys, in the order of this vector and for each
        of its elements in that of the other.

        Args:
            how: "inner", or "left": a key that the other has not gets None.
        """
        self._check_with(other)
        if how not in ("inner", "left"):
            raise ValueError(f"join knows 'inner' and 'left', not {how!r}")
        return dvector.of(self.run_parts(keys.joined_by_key, other, how))

    def _check_with(self, other: dvector) -> None:
        if not isinstance(other, dvector):
            raise TypeError(f"the other one must be a dvector too, not a {type(other).__name__}")
        if other.session is not self.session:
            raise ValueError("the two vectors are on the ranks of different sessions")

    # As objects of the ranks

    def as_node_local(self) -> node_local:
        """Each rank's part, an array or a list, as one object. Both handles share its memory."""
        return node_local.of(self.run_parts(elements.same))

    viewed_as_node_local = as_node_local


def scatter(values: Any, dtype: Any = None, session: Session | None = None) -> dvector:
    """A vector of values, shared out to the ranks: another name of `dvector`."""
    return dvector(values, dtype, session)
