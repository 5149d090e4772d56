"""Partition a graph into clusters: groups of nodes that become one generated function each.

A cluster is depth-first (DFP) at heart: what one of its nodes makes for a vector of elements goes to the next in a
register. A matrix kernel (DNN) takes the element-wise operators behind it into its epilogue, and global average
pooling too; pooling takes the element-wise operators before and behind it; element-wise operators take each other.
"""

from dataclasses import dataclass, field

from solkit.ir import Graph, Node, Value
from solkit.ops import TABLE, Kind
from solkit.ops.operator import pair
from solkit.ops.tensor import is_pointwise
from solkit.rowspace import over_rows, reads_through, rows_of


@dataclass(eq=False)
class Cluster:
    """Nodes that run as one.

    kind: "dnn" (a matrix kernel with its epilogue), "dfp" (loops), "view" (no code), or "torch" (PyTorch runs it).
    nodes: in graph order; inputs: values from outside, weights included; outputs: what others read.
    choice: the implementation chosen, where there are several; losers: the others, with their milliseconds.
    """

    kind: str
    nodes: list[Node]
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    choice: str | None = None
    losers: list[tuple[str, float]] = field(default_factory=list)

    @property
    def output(self) -> Value:
        (value,) = self.outputs
        return value

    @property
    def compiled(self) -> bool:
        """Whether it becomes a generated function."""
        return self.kind in ("dnn", "dfp")

    @property
    def layers(self) -> list[str]:
        """Dotted names of the layers in it, in order, each once; batch norms that were folded away included."""
        names = [n for node in self.nodes for n in (node.layer, node.attributes.get("folded")) if n]
        return list(dict.fromkeys(names))

    @property
    def ops(self) -> list[str]:
        """Operators in it, in order, by the name of the table (or of ATen, for those PyTorch runs)."""
        return [node.attributes.get("target", node.op) for node in self.nodes if node.op != "scalar"]


# A cluster reads at most two values per node, and a kernel takes SOL_MOST_BUFFERS (64, in sol.h) buffers.
MOST_NODES = 30

_KIND = {
    Kind.DNN: "dnn",
    Kind.MATMUL: "dnn",
    Kind.ATTENTION: "dnn",
    Kind.CHANNELS: "dfp",
    Kind.CONCAT: "dfp",
    Kind.STRIDED: "dfp",
    Kind.ELEMENTWISE: "dfp",
    Kind.REDUCE: "dfp",
    Kind.LOOKUP: "dfp",
    Kind.WINDOW: "dfp",
    Kind.RECURRENT: "dnn",
    Kind.RESIZE: "dfp",
    Kind.LAYOUT: "dfp",
    Kind.TYPED: "dfp",
    Kind.VIEW: "view",
    Kind.TORCH: "torch",
}


def _kind(node: Node) -> str:
    return "view" if node.attributes.get("in_place") else _KIND[TABLE[node.op].kind]


def partition(graph: Graph) -> list[Cluster]:
    """Clusters of all nodes that depend on an input, in an order in which they can run."""
    return _Partition(graph).run()


