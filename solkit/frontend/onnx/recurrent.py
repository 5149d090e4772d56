"""ONNX's LSTM, GRU and RNN. Where they are PyTorch's, they are PyTorch's; else they run step by step."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from solkit.frontend.onnx import limits
from solkit.frontend.onnx.table import Call, operator

Tensor = torch.Tensor
ACTIVATIONS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "affine": lambda x, a, b: a * x + b,
    "elu": lambda x, a, b: F.elu(x, a),
    "hardsigmoid": lambda x, a, b: torch.clamp(a * x + b, 0, 1),
    "leakyrelu": lambda x, a, b: F.leaky_relu(x, a),
    "relu": lambda x, a, b: torch.relu(x),
    "scaledtanh": lambda x, a, b: a * torch.tanh(b * x),
    "sigmoid": lambda x, a, b: torch.sigmoid(x),
    "softplus": lambda x, a, b: F.softplus(x),
    "softsign": lambda x, a, b: F.softsign(x),
    "tanh": lambda x, a, b: torch.tanh(x),
    "thresholdedrelu": lambda x, a, b: torch.where(x > a, x, torch.zeros_like(x)),
}
DEFAULTS = {"elu": (1.0, 0.0), "hardsigmoid": (0.2, 0.5), "leakyrelu": (0.01, 0.0), "thresholdedrelu": (1.0, 0.0)}


class _Cell:
    """What the three have in common: directions, activations, lengths, layout."""

    def __init__(self, call: Call, gates: int, usual: Sequence[str], x: Tensor, lengths: Tensor | None) -> None:
        self.call, self.gates, self.hidden = call, gates, call["hidden_size"]
        self.direction = call.get("direction", "forward")
        self.directions = 2 if self.direction == "bidirectional" else 1
        self.batch_first = bool(call.get("layout", 0))
        self.x = x.transpose(0, 1) if self.batch_first else x
        names = [name.lower() for name in call.get("activations") or list(usual) * self.directions]
        alphas, betas = iter(call.get("activation_alpha") or ()), iter(call.get("activation_beta") or ())
        self.functions = []
        for name in names:
            a, b = DEFAULTS.get(name, (1.0, 0.0))
            if name in ("affine", "elu", "hardsigmoid", "leakyrelu", "scaledtanh", "thresholdedrelu"):
                a = next(alphas, a)
            if name in ("affine", "hardsigmoid", "scaledtanh"):
                b = next(betas, b)
            self.functions.append(lambda value, f=ACTIVATIONS[name], a=a, b=b: f(value, a, b))
        self.usual = names == list(usual) * self.directions and not call.get("clip") and lengths is None
        self.lengths = lengths

    def start(self, given: Tensor | None) -> Tensor:
        """The state before the first step: [directions, N, hidden]."""
        if given is None:
            return torch.zeros(self.directions, self.x.shape[1], self.hidden, dtype=self.x.dtype)
        return given.transpose(0, 1) if self.batch_first else given

    def clip(self, value: Tensor) -> Tensor:
        limit = self.call.get("clip")
        return value.clamp(-limit, limit) if limit else value

    def steps(self, step: Callable, states: list[Tensor]) -> tuple[Any, ...]:
        """Y and the last states, each direction by itself.

        Args:
            step: (direction, x at a time, states) -> new states, the first of them the output.
        """
        outputs, ends = [], []
        count = self.x.shape[0]
        limits.check_count(count)
        for d in range(self.directions):
            backwards = self.direction == "reverse" or d == 1
            now = [state[d] for state in states]
            made: list[Any] = [None] * count
            for t in reversed(range(count)) if backwards else range(count):
                limits.step()
                new = step(d, self.x[t], now)
                if self.lengths is not None:
                    inside = (t < self.lengths).reshape(-1, 1)
                    made[t] = torch.where(inside, new[0], torch.zeros_like(new[0]))
                    new = [torch.where(inside, n, old) for n, old in zip(new, now, strict=True)]
                else:
                    made[t] = new[0]
                now = new
            outputs.append(torch.stack(made))
            ends.append(now)
        y = torch.stack(outputs, 1)
        return self.arranged(y, [torch.stack(parts) for parts in zip(*ends, strict=True)])

    def arranged(self, y: Tensor, states: list[Tensor]) -> tuple[Any, ...]:
        """Y [T, directions, N, hidden] and states in the layout that is asked for."""
        if self.batch_first:
            y, states = y.permute(2, 0, 1, 3), [state.transpose(0, 1) for state in states]
        return (y, *states)[: self.call.outputs]

    def in_pytorch(self, function: Callable, order: list[int], states: Any, w: Tensor, r: Tensor, b: Any) -> tuple:
        """PyTorch's own layer; its gates stand in another order."""
        weights = []
        for d in range(self.directions):
            parts = [_reordered(w[d], order), _reordered(r[d], order)]
            if b is not None:
                parts += [_reordered(half, order) for half in b[d].chunk(2)]
            weights += parts
        x = self.x.flip(0) if self.direction == "reverse" else self.x
        both = self.directions == 2
        y, *ends = function(x, states, weights, b is not None, 1, 0.0, False, both, False)
        y = y.reshape(*y.shape[:2], self.directions, self.hidden).transpose(1, 2)
        return self.arranged(y.flip(0) if self.direction == "reverse" else y, ends)


