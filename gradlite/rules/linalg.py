"""Rules of linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.rule import defvjp


def T(x: Any) -> Any:
    """Transpose matrices: exchange the last two axes."""
    return np.swapaxes(x, -1, -2)


def matmul_vjp_x(g: Any, ans: Any, x: Any, y: Any) -> Any:
    """Give the cotangent of the left factor."""
    if y.ndim == 1:
        return g * y if x.ndim == 1 else np.expand_dims(g, -1) * y
    if x.ndim == 1:
        return np.squeeze(y @ np.expand_dims(g, -1), -1)
    return g @ T(y)


def matmul_vjp_y(g: Any, ans: Any, x: Any, y: Any) -> Any:
    """Give the cotangent of the right factor."""
    if x.ndim == 1:
        return g * x if y.ndim == 1 else np.expand_dims(x, -1) * np.expand_dims(g, -2)
    if y.ndim == 1:
        return np.squeeze(T(x) @ np.expand_dims(g, -1), -1)
    if y.ndim == 2:  # one matrix for the whole batch: one product instead of a batch to sum
        return T(np.reshape(x, (-1, x.shape[-1]))) @ np.reshape(g, (-1, g.shape[-1]))
    return T(x) @ g


defvjp(np.matmul, matmul_vjp_x, matmul_vjp_y)
