"""Learning-rate schedules: functions from the step, counted from 0, to the rate.

Any function will do; these are the usual ones. They are small objects that can be compared, printed
and pickled, and have no state, so that training resumes with the rate of its step.
`ReduceOnPlateau`, which follows a metric, is the exception.

Examples
--------
>>> schedule = warm_up(cosine(0.1, steps=100), steps=10)
>>> [round(schedule(step), 4) for step in (0, 5, 10, 60, 110)]
[0.0, 0.05, 0.1, 0.05, 0.0]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Schedule = Callable[[int], float]


def _number(schedule: str, /, **values: Any) -> None:
    """Raise an error unless the values are finite numbers, 0 or more."""
    for name, value in values.items():
        try:
            fits = 0 <= value < math.inf
        except TypeError:
            raise TypeError(f"{schedule}: {name} must be a number, not {value!r}.") from None
        if not fits:
            raise ValueError(f"{schedule}: {name} must be finite and 0 or more, not {value!r}.")


def _positive(schedule: str, /, **values: Any) -> None:
    """Raise an error unless the values are finite numbers above 0."""
    _number(schedule, **values)
    for name, value in values.items():
        if value == 0:
            raise ValueError(f"{schedule}: {name} must be positive, not {value!r}.")


def _count(schedule: str, /, least: int = 1, **values: Any) -> None:
    """Raise an error unless the values are integers of at least `least`."""
    for name, value in values.items():
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{schedule}: {name} must be an integer, not {value!r}.")
        if value < least:
            raise ValueError(f"{schedule}: {name} must be {least} or more, not {value!r}.")


def _cosine(start: float, end: float, part: float) -> float:
    """Return the point at `part` (from 0 to 1) of half a cosine from `start` to `end`."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def _linear(start: float, end: float, part: float) -> float:
    """Return the point at `part` (from 0 to 1) of a line from `start` to `end`."""
    return start + (end - start) * part


def _through(
    step: float,
    ends: Sequence[float],
    values: Sequence[float],
    between: Callable[[float, float, float], float] = _cosine,
) -> float:
    """Return the point at `step` of a curve from the first of `values`, at 0, to those at `ends`.

    Parameters
    ----------
    step : float
        From 0 to the last of `ends`.
    ends : sequence of float
        Where the parts of the curve end.
    values : sequence of float
        One more than `ends`.
    between : callable
        The form of the parts.
    """
    start, i = 0.0, 0
    while step > ends[i]:
        start, i = ends[i], i + 1
    length = ends[i] - start
    return between(values[i], values[i + 1], (step - start) / length if length else 1.0)


@dataclass(frozen=True)
class constant:
    """Keep the rate constant.

    Parameters
    ----------
    rate : float

    Examples
    --------
    >>> constant(0.1)(1000)
    0.1
    """

    rate: float

    def __post_init__(self) -> None:
        _number("constant", rate=self.rate)

    def __call__(self, step: int) -> float:
        """Return the rate at `step`."""
        return self.rate


