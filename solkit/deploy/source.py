"""The C of a deployed network beside its kernels: its tables, and the functions of its header."""

from collections.abc import Iterable, Sequence

from solkit.deploy.header import DTYPES, arguments
from solkit.deploy.network import Network, Part, Place, Tensor

KINDS = {kind: f"SOL_{kind.upper()}" for kind in ("arena", "weights", "input", "output", "fault")}


def quoted(text: str) -> str:
    """`text` as a string of C."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def names(name: str, functions: Iterable[str]) -> str:
    """names.h: every function of the network under a name of its own."""
    defined = [symbol for function in functions for symbol in (function, f"{function}_tasks")]
    defined += ["sol_clusters", "sol_vector_length"]
    lines = (f"#define {symbol} SOL_NAMED({symbol}, SOL_LEVEL)" for symbol in defined)
    return "\n".join(
        [
            "/* Functions have the name of the network in front and that of the instructions they are compiled for",
            " * behind, so that there may be several of both in one program. */",
            "#ifndef SOL_LEVEL",
            "#define SOL_LEVEL plain",
            "#endif",
            f"#define SOL_JOINED(name, level) {name}_##name##_##level",
            "#define SOL_NAMED(name, level) SOL_JOINED(name, level)",
            *lines,
            "",
        ]
    )


def clusters(network: Network) -> str:
    """clusters.c: the table of clusters of all programs."""
    functions = list(dict.fromkeys(row.function for row in network.rows))
    lines = [
        "/* The clusters in the order they run, and the values each reads and writes. */",
        '#include "names.h"',
        '#include "sol.h"',
        "",
    ]
    lines += [f"sol_kernel {name};" for name in functions]
    lines += [f"extern const int64_t {name}_tasks;" for name in functions]
    lines.append("")
    for index, row in enumerate(network.rows):
        lines.append(f"static const int32_t values_{index}[] = {{{', '.join(map(str, row.values))}}};")
    lines += ["", "extern const sol_cluster sol_clusters[];", "const sol_cluster sol_clusters[] = {"]
    for index, row in enumerate(network.rows):
        function = row.function
        lines.append(f"    {{{function}, &{function}_tasks, values_{index}, {len(row.values)}, {row.rounds}}},")
    return "\n".join([*lines, *([] if network.rows else ["    {0, 0, 0, 0, 0},"]), "};", ""])


def _place(place: Place) -> str:
    return f"{{{KINDS[place.kind]}, {place.where}}}"


def _array(kind: str, name: str, items: Sequence[str]) -> list[str]:
    """A constant array, which in C has an element at least."""
    return [f"static const {kind} {name}[] = {{", *(f"    {item}," for item in items or ["0"]), "};"]


def _tensors(name: str, kind: str, tensors: Sequence[Tensor]) -> list[str]:
    items = []
    for tensor in tensors:
        sizes = [-1 if tensor.batched and d == 0 else size for d, size in enumerate(tensor.shape)]
        dims = f"{{{', '.join(map(str, sizes or [0]))}}}"
        items.append(f"{{{quoted(tensor.name)}, {name}_{DTYPES[tensor.dtype][0]}, {len(sizes)}, {dims}}}")
    return _array("sol_tensor", kind, items or ["{0, 0, 0, {0}}"])


def _part(index: int, part: Part) -> tuple[list[str], str]:
    """Tables of a program, and its line in the table of programs."""
    lines = _array("sol_place", f"places_{index}", [_place(place) for place in part.places] or ["{0, 0}"])
    checks = [
        f"{{{check.before}, {check.value.type.dtype.itemsize}, {_place(check.place)}, "
        f"{check.value.type.size}, {check.rows}, {quoted(check.said)}}}"
        for check in part.checks
    ]
    lines += _array("sol_check", f"checks_{index}", checks or ["{0, 0, {0, 0}, 0, 0, 0}"])
    copies = [f"{{{number}, {_place(place)}, {count}}}" for number, place, count in part.copies]
    lines += _array("sol_copy", f"copies_{index}", copies or ["{0, {0, 0}, 0}"])
    said = [quoted(text.replace("%", "%%").replace("{}", "%lld")) for text in part.faults]
    lines += _array("char *const", f"faults_{index}", said)
    tables = ", ".join(f"{name}_{index}" for name in ("places", "checks", "copies", "faults"))
    counts = [part.arena_bytes, part.first, part.last, len(part.places), len(checks), len(copies), len(said)]
    return lines, f"{{{part.batch}, {tables}, {', '.join(map(str, counts))}}}"


def main(
    name: str,
    files: str,
    network: Network,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    batch: bool,
    digest: bytes,
    levels: Sequence[tuple[str, str, str]],
    embedded: bool,
) -> str:
    """network.c: tables of the network, and its public functions.

    Args:
        name: in front of all functions.
        files: name of the header, the sources and the weights, without what comes behind the dot.
        levels: (name, mark in C, condition in C) of each set of instructions, best first.
        embedded: whether weights are a part of the library.
    """
    lines = [
        f"/* {files}: tables, and the functions of {files}.h. What they do is in network.h. */",
        "#define _GNU_SOURCE",
        f'#include "../{files}.h"',
        "",
        f"#define SOL_PUBLIC(part) {name}_##part",
        '#include "network.h"',
        "",
    ]
    for _, mark, condition in levels:
        lines.append(f"extern const sol_cluster {name}_sol_clusters_{mark}[];")
        lines.append(f"static int has_{mark}(void) {{ return {condition}; }}")
    found = [f"{{{quoted(title)}, has_{mark}, {name}_sol_clusters_{mark}}}" for title, mark, _ in levels]
    lines += ["", *_array("sol_level", "levels", found), ""]
    if embedded:
        lines += [f"extern const uint8_t {name}_weights[]; /* in weights.S */", ""]
    lines += [*_tensors(name, "network_inputs", inputs), *_tensors(name, "network_outputs", outputs), ""]
    rows = []
    for index, part in enumerate(network.parts):
        tables, row = _part(index, part)
        lines += [*tables, ""]
        rows.append(row)
    lines += [*_array("sol_program", "programs", rows), ""]
    fields = {
        "name": quoted(name),
        "file": quoted(f"{files}.weights"),
        "embedded": f"{name}_weights" if embedded else "NULL",
        "bytes": len(network.weights),
        "digest": f"{{{', '.join(map(str, digest))}}}",
        "inputs": "network_inputs",
        "outputs": "network_outputs",
        "input_count": len(inputs),
        "output_count": len(outputs),
        "varying": int(batch),
        "programs": "programs",
        "program_count": len(rows),
        "levels": "levels",
        "level_count": len(levels),
    }
    lines += [
        "static const sol_network network = {",
        *(f"    .{key} = {value}," for key, value in fields.items()),
        "};",
    ]
    return "\n".join([*lines, "", _functions(name, inputs, outputs, batch)])


def _functions(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], batch: bool) -> str:
    given = ", ".join(tensor.name for tensor in inputs) or "NULL"
    made = ", ".join(tensor.name for tensor in outputs) or "NULL"
    return f"""{name}_context *{name}_init(int device) {{
    const {name}_options options = {{device, 0, NULL, NULL}};
    return sol_open(&network, &options);
}}

