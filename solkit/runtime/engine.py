"""The steps of one call: compiled clusters in runs of as many as stand together, and PyTorch for the rest."""

import ctypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch

from solkit.clusters import Cluster
from solkit.codegen import Program
from solkit.config import config
from solkit.errors import InputError
from solkit.ir import Graph, Value
from solkit.reference import run_node
from solkit.runtime.library import Library, runtime
from solkit.runtime.placement import Placement
from solkit.runtime.weights import Weights


@dataclass
class Native:
    """Compiled clusters first to last - 1, by their place in the program.

    reads: values that PyTorch made; looked_up: row numbers of tables that compiled code made; faults: by their place in
    the program, what these clusters may find wrong.
    """

    first: int
    last: int
    reads: list[Value] = field(default_factory=list)
    looked_up: list[Value] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)


@dataclass
class Torch:
    """A cluster that PyTorch runs."""

    cluster: Cluster


class _Context:
    """What one call at a time needs: an arena, and the table of addresses that kernels are given."""

    def __init__(self, arena_bytes: int, entries: int, faults: int) -> None:
        self.arena = torch.empty(arena_bytes + 64, dtype=torch.uint8, device="cpu")
        self.base = -self.arena.data_ptr() % 64
        self.table = (ctypes.c_void_p * max(1, entries))()
        self.faults = (ctypes.c_int64 * (2 * faults))()
        self.weights: Weights | None = None


