"""Calls that PyTorch would have to run, in compiled code where there is a kernel for them."""

from solkit.codegen.typed import FUNCTIONS, is_compiled
from solkit.ir import Graph
from solkit.target import Target


def compile_calls(graph: Graph, target: Target) -> None:
    """Let each `torch` node for which `codegen.typed` has a kernel be a `typed` one, with the same attributes.

    Attribute `elementwise`: it computes each element by itself, and may become one loop with others.
    """
    for node in graph.nodes:
        if node.op == "torch" and is_compiled(node):
            node.op = "typed"
            elementwise = node.attributes["target"] in FUNCTIONS
            node.attributes = {**node.attributes, "random": False, "elementwise": elementwise}
