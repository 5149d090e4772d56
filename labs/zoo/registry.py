"""What the zoo knows of a network: how to make it, what to call it with, and to which family it belongs."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Entry:
    """One network of the zoo.

    Attributes:
        name: what it is called on a command line ("resnet18").
        family: the row of SOL's coverage list, or of ours ("ResNet").
        says: what a table of results calls it ("ResNet-18").
        make: gives the network in evaluation mode, with random weights.
        inputs: example inputs for a batch size: `network(*inputs(batch))`. The same ones each time.
    """

    name: str
    family: str
    says: str
    make: Callable[[], torch.nn.Module] = field(repr=False)
    inputs: Callable[[int], tuple[torch.Tensor, ...]] = field(repr=False)


def images(*shape: int) -> Callable[[int], tuple[torch.Tensor, ...]]:
    """Inputs that are one float32 tensor [batch, *shape] of normal random numbers."""

    def make(batch: int) -> tuple[torch.Tensor, ...]:
        return (torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch)),)

    return make


def tokens(length: int, vocabulary: int) -> Callable[[int], tuple[torch.Tensor, ...]]:
    """Inputs that are one int64 tensor [batch, length] of random token ids below `vocabulary`."""

    def make(batch: int) -> tuple[torch.Tensor, ...]:
        return (torch.randint(0, vocabulary, (batch, length), generator=torch.Generator().manual_seed(batch)),)

    return make
