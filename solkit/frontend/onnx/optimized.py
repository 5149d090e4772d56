"""What `sol.optimize` gives back for an ONNX model."""

from typing import Any

import torch
from torch.utils import _pytree as pytree

from solkit.frontend.onnx import calling
from solkit.module import SolModule


class OnnxSolModule(SolModule):
    """A compiled ONNX model. It is called with its inputs by position or by name; for NumPy arrays it gives arrays."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's outputs, one or a tuple, in the graph's order.

        Raises:
            InputError: a name, shape or dtype that the model does not take.
            SolError: as `SolModule.forward`.
        """
        model = self.__dict__["_model"]
        given, arrays = calling.tensors(model, calling.in_order(model, args, kwargs))
        if not arrays:
            return super().forward(*given)
        made = super().forward(*given)
        return pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.detach().numpy(), made)
