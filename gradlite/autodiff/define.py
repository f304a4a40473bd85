"""How rules are defined: `defvjp` for a function, `primitive` for your own operation."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, TypeVar, overload

import numpy as np

from gradlite.autodiff.operands import is_array_like
from gradlite.autodiff.rule import DECOMPOSITIONS, RULES, Function, Rule, Traced
from gradlite.errors import function_name

F = TypeVar("F", bound=Function)


def defvjp(
    fn: Function,
    *vjps: Function | None,
    variadic: Function | None = None,
    name: str | None = None,
    has_residuals: bool = False,
    multiple_outputs: bool = False,
    masks: bool = False,
    undefined: str = "",
) -> None:
    """Define the derivative of a function, one rule for each array argument.

    Parameters
    ----------
    fn : callable
        A NumPy function, a ufunc of any library (``scipy.special`` too), or a `primitive`, which
        any other function can be made.
    *vjps : callable or None
        ``vjps[i](g, ans, *args, **params)`` returns the cotangent of argument `i`: `g` is the
        cotangent of the output `ans`, and has its shape. Write it in NumPy functions that have
        rules themselves, and second derivatives follow. None means that an argument has no
        derivative.
    variadic : callable, optional
        In place of `vjps` where the number of arrays varies:
        ``variadic(i, g, ans, *args, **params)``.
    name : str, optional
        The name in errors and drawings; that of `fn` by default.
    has_residuals : bool, default False
        Whether `fn`, a primitive, returns ``(ans, residuals)``; the rules get `residuals` by
        keyword for a first derivative, and must work without it (``residuals=None``) for a higher
        one.
    multiple_outputs : bool, default False
        Whether `fn` returns several arrays; `g` and `ans` are then sequences of as many.
    masks : bool, default False
        Whether the rule chooses between branches, and sends exact zeros down those not taken. Where
        such a zero meets an infinite derivative further back, their product counts as 0.
    undefined : str, optional
        A sentence that says where the function has no derivative and the rule returns NaN: part of
        the error that `debug` raises there.

    Notes
    -----
    The tape does not keep an argument that the code of a rule does not read, or of which it reads
    only the shape. A rule with a parameter ``out=None`` may get the gradient buffer of a leaf, to
    write its result there and return it. A later definition for the same function replaces the
    earlier one.

    Examples
    --------
    >>> import numpy as np, scipy.special as sp, gradlite as gl
    >>> gl.defvjp(sp.expit, lambda g, ans, x: g * ans * (1 - ans))
    >>> float(gl.grad(sp.expit)(0.0))
    0.25
    >>> float(gl.grad(gl.grad(sp.expit))(0.0))
    0.0
    """
    if not vjps and variadic is None:
        raise TypeError(f"defvjp({function_name(fn)}, ...) needs a rule for each array argument.")
    if not any(hasattr(fn, mark) for mark in ("forward", "_implementation", "nin")):
        raise TypeError(
            f"{function_name(fn)} is a plain Python function, whose calls NumPy does not pass to "
            f"Tensors: make it an operation with gl.primitive first, or define the rule of the "
            f"ufunc that it calls."
        )
    _check_signatures(fn, vjps, variadic)
    if getattr(fn, "nout", 1) > 1 and not multiple_outputs:
        raise TypeError(
            f"defvjp({function_name(fn)}, ...): the function has several results: pass "
            f"multiple_outputs=True."
        )
    rule = Rule(fn, vjps, variadic, name, has_residuals, multiple_outputs, masks, undefined)
    known = RULES.setdefault(fn, rule)
    if known is not rule:  # the operators of Tensor hold the old object: change it where it is
        rule.singular, rule.masks = known.singular, masks or known.masks
        rule.careful = rule.masks or rule.users
        for slot in Rule.__slots__:
            setattr(known, slot, getattr(rule, slot))


def _check_signatures(fn: Function, vjps: Sequence[Any], variadic: Any) -> None:
    """Raise TypeError if a rule cannot be called with the arguments of a rule."""
    name = function_name(fn)
    forward: Any = getattr(fn, "forward", None)
    forward = getattr(forward, "in_one_call", forward)
    arrays = getattr(fn, "nin", len(vjps))
    if type(forward) is FunctionType and not forward.__code__.co_flags & inspect.CO_VARARGS:
        arrays = forward.__code__.co_argcount
    if len(vjps) > arrays or (variadic is None and 0 < len(vjps) < getattr(fn, "nin", 0)):
        raise TypeError(
            f"defvjp({name}, ...): {len(vjps)} rules for {arrays} arguments. Give one for each "
            f"array; None for an argument without a derivative."
        )
    needed = 2 + len(vjps) if variadic is None else 3
    for i, vjp in enumerate(vjps if variadic is None else (variadic,)):
        if vjp is None:
            continue
        if not callable(vjp):
            raise TypeError(f"defvjp({name}, ...): rule {i} is {vjp!r}, not a function.")
        code = getattr(vjp, "__code__", None)
        if code and code.co_argcount < needed and not code.co_flags & inspect.CO_VARARGS:
            call = "g, ans, *args" if variadic is None else "i, g, ans, *args"
            raise TypeError(
                f"defvjp({name}, ...): rule {i} takes {code.co_argcount} positional arguments, but "
                f"is called as rule({call}) with all {needed}: lambda g, ans, x: g * ... for one "
                f"array. (autograd's lambda ans, x: lambda g: ... is written so here.)"
            )
        if variadic is None and type(forward) is FunctionType and type(vjp) is FunctionType:
            names = vjp.__code__.co_varnames
            required = vjp.__code__.co_argcount - len(vjp.__defaults__ or ())
            for unknown in {*names[needed:required]}.difference(forward.__code__.co_varnames):
                raise TypeError(
                    f"defvjp({name}, ...): rule {i} needs {unknown!r}, which {name} does not take."
                )


@overload
def primitive(forward: F) -> F: ...
@overload
def primitive(*, opaque: bool) -> Callable[[F], F]: ...
def primitive(forward: Any = None, *, opaque: bool = False) -> Any:
    """Return a function of plain arrays as an operation that can be recorded.

    Parameters
    ----------
    forward : callable
        Takes arrays by position and parameters by keyword and returns an array. Called with a
        Tensor, the operation is recorded as one node, whatever happens inside.
    opaque : bool, default False
        Whether `gl.compile` keeps a call of `forward` as it is, in place of writing down what
        NumPy calls it makes. For one that fills arrays entry by entry, or calls other libraries.

    Returns
    -------
    callable
        The same function, for arrays and Tensors. Define its derivative with `defvjp`.

    Examples
    --------
    A whole new operation, differentiable to any order:

    >>> import numpy as np, gradlite as gl
    >>> @gl.primitive
    ... def swish(x, beta=1.0):
    ...     return x / (1 + np.exp(-beta * x))
    >>> gl.defvjp(swish, lambda g, ans, x, beta=1.0: g * (ans * beta + (1 - ans * beta) * ans / x))
    >>> round(float(gl.grad(swish)(1.0)), 6)
    0.927671
    >>> gl.check_grads(swish, (np.array([0.5, -2.0]),), order=2)
    """
    if forward is None:
        return functools.partial(primitive, opaque=opaque)
    if opaque:
        forward = _in_one_call(forward)

    @functools.wraps(forward)
    def operation(*args: Any, **kwargs: Any) -> Any:
        for arg in (*args, *kwargs.values()) if kwargs else args:
            if isinstance(arg, Traced):
                return arg._perform(operation, args, kwargs)
        arrays = [np.asarray(arg) if isinstance(arg, (list, tuple)) else arg for arg in args]
        ans = forward(*arrays, **kwargs)
        return ans[0] if operation in RULES and RULES[operation].has_residuals else ans

    operation.forward = forward  # type: ignore[attr-defined]  # functions take attributes
    return operation


def _in_one_call(forward: Function) -> Function:
    """Hand the whole of a call to an array that is not NumPy's own, as NumPy hands it its calls."""

    @functools.wraps(forward)
    def call(*args: Any, **kwargs: Any) -> Any:
        for arg in (*args, *kwargs.values()):
            if type(arg) not in PLAIN:
                other = _array_like_in(arg)
                if other is not None:
                    return other.__array_function__(call, (), args, kwargs)
        return forward(*args, **kwargs)

    call.in_one_call = forward  # type: ignore[attr-defined]  # functions take attributes
    return call


PLAIN = frozenset({np.ndarray, np.float64, np.float32, int, float, bool, str, slice, type(None)})
"""Types of arguments that are surely no arrays of other kinds, and hold none."""


def _array_like_in(x: Any) -> Any:
    if type(x) in (tuple, list):
        parts = (_array_like_in(part) for part in x if type(part) not in PLAIN)
        return next((found for found in parts if found is not None), None)
    return x if is_array_like(x) else None


def decomposition(*fns: Function) -> Callable[[F], F]:
    """Register the decorated function as the definition of `fns` on Tensors by other functions."""

    def register(definition: F) -> F:
        for fn in fns:
            DECOMPOSITIONS[fn] = definition
        return definition

    return register
