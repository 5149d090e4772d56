"""An ONNX model as a torch.nn.Module: what it means, in PyTorch."""

import copy
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, TypeProto, ValueInfoProto

from solkit import cache
from solkit.errors import InputError
from solkit.frontend.onnx import reference
from solkit.frontend.onnx.interpret import FEW, Interpreter
from solkit.frontend.onnx.known import Known, plain
from solkit.frontend.onnx.load import load
from solkit.frontend.onnx.table import TORCH

DECIDING = 1024  # elements of an input whose numbers may decide shapes


class OnnxModule(torch.nn.Module):
    """Runs an ONNX model in PyTorch, node by node.

    Initializers of floating point are its parameters, other ones its buffers, under their names in the model, dots
    included.

    Args:
        model: a file, bytes or a message; see `load`.
    Attributes:
        inputs, outputs: their names, in the graph's order.
        shapes: for each input its declared sizes, a name or None for one that is not fixed; None if there are none.
        dtypes: for each input.
        decided: inputs whose numbers are part of the model from here on; what is passed for them is not looked at.
    Raises:
        ModelError: as `load`.
    """

    def __init__(self, model: "str | os.PathLike[str] | bytes | ModelProto") -> None:
        super().__init__()
        proto = load(model)
        graph = proto.graph
        self._places: dict[str, tuple[torch.nn.Module, str]] = {}
        self._arrays: dict[str, np.ndarray] = {}
        # Running statistics have no gradients, and PyTorch refuses them where they might have.
        self._statistics = {n for node in graph.node if node.op_type == "BatchNormalization" for n in node.input[3:5]}
        for tensor in graph.initializer:
            self._enter(tensor.name, onnx.numpy_helper.to_array(tensor))
        for sparse in graph.sparse_initializer:
            self._enter(sparse.values.name, reference.dense(sparse))
        given = [item for item in graph.input if item.name not in self._arrays]
        self.inputs, self.outputs = [item.name for item in given], [item.name for item in graph.output]
        self.shapes, self.dtypes = [_shape(item) for item in given], [_dtype(item.type) for item in given]
        self._graph = onnx.GraphProto()
        self._graph.CopyFrom(graph)
        del self._graph.initializer[:], self._graph.sparse_initializer[:]  # they are tensors now
        self._interpreter = Interpreter(proto)
        self._description = cache.key_of(
            self._graph.SerializeToString(deterministic=True),
            *(item.SerializeToString(deterministic=True) for item in (*proto.opset_import, *proto.functions)),
        )
        self.decided: dict[str, np.ndarray] = {}
        self.eval()

    def _enter(self, name: str, array: np.ndarray) -> None:
        """Make an initializer a parameter or a buffer; dots lead into modules, as in PyTorch."""
        tensor = reference.to_torch(np.array(array))
        if tensor is None:
            self._arrays[name] = array
            return
        holder: torch.nn.Module = self
        *path, leaf = name.split(".")
        if not all((*path, leaf)) or any(hasattr(torch.nn.Module, part) for part in (*path, leaf)):
            path, leaf = [], name.replace(".", "_")
        for part in path:
            inner = holder._modules.get(part)
            if inner is None:
                if hasattr(holder, part):  # a tensor of that name
                    inner, leaf = holder, name.replace(".", "_")
                    holder = self
                    break
                holder.add_module(part, torch.nn.Module())
                inner = holder._modules[part]
            holder = inner
        while hasattr(holder, leaf):
            leaf += "_"
        if tensor.is_floating_point():
            holder.register_parameter(leaf, torch.nn.Parameter(tensor, requires_grad=name not in self._statistics))
        else:
            holder.register_buffer(leaf, tensor)
        self._places[name] = holder, leaf
        self._arrays[name] = reference.to_numpy(tensor)  # of the same memory

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The outputs: one value, or a tuple of several.

        Args:
            inputs: in the order of `self.inputs`.
        Raises:
            InputError: their number is wrong.
            ModelError: a node fails on them.
        """
        if len(inputs) != len(self.inputs):
            raise InputError(f"the model takes {len(self.inputs)} inputs ({', '.join(self.inputs)}), not {len(inputs)}")
        values: dict[str, Any] = {}
        for name, array in self._arrays.items():
            place = self._places.get(name)
            tensor = None if place is None else getattr(*place)
            values[name] = Known(array, tensor, fixed=tensor is None or not tensor.is_floating_point())
        values |= zip(self.inputs, inputs, strict=True)
        values |= {name: Known(array) for name, array in self.decided.items()}
        made = list(map(plain, self._interpreter.run(self._graph, values)))
        return made[0] if len(made) == 1 else tuple(made)

    def deciding(self, inputs: Sequence[torch.Tensor]) -> dict[str, np.ndarray]:
        """Those of these inputs whose numbers decide the shape of something or which way is taken: the `shape` of a
        Reshape, the `axes` of a sum. Large ones never do."""
        self._interpreter.decisive.clear()
        values = [
            Known(reference.to_numpy(value), value, origin=frozenset([name])) if value.numel() <= DECIDING else value
            for name, value in zip(self.inputs, inputs, strict=True)
        ]
        with torch.no_grad():
            self.forward(*values)
        found = self._interpreter.decisive
        return {name: np.array(value.array) for name, value in zip(self.inputs, values, strict=True) if name in found}

    def described_for_cache(self) -> str:
        """A key for what is captured of this model: everything but the content of its weights."""
        parts: list[Any] = [_own_source(), onnx.__version__, self._description]
        for name, array in (*self._arrays.items(), *self.decided.items()):
            parts += [name, str(array.dtype), str(array.shape)]
            if array.dtype.kind not in "fc" or array.size <= FEW or name in self.decided:
                parts.append(array.tobytes() if array.dtype.kind != "O" else repr(array.tolist()))
        return cache.key_of(*parts)

    def with_decided(self, decided: dict[str, np.ndarray]) -> "OnnxModule":
        """The same model, of the same tensors, with the numbers of these inputs fixed."""
        made = copy.copy(self)
        made.decided = decided
        return made


@functools.cache
def _own_source() -> str:
    """The table of operators decides what is captured, so its text counts."""
    return cache.key_of(*(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))


def _shape(item: ValueInfoProto) -> list[int | str | None] | None:
    kind = item.type.tensor_type
    if not item.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return [_size(dim) for dim in kind.shape.dim]


def _size(dim: "onnx.TensorShapeProto.Dimension") -> int | str | None:
    """A size, its name, or None if the model does not say; some exporters write -1 or "?" for that."""
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value >= 0 else None
    return None if dim.dim_param in ("", "?") else dim.dim_param


def _dtype(kind: TypeProto) -> torch.dtype | None:
    return TORCH.get(kind.tensor_type.elem_type) if kind.HasField("tensor_type") else None
