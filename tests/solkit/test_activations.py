"""Activation functions that are taken apart, roll and stack."""

import pytest
import torch
import torch.nn.functional as F
from compare import Each, compare
from torch import nn

ACTIVATIONS = {
    "elu": nn.ELU(0.7),
    "celu": nn.CELU(1.3),
    "selu": nn.SELU(),
    "softplus": nn.Softplus(),
    "softplus beta": nn.Softplus(beta=2.0),
    "mish": nn.Mish(),
    "log sigmoid": nn.LogSigmoid(),
    "softsign": nn.Softsign(),
    "relu6": nn.ReLU6(),
    "prelu": nn.PReLU(),
    "prelu per channel": nn.PReLU(6),
    "glu": nn.GLU(1),
    "roll": lambda x: torch.roll(x, 2, 1),
    "roll two": lambda x: torch.roll(x, (1, -2), (1, 2)),
    "stack": lambda x: torch.stack([x, x * 2], 1),
    "roll all": lambda x: torch.roll(x, 3),
}


def test_activations():
    x = torch.randn(3, 6, 5) * 4
    made = compare(Each(ACTIVATIONS), *(x.clone() for _ in ACTIVATIONS))
    assert made.explain().in_pytorch == []


@pytest.mark.parametrize("function", [F.elu, F.softplus, F.mish, F.logsigmoid])
def test_large_and_special_numbers(function):
    x = torch.tensor([[-1e30, -200.0, -0.0, 0.0, 200.0, 1e30, float("inf"), float("nan")]])
    made = compare(Each({"it": function}), x)
    assert made(x)["it"].isnan().tolist() == function(x).isnan().tolist()
