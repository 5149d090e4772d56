"""ONNX operators that multiply matrices: Gemm, MatMul, Einsum, and their quantized forms."""

from typing import Any

import torch
import torch.nn.functional as F

from solkit.frontend.onnx.table import TORCH, Call, operator

Tensor = torch.Tensor


@operator("MatMul")
def matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b)


@operator("Gemm")
def gemm(call: Call, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    a = a.transpose(0, 1) if call.get("transA", 0) else a
    if alpha == 1.0 and beta == 1.0 and call.get("transB", 0) and c is not None and c.dim() == 1:
        return F.linear(a, b, c)
    made = torch.matmul(a, b.transpose(0, 1) if call.get("transB", 0) else b)
    made = made if alpha == 1.0 else (alpha * made).to(made.dtype)
    if c is None:
        return made
    return made + (c if beta == 1.0 else (beta * c).to(made.dtype))


@operator("Einsum")
def einsum(call: Call, *inputs: Tensor) -> Tensor:
    return torch.einsum(call["equation"], *inputs)


@operator("Det")
def det(call: Call, x: Tensor) -> Tensor:
    return torch.linalg.det(x)


@operator("MatMulInteger")
def matmul_integer(call: Call, a: Tensor, b: Tensor, a_zero: Any = None, b_zero: Any = None) -> Tensor:
    """Whole numbers up to 2**31 are exact in float64."""
    left, right = _centred(a, a_zero, -2 if a.dim() > 1 else None), _centred(b, b_zero, -1 if b.dim() > 1 else None)
    return torch.matmul(left.to(torch.float64), right.to(torch.float64)).to(torch.int32)


def _centred(x: Tensor, zero: Tensor | None, axis: int | None) -> Tensor:
    """`x` - `zero` in int32; `zero` is one number, or one for each row along `axis`."""
    x = x.to(torch.int32)
    if zero is None:
        return x
    zero = zero.to(torch.int32)
    if zero.dim() == 1 and zero.numel() > 1 and axis is not None:
        shape = [1] * x.dim()
        shape[axis] = -1
        zero = zero.reshape(shape)
    return x - zero


@operator("ConvInteger")
def conv_integer(call: Call, x: Tensor, w: Tensor, x_zero: Any = None, w_zero: Any = None) -> Tensor:
    from solkit.frontend.onnx.window import conv

    return conv(call, _centred(x, x_zero, None).double(), _centred(w, w_zero, 0).double()).to(torch.int32)


# -- quantization ---------------------------------------------------------------------------------------------------


def _spread(call: Call, x: Tensor, numbers: Tensor, axis: int) -> Tensor:
    """A scale or zero point as `x` needs it: one number, one for each row along the axis, or one for each block."""
    if numbers.dim() == 0 or numbers.numel() == 1:
        return numbers.reshape([1] * x.dim()) if numbers.dim() else numbers
    if numbers.dim() == 1:
        return numbers.reshape([-1 if i == axis % x.dim() else 1 for i in range(x.dim())])
    block = call.get("block_size", 0)
    return numbers.repeat_interleave(block, axis).narrow(axis, 0, x.shape[axis])


@operator("DequantizeLinear")
def dequantize_linear(call: Call, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    axis = call.get("axis", 1)
    number = x.to(torch.float32)
    if zero is not None:
        number = number - _spread(call, x, zero, axis).to(torch.float32)
    made = number * _spread(call, x, scale, axis).to(torch.float32)
    return made.to(TORCH[call["output_dtype"]] if call.get("output_dtype", 0) else scale.dtype)


@operator("QuantizeLinear")
def quantize_linear(call: Call, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    dtype = zero.dtype if zero is not None else TORCH[call.get("output_dtype", 0) or 2]
    axis = call.get("axis", 1)
    made = torch.round(x.to(torch.float32) / _spread(call, x, scale, axis).to(torch.float32))
    if zero is not None:
        made = made + _spread(call, x, zero, axis).to(torch.float32)
    bounds = torch.iinfo(dtype)
    return made.clamp(bounds.min, bounds.max).to(dtype)


@operator("DynamicQuantizeLinear")
def dynamic_quantize_linear(call: Call, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """To uint8, so that 0 stays exact."""
    low, high = torch.clamp(x.min(), max=0), torch.clamp(x.max(), min=0)
    scale = (high - low) / 255
    zero = torch.round(-low / scale).clamp(0, 255)
    return (torch.round(x / scale) + zero).clamp(0, 255).to(torch.uint8), scale, zero.to(torch.uint8)


def _rescaled(total: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    bounds = torch.iinfo(zero.dtype)
    return (torch.round(total * scale) + zero.to(total.dtype)).clamp(bounds.min, bounds.max).to(zero.dtype)


@operator("QLinearMatMul")
def qlinear_matmul(call: Call, a: Any, a_s: Any, a_z: Any, b: Any, b_s: Any, b_z: Any, y_s: Any, y_z: Any) -> Tensor:
    total = torch.matmul(_centred(a, a_z, -2).double(), _centred(b, b_z, -1).double())
    return _rescaled(total, a_s.double() * b_s.double() / y_s.double(), y_z)


@operator("QLinearConv")
def qlinear_conv(
    call: Call, x: Any, x_s: Any, x_z: Any, w: Any, w_s: Any, w_z: Any, y_s: Any, y_z: Any, bias: Any = None
) -> Tensor:
    from solkit.frontend.onnx.window import conv

    total = conv(call, _centred(x, x_z, None).double(), _centred(w, w_z, 0).double())
    row = [1, -1, *[1] * (x.dim() - 2)]
    total = total if bias is None else total + bias.double().reshape(row)
    scale = x_s.double() * (w_s.double().reshape(row) if w_s.numel() > 1 else w_s.double()) / y_s.double()
    return _rescaled(total, scale, y_z)
