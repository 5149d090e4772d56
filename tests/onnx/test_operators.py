"""Rows of the operator table against onnx's reference, on sizes and attributes that onnx's own tests do not have."""

from typing import Any

import numpy as np
import pytest
import torch
from one_node import RNG, check, node_model, ran, real, whole
from onnx import parser

# -- resizing, padding, windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("size", [[1, 2, 7, 5], [1, 2, 3, 11]])
def test_resize(where: str, mode: str, size: list[int]) -> None:
    inputs = [real(1, 2, 5, 6), None, None, np.array(size)]
    check("Resize", inputs, mode=mode, coordinate_transformation_mode=where)


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_resize_nearest_rounding(rounding: str) -> None:
    inputs = [real(2, 4, 6), None, np.array([1, 1.75, 0.5], np.float32)]
    check("Resize", inputs, mode="nearest", nearest_mode=rounding)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_resize_antialias(mode: str) -> None:
    check("Resize", [real(1, 1, 9, 8), None, None, np.array([1, 1, 4, 3])], mode=mode, antialias=1)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_resize_keeps_the_aspect_ratio(policy: str) -> None:
    inputs = [real(1, 1, 6, 4), None, None, np.array([9, 10])]
    check("Resize", inputs, axes=[2, 3], keep_aspect_ratio_policy=policy, mode="linear")


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize("pads", [[0, 1, 2, 2, 0, 1], [1, 2, 0, 0, 1, 3]])
def test_pad(mode: str, pads: list[int]) -> None:
    check("Pad", [real(3, 4, 5), np.array(pads)], mode=mode)


def test_pad_some_axes_with_a_value_and_cut() -> None:
    x = real(3, 4, 5)
    inputs = [x, np.array([1, -1, 0, 2]), np.array(2.5, np.float32), np.array([-1, 0])]
    wanted = np.pad(x[1:], [(0, 2), (0, 0), (1, 0)], constant_values=2.5)
    np.testing.assert_array_equal(ran(node_model("Pad", inputs, 1, 21), inputs)[0], wanted)


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([-1, 3], [-100, 0], [0, 2], [-1, -2]),
        ([4, 0], [1, 100], [-1, 1], [-1, 3]),
        ([2], [-(2**31)], [2], [-2]),
        ([10], [20], [0], [1]),
    ],
)
def test_slice(starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> None:
    check("Slice", [real(5, 4, 6), *map(np.array, (starts, ends, axes, steps))])


@pytest.mark.parametrize("attributes", [{"ceil_mode": 1}, {"ceil_mode": 1, "count_include_pad": 1}, {}])
def test_average_pool(attributes: dict[str, int]) -> None:
    check("AveragePool", [real(1, 2, 7, 8)], kernel_shape=[3, 2], strides=[2, 3], pads=[1, 0, 0, 1], **attributes)


def test_max_pool_with_places() -> None:
    check("MaxPool", [real(2, 3, 9, 8)], outputs=2, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 0])


@pytest.mark.parametrize("pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_transposed_convolution_with_automatic_padding(pad: str) -> None:
    if pad == "VALID":
        check("ConvTranspose", [real(1, 2, 4, 3), real(2, 3, 3, 2)], strides=[3, 2], auto_pad=pad)
    else:
        inputs = [real(1, 2, 4, 3), real(2, 3, 3, 2), real(3)]
        check("ConvTranspose", inputs, strides=[2, 2], auto_pad=pad)


def test_transposed_convolution_whose_shape_is_given() -> None:
    """More of what is cut is cut in front, unless `auto_pad` is SAME_UPPER (the formula of the standard)."""
    x, weight = real(1, 2, 4, 3), real(2, 3, 3, 2)
    full = torch.nn.functional.conv_transpose2d(torch.from_numpy(x), torch.from_numpy(weight), stride=2)
    inputs = [x, weight]
    for pad, first in (("NOTSET", 1), ("SAME_UPPER", 0)):
        model = node_model("ConvTranspose", inputs, 1, 21, strides=[2, 2], output_shape=[8, 6], auto_pad=pad)
        wanted = full[:, :, first : first + 8, :6]
        np.testing.assert_allclose(ran(model, inputs)[0], wanted, 1e-5, 1e-6)


@pytest.mark.parametrize("attributes", [{"group": 2}, {"offset_group": 2}, {"dilations": [2, 1], "pads": [1, 0, 1, 0]}])
def test_deform_conv(attributes: dict[str, Any]) -> None:
    x, weight = real(2, 4, 6, 5), real(4, 4 // attributes.get("group", 1), 2, 2)
    rows = 6 - attributes.get("dilations", [1])[0] + 2 * attributes.get("pads", [0])[0]
    groups = attributes.get("offset_group", 1)
    inputs = [x, weight, real(2, groups * 8, rows, 4), real(4), np.abs(real(2, groups * 4, rows, 4))]
    check("DeformConv", inputs, opset=22, kernel_shape=[2, 2], **attributes)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 3])
