"""The arguments of a call: brought into one form, and checked against those the model was optimized for."""

import functools
import inspect
import reprlib
from collections.abc import Collection, Iterable, Sequence
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


@dataclass(frozen=True)
class Input:
    """`sol.input`: an input described and not given, for `sol.optimize`.

    Args:
        shape: its sizes; 0 is a size that may change from call to call, in dimension 0 that of the batch.
        dtype: of its elements.
        requires_grad: whether the model is optimized with an input that wants a gradient. Any call may pass one.
    Raises:
        InputError: the shape is no list of sizes, or there are no gradients of such a dtype.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    requires_grad: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.shape, (tuple, list)) or not all(type(size) is int and size >= 0 for size in self.shape):
            raise InputError(
                f"sol.input takes a list of sizes, 0 for one that varies, as in [0, 3, 224, 224], not {self.shape!r}"
            )
        if not isinstance(self.dtype, torch.dtype):
            raise InputError(f"sol.input takes a dtype such as torch.float32, not {self.dtype!r}")
        if self.requires_grad and not (self.dtype.is_floating_point or self.dtype.is_complex):
            raise InputError(f"there are no gradients of {self.dtype}: leave out requires_grad")
        object.__setattr__(self, "shape", tuple(self.shape))


def _describe(item: Any) -> str:
    if isinstance(item, torch.Tensor):
        return f"{str(item.dtype).removeprefix('torch.')} {list(item.shape)}"
    return reprlib.repr(item)


@dataclass(frozen=True)
class Signature:
    """What inputs look like.

    Attributes:
        tree: how they are nested.
        leaves: for each leaf the (shape, dtype) of a tensor, or the value itself.
        varying: for each leaf, the dimensions whose size may be another one; empty if there are none at all.
    """

    tree: pytree.TreeSpec
    leaves: tuple[Any, ...]
    varying: tuple[frozenset[int], ...] = ()

    @classmethod
    def of(cls, args: tuple, kwargs: dict[str, Any], varying: tuple[frozenset[int], ...] = ()) -> "Signature":
        """The signature of these arguments.

        Raises:
            InputError: a tensor that is not a dense tensor on the CPU.
        """
        flat, tree = pytree.tree_flatten((args, kwargs))
        for index, item in enumerate(flat):
            _check_tensor(index, item)
        leaves = ((tuple(item.shape), item.dtype) if isinstance(item, torch.Tensor) else item for item in flat)
        return cls(tree, tuple(leaves), varying)

    def tensors(self, args: tuple, kwargs: dict[str, Any]) -> list[torch.Tensor]:
        """The tensors of a call, contiguous, in the order of the graph's inputs.

        Raises:
            InputError: they are not what the model was optimized for; the message says what differs.
        """
        if self._flat and not kwargs and len(args) == len(self.leaves) and all(map(_as_it_is, args, self.leaves)):
            return list(args)  # nearly always, and sooner
        found = []
        for index, (item, leaf) in enumerate(zip(self._flatten(args, kwargs), self.leaves, strict=True)):
            if isinstance(item, torch.Tensor):
                _check_tensor(index, item)
                fits = (tuple(item.shape), item.dtype) == leaf or self._varies(index, item)
                found.append(item.detach().resolve_neg().contiguous())
            else:
                fits = type(item) is type(leaf) and item == leaf
            if not fits:
                raise InputError(
                    f"input {index} is {_describe(item)}, but the model was optimized for "
                    f"{_leaf(leaf, self._dims(index))}: {_advice(item, leaf, self._dims(index))}"
                )
        return found

    @functools.cached_property
    def _flat(self) -> bool:
        """Whether the arguments are tensors of fixed shapes, one after the other."""
        tensors = all(map(is_tensor, self.leaves)) and not self.varying
        return tensors and self.tree == pytree.tree_structure(((0,) * len(self.leaves), {}))

    def _dims(self, index: int) -> frozenset[int]:
        return self.varying[index] if self.varying else frozenset()

    def _varies(self, index: int, item: torch.Tensor) -> bool:
        """Whether `item` differs from the leaf in nothing but sizes that vary."""
        leaf, dims = self.leaves[index], self._dims(index)
        return bool(dims) and item.dtype == leaf[1] and _same_sizes(item.shape, leaf[0], dims)

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
        leaves = filter(is_tensor, self.leaves)
        return self.arguments(torch.zeros(shape, dtype=dtype, device="cpu") for shape, dtype in leaves)

    def arguments(self, tensors: Iterable[torch.Tensor]) -> tuple[tuple, dict[str, Any]]:
        """(args, kwargs) of this signature with these tensors; what `tensors` takes apart."""
        given = iter(tensors)
        return pytree.tree_unflatten([next(given) if is_tensor(leaf) else leaf for leaf in self.leaves], self.tree)

    def vdims(self) -> list[tuple[int, ...]] | None:
        """The dimensions that vary, as `sol.optimize` takes them; None if there are none."""
        if not self.varying:
            return None
        pairs = zip(self.leaves, self.varying, strict=True)
        return [tuple(sorted(dims)) for leaf, dims in pairs if is_tensor(leaf)]

    @staticmethod
    def _count(items: Any) -> str:
        number = len(items)
        return f"{number} input{'' if number == 1 else 's'}"

    def __str__(self) -> str:
        return ", ".join(_leaf(leaf, self._dims(index)) for index, leaf in enumerate(self.leaves))


def is_tensor(leaf: Any) -> bool:
    """Whether a leaf of a signature is the (shape, dtype) of a tensor."""
    return isinstance(leaf, tuple) and len(leaf) == 2 and isinstance(leaf[1], torch.dtype)


def _as_it_is(item: Any, leaf: tuple[tuple[int, ...], torch.dtype]) -> bool:
    """Whether an argument is a tensor that compiled code can read where it lies."""
    return (
        type(item) is torch.Tensor
        and item.shape == leaf[0]
        and item.dtype == leaf[1]
        and item.layout == torch.strided
        and item.is_cpu
        and item.is_contiguous()
        and not item.is_neg()
    )


def _leaf(leaf: Any, varying: frozenset[int]) -> str:
    if not is_tensor(leaf):
        return repr(leaf)
    sizes = ("*" if dim in varying else str(size) for dim, size in enumerate(leaf[0]))
    return f"{str(leaf[1]).removeprefix('torch.')} [{', '.join(sizes)}]"


def _same_sizes(shape: Sequence[int], wanted: Sequence[int], varying: Collection[int]) -> bool:
    return len(shape) == len(wanted) and all(
        dim in varying or mine == yours for dim, (mine, yours) in enumerate(zip(shape, wanted, strict=True))
    )


def _advice(item: Any, leaf: Any, varying: frozenset[int]) -> str:
    if not is_tensor(leaf):
        return "it is part of the compiled program, so call sol.optimize again with the new value"
    if not isinstance(item, torch.Tensor):
        return "pass a tensor, made with torch.as_tensor() say"
    shape, dtype = leaf
    if item.dtype != dtype:
        return f"convert it with .to({dtype}), or call sol.optimize again with inputs like these"
    if _same_sizes(item.shape, shape[1:], {dim - 1 for dim in varying}):
        return "the batch dimension is missing, add it with .unsqueeze(0)"
    return "call sol.optimize again with an input of this shape"


def _check_tensor(index: int, item: Any) -> None:
    if not isinstance(item, torch.Tensor):
        return
    if item.device.type != "cpu":
        raise InputError(f"input {index} is on {item.device}; solkit runs on the CPU: move it with .cpu()")
    if item.layout != torch.strided:
        raise InputError(f"input {index} is {item.layout}; solkit takes dense tensors: convert it with .to_dense()")
