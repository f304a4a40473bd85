"""The table behind tests/rules: one row for each function that can be differentiated.

A row says how to call the function (`calls`), which rules those calls put to the test, and what
mathematics makes of it: to which order it can be differentiated, what its gradient is at the
points that a textbook leaves out, and whether autograd is a witness. The tests that read the
table are in tests/rules/test_every_rule.py; a rule without a row fails there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf, nan, pi
from typing import Any

import numpy as np
import scipy.special as sp

import gradlite as gl
from gradlite.errors import function_name
from gradlite.rule import RULES
from tests.helpers import Call, Draw

SAME = "the same name in autograd.numpy"


def hidden(name: str) -> tuple[Callable[..., Any], ...]:
    """Find the operation of gradlite's own behind a NumPy function, if there is one."""
    return tuple(
        fn
        for fn in RULES
        if fn.__name__ == name and str(getattr(fn, "__module__", "")).startswith("gradlite.rules")
    )


def operation(name: str) -> Callable[..., Any]:
    """Find an operation that gradlite keeps to itself, in whichever module it lives."""
    (found,) = hidden(name)
    return found


@dataclass(frozen=True)
class Special:
    """A point that a textbook leaves out, and what the gradient of the summed answer is there.

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
    room : str
        The kind of function, and the test module of its particulars.
    fn : callable
        The function under test.
    calls : sequence of Call
        How to call it.
    covers : tuple of callable
        Further keys of the rule table that these calls reach.
    reference : callable
        What the answer must equal on plain arrays: `fn` itself where that is NumPy's.
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
        Whether float32 arguments give a float32 answer.
    prepare : callable or None
        ``prepare(xp, x)``: what is done to the first argument before the call, with the NumPy
        `xp`; finite differences leave the symmetric matrices otherwise.
    special : sequence of Special
        Points that need a convention.
    """

    room: str
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
        """Give the function (or its stand-in `fn`) as the tests differentiate it."""
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


# -- elementwise ------------------------------------------------------------------------------

