"""Small ONNX models of many kinds, for mutations to begin with."""

from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

node = helper.make_node
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def info(name: str, shape: Any, dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def _model(
    nodes: list[NodeProto], inputs: list, outputs: list, weights: dict[str, Any], opset: int = 18, **more: Any
) -> ModelProto:
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **more)


def _normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def convolutions() -> ModelProto:
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], name="conv"),
        node("BatchNormalization", ["c", "b", "b", "b", "v"], ["n"], name="norm"),
        node("Relu", ["n"], ["r"], name="relu"),
        node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2], name="pool"),
        node("Resize", ["p", "", "s"], ["u"], mode="nearest", name="resize"),
        node("GlobalAveragePool", ["u"], ["g"], name="average"),
        node("Flatten", ["g"], ["y"], name="flatten"),
    ]
    weights = {"w": _normal(4, 3, 3, 3), "b": _normal(4), "v": np.ones(4, np.float32)}
    weights["s"] = np.array([1, 1, 2, 2], np.float32)
    return _model(nodes, [info("x", ("n", 3, 6, 6))], [info("y", ("n", 4))], weights)


def perceptron() -> ModelProto:
    nodes = [
        node("Gemm", ["x", "w", "b"], ["h"], transB=1, alpha=0.5, name="first"),
        node("Tanh", ["h"], ["t"], name="tanh"),
        node("Gemm", ["t", "w2"], ["s"], name="second"),
        node("Softmax", ["s"], ["y"], axis=-1, name="softmax"),
    ]
    weights = {"w": _normal(8, 4), "b": _normal(8), "w2": _normal(8, 3)}
    return _model(nodes, [info("x", (2, 4))], [info("y", (2, 3))], weights)


def recurrent() -> ModelProto:
    nodes = [
        node("LSTM", ["x", "w", "r", "b"], ["h", "last", ""], hidden_size=4, direction="bidirectional", name="lstm"),
        node("Transpose", ["h"], ["t"], perm=[0, 2, 1, 3], name="transpose"),
        node("Reshape", ["t", "shape"], ["y"], name="reshape"),
    ]
    weights = {"w": _normal(2, 16, 3), "r": _normal(2, 16, 4), "b": _normal(2, 32), "shape": np.array([5, 2, 8])}
    return _model(nodes, [info("x", (5, 2, 3))], [info("y", (5, 2, 8))], weights)


def _body() -> GraphProto:
    nodes = [
        node("Mul", ["s", "half"], ["t"], name="halve"),
        node("ReduceMax", ["t"], ["m"], keepdims=0, name="largest"),
        node("Less", ["i", "most"], ["d"], name="onward"),
    ]
    inputs = [info("i", [], INT64), info("c", [], BOOL), info("s", (2, 3))]
    return helper.make_graph(nodes, "body", inputs, [info("d", [], BOOL), info("t", (2, 3)), info("m", [])])


def control() -> ModelProto:
    then = helper.make_graph([node("Neg", ["last"], ["a"], name="neg")], "then", [], [info("a", (2, 3))])
    other = helper.make_graph([node("Exp", ["last"], ["b"], name="exp")], "other", [], [info("b", (2, 3))])
    nodes = [
        node("Loop", ["count", "", "x"], ["last", "largest"], body=_body(), name="loop"),
        node("If", ["flag"], ["chosen"], then_branch=then, else_branch=other, name="if"),
        node("ReduceSum", ["largest", "axes"], ["sum"], keepdims=0, name="sum"),
        node("Add", ["chosen", "sum"], ["y"], name="add"),
    ]
    weights = {"count": np.array(3), "half": np.array(0.5, np.float32), "most": np.array(9), "axes": np.array([0])}
    weights["flag"] = np.array(True)
    return _model(nodes, [info("x", (2, 3))], [info("y", (2, 3))], weights)


def quantized() -> ModelProto:
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="quantize"),
        node("DequantizeLinear", ["q", "scale", "zero"], ["d"], name="dequantize"),
        node("MatMulInteger", ["q", "w", "zero"], ["m"], name="product"),
        node("Cast", ["m"], ["f"], to=FLOAT, name="cast"),
        node("MatMul", ["d", "v"], ["e"], name="other"),
        node("Sub", ["f", "e"], ["y"], name="sub"),
    ]
    weights = {"scale": np.array(0.1, np.float32), "zero": np.array(7, np.uint8), "v": _normal(4, 3)}
    weights["w"] = np.arange(12, dtype=np.uint8).reshape(4, 3)
    return _model(nodes, [info("x", (2, 4))], [info("y", (2, 3))], weights, opset=19)