def test_roi_align(mode: str, ratio: int) -> None:
    rois = np.array([[0, 0, 3, 4], [1.5, 2.2, 8.9, 6.1], [-2, -1, 20, 5]], np.float32)
    sizes = {"output_height": 2, "output_width": 3}
    inputs = [real(2, 3, 7, 9), rois, np.array([0, 1, 1])]
    check("RoiAlign", inputs, opset=22, mode=mode, sampling_ratio=ratio, spatial_scale=0.9, **sizes)


def test_col2im_in_three_dimensions() -> None:
    inputs = [real(2, 2 * 8, 12), np.array([3, 4, 3]), np.array([2, 2, 2])]
    check("Col2Im", inputs, pads=[0, 0, 0, 0, 0, 0])
    check("Col2Im", [real(1, 8, 9), np.array([5, 5]), np.array([2, 4])], strides=[2, 1], pads=[0, 1, 1, 0])


@pytest.mark.parametrize("attributes", [{}, {"onesided": 1}, {"inverse": 1}])
@pytest.mark.parametrize("length", [None, 12, 5])
def test_dft(attributes: dict[str, int], length: int | None) -> None:
    x = real(2, 9, 3, 1 if "onesided" in attributes else 2)
    check("DFT", [x, None if length is None else np.array(length), np.array(1)], **attributes)


def test_dft_back_to_a_real_signal() -> None:
    signal = real(2, 12, 1)
    there = ran(node_model("DFT", [signal, None, np.array(1)], 1, 21, onesided=1), [signal, np.array(1)])[0]
    inputs = [there, np.array(12), np.array(1)]
    back = ran(node_model("DFT", inputs, 1, 21, onesided=1, inverse=1), inputs)[0]
    np.testing.assert_allclose(back, signal, 1e-4, 1e-5)


# -- recurrent layers, attention ------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_recurrent_against_pytorch(op: str, direction: str) -> None:
    """onnx's reference knows one direction only; PyTorch's layers, whose gates stand in another order, know both."""
    order = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}[op]
    both = 2 if direction == "bidirectional" else 1
    layer = getattr(torch.nn, op)(3, 4, bidirectional=both == 2)

    def gates(kind: str) -> np.ndarray:
        names = [f"{kind}_l0{suffix}" for suffix in ("", "_reverse")[:both]]
        parts = [torch.cat([getattr(layer, name).chunk(len(order))[i] for i in order]) for name in names]
        return torch.stack(parts).detach().numpy()

    bias = np.concatenate([gates("bias_ih"), gates("bias_hh")], 1)
    x = real(5, 2, 3)
    inputs = [x, gates("weight_ih"), gates("weight_hh"), bias]
    attributes = {"linear_before_reset": 1} if op == "GRU" else {}
    model = node_model(op, inputs, 2, 21, hidden_size=4, direction=direction, **attributes)
    y, h = ran(model, inputs)
    with torch.no_grad():
        wanted, state = layer(torch.from_numpy(x[::-1].copy() if direction == "reverse" else x))
    wanted = wanted.reshape(5, 2, both, 4).transpose(1, 2).numpy()
    np.testing.assert_allclose(y, wanted[::-1] if direction == "reverse" else wanted, 1e-4, 1e-5)
    np.testing.assert_allclose(h, (state[0] if op == "LSTM" else state).numpy(), 1e-4, 1e-5)


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_with_lengths(op: str, gates: int) -> None:
    """Each sample gives what it gives alone, and zeros behind its end."""
    x, lengths = real(6, 3, 2), np.array([6, 2, 4], np.int32)
    weights = [real(1, 4 * gates, 2), real(1, 4 * gates, 4), real(1, 8 * gates)]
    together = [x, *weights, lengths]
    y, h = ran(node_model(op, together, 2, 21, hidden_size=4), together)
    for n, count in enumerate(lengths):
        alone = [x[:count, n : n + 1], *weights]
        own, last = ran(node_model(op, alone, 2, 21, hidden_size=4), alone)
        np.testing.assert_allclose(y[:count, :, n : n + 1], own, 1e-4, 1e-5)
        np.testing.assert_allclose(h[:, n : n + 1], last, 1e-4, 1e-5)
        assert not y[count:, :, n].any()


