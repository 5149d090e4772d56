"""What LAPACK's routines of `wrapper` give back."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from frovedis_lite.matrix.dense import FrovedisColmajorMatrix


@dataclass
class GetrfResult:
    """Of an LU factorization.

    Attributes:
        pivots: [rows or columns, whatever is less], for each row the row it changed places with, from 0.
        info: 0, or the number, from 1, of the first 0 on the diagonal of U.
    """

    pivots: np.ndarray
    info: int

    def ipiv(self) -> np.ndarray:
        """What `getri` and `getrs` take."""
        return self.pivots

    def stat(self) -> int:
        """LAPACK's info."""
        return self.info


@dataclass
class SVDResult:
    """Of a singular value decomposition: X = U diag(s) V^T.

    Attributes:
        umat_, vmat_: U [m, k] and V [n, k], column-major matrices on the ranks; None where they were not wanted.
        singular_values_: [k], falling.
    """

    umat_: FrovedisColmajorMatrix | None
    singular_values_: np.ndarray
    vmat_: FrovedisColmajorMatrix | None

    def stat(self) -> int:
        """LAPACK's info; what fails raises."""
        return 0

    def get_k(self) -> int:
        """How many singular values."""
        return len(self.singular_values_)

    def to_numpy_results(self) -> tuple[Any, np.ndarray, Any]:
        """U, s and V as arrays."""
        U, V = (None if m is None else m.to_numpy_array() for m in (self.umat_, self.vmat_))
        return U, self.singular_values_, V

    def save(
        self,
        sfl: "str | os.PathLike[str]",
        ufl: "str | os.PathLike[str] | None" = None,
        vfl: "str | os.PathLike[str] | None" = None,
    ) -> None:
        """Write singular values, and U and V where a path is given, as text.

        Raises:
            ValueError: a path is given for what was not wanted.
        """
        for path, m, name in ((ufl, self.umat_, "U"), (vfl, self.vmat_, "V")):
            if path is not None and m is None:
                raise ValueError(f"{name} was not computed, so there is nothing to write to {os.fspath(path)}")
        FrovedisColmajorMatrix(self.singular_values_).save(sfl)
        for path, m in ((ufl, self.umat_), (vfl, self.vmat_)):
            if path is not None:
                m.save(path)

    def release(self) -> None:
        """Give back the memory on the ranks."""
        for m in (self.umat_, self.vmat_):
            if m is not None:
                m.release()
