"""The networks that labs and benchmarks use, written compactly; structure and parameter names as in torchvision.

Weights are random (`torch.manual_seed` makes them the same each time): what is taught here is how fast a network runs
and whether it computes the same, and neither depends on what it was trained on.
"""

from labs.zoo.deck import deck3
from labs.zoo.mlp import MLP, mlp
from labs.zoo.resnet import ResNet, resnet18, resnet34

__all__ = ["MLP", "ResNet", "deck3", "mlp", "resnet18", "resnet34"]
