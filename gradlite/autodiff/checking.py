"""check_grads: compare derivative rules with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from gradlite.autodiff.modes import no_grad
from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.transforms import jvp, vjp
from gradlite.autodiff.trees import flatten
from gradlite.errors import GradientError

Function = Callable[..., Any]
ENTRIES_SEARCHED = 2000


def check_grads(
    f: Function,
    args: Sequence[Any],
    order: int = 1,
    rtol: float = 1e-6,
    atol: float = 1e-7,
    eps: float = 1e-5,
    projections: int = 2,
    seed: int = 0,
) -> None:
    """Compare the derivatives of `f` with central finite differences; raise if they differ.

    Both directions are checked, `vjp` and `jvp`, on random projections: for random u and v,
    ``<u, J v>`` is one number, whatever the shapes, and the differences cost two evaluations
    of `f`. The differences have an error of about ``eps**2``, far below `rtol`.

    Parameters
    ----------
    f : callable
        Returns one array or number.
    args : sequence
        Its arguments, all to be checked: numbers, arrays, or tuples, lists and dicts of these.
        They are converted to float64.
    order : int, default 1
        2 checks the derivatives of the gradient as well, and so on.
    rtol, atol : float
        The allowed difference, relative to the sum of the absolute values of all terms, and
        absolute.
    eps : float, default 1e-5
        The step. Keep `args` further than that from kinks and the ends of the domain.
    projections : int, default 2
        The number of pairs of u and v to try.
    seed : int, default 0
        The seed of the generator that draws them.

    Raises
    ------
    GradientError
        If they differ. The message has the entry with the largest difference.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.check_grads(np.sin, (np.array([0.5, 2.0]),), order=2)
    >>> wrong = gl.primitive(lambda x: np.sin(x))
    >>> gl.defvjp(wrong, lambda g, ans, x: 1.001 * g * np.cos(x))
    >>> gl.check_grads(wrong, (1.0,))
    Traceback (most recent call last):
        ...
    gradlite.errors.GradientError: derivative of order 1 of <lambda>, argument 0, entry ():
      by its rules            0.540842608
      by finite differences   0.540302306
    """
    leaves, rebuild = flatten(tuple(args))
    points = [_float64(x) for x in leaves]
    _check(f, points, rebuild, order, (rtol, atol, eps), projections, seed)


def _float64(x: Any) -> Any:
    x = np.array(x.data if isinstance(x, Tensor) else x)
    return x.astype(np.float64) if x.dtype.kind == "f" or x.ndim == 0 else x


def _check(
    f: Function,
    points: list[Any],
    rebuild: Function,
    order: int,
    tolerances: tuple[float, float, float],
    projections: int,
    seed: int,
    done: int = 0,
) -> None:
    rtol, atol, eps = tolerances
    rng = np.random.default_rng(seed)

    def of_leaves(*xs: Any) -> Any:
        return f(*rebuild(xs))

    def value(xs: Sequence[Any]) -> Any:
        with no_grad():  # on Tensors: the function may use what only they have
            ans = f(*rebuild([Tensor(x) for x in xs]))
        return ans.data if isinstance(ans, Tensor) else np.asarray(ans)

    ans, pull = vjp(of_leaves, *points)
    u = np.asarray(ans)
    for _ in range(projections):
        u = rng.standard_normal(np.shape(ans))
        v = [rng.standard_normal(x.shape) for x in points]
        forward = value([x + eps * d for x, d in zip(points, v, strict=True)])
        backward = value([x - eps * d for x, d in zip(points, v, strict=True)])
        cotangents = pull(u)
        tangent = jvp(of_leaves, points, v)[1]
        with np.errstate(all="ignore"):  # what is not finite fails below
            numeric = float(np.sum(u * (forward - backward)) / (2 * eps))
            terms = [np.abs(c * d).sum() for c, d in zip(cotangents, v, strict=True)]
            allowed = atol + rtol * (sum(terms) + abs(numeric))
            by_vjp = float(sum(np.sum(c * d) for c, d in zip(cotangents, v, strict=True)))
            by_jvp = float(np.sum(u * tangent))
        for analytic in (by_vjp, by_jvp):
            if not abs(analytic - numeric) <= allowed:
                report = _worst_entry(value, pull, points, cotangents, u, eps)
                raise GradientError(
                    f"derivative of order {done + 1} of {getattr(f, '__name__', 'f')}, "
                    + (report or _projection(by_vjp, by_jvp, numeric))
                )
    if order > 1:

        def gradient(*xs: Any) -> Any:
            back = vjp(f, *rebuild(xs))[1](u)
            return np.concatenate([np.ravel(c) for c in flatten(back)[0]])

        gradient.__name__ = getattr(f, "__name__", "f")
        # As a function of the leaves, whatever structure they came in.
        _check(gradient, points, tuple, order - 1, tolerances, projections, seed + 1, done + 1)


def _worst_entry(
    value: Function,
    pull: Function,
    points: list[Any],
    cotangents: Sequence[Any],
    u: Any,
    eps: float,
) -> str | None:
    """Describe the entry of the Jacobian that is furthest from its finite difference."""
    worst, place, column = 0.0, None, None
    for i, (x, c) in enumerate(zip(points, cotangents, strict=True)):
        for index in islice(np.ndindex(x.shape), ENTRIES_SEARCHED):
            step = np.zeros(x.shape)
            step[index] = eps
            there = value([*points[:i], x + step, *points[i + 1 :]])
            back = value([*points[:i], x - step, *points[i + 1 :]])
            with np.errstate(all="ignore"):
                numeric = (there - back) / (2 * eps)
                expected = np.sum(u * numeric)
                off = abs(np.asarray(c)[index] - expected)
            if not off <= worst + 1e-6 * abs(expected):
                worst = np.inf if np.isnan(off) else off
                place, column = (i, index), numeric
    if place is None:
        return None
    i, index = place
    worst, report = -1.0, ""
    for k in islice(np.ndindex(np.shape(u)), ENTRIES_SEARCHED):
        unit = np.zeros(np.shape(u))
        unit[k] = 1.0
        analytic, numeric = float(np.asarray(pull(unit)[i])[index]), float(np.asarray(column)[k])
        off = abs(analytic - numeric)
        if not off <= worst:
            worst = np.inf if np.isnan(off) else off
            of = f" (of output entry {_place(k)})" if k else ""
            report = (
                f"argument {i}, entry {_place(index)}{of}:\n"
                f"  by its rules            {analytic:.9g}\n"
                f"  by finite differences   {numeric:.9g}"
            )
    return report


def _place(index: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(k) for k in index)


def _projection(by_vjp: float, by_jvp: float, numeric: float) -> str:
    return (
        f"projected on random directions:\n  by vjp                  {by_vjp:.9g}\n"
        f"  by jvp                  {by_jvp:.9g}\n  by finite differences   {numeric:.9g}"
    )
