"""Operations fused for networks: one node each, stable, with no pass over memory to spare.

What the forward pass has computed anyway (the softmax, the difference) is saved for the
backward pass, which is then one multiplication. A higher-order walk does not use the saved
array but computes it anew from the arguments, so that it is differentiated as well.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gradlite.errors import DtypeError, ShapeError
from gradlite.rule import defvjp, primitive
from gradlite.rules.activations import sigmoid
from gradlite.rules.elementwise import clip
from gradlite.rules.products import flat
from gradlite.rules.reductions import log_softmax, softmax

# -- the linear layer -------------------------------------------------------------------------


@primitive
def affine(x: Any, W: Any, b: Any = None) -> Any:
    """Compute ``x @ W + b``: the linear layer, as one node.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        The inputs, a row each.
    W : array_like or Tensor, shape (n, m)
        The weights.
    b : array_like or Tensor, shape (m,), optional
        The bias.

    Returns
    -------
    array or Tensor, shape (..., m)

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.affine(np.ones((2, 3)), np.ones((3, 1)), np.array([0.5]))
    array([[3.5],
           [3.5]])
    """
    x, W = np.asarray(x), np.asarray(W)
    if W.ndim != 2 or x.ndim == 0 or x.shape[-1] != len(W):
        raise ShapeError(f"affine: x of shape {x.shape} does not fit W of shape {W.shape}.")
    ans = x.dot(W) if x.ndim <= 2 else np.matmul(x, W)
    if b is None:
        return ans
    b = np.asarray(b)
    if b.shape != W.shape[1:]:
        raise ShapeError(f"affine: b of shape {b.shape} does not fit W of shape {W.shape}.")
    if ans.dtype != b.dtype:
        return ans + b
    ans += b
    return ans


def ones(n: int, dtype: Any) -> Any:
    """Give a vector of ones: a product with it is the fastest sum along an axis."""
    return remembered_ones(n, dtype) if n <= 65536 else np.ones(n, dtype)


@lru_cache(maxsize=32)
def remembered_ones(n: int, dtype: Any) -> Any:
    """Make a vector of ones, read-only as it is shared."""
    vector = np.ones(n, dtype)
    vector.flags.writeable = False
    return vector


def product(x: Any, y: Any, out: Any) -> Any:
    """Multiply two matrices, if possible into the buffer of a gradient."""
    if out is not None:
        try:
            return np.dot(x, y, out)
        except ValueError:  # another type, or not contiguous
            pass
    return np.dot(x, y)


defvjp(
    affine,
    lambda g, ans, x, W, b: np.dot(g, W.T),
    lambda g, ans, x, W, b, out=None: product(flat(x).T, flat(g), out),
    lambda g, ans, x, W, b, out=None: product(ones(len(flat(g)), g.dtype), flat(g), out),
)

# -- losses -----------------------------------------------------------------------------------

REDUCTIONS = ("mean", "sum", "none")


def reduced(losses: Any, reduction: str) -> Any:
    """Reduce the losses of all samples to one number, unless they are wanted one by one."""
    if reduction == "none":
        return losses
    total = np.add.reduce(losses, axis=None)
    return total / losses.size if reduction == "mean" else total


def matched(name: str, prediction: Any, target: Any, reduction: str) -> tuple[Any, Any]:
    """Give both as arrays, and refuse to broadcast one against another of another shape."""
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{name}: the prediction has shape {prediction.shape} and the target "
            f"{target.shape}. They must be equal; reshape one of them."
        )
    check_reduction(name, reduction)
    return prediction, target


def check_reduction(name: str, reduction: str) -> None:
    """Refuse an unknown `reduction`."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', not {reduction!r}.")


def each(g: Any, reduction: str, count: int) -> Any:
    """Give the cotangent of each sample's loss."""
    return g / count if reduction == "mean" else g


