"""A kernel under construction: its buffers, its text, and how to say an address in C."""

import contextlib
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from solkit.ir import BLOCKED, PLAIN, TensorType, Value
from solkit.target import Target

Buffer = tuple[Value, "Panels | None"]
EACH_VECTOR = "UNROLL for (int v = 0; v < VECTORS; v++)"


@dataclass(frozen=True)
class Panels:
    """How a matrix kernel wants its weights: panels of `vectors` vectors of output channels, the reduction inside.

    vectors: at most so many vectors side by side (fewer where there are fewer output channels).
    blocked: the reduction goes over blocks of VLEN input channels, each with all positions of the window inside;
        otherwise channel by channel.
    units: if not 0, the outputs are the gates of recurrent cells, each gate a run of so many units, and a panel holds
        the same VLEN units of `vectors` neighbouring gates.
    """

    vectors: int
    blocked: bool
    winograd: int = 0
    units: int = 0


class Kernel:
    """Collects the buffers a cluster reads and writes, and the lines of its function."""

    def __init__(self, target: Target | None = None) -> None:
        self.target = target  # the machine it is for, where its registers matter
        self.buffers: list[Buffer] = []
        self.constants: list[tuple[str, str, str]] = []  # name, C expression, meaning
        self.tables: list[str] = []  # C definitions in front of the function
        self.lines: list[str] = []
        self.depth = 1
        self.headers: list[str] = []  # of kernels/compute, beside sol.h
        self.workspaces: list[Value] = []  # memory that only this kernel uses
        self.faults: list[tuple[Value, str]] = []  # see typed.h; each with the message of the error it is
        self.rounds = 1  # how often all tasks run, each time after the last of the time before

    def buffer(self, value: Value, panels: Panels | None = None) -> str:
        """C name of the buffer that holds `value` (or its weights in panels)."""
        key = (value.root[0], panels)
        if key not in self.buffers:
            self.buffers.append(key)
        return f"b[{self.buffers.index(key)}]"

    def workspace(self, name: str, shape: tuple[int, ...]) -> str:
        """C name of a buffer of the kernel's own, laid out as an NCHWc image of this shape."""
        self.workspaces.append(Value(name, TensorType(shape), layout=BLOCKED))
        return self.buffer(self.workspaces[-1])

    def constant(self, name: str, expression: str | int, meaning: str = "") -> str:
        self.constants.append((name, str(expression), meaning))
        return name

    def table(self, name: str, kind: str, entries: Iterable[str | int]) -> str:
        """A constant array in front of the function."""
        rows = textwrap.wrap(", ".join(map(str, entries)), 112, initial_indent="    ", subsequent_indent="    ")
        self.tables.append("\n".join([f"static const {kind} {name}[] = {{", *rows, "};"]))
        return name

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text if text else "")

    def open(self, text: str) -> None:
        """A line that begins a block."""
        self.line(f"{text} {{")
        self.depth += 1

    def close(self) -> None:
        self.depth -= 1
        self.line("}")

    @contextlib.contextmanager
    def declaring(self, **declarations: str) -> Iterator[None]:
        """Lines in here come after these declarations (variable="type name = value"), those they make use of."""
        start = len(self.lines)
        indent = "    " * self.depth
        yield
        used = set(re.findall(r"\w+", "\n".join(self.lines[start:])))
        self.lines[start:start] = [f"{indent}{text};" for name, text in declarations.items() if name in used]

    def function(self, name: str) -> str:
        """The C text of the finished kernel: constants, the function, and the number of its tasks."""
        text = []
        if self.constants:
            said = [f"    {key} = {expression}," for key, expression, _ in self.constants]
            width = max(map(len, said)) + 2
            notes = (f"/* {meaning} */" if meaning else "" for _, _, meaning in self.constants)
            rows = (f"{row:{width}}{note}".rstrip() for row, note in zip(said, notes, strict=True))
            text += ["enum {", *rows, "};", ""]
        text += [*self.tables, *([""] if self.tables else [])]
        text += [f"const int64_t {name}_tasks = TASKS;", ""]
        text += [f"void {name}(float *const *b, int64_t task) {{", *self.lines, "}", ""]
        return "\n".join(text)


@dataclass(frozen=True)
class Rows:
    """How a kernel goes through rows of weights, VECTORS vectors each: in a panel of the same width they are one behind
    the other; with panels of one vector, each vector of the row is in a panel of its own, `steps` rows long."""

    panel: int
    vectors: int
    steps: str | int

    @property
    def apart(self) -> bool:
        return self.panel < self.vectors

    @property
    def floats(self) -> str:
        """Of weights from one row to the next."""
        return "VLEN" if self.apart else "VECTORS * VLEN"

    def declare(self, kernel: Kernel, channels: int) -> None:
        """Say where the vectors of a row are; behind the last panel there is, they are that one again."""
        if self.apart:
            kernel.line("int64_t stream[VECTORS];")
            last = f"SOL_CEIL({channels}, VLEN) - 1 - group * VECTORS"
            kernel.line(f"{EACH_VECTOR} stream[v] = sol_min(v, {last}) * {times(self.steps, 'VLEN')};")

    @property
    def load(self) -> str:
        return f"{EACH_VECTOR} row[v] = vf_load(w + {'stream[v]' if self.apart else 'v * VLEN'});"


def plus(*terms: str | int) -> str:
    """A sum in C, without the zeros."""
    kept = [str(term) for term in terms if str(term) != "0"]
    return " + ".join(kept) or "0"


def times(*factors: str | int) -> str:
    """A product in C, without the ones; 0 if a factor is."""
    kept = [str(factor) for factor in factors if str(factor) != "1"]
    if "0" in kept:
        return "0"
    if len(kept) < 2:
        return kept[0] if kept else "1"
    return " * ".join(map(_factor, kept))


def _factor(text: str) -> str:
    """`text` in brackets, if it is a sum or a quotient that has none around it."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and letter in "+-/%" and text[max(position - 1, 0)] == " ":
            return f"({text})"
    return text


def rows_and_columns(value: Value) -> tuple[int, int]:
    """Rows and columns of a plane of an image with its halo."""
    halo = value.layout.halo
    return value.shape[2] + 2 * halo[0], value.shape[3] + 2 * halo[1]


def plane(value: Value, image: str, block: str) -> str:
    """Offset in floats of a plane of an image: of a block of channels (NCHWc), or of a channel (plain)."""
    rows, columns = rows_and_columns(value)
    root, first = value.root
    channels, unit = root.shape[1], "1"
    if value.layout.blocked:
        channels, unit = f"SOL_CEIL({channels}, VLEN)", "VLEN"
        first = f"{first} / VLEN" if first else 0
    return times(plus(times(image, channels), first, block), rows * columns, unit)


def pixel(value: Value, y: str, x: str) -> str:
    """Offset in floats of a pixel within its plane, the halo counted."""
    halo = value.layout.halo
    inside = plus(times(plus(y, halo[0]), rows_and_columns(value)[1]), x, halo[1])
    return times(inside, "VLEN" if value.layout.blocked else 1)


def zero_halo(kernel: Kernel, value: Value, image: str, block: str) -> None:
    """A line that fills the halo of one plane of `value`, if it has one."""
    if value.layout == PLAIN or value.layout.halo == (0, 0):
        return
    lanes = "VLEN" if value.layout.blocked else "1"
    where = plus(kernel.buffer(value), plane(value, image, block))
    rows, columns = value.layout.halo
    kernel.line(f"sol_zero_halo({where}, {value.shape[2]}, {value.shape[3]}, {rows}, {columns}, {lanes});")
