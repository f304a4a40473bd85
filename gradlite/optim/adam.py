"""Adam and its relatives: a moving average of gradients, divided by that of their sizes.

Each is one method, `update`: a few passes over flat arrays, in place. ``s`` is scratch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.optim.flat import Array, Lazy, Scratch
from gradlite.optim.groups import Group
from gradlite.optim.momentum import average, decayed, negated, shrunk_or_decayed
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
    amsgrad : bool, default False
        Whether to divide by the largest v so far, kept as ``max_exp_avg_sq``: Reddi, Kale and
        Kumar, "On the convergence of Adam and beyond", 2018.
    maximize : bool, default False
        Whether to climb in place of descending.

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
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
        )

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters."""
        names = "exp_avg", "exp_avg_sq"
        return (*names, "max_exp_avg_sq") if group["amsgrad"] else names

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        g = decayed(p, g, group, scratch[1])
        self._descend(p, g, state, scratch[0], group, lr, t)

    def _descend(
        self, p: Array, g: Array, state: Lazy, s: Array, group: Group, lr: float, t: int
    ) -> None:
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        average(m, g, beta1, s)
        np.multiply(g, g, out=s)
        average(v, s, beta2, s)
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            np.maximum(largest, v, out=largest)
            v = largest
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
    amsgrad : bool, default False
        Whether to divide by the largest v so far, kept as ``max_exp_avg_sq``: Reddi, Kale and
        Kumar, "On the convergence of Adam and beyond", 2018.
    maximize : bool, default False
        Whether to climb in place of descending.

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
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        if group["weight_decay"]:
            p *= 1 - lr * group["weight_decay"]
        if group["maximize"]:
            g = negated(g, scratch[1])
        self._descend(p, g, state, scratch[0], group, lr, t)


class NAdam(Optimizer):
    """Adam that looks one step of momentum ahead, as Nesterov's method does.

    With the gradient g (plus ``weight_decay * p``) and Adam's averages m and v, in step t::

        mu(t) = beta1 * (1 - 0.96**(t * momentum_decay) / 2)
        w(t)  = 1 - mu(1) * ... * mu(t)
        step  = (1 - mu(t)) / w(t) * g + mu(t + 1) / w(t + 1) * m
        p     = p - lr * step / (sqrt(v / (1 - beta2**t)) + eps)

    Dozat, "Incorporating Nesterov momentum into Adam", 2016. The state has m as ``exp_avg``, v as
    ``exp_avg_sq`` and w, for each entry, as ``mu_weight``; PyTorch has ``mu_product``, 1 - w.

    Parameters
    ----------
    params : iterable
        The parameters, or groups of them: see `Optimizer`.
    lr : float or schedule, default 2e-3
        The learning rate.
    betas : tuple of two floats, default (0.9, 0.999)
        The decay rates of the averages of the gradient and of its square.
    eps : float, default 1e-8
        Keeps the quotient finite.
    weight_decay : float, default 0
        The strength of an L2 penalty, ``weight_decay / 2 * p**2``.
    momentum_decay : float, default 4e-3
        How fast mu approaches beta1.
    decoupled_weight_decay : bool, default False
        Whether the decay is AdamW's, ``p = p * (1 - lr * weight_decay)`` before each step.
    maximize : bool, default False
        Whether to climb in place of descending.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import NAdam
    >>> p = gl.Tensor([4.0], requires_grad=True)
    >>> optimizer = NAdam([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.data.round(3)
    array([3.894])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters."""
        return "exp_avg", "exp_avg_sq", "mu_weight"

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        s, s2 = scratch
        g = shrunk_or_decayed(p, g, group, s2, lr)
        beta1, beta2 = group["betas"]
        m, v, w = state["exp_avg"], state["exp_avg_sq"], state["mu_weight"]
        average(m, g, beta1, s)
        np.multiply(g, g, out=s)
        average(v, s, beta2, s)
        decay = group["momentum_decay"]
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * decay))
        following = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * decay))
        w *= mu
        w += 1 - mu
        np.divide(g, w, out=s)
        s *= 1 - mu
        np.multiply(w, following, out=s2)  # g is no longer needed
        s2 += 1 - following
        np.divide(m, s2, out=s2)
        s2 *= following
        s += s2
        correction = (1 - beta2**t) ** 0.5
        np.sqrt(v, out=s2)
        s2 += group["eps"] * correction
        s /= s2
        s *= lr * correction
        p -= s


