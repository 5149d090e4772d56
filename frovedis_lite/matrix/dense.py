"""Dense matrices on the ranks: row-major, column-major and block-cyclic."""

import os
from typing import Any, ClassVar, Self

import numpy as np

from frovedis_lite.engine.session import Parts, current
from frovedis_lite.matrix import binary, text
from frovedis_lite.matrix.distributed import DistributedMatrix, converted
from frovedis_lite.matrix.layout import COLUMNS, CYCLIC, ROWS, Layout, assembled, moved

FLOATS = (np.float32, np.float64)
NUMBERS = (*FLOATS, np.int32, np.int64)


class FrovedisDenseMatrix(DistributedMatrix):
    """A dense matrix whose elements are dealt out over the ranks. It has elements of its own: what it was made of may
    change or vanish. Nothing changes its elements but `load`.

    Args:
        mat: [rows, columns], anything NumPy makes an array of, where one dimension is one column; or a dense or sparse
            matrix of ours; or a path of text.
        dtype: float32, float64, int32 or int64 (block-cyclic: the floats). Without it that of `mat` if it is one of
            these, else float64.

    Raises:
        TypeError: another dtype, or elements that are no real numbers.
        ValueError: more than two dimensions.
    """

    layout: ClassVar[Layout]
    dtypes: ClassVar[tuple[type, ...]] = NUMBERS

    def __init__(self, mat: Any = None, dtype: Any = None) -> None:
        super().__init__()
        if dtype is not None:
            self._allowed(dtype)
        if mat is not None:
            self.load(mat, dtype)

    def load(self, mat: Any, dtype: Any = None) -> Self:
        """Take the elements of `mat`, as the class says."""
        if isinstance(mat, (str, os.PathLike)):
            return self.load_text(mat, dtype)
        if isinstance(mat, DistributedMatrix):
            return self._copy(mat, dtype)
        if hasattr(mat, "toarray"):  # SciPy's
            mat = mat.toarray()
        array = np.asarray(mat)
        array = array.astype(self._chosen(array.dtype, dtype), order="C")  # a copy in any case
        if array.ndim > 2:
            raise ValueError(f"a matrix has two dimensions, not the {array.ndim} of shape {array.shape}")
        array = array.reshape(len(array), 1) if array.ndim == 1 else np.atleast_2d(array)
        return self._from_rows(current().scatter(array), array.shape, array.dtype)

    def load_text(self, path: "str | os.PathLike[str]", dtype: Any = None) -> Self:
        """Read a text file: one row a line, numbers apart by blanks. Each rank reads its own lines.

        Raises:
            OSError: the file cannot be read.
            ValueError: what is no number, or lines of different lengths.
        """
        dtype = self._chosen(np.dtype(np.float64), dtype)
        session = current()
        parts = session.run_parts(text.read_dense, os.path.abspath(path), dtype)
        return self._from_rows(parts, session.run(_shape, parts), dtype)

    def load_binary(self, path: "str | os.PathLike[str]", dtype: Any = None) -> Self:
        """Read a .npy file, also one that `numpy.save` wrote. Each rank reads its own rows.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no .npy file of a matrix.
        """
        session = current()
        parts = session.run_parts(binary.read_dense, os.path.abspath(path))
        rows, columns, found = session.run(_described, parts)
        chosen = self._chosen(np.dtype(found), dtype)
        if chosen != np.dtype(found):
            parts = session.run_parts(converted, parts, chosen)
        return self._from_rows(parts, (rows, columns), chosen)

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Write text, that `load_text` reads: each number with as many digits as give it back."""
        self._run(text.write_dense, self.parts, os.path.abspath(path))

    save_text = save

    def save_binary(self, path: "str | os.PathLike[str]") -> None:
        """Write a .npy file."""
        self._run(binary.write_dense, self.parts, os.path.abspath(path))

    def to_numpy_array(self) -> np.ndarray:
        """The whole matrix, [rows, columns] row-major."""
        return assembled(self.session.gather(self.blocks), self.shape, self.layout)

    def to_numpy_matrix(self) -> np.matrix:
        """The whole matrix as a `numpy.matrix`, for which * is the matrix product."""
        return np.asmatrix(self.to_numpy_array())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("elements on the ranks cannot be seen without a copy")
        return self.to_numpy_array().astype(dtype or self.dtype, copy=False)

    def transpose(self) -> Self:
        """The transposed matrix, of the same class."""
        blocks = self.session.run_parts(moved, self.blocks, self.shape, self.layout, self.layout, True)
        return self.of(blocks, self.shape[::-1], self.dtype)

    @property
    def T(self) -> Self:
        """The transposed matrix."""
        return self.transpose()

    @property
    def parts(self) -> Parts:
        """Each rank's rows, whatever the layout of this class is; they are moved each time this is asked for."""
        return self.moved_to(ROWS)

    def moved_to(self, layout: Layout) -> Parts:
        """Each rank's part in another layout."""
        if layout == self.layout:
            return self.blocks
        return self.session.run_parts(moved, self.blocks, self.shape, self.layout, layout)

    def to_frovedis_rowmajor_matrix(self) -> "FrovedisRowmajorMatrix":
        """The same elements in that layout."""
        return FrovedisRowmajorMatrix(self)

    def to_frovedis_colmajor_matrix(self) -> "FrovedisColmajorMatrix":
        """The same elements in that layout."""
        return FrovedisColmajorMatrix(self)

    def to_frovedis_blockcyclic_matrix(self) -> "FrovedisBlockcyclicMatrix":
        """The same elements in that layout."""
        return FrovedisBlockcyclicMatrix(self)

    def _copy(self, mat: DistributedMatrix, dtype: Any) -> Self:
        if not isinstance(mat, FrovedisDenseMatrix):
            mat = mat.to_frovedis_rowmajor_matrix()
        chosen = self._chosen(mat.dtype, dtype)
        blocks = mat.session.run_parts(moved, mat.blocks, mat.shape, mat.layout, self.layout)
        if chosen != mat.dtype or mat.layout == self.layout:
            blocks = mat.session.run_parts(converted, blocks, chosen)
        return self._take(blocks, mat.shape, chosen)

    def _from_rows(self, rows: Parts, shape: tuple[int, int], dtype: np.dtype) -> Self:
        blocks = rows
        if self.layout != ROWS:
            blocks = rows.session.run_parts(moved, rows, shape, ROWS, self.layout)
        return self._take(blocks, shape, dtype)

    def _chosen(self, found: np.dtype, asked: Any) -> np.dtype:
        if asked is not None:
            return self._allowed(asked)
        if found.kind not in "biuf":
            raise TypeError(f"a {type(self).__name__} is of real numbers, not of {found}")
        return found if found in self.dtypes else np.dtype(np.float64)

    def _allowed(self, dtype: Any) -> np.dtype:
        if np.dtype(dtype) not in self.dtypes:
            names = ", ".join(np.dtype(kind).name for kind in self.dtypes)
            raise TypeError(f"a {type(self).__name__} is of {names}, not of {np.dtype(dtype)}")
        return np.dtype(dtype)


