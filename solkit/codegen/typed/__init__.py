"""Kernels for ATen overloads on tensors of any dtype: plain loops, which the compiler makes vectors of.

`EMITTERS` names the overloads there is a kernel for. An emitter takes the call and gives the kernel, or raises
`Unsupported`; whether a node can be compiled is found out by trying.
"""

from collections.abc import Callable
from math import prod

from solkit.codegen.typed.attention import ATTENTION
from solkit.codegen.typed.call import Call, Unsupported
from solkit.codegen.typed.convolution import CONVOLUTIONS
from solkit.codegen.typed.elementwise import emit_elementwise
from solkit.codegen.typed.functions import FUNCTIONS
from solkit.codegen.typed.grid import GRIDS
from solkit.codegen.typed.index import INDEXING
from solkit.codegen.typed.loops import TypedKernel
from solkit.codegen.typed.move import MOVES
from solkit.codegen.typed.norms import NORMS
from solkit.codegen.typed.numbers import number
from solkit.codegen.typed.products import PRODUCTS
from solkit.codegen.typed.recurrent import RECURRENT
from solkit.codegen.typed.reduce import REDUCTIONS
from solkit.codegen.typed.sort import SORTS
from solkit.codegen.typed.windows import WINDOWS
from solkit.ir import Node

Emitter = Callable[[Call], TypedKernel]

EMITTERS: dict[str, Emitter] = {
    **dict.fromkeys(FUNCTIONS, lambda call: emit_elementwise([call], FUNCTIONS)),
    **MOVES,
    **REDUCTIONS,
    **INDEXING,
    **SORTS,
    **PRODUCTS,
    **CONVOLUTIONS,
    **WINDOWS,
    **GRIDS,
    **NORMS,
    **RECURRENT,
    **ATTENTION,
}

# These could draw random numbers, and their emitters take them where they do not.
_MAY_DRAW = ("aten.dropout.default", *ATTENTION, *RECURRENT)


def emit_typed(nodes: list[Node]) -> TypedKernel:
    """The kernel of one node, or of element-wise nodes of one shape one behind the other.

    Raises:
        Unsupported: there is none: of these dtypes, or for these arguments.
    """
    calls = [Call(node) for node in nodes]
    for value in (value for call in calls for value in call.outputs):
        number(value.type.dtype)
    if not any(prod(value.shape) for value in calls[-1].outputs):
        return _nothing(calls)
    if len(calls) > 1:
        return emit_elementwise(calls, FUNCTIONS)
    return EMITTERS[calls[0].name](calls[0])


def _nothing(calls: list[Call]) -> TypedKernel:
    """Of a result without elements."""
    kernel = TypedKernel()
    for value in calls[-1].outputs:
        kernel.buffer(value)
    kernel.constant("TASKS", 0)
    return kernel


def is_compiled(node: Node) -> bool:
    """Whether there is a kernel for the call a `torch` node stands for."""
    draws = node.attributes["random"] and node.attributes["target"] not in _MAY_DRAW
    if node.attributes["target"] not in EMITTERS or draws:
        return False
    try:
        emit_typed([node])
    except Unsupported:
        return False
    return True
