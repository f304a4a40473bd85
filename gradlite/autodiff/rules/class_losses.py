"""Losses of classes as operations: cross-entropy and hinge, for two classes and for more."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.rule import defvjp, narrow, primitive, wide
from gradlite.autodiff.rules.activations import sigmoid, softplus
from gradlite.autodiff.rules.fused import ones
from gradlite.autodiff.rules.losses import each, matched, reduced
from gradlite.autodiff.rules.products import flat
from gradlite.autodiff.rules.reductions import log_softmax, softmax
from gradlite.errors import DtypeError, ShapeError

# -- many classes -----------------------------------------------------------------------------


def each_row(g: Any, reduction: str, factor: Any, scores: Any) -> Any:
    """Give the cotangent of each loss where a row of `scores` makes one."""
    g = each(g, reduction, factor, scores.size // scores.shape[-1])
    return g if reduction != "none" and factor is None else g[..., None]


def are_classes(logits: Any, target: Any) -> bool:
    """Tell classes from probabilities, and refuse what cross_entropy cannot compare.

    Raises
    ------
    DtypeError, ShapeError
        If the logits are not floating-point, or the target is neither or has another shape.
    """
    kind = target.dtype.kind
    if kind not in "fiu":
        raise DtypeError(
            f"cross_entropy: the target must be integer classes or probabilities, not "
            f"{target.dtype}."
        )
    if logits.dtype.kind != "f":
        raise DtypeError(
            f"cross_entropy: logits must be floating-point, not {logits.dtype}: convert them "
            f"with astype(float)."
        )
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ShapeError(
            f"cross_entropy: logits of shape {logits.shape} have no classes (the target has shape "
            f"{target.shape}): the last axis holds a score for each."
        )
    shape = logits.shape if kind == "f" else logits.shape[:-1]
    if target.shape != shape:
        raise ShapeError(
            f"cross_entropy: logits of shape {logits.shape} take integer classes of shape "
            f"{logits.shape[:-1]} or probabilities of shape {logits.shape}, not "
            f"{target.dtype} of shape {target.shape}."
        )
    return bool(kind != "f")


def check_classes(name: str, target: Any, classes: int) -> None:
    """Refuse classes that are negative or too large."""
    # As unsigned numbers, negative classes are too large: one comparison finds both.
    if target.size and target.view(target.dtype.str.replace("i", "u")).max() >= classes:
        raise IndexError(
            f"{name}: classes must be from 0 to {classes - 1}, not {target.min()} to "
            f"{target.max()}."
        )


def one_hot(target: Any, classes: int) -> Any:
    """Mark the class of each row among all."""
    return np.expand_dims(target, -1) == np.arange(classes)


def top(z: Any) -> Any:
    """Find the largest entry of each row; rows are many and short, so along the long axis."""
    if z.shape[1] <= 64:
        return np.maximum.reduce(np.ascontiguousarray(z.T), axis=0)
    return np.maximum.reduce(z, axis=1)


@primitive
def cross_entropy(
    logits: Any, target: Any, reduction: str = "mean", factor: Any = None
) -> tuple[Any, Any]:
    """Compute ``-sum(target * log_softmax(logits))`` of each row; saves softmax - target."""
    logits, target = np.asarray(logits), np.asarray(target)
    against = _of_classes if are_classes(logits, target) else _of_probabilities
    z = wide(flat(logits))
    # Whatever the layout of the logits, rows of C order: `_of_classes` writes to its entries.
    losses, error = against(np.subtract(z, top(z)[:, None], order="C"), target)
    if reduction == "none" or factor is not None:
        losses = losses.reshape(logits.shape[:-1])
    return narrow(reduced(losses, reduction, factor), logits.dtype), error.reshape(logits.shape)


def _of_classes(z: Any, target: Any) -> tuple[Any, Any]:
    """Compute the losses, and softmax - target in the memory of `z`, of C order, rows end at 0."""
    n, classes = z.shape
    check_classes("cross_entropy", target, classes)
    at_target = np.arange(0, n * classes, classes) + target.reshape(-1).astype(np.intp, copy=False)
    entries = z.reshape(-1)
    picked = entries[at_target]
    p = np.exp(z, out=z)
    total = p.dot(ones(classes, p.dtype))
    losses = np.log(total)
    losses -= picked
    p /= total[:, None]
    entries[at_target] -= 1
    return losses, p


def _of_probabilities(z: Any, target: Any) -> tuple[Any, Any]:
    """Do what `_of_classes` does for any target; its rows need not sum to one."""
    target = flat(target).astype(z.dtype, copy=False)
    np.maximum(z, np.finfo(z.dtype).min, out=z)  # 0 times -inf is to be 0
    weight = np.add.reduce(target, axis=1)
    picked = np.add.reduce(target * z, axis=1)
    p = np.exp(z, out=z)
    total = p.dot(ones(z.shape[1], p.dtype))
    losses = np.log(total) * weight - picked
    p *= (weight / total)[:, None]
    p -= target
    return losses, p


def _logit_error(logits: Any, target: Any) -> Any:
    p = softmax(wide(logits))
    if target.dtype.kind != "f":
        return p - one_hot(target, p.shape[-1])
    return p * np.sum(target, axis=-1, keepdims=True) - target


defvjp(
    cross_entropy,
    lambda g, ans, logits, target, reduction="mean", factor=None, saved=None: (
        each_row(g, reduction, factor, logits)
        * (_logit_error(logits, target) if saved is None else saved)
    ),
    lambda g, ans, logits, target, reduction="mean", factor=None, saved=None: (
        -each_row(g, reduction, factor, logits) * log_softmax(wide(logits))
    ),
    saves=True,
)


@primitive
def multiclass_hinge(
    scores: Any, target: Any, reduction: str = "mean", factor: Any = None
) -> tuple[Any, Any]:
    """Compute ``sum(max(0, 1 + others - own)) / n_classes`` of each row of scores."""
    scores, target = np.asarray(scores), np.asarray(target)
    check_classes("hinge", target, scores.shape[-1])
    margins, slope = _margins(scores, target)
    losses = (np.add.reduce(margins, axis=1) / scores.shape[-1]).reshape(target.shape)
    return narrow(reduced(losses, reduction, factor), scores.dtype), slope


def _margins(scores: Any, target: Any) -> tuple[Any, Any]:
    """Give each row's positive margins, and the slope of its loss, constant around here."""
    z, place = wide(flat(scores)), (np.arange(target.size), target.reshape(-1))
    margins = 1 + z - z[place][:, None]
    over = margins > 0  # an array, whatever the scores are
    over[place] = False
    slope = over.astype(z.dtype)
    slope[place] = -np.add.reduce(slope, axis=1)
    return margins * over, slope.reshape(scores.shape) / z.shape[1]


