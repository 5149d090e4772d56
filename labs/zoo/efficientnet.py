"""EfficientNet (Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019)."""

import math
from functools import partial

import torch
from torch import nn

from labs.zoo.mobilenet import ConvNormActivation, InvertedResidual, SqueezeExcitation
from labs.zoo.resnet import initialise


class EfficientNet(nn.Module):
    """Seven stages of inverted residuals with squeeze-and-excitation, `depth` times as deep as B0. Input float32
    [N, 3, H, W], output [N, classes]."""

    def __init__(self, depth: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormActivation(3, 32, 3, 2, activation=nn.SiLU)]
        inputs = 32
        for expansion, kernel, first, outputs, repeats in (
            (1, 3, 1, 16, 1),
            (6, 3, 2, 24, 2),
            (6, 5, 2, 40, 2),
            (6, 3, 2, 80, 3),
            (6, 5, 1, 112, 3),
            (6, 5, 2, 192, 4),
            (6, 3, 1, 320, 1),
        ):
            stage = nn.Sequential()
            for i in range(math.ceil(repeats * depth)):
                inner, stride = inputs * expansion, first if i == 0 else 1
                squeeze = SqueezeExcitation(inner, inputs // 4, partial(nn.SiLU, inplace=True))
                stage.append(InvertedResidual(inputs, inner, outputs, kernel, stride, nn.SiLU, squeeze))
                inputs = outputs
            layers.append(stage)
        layers.append(ConvNormActivation(inputs, 4 * inputs, activation=nn.SiLU))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2, inplace=True), nn.Linear(4 * inputs, classes))
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def efficientnet_b0(classes: int = 1000) -> EfficientNet:
    """EfficientNet-B0 in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]."""
    return EfficientNet(classes=classes).eval()


def efficientnet_b1(classes: int = 1000) -> EfficientNet:
    """EfficientNet-B1 in evaluation mode. Input float32 [N, 3, 240, 240], output [N, classes]."""
    return EfficientNet(depth=1.1, classes=classes).eval()
