"""Losses as operations: one node each, with their slopes saved for the backward pass.

Each takes ``reduction`` and ``factor``. The factor multiplies the losses before they are reduced:
weights of samples, divided by their sum where a mean is wanted (gradlite.nn.losses does that, and
says what each loss is). The rules are the slopes of single losses times `each`'s share of the
cotangent. A higher-order walk computes the slopes anew, from arguments that lead back.
"""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from gradlite.autodiff.rule import defvjp, narrow, primitive, wide
from gradlite.autodiff.rules.elementwise import clip
from gradlite.autodiff.rules.fused import ones
from gradlite.errors import ShapeError

# -- what all have in common ------------------------------------------------------------------


def matched(name: str, prediction: Any, target: Any, what: str = "target") -> tuple[Any, Any]:
    """Give both as arrays of the prediction's type, and refuse to broadcast one to the other."""
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{name}: the prediction has shape {prediction.shape} and the {what} "
            f"{target.shape}. They must be equal; reshape one of them."
        )
    if target.dtype != prediction.dtype and prediction.dtype.kind == "f":
        target = target.astype(prediction.dtype)
    return prediction, target


def reduced(losses: Any, reduction: str, factor: Any) -> Any:
    """Reduce the losses to one number, unless they are wanted one by one."""
    dtype = losses.dtype
    if factor is not None:
        losses = losses * factor
    if reduction == "none":
        return narrow(losses, dtype)
    total = total_of(losses)
    return narrow(total / losses.size if reduction == "mean" else total, dtype)


def total_of(losses: Any) -> Any:
    """Sum all entries: few in the fastest way, many in one that keeps rounding errors small."""
    losses = wide(losses)
    if 0 < losses.size <= 4096:
        return losses.reshape(-1).dot(ones(losses.size, losses.dtype))
    return np.add.reduce(losses, axis=None)


def each(g: Any, reduction: str, factor: Any, count: int) -> Any:
    """Give the cotangent of each loss."""
    if factor is not None:
        g = g * factor
    return g / count if reduction == "mean" else g


# -- differences ------------------------------------------------------------------------------


@primitive
def mse(
    prediction: Any, target: Any, reduction: str = "mean", factor: Any = None
) -> tuple[Any, Any]:
    """Compute ``d**2`` for ``d = prediction - target``; saves d."""
    prediction, target = matched("mse", prediction, target)
    d = prediction - target
    return reduced(d * d, reduction, factor), d


defvjp(
    mse,
    lambda g, ans, x, t, reduction="mean", factor=None, saved=None: (
        (2.0 * each(g, reduction, factor, x.size)) * (x - t if saved is None else saved)
    ),
    lambda g, ans, x, t, reduction="mean", factor=None, saved=None: (
        (-2.0 * each(g, reduction, factor, x.size)) * (x - t if saved is None else saved)
    ),
    saves=True,
)


@primitive
def huber(
    prediction: Any,
    target: Any,
    delta: float = 1.0,
    reduction: str = "mean",
    factor: Any = None,
) -> tuple[Any, Any]:
    """Compute ``r * (d - r/2)`` for d clipped to r at +-delta; saves r."""
    prediction, target = matched("huber", prediction, target)
    d = prediction - target
    r = np.clip(d, -delta, delta)
    return reduced(r * (d - 0.5 * r), reduction, factor), r


defvjp(
    huber,
    lambda g, ans, x, t, delta=1.0, reduction="mean", factor=None, saved=None: (
        each(g, reduction, factor, x.size)
        * (clip(x - t, -delta, delta) if saved is None else saved)
    ),
    lambda g, ans, x, t, delta=1.0, reduction="mean", factor=None, saved=None: (
        -each(g, reduction, factor, x.size)
        * (clip(x - t, -delta, delta) if saved is None else saved)
    ),
    saves=True,
)


