"""What `sol.optimize` is given: tensors and `sol.input`s, and which of their dimensions vary, as an example call."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from solkit.errors import InputError
from solkit.inputs import Input

UNKNOWN = 32  # a size to begin with where sol.input says 0 and it is not the batch: most image networks can take it


@dataclass(frozen=True)
class Example:
    """A call to compile a model for.

    Attributes:
        args, kwargs: the arguments, with tensors in the place of `sol.input`s.
        varying: for each leaf of them, the dimensions whose size varies; empty if there are none at all.
        batch: size of dimension 0 where that varies; 0 where it does for no input.
        guessed: whether a size is `UNKNOWN`.
    """

    args: tuple
    kwargs: dict[str, Any]
    varying: tuple[frozenset[int], ...]
    batch: int
    guessed: bool

    @property
    def batched(self) -> list[bool]:
        """For each leaf, whether its dimension 0 varies."""
        return [0 in dims for dims in self.varying]


def example_of(args: tuple, kwargs: dict[str, Any], vdims: Any, batch_size: int | None) -> Example:
    """The example call for these arguments of `sol.optimize`.

    Raises:
        InputError: `vdims` or `batch_size` is not what `sol.optimize` takes, or example tensors differ in the batch.
    """
    flat, tree = pytree.tree_flatten((args, kwargs))
    varying = tuple(_declared(item) | more for item, more in zip(flat, _dims(flat, vdims), strict=True))
    batched = [item for item, dims in zip(flat, varying, strict=True) if 0 in dims]
    batch = _batch(batched, batch_size)
    filled = [_fill(item, batch if 0 in dims else None) for item, dims in zip(flat, varying, strict=True)]
    args, kwargs = pytree.tree_unflatten(filled, tree)
    guessed = any(isinstance(item, Input) and 0 in item.shape[1:] for item in flat)
    return Example(args, kwargs, varying if any(varying) else (), batch, guessed)


def _declared(item: Any) -> frozenset[int]:
    return frozenset(d for d, size in enumerate(item.shape) if size == 0) if isinstance(item, Input) else frozenset()


def _dims(flat: list[Any], vdims: Any) -> list[frozenset[int]]:
    """The dimensions that `vdims` names, for each leaf."""
    places = [index for index, item in enumerate(flat) if isinstance(item, (torch.Tensor, Input))]
    found: list[frozenset[int]] = [frozenset()] * len(flat)
    if vdims is None:
        return found
    if not isinstance(vdims, (list, tuple)):
        raise InputError(f"vdims is a list with an entry for each input, such as [True] or [(0, 1)], not {vdims!r}")
    if len(vdims) != len(places):
        raise InputError(f"vdims has {len(vdims)} entries, but the inputs hold {len(places)} tensors: {vdims!r}")
    for number, (index, entry) in enumerate(zip(places, vdims, strict=True)):
        found[index] = _entry(number, entry, len(flat[index].shape))
    return found


def _entry(number: int, entry: Any, rank: int) -> frozenset[int]:
    if isinstance(entry, bool):
        entry = (0,) if entry else ()
    if not isinstance(entry, (list, tuple)) or not all(type(dim) is int for dim in entry):
        raise InputError(
            f"vdims[{number}] is True for a batch that varies, False, or a tuple of dimensions such as (0, 1), "
            f"not {entry!r}"
        )
    for dim in entry:
        if not 0 <= dim < rank:
            has = f"its dimensions go from 0 to {rank - 1}" if rank else "it has no dimensions"
            raise InputError(f"vdims[{number}] names dimension {dim} of an input of {rank} dimensions: {has}")
    return frozenset(entry)


def _batch(batched: list[Any], wanted: int | None) -> int:
    """The batch size to expect, for the inputs whose batch varies; 0 if there are none."""
    if wanted is not None and (type(wanted) is not int or wanted < 1):
        raise InputError(f"batch_size is a whole number from 1 on, not {wanted!r}")
    if not batched:
        if wanted is not None:
            raise InputError(
                "batch_size is for a batch that varies, and none does: pass vdims=[True], or sol.input([0, ...])"
            )
        return 0
    given = {item.shape[0] for item in batched if isinstance(item, torch.Tensor)}
    if len(given) > 1:
        raise InputError(f"the inputs whose batch varies have batches of {sorted(given)}: they must be the same")
    return wanted or max(given, default=1) or 1


def _fill(item: Any, batch: int | None) -> Any:
    """An example of `item`, with this batch where there is one."""
    if isinstance(item, Input):
        shape = [size or UNKNOWN for size in item.shape]
        if batch is not None:
            shape[0] = batch
        if not (item.dtype.is_floating_point or item.dtype.is_complex):
            return torch.zeros(shape, dtype=item.dtype, device="cpu")
        generator = torch.Generator("cpu").manual_seed(0)
        made = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu").to(item.dtype)
        return made.requires_grad_(item.requires_grad)
    if batch is None or item.shape[0] == batch:
        return item
    if not len(item):
        return torch.zeros((batch, *item.shape[1:]), dtype=item.dtype, device="cpu")
    with torch.no_grad():
        return item[torch.arange(batch, device="cpu") % len(item)]
