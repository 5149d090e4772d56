"""Operators that have no row: onnx's own implementation in NumPy, inside the graph.

torch.export sees each as one call of `solkit::onnx_node`, which carries the node as text; what it makes must be of the
same shapes and types at every call. Random operators are calls of `solkit::onnx_random_node`, so that nobody expects
the same of the next one.
"""

import base64
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import torch
from onnx import NodeProto, SparseTensorProto, TypeProto
from torch._subclasses.fake_tensor import FakeTensor

from solkit.errors import ModelError
from solkit.frontend.onnx import limits
from solkit.frontend.onnx.load import describe
from solkit.frontend.onnx.table import TORCH, Call, Row, Value, schema

FROM_TORCH = {kind: element for element, kind in TORCH.items()}


# They hand values on, whatever these are.
MOVING = {
    *("Identity", "If", "Loop", "Scan", "Constant", "Shape", "Size", "Optional", "OptionalGetElement"),
    *("OptionalHasElement", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert"),
    *("SequenceLength", "SequenceMap"),
}


def is_foreign(node: NodeProto, inputs: Sequence[Value]) -> bool:
    """Whether a node takes or makes elements of a type that PyTorch does not compute with."""
    if node.op_type in MOVING:
        return False
    kinds = [a.i for a in node.attribute if a.name in ("to", "dtype", "output_dtype") and a.type == a.INT]
    kinds += [a.t.data_type for a in node.attribute if a.type == a.TENSOR]
    return any(kind and kind not in TORCH for kind in kinds) or any(map(_is_array, inputs))


def _is_array(value: Value) -> bool:
    return any(map(_is_array, value)) if isinstance(value, list) else isinstance(value, (np.ndarray, np.generic))


# Each call gives something else, so nothing is known of the result.
RANDOM = {
    *("Bernoulli", "Dropout", "Multinomial"),
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
}


def is_random(node: NodeProto) -> bool:
    """Whether a node draws random numbers, other ones at each call. Those of a seed are the same ones."""
    return node.op_type in RANDOM and not any(attribute.name == "seed" for attribute in node.attribute)


def row(node: NodeProto, opset: int) -> Row:
    """A row of the table for `node`.

    Raises:
        ModelError: onnx does not have it either.
    """
    try:
        evaluator = _evaluator(node, opset)
    except Exception as error:
        raise ModelError(
            f"{describe(node)} is of the domain {node.domain or 'ai.onnx'!r}, opset {opset}; neither solkit nor onnx "
            "has such an operator: write it as a function in the model, or leave it out"
        ) from error

    def run(call: Call, *inputs: Value) -> tuple[Value, ...]:
        if torch.compiler.is_exporting() and (is_random(node) or any(isinstance(v, FakeTensor) for v in inputs)):
            lost = [v for v in inputs if not (v is None or isinstance(v, torch.Tensor))]
            if lost:
                kind = type(lost[0]).__name__
                raise ModelError(f"{describe(node)} takes a {kind}, which a graph of tensors cannot have")
            _inferred(node, opset, inputs)  # refuses, outside of PyTorch's own dispatch
            text = base64.b64encode(node.SerializeToString()).decode()
            function = torch.ops.solkit.onnx_random_node if is_random(node) else torch.ops.solkit.onnx_node
            return _placed(node, function([v for v in inputs if v is not None], text, opset))
        arrays = [to_numpy(value) for value in inputs[: len(node.input)]]  # a row may fill in what is left out
        return _placed(node, [_value(made) for made in _evaluate(evaluator, node, arrays)])

    return run


def _placed(node: NodeProto, made: Sequence[Value]) -> tuple[Value, ...]:
    """Results at the places of the node's outputs: there are none for those without a name."""
    results = iter(made)
    return tuple(next(results) if name else None for name in node.output)


def _value(made: Any) -> Value:
    """A result of onnx's reference: tensors where PyTorch has the type, in a sequence, too."""
    if isinstance(made, (list, tuple)):
        return [_value(item) for item in made]
    if made is None:
        return None
    array = np.asarray(made)
    tensor = to_torch(array)
    return array if tensor is None else tensor


@torch.library.custom_op("solkit::onnx_node", mutates_args=())
def onnx_node(inputs: list[torch.Tensor], node: str, opset: int) -> list[torch.Tensor]:
    """One node by onnx's reference. `inputs` are those that are there; `node` is its message in base64."""
    return _run_text(inputs, node, opset)


@torch.library.custom_op("solkit::onnx_random_node", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def onnx_random_node(inputs: list[torch.Tensor], node: str, opset: int) -> list[torch.Tensor]:
    """As `solkit::onnx_node`, for a node that draws random numbers."""
    return _run_text(inputs, node, opset)


def _run_text(inputs: list[torch.Tensor], node: str, opset: int) -> list[torch.Tensor]:
    message = NodeProto.FromString(base64.b64decode(node))
    there = iter(inputs)
    arrays = [to_numpy(next(there)) if name else None for name in message.input]
    return [to_torch(np.array(array)) for array in _evaluate(_evaluator(message, opset), message, arrays)]


@onnx_node.register_fake
@onnx_random_node.register_fake
def _(inputs: list[torch.Tensor], node: str, opset: int) -> list[torch.Tensor]:
    """Shapes and types as onnx infers them."""
    message = NodeProto.FromString(base64.b64decode(node))
    there = iter(inputs)
    made = _inferred(message, opset, [next(there) if name else None for name in message.input])
    return [torch.empty(sizes, dtype=dtype) for sizes, dtype in made]


def _inferred(node: NodeProto, opset: int, inputs: Sequence[Value]) -> list[tuple[list[int], torch.dtype]]:
    """Sizes and type of each result, as onnx infers them.

    Raises:
        ModelError: they are not known before the node runs, or not of a type that PyTorch computes with.
    """
    types = {name: type_of(value) for name, value in zip(node.input, inputs, strict=True) if name}
    says = schema(node.domain, node.op_type, opset)
    made = onnx.shape_inference.infer_node_outputs(says, node, types)
    results = []
    for name in node.output:
        if name:
            kind = made[name].tensor_type
            sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
            if None in sizes or not kind.HasField("shape"):
                raise ModelError(f"the shape of what {describe(node)} makes depends on values, not on shapes alone")
            if kind.elem_type not in TORCH:
                raise ModelError(f"{describe(node)} makes elements of a type that PyTorch does not compute with")
            results.append((sizes, TORCH[kind.elem_type]))
    return results


def _evaluator(node: NodeProto, opset: int) -> "onnx.reference.ReferenceEvaluator":
    """What runs one node."""
    from onnx.reference import ReferenceEvaluator  # takes a while to import

    graph = onnx.GraphProto()
    graph.node.append(node)
    for name in dict.fromkeys(name for name in node.input if name):
        graph.input.add(name=name)
    for name in node.output:
        if name:
            graph.output.add(name=name)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, opset)])
    return ReferenceEvaluator(model)


