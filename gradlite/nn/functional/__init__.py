"""Functions of networks under PyTorch's names, argument orders and defaults.

``from gradlite.nn import functional as F``: `input` comes first, axes are `dim`, and classes stand
on axis 1. Each is a thin name for what gradlite has under NumPy's words, or one line of it; arrays
and Tensors both pass.

Examples
--------
>>> import numpy as np
>>> from gradlite.nn import functional as F
>>> scores = np.array([[2.0, 0.0], [0.0, 0.0]])
>>> F.softmax(scores, dim=1)[1]
array([0.5, 0.5])
>>> round(float(F.cross_entropy(scores, np.array([0, 1]))), 6)
0.410038
"""

from gradlite.nn.functional.activations import (
    elu,
    gelu,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)
from gradlite.nn.functional.distances import (
    cosine_embedding_loss,
    cosine_similarity,
    hinge_embedding_loss,
    margin_ranking_loss,
    normalize,
    pairwise_distance,
    triplet_margin_loss,
)
from gradlite.nn.functional.layers import (
    avg_pool2d,
    batch_norm,
    bilinear,
    conv1d,
    conv2d,
    dropout,
    embedding,
    layer_norm,
    linear,
    max_pool2d,
    scaled_dot_product_attention,
)
from gradlite.nn.functional.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    multi_margin_loss,
    multilabel_soft_margin_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from gradlite.nn.functional.sizes import interpolate, one_hot, pad

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gaussian_nll_loss",
    "gelu",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool2d",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    "triplet_margin_loss",
]
