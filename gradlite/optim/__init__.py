"""Optimisers, on one flat vector of parameters: PyTorch's names, defaults and arithmetic.

`momentum` and `adaptive` hold the formulas, one short method each; `flat` makes parameters views
of one vector.
"""

from __future__ import annotations

from gradlite.optim.adaptive import Adagrad, Adam, AdamW, RMSprop
from gradlite.optim.clipping import clip_grad_norm
from gradlite.optim.lbfgs import LBFGS
from gradlite.optim.momentum import SGD, Lion
from gradlite.optim.optimizer import Optimizer

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "lion": Lion,
    "lbfgs": LBFGS,
}
"""The optimisers by name."""

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm",
]
