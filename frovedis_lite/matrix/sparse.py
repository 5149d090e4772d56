"""What sparse matrices on the ranks have in common: elements come in and go out as CSR, by rows."""

import os
from typing import Any, Self

import numpy as np
from scipy import sparse

from frovedis_lite.engine.session import Parts, current
from frovedis_lite.matrix import binary, products, text
from frovedis_lite.matrix.dense import FrovedisColmajorMatrix, FrovedisDenseMatrix, FrovedisRowmajorMatrix
from frovedis_lite.matrix.distributed import DistributedMatrix, converted

FLOATS = (np.float32, np.float64)


class FrovedisSparseMatrix(DistributedMatrix):
    """A sparse matrix on the ranks. It has elements of its own: what it was made of may change or vanish.

    Args:
        mat: [rows, columns], SciPy's of any format, a matrix of ours, anything NumPy makes an array of, or a path of
            text. Its elements are sorted, and those at the same place added up, in a copy.
        dtype: float32 or float64. Without it that of `mat` if it is one of these, else float64.

    Raises:
        TypeError: another dtype, or elements that are no real numbers.
        ValueError: more than two dimensions, an index outside of the matrix, or 2^31 columns or more.
    """

    def __init__(self, mat: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.nnz = 0
        if dtype is not None:
            chosen_dtype(np.dtype(np.float64), dtype)
        if mat is not None:
            self.load(mat, dtype)

    def load(self, mat: Any, dtype: Any = None) -> Self:
        """Take the elements of `mat`, as the class says."""
        if isinstance(mat, (str, os.PathLike)):
            return self.load_text(mat, dtype)
        if isinstance(mat, DistributedMatrix):
            chosen = chosen_dtype(mat.dtype, dtype)
            rows = mat.session.run_parts(_as_csr, mat.parts, chosen)
            return self._from_rows(rows, mat.shape, chosen)
        made = canonical(mat, dtype)
        return self._from_rows(current().scatter(made), made.shape, made.dtype)

    def load_text(self, path: "str | os.PathLike[str]", dtype: Any = None, columns: int | None = None) -> Self:
        """Read a text file: one row a line, as column:value apart by blanks, columns from 0; an empty line is a row of
        zeros. Each rank reads its own lines.

        Args:
            columns: of the matrix; without it, as many as the largest index needs.

        Raises:
            OSError: the file cannot be read.
            ValueError: what is not column:value, or a column outside of the matrix.
        """
        chosen = chosen_dtype(np.dtype(np.float64), dtype)
        session = current()
        rows = session.run_parts(text.read_sparse, os.path.abspath(path), chosen, columns)
        return self._from_rows(rows, session.run(_shape, rows), chosen)

    def load_binary(self, path: "str | os.PathLike[str]", dtype: Any = None) -> Self:
        """Read a folder that `save_binary` wrote. Each rank reads its own rows.

        Raises:
            OSError: a file cannot be read.
            ValueError: it is no such folder.
        """
        session = current()
        rows = session.run_parts(binary.read_sparse, os.path.abspath(path))
        *shape, found = session.run(_described, rows)
        chosen = chosen_dtype(np.dtype(found), dtype)
        if chosen != np.dtype(found):
            rows = session.run_parts(converted, rows, chosen)
        return self._from_rows(rows, tuple(shape), chosen)

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Write text, that `load_text` reads: each number with as many digits as give it back."""
        self._run(text.write_sparse, self.parts, os.path.abspath(path))

    save_text = save

    def save_binary(self, path: "str | os.PathLike[str]") -> None:
        """Write a folder of NumPy files: indptr.npy, indices.npy and data.npy as in CSR, and shape.npy.

        Raises:
            FileExistsError: something is there that is no sparse matrix.
        """
        self._run(binary.write_sparse, self.parts, os.path.abspath(path))

    def to_scipy_matrix(self) -> sparse.csr_matrix:
        """The whole matrix, CSR with sorted indices."""
        parts = self.session.gather(self.parts)
        return parts[0].copy() if len(parts) == 1 else sparse.vstack(parts, format="csr")

    def to_numpy_array(self) -> np.ndarray:
        """The whole matrix, dense."""
        return self.to_scipy_matrix().toarray()

    def dot(self, x: Any) -> Any:
        """X x.

        Args:
            x: [columns] or [columns, k]: an array, a vector of ours, a sparse matrix of SciPy, or a matrix of ours.
                Every rank gets the whole of it.

        Returns:
            an array [rows] or [rows, k] for an array; a vector of ours for one; `FrovedisRowmajorMatrix` for a dense
            matrix of ours; `FrovedisCRSMatrix` for a sparse one.
        Raises:
            ValueError: the sizes do not fit.
        """
        from frovedis_lite.matrix.crs import FrovedisCRSMatrix

        if sparse.issparse(x):
            x = FrovedisCRSMatrix(x, self.dtype)
        if not isinstance(x, DistributedMatrix):
            array = np.asarray(x.to_numpy_array() if hasattr(x, "to_numpy_array") else x)
            self._check_operand(array.shape)
            y = self._array_product(array)
            return type(x)(y) if hasattr(x, "to_numpy_array") else y
        self._check_operand(x.shape)
        whole = self.session.run_parts(_everywhere, x.parts)
        if isinstance(x, FrovedisDenseMatrix):
            made = self.session.run_parts(_own_product, *self._operands(), whole)
            return FrovedisRowmajorMatrix.of(made, (self.shape[0], x.shape[1]), self.dtype)
        made = self.session.run_parts(_sparse_product, self.parts, whole)
        return FrovedisCRSMatrix.of(made, (self.shape[0], x.shape[1]), np.result_type(self.dtype, x.dtype))

    def __matmul__(self, x: Any) -> Any:
        return self.dot(x)

    def to_frovedis_rowmajor_matrix(self) -> FrovedisRowmajorMatrix:
        """The same elements, dense."""
        return FrovedisRowmajorMatrix.of(self.session.run_parts(_dense, self.parts), self.shape, self.dtype)

    def to_frovedis_colmajor_matrix(self) -> FrovedisColmajorMatrix:
        """The same elements, dense."""
        return FrovedisColmajorMatrix(self.to_frovedis_rowmajor_matrix())

    def release(self) -> None:
        super().release()
        self.nnz = 0

    def _from_rows(self, rows: Parts, shape: tuple[int, int], dtype: np.dtype) -> Self:
        """Take what is on the ranks as CSR."""
        raise NotImplementedError

    def _take(self, blocks: Parts, shape: tuple[int, int], dtype: Any) -> Self:
        super()._take(blocks, shape, dtype)
        self.nnz = blocks.session.run(_count, blocks)
        return self

    def _array_product(self, x: np.ndarray) -> np.ndarray:
        """X x of an array that fits."""
        return self._run(_whole_product, *self._operands(), x)

    def _operands(self) -> tuple[Any, ...]:
        """What a product with a dense operand needs on each rank: something with `dot`, or CSR."""
        return (self.parts,)

    def _check_operand(self, shape: tuple[int, ...]) -> None:
        _ = self.blocks  # its error comes first, where the matrix is empty
        if len(shape) not in (1, 2) or shape[0] != self.shape[1]:
            raise ValueError(f"a matrix of shape {self.shape} has no product with an operand of shape {shape}")


def canonical(mat: Any, dtype: Any = None) -> sparse.csr_matrix:
    """A CSR matrix of its own elements, with sorted indices, each once; as `FrovedisSparseMatrix` says."""
    if not sparse.issparse(mat):
        mat = np.asarray(mat)
        if mat.ndim > 2:
            raise ValueError(f"a matrix has two dimensions, not the {mat.ndim} of shape {mat.shape}")
        mat = mat.reshape(-1, 1) if mat.ndim == 1 else mat
    chosen = chosen_dtype(mat.dtype, dtype)
    if sparse.issparse(mat) and mat.format in ("csr", "csc", "bsr"):
        mat.check_format(full_check=True)
    made = sparse.csr_matrix(mat, dtype=chosen, copy=True)
    products.indices_of(made[:0])  # its error, where there are too many columns
    made.has_canonical_format = False  # SciPy remembers what it was told, and arrays can be changed
    made.has_sorted_indices = False
    made.sum_duplicates()
    return made


def chosen_dtype(found: np.dtype, asked: Any) -> np.dtype:
    """The dtype of the elements.

    Raises:
        TypeError: it is neither float32 nor float64, or elements are no real numbers.
    """
    if asked is not None:
        if np.dtype(asked) not in FLOATS:
            raise TypeError(f"a sparse matrix is of float32 or float64, not of {np.dtype(asked)}")
        return np.dtype(asked)
    if found.kind not in "biuf":
        raise TypeError(f"a sparse matrix is of real numbers, not of {found}")
    return found if found in FLOATS else np.dtype(np.float64)


def _as_csr(comm: Any, part: Any, dtype: np.dtype) -> sparse.csr_matrix:
    return sparse.csr_matrix(part, dtype=dtype, copy=True)


def _shape(comm: Any, part: Any) -> tuple[int, int]:
    return comm.allreduce(part.shape[0]), part.shape[1]


def _described(comm: Any, part: Any) -> tuple[int, int, str]:
    return *_shape(comm, part), part.dtype.str


def _count(comm: Any, part: Any) -> int:
    return comm.allreduce(int(part.nnz))


def _dense(comm: Any, part: sparse.csr_matrix) -> np.ndarray:
    return part.toarray(order="C")


def _everywhere(comm: Any, part: Any) -> Any:
    if comm.size == 1:
        return part
    parts = comm.allgather(part)
    return sparse.vstack(parts, format="csr") if sparse.issparse(part) else np.concatenate(parts)


def _own_product(comm: Any, part: Any, x: np.ndarray) -> np.ndarray:
    return products.times(part, x) if sparse.issparse(part) else part.dot(x)


def _whole_product(comm: Any, part: Any, x: np.ndarray) -> np.ndarray:
    own = _own_product(comm, part, x)
    return own if comm.size == 1 else np.concatenate(comm.allgather(own))


def _sparse_product(comm: Any, part: sparse.csr_matrix, other: sparse.csr_matrix) -> sparse.csr_matrix:
    made = sparse.csr_matrix(part @ other)
    made.sort_indices()
    return made
