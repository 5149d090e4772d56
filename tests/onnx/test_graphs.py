"""Old versions of operators, graphs in graphs, functions, gradients, and types that PyTorch lacks; nothing compiled."""

from typing import Any

import numpy as np
import pytest
import torch
from one_node import check, compare, node_model, ran, real
from onnx import TensorProto, parser

from solkit.errors import ModelError
from solkit.frontend.onnx import OnnxModule

# -- old versions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "axis"), [((3,), 1), ((3, 4), 1), ((2, 3), 0), ((4,), -1)])
def test_broadcasting_by_attributes(shape: tuple[int, ...], axis: int) -> None:
    a, b = real(2, 3, 4), real(*shape)
    made = ran(node_model("Sub", [a, b], 1, 6, broadcast=1, axis=axis), [a, b])[0]
    behind = 3 - axis % 3 - len(shape)
    np.testing.assert_allclose(made, a - b.reshape(*shape, *[1] * behind), 1e-6)


def test_slopes_by_channel_in_opset_6() -> None:
    x, slope = real(2, 3, 4, 5), real(3)
    made = ran(node_model("PRelu", [x, slope], 1, 6), [x, slope])[0]
    np.testing.assert_allclose(made, np.where(x < 0, x * slope.reshape(3, 1, 1), x), 1e-6)


def test_attributes_that_became_inputs() -> None:
    x = real(2, 3, 4)
    cases = [
        ("Reshape", {"shape": [0, -1]}, 1, x.reshape(2, 12)),
        ("Slice", {"starts": [1, 0], "ends": [3, -1], "axes": [1, 2]}, 1, x[:, 1:3, :-1]),
        ("Pad", {"pads": [0, 1, 0, 0, 0, 2], "value": 3.0}, 2, np.pad(x, [(0, 0), (1, 0), (0, 2)], constant_values=3)),
        ("Clip", {"min": -0.5, "max": 0.25}, 6, x.clip(-0.5, 0.25)),
        ("ReduceSum", {"axes": [0, 2], "keepdims": 0}, 11, x.sum((0, 2))),
        ("Squeeze", {"axes": [0]}, 11, None),
        ("Upsample", {"scales": [1.0, 2.0, 3.0]}, 7, x.repeat(2, 1).repeat(3, 2)),
        ("Dropout", {"is_test": 1}, 6, x),
        ("Softmax", {"axis": 1}, 11, None),
    ]
    for op, attributes, opset, wanted in cases:
        given = x[:1] if op == "Squeeze" else x
        if op == "Squeeze":
            wanted = x[0]
        elif op == "Softmax":  # what stands behind the axis is one row
            rows = np.exp(x.reshape(2, 12))
            wanted = (rows / rows.sum(1, keepdims=True)).reshape(x.shape)
        made = ran(node_model(op, [given], 1, opset, **attributes), [given])[0]
        np.testing.assert_allclose(made, wanted, 1e-5, 1e-6, err_msg=op)


def test_types_by_name_in_opset_1() -> None:
    model = parser.parse_model("""
    <ir_version: 3, opset_import: ["" : 1]>
    graph (float[3] x) => (int32[3] y) { y = Cast <to = "INT32"> (x) }""")
    np.testing.assert_array_equal(ran(model, [np.array([1.5, -2, 7], np.float32)])[0], [1, -2, 7])


def test_batch_norm_of_old() -> None:
    x, (scale, bias, mean) = real(3, 2, 4), (real(2) for _ in range(3))
    var = np.abs(real(2)) + 0.1
    inputs = [x, scale, bias, mean, var]
    now, spread = x.mean((0, 2)), x.var((0, 2))

    def norm(mean: np.ndarray, var: np.ndarray) -> np.ndarray:
        return (x - mean[:, None]) / np.sqrt(var[:, None] + 1e-5) * scale[:, None] + bias[:, None]

    plain = ran(node_model("BatchNormalization", inputs, 1, 7), inputs)
    np.testing.assert_allclose(plain[0], norm(mean, var), 1e-4, 1e-5)
    trained = ran(node_model("BatchNormalization", inputs, 5, 7, momentum=0.8), inputs)
    np.testing.assert_allclose(trained[0], norm(now, spread), 1e-4, 1e-5)
    np.testing.assert_allclose(trained[1], 0.8 * mean + 0.2 * now, 1e-4, 1e-5)
    np.testing.assert_allclose(trained[3], now, 1e-4, 1e-5)


# -- graphs in graphs, functions ------------------------------------------------------------------------------------

SUM_OF_TWO = """
<ir_version: 9, opset_import: ["" : 18]>
graph (float[3] x, int64 turns) => (float[3] y, float[N, 3] seen) {
  bias = Constant<value_floats = [1.0, 2.0, 3.0]>()
  yes = Constant<value = bool {1}>()
  y, seen = Loop (turns, yes, x) <
    body = turn (int64 i, bool going, float[3] now) => (bool on, float[3] next, float[3] row) {
      on = Identity(going)
      half = Constant<value = float {0.5}>()
      large = ReduceSum<keepdims = 0>(now)
      limit = Constant<value = float {20.0}>()
      many = Greater(large, limit)
      next = If (many) <
        then_branch = shrink () => (float[3] less) { less = Mul(now, half) },
        else_branch = grow () => (float[3] more) { more = Add(now, bias) }
      >
      row = Sub(next, x)
    }>
}
"""

