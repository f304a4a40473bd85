"""What a fit may compile: networks and losses that do the same for every batch.

A program is traced with one batch and carried out for all. gradlite's modules and losses depend on
the batch, their arrays and their settings alone. Code of one's own may depend on anything: a
counter, a file, the time. What it refers to shows whether it can; if that is not plain, training
stays on the tape.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType, FunctionType, ModuleType, NoneType
from typing import Any

import numpy as np

from gradlite.autodiff.tensor import Tensor
from gradlite.nn.module import Module

CONSTANTS = (bool, int, float, complex, str, bytes, NoneType, np.generic, np.dtype, range)
PACKAGES = ("builtins", "numpy", "gradlite", "math", "operator")
IMPURE = {
    "random", "default_rng", "RandomState", "Generator", "print", "eval", "exec", "globals",
    "vars", "setattr", "delattr", "open", "input", "next", "iter", "load", "fromfile", "memmap",
    "isinstance", "issubclass", "type",
}  # fmt: skip
"""Names in code that may draw, remember, show, read what changes, or ask what symbols are."""

UNUSED = ("__init__", "extra_repr", "__repr__")
"""Methods that no step calls."""


def is_own(x: Any) -> bool:
    """Return whether a function or class is gradlite's or NumPy's."""
    home = getattr(x, "__module__", None) or type(x).__module__
    return str(home).startswith(("gradlite.", "numpy")) or isinstance(x, np.ufunc)


def is_known(module: Module) -> bool:
    """Return whether a network does the same for every batch.

    Its modules are gradlite's, or plain: their methods are (see `is_plain`), and they hold
    parameters, buffers, modules, generators, arrays and constants.

    Examples
    --------
    >>> from gradlite import nn
    >>> is_known(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5)))
    True
    """
    return all(map(_is_known_part, module.modules()))


def _is_known_part(part: Module) -> bool:
    kind = type(part)
    if kind.__call__ is not Module.__call__ or "forward" in vars(part) or part._hooks is not None:
        return False
    if is_own(kind):
        return all(is_plain(x) for x in vars(part).values() if callable(x) and not _is_held(x))
    bases = [base for base in kind.__mro__ if base is not object and not is_own(base)]
    shared = [x for base in bases for x in _attributes(base)]
    return all(map(_is_constant, shared)) and all(map(_is_held, vars(part).values()))


def _attributes(kind: type) -> Iterator[Any]:
    """Yield what a class has for its instances: functions, and what they share."""
    for name, x in vars(kind).items():
        if isinstance(x, (staticmethod, classmethod)):
            yield x.__func__
        elif isinstance(x, property):
            yield x.fget
        elif name not in UNUSED and (isinstance(x, FunctionType) or not name.startswith("__")):
            yield x


def _is_held(x: Any) -> bool:
    """Return whether a module may hold `x`: a change to it is seen."""
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, list) else (x,)
    kinds = (Module, Tensor, np.random.Generator, np.ndarray)
    return all(isinstance(part, kinds) or _is_constant(part) for part in parts)


def is_plain(fn: Any, depth: int = 4) -> bool:
    """Return whether a function depends on its arguments and on constants alone.

    It is gradlite's or NumPy's; or a Python function that refers to such functions, to constants
    and to the packages of arrays, and stores nothing outside itself.

    Examples
    --------
    >>> is_plain(lambda z, t: np.mean((z - t) ** 2))
    True
    >>> is_plain(open)  # what a file says may change
    False
    """
    if is_own(fn):
        return True
    if isinstance(fn, functools.partial):
        held = (fn.func, *fn.args, *fn.keywords.values())
    elif isinstance(fn, FunctionType):
        names, stores = _names(fn.__code__)
        if stores or IMPURE & names:
            return False
        held = (
            *(fn.__globals__[name] for name in names if name in fn.__globals__),
            *_contents(fn.__closure__),
            *(fn.__defaults__ or ()),
            *(fn.__kwdefaults__ or {}).values(),
        )
    else:
        return False
    return depth > 0 and all(x is fn or _is_constant(x, depth - 1) for x in held)


def _is_constant(x: Any, depth: int = 4) -> bool:
    if isinstance(x, CONSTANTS):
        return True
    if isinstance(x, (tuple, frozenset)):
        return all(_is_constant(part, depth) for part in x)
    if isinstance(x, ModuleType):
        return x.__name__.partition(".")[0] in PACKAGES
    if isinstance(x, type):
        return issubclass(x, Module) or x.__module__.partition(".")[0] in PACKAGES
    return callable(x) and is_plain(x, depth)


def _names(code: CodeType) -> tuple[set[str], bool]:
    """Return the names in some code, and whether it stores anything outside itself."""
    names = set(code.co_names)
    stores = any(
        step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL", "IMPORT_NAME")
        or (step.opname == "STORE_DEREF" and step.argval in code.co_freevars)
        for step in dis.get_instructions(code)
    )
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more, too = _names(inner)
            names, stores = names | more, stores or too
    return names, stores


def _contents(cells: Any) -> Iterator[Any]:
    """Yield what is in the cells of a closure, but for those that are still empty."""
    for cell in cells or ():
        with suppress(ValueError):
            yield cell.cell_contents
