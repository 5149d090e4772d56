"""SqueezeNet 1.0 and 1.1 (Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016)."""

import torch
from torch import nn

from labs.zoo.resnet import initialise


class Fire(nn.Module):
    """A 1x1 convolution to `squeeze` channels, then 1x1 and 3x3 side by side, to `expand` each. [N, inputs, H, W] ->
    [N, 2 expand, H, W]."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        point = self.expand1x1_activation(self.expand1x1(x))
        return torch.cat([point, self.expand3x3_activation(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    """`first` convolution, the Fire modules of `fires` by (squeeze, expand) with a pool at each None, and a convolution
    as classifier. Input float32 [N, 3, H, W] with H, W >= 21, output [N, classes]."""

    def __init__(self, first: nn.Conv2d, fires: tuple[tuple[int, int] | None, ...], classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [first, nn.ReLU(inplace=True)]
        channels = first.out_channels
        for fire in fires:
            if fire is None:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            else:
                layers.append(Fire(channels, *fire))
                channels = 2 * fire[1]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Conv2d(channels, classes, 1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((1, 1)),
        )
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


def squeezenet1_0(classes: int = 1000) -> SqueezeNet:
    """SqueezeNet 1.0 in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]."""
    fires = (None, (16, 64), (16, 64), (32, 128), None, (32, 128), (48, 192), (48, 192), (64, 256), None, (64, 256))
    return SqueezeNet(nn.Conv2d(3, 96, 7, 2), fires, classes).eval()


def squeezenet1_1(classes: int = 1000) -> SqueezeNet:
    """SqueezeNet 1.1, which pools earlier, in evaluation mode. Input float32 [N, 3, 224, 224], output [N, classes]."""
    fires = (None, (16, 64), (16, 64), None, (32, 128), (32, 128), None, (48, 192), (48, 192), (64, 256), (64, 256))
    return SqueezeNet(nn.Conv2d(3, 64, 3, 2), fires, classes).eval()
