"""What the table of specs is made of: rows, ways to write calls, domains to draw from.

A row says how to call the function (`calls`), which rules those calls put to the test, and what
mathematics makes of it: to which order it can be differentiated, what its gradient is at the
points that a textbook leaves out, and whether autograd is a witness. The tests that read the
table are in tests/rules/test_every_rule.py; a rule without a row fails there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gradlite.autodiff.rule import RULES
from gradlite.errors import function_name
from tests.helpers import Call, Draw

SAME = "the same name in autograd.numpy"


def hidden(name: str) -> tuple[Callable[..., Any], ...]:
    """Find the operation of gradlite's own behind a NumPy function, if there is one."""
    return tuple(
        fn
        for fn in RULES
        if fn.__name__ == name
        and str(getattr(fn, "__module__", "")).startswith("gradlite.autodiff.rules")
    )


def operation(name: str) -> Callable[..., Any]:
    """Find an operation that gradlite keeps to itself, in whichever module it lives."""
    (found,) = hidden(name)
    return found


@dataclass(frozen=True)
class Special:
    """A point that a textbook leaves out, and what the gradient of the summed output is there.

    `slopes` holds one entry for each of `args`, None for what is not to be differentiated by.
    `bend` is the Hessian by the first argument, where that is part of the promise.
    """

    args: tuple[Any, ...]
    slopes: tuple[Any, ...]
    bend: Any = None
    params: dict[str, Any] = field(default_factory=dict)
    dtype: Any = np.float64

    def __repr__(self) -> str:
        shown = [str(np.asarray(arg).tolist()).replace(" ", "") for arg in self.args]
        shown += [f"{k}={v}" for k, v in self.params.items()]
        return "; ".join(shown) + ("; float32" if self.dtype is np.float32 else "")


@dataclass(frozen=True)
class Spec:
    """One row: a function, how to call it, and what to expect.

    Attributes
    ----------
    module : str
        The kind of function, and the test module of its particulars.
    fn : callable
        The function under test.
    calls : sequence of Call
        How to call it.
    covers : tuple of callable
        Further keys of the rule table that these calls reach.
    reference : callable
        What the output must equal on plain arrays: `fn` itself where that is NumPy's.
    order : int
        How often it can be differentiated where it is called.
    why : str
        The reason for an order below 2, or for a twin that is missing (single calls that
        autograd gets wrong are marked by `alone`).
    rtol, atol : float
        Tolerances of `check_grads`.
    twin : str or None
        The dotted name of the same function in autograd.
    flat : bool
        Whether the derivative is zero wherever there is one.
    weak : bool
        Whether float32 arguments give a float32 output.
    prepare : callable or None
        ``prepare(xp, x)``: what is done to the first argument before the call, with the NumPy
        `xp`; finite differences leave the symmetric matrices otherwise.
    special : sequence of Special
        Points that need a convention.
    """

    module: str
    fn: Callable[..., Any]
    calls: Sequence[Call]
    covers: tuple[Callable[..., Any], ...] = ()
    reference: Callable[..., Any] | None = None
    order: int = 2
    why: str = ""
    rtol: float = 1e-6
    atol: float = 1e-7
    twin: str | None = SAME
    flat: bool = False
    weak: bool = True
    prepare: Callable[[Any, Any], Any] | None = None
    special: Sequence[Special] = ()

    @property
    def name(self) -> str:
        return function_name(self.fn)

    @property
    def expected(self) -> Callable[..., Any]:
        return self.reference or self.fn

    def prepared(self, fn: Callable[..., Any] | None = None, xp: Any = np) -> Callable[..., Any]:
        """Return the function (or its stand-in `fn`) as the tests differentiate it."""
        fn = fn or self.fn
        if self.prepare is None:
            return fn
        return lambda x, *args, **params: fn(self.prepare(xp, x), *args, **params)


# -- domains ----------------------------------------------------------------------------------


def real(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.5, 2.5, shape)


