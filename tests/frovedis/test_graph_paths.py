"""Breadth-first search and shortest paths, against networkx and SciPy; graphs on several ranks."""

import json

import networkx as nx
import numpy as np
import pytest
from ranks import on_ranks
from scipy.sparse import csgraph

from frovedis_lite.graph import (
    Graph,
    bfs,
    bfs_edges,
    bfs_predecessors,
    bfs_successors,
    bfs_tree,
    descendants_at_distance,
    single_source_dijkstra_path_length,
    single_source_shortest_path,
    single_source_shortest_path_length,
)


def random_graph(directed, nodes=150, edges=350, seed=0):
    rng = np.random.default_rng(seed)
    ends = rng.integers(nodes, size=(edges, 2)).tolist()
    G = nx.DiGraph() if directed else nx.Graph()
    G.add_weighted_edges_from((u, v, w) for (u, v), w in zip(ends, rng.random(edges).tolist(), strict=True))
    return G, ends[0][0]


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("limit", [None, 0, 2])
def test_search(directed, limit):
    G, source = random_graph(directed)
    ours = Graph(G)
    assert list(bfs_edges(ours, source, depth_limit=limit)) == list(nx.bfs_edges(G, source, depth_limit=limit))
    expected = list(nx.bfs_predecessors(G, source, depth_limit=limit))
    assert list(bfs_predecessors(ours, source, depth_limit=limit)) == expected
    expected = list(nx.bfs_successors(G, source, depth_limit=limit))
    assert list(ours.bfs_successors(source, depth_limit=limit)) == expected == list(bfs_successors(G, source, limit))
    assert list(bfs_tree(G, source).edges) == list(nx.bfs_tree(G, source).edges)
    backwards = {child for _, child in bfs_edges(ours, source, reverse=True)}
    assert backwards == {child for _, child in nx.bfs_edges(G, source, reverse=True)}
    expected = nx.single_source_shortest_path(G, source, limit)
    assert single_source_shortest_path(ours, source, limit) == bfs(G, source, limit) == expected
    lengths = single_source_shortest_path_length(ours, source, limit)
    assert lengths == nx.single_source_shortest_path_length(G, source, limit)
    assert list(lengths) == list(expected)
    for distance in (0, 1, 3, 100):
        expected = nx.descendants_at_distance(G, source, distance)
        assert descendants_at_distance(ours, source, distance) == expected


@pytest.mark.parametrize("directed", [False, True])
def test_dijkstra(directed):
    G, source = random_graph(directed)
    ours = Graph(G)
    assert single_source_dijkstra_path_length(ours, source) == nx.single_source_dijkstra_path_length(G, source)
    within = single_source_dijkstra_path_length(ours, source, cutoff=0.8)
    assert within == nx.single_source_dijkstra_path_length(G, source, cutoff=0.8)
    edges = single_source_dijkstra_path_length(ours, source, weight=None)
    assert edges == nx.single_source_shortest_path_length(G, source)
    assert list(within.values()) == sorted(within.values())
    far = csgraph.dijkstra(ours.to_scipy(), directed, ours.index[source])
    reached = np.isfinite(far).sum()
    assert len(single_source_dijkstra_path_length(ours, source)) == reached


def test_errors():
    G = nx.path_graph(4)
    for function in (bfs_edges, bfs_tree, single_source_shortest_path, single_source_dijkstra_path_length):
        with pytest.raises(nx.NodeNotFound, match="Node 9"):
            function(G, 9)
    with pytest.raises(nx.NetworkXError, match="Node 9"):
        descendants_at_distance(G, 9, 1)
    with pytest.raises(NotImplementedError, match="sort_neighbors"):
        bfs_edges(G, 0, sort_neighbors=sorted)
    G.add_edge(0, 3, weight=-1)
    with pytest.raises(ValueError, match="negative"):
        single_source_dijkstra_path_length(G, 0)


def test_a_long_path():
    G = Graph.from_edges(np.arange(50_000), np.arange(1, 50_001))
    assert G.single_source_shortest_path_length(0)[50_000] == 50_000
    assert G.single_source_dijkstra_path_length(50_000)[0] == 50_000


RESULTS = """
    import json
    from types import SimpleNamespace
    import numpy as np
    from scipy import sparse
    from frovedis_lite.engine.session import current
    from frovedis_lite.graph import *

    rng = np.random.default_rng(3)
    ends, weights = rng.integers(60, size=(2, 110)), rng.random(110).round(3)
    made = []
    for directed in (False, True):
        G = Graph.from_edges(*ends, weights, directed=directed, nodes=np.arange(61))
        assert np.allclose(G.to_scipy().toarray(), Graph(G.to_scipy(), directed=directed).to_scipy().toarray())
        components = weakly_connected_components if directed else connected_components
        made += [
            [float(f"{rank:.10e}") for rank in pagerank(G, personalization={3: 1, 4: 2}).values()],
            [sorted(part) for part in components(G)],
            list(bfs_edges(G, 1)), list(bfs_edges(G, 1, reverse=True)), list(bfs_edges(G, 1, depth_limit=2)),
            sorted(single_source_dijkstra_path_length(G, 1).items()), list(G.degree().values()),
            [] if directed else triangles(G), G.number_of_edges(), list(G.in_degree(weight="weight").values())[:0],
        ]
    A = np.arange(25.0).reshape(5, 5)
    uneven = sparse.csr_matrix(A[:4] if current().comm.rank == 0 else A[4:] if current().comm.rank == 1 else A[:0])
    parts = current().run_parts(lambda comm: uneven if comm.size > 1 else sparse.csr_matrix(A))
    G = Graph(SimpleNamespace(parts=parts, shape=A.shape), directed=True)
    assert np.array_equal(G.to_scipy().toarray(), A)
    if current().comm.rank == 0:
        print(json.dumps(made))
"""


def test_ranks():
    one, two, four = (on_ranks(size, RESULTS) for size in (1, 2, 4))
    assert len(json.loads(one)) == 20
    assert one == two == four