{name}_context *{name}_open(const {name}_options *options) {{
    const {name}_options usual = {{0, 0, NULL, NULL}};
    return sol_open(&network, options ? options : &usual);
}}

void {name}_free({name}_context *context) {{ sol_close(context); }}

int {name}_status(const {name}_context *context) {{ return context ? context->status : {name}_NULL_POINTER; }}

const char *{name}_message(const {name}_context *context) {{
    return context ? context->message : "there is no context: it is NULL";
}}

const char *{name}_instructions(const {name}_context *context) {{
    return context && context->level ? context->level : "";
}}

int {name}_seed({name}_context *context, uint64_t seed) {{
    (void)seed;
    return {name}_status(context);
}}

int {name}({name}_context *context, {arguments(inputs, outputs, batch)}) {{
    const void *const given[] = {{{given}}};
    void *const made[] = {{{made}}};
    return sol_call(context, {"&batch" if batch else "NULL"}, given, NULL, made, NULL);
}}

int {name}_run({name}_context *context, const int64_t *sizes, const void *const *inputs, const int64_t *input_bytes,
    void *const *outputs, const int64_t *output_bytes) {{
    return sol_call(context, sizes, inputs, input_bytes, outputs, output_bytes);
}}

int {name}_inputs(void) {{ return network.input_count; }}
int {name}_outputs(void) {{ return network.output_count; }}
const {name}_tensor *{name}_input(int index) {{ return sol_tensor_at(&network, 0, index); }}
const {name}_tensor *{name}_output(int index) {{ return sol_tensor_at(&network, 1, index); }}
int64_t {name}_input_bytes(int index, const int64_t *sizes) {{ return sol_size_of(&network, 0, index, sizes); }}
int64_t {name}_output_bytes(int index, const int64_t *sizes) {{ return sol_size_of(&network, 1, index, sizes); }}
"""