ELEMENTWISE = [
    Spec("elementwise", np.add, both(real, real)),
    Spec("elementwise", np.subtract, both(real, real)),
    Spec("elementwise", np.multiply, [*both(real, real), call(R(2, 3), 2.5), call(3, R(2))]),
    Spec("elementwise", np.divide, [*both(real, nonzero), call(2, Draw((3,), nonzero))]),
    Spec("elementwise", np.negative, each(real)),
    Spec("elementwise", np.positive, each(real), twin=None, why=LACKS),
    Spec("elementwise", np.reciprocal, each(nonzero)),
    Spec(
        "elementwise",
        np.square,
        each(real),
        special=[at(np.array([0.0, 3.0]), slopes=np.array([0.0, 6.0]), bend=np.diag([2.0, 2.0]))],
    ),
    Spec(
        "elementwise",
        np.remainder,
        both(dividend, divisor, (0.5, 1.05)),
        special=[at(-1.5, 1.0, slopes=(1.0, 2.0)), at(1.5, -1.0, slopes=(1.0, 2.0))],
    ),
    Spec(
        "elementwise",
        np.fmod,
        both(dividend, divisor, (0.5, 1.05)),
        twin=None,
        why="autograd floors where fmod truncates",
        special=[at(-1.5, 1.0, slopes=(1.0, 1.0))],
    ),
    Spec(
        "elementwise",
        np.power,
        [
            *both(positive, real),
            call(Draw((2, 3), nonzero), 3),
            call(Draw((3,), nonzero), -1),
            call(Draw((3,), positive), 0.5),
            call(Draw((3,), nonzero), 0),
            call(Draw((2, 3), nonzero), np.array([2, 3, 0], dtype=np.int8)),
            call(np.float32(2.0), R(3)),
        ],
        special=[
            at(np.array([0.0, 2.0]), 0, slopes=(np.array([0.0, 0.0]), None), bend=np.zeros((2, 2))),
            at(np.array([0.0, 2.0]), 1, slopes=(np.array([1.0, 1.0]), None), bend=np.zeros((2, 2))),
            at(np.array([0.0, -2.0]), 2, slopes=(np.array([0.0, -4.0]), None), bend=2 * np.eye(2)),
            at(np.array([0.0]), np.array([0.0]), slopes=(np.array([0.0]), np.array([0.0]))),
            at(np.array([0.0]), np.array([2.0]), slopes=(np.array([0.0]), np.array([0.0]))),
            at(
                np.array([0.0, 0.0]),
                np.array([0.0, 1.0]),
                slopes=(np.array([0.0, 1.0]), None),
                bend=np.zeros((2, 2)),
            ),
        ],
    ),
    Spec(
        "elementwise",
        np.sqrt,
        each(positive),
        special=[at(0.0, slopes=0.0), at(np.array([0.0, 4.0]), slopes=np.array([0.0, 0.25]))],
    ),
    Spec("elementwise", np.cbrt, each(nonzero), twin=None, why=LACKS),
    Spec("elementwise", np.exp, each(real), special=[at(-1000.0, slopes=0.0, dtype=np.float32)]),
    Spec("elementwise", np.exp2, each(real)),
    Spec("elementwise", np.expm1, each(real), special=[at(-1000.0, slopes=0.0)]),
    Spec("elementwise", np.log, each(positive)),
    Spec("elementwise", np.log2, each(positive)),
    Spec("elementwise", np.log10, each(positive)),
    Spec("elementwise", np.log1p, each(positive), special=[at(0.0, slopes=1.0, bend=-1.0)]),
    Spec(
        "elementwise",
        np.logaddexp,
        both(real, real),
        special=[
            at(1000.0, 0.0, slopes=(1.0, 0.0)),
            at(-1000.0, 1000.0, slopes=(0.0, 1.0), dtype=np.float32),
            at(-inf, 0.0, slopes=(0.0, 1.0)),
            at(-inf, -inf, slopes=(0.0, 0.0)),
        ],
    ),
    Spec(
        "elementwise",
        np.logaddexp2,
        both(real, real),
        special=[at(-inf, 0.0, slopes=(0.0, 1.0)), at(-inf, -inf, slopes=(0.0, 0.0))],
    ),
    Spec("elementwise", np.sin, each(real)),
    Spec("elementwise", np.cos, each(real)),
    Spec("elementwise", np.tan, each(inside)),
    Spec("elementwise", np.arcsin, each(inside)),
    Spec("elementwise", np.arccos, each(inside)),
    Spec("elementwise", np.arctan, each(real)),
    Spec("elementwise", np.sinh, each(real)),
    Spec("elementwise", np.cosh, each(real)),
    Spec("elementwise", np.tanh, each(real), special=far_out(0.0, 0.0)),
    Spec("elementwise", np.arcsinh, each(real)),
    Spec("elementwise", np.arccosh, each(above_one)),
    Spec("elementwise", np.arctanh, each(inside)),
    Spec(
        "elementwise",
        np.arctan2,
        both(nonzero, nonzero),
        special=[at(0.0, 0.0, slopes=(0.0, 0.0)), at(0.0, -2.0, slopes=(-0.5, 0.0))],
    ),
    Spec(
        "elementwise",
        np.hypot,
        both(nonzero, nonzero),
        special=[
            at(0.0, 0.0, slopes=(0.0, 0.0)),
            at(3e30, 4e30, slopes=(0.6, 0.8), dtype=np.float32),
        ],
    ),
    Spec("elementwise", np.deg2rad, each(real)),
    Spec("elementwise", np.rad2deg, each(real)),
    Spec("elementwise", np.radians, each(real)),
    Spec("elementwise", np.degrees, each(real)),
    Spec(
        "elementwise",
        np.sinc,
        each(real),
        special=[
            at(0.0, slopes=0.0, bend=-(pi**2) / 3),
            at(1e-4, slopes=-(pi**2) / 3 * 1e-4, bend=-(pi**2) / 3 + pi**4 / 10 * 1e-8),
            at(0.0, slopes=0.0, bend=-(pi**2) / 3, dtype=np.float32),
        ],
    ),
    Spec("elementwise", np.absolute, each(nonzero), special=[at(0.0, slopes=0.0, bend=0.0)]),
    Spec("elementwise", np.fabs, each(nonzero), special=[at(0.0, slopes=0.0, bend=0.0)]),
    *(
        Spec(
            "elementwise",
            choice,
            [*both(real, real), call(R(3), 0.1)],
            special=[
                at(1.0, 1.0, slopes=(0.5, 0.5)),
                at(np.array([1.0, 2.0]), 1.0, slopes=(one, 2.0 - one.sum())),
                at(inf, inf, slopes=(0.5, 0.5)),
            ],
        )
        for choice, one in [
            (np.maximum, np.array([0.5, 1.0])),
            (np.minimum, np.array([0.5, 0.0])),
        ]
    ),
    *(
        Spec(
            "elementwise",
            choice,
            both(real, real),
            special=[
                at(1.0, 1.0, slopes=(0.5, 0.5)),
                at(nan, 2.0, slopes=(0.0, 1.0)),
                at(2.0, nan, slopes=(1.0, 0.0)),
            ],
        )
        for choice in (np.fmax, np.fmin)
    ),
    *(
        Spec("elementwise", step, each(between_steps), flat=True)
        for step in (np.sign, np.floor, np.ceil, np.trunc, np.rint)
    ),
    *(
        Spec(
            "elementwise",
            rounding,
            [*each(between_steps), call(Draw((3,), between_steps), 0), call(R(3), decimals=-1)],
            flat=True,
        )
        for rounding in (np.round, np.around)
    ),
    Spec(
        "elementwise",
        np.floor_divide,
        both(dividend, divisor, (0.5, 1.05)),
        flat=True,
    ),
    Spec(
        "elementwise",
        np.where,
        [
            call(Draw((), mask), R(), R()),
            call(Draw((3,), mask), R(3), R(3)),
            call(Draw((2, 3), mask), R(2, 3), 0.0),
            *alone(
                "autograd forgets to sum over what it broadcasts",
                call(Draw((2, 1), mask), R(2, 3), R()),
                call(Draw((2, 3), mask), R(3), R(2, 1)),
                call(Draw((2, 4, 3), mask), R(2, 1, 3), R(4, 1)),
                call(Draw((0, 3), mask), R(0, 3), R(1)),
                call(Draw((1,), mask), R(1), R(0)),
                call(Draw((2, 3), mask), 1, R(3)),
            ),
        ],
        covers=hidden("where"),
    ),
    Spec(
        "elementwise",
        np.nan_to_num,
        [
            *each(real),
            *alone(
                "autograd does not take nan=",
                call(R(3), nan=1.0),
            ),
            call(x=R(3), posinf=2.0, neginf=-2.0),
        ],
        special=[
            at(np.array([nan, inf, -inf, 2.0]), slopes=np.array([0.0, 0.0, 0.0, 1.0])),
            at(np.array([nan, 2.0]), slopes=np.array([0.0, 1.0]), nan=5.0, bend=np.zeros((2, 2))),
        ],
    ),
    Spec("elementwise", np.copy, [*each(real), call(a=R(2))], twin=None, why=LACKS),
    Spec(
        "elementwise",
        np.clip,
        [
            *each(real, a_min=-0.5, a_max=0.5),
            call(R(2, 3), -0.5, None),
            call(R(2, 3), None, 0.5),
            *alone(
                "autograd does not take min= and max=",
                call(R(2, 3), min=0),
                call(R(2, 3), max=0.2),
                call(R(2, 3), min=-0.2, max=0.7),
            ),
            call(R(2, 3), None, None),
            *alone(
                "autograd takes the bounds for constants",
                call(R(2, 3), Draw((3,), low), Draw((2, 1), high)),
                call(Draw((2, 3), low), 0.0, Draw((1,), high)),
            ),
            call(R(2, 3), a_min=Draw((), low), a_max=None),
        ],
        covers=hidden("clip"),
        special=[
            at(np.array([-1.0, 0.0, 1.0]), slopes=np.array([1.0, 1.0, 1.0]), min=-1.0, max=1.0),
            at(np.array([-3.0, 0.0, 3.0]), slopes=np.array([0.0, 1.0, 1.0]), min=-1.0),
        ],
    ),
    Spec(
        "elementwise",
        operation("astype"),
        each(real, dtype=np.float64, source=np.float64),
        weak=False,
        reference=lambda x, dtype, source: x.astype(dtype),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "elementwise",
        gl.relu,
        each(nonzero),
        reference=lambda x: x * (x > 0),
        twin=None,
        why=LACKS,
        special=[at(0.0, slopes=0.0, bend=0.0), *far_out(0.0, 1.0)],
    ),
    Spec(
        "elementwise",
        gl.leaky_relu,
        [*each(nonzero), *each(nonzero, negative_slope=0.2), call(Draw((3,), nonzero), 0.3)],
        reference=lambda x, negative_slope=0.01: x * np.where(x < 0, negative_slope, 1),
        twin=None,
        why=LACKS,
        special=far_out(0.01, 1.0),
    ),
    Spec(
        "elementwise",
        gl.elu,
        [*each(nonzero), *each(nonzero, alpha=0.3), call(Draw((3,), nonzero), 2.0)],
        reference=lambda x, alpha=1.0: np.where(x < 0, alpha * np.expm1(x), x),
        twin=None,
        why=LACKS,
        special=far_out(0.0, 1.0),
    ),
    Spec(
        "elementwise",
        gl.sigmoid,
        each(real),
        reference=sp.expit,
        twin="scipy.special.expit",
        special=[at(0.0, slopes=0.25, bend=0.0), *far_out(0.0, 0.0)],
    ),
    Spec(
        "elementwise",
        gl.softplus,
        each(real),
        reference=lambda x: -sp.log_expit(-x),
        twin=None,
        why=LACKS,
        special=[at(0.0, slopes=0.5, bend=0.25), *far_out(0.0, 1.0)],
    ),
    Spec(
        "elementwise",
        gl.silu,
        each(real),
        reference=lambda x: x * sp.expit(x),
        twin=None,
        why=LACKS,
        special=[at(0.0, slopes=0.5, bend=0.5), *far_out(0.0, 1.0)],
    ),
    Spec(
        "elementwise",
        gl.gelu,
        each(real),
        reference=lambda x: 0.5 * x * sp.erfc(-x / np.sqrt(2.0)),
        twin=None,
        why=LACKS,
        special=[at(0.0, slopes=0.5, bend=2 / np.sqrt(2 * pi)), *far_out(0.0, 1.0)],
    ),
    Spec(
        "elementwise",
        gl.erf,
        each(real),
        reference=sp.erf,
        twin="scipy.special.erf",
        special=[at(0.0, slopes=2 / np.sqrt(pi), bend=0.0), *far_out(0.0, 0.0)],
    ),
    Spec(
        "elementwise",
        operation("normal_cdf"),
        each(real),
        reference=lambda x: 0.5 * sp.erfc(-x / np.sqrt(2.0)),
        twin=None,
        why=LACKS,
        special=far_out(0.0, 0.0),
    ),
]

# -- reductions -------------------------------------------------------------------------------

ZERO_ONE = np.array([0.0, 2.0, 3.0])
ZERO_TWO = np.array([0.0, 0.0, 3.0])
SPREADS = [Special((np.full(3, 2.0),), (np.zeros(3),), None, {"ddof": ddof}) for ddof in (0, 1)]


