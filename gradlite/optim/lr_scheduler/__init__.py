"""Learning rates by PyTorch's classes: objects that change ``lr`` in the groups of an optimiser.

``scheduler.step()`` moves on, once for each epoch or batch, after ``optimizer.step()``. The rates
are PyTorch's, and those of `gradlite.schedules`, functions that an optimiser takes as its ``lr``
and that need no call.

Examples
--------
>>> import gradlite as gl
>>> from gradlite.optim import SGD
>>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=0.5)
>>> scheduler = StepLR(optimizer, step_size=2, gamma=0.5)
>>> for epoch in range(4):
...     optimizer.step()
...     scheduler.step()
>>> scheduler.get_last_lr()
[0.125]
"""

from gradlite.optim.lr_scheduler.cycles import (
    CosineAnnealingWarmRestarts,
    CyclicLR,
    OneCycleLR,
)
from gradlite.optim.lr_scheduler.factors import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from gradlite.optim.lr_scheduler.plateau import ReduceLROnPlateau
from gradlite.optim.lr_scheduler.scheduler import ChainedScheduler, LRScheduler, SequentialLR

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
