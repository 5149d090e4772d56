"""The engines: one function each, from a model and its inputs to a call.

All compute in float32. Each is given what its own manual recommends for a model that does not change, and each call
gets its inputs without a copy and gives its outputs as the engine has them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

Call = Callable[[], Any]
Inputs = tuple[torch.Tensor, ...]

# Largest difference to PyTorch, of the largest number in the output. Rounding in float32 makes 1e-6 to 1e-5 of it,
# computing in bfloat16 1e-2.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        title: what tables call it.
        packages: whose versions name it.
        start: (model, inputs, threads, folder) -> a call. The first call may compile. PyTorch, and solkit with it, have
            as many threads as torch.set_num_threads said. `folder` keeps files made from this model and these inputs.
    """

    title: str
    packages: tuple[str, ...]
    start: Callable[[torch.nn.Module, Inputs, int, Path], Call]


def _eager(model: torch.nn.Module, inputs: Inputs, _threads: int, _folder: Path) -> Call:
    return lambda: model(*inputs)


def _compile(model: torch.nn.Module, inputs: Inputs, _threads: int, _folder: Path) -> Call:
    """torch.compile with frozen parameters, without which it can neither pack weights nor fold batch norms."""
    torch.compiler.reset()  # or a second batch size would be compiled for all sizes
    compiled = torch.compile(model, dynamic=False, options={"freezing": True})
    return lambda: compiled(*inputs)


def _onnxruntime(model: torch.nn.Module, inputs: Inputs, threads: int, folder: Path) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    path = _onnx_file(model, inputs, folder)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {item.name: x.numpy() for item, x in zip(session.get_inputs(), inputs, strict=True)}
    return lambda: session.run(None, given)


def _onnx_file(model: torch.nn.Module, inputs: Inputs, folder: Path) -> Path:
    """The model as an ONNX file of fixed shapes, made at the first call with this folder."""
    path = folder / "model.onnx"
    if not path.exists():
        torch.onnx.export(model, inputs, path, dynamo=True, verbose=False)
    return path


def _openvino(model: torch.nn.Module, inputs: Inputs, threads: int, _folder: Path) -> Call:
    """By OpenVINO's own conversion from PyTorch: as fast as by way of the ONNX file, or up to 3 % faster."""
    import openvino

    shapes = [tuple(x.shape) for x in inputs]
    converted = openvino.convert_model(model, example_input=inputs, input=shapes)
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # or it computes in bfloat16 on a processor that has it
    }
    request = openvino.Core().compile_model(converted, "CPU", settings).create_infer_request()
    given = [x.numpy() for x in inputs]
    return lambda: request.infer(given, share_inputs=True, share_outputs=True)


def _solkit(model: torch.nn.Module, inputs: Inputs, _threads: int, _folder: Path) -> Call:
    import solkit as sol

    optimized = sol.optimize(model, *inputs)
    return lambda: optimized(*inputs)


ENGINES = {
    "eager": Engine("PyTorch eager", ("torch",), _eager),
    "compile": Engine("torch.compile", ("torch",), _compile),
    "onnxruntime": Engine("ONNX Runtime", ("onnxruntime", "onnx", "onnxscript"), _onnxruntime),
    "openvino": Engine("OpenVINO", ("openvino",), _openvino),
    "solkit": Engine("solkit", ("aurora-labs",), _solkit),
}


def largest_error(result: Any, reference: Any) -> float:
    """Largest difference between an engine's results and PyTorch's, of the largest number in the same output.

    Raises:
        ValueError: there are more or fewer results, or one has another shape.
    """
    mine, theirs = _arrays(result), _arrays(reference)
    if [a.shape for a in mine] != [a.shape for a in theirs]:
        raise ValueError(f"results have the shapes {[a.shape for a in mine]}, PyTorch's {[a.shape for a in theirs]}")
    errors = []
    for a, b in zip(mine, theirs, strict=True):
        largest, difference = np.abs(b).max(), np.abs(a.astype(np.float64) - b).max()
        errors.append(difference / (largest or 1.0))
    return float(np.max(errors))


def _arrays(result: Any) -> list[np.ndarray]:
    leaves = list(result.values()) if isinstance(result, Mapping) else pytree.tree_leaves(result)
    return [np.asarray(leaf) for leaf in leaves]