def norm_calls() -> list[Call]:
    tall = Draw((3, 4), spread_out)
    stack = Draw((2, 3, 4), spread_out)
    return [
        *(call(D(4), ord=order) for order in (None, 2, 3, 1.5)),
        call(tall, "fro"),
        call(tall, "nuc"),
        call(R()),
        call(R(2, 3)),
        call(R(2, 3, 2)),
        call(x=R(2, 3, 2), keepdims=True),
        call(R(2, 3), axis=1),
        call(R(2, 3), None, 0),
        call(R(2, 3, 2), axis=(0, 2)),
        call(R(0, 3), axis=1),
        *alone(
            "autograd has no rule for this order",
            *(call(D(4), ord=order) for order in (1, -1, -2, np.inf, -np.inf)),
            *(call(tall, order) for order in (1, -1, 2, -2, np.inf, -np.inf)),
            call(D(2, 3), np.inf, axis=-1),
            call(stack, 2, axis=(2, 1)),
            call(D(2, 3, 4), 1, axis=(0, 1)),
            call(D(2, 3, 4), np.inf, axis=(-1, 0)),
        ),
        *alone(
            "autograd is wrong with keepdims",
            call(R(2, 3), 3, axis=-1, keepdims=True),
            call(stack, "nuc", axis=(-2, -1), keepdims=True),
        ),
    ]


REDUCTIONS = [
    Spec("reductions", np.sum, [*over_axes(real), call(R(2, 3), axis=()), call(R(0))]),
    Spec("reductions", np.mean, [*over_axes(real), call(R(2, 3), axis=())]),
    Spec(
        "reductions",
        np.var,
        [*over_axes(real), *over_axes(real, several=False, ddof=1), call(R(4), ddof=0.5)],
        special=SPREADS,
    ),
    Spec(
        "reductions",
        np.std,
        [*over_axes(real)[:-2], *over_axes(real, several=False, ddof=1), call(R(0, 3), axis=1)],
        special=SPREADS,
    ),
    Spec(
        "reductions",
        np.prod,
        [*over_axes(nonzero), call(R(0)), call(Draw((2, 3), nonzero), axis=())],
        special=[
            at(ZERO_ONE, slopes=[6.0, 0.0, 0.0], bend=[[0, 3, 2], [3, 0, 0], [2, 0, 0]]),
            at(ZERO_TWO, slopes=[0.0, 0.0, 0.0], bend=[[0, 3, 0], [3, 0, 0], [0, 0, 0]]),
            at(np.zeros(3), slopes=np.zeros(3), bend=np.zeros((3, 3))),
            at(
                np.array([[0.0, 2.0], [3.0, 4.0]]),
                slopes=[[2.0, 0.0], [4.0, 3.0]],
                axis=1,
            ),
            at(
                np.array([[0.0, 2.0], [3.0, 4.0]]),
                slopes=[[3.0, 4.0], [0.0, 2.0]],
                axis=0,
                keepdims=True,
            ),
            at(
                np.array([[0.0, 2.0], [3.0, 4.0]]),
                slopes=[[24.0, 0.0], [0.0, 0.0]],
                axis=(1, 0),
            ),
        ],
    ),
    *(
        Spec(
            "reductions",
            extreme,
            [*over_axes(distinct), call(D(2, 3), axis=())],
            special=[
                at(np.array([2.0, 2.0, other]), slopes=[0.5, 0.5, 0.0]),
                at(np.full((2, 3), 2.0), slopes=np.full((2, 3), 1 / 3), axis=1),
                at(np.full((2, 3), 2.0), slopes=np.full((2, 3), 1 / 6), bend=None),
                at(np.array([end, end]), slopes=[0.5, 0.5]),
            ],
        )
        for extreme, other, end in (
            (np.max, 1.0, inf),
            (np.amax, 1.0, inf),
            (np.min, 3.0, -inf),
            (np.amin, 3.0, -inf),
        )
    ),
    Spec(
        "reductions",
        np.ptp,
        over_axes(distinct),
        twin=None,
        why=LACKS,
        special=[at(np.array([1.0, 3.0, 3.0]), slopes=[-1.0, 0.5, 0.5])],
    ),
    Spec(
        "reductions",
        np.cumsum,
        [
            call(R(2, 3)),
            call(R(2, 3), 0),
            call(R(2, 3, 2), axis=-2),
            call(R()),
            call(R(0, 3), axis=0),
            call(a=R(4)),
        ],
        covers=hidden("cumsum"),
    ),
    Spec(
        "reductions",
        np.cumprod,
        [
            call(Draw((2, 3), nonzero)),
            call(Draw((2, 3), nonzero), 0),
            call(Draw((2, 3, 2), nonzero), axis=-2),
            call(Draw((), nonzero)),
            call(R(0, 3), axis=0),
            call(R(3, 0), axis=0),
            call(a=Draw((4,), nonzero)),
        ],
        covers=hidden("cumprod"),
        twin=None,
        why=LACKS,
        special=[  # the sum of 0, 0 x2, ... and its derivatives, by hand
            at(ZERO_ONE, slopes=[9.0, 0.0, 0.0], bend=[[0, 4, 2], [4, 0, 0], [2, 0, 0]]),
            at(ZERO_TWO, slopes=[1.0, 0.0, 0.0], bend=[[0, 4, 0], [4, 0, 0], [0, 0, 0]]),
            at(
                np.array([[2.0, 0.0], [0.0, 3.0]]),
                slopes=[[1.0, 4.0], [2.0, 0.0]],
                axis=0,
            ),
        ],
    ),
    Spec(
        "reductions",
        np.median,
        [*over_axes(distinct), call(D(4)), call(D(5)), call(D(2, 4), axis=1, keepdims=True)],
        twin=None,
        why=LACKS,
        special=[
            at(np.array([4.0, 1.0, 3.0, 2.0]), slopes=[0.0, 0.0, 0.5, 0.5]),
            at(np.array([4.0, 1.0, 3.0]), slopes=[0.0, 0.0, 1.0]),
        ],
    ),
    Spec(
        "reductions",
        np.average,
        [
            *over_axes(real, empty=False),
            call(R(2, 3), weights=Draw((2, 3), positive)),
            call(R(2, 3), 1, Draw((3,), positive)),
            call(R(2, 3), axis=0, weights=Draw((2,), positive), keepdims=True),
            call(R(2, 3), axis=-1, weights=np.array([1, 2, 3], dtype=np.int8)),
            call(R(2, 3), axis=(0, 1), weights=Draw((2, 3), positive)),
            call(R(2, 3), axis=0, weights=Draw((2,), positive), returned=True),
            call(R(2, 3), axis=0, returned=True),
        ],
        twin=None,
        why="autograd raises: it calls NumPy's on boxes",
    ),
    Spec(
        "reductions",
        np.linalg.norm,
        norm_calls(),
        rtol=1e-5,
        atol=1e-6,
        special=[
            at(np.zeros(3), slopes=np.zeros(3)),
            *(at(np.zeros(3), slopes=np.zeros(3), ord=p) for p in (1, 2, 3, 1.5, np.inf)),
            at(np.zeros((2, 2)), slopes=np.zeros((2, 2))),
            at(np.array([[0.0, 0.0], [3.0, 4.0]]), slopes=[[0.0, 0.0], [0.6, 0.8]], axis=1),
            at(np.array([0.0, 3.0]), slopes=[0.0, 1.0], ord=3),
            at(np.array([2.0, -2.0]), slopes=[0.5, -0.5], ord=np.inf),
        ],
    ),
    Spec(
        "reductions",
        np.linalg.vector_norm,
        [
            call(R(3)),
            call(R(2, 3)),
            call(R(2, 3), axis=0, ord=1),
            call(D(2, 3), axis=1, ord=np.inf, keepdims=True),
            call(R(2, 3, 2), axis=(0, 1), ord=3),
            call(R(2, 3), keepdims=True),
        ],
        twin=None,
        why=LACKS,
        special=[at(np.zeros(3), slopes=np.zeros(3))],
    ),
    Spec(
        "reductions",
        np.linalg.matrix_norm,
        [
            call(R(2, 3)),
            call(Draw((2, 3, 4), spread_out), ord="nuc"),
            call(Draw((2, 3, 4), spread_out), ord=2, keepdims=True),
            call(D(3, 2), ord=1),
        ],
        rtol=1e-5,
        atol=1e-6,
        twin=None,
        why=LACKS,
        special=[at(np.zeros((2, 2)), slopes=np.zeros((2, 2)))],
    ),
    Spec(
        "reductions",
        gl.logsumexp,
        [
            call(R(2, 3, 4)),
            call(R(2, 3, 4), 0),
            call(R(2, 3, 4), axis=(0, -1)),
            call(R(2, 3, 4), axis=1, keepdims=True),
            call(R(2, 3), keepdims=True),
            call(x=R(3)),
            call(R()),
            call(R(0, 3), axis=1),
        ],
        reference=lambda x, axis=None, keepdims=False: sp.logsumexp(
            x, axis=axis, keepdims=keepdims
        ),
        twin="scipy.special.logsumexp",
        special=[
            at(np.array([1000.0, 1000.0]), slopes=[0.5, 0.5], dtype=np.float32),
            at(np.array([-1000.0, 1000.0]), slopes=[0.0, 1.0], dtype=np.float32),
            at(np.array([-inf, 0.0, 0.0]), slopes=[0.0, 0.5, 0.5]),
            at(np.array([-inf, -inf]), slopes=[0.0, 0.0]),
        ],
    ),
    Spec(
        "reductions",
        gl.softmax,
        [
            call(R(3)),
            call(R(2, 3)),
            call(R(2, 3), 0),
            call(R(2, 3, 2), axis=(0, 2)),
            call(x=R(2, 3), axis=None),
            call(R(0, 3)),
        ],
        reference=lambda x, axis=-1: sp.softmax(x, axis=axis) if x.size else x,
        twin=None,
        why=LACKS,
        special=[
            at(np.array([-1000.0, 1000.0]), slopes=[0.0, 0.0], dtype=np.float32),
            at(np.array([-inf, 0.0]), slopes=[0.0, 0.0]),
        ],
    ),
    Spec(
        "reductions",
        gl.log_softmax,
        [
            call(R(3)),
            call(R(2, 3)),
            call(R(2, 3), 0),
            call(R(2, 3, 2), axis=(0, 2)),
            call(x=R(2, 3), axis=None),
            call(R(0, 3)),
        ],
        reference=lambda x, axis=-1: sp.log_softmax(x, axis=axis) if x.size else x,
        twin=None,
        why=LACKS,
        special=[at(np.array([-1000.0, 1000.0]), slopes=[1.0, -1.0], dtype=np.float32)],
    ),
]

