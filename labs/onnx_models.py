"""Small ONNX models that lab 04 makes by hand: one to mend, and one with an operator that solkit has no code for."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18


def toy_model() -> onnx.ModelProto:
    """Three nodes, a convolution, ReLU and a mean over pixels: `picture` [1, 3, 8, 8] to `scores` [1, 4, 1, 1]."""
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["picture", "weight"], ["convolved"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["convolved"], ["rectified"], "relu"),
        helper.make_node("GlobalAveragePool", ["rectified"], ["scores"], "pool"),
    ]
    return _model(
        nodes, ("picture", [1, 3, 8, 8]), ("scores", [1, 4, 1, 1]), [numpy_helper.from_array(weight, "weight")]
    )


def broken_model() -> onnx.ModelProto:
    """`toy_model` with a slip: a node reads a tensor that none makes."""
    model = toy_model()
    model.graph.node[1].input[0] = "convoluted"
    return model


def noisy_model() -> onnx.ModelProto:
    """Noise is added to `picture`, and negative numbers become 0."""
    nodes = [
        helper.make_node("RandomNormalLike", ["picture"], ["noise"], "draw"),
        helper.make_node("Add", ["picture", "noise"], ["sum"], "add"),
        helper.make_node("Relu", ["sum"], ["noisy"], "relu"),
    ]
    return _model(nodes, ("picture", [1, 3, 8, 8]), ("noisy", [1, 3, 8, 8]))


def _model(nodes, given, made, weights=()) -> onnx.ModelProto:
    (name, shape), (result, sizes) = given, made
    graph = helper.make_graph(
        nodes,
        "made_by_hand",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, sizes)],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
