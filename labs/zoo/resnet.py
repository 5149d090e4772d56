"""ResNet (He et al., "Deep Residual Learning for Image Recognition", 2015), ResNeXt (Xie et al., "Aggregated Residual
Transformations for Deep Neural Networks", 2016) and Wide ResNet (Zagoruyko and Komodakis, 2016)."""

import math

import torch
from torch import nn


def initialise(model: nn.Module) -> None:
    """Draw the weights of all 2-d convolutions from a normal distribution of variance 2 / fan-in (He et al., "Delving
    Deep into Rectifiers", 2015), in place. Biases, norms and linear layers stay as PyTorch makes them.

    Not over the fan-out, as torchvision does for some networks: a batch norm that has seen no data repairs nothing, so
    EfficientNet's images would vanish behind the biases and DenseNet's grow to 1e11.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)


def shrink_branches(model: nn.Module, last: str) -> None:
    """Divide the last weights of each residual branch by the root of the number of branches, in place. Then they
    let the variance grow about e times together, not twice each (De and Smith, "Batch Normalization Biases Residual
    Blocks Towards the Identity Function in Deep Networks", 2020). `last` is how the names of these weights end."""
    weights = [weight for name, weight in model.named_parameters() if name.endswith(last)]
    with torch.no_grad():
        for weight in weights:
            weight /= math.sqrt(len(weights))


def projection(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """The 1x1 convolution of a shortcut whose two ends differ in shape; None where they do not."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""

    expansion = 1

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = projection(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += shortcut
        return self.relu(y)


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1 around a shortcut, [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]. The
    3x3 has `groups` groups of `width` channels in the first stage; in later ones they grow with `outputs`."""

    expansion = 4

    def __init__(self, inputs: int, outputs: int, stride: int = 1, groups: int = 1, width: int = 64) -> None:
        super().__init__()
        inner = groups * (width * outputs // 256)
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += shortcut
        return self.relu(y)


class ResNet(nn.Module):
    """Four stages of `depths` blocks each, made with `options`. Input float32 [N, 3, H, W], output [N, classes]."""

    def __init__(
        self,
        depths: tuple[int, int, int, int],
        classes: int = 1000,
        block: type[BasicBlock] | type[Bottleneck] = BasicBlock,
        **options: int,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for stage, depth in enumerate(depths):
            outputs = (64 << stage) * block.expansion
            first = block(inputs, outputs, stride=1 if stage == 0 else 2, **options)
            rest = [block(outputs, outputs, **options) for _ in range(depth - 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(first, *rest))
            inputs = outputs
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inputs, classes)
        initialise(self)
        shrink_branches(self, last="conv2.weight" if block is BasicBlock else "conv3.weight")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def resnet18(classes: int = 1000) -> ResNet:
    """ResNet-18 in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]; so for all of them."""
    return ResNet((2, 2, 2, 2), classes).eval()


def resnet34(classes: int = 1000) -> ResNet:
    return ResNet((3, 4, 6, 3), classes).eval()


def resnet50(classes: int = 1000) -> ResNet:
    return ResNet((3, 4, 6, 3), classes, Bottleneck).eval()


def resnet101(classes: int = 1000) -> ResNet:
    return ResNet((3, 4, 23, 3), classes, Bottleneck).eval()


def resnet152(classes: int = 1000) -> ResNet:
    return ResNet((3, 8, 36, 3), classes, Bottleneck).eval()


def resnext50_32x4d(classes: int = 1000) -> ResNet:
    return ResNet((3, 4, 6, 3), classes, Bottleneck, groups=32, width=4).eval()


def resnext101_32x8d(classes: int = 1000) -> ResNet:
    return ResNet((3, 4, 23, 3), classes, Bottleneck, groups=32, width=8).eval()


def wide_resnet50_2(classes: int = 1000) -> ResNet:
    return ResNet((3, 4, 6, 3), classes, Bottleneck, width=128).eval()


def wide_resnet101_2(classes: int = 1000) -> ResNet:
    return ResNet((3, 4, 23, 3), classes, Bottleneck, width=128).eval()
