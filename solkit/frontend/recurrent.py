"""nn.LSTM and nn.GRU: per layer a `linear` for the inputs of all steps and both directions, then a scan."""

from typing import TYPE_CHECKING, Any

from torch.fx import Node as FxNode

from solkit.frontend.build import build
from solkit.ir import TensorType, Value

if TYPE_CHECKING:
    from solkit.frontend.torch import _Importer


def lstm(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> list[Value] | None:
    """aten.lstm.input: the sequence, h_n and c_n. With projections (proj_size) it is left to PyTorch."""
    hidden, cell = a["hx"]
    if hidden.meta["val"].shape != cell.meta["val"].shape:
        return None
    return _layers(importer, fx, a, "lstm_cell_scan", [hidden, cell])


def gru(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> list[Value] | None:
    """aten.gru.input: the sequence and h_n."""
    return _layers(importer, fx, a, "gru_cell_scan", [a["hx"]])


def _layers(importer: "_Importer", fx: FxNode, a: dict[str, Any], op: str, states: list[FxNode]) -> list[Value] | None:
    x, parameters = importer._value(a["input"]), [importer._value(item) for item in a["params"]]
    if not importer.are_weights(parameters) or (a["train"] and a["dropout"]):
        return None
    before = [importer._value(state) for state in states]
    directions, own = 1 + a["bidirectional"], 2 + 2 * a["has_biases"]
    finals: list[list[Value]] = []
    for layer in range(a["num_layers"]):
        first = layer * directions
        # Of each direction: W_ih, W_hh, and b_ih, b_hh if there are biases.
        members = zip(*(parameters[(first + d) * own : (first + d + 1) * own] for d in range(directions)), strict=True)
        w_ih, w_hh, *biases = (_joined(importer, list(member), fx.name) for member in members)
        gates = build(importer, "linear", [x, w_ih, *biases[:1]], {}, f"{fx.name}_gates")
        attributes = {"directions": directions, "state": first, "batch_first": a["batch_first"]}
        made = build(importer, op, [gates, w_hh, *before, *biases[1:]], attributes, fx.name)
        shape = (directions, *before[0].shape[1:])
        x, *last = _parts(importer, made, [(*x.shape[:2], directions * shape[-1]), *[shape] * len(before)])
        finals.append(last)
    return [x, *(_joined(importer, list(state), fx.name) for state in zip(*finals, strict=True))]


def _joined(importer: "_Importer", values: list[Value], name: str) -> Value:
    return values[0] if len(values) == 1 else build(importer, "cat", values, {"dim": 0}, name)


def _parts(importer: "_Importer", whole: Value, shapes: list[tuple[int, ...]]) -> list[Value]:
    """Tensors of these shapes that lie one behind the other in `whole`."""
    made, offset = [], 0
    for shape in shapes:
        kind = TensorType(shape)
        strides, step = [], 1
        for size in reversed(shape):
            strides.insert(0, step)
            step *= size
        attributes = {"shape": shape, "strides": tuple(strides), "offset": offset}
        made.append(build(importer, "strided", [whole], attributes, whole.name))
        offset += kind.size
    return made
