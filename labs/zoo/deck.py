"""The worked example of the 2020 workshop's slides: three layers that become one loop nest."""

import torch
from torch import nn


def deck3() -> nn.Sequential:
    """Conv 1x1 with bias, ReLU, AvgPool 13x13: the classifier of SqueezeNet. Input float32 [N, 512, 13, 13], output
    [N, 1000, 1, 1]."""
    model = nn.Sequential(nn.Conv2d(512, 1000, kernel_size=1), nn.ReLU(), nn.AvgPool2d(13))
    with torch.no_grad():
        nn.init.normal_(model[0].weight, std=0.01)  # as SqueezeNet initialises it
    return model.eval()
