"""The arguments of a call: brought into one form, and checked against those the model was optimized for."""

import inspect
import reprlib
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from solkit.errors import InputError


def normalize(model: torch.nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """The same call with as many arguments by position as `forward` allows: `f(x=t)` and `f(t)` become one.

    Raises:
        InputError: `forward` cannot be called like this.
    """
    try:
        signature = inspect.signature(model.forward)
    except ValueError:  # a forward without a signature, written in C
        return args, kwargs
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InputError(f"{type(model).__name__}.forward cannot be called like this: {error}") from None
    return bound.args, bound.kwargs


def _describe(item: Any) -> str:
    if isinstance(item, torch.Tensor):
        return f"{str(item.dtype).removeprefix('torch.')} {list(item.shape)}"
    return reprlib.repr(item)


@dataclass(frozen=True)
class Signature:
    """What inputs look like: their tree, and for each leaf the (shape, dtype) of a tensor or the value itself."""

    tree: pytree.TreeSpec
    leaves: tuple[Any, ...]

    @classmethod
    def of(cls, args: tuple, kwargs: dict[str, Any]) -> "Signature":
        """The signature of these arguments.

        Raises:
            InputError: a tensor that is not a dense tensor on the CPU.
        """
        flat, tree = pytree.tree_flatten((args, kwargs))
        for index, item in enumerate(flat):
            _check_tensor(index, item)
        leaves = ((tuple(item.shape), item.dtype) if isinstance(item, torch.Tensor) else item for item in flat)
        return cls(tree, tuple(leaves))

    def tensors(self, args: tuple, kwargs: dict[str, Any]) -> list[torch.Tensor]:
        """The tensors of a call, contiguous, in the order of the graph's inputs.

        Raises:
            InputError: they are not what the model was optimized for; the message says what differs.
        """
        found = []
        for index, (item, leaf) in enumerate(zip(self._flatten(args, kwargs), self.leaves, strict=True)):
            if isinstance(item, torch.Tensor):
                _check_tensor(index, item)
                fits = (tuple(item.shape), item.dtype) == leaf
                found.append(item.detach().resolve_neg().contiguous())
            else:
                fits = type(item) is type(leaf) and item == leaf
            if not fits:
                raise InputError(
                    f"input {index} is {_describe(item)}, but the model was optimized for {_leaf(leaf)}: "
                    f"{_advice(item, leaf)}"
                )
        return found

    def _flatten(self, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
        flat, tree = pytree.tree_flatten((args, kwargs))
        if tree == self.tree:
            return flat
        if len(flat) == len(self.leaves):
            try:
                return self.tree.flatten_up_to((args, kwargs))  # the same dictionaries, their keys in another order
            except ValueError:
                raise InputError(
                    f"the inputs are nested in another way than those the model was optimized for, ({self}): call "
                    "sol.optimize again with inputs like these"
                ) from None
        raise InputError(
            f"the model was optimized for {self._count(self.leaves)} and got {self._count(flat)}: "
            f"optimized for ({self}), called with ({', '.join(map(_describe, flat))})"
        )

    def example(self) -> tuple[tuple, dict[str, Any]]:
        """Arguments of this signature, tensors full of zeros."""
        flat = [torch.zeros(leaf[0], dtype=leaf[1]) if _is_tensor(leaf) else leaf for leaf in self.leaves]
        return pytree.tree_unflatten(flat, self.tree)

    @staticmethod
    def _count(items: Any) -> str:
        number = len(items)
        return f"{number} input{'' if number == 1 else 's'}"

    def __str__(self) -> str:
        return ", ".join(map(_leaf, self.leaves))


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, tuple) and len(leaf) == 2 and isinstance(leaf[1], torch.dtype)


def _leaf(leaf: Any) -> str:
    return f"{str(leaf[1]).removeprefix('torch.')} {list(leaf[0])}" if _is_tensor(leaf) else repr(leaf)


def _advice(item: Any, leaf: Any) -> str:
    if not _is_tensor(leaf):
        return "it is part of the compiled program, so call sol.optimize again with the new value"
    if not isinstance(item, torch.Tensor):
        return "pass a tensor, made with torch.as_tensor() say"
    shape, dtype = leaf
    if item.dtype != dtype:
        return f"convert it with .to({dtype}), or call sol.optimize again with inputs like these"
    if len(item.shape) == len(shape) - 1 and tuple(item.shape) == shape[1:]:
        return "the batch dimension is missing, add it with .unsqueeze(0)"
    return "call sol.optimize again with an input of this shape"


def _check_tensor(index: int, item: Any) -> None:
    if not isinstance(item, torch.Tensor):
        return
    if item.device.type != "cpu":
        raise InputError(f"input {index} is on {item.device}; solkit runs on the CPU: move it with .cpu()")
    if item.layout != torch.strided:
        raise InputError(f"input {index} is {item.layout}; solkit takes dense tensors: convert it with .to_dense()")
