"""What `sol.optimize` gives back for an ONNX model."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from solkit.config import log
from solkit.frontend.onnx import calling, reference
from solkit.frontend.onnx.module import OnnxModule
from solkit.inputs import Input
from solkit.module import SolModule
from solkit.optimize import optimize_module
from solkit.shapes import MOST_SHAPES

FEW = 16  # numbers of an input of floating point that may be scales or bounds


def optimize_onnx(
    model: OnnxModule, args: Sequence[Any], kwargs: Mapping[str, Any], vdims: Any = None, batch_size: int | None = None
) -> "OnnxSolModule":
    """Compile an ONNX model.

    Inputs whose numbers decide shapes or branches (the `shape` of a Reshape) become part of the program, and another
    program is made when they change. Named dimensions vary, unless `vdims` says otherwise.

    Args:
        args, kwargs: example inputs, tensors, arrays or `sol.input`; none at all where the model declares enough.
        vdims, batch_size: as `sol.optimize` takes them.
    Raises:
        SolError: as `sol.optimize`.
    """
    model, given, vdims = example_call(model, args, kwargs, vdims)
    made = optimize_module(model, tuple(given), {}, vdims, batch_size)
    return OnnxSolModule(model, made, vdims, batch_size)


def example_call(
    model: OnnxModule, args: Sequence[Any], kwargs: Mapping[str, Any], vdims: Any
) -> tuple[OnnxModule, list[Any], Any]:
    """The model with the numbers of its deciding inputs fixed, its inputs in order, and what varies."""
    declared = bool(model.inputs) and not args and not kwargs
    given = calling.declared(model) if declared else calling.in_order(model, args, kwargs)
    if not any(isinstance(item, Input) for item in given):
        given = calling.tensors(model, given)[0]
        if any(map(_may_decide, given)):
            model = model.with_decided(model.deciding(given))
    if vdims is None and any(calling.varying(model)):
        vdims = calling.varying(model)
    return model, given, vdims


def _may_decide(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or tensor.numel() <= FEW


class OnnxSolModule(SolModule):
    """A compiled ONNX model. It is called with its inputs by position or by name; for NumPy arrays it gives arrays."""

    def __init__(self, model: OnnxModule, made: SolModule, vdims: Any, batch_size: int | None) -> None:
        super().__init__(model, made._first, made._shapes)
        self.__dict__.update(_options=(vdims, batch_size), _variants={}, _making=threading.Lock())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's outputs, one or a tuple, in the graph's order.

        Raises:
            InputError: a name, shape or dtype that the model does not take.
            SolError: as `SolModule.forward`.
        """
        model = self.__dict__["_model"]
        given, arrays = calling.tensors(model, calling.in_order(model, args, kwargs))
        made = self._variant(model, given) if model.decided else super().forward(*given)
        return pytree.tree_map_only(torch.Tensor, reference.to_numpy, made) if arrays else made

    def _variant(self, model: OnnxModule, given: list[torch.Tensor]) -> Any:
        """The outputs by the program for these numbers, which is made when they are first seen."""
        values = dict(zip(model.inputs, given, strict=True))
        decided = {name: reference.to_numpy(values[name]) for name in model.decided}
        if all(map(np.array_equal, decided.values(), model.decided.values())):
            return super().forward(*given)
        key = tuple((value.shape, value.tobytes()) for value in decided.values())
        with self._making:
            variants = self._variants
            if key not in variants:
                log.info("a program is made for other values of %s", ", ".join(decided))
                other = model.with_decided({})
                variants[key] = optimize_onnx(other, given, {}, *self._options)
                if len(variants) > MOST_SHAPES:
                    del variants[next(iter(variants))]
            return variants[key](*given)

    def __reduce__(self) -> tuple:
        signature = self._first.signature if self._shapes is None else self._shapes.signature
        return _rebuild, (self.__dict__["_model"], signature.example()[0], *self._options), {"training": self.training}


def _rebuild(model: OnnxModule, example: Sequence[torch.Tensor], vdims: Any, batch_size: int | None) -> OnnxSolModule:
    given = [
        torch.from_numpy(model.decided[name].copy()) if name in model.decided else tensor
        for name, tensor in zip(model.inputs, example, strict=True)
    ]
    return optimize_onnx(model, given, {}, vdims, batch_size)
