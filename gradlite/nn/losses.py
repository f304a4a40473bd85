"""Losses: how far a prediction is from its target, as one number to minimise.

Each takes ``sample_weight``, shape (n,), a number from 0 up for each row: a sample of weight 0 is
absent, one of weight 2 is there twice. The mean is ``sum(w * loss) / sum(w)``, over all columns;
the sum and the single losses (``reduction="none"``) are weighted as they are. Weights are
constants: no gradient flows to them.

A prediction and a target of different shapes are refused, never broadcast. Targets, weights and
options take the type of the prediction: those of float32 have float32 losses and gradients. The
arithmetic is PyTorch's where PyTorch has the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from gradlite.autodiff.rules import losses as rules
from gradlite.errors import ShapeError
from gradlite.nn.class_losses import bce_with_logits, cross_entropy, hinge
from gradlite.nn.weighing import as_array, floating, weighing, weighted_mean

__all__ = [
    "LOSSES",
    "bce_with_logits",
    "cross_entropy",
    "gaussian_nll",
    "hinge",
    "huber",
    "kl_div",
    "mae",
    "mse",
    "poisson_nll",
    "quantile",
    "weighted_mean",
]

# -- differences ------------------------------------------------------------------------------


def mse(prediction: Any, target: Any, reduction: str = "mean", *, sample_weight: Any = None) -> Any:
    """Compute the squared error ``(prediction - target)**2``.

    Parameters
    ----------
    prediction, target : array_like or Tensor
        Of the same shape: (n, 1) against (n,) is an error, never a broadcast.
    reduction : {'mean', 'sum', 'none'}
        What to make of the errors of the elements.
    sample_weight : array_like, shape (n,), optional
        What each row counts.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> float(gl.mse(np.array([1.0, 2.0]), np.array([0.0, 0.0])))
    2.5
    >>> float(mse(np.array([1.0, 2.0]), np.array([0.0, 0.0]), sample_weight=[3, 1]))
    1.75
    """
    return rules.mse(prediction, target, **weighing("mse", prediction, reduction, sample_weight))


def mae(prediction: Any, target: Any, *, sample_weight: Any = None, reduction: str = "mean") -> Any:
    """Compute the absolute error ``|prediction - target|``; its slope at 0 is taken as 0.

    Parameters
    ----------
    prediction, target : array_like or Tensor
        Of the same shape.
    sample_weight : array_like, shape (n,), optional
        What each row counts.
    reduction : {'mean', 'sum', 'none'}
        What to make of the errors of the elements.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> float(mae(np.array([1.0, 2.0]), np.array([0.0, 4.0])))
    1.5
    """
    return rules.mae(prediction, target, **weighing("mae", prediction, reduction, sample_weight))


def huber(
    prediction: Any,
    target: Any,
    delta: float = 1.0,
    reduction: str = "mean",
    *,
    sample_weight: Any = None,
) -> Any:
    """Compute Huber's loss: ``d**2 / 2`` for ``|d| <= delta``, ``delta * (|d| - delta/2)`` beyond.

    Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35
    (1964).

    Parameters
    ----------
    prediction, target : array_like or Tensor
        Of the same shape; d is their difference.
    delta : float, default 1.0
        Where the square turns into a line; positive.
    reduction : {'mean', 'sum', 'none'}
        What to make of the losses of the elements.
    sample_weight : array_like, shape (n,), optional
        What each row counts.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If `delta` is not positive.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.huber(np.array([0.5, 10.0]), np.array([0.0, 0.0]), reduction="none")
    array([0.125, 9.5  ])
    """
    if not delta > 0:
        raise ValueError(f"huber: delta must be positive, not {delta!r}.")
    how = weighing("huber", prediction, reduction, sample_weight)
    if delta != 1:
        how["delta"] = float(delta)
    return rules.huber(prediction, target, **how)


def quantile(
    prediction: Any,
    target: Any,
    *,
    quantiles: float | Sequence[float] = 0.5,
    sample_weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """Compute the pinball loss, which is smallest where the prediction is the quantile q.

    ``max(q * (target - prediction), (q - 1) * (target - prediction))``; its slope where both are
    equal is taken as 0. Koenker and Bassett, "Regression quantiles", Econometrica 46 (1978).

    Parameters
    ----------
    prediction : array_like or Tensor
        Any shape; (n, n_quantiles) for several quantiles, a column each.
    target : array_like or Tensor
        Of the same shape. For several quantiles also (n,): each column is compared with it, the
        one broadcast among the losses.
    quantiles : float or sequence of float, default 0.5
        Between 0 and 1.
    sample_weight : array_like, shape (n,), optional
        What each row counts.
    reduction : {'mean', 'sum', 'none'}
        What to make of the losses of the elements.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ValueError
        If a quantile is not between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> quantile(np.array([[1.0, 3.0]]), np.array([2.0]), quantiles=[0.1, 0.9], reduction="none")
    array([[0.1, 0.1]])
    """
    q = np.asarray(quantiles, np.float64)
    if q.ndim > 1 or q.size == 0 or not (q.min() > 0 and q.max() < 1):
        raise ValueError(f"quantile: quantiles must lie between 0 and 1, not {quantiles!r}.")
    if q.ndim:
        prediction, target = as_array(prediction), as_array(target)
        if prediction.ndim != 2 or prediction.shape[1] != len(q):
            raise ShapeError(
                f"quantile: {len(q)} quantiles need a prediction of shape (n, {len(q)}), not "
                f"{prediction.shape} (against a target of shape {target.shape})."
            )
        if target.shape == prediction.shape[:1]:
            target = np.broadcast_to(target[:, None], prediction.shape)
        q = q.astype(floating(prediction.dtype))
    how = weighing("quantile", prediction, reduction, sample_weight)
    return rules.quantile(prediction, target, quantiles=q if q.ndim else float(q), **how)


# -- likelihoods ------------------------------------------------------------------------------


def poisson_nll(
    prediction: Any,
    target: Any,
    *,
    log_input: bool = True,
    full: bool = False,
    sample_weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """Compute ``-log P(target)`` for counts of a Poisson distribution, without ``log(target!)``.

    ``exp(prediction) - target * prediction``, or ``prediction - target * log(prediction + 1e-8)``.

    Parameters
    ----------
    prediction : array_like or Tensor
        The logarithm of the rate; the rate itself where `log_input` is False.
    target : array_like or Tensor
        Counts, of the same shape.
    log_input : bool, default True
        Whether `prediction` is a logarithm.
    full : bool, default False
        Add Stirling's approximation of ``log(target!)``, for targets above 1:
        ``target * log(target) - target + log(2 * pi * target) / 2``.
    sample_weight : array_like, shape (n,), optional
        What each row counts.
    reduction : {'mean', 'sum', 'none'}
        What to make of the losses of the elements.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If a target, or a rate, is negative.

    Examples
    --------
    >>> import numpy as np
    >>> poisson_nll(np.array([0.0, 0.0]), np.array([0, 3]), reduction="none")
    array([1., 1.])
    """
    how = weighing("poisson_nll", prediction, reduction, sample_weight)
    return rules.poisson_nll(prediction, target, log_input=log_input, full=full, **how)


def gaussian_nll(
    mean: Any,
    target: Any,
    var: Any,
    *,
    full: bool = False,
    eps: float = 1e-6,
    sample_weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """Compute ``-log p(target)`` of a normal distribution, without ``log(2 * pi) / 2``.

    ``(log(v) + (mean - target)**2 / v) / 2`` for ``v = max(var, eps)``; the gradient by `var` is
    that by v. Nix and Weigend, "Estimating the mean and variance of the target probability
    distribution", ICNN 1994.

    Parameters
    ----------
    mean, target, var : array_like or Tensor
        Of the same shape; variances are positive.
    full : bool, default False
        Add ``log(2 * pi) / 2``.
    eps : float, default 1e-6
        The smallest variance to reckon with.
    sample_weight : array_like, shape (n,), optional
        What each row counts.
    reduction : {'mean', 'sum', 'none'}
        What to make of the losses of the elements.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If a variance is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> gaussian_nll(np.zeros(2), np.array([1.0, 2.0]), np.array([1.0, 1.0]), reduction="none")
    array([0.5, 2. ])
    """
    how = weighing("gaussian_nll", mean, reduction, sample_weight)
    return rules.gaussian_nll(mean, target, var, full=full, eps=float(eps), **how)


def kl_div(
    prediction: Any,
    target: Any,
    *,
    log_target: bool = False,
    sample_weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """Compute the terms of the Kullback-Leibler divergence, ``p * (log(p) - prediction)``.

    Parameters
    ----------
    prediction : array_like or Tensor
        Logarithms of probabilities (`log_softmax` gives them).
    target : array_like or Tensor
        Probabilities p, of the same shape.
    log_target : bool, default False
        Whether `target` holds their logarithms.
    sample_weight : array_like, shape (n,), optional
        What each row counts.
    reduction : {'mean', 'sum', 'none', 'batchmean'}
        What to make of the terms. 'batchmean' sums over columns, averages over rows: the
        divergence as it is defined.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If a probability is negative.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> log_p = gl.log_softmax(np.zeros((1, 2)))
    >>> round(float(kl_div(log_p, np.array([[1.0, 0.0]]), reduction="batchmean")), 6)
    0.693147
    """
    terms = 1
    if reduction == "batchmean":
        reduction, terms = "mean", prod(np.shape(prediction)[1:])
    how = weighing("kl_div", prediction, reduction, sample_weight)
    loss = rules.kl_div(prediction, target, log_target=log_target, **how)
    return loss * terms if terms != 1 else loss


LOSSES: dict[str, Callable[..., Any]] = {
    loss.__name__: loss
    for loss in (
        cross_entropy,
        bce_with_logits,
        hinge,
        mse,
        mae,
        huber,
        quantile,
        poisson_nll,
        gaussian_nll,
        kl_div,
    )
}
"""The losses by name."""
