"""One object on each rank: a table that functions read there, or whatever a rank has made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from frovedis_lite.core import elements
from frovedis_lite.core.collective import everywhere, settled, together
from frovedis_lite.core.handle import Distributed
from frovedis_lite.core.local import Local, as_local
from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import Session, current

if TYPE_CHECKING:
    from frovedis_lite.core.vector import dvector


class node_local(Distributed):
    """An object on each rank.

    As an argument of `map` and its like, the function gets the object of the rank on which it runs:
    `words.map(lambda word, prices: prices[word], broadcast(prices))`.
    """

    def map(self, f: Callable[..., Any], *args: Any) -> node_local:
        """`f(object, *args)` of each rank."""
        return node_local.of(self.run_parts(_applied, f, *args))

    def reduce(self, f: Callable[[Any, Any], Any]) -> Any:
        """All ranks' objects combined by an associative `f`, in the order of ranks."""
        return self.run(_reduced, f)

    def gather(self) -> list[Any]:
        """Every rank's object, in the order of ranks."""
        return self.session.gather(self.parts)

    def get(self, rank: int = 0) -> Any:
        """One rank's object."""
        if not 0 <= rank < self.session.size:
            raise IndexError(f"there are ranks 0 to {self.session.size - 1}, not {rank}")
        return self.run(_of_rank, rank)

    def as_dvector(self) -> dvector:
        """A vector of what each rank's object, a list or an array, has in it."""
        from frovedis_lite.core.vector import dvector

        return dvector.of(self.run_parts(_as_part))

    viewed_as_dvector = as_dvector

    def __repr__(self) -> str:
        return f"<node_local on {self.session.size} ranks>"


def broadcast(value: Any, session: Session | None = None) -> node_local:
    """An object, on every rank."""
    return node_local.of((session or current()).run_parts(elements.same, value))


def make_node_local(values: Sequence[Any], session: Session | None = None) -> node_local:
    """`values[i]` on rank i.

    Raises:
        ValueError: there are not as many as ranks.
    """
    session = session or current()
    values = list(values)
    if len(values) != session.size:
        raise ValueError(f"a node_local of {len(values)} objects needs as many ranks; there are {session.size}")
    return node_local.of(session.run_parts(_only, session.scatter(values)))


def _only(comm: Communicator, part: list[Any]) -> Any:
    return part[0]


def _applied(comm: Communicator, value: Any, f: Callable, *args: Any) -> Any:
    return together(comm, f, value, *args)


def _reduced(comm: Communicator, value: Any, f: Callable) -> Any:
    return elements.reduced(comm, [value], f, [])


def _of_rank(comm: Communicator, value: Any, rank: int) -> Any:
    return everywhere(comm, value if comm.rank == rank else None)[rank]


def _as_part(comm: Communicator, value: Any) -> Local:
    return settled(comm, as_local, value)
