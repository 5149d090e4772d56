"""Calls of a model whose inputs may have several shapes: code is compiled for fixed ones, and found or cut to here."""

import itertools
import threading
from collections.abc import Callable, Iterator

import torch

from solkit.errors import InputError
from solkit.inputs import Signature, is_tensor
from solkit.runtime.weights import Weights
from solkit.specialization import Specialization

MOST_SHAPES = 16  # that are kept for a model

# One thread at a time: torch.export keeps what it is at in global variables, and models are put into another mode.
# Whoever takes this and CAPTURING takes this first.
COMPILING = threading.RLock()


class Shapes:
    """The specializations of a model, by the shapes of their inputs.

    A call of a shape that is not there is compiled when it is first seen; the shape that was not used for longest goes
    when there are more than `MOST_SHAPES`, the first one never. Where the samples of a batch do not meet, a batch is
    cut into slices of the sizes in `slices`, which run one after the other. Several threads may call at once; those
    that need a new shape wait for each other.

    Args:
        signature: of a call, with the dimensions that vary.
        first: the specialization that `explain()` shows.
        make: compiles the model for inputs like these tensors.
    """

    def __init__(
        self, signature: Signature, first: Specialization, make: Callable[[list[torch.Tensor]], Specialization]
    ) -> None:
        self.signature, self._make = signature, make
        tensors = [index for index, leaf in enumerate(signature.leaves) if is_tensor(leaf)]
        self._batched = [place for place, index in enumerate(tensors) if 0 in signature.varying[index]]
        self._first = tuple(signature.leaves[index][0] for index in tensors)
        self._table = {self._first: first}
        self._calls = itertools.count(1)
        self.slices: tuple[int, ...] = ()  # batch sizes, the largest first; none where the samples of a batch meet

    def find(self, tensors: list[torch.Tensor]) -> Specialization:
        """The specialization for exactly these inputs, compiled if need be.

        Raises:
            InputError, ModelError, ToolchainError, CacheError, NumericsError: as `sol.optimize`, when it is compiled.
        """
        shapes = tuple(tensor.shape for tensor in tensors)
        found = self._table.get(shapes)
        if found is None:
            with COMPILING:
                found = self._table.get(shapes)  # another thread may have made it meanwhile
                if found is None:
                    found = self._make(tensors)
                    found.used = next(self._calls)
                    self._table[shapes] = found
                    self._forget()
        found.used = next(self._calls)
        return found

    def whole(self, tensors: list[torch.Tensor]) -> Specialization:
        """The specialization that runs these inputs whole.

        Raises:
            InputError: they would run in slices; otherwise as `find`.
        """
        batch = self._batch(tensors)
        if self.slices and batch not in self.slices:
            raise InputError(
                f"a batch of {batch} runs in slices of {' and '.join(map(str, self.slices))}: pass a batch of one of "
                "these to see the times of a slice"
            )
        return self.find(tensors)

    def _forget(self) -> None:
        while len(self._table) > MOST_SHAPES:
            others = (shapes for shapes in self._table if shapes != self._first)
            del self._table[min(others, key=lambda shapes: self._table[shapes].used)]

    def run(
        self, tensors: list[torch.Tensor], weights: Callable[[Specialization], Weights]
    ) -> tuple[Specialization, list[torch.Tensor]]:
        """One call. `tensors` are those of `signature`; `weights` gives the packed weights of a specialization.

        Returns:
            A specialization that knows the structure of the results, and the results.
        Raises:
            InputError: the inputs whose batch varies do not have the same; otherwise as `find`.
        """
        batch = self._batch(tensors)
        if self.slices and batch not in self.slices:
            return self._run_in_slices(tensors, batch, weights)
        found = self.find(tensors)
        return found, found.engine.run(tensors, weights(found))

    def _batch(self, tensors: list[torch.Tensor]) -> int | None:
        """That of the inputs whose batch varies; None if there are none."""
        batches = {tensors[place].shape[0] for place in self._batched}
        if len(batches) > 1:
            raise InputError(
                f"the inputs have batches of {', '.join(map(str, sorted(batches)))}, but those whose batch varies "
                f"must have the same: the model was optimized for ({self.signature})"
            )
        return next(iter(batches), None)

    def _run_in_slices(
        self, tensors: list[torch.Tensor], batch: int, weights: Callable[[Specialization], Weights]
    ) -> tuple[Specialization, list[torch.Tensor]]:
        """As `run`, into results for the whole batch."""
        used, results = None, []
        for start, size in self._cut(batch):
            part = self.part(tensors, start, start + size)
            used = self.find(part)
            made = used.engine.run(part, weights(used))
            results = results or _empty(used, batch)
            for whole, result in zip(results, made, strict=True):
                whole[start : start + size] = result
        if used is None:  # the batch is empty; code for another one knows the shapes of the results
            pairs = enumerate(tensors)
            used = self.find([t.new_zeros((1, *t.shape[1:])) if place in self._batched else t for place, t in pairs])
            results = _empty(used, 0)
        return used, results

    def _cut(self, batch: int) -> Iterator[tuple[int, int]]:
        """(start, size) of each slice."""
        start = 0
        for size in self.slices:
            while batch - start >= size:
                yield start, size
                start += size

    def part(self, tensors: list[torch.Tensor], first: int, last: int) -> list[torch.Tensor]:
        """The same call for samples `first` to `last` - 1 of the batch."""
        return [tensor[first:last] if place in self._batched else tensor for place, tensor in enumerate(tensors)]

    def refresh(self) -> None:
        """All weights are packed again at the next call."""
        for specialization in list(self._table.values()):
            specialization.refresh()


def _empty(used: Specialization, batch: int) -> list[torch.Tensor]:
    """Results like those of `used`, for a batch of another size and still to be filled."""
    outputs = used.engine.graph.outputs
    return [torch.empty((batch, *value.shape[1:]), dtype=value.type.dtype, device="cpu") for value in outputs]
