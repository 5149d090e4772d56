"""Triangles, each counted once, from its corner of smallest degree (Latapy, Theoretical Computer Science 407, 2008)."""

from ctypes import c_int
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import share
from frovedis_lite.graph.errors import refuse_directed
from frovedis_lite.graph.graph import Graph, as_graph
from frovedis_lite.graph.rows import call, csr, parts_of
from frovedis_lite.native import threads


def triangles(G: Any, nodes: Any = None) -> Any:
    """How many triangles each node is a corner of.

    Args:
        G: an undirected Graph, or what one is made of. Loops do not count.
        nodes: a node, or nodes; None: all.

    Returns:
        A number for a node, else a dict.
    Raises:
        NetworkXNotImplemented: the graph is directed.
        NodeNotFound: a node is not in the graph.
    """
    G = as_graph(G)
    values = _triangles_of(G).tolist()
    if nodes is None:
        return dict(zip(G.nodes, values, strict=True))
    if nodes in G:
        return values[G.index[nodes]]
    return {node: values[G.number_of(node)] for node in nodes}


def number_of_triangles(G: Any) -> int:
    """How many triangles an undirected graph has.

    Raises:
        NetworkXNotImplemented: the graph is directed.
    """
    return int(_triangles_of(as_graph(G)).sum()) // 3


def _triangles_of(G: Graph) -> np.ndarray:
    refuse_directed(G)
    return G.run(_triangles, G.adjacency)


def _triangles(comm: Communicator, adjacency: sparse.csr_array) -> np.ndarray:
    """[nodes] triangles at each node, int64. The ranks take turns in showing their rows to the others."""
    nodes = adjacency.shape[1]
    first, last = share(nodes, comm.rank, comm.size)
    degree = np.concatenate(comm.allgather(np.diff(adjacency.indptr)))
    row = np.repeat(np.arange(first, last), np.diff(adjacency.indptr))
    column = adjacency.indices
    # from smaller to larger degree: so no node has more than sqrt(2 edges) edges that lead away
    forward = (degree[row] < degree[column]) | ((degree[row] == degree[column]) & (row < column))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row[forward] - first, minlength=last - first))])
    indptr, indices, _ = parts_of(csr(np.ones(int(indptr[-1])), column[forward], indptr, nodes))
    found = np.zeros(nodes, np.int64)
    for root in range(comm.size):
        start, end = share(nodes, root, comm.size)
        shown = comm.bcast((indptr, indices) if root == comm.rank else None, root)
        own = (first, last - first, indptr, indices)
        if not call("graph_triangles", *own, start, end - start, *shown, nodes, found, threads(), gives=c_int):
            raise MemoryError("no memory to count triangles")
    return comm.allreduce(found)
