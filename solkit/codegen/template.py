"""Code for many shapes: what programs of one model for several shapes have in common, and what differs left open.

Kernels are written for fixed sizes. Written for two shapes, the texts of a kernel differ in some numbers; these become
entries of an array that it reads when it runs. A third shape fits if its text differs in nothing else, and then needs
no compiler. Numbers that a kernel's registers depend on are never left open.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+\.?\d*(?:e[+-]?\d+)?f|\d+\.\d*|\d+|\s+|.")
_CONSTANT = re.compile(r"^    (\w+) = (.*?),(?: +/\*.*\*/)?$")
_ENUM = re.compile(r"enum \{\n(.*?)\n\};\n\n", re.DOTALL)
_TASKS = "const int64_t kernel_tasks = TASKS;\n\n"
_HEAD = "void kernel(float *const *b, int64_t task) {\n"
_REGISTERS = re.compile(r"^ *(?:UNROLL for \((.*?)\)|vf (\w+\[.*?\].*?);)", re.MULTILINE)


@dataclass(frozen=True)
class Hole:
    """An open number: its place in the array, and whether it is one of floating point."""

    place: int
    real: bool


@dataclass(frozen=True)
class Template:
    """The tokens of a kernel's text, some of its numbers open."""

    parts: tuple[str | Hole, ...]

    @property
    def is_open(self) -> bool:
        return any(isinstance(part, Hole) for part in self.parts)

    def sizes(self, text: str) -> list[int] | None:
        """The open numbers of `text`, those of floating point as their bits; None if it does not fit."""
        tokens = _TOKEN.findall(text)
        if len(tokens) != len(self.parts):
            return None
        found: dict[int, int] = {}
        for part, token in zip(self.parts, tokens, strict=True):
            if isinstance(part, str):
                if part != token:
                    return None
                continue
            if not (_is_real if part.real else _is_whole)(token):
                return None
            if found.setdefault(part.place, _number(token)) != _number(token):
                return None
        return [found[place] for place in range(len(found))]

    def text(self, name: str, buffer: int) -> str | None:
        """The kernel in C; None where its registers depend on an open number.

        Args:
            name: of its function; `name`_count(size) gives the number of its tasks.
            buffer: which of its buffers is the array.
        """
        text = "".join(part if isinstance(part, str) else _read(part) for part in self.parts)
        return _with_sizes(text, name, buffer)


def merge(texts: Sequence[str]) -> Template | None:
    """What these texts of one kernel, each under the name `kernel`, have in common; None where they differ in more than
    numbers."""
    columns = [_TOKEN.findall(text) for text in texts]
    if len({len(column) for column in columns}) > 1:
        return None
    parts: list[str | Hole] = []
    places: dict[tuple[str, ...], int] = {}
    for tokens in zip(*columns, strict=True):
        if len(set(tokens)) == 1:
            parts.append(tokens[0])
        elif all(map(_is_whole, tokens)) or all(map(_is_real, tokens)):
            parts.append(Hole(places.setdefault(tokens, len(places)), _is_real(tokens[0])))
        else:
            return None
    return Template(tuple(parts))


def _is_whole(token: str) -> bool:
    return token.isdigit()


def _is_real(token: str) -> bool:
    return token[0].isdigit() and token.endswith("f")


def _number(token: str) -> int:
    return int(token) if _is_whole(token) else struct.unpack("<I", struct.pack("<f", float(token[:-1])))[0]


def _read(hole: Hole) -> str:
    return f"sol_real(size[{hole.place}])" if hole.real else f"size[{hole.place}]"


def _with_sizes(text: str, name: str, buffer: int) -> str | None:
    """`text` as a function that reads its open numbers: constants that depend on them are computed at each call."""
    enum = _ENUM.match(text)
    if enum is None or _TASKS not in text or _HEAD not in text:
        return None
    tables, rest = text[enum.end() :].split(_TASKS)
    body = rest.removeprefix(_HEAD)
    fixed, computed = [], {}
    for line in enum.group(1).splitlines():
        constant = _CONSTANT.match(line)
        if constant is None:
            return None
        key, expression = constant.groups()
        if "size[" in expression or _names(expression) & computed.keys():
            computed[key] = expression
        else:
            fixed.append(line)
    registers = " ".join(" ".join(filter(None, found)) for found in _REGISTERS.findall(body))
    if "size[" in tables or "size[" in registers or _names(registers) & computed.keys():
        return None
    made = [*(["enum {", *fixed, "};", ""] if fixed else []), *([tables] if tables else [])]
    made += [f"int64_t {name}_count(const int64_t *size) {{", "    (void)size;", *_declared(computed, "TASKS")]
    made += ["    return TASKS;", "}", "", f"void {name}(float *const *b, int64_t task) {{"]
    made += [f"    const int64_t *const size = (const int64_t *)b[{buffer}];", *_declared(computed, body)]
    return "\n".join([*made, body])


def _declared(computed: dict[str, str], used_in: str) -> list[str]:
    """Declarations of those constants that a text makes use of, and of those they need."""
    wanted = _names(used_in)
    for key in reversed(computed):
        if key in wanted:
            wanted |= _names(computed[key])
    return [f"    const int64_t {key} = {expression};" for key, expression in computed.items() if key in wanted]


def _names(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))