def _reordered(rows: Tensor, order: list[int]) -> Tensor:
    gates = rows.chunk(len(order))
    return torch.cat([gates[i] for i in order])


@operator("LSTM")
def lstm(
    call: Call,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Any = None,
    lengths: Any = None,
    h: Any = None,
    c: Any = None,
    p: Any = None,
) -> Any:
    """Gates in the order input, output, forget, cell; `p` are peepholes."""
    cell = _Cell(call, 4, ("sigmoid", "tanh", "tanh"), x, lengths)
    states = [cell.start(h), cell.start(c)]
    if cell.usual and p is None and not call.get("input_forget", 0):
        return cell.in_pytorch(torch.lstm, [0, 2, 3, 1], states, w, r, b)

    def step(d: int, at: Tensor, now: list[Tensor]) -> list[Tensor]:
        f, g, out = cell.functions[3 * d : 3 * d + 3]
        total = at @ w[d].T + now[0] @ r[d].T
        total = total if b is None else total + b[d].chunk(2)[0] + b[d].chunk(2)[1]
        i, o, forget, new = total.chunk(4, -1)
        peep_i, peep_o, peep_f = (0.0, 0.0, 0.0) if p is None else p[d].chunk(3)
        i = f(cell.clip(i + peep_i * now[1]))
        forget = 1 - i if call.get("input_forget", 0) else f(cell.clip(forget + peep_f * now[1]))
        held = forget * now[1] + i * g(cell.clip(new))
        return [f(cell.clip(o + peep_o * held)) * out(held), held]

    return cell.steps(step, states)


@operator("GRU")
def gru(call: Call, x: Tensor, w: Tensor, r: Tensor, b: Any = None, lengths: Any = None, h: Any = None) -> Any:
    """Gates in the order update, reset, hidden."""
    cell = _Cell(call, 3, ("sigmoid", "tanh"), x, lengths)
    states = [cell.start(h)]
    after = bool(call.get("linear_before_reset", 0))
    if cell.usual and after:
        return cell.in_pytorch(torch.gru, [1, 0, 2], states[0], w, r, b)

    def step(d: int, at: Tensor, now: list[Tensor]) -> list[Tensor]:
        f, g = cell.functions[2 * d : 2 * d + 2]
        wb, rb = (torch.zeros_like(w[d][:, 0]),) * 2 if b is None else b[d].chunk(2)
        wz, wr, wh = (at @ w[d].T + wb).chunk(3, -1)
        (rz, rr, rh), (bz, br, bh) = r[d].chunk(3), rb.chunk(3)
        z = f(cell.clip(wz + now[0] @ rz.T + bz))
        reset = f(cell.clip(wr + now[0] @ rr.T + br))
        inner = reset * (now[0] @ rh.T + bh) if after else (reset * now[0]) @ rh.T + bh
        return [(1 - z) * g(cell.clip(wh + inner)) + z * now[0]]

    return cell.steps(step, states)


@operator("RNN")
def rnn(call: Call, x: Tensor, w: Tensor, r: Tensor, b: Any = None, lengths: Any = None, h: Any = None) -> Any:
    cell = _Cell(call, 1, ("tanh",), x, lengths)

    def step(d: int, at: Tensor, now: list[Tensor]) -> list[Tensor]:
        total = at @ w[d].T + now[0] @ r[d].T
        total = total if b is None else total + b[d].chunk(2)[0] + b[d].chunk(2)[1]
        return [cell.functions[d](cell.clip(total))]

    return cell.steps(step, [cell.start(h)])
