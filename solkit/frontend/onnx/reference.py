"""Operators that have no row: onnx's own implementation in NumPy, inside the graph.

torch.export sees each as one call of `solkit::onnx_node`, which carries the node as text; what it makes must be of the
same shapes and types at every call.
"""

import base64
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import torch
from onnx import NodeProto, SparseTensorProto, TypeProto

from solkit.errors import ModelError
from solkit.frontend.onnx.load import describe
from solkit.frontend.onnx.table import TORCH, Call, Row, Value, schema

FROM_TORCH = {kind: element for element, kind in TORCH.items()}


def row(node: NodeProto, opset: int) -> Row:
    """A row of the table for `node`.

    Raises:
        ModelError: onnx does not have it either.
    """
    from onnx.reference.ops._op_list import load_op

    try:
        load_op(node.domain, node.op_type, opset)
    except Exception as error:
        raise ModelError(
            f"{describe(node)} is of the domain {node.domain or 'ai.onnx'!r}, opset {opset}; neither solkit nor onnx "
            "has such an operator: write it as a function in the model, or leave it out"
        ) from error

    def run(call: Call, *inputs: Value) -> tuple[Value, ...]:
        if torch.compiler.is_exporting() and all(v is None or isinstance(v, torch.Tensor) for v in inputs):
            text = base64.b64encode(node.SerializeToString()).decode()
            return tuple(torch.ops.solkit.onnx_node([v for v in inputs if v is not None], text, opset))
        arrays = [to_numpy(value) for value in inputs]
        return tuple(to_torch(array) if is_torch(array) else array for array in evaluate(node, opset, arrays))

    return run


@torch.library.custom_op("solkit::onnx_node", mutates_args=())
def onnx_node(inputs: list[torch.Tensor], node: str, opset: int) -> list[torch.Tensor]:
    """One node by onnx's reference. `inputs` are those that are there; `node` is its message in base64."""
    message = NodeProto.FromString(base64.b64decode(node))
    there = iter(inputs)
    arrays = [to_numpy(next(there)) if name else None for name in message.input]
    return [to_torch(np.array(array)) for array in evaluate(message, opset, arrays)]


@onnx_node.register_fake
def _(inputs: list[torch.Tensor], node: str, opset: int) -> list[torch.Tensor]:
    """Shapes and types as onnx infers them."""
    message = NodeProto.FromString(base64.b64decode(node))
    there = iter(inputs)
    types = {name: type_of(next(there)) for name in message.input if name}
    says = schema(message.domain, message.op_type, opset)
    made = onnx.shape_inference.infer_node_outputs(says, message, types)
    results = []
    for name in message.output:
        if name:
            kind = made[name].tensor_type
            sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
            if None in sizes or not kind.HasField("shape"):
                raise ModelError(f"the shape of what {describe(message)} makes depends on values, not on shapes alone")
            results.append(torch.empty(sizes, dtype=TORCH[kind.elem_type]))
    return results


def evaluate(node: NodeProto, opset: int, arrays: list[Any]) -> list[Any]:
    """What onnx's reference makes of these arrays."""
    graph = onnx.GraphProto()
    graph.node.append(node)
    names = [name for name in node.input if name]
    for name in dict.fromkeys(names):
        graph.input.add(name=name)
    for name in node.output:
        if name:
            graph.output.add(name=name)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, opset)])
    given = {name: array for name, array in zip(node.input, arrays, strict=True) if name}
    return onnx.reference.ReferenceEvaluator(model).run(None, given)


def to_numpy(value: Value) -> Any:
    """A tensor as an array, in a sequence, too."""
    if isinstance(value, (list, tuple)):
        return [to_numpy(item) for item in value]
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach()
    if value.dtype == torch.bfloat16:
        return value.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return value.numpy()


def is_torch(array: Any) -> bool:
    """Whether PyTorch computes with arrays of this type."""
    try:
        return onnx.helper.np_dtype_to_tensor_dtype(np.asarray(array).dtype) in TORCH
    except (KeyError, ValueError):
        return False


def to_torch(array: Any) -> torch.Tensor | None:
    """An array as a tensor of its own memory; None if PyTorch has no such type."""
    if not is_torch(array):
        return None
    array = np.asarray(array)
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.ascontiguousarray(array)).reshape(array.shape)


def constant(call: Call) -> Value:
    """The tensor in the attribute of a Constant or ConstantOfShape."""
    if "sparse_value" in call.attributes:
        array = dense(call["sparse_value"])
    else:
        array = onnx.numpy_helper.to_array(call["value"])
    tensor = to_torch(np.array(array))
    return array if tensor is None else tensor


def type_of(value: Value) -> TypeProto:
    """The ONNX type of a value."""
    made = TypeProto()
    value = getattr(value, "value", value)  # of a Known
    if isinstance(value, torch.Tensor):
        made.tensor_type.elem_type = FROM_TORCH[value.dtype]
        for size in value.shape:
            made.tensor_type.shape.dim.add(dim_value=size)
    elif isinstance(value, np.ndarray):
        made.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        for size in value.shape:
            made.tensor_type.shape.dim.add(dim_value=size)
    elif isinstance(value, list):
        made.sequence_type.elem_type.CopyFrom(type_of(value[0]) if value else TypeProto())
    return made


def dense(sparse: SparseTensorProto) -> np.ndarray:
    """A sparse initializer with its zeros."""
    values, indices = onnx.numpy_helper.to_array(sparse.values), onnx.numpy_helper.to_array(sparse.indices)
    made = np.zeros(list(sparse.dims), values.dtype)
    if indices.ndim == 1:
        made.reshape(-1)[indices] = values
    else:
        made[tuple(indices.T)] = values
    return made
