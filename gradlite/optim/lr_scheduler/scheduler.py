"""What all schedulers are, and those that join others."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from gradlite.optim.optimizer import Optimizer


class LRScheduler:
    """Base class of the schedulers: counts calls of `step` and sets the rates.

    A subclass defines `get_lr`, which returns the rate of each group in epoch ``last_epoch``.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser, whose rates are numbers.
    last_epoch : int, default -1
        The epoch to continue from; -1 begins. To resume, `load_state_dict` is simpler.

    Attributes
    ----------
    last_epoch : int
        The number of calls of `step`.
    base_lrs : list of float
        The rate of each group at the beginning, also in the group as ``"initial_lr"``.

    Raises
    ------
    TypeError
        If the rate of a group is a schedule already, or there is none.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> class Harmonic(LRScheduler):
    ...     def get_lr(self):
    ...         return [base / (1 + self.last_epoch) for base in self.base_lrs]
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=0.5)
    >>> scheduler = Harmonic(optimizer)
    >>> optimizer.step()
    >>> scheduler.step()
    >>> optimizer.param_groups[0]["lr"]
    0.25
    """

    _saved: tuple[str, ...] = ("last_epoch", "base_lrs", "_last_lr")
    _joins = True  # whether SequentialLR and ChainedScheduler may call it

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = check_optimizer(self, optimizer)
        if last_epoch != -1 and any("initial_lr" not in g for g in optimizer.param_groups):
            raise ValueError(
                f"{type(self).__name__}: last_epoch={last_epoch!r} continues from the "
                f"'initial_lr' of each group, which is missing. Create the scheduler without it "
                f"and call load_state_dict."
            )
        self.base_lrs: list[float] = []
        self.last_epoch = last_epoch
        self._advance()

    def get_lr(self) -> Sequence[float]:
        """Return the rate of each group in epoch ``last_epoch``; each subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr().")

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group, as last set."""
        return list(self._last_lr)

    def step(self) -> None:
        """Move on by an epoch, or whatever is counted, and set the rates."""
        self._check_order()
        self._advance()

    def state_dict(self) -> dict[str, Any]:
        """Return where the scheduler is, as numbers and lists; settings are not in it.

        The rate itself belongs to the state of the optimiser: save both.
        """
        return {
            name: list(value) if isinstance(value, list) else value
            for name, value in ((name, getattr(self, name)) for name in self._saved)
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume from what `state_dict` returned.

        Raises
        ------
        ValueError
            If it is the state of another kind of scheduler.
        """
        if state_dict.keys() != self.state_dict().keys():
            raise ValueError(
                f"{type(self).__name__}: a state has the keys {list(self.state_dict())}, not "
                f"{list(state_dict)}."
            )
        for name in self._saved:
            value = state_dict[name]
            setattr(self, name, list(value) if isinstance(value, list) else value)

    def _check_order(self) -> None:
        if self.last_epoch == 0 and self.optimizer.steps == 0:
            warnings.warn(
                f"{type(self).__name__}.step() was called before optimizer.step(), which skips "
                f"the first rate: call optimizer.step() first.",
                stacklevel=3,
            )

    def _advance(self) -> None:
        """Move on by one and set the rates."""
        self.last_epoch += 1
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:  # some may be added later
            group.setdefault("initial_lr", group["lr"])
            self.base_lrs.append(group["initial_lr"])
        self._set(self.get_lr())

    def _restart(self) -> None:
        """Begin again, from the rates of the beginning."""
        self._set(self.base_lrs)
        self.last_epoch = -1
        self._advance()

    def _set(self, rates: Sequence[float]) -> None:
        groups = self.optimizer.param_groups
        for group, rate in zip(groups, rates, strict=False):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in groups]

    def _for_groups(self, name: str, value: Any) -> list[Any]:
        """Return a setting for each group: one value for all, or a list of them."""
        count = len(self.optimizer.param_groups)
        if not isinstance(value, (list, tuple)):
            return [value] * count
        if len(value) != count:
            raise ValueError(
                f"{type(self).__name__}: {name} has {len(value)} values for {count} groups."
            )
        return list(value)