class _Partition:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.users = graph.users()
        weights = graph.weight_values()
        scalars = {node.output for node in graph.nodes if node.op == "scalar"}
        self.ready = set(graph.inputs) | weights | scalars  # values there are before the cluster at hand
        self.active = [node for node in graph.nodes if not all(v in weights or v in scalars for v in node.outputs)]
        # Views that nobody needs in memory: every reader reads through them.
        self.trees = self._trees()
        self.through = {n.output: n for n in self.active if n.op == "strided" and self._is_read_through(n)}

    def _is_read_through(self, view: Node) -> bool:
        readers = self.users[view.output]
        return view.output not in self.graph.outputs and all(reads_through(reader, view) for reader in readers)

    def _trees(self) -> dict[Node, list[Node]]:
        """For each `typed` node that computes each element by itself, those that run in its loop, itself the last:
        calls over the same elements whose results nobody else reads. Empty for one that runs in another's."""
        last: dict[Node, Node] = {}
        trees: dict[Node, list[Node]] = {}
        for node in reversed(self.active):
            if node.op != "typed" or not node.attributes["elementwise"]:
                continue
            ends = {last.get(reader) for reader in self.users[node.output]}
            end = ends.pop() if len(ends) == 1 and node.output not in self.graph.outputs else None
            if end is not None and end.output.shape == node.output.shape:
                read = {value for member in (node, *trees[end]) for value in member.inputs}
                if len(trees[end]) < MOST_NODES and len(read) < 2 * MOST_NODES:
                    trees[end].insert(0, node)
                    last[node] = end
                    continue
            last[node], trees[node] = node, [node]
        return {node: trees.get(node, []) for node in last}

    def run(self) -> list[Cluster]:
        clusters: list[Cluster] = []
        taken: set[Node] = set()
        for index, node in enumerate(self.active):
            if node in taken:
                continue
            if node.op == "strided" and node.output in self.through:
                self.ready.add(node.output)
                continue
            if node in self.trees and self.trees[node] == []:
                continue
            nodes = self.trees.get(node) or self._grow(node, self.active[index + 1 :], taken)
            taken.update(nodes)
            self.ready.update(value for member in nodes for value in member.outputs)
            clusters.append(self._cluster(nodes))
        return clusters

    def _grow(self, seed: Node, following: list[Node], taken: set[Node]) -> list[Node]:
        """The longest run of fusable nodes behind `seed` that leaves exactly one value for others to read."""
        best = nodes = [seed]
        if _kind(seed) not in ("dnn", "dfp") or seed.op in ("reorder", "attention"):
            return best
        made = set(seed.outputs)
        for node in following:
            if node in taken or not any(value in made for value in node.inputs):
                continue
            if not all(value in made or value in self.ready for value in node.inputs):
                continue
            in_rows = over_rows([*nodes, node])
            views = self._views([*nodes, node]) if in_rows else []
            if not _fuses([*views, *nodes], node) or (not in_rows and self._views([node])):
                continue
            if len(nodes) >= MOST_NODES:
                break
            nodes = [*nodes, node]
            made.update(node.outputs)
            if len(self._live(nodes)) == 1 and nodes[-1].output in self._live(nodes):
                best = nodes
        return best

    def _views(self, nodes: list[Node]) -> list[Node]:
        """The views that `nodes` read through."""
        return list(dict.fromkeys(self.through[v] for node in nodes for v in node.inputs if v in self.through))

    def _live(self, nodes: list[Node]) -> list[Value]:
        """What these nodes make and others read."""
        members = set(nodes)
        return [
            value
            for node in nodes
            for value in node.outputs
            if value in self.graph.outputs or any(user not in members for user in self.users[value])
        ]

    def _cluster(self, nodes: list[Node]) -> Cluster:
        views = self._views(nodes)
        nodes = [*views, *nodes]
        made = {value for node in nodes for value in node.outputs}
        scalars = [v.producer for node in nodes for v in node.inputs if v.producer and v.producer.op == "scalar"]
        inputs = [v for node in nodes for v in node.inputs if v not in made and v.producer not in scalars]
        kind = "dnn" if any(_kind(node) == "dnn" for node in nodes) else _kind(nodes[0])
        calls = nodes[0].op in ("torch", "typed") and len(nodes) == 1
        outputs = list(nodes[0].outputs) if calls else self._live(nodes[len(views) :])
        return Cluster(kind, [*dict.fromkeys(scalars), *nodes], list(dict.fromkeys(inputs)), outputs)


