"""torch.nn.Module -> ir.Graph, through torch.export.

The exported program is ATen, made to work without in-place operations. Each call becomes the operator of our
table that names it; every other call becomes a `torch` node, which PyTorch runs.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node as FxNode
from torch.utils import _pytree as pytree

from solkit.errors import InputError, ModelError, first_line
from solkit.frontend.activations import ACTIVATIONS
from solkit.frontend.attention import attention
from solkit.frontend.convolution import conv1d, conv_transpose1d, conv_transpose2d
from solkit.frontend.functional import functional
from solkit.frontend.matmul import MATRIX
from solkit.frontend.modes import annotated, evaluating
from solkit.frontend.recurrent import gru, lstm
from solkit.frontend.resize import RESIZE
from solkit.frontend.rows import LOWERED, LOWERED_WITH_NUMBERS
from solkit.frontend.views import SPLITS, VIEWS, views_of
from solkit.ir import Graph, TensorType, Value
from solkit.ir.serialize import Ref
from solkit.ops import BY_ATEN, Kind, Operator
from solkit.ops.operator import pair


def capture(model: torch.nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[Graph, Any, list[Any]]:
    """Capture `model` in evaluation mode, for inputs of these shapes and dtypes.

    Returns:
        The graph; the tree the outputs are put back into; and the flat outputs, each an index into `graph.outputs`
        wrapped in `Ref`, or a plain Python value that the model always returns.
    Raises:
        ModelError: torch.export cannot capture it, or it does what solkit cannot do (changes a buffer or an input).
        InputError: PyTorch cannot run it either.
    """
    with evaluating(model), warnings.catch_warnings(), torch.no_grad(), annotated():
        warnings.simplefilter("ignore")
        try:
            # strict=False traces by running the Python code: nothing of it is left out or interpreted.
            program = functional(torch.export.export(model, args, kwargs, strict=False), KNOWN)
        except Exception as error:
            try:
                model(*args, **kwargs)
            except Exception as wrong:
                listed = ". Pass inputs one by one, sol.optimize(model, x), not in a list" if _lists(args) else ""
                raise InputError(
                    f"PyTorch cannot run {type(model).__name__} on inputs like these: {first_line(wrong)}{listed}"
                ) from wrong
            raise ModelError(
                f"{type(model).__name__} cannot be captured as one graph: {first_line(error)}\n"
                "torch.export.export(model, inputs) shows where. Usual causes: Python control flow that depends on a "
                "tensor's values, or numpy inside forward."
            ) from error
    signature = program.graph_signature
    changed = [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
    if changed:
        raise ModelError(
            f"{type(model).__name__}.forward changes {', '.join(map(repr, changed))} in evaluation mode; solkit runs "
            "models whose call changes nothing but its result"
        )
    return _Importer(program).run()


def _lists(args: tuple) -> bool:
    """Whether the inputs may have been meant as a list of inputs, as later versions of SOL take them."""
    return len(args) == 1 and isinstance(args[0], (list, tuple))


class _Importer:
    """One exported program on its way into a graph."""

    def __init__(self, program: "torch.export.ExportedProgram") -> None:
        self.program = program
        self.graph = Graph()
        self.values: dict[FxNode, Value | list[Value]] = {}
        self.layer = ""

    def run(self) -> tuple[Graph, Any, list[Any]]:
        specs = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs if hasattr(spec.arg, "name")}
        for fx in self.program.graph.nodes:
            if fx.op == "placeholder":
                self._placeholder(fx, specs[fx.name])
            elif fx.op == "call_function":
                self._call(fx)
        outputs = []
        for spec in self.program.graph_signature.output_specs:
            name = getattr(spec.arg, "name", "")
            if not name or not hasattr(spec.arg, "name") or type(spec.arg).__name__ == "ConstantArgument":
                outputs.append(getattr(spec.arg, "value", None))
                continue
            fx = next(node for node in self.program.graph.nodes if node.name == name)
            outputs.append(Ref(len(self.graph.outputs)))
            self.graph.outputs.append(self._value(fx))
        return self.graph, self.program.call_spec.out_spec, outputs

    def _placeholder(self, fx: FxNode, spec: Any) -> None:
        kind = spec.kind.name
        if kind == "USER_INPUT":
            # A number among the inputs is specialised by torch.export: it has no tensor and nobody reads it.
            if isinstance(fx.meta.get("val"), torch.Tensor):
                self.values[fx] = self.graph.input(fx.name, _type(fx.meta["val"]))
        elif kind in ("PARAMETER", "BUFFER"):
            if fx.users:
                self.values[fx] = self.graph.parameter(spec.target, _type(fx.meta["val"]))
        elif kind == "CONSTANT_TENSOR":
            self.values[fx] = self.graph.constant(fx.name, self.program.constants[spec.target].detach().clone())
        else:
            raise ModelError(f"the input {fx.name!r} is a {kind.lower().replace('_', ' ')}, which solkit cannot run")

    def _call(self, fx: FxNode) -> None:
        self.layer = _layer(fx)
        name = str(fx.target)
        if fx.target.__name__ == "getitem":
            made = self.values[fx.args[0]]
            self.values[fx] = made[fx.args[1]] if isinstance(made, list) else made
            return
        if name.startswith(("aten._assert", "aten.sym_")) and not fx.users:
            return
        if not isinstance(fx.target, torch._ops.OpOverload):
            raise ModelError(f"the layer {self.layer or 'model'!r} uses {name}, which solkit cannot run yet")
        made = [item for item in pytree.tree_leaves(fx.meta.get("val")) if isinstance(item, torch.Tensor)]
        if not all(isinstance(size, int) for tensor in made for size in tensor.shape):
            raise ModelError(
                f"the layer {self.layer or 'model'!r} uses {name}, whose result has a size that depends on the values "
                "in a tensor, and the graph of a model has fixed sizes: compute it outside of the model"
            )
        value = self._known(fx, name)
        self.values[fx] = self._torch(fx) if value is None else value

    def _known(self, fx: FxNode, name: str) -> Value | None:
        """The value of a call that our table knows; None where PyTorch has to run it."""
        arguments = _arguments(fx)
        if name == "aten.scaled_dot_product_attention.default":  # its mask may be boolean
            return attention(self, fx, arguments)
        if name in LOWERED_WITH_NUMBERS:
            return LOWERED_WITH_NUMBERS[name](self, fx, arguments)
        if name in ANY_TYPE and _same_type(fx):
            return SPECIAL[name](self, fx, arguments)
        if not _all_float32([fx, *fx.all_input_nodes]):
            return None
        if name in SPECIAL:
            return SPECIAL[name](self, fx, arguments)
        row = BY_ATEN.get(name)
        if row is None:
            return None
        operands, attributes = self._split(row, arguments)
        if operands is None or not row.accepts(attributes):
            return None
        if row.kind in (Kind.WINDOW, Kind.DNN) and row.name != "linear" and len(operands[0].shape) != 4:
            return None  # an image without a batch: rare enough to leave to PyTorch
        if row.kind is Kind.DNN and not self.are_weights(operands[1:]):
            return None
        return self.emit(fx, row.name, operands, attributes)

    def _split(self, row: Operator, arguments: dict[str, Any]) -> tuple[list[Value] | None, dict[str, Any]]:
        """Operands (tensors, and numbers that stand where a tensor may) and attributes (the rest)."""
        operands, attributes = [], {}
        arity = _arity(row)
        for position, (name, argument) in enumerate(arguments.items()):
            if isinstance(argument, FxNode):
                operands.append(self._value(argument))
            elif position < arity:
                if not isinstance(argument, (int, float)):
                    return None, {}
                operands.append(self.scalar(float(argument)))
            elif name != "bias":  # an optional tensor that is not there
                attributes[name] = argument
        return operands, attributes

    def emit(self, fx: FxNode, op: str, inputs: list[Value], attributes: dict[str, Any] | None = None) -> Value:
        return self.graph.node(op, inputs, [_type(fx.meta["val"])], attributes, self.layer, fx.name).output

    def are_weights(self, values: list[Value]) -> bool:
        """Whether these depend on parameters and constants alone: matrix kernels read weights packed ahead."""
        if all(value.producer is None and value not in self.graph.inputs for value in values):
            return True  # as nearly always
        return self.graph.weight_values().issuperset(values)

    def scalar(self, value: float) -> Value:
        return self.graph.node("scalar", [], [TensorType(())], {"value": value}, self.layer, "scalar").output

    def _value(self, fx: FxNode) -> Value:
        value = self.values[fx]
        if isinstance(value, list):
            raise ModelError(f"{fx.name!r} in layer {self.layer!r} is several tensors where one is needed")
        return value

    def _torch(self, fx: FxNode) -> Value | list[Value]:
        """A node that PyTorch runs: attributes `target`, `args`, `kwargs` (tensors as `Ref`), `random`."""
        inputs: list[Value] = []

        def ref(argument: Any) -> Any:
            if isinstance(argument, FxNode):
                inputs.append(self._value(argument))
                return Ref(len(inputs) - 1)
            return argument

        args, kwargs = pytree.tree_map_only(FxNode, ref, (list(fx.args), dict(fx.kwargs)))
        made = fx.meta.get("val")
        several = isinstance(made, (tuple, list))
        results = list(made) if several else [made]
        if not all(isinstance(result, torch.Tensor) for result in results):
            raise ModelError(
                f"{fx.target} in layer {self.layer or 'model'!r} gives a number or nothing at all, and the graph of a "
                "model may depend on tensors only"
            )
        attributes = {
            "target": str(fx.target),
            "args": args,
            "kwargs": kwargs,
            "random": torch.Tag.nondeterministic_seeded in fx.target.tags,
            "several": several,
        }
        node = self.graph.node("torch", inputs, map(_type, results), attributes, self.layer, fx.name)
        return list(node.outputs) if several else node.output


def _same_type(fx: FxNode) -> bool:
    """Whether a call gives a tensor of the type of its first argument, with elements in it."""
    made, given = fx.meta.get("val"), fx.args[0].meta.get("val") if isinstance(fx.args[0], FxNode) else None
    tensors = isinstance(made, torch.Tensor) and isinstance(given, torch.Tensor)
    return tensors and made.dtype == given.dtype and made.layout == given.layout == torch.strided and made.numel() > 0


def _type(tensor: torch.Tensor) -> TensorType:
    return TensorType(tuple(int(size) for size in tensor.shape), tensor.dtype)


def _layer(fx: FxNode) -> str:
    """Dotted name of the innermost module the call came from."""
    stack = fx.meta.get("nn_module_stack") or {}
    return next(reversed([path for path, _ in stack.values()]), "")


def _all_float32(nodes: list[FxNode]) -> bool:
    """Whether all these tensors are what our kernels take. An operator's further results (the saved statistics of
    batch norm) do not count, and tensors without elements are left to PyTorch."""
    values = [node.meta.get("val") for node in nodes]
    firsts = [value[0] if isinstance(value, (tuple, list)) else value for value in values]
    return all(
        isinstance(v, torch.Tensor) and v.dtype == torch.float32 and v.layout == torch.strided and v.numel() > 0
        for v in firsts
    )


def _arguments(fx: FxNode) -> dict[str, Any]:
    """Arguments by the names of the ATen schema, defaults filled in."""
    found = {}
    for position, argument in enumerate(fx.target._schema.arguments):
        if position < len(fx.args):
            found[argument.name] = fx.args[position]
        elif argument.name in fx.kwargs:
            found[argument.name] = fx.kwargs[argument.name]
        else:
            found[argument.name] = argument.default_value if argument.has_default_value() else None
    return found


def _arity(row: Operator) -> int:
    """How many operands an element-wise operator has: the highest {n} of its expression."""
    if row.kind is not Kind.ELEMENTWISE or not isinstance(row.expression, str):
        return 1
    return 2 if "{1}" in row.expression else 1


# -- calls that need more than a row of the table -------------------------------------------------------------------


def _batch_norm(importer: _Importer, fx: FxNode, a: dict[str, Any]) -> Value | None:
    if a.get("training"):
        return None
    made = pytree.tree_leaves(fx.meta["val"])[0]  # one of the two operators gives statistics too
    channels = made.shape[1]
    ones = a["weight"] is None and importer.graph.constant("ones", torch.ones(channels, dtype=torch.float32))
    zeros = a["bias"] is None and importer.graph.constant("zeros", torch.zeros(channels, dtype=torch.float32))
    inputs = [
        importer._value(a["input"]),
        ones or importer._value(a["weight"]),
        zeros or importer._value(a["bias"]),
        importer._value(a["running_mean"]),
        importer._value(a["running_var"]),
    ]
    if not importer.are_weights(inputs[1:]):
        return None
    return importer.graph.node("batch_norm", inputs, [_type(made)], {"eps": a["eps"]}, importer.layer, fx.name).output


def _reshape(importer: _Importer, fx: FxNode, a: dict[str, Any]) -> Value:
    return importer.emit(fx, "reshape", [importer._value(a["self"])], {"shape": tuple(fx.meta["val"].shape)})


def _view(importer: _Importer, fx: FxNode, a: dict[str, Any]) -> Value | list[Value]:
    x, name = importer._value(fx.args[0]), str(fx.target)
    rest = [a[argument.name] for argument in fx.target._schema.arguments[1:] if not argument.kwarg_only]
    if name == "aten.expand_as.default":
        name, rest = "aten.expand.default", [list(fx.meta["val"].shape)]
    made = views_of(importer.graph, x, name, rest, importer.layer, fx.name)
    return made if name in SPLITS else made[0]


def _cat(importer: _Importer, fx: FxNode, a: dict[str, Any]) -> Value:
    tensors = [importer._value(part) for part in a["tensors"]]
    return importer.emit(fx, "cat", tensors, {"dim": a["dim"] % len(tensors[0].shape)})


def _identity(importer: _Importer, fx: FxNode, a: dict[str, Any]) -> Value:
    return importer.emit(fx, "identity", [importer._value(fx.args[0])])


def _dropout(importer: _Importer, fx: FxNode, a: dict[str, Any]) -> Value | None:
    return None if a["train"] else importer.emit(fx, "dropout", [importer._value(a["input"])])


def _conv2d(importer: _Importer, fx: FxNode, a: dict[str, Any]) -> Value | None:
    attributes = {name: a[name] for name in ("stride", "padding", "dilation", "groups")}
    return _convolution(importer, fx, a, attributes)


def _convolution(importer: _Importer, fx: FxNode, a: dict[str, Any], attributes: dict[str, Any]) -> Value | None:
    x, *weights = (importer._value(a[name]) for name in ("input", "weight", "bias") if a[name] is not None)
    if len(x.shape) != 4 or not importer.are_weights(weights):
        return None
    depthwise = 1 < attributes["groups"] == x.shape[1] == weights[0].shape[0]
    return importer.emit(fx, "depthwise_conv2d" if depthwise else "conv2d", [x, *weights], attributes)


def _conv2d_same(importer: _Importer, fx: FxNode, a: dict[str, Any]) -> Value | None:
    """padding="same" or "valid" in numbers; an even kernel pads one side more, which is left to PyTorch."""
    kernel = a["weight"].meta["val"].shape[2:]
    reach = [d * (k - 1) if a["padding"] == "same" else 0 for d, k in zip(pair(a["dilation"]), kernel, strict=True)]
    if any(r % 2 for r in reach):
        return None
    attributes = {name: a[name] for name in ("stride", "dilation", "groups")}
    return _convolution(importer, fx, a, {**attributes, "padding": [r // 2 for r in reach]})


RESHAPES = (
    "aten.view.default",
    "aten.reshape.default",
    "aten._unsafe_view.default",
    "aten.flatten.using_ints",
    "aten.unflatten.int",
    "aten.unsqueeze.default",
    "aten.squeeze.default",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
)
COPIES = (
    "aten.clone.default",
    "aten.alias.default",
    "aten.detach.default",
    "aten.contiguous.default",
    "aten.lift_fresh_copy.default",
    "aten.to.dtype",
    "aten._to_copy.default",
    "aten.type_as.default",
)
ANY_TYPE = frozenset((*RESHAPES, *COPIES))  # these move no number, so its type does not matter

SPECIAL: dict[str, Callable[[_Importer, FxNode, dict[str, Any]], Value | None]] = {
    "aten.batch_norm.default": _batch_norm,
    "aten._native_batch_norm_legit_no_training.default": _batch_norm,
    "aten.conv2d.default": _conv2d,
    "aten.conv2d.padding": _conv2d_same,
    "aten.conv_transpose2d.input": conv_transpose2d,
    **dict.fromkeys(("aten.conv1d.default", "aten.conv1d.padding"), conv1d),
    "aten.conv_transpose1d.default": conv_transpose1d,
    **RESIZE,
    "aten.cat.default": _cat,
    **dict.fromkeys((*VIEWS, *SPLITS), _view),
    **LOWERED,
    **ACTIVATIONS,
    **MATRIX,
    "aten.lstm.input": lstm,
    "aten.gru.input": gru,
    "aten.dropout.default": _dropout,
    **dict.fromkeys(RESHAPES, _reshape),
    **dict.fromkeys(COPIES, _identity),
}

# Calls of these are taken as they are; `_known` may still leave one to PyTorch.
KNOWN = frozenset((*SPECIAL, *LOWERED_WITH_NUMBERS, *BY_ATEN, "aten.scaled_dot_product_attention.default"))
