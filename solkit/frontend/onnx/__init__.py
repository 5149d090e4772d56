"""ONNX models: read, checked, and run in PyTorch, from where they are captured as any other model."""

# Importing these enters their rows into the table.
from solkit.frontend.onnx import attention as attention
from solkit.frontend.onnx import control as control
from solkit.frontend.onnx import elementwise as elementwise
from solkit.frontend.onnx import matrix as matrix
from solkit.frontend.onnx import recurrent as recurrent
from solkit.frontend.onnx import reduce as reduce
from solkit.frontend.onnx import resize as resize
from solkit.frontend.onnx import sequence as sequence
from solkit.frontend.onnx import shapes as shapes
from solkit.frontend.onnx import signal as signal
from solkit.frontend.onnx import vision as vision
from solkit.frontend.onnx import window as window
from solkit.frontend.onnx.module import OnnxModule
from solkit.frontend.onnx.optimized import OnnxSolModule, optimize_onnx

__all__ = ["OnnxModule", "OnnxSolModule", "optimize_onnx"]
