"""Matrices as NumPy files, of which every rank maps its own rows. Files are on a disk that all ranks see.

A dense matrix is one .npy file, a sparse one a folder: indptr.npy, indices.npy and data.npy as in CSR, and shape.npy.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.core.collective import together
from frovedis_lite.engine.session import share

FILES = ("indptr", "indices", "data")


def read_dense(comm: Any, path: str) -> np.ndarray:
    """A rank's share of the rows.

    Raises:
        OSError: the file cannot be read; on all ranks, like the next.
        ValueError: it is no .npy file of a matrix.
    """

    def read() -> np.ndarray:
        whole = _mapped(path)
        if whole.ndim != 2:
            raise ValueError(f"{path} holds an array of shape {whole.shape}, not a matrix")
        first, last = share(len(whole), comm.rank, comm.size)
        return np.array(whole[first:last], order="C")

    return together(comm, read)


def write_dense(comm: Any, part: np.ndarray, path: str) -> None:
    """All rows in one file, that `numpy.load` reads too."""
    temporary = f"{path}.part"
    rows, first = comm.allreduce(len(part)), comm.exscan(len(part))
    _fill(comm, temporary, (rows, part.shape[1]), part, first)
    _finish(comm, lambda: Path(temporary).replace(path))


def read_sparse(comm: Any, path: str) -> sparse.csr_matrix:
    """A rank's share of the rows.

    Raises:
        OSError: a file cannot be read; on all ranks, like the next.
        ValueError: it is no such folder.
    """

    def read() -> sparse.csr_matrix:
        folder = Path(path)
        starts, index, value = (_mapped(str(folder / f"{name}.npy")) for name in FILES)
        rows, columns = _mapped(str(folder / "shape.npy"))
        if len(starts) != rows + 1 or starts[0] != 0 or starts[-1] != len(index) or len(index) != len(value):
            raise ValueError(f"{path} is not a whole sparse matrix")
        first, last = share(int(rows), comm.rank, comm.size)
        own = np.array(starts[first : last + 1])
        inside = slice(int(own[0]), int(own[-1]))
        arrays = np.array(value[inside]), np.array(index[inside]), own - own[0]
        made = sparse.csr_matrix(arrays, (last - first, int(columns)))
        made.check_format(full_check=True)
        return made

    return together(comm, read)


def write_sparse(comm: Any, part: sparse.csr_matrix, path: str) -> None:
    """All rows in one folder, that appears under its name when it is whole.

    Raises:
        FileExistsError: something else is there.
    """
    folder = Path(f"{path}.part")
    rows, first_row = comm.allreduce(part.shape[0]), comm.exscan(part.shape[0])
    count, first = comm.allreduce(part.nnz), comm.exscan(part.nnz)

    def begin() -> None:
        if Path(path).exists() and not (Path(path) / "shape.npy").exists():
            raise FileExistsError(f"{path} exists and is no sparse matrix")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        np.save(folder / "shape.npy", np.array([rows, part.shape[1]], np.int64))

    _finish(comm, begin)
    starts = part.indptr.astype(np.int64) + first
    last = comm.rank == comm.size - 1
    _fill(comm, str(folder / "indptr.npy"), (rows + 1,), starts if last else starts[:-1], first_row)
    _fill(comm, str(folder / "indices.npy"), (count,), part.indices, first)
    _fill(comm, str(folder / "data.npy"), (count,), part.data, first)

    def end() -> None:
        if Path(path).exists():
            shutil.rmtree(path)
        folder.replace(path)

    _finish(comm, end)


def _mapped(path: str) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path} is no .npy file of numbers: {error}") from error


def _fill(comm: Any, path: str, shape: tuple[int, ...], part: np.ndarray, first: int) -> None:
    """A .npy file of this shape, into which every rank writes its part, from `first` on."""

    def make() -> None:
        whole = np.lib.format.open_memmap(path, "w+", part.dtype, shape)
        whole.flush()

    def add() -> None:
        if part.size:
            whole = np.lib.format.open_memmap(path, "r+")
            whole[first : first + len(part)] = part
            whole.flush()

    _finish(comm, make)
    together(comm, add)


def _finish(comm: Any, step: Callable[[], Any]) -> None:
    """Rank 0 does it, and all wait."""
    together(comm, step if comm.rank == 0 else _nothing)


def _nothing() -> None:
    pass
