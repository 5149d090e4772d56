"""solkit as a backend of ONNX's own tests: a fixed sample. `python -m benchmarks.onnx_backend` runs all of them."""

import warnings
from functools import cache

import numpy as np
import pytest
from onnx import helper

import solkit as sol
from benchmarks import onnx_backend
from solkit import backend
from solkit.errors import InputError, ModelError

SAMPLE = {
    "node": [
        *("abs", "add_bcast", "add_uint16", "argmax_keepdims_random", "attention_4d_gqa_causal"),
        *("attention_local_window", "averagepool_2d_ceil", "batchnorm_epsilon", "cast_FLOAT_to_FLOAT8E4M3FN"),
        *("castlike_FLOAT_to_BFLOAT16_expanded", "conv_with_strides_and_asymmetric_padding", "convtranspose_group_2"),
        *("cumsum_1d_reverse_exclusive", "depthtospace_crd_mode_example", "dequantizelinear_int4", "dft"),
        *("dropout_default_mask", "dynamicquantizelinear", "einsum_batch_matmul", "gather_negative_indices"),
        *("gathernd_example_int32_batch_dim1", "gemm_all_attributes", "gridsample_bicubic"),
        *("group_normalization_epsilon", "gru_with_initial_bias", "if_seq", "isinf_negative"),
        *("layer_normalization_3d_axis1_epsilon", "logsoftmax_large_number", "loop11", "lrn", "lstm_with_peepholes"),
        *("matmulinteger", "maxpool_2d_dilations", "momentum", "nonmaxsuppression_two_classes"),
        *("onehot_with_negative_axis", "pow_types_float32_int64", "qlinearconv", "quantizelinear_axis"),
        *("reduce_log_sum_exp_keepdims_random", "reshape_negative_extended_dims", "resize_downsample_scales_cubic"),
        *("reversesequence_batch", "rotary_embedding_interleaved", "scan9_sum", "scan_sum", "scatternd_add"),
        *("slice_neg_steps", "stft_with_window", "string_concat", "top_k_smallest", "tril_neg", "where_long_example"),
    ],
    "simple": ["gradient_of_add_and_mul", "sequence_model4"],
    "pytorch-converted": ["PReLU_2d_multiparam", "BatchNorm3d_eval"],
    "pytorch-operator": ["operator_addmm", "operator_permute2"],
}


@cache
def _numbers(group: str) -> dict[str, int]:
    """The number of each test of a group, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # infinities in onnx's own data
        return {case.name: index for index, case in enumerate(onnx_backend.cases(group))}


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, names in SAMPLE.items() for name in names])
def test_of_onnx(monkeypatch: pytest.MonkeyPatch, group: str, name: str) -> None:
    monkeypatch.setitem(sol.config, "autotuning", "off")
    outcome = onnx_backend.run_test(group, _numbers(group)[f"test_{name}"])
    assert outcome.passed, outcome.reason


def test_one_node() -> None:
    node = helper.make_node("Slice", ["x", "starts", "ends"], ["y"])
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    (made,) = backend.SolBackend.run_node(node, [x, np.array([1]), np.array([3])])
    np.testing.assert_array_equal(made, x[1:3])


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ModelError, match="Nothing"):
        backend.SolBackend.run_node(helper.make_node("Nothing", ["x"], ["y"]), [np.zeros(3)])
    model = backend.node_model(helper.make_node("Abs", ["x"], ["y"]), [np.zeros(3, np.float32)], 18)
    assert backend.is_compatible(model)
    with pytest.raises(InputError, match="CPU"):
        backend.prepare(model, "CUDA")
