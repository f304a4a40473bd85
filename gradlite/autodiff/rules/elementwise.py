"""Rules of the elementwise functions: the calculus table.

``g`` is the cotangent of the output ``ans``; ``x``, ``y`` are the arguments. Formulas are those of
any table of derivatives; a note says where a convention was needed (ties, points without a
derivative).
"""

from __future__ import annotations

import operator
from math import log, nan, pi
from typing import Any

import numpy as np

from gradlite.autodiff.define import decomposition, defvjp, primitive
from gradlite.autodiff.precision import wide
from gradlite.autodiff.rule import NON_DIFFERENTIABLE, RULES
from gradlite.errors import MissingRuleError

LN2, LN10 = log(2.0), log(10.0)


def nonzero(x: Any) -> Any:
    """Return `x` with Inf in place of zeros, so that dividing by it gives 0 there."""
    return np.where(x == 0, np.inf, x)


# -- arithmetic -------------------------------------------------------------------------------

defvjp(np.add, lambda g, ans, x, y: g, lambda g, ans, x, y: g)
defvjp(np.subtract, lambda g, ans, x, y: g, lambda g, ans, x, y: -g)
defvjp(np.multiply, lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x)
defvjp(np.divide, lambda g, ans, x, y: g / y, lambda g, ans, x, y: -g * ans / y)
defvjp(np.negative, lambda g, ans, x: -g)
defvjp(np.positive, lambda g, ans, x: g)
defvjp(np.reciprocal, lambda g, ans, x: -g * ans * ans)
defvjp(np.square, lambda g, ans, x: g * (2.0 * x))
defvjp(np.remainder, lambda g, ans, x, y: g, lambda g, ans, x, y: -g * np.floor(x / y))
defvjp(np.fmod, lambda g, ans, x, y: g, lambda g, ans, x, y: -g * np.trunc(x / y))


def steep(x: Any, y: Any) -> Any:
    """Return where x**y has an infinite slope in x: at x = 0, for y between 0 and 1."""
    return (x == 0) * (y > 0) * (y < 1)


def power_base(g: Any, ans: Any, x: Any, y: Any) -> Any:
    """Differentiate x**y with respect to x: y x**(y-1), and 0 where y = 0 even at x = 0.

    For y between 0 and 1 the slope at x = 0 is infinite; the subgradient taken is 0, as of sqrt.
    (Where x is a Python float, it is an error.)
    """
    if isinstance(y, (int, float)):
        if 0 < y < 1 and type(x) is not float:
            return g * (y * nonzero(x) ** (y - 1))
        return g * (y * x ** (y - 1)) if y else np.zeros_like(g)
    return g * np.where(
        steep(x, y), 0, y * np.where(steep(x, y), 1, x) ** np.where(y == 0, 1, y - 1)
    )


def power_exponent(g: Any, ans: Any, x: Any, y: Any) -> Any:
    """Differentiate x**y with respect to y: x**y log x, and 0 at x = 0 (the limit for y > 0)."""
    if isinstance(x, (int, float)):
        return g * ans * (log(x) if x > 0 else 0.0 if x == 0 else nan)
    return g * ans * np.log(np.where(x == 0, 1, x))


defvjp(np.power, power_base, power_exponent)
RULES[np.power].fn = operator.pow  # knows short cuts for exponents 2, 0.5 and -1

# -- powers, exponentials, logarithms ---------------------------------------------------------

# At 0, where sqrt ends, its slope is infinite; the subgradient taken there is 0. (cbrt does not
# end at 0: its slope is infinite on both sides, and stays so.)
defvjp(np.sqrt, lambda g, ans, x: g * 0.5 / nonzero(ans))
defvjp(np.cbrt, lambda g, ans, x: g / (3.0 * ans * ans))
defvjp(np.exp, lambda g, ans, x: g * ans)
defvjp(np.exp2, lambda g, ans, x: g * ans * LN2)
defvjp(np.expm1, lambda g, ans, x: g * (ans + 1.0))
defvjp(np.log, lambda g, ans, x: g / x)
defvjp(np.log2, lambda g, ans, x: g / (x * LN2))
defvjp(np.log10, lambda g, ans, x: g / (x * LN10))
defvjp(np.log1p, lambda g, ans, x: g / (x + 1.0))


