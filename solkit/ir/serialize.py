"""A graph on disk: JSON for the structure, PyTorch's format for the constants.

Nothing in it is executed when it is read; an operation of PyTorch is kept by its name.
"""

import json
from pathlib import Path
from typing import Any

import torch

from solkit.ir.graph import Graph, Value
from solkit.ir.types import TensorType

_NAMED = {torch.dtype, torch.layout, torch.memory_format}  # shown as "torch.<name>", found again by that name


class Ref(int):
    """Inside the arguments of a `torch` node, the i-th input of the node; among outputs, the i-th of the graph."""


def encode(item: Any) -> Any:
    """Any argument of an operation as JSON.

    Raises:
        TypeError: for what has no form here; the graph is then not kept.
    """
    if isinstance(item, Ref):
        return {"ref": int(item)}
    if item is None or isinstance(item, (bool, int, float, str)):
        return item
    if isinstance(item, (list, tuple)):
        kind = "tuple" if isinstance(item, tuple) else "list"  # torch.fx has list classes of its own
        return {kind: [encode(part) for part in item]}
    if isinstance(item, dict) and all(isinstance(key, str) for key in item):
        return {"dict": {key: encode(part) for key, part in item.items()}}
    if type(item) in _NAMED:
        return {"torch": str(item).removeprefix("torch.")}
    if isinstance(item, torch.device):
        return {"device": str(item)}
    raise TypeError(f"{type(item).__name__} has no form in JSON")


_DECODERS = {
    "ref": Ref,
    "list": lambda item: [decode(part) for part in item],
    "tuple": lambda item: tuple(decode(part) for part in item),
    "dict": lambda item: {key: decode(part) for key, part in item.items()},
    "torch": lambda item: getattr(torch, item),
    "device": torch.device,
}


def decode(item: Any) -> Any:
    """The inverse of `encode`."""
    if not isinstance(item, dict):
        return item
    ((kind, content),) = item.items()
    return _DECODERS[kind](content)


def save(graph: Graph, folder: Path, **extra: Any) -> None:
    """Write the graph, and `extra` beside it, into `folder`.

    Raises:
        TypeError: the graph holds something that has no form in JSON.
    """

    def value(item: Value) -> list:
        return [item.name, list(item.shape), encode(item.type.dtype)]

    document = {
        "inputs": [value(item) for item in graph.inputs],
        "parameters": {name: value(item) for name, item in graph.parameters.items()},
        "constants": {name: value(item) for name, (item, _) in graph.constants.items()},
        "nodes": [
            {
                "op": node.op,
                "inputs": [item.name for item in node.inputs],
                "attributes": encode(node.attributes),
                "layer": node.layer,
                "outputs": [value(item) for item in node.outputs],
            }
            for node in graph.nodes
        ],
        "outputs": [item.name for item in graph.outputs],
        "extra": encode(extra),
    }
    (folder / "graph.json").write_text(json.dumps(document))
    torch.save({name: tensor for name, (_, tensor) in graph.constants.items()}, folder / "constants.pt")


def load(folder: Path) -> tuple[Graph, dict[str, Any]]:
    """The graph that `save` wrote into `folder`, and what stood beside it."""
    document = json.loads((folder / "graph.json").read_text())
    constants = torch.load(folder / "constants.pt", weights_only=True) if document["constants"] else {}
    graph = Graph()

    def kind(item: list) -> TensorType:
        return TensorType(tuple(item[1]), decode(item[2]))

    known: dict[str, Value] = {}
    for item in document["inputs"]:
        known[item[0]] = graph.input(item[0], kind(item))
    for name, item in document["parameters"].items():
        known[item[0]] = graph.parameters[name] = graph.value(item[0], kind(item))
    for name, item in document["constants"].items():
        known[item[0]] = graph.value(item[0], kind(item))
        graph.constants[name] = (known[item[0]], constants[name])
    for item in document["nodes"]:
        inputs = [known[name] for name in item["inputs"]]
        node = graph.node(item["op"], inputs, (), decode(item["attributes"]), item["layer"])
        node.outputs = [graph.value(made[0], kind(made), node) for made in item["outputs"]]
        known.update({made.name: made for made in node.outputs})
    graph.outputs = [known[name] for name in document["outputs"]]
    return graph, decode(document["extra"])
