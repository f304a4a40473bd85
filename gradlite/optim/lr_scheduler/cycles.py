"""Schedulers that go up and down, some of them with the momentum the other way round."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gradlite.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer
from gradlite.optim.optimizer import Optimizer
from gradlite.optim.schedules import _cosine, _count, _linear, _number, _positive, _through


class CosineAnnealingWarmRestarts(LRScheduler):
    """Lower the rate along half a cosine, again and again, in cycles that may become longer.

    ``eta_min + (rate - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2``, where T_cur counts the epochs
    of a cycle and T_i is its length: Loshchilov and Hutter, "SGDR", 2017.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    T_0 : int
        The length of the first cycle, in epochs.
    T_mult : int, default 1
        The length of a cycle as a multiple of the one before it.
    eta_min : float, default 0.0
        The lowest rate.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> rates = []
    >>> for batch in range(12):  # two in an epoch
    ...     optimizer.step()
    ...     scheduler.step(batch / 2)
    ...     rates += scheduler.get_last_lr()
    >>> [round(rate, 2) for rate in rates]
    [1.0, 0.85, 0.5, 0.15, 1.0, 0.96, 0.85, 0.69, 0.5, 0.31, 0.15, 0.04]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        _count("CosineAnnealingWarmRestarts", T_0=T_0, T_mult=T_mult)
        _number("CosineAnnealingWarmRestarts", eta_min=eta_min)
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Move on by an epoch, or to `epoch`, which may be a fraction."""
        if epoch is None:
            super().step()
        elif epoch < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts: epoch must be 0 or more, not {epoch}.")
        else:
            self.last_epoch = math.floor(epoch)
            self._set(self._rates(epoch))

    def get_lr(self) -> Sequence[float]:
        """Return the rate of each group."""
        return self._rates(self.last_epoch)

    def _rates(self, epoch: float) -> list[float]:
        length = self.T_0
        if self.T_mult == 1:
            epoch %= length
        while epoch >= length:
            epoch -= length
            length *= self.T_mult
        return [_cosine(base, self.eta_min, epoch / length) for base in self.base_lrs]


class _WithMomentum(LRScheduler):
    """A scheduler that may set the momentum too: SGD's, or the first of Adam's betas."""

    cycle_momentum: bool

    def _check_momentum(self) -> None:
        check_optimizer(self, self.optimizer)
        groups = self.optimizer.param_groups
        if self.cycle_momentum and not {"momentum", "betas"} & groups[0].keys():
            raise ValueError(
                f"{type(self).__name__}: {type(self.optimizer).__name__} has no momentum to "
                f"change: pass cycle_momentum=False."
            )

    def _set_momentum(self, values: Sequence[float]) -> None:
        if not self.cycle_momentum:
            return
        for group, value in zip(self.optimizer.param_groups, values, strict=False):
            if "betas" in group:
                group["betas"] = (value, group["betas"][1])
            else:
                group["momentum"] = value


class OneCycleLR(_WithMomentum):
    """Raise the rate to its maximum and lower it far below the initial rate; the momentum opposite.

    From ``max_lr / div_factor`` to `max_lr` in the first part of the steps, then to
    ``max_lr / div_factor / final_div_factor``: Smith and Topin, "Super-Convergence", 2018. Call
    `step` after each batch. The rates are those of `schedules.one_cycle`.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser; its own rate is replaced.
    max_lr : float or list of floats
        The highest rate; a list has one for each group.
    total_steps : int, optional
        The number of steps of the cycle; by default ``epochs * steps_per_epoch``.
    epochs, steps_per_epoch : int, optional
        Their factors.
    pct_start : float, default 0.3
        The fraction of the steps in which the rate rises.
    anneal_strategy : {'cos', 'linear'}
        Along a cosine or a line.
    cycle_momentum : bool, default True
        Whether to set the momentum (SGD's, or the first of Adam's betas): from `max_momentum` down
        to `base_momentum`, and up again.
    base_momentum, max_momentum : float, default 0.85 and 0.95
        Its limits.
    div_factor : float, default 25
        The highest rate divided by the initial one.
    final_div_factor : float, default 1e4
        The initial rate divided by the final one.
    three_phase : bool, default False
        Whether to fall to the initial rate in as many steps as the rate rises, and only then below.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import Adam
    >>> optimizer = Adam([gl.Tensor([1.0], requires_grad=True)])
    >>> scheduler = OneCycleLR(optimizer, max_lr=0.1, total_steps=100)
    >>> optimizer.step()
    >>> scheduler.step()
    >>> round(scheduler.get_last_lr()[0], 6), optimizer.param_groups[0]["betas"][0] < 0.95
    (0.004281, True)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: pass total_steps, or epochs and steps_per_epoch.")
            total_steps = epochs * steps_per_epoch
        _count("OneCycleLR", least=2, total_steps=total_steps)
        _positive("OneCycleLR", div_factor=div_factor, final_div_factor=final_div_factor)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must be from 0 to 1, not {pct_start!r}.")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}."
            )
        self.optimizer = optimizer
        self.total_steps = total_steps
        self.cycle_momentum = cycle_momentum
        self._check_momentum()
        top = pct_start * total_steps - 1
        self._ends = [top, 2 * top, total_steps - 1] if three_phase else [top, total_steps - 1]
        self._between = _cosine if anneal_strategy == "cos" else _linear
        self._peaks = []
        for peak in self._for_groups("max_lr", max_lr):
            start = peak / div_factor
            back = [start] if three_phase else []
            self._peaks.append([start, peak, *back, start / final_div_factor])
        pairs = zip(
            self._for_groups("base_momentum", base_momentum),
            self._for_groups("max_momentum", max_momentum),
            strict=True,
        )
        back = [1] if three_phase else []
        self._momenta = [[high, low, *[high for _ in back], high] for low, high in pairs]
        if last_epoch == -1:
            for group, values in zip(optimizer.param_groups, self._peaks, strict=True):
                group["lr"] = group["initial_lr"] = values[0]
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        """Return the rate of each group, and set the momentum."""
        if self.last_epoch >= self.total_steps:
            raise ValueError(
                f"OneCycleLR: this is step {self.last_epoch + 1} of a cycle of "
                f"{self.total_steps} steps: count the batches of all epochs."
            )
        step, ends, between = self.last_epoch, self._ends, self._between
        self._set_momentum([_through(step, ends, m, between) for m in self._momenta])
        return [_through(step, ends, values, between) for values in self._peaks]


