"""One step of the gated recurrent layers, each as one node.

The gates of a step lie side by side in one array, in PyTorch's order. The products with the weights
are nodes of their own: those of the inputs are computed for all steps at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.define import defvjp, primitive
from gradlite.autodiff.precision import as_float
from gradlite.autodiff.rules.activations import sigmoid
from gradlite.autodiff.rules.fused import dense, product, row_sum, rows_dot
from gradlite.autodiff.rules.products import flat
from gradlite.errors import ShapeError


def check_gates(name: str, count: int, state: Any, *gates: Any) -> None:
    """Raise ShapeError unless arrays hold `count` numbers for each of a state."""
    for x in gates:
        if not x.ndim or not state.ndim or x.shape[-1] != count * state.shape[-1]:
            raise ShapeError(
                f"{name}: a state of shape {state.shape} takes gates of shape (..., {count} * n), "
                f"where n is the length of its last axis, not {x.shape}."
            )


@primitive
def step_linear(h: Any, weight: Any, bias: Any = None, *, transpose: Any = None) -> Any:
    """Compute ``h @ weight.T + bias`` of a state, as `linear` does.

    Parameters
    ----------
    h : array_like or Tensor, shape (..., n)
        The state.
    weight : array_like or Tensor, shape (m, n)
        The weights.
    bias : array_like or Tensor, shape (m,), optional
        The bias.
    transpose : array, shape (n, m), optional
        A copy of ``weight.T``. With its rows one after the other in memory, the product of a few
        rows takes half the time, and a layer has one for each step.

    Returns
    -------
    array or Tensor, shape (..., m)

    Examples
    --------
    >>> import numpy as np
    >>> step_linear(np.ones((2, 3)), np.ones((1, 3)), np.array([0.5]))
    array([[3.5],
           [3.5]])
    """
    return dense(h, weight.T if transpose is None else transpose, bias)


defvjp(
    step_linear,
    lambda g, ans, h, weight, bias, transpose=None: rows_dot(g, weight),
    lambda g, ans, h, weight, bias, transpose=None, out=None: product(flat(g).T, flat(h), out),
    lambda g, ans, h, weight, bias, transpose=None, out=None: row_sum(g, out),
)


@primitive
def lstm_cell(p: Any, c: Any) -> Any:
    """Return the new hidden state and cell state of a long short-term memory.

    With ``i, f, z, o`` the four parts of `p`, the new cell is
    ``sigmoid(f) * c + sigmoid(i) * tanh(z)``, and the hidden state ``sigmoid(o) * tanh(cell)``.
    Hochreiter and Schmidhuber, "Long short-term memory" (Neural Computation 9, 1997), with the
    forget gate of Gers, Schmidhuber and Cummins (2000).

    Parameters
    ----------
    p : array_like or Tensor, shape (..., 4 * n)
        What the gates are computed from: input, forget, cell and output gate.
    c : array_like or Tensor, shape (..., n)
        The cell state.

    Returns
    -------
    h, cell : array or Tensor, shape (..., n)

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> h, cell = lstm_cell(np.zeros(4), np.ones(1))
    >>> h.round(3), cell
    (array([0.231]), array([0.5]))
    """
    check_gates("lstm_cell", 4, c, p)
    i, f, z, o = gates = lstm_gates(p, c.shape[-1])
    cell = f * c
    cell += i * z
    t = np.tanh(cell)
    return (o * t, cell), (*gates, t)


def lstm_gates(p: Any, n: int) -> tuple[Any, Any, Any, Any]:
    """Return the four gates, each in memory of its own, where work on it is twice as fast."""
    p = as_float(p)
    i, f, z, o = (p[..., k * n : (k + 1) * n] for k in range(4))
    return sigmoid(i), sigmoid(f), np.tanh(z), sigmoid(o)


def lstm_parts(p: Any, c: Any, residuals: Any) -> Any:
    """Return the gates, and tanh of the new cell."""
    if residuals is not None:
        return residuals
    i, f, z, o = lstm_gates(p, c.shape[-1])
    return i, f, z, o, np.tanh(f * c + i * z)


def cell_vjp(g: Any, o: Any, t: Any) -> Any:
    """Return the cotangent of the new cell, of which t is the tanh, and the hidden state o t."""
    return g[1] + g[0] * o * (1 - t * t)


def lstm_vjp_p(g: Any, c: Any, parts: Any) -> Any:
    """Return the cotangent of what the gates are computed from."""
    i, f, z, o, t = parts
    d = cell_vjp(g, o, t)
    return np.concatenate(
        (
            d * i * z * (1 - i),
            d * f * c * (1 - f),
            d * i * (1 - z * z),
            g[0] * o * t * (1 - o),
        ),
        axis=-1,
    )


def lstm_vjp_c(g: Any, parts: Any) -> Any:
    """Return the cotangent of the cell state."""
    _, f, _, o, t = parts
    return cell_vjp(g, o, t) * f


defvjp(
    lstm_cell,
    lambda g, ans, p, c, residuals=None: lstm_vjp_p(g, c, lstm_parts(p, c, residuals)),
    lambda g, ans, p, c, residuals=None: lstm_vjp_c(g, lstm_parts(p, c, residuals)),
    has_residuals=True,
    multiple_outputs=True,
)


@primitive
def gru_cell(p: Any, q: Any, h: Any) -> Any:
    """Return the new state of a gated recurrent unit.

    With ``r, z, n`` the three parts of `p` and of `q`: the reset gate is ``sigmoid(r_p + r_q)``,
    the update gate ``sigmoid(z_p + z_q)``, the candidate ``tanh(n_p + reset * n_q)``, and the
    new state ``(1 - update) * candidate + update * h``. Cho et al., "Learning phrase
    representations using RNN encoder-decoder" (arXiv:1406.1078), in the form of cuDNN and PyTorch,
    where the reset gate multiplies a product.

    Parameters
    ----------
    p, q : array_like or Tensor, shape (..., 3 * n)
        What the gates are computed from: of the inputs, and of the state.
    h : array_like or Tensor, shape (..., n)
        The state.

    Returns
    -------
    array or Tensor, shape (..., n)

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> gru_cell(np.zeros(3), np.zeros(3), np.ones(1))
    array([0.5])
    """
    check_gates("gru_cell", 3, h, p, q)
    _, z, n = gates = gru_gates(p, q, h.shape[-1])
    ans = h - n
    ans *= z
    ans += n
    return ans, gates


def gru_gates(p: Any, q: Any, size: int) -> tuple[Any, Any, Any]:
    """Return reset gate, update gate and candidate."""
    p, q = as_float(p), as_float(q)
    r = sigmoid(p[..., :size] + q[..., :size])
    z = sigmoid(p[..., size : 2 * size] + q[..., size : 2 * size])
    return r, z, np.tanh(p[..., 2 * size :] + r * q[..., 2 * size :])


def gru_parts(p: Any, q: Any, h: Any, residuals: Any) -> Any:
    """Return the gates."""
    return gru_gates(p, q, h.shape[-1]) if residuals is None else residuals


def gru_vjp(g: Any, q: Any, h: Any, parts: Any) -> tuple[Any, Any, Any, Any]:
    """Return the cotangents of the three parts of `p`, and the reset gate."""
    r, z, n = parts
    d = g * (1 - z) * (1 - n * n)
    d_r = d * r * q[..., 2 * h.shape[-1] :] * (1 - r)
    return d_r, g * z * (h - n) * (1 - z), d, r


def gru_vjp_p(g: Any, q: Any, h: Any, parts: Any) -> Any:
    """Return the cotangent of what the inputs add to the gates."""
    return np.concatenate(gru_vjp(g, q, h, parts)[:3], axis=-1)


def gru_vjp_q(g: Any, q: Any, h: Any, parts: Any) -> Any:
    """Return the cotangent of what the state adds to the gates."""
    d_r, d_z, d, r = gru_vjp(g, q, h, parts)
    return np.concatenate((d_r, d_z, d * r), axis=-1)


defvjp(
    gru_cell,
    lambda g, ans, p, q, h, residuals=None: gru_vjp_p(g, q, h, gru_parts(p, q, h, residuals)),
    lambda g, ans, p, q, h, residuals=None: gru_vjp_q(g, q, h, gru_parts(p, q, h, residuals)),
    lambda g, ans, p, q, h, residuals=None: g * gru_parts(p, q, h, residuals)[1],
    has_residuals=True,
)
