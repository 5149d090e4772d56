"""networkx' exceptions, for programs that expect them; where it is not installed, ones of ours by the same names."""

import functools
from typing import Any

from frovedis_lite.errors import FrovedisError

_MEANINGS = {
    "NodeNotFound": ("NetworkXError", KeyError),
    "NetworkXNotImplemented": (None, NotImplementedError),
    "PowerIterationFailedConvergence": (None, ArithmeticError),
}


def error(name: str, *arguments: Any) -> Exception:
    """An exception to raise. It is networkx' of this name, a FrovedisError, and Python's own of this meaning."""
    return _type(name)(*arguments)


@functools.cache
def _type(name: str) -> type[Exception]:
    broader, meaning = _MEANINGS[name]
    try:
        import networkx
    except ImportError:
        bases: tuple[type, ...] = (FrovedisError, meaning)
    else:
        broad = (getattr(networkx, broader),) if broader else ()  # some functions raise the one, some the other
        bases = (getattr(networkx, name), *broad, FrovedisError, meaning)
    return type(name, bases, {"__str__": Exception.__str__, "__module__": __name__})


def refuse_directed(G: Any) -> None:
    """Raises:
    NetworkXNotImplemented: the graph is directed.
    """
    if G.is_directed():
        raise error("NetworkXNotImplemented", "not implemented for directed type")
