"""PageRank by the power method, each rank pulling what its nodes get along their incoming edges."""

from collections.abc import Hashable
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite.engine.comm import Communicator
from frovedis_lite.engine.session import share
from frovedis_lite.graph.errors import error
from frovedis_lite.graph.graph import as_graph
from frovedis_lite.graph.rows import WEIGHT, call, parts_of
from frovedis_lite.native import threads

BLOCK = 2048  # as in graph.c


def pagerank(
    G: Any,
    alpha: float = 0.85,
    personalization: dict[Hashable, float] | None = None,
    max_iter: int = 100,
    tol: float = 1e-6,
    nstart: dict[Hashable, float] | None = None,
    weight: str | None = "weight",
    dangling: dict[Hashable, float] | None = None,
) -> dict[Hashable, float]:
    """PageRank of every node (Page, Brin, Motwani and Winograd, 1999), with networkx' parameters and results.

    Args:
        G: a Graph, or what one is made of.
        alpha: how likely the walk goes on along an edge.
        personalization: where it goes otherwise, weights of nodes; without it, anywhere. Nodes not named get 0.
        max_iter, tol: the most steps; they end when ranks change by less than nodes * tol in sum.
        nstart: the ranks to begin with.
        weight: edges are taken in proportion to these weights; None: all alike.
        dangling: where the walk goes from a node without a way out; without it, as `personalization`.

    Raises:
        PowerIterationFailedConvergence: `max_iter` steps were not enough.
        ZeroDivisionError: personalization, nstart or dangling give no node of the graph any weight.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is a probability, not {alpha}")
    G = as_graph(G, weight)
    if len(G) == 0:
        return {}
    jump, start, lost = (_vector(G.nodes, given) for given in (personalization, nstart, dangling))
    weighted = G.uses_weights(weight)
    ranks = G.run(_pagerank, G.adjacency, G.transposed, weighted, alpha, jump, max_iter, tol, start, lost)
    if ranks is None:
        raise error("PowerIterationFailedConvergence", max_iter)
    return dict(zip(G.nodes, ranks.tolist(), strict=True))


def _vector(nodes: list[Hashable], given: dict[Hashable, float] | None) -> np.ndarray | None:
    if given is None:
        return None
    made = np.array([given.get(node, 0) for node in nodes], float)
    if made.sum() == 0:
        raise ZeroDivisionError("personalization, nstart or dangling give no node of the graph any weight")
    return made / made.sum()


def _pagerank(
    comm: Communicator,
    adjacency: sparse.csr_array,
    transposed: sparse.csr_array,
    weighted: bool,
    alpha: float,
    jump: np.ndarray | None,
    max_iter: int,
    tol: float,
    start: np.ndarray | None,
    lost: np.ndarray | None,
) -> np.ndarray | None:
    """[nodes] ranks; None if they have not converged."""
    nodes = adjacency.shape[1]
    own = slice(*share(nodes, comm.rank, comm.size))
    count = own.stop - own.start
    uniform = np.full(count, 1 / nodes)
    jump = uniform if jump is None else jump[own].copy()
    lost = jump if lost is None else lost[own].copy()
    x = uniform.copy() if start is None else start[own].copy()
    out = np.asarray(adjacency.sum(1)) if weighted else np.diff(adjacency.indptr).astype(WEIGHT)
    inverse = np.divide(1, out, out=np.zeros(count), where=out != 0)
    indptr, indices, weights = parts_of(transposed)
    weights = weights if weighted else None
    fresh, shares, sums = np.empty(count), x * inverse, np.empty(2)
    scratch = np.empty(2 * (count // BLOCK + 1))
    stuck = comm.allreduce(float(x[inverse == 0].sum()))
    for _ in range(max_iter):
        everyones = shares if comm.size == 1 else np.concatenate(comm.allgather(shares))
        following = np.empty(count)
        call(
            "graph_pagerank", count, indptr, indices, weights, everyones, jump, lost, inverse, x, float(alpha), stuck,
            fresh, following, sums, scratch, threads(),
        )  # fmt: skip
        x, fresh, shares = fresh, x, following
        change, stuck = map(float, comm.allreduce(sums))
        if change < nodes * tol:
            return np.concatenate(comm.allgather(x))
    return None