def check_optimizer(scheduler: LRScheduler, optimizer: Any) -> Optimizer:
    """Return an optimiser, or raise TypeError if it has no rates that can be set."""
    name = type(scheduler).__name__
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name} takes an optimiser, not {type(optimizer).__name__}.")
    for group in optimizer.param_groups:
        if "lr" not in group:
            raise TypeError(f"{name}: {type(optimizer).__name__} has no lr to change.")
        if callable(group["lr"]):
            raise TypeError(
                f"{name}: lr is the schedule {group['lr']!r} already, which sets the rate of each "
                f"step. Create the optimiser with a number."
            )
    return optimizer


class _Joined(LRScheduler):
    """A scheduler that lets others set the rates."""

    _saved = ("last_epoch", "_last_lr")

    def __init__(self, optimizer: Any, schedulers: Sequence[LRScheduler]) -> None:
        name = type(self).__name__
        self._schedulers = list(schedulers)
        if not self._schedulers:
            raise ValueError(f"{name} takes at least one scheduler.")
        for scheduler in self._schedulers:
            if not isinstance(scheduler, LRScheduler) or not scheduler._joins:
                raise TypeError(f"{name}: {type(scheduler).__name__} cannot be joined to others.")
        first = self._schedulers[0].optimizer
        self.optimizer = check_optimizer(self, first if optimizer is None else optimizer)
        for scheduler in self._schedulers:
            if scheduler.optimizer is not self.optimizer:
                raise ValueError(f"{name}: the schedulers belong to different optimisers.")
        self.base_lrs = [group["initial_lr"] for group in self.optimizer.param_groups]
        self.last_epoch = 0

    def state_dict(self) -> dict[str, Any]:
        """Return where the scheduler and those that it joins are."""
        states = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**super().state_dict(), "_schedulers": states}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume from what `state_dict` returned."""
        super().load_state_dict(state_dict)
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class SequentialLR(_Joined):
    """One scheduler after the other; each begins at its milestone, from the initial rates.

    Parameters
    ----------
    optimizer : Optimizer
        The optimiser.
    schedulers : list of LRScheduler
        The schedulers, made for this optimiser.
    milestones : list of int
        The epochs at which the second and the following ones begin.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> from gradlite.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> first = ConstantLR(optimizer, factor=0.125, total_iters=9)
    >>> second = ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = SequentialLR(optimizer, [first, second], milestones=[2])
    >>> rates = scheduler.get_last_lr()
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates += scheduler.get_last_lr()
    >>> rates
    [0.125, 0.125, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]
    ) -> None:
        super().__init__(optimizer, schedulers)
        if len(milestones) != len(self._schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(self._schedulers)} schedulers have "
                f"{len(self._schedulers) - 1} milestones between them, not {len(milestones)}."
            )
        self.milestones = list(milestones)
        self._restart()

    def _restart(self) -> None:
        self.last_epoch = 0
        self._run(self._schedulers[0]._restart)

    def _advance(self) -> None:
        self.last_epoch += 1
        scheduler = self._schedulers[bisect_right(self.milestones, self.last_epoch)]
        self._run(scheduler._restart if self.last_epoch in self.milestones else scheduler._advance)

    def _run(self, change: Any) -> None:
        change()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


class ChainedScheduler(_Joined):
    """All of several schedulers in each epoch, each on the rate that the one before it has set.

    Parameters
    ----------
    schedulers : list of LRScheduler
        The schedulers, of one optimiser.
    optimizer : Optimizer, optional
        Their optimiser.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> from gradlite.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> optimizer = SGD([gl.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> first = ConstantLR(optimizer, factor=0.125, total_iters=2)
    >>> second = ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = ChainedScheduler([first, second])
    >>> rates = scheduler.get_last_lr()
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates += scheduler.get_last_lr()
    >>> rates
    [0.125, 0.0625, 0.25, 0.125]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        super().__init__(optimizer, schedulers)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _restart(self) -> None:
        self._set(self.base_lrs)
        self.last_epoch = -1
        for scheduler in self._schedulers:
            scheduler.last_epoch = -1
        self._advance()

    def _advance(self) -> None:
        self.last_epoch += 1
        for scheduler in self._schedulers:
            scheduler._advance()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
