"""From a solver's name to an optimiser, a penalty and a learning rate."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradlite import optim
from gradlite.estimators._training import TrainingState
from gradlite.nn.module import Module
from gradlite.optim import schedules
from gradlite.training.update import L2

DECOUPLED = ("adamw", "lion")  # alpha is their weight decay, not a penalty of the loss
PLANNED = ("cosine", "one_cycle")  # named schedules that last for max_iter epochs
OPTIMIZER_PARAMS = (
    "solver",
    "alpha",
    "learning_rate",
    "learning_rate_init",
    "schedule",
    "momentum",
    "nesterovs_momentum",
    "beta_1",
    "beta_2",
    "epsilon",
)
"""The parameters from which an optimiser is made."""


class SklearnAdam(optim.Adam):
    """scikit-learn's Adam: epsilon is added before the bias of the root is corrected.

    Kingma and Ba, 2015, end of section 2.
    """

    def _floor(self, eps: float, correction: float) -> float:
        return eps


def ordered(module: Module) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Split the named parameters into weights (matrices and kernels) and the rest."""
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    weights = [(name, p) for name, p in named if p.ndim >= 2]
    return weights, [(name, p) for name, p in named if p.ndim < 2]


def make_optimizer(est: Any, module: Module, rate: Any) -> optim.Optimizer:
    """Return the optimiser of an estimator's parameters: weights first, then the rest."""
    weights, rest = ordered(module)
    betas = (est.beta_1, est.beta_2)
    params: Any = weights + rest
    if est.solver in DECOUPLED:
        params = [
            {"params": group, "weight_decay": decay}
            for group, decay in ((weights, est.alpha), (rest, 0.0))
            if group
        ]
    if est.solver == "adam":
        return SklearnAdam(params, lr=rate, betas=betas, eps=est.epsilon)
    if est.solver == "adamw":
        return optim.AdamW(params, lr=rate, betas=betas, eps=est.epsilon)
    if est.solver == "lion":
        return optim.Lion(params, lr=rate, betas=betas)
    if est.solver == "rmsprop":
        return optim.RMSprop(params, lr=rate)
    if est.solver == "lbfgs":
        return optim.LBFGS(params, max_iter=est.max_iter, maxfun=est.max_fun, gtol=est.tol)
    nesterov = bool(est.nesterovs_momentum and est.momentum)
    return optim.SGD(params, lr=rate, momentum=est.momentum, nesterov=nesterov)


def penalties(est: Any, module: Module, optimizer: optim.Optimizer) -> list[L2]:
    """Return the L2 penalties on the weights, one for each dtype."""
    if est.alpha == 0 or est.solver in DECOUPLED:
        return []
    weights, _ = ordered(module)
    made = []
    for vector in optimizer.vectors:
        size = sum(p.size for _, p in weights if p.dtype == vector.data.dtype)
        if size:
            made.append(L2(vector.data[:size], vector.grad[:size], est.alpha))
    return made


def optimizer_params(est: Any) -> dict[str, Any]:
    """Return the parameters of an estimator from which its optimiser is made."""
    return {name: getattr(est, name) for name in OPTIMIZER_PARAMS}


def ready_optimizer(est: Any, steps_per_epoch: int) -> optim.Optimizer:
    """Return the optimiser with which a fit continues.

    It is the same one as long as the parameters from which it was made are the same; otherwise a
    new one gets its state. L-BFGS has no state.
    """
    state: TrainingState = est._training
    old, settings = state.optimizer, optimizer_params(est)
    if old is not None and est.solver != "lbfgs" and settings == state.settings:
        return old
    state.settings = settings
    state.steps = est.max_iter * steps_per_epoch
    state.rate = make_rate(est, state.steps)
    state.optimizer = new = make_optimizer(est, est._module, state.rate)
    if old is not None:
        transfer_state(old, new)
    return new


def transfer_state(old: optim.Optimizer, new: optim.Optimizer) -> None:
    """Load an optimiser's state into a new one of the same kind, which keeps its settings."""
    kept = [old.state_names(group) for group in old.param_groups]
    if type(old) is type(new) and kept == [new.state_names(group) for group in new.param_groups]:
        new.load_state_dict({**old.state_dict(), "groups": new.state_dict()["groups"]})


@dataclass(frozen=True)
class Restarting:
    """A schedule that starts again after its end: Loshchilov and Hutter's warm restarts.

    A warm start then has a rate with which to continue.
    """

    schedule: schedules.Schedule
    steps: int

    def __call__(self, step: int) -> float:
        """Return the rate at `step`."""
        return self.schedule(step % self.steps)


def make_rate(est: Any, steps: int) -> Any:
    """Return the learning rate: a number, or the schedule that was asked for, over `steps`."""
    if est.schedule is None:
        return est.learning_rate_init
    if callable(est.schedule):
        return copy.deepcopy(est.schedule)  # one with a state changes, which parameters must not
    if est.schedule == "cosine":
        return Restarting(schedules.cosine(est.learning_rate_init, steps), steps)
    if est.schedule == "one_cycle":
        return Restarting(schedules.one_cycle(est.learning_rate_init, steps), steps)
    patience = int(min(est.n_iter_no_change, np.iinfo(int).max)) // 2
    return schedules.ReduceOnPlateau(est.learning_rate_init, patience=patience)


class LearningRate:
    """scikit-learn's three modes for 'sgd', and schedules that follow a metric.

    Parameters
    ----------
    est : estimator
        The estimator, for its parameters.
    optimizer : Optimizer
        The optimiser whose rates are set.
    """

    def __init__(self, est: Any, optimizer: optim.Optimizer) -> None:
        self.est = est
        self.optimizer = optimizer
        self.groups = optimizer.param_groups
        self.mode = (
            est.learning_rate if est.solver == "sgd" and est.schedule is None else "constant"
        )

    def epoch_end(self, samples: int, metric: float) -> None:
        """Set the rate for the next epoch, given the samples so far and this epoch's metric."""
        if self.mode == "invscaling":
            self._set(self.est.learning_rate_init / (samples + 1) ** self.est.power_t)
        update = getattr(self.groups[0].get("lr"), "update", None)
        if update is not None:
            update(metric)

    def lower(self) -> float | None:
        """Divide the rate by five and return it; None in another mode, or if it is too low."""
        rate: float = self.groups[0].get("lr", 0.0)
        if self.mode != "adaptive" or rate <= 1e-6:
            return None
        self._set(rate / 5.0)
        return rate / 5.0

    def _set(self, rate: float) -> None:
        """Set the rate, and rescale the momentum.

        PyTorch's multiplies past gradients by the current rate, scikit-learn's by that of their
        step.
        """
        for group in self.groups:
            before, group["lr"] = group["lr"], rate
        if self.est.momentum:
            for vector in self.optimizer.vectors:
                vector.state["momentum_buffer"][:] *= before / rate
