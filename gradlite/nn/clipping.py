"""Clipping of gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradlite.autodiff.tensor import Tensor
from gradlite.errors import NonFiniteError


def clip_grad_norm(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients down, as one long vector, to a norm of at most `max_norm`.

    They are multiplied in place by ``min(1, max_norm / (norm + 1e-6))``, PyTorch's formula.
    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.

    Parameters
    ----------
    parameters : Optimizer, Tensor or iterable of Tensors
        The parameters whose gradients to clip; those without one are skipped. An optimiser is
        fastest, because its gradients are one vector already.
    max_norm : float
        The largest norm allowed.
    norm_type : float, default 2.0
        The order of the norm; ``math.inf`` is the largest absolute value.
    error_if_nonfinite : bool, default False
        Whether a norm of NaN or infinity is an error. Otherwise gradients become NaN or zero.

    Returns
    -------
    float
        The norm before clipping.

    Raises
    ------
    NonFiniteError
        If the norm is not finite and `error_if_nonfinite` is True. Nothing is changed.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import clip_grad_norm
    >>> p = gl.Tensor([3.0, 4.0], requires_grad=True)
    >>> (p * p).sum().backward()
    >>> clip_grad_norm([p], max_norm=1.0)
    10.0
    >>> p.grad.round(5)
    array([0.6, 0.8])
    """
    grads = _gradients(parameters)
    norms = [_norm(g.data if isinstance(g, Tensor) else g, norm_type) for g, _ in grads]
    total = norms[0] if len(norms) == 1 else float(np.linalg.norm(norms, norm_type))
    if error_if_nonfinite and not math.isfinite(total):
        raise NonFiniteError(
            f"clip_grad_norm: the norm of the gradients is {total}. gl.debug() finds the "
            f"operation that it came from."
        )
    scale = max_norm / (total + 1e-6)
    if not scale >= 1:  # NaN too
        for g, sink in grads:
            if isinstance(g, np.ndarray):
                g *= np.float32(scale) if g.dtype.char == "e" else scale
            else:  # a Tensor made by create_graph, whose memory may be shared
                sink.buffer = g * scale
    return total


def clip_grad_value(parameters: Any, clip_value: float) -> None:
    """Limit each entry of all gradients to the range from ``-clip_value`` to `clip_value`.

    Parameters
    ----------
    parameters : Optimizer, Tensor or iterable of Tensors
        The parameters whose gradients to clip, in place; those without one are skipped.
    clip_value : float
        The largest absolute value allowed.

    Examples
    --------
    >>> import gradlite as gl
    >>> from gradlite.optim import clip_grad_value
    >>> p = gl.Tensor([3.0, -0.25], requires_grad=True)
    >>> (p * p).sum().backward()
    >>> clip_grad_value([p], 1.0)
    >>> p.grad
    array([ 1. , -0.5])
    """
    clip_value = float(clip_value)
    for g, sink in _gradients(parameters):
        if isinstance(g, np.ndarray):
            np.clip(g, -clip_value, clip_value, out=g)
        else:  # a Tensor made by create_graph, whose memory may be shared
            sink.buffer = np.clip(g, -clip_value, clip_value)


def _gradients(parameters: Any) -> list[tuple[Any, Any]]:
    """List all gradients, each with the sink that holds it (None for a part of a vector)."""
    if hasattr(parameters, "vectors"):  # an optimiser
        return [(part.grad, None) for vector in parameters.vectors for part in vector.segments()]
    if isinstance(parameters, Tensor):
        parameters = [parameters]
    return [(p.grad, p._node.sink) for p in parameters if p.grad is not None]


def _norm(g: np.ndarray, order: float) -> float:
    """Compute a norm, in float64 where the squares are too large or small for the type of `g`."""
    if order == 2 and g.dtype.char != "e":
        square = float(np.vdot(g, g))
        if 1e-30 < square < math.inf:
            return math.sqrt(square)
    return float(np.linalg.norm(g.ravel().astype(np.float64), order))
