"""DenseNet (Huang et al., "Densely Connected Convolutional Networks", 2016): each layer reads all outputs before it."""

import torch
import torch.nn.functional as F
from torch import nn

from labs.zoo.resnet import initialise


class DenseLayer(nn.Module):
    """Norm, ReLU and convolution, 1x1 and then 3x3: the list of all features so far -> [N, growth, H, W]."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        x = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        return self.conv2(self.relu2(self.norm2(x)))


class DenseBlock(nn.ModuleDict):
    """`depth` dense layers: [N, inputs, H, W] -> [N, inputs + depth growth, H, W]."""

    def __init__(self, depth: int, inputs: int, growth: int) -> None:
        super().__init__({f"denselayer{i + 1}": DenseLayer(inputs + i * growth, growth) for i in range(depth)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return torch.cat(features, 1)


class Transition(nn.Sequential):
    """Half the channels, half the height and width."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)
        self.pool = nn.AvgPool2d(2, 2)


class DenseNet(nn.Module):
    """Four dense blocks of `depths` layers, a transition after each but the last. Input float32 [N, 3, H, W] with
    H, W >= 29, output [N, classes]."""

    def __init__(
        self, depths: tuple[int, int, int, int], growth: int = 32, channels: int = 64, classes: int = 1000
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.conv0 = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
        self.features.norm0 = nn.BatchNorm2d(channels)
        self.features.relu0 = nn.ReLU(inplace=True)
        self.features.pool0 = nn.MaxPool2d(3, 2, 1)
        for i, depth in enumerate(depths, 1):
            self.features.add_module(f"denseblock{i}", DenseBlock(depth, channels, growth))
            channels += depth * growth
            if i < len(depths):
                self.features.add_module(f"transition{i}", Transition(channels))
                channels //= 2
        self.features.norm5 = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, classes)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.features(x), inplace=True)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


def densenet121(classes: int = 1000) -> DenseNet:
    """DenseNet-121 in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]; so for all of them."""
    return DenseNet((6, 12, 24, 16), classes=classes).eval()


def densenet161(classes: int = 1000) -> DenseNet:
    return DenseNet((6, 12, 36, 24), growth=48, channels=96, classes=classes).eval()


def densenet169(classes: int = 1000) -> DenseNet:
    return DenseNet((6, 12, 32, 32), classes=classes).eval()


def densenet201(classes: int = 1000) -> DenseNet:
    return DenseNet((6, 12, 48, 32), classes=classes).eval()
