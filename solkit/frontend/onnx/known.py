"""Values that are known while a model is traced."""

from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import is_fake
from torch.utils._python_dispatch import _disable_current_modes

from solkit.frontend.onnx import reference
from solkit.frontend.onnx.table import Value


class Known:
    """A value that does not depend on the inputs.

    Args:
        array: its content.
        tensor: what stands for it in the graph.
        fixed: whether it stays what it is. A weight does not: nothing is worked out from it ahead, though its numbers
            may be looked at where a shape depends on them.
        origin: the inputs of the model that it was worked out from, where these are taken to be known.
    """

    def __init__(
        self,
        array: np.ndarray,
        tensor: torch.Tensor | None = None,
        fixed: bool = True,
        origin: frozenset[str] = frozenset(),
    ) -> None:
        self.array, self.fixed, self.origin = array, fixed, origin
        self._tensor = tensor

    @property
    def value(self) -> Value:
        """The tensor, or the array if PyTorch has no such type."""
        if self._tensor is None:
            with _disable_current_modes():  # a real tensor, also while tracing
                self._tensor = reference.to_torch(self.array)
        return self.array if self._tensor is None else self._tensor

    @property
    def real(self) -> Value:
        """As `value`, but with its numbers also while tracing, when what stands for a weight or buffer has none."""
        return self.value if self._tensor is None or not is_fake(self._tensor) else reference.to_torch(self.array)


def plain(value: Any) -> Value:
    """A value as operators take it."""
    return value.value if isinstance(value, Known) else value
