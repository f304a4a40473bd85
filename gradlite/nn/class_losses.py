"""Losses of classes: cross-entropy and hinge, for two classes and for more."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.rules import class_losses as rules
from gradlite.errors import ShapeError
from gradlite.nn.weighing import (
    as_array,
    checked,
    floating,
    folded,
    refuse_zero,
    row_weights,
    weighing,
)


def cross_entropy(
    logits: Any,
    target: Any,
    reduction: str = "mean",
    *,
    weight: Any = None,
    label_smoothing: float = 0.0,
    sample_weight: Any = None,
) -> Any:
    """Compute the cross-entropy between the softmax of `logits` and a target distribution.

    ``-sum(target * weight * log(softmax(logits)))`` over the classes of each row. The mean over
    classes given as integers divides by the sum of their weights; over probabilities by their
    number, or by the sum of `sample_weight`.

    Parameters
    ----------
    logits : array_like or Tensor, shape (..., n_classes)
        Scores before the softmax, any finite size.
    target : array_like or Tensor
        Classes (integers from 0, shape ``logits.shape[:-1]``) or probabilities (floats, the
        shape of `logits`).
    reduction : {'mean', 'sum', 'none'}
        What to make of the losses of the rows.
    weight : array_like, shape (n_classes,), optional
        What each class counts.
    label_smoothing : float, default 0.0
        The share of the target, from 0 to 1, that is spread evenly over the classes: Szegedy et
        al., "Rethinking the Inception architecture for computer vision" (arXiv:1512.00567).
    sample_weight : array_like, shape (n,), optional
        What each row counts.

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
        If weights are negative, not finite or all zero, or `label_smoothing` outside [0, 1].

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> logits = np.array([[0.0, 0.0], [1000.0, -1000.0]])
    >>> gl.cross_entropy(logits, np.array([0, 1]), reduction="none")
    array([6.93147181e-01, 2.00000000e+03])
    """
    how = weighing("cross_entropy", logits, reduction, sample_weight, classes=True)
    if weight is not None or label_smoothing != 0:
        target, how = _adjusted(logits, target, reduction, weight, label_smoothing, sample_weight)
    return rules.cross_entropy(logits, target, **how)


def _adjusted(
    logits: Any,
    target: Any,
    reduction: str,
    weight: Any,
    label_smoothing: float,
    sample_weight: Any,
) -> tuple[Any, dict[str, Any]]:
    """Work weights and smoothing into the target, and into the factors of the losses."""
    logits, target = as_array(logits), as_array(target)
    hard = rules.are_classes(logits, target)
    shape, classes, dtype = logits.shape[:-1], logits.shape[-1], logits.dtype
    w = np.ones((1,) * len(shape))
    if sample_weight is not None:
        w = row_weights("cross_entropy", sample_weight, shape)
    counted = w
    if hard:
        target = np.asarray(target)
        rules.check_classes("cross_entropy", target, classes)
    if weight is not None:
        weight = checked("cross_entropy", "weight", weight, classes)
        if hard:
            counted = w * weight[target]
            refuse_zero("cross_entropy", "weight of the targets", counted)
    if label_smoothing != 0:
        target, hard = _smoothed(target, hard, classes, label_smoothing, dtype), False
    if weight is not None:
        if hard:
            w = counted
        else:
            target = target * weight.astype(dtype)
    return target, folded(w, counted, shape, reduction, dtype)


def _smoothed(target: Any, hard: bool, classes: int, share: float, dtype: Any) -> Any:
    """Spread a share of each target evenly over the classes."""
    if not 0 <= share <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be from 0 to 1, not {share!r}.")
    if hard:
        target = rules.one_hot(target, classes).astype(dtype)
    return (1 - float(share)) * target + float(share) / classes


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
        Scores before the sigmoid, any shape and finite size.
    target : array_like or Tensor
        Probabilities (or 0 and 1), of the same shape.
    reduction : {'mean', 'sum', 'none'}
        What to make of the losses of the elements.
    pos_weight : float or array_like, shape (n_columns,), optional
        What positive targets count; more than 1 where they are rare.
    sample_weight : array_like, shape (n,), optional
        What each row counts.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If weights are negative, not finite or all zero.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.bce_with_logits(np.array([0.0, 1000.0]), np.array([1.0, 0.0]), reduction="none")
    array([6.93147181e-01, 1.00000000e+03])
    """
    how = weighing("bce_with_logits", logits, reduction, sample_weight)
    if pos_weight is not None:
        logits = as_array(logits)
        how["pos_weight"] = _pos_weight(pos_weight, logits.shape, floating(logits.dtype))
    return rules.bce_with_logits(logits, target, **how)


def _pos_weight(pos_weight: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    if np.ndim(pos_weight) == 0:
        return float(checked("bce_with_logits", "pos_weight", [pos_weight], 1)[0])
    if not shape:
        raise ShapeError("bce_with_logits: several pos_weight for logits of shape (); pass one.")
    return checked("bce_with_logits", "pos_weight", pos_weight, shape[-1]).astype(dtype)


def hinge(score: Any, target: Any, *, sample_weight: Any = None, reduction: str = "mean") -> Any:
    """Compute the hinge loss, which asks for a margin of 1 between right and wrong.

    For one score of a sample ``max(0, 1 - target * score)``. For a score of each class the sum of
    ``max(0, 1 + score[j] - score[target])`` over the other classes j, divided by the number of
    classes (PyTorch's multi_margin_loss; Weston and Watkins, "Support vector machines for
    multi-class pattern recognition", ESANN 1999).

    Parameters
    ----------
    score : array_like or Tensor
        Scores of any shape, or of shape (..., n_classes).
    target : array_like
        -1 and 1, in the shape of `score`; or classes (integers from 0, shape
        ``score.shape[:-1]``).
    sample_weight : array_like, shape (n,), optional
        What each row counts.
    reduction : {'mean', 'sum', 'none'}
        What to make of the losses.

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
    score, target = as_array(score), as_array(target)
    if score.shape == target.shape:
        return rules.hinge(score, target, **weighing("hinge", score, reduction, sample_weight))
    if target.dtype.kind not in "iu" or score.shape[:-1] != target.shape or score.shape[-1] < 2:
        raise ShapeError(
            f"hinge: scores of shape {score.shape} take targets -1 and 1 of the same shape, or, "
            f"with two columns or more, integer classes of shape {score.shape[:-1]}; not "
            f"{target.dtype} of shape {target.shape}."
        )
    how = weighing("hinge", score, reduction, sample_weight, classes=True)
    return rules.multiclass_hinge(score, target, **how)
