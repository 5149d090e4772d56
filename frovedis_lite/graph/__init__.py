"""Graphs on the ranks, and networkx' algorithms on them, with its names, parameters and results.

    from frovedis_lite.graph import Graph, pagerank

    G = Graph(nx_graph)
    ranks = pagerank(G)  # or G.pagerank(); a networkx graph itself is taken too

Every algorithm is also a method of Graph.
"""

from frovedis_lite.graph.cluster import number_of_triangles, triangles
from frovedis_lite.graph.components import (
    component_labels,
    connected_components,
    is_connected,
    number_connected_components,
    number_weakly_connected_components,
    weakly_connected_components,
)
from frovedis_lite.graph.edgelist import read_edgelist, read_weighted_edgelist
from frovedis_lite.graph.graph import Graph
from frovedis_lite.graph.link_analysis import pagerank
from frovedis_lite.graph.shortest_paths import single_source_dijkstra_path_length
from frovedis_lite.graph.traversal import (
    bfs,
    bfs_edges,
    bfs_predecessors,
    bfs_successors,
    bfs_tree,
    descendants_at_distance,
    single_source_shortest_path,
    single_source_shortest_path_length,
)

ALGORITHMS = (
    bfs,
    bfs_edges,
    bfs_predecessors,
    bfs_successors,
    bfs_tree,
    component_labels,
    connected_components,
    descendants_at_distance,
    is_connected,
    number_connected_components,
    number_of_triangles,
    number_weakly_connected_components,
    pagerank,
    single_source_dijkstra_path_length,
    single_source_shortest_path,
    single_source_shortest_path_length,
    triangles,
    weakly_connected_components,
)
for _algorithm in ALGORITHMS:  # their first parameter is the graph
    setattr(Graph, _algorithm.__name__, _algorithm)

__all__ = ["Graph", "read_edgelist", "read_weighted_edgelist", *sorted(made.__name__ for made in ALGORITHMS)]
