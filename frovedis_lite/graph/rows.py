"""Adjacency lists on the ranks: functions of the local rows and a communicator.

Rank r has rows share(n, r, size) of the n x n adjacency matrix as a scipy.sparse.csr_array with int32 indices and
float64 weights. The entries of a row are in the order in which its edges came, as in networkx, and each is there once.
"""

from ctypes import c_double, c_int64
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import share
from frovedis_lite.native import address, library

INDEX, WEIGHT = np.int32, np.float64


def call(name: str, *arguments: Any, gives: Any = None) -> Any:
    """A kernel of graph.c: arrays as pointers, whole numbers as int64, other numbers as double, None as a null pointer.

    Args:
        gives: the ctypes type of what it returns.
    """
    function = getattr(library("graph"), name)
    function.restype = gives
    return function(*map(_passed, arguments))


def _passed(argument: Any) -> Any:
    if isinstance(argument, np.ndarray):
        return address(argument, argument.dtype)
    if isinstance(argument, float):
        return c_double(argument)
    return None if argument is None else c_int64(argument)


def bounds(nodes: int, size: int) -> np.ndarray:
    """[size + 1], where each rank's rows begin."""
    return np.array([share(nodes, rank, size)[0] for rank in range(size)] + [nodes])


def csr(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, nodes: int) -> sparse.csr_array:
    """Rows of a matrix with as many columns as there are nodes."""
    shape = (len(indptr) - 1, nodes)
    return sparse.csr_array((data, indices, indptr), shape=shape)


def parts_of(rows: sparse.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """indptr, indices and weights as kernels take them.

    Raises:
        ValueError: more than 2^31 - 1 edges on one rank.
    """
    if rows.nnz > np.iinfo(INDEX).max:
        raise ValueError(f"{rows.nnz} edges on one rank are too many for 32-bit indices: use more ranks")
    return tuple(
        np.ascontiguousarray(array, dtype)
        for array, dtype in ((rows.indptr, INDEX), (rows.indices, INDEX), (rows.data, WEIGHT))
    )


def assemble(
    comm: Communicator,
    source: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray | None,
    nodes: int,
    directed: bool,
) -> sparse.csr_array:
    """Rows from edges, of which every rank has some.

    Args:
        source, target: [edges of this rank], int32 node numbers.
        weights: [edges of this rank], float64; None: all 1.
    Returns:
        The rows of this rank. Of an edge that is there twice, the last one's weight counts.
    """
    if not directed:  # both directions, in the order in which networkx enters them
        source, target = np.stack([source, target], 1).ravel(), np.stack([target, source], 1).ravel()
        weights = None if weights is None else np.repeat(weights, 2)
    first, last = share(nodes, comm.rank, comm.size)
    if comm.size > 1:
        owner = np.searchsorted(bounds(nodes, comm.size)[1:], source, "right")
        order = np.argsort(owner, kind="stable")
        ends = np.cumsum(np.bincount(owner, minlength=comm.size))[:-1]
        source, target = (_sent(comm, column[order], ends) for column in (source, target))
        weights = None if weights is None else _sent(comm, weights[order], ends)
    edges, rows = len(source), last - first
    if edges > np.iinfo(INDEX).max:
        raise ValueError(f"{edges} edges on one rank are too many for 32-bit indices: use more ranks")
    row, target = np.ascontiguousarray(source, INDEX) - INDEX(first), np.ascontiguousarray(target, INDEX)
    indptr, indices = np.empty(rows + 1, INDEX), np.empty(edges, INDEX)
    given = None if weights is None else np.ascontiguousarray(weights, WEIGHT)
    data = None if weights is None else np.empty(edges, WEIGHT)
    call("graph_rows", edges, rows, row, target, given, indptr, indices, data)
    kept = call("graph_once", rows, nodes, indptr, indices, data, gives=c_int64)
    if kept < 0:
        raise MemoryError("no memory to look for edges that are there twice")
    data = np.ones(kept, WEIGHT) if data is None else data[:kept]
    return csr(data, indices[:kept], indptr, nodes)


def _sent(comm: Communicator, column: np.ndarray, ends: np.ndarray) -> np.ndarray:
    return np.concatenate(comm.alltoall(np.split(column, ends)))


def transposed(comm: Communicator, rows: sparse.csr_array) -> sparse.csr_array:
    """This rank's rows of the transposed matrix, with sorted columns.

    Args:
        rows: this rank's rows; the ranks' rows follow each other.
    """
    turned = sparse.csr_array(rows.T)
    if comm.size == 1:
        return turned
    starts = bounds(rows.shape[1], comm.size)
    pieces = comm.alltoall([turned[starts[rank] : starts[rank + 1]] for rank in range(comm.size)])
    return sparse.csr_array(sparse.hstack(pieces, format="csr"))


def degrees(comm: Communicator, rows: sparse.csr_array, weighted: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of all nodes: what leads out, what leads in, and the loops, [nodes] each; float64 if weighted, else int64."""
    nodes, (first, last) = rows.shape[1], share(rows.shape[1], comm.rank, comm.size)
    kind = WEIGHT if weighted else np.int64
    weights = rows.data if weighted else np.ones(rows.nnz, np.int64)
    row = np.repeat(np.arange(first, last), np.diff(rows.indptr))
    loop = row == rows.indices
    made = [
        np.bincount(row, weights, nodes),
        np.bincount(rows.indices, weights, nodes),
        np.bincount(row[loop], weights[loop], nodes),
    ]
    return tuple(comm.allreduce(np.stack(made).astype(kind)))


def adopted(comm: Communicator, matrix: sparse.csr_matrix) -> sparse.csr_array:
    """This rank's adjacency lists, columns sorted, from the rows of a square matrix, shared out in any way."""
    matrix = sparse.csr_array(matrix, dtype=WEIGHT, copy=True)  # the caller's stays as it is
    matrix.sum_duplicates()
    if comm.size > 1:
        first = comm.exscan(matrix.shape[0])
        starts = np.clip(bounds(matrix.shape[1], comm.size) - first, 0, matrix.shape[0])
        pieces = comm.alltoall([matrix[starts[rank] : starts[rank + 1]] for rank in range(comm.size)])
        matrix = sparse.csr_array(sparse.vstack(pieces, format="csr"))
    indptr, indices, data = parts_of(matrix)
    return csr(data, indices, indptr, matrix.shape[1])


def is_symmetric(comm: Communicator, rows: sparse.csr_array) -> bool:
    """Whether a matrix with sorted columns is its own transposed one."""
    turned = transposed(comm, rows)
    turned.sort_indices()
    same = (np.array_equal(getattr(rows, name), getattr(turned, name)) for name in ("indptr", "indices", "data"))
    return bool(comm.allreduce(int(all(same)), "min"))


def extreme_weights(comm: Communicator, rows: sparse.csr_array) -> tuple[float, float]:
    """The smallest and the largest weight; NaN if one is, 1 if there are none."""
    least, most = (1.0, 1.0) if rows.nnz == 0 else (float(rows.data.min()), float(rows.data.max()))
    if comm.allreduce(int(np.isnan(least)), "max"):
        return np.nan, np.nan
    return comm.allreduce(least, "min"), comm.allreduce(most, "max")


def count_entries(comm: Communicator, rows: sparse.csr_array) -> tuple[int, int]:
    """Entries of the matrix, and how many of them are on the diagonal."""
    first = share(rows.shape[1], comm.rank, comm.size)[0]
    row = np.repeat(np.arange(first, first + rows.shape[0]), np.diff(rows.indptr))
    return comm.allreduce(rows.nnz), comm.allreduce(int((row == rows.indices).sum()))