defvjp(
    multiclass_hinge,
    lambda g, ans, scores, target, reduction="mean", factor=None, saved=None: (
        each_row(g, reduction, factor, scores)
        * (_margins(scores, target)[1] if saved is None else saved)
    ),
    None,
    name="gl.hinge",
    saves=True,
)

# -- two classes ------------------------------------------------------------------------------


@primitive
def bce_with_logits(
    logits: Any, target: Any, pos_weight: Any = None, reduction: str = "mean", factor: Any = None
) -> tuple[Any, Any]:
    """Compute ``-(w t log(p) + (1 - t) log(1 - p))`` for ``p = sigmoid(logits)``."""
    logits, target = matched("bce_with_logits", logits, target)
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
    return reduced(losses, reduction, factor), slope


def _bce_slope(logits: Any, target: Any, pos_weight: Any) -> Any:
    p = sigmoid(logits)
    return p - target if pos_weight is None else p - target + (pos_weight - 1) * target * (p - 1)


def _bce_target_slope(logits: Any, pos_weight: Any) -> Any:
    return -logits if pos_weight is None else (pos_weight - 1) * softplus(-logits) - logits


defvjp(
    bce_with_logits,
    lambda g, ans, x, t, pos_weight=None, reduction="mean", factor=None, saved=None: (
        each(g, reduction, factor, x.size)
        * (_bce_slope(x, t, pos_weight) if saved is None else saved)
    ),
    lambda g, ans, x, t, pos_weight=None, reduction="mean", factor=None, saved=None: (
        each(g, reduction, factor, x.size) * _bce_target_slope(x, pos_weight)
    ),
    saves=True,
)


@primitive
def hinge(score: Any, target: Any, reduction: str = "mean", factor: Any = None) -> tuple[Any, Any]:
    """Compute ``max(0, 1 - target * score)`` for targets -1 and 1."""
    score, target = matched("hinge", score, target)
    if not np.all(np.abs(target) == 1):
        wrong = target[np.abs(target) != 1][0]
        raise ValueError(
            f"hinge: targets must be -1 or 1, not {wrong}. Of classes 0 and 1 make 2 * target - 1."
        )
    margin = 1 - target * score
    return reduced(np.maximum(margin, 0), reduction, factor), -target * (margin > 0)


defvjp(
    hinge,
    lambda g, ans, x, t, reduction="mean", factor=None, saved=None: (
        each(g, reduction, factor, x.size) * (-1.0 * t * (t * x < 1) if saved is None else saved)
    ),
    None,
    saves=True,
)
