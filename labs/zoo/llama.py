"""A decoder in the style of LLaMA (Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023).

Root-mean-square norms (Zhang and Sennrich, 2019), rotary embeddings (Su et al., "RoFormer", 2021), SwiGLU (Shazeer,
"GLU Variants Improve Transformer", 2020) and grouped-query attention (Ainslie et al., "GQA", 2023). Parameters are
named as in Hugging Face's LlamaModel.
"""

import torch
import torch.nn.functional as F
from torch import nn

EPSILON = 1e-6


def rotary_table(positions: int, size: int, base: float = 10000.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of the angle by which each position turns each pair of channels, each float32
    [positions, size]. Channels i and i + size / 2 are a pair, so the second half repeats the first."""
    frequency = base ** (-torch.arange(0, size, 2) / size)
    angle = torch.outer(torch.arange(positions), frequency).repeat(1, 2)
    return angle.cos(), angle.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn each pair of channels of x [N, heads, T, size] by its angle; cos and sin are [T, size]."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Attention(nn.Module):
    """Causal attention in which heads / key_value_heads query heads share a key and a value: [N, T, hidden] -> same."""

    def __init__(self, hidden: int, heads: int, key_value_heads: int) -> None:
        super().__init__()
        self.size = hidden // heads
        self.q_proj = nn.Linear(hidden, hidden, bias=False)
        self.k_proj = nn.Linear(hidden, key_value_heads * self.size, bias=False)
        self.v_proj = nn.Linear(hidden, key_value_heads * self.size, bias=False)
        self.o_proj = nn.Linear(hidden, hidden, bias=False)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            linear(x).unflatten(-1, (-1, self.size)).transpose(1, 2)
            for linear in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """SwiGLU, two linear layers of which one gates the other, and one back: [N, T, hidden] -> the same."""

    def __init__(self, hidden: int, intermediate: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, intermediate, bias=False)
        self.up_proj = nn.Linear(hidden, intermediate, bias=False)
        self.down_proj = nn.Linear(intermediate, hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention and multi-layer perceptron, each behind a norm and around a shortcut."""

    def __init__(self, hidden: int, heads: int, key_value_heads: int, intermediate: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(hidden, EPSILON)
        self.self_attn = Attention(hidden, heads, key_value_heads)
        self.post_attention_layernorm = nn.RMSNorm(hidden, EPSILON)
        self.mlp = MLP(hidden, intermediate)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class LLaMA(nn.Module):
    """The decoder without a language-model head. Input int64 [N, T], output float32 [N, T, hidden].

    Args:
        layers, hidden, heads: depth, width and query heads; `hidden` / `heads` is an even whole number.
        key_value_heads: number of key and value heads, a divisor of `heads`.
        intermediate: width between the linear layers of the perceptron.
        vocabulary: number of tokens.
        positions: the longest sequence.
    """

    def __init__(
        self,
        layers: int = 4,
        hidden: int = 512,
        heads: int = 8,
        key_value_heads: int = 4,
        intermediate: int = 1376,
        vocabulary: int = 32000,
        positions: int = 2048,
    ) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, hidden)
        self.layers = nn.ModuleList(Layer(hidden, heads, key_value_heads, intermediate) for _ in range(layers))
        self.norm = nn.RMSNorm(hidden, EPSILON)
        cos, sin = rotary_table(positions, hidden // heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        length = input_ids.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)


def llama_small() -> LLaMA:
    """Four layers of width 512, 28 million parameters: LLaMA's structure at a size for a laptop."""
    return LLaMA().eval()