@primitive
def mae(
    prediction: Any, target: Any, reduction: str = "mean", factor: Any = None
) -> tuple[Any, Any]:
    """Compute ``|prediction - target|``; the slope at 0 is taken as 0."""
    prediction, target = matched("mae", prediction, target)
    d = prediction - target
    return reduced(np.abs(d), reduction, factor), np.sign(d)


defvjp(
    mae,
    lambda g, ans, x, t, reduction="mean", factor=None, saved=None: (
        each(g, reduction, factor, x.size) * (np.sign(x - t) if saved is None else saved)
    ),
    lambda g, ans, x, t, reduction="mean", factor=None, saved=None: (
        -each(g, reduction, factor, x.size) * (np.sign(x - t) if saved is None else saved)
    ),
    saves=True,
)


@primitive
def quantile(
    prediction: Any,
    target: Any,
    quantiles: Any = 0.5,
    reduction: str = "mean",
    factor: Any = None,
) -> tuple[Any, Any]:
    """Compute ``d * slope``: slope 1 - q where d = prediction - target is positive, -q below 0."""
    prediction, target = matched("quantile", prediction, target)
    d = prediction - target
    slope = _pinball_slope(d, quantiles)
    return reduced(d * slope, reduction, factor), slope


def _pinball_slope(d: Any, quantiles: Any) -> Any:
    s = np.sign(d)
    return s * (0.5 + (0.5 - quantiles) * s)


defvjp(
    quantile,
    lambda g, ans, x, t, quantiles=0.5, reduction="mean", factor=None, saved=None: (
        each(g, reduction, factor, x.size)
        * (_pinball_slope(x - t, quantiles) if saved is None else saved)
    ),
    lambda g, ans, x, t, quantiles=0.5, reduction="mean", factor=None, saved=None: (
        -each(g, reduction, factor, x.size)
        * (_pinball_slope(x - t, quantiles) if saved is None else saved)
    ),
    saves=True,
)

# -- likelihoods ------------------------------------------------------------------------------

SMALL_RATE = 1e-8  # PyTorch's default


@primitive
def poisson_nll(
    prediction: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    reduction: str = "mean",
    factor: Any = None,
) -> tuple[Any, Any]:
    """Compute ``rate - target * log(rate)``, and with `full` also Stirling's ``log(target!)``."""
    prediction, target = matched("poisson_nll", prediction, target)
    refuse_negative("poisson_nll", "targets", target, "They are counts.")
    if log_input:
        rate, log_rate = np.exp(prediction), prediction
        slope = rate - target
    else:
        refuse_negative("poisson_nll", "rates", prediction, "Logarithms of rates: log_input=True.")
        rate = prediction
        log_rate = np.log(wide(rate) + SMALL_RATE)
        slope = 1 - target / (wide(rate) + SMALL_RATE)
    losses = rate - target * log_rate
    if full:
        losses = losses + _stirling(target)
    return narrow(reduced(losses, reduction, factor), prediction.dtype), slope


def refuse_negative(name: str, what: str, x: Any, remedy: str) -> None:
    """Refuse negative numbers; NaN passes, and shows in the loss."""
    if x.size and x.min() < 0:
        raise ValueError(f"{name}: {what} must not be negative, and one is {x.min()}. {remedy}")


def _stirling(target: Any) -> Any:
    t = np.maximum(target, 1)
    return np.where(target > 1, t * np.log(t) - t + 0.5 * np.log(2 * pi * t), 0)


def _poisson_slope(prediction: Any, target: Any, log_input: bool) -> Any:
    if log_input:
        return np.exp(prediction) - target
    return 1 - target / (wide(prediction) + SMALL_RATE)


def _poisson_target_slope(prediction: Any, target: Any, log_input: bool, full: bool) -> Any:
    slope = -prediction if log_input else -np.log(wide(prediction) + SMALL_RATE)
    if full:
        t = np.maximum(target, 1)
        slope = slope + np.where(target > 1, np.log(t) + 0.5 / t, 0)
    return slope


