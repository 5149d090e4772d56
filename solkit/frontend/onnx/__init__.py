"""ONNX models: read, checked, and run in PyTorch, from where they are captured as any other model."""

from solkit.frontend.onnx import control, elementwise, matrix, recurrent, reduce, resize, shapes, window  # the table
from solkit.frontend.onnx.module import OnnxModule

__all__ = ["OnnxModule", "control", "elementwise", "matrix", "recurrent", "reduce", "resize", "shapes", "window"]
