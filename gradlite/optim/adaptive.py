"""The optimisers that divide by the size of past gradients: Adam, AdamW, RMSprop and Adagrad.

Each is one method, `update`: a few passes over flat arrays, in place. ``s`` is scratch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.optim.flat import Array, Lazy, Scratch
from gradlite.optim.groups import Group
from gradlite.optim.momentum import average, decayed
from gradlite.optim.optimizer import Optimizer


class Adam(Optimizer):
    """Adam: steps of about size lr, whatever the size of the gradient.

    With the gradient g (plus ``weight_decay * p``), in step t::

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p = p - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1. The state
    has m as ``exp_avg`` and v as ``exp_avg_sq``.

    Parameters
    ----------
    params : iterable
        The parameters, or groups of them: see `Optimizer`.
    lr : float or schedule, default 1e-3
        The learning rate.
    betas : tuple of two floats, default (0.9, 0.999)
        The decay rates of the averages of the gradient and of its square.
    eps : float, default 1e-8
        Keeps the quotient finite.
    weight_decay : float, default 0
        The strength of an L2 penalty, ``weight_decay / 2 * p**2``.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import Adam
    >>> p = gl.Tensor([4.0], requires_grad=True)
    >>> optimizer = Adam([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.data
    array([3.9])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters."""
        return "exp_avg", "exp_avg_sq"

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        g = decayed(p, g, group["weight_decay"], scratch[1])
        self._descend(p, g, state, scratch[0], group, lr, t)

    def _descend(
        self, p: Array, g: Array, state: Lazy, s: Array, group: Group, lr: float, t: int
    ) -> None:
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        average(m, g, beta1, s)
        np.multiply(g, g, out=s)
        average(v, s, beta2, s)
        np.sqrt(v, out=s)
        # The corrections are numbers, and outside the fraction (end of section 2): no passes.
        correction = (1 - beta2**t) ** 0.5
        s += self._floor(group["eps"], correction)
        np.divide(m, s, out=s)
        s *= lr * correction / (1 - beta1**t)
        p -= s

    def _floor(self, eps: float, correction: float) -> float:
        """Return what to add to the uncorrected root, so that eps is added to the corrected one."""
        return eps * correction


class AdamW(Adam):
    """Adam with decoupled weight decay: ``p = p * (1 - lr * weight_decay)`` before each step.

    The decay does not enter the averages, so it is the same for all parameters. Loshchilov and
    Hutter, "Decoupled weight decay regularization", 2019, in PyTorch's form: the decay follows
    lr.

    Parameters
    ----------
    params : iterable
        The parameters, or groups of them: see `Optimizer`.
    lr : float or schedule, default 1e-3
        The learning rate.
    betas : tuple of two floats, default (0.9, 0.999)
        The decay rates of the averages of the gradient and of its square.
    eps : float, default 1e-8
        Keeps the quotient finite.
    weight_decay : float, default 0.01
        The decay of a step, as a multiple of lr.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import AdamW
    >>> p = gl.Tensor([4.0], requires_grad=True)
    >>> optimizer = AdamW([p], lr=0.1, weight_decay=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.data
    array([3.7])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        if group["weight_decay"]:
            p *= 1 - lr * group["weight_decay"]
        self._descend(p, g, state, scratch[0], group, lr, t)


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
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
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
        g = decayed(p, g, group["weight_decay"], scratch[1])
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
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters."""
        return ("sum",)

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        s, v = scratch[0], state["sum"]
        g = decayed(p, g, group["weight_decay"], scratch[1])
        if t == 1:
            v.fill(group["initial_accumulator_value"])
        np.multiply(g, g, out=s)
        v += s
        np.sqrt(v, out=s)
        s += group["eps"]
        np.divide(g, s, out=s)
        s *= lr / (1 + (t - 1) * group["lr_decay"])
        p -= s
