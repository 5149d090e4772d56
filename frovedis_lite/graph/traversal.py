"""Breadth-first search, level by level over the ranks, in the very order in which one queue would find the nodes.

Levels, parents and the queue are known to every rank; each looks at the neighbours of its own nodes of a level, and
what the ranks find is put into the queue in the order of the nodes that led there.
"""

from collections.abc import Hashable, Iterable, Iterator
from ctypes import c_int64
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import share
from frovedis_lite.graph.graph import Graph, as_graph
from frovedis_lite.graph.rows import INDEX, call, parts_of


class Search(NamedTuple):
    """What a search found.

    Attributes:
        order: [reached] nodes in the order in which they were found, the source first; int32.
        level: [nodes] how many edges away; -1 where there is no way.
        parent: [nodes] the node that led there; the source's is itself, -1 where there is no way.
    """

    order: np.ndarray
    level: np.ndarray
    parent: np.ndarray


def search(G: Graph, source: Any, depth_limit: int | None = None, reverse: bool = False) -> Search:
    """Breadth-first search.

    Raises:
        NodeNotFound: the source is not in the graph.
    """
    start = G.number_of(source)
    depth = len(G) if depth_limit is None else min(int(np.floor(depth_limit)), len(G))
    return Search(*G.run(_search, G.transposed if reverse else G.adjacency, start, depth))


def _search(
    comm: Communicator, adjacency: sparse.csr_array, source: int, depth: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    nodes = adjacency.shape[1]
    indptr, indices, _ = parts_of(adjacency)
    order, level, parent = (np.full(nodes, -1, INDEX) for _ in range(3))
    order[0], level[source], parent[source] = source, 0, source
    if comm.size == 1:
        reached = call("graph_bfs", indptr, indices, order, level, parent, depth, gives=c_int64)
        return order[:reached], level, parent
    first, last = share(nodes, comm.rank, comm.size)
    found, places = np.empty(nodes, INDEX), np.empty(nodes, INDEX)
    head, tail, steps = 0, 1, 0
    while head < tail and steps < depth:
        own = (first, last - first, indptr, indices, order, head, tail, level, found, places)
        count = call("graph_frontier", *own, gives=c_int64)
        all_found, all_places = map(np.concatenate, zip(*comm.allgather((found[:count], places[:count])), strict=True))
        queue = np.argsort(all_places, kind="stable")
        head, before = tail, (len(queue), all_found[queue], all_places[queue])
        tail = call("graph_enqueue", *before, order, tail, level, parent, gives=c_int64)
        steps += 1
    return order[:tail], level, parent


def bfs_edges(
    G: Any, source: Any, reverse: bool = False, depth_limit: int | None = None, sort_neighbors: Any = None
) -> Iterator[tuple[Hashable, Hashable]]:
    """The edges of a breadth-first search, as networkx gives them.

    Args:
        reverse: follow the edges of a directed graph backwards; then neighbours come in the order of nodes.
        depth_limit: the farthest level.
        sort_neighbors: networkx' parameter; only None.

    Raises:
        NodeNotFound: the source is not in the graph.
        NotImplementedError: `sort_neighbors` was given.
    """
    if sort_neighbors is not None:
        raise NotImplementedError("sort_neighbors: build the graph from edges in the order that you want")
    G = as_graph(G)
    found = search(G, source, depth_limit, reverse)
    children = found.order[1:]
    return _pairs(G.nodes, found.parent[children], children)


def _pairs(names: list[Hashable], parents: np.ndarray, children: np.ndarray) -> Iterator[tuple[Hashable, Hashable]]:
    for parent, child in zip(parents.tolist(), children.tolist(), strict=True):
        yield names[parent], names[child]


def bfs_tree(
    G: Any, source: Any, reverse: bool = False, depth_limit: int | None = None, sort_neighbors: Any = None
) -> Any:
    """The tree of a breadth-first search, a networkx.DiGraph. Parameters and errors: `bfs_edges`.

    Raises:
        ImportError: networkx is not installed.
    """
    import networkx

    edges = bfs_edges(G, source, reverse, depth_limit, sort_neighbors)
    tree = networkx.DiGraph()
    tree.add_node(source)
    tree.add_edges_from(edges)
    return tree


def bfs_predecessors(
    G: Any, source: Any, depth_limit: int | None = None, sort_neighbors: Any = None
) -> Iterator[tuple[Hashable, Hashable]]:
    """(node, the node that led there) of every node found but the source. Parameters and errors: `bfs_edges`."""
    edges = bfs_edges(G, source, False, depth_limit, sort_neighbors)
    return ((child, parent) for parent, child in edges)


def bfs_successors(
    G: Any, source: Any, depth_limit: int | None = None, sort_neighbors: Any = None
) -> Iterator[tuple[Hashable, list[Hashable]]]:
    """(node, the nodes it led to) of every node that led to one. Parameters and errors: `bfs_edges`."""
    return _successors(source, bfs_edges(G, source, False, depth_limit, sort_neighbors))


def _successors(
    source: Hashable, edges: Iterable[tuple[Hashable, Hashable]]
) -> Iterator[tuple[Hashable, list[Hashable]]]:
    parent, children = source, []
    for node, child in edges:
        if node != parent:
            yield parent, children
            parent, children = node, []
        children.append(child)
    yield parent, children


def descendants_at_distance(G: Any, source: Any, distance: int) -> set[Hashable]:
    """The nodes so many edges away from the source.

    Raises:
        NodeNotFound: the source is not in the graph.
    """
    G = as_graph(G)
    level = search(G, source, distance).level
    return {G.nodes[i] for i in np.flatnonzero(level == distance).tolist()} if distance >= 0 else set()


def single_source_shortest_path(G: Any, source: Any, cutoff: float | None = None) -> dict[Hashable, list[Hashable]]:
    """A path of the fewest edges from the source to every node that can be reached, as networkx gives them.

    Args:
        cutoff: the most edges.

    Raises:
        NodeNotFound: the source is not in the graph.
    """
    G = as_graph(G)
    found = search(G, source, cutoff)
    paths = {int(found.order[0]): [source]}
    for parent, child in zip(found.parent[found.order[1:]].tolist(), found.order[1:].tolist(), strict=True):
        paths[child] = [*paths[parent], G.nodes[child]]
    return {G.nodes[node]: path for node, path in paths.items()}


def bfs(G: Any, source: Any, depth_limit: int | None = None) -> dict[Hashable, list[Hashable]]:
    """Frovedis' name of `single_source_shortest_path`."""
    return single_source_shortest_path(G, source, depth_limit)


def single_source_shortest_path_length(G: Any, source: Any, cutoff: float | None = None) -> dict[Hashable, int]:
    """How many edges it takes from the source to every node that can be reached, nearest first.

    Args:
        cutoff: the most edges.

    Raises:
        NodeNotFound: the source is not in the graph.
    """
    G = as_graph(G)
    found = search(G, source, cutoff)
    return {G.nodes[i]: far for i, far in zip(found.order.tolist(), found.level[found.order].tolist(), strict=True)}
