"""The formulas of functions of arrays once more, in NumPy, each as plainly as it is written.

A twin takes the cotangent `g`, the result and the arguments as its rule does. None means that the
formula is not written for such a call: for a vector where it speaks of matrices, say.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.specs.convolution import meetings, terms


def kept(y: Any, x: Any, axis: Any = None) -> Any:
    """Restore the axes of a reduced array, with length one."""
    return np.reshape(y, np.sum(x, axis=axis, keepdims=True).shape)


def count(x: Any, axis: Any = None) -> int:
    return int(x.size // max(1, np.sum(x, axis=axis, keepdims=True).size))


def reduction(slope: Any) -> Any:
    """Make a twin of g * slope(x, y, n), where y has its axes back."""

    def twin(
        g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False, ddof: Any = 0
    ) -> Any:
        if not x.size:
            return None
        return kept(g, x, axis) * slope(x, kept(y, x, axis), axis, count(x, axis) - ddof)

    return {"x": twin}


def others(x: Any, y: Any, axis: Any, n: Any) -> Any:
    found = np.empty_like(x)
    for place in np.ndindex(x.shape):
        without = x.copy()
        without[place] = 1
        whole = np.prod(without, axis=axis, keepdims=True)
        found[place] = whole[
            tuple(i if m > 1 else 0 for i, m in zip(place, whole.shape, strict=True))
        ]
    return found


def centred(x: Any, axis: Any) -> Any:
    return x - np.mean(x, axis=axis, keepdims=True)


def share(x: Any, y: Any, axis: Any, n: Any) -> Any:
    return (x == y) / np.sum(x == y, axis=axis, keepdims=True)


def cumulative(term: Any) -> Any:
    """Make a twin of the sum of term(g, x, i, k) over k >= i, along an axis."""

    def twin(g: Any, y: Any, x: Any, axis: int) -> Any:
        g, x = np.moveaxis(g, axis, 0), np.moveaxis(x, axis, 0)
        rows = [sum(term(g, x, i, k) for k in range(i, len(x))) for i in range(len(x))]
        return np.moveaxis(np.array(rows).reshape(x.shape), 0, axis)

    return {"x": twin}


def without(x: Any, i: int, k: int) -> Any:
    return np.prod(np.delete(x[: k + 1], i, axis=0), axis=0)


def T(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def matrices(twin: Any) -> Any:
    """Leave vectors out."""
    return lambda g, z, *xs: twin(g, *xs) if min(x.ndim for x in xs) > 1 else None


def rows(twin: Any) -> Any:
    """Leave out all but two dimensions."""
    return lambda g, y, *xs: twin(g, *xs) if xs[0].ndim == 2 else None


def tensordot(side: int) -> Any:
    def twin(g: Any, z: Any, x: Any, y: Any, axes: Any = 2) -> Any:
        if not isinstance(axes, int):
            return None
        k = "abcdefg"[:axes]
        i, j = "hijklmn"[: x.ndim - axes], "opqrstu"[: y.ndim - axes]
        a, b, c = i + k, k + j, i + j
        return np.einsum(f"{c},{b}->{a}", g, y) if side == 0 else np.einsum(f"{c},{a}->{b}", g, x)

    return twin


def einsum(i: int) -> Any:
    def twin(g: Any, z: Any, *xs: Any, subscripts: str, optimize: Any = False) -> Any:
        given, arrow, result = subscripts.replace(" ", "").partition("->")
        parts = given.split(",")
        plain = arrow and "." not in subscripts and all(len(set(p)) == len(p) for p in parts)
        if not plain or i >= len(parts):
            return None
        others = [result, *parts[:i], *parts[i + 1 :]]
        if any(n == 1 for x in xs for n in x.shape):  # broadcast
            return None
        ones = np.ones(xs[i].shape)  # for indices that only x_i has
        sums = ",".join([*others, parts[i]]) + f"->{parts[i]}"
        return np.einsum(sums, g, *xs[:i], *xs[i + 1 :], ones)

    return twin


def by_index(move: Any) -> Any:
    """Make a twin that asks where each element has gone, by moving the numbers of the elements."""

    def twin(g: Any, y: Any, x: Any, **params: Any) -> Any:
        places = move(np.arange(x.size).reshape(x.shape), **params)
        found = np.zeros(x.size)
        np.add.at(found, np.ravel(places), np.ravel(g))
        return found.reshape(x.shape)

    return {"x": twin}


def triangle(holds: Any) -> Any:
    def twin(g: Any, y: Any, x: Any, k: int = 0) -> Any:
        i, j = np.indices(g.shape[-2:])
        return g * holds(i, j, k)

    return {"x": twin}


def padded(g: Any, y: Any, x: Any, widths: Any, constant_values: Any = 0) -> Any:
    found = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        found[place] = g[tuple(p + i for (p, _), i in zip(widths, place, strict=True))]
    return found


def part(i: int) -> Any:
    def twin(g: Any, y: Any, *xs: Any, axis: int, starts: Any) -> Any:
        if i >= len(xs):
            return None
        return np.take(g, np.arange(xs[i].shape[axis]) + starts[i], axis=axis)

    return twin


def layer_of_pile(i: int) -> Any:
    return lambda g, y, *xs, axis: np.take(g, i, axis=axis) if i < len(xs) else None


def embedding(g: Any, y: Any, w: Any, indices: Any, padding_idx: Any = None) -> Any:
    found = np.zeros(w.shape)
    for place in np.ndindex(indices.shape):
        found[indices[place]] += g[place]
    return found


def convolution(to: str, first: str, second: str, names: str, result: str) -> Any:
    """Make a twin of a convolution: the terms of its formula, as they are written.

    `names` are the letters of the arguments, y, w or x, and `result` that of the cotangent.
    """

    def twin(g: Any, ans: Any, *args: Any, window: Any, groups: int, size: Any = None) -> Any:
        known = {**dict(zip(names, args, strict=False)), result: g}
        shape = {name: np.shape(known[name]) for name in "ywx" if known.get(name) is not None}
        found = np.zeros(np.shape(known[to]))
        n, channels, *size = shape["x"]
        for at_y, at_w, at_x in terms(n, channels, shape["w"][0], tuple(size), window, groups):
            at = {"y": at_y, "w": at_w, "x": at_x}
            found[at[to]] += known[first][at[first]] * known[second][at[second]]
        return found

    return twin


def max_pool(g: Any, y: Any, x: Any, window: Any) -> Any:
    found, seen = np.zeros(x.shape), set()
    for place, _, met in meetings(x.shape[2:], window):
        if met is None:
            continue
        for nc in np.ndindex(x.shape[:2]):
            if (nc, place) not in seen and x[(*nc, *met)] == y[(*nc, *place)]:
                seen.add((nc, place))
                found[(*nc, *met)] += g[(*nc, *place)]
    return found


def avg_pool(g: Any, y: Any, x: Any, window: Any) -> Any:
    found = np.zeros(x.shape)
    for place, _, met in meetings(x.shape[2:], window):
        if met is not None:
            found[(..., *met)] += g[(..., *place)] / np.prod(window.kernel)
    return found


def avg_unpool(g: Any, y: Any, x: Any, size: Any, window: Any) -> Any:
    found = np.zeros(x.shape)
    for place, _, met in meetings(size, window):
        if met is not None:
            found[(..., *place)] += g[(..., *met)] / np.prod(window.kernel)
    return found


def batch(twin: Any) -> Any:
    """Return the twin of a batch norm z, its mean over the batch, and the root of the variance."""

    def of(g: Any, y: Any, x: Any, w: Any, b: Any, eps: float = 1e-5, **_: Any) -> Any:
        axes = tuple(i for i in range(x.ndim) if i != 1)
        column = (-1, *[1] * (x.ndim - 2))
        root = np.sqrt(x.var(axes, keepdims=True) + eps)
        w = 1.0 if w is None else np.reshape(w, column)
        return twin(
            g, centred(x, axes) / root, w, root, lambda v: v.mean(axes, keepdims=True), axes
        )

    return of


def layer(twin: Any) -> Any:
    def of(g: Any, y: Any, x: Any, w: Any, b: Any, normalized_shape: Any, eps: float = 1e-5) -> Any:
        if not x.size:
            return None
        axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
        rest = tuple(range(x.ndim - len(normalized_shape)))
        root = np.sqrt(x.var(axes, keepdims=True) + eps)
        w = 1.0 if w is None else w
        return twin(
            g, centred(x, axes) / root, w, root, lambda v: v.mean(axes, keepdims=True), rest
        )

    return of


def norm_x(g: Any, z: Any, w: Any, root: Any, mean: Any, axes: Any) -> Any:
    return w / root * (g - mean(g) - z * mean(g * z))


def norm_rows_x(g: Any, z: Any, w: Any, root: Any, mean: Any, axes: Any) -> Any:
    h = w * g
    return (h - mean(h) - z * mean(h * z)) / root


def norm_w(g: Any, z: Any, w: Any, root: Any, mean: Any, axes: Any) -> Any:
    return np.sum(g * z, axes)


def norm_b(g: Any, z: Any, w: Any, root: Any, mean: Any, axes: Any) -> Any:
    return np.sum(g, axes)


# -- linear algebra, of stacks of matrices ------------------------------------------------------


def det(g: Any, y: Any, A: Any) -> Any:
    return (g * y)[..., None, None] * T(np.linalg.inv(A))


def pinv(g: Any, Y: Any, A: Any, rcond: Any = None, rtol: Any = None) -> Any:
    m, n = A.shape[-2:]
    return (
        -T(Y) @ g @ T(Y)
        + (np.eye(m) - A @ Y) @ T(g) @ Y @ T(Y)
        + T(Y) @ Y @ T(g) @ (np.eye(n) - Y @ A)
    )


def cofactor(g: Any, Y: Any, A: Any) -> Any:
    inner = np.sum(g * Y, axis=(-1, -2), keepdims=True)
    return inner * T(np.linalg.inv(A)) - Y @ T(g) @ T(np.linalg.inv(A))


def solve(twin: Any) -> Any:
    return lambda g, X, A, B: twin(g, X, T(np.linalg.inv(A))) if B.ndim > 1 else None


def multi_dot(i: int) -> Any:
    def twin(g: Any, Y: Any, *M: Any) -> Any:
        if i >= len(M):
            return None
        before, after = M[:i], M[i + 1 :]
        left = np.linalg.multi_dot([np.eye(len(M[0])), *before, np.eye(len(M[i]))])
        right = np.linalg.multi_dot([np.eye(M[i].shape[1]), *after, np.eye(M[-1].shape[1])])
        return left.T @ g @ right.T

    return twin


def sym(M: Any) -> Any:
    return (M + T(M)) / 2


def cholesky(g: Any, Y: Any, A: Any, upper: bool = False) -> Any:
    if upper:
        return None
    P = np.tril(T(Y) @ g)
    P = P - P * np.eye(P.shape[-1]) / 2
    return sym(T(np.linalg.inv(Y)) @ P @ np.linalg.inv(Y))


def off_diagonal(numerator: Any, denominator: Any) -> Any:
    eye = np.eye(numerator.shape[-1], dtype=bool)
    return np.where(eye, 0, numerator / np.where(eye, 1, denominator))


def diagonal(w: Any) -> Any:
    return w[..., None] * np.eye(w.shape[-1])


def eigh(g: Any, ans: Any, A: Any, UPLO: Any = "L") -> Any:
    (gw, gV), (w, V) = g, ans
    E = off_diagonal(T(V) @ gV, w[..., None, :] - w[..., :, None])
    return sym(V @ (diagonal(gw) + E) @ T(V))


def svd(g: Any, ans: Any, A: Any) -> Any:
    (gU, gs, gVt), (U, s, Vt) = g, ans
    M, N = T(U) @ gU, Vt @ T(gVt)
    P, Q = M - T(M), N - T(N)
    sj, si = s[..., None, :], s[..., :, None]
    E = off_diagonal(sj * P + si * Q, sj**2 - si**2)
    m, n = A.shape[-2:]
    R: Any = 0
    if m > n:
        R = (np.eye(m) - U @ T(U)) @ gU @ diagonal(1 / s) @ Vt
    if m < n:
        R = U @ diagonal(1 / s) @ gVt @ (np.eye(n) - T(Vt) @ Vt)
    return U @ (diagonal(gs) + E) @ Vt + R


# -- losses of rows ------------------------------------------------------------------------------


def row_share(g: Any, x: Any, reduction: str, factor: Any) -> Any:
    n = x.size // x.shape[-1] if reduction == "mean" else 1
    weight = np.ones(x.shape[:-1]) if factor is None else factor
    return (g * weight / n)[..., None]


def softmax(x: Any) -> Any:
    return np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True)


def cross_entropy(slope: Any) -> Any:
    def twin(g: Any, y: Any, x: Any, t: Any, reduction: str = "mean", factor: Any = None) -> Any:
        if t.dtype.kind != "f":
            t = np.eye(x.shape[-1])[t]
        if not x.size or not np.allclose(t.sum(-1), 1):
            return None
        return row_share(g, x, reduction, factor) * slope(x, t)

    return twin


def multiclass_hinge(
    g: Any, y: Any, x: Any, t: Any, reduction: str = "mean", factor: Any = None
) -> Any:
    if not x.size:
        return None
    own = np.take_along_axis(x, t[..., None], -1)
    mine = np.eye(x.shape[-1], dtype=bool)[t]
    others = np.where(mine, 0, (x > own - 1) / x.shape[-1])
    slope = np.where(mine, -others.sum(-1, keepdims=True), others)
    return row_share(g, x, reduction, factor) * slope


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_cell(g, p, c):
    """Return the cotangents by p and c of the hidden state and the cell."""
    i, f, z, o = np.split(p, 4, axis=-1)
    i, f, z, o = sigmoid(i), sigmoid(f), np.tanh(z), sigmoid(o)
    k = np.tanh(f * c + i * z)
    d = g[1] + g[0] * o * (1 - k**2)
    parts = d * z * i * (1 - i), d * c * f * (1 - f), d * i * (1 - z**2), g[0] * o * (1 - o) * k
    return np.concatenate(parts, axis=-1), d * f


def gru_cell(g, p, q, h):
    """Return the cotangents by p, q and h of the state."""
    (r, z, n), (r_h, z_h, n_h) = np.split(p, 3, axis=-1), np.split(q, 3, axis=-1)
    r, z = sigmoid(r + r_h), sigmoid(z + z_h)
    n = np.tanh(n + r * n_h)
    d, b = g * (1 - z) * (1 - n**2), g * (h - n) * z * (1 - z)
    a = d * n_h * r * (1 - r)
    return np.concatenate((a, b, d), -1), np.concatenate((a, b, d * r), -1), g * z


def result(fn, i):
    """Return the twin of argument i."""
    return lambda g, y, *args: fn(g, *args)[i]


TWINS: dict[str, dict[str, Any]] = {
    "np.sum": reduction(lambda x, y, axis, n: np.ones(x.shape)),
    "np.mean": reduction(lambda x, y, axis, n: np.ones(x.shape) / n),
    "np.var": reduction(lambda x, y, axis, n: 2 * centred(x, axis) / n),
    "np.std": reduction(lambda x, y, axis, n: centred(x, axis) / (n * y)),
    "np.prod": reduction(others),
    "np.cumsum": cumulative(lambda g, x, i, k: g[k]),
    "np.cumprod": cumulative(lambda g, x, i, k: g[k] * without(x, i, k)),
    **dict.fromkeys(("np.max", "np.amax", "np.min", "np.amin"), reduction(share)),
    "gl.logsumexp": reduction(lambda x, y, axis, n: np.exp(x - y)),
    "gl.softmax": {
        "x": lambda g, y, x, axis=-1: y * (g - np.sum(g * y, axis=axis, keepdims=True))
    },
    "gl.log_softmax": {
        "x": lambda g, y, x, axis=-1: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True)
    },
    "np.matmul": {
        "X": matrices(lambda g, X, Y: g @ T(Y)), "Y": matrices(lambda g, X, Y: T(X) @ g),
    },
    "np.vecdot": {
        "x": lambda g, z, x, y: g[..., None] * y, "y": lambda g, z, x, y: g[..., None] * x,
    },
    "np.cross": {"x": lambda g, z, x, y: np.cross(y, g), "y": lambda g, z, x, y: np.cross(g, x)},
    "gl.affine": {
        "X": rows(lambda g, X, W, b: g @ W.T),
        "W": rows(lambda g, X, W, b: X.T @ g),
        "b": rows(lambda g, X, W, b: g.sum(0)),
    },
    **{
        name: {
            "X": rows(lambda g, X, W, b: g @ W),
            "W": rows(lambda g, X, W, b: g.T @ X),
            "b": rows(lambda g, X, W, b: g.sum(0)),
        }
        for name in ("gl.linear", "gl.step_linear")
    },
    "np.tensordot": {"x": tensordot(0), "y": tensordot(1)},
    "np.einsum": {"x": einsum},
    "gl.sparse_matmul": {"Y": lambda g, Z, Y, x: x.toarray().T @ g},
    **{
        f"np.{move.__name__}": by_index(move)
        for move in (
            np.expand_dims, np.squeeze, np.broadcast_to, np.transpose, np.swapaxes, np.moveaxis,
            np.flip, np.roll, np.rot90,
        )
    },
    "np.tril": triangle(lambda i, j, k: j <= i + k),
    "np.triu": triangle(lambda i, j, k: j >= i + k),
    "np.concatenate": {"x": part},
    "np.stack": {"x": layer_of_pile},
    "gl.unstack": {"x": lambda g, y, x: np.array(list(g))},
    # By the method: NumPy 2.0 calls the argument of the function newshape.
    "np.reshape": by_index(lambda x, shape, order="C": x.reshape(shape, order=order)),
    "getitem": by_index(lambda x, index: x[index]),
    "untake": {"x": lambda g, y, x, index, shape: g[index]},
    "gl.embedding": {"w": embedding},
    "np.pad": {"x": padded},
    "gl.convolve": {
        "x": convolution("x", "w", "y", "xwb", "y"),
        "w": convolution("w", "y", "x", "xwb", "y"),
        "b": lambda g, y, x, w, b, window, groups: g.sum((0, *range(2, g.ndim))),
    },
    "gl.conv_input": {
        "y": convolution("y", "w", "x", "yw", "x"), "w": convolution("w", "y", "x", "yw", "x"),
    },
    "gl.conv_weight": {
        "y": convolution("y", "w", "x", "yx", "w"), "x": convolution("x", "w", "y", "yx", "w"),
    },
    "gl.max_pool": {"x": max_pool},
    "gl.avg_pool": {"x": avg_pool},
    "gl.avg_unpool": {"x": avg_unpool},
    "gl.batch_norm": {"x": batch(norm_x), "w": batch(norm_w), "b": batch(norm_b)},
    "gl.layer_norm": {"x": layer(norm_rows_x), "w": layer(norm_w), "b": layer(norm_b)},
    "gl.lstm_cell": {"p": result(lstm_cell, 0), "c": result(lstm_cell, 1)},
    "gl.gru_cell": {
        "p": result(gru_cell, 0), "q": result(gru_cell, 1), "h": result(gru_cell, 2),
    },
    "np.linalg.inv": {"A": lambda g, Y, A: -T(Y) @ g @ T(Y)},
    "np.linalg.solve": {
        "A": solve(lambda g, X, At: -At @ g @ T(X)), "B": solve(lambda g, X, At: At @ g),
    },
    "np.linalg.multi_dot": {"M": multi_dot},
    "np.linalg.pinv": {"A": pinv},
    "np.linalg.det": {"A": det},
    "np.linalg.slogdet": {"A": lambda g, y, A: g[1][..., None, None] * T(np.linalg.inv(A))},
    "gl.cofactor": {"A": cofactor},
    "np.linalg.cholesky": {"A": cholesky},
    "np.linalg.eigh": {"A": eigh},
    "np.linalg.svd": {"A": svd},
    "gl.cross_entropy": {
        "x": cross_entropy(lambda x, t: softmax(x) - t),
        "t": cross_entropy(lambda x, t: -np.log(softmax(x))),
    },
    "gl.multiclass_hinge": {"x": multiclass_hinge},
}  # fmt: skip
