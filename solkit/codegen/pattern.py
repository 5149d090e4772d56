"""One program for many shapes: the programs of a model for several of them, made one by `template`."""

import dataclasses
import hashlib
import re
from collections.abc import Sequence

import torch

from solkit.codegen.program import Program, table_of
from solkit.codegen.template import Template, merge
from solkit.config import log
from solkit.ir import TensorType, Value

_FILE = re.compile(r"\A(/\*.*?\*/\n(?:#include [^\n]*\n)+\n)(.*)\Z", re.DOTALL)
_NOTE = re.compile(r" +(/\*.*\*/)$", re.MULTILINE)


class Pattern:
    """What programs of one model for several shapes have in common.

    sources: file name to C text.
    """

    def __init__(self, program: Program, templates: list[Template]) -> None:
        self._templates, self._table = templates, program.table
        self.sources: dict[str, str] = {}
        self.kernels: list[str] = []
        for index in range(len(templates)):
            heading, _ = _split(program, index)
            base = program.kernels[index].removesuffix(".c").rpartition("_")[0]
            text = self._text(index, "kernel")
            name = f"{base}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
            self.kernels.append(f"{name}.c")
            self.sources.setdefault(f"{name}.c", heading + self._text(index, name))
        fixed = [index for index, template in enumerate(templates) if not template.is_open]
        self.sources["program.c"] = table_of(self._program(program), fixed)

    @classmethod
    def of(cls, programs: Sequence[Program]) -> "Pattern | None":
        """The pattern of these programs; None where they differ in more than it can leave open."""
        if any(_outline(program) != _outline(programs[0]) for program in programs):
            log.info("no code for many shapes: the programs have other clusters")
            return None
        templates = []
        for index, kernel in enumerate(programs[0].kernels):
            template = merge([_split(program, index)[1] for program in programs])
            if template is None or (template.is_open and template.text("kernel", 0) is None):
                log.info("no code for many shapes: %s differs in more than sizes", kernel)
                return None
            templates.append(template)
        return cls(programs[0], templates)

    def fit(self, program: Program) -> Program | None:
        """`program`, for one shape, as one of this pattern; None where it differs in more than is open."""
        if _outline(program) != (len(self._templates), [values for values, _ in self._table]):
            return None
        sizes = {}
        for index, template in enumerate(self._templates):
            found = template.sizes(_split(program, index)[1])
            if found is None:
                log.info("%s does not fit the code for many shapes", program.kernels[index])
                return None
            if template.is_open:
                sizes[index] = found
        return dataclasses.replace(self._program(program), sources=self.sources, sizes=sizes)

    def _text(self, index: int, name: str) -> str:
        template = self._templates[index]
        if template.is_open:
            return template.text(name, len(self._table[index][0]))
        return "".join(template.parts).replace("kernel", name)

    def _program(self, program: Program) -> Program:
        """`program` with the kernels of the pattern, each open one with its array behind its buffers."""
        table, buffers = [], list(program.buffers)
        for (values, rounds), template in zip(program.table, self._templates, strict=True):
            if template.is_open:
                count = 1 + max(part.place for part in template.parts if not isinstance(part, str))
                values = [*values, len(buffers)]
                buffers.append((Value("sizes", TensorType((count,), torch.int64)), None))
            table.append((values, rounds))
        return dataclasses.replace(program, kernels=self.kernels, table=table, buffers=buffers)


def _outline(program: Program) -> tuple:
    return len(program.kernels), [values for values, _ in program.table]


def _split(program: Program, index: int) -> tuple[str, str]:
    """The heading of a kernel's file, and its text under the name `kernel`."""
    file = program.kernels[index]
    heading, text = _FILE.match(program.sources[file]).groups()
    text = _NOTE.sub(r"  \1", text)  # how far to the right a note stands depends on the numbers
    return heading, text.replace(file.removesuffix(".c"), "kernel")