def above(x: Any, ans: Any) -> Any:
    """Subtract the output of a log-sum-exp, which may be -inf (then every x is)."""
    return x - np.where(np.isneginf(ans), 0, ans)


defvjp(
    np.logaddexp,
    lambda g, ans, x, y: g * np.exp(above(x, ans)),
    lambda g, ans, x, y: g * np.exp(above(y, ans)),
)
defvjp(
    np.logaddexp2,
    lambda g, ans, x, y: g * np.exp2(above(x, ans)),
    lambda g, ans, x, y: g * np.exp2(above(y, ans)),
)

# -- trigonometric and hyperbolic -------------------------------------------------------------

defvjp(np.sin, lambda g, ans, x: g * np.cos(x))
defvjp(np.cos, lambda g, ans, x: -g * np.sin(x))
defvjp(np.tan, lambda g, ans, x: g * (1.0 + ans * ans))
defvjp(np.arcsin, lambda g, ans, x: g / np.sqrt(1.0 - x * x))
defvjp(np.arccos, lambda g, ans, x: -g / np.sqrt(1.0 - x * x))
defvjp(np.arctan, lambda g, ans, x: g / np.hypot(x, 1.0) / np.hypot(x, 1.0))
defvjp(np.sinh, lambda g, ans, x: g * np.cosh(x))
defvjp(np.cosh, lambda g, ans, x: g * np.sinh(x))
defvjp(np.tanh, lambda g, ans, x: g - g * ans * ans)
defvjp(np.arcsinh, lambda g, ans, x: g / np.hypot(x, 1.0))
defvjp(np.arccosh, lambda g, ans, x: g / np.sqrt(x - 1.0) / np.sqrt(x + 1.0))
defvjp(np.arctanh, lambda g, ans, x: g / (1.0 - x * x))
# At the origin, where neither has a derivative, the subgradient taken is 0.
defvjp(
    np.arctan2,
    lambda g, ans, y, x: g * (x / nonzero(np.hypot(x, y))) / nonzero(np.hypot(x, y)),
    lambda g, ans, y, x: -g * (y / nonzero(np.hypot(x, y))) / nonzero(np.hypot(x, y)),
)
defvjp(
    np.hypot,
    lambda g, ans, x, y: g * (x / nonzero(ans)),
    lambda g, ans, x, y: g * (y / nonzero(ans)),
)
defvjp(np.deg2rad, lambda g, ans, x: g * (pi / 180.0))
defvjp(np.rad2deg, lambda g, ans, x: g * (180.0 / pi))
defvjp(np.radians, lambda g, ans, x: g * (pi / 180.0))
defvjp(np.degrees, lambda g, ans, x: g * (180.0 / pi))


def sinc_slope(x: Any) -> Any:
    """Differentiate sin(pi x) / (pi x): by its series near 0, where the quotient cancels."""
    u = pi * x
    near = np.abs(u) < 0.1
    far = np.where(near, 1.0, x)
    v = u * u
    series = -pi * u * (1 / 3 - v * (1 / 30 - v * (1 / 840 - v * (1 / 45360))))
    return np.where(near, series, (np.cos(pi * far) - np.sin(pi * far) / (pi * far)) / far)


defvjp(np.sinc, lambda g, ans, x: g * sinc_slope(x))

# -- corners and steps ------------------------------------------------------------------------

# |x| has the subgradient 0 at 0, as sign(0) = 0.
defvjp(np.absolute, lambda g, ans, x: g * np.sign(x))
defvjp(np.fabs, lambda g, ans, x: g * np.sign(x))


def chosen(g: Any, ans: Any, x: Any, y: Any) -> Any:
    """Return the cotangent to whichever argument is the output; equal ones get half each."""
    # Products with masks: np.where is many times slower where the choice changes often.
    return g * (x == ans) - (g * (x == y)) * 0.5


for choice in (np.maximum, np.minimum, np.fmax, np.fmin):
    defvjp(choice, chosen, lambda g, ans, x, y: chosen(g, ans, y, x), masks=True)

