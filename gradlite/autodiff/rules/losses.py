"""Losses as operations: one node each, with what the backward pass needs saved.

A loss is defined by its elements (or by its rows, where a row of scores makes one loss): a
function that returns the losses, not reduced, and their residuals; and a vjp for each argument,
in which ``g`` is the cotangent of the losses and the residuals stand where other rules have
``ans``. `loss` adds what all have in common: ``reduction``, and ``factor``, which multiplies the
losses before they are reduced (weights of samples, divided by their sum for a mean;
gradlite.nn.losses does that, and describes each loss).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from math import log, pi
from typing import Any

import numpy as np

from gradlite.autodiff.define import defvjp, primitive
from gradlite.autodiff.operands import plain_array
from gradlite.autodiff.precision import as_float, narrow, real, wide
from gradlite.autodiff.rule import RULES, Function
from gradlite.autodiff.rules.activations import sigmoid, softplus
from gradlite.autodiff.rules.elementwise import clip
from gradlite.autodiff.rules.fused import ones
from gradlite.errors import ShapeError

COMMON = tuple(
    inspect.signature(
        lambda reduction="mean", factor=None, residuals=None: None
    ).parameters.values()
)


def loss(
    *vjps: Function | None,
    residuals: Function | None = None,
    rows: bool = False,
    name: str | None = None,
) -> Callable[[Function], Function]:
    """Make an operation that reduces the losses that the decorated function returns.

    Parameters
    ----------
    *vjps : callable or None
        ``vjp(g, residuals, *arrays, **options)`` for each array; see `defvjp`.
    residuals : callable, optional
        What a higher-order walk differentiates in place of the saved ones. By default the second
        result of the decorated function.
    rows : bool, default False
        Whether a row of scores makes one loss; otherwise all arrays must have one shape.
    name : str, optional
        The name in errors and drawings.
    """

    def define(single: Function) -> Function:
        # Not annotated: `__signature__` says which arguments there are.
        @functools.wraps(single)
        def operation(prediction, target, *others, reduction="mean", factor=None, **options):  # type: ignore[no-untyped-def]
            x, t = plain_array(prediction, "A loss of"), plain_array(target, "A loss of")
            if not rows:
                x = as_float(real(x, single.__name__))
                t = same_shape(single.__name__, x, t)
            losses, kept = single(x, t, *others, **options)
            return reduced(losses, reduction, factor, x.dtype), kept

        parameters = (*inspect.signature(single).parameters.values(), *COMMON[:2])
        operation.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions take attributes
        again = residuals or (lambda *arrays, **options: single(*arrays, **options)[1])
        made = primitive(operation)
        pullbacks = [None if vjp is None else reduced_vjp(vjp, again, rows) for vjp in vjps]
        defvjp(made, *pullbacks, name=name, has_residuals=True)
        # The pullbacks take any option; the loss says which there are.
        RULES[made].params = frozenset(p.name for p in parameters[len(vjps) :])
        return made

    return define


def reduced_vjp(vjp: Function, compute: Function, rows: bool) -> Function:
    """Turn a vjp of single losses into one of the reduced losses."""

    @functools.wraps(vjp)
    def pullback(g, ans, *arrays, reduction="mean", factor=None, residuals=None, **options):  # type: ignore[no-untyped-def]  # as above
        x = arrays[0]
        if factor is not None:
            g = g * factor
        if reduction == "mean":
            g = g / (x.size // x.shape[-1] if rows else x.size)
        if rows and (reduction == "none" or factor is not None):
            g = g[..., None]
        if residuals is None:
            if not rows:
                arrays = tuple(map(as_float, arrays))
            residuals = compute(*arrays, **options)
        return vjp(g, residuals, *arrays, **options)

    parameters = (*inspect.signature(vjp).parameters.values(), *COMMON)
    pullback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # as above
    return pullback


def same_shape(name: str, prediction: Any, other: Any, what: str = "target") -> Any:
    """Return the other array in the prediction's type; raise ShapeError if the shapes differ."""
    if prediction.shape != other.shape:
        raise ShapeError(
            f"{name}: the prediction has shape {prediction.shape} and the {what} "
            f"{other.shape}. They must be equal; reshape one of them."
        )
    if other.dtype != prediction.dtype and prediction.dtype.kind == "f":
        return real(other, name).astype(prediction.dtype)
    return other


def reduced(losses: Any, reduction: str, factor: Any, dtype: Any) -> Any:
    """Reduce the losses to one number of a type, unless they are wanted one by one."""
    if factor is not None:
        losses = losses * factor
    if reduction == "none":
        return narrow(losses, dtype)
    losses = wide(losses)
    if 0 < losses.size <= 4096:  # the fastest sum of few; the other keeps rounding errors small
        total = losses.reshape(-1).dot(ones(losses.size, losses.dtype))
    else:
        total = np.add.reduce(losses, axis=None)
    return narrow(total / losses.size if reduction == "mean" else total, dtype)