# -- shape ------------------------------------------------------------------------------------

SHAPE = [
    Spec(
        "shape",
        np.reshape,
        [
            call(R(2, 3), (3, 2)),
            call(R(2, 3), -1),
            call(R(2, 3), (-1, 2), order="F"),
            call(R(2, 3), shape=(6,)),
            call(R(), (1, 1)),
            call(R(1), ()),
            call(R(0, 3), (3, 0)),
        ],
        covers=hidden("reshape"),
    ),
    Spec(
        "shape",
        np.ravel,
        [call(R(2, 3)), call(R(2, 3, 2), "F"), call(R(2, 3), order="C"), call(R()), call(R(2, 0))],
    ),
    Spec(
        "shape",
        np.expand_dims,
        [call(R(2, 3), 0), call(R(3), axis=-1), call(R(2, 3), (0, 3)), call(R(), 0)],
    ),
    Spec(
        "shape",
        np.squeeze,
        [
            call(R(1, 3, 1)),
            call(R(1, 3, 1), 0),
            call(R(1, 3, 1), axis=(0, -1)),
            call(R()),
            call(R(1)),
            call(R(1, 0)),
        ],
    ),
    Spec(
        "shape",
        np.broadcast_to,
        [
            call(R(3), (3,)),
            *alone(
                "autograd adds no axes, and takes the shape by position only",
                call(R(3), (2, 3)),
                call(R(2, 1), shape=(2, 3)),
                call(R(), (2, 2)),
                call(R(1, 3), (0, 3)),
                call(R(), 3),
            ),
        ],
    ),
    Spec(
        "shape",
        np.transpose,
        [
            call(R(2, 3, 4)),
            call(R(2, 3, 4), (1, 2, 0)),
            *alone(
                "autograd inverts negative axes wrongly",
                call(R(2, 3, 4), axes=(-1, 0, -2)),
            ),
            call(R(2, 3), [1, 0]),
            call(R(3)),
            call(R()),
            call(R(0, 2)),
        ],
    ),
    Spec(
        "shape",
        np.swapaxes,
        [call(R(2, 3, 4), 0, 2), call(R(2, 3), axis1=-1, axis2=0), call(R(2, 0), 0, 1)],
    ),
    Spec(
        "shape",
        np.moveaxis,
        [
            call(R(2, 3, 4), 0, -1),
            call(R(2, 3, 4), source=-1, destination=0),
            call(R(2, 3, 4), (0, 2), (1, 0)),
            call(R(2, 3, 4), [2, 0], [0, 1]),
        ],
    ),
    Spec(
        "shape",
        np.rollaxis,
        [
            call(R(2, 3, 4), 2),
            call(R(2, 3, 4), 0, 3),
            *alone(
                "autograd does not take negative axes",
                call(R(2, 3, 4), -1, start=1),
                call(R(2, 3, 4), 1, -1),
                call(R(2, 3, 4), axis=0, start=-2),
            ),
        ],
    ),
    Spec(
        "shape",
        np.matrix_transpose,
        [call(R(2, 3)), call(R(2, 3, 4))],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "shape",
        np.linalg.matrix_transpose,
        [call(R(2, 3)), call(R(2, 3, 4))],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "shape",
        np.flip,
        [
            call(R(2, 3)),
            call(R(2, 3), 0),
            call(R(2, 3), axis=(0, -1)),
            call(R()),
            call(R(0, 2), 0),
            call(m=R(3)),
        ],
        twin=None,
        why=LACKS,
    ),
    Spec("shape", np.fliplr, [call(R(2, 3)), call(m=R(2, 3, 2))]),
    Spec("shape", np.flipud, [call(R(2, 3)), call(R(3))]),
    Spec(
        "shape",
        np.roll,
        [
            call(R(2, 3), 1),
            call(R(2, 3), -2, 1),
            *alone(
                "autograd cannot negate a tuple",
                call(R(2, 3), (1, 2), axis=(0, 1)),
            ),
            call(R(2, 3), shift=1, axis=(0, 1)),
            call(R(0), 2),
            call(R(), 2),
        ],
    ),
    Spec(
        "shape",
        np.rot90,
        [
            call(R(2, 3)),
            call(R(2, 3), 2),
            call(R(2, 3), k=-1),
            *alone(
                "autograd does not take axes=",
                call(R(2, 3, 4), 3, (1, 2)),
                call(R(2, 3, 4), axes=(2, 0)),
            ),
        ],
    ),
    Spec("shape", np.tril, [call(R(3, 3)), call(R(2, 3, 4), 1), call(R(3, 2), k=-1)]),
    Spec("shape", np.triu, [call(R(3, 3)), call(R(2, 3, 4), 1), call(m=R(3, 2), k=-1)]),
    Spec(
        "shape",
        np.tile,
        [
            *alone(
                "autograd is wrong for fewer repeats than axes, and for 0",
                call(R(2, 3), 2),
                call(R(2, 3), [2]),
                call(R(2), 0),
            ),
            call(R(2, 3), (2, 1)),
            call(R(3), (2, 2)),
            call(R(2, 3), reps=(2, 1, 3)),
            call(R(), 3),
            call(R(), (2, 2)),
            call(R(2, 3), ()),
        ],
    ),
    Spec(
        "shape",
        np.concatenate,
        [
            call([R(2, 3), R(1, 3)]),
            call((R(2, 3), R(2, 1), R(2, 2)), axis=1),
            call([R(2, 3), R(2, 2)], -1),
            *alone(
                "autograd does not take axis=None",
                call([R(2, 3), R(2), R()], axis=None),
            ),
            call([R(2), np.arange(3, dtype=np.int8)]),
            call([R(0, 3), R(2, 3)], 0),
            call([R(3)]),
        ],
        covers=hidden("concat"),
    ),
    Spec(
        "shape",
        np.stack,
        [
            call([R(2, 3), R(2, 3)]),
            call((R(2, 3), R(2, 3)), axis=-1),
            call([R(2), R(2), R(2)], 1),
            call([R(), R()]),
            call([R(0), R(0)]),
        ],
    ),
    Spec(
        "shape",
        np.vstack,
        [call([R(2, 3), R(3)]), call((R(3), R(3))), call([R(), R()]), call([R(1, 2, 2)])],
    ),
    Spec(
        "shape",
        np.hstack,
        [call([R(2, 3), R(2, 1)]), call((R(3), R(2))), call([R(), R(2)])],
    ),
    Spec(
        "shape",
        np.dstack,
        [call([R(2, 3), R(2, 3)]), call((R(3), R(3))), call([R(2, 3, 2), R(2, 3)]), call([R()])],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "shape",
        np.column_stack,
        [call([R(3), R(3)]), call((R(3, 2), R(3))), call([R(2, 1), R(2, 3)])],
    ),
    Spec(
        "shape",
        np.atleast_1d,
        [
            call(R()),
            call(R(2, 3)),
            *alone(
                "autograd takes one array only",
                call(R(), R(2)),
            ),
        ],
    ),
    Spec(
        "shape",
        np.atleast_2d,
        [
            call(R()),
            call(R(3)),
            call(R(2, 3, 2)),
            *alone(
                "autograd takes one array only",
                call(R(), R(2)),
            ),
        ],
    ),
    Spec(
        "shape",
        np.atleast_3d,
        [
            call(R()),
            call(R(3)),
            call(R(2, 3)),
            call(R(2, 3, 2, 2)),
            *alone(
                "autograd takes one array only",
                call(R(), R(2)),
            ),
        ],
    ),
    Spec(
        "shape",
        np.meshgrid,
        [
            call(R(2), R(3)),
            call(R(2), R(3), indexing="ij"),
            call(R(2), R(3), R(4)),
            call(R(2), R(3), sparse=True),
            call(R(2)),
            call(R(2), R()),
        ],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "shape",
        np.array_split,
        [
            call(R(5, 2), 3),
            call(R(2, 5), 2, axis=1),
            call(R(5), [1, 3]),
            call(R(5), (2, 2, 4)),
            *alone(
                "autograd does not take the keyword",
                call(R(2, 3), indices_or_sections=2, axis=-1),
            ),
            call(R(2), 3),
            call(R(5), [3, -1]),
        ],
    ),
    Spec(
        "shape",
        np.split,
        [call(R(4, 2), 2), call(R(2, 6), 3, axis=1), call(R(5), [1, 3]), call(R(2, 3), [1], -1)],
    ),
    Spec(
        "shape",
        np.hsplit,
        [
            call(R(2, 4), 2),
            *alone(
                "autograd takes axis 1 of vectors too",
                call(R(4), 2),
            ),
            call(R(2, 3), [1]),
        ],
    ),
    Spec("shape", np.vsplit, [call(R(4, 2), 2), call(R(3, 2), [1])]),
    Spec("shape", np.dsplit, [call(R(2, 1, 4), 2), call(R(1, 2, 3), [1])]),
    Spec(
        "shape",
        operation("unstack"),
        [call(R(2, 3)), call(R(3)), call(R(1, 2, 2))],
        reference=tuple,
        twin=None,
        why=LACKS,
    ),
]
if hasattr(np, "unstack"):
    SHAPE.append(
        Spec(
            "shape",
            np.unstack,
            [call(R(2, 3)), call(R(2, 3), axis=1), call(R(3, 2, 2), axis=-1)],
            twin=None,
            why=LACKS,
        )
    )

