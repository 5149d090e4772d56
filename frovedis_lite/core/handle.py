"""What all distributed things share: a handle of their parts, which can be released."""

from typing import Any, Self

from frovedis_lite.engine.session import Parts, Session


class Distributed:
    """A handle of something on the ranks. Nothing is computed later: what a method returns is there.

    Attributes:
        parts: what the session knows of it.
    """

    parts: Parts

    @classmethod
    def of(cls, parts: Parts) -> Self:
        """The handle of what is on the ranks already, as this class keeps it there."""
        made = cls.__new__(cls)
        made.parts = parts
        return made

    @property
    def session(self) -> Session:
        """Whose ranks these are."""
        return self.parts.session

    def run(self, function: Any, *args: Any) -> Any:
        """`function(comm, part, *args)` on every rank; rank 0's result. Where an argument is distributed too, the
        function gets its rank's part."""
        return self.session.run(function, self.parts, *map(_parts, args))

    def run_parts(self, function: Any, *args: Any) -> Parts:
        """The same, but each rank's result stays where it is."""
        return self.session.run_parts(function, self.parts, *map(_parts, args))

    def persist(self) -> Self:
        """Itself: results are always kept. For programs that were written for other frameworks."""
        return self

    def release(self) -> None:
        """Give back the memory on the ranks. What is called after it raises ReleasedError; a second release does
        nothing."""
        self.parts.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def __reduce__(self) -> Any:
        raise TypeError(
            f"a {type(self).__name__} stays on its ranks: a function gets it as an argument, as in v.map(f, it)"
        )


def _parts(item: Any) -> Any:
    return item.parts if isinstance(item, Distributed) else item
