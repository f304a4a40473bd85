"""Networks in PyTorch's vocabulary, on NumPy arrays; and micrograd's, on single numbers.

`Module` and `Parameter` are the building blocks of the layers and of your own networks. Names,
argument orders and weight shapes are PyTorch's, so a ``state_dict`` of arrays moves between the
two. `Neuron`, `Layer` and `MLP` are those of the scalar API.
"""

from gradlite.nn import init
from gradlite.nn.activations import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from gradlite.nn.containers import (
    ModuleDict,
    ModuleList,
    ParameterDict,
    ParameterList,
    Residual,
    Sequential,
)
from gradlite.nn.convolution import AvgPool2d, Conv1d, Conv2d, MaxPool2d
from gradlite.nn.embedding import Bilinear, Embedding
from gradlite.nn.layers import Dropout, Flatten, Identity, Linear
from gradlite.nn.losses import (
    bce_with_logits,
    cross_entropy,
    gaussian_nll,
    hinge,
    huber,
    kl_div,
    mae,
    mse,
    poisson_nll,
    quantile,
)
from gradlite.nn.module import Module, Parameter
from gradlite.nn.normalization import BatchNorm1d, LayerNorm
from gradlite.nn.reduction import weighted_mean
from gradlite.scalar.nn import MLP, Layer, Neuron

__all__ = [
    "ELU",
    "GELU",
    "MLP",
    "AvgPool2d",
    "BatchNorm1d",
    "Bilinear",
    "Conv1d",
    "Conv2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "Identity",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Neuron",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "bce_with_logits",
    "cross_entropy",
    "gaussian_nll",
    "hinge",
    "huber",
    "init",
    "kl_div",
    "mae",
    "mse",
    "poisson_nll",
    "quantile",
    "weighted_mean",
]
