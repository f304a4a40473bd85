"""The entries of the table of formulas: one for each function that has a derivative."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Formulas:
    """The formulas of a function.

    Attributes
    ----------
    result : str
        The symbol of the result.
    arguments : tuple of str
        The symbols of its arguments, in order.
    definition : str
        What the result is.
    derivatives : mapping of str to str
        For each argument that has one, dL/d of it: `g` stands for dL/d of the result.
    words : tuple of str
        Remarks, with LaTeX between dollars.
    """

    result: str
    arguments: tuple[str, ...]
    definition: str
    derivatives: Mapping[str, str]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Elementwise(Formulas):
    """A function of numbers, applied to each element, in Python's syntax.

    Attributes
    ----------
    params : mapping of str to str
        The symbols of parameters.
    reduction : str
        LaTeX between the result and the definition, if elements are summed.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    reduction: str = ""


@dataclass(frozen=True)
class Arraywise(Formulas):
    """A function of whole arrays, in LaTeX; arguments and `g` may have indices, ``x_i``, ``g_i``.

    Attributes
    ----------
    code : mapping of str to str
        The derivatives of some arguments in NumPy, if that is a short expression.
    """

    code: Mapping[str, str] = field(default_factory=dict)


Entry: TypeAlias = Elementwise | Arraywise
Entries: TypeAlias = dict[str, Entry | Callable[[Mapping[str, Any]], Entry]]
"""By the name of the rule. If parameters change the formula, a function of them."""
