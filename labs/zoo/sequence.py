"""The zoo's transformers, recurrent networks and regressions."""

from functools import partial

import torch

from labs.zoo.bert import bert_base
from labs.zoo.gpt2 import gpt2, gpt2_step
from labs.zoo.llama import llama_small
from labs.zoo.registry import Entry, images, tokens
from labs.zoo.regression import linear_regression, logistic_regression
from labs.zoo.rnn import gru, lstm
from labs.zoo.swin import swin_t
from labs.zoo.vit import vit_b_16


def last_of_128(batch: int) -> tuple[torch.Tensor, ...]:
    """Inputs of GPT-2 small's step: token ids int64 [batch, 1], then the keys and values of the 127 tokens before them,
    24 times float32 [batch, 12, 127, 64]."""
    numbers = torch.Generator().manual_seed(batch)
    token = torch.randint(0, 50257, (batch, 1), generator=numbers)
    return token, *(torch.randn(batch, 12, 127, 64, generator=numbers) for _ in range(24))


PHOTO = images(3, 224, 224)
SENTENCE = tokens(64, 10000)

SEQUENCE: tuple[Entry, ...] = (
    Entry("bert_base", "BERT", "BERT-base, 128 tokens", bert_base, tokens(128, 30522)),
    Entry("gpt2", "GPT-2", "GPT-2, 128 tokens", gpt2, tokens(128, 50257)),
    Entry("gpt2_past", "GPT-2", "GPT-2, the 128th token", gpt2_step, last_of_128),
    Entry("llama_small", "LLaMA", "LLaMA, 4 layers, 128 tokens", llama_small, tokens(128, 32000)),
    Entry("vit_b_16", "ViT", "ViT-B/16", vit_b_16, PHOTO),
    Entry("swin_t", "Swin", "Swin-T", swin_t, PHOTO),
    Entry("lstm", "LSTM", "LSTM, 64 tokens", lstm, SENTENCE),
    Entry("lstm_bidirectional", "LSTM", "Bidirectional LSTM, 64 tokens", partial(lstm, bidirectional=True), SENTENCE),
    Entry("gru", "GRU", "GRU, 64 tokens", gru, SENTENCE),
    Entry("linear_regression", "Linear regression", "Linear regression", linear_regression, images(784)),
    Entry("logistic_regression", "Logistic regression", "Logistic regression", logistic_regression, images(784)),
)