def _fuses(nodes: list[Node], node: Node) -> bool:
    """Whether the generators can take `node` into a cluster of `nodes`."""
    kind = TABLE[node.op].kind
    kinds = [TABLE[member.op].kind for member in nodes]
    head = nodes[0]
    if "typed" in (node.op, head.op):
        return False  # see _trees
    if over_rows([*nodes, node]):
        return rows_of([*nodes, node]) is not None
    if kind is Kind.ELEMENTWISE:
        # Same elements as the cluster makes already: an epilogue does not broadcast its result to a larger one.
        if kinds[0] in (Kind.CONCAT, Kind.CHANNELS):
            return False
        if head.op == "matmul" and head.inputs[0].shape[-1] > CHUNK_STEPS:
            return False
        before, after = nodes[-1].output, node.output
        if after.shape != before.shape or after.layout.blocked != before.layout.blocked:
            return False
        return after.layout.blocked or all(_by_rows(v, after, head) for v in node.inputs)
    if node.op == "conv2d":
        return _is_prologue(nodes, node)
    if kind is not Kind.WINDOW or {Kind.WINDOW, Kind.RESIZE} & set(kinds) or node.op == "depthwise_conv2d":
        return False
    if kinds[0] is Kind.DNN:
        return is_global_average(node) and head.op == "conv2d" and sums_fit_registers(head)
    if Kind.DNN in kinds or Kind.CHANNELS in kinds:
        return False
    # Depth first: what stands before the window is computed where it is needed, for each window anew. Worth it while
    # an element lies in few windows.
    return all(member.output.layout.blocked for member in nodes) and _overlap(node) <= 4


def _is_prologue(nodes: list[Node], conv: Node) -> bool:
    """Whether `nodes` can run as a prologue of the 1x1 convolution `conv`: made for a few rows of pixels at a time, all
    channels, in memory that stays in the cache, and read from there."""
    x, grouped = conv.inputs[0], conv.attributes["groups"] > 1
    if not is_pointwise(conv) or grouped or x is not nodes[-1].output or not conv.output.layout.blocked:
        return False
    loops = all(TABLE[m.op].kind in (Kind.ELEMENTWISE, Kind.WINDOW, Kind.CHANNELS) for m in nodes)
    return loops and x.layout.blocked


def _by_rows(operand: Value, result: Value, head: Node) -> bool:
    """Whether `operand` is of the result's shape, one number, or one number per channel: what the epilogue of a matrix
    kernel or a pool, `head`, can load where the result is plain."""
    axis = len(result.shape) - 1 if head.op in ("linear", "matmul") else 1
    shape = (1,) * (len(result.shape) - len(operand.shape)) + operand.shape
    per_channel = all(size == (result.shape[axis] if i == axis else 1) for i, size in enumerate(shape))
    return operand.shape == result.shape or operand.type.size == 1 or per_channel


def is_global_average(node: Node) -> bool:
    """Average pooling over the whole plane, to one pixel."""
    if node.op == "adaptive_avg_pool2d":
        return node.output.shape[2:] == (1, 1)
    if node.op != "avg_pool2d" or node.output.shape[2:] != (1, 1):
        return False
    whole = pair(node.attributes["kernel_size"]) == node.inputs[0].shape[2:]
    return whole and not any(pair(node.attributes["padding"])) and node.attributes["divisor_override"] is None


# Steps of the reduction of a product of two values, for which a panel is packed at a time. Longer ones leave partial
# sums in the output, where no epilogue can be.
CHUNK_STEPS = 512

# Weights of a block of output channels that stay in the second-level cache while its pixels are gone over.
CHUNK_BYTES = 192 * 1024


def sums_fit_registers(convolution: Node) -> bool:
    """Whether one pass over the input channels finishes a pixel, so that its value never needs memory.

    The largest register tile is 64 channels wide; beyond CHUNK_BYTES of weights, the kernel goes over them in parts
    and keeps partial sums in its output.
    """
    return 64 * 4 * convolution.inputs[1].type.size // convolution.inputs[1].shape[0] <= CHUNK_BYTES


def _overlap(node: Node) -> float:
    if node.op == "adaptive_avg_pool2d":
        return 1.0
    kernel = pair(node.attributes["kernel_size"])
    stride = pair(node.attributes["stride"] or kernel)
    return (kernel[0] / stride[0]) * (kernel[1] / stride[1])