for step in (np.sign, np.floor, np.ceil, np.trunc, np.rint):
    defvjp(step, lambda g, ans, x: np.zeros(g.shape, g.dtype))
defvjp(np.round, lambda g, ans, a, decimals=0: np.zeros(g.shape, g.dtype))
defvjp(np.around, lambda g, ans, a, decimals=0: np.zeros(g.shape, g.dtype))
defvjp(
    np.floor_divide,
    lambda g, ans, x, y: np.zeros(g.shape, g.dtype),
    lambda g, ans, x, y: np.zeros(g.shape, g.dtype),
)


@primitive
def where(condition: Any, x: Any, y: Any) -> Any:
    """Choose entries of `x` where the condition holds, of `y` elsewhere."""
    return np.where(condition, x, y)


@decomposition(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    if not branches:
        return np.nonzero(condition)
    if len(branches) != 2:
        raise ValueError("np.where takes both branches or neither.")
    return where(condition, *branches)


defvjp(
    where,
    None,
    lambda g, ans, condition, x, y: np.where(condition, g, 0),
    lambda g, ans, condition, x, y: np.where(condition, 0, g),
    name="np.where",
    masks=True,
)


@primitive
def nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Replace NaN and infinity by numbers, in an array of its own."""
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


@decomposition(np.nan_to_num)
def _nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    if not copy:
        raise MissingRuleError(
            "np.nan_to_num on a Tensor does not take copy=False: the derivative needs the numbers "
            "that would be replaced. Leave it out."
        )
    return nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


defvjp(
    nan_to_num,
    lambda g, ans, x, nan=0.0, posinf=None, neginf=None: g * np.isfinite(x),
    name="np.nan_to_num",
    masks=True,
)
defvjp(np.copy, lambda g, ans, a: g)


@primitive
def clip(x: Any, low: Any, high: Any) -> Any:
    """Limit values to an interval, either end of which may be None."""
    return x.copy() if low is None and high is None else np.clip(x, low, high)


def crossed(low: Any, high: Any) -> Any:
    """Return where no number lies between the bounds; the upper one is the output there."""
    return low is not None and high is not None and low > high


# On a bound itself the cotangent goes to x.
defvjp(
    clip,
    lambda g, ans, x, low, high: g * ((x == ans) > crossed(low, high)),  # one, and not the other
    lambda g, ans, x, low, high: g * ((x < ans) > crossed(low, high)),
    lambda g, ans, x, low, high: g * ((x > ans) + crossed(low, high)),  # one, or the other
    name="np.clip",
    masks=True,
)


@decomposition(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return clip(a, a_min if min is None else min, a_max if max is None else max)


@primitive
def astype(x: Any, dtype: Any, source: Any) -> Any:
    """Convert to `dtype`; `source` is the type of `x`, to which its cotangent returns."""
    return x.astype(dtype)


def of_source(g: Any, dtype: Any, source: Any) -> Any:
    """Return the cotangent of numbers converted from `source`; it stays wide for float16."""
    return astype(g, dtype=source, source=dtype) if source != np.float16 else wide(g)


defvjp(astype, lambda g, ans, x, dtype, source: of_source(g, dtype, source))

# -- which rules never meet an infinite slope -------------------------------------------------

REGULAR: tuple[Any, ...] = (
    np.add, np.subtract, np.negative, np.positive, np.sign, np.floor, np.ceil,
    np.trunc, np.rint, np.floor_divide, np.maximum, np.minimum, np.fmax, np.fmin,
)  # fmt: skip
for fn in REGULAR:
    RULES[fn].singular = False
RULES[np.sinc].singular = True  # not a ufunc

# -- no derivative: these give plain arrays ---------------------------------------------------

NON_DIFFERENTIABLE.update(
    (
        np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
        np.logical_and, np.logical_or, np.logical_xor, np.logical_not,
        np.isnan, np.isinf, np.isfinite, np.isneginf, np.isposinf, np.signbit,
        np.isclose, np.allclose, np.array_equal, np.array_equiv,
        np.isin, np.shares_memory, np.may_share_memory,
        np.zeros_like, np.ones_like, np.empty_like,
        np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj, np.isreal,
    )
)  # fmt: skip
