"""The operators and methods of Tensor, and NumPy's functions on Tensors.

NumPy's protocols (`__array_ufunc__`, `__array_function__`) bring every NumPy function here. What a
Tensor cannot do raises an error. The methods are set on `Tensor` at the end of this file.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import numpy as np

from gradlite.autodiff import in_place
from gradlite.autodiff.operands import as_operand
from gradlite.autodiff.operations import CALLS, Operation, apply, operation_of, unary
from gradlite.autodiff.rule import (
    DECOMPOSITIONS,
    NON_DIFFERENTIABLE,
    RULES,
    Function,
    Traced,
    to_data,
)
from gradlite.autodiff.rules import activations
from gradlite.autodiff.tensor import Tensor
from gradlite.coming_from_pytorch import unknown_keywords
from gradlite.errors import MissingRuleError, function_name

IN_PLACE = {np.matmul: {"out", "axes"}}
REDUCTIONS: dict[Any, Function] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
}


def reflected(operation: Operation) -> Operation:
    """Return an operation with its operands exchanged, for ``__radd__`` and the like."""
    return lambda self, other: operation(other, self)


def comparison(fn: Function) -> Operation:
    """Return a comparison, which returns a plain array."""
    return lambda self, other: fn(self._data, to_data(other))


def refused(operator: str, remedy: str) -> Operation:
    """Return an operation that raises an error with a remedy."""

    def refuse(self: Tensor, *args: Any) -> Any:
        raise MissingRuleError(f"{operator} is not defined for Tensors: {remedy}.")

    return refuse


def method(fn: Function, note: str = "") -> Operation:
    """Return the method that does what a NumPy function does."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.__array_function__(fn, (), (self, *args), kwargs)
        except TypeError:
            advice = unknown_keywords(kwargs)
            if not advice:
                raise
            raise MissingRuleError(
                f"{function_name(fn)} takes NumPy's arguments by name. {advice}"
            ) from None

    call.__name__ = fn.__name__
    call.__doc__ = f"Do what `numpy.{fn.__name__}` does.{note}"
    return call


def function(fn: Function) -> Operation:
    """Return the method that does what a function of one array does."""
    call = unary(RULES[fn])
    call.__name__ = fn.__name__
    call.__doc__ = f"Do what `{function_name(fn)}` does."
    return call


def array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Apply a ufunc to inputs with Tensors among them (NEP 13)."""
    if method == "__call__" and not kwargs:
        call = CALLS.get(ufunc) or operation_of(ufunc)
        if call is not None:
            return call(*inputs)
    if method == "reduce" and ufunc in REDUCTIONS:
        return self.__array_function__(REDUCTIONS[ufunc], (), inputs, {"axis": 0, **kwargs})
    if method != "__call__":
        raise MissingRuleError.for_function(ufunc, method)
    out = kwargs.get("out")
    if out is not None:
        # array += tensor; that of @ names the axes, too
        if len(out) == 1 and out[0] is inputs[0] and kwargs.keys() <= IN_PLACE.get(ufunc, {"out"}):
            references, caller = sys.getrefcount(inputs[0]), sys._getframe(1)
            return in_place.of_array(operation_of(ufunc), references, caller, *inputs)
        raise MissingRuleError(
            f"{function_name(ufunc)} with out= cannot be recorded: an operation on Tensors "
            f"returns a new Tensor. Omit out=, or write to t.data."
        )
    return self.__array_function__(ufunc, (), inputs, kwargs)


def perform(self: Tensor, fn: Function, args: Any, kwargs: Any) -> Any:
    """Apply a primitive."""
    call = CALLS.get(fn) or operation_of(fn)
    if call is None or kwargs:
        return self.__array_function__(fn, (), args, kwargs)
    return call(*args)


def array_function(self: Tensor, fn: Function, types: Any, args: Any, kwargs: Any) -> Any:
    """Apply another NumPy function to arguments with Tensors among them (NEP 18)."""
    if len(types) > 1 and any(
        issubclass(kind, Traced) and not issubclass(kind, Tensor) for kind in types
    ):
        return NotImplemented  # the other type converts itself to Tensors
    rule = RULES.get(fn)
    if rule is not None:
        return apply(rule, args, kwargs)
    definition = DECOMPOSITIONS.get(fn)
    if definition is not None:
        try:
            return definition(*args, **kwargs)
        except TypeError:
            _check_call(fn, definition, args, kwargs)
            raise
    if fn in NON_DIFFERENTIABLE:
        return fn(*to_data(args), **to_data(kwargs))
    raise MissingRuleError.for_function(fn)


def _check_call(fn: Function, definition: Function, args: Any, kwargs: Any) -> None:
    """Raise MissingRuleError for arguments that a decomposition does not take."""
    try:
        inspect.signature(definition).bind(*args, **kwargs)
    except TypeError as error:
        raise MissingRuleError(f"{function_name(fn)} on a Tensor: {error}.") from None


# -- the methods of Tensor ---------------------------------------------------------------------

OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide,
    "pow": np.power, "matmul": np.matmul, "mod": np.remainder, "floordiv": np.floor_divide,
}  # fmt: skip
COMPARISONS = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip
REFUSED = {
    "and or xor rand ror rxor": refused(
        "&, | or ^", "combine comparisons, which are plain arrays: (t > 0) & (t < 1)"
    ),
    "lshift rshift rlshift rrshift": refused("<< or >>", "shift t.data"),
    "invert": refused("~", "negate a comparison: ~(t > 0)"),
    "divmod rdivmod": refused("divmod()", "write (t // y, t % y)"),
    "round": refused("round()", "use np.round(t), whose derivative is 0, or round(t.item())"),
}
TIES = " Elements that tie share the gradient equally."
METHODS = (
    np.sum, np.mean, np.prod, np.var, np.std, np.cumsum, np.cumprod, np.trace, np.diagonal,
    np.ravel, np.swapaxes, np.squeeze, np.repeat, np.take, np.clip, np.round, np.dot, np.copy,
    np.argmax, np.argmin, np.argsort, np.searchsorted, np.nonzero, np.any, np.all,
)  # fmt: skip


def methods() -> dict[str, Operation]:
    """Return the methods of Tensor that are generated from rules, by name."""
    made: dict[str, Operation] = {
        "__array_ufunc__": array_ufunc,
        "__array_function__": array_function,
        "_perform": perform,
        "__neg__": unary(RULES[np.negative]),
        "__pos__": unary(RULES[np.positive]),
        "__abs__": unary(RULES[np.absolute]),
        "max": method(np.max, note=TIES),
        "min": method(np.min, note=TIES),
    }
    for name, fn in OPERATORS.items():
        made[f"__{name}__"] = CALLS[fn]
        made[f"__r{name}__"] = reflected(CALLS[fn])
        made[f"__i{name}__"] = in_place.generate(CALLS[fn], fn, as_operand)
    for name, fn in COMPARISONS.items():
        made[f"__{name}__"] = comparison(fn)
    for names, refuse in REFUSED.items():
        made.update((f"__{name}__", refuse) for name in names.split())
    made.update((fn.__name__, method(fn)) for fn in METHODS)
    made["abs"] = function(np.absolute)
    for fn in (np.exp, np.log, np.sqrt, np.sin, np.cos, np.tanh):
        made[fn.__name__] = function(fn)
    made["relu"], made["sigmoid"] = function(activations.relu), function(activations.sigmoid)
    return made


for name, operation in methods().items():
    setattr(Tensor, name, operation)
