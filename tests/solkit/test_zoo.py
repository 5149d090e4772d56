"""The zoo's networks through solkit: a member of each family against PyTorch in float64, nothing of it in PyTorch.

Transformers and recurrent networks are made tiny here; image networks take small images. The others are slow.
"""

from functools import partial

import pytest
import torch
from compare import compare, images
from torch import nn

from labs.zoo import NETWORKS
from labs.zoo.bert import BERT
from labs.zoo.gpt2 import GPT2, GPT2Step
from labs.zoo.llama import LLaMA
from labs.zoo.regression import linear_regression, logistic_regression
from labs.zoo.rnn import RecurrentLM
from labs.zoo.swin import SwinTransformer
from labs.zoo.vit import VisionTransformer

VOCABULARY = 50
IDS = torch.randint(0, VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
IMAGE = images(2, 3, 32, 32)

SIZES = {"layers": 2, "hidden": 32, "heads": 4, "vocabulary": VOCABULARY, "positions": 16}
bert, gpt2 = partial(BERT, **SIZES), partial(GPT2, **SIZES)
rnn = partial(RecurrentLM, vocabulary=VOCABULARY, embedding=8, hidden=12)

TINY = {
    "bert": (bert, (IDS,)),
    "bert with a mask": (bert, (IDS, MASK)),
    "gpt2": (gpt2, (IDS,)),
    "gpt2, one token on top": (lambda: GPT2Step(gpt2()), (IDS[:, :1], *(images(2, 4, 6, 8, seed=i) for i in range(4)))),
    "llama": (partial(LLaMA, **SIZES, key_value_heads=2, intermediate=48), (IDS,)),
    "vit": (partial(VisionTransformer, 32, 8, layers=2, hidden=24, heads=3, classes=10), (IMAGE,)),
    "swin": (partial(SwinTransformer, 32, 2, 12, (2, 2), (3, 6), classes=10), (IMAGE,)),
    "lstm": (partial(rnn, nn.LSTM), (IDS,)),
    "gru": (partial(rnn, nn.GRU), (IDS,)),
    "lstm, both ways": (partial(rnn, nn.LSTM, bidirectional=True), (IDS,)),
    "linear regression": (linear_regression, (images(2, 784),)),
    "logistic regression": (logistic_regression, (images(2, 784),)),
}

# Image networks, and the side of the smallest image their windows can take.
SMALL = {"squeezenet1_1": 64, "shufflenet_v2_x0_5": 32, "deck3": None}
SLOW = {
    "alexnet": 64,
    "vgg11": 32,
    "vgg11_bn": 32,
    "resnet18": 64,
    "resnet50": 64,
    "resnext50_32x4d": 64,
    "wide_resnet50_2": 64,
    "densenet121": 64,
    "densenet161": 64,
    "inception_v3": 96,
    "googlenet": 64,
    "mobilenet_v1": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "mobilenet_v3_large": 64,
    "mnasnet0_5": 64,
    "efficientnet_b0": 64,
    "convnext_tiny": 64,
    "regnet_x_400mf": 64,
    "regnet_y_400mf": 64,
    "unet": 64,
    "bert_base": None,
    "gpt2": None,
    "llama_small": None,
    "vit_b_16": None,
    "swin_t": None,
}


def check(name, model, inputs):
    made = compare(model, *inputs, tolerance=1e-4)
    assert made.explain().in_pytorch == []


@pytest.mark.parametrize("name", TINY)
def test_tiny_networks(name):
    torch.manual_seed(0)
    make, inputs = TINY[name]
    check(name, make().eval(), inputs)


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_networks(name):
    torch.manual_seed(0)
    side = {**SMALL, **SLOW}[name]
    inputs = NETWORKS[name].inputs(1) if side is None else (images(1, 3, side, side),)
    check(name, NETWORKS[name].make(), inputs)


def test_every_family_is_here():
    tiny = {name.split(",")[0].split()[0] for name in TINY} | {"mlp"}
    families = {entry.family for name, entry in NETWORKS.items() if name in SMALL or name in SLOW or name in tiny}
    named = {"Linear regression", "Logistic regression"}
    assert families | named == {entry.family for entry in NETWORKS.values()}
