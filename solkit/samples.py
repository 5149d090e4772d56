"""Sample calls: whether the samples of a batch meet in a model (if they do not, a batch may be computed in slices), and
calls of other sizes."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils import _pytree as pytree

from solkit.errors import first_line
from solkit.frontend.modes import evaluating
from solkit.inputs import Signature

BATCH = 3  # samples to try; two would hide what treats only its first and its last


def meeting(
    model: torch.nn.Module,
    args: tuple,
    kwargs: dict[str, Any],
    batched: list[bool],
    close: Callable[[Any, Any], bool],
) -> str | None:
    """Why a batch cannot be computed sample by sample; None if it can.

    PyTorch computes a batch of random samples at once and one after the other, in evaluation mode.

    Args:
        args, kwargs: example inputs; their values tell what random integers are allowed.
        batched: for each leaf of (args, kwargs), whether its dimension 0 is the batch.
        close: whether two results are the same but for rounding.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    flat, tree = pytree.tree_flatten((args, kwargs))

    def run(batch: list[Any], first: int, last: int) -> tuple[list[Any], Any]:
        part = [item[first:last] if is_batch else item for item, is_batch in zip(batch, batched, strict=True)]
        given, named = pytree.tree_unflatten(part, tree)
        return pytree.tree_flatten(model(*given, **named))

    with torch.no_grad(), evaluating(model):
        try:
            whole = [
                _random(item, generator) if is_batch else item for item, is_batch in zip(flat, batched, strict=True)
            ]
            together, structure = run(whole, 0, BATCH)
            alone = [run(whole, index, index + 1) for index in range(BATCH)]
        except Exception as error:
            return f"PyTorch cannot run a batch of {BATCH}, or one sample of it: {first_line(error)}"
    if any(other != structure for _, other in alone):
        return "the structure of the results depends on the size of the batch"
    for result, parts in zip(together, zip(*(results for results, _ in alone), strict=True), strict=True):
        if not isinstance(result, torch.Tensor):
            if any(type(part) is not type(result) or part != result for part in parts):
                return f"the result {result!r} depends on the batch"
        elif not result.dim() or result.shape[0] != BATCH or any(part.shape[:1] != (1,) for part in parts):
            return f"a result of shape {list(result.shape)} has no batch in dimension 0"
        elif not result.isfinite().any() and result.numel():
            return "random inputs give no finite results, so nothing can be told"
        elif any(part.shape[1:] != result.shape[1:] for part in parts) or not close(torch.cat(parts), result):
            return "a result depends on other samples of the batch, as a sum or mean over the batch does"
    return None


def _random(example: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A batch of samples like those of the example: normal, or integers within the example's range, which must be
    wide enough for samples to differ."""
    shape = (BATCH, *example.shape[1:])
    if example.is_floating_point() or example.is_complex():
        return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu").to(example.dtype)
    low, high = (int(example.min()), int(example.max())) if example.numel() else (0, 0)
    if low == high:
        low, high = min(low, 0), max(high, 1)
    return torch.randint(low, high + 1, shape, generator=generator, device="cpu").to(example.dtype)


def other_sizes(args: tuple, kwargs: dict[str, Any], varying: Signature) -> Iterator[tuple[tuple, dict[str, Any]]]:
    """Calls with other sizes where they vary, but in dimension 0; sizes that are the same now stay the same."""
    flat, tree = pytree.tree_flatten((args, kwargs))
    for change in (lambda n: 2 * n, lambda n: n + _even(n / 2), lambda n: _even(n / 2), lambda n: n - _even(n / 4)):
        others = []
        for item, dims in zip(flat, varying.varying, strict=True):
            if dims - {0}:
                sizes = (change(n) if dim in dims - {0} else n for dim, n in enumerate(item.shape))
                item = torch.zeros(tuple(sizes), dtype=item.dtype, device="cpu")
            others.append(item)
        yield pytree.tree_unflatten(others, tree)


def _even(size: float) -> int:
    """A size near this one that strided layers like: a multiple of 32 where it is large."""
    step = 32 if size >= 32 else 1
    return max(1, round(size / step)) * step
