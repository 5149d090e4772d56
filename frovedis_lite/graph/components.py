"""Connected components: a forest over all nodes on every rank, grown from its edges, then joined with the others'."""

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import share
from frovedis_lite.graph.errors import error, refuse_directed
from frovedis_lite.graph.graph import Graph, as_graph
from frovedis_lite.graph.rows import INDEX, call, parts_of


def connected_components(G: Any) -> Iterator[set[Hashable]]:
    """The components of an undirected graph as sets of nodes, in the order of their first nodes.

    Raises:
        NetworkXNotImplemented: the graph is directed.
    """
    G = as_graph(G)
    refuse_directed(G)
    return _sets(G)


def number_connected_components(G: Any) -> int:
    """How many components an undirected graph has.

    Raises:
        NetworkXNotImplemented: the graph is directed.
    """
    G = as_graph(G)
    refuse_directed(G)
    return _count(G)


def is_connected(G: Any) -> bool:
    """Whether an undirected graph is one component.

    Raises:
        NetworkXNotImplemented: the graph is directed.
        ValueError: it has no nodes.
    """
    G = as_graph(G)
    if len(G) == 0:
        raise ValueError("Connectivity is undefined for the null graph.")
    return number_connected_components(G) == 1


def weakly_connected_components(G: Any) -> Iterator[set[Hashable]]:
    """The components of a directed graph whose edges go both ways.

    Raises:
        NetworkXNotImplemented: the graph is not directed.
    """
    return _sets(_directed(G))


def number_weakly_connected_components(G: Any) -> int:
    """How many components a directed graph has whose edges go both ways.

    Raises:
        NetworkXNotImplemented: the graph is not directed.
    """
    return _count(_directed(G))


def component_labels(G: Any) -> np.ndarray:
    """[nodes] the number, int32, of each node's component (of a directed graph: weak component), in the order of nodes.
    Components count from 0 in the order of their first nodes."""
    G = as_graph(G)
    return np.unique(_roots(G), return_inverse=True)[1].astype(INDEX)


def _directed(G: Any) -> Graph:
    G = as_graph(G)
    if not G.is_directed():
        raise error("NetworkXNotImplemented", "not implemented for undirected type")
    return G


def _roots(G: Graph) -> np.ndarray:
    return G.run(_smallest_nodes, G.adjacency)


def _count(G: Graph) -> int:
    return int((_roots(G) == np.arange(len(G))).sum())


def _sets(G: Graph) -> Iterator[set[Hashable]]:
    roots = _roots(G)
    order = np.argsort(roots, kind="stable")
    ends = np.flatnonzero(np.diff(roots[order])) + 1
    for members in np.split(order, ends) if len(order) else []:
        yield {G.nodes[i] for i in members.tolist()}


def _smallest_nodes(comm: Communicator, adjacency: sparse.csr_array) -> np.ndarray:
    """[nodes] the smallest node of each node's component."""
    nodes = adjacency.shape[1]
    first, last = share(nodes, comm.rank, comm.size)
    indptr, indices, _ = parts_of(adjacency)
    parent = np.arange(nodes, dtype=INDEX)
    call("graph_unite_rows", first, last - first, indptr, indices, parent)
    call("graph_roots", nodes, parent)
    if comm.size > 1:
        for other in comm.allgather(parent):
            call("graph_unite_roots", nodes, other, parent)
        call("graph_roots", nodes, parent)
    return parent
