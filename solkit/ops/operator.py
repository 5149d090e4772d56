"""What a row of the operator table says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch

from solkit.ir.types import TensorType

Attributes = dict[str, Any]
Infer = Callable[[Sequence[TensorType], Attributes], TensorType]
Reference = Callable[[Sequence[torch.Tensor], Attributes], torch.Tensor]


class Kind(Enum):
    """How an operator is made to run."""

    ELEMENTWISE = "elementwise"  # DFP: a C expression on vectors
    REDUCE = "reduce"  # DFP: one number for each row
    LOOKUP = "lookup"  # DFP: rows of a table
    WINDOW = "window"  # DFP: a loop over a window of each plane
    MATMUL = "matmul"  # DNN: a product of two values made at each call
    ATTENTION = "attention"  # DNN: a kernel of its own
    DNN = "dnn"  # a matrix kernel with several implementations
    CONCAT = "concat"  # DFP: written in place where it can be, else copied
    CHANNELS = "channels"  # DFP: picks channels of images
    VIEW = "view"  # another shape for the same memory
    STRIDED = "strided"  # DFP: read in another order by whoever reads it
    RESIZE = "resize"  # DFP: an image of pixels of another
    RECURRENT = "recurrent"  # a matrix kernel and the cell behind it, step after step
    LAYOUT = "layout"  # DFP: moves data, changes no value
    WEIGHT = "weight"  # on parameters only, computed when they change
    TYPED = "typed"  # DFP: an ATen overload on tensors of any dtype, see codegen/typed
    TORCH = "torch"  # PyTorch runs it


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        name: what nodes call it.
        kind: how it is made to run.
        infer: its shape rule, input types and attributes to output type; None where only the node itself knows.
        reference: the same in PyTorch, at any floating-point precision: what passes and kernels are checked against.
        expression: ELEMENTWISE only: the C expression over vec.h. `{0}`, `{1}` are the operands, attributes go by name.
        aten: ATen overloads that are this operator. Attributes carry the names of the ATen schema.
        accepts: whether these attributes are covered; where not, PyTorch runs the node.
        flops: floating-point operations of one output element, for the figures people are shown.
    """

    name: str
    kind: Kind
    infer: Infer | None
    reference: Reference | None
    expression: str | Callable[[Attributes], str] | None = None
    aten: tuple[str, ...] = ()
    accepts: Callable[[Attributes], bool] = lambda attributes: True
    flops: Callable[[Sequence[TensorType], Attributes], float] = lambda types, attributes: 1.0


def pair(value: Any) -> tuple[int, int]:
    """PyTorch's "an int, or one per dimension" as (rows, columns)."""
    if isinstance(value, int):
        return value, value
    value = tuple(value)
    return (value[0], value[0]) if len(value) == 1 else value
