"""Recurrent layers whose weights are not known ahead, or are not float32: a sequence and direction at a time.

Equations and the order of gates as in the documentation of nn.LSTM, nn.GRU and nn.RNN; see also ops/recurrent.py.
"""

from collections.abc import Callable

from solkit.codegen.kernel import plus
from solkit.codegen.typed.call import Call
from solkit.codegen.typed.loops import TypedKernel, tasks
from solkit.codegen.typed.numbers import Number, number
from solkit.ir import Value

MOST_UNITS = 4096  # of a cell: its gates stay on the stack

# Takes the number and the number of units; the lines of one unit j, of `in` and `from` (what a gate reads of the input
# and of the state before), which set `made`, and for LSTM c[j].
Cell = Callable[[Number, int], list[str]]


def _lstm_cell(n: Number, units: int) -> list[str]:
    sigmoid, tanh = n.helper("sigmoid"), n.function("tanh")
    i, f, g, o = (f"in[j + {gate * units}] + from[j + {gate * units}]" for gate in range(4))
    return [
        f"c[j] = {n.rounded(f'({sigmoid}({f}) * c[j] + {sigmoid}({i}) * {tanh}({g}))')};",
        f"const {n.value} made = {sigmoid}({o}) * {tanh}(c[j]);",
    ]


def _gru_cell(n: Number, units: int) -> list[str]:
    sigmoid, tanh = n.helper("sigmoid"), n.function("tanh")
    z = f"{sigmoid}(in[j + {units}] + from[j + {units}])"
    new = f"{tanh}(in[j + {2 * units}] + {sigmoid}(in[j] + from[j]) * from[j + {2 * units}])"
    return [f"const {n.value} z = {z};", f"const {n.value} made = (1 - z) * {new} + z * h[j];"]


def _rnn_cell(activation: str) -> Cell:
    def cell(n: Number, units: int) -> list[str]:
        total = "(in[j] + from[j])"
        made = f"{n.function('tanh')}{total}" if activation == "tanh" else f"({total} < 0 ? 0 : {total})"
        return [f"const {n.value} made = {made};"]

    return cell


def _layer(gates: int, cell: Cell) -> Callable[[Call], TypedKernel]:
    def emit(call: Call) -> TypedKernel:
        kernel, x, states = TypedKernel(), call.tensor("input"), call["hx"]
        states = [states] if isinstance(states, Value) else list(states)
        parameters, kind = call.tensors("params"), number(x.type.dtype)
        directions, own = 1 + call["bidirectional"], 2 + 2 * call["has_biases"]
        units, width = states[0].shape[-1], x.shape[-1]
        Call.need(kind.floating and len(x.shape) == 3 and call["num_layers"] == 1 and units <= MOST_UNITS)
        Call.need(len(parameters) == directions * own and all(s.shape == states[0].shape for s in states))
        Call.need(all(value.type.dtype == x.type.dtype for value in (*states, *parameters)))
        first = call["batch_first"]
        steps, batch = x.shape[1 if first else 0], x.shape[0 if first else 1]
        source, weights = kernel.read(x), [kernel.read(value) for value in parameters]
        before, targets = [kernel.read(state) for state in states], [kernel.write(value) for value in call.outputs]
        along, across = (1, steps) if first else (batch, 1)  # rows from one step, and from one sequence, to the next
        with tasks(
            kernel, (directions, batch), {"d": (1, 0), "n": (0, 1)}, steps * gates * units * (width + units)
        ) as at:
            kernel.line(f"const int64_t d = {at['d']}, n = {at['n']}, own = (d * {batch} + n) * {units};")
            c, rows = kind.value, gates * units
            kernel.line(f"{c} h[{units}], c[{units}], next[{units}], in[{rows}], from[{rows}];")
            for name, state in zip(("h", "c"), before, strict=False):
                kernel.line(f"for (int64_t j = 0; j < {units}; j++) {name}[j] = {kind.at(state, 'own + j')};")
            chosen = []
            for which in range(own):
                names = [weights[d * own + which] for d in range(directions)]
                storage = f"const {kind.storage} *const p{which}"
                kernel.line(f"{storage} = {names[0] if directions == 1 else f'd ? {names[1]} : {names[0]}'};")
                chosen.append(f"p{which}")
            kernel.open(f"for (int64_t s = 0; s < {steps}; s++)")
            kernel.line(f"const int64_t row = (d ? {steps - 1} - s : s) * {along} + n * {across};")
            _gates(
                kernel,
                kind,
                rows,
                width,
                "in",
                chosen[0],
                chosen[2:3],
                lambda j: kind.at(source, f"row * {width} + {j}"),
            )
            _gates(kernel, kind, rows, units, "from", chosen[1], chosen[3:4], lambda j: f"h[{j}]")
            kernel.open(f"for (int64_t j = 0; j < {units}; j++)")
            for line in cell(kind, units):
                kernel.line(line)
            kernel.line(f"next[j] = {kind.rounded('made')};")
            place = plus(f"(row * {directions} + d) * {units}", "j")
            kernel.line(kind.put(targets[0], place, "next[j]"))
            kernel.close()
            kernel.line(f"for (int64_t j = 0; j < {units}; j++) h[j] = next[j];")
            kernel.close()
            for name, target in zip(("h", "c"), targets[1:], strict=False):
                kernel.line(f"for (int64_t j = 0; j < {units}; j++) {kind.put(target, 'own + j', f'{name}[j]')}")
        return kernel

    return emit


def _gates(
    kernel: TypedKernel,
    kind: Number,
    rows: int,
    width: int,
    name: str,
    weight: str,
    bias: list[str],
    element: Callable[[str], str],
) -> None:
    """A matrix times a vector, and a bias."""
    kernel.open(f"for (int64_t r = 0; r < {rows}; r++)")
    kernel.line(f"{kind.value} sum = {kind.at(bias[0], 'r') if bias else '0'};")
    product = f"{kind.at(weight, f'r * {width} + j')} * {element('j')}"
    kernel.line(f"for (int64_t j = 0; j < {width}; j++) sum += {product};")
    kernel.line(f"{name}[r] = sum;")
    kernel.close()


RECURRENT = {
    "aten.lstm.input": _layer(4, _lstm_cell),
    "aten.gru.input": _layer(3, _gru_cell),
    "aten.rnn_tanh.input": _layer(1, _rnn_cell("tanh")),
    "aten.rnn_relu.input": _layer(1, _rnn_cell("relu")),
}
