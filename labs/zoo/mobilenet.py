"""MobileNet v1 (Howard et al., "MobileNets", 2017), v2 (Sandler et al., "MobileNetV2", 2018) and v3 (Howard et al.,
"Searching for MobileNetV3", 2019), and the building blocks that later networks share with them."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from labs.zoo.resnet import initialise

Layer = Callable[..., nn.Module]


def divisible(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, and not under nine tenths of it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


class ConvNormActivation(nn.Sequential):
    """Convolution without bias, batch norm, activation: [N, inputs, H, W] -> [N, outputs, H / stride, W / stride].

    `activation` is called with inplace=True; None leaves it out. `norm` is called with the number of channels.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: Layer | None = nn.ReLU,
        norm: Layer = nn.BatchNorm2d,
    ) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(convolution, norm(outputs))
        if activation is not None:
            self.append(activation(inplace=True))


class SqueezeExcitation(nn.Module):
    """Scale each channel by what two 1x1 convolutions make of all channel means: [N, channels, H, W] -> the same (Hu et
    al., "Squeeze-and-Excitation Networks", 2017). The gates start nearly open: half open ones, one after another, would
    make an image vanish."""

    def __init__(self, channels: int, squeeze: int, activation: Layer = nn.ReLU, gate: Layer = nn.Sigmoid) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.fc2 = nn.Conv2d(squeeze, channels, 1)
        with torch.no_grad():
            self.fc2.bias += 2
        self.activation = activation()
        self.scale_activation = gate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.activation(self.fc1(self.avgpool(x)))
        return self.scale_activation(self.fc2(scale)) * x


class MobileNetV1(nn.Module):
    """A convolution and 13 pairs of a depthwise 3x3 and a 1x1 one. Input float32 [N, 3, H, W], output [N, classes]."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers = [ConvNormActivation(3, 32, 3, 2)]
        inputs = 32
        pairs = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
        for outputs, stride in pairs:
            layers.append(ConvNormActivation(inputs, inputs, 3, stride, groups=inputs))
            layers.append(ConvNormActivation(inputs, outputs))
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(inputs, classes))
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class InvertedResidualV2(nn.Module):
    """Widen `expansion` times, depthwise 3x3, narrow without activation; a shortcut where the shapes are equal.
    [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self.conv = nn.Sequential()
        if expansion > 1:
            self.conv.append(ConvNormActivation(inputs, inner, activation=nn.ReLU6))
        self.conv.append(ConvNormActivation(inner, inner, 3, stride, groups=inner, activation=nn.ReLU6))
        self.conv.extend([nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """Seventeen inverted residuals. Input float32 [N, 3, H, W], output [N, classes]."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormActivation(3, 32, 3, 2, activation=nn.ReLU6)]
        inputs = 32
        for expansion, outputs, depth, stride in (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ):
            for i in range(depth):
                layers.append(InvertedResidualV2(inputs, outputs, stride if i == 0 else 1, expansion))
                inputs = outputs
        layers.append(ConvNormActivation(inputs, 1280, activation=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


class InvertedResidual(nn.Module):
    """Widen to `inner` channels, depthwise convolution, squeeze-and-excitation (if given), narrow without activation; a
    shortcut where the shapes are equal. [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        kernel: int,
        stride: int,
        activation: Layer,
        squeeze: SqueezeExcitation | None = None,
        norm: Layer = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.shortcut = stride == 1 and inputs == outputs
        self.block = nn.Sequential()
        if inner != inputs:
            self.block.append(ConvNormActivation(inputs, inner, activation=activation, norm=norm))
        self.block.append(ConvNormActivation(inner, inner, kernel, stride, inner, activation, norm))
        if squeeze is not None:
            self.block.append(squeeze)
        self.block.append(ConvNormActivation(inner, outputs, activation=None, norm=norm))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.block(x)
        if self.shortcut:
            y += x
        return y


# Kernel, inner and output channels, squeeze-and-excitation?, Hardswish in place of ReLU?, stride: tables 1 and 2.
V3_LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
V3_SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


class MobileNetV3(nn.Module):
    """Inverted residuals as in `table`, a classifier `last` wide. Input float32 [N, 3, H, W], output [N, classes]."""

    def __init__(self, table: tuple[tuple, ...], last: int, classes: int = 1000) -> None:
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        layers: list[nn.Module] = [ConvNormActivation(3, 16, 3, 2, activation=nn.Hardswish, norm=norm)]
        inputs = 16
        for kernel, inner, outputs, squeezes, hard, stride in table:
            squeeze = SqueezeExcitation(inner, divisible(inner / 4), gate=nn.Hardsigmoid) if squeezes else None
            activation = nn.Hardswish if hard else nn.ReLU
            layers.append(InvertedResidual(inputs, inner, outputs, kernel, stride, activation, squeeze, norm))
            inputs = outputs
        layers.append(ConvNormActivation(inputs, 6 * inputs, activation=nn.Hardswish, norm=norm))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * inputs, last),
            nn.Hardswish(inplace=True),
            nn.Dropout(0.2),
            nn.Linear(last, classes),
        )
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def mobilenet_v1(classes: int = 1000) -> MobileNetV1:
    """MobileNet v1 in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]; so for all of them."""
    return MobileNetV1(classes).eval()


def mobilenet_v2(classes: int = 1000) -> MobileNetV2:
    return MobileNetV2(classes).eval()


def mobilenet_v3_small(classes: int = 1000) -> MobileNetV3:
    return MobileNetV3(V3_SMALL, 1024, classes).eval()


def mobilenet_v3_large(classes: int = 1000) -> MobileNetV3:
    return MobileNetV3(V3_LARGE, 1280, classes).eval()