@primitive
def cross_entropy(logits: Any, target: Any, reduction: str = "mean") -> Any:
    """Compute the cross-entropy between the softmax of `logits` and a target distribution.

    Parameters
    ----------
    logits : array_like or Tensor, shape (..., n_classes)
        Scores before the softmax, any finite size.
    target : array_like or Tensor
        Classes (integers from 0, shape ``logits.shape[:-1]``) or probabilities (floats, the
        shape of `logits`).
    reduction : {'mean', 'sum', 'none'}
        What to make of the losses of the samples.

    Returns
    -------
    scalar, or array of shape ``logits.shape[:-1]`` for reduction 'none'

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    IndexError
        If a class is negative or not below n_classes.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> logits = np.array([[0.0, 0.0], [1000.0, -1000.0]])
    >>> gl.cross_entropy(logits, np.array([0, 1]), reduction="none")
    array([6.93147181e-01, 2.00000000e+03])
    """
    check_reduction("cross_entropy", reduction)
    logits, target = np.asarray(logits), np.asarray(target)
    hard = _is_hard(target)
    if logits.ndim == 0 or target.shape != (logits.shape[:-1] if hard else logits.shape):
        raise ShapeError(
            f"cross_entropy: logits of shape {logits.shape} take integer classes of shape "
            f"{logits.shape[:-1]} or probabilities of shape {logits.shape}, not "
            f"{target.dtype} of shape {target.shape}."
        )
    z = flat(logits)
    n, classes = z.shape
    z = z - top(z)[:, None]
    if hard:
        at_target = _positions(target, classes)
        entries = z.reshape(-1)
        picked = entries[at_target]
        p = np.exp(z, out=z)
        total = p.dot(ones(classes, p.dtype))
        losses = np.log(total)
        losses -= picked
        p /= total[:, None]
        entries[at_target] -= 1
    else:
        target = flat(target)
        np.maximum(z, np.finfo(z.dtype).min, out=z)  # 0 times -inf is to be 0
        weight = np.add.reduce(target, axis=1)
        picked = np.add.reduce(target * z, axis=1)
        p = np.exp(z, out=z)
        total = p.dot(ones(classes, p.dtype))
        losses = np.log(total) * weight - picked
        p *= (weight / total)[:, None]
        p -= target
    if reduction == "none":
        return losses.reshape(logits.shape[:-1]), p.reshape(logits.shape)
    loss = losses.dot(ones(n, losses.dtype))
    return loss / n if reduction == "mean" else loss, p.reshape(logits.shape)


def _positions(target: Any, classes: int) -> Any:
    """Give the place of each row's class among all entries."""
    # As unsigned numbers, negative classes are too large: one comparison finds both.
    if target.size and target.view(f"u{target.itemsize}").max() >= classes:
        raise IndexError(
            f"cross_entropy: classes must be from 0 to {classes - 1}, not "
            f"{target.min()} to {target.max()}."
        )
    return np.arange(0, target.size * classes, classes) + target.reshape(-1)


def top(z: Any) -> Any:
    """Find the largest entry of each row; rows are many and short, so along the long axis."""
    if z.shape[1] <= 64:
        return np.maximum.reduce(np.ascontiguousarray(z.T), axis=0)
    return np.maximum.reduce(z, axis=1)


def _is_hard(target: Any) -> bool:
    """Tell classes from probabilities."""
    if target.dtype.kind not in "fiu":
        raise DtypeError(
            f"cross_entropy: the target must be integer classes or probabilities, not "
            f"{target.dtype}."
        )
    return bool(target.dtype.kind != "f")


def _logit_error(logits: Any, target: Any) -> Any:
    """Give softmax - target: what cross_entropy saves, for a higher-order walk."""
    p = softmax(logits)
    if _is_hard(target):
        return p - (target[..., None] == np.arange(p.shape[-1]))
    return p * np.sum(target, axis=-1, keepdims=True) - target


def _each_row(g: Any, reduction: str, count: int) -> Any:
    return np.expand_dims(g, -1) if reduction == "none" else each(g, reduction, count)


