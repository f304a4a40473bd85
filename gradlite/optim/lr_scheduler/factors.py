"""Schedulers that multiply the rate by a factor of the epoch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from gradlite.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer
from gradlite.optim.optimizer import Optimizer
from gradlite.optim.schedules import (
    Schedule,
    _cosine,
    _count,
    _number,
    exponential,
    step_decay,
    warm_up,
)


class _Factor(LRScheduler):
    """A scheduler that multiplies the rate by ``factor(epoch) / factor(epoch - 1)``.

    So several of them may change one rate, and a rate set by hand is respected.
    """

    _lowest = 0.0  # what is multiplied is the distance from this rate

    def _factor(self, epoch: int) -> float:
        """Return the rate of an epoch as a multiple of the initial one."""
        raise NotImplementedError

    def get_lr(self) -> Sequence[float]:
        """Return the rate of each group."""
        now = self._factor(self.last_epoch)
        before = self._factor(self.last_epoch - 1) if self.last_epoch else 1.0
        rates = [group["lr"] for group in self.optimizer.param_groups]
        low = self._lowest
        if before == 0:  # the way up again begins from the initial rate
            return [low + (base - low) * now for base in self.base_lrs]
        return [low + (rate - low) * (now / before) for rate in rates]


class LambdaLR(LRScheduler):
    """The initial rate times a function of the epoch.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    lr_lambda : callable or list of callables
        From the epoch to the factor; a list has one for each group.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=0.5)
    >>> scheduler = LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> optimizer.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = check_optimizer(self, optimizer)
        self.lr_lambdas = self._for_groups("lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        """Return the rate of each group."""
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=False)
        return [base * factor(self.last_epoch) for base, factor in pairs]


class _Scheduled(_Factor):
    """A scheduler whose factor is a schedule of `gradlite.schedules` with the rate 1."""

    def __init__(self, optimizer: Optimizer, schedule: Schedule, last_epoch: int) -> None:
        self._schedule = schedule
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self._schedule(epoch)


class StepLR(_Scheduled):
    """Multiply the rate by `gamma` every `step_size` epochs: `schedules.step_decay`.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    step_size : int
        The number of epochs between two changes.
    gamma : float, default 0.1
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> scheduler = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for epoch in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        super().__init__(optimizer, step_decay(1.0, step_size, gamma), last_epoch)


class ExponentialLR(_Scheduled):
    """Multiply the rate by `gamma` in every epoch: `schedules.exponential`.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    gamma : float
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> scheduler = ExponentialLR(optimizer, gamma=0.5)
    >>> for epoch in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        super().__init__(optimizer, exponential(1.0, gamma), last_epoch)


class LinearLR(_Scheduled):
    """Change the factor of the rate linearly, then keep it: `schedules.warm_up`.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    start_factor, end_factor : float, default 1/3 and 1.0
        The factor at epoch 0, and from epoch `total_iters` onwards.
    total_iters : int, default 5
        The number of epochs of the change.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> scheduler = LinearLR(optimizer, start_factor=0.5, total_iters=4)
    >>> for epoch in range(2):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        super().__init__(optimizer, warm_up(end_factor, total_iters, start_factor), last_epoch)


class ConstantLR(_Factor):
    """Multiply the rate by `factor` in the first epochs only.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    factor : float, default 1/3
    total_iters : int, default 5
        The number of these epochs.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> scheduler = ConstantLR(optimizer, factor=0.25, total_iters=2)
    >>> for epoch in range(1):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _number("ConstantLR", factor=factor)
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.factor if epoch < self.total_iters else 1.0


class MultiStepLR(_Factor):
    """Multiply the rate by `gamma` at each milestone.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    milestones : iterable of int
        The epochs; one that is listed twice counts twice.
    gamma : float, default 0.1
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> scheduler = MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for epoch in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        _number("MultiStepLR", gamma=gamma)
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return float(self.gamma ** bisect_right(self.milestones, epoch))


class PolynomialLR(_Factor):
    """Lower the rate to zero: ``(1 - epoch / total_iters)**power``.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    total_iters : int, default 5
        The number of epochs to zero.
    power : float, default 1.0
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> scheduler = PolynomialLR(optimizer, total_iters=4)
    >>> for epoch in range(1):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        _count("PolynomialLR", total_iters=total_iters)
        _number("PolynomialLR", power=power)
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return float((1 - min(epoch / self.total_iters, 1.0)) ** self.power)


class CosineAnnealingLR(_Factor):
    """Move the rate along a cosine, to `eta_min` in epoch `T_max` and up again after it.

    ``eta_min + (rate - eta_min) * (1 + cos(pi * epoch / T_max)) / 2``: Loshchilov and Hutter,
    "SGDR", 2017, without restarts. `schedules.cosine` stays at its end.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    T_max : int
        The number of epochs to the lowest rate.
    eta_min : float, default 0.0
        The lowest rate.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> scheduler = CosineAnnealingLR(optimizer, T_max=2, eta_min=0.25)
    >>> for epoch in range(2):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        _count("CosineAnnealingLR", T_max=T_max)
        _number("CosineAnnealingLR", eta_min=eta_min)
        self.T_max = T_max
        self._lowest = eta_min
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return _cosine(1.0, 0.0, epoch / self.T_max)