def _evaluate(evaluator: "onnx.reference.ReferenceEvaluator", node: NodeProto, arrays: list[Any]) -> list[Any]:
    """What onnx's reference makes of these arrays."""
    says = schema(node.domain, node.op_type, evaluator.opsets[node.domain])
    types = {name: type_of(array) for name, array in zip(node.input, arrays, strict=True) if name}
    limits.check_node(says, node, types, arrays)
    with np.errstate(all="ignore"):  # infinity and NaN are results, as in PyTorch
        return evaluator.run(None, {name: array for name, array in zip(node.input, arrays, strict=True) if name})


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
    flat = np.ascontiguousarray(array)
    return torch.from_numpy(flat if flat.flags.writeable else flat.copy()).reshape(array.shape)


def constant(call: Call) -> Value:
    """The tensor in the attribute of a Constant or ConstantOfShape."""
    if "sparse_value" in call.attributes:
        array = dense(call["sparse_value"])
    else:
        array = onnx.numpy_helper.to_array(call["value"])
    tensor = to_torch(np.array(array))
    return array if tensor is None else tensor


def type_of(value: Value) -> TypeProto:
    """The ONNX type of a value; one that says nothing if that is not known."""
    made = TypeProto()
    value = getattr(value, "value", value)  # of a Known
    if isinstance(value, list):
        made.sequence_type.elem_type.CopyFrom(type_of(value[0]) if value else TypeProto())
    elif isinstance(value, (torch.Tensor, np.ndarray, np.generic)):
        tensor = isinstance(value, torch.Tensor)
        kind = FROM_TORCH[value.dtype] if tensor else onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        made.tensor_type.elem_type = kind
        made.tensor_type.shape.SetInParent()  # also where there is no dimension to add
        for size in value.shape:
            made.tensor_type.shape.dim.add(dim_value=size)
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