class CyclicLR(_WithMomentum):
    """Move the rate between two limits, up and down in straight lines.

    Smith, "Cyclical learning rates for training neural networks", 2017. Call `step` after each
    batch.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser; its own rate is replaced.
    base_lr, max_lr : float or list of floats
        The limits; a list has one for each group.
    step_size_up : int, default 2000
        The number of steps of the way up.
    step_size_down : int, optional
        That of the way down; by default `step_size_up`.
    mode : {'triangular', 'triangular2', 'exp_range'}
        Whether the upper limit stays, comes half as near in each cycle, or nearer by `gamma` in
        each step.
    gamma : float, default 1.0
        For 'exp_range'.
    scale_fn : callable, optional
        What multiplies the distance of the limits, in place of `mode`.
    scale_mode : {'cycle', 'iterations'}
        Whether `scale_fn` is called with the number of the cycle, from 1, or of the step, from 0.
    cycle_momentum : bool, default True
        Whether to set the momentum (SGD's, or the first of Adam's betas): from `max_momentum` down
        to `base_momentum`, and up again.
    base_momentum, max_momentum : float or list of floats, default 0.8 and 0.9
        Its limits.
    last_epoch : int, default -1
        See `LRScheduler`.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)])
    >>> scheduler = CyclicLR(optimizer, base_lr=0.25, max_lr=0.75, step_size_up=2)
    >>> rates = scheduler.get_last_lr()
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates += scheduler.get_last_lr()
    >>> rates
    [0.25, 0.5, 0.75, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Any,
        max_lr: Any,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[int], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.8,
        max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ) -> None:
        down = step_size_up if step_size_down is None else step_size_down
        _count("CyclicLR", step_size_up=step_size_up, step_size_down=down)
        if mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(
                f"CyclicLR: mode must be 'triangular', 'triangular2' or 'exp_range', not {mode!r}."
            )
        self.optimizer = optimizer
        self.cycle_momentum = cycle_momentum
        self._check_momentum()
        self._up, self._down = step_size_up, down
        self.mode = mode
        self.gamma = gamma
        self.scale_fn = scale_fn
        self.scale_mode = scale_mode
        self.max_lrs = self._for_groups("max_lr", max_lr)
        self.base_momentums = self._for_groups("base_momentum", base_momentum)
        self.max_momentums = self._for_groups("max_momentum", max_momentum)
        if last_epoch == -1:
            rates = self._for_groups("base_lr", base_lr)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = group["initial_lr"] = rate
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        """Return the rate of each group, and set the momentum."""
        cycle, place = divmod(self.last_epoch, self._up + self._down)
        height = min(place / self._up, 1 - (place - self._up) / self._down)
        height *= self._scale(cycle + 1)
        momenta = zip(self.max_momentums, self.base_momentums, strict=True)
        self._set_momentum([high + (low - high) * height for high, low in momenta])
        limits = zip(self.base_lrs, self.max_lrs, strict=False)
        return [low + (high - low) * height for low, high in limits]

    def _scale(self, cycle: int) -> float:
        """Return what multiplies the distance of the limits."""
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.mode == "triangular2":
            return float(0.5 ** (cycle - 1))
        return float(self.gamma**self.last_epoch) if self.mode == "exp_range" else 1.0
