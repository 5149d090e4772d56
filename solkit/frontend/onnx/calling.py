"""The arguments of a call of an ONNX model: by position or by name, tensors or NumPy arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from solkit.errors import InputError
from solkit.frontend.onnx.module import OnnxModule
from solkit.inputs import Input


def in_order(model: OnnxModule, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The inputs in the graph's order.

    Raises:
        InputError: a name that the model does not have or that is given twice, too many inputs, or too few.
    """
    if len(args) > len(model.inputs):
        raise InputError(f"the model takes {_named(model)}, and got {len(args)}")
    found = dict(zip(model.inputs, args, strict=False))
    for name, value in kwargs.items():
        if name not in model.inputs:
            raise InputError(f"the model has no input {name!r}; it takes {_named(model)}")
        if name in found:
            raise InputError(f"the input {name!r} is given twice, by position and by name")
        found[name] = value
    missing = [name for name in model.inputs if name not in found]
    if missing:
        raise InputError(f"the model takes {_named(model)}; {', '.join(map(repr, missing))} is missing")
    return [found[name] for name in model.inputs]


def _named(model: OnnxModule) -> str:
    count = len(model.inputs)
    return f"{count} input{'' if count == 1 else 's'}{' ' if count else ''}{', '.join(map(repr, model.inputs))}"


def tensors(model: OnnxModule, values: Sequence[Any]) -> tuple[list[torch.Tensor], bool]:
    """Inputs as tensors, and whether any of them was an array.

    Raises:
        InputError: one is neither, or of another dtype or shape than the model declares.
    """
    made, arrays = [], False
    sizes: dict[str, tuple[int, str]] = {}  # of the named dimensions, and where they were seen
    for name, value, shape, dtype in zip(model.inputs, values, model.shapes, model.dtypes, strict=True):
        if isinstance(value, (np.ndarray, np.generic)):
            arrays = True
            value = _from_array(name, np.asarray(value))
        if not isinstance(value, torch.Tensor):
            raise InputError(f"the input {name!r} is a {type(value).__name__}: pass a NumPy array or a torch.Tensor")
        if dtype is not None and value.dtype != dtype:
            raise InputError(f"the input {name!r} is {value.dtype}, and the model takes {dtype}: convert it")
        if shape is not None:
            _check_shape(name, tuple(value.shape), shape, sizes)
        made.append(value)
    return made, arrays


def _from_array(name: str, array: np.ndarray) -> torch.Tensor:
    if not array.dtype.isnative or array.dtype.kind in "OSUV":
        raise InputError(f"the input {name!r} is an array of {array.dtype}, which PyTorch cannot take")
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)


def _check_shape(name: str, shape: tuple[int, ...], declared: list, sizes: dict[str, tuple[int, str]]) -> None:
    if len(shape) != len(declared):
        raise InputError(f"the input {name!r} is {list(shape)}, and the model declares {_shown(declared)}")
    for size, wanted in zip(shape, declared, strict=True):
        if isinstance(wanted, int) and size != wanted:
            raise InputError(f"the input {name!r} is {list(shape)}, and the model declares {_shown(declared)}")
        if isinstance(wanted, str):
            seen, where = sizes.setdefault(wanted, (size, name))
            if seen != size:
                raise InputError(f"the dimension {wanted!r} is {seen} in the input {where!r} and {size} in {name!r}")


def _shown(declared: list) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in declared)}]"


def declared(model: OnnxModule) -> list[Input]:
    """The inputs as the model declares them, a size of 0 where it names it or says nothing.

    Raises:
        InputError: the model does not say enough: pass example inputs.
    """
    found = []
    for name, shape, dtype in zip(model.inputs, model.shapes, model.dtypes, strict=True):
        if shape is None or dtype is None:
            raise InputError(f"the model does not declare the shape or type of its input {name!r}: pass example inputs")
        found.append(Input(tuple(size if isinstance(size, int) else 0 for size in shape), dtype))
    return found


def varying(model: OnnxModule) -> list[tuple[int, ...]]:
    """For each input, the dimensions that the model does not fix."""
    return [tuple(i for i, s in enumerate(shape or ()) if not isinstance(s, int)) for shape in model.shapes]
