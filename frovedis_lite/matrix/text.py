"""Matrices as text: one row a line, of numbers (dense) or of column:value (sparse), columns from 0.

Every rank looks for the ends of lines and reads its own share of them. Files are on a disk that all ranks see.
"""

import os
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.core.collective import together
from frovedis_lite.engine.session import share

CHUNK = 4096  # rows that are written at once


def read_dense(comm: Any, path: str, dtype: np.dtype) -> np.ndarray:
    """A rank's share of the rows.

    Raises:
        OSError: the file cannot be read; on all ranks, like the next.
        ValueError: what is no number, or lines of different lengths.
    """

    def read() -> np.ndarray:
        lines, first = own_lines(comm, path)
        while lines and not lines[-1].strip() and comm.rank == comm.size - 1:
            lines.pop()
        values = _numbers(b"\n".join(lines), dtype, path)
        lengths = [len(line.split()) for line in lines]
        wrong = next((i for i, n in enumerate(lengths) if n != lengths[0] or n == 0), None)
        if wrong is not None:
            raise ValueError(f"{path}, line {first + wrong + 1}: {lengths[wrong]} numbers, not {lengths[0]}")
        return values.reshape(len(lines), lengths[0] if lines else 0)

    part = together(comm, read)
    columns = comm.allreduce(part.shape[1], "max")
    if comm.allreduce(int(len(part) > 0 and part.shape[1] != columns)):
        raise ValueError(f"{path}: lines of different lengths, up to {columns} numbers")
    return part if len(part) else np.empty((0, columns), dtype)


def read_sparse(comm: Any, path: str, dtype: np.dtype, columns: int | None) -> sparse.csr_matrix:
    """A rank's share of the rows; without `columns`, as many as the largest index needs.

    Raises:
        OSError: the file cannot be read; on all ranks, like the next.
        ValueError: what is not column:value, or a column that does not exist.
    """

    def read() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        lines, first = own_lines(comm, path)
        lengths = np.array([line.count(b":") for line in lines], np.int64)
        for number, (line, count) in enumerate(zip(lines, lengths, strict=True), first + 1):
            if len(line.split()) != count:
                raise ValueError(f"{path}, line {number}: not column:value, apart by blanks")
        pairs = _numbers(b"\n".join(lines).replace(b":", b" "), np.dtype(np.float64), path).reshape(-1, 2)
        index = pairs[:, 0].astype(np.int64)
        if (index != pairs[:, 0]).any() or (index < 0).any():
            raise ValueError(f"{path}: columns are whole numbers from 0")
        if columns is not None and index.max(initial=-1) >= columns:
            raise ValueError(f"{path}: column {index.max()} in a matrix of {columns} columns")
        return pairs[:, 1].astype(dtype), index, np.concatenate([[0], np.cumsum(lengths)])

    value, index, starts = together(comm, read)
    width = comm.allreduce(int(index.max(initial=-1)) + 1, "max") if columns is None else columns
    made = sparse.csr_matrix((value, index, starts), (len(starts) - 1, width))
    made.sum_duplicates()
    return made


def write_dense(comm: Any, part: np.ndarray, path: str) -> None:
    """Numbers with as many digits as give them back."""

    def lines(first: int, last: int) -> str:
        rows = part[first:last]
        values = rows if rows.dtype == np.float32 else rows.tolist()  # as float64, a float32 has many more digits
        return "".join(" ".join(map(str, row)) + "\n" for row in values)

    _write(comm, path, part.shape[0], lines)


def write_sparse(comm: Any, part: sparse.csr_matrix, path: str) -> None:
    """column:value for each element that is stored; an empty line for a row that has none."""

    def lines(first: int, last: int) -> str:
        starts = part.indptr[first : last + 1]
        index = part.indices[starts[0] : starts[-1]]
        value = part.data[starts[0] : starts[-1]]
        words = [f"{i}:{v}" for i, v in zip(index, value if value.dtype == np.float32 else value.tolist(), strict=True)]
        ends = starts - starts[0]
        return "".join(" ".join(words[a:b]) + "\n" for a, b in pairwise(ends))

    _write(comm, path, part.shape[0], lines)


def own_lines(comm: Any, path: str) -> tuple[list[bytes], int]:
    """A rank's share of the lines of a file, and the number of the first, from 0."""
    if os.path.getsize(path) == 0:
        return [], 0
    content = np.memmap(path, np.uint8, "r")
    ends = np.flatnonzero(content == ord("\n"))
    if not len(ends) or ends[-1] != len(content) - 1:
        ends = np.append(ends, len(content))
    first, last = share(len(ends), comm.rank, comm.size)
    if first == last:
        return [], first
    start = int(ends[first - 1]) + 1 if first else 0
    return content[start : int(ends[last - 1])].tobytes().split(b"\n"), first


def _numbers(words: bytes, dtype: np.dtype, path: str) -> np.ndarray:
    if not words.strip():
        return np.empty(0, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(words.decode(), dtype, sep=" ")
        except (DeprecationWarning, ValueError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: there is something that is no {dtype}") from error


def _write(comm: Any, path: str, rows: int, lines: Callable[[int, int], str]) -> None:
    """One rank after the other adds its lines. Under its name the file is whole."""
    temporary = Path(f"{path}.part")

    def add() -> None:
        with temporary.open("w" if comm.rank == 0 else "a") as file:
            for first in range(0, rows, CHUNK):
                file.write(lines(first, min(first + CHUNK, rows)))

    for rank in range(comm.size):
        together(comm, add if rank == comm.rank else _nothing)
    together(comm, (lambda: temporary.replace(path)) if comm.rank == 0 else _nothing)


def _nothing() -> None:
    pass
