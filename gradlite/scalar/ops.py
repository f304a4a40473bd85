"""Operations on single numbers: the rules for arrays, called with Python floats."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradlite.autodiff.rule import RULES, Function, Rule, Traced
from gradlite.autodiff.rules.activations import relu, sigmoid
from gradlite.errors import DivisionError, DomainError, DtypeError, RangeError

Pull = Callable[[Any], Any]
NUMPY_NUMBERS = frozenset(np.dtype(code).type for code in np.typecodes["AllInteger"] + "efd")


@dataclass(eq=False, slots=True)
class Op:
    """The operation that computed a Value.

    Attributes
    ----------
    name : str
        The label of the operation.
    pull : callable
        ``pull(value)`` adds to ``grad`` of the inputs what ``value.grad`` contributes, or
        returns what will do so, for several Values at once, at the end of the walk.
    rule : Rule or None
        The derivative of the operation in the table of rules, if there is one. Its arguments are
        the inputs of the Value, followed by ``_extra`` if that is a number.
    source : callable or None
        ``source(value)`` is the node of the Tensor from which the Value was taken.
    expand : callable or None
        ``expand(value)`` turns the Value into the result of operations on single numbers.
    """

    name: str
    pull: Pull
    rule: Rule | None = None
    source: Callable[[Any], Any] | None = None
    expand: Callable[[Any], None] | None = None


# name: the function on floats, the function that has the rule, whether that rule consists of
# operators alone (then it returns floats for floats), and where the function is defined.
FUNCTIONS: dict[str, tuple[Callable[[float], float], Function, bool, str]] = {
    "tanh": (math.tanh, np.tanh, True, "a real number"),
    "relu": (lambda x: 0.0 if x < 0 else x, relu, True, "a real number"),
    "exp": (math.exp, np.exp, True, "a number below 709.78"),
    "log": (math.log, np.log, True, "a positive number"),
    "sigmoid": (lambda x: logistic(x), sigmoid, True, "a real number"),
    "sin": (math.sin, np.sin, False, "a finite number"),
    "cos": (math.cos, np.cos, False, "a finite number"),
    "sqrt": (math.sqrt, np.sqrt, False, "a number that is not negative"),
    "abs": (abs, np.absolute, False, "a real number"),
}


def unary_op(name: str) -> Op:
    """Return the Op of a function of one Value."""
    _, fn, exact, _ = FUNCTIONS[name]
    rule = RULES[fn]
    (vjp,) = vjps_on_floats(rule, exact)

    def pull(value: Any) -> None:
        (x,) = value._inputs
        x.grad += vjp(value.grad, value.data, x.data)

    return Op("ReLU" if name == "relu" else name, pull, rule)


def binary_op(name: str, fn: Function, exact: bool = True) -> Op:
    """Return the Op of a function of two Values."""
    rule = RULES[fn]
    vjp_x, vjp_y = vjps_on_floats(rule, exact)

    def pull(value: Any) -> None:
        x, y = value._inputs
        g, ans, a, b = value.grad, value.data, x.data, y.data
        x.grad += vjp_x(g, ans, a, b)
        y.grad += vjp_y(g, ans, a, b)

    return Op(name, pull, rule)


def constant_power_op() -> Op:
    """Return the Op of a Value to a constant power, which is its ``_extra``."""
    rule = RULES[np.power]
    vjp, _ = vjps_on_floats(rule, exact=False)

    def pull(value: Any) -> None:
        (x,) = value._inputs
        x.grad += vjp(value.grad, value.data, x.data, value._extra)

    return Op("**n", pull, rule)


def vjps_on_floats(rule: Rule, exact: bool) -> list[Function]:
    """Return the vjps of a rule, made to return floats if they call NumPy functions."""

    def as_float(vjp: Any) -> Function:
        return vjp if exact else lambda *args: float(vjp(*args))

    return [as_float(vjp) for vjp in rule.vjps]


def number(x: Any) -> Any:
    """Return one real number as a Python float or int; raise DtypeError for anything else."""
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
    """Return a repr of at most 60 characters."""
    text = repr(x)
    return text if len(text) <= 60 else f"{text[:57]}..."


def comparison(symbol: str, compare: Function) -> Function:
    """Return an operator that compares the number of a Value with another number."""

    def operation(self: Any, other: Any) -> Any:
        plain: Any = other
        try:
            return compare(self.data, plain.data if isinstance(other, Traced) else plain)
        except TypeError:
            raise DtypeError(
                f"{self!r} {symbol} {short(other)}: a Value can be compared with a real number, a "
                f"Value or a Tensor, not {type(other).__name__}."
            ) from None

    return operation


def coerce_operand(symbol: str, operation: Function, self: Any, other: Any) -> Any:
    """Return the result of an operator with an operand that is not a Value or Python number."""
    if type(other) in NUMPY_NUMBERS:
        return operation(self, other.item())
    if isinstance(other, Traced):
        return NotImplemented  # a Tensor: its own operator accepts the Value
    if isinstance(other, np.ndarray) and other.ndim:
        return np.frompyfunc(lambda x: operation(self, x), 1, 1)(other)
    if isinstance(other, (numbers.Real, np.generic, np.ndarray)):
        return operation(self, number(other))
    if other is None or isinstance(other, (str, bytes, complex, list, tuple, dict, set)):
        raise DtypeError(
            f"{self!r} {symbol} {short(other)}: the other operand of a Value must be a real "
            f"number, a Value or a Tensor, not {type(other).__name__}."
        )
    return NotImplemented


def power(x: Any, y: Any) -> Any:
    """Return x**y, a real number."""
    try:
        ans = x**y
    except ZeroDivisionError:
        raise DivisionError(f"{x!r} ** {y!r} is a division by zero.") from None
    except OverflowError:
        raise RangeError(f"{x!r} ** {y!r} is too large for a float.") from None
    if type(ans) is complex:
        raise DomainError(f"{x!r} ** {y!r} is not real: the base must not be negative here.")
    return ans


def logistic(x: float) -> float:
    """Return 1 / (1 + exp(-x)), without overflow."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return (small := math.exp(x)) / (1.0 + small)