class Engine:
    """A compiled model without its module: tensors in, tensors out. Several threads may call it at once."""

    def __init__(self, graph: Graph, clusters: list[Cluster], program: Program) -> None:
        self.graph, self.clusters, self.program = graph, clusters, program
        self.library, self.runtime = Library(program), runtime()
        self.placement = Placement(graph, clusters, program, self.library.vector_length)
        self.steps = self._steps()
        self._free: list[_Context] = []

    # -- made once ----------------------------------------------------------------------------------------------------

    def _steps(self) -> list[Native | Torch]:
        steps: list[Native | Torch] = []
        native = 0
        made_by_torch: set[Value] = set()
        for cluster in self.clusters:
            if cluster.kind == "torch":
                steps.append(Torch(cluster))
                made_by_torch.update(cluster.outputs)
            elif cluster.compiled:
                numbers = self.placement.numbers_made(cluster)
                if not steps or not isinstance(steps[-1], Native) or numbers:
                    steps.append(Native(native, native, looked_up=numbers))
                steps[-1].faults += [i for i, fault in enumerate(self.program.faults) if fault.cluster == native]
                native += 1
                steps[-1].last = native
                reads = [self.placement.of(v) for v in cluster.inputs if self.placement.of(v) in made_by_torch]
                steps[-1].reads += [v for v in reads if v not in steps[-1].reads]
        return steps

    def bind(self, parameters: Mapping[str, torch.Tensor]) -> Weights:
        """Weights for this state of the parameters, by their PyTorch names."""
        return Weights(self.graph, self.program.buffers, parameters, self.library.vector_length, self.runtime)

    # -- at each call -------------------------------------------------------------------------------------------------

    def run(
        self, inputs: list[torch.Tensor], weights: Weights, seconds: ctypes.Array | None = None
    ) -> list[torch.Tensor]:
        """One call. Inputs are contiguous CPU tensors of the graph's types.

        Args:
            seconds: float64 array with an entry for each compiled cluster, to which its time is added. With it, what
                is computed does not count, and neither does what kernels find wrong with it.
        Raises:
            InputError: a table has no such row, a tensor no such index, or a whole number is divided by zero.
        """
        try:
            context = self._free.pop()
        except IndexError:
            context = _Context(self.placement.arena_bytes, len(self.program.buffers), len(self.program.faults))
            self._place_arena(context)
        if context.weights is not weights:
            for index, address in weights.addresses.items():
                context.table[index] = address
            context.weights = weights
        try:
            return self._run(context, inputs, weights, seconds)
        finally:
            self._free.append(context)

    def _place_arena(self, context: _Context) -> None:
        for index, sizes in self.library.sizes.items():
            context.table[index] = sizes.data_ptr()
        start = context.arena.data_ptr() + context.base
        for value, offset in self.placement.offsets.items():
            for index in self.placement.entries.get(value, ()):
                context.table[index] = start + offset
        for place, fault in enumerate(self.program.faults):
            for index in self.placement.entries[fault.value]:
                context.table[index] = ctypes.addressof(context.faults) + 16 * place

    def _run(
        self,
        context: _Context,
        inputs: list[torch.Tensor],
        weights: Weights,
        seconds: ctypes.Array | None,
    ) -> list[torch.Tensor]:
        tensors = dict(zip(self.graph.inputs, inputs, strict=True))
        for value in self.placement.outputs:
            tensors[value] = torch.empty(value.shape, dtype=value.type.dtype, device="cpu")
        for value, tensor in tensors.items():
            self._point(context, value, tensor)
        self._check_numbers(self.placement.tables, tensors)
        threads = config["threads"] or torch.get_num_threads()
        for step in self.steps:
            if isinstance(step, Torch):
                self._run_torch(step.cluster, context, tensors, weights)
                continue
            for value in step.reads:
                if not tensors[value].is_contiguous():
                    tensors[value] = tensors[value].contiguous()
                self._point(context, value, tensors[value])
                self._check_numbers([value], tensors)
            for value in map(self.placement.of, step.looked_up):
                self._check_numbers([value], {value: self._tensor(value, context, tensors, weights)})
            self.runtime.run(
                self.runtime.pool(), self.library.clusters, context.table, step.first, step.last, threads, seconds
            )
            self._look_at_faults(step, context, raising=seconds is None)
        results = ((self._tensor(value, context, tensors, weights), copy) for value, copy in self.placement.results)
        return [tensor.clone() if copy else tensor for tensor, copy in results]

    def _look_at_faults(self, step: Native, context: _Context, raising: bool) -> None:
        for place in step.faults:
            if context.faults[2 * place]:
                context.faults[2 * place] = 0
                if raising:
                    raise InputError(self.program.faults[place].message.format(context.faults[2 * place + 1]))

    def _check_numbers(self, values: Iterable[Value], tensors: dict[Value, torch.Tensor]) -> None:
        """Row numbers must be rows of the table: compiled code reads what they say."""
        for value in values:
            if value not in self.placement.tables or value not in tensors or not tensors[value].numel():
                continue
            rows, node = self.placement.tables[value]
            least, most = (bound.item() for bound in tensors[value].aminmax())
            if least < 0 or most >= rows:
                wrong = least if least < 0 else most
                raise InputError(
                    f"{value.name!r} holds the number {wrong}, but the table of layer {node.layer or 'model'!r} has "
                    f"{rows} rows: 0 to {rows - 1}"
                )

    def _point(self, context: _Context, value: Value, tensor: torch.Tensor) -> None:
        for index in self.placement.entries.get(value, ()):
            context.table[index] = tensor.data_ptr()

    def _tensor(
        self, value: Value, context: _Context, tensors: dict[Value, torch.Tensor], weights: Weights
    ) -> torch.Tensor:
        """`value` as a tensor: the caller's, PyTorch's, a weight, or a view of the arena."""
        root = self.placement.of(value)
        if root in tensors:
            return tensors[root].reshape(value.shape) if root is not value else tensors[root]
        if root in weights:
            return weights.tensor(root).reshape(value.shape)
        start = context.base + self.placement.offsets[root]
        return context.arena[start : start + root.type.bytes].view(root.type.dtype).view(value.shape)

    def _run_torch(
        self, cluster: Cluster, context: _Context, tensors: dict[Value, torch.Tensor], weights: Weights
    ) -> None:
        (node,) = cluster.nodes
        made = run_node(node, [self._tensor(value, context, tensors, weights) for value in node.inputs])
        arena = context.arena.untyped_storage().data_ptr()
        for value, tensor in zip(node.outputs, made, strict=True):
            # A view of the arena would change with the next cluster that gets these bytes.
            tensors[value] = tensor.clone() if tensor.untyped_storage().data_ptr() == arena else tensor
