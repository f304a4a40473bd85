"""Losses: how far a prediction is from its target, as one number to minimise.

Each takes ``sample_weight``, shape (n,), a number of at least 0 for each row: a sample of weight 0
counts as absent, one of weight 2 counts twice. The mean is ``sum(w * loss) / sum(w)``, over all
columns; the sum and the single losses (``reduction="none"``) are multiplied by the weights. Weights
are constants: no gradient flows to them.

A prediction and a target of different shapes raise ShapeError, and are never broadcast; weights
and values out of range raise ValueError. Targets, weights and options are converted to the type of
the prediction: float32 predictions have float32 losses and gradients. The formulas are PyTorch's
where PyTorch has the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from gradlite.autodiff.rules import class_losses
from gradlite.autodiff.rules import losses as rules
from gradlite.errors import ShapeError
from gradlite.nn.reduction import array_of, class_weights, floating, pos_weights, reduction_args

# -- classes ----------------------------------------------------------------------------------


def cross_entropy(
    logits: Any,
    target: Any,
    reduction: str = "mean",
    *,
    weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    sample_weight: Any = None,
) -> Any:
    """Compute the cross-entropy between the softmax of `logits` and a target distribution.

    ``-sum(target * weight * log(softmax(logits)))`` over the classes of each row. For classes, the
    mean divides by the sum of their weights; for probabilities, by that of `sample_weight`.

    Parameters
    ----------
    logits : array_like or Tensor, shape (..., n_classes)
        Scores before the softmax, however large. Classes on axis 1, as in PyTorch, are for
        `nn.functional.cross_entropy`: where all axes are as long, nothing tells which was meant.
    target : array_like or Tensor
        Classes (integers from 0, shape ``logits.shape[:-1]``) or probabilities (floats, the
        shape of `logits`).
    reduction : {'mean', 'sum', 'none'}
        How to reduce the losses of the rows.
    weight : array_like, shape (n_classes,), optional
        The weight of each class.
    ignore_index : int, optional
        Rows of this class count as absent; it need not be one of the classes.
    label_smoothing : float, default 0.0
        The share of the target, from 0 to 1, that is spread evenly over the classes: Szegedy et
        al., "Rethinking the Inception architecture for computer vision" (arXiv:1512.00567).
    sample_weight : array_like, shape (n,), optional
        The weight of each row.

    Returns
    -------
    scalar, or array of shape ``logits.shape[:-1]`` for reduction 'none'

    Raises
    ------
    ShapeError, DtypeError
        If the target is neither classes nor probabilities of the logits' shape.
    IndexError
        If a class is negative or not below n_classes.
    ValueError
        If weights are negative, not finite or all zero, or `label_smoothing` outside [0, 1]; if a
        mean is of ignored rows alone, or `ignore_index` for probabilities.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> logits = np.array([[0.0, 0.0], [1000.0, -1000.0]])
    >>> gl.cross_entropy(logits, np.array([0, 1]), reduction="none")
    array([6.93147181e-01, 2.00000000e+03])
    """
    args = reduction_args("cross_entropy", logits, reduction, sample_weight, classes=True)
    if weight is not None or label_smoothing != 0 or ignore_index is not None:
        target, args = class_weights(
            logits, target, reduction, weight, ignore_index, label_smoothing, sample_weight
        )
    return class_losses.cross_entropy(logits, target, **args)


def bce_with_logits(
    logits: Any,
    target: Any,
    reduction: str = "mean",
    *,
    pos_weight: Any = None,
    sample_weight: Any = None,
) -> Any:
    """Compute the binary cross-entropy between ``sigmoid(logits)`` and `target`, elementwise.

    ``-(pos_weight * t * log(p) + (1 - t) * log(1 - p))`` for ``p = sigmoid(logits)``.

    Parameters
    ----------
    logits : array_like or Tensor
        Scores before the sigmoid, of any shape; they may be arbitrarily large.
    target : array_like or Tensor
        Probabilities (or 0 and 1), of the same shape.
    reduction : {'mean', 'sum', 'none'}
        How to reduce the losses of the elements.
    pos_weight : float or array_like, shape (n_columns,), optional
        The weight of positive targets; more than 1 where they are rare.
    sample_weight : array_like, shape (n,), optional
        The weight of each row.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.bce_with_logits(np.array([0.0, 1000.0]), np.array([1.0, 0.0]), reduction="none")
    array([6.93147181e-01, 1.00000000e+03])
    """
    args = reduction_args("bce_with_logits", logits, reduction, sample_weight)
    if pos_weight is not None:
        logits = array_of(logits)
        args["pos_weight"] = pos_weights(pos_weight, logits.shape, floating(logits.dtype))
    return rules.bce_with_logits(logits, target, **args)


def hinge(score: Any, target: Any, *, sample_weight: Any = None, reduction: str = "mean") -> Any:
    """Compute the hinge loss, which asks for a margin of 1 between right and wrong.

    With one score for each sample, ``max(0, 1 - target * score)``. With a score for each class, the
    sum of ``max(0, 1 + score[j] - score[target])`` over the other classes j, divided by the number
    of classes (PyTorch's multi_margin_loss; Weston and Watkins, "Support vector machines for
    multi-class pattern recognition", ESANN 1999).

    Parameters
    ----------
    score : array_like or Tensor
        Scores of any shape, or of shape (..., n_classes).
    target : array_like
        -1 and 1, in the shape of `score`; or classes (integers from 0, shape
        ``score.shape[:-1]``).
    sample_weight : array_like, shape (n,), optional
        The weight of each row.
    reduction : {'mean', 'sum', 'none'}
        How to reduce the losses.

    Raises
    ------
    ShapeError
        If the target has neither shape.
    ValueError
        If a target of the scores' shape is not -1 or 1.
    IndexError
        If a class is negative or not below n_classes.

    Examples
    --------
    >>> import numpy as np
    >>> hinge(np.array([0.25, 3.0]), np.array([-1, 1]), reduction="none")
    array([1.25, 0.  ])
    >>> float(hinge(np.array([[0.5, 0.0, 2.0]]), np.array([0])))
    1.0
    """
    score, target = array_of(score), array_of(target)
    if score.shape == target.shape:
        args = reduction_args("hinge", score, reduction, sample_weight)
        return rules.hinge(score, target, **args)
    if target.dtype.kind not in "iu" or score.shape[:-1] != target.shape or score.shape[-1] < 2:
        raise ShapeError(
            f"hinge: scores of shape {score.shape} take targets -1 and 1 of the same shape, or, "
            f"with two columns or more, integer classes of shape {score.shape[:-1]}; not "
            f"{target.dtype} of shape {target.shape}."
        )
    args = reduction_args("hinge", score, reduction, sample_weight, classes=True)
    return class_losses.multiclass_hinge(score, target, **args)


# -- differences ------------------------------------------------------------------------------


def mse(prediction: Any, target: Any, reduction: str = "mean", *, sample_weight: Any = None) -> Any:
    """Compute the squared error ``(prediction - target)**2``.

    Parameters
    ----------
    prediction, target : array_like or Tensor
        Of the same shape: (n, 1) against (n,) is an error, never a broadcast.
    reduction : {'mean', 'sum', 'none'}
        How to reduce the errors of the elements.
    sample_weight : array_like, shape (n,), optional
        The weight of each row.

    Examples
    --------
    >>> import gradlite as gl
    >>> float(gl.mse([1.0, 2.0], [0.0, 0.0]))
    2.5
    >>> float(gl.mse([1.0, 2.0], [0.0, 0.0], sample_weight=[3, 1]))
    1.75
    """
    args = reduction_args("mse", prediction, reduction, sample_weight)
    return rules.mse(prediction, target, **args)


def mae(prediction: Any, target: Any, *, sample_weight: Any = None, reduction: str = "mean") -> Any:
    """Compute the absolute error ``|prediction - target|``; its slope at 0 is taken as 0.

    Parameters
    ----------
    prediction, target : array_like or Tensor
        Of the same shape.
    sample_weight : array_like, shape (n,), optional
        The weight of each row.
    reduction : {'mean', 'sum', 'none'}
        How to reduce the errors of the elements.

    Examples
    --------
    >>> float(mae([1.0, 2.0], [0.0, 4.0]))
    1.5
    """
    args = reduction_args("mae", prediction, reduction, sample_weight)
    return rules.mae(prediction, target, **args)


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
        How to reduce the losses of the elements.
    sample_weight : array_like, shape (n,), optional
        The weight of each row.

    Examples
    --------
    >>> huber([0.5, 10.0], [0.0, 0.0], reduction="none")
    array([0.125, 9.5  ])
    """
    if isinstance(delta, str) or np.ndim(delta):
        raise TypeError(
            f"huber: the third argument is delta, a number, not {type(delta).__name__}. Pass "
            f"reduction= and sample_weight= by keyword."
        )
    if not delta > 0:
        raise ValueError(f"huber: delta must be positive, not {delta!r}.")
    args = reduction_args("huber", prediction, reduction, sample_weight)
    if delta != 1:
        args["delta"] = float(delta)
    return rules.huber(prediction, target, **args)


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
        Of the same shape. For several quantiles it may be (n,): the only loss that broadcasts.
    quantiles : float or sequence of float, default 0.5
        Between 0 and 1, exclusive.
    sample_weight : array_like, shape (n,), optional
        The weight of each row.
    reduction : {'mean', 'sum', 'none'}
        How to reduce the losses of the elements.

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
        prediction, target = array_of(prediction), array_of(target)
        if prediction.ndim != 2 or prediction.shape[1] != len(q):
            raise ShapeError(
                f"quantile: {len(q)} quantiles need a prediction of shape (n, {len(q)}), not "
                f"{prediction.shape} (against a target of shape {target.shape})."
            )
        if target.shape == prediction.shape[:1]:
            target = np.broadcast_to(target[:, None], prediction.shape)
        q = q.astype(floating(prediction.dtype))
    args = reduction_args("quantile", prediction, reduction, sample_weight)
    return rules.quantile(prediction, target, quantiles=q if q.ndim else float(q), **args)


# -- likelihoods ------------------------------------------------------------------------------


def poisson_nll(
    prediction: Any,
    target: Any,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    sample_weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """Compute ``-log P(target)`` for counts of a Poisson distribution, without ``log(target!)``.

    ``exp(prediction) - target * prediction``, or ``prediction - target * log(prediction + eps)``.

    Parameters
    ----------
    prediction : array_like or Tensor
        The logarithm of the rate; the rate itself where `log_input` is False.
    target : array_like or Tensor
        Counts, of the same shape, not negative.
    log_input : bool, default True
        Whether `prediction` is a logarithm.
    full : bool, default False
        Add Stirling's approximation of ``log(target!)``, for targets above 1:
        ``target * log(target) - target + log(2 * pi * target) / 2``.
    eps : float, default 1e-8
        Keeps the logarithm of a rate finite.
    sample_weight : array_like, shape (n,), optional
        The weight of each row.
    reduction : {'mean', 'sum', 'none'}
        How to reduce the losses of the elements.

    Examples
    --------
    >>> poisson_nll([0.0, 0.0], [0, 3], reduction="none")
    array([1., 1.])
    """
    args = reduction_args("poisson_nll", prediction, reduction, sample_weight)
    args |= {"log_input": log_input, "full": full, "eps": float(eps)}
    return rules.poisson_nll(prediction, target, **args)


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

    ``(log(v) + (mean - target)**2 / v) / 2`` for ``v = max(var, eps)``; the gradient with respect
    to `var` is that with respect to v. Nix and Weigend, "Estimating the mean and variance of the
    target probability distribution", ICNN 1994.

    Parameters
    ----------
    mean, target, var : array_like or Tensor
        Of the same shape; variances are positive.
    full : bool, default False
        Add ``log(2 * pi) / 2``.
    eps : float, default 1e-6
        The smallest variance; smaller ones count as this.
    sample_weight : array_like, shape (n,), optional
        The weight of each row.
    reduction : {'mean', 'sum', 'none'}
        How to reduce the losses of the elements.

    Examples
    --------
    >>> gaussian_nll([0.0, 0.0], [1.0, 2.0], [1.0, 1.0], reduction="none")
    array([0.5, 2. ])
    """
    args = reduction_args("gaussian_nll", mean, reduction, sample_weight)
    return rules.gaussian_nll(mean, target, var, full=full, eps=float(eps), **args)


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
        Logarithms of probabilities, such as those from `log_softmax`.
    target : array_like or Tensor
        Probabilities p, of the same shape.
    log_target : bool, default False
        Whether `target` holds their logarithms.
    sample_weight : array_like, shape (n,), optional
        The weight of each row.
    reduction : {'mean', 'sum', 'none', 'batchmean'}
        'batchmean' sums over columns and averages over rows: the divergence by its definition.

    Examples
    --------
    >>> import gradlite as gl
    >>> log_p = gl.log_softmax([[0.0, 0.0]])
    >>> round(float(gl.kl_div(log_p, [[1.0, 0.0]], reduction="batchmean")), 6)
    0.693147
    """
    terms = 1
    if reduction == "batchmean":
        reduction, terms = "mean", prod(np.shape(prediction)[1:])
    args = reduction_args("kl_div", prediction, reduction, sample_weight)
    loss = rules.kl_div(prediction, target, log_target=log_target, **args)
    return loss * terms if terms != 1 else loss


LOSSES: dict[str, Callable[..., Any]] = {
    loss.__name__: loss
    for loss in (
        cross_entropy, bce_with_logits, hinge, mse, mae, huber, quantile, poisson_nll,
        gaussian_nll, kl_div,
    )
}  # fmt: skip
"""The losses by name."""
