"""Multi-layer perceptrons."""

import itertools

import torch
from torch import nn


class MLP(nn.Sequential):
    """Linear layers with ReLU between them; `sizes` are the widths from input to output."""

    def __init__(self, *sizes: int) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        super().__init__(*layers[:-1])


def mlp(width: int = 8192, layers: int = 3) -> MLP:
    """The deck's "MLP 8192x3". Input float32 [N, width], output the same."""
    with torch.no_grad():
        return MLP(*[width] * (layers + 1)).eval()