def check_not_negative(name: str, what: str, x: Any, remedy: str) -> None:
    """Raise ValueError if a number is negative; NaN passes, and shows in the loss."""
    if x.size and x.min() < 0:
        raise ValueError(f"{name}: {what} must not be negative, and one is {x.min()}. {remedy}")


@loss(
    lambda g, d, x, t: 2.0 * g * d,
    lambda g, d, x, t: -2.0 * g * d,
    residuals=np.subtract,
)
def mse(prediction: Any, target: Any) -> tuple[Any, Any]:
    """Compute ``d**2`` for ``d = prediction - target``, its residual."""
    d = prediction - target
    return d * d, d


@loss(
    lambda g, r, x, t, delta=1.0: g * r,
    lambda g, r, x, t, delta=1.0: -g * r,
    residuals=lambda x, t, delta=1.0: clip(x - t, -delta, delta),
)
def huber(prediction: Any, target: Any, delta: float = 1.0) -> tuple[Any, Any]:
    """Compute ``r * (d - r/2)`` for d clipped to r, its residual, at +-delta."""
    d = prediction - target
    r = np.clip(d, -delta, delta)
    return r * (d - 0.5 * r), r


@loss(lambda g, s, x, t: g * s, lambda g, s, x, t: -g * s)
def mae(prediction: Any, target: Any) -> tuple[Any, Any]:
    """Compute ``|prediction - target|``; the slope at 0 is taken as 0."""
    d = prediction - target
    return np.abs(d), np.sign(d)


@loss(
    lambda g, slope, x, t, quantiles=0.5: g * slope,
    lambda g, slope, x, t, quantiles=0.5: -g * slope,
)
def quantile(prediction: Any, target: Any, quantiles: Any = 0.5) -> tuple[Any, Any]:
    """Compute ``d * slope``: slope 1 - q where d = prediction - target is positive, -q below 0."""
    d = prediction - target
    s = np.sign(d)
    slope = s * (0.5 + (0.5 - quantiles) * s)
    return d * slope, slope


