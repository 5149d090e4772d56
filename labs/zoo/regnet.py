"""RegNet X and Y (Radosavovic et al., "Designing Network Design Spaces", 2020)."""

import torch
from torch import nn

from labs.zoo.mobilenet import ConvNormActivation, SqueezeExcitation
from labs.zoo.resnet import initialise, shrink_branches


class Block(nn.Module):
    """Convolutions 1x1, 3x3 in groups of `width` channels, 1x1, around a shortcut; with `squeeze` (RegNetY), a
    SqueezeExcitation before the last. [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""

    def __init__(self, inputs: int, outputs: int, stride: int, width: int, squeeze: bool) -> None:
        super().__init__()
        self.proj = None
        if stride != 1 or inputs != outputs:
            self.proj = ConvNormActivation(inputs, outputs, stride=stride, activation=None)
        self.f = nn.Sequential()
        self.f.a = ConvNormActivation(inputs, outputs)
        self.f.b = ConvNormActivation(outputs, outputs, 3, stride, groups=outputs // width)
        if squeeze:
            self.f.se = SqueezeExcitation(outputs, round(0.25 * inputs))
        self.f.c = ConvNormActivation(outputs, outputs, activation=None)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.proj is None else self.proj(x)
        return self.activation(shortcut + self.f(x))


class RegNet(nn.Module):
    """Four stages of `depths` blocks with `channels` channels. Input float32 [N, 3, H, W], output [N, classes]."""

    def __init__(
        self, depths: tuple[int, ...], channels: tuple[int, ...], width: int, squeeze: bool, classes: int = 1000
    ) -> None:
        super().__init__()
        self.stem = ConvNormActivation(3, 32, 3, 2)
        self.trunk_output = nn.Sequential()
        inputs = 32
        for i, (depth, outputs) in enumerate(zip(depths, channels, strict=True), 1):
            stage = nn.Sequential()
            for j in range(depth):
                stage.add_module(f"block{i}-{j}", Block(inputs, outputs, 2 if j == 0 else 1, width, squeeze))
                inputs = outputs
            self.trunk_output.add_module(f"block{i}", stage)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inputs, classes)
        initialise(self)
        shrink_branches(self, last="f.c.0.weight")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.flatten(self.avgpool(self.trunk_output(self.stem(x))), 1))


def regnet_x_400mf(classes: int = 1000) -> RegNet:
    """RegNetX-400MF in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]."""
    return RegNet((1, 2, 7, 12), (32, 64, 160, 400), width=16, squeeze=False, classes=classes).eval()


def regnet_y_400mf(classes: int = 1000) -> RegNet:
    """RegNetY-400MF in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]."""
    return RegNet((1, 3, 6, 6), (48, 104, 208, 440), width=8, squeeze=True, classes=classes).eval()