@pytest.mark.parametrize(("op", "gates", "names"), [("LSTM", 4, ["HardSigmoid", "Relu", "Elu"]), ("RNN", 1, ["Relu"])])
def test_recurrent_activations_are_not_those_of_pytorch(op: str, gates: int, names: list[str]) -> None:
    inputs = [real(3, 2, 2), real(1, 3 * gates, 2), real(1, 3 * gates, 3)]
    usual = ran(node_model(op, inputs, 1, 21, hidden_size=3), inputs)[0]
    made = ran(node_model(op, inputs, 1, 21, hidden_size=3, activations=names), inputs)[0]
    assert np.abs(made - usual).max() > 1e-3
    first = inputs[0][0] @ inputs[1][0].T
    if op == "RNN":
        np.testing.assert_allclose(made[0, 0], np.maximum(first, 0), 1e-4, 1e-5)
    else:
        i, o, _, c = np.split(first, 4, -1)
        held = np.clip(0.2 * i + 0.5, 0, 1) * np.maximum(c, 0)
        wanted = np.clip(0.2 * o + 0.5, 0, 1) * np.where(held > 0, held, np.expm1(held))
        np.testing.assert_allclose(made[0, 0], wanted, 1e-4, 1e-5)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("window", [{}, {"left_window_size": 2}, {"left_window_size": 1, "right_window_size": 1}])
@pytest.mark.parametrize("case", ["plain", "past", "cache"])
def test_attention(causal: int, window: dict[str, int], case: str) -> None:
    q, k, v = real(2, 4, 5, 8), real(2, 2, 7, 8), real(2, 2, 7, 6)
    mask = whole(0, 3, 2, 1, 5, 7) > 0
    more: list[Any] = [mask]
    if case == "past":
        more = [None, real(2, 2, 3, 8), real(2, 2, 3, 6)]
    elif case == "cache":
        more = [mask, None, None, np.array([6, 3])]
    inputs = [q, k, v, *more]
    check("Attention", inputs, outputs=3 if case == "past" else 1, opset=25, is_causal=causal, **window)


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_attention_shows_its_scores(mode: int) -> None:
    inputs = [real(2, 5, 12), real(2, 6, 8), real(2, 6, 8), real(5, 6)]
    heads = {"q_num_heads": 3, "kv_num_heads": 2, "softcap": 1.5}
    heads = heads | {"kv_num_heads": 3}
    inputs[1], inputs[2] = real(2, 6, 12), real(2, 6, 12)
    check("Attention", inputs, outputs=4, opset=25, qk_matmul_output_mode=mode, **heads)


