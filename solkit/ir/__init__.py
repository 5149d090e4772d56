"""The one intermediate representation: a graph of nodes over typed values."""

from solkit.ir.graph import Graph, Node, Value
from solkit.ir.types import BLOCKED, PLAIN, Layout, TensorType, contiguous
from solkit.ir.verify import verify

__all__ = ["BLOCKED", "PLAIN", "Graph", "Layout", "Node", "TensorType", "Value", "contiguous", "verify"]
