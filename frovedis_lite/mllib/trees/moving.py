"""Nodes with few rows move to one rank each, which finishes them without asking the others."""

from typing import Any

import numpy as np

from frovedis_lite.engine.comm import Alone
from frovedis_lite.mllib.trees.binning import Bins
from frovedis_lite.mllib.trees.grow import Frontier, Grown, Work, levels
from frovedis_lite.mllib.trees.targets import Targets


def finish(work: Work, grown: Grown, numbers: np.ndarray, nodes: Frontier) -> Grown:
    """Grow what hangs on the nodes that were left alone.

    Args:
        numbers: of the nodes in `grown`.
    """
    comm = work.comm
    owner = _owners(work.targets.rows(nodes.total), comm.size)
    came = comm.alltoall([_rows_of(work, nodes, np.flatnonzero(owner == rank)) for rank in range(comm.size)])
    mine = np.flatnonzero(owner == comm.rank)
    made = _grow_alone(work, nodes.pick(mine), came) if len(mine) else None
    for part, rank in zip(comm.allgather(made), range(comm.size), strict=True):
        if part is not None:
            grown = _attach(grown, numbers[owner == rank], part)
    return grown


def _owners(rows: np.ndarray, ranks: int) -> np.ndarray:
    """Large nodes first, each to the rank with the least to do."""
    owner, load = np.zeros(len(rows), np.int64), np.zeros(ranks)
    for node in np.argsort(-rows, kind="stable"):
        owner[node] = np.argmin(load)
        load[owner[node]] += rows[node]
    return owner


def _rows_of(work: Work, nodes: Frontier, index: np.ndarray) -> dict[str, Any]:
    """Local rows of some nodes, one node after the other."""
    parts = [work.order[nodes.begin[i] : nodes.end[i]] for i in index]
    rows = np.concatenate(parts) if parts else np.empty(0, np.int32)
    lengths = np.array([len(part) for part in parts], np.int64)
    tree = np.repeat(nodes.tree[index], lengths)
    targets = work.targets
    made = {"lengths": lengths, "codes": work.bins.codes[:, rows]}
    for name in ("weight", "moment", "square", "value", "label"):
        array = getattr(targets, name)
        if array is not None:
            made[name] = array[tree, rows] if array.ndim == 2 else array[rows]
    return made


def _grow_alone(work: Work, nodes: Frontier, came: list[dict[str, Any]]) -> Grown:
    lengths = np.stack([part["lengths"] for part in came])  # [ranks, nodes]
    total = lengths.sum(0)
    ends = np.cumsum(total)
    node_of = np.concatenate([np.repeat(np.arange(len(nodes)), part["lengths"]) for part in came])
    order = np.argsort(node_of, kind="stable").astype(np.int32)
    old = work.targets
    arrays = {
        name: np.concatenate([part[name] for part in came])
        for name in ("weight", "moment", "square", "value", "label")
        if name in came[0]
    }
    scales = {
        name: getattr(old, name)
        for name in ("weight_scale", "counted", "classes", "entropy", "moment_scale", "square_scale", "shift")
    }
    codes = np.ascontiguousarray(np.concatenate([part["codes"] for part in came], axis=1))
    bins = Bins(codes, work.bins.high, work.bins.low, work.bins.count)
    alone = Work(Alone(), bins, Targets(**arrays, **scales), work.rules, order)
    nodes.begin, nodes.end = ends - total, ends
    nodes.slot = np.full(len(nodes), -1)
    grown, _, _ = levels(alone, nodes)
    return grown


def _attach(grown: Grown, numbers: np.ndarray, part: Grown) -> Grown:
    """`part`, whose first nodes are the nodes `numbers` of `grown`, at the end of it."""
    count, roots = len(grown.tree), len(numbers)
    place = np.concatenate([numbers, count + np.arange(len(part.tree) - roots)])
    made = {}
    for name, array in vars(part).items():
        if name in ("left", "right"):
            array = np.where(array >= 0, place[array], -1)
        old = getattr(grown, name).copy()
        old[numbers] = array[:roots]
        made[name] = np.concatenate([old, array[roots:]])
    return Grown(**made)
