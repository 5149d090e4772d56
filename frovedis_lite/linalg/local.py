"""Products of a rank's rows, dense or sparse, with vectors and narrow matrices that every rank has; and a rank that
leads."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.matrix import products


def times(part: Any, x: np.ndarray) -> np.ndarray:
    """The rank's rows of X x."""
    return products.times(part, x) if sparse.issparse(part) else part @ x


def transposed_times(comm: Any, part: Any, own: np.ndarray) -> np.ndarray:
    """X^T u, on every rank, of the rank's rows of X and u."""
    made = products.transposed_times(part, own) if sparse.issparse(part) else part.T @ own
    return comm.allreduce(np.ascontiguousarray(made))


def gram_times(comm: Any, part: Any, x: np.ndarray) -> np.ndarray:
    """X^T X x, on every rank."""
    made = products.gram_times(part, x) if sparse.issparse(part) else part.T @ (part @ x)
    return comm.allreduce(np.ascontiguousarray(made))


def whole_times(comm: Any, part: Any, x: np.ndarray) -> np.ndarray:
    """X x, all rows of it, on every rank."""
    own = times(part, x)
    return own if comm.size == 1 else np.concatenate(comm.allgather(own))


def own_rows(comm: Any, part: Any, whole: np.ndarray) -> np.ndarray:
    """The elements of a whole vector or matrix that belong to the rank's rows."""
    first = comm.exscan(part.shape[0])
    return whole[first : first + part.shape[0]]


def led(comm: Any, apply: Callable[..., Any], lead: Callable[[Callable[..., Any]], Any]) -> Any:
    """What `lead(call)` gives, on every rank. It runs on rank 0, and each `call(...)` in it is `apply(...)` on all
    ranks: so an iteration that decides for itself when to stop, as ARPACK's, takes the same steps everywhere.

    Raises:
        Exception: what `lead` raised, on every rank.
    """
    if comm.rank:
        while (args := comm.bcast(None)) is not None:
            apply(*args)
        made, error = comm.bcast(None)
    else:

        def call(*args: Any) -> Any:
            comm.bcast(args)
            return apply(*args)

        made, error = None, None
        try:
            made = lead(call)
        except Exception as raised:
            error = raised
        comm.bcast(None)
        comm.bcast((made, error))
    if error is not None:
        raise error
    return made
