"""The optimisers whose steps follow a momentum: SGD and Lion.

Each is one method, `update`: a few passes over flat arrays, in place. ``s`` is scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradlite.optim.flat import Array, Lazy, Scratch
from gradlite.optim.groups import Group
from gradlite.optim.optimizer import Optimizer


def average(mean: Array, x: Array, beta: float, s: Array) -> None:
    """Update an exponential moving average: ``mean = beta * mean + (1 - beta) * x``.

    `s` is scratch, and may be `x` itself where that is no longer needed.
    """
    np.multiply(x, 1 - beta, out=s)
    mean *= beta
    mean += s


def negated(g: Array, s: Array) -> Array:
    """Return the negative of a gradient, in `s`: along it, a loss is maximised."""
    np.negative(g, out=s)
    return s


def decayed(p: Array, g: Array, group: Group, s: Array) -> Array:
    """Add weight decay to a gradient: ``g + weight_decay * p``, in `s`.

    Where the loss is maximised, the gradient counts as its negative.
    """
    if group["weight_decay"]:
        np.multiply(p, group["weight_decay"], out=s)
        if group["maximize"]:
            s -= g
        else:
            s += g
        return s
    return negated(g, s) if group["maximize"] else g


def shrunk_or_decayed(p: Array, g: Array, group: Group, s: Array, lr: float) -> Array:
    """Apply weight decay: to the parameters, if it is decoupled, or else to the gradient."""
    if not group["decoupled_weight_decay"]:
        return decayed(p, g, group, s)
    if group["weight_decay"]:
        p *= 1 - lr * group["weight_decay"]
    return negated(g, s) if group["maximize"] else g


class SGD(Optimizer):
    """Stochastic gradient descent, with or without momentum.

    With the gradient g (plus ``weight_decay * p``)::

        b = momentum * b + (1 - dampening) * g        (in the first step, b = g)
        p = p - lr * b                                (nesterov: p - lr * (g + momentum * b))

    and without momentum ``p = p - lr * g``. Sutskever, Martens, Dahl and Hinton, "On the
    importance of initialization and momentum in deep learning", 2013, in PyTorch's form: lr is
    outside the average.

    Parameters
    ----------
    params : iterable
        The parameters, or groups of them: see `Optimizer`.
    lr : float or schedule, default 1e-3
        The learning rate.
    momentum : float, default 0
        The weight of the previous step.
    dampening : float, default 0
        The part of the gradient that momentum omits.
    weight_decay : float, default 0
        The strength of an L2 penalty, ``weight_decay / 2 * p**2``.
    nesterov : bool, default False
        Whether to look one step of momentum ahead.
    maximize : bool, default False
        Whether to climb in place of descending.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import SGD
    >>> p = gl.Tensor([4.0], requires_grad=True)
    >>> optimizer = SGD([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.data
    array([3.2])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters."""
        return ("momentum_buffer",) if group["momentum"] else ()

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        if settings["nesterov"] and (not settings["momentum"] or settings["dampening"]):
            raise ValueError(
                "SGD: nesterov=True needs momentum above 0 and dampening=0; they are "
                f"{settings['momentum']!r} and {settings['dampening']!r}."
            )

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        s = scratch[0]
        g = decayed(p, g, group, scratch[1])
        momentum, dampening = group["momentum"], group["dampening"]
        if momentum:
            b = state["momentum_buffer"]
            b *= momentum
            if dampening and t > 1:
                np.multiply(g, 1 - dampening, out=s)
                b += s
            else:
                b += g
            if group["nesterov"]:
                np.multiply(b, momentum, out=s)
                s += g
                g = s
            else:
                g = b
        np.multiply(g, lr, out=s)
        p -= s


class Lion(Optimizer):
    """Lion: steps of exactly the size lr, in the direction of the sign of a momentum.

    ::

        p = p * (1 - lr * weight_decay) - lr * sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g

    Chen et al., "Symbolic discovery of optimization algorithms", 2023. Choose a rate three to ten
    times smaller than for AdamW, and a weight decay larger by the same factor.

    Parameters
    ----------
    params : iterable
        The parameters, or groups of them: see `Optimizer`.
    lr : float or schedule, default 1e-4
        The learning rate.
    betas : tuple of two floats, default (0.9, 0.99)
        The weight of the momentum in the step, and the decay rate of the momentum.
    weight_decay : float, default 0
        The decay of a step, as a multiple of lr.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import Lion
    >>> p = gl.Tensor([4.0, -1.0], requires_grad=True)
    >>> optimizer = Lion([p], lr=0.25)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.data
    array([ 3.75, -0.75])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters."""
        return ("exp_avg",)

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        s, m = scratch[0], state["exp_avg"]
        beta1, beta2 = group["betas"]
        if group["weight_decay"]:
            p *= 1 - lr * group["weight_decay"]
        np.subtract(m, g, out=s)  # beta1 m + (1 - beta1) g = g + beta1 (m - g)
        s *= beta1
        s += g
        np.sign(s, out=s)
        s *= lr
        p -= s
        average(m, g, beta2, s)
