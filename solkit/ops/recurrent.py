"""Recurrent layers: all time steps of a layer, both directions, as one operator behind the projections of its inputs.

What a cell reads of its input, W_ih x + b_ih, does not depend on the step before, so it is one `linear` over all steps;
what is left is a scan. Equations and the order of gates as in the documentation of nn.LSTM and nn.GRU:

    LSTM  i, f, g, o = gates(x) + W_hh h + b_hh;  c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c)
    GRU   r = sigmoid(gates_r(x) + W_hr h + b_hr), z the same way;  n = tanh(gates_n(x) + r (W_hn h + b_hn));
          h = (1 - z) n + z h

Inputs of both, with N sequences of T steps, D directions, H units, G gates (4 or 3), L layers:

    gates    [T, N, D * G * H], or [N, T, D * G * H] with `batch_first`
    weight   [D * G * H, H]: W_hh of each direction
    h, (c)   [L * D, N, H]: the states before the first step, c of LSTM only
    bias     [D * G * H]: b_hh, if there is one

Attributes: `directions` D, the second of which goes from the last step to the first; `state`, where the layer's states
begin in h and c; `batch_first`. The output is one run of memory [T * N * D * H + states]: the sequence ([T, N, D * H],
or [N, T, D * H]), then the last h and c, [D, N, H] each.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from solkit.ir.types import TensorType
from solkit.ops.operator import Kind, Operator

Types = Sequence[TensorType]
Attributes = dict[str, Any]
States = list[torch.Tensor]
GATES = {"lstm_cell_scan": 4, "gru_cell_scan": 3}


def _lstm_cell(x: torch.Tensor, recurrent: torch.Tensor, states: States) -> States:
    i, f, g, o = (x + recurrent).chunk(4, -1)
    c = torch.sigmoid(f) * states[1] + torch.sigmoid(i) * torch.tanh(g)
    return [torch.sigmoid(o) * torch.tanh(c), c]


def _gru_cell(x: torch.Tensor, recurrent: torch.Tensor, states: States) -> States:
    (xr, xz, xn), (hr, hz, hn) = x.chunk(3, -1), recurrent.chunk(3, -1)
    z = torch.sigmoid(xz + hz)
    return [(1 - z) * torch.tanh(xn + torch.sigmoid(xr + hr) * hn) + z * states[0]]


def _scan(count: int, cell: Callable[[torch.Tensor, torch.Tensor, States], States]) -> Callable:
    """The reference of a cell with `count` states."""

    def reference(inputs: Sequence[torch.Tensor], a: Attributes) -> torch.Tensor:
        gates, weight, *rest = inputs
        before, bias = rest[:count], rest[count:]
        time = 1 if a["batch_first"] else 0
        sequences, last = [], []
        for d in range(a["directions"]):
            states = [state[a["state"] + d] for state in before]
            w, b = weight.chunk(a["directions"])[d], bias[0].chunk(a["directions"])[d] if bias else 0
            steps = list(gates.chunk(a["directions"], -1)[d].unbind(time))
            made = []
            for x in reversed(steps) if d else steps:
                states = cell(x, states[0] @ w.T + b, states)
                made.append(states[0])
            sequences.append(torch.stack(made[::-1] if d else made, time))
            last.append(states)
        finals = [torch.stack(states) for states in zip(*last, strict=True)]
        return torch.cat([part.reshape(-1) for part in (torch.cat(sequences, -1), *finals)])

    return reference


def _row(name: str, states: int, cell: Callable) -> Operator:
    gates = GATES[name]

    def infer(types: Types, a: Attributes) -> TensorType:
        sequence = types[0].size // gates
        return TensorType((sequence + states * a["directions"] * types[2].shape[1] * types[2].shape[2],))

    def flops(types: Types, a: Attributes) -> float:
        """Of one element: multiply-adds with the state before, and about 50 for each sigmoid or tanh and its sums."""
        steps, made = types[0].size // gates, infer(types, a).size
        return (2 * types[1].shape[1] + 25) * gates * steps / made

    return Operator(name, Kind.RECURRENT, infer, _scan(states, cell), flops=flops)


RECURRENT = (_row("lstm_cell_scan", 2, _lstm_cell), _row("gru_cell_scan", 1, _gru_cell))
