"""Graph: node names here, adjacency lists on the ranks."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Self

import numpy as np
from scipy import sparse

from frovedis_lite.engine.session import Parts, Session, current
from frovedis_lite.errors import ReleasedError
from frovedis_lite.graph import rows
from frovedis_lite.graph.errors import error
from frovedis_lite.graph.names import number


class Graph:
    """A graph without parallel edges, directed or not, whose adjacency lists are shared out over the ranks.

    Args:
        nx_graph: a networkx Graph or DiGraph (multigraphs are refused: nx.Graph(G) makes one without parallel edges),
            or a square matrix, SciPy's or a distributed CSR matrix, whose entry (i, j) is the weight of the edge from i
            to j, explicit zeros included; None: a graph without nodes.
        weight: the edge attribute that has the weights. An edge without it weighs 1. None: all weigh 1.
        directed: whether a matrix is that of a directed graph; otherwise it has to be symmetric.
        nodes: [n] names of a matrix' rows; 0 to n - 1 without it.

    Raises:
        TypeError: something else was given.
        ValueError: the matrix is not square or, for an undirected graph, not symmetric; a weight is no number.
    """

    def __init__(
        self,
        nx_graph: Any = None,
        *,
        weight: str | None = "weight",
        directed: bool = False,
        nodes: Sequence[Hashable] | None = None,
    ) -> None:
        self.weight = weight
        if nx_graph is None:
            self._take([], sparse.csr_array((0, 0)), directed, False)
        elif sparse.issparse(nx_graph) or isinstance(getattr(nx_graph, "parts", None), Parts):
            self._take_matrix(nx_graph, directed, nodes)
        elif all(hasattr(nx_graph, name) for name in ("adjacency", "is_directed", "is_multigraph")):
            self._take_networkx(nx_graph)
        else:
            kind = type(nx_graph).__name__
            raise TypeError(f"a Graph is made from a networkx graph or a SciPy matrix, not from {kind}")

    @classmethod
    def from_edges(
        cls,
        source: Sequence[Hashable] | np.ndarray,
        target: Sequence[Hashable] | np.ndarray,
        weights: np.ndarray | None = None,
        *,
        directed: bool = False,
        nodes: Sequence[Hashable] | np.ndarray | None = None,
    ) -> Self:
        """A graph from its edges.

        Args:
            source, target: [edges] names of nodes.
            weights: [edges]; None: all 1. Of an edge named twice the last weight counts, as in networkx.
            nodes: names of nodes that come first in the graph's order, with edges or without.

        Raises:
            ValueError: the lengths differ, or a weight is no number.
        """
        lengths = {len(column) for column in (source, target, weights) if column is not None}
        if len(lengths) > 1:
            raise ValueError(f"source, target and weights differ in length: {sorted(lengths)}")
        first = [] if nodes is None else nodes
        names, codes = number(_interleaved(first, source, target))
        codes = codes[len(first) :]
        session = current()
        columns = [session.scatter(np.ascontiguousarray(codes[end::2])) for end in (0, 1)]
        values = None if weights is None else session.scatter(_checked_weights(weights))
        parts = session.run_parts(rows.assemble, *columns, values, len(names), directed)
        made = cls.__new__(cls)
        made.weight = "weight"
        made._set(names, parts, directed, weights is not None)
        return made

    def _take_networkx(self, G: Any) -> None:
        if G.is_multigraph():
            raise NotImplementedError(
                "parallel edges: make a graph without them first, by nx.Graph(G) or nx.DiGraph(G)"
            )
        names = list(G)
        neighbours = [near for _, near in G.adjacency()]
        indptr = np.zeros(len(names) + 1, np.int64)
        np.cumsum([len(near) for near in neighbours], out=indptr[1:])
        ends: Iterable[Any] = chain.from_iterable(neighbours)
        if names != list(range(len(names))):
            ends = map(dict(zip(names, range(len(names)), strict=True)).__getitem__, ends)
        indices = np.fromiter(ends, rows.INDEX, indptr[-1])
        weighted, data = False, np.ones(len(indices))
        if self.weight is not None:
            attributes = chain.from_iterable(near.values() for near in neighbours)
            name = self.weight
            data = _checked_weights([edge.get(name, 1) if edge else 1 for edge in attributes])
            weighted = bool((data != 1).any())
        self._take(names, rows.csr(data, indices, indptr, len(names)), G.is_directed(), weighted)

    def _take_matrix(self, matrix: Any, directed: bool, nodes: Sequence[Hashable] | None) -> None:
        """A matrix of SciPy's, or one whose rows are on the ranks."""
        count, columns = matrix.shape
        if count != columns:
            raise ValueError(f"an adjacency matrix is square, not {count} x {columns}")
        names = list(range(count)) if nodes is None else list(nodes)
        if len(set(names)) != count:
            raise ValueError(f"{count} nodes need as many different names, not {len(set(names))}")
        parts = current().scatter(sparse.csr_array(matrix)) if sparse.issparse(matrix) else matrix.parts
        parts = parts.session.run_parts(rows.adopted, parts)
        least, most = parts.session.run(rows.extreme_weights, parts)
        if np.isnan(least):
            raise ValueError("a weight is NaN")
        if not directed and not parts.session.run(rows.is_symmetric, parts):
            raise ValueError("the matrix of an undirected graph is symmetric; for this one say directed=True")
        self._set(names, parts, directed, least < 1 or most > 1)

    def _take(self, names: list[Hashable], adjacency: sparse.csr_array, directed: bool, weighted: bool) -> None:
        if adjacency.indices.dtype != rows.INDEX and adjacency.nnz <= np.iinfo(rows.INDEX).max:
            small = (adjacency.indices.astype(rows.INDEX), adjacency.indptr.astype(rows.INDEX))
            adjacency = sparse.csr_array((adjacency.data, *small), shape=adjacency.shape)
        self._set(names, current().scatter(adjacency), directed, weighted)

    def _set(self, names: list[Hashable], adjacency: Parts, directed: bool, weighted: bool) -> None:
        self._session: Session = adjacency.session
        self._adjacency: Parts | None = adjacency
        self._transposed: Parts | None = None
        self._index: dict[Hashable, int] | None = None
        self.nodes, self._directed, self.is_weighted = names, directed, weighted
        entries, loops = self._session.run(rows.count_entries, adjacency)
        self._edges = entries if directed else (entries + loops) // 2

    # ---------------------------------------------------------------- On the ranks.

    @property
    def adjacency(self) -> Parts:
        """The adjacency matrix: each part a scipy.sparse.csr_array [rows of the rank, nodes].

        Raises:
            ReleasedError: `release` was called.
        """
        if self._adjacency is None:
            raise ReleasedError("this graph was released")
        return self._adjacency

    @property
    def transposed(self) -> Parts:
        """The transposed adjacency matrix, made when it is first asked for."""
        if not self._directed:
            return self.adjacency
        if self._transposed is None:
            self._transposed = self._session.run_parts(rows.transposed, self.adjacency)
        return self._transposed

    def run(self, function: Any, *args: Any) -> Any:
        """`function(comm, *args)` on the ranks that have this graph."""
        return self._session.run(function, *args)

    def release(self) -> None:
        """Give back the memory on the ranks; the graph cannot be used afterwards."""
        for parts in (self._adjacency, self._transposed):
            if parts is not None:
                parts.release()
        self._adjacency = self._transposed = None

    clear = release

    # ---------------------------------------------------------------- Nodes and edges.

    def number_of_nodes(self) -> int:
        """How many nodes there are."""
        return len(self.nodes)

    def number_of_edges(self) -> int:
        """How many edges there are; of an undirected graph each counts once."""
        return self._edges

    def is_directed(self) -> bool:
        """Whether edges have a direction."""
        return self._directed

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self.nodes)

    def __contains__(self, node: Any) -> bool:
        try:
            return node in self.index
        except TypeError:  # not hashable
            return False

    @property
    def index(self) -> dict[Hashable, int]:
        """The number of each node: its row in the adjacency matrix."""
        if self._index is None:
            self._index = {name: i for i, name in enumerate(self.nodes)}
        return self._index

    def number_of(self, node: Any) -> int:
        """The row of a node.

        Raises:
            NodeNotFound: it is not in the graph.
        """
        if node not in self:
            raise error("NodeNotFound", f"Node {node} is not in the graph")
        return self.index[node]

    def uses_weights(self, weight: str | None) -> bool:
        """Whether an algorithm that is asked for the weights `weight` finds others than 1 here.

        Raises:
            ValueError: the graph has the weights of another attribute.
        """
        if weight is None or not self.is_weighted:
            return False
        if weight != self.weight:
            raise ValueError(f"this graph has the weights {self.weight!r}, not {weight!r}: Graph(G, weight={weight!r})")
        return True

    def degree(self, nbunch: Any = None, weight: str | None = None) -> Any:
        """Edges at a node, a loop counting twice; in a directed graph in both directions.

        Args:
            nbunch: a node, or nodes; None: all.
            weight: sum up weights.

        Returns:
            A number for a node, else a dict.
        """
        out, into, loops = self._degrees(weight)
        return self._by_node(out + into if self._directed else out + loops, nbunch)

    def out_degree(self, nbunch: Any = None, weight: str | None = None) -> Any:
        """Edges that lead out of a node; as `degree`."""
        return self._by_node(self._degrees(weight)[0], nbunch) if self._directed else self.degree(nbunch, weight)

    def in_degree(self, nbunch: Any = None, weight: str | None = None) -> Any:
        """Edges that lead to a node; as `degree`."""
        return self._by_node(self._degrees(weight)[1], nbunch) if self._directed else self.degree(nbunch, weight)

    def _degrees(self, weight: str | None) -> Any:
        return self.run(rows.degrees, self.adjacency, self.uses_weights(weight))

    def _by_node(self, values: np.ndarray, nbunch: Any) -> Any:
        values = values.tolist()
        if nbunch is None:
            return dict(zip(self.nodes, values, strict=True))
        if nbunch in self:
            return values[self.index[nbunch]]
        return {node: values[self.number_of(node)] for node in nbunch}

    # ---------------------------------------------------------------- Back.

    def to_scipy(self) -> sparse.csr_array:
        """The adjacency matrix here, [nodes, nodes] in the order of `nodes`, with sorted indices."""
        made = sparse.csr_array(sparse.vstack(self._session.gather(self.adjacency), format="csr"))
        made = made.copy() if self._session.size == 1 else made
        made.sort_indices()
        return made

    def to_networkx(self) -> Any:
        """A networkx Graph or DiGraph with the same nodes, edges and weights.

        Raises:
            ImportError: networkx is not installed.
        """
        import networkx

        made = networkx.DiGraph() if self._directed else networkx.Graph()
        made.add_nodes_from(self.nodes)
        names, first = self.nodes, 0
        for part in self._session.gather(self.adjacency):
            ends = np.repeat(np.arange(first, first + part.shape[0]), np.diff(part.indptr)).tolist()
            edges = [(names[u], names[v]) for u, v in zip(ends, part.indices.tolist(), strict=True)]
            if self.is_weighted and self.weight is not None:
                weighted = zip(edges, part.data.tolist(), strict=True)
                made.add_weighted_edges_from(((u, v, w) for (u, v), w in weighted), weight=self.weight)
            else:
                made.add_edges_from(edges)
            first += part.shape[0]
        return made

    to_networkx_graph = to_networkx  # Frovedis' name

    def __repr__(self) -> str:
        kind = "directed" if self._directed else "undirected"
        return f"<Graph: {kind}, {self.number_of_nodes()} nodes, {self.number_of_edges()} edges>"


def as_graph(G: Any, weight: str | None = None) -> Graph:
    """`G` itself if it is a Graph, else one made of it."""
    return G if isinstance(G, Graph) else Graph(G, weight=weight)


def _interleaved(first: Any, source: Any, target: Any) -> Any:
    """`first`, then source and target of each edge in turn: the order in which networkx meets nodes."""
    given = [source, target] if len(first) == 0 else [first, source, target]
    if all(isinstance(column, np.ndarray) and column.dtype.kind in "iufUS" for column in given):
        kinds = {column.dtype.kind for column in given}
        if len(kinds) == 1:
            return np.concatenate([*given[:-2], np.stack([source, target], 1).ravel()])
    columns = [column.tolist() if isinstance(column, np.ndarray) else column for column in (first, source, target)]
    return [*columns[0], *chain.from_iterable(zip(columns[1], columns[2], strict=True))]


def _checked_weights(weights: Any) -> np.ndarray:
    try:
        made = np.ascontiguousarray(weights, np.float64)
    except (TypeError, ValueError) as wrong:
        raise ValueError(f"a weight is no number: {wrong}") from wrong
    if np.isnan(made).any():
        raise ValueError("a weight is NaN")
    return made
