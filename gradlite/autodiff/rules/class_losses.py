"""Losses of a row of scores, one for each class; `losses` describes how a loss is defined."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.precision import as_float, wide
from gradlite.autodiff.rules.fused import ones
from gradlite.autodiff.rules.losses import loss
from gradlite.autodiff.rules.products import flat
from gradlite.autodiff.rules.softmax import log_softmax, softmax
from gradlite.errors import DtypeError, ShapeError


def are_classes(logits: Any, target: Any) -> bool:
    """Return whether a target of cross_entropy holds classes; False for probabilities.

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
        first = logits.ndim > 2 and target.shape == (logits.shape[0], *logits.shape[2:])
        raise ShapeError(
            f"cross_entropy: logits of shape {logits.shape} take integer classes of shape "
            f"{logits.shape[:-1]} or probabilities of shape {logits.shape}, not "
            f"{target.dtype} of shape {target.shape}."
            + " Classes on axis 1, as in PyTorch, are for nn.functional.cross_entropy."
            * first
        )
    return bool(kind != "f")


def check_classes(name: str, target: Any, classes: int) -> None:
    """Raise IndexError if a class is negative or too large."""
    # As unsigned numbers, negative classes are too large: one comparison finds both.
    if target.size and target.view(target.dtype.str.replace("i", "u")).max() >= classes:
        raise IndexError(
            f"{name}: classes must be from 0 to {classes - 1}, not {target.min()} to "
            f"{target.max()}."
        )


def one_hot(target: Any, classes: int) -> Any:
    """Mark the class of each row among all."""
    return np.expand_dims(target, -1) == np.arange(classes)


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


@loss(
    lambda g, error, logits, target: g * error,
    lambda g, error, logits, target: -g * log_softmax(wide(logits)),
    residuals=_logit_error,
    rows=True,
)
def cross_entropy(logits: Any, target: Any) -> tuple[Any, Any]:
    """Compute ``-sum(target * log_softmax(logits))`` of each row, and softmax - target."""
    against = _of_classes if are_classes(logits, target) else _of_probabilities
    z = wide(flat(logits))
    if z.shape[1] <= 64:  # rows are many and short, so along the long axis
        top = np.maximum.reduce(z.T.copy(), axis=0)
    else:
        top = np.maximum.reduce(z, axis=1)
    # Whatever the layout of the logits, rows of C order: `_of_classes` writes to its entries.
    losses, error = against(np.subtract(z, top[:, None], order="C"), target)
    if logits.ndim == 2:
        return losses, error
    return losses.reshape(logits.shape[:-1]), error.reshape(logits.shape)


def _margins(scores: Any, target: Any) -> tuple[Any, Any]:
    """Return each row's positive margins, and the slope of its loss, constant around here."""
    z, place = wide(as_float(flat(scores))), (np.arange(target.size), target.reshape(-1))
    margins = 1 + z - z[place][:, None]
    over = margins > 0  # an array, whatever the scores are
    over[place] = False
    slope = over.astype(z.dtype)
    slope[place] = -np.add.reduce(slope, axis=1)
    return margins * over, slope.reshape(scores.shape) / z.shape[1]


@loss(
    lambda g, slope, scores, target: g * slope,
    None,
    residuals=lambda scores, target: _margins(scores, target)[1],
    rows=True,
    name="gl.hinge",
)
def multiclass_hinge(scores: Any, target: Any) -> tuple[Any, Any]:
    """Compute ``sum(max(0, 1 + others - own)) / n_classes`` of each row of scores."""
    check_classes("hinge", target, scores.shape[-1])
    margins, slope = _margins(scores, target)
    return (np.add.reduce(margins, axis=1) / scores.shape[-1]).reshape(target.shape), slope
