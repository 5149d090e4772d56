"""U-Net (Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015), with batch norm
and padding, so that the output is as large as the input."""

import torch
from torch import nn

from labs.zoo.resnet import initialise


class DoubleConv(nn.Sequential):
    """Twice a 3x3 convolution, batch norm and ReLU: [N, inputs, H, W] -> [N, outputs, H, W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class Up(nn.Module):
    """Double the height and width, put the encoder's image in front, convolve twice: [N, inputs, H, W] and
    [N, inputs / 2, 2H, 2W] -> [N, inputs / 2, 2H, 2W]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, 2)
        self.conv = DoubleConv(inputs, inputs // 2)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.cat([skip, self.up(x)], 1))


class UNet(nn.Module):
    """Four steps down and four up. Input float32 [N, 3, H, W], H and W multiples of 16, output [N, classes, H, W]."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        channels = (64, 128, 256, 512, 1024)
        self.first = DoubleConv(3, channels[0])
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(DoubleConv(c, 2 * c) for c in channels[:-1])
        self.up = nn.ModuleList(Up(c) for c in reversed(channels[1:]))
        self.last = nn.Conv2d(channels[0], classes, 1)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = [self.first(x)]
        for down in self.down:
            skips.append(down(self.pool(skips[-1])))
        x = skips.pop()
        for up in self.up:
            x = up(x, skips.pop())
        return self.last(x)


def unet(classes: int = 2) -> UNet:
    """U-Net in evaluation mode. Input float32 [N, 3, 256, 256], output [N, classes, 256, 256]. Two classes as in the
    paper; a thousand would be a quarter of a gigabyte per image."""
    return UNet(classes).eval()