class RAdam(Optimizer):
    """Adam, rectified: the first steps, whose average of squares is uncertain, do not use it.

    With the gradient g (plus ``weight_decay * p``) and Adam's averages m and v, in step t::

        limit = 2 / (1 - beta2) - 1
        rho   = limit - 2 * t * beta2**t / (1 - beta2**t)
        r     = sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
        p     = p - lr * m / (1 - beta1**t) * r * sqrt(1 - beta2**t) / (sqrt(v) + eps)

    and while rho is 5 or less, ``p = p - lr * m / (1 - beta1**t)``. Liu et al., "On the variance of
    the adaptive learning rate and beyond", 2020, algorithm 2, with PyTorch's bound 5 in place of 4.

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
    decoupled_weight_decay : bool, default False
        Whether the decay is AdamW's, ``p = p * (1 - lr * weight_decay)`` before each step.
    maximize : bool, default False
        Whether to climb in place of descending.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import RAdam
    >>> p = gl.Tensor([4.0], requires_grad=True)
    >>> optimizer = RAdam([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.data
    array([3.2])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters."""
        return "exp_avg", "exp_avg_sq"

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        s = scratch[0]
        g = shrunk_or_decayed(p, g, group, scratch[1], lr)
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        average(m, g, beta1, s)
        np.multiply(g, g, out=s)
        average(v, s, beta2, s)
        known, limit = 1 - beta2**t, 2 / (1 - beta2) - 1
        rho = limit - 2 * t * beta2**t / known
        rectified = rho > 5  # a factor in place of a branch, which no compiled step could take
        scale = (limit - 4) * (limit - 2) if limit > 5 else 1.0
        r = (rectified * (rho - 4) * (rho - 2) * limit / (scale * rho)) ** 0.5
        rate = lr / (1 - beta1**t)
        np.sqrt(v, out=s)
        s += group["eps"]
        np.divide(rate * r * known**0.5, s, out=s)
        s += rate * (1 - rectified)
        s *= m
        p -= s


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the average of squares.

    With the gradient g (plus ``weight_decay * p``) and Adam's average m, in step t::

        u = max(beta2 * u, abs(g) + eps)
        p = p - lr / (1 - beta1**t) * m / u

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 2, with PyTorch's
    eps. The state has m as ``exp_avg`` and u as ``exp_inf``.

    Parameters
    ----------
    params : iterable
        The parameters, or groups of them: see `Optimizer`.
    lr : float or schedule, default 2e-3
        The learning rate.
    betas : tuple of two floats, default (0.9, 0.999)
        The decay rates of the average of the gradient and of its largest size.
    eps : float, default 1e-8
        Keeps the quotient finite.
    weight_decay : float, default 0
        The strength of an L2 penalty, ``weight_decay / 2 * p**2``.
    maximize : bool, default False
        Whether to climb in place of descending.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import Adamax
    >>> p = gl.Tensor([4.0], requires_grad=True)
    >>> optimizer = Adamax([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.data.round(3)
    array([3.9])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize
        )

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the state's arrays, given the hyperparameters."""
        return "exp_avg", "exp_inf"

    def update(
        self, p: Array, g: Array, state: Lazy, scratch: Scratch, group: Group, lr: float, t: int
    ) -> None:
        """Take a step, in place."""
        s = scratch[0]
        g = decayed(p, g, group, scratch[1])
        beta1, beta2 = group["betas"]
        m, u = state["exp_avg"], state["exp_inf"]
        average(m, g, beta1, s)
        np.abs(g, out=s)
        s += group["eps"]
        u *= beta2
        np.maximum(u, s, out=u)
        np.divide(m, u, out=s)
        s *= lr / (1 - beta1**t)
        p -= s
