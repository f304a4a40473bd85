"""The scheduler that follows a metric."""

from __future__ import annotations

import math
from typing import Any

from gradlite.optim.lr_scheduler.scheduler import LRScheduler
from gradlite.optim.optimizer import Optimizer
from gradlite.optim.schedules import _count, _number


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by `factor` when a metric has stopped improving.

    An epoch is an improvement if its metric is below ``best * (1 - threshold)``, or with
    ``threshold_mode='abs'`` below ``best - threshold``; with ``mode='max'``, above the same with
    plus. These are PyTorch's rules: where the metric may be negative, 'abs' is the mode to use.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    mode : {'min', 'max'}
        Whether the metric is better when it is smaller (a loss) or larger (a score).
    factor : float, default 0.1
        Below 1.
    patience : int, default 10
        The number of epochs in a row without improvement that are tolerated.
    threshold : float, default 1e-4
        The improvement that an epoch must make.
    threshold_mode : {'rel', 'abs'}
        Whether the threshold is relative to the best metric.
    cooldown : int, default 0
        The number of epochs after a change that are not counted.
    min_lr : float or list of floats, default 0
        The lowest rate; a list has one for each group.
    eps : float, default 1e-8
        Smaller changes of the rate are not made.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=0.5)
    >>> scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (0.9, 0.8, 0.8, 0.8):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.25]
    """

    _saved = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter", "_last_lr")
    _joins = False  # its step takes a metric

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = type(self).__name__
        _number(name, factor=factor, threshold=threshold, eps=eps)
        _count(name, least=0, patience=patience, cooldown=cooldown)
        if factor >= 1:
            raise ValueError(f"{name}: factor must be below 1, not {factor!r}.")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"{name}: mode must be 'min' or 'max' and threshold_mode 'rel' or 'abs', not "
                f"{mode!r} and {threshold_mode!r}."
            )
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        super().__init__(optimizer)
        self.min_lrs = self._for_groups("min_lr", min_lr)

    def get_lr(self) -> list[float]:
        """Return the rate of each group, which stays as it is."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self, metrics: Any) -> None:  # type: ignore[override]  # the metric, as in PyTorch
        """Record the metric of the epoch that has ended, a number, and change the rates if due."""
        metric = float(metrics)
        self.last_epoch += 1
        if self._improves(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        rates = self.get_lr()
        if self.num_bad_epochs > self.patience:
            lower = [
                max(rate * self.factor, low) for rate, low in zip(rates, self.min_lrs, strict=False)
            ]
            rates = [
                new if old - new > self.eps else old for old, new in zip(rates, lower, strict=False)
            ]
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._set(rates)

    def _improves(self, metric: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            bound = self.best * (1 + sign * self.threshold)
        else:
            bound = self.best + sign * self.threshold
        return metric < bound if self.mode == "min" else metric > bound
