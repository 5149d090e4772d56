"""Vision Transformer (Dosovitskiy et al., "An Image is Worth 16x16 Words", 2020); parameter names as in torchvision."""

import math

import torch
from torch import nn

EPSILON = 1e-6


class EncoderBlock(nn.Module):
    """Attention and multi-layer perceptron, each behind a norm and around a shortcut: [N, T, hidden] -> the same."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(hidden, EPSILON)
        self.self_attention = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(hidden, EPSILON)
        # The dropouts drop nothing; they are there for the numbers in the names.
        self.mlp = nn.Sequential(
            nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Dropout(0.0), nn.Linear(4 * hidden, hidden), nn.Dropout(0.0)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Adds to each token where it stands, then the blocks and a norm: [N, T, hidden] -> the same."""

    def __init__(self, length: int, layers: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, length, hidden).normal_(std=0.02))
        self.layers = nn.Sequential()
        for i in range(layers):
            self.layers.add_module(f"encoder_layer_{i}", EncoderBlock(hidden, heads))
        self.ln = nn.LayerNorm(hidden, EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ln(self.layers(x + self.pos_embedding))


class VisionTransformer(nn.Module):
    """Patches of an image as tokens, and one token more that collects the class. Input float32 [N, 3, size, size],
    output [N, classes].

    Args:
        size, patch: side of the image and of a patch, in pixels; `size` is a multiple of `patch`.
        layers, hidden, heads: depth, width and attention heads; `hidden` is a multiple of `heads`.
        classes: number of logits.
    """

    def __init__(
        self,
        size: int = 224,
        patch: int = 16,
        layers: int = 12,
        hidden: int = 768,
        heads: int = 12,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, hidden))
        self.conv_proj = nn.Conv2d(3, hidden, patch, patch)
        self.encoder = Encoder((size // patch) ** 2 + 1, layers, hidden, heads)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(hidden, classes))

        nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / (3 * patch**2)))
        nn.init.zeros_(self.conv_proj.bias)
        for block in self.encoder.layers:
            for linear in (block.mlp[0], block.mlp[3]):
                nn.init.xavier_uniform_(linear.weight)
                nn.init.normal_(linear.bias, std=1e-6)
        # torchvision starts the head at zero, and then the network says nothing but zeros.
        nn.init.trunc_normal_(self.heads.head.weight, std=0.02)
        nn.init.zeros_(self.heads.head.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.class_token.expand(x.shape[0], -1, -1), x), dim=1)
        return self.heads(self.encoder(x)[:, 0])


def vit_b_16(classes: int = 1000) -> VisionTransformer:
    """ViT-B/16: 12 layers, 87 million parameters. Input float32 [N, 3, 224, 224]."""
    return VisionTransformer(classes=classes).eval()
