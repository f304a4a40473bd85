"""Norms, distances and similarities of vectors, and the losses that compare them.

Names, argument orders and numbers are PyTorch's; `losses` says what all losses have in common.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.errors import ShapeError
from gradlite.nn.functional.losses import reduce_losses, refuse_legacy
from gradlite.nn.reduction import array_of, floating


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Divide by the p-norm along an axis, or by `eps` where that is larger.

    Parameters
    ----------
    input : array_like or Tensor
        Any shape with an axis `dim`.
    p : float, default 2.0
        The exponent of the norm.
    dim : int, default 1
        The axis of the vectors.
    eps : float, default 1e-12
        The least divisor.

    Examples
    --------
    >>> import numpy as np
    >>> normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    input = array_of(input)
    return input / np.maximum(np.linalg.norm(input, ord=p, axis=dim, keepdims=True), eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Compute ``sum(x1 * x2) / (max(|x1|, eps) * max(|x2|, eps))`` along an axis.

    Parameters
    ----------
    x1, x2 : array_like or Tensor
        Of shapes that broadcast to one.
    dim : int, default 1
        The axis of the vectors.
    eps : float, default 1e-8
        The least length of a vector.

    Examples
    --------
    >>> import numpy as np
    >>> cosine_similarity(np.array([[3.0, 4.0]]), np.array([[4.0, 3.0]]))
    array([0.96])
    """
    x1, x2 = array_of(x1), array_of(x2)
    if x1.ndim != x2.ndim:  # the axis is counted after broadcasting
        shape = np.broadcast_shapes(x1.shape, x2.shape)
        x1, x2 = np.broadcast_to(x1, shape), np.broadcast_to(x2, shape)
    return np.sum(normalize(x1, 2.0, dim, eps) * normalize(x2, 2.0, dim, eps), axis=dim)


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """Compute the p-norm of ``x1 - x2 + eps`` along the last axis.

    Parameters
    ----------
    x1, x2 : array_like or Tensor, shape (n, d) or (d,)
        The vectors.
    p : float, default 2.0
        The exponent of the norm.
    eps : float, default 1e-6
        Added to the differences, so that the norm of none is differentiable.
    keepdim : bool, default False
        Whether to keep the last axis, of length 1.

    Examples
    --------
    >>> import numpy as np
    >>> pairwise_distance(np.array([[3.0, 4.0]]), np.zeros((1, 2)), eps=0.0)
    array([5.])
    """
    difference = array_of(x1) - array_of(x2) + eps
    return np.linalg.norm(difference, ord=p, axis=-1, keepdims=keepdim)


# -- losses -----------------------------------------------------------------------------------


def same_shapes(name: str, first: Any, *others: Any) -> tuple[Any, ...]:
    """Return arrays of one shape; raise ShapeError if they differ."""
    arrays = tuple(map(array_of, (first, *others)))
    if len({array.shape for array in arrays}) > 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ShapeError(f"{name}: the shapes must be equal, and are {shapes}.")
    return arrays


def signs(name: str, target: Any, shape: tuple[int, ...]) -> Any:
    """Return a target of -1 and 1; raise an error for another shape, or other numbers."""
    target = array_of(target)
    if target.shape != shape:
        raise ShapeError(f"{name}: the target must have shape {shape}, not {target.shape}.")
    if not np.all(np.abs(target) == 1):
        raise ValueError(f"{name}: targets must be -1 or 1. Of classes 0 and 1 make 2 * y - 1.")
    return target


def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Compute ``input`` for targets of 1, ``max(0, margin - input)`` for those of -1.

    Parameters
    ----------
    input : array_like or Tensor
        Distances, of any shape.
    target : array_like
        -1 and 1, of the same shape.
    margin : float, default 1.0
        How far apart the pairs with target -1 should be.

    Examples
    --------
    >>> hinge_embedding_loss([0.25, 0.25], [1, -1], reduction="none")
    array([0.25, 0.75])
    """
    name = "hinge_embedding_loss"
    refuse_legacy(name, size_average, reduce)
    input = array_of(input)
    alike = signs(name, target, input.shape) > 0
    losses = np.where(alike, input, np.maximum(margin - input, 0.0))
    return reduce_losses(name, losses, reduction)


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0,
    eps: float = 1e-6, swap: bool = False, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Compute ``max(0, |anchor - positive| - |anchor - negative| + margin)``.

    Balntas et al., "Learning shallow convolutional feature descriptors with triplet losses" (BMVC
    2016).

    Parameters
    ----------
    anchor, positive, negative : array_like or Tensor, shape (n, d) or (d,)
        The vectors.
    margin : float, default 1.0
        By how much the negative is to be farther away.
    p, eps : float
        As in `pairwise_distance`.
    swap : bool, default False
        Whether the negative's distance is the smaller of those to anchor and positive.

    Examples
    --------
    >>> import numpy as np
    >>> zero = np.zeros((1, 2))
    >>> float(triplet_margin_loss(zero, zero, np.array([[0.0, 0.25]]), eps=0.0))
    0.75
    """
    name = "triplet_margin_loss"
    refuse_legacy(name, size_average, reduce)
    anchor, positive, negative = same_shapes(name, anchor, positive, negative)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = np.minimum(far, pairwise_distance(positive, negative, p, eps))
    losses = np.maximum(pairwise_distance(anchor, positive, p, eps) - far + margin, 0.0)
    return reduce_losses(name, losses, reduction)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, size_average: Any = None,
    reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Compute ``1 - cos`` for targets of 1, ``max(0, cos - margin)`` for those of -1.

    As in PyTorch, cos is ``sum(x1 * x2) / sqrt((|x1|**2 + 1e-12) * (|x2|**2 + 1e-12))``.

    Parameters
    ----------
    input1, input2 : array_like or Tensor, shape (n, d) or (d,)
        The vectors.
    target : array_like, shape (n,) or ()
        -1 and 1.
    margin : float, default 0.0
        The similarity that is allowed to pairs with target -1.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.array([[3.0, 4.0]]), np.array([[4.0, 3.0]])
    >>> round(float(cosine_embedding_loss(x, y, np.array([-1]), margin=0.5)), 6)
    0.46
    """
    name = "cosine_embedding_loss"
    refuse_legacy(name, size_average, reduce)
    x, y = same_shapes(name, input1, input2)
    alike = signs(name, target, x.shape[:-1]) > 0
    squares = (np.sum(x * x, axis=-1) + 1e-12) * (np.sum(y * y, axis=-1) + 1e-12)
    cos = np.sum(x * y, axis=-1) / np.sqrt(squares)
    return reduce_losses(name, np.where(alike, 1.0 - cos, np.maximum(cos - margin, 0.0)), reduction)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, size_average: Any = None,
    reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Compute ``max(0, margin - target * (input1 - input2))``.

    Parameters
    ----------
    input1, input2 : array_like or Tensor
        Scores, of one shape.
    target : array_like
        1 where `input1` is to be ranked higher, -1 where `input2` is; of the same shape.
    margin : float, default 0.0
        By how much.

    Examples
    --------
    >>> margin_ranking_loss([1.0, 1.0], [0.5, 0.5], [1, -1], reduction="none")
    array([0. , 0.5])
    """
    name = "margin_ranking_loss"
    refuse_legacy(name, size_average, reduce)
    x, y = same_shapes(name, input1, input2)
    target = signs(name, target, x.shape).astype(floating(x.dtype))
    return reduce_losses(name, np.maximum(margin - target * (x - y), 0.0), reduction)