def test_a_query_that_sees_no_key_gives_zeros() -> None:
    mask = np.array([[True, False], [False, False]])
    inputs = [real(1, 1, 2, 4), real(1, 1, 2, 4), real(1, 1, 2, 4), mask]
    for attributes in ({}, {"softcap": 2.0}):
        made = ran(node_model("Attention", inputs, 1, 25, **attributes), inputs)[0]
        np.testing.assert_allclose(made[0, 0, 0], inputs[2][0, 0, 0], 1e-5)
        assert not made[0, 0, 1].any()


# -- picking and writing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "shape"), [(0, (3, 2)), (0, (2, 4, 3)), (1, (4, 3, 1)), (2, (4, 3, 2, 1))])
def test_gather_nd(batch: int, shape: tuple[int, ...]) -> None:
    check("GatherND", [real(4, 3, 5, 2), whole(-2, 2, *shape)], batch_dims=batch)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter_nd(reduction: str) -> None:
    places = np.array([[0, 1], [3, -1], [2, 2]])
    check("ScatterND", [real(4, 3, 5), places, real(3, 5)], opset=18, reduction=reduction)


@pytest.mark.parametrize("reduction", ["none", "add", "max"])
def test_scatter_elements(reduction: str) -> None:
    places = np.stack([RNG.permutation(4)[:3] for _ in range(10)], 1).reshape(3, 2, 5)
    places[0] -= 4 * (places[0] > 1)
    check("ScatterElements", [real(4, 2, 5), places, real(3, 2, 5)], opset=18, reduction=reduction, axis=0)


def test_gather_and_one_hot_beyond_the_range() -> None:
    check("Gather", [real(4, 3), whole(-3, 3, 2, 2)], axis=1)
    values = np.array([-1, 5], np.float32)
    inputs = [np.array([-6, -5, -1, 0, 4, 5, 17]), np.array(5), values]
    made = ran(node_model("OneHot", inputs, 1, 21), inputs)[0]
    wanted = np.full((7, 5), -1, np.float32)
    wanted[[1, 2, 3, 4], [0, 4, 0, 4]] = 5
    np.testing.assert_array_equal(made, wanted)


def test_an_output_in_between_is_left_out() -> None:
    """Of an operator that onnx's reference runs."""
    model = parser.parse_model("""
    <ir_version: 9, opset_import: ["" : 18]>
    graph (float[5] x) => (float[N] values, int64[M] y) { values, "", y = Unique (x) }""")
    np.testing.assert_array_equal(ran(model, [np.array([3, 1, 3, 2, 1], np.float32)])[1], [2, 0, 2, 1, 0])


def test_reverse_sequence_and_tensor_scatter() -> None:
    x = real(4, 3, 2)
    check("ReverseSequence", [x, np.array([4, 0, 2])], time_axis=0, batch_axis=1)
    check("ReverseSequence", [x, np.array([3, 1, 2, 0])], time_axis=1, batch_axis=0)
    inputs = [real(2, 3, 5, 4), real(2, 3, 2, 4), np.array([4, 1])]
    check("TensorScatter", inputs, opset=24, mode="circular")


# -- quantized ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_quantize_by_axis(dtype: Any) -> None:
    scale, zero = np.array([0.5, 0.02, 1.5], np.float32), whole(0, 100, 3, dtype=dtype)
    check("QuantizeLinear", [100 * real(2, 3, 4), scale, zero], axis=1)
    check("DequantizeLinear", [whole(0, 100, 2, 3, 4, dtype=dtype), scale, zero], axis=-2)


def test_quantize_in_blocks() -> None:
    scale = np.abs(real(2, 3)) + 0.1
    check("DequantizeLinear", [whole(-100, 100, 2, 6, dtype=np.int8), scale], axis=1, block_size=2)


def test_quantized_products() -> None:
    a, b = whole(0, 255, 3, 4, dtype=np.uint8), whole(-128, 127, 4, 5, dtype=np.int8)
    zeros = np.uint8(7).reshape(()), np.int8(-3).reshape(())
    check("MatMulInteger", [a, b, *zeros])
    scales = [np.array(s, np.float32) for s in (0.02, 0.1, 3.0)]
    quantized = [a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], np.array(100, np.uint8)]
    check("QLinearMatMul", quantized)
