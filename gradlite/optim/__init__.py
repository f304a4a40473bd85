"""Optimisers, on one flat vector of parameters: PyTorch's names, defaults and arithmetic.

`momentum`, `adam` and `adaptive` hold the formulas, one short method each; `flat` makes parameters
views of one vector.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from gradlite.nn.clipping import clip_grad_norm, clip_grad_value
from gradlite.optim import lr_scheduler
from gradlite.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from gradlite.optim.adaptive import Adadelta, Adagrad, RMSprop
from gradlite.optim.lbfgs import LBFGS
from gradlite.optim.momentum import SGD, Lion
from gradlite.optim.optimizer import Optimizer

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": NAdam,
    "radam": RAdam,
    "adamax": Adamax,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "lion": Lion,
    "lbfgs": LBFGS,
}
"""The optimisers by name."""

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "clip_grad_norm",
    "clip_grad_value",
    "lr_scheduler",
    "swa_utils",
]


def __getattr__(name: str) -> Any:
    """Load `swa_utils` on first access: it needs `gradlite.nn`, whose utilities need this."""
    if name != "swa_utils":
        raise AttributeError(f"module 'gradlite.optim' has no attribute {name!r}")
    return import_module("gradlite.optim.swa_utils")
