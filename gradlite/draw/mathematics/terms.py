"""The first element of a gradient with numbers put in, for functions of whole arrays.

For an argument of a function, an expression in Python's syntax, and a function that returns the
numbers of its symbols. It takes what a rule takes; matrices where the formula has capitals. A
symbol may have several numbers, of one term each: the element is the sum of the terms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from gradlite.autodiff.rules.einsum import spelled_out

Found: TypeAlias = Mapping[str, Any]
Terms: TypeAlias = tuple[str, Callable[..., Found]]


def first(x: Any) -> Any:
    """Return the first element of an array."""
    return np.asarray(x)[(0,) * np.ndim(x)]


def first_row(x: Any, axis: int = -1) -> Any:
    """Return the elements along an axis that the first one belongs to."""
    x = np.moveaxis(x, axis, -1)
    return x[(0,) * (x.ndim - 1)]


def of_softmax(g: Any, y: Any, x: Any, axis: int = -1, **params: Any) -> Found:
    """Return the numbers of softmax: s is the sum of the cotangents times the outputs."""
    s = first_row(g, axis) @ first_row(y, axis)
    return {"y": first(y), "g": first(g), "s": s}


def of_log_softmax(g: Any, y: Any, x: Any, axis: int = -1, **params: Any) -> Found:
    """Return the numbers of log_softmax: s is the sum of the cotangents."""
    return {"g": first(g), "y": first(y), "s": first_row(g, axis).sum()}


def of_cross_entropy(
    g: Any, y: Any, x: Any, t: Any, reduction: str = "mean", factor: Any = None, **params: Any
) -> Found:
    """Return the numbers of cross-entropy without weights: p is the first probability."""
    if factor is not None:
        return {}
    row, t = first_row(x), np.asarray(t)
    exps = np.exp(row - row.max())
    n = x[..., 0].size if reduction == "mean" else 1
    return {
        "g": first(g), "n": n, "p": exps[0] / exps.sum(),
        "t": float(first(t) == 0) if t.dtype.kind in "iu" else first(t),
    }  # fmt: skip


TERMS: dict[str, dict[str, Terms]] = {
    "np.sum": {"x": ("g", lambda g, y, x, **_: {"g": first(g)})},
    "np.mean": {"x": ("g / n", lambda g, y, x, **_: {"g": first(g), "n": x.size / np.size(y)})},
    "gl.logsumexp": {
        "x": (
            "g * exp(x - y)",
            lambda g, y, x, **_: {"g": first(g), "x": first(x), "y": first(y)},
        ),
    },
    "gl.softmax": {"x": ("y * (g - s)", of_softmax)},
    "gl.log_softmax": {"x": ("g - exp(y) * s", of_log_softmax)},
    "gl.cross_entropy": {"x": ("g * (1 / n) * (p - t)", of_cross_entropy)},
    "np.matmul": {
        "X": ("g * y", lambda g, ans, X, Y, **_: {"g": g[0], "y": Y[0]}),
        "Y": ("x * g", lambda g, ans, X, Y, **_: {"x": X[:, 0], "g": g[:, 0]}),
    },
    "gl.affine": {
        "X": ("g * w", lambda g, ans, X, W, b, **_: {"g": g[0], "w": W[0]}),
        "W": ("x * g", lambda g, ans, X, W, b, **_: {"x": X[:, 0], "g": g[:, 0]}),
        "b": ("g", lambda g, ans, X, W, b, **_: {"g": g[:, 0]}),
    },
    "gl.linear": {
        "X": ("g * w", lambda g, ans, X, W, *b, **_: {"g": g[0], "w": W[:, 0]}),
        "W": ("g * x", lambda g, ans, X, W, *b, **_: {"g": g[:, 0], "x": X[:, 0]}),
        "b": ("g", lambda g, ans, X, W, *b, **_: {"g": g[:, 0]}),
    },
}


# -- einsum -----------------------------------------------------------------------------------


def einsum_spelled(i: int, arrays: Sequence[Any], subscripts: str) -> tuple[str, list[str]] | None:
    """Return the subscripts of operand `i`, and of the result and the others, if that is simple.

    It is where no subscript of the operand comes twice, and the others have all of them.
    """
    spelled, result = spelled_out(subscripts, [np.ndim(x) for x in arrays])
    mine, others = spelled[i], [result, *spelled[:i], *spelled[i + 1 :]]
    simple = len(set(mine)) == len(mine) and set(mine) <= set("".join(others))
    return (mine, others) if simple else None


def einsum_code(i: int, names: Sequence[str], g: str, mine: str, others: Sequence[str]) -> str:
    """Write the gradient of operand `i` as an einsum.

    Examples
    --------
    >>> einsum_code(0, ["A", "B"], "C.grad", "ij", ["ik", "jk"])
    "einsum('ik,jk->ij', C.grad, B)"
    """
    given = ", ".join([g, *names[:i], *names[i + 1 :]])
    return f"einsum('{','.join(others)}->{mine}', {given})"


def einsum_terms(i: int, g: Any, arrays: Sequence[Any], mine: str, others: Sequence[str]) -> Found:
    """Return the factors of the terms of the first element of the gradient of operand `i`."""
    rest = "".join(dict.fromkeys(s for s in "".join(others) if s not in mine))
    found = {}
    for k, (x, spelled) in enumerate(zip([g, *arrays[:i], *arrays[i + 1 :]], others, strict=True)):
        at_first = np.asarray(x)[tuple(0 if s in mine else slice(None) for s in spelled)]
        left = "".join(s for s in spelled if s not in mine)
        kept = "".join(s for s in rest if s in left)
        aligned = np.einsum(f"{left}->{kept}", at_first)
        found[f"x{k}" if k else "g"] = np.expand_dims(
            aligned, [p for p, s in enumerate(rest) if s not in kept]
        )
    sides = zip(found, np.broadcast_arrays(*found.values()), strict=True)
    return {symbol: np.ravel(x) for symbol, x in sides}
