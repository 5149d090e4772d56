"""ShuffleNet v2 (Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", 2018)."""

import torch
from torch import nn

from labs.zoo.resnet import initialise


def channel_shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
    """[N, C, H, W] with channels (g, c) reordered to (c, g), where g counts the `groups`."""
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batch, channels, height, width)


def depthwise(channels: int, stride: int) -> list[nn.Module]:
    """A depthwise 3x3 convolution and its batch norm."""
    return [
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
    ]


def pointwise(inputs: int, outputs: int) -> list[nn.Module]:
    """A 1x1 convolution, batch norm and ReLU."""
    return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class InvertedResidual(nn.Module):
    """Two branches and a shuffle. With stride 1 each gets half the channels and the first is the identity; else each
    gets all of them. [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        half = outputs // 2
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1.extend(depthwise(inputs, stride) + pointwise(inputs, half))
        self.branch2 = nn.Sequential(
            *pointwise(inputs if stride > 1 else half, half),
            *depthwise(half, stride),
            *pointwise(half, half),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride == 1:
            x1, x2 = x.chunk(2, dim=1)
            y = torch.cat((x1, self.branch2(x2)), dim=1)
        else:
            y = torch.cat((self.branch1(x), self.branch2(x)), dim=1)
        return channel_shuffle(y, 2)


class ShuffleNetV2(nn.Module):
    """Three stages of `channels` channels and a last convolution to `last`. Input float32 [N, 3, H, W], output
    [N, classes]."""

    def __init__(self, channels: tuple[int, int, int], last: int = 1024, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU(inplace=True))
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 24
        for stage, depth, outputs in zip((2, 3, 4), (4, 8, 4), channels, strict=True):
            rest = [InvertedResidual(outputs, outputs, 1) for _ in range(depth - 1)]
            setattr(self, f"stage{stage}", nn.Sequential(InvertedResidual(inputs, outputs, 2), *rest))
            inputs = outputs
        self.conv5 = nn.Sequential(*pointwise(inputs, last))
        self.fc = nn.Linear(last, classes)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        return self.fc(x.mean([2, 3]))


def shufflenet_v2_x0_5(classes: int = 1000) -> ShuffleNetV2:
    """ShuffleNet v2 0.5x in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]; so for all."""
    return ShuffleNetV2((48, 96, 192), classes=classes).eval()


def shufflenet_v2_x1_0(classes: int = 1000) -> ShuffleNetV2:
    return ShuffleNetV2((116, 232, 464), classes=classes).eval()


def shufflenet_v2_x1_5(classes: int = 1000) -> ShuffleNetV2:
    return ShuffleNetV2((176, 352, 704), classes=classes).eval()


def shufflenet_v2_x2_0(classes: int = 1000) -> ShuffleNetV2:
    return ShuffleNetV2((244, 488, 976), last=2048, classes=classes).eval()
