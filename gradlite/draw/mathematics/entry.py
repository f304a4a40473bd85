"""What the table of formulas is made of: an entry for each function that has a derivative."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Elementwise:
    """A function of numbers, applied to each element.

    Attributes
    ----------
    result : str
        The symbol of the result.
    arguments : tuple of str
        The symbols of its arguments, in order.
    definition : str
        What the result is, in Python's syntax.
    derivatives : mapping of str to str
        For each argument that has one, dL/d of it: `g` stands for dL/d of the result.
    words : tuple of str
        What else there is to say; LaTeX between dollars.
    params : mapping of str to str
        The symbols of parameters.
    reduction : str
        LaTeX between the result and the definition, where elements are summed.
    """

    result: str
    arguments: tuple[str, ...]
    definition: str
    derivatives: Mapping[str, str]
    words: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    reduction: str = ""


@dataclass(frozen=True)
class Arraywise:
    """A function of whole arrays.

    Attributes
    ----------
    result : str
        The symbol of the result.
    arguments : tuple of str
        The symbols of its arguments, in order.
    definition : str
        What the result is: an equation in LaTeX.
    derivatives : mapping of str to str
        For each argument that has one, perhaps with indices (``x_i``), dL/d of it in LaTeX: `g`
        stands for dL/d of the result, ``g_i`` for that of its element i.
    words : tuple of str
        What else there is to say; LaTeX between dollars.
    code : mapping of str to str
        The derivatives of some arguments in NumPy, where that is one short expression.
    """

    result: str
    arguments: tuple[str, ...]
    definition: str
    derivatives: Mapping[str, str]
    words: tuple[str, ...] = ()
    code: Mapping[str, str] = field(default_factory=dict)


Entry: TypeAlias = Elementwise | Arraywise
Entries: TypeAlias = dict[str, Entry | Callable[[Mapping[str, Any]], Entry]]
"""By the name of the rule. Where parameters change the formula, a function of them."""
