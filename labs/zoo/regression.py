"""Linear and logistic regression, the smallest networks there are."""

from torch import nn


def linear_regression(features: int = 784, outputs: int = 1) -> nn.Linear:
    """A weighted sum of the features. Input float32 [N, features], output [N, outputs]."""
    return nn.Linear(features, outputs).eval()


def logistic_regression(features: int = 784, classes: int = 10) -> nn.Sequential:
    """The probability of each class. Input float32 [N, features], output [N, classes], whose rows sum to 1; with two
    classes [N, 1], the probability of the second."""
    if classes == 2:
        return nn.Sequential(nn.Linear(features, 1), nn.Sigmoid()).eval()
    return nn.Sequential(nn.Linear(features, classes), nn.Softmax(dim=1)).eval()
