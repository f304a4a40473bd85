"""Losses under PyTorch's names and argument orders: those of gradlite, and a few more.

`input` and `target` must have one shape, and are never broadcast. `reduction` is 'mean', 'sum' or
'none'; `size_average` and `reduce`, which came before it in PyTorch, are refused. Weights are
constants: no gradient flows to them. Targets and weights take the type of the input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.rules import losses as rules
from gradlite.errors import ShapeError
from gradlite.nn import losses as gl
from gradlite.nn.reduction import (
    array_of,
    check_weights,
    floating,
    normalize_weights,
    reduction_args,
    target_weights,
)


def refuse_legacy(name: str, size_average: Any, reduce: Any) -> None:
    """Raise TypeError for the two arguments that PyTorch had before `reduction`."""
    if size_average is not None or reduce is not None:
        word = size_average if isinstance(size_average, str) else "mean', 'sum' or 'none"
        raise TypeError(
            f"{name}: size_average and reduce are the old words for reduction, and stand before it "
            f"in PyTorch's order: pass reduction='{word}' by name."
        )


def reduce_losses(name: str, losses: Any, reduction: str) -> Any:
    """Return the mean or sum of single losses, or all of them."""
    if not reduction_args(name, losses, reduction, None):
        return np.mean(losses)
    return np.sum(losses) if reduction == "sum" else losses


def weighted(name: str, input: Any, weight: Any, reduction: str) -> dict[str, Any]:
    """Return the arguments of an operation whose losses are multiplied by weights."""
    args = reduction_args(name, input, reduction, None)
    if weight is not None:
        input, weight = array_of(input), array_of(weight)
        pairs = zip(weight.shape[::-1], input.shape[::-1], strict=False)
        if weight.ndim > input.ndim or any(n not in (1, m) for n, m in pairs):
            raise ShapeError(
                f"{name}: a weight of shape {weight.shape} does not fit an input of shape "
                f"{input.shape}."
            )
        args["factor"] = weight.astype(floating(input.dtype))
    return args


def weighted_by_sum(name: str, input: Any, weight: Any, reduction: str) -> dict[str, Any]:
    """Return what `weighted` does, where a mean divides by the sum of the weights."""
    args = weighted(name, input, weight, reduction)
    if weight is not None:
        w = array_of(weight)
        if w.shape != np.shape(input):
            raise ShapeError(
                f"{name}: the weight has shape {w.shape}, and the input {np.shape(input)}."
            )
        args = normalize_weights(w, w, w.shape, reduction, args["factor"].dtype)
    return args


# -- classes ----------------------------------------------------------------------------------


def classes_last(x: Any) -> Any:
    """Return scores with the axis of the classes, axis 1 of several, at the end."""
    x = array_of(x)
    return np.moveaxis(x, 1, -1) if x.ndim > 2 else x


def check_target(name: str, input: Any, scores: Any, target: Any, soft: bool = False) -> None:
    """Raise ShapeError for a target that is neither classes nor, for some, probabilities."""
    shape = np.shape(input) if soft and target.dtype.kind == "f" else scores.shape[:-1]
    kinds = "iuf" if soft else "iu"
    if target.shape != shape or target.dtype.kind not in kinds or scores.ndim == 0:
        last = soft and scores.ndim > 2 and target.shape == np.shape(input)[:-1]
        raise ShapeError(
            f"{name}: an input of shape {np.shape(input)}, whose classes are on axis "
            f"{int(scores.ndim > 1)}, takes integer classes of shape {scores.shape[:-1]}"
            f"{' or probabilities of its own' * soft}, not {target.dtype} of shape {target.shape}."
            + last
            * " Classes on the last axis are for gradlite.cross_entropy."
        )


def ignored(input: Any, target: Any, ignore_index: int, reduction: str) -> tuple[Any, Any]:
    """Return the index to ignore, or None, and the mean if there is nothing else: NaN."""
    if target.dtype.kind == "f":
        return (ignore_index if ignore_index >= 0 else None), None
    if not np.any(target == ignore_index):
        return None, None
    if reduction == "mean" and not np.any(target != ignore_index):
        return None, np.sum(input) * 0.0 + np.nan  # as in PyTorch, with gradients of zero
    return ignore_index, None


def cross_entropy(
    input: Any, target: Any, weight: Any = None, size_average: Any = None,
    ignore_index: int = -100, reduce: Any = None, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    """Compute `gradlite.cross_entropy` with the classes on axis 1.

    Parameters
    ----------
    input : array_like or Tensor, shape (n, n_classes, ...) or (n_classes,)
        Scores before the softmax.
    target : array_like or Tensor
        Integer classes, shape (n, ...) or (); or probabilities, the shape of `input`.
    weight : array_like, shape (n_classes,), optional
        The weight of each class; a mean over classes divides by the sum of those of the targets.
    ignore_index : int, default -100
        A class that does not count. The mean of nothing else is NaN, and its gradient zero.
    label_smoothing : float, default 0.0
        The share of each target that is spread over all classes.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.zeros((5, 3, 7))
    >>> round(float(cross_entropy(scores, np.ones((5, 7), int))), 6)  # log(3)
    1.098612
    """
    refuse_legacy("cross_entropy", size_average, reduce)
    logits, target = classes_last(input), array_of(target)
    check_target("cross_entropy", input, logits, target, soft=True)
    target = classes_last(target) if target.dtype.kind == "f" else target
    index, nothing = ignored(logits, target, ignore_index, reduction)
    if nothing is not None:
        return nothing
    return gl.cross_entropy(
        logits, target, reduction, weight=weight, ignore_index=index,
        label_smoothing=label_smoothing,
    )  # fmt: skip


def nll_loss(
    input: Any, target: Any, weight: Any = None, size_average: Any = None,
    ignore_index: int = -100, reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Compute ``-input[target]``, the negative log-likelihood, from log-probabilities.

    Parameters
    ----------
    input : array_like or Tensor, shape (n, n_classes, ...) or (n_classes,)
        Logarithms of probabilities, such as those from `log_softmax`.
    target : array_like of int, shape (n, ...) or ()
        The classes.
    weight : array_like, shape (n_classes,), optional
        The weight of each class; the mean divides by the sum of those of the targets.
    ignore_index : int, default -100
        A class that does not count.

    Examples
    --------
    >>> import numpy as np
    >>> float(nll_loss(np.array([[-1.0, -2.0], [-3.0, -4.0]]), np.array([1, 0])))
    2.5
    """
    refuse_legacy("nll_loss", size_average, reduce)
    log_p, target = classes_last(input), array_of(target)
    check_target("nll_loss", input, log_p, target)
    index, nothing = ignored(log_p, target, ignore_index, reduction)
    if nothing is not None:
        return nothing
    classes = log_p.shape[-1]
    if weight is not None:
        weight = check_weights("nll_loss", "weight", weight, classes)
    target, kept, own = target_weights("nll_loss", target, classes, weight, index)
    losses = -np.take_along_axis(log_p, np.expand_dims(target, -1), -1)[..., 0]
    if weight is None and index is None:
        return reduce_losses("nll_loss", losses, reduction)
    w = kept * own + np.zeros(target.shape)
    args = normalize_weights(w, w, target.shape, reduction, log_p.dtype)
    return reduce_losses("nll_loss", losses * args["factor"], args["reduction"])


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Compute ``-(t * log(p) + (1 - t) * log(1 - p))`` from probabilities p, elementwise.

    As in PyTorch, the logarithms are not below -100, and the divisor ``p * (1 - p)`` of the slope
    not below 1e-12. From scores, `binary_cross_entropy_with_logits` is more precise.

    Parameters
    ----------
    input, target : array_like or Tensor
        Probabilities.
    weight : array_like, optional
        Multiplies the losses; of a shape that broadcasts to theirs.

    Examples
    --------
    >>> binary_cross_entropy([0.0, 0.5], [1.0, 0.5], reduction="none")
    array([100.        ,   0.69314718])
    """
    refuse_legacy("binary_cross_entropy", size_average, reduce)
    args = weighted("binary_cross_entropy", input, weight, reduction)
    return rules.binary_cross_entropy(input, target, **args)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean", pos_weight: Any = None,
) -> Any:  # fmt: skip
    """Compute `gradlite.bce_with_logits`, with weights of the elements.

    Parameters
    ----------
    input, target : array_like or Tensor
        Scores before the sigmoid, and probabilities.
    weight : array_like, optional
        Multiplies the losses; of a shape that broadcasts to theirs.
    pos_weight : float or array_like, optional
        The weight of positive targets; of a shape that broadcasts to that of `input`.

    Examples
    --------
    >>> binary_cross_entropy_with_logits([0.0, 1000.0], [1.0, 0.0], reduction="none")
    array([6.93147181e-01, 1.00000000e+03])
    """
    name = "binary_cross_entropy_with_logits"
    refuse_legacy(name, size_average, reduce)
    args = weighted(name, input, weight, reduction)
    if pos_weight is not None:
        args["pos_weight"] = weighted(name, input, pos_weight, reduction)["factor"]
    return rules.bce_with_logits(input, target, **args)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Average `binary_cross_entropy_with_logits` over the last axis: several labels for a row.

    Examples
    --------
    >>> multilabel_soft_margin_loss([[0.0, 1000.0]], [[1.0, 0.0]], reduction="none")
    array([500.34657359])
    """
    name = "multilabel_soft_margin_loss"
    refuse_legacy(name, size_average, reduce)
    losses = rules.bce_with_logits(input, target, **weighted(name, input, weight, "none"))
    return reduce_losses(name, np.mean(losses, axis=-1), reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None,
    size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Compute ``sum(max(0, margin + input[j] - input[target])**p) / n_classes`` of each row.

    The sum is over the classes j that are not the target; for the defaults this is
    `gradlite.hinge`.

    Parameters
    ----------
    input : array_like or Tensor, shape (n, n_classes) or (n_classes,)
        Scores.
    target : array_like of int, shape (n,) or ()
        Classes.
    p : {1, 2}
        The exponent.
    margin : float, default 1.0
        By how much the target is to be ahead.
    weight : array_like, shape (n_classes,), optional
        The weight of each class; multiplies the losses of its rows.

    Examples
    --------
    >>> import numpy as np
    >>> float(multi_margin_loss(np.array([[0.5, 0.0, 2.0]]), np.array([0])))
    1.0
    """
    name = "multi_margin_loss"
    refuse_legacy(name, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"{name}: p must be 1 or 2, not {p!r}.")
    input, target = array_of(input), array_of(target)
    if input.ndim > 2:
        raise ShapeError(f"{name}: the input must have shape (n, n_classes), not {input.shape}.")
    check_target(name, input, input, target)
    classes = input.shape[-1]
    if weight is not None:
        weight = check_weights(name, "weight", weight, classes)
    target, _, own = target_weights(name, target, classes, weight, None)
    place = np.expand_dims(target, -1)
    margins = np.maximum(margin + input - np.take_along_axis(input, place, -1), 0.0)
    others = (place != np.arange(classes)).astype(floating(input.dtype))
    losses = np.sum(margins**p * others, axis=-1) / classes
    if weight is not None:
        losses = losses * own.astype(others.dtype)
    return reduce_losses(name, losses, reduction)


# -- differences and likelihoods --------------------------------------------------------------


def mse_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean", weight: Any = None,
) -> Any:  # fmt: skip
    """Compute `gradlite.mse`; a mean with `weight`, of the input's shape, divides by its sum.

    Examples
    --------
    >>> float(mse_loss([1.0, 2.0], [0.0, 0.0]))
    2.5
    """
    refuse_legacy("mse_loss", size_average, reduce)
    return rules.mse(input, target, **weighted_by_sum("mse_loss", input, weight, reduction))


def l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean", weight: Any = None,
) -> Any:  # fmt: skip
    """Compute `gradlite.mae`; a mean with `weight`, of the input's shape, divides by its sum.

    Examples
    --------
    >>> float(l1_loss([1.0, 2.0], [0.0, 4.0]))
    1.5
    """
    refuse_legacy("l1_loss", size_average, reduce)
    return rules.mae(input, target, **weighted_by_sum("l1_loss", input, weight, reduction))


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """Compute `gradlite.huber`; `weight` multiplies the losses, of a shape that broadcasts.

    Examples
    --------
    >>> huber_loss([0.5, 10.0], [0.0, 0.0], "none")
    array([0.125, 9.5  ])
    """
    args = weighted("huber_loss", input, weight, reduction)
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be positive, not {delta!r}.")
    return rules.huber(input, target, delta=float(delta), **args)


def smooth_l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean", beta: float = 1.0,
) -> Any:  # fmt: skip
    """Compute ``d**2 / (2 * beta)`` for ``|d| < beta``, ``|d| - beta/2`` beyond.

    This is `gradlite.huber` divided by beta; at 0 it is `gradlite.mae`.

    Examples
    --------
    >>> smooth_l1_loss([0.5, 10.0], [0.0, 0.0], reduction="none", beta=2.0)
    array([0.0625, 9.    ])
    """
    refuse_legacy("smooth_l1_loss", size_average, reduce)
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    if not beta > 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, as {beta!r} is.")
    return huber_loss(input, target, reduction, beta) / float(beta)


def kl_div(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean", log_target: bool = False,
) -> Any:  # fmt: skip
    """Compute `gradlite.kl_div`, from log-probabilities; 'batchmean' is the mean of its rows.

    Examples
    --------
    >>> import numpy as np
    >>> log_p = np.log([[0.5, 0.5]])
    >>> round(float(kl_div(log_p, [[1.0, 0.0]], reduction="batchmean")), 6)
    0.693147
    """
    refuse_legacy("kl_div", size_average, reduce)
    return gl.kl_div(input, target, log_target=log_target, reduction=reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False,
    size_average: Any = None, eps: float = 1e-8, reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Compute `gradlite.poisson_nll`: the loss of counts, from the logarithm of their rate.

    Examples
    --------
    >>> poisson_nll_loss([0.0, 0.0], [0, 3], reduction="none")
    array([1., 1.])
    """
    refuse_legacy("poisson_nll_loss", size_average, reduce)
    return gl.poisson_nll(
        input, target, log_input=log_input, full=full, eps=eps, reduction=reduction
    )


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Compute `gradlite.gaussian_nll`: the loss of a mean and a variance.

    The variance has the shape of the input, or is a number, or one for each row: a last axis of
    length 1, or none.

    Examples
    --------
    >>> gaussian_nll_loss([[0.0, 0.0]], [[1.0, 2.0]], [1.0], reduction="none")
    array([[0.5, 2. ]])
    """
    input, var = array_of(input), array_of(var)
    if var.shape != input.shape:
        if var.ndim and var.shape == input.shape[:-1]:
            var = np.expand_dims(var, -1)
        short = sum(n for n, m in zip(var.shape, input.shape, strict=False) if n != m)
        if var.ndim and (var.ndim != input.ndim or short != 1):
            raise ShapeError(
                f"gaussian_nll_loss: a variance of shape {var.shape} does not fit an input of "
                f"shape {input.shape}."
            )
        var = np.broadcast_to(var, input.shape)
    return gl.gaussian_nll(input, target, var, full=full, eps=eps, reduction=reduction)
