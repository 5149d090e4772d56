"""ConvNeXt (Liu et al., "A ConvNet for the 2020s", 2022)."""

import torch
import torch.nn.functional as F
from torch import nn

from labs.zoo.resnet import initialise


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of [N, C, H, W]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Permute(nn.Module):
    """torch.permute as a layer."""

    def __init__(self, order: list[int]) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.permute(x, self.order)


class Block(nn.Module):
    """Depthwise 7x7, layer norm and two linear layers over the channels, around a shortcut: [N, C, H, W] -> the same.

    `layer_scale` starts at 0.1. Training starts at 1e-6, and then the blocks would not show in the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            Permute([0, 2, 3, 1]),
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
            Permute([0, 3, 1, 2]),
        )
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer_scale * self.block(x)
        y += x
        return y


class ConvNeXt(nn.Module):
    """Four stages of `depths` blocks with `channels` channels. Input float32 [N, 3, H, W] with H, W >= 32, output
    [N, classes]."""

    def __init__(self, depths: tuple[int, ...], channels: tuple[int, ...], classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(3, channels[0], 4, 4), LayerNorm2d(channels[0], eps=1e-6)),
        ]
        inputs = channels[0]
        for depth, outputs in zip(depths, channels, strict=True):
            if outputs != inputs:
                layers.append(nn.Sequential(LayerNorm2d(inputs, eps=1e-6), nn.Conv2d(inputs, outputs, 2, 2)))
            layers.append(nn.Sequential(*[Block(outputs) for _ in range(depth)]))
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(LayerNorm2d(inputs, eps=1e-6), nn.Flatten(1), nn.Linear(inputs, classes))
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.avgpool(self.features(x)))


def convnext_tiny(classes: int = 1000) -> ConvNeXt:
    """ConvNeXt-T in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]."""
    return ConvNeXt((3, 3, 9, 3), (96, 192, 384, 768), classes).eval()
