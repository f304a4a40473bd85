"""The optimisers that divide by the size of past gradients: RMSprop, Adagrad and Adadelta.

Each is one method, `update`: a few passes over flat arrays, in place. ``s`` is scratch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.optim.flat import Array, Lazy, Scratch
from gradlite.optim.groups import Group
from gradlite.optim.momentum import average, decayed
from gradlite.optim.optimizer import Optimizer


class RMSprop(Optimizer):
    """RMSprop: the gradient, divided by a moving average of its size.

    With the gradient g (plus ``weight_decay * p``)::

        v = alpha * v + (1 - alpha) * g**2
        p = p - lr * g / (sqrt(v) + eps)

    With momentum, ``b = momentum * b + g / (sqrt(v) + eps)`` and ``p = p - lr * b``. Tieleman and
    Hinton, "Lecture 6.5: rmsprop" (Coursera, Neural Networks for Machine Learning), 2012. Centred,
    the square of the average gradient is subtracted from v: Graves, "Generating sequences with
    recurrent neural networks", 2013.

    Parameters
    ----------
    params : iterable
        The parameters, or groups of them: see `Optimizer`.
    lr : float or schedule, default 1e-2
        The learning rate.
    alpha : float, default 0.99
        The decay rate of the average.
    eps : float, default 1e-8
        Keeps the quotient finite.
    weight_decay : float, default 0
        The strength of an L2 penalty, ``weight_decay / 2 * p**2``.
    momentum : float, default 0
        The weight of the previous step.
    centered : bool, default False
        Whether to divide by the standard deviation of the gradient instead of its size.
    maximize : bool, default False
        Whether to climb in place of descending.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import RMSprop
    >>> p = gl.Tensor([4.0], requires_grad=True)
    >>> optimizer = RMSprop([p], lr=0.01)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.data
    array([3.9])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters."""
        names = ["square_avg"]
        if group["centered"]:
            names.append("grad_avg")
        if group["momentum"]:
            names.append("momentum_buffer")
        return tuple(names)

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        s = scratch[0]
        g = decayed(p, g, group, scratch[1])
        alpha, v = group["alpha"], state["square_avg"]
        np.multiply(g, g, out=s)
        average(v, s, alpha, s)
        if group["centered"]:
            mean = state["grad_avg"]
            average(mean, g, alpha, s)
            np.multiply(mean, mean, out=s)
            np.subtract(v, s, out=s)
            np.maximum(s, 0, out=s)  # rounding makes the variance of a constant gradient negative
            np.sqrt(s, out=s)
        else:
            np.sqrt(v, out=s)
        s += group["eps"]
        np.divide(g, s, out=s)
        if group["momentum"]:
            b = state["momentum_buffer"]
            b *= group["momentum"]
            b += s
            np.multiply(b, lr, out=s)
        else:
            s *= lr
        p -= s


class Adagrad(Optimizer):
    """Adagrad: the gradient, divided by the size of all gradients so far.

    With the gradient g (plus ``weight_decay * p``), in step t::

        v = v + g**2
        p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(v) + eps)

    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", 2011, with a diagonal matrix.

    Parameters
    ----------
    params : iterable
        The parameters, or groups of them: see `Optimizer`.
    lr : float or schedule, default 1e-2
        The learning rate.
    lr_decay : float, default 0
        How fast the rate decreases: it is divided by ``1 + (t - 1) * lr_decay``.
    weight_decay : float, default 0
        The strength of an L2 penalty, ``weight_decay / 2 * p**2``.
    initial_accumulator_value : float, default 0
        The value of v before the first step.
    eps : float, default 1e-10
        Keeps the quotient finite.
    maximize : bool, default False
        Whether to climb in place of descending.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import Adagrad
    >>> p = gl.Tensor([4.0], requires_grad=True)
    >>> optimizer = Adagrad([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.data
    array([3.9])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters."""
        return ("sum",)

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        s, v = scratch[0], state["sum"]
        g = decayed(p, g, group, scratch[1])
        if t == 1:
            v.fill(group["initial_accumulator_value"])
        np.multiply(g, g, out=s)
        v += s
        np.sqrt(v, out=s)
        s += group["eps"]
        np.divide(g, s, out=s)
        s *= lr / (1 + (t - 1) * group["lr_decay"])
        p -= s


class Adadelta(Optimizer):
    """Adadelta: steps in the units of the parameters, from the sizes of gradients and of steps.

    With the gradient g (plus ``weight_decay * p``)::

        v = rho * v + (1 - rho) * g**2
        d = sqrt(u + eps) / sqrt(v + eps) * g
        u = rho * u + (1 - rho) * d**2
        p = p - lr * d

    Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1. The state has v as
    ``square_avg`` and u as ``acc_delta``.

    Parameters
    ----------
    params : iterable
        The parameters, or groups of them: see `Optimizer`.
    lr : float or schedule, default 1.0
        The learning rate.
    rho : float, default 0.9
        The decay rate of both averages.
    eps : float, default 1e-6
        Keeps the quotient finite, and makes the first steps possible.
    weight_decay : float, default 0
        The strength of an L2 penalty, ``weight_decay / 2 * p**2``.
    maximize : bool, default False
        Whether to climb in place of descending.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import Adadelta
    >>> p = gl.Tensor([4.0], requires_grad=True)
    >>> optimizer = Adadelta([p])
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.data.round(4)
    array([3.9968])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize
        )

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters."""
        return "square_avg", "acc_delta"

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        s, d = scratch
        g = decayed(p, g, group, d)
        rho, v, u = group["rho"], state["square_avg"], state["acc_delta"]
        np.multiply(g, g, out=s)
        average(v, s, rho, s)
        np.add(v, group["eps"], out=s)
        np.sqrt(s, out=s)
        np.divide(g, s, out=d)
        np.add(u, group["eps"], out=s)
        np.sqrt(s, out=s)
        d *= s
        np.multiply(d, d, out=s)
        average(u, s, rho, s)
        d *= lr
        p -= d
