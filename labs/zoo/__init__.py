"""The networks that labs and benchmarks use, written compactly; structure and parameter names as in torchvision.

Weights are random (`torch.manual_seed` makes them the same each time): what is taught here is how fast a network runs
and whether it computes the same, and neither depends on what it was trained on.
"""

from labs.zoo.deck import deck3
from labs.zoo.mlp import MLP, mlp
from labs.zoo.registry import Entry
from labs.zoo.resnet import ResNet, resnet18, resnet34, resnet50
from labs.zoo.sequence import SEQUENCE
from labs.zoo.vision import VISION

NETWORKS: dict[str, Entry] = {entry.name: entry for entry in VISION + SEQUENCE}
"""All networks by name: `NETWORKS["resnet18"].make()`."""

__all__ = [
    "MLP",
    "NETWORKS",
    "SEQUENCE",
    "VISION",
    "Entry",
    "ResNet",
    "deck3",
    "mlp",
    "resnet18",
    "resnet34",
    "resnet50",
]
