"""What a deployed network is made of: programs, the functions they share, and one block of weights for all of them."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from solkit.clusters import Cluster
from solkit.codegen import Program, generate
from solkit.codegen.program import heading_of, role_of
from solkit.errors import GraphError
from solkit.ir import Graph, Value
from solkit.rowspace import LOADS
from solkit.runtime.memory import aligned
from solkit.runtime.placement import Placement
from solkit.runtime.weights import Values
from solkit.target import Target


@dataclass(frozen=True)
class Tensor:
    """An input or output of the network.

    Attributes:
        name: in C and in Python.
        dtype: of its elements.
        shape: its sizes in the example.
        batched: whether its dimension 0 is a batch that varies.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    batched: bool = False


@dataclass(frozen=True)
class Place:
    """Where a value lies: `kind` is arena, weights, input, output or fault; `where` is bytes, or which one it is."""

    kind: str
    where: int


@dataclass(frozen=True)
class Check:
    """Row numbers to look at before the cluster `before` of the program runs."""

    before: int
    place: Place
    value: Value
    rows: int
    said: str


@dataclass
class Part:
    """A program for one size of the batch.

    first, last: its clusters among those of the whole network; places: what its table of values points at; faults: what
    to say of each, with {} for the number at fault; copies: (output, from where, bytes).
    """

    batch: int
    inputs: list[Value]
    outputs: list[Value]
    arena_bytes: int
    first: int = 0
    last: int = 0
    places: list[Place] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    copies: list[tuple[int, Place, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """A cluster in the table of them: its function, the entries of its buffers, its rounds."""

    function: str
    values: tuple[int, ...]
    rounds: int


@dataclass
class Network:
    """Everything that the C of a deployed network says.

    sources: for each function, its C text at each level; where all are the same there is only one.
    weights: one block, as kernels read it.
    """

    levels: Sequence[Target]
    parts: list[Part] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    weights: bytearray = field(default_factory=bytearray)
    _placed: dict[bytes, int] = field(default_factory=dict)
    _functions: dict[tuple[str, ...], str] = field(default_factory=dict)
    _headings: dict[str, list[str]] = field(default_factory=dict)

    def add(self, batch: int, graph: Graph, clusters: list[Cluster], parameters: Mapping[str, torch.Tensor]) -> None:
        """Add a program, made for samples of this batch.

        Args:
            graph: as the passes leave it, and `clusters` its parts, all of which have code.
            parameters: its weights, by name.
        """
        programs = [generate(clusters, level) for level in self.levels]
        program = programs[0]
        for other in programs[1:]:
            if _described(other) != _described(program):
                raise GraphError("programs of one network differ in more than the code of their kernels")
        length = self.levels[0].vector_length
        placement = Placement(graph, clusters, program, length)
        part = Part(batch, list(graph.inputs), list(graph.outputs), placement.arena_bytes)
        values = Values(graph, parameters)
        known = self._known_places(part, placement)
        for value, panels in program.buffers:
            root = placement.of(value)
            if root in values:
                part.places.append(self._place_weights(values.packed((value, panels), length)))
            else:
                fault = next((i for i, f in enumerate(program.faults) if f.value is value), None)
                part.places.append(known[root] if fault is None else Place("fault", fault))
        part.faults = [fault.message for fault in program.faults]
        self._add_checks(part, placement, clusters, known)
        for number, (value, copied) in enumerate(placement.results):
            root = placement.of(value)
            weight = root in values
            place = self._place_weights(values[root].to(root.type.dtype)) if weight else known[root]
            if copied or place != Place("output", number):
                part.copies.append((number, place, value.type.bytes))
        part.first = len(self.rows)
        self._add_functions(programs, clusters)
        part.last = len(self.rows)
        self.parts.append(part)

    def close(self) -> None:
        """Finish the block of weights: a whole vector may be loaded anywhere in it."""
        self.weights += bytes(aligned(len(self.weights) + 4 * self.levels[0].vector_length) - len(self.weights))

    def digest(self, text: Iterable[str]) -> bytes:
        """16 bytes that no other network has: of these texts, and of the weights."""
        made = hashlib.sha256()
        for piece in text:
            made.update(piece.encode())
        made.update(self.weights)
        return made.digest()[:16]

    # -- values -------------------------------------------------------------------------------------------------------

    def _known_places(self, part: Part, placement: Placement) -> dict[Value, Place]:
        """Places of all values but weights. A result that compiled code makes is in the first output that it is."""
        known = {value: Place("arena", offset) for value, offset in placement.offsets.items()}
        for number, value in reversed(list(enumerate(part.outputs))):
            if placement.of(value) in placement.outputs:
                known[placement.of(value)] = Place("output", number)
        known |= {value: Place("input", number) for number, value in enumerate(part.inputs)}
        return known

    def _place_weights(self, tensor: torch.Tensor) -> Place:
        data = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        key = hashlib.sha256(data).digest()
        if key not in self._placed:
            self._placed[key] = len(self.weights)
            self.weights += data + bytes(aligned(len(data)) - len(data))
        return Place("weights", self._placed[key])

    def _add_checks(self, part: Part, placement: Placement, clusters: list[Cluster], known: dict[Value, Place]) -> None:
        when = dict.fromkeys(part.inputs, 0)
        for number, cluster in enumerate(c for c in clusters if c.compiled):
            for value in placement.numbers_made(cluster):
                when.setdefault(placement.of(value), number)
        for value, number in when.items():
            if value in placement.tables:
                rows, node = placement.tables[value]
                said = f"{value.name}, row numbers for the table of {node.layer or 'the model'}"
                part.checks.append(Check(number, known[value], value, rows, said))
        part.checks.sort(key=lambda check: check.before)

    # -- functions ----------------------------------------------------------------------------------------------------

    def _add_functions(self, programs: list[Program], clusters: list[Cluster]) -> None:
        """Clusters that do the same to other buffers share a function, named after the first layer it is for."""
        shown = [cluster for cluster in clusters if cluster.kind != "view"]
        compiled = [(number, cluster) for number, cluster in enumerate(shown) if cluster.compiled]
        for index, (number, cluster) in enumerate(compiled):
            texts = tuple(_body(program, index) for program in programs)
            name = self._functions.get(texts)
            if name is None:
                name = self._functions[texts] = self._name(cluster)
                roles = [role_of(k, programs[0].buffers[v]) for k, v in enumerate(programs[0].table[index][0])]
                self._headings[name] = [*roles]
                self.sources[name] = tuple(dict.fromkeys(texts)) if len(set(texts)) == 1 else texts
            lines = self._headings[name]
            heading = heading_of(number, cluster)
            if heading not in lines:
                lines.insert(sum(line.startswith("cluster") for line in lines), heading)
            values, rounds = programs[0].table[index]
            self.rows.append(Row(name, tuple(values), rounds))

    def _name(self, cluster: Cluster) -> str:
        """After the layers and operators of the cluster, and unlike any other."""
        ops = ([op for op in dict.fromkeys(cluster.ops) if op not in LOADS] or cluster.ops)[:3]
        layer = next(iter(cluster.layers), "model")
        name = re.sub(r"\W+", "_", "_".join([layer, *ops]), flags=re.ASCII).strip("_")[:60]
        name = f"layer{name}" if name[0].isdigit() else name
        taken = set(self._functions.values())
        return next(n for n in (name, *(f"{name}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)

    def comment(self, function: str) -> str:
        """What the function of these clusters is for, and what its buffers are."""
        return "\n".join(self._headings[function])


def _described(program: Program) -> tuple:
    """All of a program but the code of its kernels."""
    buffers = [(value.name, str(value.type), str(value.layout), panels) for value, panels in program.buffers]
    spaces = [[(value.name, str(value.type)) for value in values] for values in program.workspaces]
    return buffers, program.table, spaces, [(fault.cluster, fault.message) for fault in program.faults]


def _body(program: Program, index: int) -> str:
    """The C of a cluster without its comment, under the name `kernel`."""
    file = program.kernels[index]
    text = program.sources[file]
    return re.sub(rf"\b{re.escape(file.removesuffix('.c'))}(?=_tasks\b|\b)", "kernel", text[text.index("*/") + 3 :])
