"""DFP clusters over plain tensors: element-wise chains, and reductions along rows, as one loop over rows.

A row is the run of the innermost dimensions that reductions go over; without one, whatever lies together. A reduction
needs its whole row before anything behind it can begin, so the row is gone over in passes: softmax is three, a layer
norm three. What a later pass needs again is computed again where that is cheap, and waits in a row of scratch memory,
in the first-level cache, where it is not.
"""

from dataclasses import dataclass
from math import prod

from solkit.clusters import Cluster
from solkit.codegen.elementwise import Chain, Place, store
from solkit.codegen.kernel import Kernel, plus
from solkit.ir import Node, Value, contiguous
from solkit.ops import TABLE, Kind
from solkit.rowspace import LOADS, full_shape, rows_of

TASK_ELEMENTS = 8192  # a task of a few microseconds
DEAR = 8  # floating-point operations from which a value is kept rather than computed again
MOST_SCRATCH = 1 << 14  # floats of a row that is kept

# How a reduction starts, goes on, and is finished over lanes; `{0}` is what there is so far, `{1}` what comes.
_REDUCTIONS = {
    "row_sum": ("0.0f", "vf_add({0}, {1})", "vf_sum_n", "{0} + {1}"),
    "row_max": ("-__builtin_inff()", "vf_max_nan({0}, {1})", "sol_max_n", "sol_max_nan({0}, {1})"),
}


@dataclass(frozen=True)
class _Operand:
    """Where an operand lies: buffer, strides in the iteration space, offset; and for rows of a table, the value that
    holds their numbers, and its strides."""

    buffer: Value
    strides: tuple[int, ...]
    offset: int = 0
    index: "_Operand | None" = None


class _Element(Place):
    """Elements i ... of one row of a tensor; operands broadcast by their strides. `lanes` is None inside a row."""

    def __init__(self, kernel: Kernel, operands: dict[Value, _Operand], result: _Operand, lanes: str | None) -> None:
        super().__init__(kernel)
        self.operands, self.result, self.lanes = operands, result, lanes

    def address(self, value: Value) -> str:
        operand = self.operands[value]
        table = []
        if operand.index is not None:
            ids = self._sum(operand.index, inner="0")
            width = operand.buffer.shape[1]
            table.append(f"((const int64_t *){self.kernel.buffer(operand.index.buffer)})[{ids}] * {width}")
        return plus(*table, self._sum(operand))

    def _sum(self, operand: _Operand, inner: str = "i") -> str:
        *outer, last = operand.strides
        terms = [f"i{axis} * {stride}" if stride != 1 else f"i{axis}" for axis, stride in enumerate(outer) if stride]
        column = "0" if last == 0 or inner == "0" else inner if last == 1 else f"{inner} * {last}"
        return plus(operand.offset, *terms, column)

    def broadcasts(self, value: Value) -> bool:
        return self.operands[value].strides[-1] == 0

    def load(self, value: Value) -> str:
        operand = self.operands[value]
        where = plus(self.kernel.buffer(operand.buffer), self.address(value))
        if operand.strides[-1] == 0:
            return f"vf_set1(*({where}))"
        if operand.strides[-1] != 1:
            return f"vf_gather({where}, {operand.strides[-1]}, {self.lanes or 'VLEN'})"
        return f"vf_load_n({where}, {self.lanes})" if self.lanes else f"vf_load({where})"

    def store(self, value: Value, vector: str) -> str:
        return store(plus(self.kernel.buffer(value), self._sum(self.result)), vector, self.lanes)


def emit_rows(cluster: Cluster) -> Kernel:
    """The kernel of a cluster of element-wise operators, reductions and look-ups over plain tensors."""
    return _Rows(cluster).emit()


