"""GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019).

Parameters are named as in Hugging Face's GPT2LMHeadModel. There is no dropout: these networks are for inference.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

# The keys and the values of the tokens so far in one layer, each float32 [N, heads, P, head size].
KeyValue = tuple[torch.Tensor, torch.Tensor]


class Conv1D(nn.Module):
    """A linear layer whose weight is [inputs, outputs], as GPT-2's code has it: [N, T, inputs] -> [N, T, outputs]."""

    def __init__(self, inputs: int, outputs: int, std: float = 0.02) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.normal_(self.weight, std=std)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, x.flatten(0, 1), self.weight).unflatten(0, x.shape[:2])


class Attention(nn.Module):
    """Every token looks at itself and those before it: [N, T, hidden] -> the same, and the keys and values of all.
    `mask` (bool, [T, P + T]) says which those are where tokens are past; None: all."""

    def __init__(self, hidden: int, heads: int, residual_std: float) -> None:
        super().__init__()
        self.heads = heads
        self.c_attn = Conv1D(hidden, 3 * hidden)
        self.c_proj = Conv1D(hidden, hidden, residual_std)

    def forward(
        self, x: torch.Tensor, past: KeyValue | None, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, KeyValue]:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.c_attn(x).chunk(3, dim=-1))
        if past is not None:
            k, v = torch.cat((past[0], k), dim=2), torch.cat((past[1], v), dim=2)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=past is None)
        return self.c_proj(y.transpose(1, 2).flatten(2)), (k, v)


class MLP(nn.Module):
    """Two linear layers with the tanh form of GELU between them: [N, T, hidden] -> the same."""

    def __init__(self, hidden: int, residual_std: float) -> None:
        super().__init__()
        self.c_fc = Conv1D(hidden, 4 * hidden)
        self.c_proj = Conv1D(4 * hidden, hidden, residual_std)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    """Attention and multi-layer perceptron, each behind a norm and around a shortcut."""

    def __init__(self, hidden: int, heads: int, residual_std: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(hidden)
        self.attn = Attention(hidden, heads, residual_std)
        self.ln_2 = nn.LayerNorm(hidden)
        self.mlp = MLP(hidden, residual_std)

    def forward(
        self, x: torch.Tensor, past: KeyValue | None, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, KeyValue]:
        y, present = self.attn(self.ln_1(x), past, mask)
        x = x + y
        return x + self.mlp(self.ln_2(x)), present


class GPT2(nn.Module):
    """The decoder with its language-model head, whose weight is that of the token embedding.

    Args:
        layers, hidden, heads: depth, width and attention heads; `hidden` is a multiple of `heads`.
        vocabulary: number of tokens.
        positions: the longest sequence, with what is past.
    """

    def __init__(
        self, layers: int = 12, hidden: int = 768, heads: int = 12, vocabulary: int = 50257, positions: int = 1024
    ) -> None:
        super().__init__()
        # The sum over all residual layers, two in each block, keeps the size of one (section 2.3 of the paper).
        residual_std = 0.02 / math.sqrt(2 * layers)
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(vocabulary, hidden),
                "wpe": nn.Embedding(positions, hidden),
                "h": nn.ModuleList(Block(hidden, heads, residual_std) for _ in range(layers)),
                "ln_f": nn.LayerNorm(hidden),
            }
        )
        self.lm_head = nn.Linear(hidden, vocabulary, bias=False)
        self.lm_head.weight = self.transformer["wte"].weight
        nn.init.normal_(self.transformer["wte"].weight, std=0.02)
        nn.init.normal_(self.transformer["wpe"].weight, std=0.02)

    def forward(
        self, input_ids: torch.Tensor, past: tuple[KeyValue, ...] | None = None, use_cache: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor, tuple[KeyValue, ...]]:
        """Predict the token after each token.

        Args:
            input_ids: int64 [N, T], the new tokens.
            past: for each layer what an earlier call returned for the P tokens before them; None: there are none.
            use_cache: return the past for the next call even if none was given.

        Returns:
            Logits, float32 [N, T, vocabulary]; with `past` or `use_cache` also the keys and values of all P + T tokens.

        Raises:
            IndexError: a token is not in the vocabulary, or P + T is more than `positions`.
        """
        before, new = 0 if past is None else past[0][0].shape[2], input_ids.shape[1]
        position_ids = torch.arange(before, before + new, device=input_ids.device)
        mask = None
        if past is not None and new > 1:
            # is_causal would align the first query with the first key; here the last one belongs to the last.
            mask = torch.ones(new, before + new, dtype=torch.bool, device=input_ids.device).tril(before)
        x = self.transformer["wte"](input_ids) + self.transformer["wpe"](position_ids)
        presents = []
        for layer, block in enumerate(self.transformer["h"]):
            x, present = block(x, None if past is None else past[layer], mask)
            presents.append(present)
        logits = self.lm_head(self.transformer["ln_f"](x))
        return logits if past is None and not use_cache else (logits, tuple(presents))


class GPT2Step(nn.Module):
    """One step of generation with plain tensors for inputs and outputs, as exporters want it."""

    def __init__(self, model: GPT2) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, *past: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """`past` is the keys and the values of the first layer, then those of the second, and so on. Returns the logits
        and the new past in the same order; shapes as in GPT2.forward."""
        logits, new = self.model(input_ids, tuple(zip(past[::2], past[1::2], strict=True)))
        return logits, *(tensor for pair in new for tensor in pair)


def gpt2() -> GPT2:
    """GPT-2 small: 12 layers, 124 million parameters."""
    return GPT2().eval()


def gpt2_step() -> GPT2Step:
    """GPT-2 small, called with its past as 24 tensors."""
    return GPT2Step(gpt2()).eval()
