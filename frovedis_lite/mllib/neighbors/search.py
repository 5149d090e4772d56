"""Brute-force search: every rank finds the nearest of its own rows, and then each merges a share of the points."""

import ctypes
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.metrics import pairwise_distances

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import share
from frovedis_lite.native import address, library, threads

KERNELS = {"euclidean": 0, "manhattan": 1, "chebyshev": 2}  # metrics of kernels/compute/neighbors.c
CACHE = 1 << 17  # bytes of rows that stay in a core's cache while points meet them
BLOCK = 1 << 22  # distances at a time where there is no kernel


def nearest(
    comm: Communicator, X: Any, points: Any, k: int, metric: str, more: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of all ranks; of rows as near, the first.

    Args:
        X: [rows of this rank, columns], an array or CSR matrix.
        points: [number, columns], the same on all ranks.
        metric, more: one of scikit-learn's metrics, and its parameters.
    Returns:
        For this rank's share of the points, distances [share, k] float64 and the rows' numbers among all [share, k].
    """
    first, number = comm.exscan(X.shape[0]), points.shape[0]
    mine = min(k, X.shape[0])
    dense = not (sparse.issparse(X) or sparse.issparse(points))
    search = _by_kernel if dense and metric in KERNELS else _by_blocks
    distances, found = search(X, points, mine, metric, more)
    parts = [slice(*share(number, rank, comm.size)) for rank in range(comm.size)]
    came = comm.alltoall([(distances[part], found[part] + first) for part in parts])
    distances, found = (np.concatenate(each, axis=1) for each in zip(*came, strict=True))
    if comm.size > 1:
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]  # ranks have their rows in order
        distances, found = (np.take_along_axis(each, order, axis=1) for each in (distances, found))
    return distances, found


def within(
    comm: Communicator, X: Any, points: Any, radius: float, metric: str, more: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of this rank within a radius, by points: numbers of points, of rows among all, and distances."""
    first = comm.exscan(X.shape[0])
    made = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for start, distances in _blocks_of_points(X, points, metric, more):
        at, row = np.nonzero(distances <= radius)
        made.append((at + start, row + first, distances[at, row]))
    return tuple(np.concatenate(each) for each in zip(*made, strict=True))


def _by_kernel(
    X: np.ndarray, points: np.ndarray, k: int, metric: str, more: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    number, (rows, columns) = len(points), X.shape
    distances, found = np.full((number, k), np.inf), np.zeros((number, k), np.int64)
    if not k:
        return distances, found
    dtype = np.result_type(X, points)
    X, points = (np.ascontiguousarray(each, dtype=dtype) for each in (X, points))
    block = 128 // dtype.itemsize  # rows of a block
    raw = np.empty(-(-rows // block) * columns * 128 + 64, np.uint8)
    turned = raw[-raw.ctypes.data % 64 :]
    tile = max(1, CACHE // (columns * 128))
    tasks = max(1, min(-(-number // 4), 8 * threads()))
    name = "neighbors_nearest_f32" if dtype == np.float32 else "neighbors_nearest_f64"
    arrays = (address(X, dtype), address(points, dtype), ctypes.c_void_p(turned.ctypes.data))
    results = address(distances, np.float64), address(found, np.int64)
    sizes = [ctypes.c_int64(size) for size in (rows, columns, number, k, tile, tasks, KERNELS[metric])]
    getattr(library("neighbors"), name)(*arrays, *results, *sizes, threads())
    return np.sqrt(distances) if metric == "euclidean" else distances, found


def _by_blocks(X: Any, points: Any, k: int, metric: str, more: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The same through whole rows of distances, as scikit-learn measures them."""
    number = points.shape[0]
    best, found = np.zeros((number, k)), np.zeros((number, k), np.int64)
    for start, distances in _blocks_of_points(X, points, metric, more):
        if not k:
            break
        order = _smallest(distances, k)
        found[start : start + len(order)] = order
        best[start : start + len(order)] = np.take_along_axis(distances, order, axis=1)
    return best, found


def _smallest(distances: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k smallest of each row, in order; of the same ones, the first."""
    if k >= distances.shape[1] or k > 100:
        return np.argsort(distances, axis=1, kind="stable")[:, :k]
    border = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
    made = np.empty((len(distances), k), np.int64)
    for i, row in enumerate(distances):
        near = np.flatnonzero(row <= border[i])
        made[i] = near[np.argsort(row[near], kind="stable")[:k]]
    return made


def _blocks_of_points(X: Any, points: Any, metric: str, more: dict[str, Any]) -> Any:
    """The first of some points, and their distances to all rows of this rank, [points, rows]."""
    if not X.shape[0]:
        return
    step = max(1, BLOCK // X.shape[0])
    for first in range(0, points.shape[0], step):
        block = points[first : first + step]
        yield first, np.asarray(pairwise_distances(block, X, metric=metric, **more), dtype=np.float64)
