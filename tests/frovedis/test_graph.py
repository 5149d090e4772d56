"""Graphs: what they are made of and give back, components, triangles, PageRank, against networkx."""

from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
from scipy import sparse

from frovedis_lite.engine.session import current
from frovedis_lite.errors import FrovedisError, ReleasedError
from frovedis_lite.graph import (
    Graph,
    component_labels,
    connected_components,
    number_connected_components,
    number_of_triangles,
    number_weakly_connected_components,
    pagerank,
    read_edgelist,
    read_weighted_edgelist,
    triangles,
    weakly_connected_components,
)
from frovedis_lite.graph import errors as graph_errors


def random_graph(directed=False, nodes=120, edges=300, seed=0, weighted=True):
    rng = np.random.default_rng(seed)
    G = nx.DiGraph() if directed else nx.Graph()
    G.add_nodes_from(f"node {i}" for i in rng.permutation(nodes))
    for u, v, w in zip(
        rng.integers(nodes, size=edges), rng.integers(nodes, size=edges), rng.random(edges), strict=True
    ):
        G.add_edge(f"node {u}", f"node {v}", **({"weight": w} if weighted else {}))
    return G


def same_graph(ours, theirs):
    made = ours.to_networkx()
    assert list(made) == list(theirs)
    assert nx.utils.graphs_equal(made, theirs)
    assert ours.number_of_nodes() == theirs.number_of_nodes() == len(ours)
    assert ours.number_of_edges() == theirs.number_of_edges()
    assert ours.is_directed() == theirs.is_directed()


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_from_networkx_and_back(directed, weighted):
    G = random_graph(directed, weighted=weighted)
    ours = Graph(G)
    same_graph(ours, G)
    assert ours.degree() == dict(G.degree())
    assert ours.degree(weight="weight") == pytest.approx(dict(G.degree(weight="weight")))
    if directed:
        assert ours.in_degree() == dict(G.in_degree())
        assert ours.out_degree(["node 1", "node 2"]) == dict(G.out_degree(["node 1", "node 2"]))
    assert ours.degree("node 3") == G.degree("node 3")
    np.testing.assert_allclose(ours.to_scipy().toarray(), nx.to_numpy_array(G))


@pytest.mark.parametrize("names", [int, str, float, lambda i: (int(i), "x"), lambda i: int(i) * 10**15])
@pytest.mark.parametrize("directed", [False, True])
def test_from_edges(names, directed):
    rng = np.random.default_rng(1)
    ends = [[names(i) for i in rng.integers(-20, 20, 80)] for _ in range(2)]
    weights = rng.random(80)
    G = nx.DiGraph() if directed else nx.Graph()
    G.add_weighted_edges_from(zip(*ends, weights, strict=True))
    ours = Graph.from_edges(*ends, weights, directed=directed)
    same_graph(ours, G)
    (part,) = ours.adjacency.held
    near = [[ours.nodes[i] for i in row] for row in np.split(part.indices, part.indptr[1:-1])]
    assert near == [list(theirs) for _, theirs in G.adjacency()]
    if names in (int, str, float):
        arrays = Graph.from_edges(*map(np.array, ends), weights, directed=directed)
        same_graph(arrays, G)
        assert {type(node) for node in arrays} == {names}


def test_nodes_without_edges():
    assert list(Graph.from_edges([1], [2], nodes=[3, 2])) == [3, 2, 1]
    assert list(Graph.from_edges(np.array([1]), np.array([2]), nodes=np.arange(4))) == [0, 1, 2, 3]
    assert list(Graph.from_edges(np.array(["a"]), np.array(["b"]), nodes=np.array(["a", "long"]))) == ["a", "long", "b"]
    assert list(Graph.from_edges(np.array([-100], np.int8), np.array([100], np.int8), nodes=[7])) == [7, -100, 100]
    assert list(Graph.from_edges(*np.array([[2**63], [1]], np.uint64))) == [2**63, 1]
    empty = Graph()
    assert len(empty) == empty.number_of_edges() == number_connected_components(empty) == 0
    assert pagerank(empty) == {}
    assert list(connected_components(empty)) == []
    assert len(Graph.from_edges([], [])) == 0


