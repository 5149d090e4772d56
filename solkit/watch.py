"""Watching the tensors of a model: whether any was changed, replaced or put into training mode since the last call.

This is on every call, and a network has hundreds of tensors, so it is a few passes of C over lists made once.
"""

from collections.abc import Iterator
from itertools import chain
from operator import attrgetter, methodcaller

import torch

_VALUES = methodcaller("values")
_VERSION = torch.Tensor._version.__get__
_TRAINING = attrgetter("training")
_ADDRESS = torch.Tensor.data_ptr


class Watch:
    """The modules of a model, and what to look at in them."""

    def __init__(self, root: torch.nn.Module) -> None:
        self._root = root
        self._children: tuple[int, ...] | None = None
        self._list()

    def _list(self) -> None:
        """Walk the tree of modules anew."""
        self._modules = list(_walk(self._root))
        self._inner = [module._modules for module in self._modules if module._modules]
        self._holders = [d for m in self._modules for d in (m._parameters, m._buffers) if d]
        self._children = self._ids(self._inner)

    @staticmethod
    def _ids(holders: list[dict]) -> tuple[int, ...]:
        return tuple(map(id, chain.from_iterable(map(_VALUES, holders))))

    def look(self) -> tuple[bool, tuple]:
        """Whether any part but the root is in training mode, and a state that is another one after any change of a
        tensor.

        It covers every tensor of the model and not only those of the graph: PyTorch's batch norm does not count its
        changes of the running statistics, but it does count `num_batches_tracked`.
        """
        if self._ids(self._inner) != self._children:
            self._list()
        tensors = [t for t in chain.from_iterable(map(_VALUES, self._holders)) if t is not None]
        try:
            versions = tuple(map(_VERSION, tensors))
        except RuntimeError:  # tensors made in inference mode count nothing
            versions = tuple(0 if tensor.is_inference() else tensor._version for tensor in tensors)
        state = (tuple(map(id, tensors)), tuple(map(_ADDRESS, tensors)), versions)
        return any(map(_TRAINING, self._modules[1:])), state


def _walk(root: torch.nn.Module) -> Iterator[torch.nn.Module]:
    modules = [root]
    while modules:
        module = modules.pop()
        yield module
        modules += [child for child in module._modules.values() if child is not None]