defvjp(
    poisson_nll,
    lambda g, ans, x, t, log_input=True, full=False, reduction="mean", factor=None, saved=None: (
        each(g, reduction, factor, x.size)
        * (_poisson_slope(x, t, log_input) if saved is None else saved)
    ),
    lambda g, ans, x, t, log_input=True, full=False, reduction="mean", factor=None, saved=None: (
        each(g, reduction, factor, x.size) * _poisson_target_slope(x, t, log_input, full)
    ),
    saves=True,
)


@primitive
def gaussian_nll(
    mean: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
    factor: Any = None,
) -> tuple[Any, Any]:
    """Compute ``(log(v) + d**2 / v) / 2`` for ``d = mean - target``; saves d/v and v."""
    mean, target = matched("gaussian_nll", mean, target)
    mean, var = matched("gaussian_nll", mean, var, "variance")
    if var.size and var.min() <= 0:
        raise ValueError(
            f"gaussian_nll: variances must be positive, and one is {var.min()}. Let the network "
            f"give their logarithm, and pass np.exp of it."
        )
    r, v = _standardized(mean, target, var, eps)
    losses = 0.5 * (np.log(v) + r * (mean - target))
    if full:
        losses = losses + 0.5 * log(2 * pi)
    return reduced(losses, reduction, factor), (r, v)


def _standardized(mean: Any, target: Any, var: Any, eps: float) -> tuple[Any, Any]:
    v = np.maximum(var, eps)
    return (mean - target) / v, v


def _mean_slope(x: Any, t: Any, var: Any, eps: float, saved: Any) -> Any:
    r, _ = _standardized(x, t, var, eps) if saved is None else saved
    return r


def _var_slope(x: Any, t: Any, var: Any, eps: float, saved: Any) -> Any:
    r, v = _standardized(x, t, var, eps) if saved is None else saved
    return 0.5 * (1 / v - r * r)


defvjp(
    gaussian_nll,
    lambda g, ans, x, t, var, full=False, eps=1e-6, reduction="mean", factor=None, saved=None: (
        each(g, reduction, factor, x.size) * _mean_slope(x, t, var, eps, saved)
    ),
    lambda g, ans, x, t, var, full=False, eps=1e-6, reduction="mean", factor=None, saved=None: (
        -each(g, reduction, factor, x.size) * _mean_slope(x, t, var, eps, saved)
    ),
    lambda g, ans, x, t, var, full=False, eps=1e-6, reduction="mean", factor=None, saved=None: (
        each(g, reduction, factor, x.size) * _var_slope(x, t, var, eps, saved)
    ),
    saves=True,
)


@primitive
def kl_div(
    prediction: Any,
    target: Any,
    log_target: bool = False,
    reduction: str = "mean",
    factor: Any = None,
) -> tuple[Any, Any]:
    """Compute ``p * (log(p) - prediction)``, 0 where p is 0; saves p."""
    prediction, target = matched("kl_div", prediction, target)
    if not log_target:
        refuse_negative("kl_div", "probabilities", target, "Their logarithms: log_target=True.")
    p, log_p = _probabilities(target, log_target)
    return reduced(p * (log_p - prediction), reduction, factor), p


def _probabilities(target: Any, log_target: bool) -> tuple[Any, Any]:
    if log_target:
        return np.exp(target), np.maximum(target, np.finfo(target.dtype).min)  # 0 times -inf is 0
    return target, np.log(np.where(target > 0, target, 1))


def _kl_target_slope(prediction: Any, target: Any, log_target: bool) -> Any:
    p, log_p = _probabilities(target, log_target)
    if log_target:
        return p * (log_p - prediction + 1)
    return log_p - prediction + (p > 0)


defvjp(
    kl_div,
    lambda g, ans, x, t, log_target=False, reduction="mean", factor=None, saved=None: (
        -each(g, reduction, factor, x.size)
        * (_probabilities(t, log_target)[0] if saved is None else saved)
    ),
    lambda g, ans, x, t, log_target=False, reduction="mean", factor=None, saved=None: (
        each(g, reduction, factor, x.size) * _kl_target_slope(x, t, log_target)
    ),
    saves=True,
)
