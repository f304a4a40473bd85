"""What a derivative rule is, and the table that holds them all.

A rule says, for each array argument of a function, how a cotangent of the output becomes a
cotangent of that argument. It is one line of plain NumPy::

    defvjp(np.multiply, lambda g, ans, x, y: g * y,
                        lambda g, ans, x, y: g * x)

`g` is the cotangent of the output, `ans` the output, then come the function's own arguments.
A rule never thinks about broadcasting (the walk sums a cotangent back to its argument's shape)
and never mentions Tensors: called with arrays it gives first derivatives, called with Tensors
its NumPy calls are recorded in turn, which gives the second.

Which of its parameters a rule reads decides what is kept for it (see saved_inputs.py).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from gradlite.autodiff.saved_inputs import SavedInputs
from gradlite.coming_from_pytorch import unknown_keywords
from gradlite.errors import MissingRuleError, function_name

Function = Callable[..., Any]


class Traced:
    """Base of everything whose operations a tape records: of Tensor, for one.

    Attributes
    ----------
    _data : array or NumPy scalar
        The number or numbers.
    _node : Node or None
        The way back, for an operation on Tensors that takes this in.
    """

    __slots__ = ()

    _data: Any
    _node: Any

    def _perform(self, fn: Function, args: Any, kwargs: Any) -> Any:
        """Carry out `fn` and record it."""
        raise NotImplementedError


def to_data(x: Any) -> Any:
    """Return `x` with arrays in place of Tensors, inside tuples, lists and dicts too."""
    if isinstance(x, Traced):
        return x._data
    if isinstance(x, (tuple, list)):
        return type(x)(map(to_data, x))
    return {k: to_data(v) for k, v in x.items()} if isinstance(x, dict) else x


class Rule:
    """The derivative of one function.

    Attributes
    ----------
    fn : callable
        The function itself, on plain arrays.
    name : str
        The name in errors and drawings.
    vjps : tuple of callable or None
        One ``(g, ans, *args, **params) -> cotangent`` for each array argument; None for an
        argument without a derivative (a condition, say).
    variadic : callable or None
        In place of `vjps` for a function of any number of arrays:
        ``(i, g, ans, *args, **params) -> cotangent of args[i]``.
    params : frozenset of str
        The keyword arguments that the rule understands.
    arity : int
        The number of array arguments, if the vjps surely take nothing else and return arrays;
        otherwise 0.
    accepts_out : tuple of bool
        Which vjps take ``out=``: an array that they may write a gradient to, and return.
    has_residuals : bool
        Whether `fn` returns ``(ans, residuals)``; a first-order walk passes them to the rule.
    multiple_outputs : bool
        Whether `fn` returns several arrays; `g` and `ans` are then sequences.
    singular : bool
        Whether the function is elementwise and its derivative can be infinite or NaN somewhere:
        assumed of ufuncs.
    masks : bool
        Whether the rule sends exact zeros down a branch that was not taken. The walk then
        takes 0 * inf behind it for 0.
    users : bool
        Whether a user wrote some vjp, so that it may return anything.
    careful : bool
        Whether the walk checks what the vjps return: `masks` or `users`.
    undefined : str
        Where there is no derivative, and the rule gives NaN: part of debug mode's error.
    differentiable : int
        The bit set of the arguments that have a vjp.
    saved_inputs : SavedInputs
        What the tape keeps for the rule.
    """

    __slots__ = (
        "_defaults",
        "accepts_out",
        "arity",
        "careful",
        "differentiable",
        "fn",
        "has_residuals",
        "masks",
        "multiple_outputs",
        "name",
        "params",
        "saved_inputs",
        "singular",
        "undefined",
        "users",
        "variadic",
        "vjps",
    )

    def __init__(
        self,
        fn: Function,
        vjps: Sequence[Function | None],
        variadic: Function | None = None,
        name: str | None = None,
        has_residuals: bool = False,
        multiple_outputs: bool = False,
        masks: bool = False,
        undefined: str = "",
    ) -> None:
        self.fn = getattr(fn, "forward", fn)
        self.name = name or function_name(fn)
        self.vjps = tuple(vjps)
        self.variadic = variadic
        self.has_residuals = has_residuals
        self.multiple_outputs = multiple_outputs
        self.singular = isinstance(fn, np.ufunc) and fn.signature is None
        self.masks = masks
        self.undefined = undefined
        self.differentiable = sum((vjp is not None) << i for i, vjp in enumerate(vjps))
        if variadic is not None:
            self.differentiable = -1
        self.saved_inputs = SavedInputs(self.vjps, variadic)
        self._defaults: dict[str, Any] | None = None
        known: set[str] = set()
        accepts_out: list[bool] = []
        for vjp in (*self.vjps, variadic):
            code = getattr(vjp, "__code__", None)
            names: tuple[str, ...] = ()
            if code is not None:
                names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
                known.update(names[2 + len(self.vjps) :])
            accepts_out.append(code is not None and "out" in names)
        self.params = frozenset(known - {"residuals", "out"})
        self.accepts_out = tuple(accepts_out) if any(accepts_out) else ()
        self.users = not all(_is_own(v) for v in (*self.vjps, variadic) if v is not None)
        self.careful = self.masks or self.users
        simple = not (self.users or known or self.accepts_out)
        self.arity = len(self.vjps) if simple else 0

    def __repr__(self) -> str:
        return f"<rule of {self.name}>"

    def pullbacks(self, count: int) -> Sequence[Function | None]:
        """Return the vjp of each of `count` array arguments."""
        if self.variadic is None:
            return self.vjps
        return [functools.partial(self.variadic, i) for i in range(count)]

    def _signature(self) -> dict[str, Any]:
        """Return the names and defaults of the function's parameters."""
        try:
            parameters = inspect.signature(self.fn).parameters
        except ValueError:  # ufuncs have no signature before NumPy 2.4: take the rule's
            vjp = next(vjp for vjp in self.vjps if vjp is not None)
            names = list(inspect.signature(vjp).parameters)[2:]
            return dict.fromkeys(names, inspect.Parameter.empty)
        return {name: p.default for name, p in parameters.items()}

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Sequence[Any], Any]:
        """Split the arguments of a call into arrays (by position) and parameters (by name).

        Raises
        ------
        MissingRuleError
            If the call has an argument that the rule does not know.
        """
        arrays = len(self.vjps)
        if len(args) == arrays and (not kwargs or kwargs.keys() <= self.params):
            return args, kwargs
        if self.variadic is not None:
            return args, kwargs
        if self._defaults is None:
            self._defaults = self._signature()
        names = list(self._defaults)
        if len(args) > len(names):
            raise TypeError(
                f"{self.name} has derivative rules for {arrays} of {len(args)} arguments. Give "
                f"defvjp one for each, or variadic= for any number."
            )
        call = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name in call:
                raise TypeError(f"{self.name} got the argument {name!r} twice.")
            call[name] = value
        for name in names[:arrays]:
            if call.setdefault(name, self._defaults[name]) is inspect.Parameter.empty:
                raise TypeError(f"{self.name} needs the argument {name!r}.")
        known = [call.pop(name) for name in names[:arrays]]
        # NumPy's marker of "not given" does not count, nor does None for an unknown parameter.
        call = {
            k: v
            for k, v in call.items()
            if v is not np._NoValue and (k in self.params or v is not None)
        }
        for name in call.keys() - self.params:
            raise MissingRuleError(
                f"{self.name} on a Tensor does not take the argument {name!r}: its derivative "
                f"rule knows {', '.join(sorted(self.params)) or 'no keyword arguments'}."
                f" {unknown_keywords({name: None})}".rstrip()
            )
        return known, call


def _is_own(vjp: Function) -> bool:
    """Return whether a rule is gradlite's: those of users are called with care."""
    return type(vjp) is FunctionType and (vjp.__module__ or "").startswith("gradlite.")


RULES: dict[Function, Rule] = {}
"""The derivative of every differentiable function."""

DECOMPOSITIONS: dict[Function, Function] = {}
"""NumPy functions written in terms of others that have rules, so that they need none."""

NON_DIFFERENTIABLE: set[Function] = set()
"""NumPy functions without a derivative (comparisons, index searches): they return arrays."""