@dataclass(frozen=True)
class step_decay:
    """Multiply the rate by `factor` every `every` steps: ``rate * factor**(step // every)``.

    Parameters
    ----------
    rate : float
        The initial rate.
    every : int
        The number of steps between two changes.
    factor : float, default 0.1

    Examples
    --------
    >>> schedule = step_decay(1.0, every=10, factor=0.5)
    >>> [schedule(step) for step in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """

    rate: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _number("step_decay", rate=self.rate)
        _count("step_decay", every=self.every)
        _positive("step_decay", factor=self.factor)

    def __call__(self, step: int) -> float:
        """Return the rate at `step`."""
        return self.rate * self.factor ** (step // self.every)


@dataclass(frozen=True)
class exponential:
    """Multiply the rate by `factor` in every step: ``rate * factor**step``.

    Parameters
    ----------
    rate : float
        The initial rate.
    factor : float

    Examples
    --------
    >>> exponential(0.8, factor=0.5)(3)
    0.1
    """

    rate: float
    factor: float

    def __post_init__(self) -> None:
        _number("exponential", rate=self.rate)
        _positive("exponential", factor=self.factor)

    def __call__(self, step: int) -> float:
        """Return the rate at `step`."""
        return self.rate * self.factor**step


@dataclass(frozen=True)
class cosine:
    """Lower the rate along half a cosine, then keep it.

    ``end + (rate - end) * (1 + cos(pi * step / steps)) / 2``, and `end` from step `steps` onwards
    (Loshchilov and Hutter, "SGDR", 2017, without restarts).

    Parameters
    ----------
    rate : float
        The initial rate.
    steps : int
        The number of steps to the end.
    end : float, default 0.0
        The final rate.

    Examples
    --------
    >>> schedule = cosine(1.0, steps=10)
    >>> [round(schedule(step), 3) for step in (0, 5, 10, 100)]
    [1.0, 0.5, 0.0, 0.0]
    """

    rate: float
    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        _number("cosine", rate=self.rate, end=self.end)
        _count("cosine", steps=self.steps)

    def __call__(self, step: int) -> float:
        """Return the rate at `step`."""
        return _cosine(self.rate, self.end, min(step / self.steps, 1.0))


@dataclass(frozen=True)
class one_cycle:
    """Raise the rate to its maximum and lower it far below the initial rate, each along a cosine.

    From ``max_rate / div_factor`` to `max_rate` at step ``warmup * steps - 1``, then to
    ``max_rate / div_factor / final_div_factor`` at step ``steps - 1``, then constant (Smith and
    Topin, "Super-Convergence", 2018; PyTorch's OneCycleLR with cosine annealing).

    Parameters
    ----------
    max_rate : float
        The highest rate.
    steps : int
        The number of steps of the whole cycle, 2 or more.
    warmup : float, default 0.3
        The fraction of the steps in which the rate rises, between 0 and 1.
    div_factor : float, default 25
        The highest rate divided by the initial one.
    final_div_factor : float, default 1e4
        The initial rate divided by the final one.

    Examples
    --------
    >>> schedule = one_cycle(1.0, steps=12, warmup=0.5)
    >>> [round(schedule(step), 6) for step in (0, 5, 11)]
    [0.04, 1.0, 4e-06]
    """

    max_rate: float
    steps: int
    warmup: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        _number("one_cycle", max_rate=self.max_rate, warmup=self.warmup)
        _count("one_cycle", least=2, steps=self.steps)
        _positive("one_cycle", div_factor=self.div_factor, final_div_factor=self.final_div_factor)
        if self.warmup > 1:
            raise ValueError(f"one_cycle: warmup must be from 0 to 1, not {self.warmup!r}.")

    def __call__(self, step: int) -> float:
        """Return the rate at `step`."""
        start = self.max_rate / self.div_factor
        top, last = self.warmup * self.steps - 1, self.steps - 1
        end = start / self.final_div_factor
        return _through(min(step, last), (top, last), (start, self.max_rate, end))


@dataclass(frozen=True)
class warm_up:
    """Raise the rate linearly from `start` to the beginning of a schedule, then follow that.

    ``start + (schedule(0) - start) * step / steps`` in the first `steps` steps, then
    ``schedule(step - steps)``.

    Parameters
    ----------
    schedule : callable or float
        The schedule after the warm-up; a number is a constant rate.
    steps : int
        The number of steps of the warm-up.
    start : float, default 0.0
        The rate at step 0.

    Examples
    --------
    >>> schedule = warm_up(0.5, steps=5)
    >>> [schedule(step) for step in (0, 1, 5, 100)]
    [0.0, 0.1, 0.5, 0.5]
    """

    schedule: Schedule | float
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        _count("warm_up", steps=self.steps)
        _number("warm_up", start=self.start)
        if not callable(self.schedule):
            _number("warm_up", schedule=self.schedule)
            object.__setattr__(self, "schedule", constant(self.schedule))

    def __call__(self, step: int) -> float:
        """Return the rate at `step`."""
        schedule: Any = self.schedule
        if step >= self.steps:
            return float(schedule(step - self.steps))
        return float(self.start + (schedule(0) - self.start) * step / self.steps)


@dataclass(frozen=True)
class inverse_scaling:
    """Divide the rate by a power of the step: ``rate / (step + 1)**power``.

    scikit-learn's MLPClassifier has this as ``learning_rate='invscaling'``, with `power_t` for
    the power, but counts samples and changes the rate after each epoch: in its terms, `step` is the
    number of samples seen before the epoch.

    Parameters
    ----------
    rate : float
        The rate at step 0.
    power : float, default 0.5

    Examples
    --------
    >>> schedule = inverse_scaling(1.0)
    >>> [schedule(step) for step in (0, 3, 99)]
    [1.0, 0.5, 0.1]
    """

    rate: float
    power: float = 0.5

    def __post_init__(self) -> None:
        _number("inverse_scaling", rate=self.rate, power=self.power)

    def __call__(self, step: int) -> float:
        """Return the rate at `step`."""
        return float(self.rate / (step + 1) ** self.power)


class ReduceOnPlateau:
    """Multiply the rate by `factor` when a metric has stopped improving.

    An epoch is an improvement if its metric is below ``best - threshold * |best|`` (above
    ``best + threshold * |best|`` with mode 'max'). After more than `patience` epochs in a row
    without one, the rate is lowered, but not below `min_rate`, and counting begins again. These are
    the rules of PyTorch's ReduceLROnPlateau, except that it uses ``best`` in place of ``|best|``.

    Parameters
    ----------
    rate : float
        The initial rate.
    factor : float, default 0.1
        Below 1.
    patience : int, default 10
        The number of epochs without improvement that are tolerated.
    threshold : float, default 1e-4
        The relative improvement that an epoch must make.
    min_rate : float, default 0.0
    mode : {'min', 'max'}
        Whether the metric is better when it is smaller (a loss) or larger (a score).

    Examples
    --------
    >>> schedule = ReduceOnPlateau(1.0, factor=0.5, patience=1)
    >>> for loss in (0.9, 0.8, 0.8, 0.8):
    ...     schedule.update(loss)
    >>> schedule(0)
    0.5
    """

    def __init__(
        self,
        rate: float,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        min_rate: float = 0.0,
        mode: str = "min",
    ) -> None:
        name = type(self).__name__
        _number(name, rate=rate, threshold=threshold, min_rate=min_rate)
        _positive(name, factor=factor)
        _count(name, least=0, patience=patience)
        if factor >= 1:
            raise ValueError(f"{name}: factor must be below 1, not {factor!r}.")
        if mode not in ("min", "max"):
            raise ValueError(f"{name}: mode must be 'min' or 'max', not {mode!r}.")
        self.rate = rate
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.min_rate = min_rate
        self.mode = mode
        self.current = rate
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_epochs = 0

    def __call__(self, step: int) -> float:
        """Return the rate, which does not depend on the step."""
        return self.current

    def update(self, metric: float) -> None:
        """Record the metric of the epoch that has ended."""
        margin = math.copysign(self.threshold, self.best)
        if self.mode == "min":
            better = metric < self.best * (1 - margin)
        else:
            better = metric > self.best * (1 + margin)
        if better:
            self.best = float(metric)
            self.bad_epochs = 0
        else:
            self.bad_epochs += 1
        if self.bad_epochs > self.patience:
            self.current = max(self.current * self.factor, self.min_rate)
            self.bad_epochs = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the state: the rate, the best metric, and the number of bad epochs since."""
        return {"current": self.current, "best": self.best, "bad_epochs": self.bad_epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from what `state_dict` returned."""
        known = self.state_dict()
        if state.keys() != known.keys():
            raise ValueError(
                f"ReduceOnPlateau: a state has the keys {sorted(known)}, not {sorted(state)}."
            )
        self.current, self.best = float(state["current"]), float(state["best"])
        self.bad_epochs = int(state["bad_epochs"])

    def __repr__(self) -> str:
        return (
            f"ReduceOnPlateau(rate={self.rate!r}, factor={self.factor!r}, "
            f"patience={self.patience!r}, threshold={self.threshold!r}, "
            f"min_rate={self.min_rate!r}, mode={self.mode!r})"
        )


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "step_decay": step_decay,
    "exponential": exponential,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "warm_up": warm_up,
    "inverse_scaling": inverse_scaling,
    "reduce_on_plateau": ReduceOnPlateau,
}
"""The schedules by name."""
