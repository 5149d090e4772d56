"""The Vector Engine's code of small kernels, and a widget that goes through one of them line by line.

What is stepped through is the compiler's own output. A few lines of Python do what its instructions say, enough for
this one kernel: nothing here knows how long anything takes on the machine.
"""

import functools
import html
import re
from dataclasses import dataclass, field, replace

import numpy as np

from labs.pictures.lab06_svg import DONE, UNUSED, WAITS, Controls, page, paragraph, places, svg, words
from labs.widgets import Slider
from solkit.target import VE
from solkit.toolchain import emit_assembly

AXPY = """
#include "vec.h"

/* y <- s * x + y, for n floats */
void axpy(int64_t n, float s, const float *x, float *y) {
    for (int64_t i = 0; i < n; i += VLEN) {
        const int here = n - i < VLEN ? n - i : VLEN; /* the last trip may be shorter */
        const vf a = vf_load_n(x + i, here);
        const vf b = vf_load_n(y + i, here);
        vf_store_n(y + i, vf_axpy(s, a, b), here);
    }
}
"""

ROWS = """
#include "vec.h"

/* Four rows of x, of n floats each, times a matrix w with n rows of VLEN floats: four rows of VLEN floats. */
void rows(int64_t n, const float *w, const float *x, float *y) {
    vf a = vf_set1(0), b = a, c = a, d = a;
    for (int64_t k = 0; k < n; k++) {
        const vf v = vf_load(w + k * VLEN);
        a = vf_axpy(x[k], v, a);
        b = vf_axpy(x[n + k], v, b);
        c = vf_axpy(x[2 * n + k], v, c);
        d = vf_axpy(x[3 * n + k], v, d);
    }
    vf_store(y, a), vf_store(y + VLEN, b), vf_store(y + 2 * VLEN, c), vf_store(y + 3 * VLEN, d);
}
"""

# ReLU in two ways. The second uses an instruction that only the Vector Engine has under this name.
_RELU = """
#include "vec.h"

void relu(int64_t n, float *x) {
    for (int64_t i = 0; i < n; i += VLEN) vf_store(x + i, MAX(vf_load(x + i)));
}
"""
RELU_MASK = _RELU.replace("MAX(vf_load(x + i))", "vf_max(vf_load(x + i), vf_set1(0))")
RELU_MAX = _RELU.replace("MAX(vf_load(x + i))", "_vel_vfmaxs_vsvl(0, vf_load(x + i), VLEN)")


@functools.cache
def assembly(source: str) -> str:
    """What the compiler makes of a kernel for the Vector Engine.

    Raises:
        ToolchainError: the compiler is missing or failed.
    """
    return emit_assembly(source, VE)


# --- the listing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A line of machine code: a label, or an instruction with its operands."""

    text: str
    name: str = ""
    operands: tuple[str, ...] = ()

    @property
    def vector(self) -> bool:
        """Whether it works on elements of a vector register, and not on one number."""
        return self.name.startswith("v")


def rows(text: str) -> list[Row]:
    """The lines of the first function, without comments and directives."""
    found: list[Row] = []
    for line in text.splitlines():
        line = re.sub(r"\s*#.*", "", line).rstrip()
        if line.startswith(".Lfunc_end"):
            break
        if re.match(r"[.\w]+:$", line):
            found.append(Row(line))
        elif line.strip() and not re.match(r"\s+\.", line):
            name, _, rest = line.strip().partition(" ")
            operands = tuple(part.strip() for part in re.split(r",(?![^(]*\))", rest))
            found.append(Row(f"    {line.strip()}", name, operands))
    return found


# What an instruction does, in words; {0}, {1} ... are its operands.
WORDS = {
    "and": "{0} becomes the lower 32 bits of {1}",
    "b.l.t": "back to whoever called",
    "brgt.l": "if {0} is greater than {1}, go on at {2}",
    "brlt.l": "if {0} is less than {1}, go on at {2}",
    "lea": "{0} becomes {1}",
    "lvl": "the vector length becomes {0}",
    "mins.l": "{0} becomes the smaller of {1} and {2}",
    "or": "{0} becomes {2}",
    "vfmad.s": "{0} becomes {1} + {2} x {3}, in each place",
    "vldu": "loads {0}: floats {1} bytes apart, the first at {2}",
    "vstu": "stores {0}: floats {1} bytes apart, the first to {2}",
}


