"""A distributed map: each key, with its value, on the rank that its hash names."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from frovedis_lite.core import keys
from frovedis_lite.core.handle import Distributed

if TYPE_CHECKING:
    from frovedis_lite.core.vector import dvector


class dunordered_map(Distributed):
    """What `reduce_by_key`, `group_by_key` and `count_by_key` of a vector of pairs give.

    NaN is a key like any other, and always the same one. Where a map becomes a vector, its keys are in the order in
    which they first appeared.
    """

    def map_values(self, f: Callable[..., Any], *args: Any) -> dunordered_map:
        """The same keys with `f(value, *args)`."""
        return dunordered_map.of(self.run_parts(keys.mapped_values, f, *args))

    def lookup(self, key: Hashable) -> Any:
        """The value of a key.

        Raises:
            KeyError: it is not in the map.
        """
        found = self.run(keys.looked_up, key)
        if not found:
            raise KeyError(key)
        return found[0]

    def get(self, key: Hashable, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        return (self.run(keys.looked_up, key) or [default])[0]

    def __getitem__(self, key: Hashable) -> Any:
        return self.lookup(key)

    def __contains__(self, key: Hashable) -> bool:
        return bool(self.run(keys.looked_up, key))

    def __iter__(self) -> Any:
        return iter(self.keys().gather())

    def as_dvector(self) -> dvector:
        """A vector of pairs (key, value), nearly the same number on each rank."""
        return self._listed("items")

    def keys(self) -> dvector:
        """A vector of the keys."""
        return self._listed("keys")

    def values(self) -> dvector:
        """A vector of the values, in step with `keys`."""
        return self._listed("values")

    def _listed(self, what: str) -> dvector:
        from frovedis_lite.core.vector import dvector

        return dvector.of(self.run_parts(keys.listed, what))

    def gather(self) -> dict[Any, Any]:
        """The map as a dictionary."""
        return dict(self.as_dvector().gather())

    def count(self) -> int:
        """How many keys there are."""
        return self.run(keys.counted)

    def __len__(self) -> int:
        return self.count()

    def __repr__(self) -> str:
        return f"<dunordered_map on {self.session.size} ranks>"