def test_from_scipy():
    A = sparse.random_array((30, 30), density=0.1, rng=0, format="csr")
    ours = Graph(A, directed=True)
    np.testing.assert_array_equal(ours.to_scipy().toarray(), A.toarray())
    same_graph(ours, nx.from_scipy_sparse_array(A, create_using=nx.DiGraph))
    assert list(Graph(A + A.T, nodes=list(range(30, 60)))) == list(range(30, 60))
    distributed = SimpleNamespace(parts=current().scatter(A), shape=A.shape)  # as our matrices are
    np.testing.assert_array_equal(Graph(distributed, directed=True).to_scipy().toarray(), A.toarray())
    with pytest.raises(ValueError, match="NaN"):
        Graph(A * np.nan, directed=True)
    with pytest.raises(ValueError, match="directed=True"):
        Graph(A)
    with pytest.raises(ValueError, match="square"):
        Graph(A[:3])
    with pytest.raises(ValueError, match="30 nodes"):
        Graph(A, directed=True, nodes=[1] * 30)


def test_bad_graphs():
    with pytest.raises(TypeError, match="not from list"):
        Graph([(1, 2)])
    with pytest.raises(NotImplementedError, match=r"nx\.Graph"):
        Graph(nx.MultiGraph([(1, 2)]))
    with pytest.raises(ValueError, match="length"):
        Graph.from_edges([1], [1, 2])
    with pytest.raises(ValueError, match="no number"):
        Graph.from_edges([1], [2], ["heavy"])
    with pytest.raises(ValueError, match="NaN"):
        Graph.from_edges([1], [2], [np.nan])
    released = Graph(nx.path_graph(3))
    released.release()
    with pytest.raises(ReleasedError, match="released"):
        released.pagerank()
    with pytest.raises(graph_errors._type("NodeNotFound"), match="Node 7 is not in the graph"):
        Graph(nx.path_graph(3)).degree([7])


def test_weights_of_another_attribute():
    G = nx.DiGraph()
    G.add_edge(0, 1, cost=2, weight=1)
    G.add_edge(0, 2, cost=6)
    ours = Graph(G, weight="cost")
    assert ours.pagerank(weight="cost") == pytest.approx(nx.pagerank(G, weight="cost"))
    assert ours.pagerank(weight=None) == pytest.approx(nx.pagerank(G, weight=None))
    with pytest.raises(ValueError, match="'cost', not 'weight'"):
        ours.pagerank()


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.5, "weight": None},
        {"personalization": {"node 1": 1, "node 5": 3}},
        {"personalization": {"node 1": 1}, "dangling": {"node 2": 2, "node 3": 1}},
        {"nstart": {"node 7": 1}, "tol": 1e-12, "max_iter": 200},
    ],
)
def test_pagerank(directed, options):
    G = random_graph(directed)
    expected = nx.pagerank(G, **options)
    made = pagerank(Graph(G), **options)
    assert list(made) == list(expected)
    np.testing.assert_allclose(list(made.values()), list(expected.values()), rtol=1e-10)
    assert pagerank(G, **options) == made


def test_pagerank_errors():
    G = random_graph(True)
    with pytest.raises(nx.PowerIterationFailedConvergence, match="2 iterations"):
        pagerank(G, max_iter=2, tol=1e-12)
    with pytest.raises(ZeroDivisionError):
        pagerank(G, personalization={"nobody": 1})
    with pytest.raises(ValueError, match="alpha"):
        pagerank(G, alpha=2)


