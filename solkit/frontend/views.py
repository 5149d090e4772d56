"""View operators of ATen (permute, slice, select, expand, split ...) as one operator of ours, `strided`.

What a view does to shape, strides and offset is PyTorch's own knowledge: each overload is applied to a tensor without
data ("meta"), and what comes out is read off.
"""

from typing import Any

import torch

from solkit.ir import Graph, TensorType, Value
from solkit.reference import overload

# Overloads whose result shares the memory of its first argument, whatever the other arguments are. Those that only
# change the shape of contiguous memory are `reshape`.
VIEWS = tuple(
    f"aten.{name}"
    for name in (
        "permute.default",
        "transpose.int",
        "t.default",
        "numpy_T.default",
        "movedim.int",
        "movedim.intlist",
        "swapaxes.default",
        "swapdims.default",
        "moveaxis.int",
        "moveaxis.intlist",
        "adjoint.default",
        "slice.Tensor",
        "narrow.default",
        "select.int",
        "expand.default",
        "expand_as.default",
        "broadcast_to.default",
        "diagonal.default",
        "unfold.default",
    )
)
SPLITS = tuple(
    f"aten.{name}"
    for name in (
        "split.Tensor",
        "split.sizes",
        "split_with_sizes.default",
        "chunk.default",
        "unbind.int",
        "tensor_split.sections",
        "tensor_split.indices",
        "hsplit.int",
        "vsplit.int",
        "dsplit.int",
    )
)


def views_of(graph: Graph, x: Value, target: str, arguments: list[Any], layer: str, name: str) -> list[Value]:
    """`strided` nodes for what the ATen overload `target` makes of `x`; `arguments` are those behind the first."""
    made = overload(target)(torch.empty(x.shape, device="meta"), *arguments)
    found = []
    for tensor in made if isinstance(made, (list, tuple)) else [made]:
        kind = TensorType(tuple(tensor.shape), x.type.dtype)
        attributes = {"shape": kind.shape, "strides": tensor.stride(), "offset": tensor.storage_offset()}
        found.append(graph.node("strided", [x], [kind], attributes, layer, name).output)
    return found
