"""What the inputs and outputs of a deployed network are called: as in the model, and as C can have it."""

import inspect
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from solkit.deploy.header import DTYPES
from solkit.deploy.network import Tensor
from solkit.errors import DeployError
from solkit.example import Example
from solkit.ir import Graph
from solkit.ir.serialize import Ref

MOST_ARRAYS, MOST_DIMS = 64, 8  # of network.h and the header
RESERVED = frozenset({"context", "batch", "given", "made"})  # names in the network's function
# Of C and C++.
KEYWORDS = frozenset(
    {
        "alignas", "alignof", "and", "asm", "auto", "bool", "break", "case", "catch", "char", "class",
        "const", "continue", "default", "delete", "do", "double", "else", "enum", "explicit", "export",
        "extern", "false", "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable",
        "namespace", "new", "not", "operator", "or", "private", "protected", "public", "register",
        "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "template", "this",
        "throw", "true", "try", "typedef", "typename", "union", "unsigned", "using", "virtual", "void",
        "volatile", "while", "xor",
    }
)  # fmt: skip


def tensors_of(
    graph: Graph, model: torch.nn.Module, call: Any, tree: Any, results: list, titles: Any, example: Example
) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs in the order of the graph, each with a name that C can have."""
    places, _ = pytree.tree_flatten_with_path(call)
    given = [(path, i) for i, (path, item) in enumerate(places) if isinstance(item, torch.Tensor)]
    names = titles[0] if titles else [_named(model, path) for path, _ in given]
    batched = [bool(example.batch) and example.batched[i] for _, i in given]
    taken: set[str] = set(RESERVED)
    inputs = [
        Tensor(_in_c(name, taken), value.type.dtype, value.shape, is_batch)
        for name, value, is_batch in zip(names, graph.inputs, batched, strict=True)
    ]
    found = pytree.tree_flatten_with_path(pytree.tree_unflatten(results, tree))[0]
    shown = dict.fromkeys(range(len(graph.outputs)), "output")
    for number, (path, item) in enumerate(found):
        if isinstance(item, Ref):
            keys = "_".join(_key(key) for key in path)
            shown[int(item)] = titles[1][number] if titles else f"output_{keys}" if keys else "output"
    outputs = [
        Tensor(_in_c(shown[number], taken), value.type.dtype, value.shape, bool(example.batch))
        for number, value in enumerate(graph.outputs)
    ]
    for tensor in (*inputs, *outputs):
        if tensor.dtype not in DTYPES or len(tensor.shape) > MOST_DIMS:
            raise DeployError(
                f"{tensor.name!r} is {tensor.dtype} of {len(tensor.shape)} dimensions, which C code cannot take"
            )
    if max(len(inputs), len(outputs)) > MOST_ARRAYS:
        raise DeployError(f"{len(inputs)} inputs and {len(outputs)} outputs: there may be {MOST_ARRAYS} of each")
    return inputs, outputs


def _named(model: torch.nn.Module, path: Sequence[Any]) -> str:
    """An argument of `forward`, with the keys inside it if it is nested."""
    where, key, *inner = path  # of (args, kwargs)
    name = _key(key)
    if _key(where) == "0":
        try:
            parameters = list(inspect.signature(model.forward).parameters.values())
        except ValueError:
            parameters = []
        index = int(name)
        plain = index < len(parameters) and parameters[index].kind is not inspect.Parameter.VAR_POSITIONAL
        name = parameters[index].name if plain else f"input_{index}"
    return "_".join([name, *map(_key, inner)])


def _key(key: Any) -> str:
    return str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key))))


def _in_c(name: str, taken: set[str]) -> str:
    """`name` as C can have it, and unlike those taken."""
    made = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "tensor"
    made = f"tensor_{made}" if made[0].isdigit() or made in KEYWORDS or made in RESERVED else made
    found = next(n for n in (made, *(f"{made}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)
    taken.add(found)
    return found
