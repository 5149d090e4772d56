"""What ranks say to each other. Every algorithm is a function of its local part of the data and one of these.

On one process there is one rank, and nothing else differs. The operations are MPI's, with its names (MPI: A
Message-Passing Interface Standard, version 4.1, chapter 6); arrays may be of any shape and dtype.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

OPERATIONS = {"sum": np.add, "max": np.maximum, "min": np.minimum}


class Communicator(Protocol):
    """What an algorithm may count on.

    Attributes:
        rank: which of the ranks this is, from 0.
        size: how many there are.
    """

    rank: int
    size: int

    def allreduce(self, value: Any, op: str = "sum") -> Any:
        """The sum ("sum"), largest ("max") or smallest ("min") of a number or array of all ranks, element by element;
        the same bits on all of them, and never memory of the caller's."""

    def bcast(self, value: Any, root: int = 0) -> Any:
        """The root's object, on every rank."""

    def gather(self, value: Any, root: int = 0) -> list[Any] | None:
        """Every rank's object in the order of ranks, on the root; None elsewhere."""

    def allgather(self, value: Any) -> list[Any]:
        """Every rank's object in the order of ranks, on every rank."""

    def alltoall(self, values: Sequence[Any]) -> list[Any]:
        """The i-th object goes to rank i; what came from each, in the order of ranks."""

    def exscan(self, value: int) -> int:
        """The sum of a whole number over all ranks before this one: where its part begins."""

    def barrier(self) -> None:
        """Wait for all."""


class Alone:
    """The communicator of one process."""

    rank, size = 0, 1

    def allreduce(self, value: Any, op: str = "sum") -> Any:
        _check_operation(op)
        return value.copy() if isinstance(value, np.ndarray) else value

    def bcast(self, value: Any, root: int = 0) -> Any:
        return value

    def gather(self, value: Any, root: int = 0) -> list[Any]:
        return [value]

    def allgather(self, value: Any) -> list[Any]:
        return [value]

    def alltoall(self, values: Sequence[Any]) -> list[Any]:
        (value,) = values
        return [value]

    def exscan(self, value: int) -> int:
        return 0

    def barrier(self) -> None:
        pass


class Ranks:
    """MPI's ranks.

    Args:
        mpi: an mpi4py communicator.
    """

    def __init__(self, mpi: Any) -> None:
        self.mpi = mpi
        self.rank, self.size = mpi.Get_rank(), mpi.Get_size()

    def allreduce(self, value: Any, op: str = "sum") -> Any:
        from mpi4py import MPI

        _check_operation(op)
        kind = {"sum": MPI.SUM, "max": MPI.MAX, "min": MPI.MIN}[op]
        array = np.ascontiguousarray(value)
        if array.dtype == bool:
            array = array.astype(np.int64)
        made = np.empty_like(array)
        self.reduce(array, made, kind)
        return made if isinstance(value, np.ndarray) else made.item()

    def reduce(self, array: np.ndarray, made: np.ndarray, kind: Any) -> None:
        """The MPI call of `allreduce`."""
        self.mpi.Allreduce(array, made, kind)

    def bcast(self, value: Any, root: int = 0) -> Any:
        return self.mpi.bcast(value, root)

    def gather(self, value: Any, root: int = 0) -> list[Any] | None:
        return self.mpi.gather(value, root)

    def allgather(self, value: Any) -> list[Any]:
        return self.mpi.allgather(value)

    def alltoall(self, values: Sequence[Any]) -> list[Any]:
        return self.mpi.alltoall(list(values))

    def exscan(self, value: int) -> int:
        made = self.mpi.exscan(value)
        return 0 if self.rank == 0 else made

    def barrier(self) -> None:
        self.mpi.Barrier()


def _check_operation(op: str) -> None:
    if op not in OPERATIONS:
        raise ValueError(f"allreduce knows {', '.join(map(repr, OPERATIONS))}, not {op!r}")