def nonzero(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def inside(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from the inside of (-1, 1)."""
    return rng.uniform(-0.8, 0.8, shape)


def above_one(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(1.5, 3.0, shape)


def probability(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.1, 0.9, shape)


def between_steps(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw away from whole numbers (and their halves)."""
    return rng.integers(-3, 4, shape) + rng.choice([0.2, 0.7], shape) + rng.uniform(0, 0.1, shape)


def dividend(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw away from the multiples of any `divisor`."""
    return rng.choice([-1.5, 0.5, 2.5], shape) + rng.uniform(-0.08, 0.08, shape)


def divisor(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(1.0, 1.1, shape) * rng.choice([-1.0, 1.0], shape)


def distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw numbers that differ by more than any finite difference, also in their sizes."""
    count = int(np.prod(shape))
    steps = np.arange(count) + 0.5 + rng.uniform(0, 0.4, count)
    return np.reshape(rng.permutation(steps) * rng.choice([-0.5, 0.5], count), shape)


def low(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(-1.2, -0.3, shape)


def high(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.3, 1.2, shape)


def mask(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rng.random(shape) < 0.5)


def classes(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw integers from 0 to 2."""
    return np.asarray(rng.integers(0, 3, shape))


def distribution(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    p = rng.uniform(0.2, 1.0, shape)
    return p / p.sum(-1, keepdims=True)


def regular(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw matrices that are far from singular, of any determinant's sign."""
    n = min(shape[-2:], default=0)
    return 0.4 * rng.standard_normal(shape) + np.eye(*shape[-2:]) * (
        rng.permutation(n) + 1.5 if shape[-1] == n else 1.5
    )


def spread_out(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw matrices whose singular values (and eigenvalues) are far apart."""
    *batch, m, n = shape
    k = min(m, n)
    u = np.linalg.qr(rng.standard_normal((*batch, m, m)))[0][..., :k]
    v = np.linalg.qr(rng.standard_normal((*batch, n, n)))[0][..., :k]
    return (u * (np.arange(k) + 1.0 + rng.uniform(0, 0.3, k))) @ np.swapaxes(v, -1, -2)


def symmetric(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw symmetric matrices of well separated eigenvalues."""
    q = np.linalg.qr(rng.standard_normal(shape))[0]
    w = np.arange(shape[-1]) - 0.7 + rng.uniform(0, 0.3, shape[-1])
    return (q * w) @ np.swapaxes(q, -1, -2)


def positive_definite(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    a = rng.standard_normal(shape)
    return a @ np.swapaxes(a, -1, -2) + 1.5 * np.eye(shape[-1])


def symmetrised(xp: Any, a: Any) -> Any:
    return 0.5 * (a + xp.swapaxes(a, -1, -2))


# -- ways to write calls ----------------------------------------------------------------------


def R(*shape: int) -> Draw:
    return Draw(shape, real)


def D(*shape: int) -> Draw:
    return Draw(shape, distinct)


def call(*args: Any, **params: Any) -> Call:
    return Call(args, params)


def alone(why: str, *calls: Call) -> list[Call]:
    """Make calls that autograd is no witness of."""
    return [replace(one, alone=why) for one in calls]


SHAPES = ((), (3,), (2, 3), (0,), (2, 0, 3))
SHAPES_OF_TWO = (
    ((), ()),
    ((3,), (3,)),
    ((2, 3), ()),
    ((3,), (2, 1)),
    ((2, 1, 3), (4, 1)),
    ((0, 3), (1,)),
    ((1,), (0,)),
)


def each(domain: Any, **params: Any) -> list[Call]:
    """Call on one array of several shapes."""
    return [Call((Draw(shape, domain),), params) for shape in SHAPES]


def both(first: Any, second: Any, numbers: tuple[float, float] = (0.7, 0.8)) -> list[Call]:
    """Call on two arrays of shapes that broadcast, and on an array and a number."""
    arrays = [call(Draw(p, first), Draw(q, second)) for p, q in SHAPES_OF_TWO]
    a, b = numbers
    return [*arrays, call(Draw((2, 3), first), b), call(a, Draw((2, 3), second))]


def over_axes(domain: Any, empty: bool = True, several: bool = True, **params: Any) -> list[Call]:
    """Reduce over every sort of axis."""
    x = Draw((2, 3, 4), domain)
    calls = [
        Call((x,), params),
        Call((x, 0), params),
        Call((x,), {"axis": -1, **params}),
        Call((x,), {"axis": 1, "keepdims": True, **params}),
        Call((x,), {"keepdims": True, **params}),
        Call((), {"a": x, "axis": 1, **params}),
        Call((Draw((3,), domain),), params),
    ]
    if several:
        calls += [
            Call((x,), {"axis": (0, 2), **params}),
            Call((x,), {"axis": (-1, 0), "keepdims": True, **params}),
            Call((Draw((), domain),), params),
        ]
    if empty:
        calls += [Call((Draw((0, 3), domain),), {"axis": 1, **params})]
    return calls


def at(
    *args: Any, slopes: Any, bend: Any = None, dtype: Any = np.float64, **params: Any
) -> Special:
    """State the gradient at a point; `slopes` may be bare for one argument."""
    slopes = slopes if isinstance(slopes, tuple) else (slopes,)
    return Special(args, slopes, bend, params, dtype)


def far_out(left: float, right: float) -> list[Special]:
    """State the slopes of an activation at -1000 and 1000, in float32, where it is straight."""
    x = np.array([-1000.0, 1000.0])
    return [at(x, slopes=np.array([left, right]), bend=np.zeros((2, 2)), dtype=np.float32)]


LACKS = "autograd lacks it"
