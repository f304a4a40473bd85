"""How losses are reduced: weights of samples and classes become factors of an operation."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gradlite.autodiff.operands import plain_array
from gradlite.autodiff.precision import narrow
from gradlite.autodiff.rules import class_losses as rules
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import DtypeError, ShapeError

SUM_OVERFLOWS = "Sample weights are too large: their sum overflows. Divide them by a power of ten."


def reduction_args(
    name: str, prediction: Any, reduction: str, sample_weight: Any, classes: bool = False
) -> dict[str, Any]:
    """Return the keyword arguments that tell an operation how to reduce its losses.

    Parameters
    ----------
    name : str
        The loss, as errors call it.
    prediction : array_like or Tensor
        It has the shape and the type of the losses.
    reduction : {'mean', 'sum', 'none'}
        The user's choice.
    sample_weight : array_like, shape (n,), or None
        The weight of each row.
    classes : bool, default False
        Whether the prediction has one more axis than the losses, that of classes.

    Returns
    -------
    dict
        With weights, ``factor`` multiplies the losses: for a mean it holds the weights divided by
        their sum, and ``reduction`` is then 'sum'.
    """
    if not isinstance(reduction, str):
        raise TypeError(
            f"{name}: reduction is 'mean', 'sum' or 'none', not {type(reduction).__name__}. Pass "
            f"weights by keyword: {'weight= for classes, ' * classes}sample_weight= for rows."
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', not {reduction!r}.")
    if sample_weight is None:
        return {} if reduction == "mean" else {"reduction": reduction}
    prediction = array_of(prediction)
    shape = prediction.shape[:-1] if classes else prediction.shape
    w = row_weights(name, sample_weight, shape)
    return normalize_weights(w, w, shape, reduction, prediction.dtype)


def normalize_weights(
    w: Any, counted: Any, shape: tuple[int, ...], reduction: str, dtype: Any
) -> dict[str, Any]:
    """Return weights as factors: for a mean, divided by the sum of the weights `counted`."""
    if reduction == "mean":
        total = counted.sum() * (prod(shape) // counted.size)
        if not total < np.inf:  # every factor would be 0, and nothing be learned
            raise ValueError(SUM_OVERFLOWS)
        w, reduction = w / total, "sum"
    return {"reduction": reduction, "factor": w.astype(np.result_type(floating(dtype), "f4"))}


def row_weights(name: str, sample_weight: Any, shape: tuple[int, ...]) -> Any:
    """Return the weights of samples in a shape that broadcasts to that of their losses."""
    if not shape:
        raise ShapeError(f"{name}: sample_weight is for rows, and a loss of shape () has none.")
    w = check_weights(name, "sample_weight", sample_weight, shape[0])
    return w.reshape(-1, *(1,) * (len(shape) - 1))


def check_weights(name: str, what: str, weight: Any, length: int) -> Any:
    """Return weights in float64.

    Raises
    ------
    ShapeError, DtypeError, ValueError
        If they are not `length` real numbers; if one is negative or not finite, or all are zero.
    """
    weight = plain_array(weight, f"{name}: {what} is")
    if weight.shape != (length,):
        raise ShapeError(f"{name}: {what} must have shape ({length},), not {weight.shape}.")
    if weight.dtype.kind not in "fiub":
        raise DtypeError(f"{name}: {what} must be real numbers, not {weight.dtype}.")
    weight = weight.astype(np.float64)
    check_not_all_zero(name, what, weight)
    if not (weight.min() >= 0 and weight.max() < np.inf):
        wrong = weight[~((weight >= 0) & (weight < np.inf))][0]
        raise ValueError(
            f"{name}: {what} must be finite and not negative, and one weight is {wrong}."
        )
    return weight


def check_not_all_zero(name: str, what: str, weight: Any) -> None:
    """Raise ValueError if all weights are zero."""
    if not weight.any():
        raise ValueError(f"{name}: every {what} here is zero: keep at least one positive weight.")


def class_weights(
    logits: Any,
    target: Any,
    reduction: str,
    weight: Any,
    ignore_index: int | None,
    label_smoothing: float,
    sample_weight: Any,
) -> tuple[Any, dict[str, Any]]:
    """Return the target and the keyword arguments of a weighted or smoothed cross-entropy."""
    logits, target = array_of(logits), array_of(target)
    hard = rules.are_classes(logits, target)
    shape, classes, dtype = logits.shape[:-1], logits.shape[-1], logits.dtype
    w = np.ones((1,) * len(shape))
    if sample_weight is not None:
        w = row_weights("cross_entropy", sample_weight, shape)
    counted = w
    if weight is not None:
        weight = check_weights("cross_entropy", "weight", weight, classes)
    if hard:
        target, kept, own = target_weights("cross_entropy", target, classes, weight, ignore_index)
        w = w * kept
        counted = w * own
        if reduction == "mean" and (weight is not None or ignore_index is not None):
            check_not_all_zero("cross_entropy", "weight of the targets not ignored", counted)
    elif ignore_index is not None and ignore_index >= 0:
        raise ValueError("cross_entropy: ignore_index is for classes, and these are probabilities.")
    if label_smoothing != 0:
        target, hard = smooth(target, hard, classes, label_smoothing, dtype), False
    if weight is not None:
        if hard:
            w = counted
        else:
            target = target * weight.astype(dtype)
    return target, normalize_weights(w, counted, shape, reduction, dtype)


def target_weights(
    name: str, target: Any, classes: int, weight: Any, ignore_index: int | None
) -> tuple[Any, Any, Any]:
    """Return classes, whether each counts, and the weight of its class; 1 where all are alike.

    Those that do not count are replaced by class 0.
    """
    target = target.numpy() if isinstance(target, Tensor) else target
    kept: Any = 1.0
    if ignore_index is not None:
        kept = target != ignore_index
        target = np.where(kept, target, 0)
    rules.check_classes(name, target, classes)
    if weight is None:
        return target, kept, 1.0
    # In place of weight[target], which no trace could follow.
    own = np.take_along_axis(weight, np.reshape(target, -1), 0)
    return target, kept, np.reshape(own, target.shape)


def smooth(target: Any, hard: bool, classes: int, share: float, dtype: Any) -> Any:
    """Spread a share of each target evenly over the classes."""
    if not 0 <= share <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be from 0 to 1, not {share!r}.")
    if hard:
        target = rules.one_hot(target, classes).astype(dtype)
    return (1 - float(share)) * target + float(share) / classes


def pos_weights(pos_weight: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return the weight of positive targets: a number, or an array with one for each column."""
    if np.ndim(pos_weight) == 0:
        return float(check_weights("bce_with_logits", "pos_weight", [pos_weight], 1)[0])
    if not shape:
        raise ShapeError("bce_with_logits: several pos_weight for logits of shape (); pass one.")
    return check_weights("bce_with_logits", "pos_weight", pos_weight, shape[-1]).astype(dtype)


def array_of(x: Any) -> Any:
    """Return scores, targets or losses as an array; a Tensor stays one."""
    return plain_array(x, "A loss of")


def floating(dtype: Any) -> Any:
    """Return the dtype of the losses of predictions in `dtype`: float64 for integers."""
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def weighted_mean(losses: Any, sample_weight: Any = None) -> Any:
    """Return the weighted mean of losses that were computed already, one or more per sample.

    Parameters
    ----------
    losses : array_like or Tensor, shape (n, ...)
        The losses.
    sample_weight : array_like, shape (n,), optional
        The weight of each row.

    Raises
    ------
    ShapeError, DtypeError, ValueError
        If the weights do not fit, one is negative or not finite, or all are zero.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> float(gl.nn.weighted_mean(np.array([1.0, 4.0]), [2, 1]))
    2.0
    """
    losses = array_of(losses)
    args = reduction_args("weighted_mean", losses, "mean", sample_weight)
    return narrow(np.sum(losses * args["factor"]), losses.dtype) if args else np.mean(losses)