def explain(row: Row) -> str:
    """What an instruction does; nothing for a label, or for one that is not in the table."""
    if row.name not in WORDS:
        return ""
    return WORDS[row.name].format(*map(_spoken, row.operands))


def _spoken(operand: str) -> str:
    """An operand in words: `256(, %s4)` is a sum, `(0)1` is the number with no ones in front."""
    offset = re.fullmatch(r"(-?)(\d+)\(, (%s\d+)\)", operand)
    if offset:
        return f"{offset[3]} {offset[1] or '+'} {offset[2]}"
    return "0" if operand == "(0)1" else operand


# --- one state after the other ---------------------------------------------------------------------------------------

X, Y = 0x10000, 0x20000  # where the two arrays are
SCALE = 2.0


@dataclass
class State:
    """Registers and memory after an instruction."""

    row: int | None = None  # what was carried out last
    length: int | None = None
    scalars: dict[str, float] = field(default_factory=dict)
    vectors: dict[str, np.ndarray] = field(default_factory=dict)  # as many floats as the last write had
    stored: int = 0  # floats of y that are done
    worked: dict[int, list[int]] = field(default_factory=dict)  # elements of each vector instruction so far, by row


def run(code: list[Row], n: int) -> list[State]:
    """All states of axpy over n floats: before the first instruction, and after each.

    x holds 0, 1, 2 ..., y holds 1000 everywhere, and s is 2.

    Raises:
        LookupError: the code has an instruction that this does not know.
    """
    labels = {row.text[:-1]: number for number, row in enumerate(code) if not row.name}
    memory = {X: np.arange(n, dtype=np.float32), Y: np.full(n, 1000, np.float32)}
    state = State(scalars={"%s0": n, "%s1": SCALE, "%s2": X, "%s3": Y})
    states, at = [state], 0
    while at is not None and at < len(code):
        row = code[at]
        if not row.name:
            at += 1
            continue
        if row.name not in WORDS:
            raise LookupError(f"no words for the instruction {row.text.strip()!r}")
        state = replace(
            state,
            row=at,
            scalars=dict(state.scalars),
            vectors=dict(state.vectors),
            worked={key: list(value) for key, value in state.worked.items()},
        )
        if row.vector:
            state.worked.setdefault(at, []).append(state.length or 0)
        target = _do(row, state, memory)
        states.append(state)
        at = None if row.name == "b.l.t" else labels[target] if target else at + 1
    return states


def _do(row: Row, state: State, memory: dict[int, np.ndarray]) -> str:
    """Carry out one instruction; the label to go on at, if it is a jump that is taken."""
    operands = row.operands

    def number(place: int) -> float:
        return _number(operands[place], state.scalars)

    def place(address: float) -> tuple[np.ndarray, int]:
        base = Y if address >= Y else X
        return memory[base], (int(address) - base) // 4

    if row.name == "lvl":
        state.length = int(number(0))
    elif row.name == "vldu":
        array, first = place(number(2))
        state.vectors[operands[0]] = array[first : first + state.length].copy()
    elif row.name == "vfmad.s":
        added, factor = state.vectors[operands[1]], state.vectors[operands[3]]
        state.vectors[operands[0]] = added + np.float32(number(2)) * factor
    elif row.name == "vstu":
        array, first = place(number(2))
        array[first : first + state.length] = state.vectors[operands[0]][: state.length]
        state.stored = first + state.length
    elif row.name in ("brgt.l", "brlt.l"):
        left, right = number(0), number(1)
        return operands[2] if (left > right if row.name == "brgt.l" else left < right) else ""
    elif row.name == "mins.l":
        state.scalars[operands[0]] = min(number(1), number(2))
    elif row.name == "and":
        state.scalars[operands[0]] = int(number(1)) & 0xFFFFFFFF
    elif row.name == "or":
        state.scalars[operands[0]] = int(number(1)) | int(number(2))
    elif row.name == "lea":
        state.scalars[operands[0]] = number(1)
    return ""


def _number(operand: str, scalars: dict[str, float]) -> float:
    if operand == "(0)1":
        return 0
    offset = re.fullmatch(r"(-?\d+)\(, (%s\d+)\)", operand)
    if offset:
        return int(offset[1]) + scalars[offset[2]]
    return scalars[operand] if operand.startswith("%") else int(operand)


# --- the widget ------------------------------------------------------------------------------------------------------


