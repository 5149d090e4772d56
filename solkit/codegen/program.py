"""A whole program: one C file per distinct kernel and one with the table of clusters."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field

from solkit.clusters import Cluster
from solkit.codegen.attention import emit_attention
from solkit.codegen.concat import emit_concat
from solkit.codegen.kernel import Buffer, Kernel
from solkit.codegen.loops import emit_images
from solkit.codegen.matmul import emit_matmul
from solkit.codegen.matrix import emit_matrix
from solkit.codegen.move import emit_move
from solkit.codegen.recurrent import emit_recurrent
from solkit.codegen.resize import emit_resize
from solkit.codegen.rows import emit_rows
from solkit.codegen.typed import emit_typed
from solkit.codegen.winograd import ALGORITHMS, emit_winograd, is_winograd
from solkit.ir import Value
from solkit.ops import TABLE, Kind
from solkit.rowspace import LOADS
from solkit.target import Target


@dataclass(frozen=True)
class Fault:
    """A buffer that a kernel writes to when it cannot go on: a flag, and the number at fault (`sol_fault` in typed.h).

    cluster: its place among the compiled clusters; message: of the error, with `{}` for the number.
    """

    value: Value
    cluster: int
    message: str


@dataclass
class Program:
    """Generated code.

    sources: file name to C text; "program.c" is the table.
    kernels: for each compiled cluster, in order, the file its function is in.
    table: for each compiled cluster, in order, which entries of the value table its buffers are, and its rounds.
    buffers: what the entries of the value table are: values, or weights in panels.
    workspaces: for each compiled cluster, in order, buffers that only it uses, while it runs.
    faults: what a kernel may find wrong with the numbers it is given.
    sizes: for each compiled cluster whose code is for many shapes, by its place, the numbers for this one; its kernel
        reads them from its last buffer.
    """

    sources: dict[str, str]
    kernels: list[str]
    table: list[tuple[list[int], int]]
    buffers: list[Buffer]
    workspaces: list[list[Value]]
    faults: list[Fault]
    sizes: dict[int, list[int]] = field(default_factory=dict)


def implementations(cluster: Cluster) -> list[str]:
    """Names of the implementations of a cluster that `choice` may say; the best guess comes first."""
    if cluster.kind == "dnn" and is_winograd(cluster):
        return [*ALGORITHMS, "direct"]
    return ["direct"]


def emit(cluster: Cluster, target: Target) -> Kernel:
    """The kernel of one cluster."""
    kinds = {TABLE[node.op].kind for node in cluster.nodes}
    if Kind.TYPED in kinds:
        return emit_typed(cluster.nodes)
    if Kind.MATMUL in kinds:
        return emit_matmul(cluster, target)
    if Kind.ATTENTION in kinds:
        return emit_attention(cluster, target)
    if Kind.DNN in kinds and cluster.choice in ALGORITHMS:
        return emit_winograd(cluster, target, ALGORITHMS[cluster.choice])
    if Kind.DNN in kinds:
        return emit_matrix(cluster, target)
    if Kind.CONCAT in kinds:
        return emit_concat(cluster)
    if Kind.RECURRENT in kinds:
        return emit_recurrent(cluster, target)
    if Kind.RESIZE in kinds:
        return emit_resize(cluster)
    if Kind.LAYOUT in kinds:
        return emit_move(cluster)
    if Kind.WINDOW in kinds or cluster.output.layout.blocked:
        return emit_images(cluster, target)
    return emit_rows(cluster)


def generate(clusters: list[Cluster], target: Target) -> Program:
    """C for all compiled clusters (kinds "dnn" and "dfp"), the tile sizes right for `target`.

    Clusters that do the same to other buffers share a function.
    """
    functions: dict[str, tuple[str, list[str]]] = {}  # text under a neutral name -> (name, headings)
    program = Program({}, [], [], [], [], [])
    includes = {}
    shown = [cluster for cluster in clusters if cluster.kind != "view"]  # numbered as in explain()
    for index, cluster in enumerate(shown):
        if cluster.kind == "torch":
            continue
        kernel = emit(cluster, target)
        text = kernel.function("kernel")
        name, headings = functions.setdefault(text, (_name(cluster, text), []))
        headings.append(heading_of(index, cluster))
        if len(headings) == 1:
            program.sources[f"{name}.c"] = kernel.function(name)
            includes[name] = "".join(f'#include "{header}"\n' for header in ("sol.h", *kernel.headers))
            roles = [role_of(i, buffer) for i, buffer in enumerate(kernel.buffers)]
            headings[0] += "\n" + "\n".join(roles)
        program.kernels.append(f"{name}.c")
        program.workspaces.append(kernel.workspaces)
        where = f"{cluster.ops[0]} in layer {cluster.nodes[0].layer or 'model'!r}"
        number = len(program.workspaces) - 1
        program.faults += [Fault(value, number, f"{where} {message}") for value, message in kernel.faults]
        for buffer in kernel.buffers:
            if buffer not in program.buffers:
                program.buffers.append(buffer)
        program.table.append(([program.buffers.index(buffer) for buffer in kernel.buffers], kernel.rounds))
    for name, headings in functions.values():
        comment = "\n * ".join("\n".join(headings).splitlines())
        program.sources[f"{name}.c"] = f"/* {comment}\n */\n{includes[name]}\n" + program.sources[f"{name}.c"]
    program.sources["program.c"] = table_of(program, range(len(program.kernels)))
    return program


def table_of(program: Program, fixed: Collection[int]) -> str:
    """program.c: the table of clusters; the `fixed` ones have a number of tasks and rounds in it."""
    names = [file.removesuffix(".c") for file in program.kernels]
    tables, rows, declared = [], [], []
    for index, (name, (values, rounds)) in enumerate(zip(names, program.table, strict=True)):
        tables.append(f"static const int32_t values_{index}[] = {{{', '.join(map(str, values))}}};")
        known = f"&{name}_tasks, values_{index}, {len(values)}, {rounds}"
        rows.append(f"    {{{name}, {known if index in fixed else f'0, values_{index}, {len(values)}, 0'}}},")
        declared.append(f"sol_kernel {name};")
        if index in fixed:
            declared.append(f"extern const int64_t {name}_tasks;")
    return "\n".join(
        [
            "/* The clusters of the program, in the order they run, and the values each reads and writes. */",
            '#include "sol.h"',
            "",
            *dict.fromkeys(declared),
            "",
            *tables,
            "",
            "const int32_t sol_vector_length = VLEN;",
            "const sol_cluster sol_clusters[] = {",
            *(rows or ["    {0, 0, 0, 0, 0},"]),
            "};",
            "",
        ]
    )


def _name(cluster: Cluster, text: str) -> str:
    """A name for a function: its first operators, and a mark that no other text has."""
    ops = ([op for op in dict.fromkeys(cluster.ops) if op not in LOADS] or cluster.ops)[:3]
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    return "_".join([*(op.replace(".", "_") for op in ops), mark])


def heading_of(index: int, cluster: Cluster) -> str:
    """A cluster in one line: its number, and its operators with their layers."""
    steps = []
    for node in cluster.nodes:
        if node.op != "scalar":
            name = node.attributes.get("target", node.op)
            steps.append(f"{name} ({node.layer})" if node.layer else name)
    return f"cluster {index}: {' -> '.join(steps)}"


def role_of(index: int, buffer: Buffer) -> str:
    """What a buffer of a kernel is: its value, shape and layout."""
    value, panels = buffer
    kind = str(value.type)
    if value.varying:
        sizes = ("?" if dim in value.varying else str(size) for dim, size in enumerate(value.shape))
        kind = f"[{', '.join(sizes)}]"
    return f"  b[{index}]  {value.name} {kind} {'weights in panels' if panels else value.layout}"
