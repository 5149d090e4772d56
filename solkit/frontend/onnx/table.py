"""The table of ONNX operators: for each, what it is in PyTorch.

A row is a function of the node's inputs. It serves three times: it is what the model means (the reference, and where
gradients come from), what torch.export traces, and what folds constants. Arguments that say how large something is
(the shape of Reshape, the starts of Slice) are inputs in ONNX; `Call.ints` gives them as Python numbers, which are
known while tracing wherever they come from constants and from shapes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto

from solkit.errors import ModelError
from solkit.frontend.onnx import limits
from solkit.frontend.onnx.load import describe

Value = Any  # torch.Tensor | numpy.ndarray (strings and types that PyTorch lacks) | list (a sequence) | None (left out)
Row = Callable[..., Any]

TORCH = {  # ONNX element types that PyTorch computes with
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.BOOL: torch.bool,
    TensorProto.COMPLEX64: torch.complex64,
    TensorProto.COMPLEX128: torch.complex128,
}


@dataclass
class Call:
    """One execution of a node.

    Attributes:
        node: its message.
        opset: version of the set of operators it belongs to.
        attributes: by name, as Python values; graphs as messages.
        known: for each input, its value where that is known while tracing, else None.
        origins: for each input that is known, the inputs of the model that it was worked out from.
        decisive: the inputs of the model whose numbers decided something, added to.
        run: runs a subgraph with values for its inputs, and gives a list of its outputs.
    """

    node: NodeProto
    opset: int
    attributes: dict[str, Any]
    known: list[np.ndarray | None] = field(default_factory=list)
    origins: list[frozenset[str]] = field(default_factory=list)
    decisive: set[str] = field(default_factory=set)
    run: Callable[..., list[Value]] = lambda *_: []

    def __getitem__(self, name: str) -> Any:
        """An attribute that must be there.

        Raises:
            ModelError: it is not.
        """
        if name not in self.attributes:
            raise ModelError(f"{describe(self.node)} lacks the attribute {name!r}")
        return self.attributes[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or its default."""
        return self.attributes.get(name, default)

    @property
    def outputs(self) -> int:
        """How many outputs are wanted: those up to the last that has a name."""
        return max((i + 1 for i, name in enumerate(self.node.output) if name), default=0)

    def numbers(self, index: int, value: Value) -> list:
        """Input `index`, whose value is `value`, as a flat list of Python numbers.

        Raises:
            ModelError: a program is being traced, and they are known only when it is called.
        """
        known = self.known[index] if index < len(self.known) else None
        limits.check_count(prod(value.shape if known is None else known.shape))
        if known is None and torch.compiler.is_exporting():
            raise ModelError(
                f"{describe(self.node)} needs the numbers in its input {self.node.input[index]!r}, which "
                "depend on what the model is called with"
            )
        if index < len(self.origins):
            self.decisive |= self.origins[index]
        return (known if known is not None else value).reshape(-1).tolist()

    def ints(self, name: str, index: int, inputs: Sequence[Value], default: Any = None) -> Any:
        """A list of whole numbers that is the attribute `name` in old versions and input `index` in new ones."""
        if index < len(inputs) and inputs[index] is not None:
            return self.numbers(index, inputs[index])
        return self.attributes.get(name, default)


@dataclass(frozen=True)
class Entry:
    """A row from one version of an operator on."""

    since: int
    row: Row


OPERATORS: dict[tuple[str, str], list[Entry]] = {}  # by (domain, type); the newest version first


def operator(*names: str, since: int = 1, domain: str = "") -> Callable[[Row], Row]:
    """Enter a function `(call, *inputs) -> output or tuple of outputs` for these operators."""

    def enter(row: Row) -> Row:
        for name in names:
            entries = OPERATORS.setdefault((domain, name), [])
            entries.append(Entry(since, row))
            entries.sort(key=lambda entry: -entry.since)
        return row

    return enter


def find(domain: str, name: str, opset: int) -> Row | None:
    """The row for an operator as of a version of its set; None if there is none."""
    entries = OPERATORS.get(("" if domain == "ai.onnx" else domain, name), ())
    return next((entry.row for entry in entries if entry.since <= opset), None)


def schema(domain: str, name: str, opset: int) -> "onnx.defs.OpSchema | None":
    """What onnx says of an operator as of a version of its set."""
    try:
        return onnx.defs.get_schema(name, opset, "" if domain == "ai.onnx" else domain)
    except onnx.defs.SchemaError:
        return None
