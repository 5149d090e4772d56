"""solkit as a backend of ONNX's own interface, on which its standard tests run.

solkit.backend.prepare(model).run([x])
"""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto
from onnx.backend.base import Backend, BackendRep

from solkit.config import log
from solkit.errors import InputError, ModelError, first_line
from solkit.frontend.onnx import OnnxModule, reference
from solkit.frontend.onnx.load import describe
from solkit.optimize import optimize


class SolBackendRep(BackendRep):
    """A model ready to run: compiled for the shapes of each call.

    Attributes:
        compiled: the optimized model of the last call; None if it ran in PyTorch as a whole.
        reason: why it did.
    """

    def __init__(self, model: ModelProto) -> None:
        self._module = OnnxModule(model)
        self.compiled: Any = None
        self.reason = ""

    def run(self, inputs: Any, **kwargs: Any) -> list[Any]:
        """The outputs for these inputs, in the graph's order; arrays, or lists of them where they are sequences."""
        del kwargs  # options of other backends
        values = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
        made = self._run(values)
        return [reference.to_numpy(value) for value in (made if isinstance(made, tuple) else (made,))]

    def _run(self, values: list[Any]) -> Any:
        self.compiled, self.reason = None, ""
        tensors = [reference.to_torch(v) if isinstance(v, (np.ndarray, np.generic)) else None for v in values]
        if all(tensor is not None for tensor in tensors):
            try:
                self.compiled = optimize(self._module, *tensors, vdims=[False] * len(tensors))
                with torch.no_grad():
                    return self.compiled(*tensors)
            except (ModelError, InputError) as error:
                self.reason = first_line(error)
        else:
            self.reason = "an input is no tensor of a type that PyTorch has"
        log.info("a model runs in PyTorch: %s", self.reason)
        with torch.no_grad():
            return self._module(*(self._value(v, t) for v, t in zip(values, tensors, strict=True)))

    @staticmethod
    def _value(value: Any, tensor: torch.Tensor | None) -> Any:
        if isinstance(value, list):
            return [item if (made := reference.to_torch(item)) is None else made for item in value]
        return value if tensor is None else tensor


def node_model(node: NodeProto, inputs: Any, opset: int) -> ModelProto:
    """A model of one node.

    Args:
        inputs: values of those inputs of the node that are there; they say of which types the model is.
        opset: version of the set of operators that the node belongs to.
    Raises:
        ModelError: onnx knows no such operator, or it does not take inputs of these types.
    """
    names = [name for name in node.input if name]
    types = {name: reference.type_of(value) for name, value in zip(names, inputs, strict=True)}
    try:
        says = onnx.defs.get_schema(node.op_type, opset, node.domain)
        made = onnx.shape_inference.infer_node_outputs(says, node, types)
    except (onnx.defs.SchemaError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{describe(node)} of opset {opset} cannot run alone: {first_line(error)}") from error
    for kind in made.values():
        if kind.HasField("tensor_type"):  # what onnx infers of the shape may be less than is known in a run
            kind.tensor_type.ClearField("shape")
    graph = onnx.helper.make_graph(
        [node],
        "node",
        [onnx.helper.make_value_info(name, kind) for name, kind in types.items()],
        [onnx.helper.make_value_info(name, made[name]) for name in node.output if name],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, opset)])


class SolBackend(Backend):
    """See onnx.backend.base.Backend."""

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        del kwargs
        try:
            OnnxModule(model)
        except ModelError:
            return False
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> SolBackendRep:
        """Raises: ModelError: the model is none, or one that solkit does not know."""
        del kwargs
        if not cls.supports_device(device):
            raise InputError(f"solkit runs on the device 'CPU', not {device!r}")
        return SolBackendRep(model)

    @classmethod
    def run_model(cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> list[Any]:
        return cls.prepare(model, device).run(inputs, **kwargs)

    @classmethod
    def run_node(
        cls, node: NodeProto, inputs: Any, device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> list[Any]:
        """One node, of the newest operators unless `opset_version` says another."""
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        return cls.run_model(node_model(node, inputs, opset), inputs, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device.split(":")[0] == "CPU"


is_compatible = SolBackend.is_compatible
prepare = SolBackend.prepare
run = SolBackend.run_model
supports_device = SolBackend.supports_device