RUNNING_SUM = """
<ir_version: 9, opset_import: ["" : 18]>
graph (float[2] start, float[2, 4] x) => (float[2] end, float[2, 4] sums) {
  scale = Constant<value = float {2.0}>()
  end, sums = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1], body = one
    (float[2] sum, float[2] item) => (float[2] total, float[2] shown) {
      scaled = Mul(item, scale)
      total = Add(sum, scaled)
      shown = Identity(total)
    }> (start, x)
}
"""

FUNCTION = """
<ir_version: 9, opset_import: ["" : 18, "own" : 1]>
graph (float[2, 3] x) => (float[2, 3] y) {
  a = own.leaky <alpha = 0.25, shift = 1> (x)
  y = own.leaky <shift = 0> (a)
}
<domain: "own", opset_import: ["" : 18]>
leaky <shift, alpha: float = 0.5> (x) => (y) {
  small = LeakyRelu <alpha: float = @alpha> (x)
  moved = Constant <value_int: int = @shift> ()
  real = CastLike (moved, x)
  y = Add (small, real)
}
"""


def test_loop_and_if_see_the_graph_around_them() -> None:
    model = parser.parse_model(SUM_OF_TWO)
    compare(model, [np.array([1, -2, 0.5], np.float32), np.array(6)])


def test_loop_without_turns_gives_what_it_was_given() -> None:
    x = np.array([1, -2, 0.5], np.float32)
    np.testing.assert_array_equal(ran(parser.parse_model(SUM_OF_TWO), [x, np.array(0)])[0], x)


def test_scan_along_another_axis() -> None:
    start, x = real(2), real(2, 4)
    end, sums = ran(parser.parse_model(RUNNING_SUM), [start, x])
    wanted = start[:, None] + 2 * x.cumsum(1)
    np.testing.assert_allclose(sums, wanted, 1e-5, 1e-6)
    np.testing.assert_allclose(end, wanted[:, -1], 1e-5, 1e-6)


def test_functions_with_attributes_and_their_defaults() -> None:
    x = real(2, 3)
    a = np.where(x < 0, 0.25 * x, x) + 1
    np.testing.assert_allclose(ran(parser.parse_model(FUNCTION), [x])[0], np.where(a < 0, 0.5 * a, a), 1e-5, 1e-6)


# -- gradients, random numbers, types that PyTorch lacks ------------------------------------------------------------


def test_gradient_of_a_gradient() -> None:
    """y = sum(x^3): dy/dx = 3 x^2, and the gradient of its sum 6 x."""
    model = parser.parse_model("""
    <ir_version: 9, opset_import: ["" : 18, "ai.onnx.preview.training" : 1]>
    graph (float[3] x) => (float[3] first, float[3] second) {
      square = Mul(x, x)
      cube = Mul(square, x)
      y = ReduceSum<keepdims = 0>(cube)
      first = ai.onnx.preview.training.Gradient <xs = ["x"], y = "y"> (x)
      second = ai.onnx.preview.training.Gradient <xs = ["x"], y = "first"> (x)
    }""")
    x = real(3)
    first, second = ran(model, [x])
    np.testing.assert_allclose(first, 3 * x**2, 1e-5)
    np.testing.assert_allclose(second, 6 * x, 1e-5)


def test_gradient_of_what_is_not_in_the_graph() -> None:
    model = parser.parse_model("""
    <ir_version: 9, opset_import: ["" : 18, "ai.onnx.preview.training" : 1]>
    graph (float[3] x) => (float[3] y) {
      y = ai.onnx.preview.training.Gradient <xs = ["x"], y = "nowhere"> (x)
    }""")
    with pytest.raises(ModelError, match="nowhere"):
        ran(model, [real(3)])


def test_random_numbers_are_others_at_each_call() -> None:
    model = node_model("RandomUniformLike", [real(50)], 1, 21)
    module, x = OnnxModule(model), torch.zeros(50)
    assert not torch.equal(module(x), module(x))
    seeded = OnnxModule(node_model("RandomUniformLike", [real(50)], 1, 21, seed=3.0))
    assert torch.equal(seeded(x), seeded(x))


@pytest.mark.parametrize("op", ["Add", "Mul", "Max", "Greater", "BitwiseXor"])
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
def test_unsigned_numbers(op: str, dtype: Any) -> None:
    top = np.iinfo(dtype).max
    values = np.array([0, 1, top // 2, top], dtype)
    check(op, [values, values[::-1].copy()])


@pytest.mark.parametrize("to", [TensorProto.FLOAT8E4M3FN, TensorProto.INT4, TensorProto.UINT16])
def test_there_and_back_through_a_type_that_pytorch_lacks(to: int) -> None:
    model = parser.parse_model(f"""
    <ir_version: 10, opset_import: ["" : 21]>
    graph (float[5] x) => (float[5] y) {{
      small = Cast <to = {to}> (x)
      y = Cast <to = 1> (small)
    }}""")
    compare(model, [np.array([0, 1, 2.25, 3, 7], np.float32)])