def _rate(
    x: Any, t: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> tuple[Any, Any, Any]:
    """Return the rate, its logarithm, and the slope of the loss with respect to x."""
    if log_input:
        rate = np.exp(x)
        return rate, x, rate - t
    shifted = wide(x) + eps
    return x, np.log(shifted), 1 - t / shifted


def _stirling_slope(t: Any, full: bool) -> Any:
    if not full:
        return 0.0
    above = np.maximum(t, 1)
    return np.where(t > 1, np.log(above) + 0.5 / above, 0)


@loss(
    lambda g, r, x, t, log_input=True, full=False, eps=1e-8: g * r[1],
    lambda g, r, x, t, log_input=True, full=False, eps=1e-8: g * (_stirling_slope(t, full) - r[0]),
    residuals=lambda *arrays, **options: _rate(*arrays, **options)[1:],
)
def poisson_nll(
    prediction: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> tuple[Any, Any]:
    """Compute ``rate - target * log(rate)``, and with `full` also Stirling's ``log(target!)``."""
    check_not_negative("poisson_nll", "targets", target, "They are counts.")
    if not log_input:
        remedy = "Logarithms of rates: log_input=True."
        check_not_negative("poisson_nll", "rates", prediction, remedy)
    rate, log_rate, slope = _rate(prediction, target, log_input, eps=eps)
    losses = rate - target * log_rate
    if full:
        t = np.maximum(target, 1)
        losses = losses + np.where(target > 1, t * np.log(t) - t + 0.5 * np.log(2 * pi * t), 0)
    return losses, (log_rate, slope)


def _standardized(mean: Any, target: Any, variance: Any, eps: float = 1e-6, **_: Any) -> Any:
    v = np.maximum(variance, eps)
    return (mean - target) / v, v


@loss(
    lambda g, rv, x, t, var, full=False, eps=1e-6: g * rv[0],
    lambda g, rv, x, t, var, full=False, eps=1e-6: -g * rv[0],
    lambda g, rv, x, t, var, full=False, eps=1e-6: g * (0.5 * (1 / rv[1] - rv[0] * rv[0])),
    residuals=_standardized,
)
def gaussian_nll(
    mean: Any, target: Any, variance: Any, full: bool = False, eps: float = 1e-6
) -> tuple[Any, Any]:
    """Compute ``(log(v) + d * r) / 2`` for ``d = mean - target``, its residuals r = d/v and v."""
    variance = same_shape("gaussian_nll", mean, plain_array(variance, "A loss of"), "variance")
    if variance.size and variance.min() <= 0:
        raise ValueError(
            f"gaussian_nll: variances must be positive, and one is {variance.min()}. Let the "
            f"network predict their logarithm, and pass np.exp of it."
        )
    r, v = _standardized(mean, target, variance, eps)
    losses = 0.5 * (np.log(v) + r * (mean - target))
    return losses + 0.5 * log(2 * pi) if full else losses, (r, v)


def _probabilities(target: Any, log_target: bool) -> tuple[Any, Any]:
    if log_target:
        return np.exp(target), np.maximum(target, np.finfo(target.dtype).min)  # 0 times -inf is 0
    return target, np.log(np.where(target > 0, target, 1))


def _kl_target_slope(x: Any, t: Any, log_target: bool) -> Any:
    p, log_p = _probabilities(t, log_target)
    return p * (log_p - x + 1) if log_target else log_p - x + (p > 0)


@loss(
    lambda g, p, x, t, log_target=False: -g * p,
    lambda g, p, x, t, log_target=False: g * _kl_target_slope(x, t, log_target),
    residuals=lambda x, t, log_target=False: _probabilities(t, log_target)[0],
)
def kl_div(prediction: Any, target: Any, log_target: bool = False) -> tuple[Any, Any]:
    """Compute ``p * (log(p) - prediction)``, 0 where p, its residual, is 0."""
    if not log_target:
        check_not_negative("kl_div", "probabilities", target, "Logarithms: log_target=True.")
    p, log_p = _probabilities(target, log_target)
    return p * (log_p - prediction), p


# -- two classes ------------------------------------------------------------------------------


def _bce_slope(x: Any, t: Any, pos_weight: Any = None) -> Any:
    p = sigmoid(x)
    return p - t if pos_weight is None else p - t + (pos_weight - 1) * t * (p - 1)


def _bce_target_slope(x: Any, pos_weight: Any) -> Any:
    return -x if pos_weight is None else (pos_weight - 1) * softplus(-x) - x


@loss(
    lambda g, slope, x, t, pos_weight=None: g * slope,
    lambda g, slope, x, t, pos_weight=None: g * _bce_target_slope(x, pos_weight),
    residuals=_bce_slope,
)
def bce_with_logits(logits: Any, target: Any, pos_weight: Any = None) -> tuple[Any, Any]:
    """Compute ``-(w t log(p) + (1 - t) log(1 - p))`` for ``p = sigmoid(logits)``."""
    # log(1 + e^x) - t x, with e^-|x| so that nothing overflows; its inverse gives the sigmoid.
    e = np.exp(-np.abs(logits))
    rest = np.log1p(e)
    losses = np.maximum(logits, 0) - logits * target + rest
    p = np.exp(np.minimum(logits, 0)) / (1 + e)
    slope = p - target
    if pos_weight is not None:
        extra = (pos_weight - 1) * target
        losses = losses + extra * (np.maximum(-logits, 0) + rest)
        slope = slope + extra * (p - 1)
    return losses, slope


def _logarithms(p: Any) -> tuple[Any, Any]:
    """Return those of p and of 1 - p, at least -100 as in PyTorch: 0 times them is 0."""
    p = as_float(p)
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(p), -100.0), np.maximum(np.log1p(-p), -100.0)


def _probability_slope(p: Any, t: Any) -> Any:
    p = wide(p)
    return (p - t) / np.maximum(p * (1.0 - p), 1e-12)


@loss(
    lambda g, slope, p, t: g * slope,
    lambda g, slope, p, t: g * np.subtract(*_logarithms(p)[::-1]),
    residuals=_probability_slope,
)
def binary_cross_entropy(probability: Any, target: Any) -> tuple[Any, Any]:
    """Compute ``-(t log(p) + (1 - t) log(1 - p))``, with logarithms of at least -100."""
    low, high = (probability.min(), probability.max()) if probability.size else (0, 1)
    if low < 0 or high > 1:  # NaN passes, and shows in the loss
        raise ValueError(
            f"binary_cross_entropy: probabilities must be from 0 to 1, not {low} to {high}. "
            f"Scores before the sigmoid are for binary_cross_entropy_with_logits."
        )
    yes, no = _logarithms(probability)
    return (target - 1.0) * no - target * yes, _probability_slope(probability, target)


def _margin(score: Any, target: Any) -> tuple[Any, Any]:
    """Return by how much the score misses the margin, and the slope of the loss."""
    margin = 1 - target * score
    return margin, -1.0 * target * (margin > 0)


@loss(lambda g, slope, x, t: g * slope, None, residuals=lambda x, t: _margin(x, t)[1])
def hinge(score: Any, target: Any) -> tuple[Any, Any]:
    """Compute ``max(0, 1 - target * score)`` for targets -1 and 1."""
    if not np.all(np.abs(target) == 1):
        wrong = target[np.abs(target) != 1][0]
        raise ValueError(
            f"hinge: targets must be -1 or 1, not {wrong}. Of classes 0 and 1 make 2 * target - 1."
        )
    margin, slope = _margin(score, target)
    return np.maximum(margin, 0), slope