# -- indexing ---------------------------------------------------------------------------------

ROWS = np.array([[0, 2, 1], [1, 1, 0]])
PADS = [
    call(R(3, 4), 2, "constant"),
    call(R(2, 3), ((1, 2), (0, 1)), "constant"),
    *alone(
        "autograd wants the mode constant, given by position",
        call(R(2, 3), 1),
        call(R(2, 3), ((1, 2), (0, 1))),
        call(R(3), (2, 1)),
        call(array=R(2, 3), pad_width=[(1, 0), (2, 2)]),
        call(R(2, 3), 1, constant_values=0.5),
        call(R(2, 3), (1,), constant_values=((1.0, 2.0), (3.0, 4.0))),
        call(R(2, 3), {-1: (1, 2)}),
        call(R(2, 3), {0: 1}),
        call(R(0, 2), 1),
        *(call(R(3, 4), 2, mode) for mode in ("edge", "reflect", "symmetric", "wrap")),
        *(call(R(2, 3), ((0, 3), (4, 0)), mode=mode) for mode in ("edge", "reflect", "wrap")),
    ),
]

INDEXING = [
    Spec(
        "indexing",
        operation("getitem"),
        [
            call(R(4, 3), index=index)
            for index in (
                1,
                (slice(None, None, -2), 0),
                (..., None, slice(1, 3)),
                np.array([0, 2, 2, -1]),
                np.array([True, False, True, True]),
                (np.array([[0], [3]]), np.array([1, 1])),
                (slice(1, 3), [2, 2, 0]),
                (None, np.array([1, 1]), None, 2),
                [0, 0],
                True,
                np.zeros((4, 3), bool),
            )
        ],
        reference=lambda x, index: x[index],
        twin=None,
        why="autograd's is the operator [], compared in test_indexing",
    ),
    Spec(
        "indexing",
        operation("untake"),
        [
            call(R(2), index=np.array([1, 1]), shape=(3,)),
            call(R(3), index=slice(0, 3), shape=(4,)),
            call(R(2, 2), index=(slice(None), [0, 0]), shape=(2, 3)),
            call(R(2), index=np.array([True, False, True]), shape=(3,)),
        ],
        reference=lambda g, index, shape: _added_at(g, index, shape),
        twin=None,
        why="private to each library",
    ),
    Spec(
        "indexing",
        np.take,
        [
            call(R(4, 3), [0, 5, 5]),
            call(R(4, 3), np.array([[0, 3], [3, 3]]), axis=0),
            call(R(4, 3), indices=[1, -1], axis=-1),
            call(R(4, 3), 2, 1),
            call(R(4, 3), 2),
            call(R(4, 3), [5, -7], axis=0, mode="wrap"),
            call(R(4, 3), [5, -7], axis=0, mode="clip"),
            call(a=R(3), indices=[0, 0]),
            call(R(3), np.zeros((0,), int)),
        ],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "indexing",
        np.take_along_axis,
        [
            call(R(2, 3), ROWS, axis=1),
            call(R(2, 3), ROWS, -1),
            call(R(3, 3), ROWS, 0),
            call(R(2, 3), ROWS[:, :1], axis=1),
            call(R(1, 3), ROWS, axis=1),
            call(R(4), np.array([3, 3, 0]), axis=None),
            call(arr=R(2, 3), indices=ROWS),
        ],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "indexing",
        np.sort,
        [
            call(D(4)),
            *alone(
                "autograd sorts vectors only",
                call(D(2, 3)),
                call(D(2, 3), 0),
                call(D(2, 3), axis=None),
                call(D(2, 3), kind="stable"),
                call(D(2, 3), axis=-2, stable=True),
            ),
            call(R(0)),
        ],
    ),
    Spec(
        "indexing",
        np.repeat,
        [
            call(R(2, 3), 2),
            call(R(2, 3), 2, axis=1),
            *alone(
                "autograd takes one number of repeats, and no 0-d array",
                call(R(2, 3), [1, 3], 0),
                call(R(2, 3), repeats=[0, 2, 1], axis=-1),
                call(R(), 3),
            ),
            call(R(3), 0),
            call(a=R(2), repeats=2),
        ],
    ),
    Spec(
        "indexing",
        np.diagonal,
        [
            call(R(3, 3)),
            call(R(2, 4), 1),
            call(R(4, 2), offset=-1),
            call(R(2, 3, 3), axis1=1, axis2=2),
            call(R(3, 2, 4), 1, -1, 0),
            call(R(2, 2), 5),
            call(R(2, 2), -2),
        ],
        twin=None,
        why="autograd's is for the last two axes only",
    ),
    Spec(
        "indexing",
        np.linalg.diagonal,
        [call(R(2, 3, 3)), call(R(3, 4), offset=1)],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "indexing",
        np.diag,
        [
            call(R(3)),
            call(R(2), 1),
            call(R(2), k=-2),
            *alone(
                "autograd makes the gradient square",
                call(R(3, 4)),
                call(R(3, 4), -1),
            ),
            call(v=R(0)),
        ],
    ),
    Spec(
        "indexing",
        np.trace,
        [
            call(R(3, 3)),
            call(R(2, 4), 1),
            *alone(
                "autograd takes the first two axes only",
                call(R(2, 3, 4), axis1=1, axis2=2),
                call(R(2, 3, 4), 0, 2, 0),
            ),
            call(R(2, 2), offset=3),
        ],
    ),
    Spec(
        "indexing",
        np.linalg.trace,
        [call(R(2, 3, 3)), call(R(3, 4), offset=1)],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "indexing",
        np.pad,
        PADS,
        covers=hidden("pad_constant"),
    ),
]


