"""Shortest paths along weighted edges.

Each rank runs Dijkstra's algorithm over its own rows until nothing changes there, and then tells the owners of other
nodes the distances it has found; distances that fall start the next round. On one rank this is Dijkstra's algorithm; on
several there are as many rounds as a shortest path changes ranks.
"""

from collections.abc import Hashable
from ctypes import c_int64
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import share
from frovedis_lite.graph.graph import as_graph
from frovedis_lite.graph.rows import INDEX, bounds, call, extreme_weights, parts_of


def single_source_dijkstra_path_length(
    G: Any, source: Any, cutoff: float | None = None, weight: str | None = "weight"
) -> dict[Hashable, float]:
    """The lengths of the shortest paths from the source to every node that can be reached, nearest first.

    Args:
        G: a Graph, or what one is made of.
        cutoff: the longest path.
        weight: edges are as long as these weights say; None: 1 each.

    Raises:
        NodeNotFound: the source is not in the graph.
        ValueError: a weight is negative.
    """
    G = as_graph(G, weight)
    start = G.number_of(source)
    weighted = G.uses_weights(weight)
    if weighted and G.run(extreme_weights, G.adjacency)[0] < 0:
        raise ValueError("Dijkstra's algorithm takes no negative weights, and this graph has some")
    far = G.run(_distances, G.adjacency, start, weighted, np.inf if cutoff is None else float(cutoff))
    reached = np.flatnonzero(np.isfinite(far))
    reached = reached[np.argsort(far[reached], kind="stable")]
    lengths = far[reached]
    if (lengths == np.floor(lengths)).all() and not weighted:
        lengths = lengths.astype(np.int64)
    return {G.nodes[i]: length for i, length in zip(reached.tolist(), lengths.tolist(), strict=True)}


def _distances(
    comm: Communicator, adjacency: sparse.csr_array, source: int, weighted: bool, cutoff: float
) -> np.ndarray:
    """[nodes] lengths of the shortest paths; infinity where there is none up to the cutoff."""
    nodes = adjacency.shape[1]
    first, last = share(nodes, comm.rank, comm.size)
    indptr, indices, weights = parts_of(adjacency)
    weights = weights if weighted else None
    best, listed, reached = np.full(nodes, np.inf), np.zeros(nodes, np.uint8), np.empty(nodes, INDEX)
    best[source] = 0
    changed = np.array([source] if first <= source < last else [], INDEX)
    ends = bounds(nodes, comm.size)[1:-1]
    while True:
        own = (first, last - first, indptr, indices, weights, cutoff, len(changed), changed)
        foreign = call("graph_dijkstra", *own, best, listed, reached, gives=c_int64)
        if foreign < 0:
            raise MemoryError("no memory for the queue of Dijkstra's algorithm")
        if comm.size == 1:
            return best
        told = np.sort(reached[:foreign])
        cuts = np.searchsorted(told, ends)
        came = comm.alltoall([(part, best[part]) for part in np.split(told, cuts)])
        fell = [part[_lower(best, part, length)] for part, length in came]
        changed = np.unique(np.concatenate(fell)).astype(INDEX)
        if comm.allreduce(len(changed)) == 0:
            return np.concatenate(comm.allgather(best[first:last]))


def _lower(best: np.ndarray, nodes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Which of these, each a different node, are shorter than the best so far, which they become."""
    shorter = lengths < best[nodes]
    best[nodes[shorter]] = lengths[shorter]
    return shorter
