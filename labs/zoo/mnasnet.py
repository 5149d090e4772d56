"""MNASNet-B1 (Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", 2018), 0.5 to 1.3 wide."""

import torch
from torch import nn

from labs.zoo.mobilenet import divisible
from labs.zoo.resnet import initialise


class InvertedResidual(nn.Module):
    """Widen `expansion` times, depthwise convolution, narrow without activation; a shortcut where the shapes are equal.
    [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + x if self.shortcut else self.layers(x)


class MNASNet(nn.Module):
    """Six stacks of inverted residuals, all channels times `width`. Input float32 [N, 3, H, W], output [N, classes]."""

    def __init__(self, width: float, classes: int = 1000) -> None:
        super().__init__()
        first, inputs = divisible(32 * width), divisible(16 * width)
        layers: list[nn.Module] = [
            nn.Conv2d(3, first, 3, 2, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, first, 3, 1, 1, groups=first, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, inputs, 1, bias=False),
            nn.BatchNorm2d(inputs),
        ]
        for channels, kernel, stride, expansion, depth in (
            (24, 3, 2, 3, 3),
            (40, 5, 2, 3, 3),
            (80, 5, 2, 6, 3),
            (96, 3, 1, 6, 2),
            (192, 5, 2, 6, 4),
            (320, 3, 1, 6, 1),
        ):
            outputs = divisible(channels * width)
            stack = [InvertedResidual(inputs, outputs, kernel, stride, expansion)]
            stack += [InvertedResidual(outputs, outputs, kernel, 1, expansion) for _ in range(depth - 1)]
            layers.append(nn.Sequential(*stack))
            inputs = outputs
        layers += [nn.Conv2d(inputs, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2, inplace=True), nn.Linear(1280, classes))
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.layers(x).mean([2, 3]))


def mnasnet0_5(classes: int = 1000) -> MNASNet:
    """MNASNet 0.5 in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]; so for all of them."""
    return MNASNet(0.5, classes).eval()


def mnasnet0_75(classes: int = 1000) -> MNASNet:
    return MNASNet(0.75, classes).eval()


def mnasnet1_0(classes: int = 1000) -> MNASNet:
    return MNASNet(1.0, classes).eval()


def mnasnet1_3(classes: int = 1000) -> MNASNet:
    return MNASNet(1.3, classes).eval()
