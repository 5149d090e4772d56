"""Swin Transformer (Liu et al., "Hierarchical Vision Transformer using Shifted Windows", 2021).

Parameters are named as in torchvision. There is no stochastic depth: these networks are for inference. What depends on
the image's size alone, the mask, is made once, as in the authors' code; torchvision makes it in every call.
"""

import torch
from torch import nn


class Permute(nn.Module):
    """torch.permute as a layer."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(self.order)


class PatchMerging(nn.Module):
    """Joins each 2x2 square of tokens to one: [N, H, W, C] -> [N, H / 2, W / 2, 2 C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Down the columns first: [N, H / 2, row, W / 2, column, C] -> [N, H / 2, W / 2, column, row, C].
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).permute(0, 1, 3, 4, 2, 5)
        return self.reduction(self.norm(x.flatten(3)))


def to_windows(x: torch.Tensor, window: int) -> torch.Tensor:
    """Cut an image into windows: [N, H, W, C] -> [N, number of windows, window * window, C]."""
    x = x.unflatten(2, (-1, window)).unflatten(1, (-1, window)).transpose(2, 3)
    return x.flatten(3, 4).flatten(1, 2)


def from_windows(x: torch.Tensor, window: int, side: int) -> torch.Tensor:
    """Put the windows of a square image together again: the inverse of `to_windows`, H = W = side."""
    x = x.unflatten(2, (window, window)).unflatten(1, (side // window, side // window))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def relative_position_index(window: int) -> torch.Tensor:
    """For each pair of tokens of a window the row of the bias table that belongs to their distance, int64
    [window ** 4]; a distance is the way down and the way right, each from 1 - window to window - 1."""
    i = torch.arange(window)
    token = torch.cartesian_prod(i, i)
    distance = token[:, None] - token[None, :] + window - 1
    return (distance[..., 0] * (2 * window - 1) + distance[..., 1]).flatten()


def shift_mask(side: int, window: int, shift: int) -> torch.Tensor:
    """What keeps tokens apart that were no neighbours before the image was rolled by `shift`: 0 where one may look at
    the other and -100 elsewhere, float32 [number of windows, 1, window * window, window * window]."""
    i = torch.arange(side)
    part = (i >= side - window).int() + (i >= side - shift).int()
    region = to_windows((3 * part[:, None] + part)[None, :, :, None], window)[0]
    return (region != region.transpose(1, 2)).float().mul(-100)[:, None]


class WindowAttention(nn.Module):
    """Tokens look at those in the same window: [N, side, side, C] -> the same. With a shift the windows are moved by so
    many tokens, and those that hang over the edge go on at the opposite one."""

    def __init__(self, side: int, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.register_buffer("mask", shift_mask(side, window, shift) if shift else None, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side, tokens = x.shape[1], self.window**2
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        qkv = self.qkv(to_windows(x, self.window)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)  # each [N, windows, heads, tokens, head size]

        bias = self.relative_position_bias_table[self.relative_position_index].view(tokens, tokens, self.heads)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias.permute(2, 0, 1)
        if self.mask is not None:
            scores = scores + self.mask
        y = (scores.softmax(-1) @ v).transpose(2, 3).flatten(3)

        y = from_windows(self.proj(y), self.window, side)
        return torch.roll(y, (self.shift, self.shift), (1, 2)) if self.shift else y


class SwinBlock(nn.Module):
    """Attention and multi-layer perceptron, each behind a norm and around a shortcut: [N, side, side, C] -> same."""

    def __init__(self, side: int, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(side, channels, heads, window, shift)
        self.norm2 = nn.LayerNorm(channels)
        # The dropouts drop nothing; they are there for the numbers in the names.
        self.mlp = nn.Sequential(
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Dropout(0.0),
            nn.Linear(4 * channels, channels),
            nn.Dropout(0.0),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class SwinTransformer(nn.Module):
    """Stages of blocks, half the side and twice the channels from one to the next. Input float32 [N, 3, size, size],
    output [N, classes].

    Args:
        size: side of the image in pixels; each stage's side (size / 4, size / 8, ...) is a multiple of `window`.
        window: side of a window in tokens.
        channels: those of the first stage, a multiple of its heads.
        depths, heads: blocks and attention heads of each stage; every second block has its windows shifted.
        classes: number of logits.

    Raises:
        ValueError: `size` is not a multiple of what the stages and the window need.
    """

    def __init__(
        self,
        size: int = 224,
        window: int = 7,
        channels: int = 96,
        depths: tuple[int, ...] = (2, 2, 6, 2),
        heads: tuple[int, ...] = (3, 6, 12, 24),
        classes: int = 1000,
    ) -> None:
        super().__init__()
        unit = 4 * window * 2 ** (len(depths) - 1)
        if size % unit:
            raise ValueError(f"size is {size}: {len(depths)} stages with windows of {window} need a multiple of {unit}")
        side = size // 4
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, channels, 4, 4), Permute(0, 2, 3, 1), nn.LayerNorm(channels))
        )
        for stage, (depth, count) in enumerate(zip(depths, heads, strict=True)):
            if stage:
                self.features.append(PatchMerging(channels))
                side, channels = side // 2, 2 * channels
            # A window as large as the image has nowhere to go.
            shift = window // 2 if side > window else 0
            blocks = (SwinBlock(side, channels, count, window, shift * (i % 2)) for i in range(depth))
            self.features.append(nn.Sequential(*blocks))
        self.norm = nn.LayerNorm(channels)
        self.permute = Permute(0, 3, 1, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)
        self.head = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.permute(self.norm(self.features(x)))
        return self.head(self.flatten(self.avgpool(x)))


def swin_t(classes: int = 1000) -> SwinTransformer:
    """Swin-T: 12 blocks, 28 million parameters. Input float32 [N, 3, 224, 224]."""
    return SwinTransformer(classes=classes).eval()