@pytest.mark.parametrize("edges", [0, 40, 100, 300])
def test_components(edges):
    G, D = random_graph(edges=edges), random_graph(True, edges=edges)
    assert list(connected_components(G)) == list(nx.connected_components(G))
    assert number_connected_components(Graph(G)) == nx.number_connected_components(G)
    assert Graph(G).is_connected() == nx.is_connected(G)
    assert list(weakly_connected_components(D)) == list(nx.weakly_connected_components(D))
    assert number_weakly_connected_components(D) == nx.number_weakly_connected_components(D)
    labels = component_labels(G)
    assert [{n for n, label in zip(G, labels, strict=True) if label == i} for i in range(labels.max() + 1)] == list(
        nx.connected_components(G)
    )


def test_components_of_the_wrong_kind():
    with pytest.raises(nx.NetworkXNotImplemented, match="directed"):
        connected_components(nx.DiGraph([(1, 2)]))
    with pytest.raises(nx.NetworkXNotImplemented, match="undirected"):
        weakly_connected_components(nx.Graph([(1, 2)]))


def test_triangles():
    G = random_graph(edges=900)
    assert triangles(G) == nx.triangles(G)
    assert triangles(G, "node 4") == nx.triangles(G, "node 4")
    assert Graph(G).triangles(["node 4", "node 5"]) == nx.triangles(G, ["node 4", "node 5"])
    assert number_of_triangles(G) == sum(nx.triangles(G).values()) // 3
    assert triangles(nx.complete_graph(7)) == dict.fromkeys(range(7), 15)
    with pytest.raises(nx.NetworkXNotImplemented):
        triangles(nx.DiGraph([(1, 2)]))


@pytest.mark.parametrize(
    "text", ["1 2\n2 3\n# no edge\n\n3 1 # an edge\n", "1 2 {'weight': 5.5}\n2 3 {'weight': 1}\n", ""]
)
@pytest.mark.parametrize("nodetype", [int, None])
@pytest.mark.parametrize("kind", [None, nx.DiGraph])
def test_read_edgelist(tmp_path, text, nodetype, kind):
    path = tmp_path / "edges"
    path.write_text(text)
    same_graph(
        read_edgelist(path, nodetype=nodetype, create_using=kind),
        nx.read_edgelist(path, nodetype=nodetype, create_using=kind),
    )


@pytest.mark.parametrize("nodetype", [int, str])
def test_read_weighted_edgelist(tmp_path, nodetype):
    path = tmp_path / "edges"
    path.write_text("% weights\n1,2,0.5\n2,3,7\n1,2,0.25\n")
    options = {"comments": "%", "delimiter": ",", "nodetype": nodetype}
    same_graph(read_weighted_edgelist(path, **options), nx.read_weighted_edgelist(path, **options))
    cost = [("cost", float)]
    same_graph(read_edgelist(path, data=cost, **options), nx.read_edgelist(path, data=cost, **options))


def test_bad_edgelists(tmp_path):
    path = tmp_path / "edges"
    path.write_text("1 2\n3\n")
    with pytest.raises(ValueError, match="line 2: two nodes"):
        read_edgelist(path)
    path.write_text("1 2\n3 x\n")
    with pytest.raises(TypeError, match="line 2"):
        read_edgelist(path, nodetype=int)
    path.write_text("1 2 heavy\n")
    with pytest.raises(ValueError, match="line 1"):
        read_weighted_edgelist(path)
    with pytest.raises(ValueError, match="parallel"):
        read_edgelist(path, create_using=nx.MultiGraph)
    with pytest.raises(ValueError, match="one weight"):
        read_edgelist(path, data=[("a", int), ("b", int)])


def test_errors_are_both_libraries():
    made = graph_errors.error("NodeNotFound", "no such node")
    assert isinstance(made, (nx.NodeNotFound, FrovedisError))
    assert isinstance(made, KeyError)
    assert str(made) == "no such node"


def test_errors_without_networkx(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    made = graph_errors._type.__wrapped__("NodeNotFound")
    assert made.__mro__[1:3] == (FrovedisError, KeyError)