def _added_at(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Add entry by entry, as slowly and plainly as can be."""
    out = np.zeros(shape, np.asarray(g).dtype)
    for place, value in zip(
        np.ravel(np.arange(out.size).reshape(shape)[index]), np.ravel(g), strict=True
    ):
        out.flat[place] += value
    return out


# -- linear algebra ---------------------------------------------------------------------------

MATMULS = [
    (p, q)
    for p, q in (
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((2, 3), (3, 4)),
        ((3,), (5, 3, 2)),
        ((5, 2, 3), (3,)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((1, 2, 3), (5, 3, 2)),
        ((6, 1, 2, 3), (3,)),
        ((3,), (2, 1, 3, 2)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
        ((0,), (0,)),
        ((0, 2, 3), (3, 4)),
    )
]
DOTS = [
    ((), ()),
    ((), (2, 3)),
    ((3,), ()),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((2, 2, 3), (3,)),
    ((2, 2, 3), (3, 4)),
    ((3,), (2, 3, 2)),
    ((2, 3), (2, 3, 2)),
    ((2, 2, 3), (2, 3, 2)),
    ((0, 3), (3, 0)),
]
EINSUMS = [
    ("i->", [(3,)]),
    ("i->i", [(3,)]),
    ("ij->ji", [(2, 3)]),
    ("ij->", [(2, 3)]),
    ("ij->j", [(2, 3)]),
    ("ba", [(2, 3)]),
    ("i,i->", [(3,), (3,)]),
    ("i,i->i", [(3,), (3,)]),
    ("i,j->ij", [(2,), (3,)]),
    ("i,j->ji", [(2,), (3,)]),
    ("i,j->", [(2,), (3,)]),
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("ij,kj->ki", [(2, 3), (4, 3)]),
    ("ij,ij->", [(2, 3), (2, 3)]),
    ("ij,j->", [(2, 3), (3,)]),
    ("ij,k->ik", [(2, 3), (4,)]),
    ("bij,bjk->bik", [(2, 3, 2), (2, 2, 3)]),
    ("bij,jk->bik", [(2, 3, 2), (2, 3)]),
    ("bhqd,bhkd->bhqk", [(2, 1, 3, 2), (2, 1, 2, 2)]),
    ("i,i,i->i", [(3,), (3,), (3,)]),
    ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 2)]),
    ("a,ab,abc->c", [(2,), (2, 3), (2, 3, 2)]),
    ("...->...", [(2, 3)]),
    ("i...->...", [(2, 3, 2)]),
    ("...i->...", [(2, 3)]),
    ("...ij,...jk->...ik", [(2, 2, 3), (2, 3, 2)]),
    ("...ij,...jk->...ik", [(2, 1, 2, 3), (4, 3, 2)]),
    ("...ij,jk->...ik", [(2, 2, 3), (3, 2)]),
    ("i...,i...->...", [(2, 3), (2, 3)]),
    ("...i,...i", [(2, 3), (3,)]),
    ("...,...->...", [(2, 3), ()]),
    (",i->i", [(), (3,)]),
    ("->", [()]),
    (" i j , j k -> i k ", [(2, 3), (3, 2)]),
    ("ij,jk->ik", [(2, 1), (3, 2)]),  # an axis of length one is broadcast
    ("ij,ij->ij", [(1, 3), (2, 3)]),
    ("ij,jk->ik", [(0, 3), (3, 2)]),
    ("Zz->zZ", [(2, 3)]),
]
DIAGONALS = [
    ("ii->", [(3, 3)]),
    ("ii->i", [(3, 3)]),
    ("iij->j", [(2, 2, 3)]),
    ("iii->i", [(3, 3, 3)]),
    ("ii", [(3, 3)]),
    ("ii,i->i", [(3, 3), (3,)]),
    ("ii,jj->ij", [(2, 2), (3, 3)]),
    ("...ii->...i", [(2, 3, 3)]),
]


def einsums(rows: Any) -> list[Call]:
    return [Call((text, *(R(*shape) for shape in shapes))) for text, shapes in rows]


UP = [(3, 3), (2, 3, 3), (1, 1), (0, 0), (0, 2, 2)]


def matrices(domain: Any, **params: Any) -> list[Call]:
    """Call on square matrices and stacks of them."""
    return [Call((Draw(shape, domain),), params) for shape in UP]


def pairs(shapes: Any, **params: Any) -> list[Call]:
    return [Call((R(*p), R(*q)), params) for p, q in shapes]


LINALG = [
    Spec("linalg", np.matmul, pairs(MATMULS)),
    Spec("linalg", np.linalg.matmul, pairs(MATMULS[1:8]), twin=None, why=LACKS),
    Spec("linalg", np.dot, pairs(DOTS)),
    Spec(
        "linalg",
        np.inner,
        pairs(
            [
                ((), ()),
                ((), (2, 3)),
                ((3,), (3,)),
                ((2, 3), (3,)),
                ((3,), (2, 3)),
                ((2, 3), (4, 3)),
                ((2, 2, 3), (4, 3)),
                ((2, 0), (3, 0)),
            ]
        ),
    ),
    Spec(
        "linalg",
        np.vdot,
        pairs([((3,), (3,)), ((2, 3), (2, 3)), ((2, 3), (6,)), ((), ()), ((0,), (0,))]),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.outer,
        [
            *pairs([((2,), (3,)), ((0,), (2,)), ((2, 1), (1, 2))]),
            *alone("autograd is for vectors", *pairs([((2, 2), (3,)), ((), (3,))])),
        ],
    ),
    Spec("linalg", np.linalg.outer, pairs([((2,), (3,)), ((0,), (2,))]), twin=None, why=LACKS),
    Spec(
        "linalg",
        np.vecdot,
        [
            *pairs([((3,), (3,)), ((2, 3), (3,)), ((2, 1, 3), (4, 3)), ((2, 0), (0,))]),
            call(R(3, 2), R(3, 2), axis=0),
        ],
        covers=hidden("vecdot"),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.linalg.vecdot,
        [call(R(2, 3), R(2, 3)), call(R(3, 2), R(3, 2), axis=0)],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.kron,
        pairs(
            [
                ((2,), (3,)),
                ((2, 3), (3, 2)),
                ((2, 3), (2,)),
                ((2,), (2, 3)),
                ((), (3,)),
                ((2, 1, 2), (2, 2)),
                ((0,), (3,)),
            ]
        ),
    ),
    Spec(
        "linalg",
        np.cross,
        [
            call(R(3), R(3)),
            *alone(
                "autograd forgets to sum over what it broadcasts",
                *pairs([((2, 3), (3,)), ((2, 1, 3), (4, 3)), ((0, 3), (3,))]),
            ),
            call(R(3, 2), R(3, 2), axis=0),
            call(R(3, 2), R(2, 3), axisa=0, axisb=1, axisc=0),
            call(R(3, 2), R(2, 3), 0, 1),
        ],
        covers=hidden("cross"),
    ),
    Spec(
        "linalg",
        np.linalg.cross,
        [call(R(2, 3), R(2, 3)), call(R(3, 2), R(3, 2), axis=0)],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.tensordot,
        [
            call(R(2, 3, 4), R(3, 4, 2)),
            call(R(2, 3), R(3, 2), 1),
            call(R(2), R(3), axes=0),
            call(R(2, 3, 4), R(4, 3), axes=([1, 2], [1, 0])),
            call(R(2, 3, 4), R(4, 2), ((-1, 0), (0, 1))),
            call(R(2, 3), R(2, 3), axes=2),
            call(R(3), R(3), axes=(0, 0)),
            call(R(0, 3), R(3, 2), axes=1),
        ],
    ),
    Spec(
        "linalg",
        np.linalg.tensordot,
        [call(R(2, 3, 4), R(3, 4, 2)), call(R(2, 3), R(3, 2), axes=1)],
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.einsum,
        [
            *einsums(EINSUMS),
            *alone("autograd does not take a repeated index", *einsums(DIAGONALS)),
            call("ij,jk,kl->il", R(2, 3), R(3, 2), R(2, 2), optimize=True),
            call("ij,jk,kl->il", R(2, 3), R(3, 2), R(2, 2), optimize="greedy"),
            call(R(2, 3), [0, 1], R(3, 2), [1, 2], [2, 0]),
            *alone(
                "autograd needs the indices of the result, and no dots in lists",
                call(R(2, 3), [0, 1], R(3, 2), [1, 2]),
                call(R(2, 3), [..., 0], R(3), [0], [...]),
            ),
            call("ij,j->i", R(2, 3), np.array([1, 2, 3], dtype=np.int8)),
        ],
        covers=hidden("einsum"),
    ),
    Spec("linalg", np.linalg.inv, matrices(regular)),
    Spec(
        "linalg",
        np.linalg.solve,
        [
            call(Draw((3, 3), regular), R(3)),
            call(Draw((3, 3), regular), R(3, 2)),
            call(Draw((2, 3, 3), regular), R(2, 3, 2)),
            *alone(
                "autograd broadcasts no stacks, and takes a stack of vectors for b",
                call(Draw((2, 3, 3), regular), R(3, 2)),
                call(Draw((3, 3), regular), R(2, 3, 2)),
                call(Draw((2, 3, 3), regular), R(3)),
            ),
            call(a=Draw((1, 1), regular), b=R(1)),
            call(Draw((0, 0), regular), R(0)),
        ],
    ),
    Spec(
        "linalg",
        np.linalg.pinv,
        [
            call(Draw((3, 3), spread_out)),
            call(Draw((4, 2), spread_out)),
            call(Draw((2, 2, 4), spread_out)),
            *alone(
                "autograd does not take rcond",
                call(Draw((3, 2), spread_out), rcond=1e-8),
                call(Draw((3, 2), spread_out), 1e-8),
            ),
        ],
    ),
    Spec(
        "linalg",
        np.linalg.matrix_power,
        [
            *(call(Draw((3, 3), regular), n) for n in (-3, -1, 0, 1, 2, 3, 6)),
            call(Draw((2, 2, 2), regular), n=5),
        ],
        twin=None,
        why=LACKS,
        special=[at(np.eye(2), 0, slopes=(np.zeros((2, 2)), None))],
    ),
    Spec(
        "linalg",
        np.linalg.multi_dot,
        [
            call([R(2, 3), R(3, 4)]),
            call([R(2, 3), R(3, 4), R(4, 2)]),
            call((R(3), R(3, 4), R(4, 2))),
            call([R(2, 3), R(3, 4), R(4)]),
            call([R(3), R(3, 4), R(4, 2), R(2)]),
            call([R(3), R(3)]),
        ],
        covers=hidden("chain"),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "linalg",
        np.linalg.det,
        matrices(regular),
        special=[
            at(np.array([[1.0, 2.0], [2.0, 4.0]]), slopes=[[4.0, -2.0], [-2.0, 1.0]]),
            at(
                np.zeros((2, 2)),
                slopes=np.zeros((2, 2)),
                bend=np.reshape([0, 0, 0, 1, 0, 0, -1, 0, 0, -1, 0, 0, 1, 0, 0, 0], (2, 2, 2, 2)),
            ),
            at(np.diag([0.0, 2.0, 3.0]), slopes=np.diag([6.0, 0.0, 0.0])),
            at(np.diag([0.0, 0.0, 3.0]), slopes=np.zeros((3, 3))),
        ],
    ),
    Spec(
        "linalg",
        operation("cofactor"),
        [call(Draw(shape, regular)) for shape in UP[:3]],
        reference=lambda a: (
            np.linalg.det(a)[..., None, None] * np.swapaxes(np.linalg.inv(a), -1, -2)
        ),
        order=1,
        why="det needs its first derivative only",
        twin=None,
    ),
    Spec(
        "linalg",
        np.linalg.slogdet,
        matrices(regular),
    ),
    Spec(
        "linalg",
        np.linalg.cholesky,
        [
            *matrices(positive_definite),
            *alone(
                "autograd does not take upper=",
                call(Draw((3, 3), positive_definite), upper=True),
            ),
        ],
        prepare=symmetrised,
    ),
    Spec(
        "linalg",
        np.linalg.eigh,
        [
            call(Draw((3, 3), symmetric)),
            call(Draw((2, 3, 3), symmetric)),
            call(Draw((3, 3), symmetric), "U"),
            call(Draw((3, 3), symmetric), UPLO="L"),
            call(Draw((1, 1), symmetric)),
        ],
        rtol=1e-5,
        atol=1e-6,
        prepare=symmetrised,
    ),
    Spec(
        "linalg",
        np.linalg.eigvalsh,
        [call(Draw((3, 3), symmetric)), call(Draw((2, 3, 3), symmetric), UPLO="U")],
        prepare=symmetrised,
        twin=None,
        why=LACKS,
        special=[at(np.eye(2), slopes=np.eye(2))],
    ),
    Spec(
        "linalg",
        np.linalg.svd,
        [
            call(Draw((3, 3), spread_out), full_matrices=False),
            call(Draw((4, 2), spread_out), full_matrices=False),
            call(Draw((2, 4), spread_out), False),
            call(Draw((2, 3, 2), spread_out), full_matrices=False),
            call(Draw((2, 2, 3), spread_out), full_matrices=False),
            *alone(
                "autograd wants full_matrices=False said",
                call(Draw((3, 3), spread_out)),
            ),
            call(Draw((4, 2), spread_out), compute_uv=False),
        ],
        covers=hidden("svd"),
        rtol=1e-5,
        atol=1e-6,
    ),
    Spec(
        "linalg",
        np.linalg.svdvals,
        [call(Draw((3, 2), spread_out)), call(Draw((2, 2, 3), spread_out))],
        twin=None,
        why=LACKS,
    ),
]
if hasattr(np, "matvec"):
    LINALG += [
        Spec(
            "linalg",
            np.matvec,
            pairs([((2, 3), (3,)), ((2, 3), (4, 3)), ((4, 2, 3), (3,)), ((0, 3), (3,))]),
            twin=None,
            why=LACKS,
        ),
        Spec(
            "linalg",
            np.vecmat,
            pairs([((3,), (3, 2)), ((4, 3), (3, 2)), ((3,), (4, 3, 2)), ((0, 3), (3, 2))]),
            twin=None,
            why=LACKS,
        ),
    ]

# -- fused ------------------------------------------------------------------------------------


def reduced(losses: Any, reduction: str) -> Any:
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def plain_cross_entropy(logits: Any, target: Any, reduction: str = "mean") -> Any:
    log_p = sp.log_softmax(logits, axis=-1)
    if target.dtype.kind != "f":
        target = np.eye(logits.shape[-1])[target]
    return reduced(-np.sum(target * log_p, axis=-1), reduction)


def plain_bce(logits: Any, target: Any, reduction: str = "mean") -> Any:
    return reduced(
        -(target * sp.log_expit(logits) + (1 - target) * sp.log_expit(-logits)), reduction
    )


def plain_huber(prediction: Any, target: Any, delta: float = 1.0, reduction: str = "mean") -> Any:
    d = abs(prediction - target)
    return reduced(np.where(d < delta, d**2 / 2, delta * (d - delta / 2)), reduction)


def losses(first: Any, second: Any, **params: Any) -> list[Call]:
    """Call a loss of two arrays of one shape with every reduction."""
    return [
        Call((Draw(shape, first), Draw(shape, second)), {**params, **reduction})
        for shape, reduction in itertools.chain(
            itertools.product([(2, 3), (4,), ()], [{}]),
            itertools.product([(2, 3)], [{"reduction": r} for r in ("mean", "sum", "none")]),
            [((0,), {"reduction": "sum"}), ((0, 2), {"reduction": "none"})],
        )
    ]


def cross_entropies() -> list[Call]:
    hard = [
        call(R(*shape, 3), Draw(shape, classes), **params)
        for shape in ((4,), (), (2, 2))
        for params in ({}, {"reduction": "none"}, {"reduction": "sum"})
    ]
    soft = [
        call(R(*shape, 3), Draw((*shape, 3), distribution), **params)
        for shape in ((4,), (), (2, 2))
        for params in ({}, {"reduction": "none"}, {"reduction": "sum"})
    ]
    return [
        *hard,
        *soft,
        call(R(2, 3), Draw((2, 3), positive)),  # weights need not sum to one
        call(R(4, 3), target=Draw((4,), classes)),
        call(R(0, 3), Draw((0,), classes), reduction="sum"),
    ]


FUSED = [
    Spec(
        "fused",
        gl.affine,
        [
            call(R(4, 2), R(2, 3), R(3)),
            call(R(2), R(2, 3), R(3)),
            call(R(2, 4, 2), R(2, 3), R(3)),
            call(R(4, 2), R(2, 3)),
            call(R(4, 2), R(2, 3), None),
            call(x=R(4, 2), W=R(2, 3), b=R(3)),
            call(R(0, 2), R(2, 3), R(3)),
            call(R(4, 0), R(0, 3), R(3)),
        ],
        reference=lambda x, W, b=None: np.dot(x, W) + (0 if b is None else b),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "fused",
        gl.cross_entropy,
        cross_entropies(),
        reference=plain_cross_entropy,
        twin=None,
        why=LACKS,
    ),
    Spec(
        "fused",
        gl.bce_with_logits,
        losses(real, probability),
        reference=plain_bce,
        twin=None,
        why=LACKS,
        special=[
            at(
                np.array([-1000.0, 1000.0]),
                np.array([1.0, 0.0]),
                slopes=([-1.0, 1.0], [1000.0, -1000.0]),
                reduction="sum",
                dtype=np.float32,
            ),
        ],
    ),
    Spec(
        "fused",
        gl.mse,
        losses(real, real),
        reference=lambda prediction, target, reduction="mean": reduced(
            (prediction - target) ** 2, reduction
        ),
        twin=None,
        why=LACKS,
    ),
    Spec(
        "fused",
        gl.huber,
        [*losses(real, real), *losses(real, real, delta=0.3)],
        reference=plain_huber,
        twin=None,
        why=LACKS,
        special=[
            at(
                np.array([-1000.0, 0.5, 1000.0]),
                np.zeros(3),
                slopes=([-1.0, 0.5, 1.0], [1.0, -0.5, -1.0]),
                reduction="sum",
                dtype=np.float32,
            ),
        ],
    ),
]

SPECS = [*ELEMENTWISE, *REDUCTIONS, *SHAPE, *INDEXING, *LINALG, *FUSED]

# -- the functions that the specification of the engine names -----------------------------------

NAMED = """
    add subtract multiply divide power negative positive absolute sign exp exp2 expm1 log log2 log10
    log1p sqrt cbrt square reciprocal sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh
    arcsinh arccosh arctanh maximum minimum fmax fmin clip where logaddexp logaddexp2 hypot sinc
    nan_to_num floor ceil round trunc mod remainder
    gl.relu gl.sigmoid gl.softplus gl.gelu gl.silu gl.leaky_relu gl.elu gl.erf
    sum mean prod var std max amax min amin cumsum cumprod ptp median average trace linalg.norm
    gl.logsumexp gl.softmax gl.log_softmax
    reshape ravel transpose swapaxes moveaxis rollaxis expand_dims squeeze broadcast_to
    atleast_1d atleast_2d atleast_3d concatenate stack vstack hstack dstack column_stack split
    array_split repeat tile flip roll rot90 pad diag diagonal tril triu meshgrid
    take take_along_axis sort
    matmul dot vdot inner outer tensordot einsum kron cross linalg.inv linalg.solve linalg.det
    linalg.slogdet linalg.cholesky linalg.eigh linalg.svd linalg.pinv linalg.matrix_power
    linalg.multi_dot
    gl.affine gl.cross_entropy gl.bce_with_logits gl.mse gl.huber
"""
NAMED_PLAIN = """
    argsort argmax searchsorted equal not_equal less less_equal greater greater_equal
    logical_and logical_or logical_xor logical_not
"""


def resolve(name: str) -> Callable[..., Any]:
    """Find the function that a name in these lists means."""
    found: Any = gl if name.startswith("gl.") else np
    for part in name.removeprefix("gl.").split("."):
        found = getattr(found, part)
    return found
