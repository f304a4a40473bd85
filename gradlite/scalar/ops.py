"""How operations on single numbers carry gradients: the rule table at work on Python floats.

An `Op` is made from a rule of the table and handles plain numbers: the very lambda that serves
arrays, ``lambda g, ans, x, y: g * y``, is called with floats here.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from gradlite.autodiff.rule import RULES, Function
from gradlite.autodiff.rules.activations import relu, sigmoid
from gradlite.errors import DivisionError, DomainError, DtypeError, RangeError

Pull = Callable[[Any], Any]
NUMPY_NUMBERS = frozenset(np.dtype(code).type for code in np.typecodes["AllInteger"] + "efd")


class Op:
    """What a Value knows of the operation that made it.

    Attributes
    ----------
    name : str
        The label of the operation.
    pull : callable
        ``pull(value)`` adds to ``grad`` of the inputs what ``value.grad`` contributes. What it
        returns, unless None, says that the value's gradient leaves the graph of Values there.
    expand : callable or None
        ``expand(value)`` writes the value as the operations of the original engine would have:
        a difference as a sum, for one. None where it stands so already.
    closure : callable or None
        A ``_backward`` that the user wrote.
    """

    __slots__ = ("closure", "expand", "name", "pull")

    def __init__(
        self,
        name: str,
        pull: Pull,
        expand: Callable[[Any], None] | None = None,
        closure: Callable[[], Any] | None = None,
    ) -> None:
        self.name = name
        self.pull = pull
        self.expand = expand
        self.closure = closure


def of_one(vjp: Function) -> Pull:
    """Pull through a function of one Value."""

    def pull(value: Any) -> None:
        (x,) = value._inputs
        x.grad += vjp(value.grad, value.data, x.data)

    return pull


def of_two(vjp_x: Function, vjp_y: Function) -> Pull:
    """Pull through a function of two Values."""

    def pull(value: Any) -> None:
        x, y = value._inputs
        g, ans, a, b = value.grad, value.data, x.data, y.data
        x.grad += vjp_x(g, ans, a, b)
        y.grad += vjp_y(g, ans, a, b)

    return pull


def of_first(vjp: Function) -> Pull:
    """Pull through a function of a Value and a constant."""

    def pull(value: Any) -> None:
        (x,) = value._inputs
        value._passed = g = value.grad
        x.grad += vjp(g, value.data, x.data, value._extra)

    return pull


def of_second(vjp: Function) -> Pull:
    """Pull through a function of a constant and a Value."""

    def pull(value: Any) -> None:
        (y,) = value._inputs
        value._passed = g = value.grad
        y.grad += vjp(g, value.data, value._extra, y.data)

    return pull


def noted(pull: Pull) -> Pull:
    """Pull, and note what was passed on, for an operation that can be expanded."""

    def pull_and_note(value: Any) -> None:
        pull(value)
        value._passed = value.grad

    return pull_and_note


def as_float(vjp: Function) -> Function:
    """Make the answer of a rule a Python float where NumPy functions in it make it another."""
    return lambda *args: float(vjp(*args))


def number(x: Any) -> Any:
    """Check what a Value is to hold: one real number, as a Python float or int.

    Raises
    ------
    DtypeError
        If it is not a number.
    """
    if isinstance(x, (np.generic, np.ndarray)) and x.ndim == 0 and x.dtype.kind in "fiub":
        x = x.item()
    if isinstance(x, (float, int)):
        return float(x) if isinstance(x, float) else int(x)
    if isinstance(x, numbers.Real):
        return float(x)
    shape = getattr(x, "shape", None)
    if shape:
        raise DtypeError(
            f"A Value holds one real number, not an array of shape {shape}: take its elements "
            f"one by one, or make a gl.Tensor of it."
        )
    raise DtypeError(f"A Value holds one real number, not {short(x)} ({type(x).__name__}).")


def short(x: Any) -> str:
    """Write an object in a few words."""
    text = repr(x)
    return text if len(text) <= 60 else f"{text[:57]}..."


def power(x: Any, y: Any) -> Any:
    """Compute x**y, a real number."""
    try:
        ans = x**y
    except ZeroDivisionError:
        raise DivisionError(f"{x!r} ** {y!r} is a division by zero.") from None
    except OverflowError:
        raise RangeError(f"{x!r} ** {y!r} is too large for a float.") from None
    if type(ans) is complex:
        raise DomainError(f"{x!r} ** {y!r} is not real: the base must not be negative here.")
    return ans


def quotient(x: Any, y: Any) -> Any:
    """Compute x / y."""
    try:
        return x / y
    except ZeroDivisionError:
        raise DivisionError(f"{x!r} / {y!r} is a division by zero.") from None


def logistic(x: float) -> float:
    """Compute 1 / (1 + exp(-x)) without overflow."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return (small := math.exp(x)) / (1.0 + small)


def rectify(x: float) -> float:
    """Compute max(x, 0); NaN stays NaN."""
    return 0.0 if x < 0 else x


# name: the function on floats, the function whose rule serves, whether that rule is made of
# operators alone (then it gives floats for floats), and where the function is defined.
FUNCTIONS: dict[str, tuple[Callable[[float], float], Function, bool, str]] = {
    "tanh": (math.tanh, np.tanh, True, "a real number"),
    "relu": (rectify, relu, True, "a real number"),
    "exp": (math.exp, np.exp, True, "a number below 709.78"),
    "log": (math.log, np.log, True, "a positive number"),
    "sigmoid": (logistic, sigmoid, True, "a real number"),
    "sin": (math.sin, np.sin, False, "a finite number"),
    "cos": (math.cos, np.cos, False, "a finite number"),
    "sqrt": (math.sqrt, np.sqrt, False, "a number that is not negative"),
    "abs": (abs, np.absolute, False, "a real number"),
}


def unary_op(name: str) -> Op:
    """Make the Op of a function of one number."""
    _, fn, exact, _ = FUNCTIONS[name]
    (vjp,) = RULES[fn].vjps
    assert vjp is not None
    return Op("ReLU" if name == "relu" else name, of_one(vjp if exact else as_float(vjp)))


def binary_vjps(fn: Function, exact: bool = True) -> tuple[Function, Function]:
    """Give the two vjps of a function of two numbers."""
    first, second = RULES[fn].vjps
    assert first is not None
    assert second is not None
    return (first, second) if exact else (as_float(first), as_float(second))


SUM = binary_vjps(np.add)
DIFFERENCE = binary_vjps(np.subtract)
PRODUCT = binary_vjps(np.multiply)
QUOTIENT = binary_vjps(np.divide)
POWER = binary_vjps(np.power, exact=False)