class FrovedisRowmajorMatrix(FrovedisDenseMatrix):
    """A dense matrix whose rows are shared out, nearly the same number to each rank; `blocks` and `parts` are
    [rows of the rank, columns], row-major."""

    layout = ROWS


class FrovedisColmajorMatrix(FrovedisDenseMatrix):
    """A dense matrix whose columns are shared out; `blocks` are [rows, columns of the rank], column-major."""

    layout = COLUMNS


class FrovedisBlockcyclicMatrix(FrovedisDenseMatrix):
    """A dense matrix whose blocks of 64 x 64 are dealt out over a grid of ranks: the layout of ScaLAPACK.

    `*` and `@` are the matrix product as in Frovedis, `*` with a number scales, `~` transposes.
    """

    layout = CYCLIC
    dtypes = FLOATS

    def __add__(self, other: Any) -> "FrovedisBlockcyclicMatrix":
        return self._with(other, _sum)

    def __sub__(self, other: Any) -> "FrovedisBlockcyclicMatrix":
        return self._with(other, _difference)

    def __mul__(self, other: Any) -> "FrovedisBlockcyclicMatrix":
        if np.isscalar(other):
            return self.of(self.session.run_parts(_scaled, self.blocks, float(other)), self.shape, self.dtype)
        return self @ other

    def __rmul__(self, other: Any) -> "FrovedisBlockcyclicMatrix":
        return self * other if np.isscalar(other) else NotImplemented

    def __matmul__(self, other: Any) -> "FrovedisBlockcyclicMatrix":
        from frovedis_lite.linalg.products import product

        return product(self, self._like(other))

    def __neg__(self) -> "FrovedisBlockcyclicMatrix":
        return self * -1.0

    def __invert__(self) -> "FrovedisBlockcyclicMatrix":
        return self.transpose()

    def inv(self) -> "FrovedisBlockcyclicMatrix":
        """The inverse, by LU with partial pivoting.

        Raises:
            ValueError: the matrix is not square.
            numpy.linalg.LinAlgError: it is singular.
        """
        from frovedis_lite.linalg import inv

        return inv(self)

    def _with(self, other: Any, function: Any) -> "FrovedisBlockcyclicMatrix":
        other = self._like(other)
        if other.shape != self.shape:
            raise ValueError(f"matrices of shapes {self.shape} and {other.shape} have no sum and no difference")
        return self.of(self.session.run_parts(function, self.blocks, other.blocks), self.shape, self.dtype)

    def _like(self, other: Any) -> "FrovedisBlockcyclicMatrix":
        """The other operand as a matrix of this kind: what has a dtype must have that of this one."""
        if not isinstance(other, DistributedMatrix):
            return FrovedisBlockcyclicMatrix(other, self.dtype)
        if other.dtype != self.dtype:
            raise TypeError(f"the matrices are of {self.dtype} and {other.dtype}: convert one of them first")
        return other if isinstance(other, FrovedisBlockcyclicMatrix) else FrovedisBlockcyclicMatrix(other)


def _shape(comm: Any, part: np.ndarray) -> tuple[int, int]:
    return comm.allreduce(len(part)), comm.allreduce(part.shape[1], "max")


def _described(comm: Any, part: np.ndarray) -> tuple[int, int, str]:
    return *_shape(comm, part), part.dtype.str


def _sum(comm: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b


def _difference(comm: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a - b


def _scaled(comm: Any, a: np.ndarray, factor: float) -> np.ndarray:
    return a * a.dtype.type(factor)