def attention() -> ModelProto:
    nodes = [
        node("Shape", ["x"], ["size"], name="shape"),
        node("Slice", ["size", "zero", "two"], ["lead"], name="slice"),
        node("Concat", ["lead", "heads"], ["split"], axis=0, name="concat"),
        node("MatMul", ["x", "w"], ["qkv"], name="project"),
        node("Split", ["qkv", "parts"], ["q", "k", "v"], axis=-1, name="parts"),
        *(node("Reshape", [i, "split"], [f"{i}4"], name=f"heads_{i}") for i in "qkv"),
        *(node("Transpose", [f"{i}4"], [f"{i}t"], perm=[0, 2, 1, 3], name=f"turn_{i}") for i in "qv"),
        node("Transpose", ["k4"], ["kt"], perm=[0, 2, 3, 1], name="turn_k"),
        node("MatMul", ["qt", "kt"], ["scores"], name="scores"),
        node("Softmax", ["scores"], ["weights"], axis=-1, name="softmax"),
        node("MatMul", ["weights", "vt"], ["mixed"], name="mix"),
        node("LayerNormalization", ["mixed", "gain"], ["y"], axis=-1, name="norm"),
    ]
    weights = {"zero": np.array([0]), "two": np.array([2]), "heads": np.array([2, 4]), "w": _normal(8, 24)}
    weights |= {"parts": np.array([8, 8, 8]), "gain": np.ones(4, np.float32)}
    return _model(nodes, [info("x", ("n", 3, 8))], [info("y", ("n", 2, 3, 4))], weights)


def functions() -> ModelProto:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    inner = [node("Mul", ["a", "a"], ["b"], name="square")]
    scale = node("LeakyRelu", ["c"], ["d"], name="leak")
    scale.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    outer = [node("square", ["a"], ["b"], domain="own"), node("Sum", ["a", "b"], ["c"], name="sum"), scale]
    made = [
        helper.make_function("own", "square", ["a"], ["b"], inner, opsets),
        helper.make_function("own", "bend", ["a"], ["d"], outer, opsets, attributes=["slope"]),
    ]
    nodes = [node("bend", ["x"], ["h"], domain="own", slope=0.1, name="bend"), node("Gelu", ["h"], ["y"], name="gelu")]
    return _model(nodes, [info("x", (2, 3))], [info("y", (2, 3))], {}, opset=20, functions=made)


def sequences() -> ModelProto:
    nodes = [
        node("SplitToSequence", ["x", "one"], ["parts"], axis=1, name="split"),
        node("SequenceAt", ["parts", "zero"], ["first"], name="at"),
        node("SequenceInsert", ["parts", "first"], ["more"], name="insert"),
        node("SequenceErase", ["more", "zero"], ["less"], name="erase"),
        node("ConcatFromSequence", ["less"], ["joined"], axis=1, name="join"),
        node("TopK", ["joined", "two"], ["largest", "places"], axis=1, name="topk"),
        node("GatherElements", ["joined", "places"], ["y"], axis=1, name="gather"),
    ]
    weights = {"one": np.array(1), "zero": np.array(0), "two": np.array([2])}
    return _model(nodes, [info("x", (2, 4))], [info("y", (2, 2))], weights)


def sizes() -> ModelProto:
    """Operators that make much of a few numbers."""
    nodes = [
        node(
            "ConstantOfShape", ["shape"], ["ones"], value=numpy_helper.from_array(np.ones(1, np.float32)), name="ones"
        ),
        node("Expand", ["x", "shape"], ["wide"], name="expand"),
        node("Tile", ["wide", "times"], ["tiled"], name="tile"),
        node("Pad", ["tiled", "pads"], ["padded"], mode="edge", name="pad"),
        node("Range", ["from", "to", "by"], ["range"], name="range"),
        node("OneHot", ["range", "depth", "values"], ["hot"], name="one_hot"),
        node("Cast", ["hot"], ["cast"], to=FLOAT, name="cast"),
        node("ReduceSum", ["cast"], ["total"], keepdims=0, name="total"),
        node("RandomUniform", [], ["noise"], shape=[2, 3], seed=1.0, name="noise"),
        node("Einsum", ["ones", "noise"], ["e"], equation="ij,ij->i", name="einsum"),
        node("ReduceMean", ["e"], ["mean"], keepdims=0, name="mean"),
        node("Sum", ["padded", "total", "mean"], ["y"], name="sum"),
    ]
    weights = {"shape": np.array([2, 3]), "times": np.array([1, 2]), "pads": np.array([0, 1, 0, 1])}
    weights |= {
        "from": np.array(0),
        "to": np.array(4),
        "by": np.array(1),
        "depth": np.array(5),
        "values": np.array([0, 1]),
    }
    return _model(nodes, [info("x", (2, 3))], [info("y", (2, 8))], weights)


def external() -> ModelProto:
    """With its weights in a file `weights.bin` that is to be beside it; see `EXTERNAL`."""
    nodes = [node("MatMul", ["x", "w"], ["m"], name="product"), node("Add", ["m", "b"], ["y"], name="add")]
    proto = _model(nodes, [info("x", (2, 16))], [info("y", (2, 16))], {"w": _normal(16, 16), "b": _normal(16)})
    for tensor, offset, length in zip(proto.graph.initializer, (0, 1024), (1024, 64), strict=True):
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
    return proto


EXTERNAL = _normal(17, 16).tobytes()
SEEDS = (
    convolutions,
    perceptron,
    recurrent,
    control,
    quantized,
    attention,
    functions,
    sequences,
    sizes,
    external,
)