def stepper(n: int = 600) -> Controls:
    """A widget: axpy on the Vector Engine, one instruction after the other."""
    code = rows(assembly(AXPY))
    first = next((i for i, state in enumerate(run(code, n)) if state.row and code[state.row].name == "vfmad.s"), 0)
    step, size = Slider("step", first, 0, len(run(code, n)) - 1), Slider("elements n", n, 1, 1000)

    def limit(_change: dict) -> None:
        step.max = len(run(code, size.value)) - 1

    size.observe(limit, "value")
    return Controls(lambda step, n: draw_step(code, run(code, n), step, n), {"step": step, "n": size})


def draw_step(code: list[Row], states: list[State], step: int, n: int) -> str:
    """The listing with the line that was carried out last, and what is in the registers after it."""
    state, end = states[min(step, len(states) - 1)], states[-1]
    done = "nothing is done yet" if state.row is None else f"just done: {code[state.row].text.strip()}"
    head = f"Step {step} of {len(states) - 1}, {done}"
    worked = [elements for all_trips in end.worked.values() for elements in all_trips]
    total = (
        f"From beginning to end: {len(states) - 1} instructions, of which {len(worked)} are vector instructions, with "
        f"{sum(worked) / max(len(worked), 1):.0f} elements on average, for {n} results."
    )
    return page(paragraph(head), _listing(code, state, end), _registers(state, n), paragraph(total))


CELL = "padding: 0 10px 0 0; text-align: left; vertical-align: top; font-size: 13px; line-height: 1.4"
CODE = f"{CELL}; font-family: var(--jp-code-font-family, monospace); white-space: pre; font-weight: normal"


def _listing(code: list[Row], state: State, end: State) -> str:
    names = ("now", "machine code", "what it does", "elements, by trip")
    head = "".join(f'<th scope="col" style="{CELL}">{name}</th>' for name in names)
    body = []
    for number, row in enumerate(code):
        now = number == state.row
        look = "; font-weight: bold" if now else ""
        does = html.escape(explain(row) or _label(row, code))
        trips = ", ".join(map(str, end.worked.get(number, ())))
        body.append(
            f'<tr><td style="{CELL}">{"&#9654;" if now else ""}</td>'
            f'<th scope="row" style="{CODE}{look}">{html.escape(row.text)}</th>'
            f'<td style="{CELL}{look}">{does}</td><td style="{CELL}">{trips}</td></tr>'
        )
    style = "border-collapse: collapse; margin: 4px 0"
    return f'<table style="{style}"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def _label(row: Row, code: list[Row]) -> str:
    """What a label stands for: the entry, or the place that a later line jumps back to."""
    if row is code[0]:
        return "n is in %s0, s in %s1; x begins at %s2, y at %s3"
    back = any(row.text[:-1] in later.operands for later in code[code.index(row) :])
    return "here begins the loop" if back else ""


def _registers(state: State, n: int) -> str:
    """Vector registers and the array y as bars, scalar registers as a line of text."""
    parts, top = [], 4
    bars = [(name, values.size, VE.vector_length, _ends(values)) for name, values in sorted(state.vectors.items())]
    bars.append(("y", state.stored, n, f"{state.stored} of {n} are stored"))
    for name, used, size, text in bars:
        width = 256 * used / size
        rest = WAITS if name == "y" else UNUSED
        parts += [words(34, top + 13, name, "end"), words(306, top + 13, text)]
        parts += [places({DONE: [(42, top)]}, width, 16)] if used else []
        parts += [places({rest: [(42 + width, top)]}, 256 - width, 16)] if used < size else []
        top += 22
    length = "not set yet" if state.length is None else str(state.length)
    scalars = ", ".join(f"{name} = {_short(value)}" for name, value in sorted(state.scalars.items()))
    text = "; ".join(f"{name}: {note}" for name, _, _, note in bars)
    return svg(680, top, text, *parts) + paragraph(f"Vector length: {length}. Scalar registers: {scalars}.")


def _ends(values: np.ndarray) -> str:
    shown = [f"{value:g}" for value in (values[:3].tolist() if values.size > 4 else values.tolist())]
    more = f" ... {values[-1]:g}" if values.size > 4 else ""
    return f"{values.size} floats: {', '.join(shown)}{more}"


def _short(value: float) -> str:
    """A number; an address as what it points to."""
    for name, base in (("y", Y), ("x", X)):
        if value >= base:
            return f"address of {name}[{(int(value) - base) // 4}]"
    return f"{value:g}"
