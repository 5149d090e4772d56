"""What matrices on the ranks have in common."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from frovedis_lite.engine.session import Parts, Session, current
from frovedis_lite.errors import ReleasedError


class DistributedMatrix:
    """A handle of a matrix of which every rank has a part. `with` gives it back at the end.

    Attributes:
        shape: rows and columns, of all ranks.
        dtype: of the elements; None while there is nothing in the matrix.
    """

    def __init__(self) -> None:
        self.shape: tuple[int, int] = (0, 0)
        self.dtype: np.dtype | None = None
        self._blocks: Parts | None = None
        self._not_finite: tuple[bool, bool] | None = None

    @property
    def blocks(self) -> Parts:
        """Each rank's part, in the layout of this class.

        Raises:
            ReleasedError: there is nothing in the matrix: nothing was loaded, or it was released.
        """
        if self._blocks is None:
            raise ReleasedError(f"this {type(self).__name__} is empty: load something first, it may have been released")
        return self._blocks

    @property
    def parts(self) -> Parts:
        """Each rank's rows, which is what estimators take: an array or a CSR matrix."""
        return self.blocks

    @property
    def session(self) -> Session:
        """Whose ranks these are."""
        return self.blocks.session

    @classmethod
    def of(cls, blocks: Parts, shape: tuple[int, int], dtype: "np.dtype | type") -> Self:
        """A matrix of what is on the ranks already, in the layout of this class."""
        made = cls()
        made._take(blocks, shape, dtype)
        return made

    def _take(self, blocks: Parts, shape: tuple[int, int], dtype: "np.dtype | type") -> Self:
        self._blocks, self.shape, self.dtype = blocks, (int(shape[0]), int(shape[1])), np.dtype(dtype)
        self._not_finite = None
        return self

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.session.run(function, *args)

    @property
    def size(self) -> int:
        """Elements, zeros included."""
        return self.shape[0] * self.shape[1]

    def numRows(self) -> int:
        """Rows."""
        return self.shape[0]

    def numCols(self) -> int:
        """Columns."""
        return self.shape[1]

    def get_dtype(self) -> np.dtype | None:
        """The dtype of the elements."""
        return self.dtype

    def is_loaded(self) -> bool:
        """Whether there is something in the matrix."""
        return self._blocks is not None

    def all_finite(self) -> bool:
        """Whether no element is NaN or infinite, which a matrix may have and most estimators do not take."""
        return not any(self.not_finite())

    def not_finite(self) -> tuple[bool, bool]:
        """Whether an element is NaN, and whether one is infinite. Looked up once, as elements do not change."""
        if self._not_finite is None:
            self._not_finite = self._run(_not_finite, self.parts)
        return self._not_finite

    def release(self) -> None:
        """Give back the memory on the ranks. Calling it again does nothing."""
        blocks, self._blocks = self._blocks, None
        self.shape, self.dtype = (0, 0), None
        if blocks is not None:
            blocks.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"


def placed(items: list[Any], session: Session | None = None) -> Parts:
    """The i-th of as many things as there are ranks on rank i."""
    session = session or current()
    return session.run_parts(_own, session.scatter(items))


def _own(comm: Any, items: list[Any]) -> Any:
    (item,) = items
    return item


def _not_finite(comm: Any, part: Any) -> tuple[bool, bool]:
    values = part if isinstance(part, np.ndarray) else part.data
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(values.sum(dtype=np.float64)) or np.isfinite(values).all()  # the sum alone may overflow
    own = np.zeros(2) if finite else np.array([np.isnan(values).any(), np.isinf(values).any()], float)
    return tuple(bool(count) for count in comm.allreduce(own))


def converted(comm: Any, part: Any, dtype: np.dtype) -> Any:
    """The part in another dtype."""
    return part.astype(dtype)
