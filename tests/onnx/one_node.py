"""Models of one node, and what solkit and onnx's reference make of them."""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper
from onnx.reference import ReferenceEvaluator

from solkit import backend
from solkit.frontend.onnx import OnnxModule, reference

RNG = np.random.default_rng(0)


def real(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def whole(low: int, high: int, *shape: int, dtype: Any = np.int64) -> np.ndarray:
    return RNG.integers(low, high, shape).astype(dtype)


def node_model(op: str, inputs: list[Any], outputs: int, opset: int, **attributes: Any) -> onnx.ModelProto:
    """A model of one node; None is an input that is left out."""
    names = ["" if value is None else f"x{i}" for i, value in enumerate(inputs)]
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], **attributes)
    return backend.node_model(node, [value for value in inputs if value is not None], opset)


def ran(model: onnx.ModelProto, inputs: list[Any]) -> list[Any]:
    """What solkit's rows make of it in PyTorch."""
    values = [value if (made := reference.to_torch(value)) is None else made for value in inputs if value is not None]
    with torch.no_grad():
        made = OnnxModule(model)(*values)
    return [reference.to_numpy(value) for value in (made if isinstance(made, tuple) else (made,))]


def compare(model: onnx.ModelProto, inputs: list[Any], rtol: float = 1e-4, atol: float = 1e-5) -> None:
    names = [item.name for item in model.graph.input]
    wanted = ReferenceEvaluator(model).run(None, dict(zip(names, (v for v in inputs if v is not None), strict=True)))
    for got, want in zip(ran(model, inputs), wanted, strict=True):
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol, atol)


def check(op: str, inputs: list[Any], outputs: int = 1, opset: int = 21, **attributes: Any) -> None:
    compare(node_model(op, inputs, outputs, opset, **attributes), inputs)
