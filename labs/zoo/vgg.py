"""VGG with 11 to 19 layers, with and without batch norm (Simonyan and Zisserman, "Very Deep Convolutional Networks for
Large-Scale Image Recognition", 2014)."""

import torch
from torch import nn

from labs.zoo.resnet import initialise


class VGG(nn.Module):
    """Five stages of `depths` 3x3 convolutions, a pool after each, and three linear layers. Input float32 [N, 3, H, W]
    with H, W >= 32, output [N, classes]."""

    def __init__(self, depths: tuple[int, int, int, int, int], norm: bool = False, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for depth, outputs in zip(depths, (64, 128, 256, 512, 512), strict=True):
            for _ in range(depth):
                layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
                if norm:
                    layers.append(nn.BatchNorm2d(outputs))
                layers.append(nn.ReLU(inplace=True))
                inputs = outputs
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, classes),
        )
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def vgg11(classes: int = 1000) -> VGG:
    """VGG-11 in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]; so for all of them."""
    return VGG((1, 1, 2, 2, 2), classes=classes).eval()


def vgg13(classes: int = 1000) -> VGG:
    return VGG((2, 2, 2, 2, 2), classes=classes).eval()


def vgg16(classes: int = 1000) -> VGG:
    return VGG((2, 2, 3, 3, 3), classes=classes).eval()


def vgg19(classes: int = 1000) -> VGG:
    return VGG((2, 2, 4, 4, 4), classes=classes).eval()


def vgg11_bn(classes: int = 1000) -> VGG:
    return VGG((1, 1, 2, 2, 2), norm=True, classes=classes).eval()


def vgg13_bn(classes: int = 1000) -> VGG:
    return VGG((2, 2, 2, 2, 2), norm=True, classes=classes).eval()


def vgg16_bn(classes: int = 1000) -> VGG:
    return VGG((2, 2, 3, 3, 3), norm=True, classes=classes).eval()


def vgg19_bn(classes: int = 1000) -> VGG:
    return VGG((2, 2, 4, 4, 4), norm=True, classes=classes).eval()