class _Rows:
    def __init__(self, cluster: Cluster) -> None:
        self.kernel, self.cluster, self.out = Kernel(), cluster, cluster.output
        shape, reduced = rows_of([node for node in cluster.nodes if node.op != "scalar"])
        self.reduced = reduced
        self.rank = len(shape)
        sizes, self.operands, self.result = _iteration(cluster, shape, reduced)
        *self.outer, self.length = sizes
        self.made = {node.output: node for node in cluster.nodes}
        self.level: dict[Value, int] = {}  # the pass a value can first be computed in
        for node in cluster.nodes:
            before = max((self.level.get(value, 0) for value in node.inputs), default=0)
            self.level[node.output] = before + self._is_reduction(node)
        self.passes = max(self.level.values()) + 1
        self.kept = self._kept_values()

    def _is_reduction(self, node: Node) -> bool:
        return TABLE[node.op].kind is Kind.REDUCE

    def _is_row_wide(self, value: Value) -> bool:
        """Whether there is a number for each element, not for each row."""
        return not self.reduced or full_shape(value.shape, self.rank)[-self.reduced :] != (1,) * self.reduced

    # -- what waits for a later pass ----------------------------------------------------------------------------------

    def _targets(self, number: int) -> list[Value]:
        """What the elements of a row are computed for in a pass."""
        found = [n.inputs[0] for n in self.cluster.nodes if self._is_reduction(n) and self._at(n) == number]
        last = number == self.passes - 1 and self._is_row_wide(self.out)
        return [*found, self.out] if last else found

    def _at(self, reduction: Node) -> int:
        return self.level[reduction.output] - 1

    def _kept_values(self) -> dict[Value, int]:
        """Dear values that several passes need, and the pass that makes them."""
        if self.length > MOST_SCRATCH:
            return {}
        first: dict[Value, int] = {}
        kept: dict[Value, int] = {}

        def need(value: Value, number: int) -> None:
            node = self.made.get(value)
            if node is None or self._is_reduction(node) or not self._is_row_wide(value):
                return
            dear = TABLE[node.op].flops([v.type for v in node.inputs], node.attributes) >= DEAR
            if first.setdefault(value, number) < number and dear:
                kept[value] = first[value]
                return
            for operand in node.inputs:
                need(operand, number)

        for number in range(self.passes):
            for target in self._targets(number):
                need(target, number)
        return kept

    # -- text ---------------------------------------------------------------------------------------------------------

    def emit(self) -> Kernel:
        k, length = self.kernel, self.length
        per_task = max(1, TASK_ELEMENTS // max(length, 1))
        k.constant("ROWS", prod(self.outer), "vectors run along the innermost dimension")
        pieces = 1 if self.reduced else max(1, -(-length // TASK_ELEMENTS))
        in_pieces = pieces > 1 or (bool(self.out.varying) and not self.reduced)
        tasks = f"SOL_CEIL(ROWS, {per_task})"
        first, end = f"task * {per_task}", f"sol_min(ROWS, (task + 1) * {per_task})"
        if in_pieces:
            k.constant("PIECES", pieces, "of a row")
            tasks += " * PIECES"
            k.line("const int64_t piece = task % PIECES;")
            first, end = f"task / PIECES * {per_task}", f"sol_min(ROWS, (task / PIECES + 1) * {per_task})"
        k.constant("TASKS", tasks)
        for index, _ in enumerate(self.kept):
            k.line(f"float kept{index}[{length} + VLEN] __attribute__((aligned(64)));")
        k.open(f"for (int64_t r = {first}; r < {end}; r++)")
        rest, numbers = "r", {}
        for axis in reversed(range(len(self.outer))):
            numbers[f"i{axis}"] = f"const int64_t i{axis} = {rest}{f' % {self.outer[axis]}' if axis else ''}"
            rest = f"{rest} / {self.outer[axis]}"
        self.first = f"piece * {length} / PIECES" if in_pieces else "0"
        self.end = f"(piece + 1) * {length} / PIECES" if in_pieces else str(length)
        with k.declaring(**numbers):
            # What there is one of for the whole row.
            place = _Element(k, self.operands, self.result, None)
            nodes = [n for n in self.cluster.nodes if n.op not in LOADS and not self._is_row_wide(n.output)]
            row = Chain(k, nodes, place, {})
            for number in range(self.passes):
                self._pass(number, row)
            if not self._is_row_wide(self.out):
                k.line(_Element(k, self.operands, self.result, "1").store(self.out, row.vector(self.out)))
        k.close()
        return k

    def _pass(self, number: int, row: Chain) -> None:
        """One pass over the row at hand."""
        k = self.kernel
        for node in self.cluster.nodes:
            if node.output in row.nodes and node.op != "scalar" and self.level[node.output] == number:
                row.vector(node.output)  # here, where both loops of the pass see it
        reductions = [n for n in self.cluster.nodes if self._is_reduction(n) and self._at(n) == number]
        targets = self._targets(number)
        if not targets:
            return
        for index, node in enumerate(reductions):
            start, *_ = _REDUCTIONS[node.op]
            k.line(f"vf acc{number}_{index} = vf_set1({start});")
            k.line(f"float rest{number}_{index} = {start};")
        length = f"({self.end} - ({self.first}))" if self.first != "0" else self.end
        whole = f"{self.first} + {length} / VLEN * VLEN" if self.first != "0" else f"{length} / VLEN * VLEN"
        k.line(f"const int64_t whole{number} = {whole};")
        k.open(f"for (int64_t i = {self.first}; i < whole{number}; i += VLEN)")
        self._body(number, reductions, row.names, None)
        k.close()
        k.open(f"if (whole{number} < {self.end})")
        k.line(f"const int64_t i = whole{number};")
        k.line(f"const int lanes = (int)({self.end} - i);")
        self._body(number, reductions, row.names, "lanes")
        k.close()
        for index, node in enumerate(reductions):
            _, _, over_lanes, join = _REDUCTIONS[node.op]
            total = join.format(f"{over_lanes}(acc{number}_{index}, VLEN)", f"rest{number}_{index}")
            name = f"r{number}_{index}"
            k.line(f"const vf {name} = vf_set1({total});")
            row.names[node.output] = name

    def _body(self, number: int, reductions: list[Node], known: dict[Value, str], lanes: str | None) -> None:
        k = self.kernel
        place = _Element(k, self.operands, self.result, lanes)
        waiting = list(self.kept)
        known = dict(known)
        for index, value in enumerate(waiting):
            if self.kept[value] < number:
                known[value] = f"vf_load(kept{index} + i)"
        chain = Chain(k, [node for node in self.cluster.nodes if node.op not in LOADS], place, known)
        for index, node in enumerate(reductions):
            _, step, over_lanes, _ = _REDUCTIONS[node.op]
            value = chain.vector(node.inputs[0])
            if lanes:
                k.line(f"rest{number}_{index} = {over_lanes}({value}, lanes);")
            else:
                k.line(f"acc{number}_{index} = {step.format(f'acc{number}_{index}', value)};")
        for index, value in enumerate(waiting):
            if self.kept[value] == number:
                k.line(f"vf_store(kept{index} + i, {chain.vector(value)});")
        if self.out in self._targets(number):
            k.line(place.store(self.out, chain.vector(self.out)))


def _iteration(
    cluster: Cluster, shape: tuple[int, ...], reduced: int
) -> tuple[list[int], dict[Value, _Operand], _Operand]:
    """The iteration space with as few dimensions as do, the innermost a row; where each operand lies in it, and
    where the result does."""
    found: dict[Value, _Operand] = {}
    result = _Operand(cluster.output, _strides(cluster.output.shape, None, shape))
    for value in cluster.inputs:
        found[value] = _Operand(value, _strides(value.shape, None, shape))
    for node in cluster.nodes:
        if node.op == "strided":
            a = node.attributes
            strides = _strides(node.output.shape, a["strides"], shape)
            found[node.output] = _Operand(node.inputs[0], strides, a["offset"])
        elif node.op == "embedding":
            table, ids = node.inputs
            rows = _strides((*ids.shape, 1), None, shape)
            width = full_shape(node.output.shape, len(shape))
            row = tuple(1 if axis == len(width) - 1 and size > 1 else 0 for axis, size in enumerate(width))
            found[node.output] = _Operand(table, row, 0, _Operand(ids, rows))
    steps = [operand.strides for operand in (result, *found.values())]
    steps += [operand.index.strides for operand in found.values() if operand.index]
    groups = _groups(shape, steps, reduced)
    sizes = [prod(shape[axis] for axis in group) for group in groups] or [1]

    def merged(strides: tuple[int, ...]) -> tuple[int, ...]:
        inner = [next((strides[a] for a in reversed(group) if shape[a] > 1), 0) for group in groups]
        return tuple(inner) if groups else (1,)

    def at(operand: _Operand) -> _Operand:
        index = operand.index and _Operand(operand.index.buffer, merged(operand.index.strides), 0)
        return _Operand(operand.buffer, merged(operand.strides), operand.offset, index)

    return sizes, {value: at(operand) for value, operand in found.items()}, at(result)


def _strides(own: tuple[int, ...], strides: tuple[int, ...] | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a tensor of shape `own` in the iteration space `shape`: 0 where it repeats."""
    missing = len(shape) - len(own)
    if strides is None:
        strides = contiguous(own)
    return (0,) * missing + tuple(0 if size == 1 else step for size, step in zip(own, strides, strict=True))


def _groups(shape: tuple[int, ...], steps: list[tuple[int, ...]], reduced: int) -> list[list[int]]:
    """Axes that are one for every operand, each the run of the next; those reduced over are the last group."""
    groups: list[list[int]] = []
    border = len(shape) - reduced
    for axis, size in enumerate(shape[:border]):
        if size == 1:
            continue
        if groups and all(s[groups[-1][-1]] == s[axis] * size for s in steps):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return [*groups, list(range(border, len(shape)))] if reduced else groups
