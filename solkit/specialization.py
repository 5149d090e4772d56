"""A model compiled for one signature of its inputs: code, and the weights packed for it."""

import threading
from typing import Any

import torch
from torch.utils import _pytree as pytree

from solkit.errors import ModelError
from solkit.explain import Profile
from solkit.inputs import Signature
from solkit.ir.serialize import Ref
from solkit.runtime.engine import Engine
from solkit.runtime.weights import Weights

# Held while a model is captured, for torch.export then puts fake tensors in the place of its parameters, and while
# somebody reads them.
CAPTURING = threading.RLock()


class Specialization:
    """What `sol.optimize` makes of a model for inputs of one signature.

    Args:
        signature: shapes and dtypes of the inputs.
        engine: runs the code.
        tree: what the flat results are put back into.
        results: the flat results, each a Ref into those of the engine, or a Python value the model always returns.
    Attributes:
        profile: the last one measured; None before.
        used: when it was last called, counted in calls.
    """

    def __init__(self, signature: Signature, engine: Engine, tree: Any, results: list[Any]) -> None:
        self.signature, self.engine, self.tree, self.results = signature, engine, tree, results
        self.profile: Profile | None = None
        self.used = 0
        self._bound: tuple[tuple, Weights] | None = None  # a state of the parameters, and the weights packed for it

    def unflatten(self, results: list[torch.Tensor]) -> Any:
        """The engine's results as the model returns them."""
        flat = [results[item] if isinstance(item, Ref) else item for item in self.results]
        return pytree.tree_unflatten(flat, self.tree)

    def weights(self, model: torch.nn.Module, state: tuple) -> Weights:
        """The packed weights, made anew if `state` (of `Watch.look`) is another one than the last time.

        Raises:
            ModelError: a parameter is gone, or is of another shape or dtype than when the model was optimized.
        """
        bound = self._bound
        if bound is None or bound[0] != state:
            with CAPTURING:
                bound = self._bound
                if bound is None or bound[0] != state:  # another thread may have packed them meanwhile
                    bound = self._bound = (state, self.engine.bind(self.parameters(model)))
        return bound[1]

    def refresh(self) -> None:
        """Pack the weights again at the next call."""
        self._bound = None

    def parameters(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        """The parameters and buffers that the graph reads, by name.

        Raises:
            ModelError: as for `weights`.
        """
        found = {}
        for name, value in self.engine.graph.parameters.items():
            tensor = find_tensor(model, name)
            if tensor is None:
                raise ModelError(
                    f"the parameter {name!r} is gone since the model was optimized: call sol.optimize again"
                )
            if tuple(tensor.shape) != value.shape or tensor.dtype != value.type.dtype or tensor.device.type != "cpu":
                raise ModelError(
                    f"the parameter {name!r} is now {tensor.dtype} {list(tensor.shape)} on {tensor.device}, and was "
                    f"{value.type.dtype} {list(value.shape)} on cpu when the model was optimized: call sol.optimize "
                    "again"
                )
            found[name] = tensor
        return found


def find_tensor(model: torch.nn.Module, name: str) -> torch.Tensor | None:
    """The parameter or buffer of that dotted name."""
    *path, last = name.split(".")
    module: torch.nn.Module | None = model
    for part in path:
        module = module._modules.get(part) if module is not None else None
    if module is None:
        return None
    found = module._parameters.get(last)
    return module._buffers.get(last) if found is None else found
