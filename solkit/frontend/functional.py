"""An exported program without in-place operations.

`run_decompositions({})` does this for any program by tracing it once more, which takes twice as long as torch.export
itself. What networks write in place is nearly always the result of the layer before (`nn.ReLU(inplace=True)`,
`x += shortcut`), of which no other name is left; such a call is replaced by its functional form, and only a program
with anything else in it is traced again.
"""

from collections.abc import Collection
from typing import Any

import torch
from torch.fx import Node

# Composite operators, which PyTorch's dispatcher takes apart, and whose result is always a tensor of its own. Others
# may hand their input on (`dropout`, `type_as`), whatever their schema says.
_FRESH = frozenset(
    f"aten.{name}"
    for name in (
        "adaptive_avg_pool1d.default",
        "adaptive_avg_pool2d.default",
        "avg_pool1d.default",
        "batch_norm.default",
        "conv1d.default",
        "conv1d.padding",
        "conv2d.default",
        "conv2d.padding",
        "conv_transpose1d.default",
        "conv_transpose2d.input",
        "group_norm.default",
        "layer_norm.default",
        "linear.default",
        "matmul.default",
        "max_pool1d.default",
        "max_pool2d.default",
        "softmax.int",
    )
)

# Second names that PyTorch has for an operator, composite ones that the dispatcher resolves.
_ALIASES = {
    "absolute": "abs",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "ne",
    "subtract": "sub",
    "true_divide": "div",
}


def functional(program: "torch.export.ExportedProgram", known: Collection[str]) -> "torch.export.ExportedProgram":
    """A program of the same results with no operator that changes its arguments.

    Args:
        program: as torch.export makes it. It may be changed.
        known: the composite operators the importer takes as they are; with any other the program is traced again,
            since that may take it apart.
    """
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    for node in calls:
        node.target = _by_first_name(node.target)
        _stays_on_its_device(node)
    # What autocast turns arguments into is written down by the second trace only.
    if not torch.is_autocast_enabled("cpu") and all(_is_plain(node, known) for node in calls) and _replace(calls):
        program.graph.eliminate_dead_code()
        return program
    return program.run_decompositions({})


def _by_first_name(target: Any) -> Any:
    """`aten.sub.Tensor` for `aten.subtract.Tensor`."""
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        return target
    name = target._schema.name.removeprefix("aten::")
    in_place = "_" if name.endswith("_") else ""
    first = _ALIASES.get(name.removesuffix("_"))
    packet = None if first is None else getattr(torch.ops.aten, first + in_place, None)
    return getattr(packet, target._overloadname, target)


def _stays_on_its_device(node: Node) -> None:
    """`aten.to.device`, as torch.export writes a constant, names a device beside the dtype; without it where that is
    the tensor's own."""
    if node.target == torch.ops.aten.to.device and node.args[1:2] == (node.args[0].meta["val"].device,):
        node.target, node.args = torch.ops.aten.to.dtype, (node.args[0], *node.args[2:])


def _is_plain(node: Node, known: Collection[str]) -> bool:
    if getattr(node.target, "__name__", "") == "getitem":
        return True
    if not isinstance(node.target, torch._ops.OpOverload):  # a subgraph under another gradient mode or autocast
        return False
    return str(node.target) in known or not _is_composite(node.target) or _is_written_in_place(node)


def _is_composite(overload: "torch._ops.OpOverload") -> bool:
    return overload.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd)


def _is_written_in_place(node: Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _replace(calls: list[Node]) -> bool:
    """Replace calls that write in place, up to the first that cannot be; whether there is none."""
    order = {node: position for position, node in enumerate(calls[0].graph.nodes)} if calls else {}
    replaced: set[Node] = set()
    for call in filter(_is_written_in_place, calls):
        form, target = _functional_form(call), call.args[0]
        earlier = [user for user in target.users if order[user] < order[call]]
        if form is None or not (target in replaced or _is_fresh(target)) or not all(map(_is_fresh, earlier)):
            return False
        call.target = form
        replaced.add(call)
        # From here on the new content goes by the name of the call alone.
        target.replace_all_uses_with(call, delete_user_cb=lambda user, at=order[call]: order[user] > at)
    return True


def _functional_form(call: Node) -> "torch._ops.OpOverload | None":
    """`aten.relu.default` for `aten.relu_.default`; None where it changes more than its first argument, or where the
    result of the other may have another dtype."""
    schema = call.target._schema
    written = [argument.alias_info is not None and argument.alias_info.is_write for argument in schema.arguments]
    if not schema.name.endswith("_") or written != [True] + [False] * (len(written) - 1):
        return None
    if len({tensor.meta["val"].dtype for tensor in call.all_input_nodes}) > 1:
        return None
    packet = getattr(torch.ops.aten, schema.name.removeprefix("aten::").removesuffix("_"), None)
    form = getattr(packet, call.target._overloadname, None)
    same = form is not None and [a.name for a in form._schema.arguments] == [a.name for a in schema.arguments]
    return form if same and not form._schema.is_mutable else None


def _is_fresh(node: Node) -> bool:
    """Whether a node is a call whose result is memory of its own."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    if _is_composite(node.target):
        return str(node.target) in _FRESH
    return all(result.alias_info is None for result in node.target._schema.returns)
