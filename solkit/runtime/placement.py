"""Where each value of a program lies during a call: in the arena, with the weights, or with the caller.

Nothing here depends on the machine but the vector length, so it serves a call in this process and a deployed network.
"""

from solkit.clusters import Cluster
from solkit.codegen import Program
from solkit.ir import Graph, Node, Value
from solkit.runtime.memory import Interval, plan


class Placement:
    """Places of the values of a program.

    Args:
        clusters: of the graph, in the order they run.
        vector_length: what the code is, or will be, compiled for.
    Attributes:
        entries: for each value that is not in the memory of another, its entries in the table of values.
        weights: what depends on parameters alone.
        outputs: results that compiled code writes straight into the caller's memory.
        results: what the graph returns, and whether it is to be copied: the caller may write into what it gets, which
            must be neither an input, nor a weight, nor another result.
        offsets: of each value in the arena, in bytes.
        arena_bytes: size of the arena.
        tables: for each value that holds row numbers of tables, how many rows the smallest has, and who reads it.
    """

    def __init__(self, graph: Graph, clusters: list[Cluster], program: Program, vector_length: int) -> None:
        self._root = _roots(graph, clusters)
        self.entries: dict[Value, list[int]] = {}
        for index, (value, _) in enumerate(program.buffers):
            self.entries.setdefault(self.of(value), []).append(index)
        self.weights = graph.weight_values()
        native = {value for cluster in clusters if cluster.compiled for value in cluster.outputs}
        self.outputs = {self.of(value) for value in graph.outputs} & native
        self.results = self._owned_results(graph)
        self.offsets, self.arena_bytes = self._plan_memory(clusters, program, vector_length)
        self.tables = self._looked_up(graph)

    def of(self, value: Value) -> Value:
        """The value in whose memory `value` lies; itself, mostly."""
        return self._root.get(value, value)

    def numbers_made(self, cluster: Cluster) -> list[Value]:
        """Row numbers of tables that a cluster reads and compiled code makes at each call."""
        numbers = [n.inputs[1] for n in cluster.nodes if n.op == "embedding" and n.inputs[1] not in self.weights]
        return [v for v in numbers if self.of(v) in self.offsets or self.of(v) in self.outputs]

    def _owned_results(self, graph: Graph) -> list[tuple[Value, bool]]:
        shared = self.weights | set(graph.inputs)
        results = []
        for value in graph.outputs:
            results.append((value, self.of(value) in shared))
            shared.add(self.of(value))
        return results

    def _plan_memory(
        self, clusters: list[Cluster], program: Program, vector_length: int
    ) -> tuple[dict[Value, int], int]:
        first: dict[Value, int] = {}
        last: dict[Value, int] = {}
        for step, cluster in enumerate(clusters):
            for value in map(self.of, [*cluster.inputs, *cluster.outputs]):
                last[value] = step
            if cluster.compiled:
                for value in map(self.of, cluster.outputs):
                    if value not in self.outputs:
                        first.setdefault(value, step)
        natives = [step for step, cluster in enumerate(clusters) if cluster.compiled]
        for step, spaces in zip(natives, program.workspaces, strict=True):
            for value in spaces:
                first[value] = last[value] = step
        values = list(first)
        sizes = [v.type.dtype.itemsize * v.layout.elements(v.shape, vector_length) for v in values]
        intervals = [Interval(size, first[v], last[v]) for v, size in zip(values, sizes, strict=True)]
        offsets, total = plan(intervals)
        return dict(zip(values, offsets, strict=True)), total

    def _looked_up(self, graph: Graph) -> dict[Value, tuple[int, Node]]:
        found: dict[Value, tuple[int, Node]] = {}
        for node in graph.nodes:
            if node.op == "embedding" and node.output not in self.weights:
                table, numbers = node.inputs
                smallest = (table.shape[0], node)
                found[self.of(numbers)] = min(smallest, found.get(self.of(numbers), smallest), key=lambda t: t[0])
        return found


def _roots(graph: Graph, clusters: list[Cluster]) -> dict[Value, Value]:
    """For each value that lies in the memory of another, that other."""
    views = {node.output: node.inputs[0] for c in clusters if c.kind == "view" for node in c.nodes if node.op != "cat"}

    def root(value: Value) -> Value:
        while value.home is not None or value in views:
            value = value.home[0] if value.home is not None else views[value]
        return value

    return {value: root(value) for value in graph.values() if root(value) is not value}
