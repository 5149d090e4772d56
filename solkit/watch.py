"""Watching the tensors of a model: whether any was changed, replaced or put into training mode since the last call.

This is on every call, and a network has hundreds of tensors, so it is a few passes of C over lists made once. The call
before has thrown all of it out of the caches; fetched back one by one, that costs four times the passes themselves.
"""

from array import array
from collections.abc import Iterator
from itertools import chain
from operator import attrgetter, methodcaller

import torch

from solkit.runtime.library import runtime

_VALUES = methodcaller("values")
_VERSION = torch.Tensor._version.__get__
_TRAINING = attrgetter("training")
_ADDRESS = torch.Tensor.data_ptr
_WORDS = dict.__basicsize__ // 8  # of a dictionary, among them where its keys and values are


class Watch:
    """The modules of a model, and what to look at in them."""

    def __init__(self, root: torch.nn.Module) -> None:
        self._root = root
        self._children: tuple[int, ...] | None = None
        self._prefetch = runtime().prefetch
        self._list()

    def _list(self) -> None:
        """Walk the tree of modules anew."""
        self._modules = list(_walk(self._root))
        self._inner = [module._modules for module in self._modules if module._modules]
        self._holders = [d for m in self._modules for d in (m._parameters, m._buffers) if d]
        self._children = self._ids(self._inner)
        # Dictionaries are kept alive, for their words are read; an address alone is harmless when its object has gone.
        read = [*self._inner, *self._holders, *map(vars, self._modules)]
        named = map(id, (*read, *self._modules))
        self._near = read, array("Q", [*named, *chain.from_iterable(map(_places, self._tensors()))])

    def _tensors(self) -> list[torch.Tensor]:
        return [t for t in chain.from_iterable(map(_VALUES, self._holders)) if t is not None]

    @staticmethod
    def _ids(holders: list[dict]) -> tuple[int, ...]:
        return tuple(map(id, chain.from_iterable(map(_VALUES, holders))))

    def look(self) -> tuple[bool, tuple]:
        """Whether any part but the root is in training mode, and a state that is another one after any change of a
        tensor.

        It covers every tensor of the model and not only those of the graph: PyTorch's batch norm does not count its
        changes of the running statistics, but it does count `num_batches_tracked`.
        """
        read, places = self._near  # held here: another thread may list anew meanwhile
        self._prefetch(places.buffer_info()[0], len(places), len(read), _WORDS)
        if self._ids(self._inner) != self._children:
            self._list()
        tensors = self._tensors()
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


def _places(tensor: torch.Tensor) -> Iterator[int]:
    """Addresses of what `look` reads of a tensor: the Python object, the tensor behind it (some 200 bytes), and where
    that keeps the address of its elements."""
    yield from (id(tensor), tensor._cdata, tensor._cdata + 128)
    if tensor.layout == torch.strided:
        yield tensor.untyped_storage()._cdata
