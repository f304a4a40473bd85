"""Weights of samples and classes: checked, and made the factors that operations multiply by."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gradlite.autodiff.rule import Traced, narrow
from gradlite.errors import DtypeError, ShapeError


def weighing(
    name: str, prediction: Any, reduction: str, sample_weight: Any, classes: bool = False
) -> dict[str, Any]:
    """Give what an operation needs to reduce its losses with weights.

    Parameters
    ----------
    name : str
        How errors call the loss.
    prediction : array_like or Tensor
        Its shape is that of the losses; its type theirs.
    reduction : {'mean', 'sum', 'none'}
        What the user asks for.
    sample_weight : array_like, shape (n,), or None
        What each row counts.
    classes : bool, default False
        Whether the prediction has one axis more than the losses, of classes.

    Returns
    -------
    dict
        Keyword arguments. With weights, ``factor`` is what the losses are to be multiplied by:
        for a mean, the weights divided by their sum; ``reduction`` is then 'sum'.
    """
    if not isinstance(reduction, str):
        raise TypeError(
            f"{name}: the third argument is reduction ('mean', 'sum' or 'none'), not "
            f"{type(reduction).__name__}. Pass weights by name: weight= for classes, "
            f"sample_weight= for rows."
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', not {reduction!r}.")
    if sample_weight is None:
        return {} if reduction == "mean" else {"reduction": reduction}
    prediction = as_array(prediction)
    shape = prediction.shape[:-1] if classes else prediction.shape
    w = row_weights(name, sample_weight, shape)
    return folded(w, w, shape, reduction, prediction.dtype)


def folded(
    w: Any, counted: Any, shape: tuple[int, ...], reduction: str, dtype: Any
) -> dict[str, Any]:
    """Make factors of weights: for a mean, divide them by the sum of the weights `counted`."""
    if reduction == "mean":
        w, reduction = w / (counted.sum() * (prod(shape) // counted.size)), "sum"
    return {"reduction": reduction, "factor": w.astype(np.result_type(floating(dtype), "f4"))}


def row_weights(name: str, sample_weight: Any, shape: tuple[int, ...]) -> Any:
    """Give the weights of samples in a shape that broadcasts to that of their losses."""
    if not shape:
        raise ShapeError(f"{name}: sample_weight weighs rows, and a loss of shape () has none.")
    w = checked(name, "sample_weight", sample_weight, shape[0])
    return w.reshape(-1, *(1,) * (len(shape) - 1))


def checked(name: str, what: str, weight: Any, length: int) -> Any:
    """Give weights in float64, and refuse what are none.

    Raises
    ------
    ShapeError, DtypeError, ValueError
        If they are not `length` real numbers; if one is negative or not finite, or all are zero.
    """
    weight = np.asarray(weight)
    if weight.shape != (length,):
        raise ShapeError(f"{name}: {what} must have shape ({length},), not {weight.shape}.")
    if weight.dtype.kind not in "fiub":
        raise DtypeError(f"{name}: {what} must be real numbers, not {weight.dtype}.")
    weight = weight.astype(np.float64)
    refuse_zero(name, what, weight)
    if not (weight.min() >= 0 and weight.max() < np.inf):
        wrong = weight[~((weight >= 0) & (weight < np.inf))][0]
        raise ValueError(
            f"{name}: {what} must be finite and not negative, and one weight is {wrong}."
        )
    return weight


def refuse_zero(name: str, what: str, weight: Any) -> None:
    """Refuse weights that leave nothing to average."""
    if not weight.any():
        raise ValueError(f"{name}: every {what} here is zero: keep at least one positive weight.")


def as_array(x: Any) -> Any:
    """Make an array of a list; a Tensor stays one."""
    return x if isinstance(x, Traced) else np.asarray(x)


def floating(dtype: Any) -> Any:
    """Give the type of losses of predictions of a type: float64 for integers."""
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def weighted_mean(losses: Any, sample_weight: Any = None) -> Any:
    """Average losses that are there already, one for each sample or more.

    Parameters
    ----------
    losses : array_like or Tensor, shape (n, ...)
        The losses.
    sample_weight : array_like, shape (n,), optional
        What each row counts.

    Raises
    ------
    ShapeError, DtypeError, ValueError
        If the weights do not fit, are not finite or negative, or all zero.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite.nn.weighing import weighted_mean
    >>> float(weighted_mean(np.array([1.0, 4.0]), [2, 1]))
    2.0
    """
    losses = as_array(losses)
    how = weighing("weighted_mean", losses, "mean", sample_weight)
    return narrow(np.sum(losses * how["factor"]), losses.dtype) if how else np.mean(losses)
