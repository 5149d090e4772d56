"""Recurrent language models: LSTM (Hochreiter and Schmidhuber, 1997) and GRU (Cho et al., 2014)."""

import torch
from torch import nn


class RecurrentLM(nn.Module):
    """Embedding, recurrent layers, and a linear layer to the logits of the next token. Input int64 [N, T], output
    float32 [N, T, vocabulary].

    Args:
        cell: nn.LSTM or nn.GRU.
        vocabulary: number of tokens.
        embedding, hidden, layers: width of the embedding, width and number of the recurrent layers.
        bidirectional: a second stack of layers reads from the end; the linear layer sees both.
    """

    def __init__(
        self,
        cell: type[nn.LSTM] | type[nn.GRU],
        vocabulary: int = 10000,
        embedding: int = 256,
        hidden: int = 512,
        layers: int = 2,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.rnn = cell(embedding, hidden, layers, batch_first=True, bidirectional=bidirectional)
        self.linear = nn.Linear(hidden * (2 if bidirectional else 1), vocabulary)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.linear(self.rnn(self.embedding(input_ids))[0])


def lstm(bidirectional: bool = False) -> RecurrentLM:
    """Two LSTM layers of width 512, vocabulary 10000."""
    return RecurrentLM(nn.LSTM, bidirectional=bidirectional).eval()


def gru(bidirectional: bool = False) -> RecurrentLM:
    """Two GRU layers of width 512, vocabulary 10000."""
    return RecurrentLM(nn.GRU, bidirectional=bidirectional).eval()