defvjp(
    cross_entropy,
    lambda g, ans, logits, target, reduction="mean", saved=None: (
        _each_row(g, reduction, logits.size // logits.shape[-1])
        * (_logit_error(logits, target) if saved is None else saved)
    ),
    lambda g, ans, logits, target, reduction="mean", saved=None: (
        -_each_row(g, reduction, logits.size // logits.shape[-1]) * log_softmax(logits)
    ),
    saves=True,
)


@primitive
def bce_with_logits(logits: Any, target: Any, reduction: str = "mean") -> Any:
    """Compute the binary cross-entropy between ``sigmoid(logits)`` and `target`, elementwise.

    Parameters
    ----------
    logits : array_like or Tensor
        Scores before the sigmoid, any shape and finite size.
    target : array_like or Tensor
        Probabilities (or 0 and 1), of the same shape.
    reduction : {'mean', 'sum', 'none'}
        What to make of the losses of the elements.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.bce_with_logits(np.array([0.0, 1000.0]), np.array([1.0, 0.0]), reduction="none")
    array([6.93147181e-01, 1.00000000e+03])
    """
    logits, target = matched("bce_with_logits", logits, target, reduction)
    # log(1 + e^x) - t x, with e^-|x| so that nothing overflows; its inverse gives the sigmoid.
    e = np.exp(-np.abs(logits))
    losses = np.maximum(logits, 0) - logits * target + np.log1p(e)
    p = np.where(logits >= 0, 1, e) / (1 + e)
    return reduced(losses, reduction), p - target


defvjp(
    bce_with_logits,
    lambda g, ans, logits, target, reduction="mean", saved=None: (
        each(g, reduction, logits.size) * (sigmoid(logits) - target if saved is None else saved)
    ),
    lambda g, ans, logits, target, reduction="mean", saved=None: (
        -each(g, reduction, logits.size) * logits
    ),
    saves=True,
)


@primitive
def mse(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """Compute the squared error ``(prediction - target)**2``.

    Parameters
    ----------
    prediction, target : array_like or Tensor
        Of the same shape: (n, 1) against (n,) is an error, never a broadcast.
    reduction : {'mean', 'sum', 'none'}
        What to make of the errors of the elements.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> float(gl.mse(np.array([1.0, 2.0]), np.array([0.0, 0.0])))
    2.5
    """
    prediction, target = matched("mse", prediction, target, reduction)
    d = prediction - target
    return reduced(d * d, reduction), d


def _mse_vjp(g: Any, prediction: Any, target: Any, reduction: str, saved: Any) -> Any:
    d = prediction - target if saved is None else saved
    return (2.0 * each(g, reduction, d.size)) * d


defvjp(
    mse,
    lambda g, ans, prediction, target, reduction="mean", saved=None: _mse_vjp(
        g, prediction, target, reduction, saved
    ),
    lambda g, ans, prediction, target, reduction="mean", saved=None: (
        -_mse_vjp(g, prediction, target, reduction, saved)
    ),
    saves=True,
)


@primitive
def huber(prediction: Any, target: Any, delta: float = 1.0, reduction: str = "mean") -> Any:
    """Compute Huber's loss: ``d**2 / 2`` for ``|d| <= delta``, ``delta * (|d| - delta/2)`` beyond.

    Parameters
    ----------
    prediction, target : array_like or Tensor
        Of the same shape; d is their difference.
    delta : float, default 1.0
        Where the square turns into a line; positive.
    reduction : {'mean', 'sum', 'none'}
        What to make of the losses of the elements.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.huber(np.array([0.5, 10.0]), np.array([0.0, 0.0]), reduction="none")
    array([0.125, 9.5  ])
    """
    prediction, target = matched("huber", prediction, target, reduction)
    if not delta > 0:
        raise ValueError(f"huber: delta must be positive, not {delta!r}.")
    d = prediction - target
    r = np.clip(d, -delta, delta)
    return reduced(r * (d - 0.5 * r), reduction), r


def _huber_vjp(
    g: Any, prediction: Any, target: Any, delta: float, reduction: str, saved: Any
) -> Any:
    r = clip(prediction - target, -delta, delta) if saved is None else saved
    return each(g, reduction, r.size) * r


defvjp(
    huber,
    lambda g, ans, prediction, target, delta=1.0, reduction="mean", saved=None: _huber_vjp(
        g, prediction, target, delta, reduction, saved
    ),
    lambda g, ans, prediction, target, delta=1.0, reduction="mean", saved=None: (
        -_huber_vjp(g, prediction, target, delta, reduction, saved)
    ),
    saves=True,
)
