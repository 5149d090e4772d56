"""ONNX operators on signals. A discrete Fourier transform is a product with a matrix of cosines and sines."""

from typing import Any

import numpy as np
import torch

from solkit.frontend.onnx import reference
from solkit.frontend.onnx.table import Call, operator

Tensor = torch.Tensor
LONGEST = 2048  # of a transform by a matrix; beyond it FFT, whose work does not grow with the square, is left to onnx


def _table(count: int, length: int, out: int, parts: int, backwards: bool) -> np.ndarray:
    """The matrix [count, parts, out, 2] that transforms `count` numbers (`parts` 1: real ones, 2: complex ones) of a
    signal of `length` into the first `out` frequencies, or backwards."""
    turns = np.arange(count)[:, None] * np.arange(out) % length * 4  # of a quarter each, so that 0 and 1 are exact
    quarter, rest = turns // length, turns % length
    angle = rest * (np.pi / 2 / length)
    cos, sin = np.cos(angle), np.sin(angle)
    cos, sin = np.choose(quarter, [cos, -sin, -cos, sin]), np.choose(quarter, [sin, cos, -sin, -cos])
    sign = 1 if backwards else -1
    made = np.stack([np.stack([cos, sign * sin], -1), np.stack([-sign * sin, cos], -1)], 1)
    return made[:, :parts] / (length if backwards else 1)


def _transformed(x: Tensor, axis: int, length: int, backwards: bool, onesided: bool) -> Tensor:
    """`x`, with real and imaginary parts on its last axis, transformed along `axis` as a signal of `length`.

    One-sided transforms leave out what follows from the rest, as the signal is real: backwards the result is real.
    """
    x = x.narrow(axis, 0, min(length, x.shape[axis])).movedim(axis, -2)
    count, parts = x.shape[-2:]
    if onesided and backwards:
        count = min(count, length // 2 + 1)
        x = x.narrow(-2, 0, count)
        matrix = _table(count, length, length, parts, True)[..., :1]
        matrix[1 : (length + 1) // 2] *= 2  # for the half that is left out
    else:
        matrix = _table(count, length, length // 2 + 1 if onesided else length, parts, backwards)
    out, kinds = matrix.shape[-2:]
    weights = torch.from_numpy(matrix.reshape(count * parts, out * kinds)).to(x.dtype)
    made = torch.matmul(x.reshape(*x.shape[:-2], count * parts), weights)
    return made.reshape(*x.shape[:-2], out, kinds).movedim(-2, axis)


@operator("DFT")
def dft(call: Call, x: Tensor, length: Tensor | None = None, axis: Tensor | None = None) -> Any:
    """The axis is an attribute before opset 20."""
    chosen = call.ints("axis", 2, (x, length, axis), -2 if call.opset >= 20 else 1)
    chosen = (chosen if isinstance(chosen, int) else chosen[0]) % x.dim()
    backwards, onesided = bool(call.get("inverse", 0)), bool(call.get("onesided", 0))
    size = x.shape[chosen]
    usual = 2 * (size - 1) if backwards and onesided else size
    wanted = usual if length is None else int(call.numbers(1, length)[0])
    if not 0 < wanted <= LONGEST:
        return reference.row(call.node, call.opset)(call, x, length, axis)
    return _transformed(x, chosen, wanted, backwards, onesided)


@operator("STFT")
def stft(call: Call, x: Tensor, step: Tensor, window: Tensor | None = None, length: Tensor | None = None) -> Any:
    """[N, T, 1 or 2] -> [N, frames, frequencies, 2]."""
    hop = int(call.numbers(1, step)[0])
    size = x.shape[1] if window is None else window.shape[0]
    size = size if length is None else int(call.numbers(3, length)[0])
    if not 0 < size <= LONGEST or hop < 1 or x.dim() != 3 or (window is not None and window.shape[0] != size):
        return reference.row(call.node, call.opset)(call, x, step, window, length)
    starts = torch.arange(0, x.shape[1] - size + 1, hop)
    places = (starts.reshape(-1, 1) + torch.arange(size)).reshape(-1)
    frames = x.index_select(1, places).reshape(x.shape[0], len(starts), size, x.shape[2])
    if window is not None:
        frames = frames * window.reshape(-1, 1)
    return _transformed(frames, 2, size, False, bool(call.get("onesided", 1)))
