"""Keras models: as a torch.nn.Module where Keras computes with PyTorch, through ONNX where it computes with TensorFlow.

With the torch backend a Keras model is a torch.nn.Module, but one that torch.export does not see through: its layers
read their weights from variables of Keras, past the parameters that torch.export replaces, so that weights would
become constants; and whether it trains is an argument of the call, not a flag of the module. `KerasModule` has the very
tensors of these variables as parameters and hands them to Keras at each call.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from solkit.errors import InputError, ModelError, first_line
from solkit.inputs import Input
from solkit.module import SolModule
from solkit.optimize import optimize_module


def optimize_keras(
    model: Any, args: Sequence[Any], kwargs: dict[str, Any], vdims: Any = None, batch_size: int | None = None
) -> SolModule:
    """Compile a Keras model.

    Args:
        model: a keras.Model or Layer, of the torch or the TensorFlow backend.
        args, kwargs: example inputs, tensors, NumPy arrays or `sol.input`. None are needed for a model that declares
            them (keras.Input).
        vdims, batch_size: as `sol.optimize` takes them.
    Returns:
        A module that is called as the model is and gives what `model(x, training=False)` gives: torch tensors with the
        torch backend; with TensorFlow, NumPy arrays for arrays and torch tensors for tensors.
    Raises:
        ModelError: the model computes with another backend, changes its variables when it is called, or cannot be
            exported to ONNX.
        SolError: as `sol.optimize`.
    """
    if isinstance(model, (KerasModule, KerasSolModule)):
        model = model.keras_model
    kwargs = {name: value for name, value in kwargs.items() if name != "training"}
    if not args and not kwargs:
        args = _declared(model)
    backend = _backend()
    if backend == "tensorflow":
        return _through_onnx(model, args, kwargs, vdims, batch_size)
    if backend != "torch":
        raise ModelError(
            f"the Keras model {model.name!r} computes with {backend}: solkit takes those of the backends torch and "
            "tensorflow; model.save() it, set KERAS_BACKEND=torch and load it"
        )
    if not model.built:
        _called(model, args, kwargs, torch.as_tensor)
    stateful = [layer.name for layer in model._flatten_layers() if getattr(layer, "stateful", False)]
    if stateful:
        raise ModelError(
            f"the layer {stateful[0]!r} of {model.name!r} keeps its state from call to call, and compiled code keeps "
            "none: make it with stateful=False and pass initial_state"
        )
    module = KerasModule(model)
    args, kwargs = module.converted(tuple(args), kwargs)
    return KerasSolModule(module, optimize_module(module, args, kwargs, vdims, batch_size))


def is_keras(model: Any) -> bool:
    """Whether this is a Keras model or layer, of any backend, or was optimized from one. Keras is not imported."""
    keras = sys.modules.get("keras")
    layer = getattr(keras, "Layer", None) or getattr(getattr(keras, "layers", None), "Layer", ())
    return isinstance(model, (layer, KerasModule, KerasSolModule))


def _backend() -> str:
    import keras

    return keras.backend.backend()


def _declared(model: Any) -> tuple[Any, ...]:
    import keras

    if not getattr(model, "inputs", None):
        raise InputError(f"the Keras model {model.name!r} does not declare its inputs: pass example inputs")

    def described(item: Any) -> Input:
        return Input(tuple(size or 0 for size in item.shape), getattr(torch, item.dtype))

    given = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return (keras.tree.map_structure(described, given),)


def _called(model: Any, args: Sequence[Any], kwargs: dict[str, Any], kind: Any) -> None:
    """Call the model once: Keras makes some models' weights, and learns what their inputs are, from a call.

    Args:
        kind: what it takes: torch.as_tensor or np.asarray.
    """

    def real(item: Any) -> Any:
        if isinstance(item, Input):
            item = torch.zeros([size or 1 for size in item.shape], dtype=item.dtype)
        return kind(item) if isinstance(item, (torch.Tensor, np.ndarray)) else item

    args, kwargs = pytree.tree_map(real, (tuple(args), kwargs))
    try:
        with torch.no_grad():
            model(*args, **kwargs, training=False)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"Keras cannot call {model.name!r} with inputs like these: {reason}") from error


# -- the torch backend ----------------------------------------------------------------------------------------------


class KerasModule(torch.nn.Module):
    """A Keras model whose parameters are those of Keras' variables, under their paths: `sequential/dense/kernel`.

    Args:
        keras_model: built, of the torch backend.
    """

    def __init__(self, keras_model: Any) -> None:
        super().__init__()
        self.__dict__["keras_model"] = keras_model  # no submodule: it has the same parameters, under other names
        self._variables: list[tuple[Any, str]] = []
        for variable in keras_model.variables:
            name = variable.path.replace(".", "_")
            while name in self._parameters:
                name += "_"
            self.register_parameter(name, variable._value)
            self._variables.append((variable, name))
        self.eval()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["keras_model"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the Keras model gives.

        Raises:
            ModelError: it changes a variable, as a stateful RNN does.
        """
        import keras

        given = [(variable, self._parameters[name]) for variable, name in self._variables]
        with _WithoutCopies(), keras.StatelessScope(state_mapping=given) as scope:
            made = self.keras_model(*args, **kwargs, training=self.training)
        if self.training:
            return made
        before = {id(variable): tensor for variable, tensor in given}
        if any(before.get(key) is not value for key, value in scope.state_mapping.items()):
            raise ModelError(
                f"the Keras model {self.keras_model.name!r} changes a variable when it is called; compiled code keeps "
                "no state: take it as an input and return it"
            )
        return made

    def converted(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """Inputs as Keras converts them: arrays become tensors, all of the type that the model declares or computes
        with.

        Raises:
            InputError: an array of a type that PyTorch does not have.
        """
        model = self.keras_model
        declared = [item.dtype for item in getattr(model, "inputs", None) or ()]
        leaves, tree = pytree.tree_flatten((args, kwargs))
        tensors = [i for i, leaf in enumerate(leaves) if isinstance(leaf, (torch.Tensor, np.ndarray, np.generic))]
        for place, index in enumerate(tensors):
            tensor = _tensor(leaves[index])
            if len(declared) == len(tensors):
                tensor = tensor.to(getattr(torch, declared[place]))
            elif tensor.is_floating_point() and model.autocast:
                tensor = tensor.to(getattr(torch, model.input_dtype))
            leaves[index] = tensor
        return pytree.tree_unflatten(leaves, tree)

    def described_for_cache(self) -> str:
        """What the model is made of; its parameters are described by others.

        Raises:
            ValueError: it has code of the user's own, which no description covers.
        """
        import keras

        for layer in self.keras_model._flatten_layers():
            if type(layer).__module__.split(".")[0] != "keras" or isinstance(layer, keras.layers.Lambda):
                raise ValueError(f"{layer.name} is of the class {type(layer).__name__}")
        config = keras.saving.serialize_keras_object(self.keras_model)
        return json.dumps([keras.__version__, config], sort_keys=True, default=repr)


class KerasSolModule(SolModule):
    """A compiled Keras model. It is called as the Keras model is; `training=True` runs that in PyTorch."""

    def __init__(self, model: KerasModule, made: SolModule) -> None:
        super().__init__(model, made._first, made._shapes)

    def forward(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """What `model(*args, training=False)` gives, as torch tensors.

        Args:
            args: tensors or NumPy arrays.
            training: as Keras takes it.
        Raises:
            SolError: as `SolModule.forward`.
        """
        model = self.__dict__["_model"]
        if training:
            return model.keras_model(*args, **kwargs, training=True)
        args, kwargs = model.converted(args, kwargs)
        return super().forward(*args, **kwargs)


class _WithoutCopies(TorchFunctionMode):
    """Leaves out conversions to what a tensor is already. Keras asks for one at each step, and each would be three
    nodes of a traced graph."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.to and not set(kwargs) - {"dtype", "device"}:
            tensor, *wanted = args
            wanted = [*wanted, *kwargs.values()]
            if all(item in (None, tensor.dtype, tensor.device) or item == str(tensor.device) for item in wanted):
                return tensor
        return func(*args, **kwargs)


def _tensor(value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "biufc" or not array.dtype.isnative:
        raise InputError(f"an input is an array of {array.dtype}, which PyTorch cannot take: convert it")
    return torch.from_numpy(np.array(array) if not array.flags.writeable or min((*array.strides, 0)) < 0 else array)


# -- the TensorFlow backend -----------------------------------------------------------------------------------------


def _through_onnx(model: Any, args: Sequence[Any], kwargs: dict[str, Any], vdims: Any, batch_size: int | None) -> Any:
    from solkit.frontend.onnx import OnnxModule, optimize_onnx

    if kwargs:
        raise InputError(
            f"Keras models of the TensorFlow backend are called with inputs by position, not {list(kwargs)}"
        )
    _called(model, args, {}, np.asarray)
    with tempfile.TemporaryDirectory(prefix="keras-") as folder:
        path = Path(folder) / "model.onnx"
        try:
            model.export(path, format="onnx", verbose=False)
        except ImportError as error:
            raise ModelError(
                f"Keras exports to ONNX by tf2onnx: pip install 'aurora-labs[tensorflow]' ({error})"
            ) from error
        except Exception as error:
            raise ModelError(
                f"Keras cannot export {model.name!r} to ONNX: {first_line(error)}; KERAS_BACKEND=torch needs no export"
            ) from error
        module = OnnxModule(path)
    flat = pytree.tree_leaves(tuple(args))
    return optimize_onnx(module, flat, {}, vdims, batch_size)
