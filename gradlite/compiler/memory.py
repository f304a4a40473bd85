"""What functions and objects refer to, so that changes to it are seen, and can be taken back.

Code may remember something wherever a name leads it: in attributes, closures, globals, defaults, in
a class, and in what is inside these.
"""

from __future__ import annotations

import copy
import functools
import sys
import sysconfig
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import CellType, CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from gradlite.autodiff.tensor import Tensor
from gradlite.compiler.symbols import Symbol
from gradlite.errors import LIBRARIES, CompileError

CONTAINERS = (list, dict, set, deque)
OTHERS = (*LIBRARIES, *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))
MOST = 10_000
"""So many objects are looked at: what is further away is data."""

LARGE = 2**24
"""Bytes above which an array is taken to be data, which nobody counts in."""


class Cells:
    """The variables of a closure, as a dict."""

    def __init__(self, fn: FunctionType) -> None:
        self.cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))

    def __iter__(self) -> Iterator[str]:
        return (name for name, cell in self.cells.items() if cell != CellType())

    def __getitem__(self, name: str) -> Any:
        return self.cells[name].cell_contents

    def __setitem__(self, name: str, value: Any) -> None:
        self.cells[name].cell_contents = value


def is_users(x: Any) -> bool:
    """Return whether a module, function or class is code of the user's, not of a library."""
    name = x.__name__ if isinstance(x, ModuleType) else str(getattr(x, "__module__", None))
    if name == "builtins" or name in sys.builtin_module_names:
        return False
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return not file.startswith(OTHERS)


def is_whole(x: Any) -> bool:
    """Return whether all that an object has may matter; libraries look after their own."""
    if isinstance(x, (FunctionType, type)):
        return is_users(x)
    return isinstance(x, SimpleNamespace) or any(is_users(kind) for kind in type(x).__mro__)


def names_in(code: CodeType) -> set[str]:
    """Return the names in some code, and in the functions that it defines."""
    inner = (names_in(x) for x in code.co_consts if isinstance(x, CodeType))
    return set(code.co_names).union(*inner)


def variables_of(x: Any) -> list[tuple[Any, list[str] | None]]:
    """Return the dicts of names that belong to an object; and which, if not all."""
    if isinstance(x, FunctionType):
        names = names_in(x.__code__)
        known = [name for name in names if name in x.__globals__]
        found: list[tuple[Any, list[str] | None]] = [(x.__globals__, known)]
        modules = [y for y in map(x.__globals__.get, known) if isinstance(y, ModuleType)]
        found += [(vars(y), [*names & vars(y).keys()]) for y in modules if is_users(y)]
        return [(vars(x), None), (Cells(x), None), *found]
    if isinstance(x, type):
        return [(vars(x), None)]
    return [(x.__dict__, None)] if isinstance(getattr(x, "__dict__", None), dict) else []


def inside(x: Any, is_root: bool = False) -> Iterator[Any]:
    """Yield what an object refers to, where that may matter."""
    if isinstance(x, functools.partial):
        yield from (x.func, *x.args, *x.keywords.values())
    elif isinstance(x, MethodType):
        yield from (x.__func__, x.__self__)
    elif isinstance(x, property):
        yield x.fget
    elif isinstance(x, (staticmethod, classmethod)):
        yield x.__func__
    elif isinstance(x, dict):
        yield from x.values()
    elif isinstance(x, (list, tuple, set, frozenset, deque)):
        yield from x
    elif isinstance(x, (FunctionType, type)):
        if is_root or is_whole(x):
            for variables, names in variables_of(x):
                yield from (variables[name] for name in (variables if names is None else names))
        if isinstance(x, FunctionType):
            yield from (*(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values())
    elif isinstance(x, Tensor):
        yield x._data
    elif not isinstance(x, ModuleType):
        whole = is_root or is_whole(x)
        yield from (y for vs, _ in variables_of(x) for y in vs.values() if whole or callable(y))
        yield from (kind for kind in type(x).__mro__ if is_users(kind))


def reachable(roots: list[Any]) -> list[Any]:
    """Return objects, and what of the user's they refer to, directly or not.

    Examples
    --------
    >>> def loss(state={"calls": [0]}):
    ...     state["calls"][0] += 1
    >>> reachable([loss])[1:]
    [{'calls': [0]}, [0]]
    """
    found, seen = list(roots), {id(x) for x in roots}
    for i, x in enumerate(found):  # which grows
        if len(found) > MOST:
            break
        for y in inside(x, i < len(roots)):
            if id(y) not in seen and not isinstance(y, (int, float, str, bytes, type(None))):
                seen.add(id(y))
                found.append(y)
    return found


class Memory:
    """What functions and objects refer to, as it is now.

    Examples
    --------
    >>> calls = []
    >>> def loss():
    ...     calls.append(1)
    ...     return 0.0
    >>> memory = Memory([loss])
    >>> _ = loss()
    >>> memory.restore(), calls
    ({'calls'}, [])
    """

    def __init__(self, roots: list[Any]) -> None:
        found = reachable(roots)
        self.iterators = [x for x in found if hasattr(type(x), "__next__")]
        self.known: list[tuple[Any, Any, dict[str, Any], bool]] = []
        self.copies: list[tuple[Any, Any]] = []
        self.tensors = [(x, x._data, x._node) for x in found if isinstance(x, Tensor)]
        self.lines = [(x, x.line) for _, x, _ in self.tensors if isinstance(x, Symbol)]
        self.names: dict[int, str] = {}  # of containers and arrays, by their id
        for i, x in enumerate(found):
            if i < len(roots) or is_whole(x):
                for variables, names in variables_of(x):
                    values = {n: variables[n] for n in (variables if names is None else names)}
                    self.known.append((x, variables, values, names is None))
                    self.names.update((id(y), n) for n, y in values.items())
            if isinstance(x, CONTAINERS) or (isinstance(x, np.ndarray) and x.nbytes <= LARGE):
                self.copies.append((x, copy.copy(x)))

    def restore(self) -> set[str]:
        """Put back what was there, and return the names of what had changed."""
        changed = set()
        for x, variables, values, whole in self.known:
            now = {n: variables[n] for n in variables} if whole else variables
            new = [n for n in now if n not in values] if whole else []
            other = [n for n, value in values.items() if now.get(n, Memory) is not value]
            for n in new:
                delattr(x, n) if isinstance(x, type) else variables.__delitem__(n)
            for n in other:
                if isinstance(x, type):
                    setattr(x, n, values[n])
                else:
                    variables[n] = values[n]
            changed |= {*new, *other}
        for x, old in self.copies:
            if not _is_same(x, old):
                _put_back(x, old)
                changed.add(self.names.get(id(x), f"a {type(x).__name__}"))
        for x, data, node in self.tensors:
            if x._data is not data or x._node is not node:
                x._data, x._node = data, node
                changed.add(self.names.get(id(x), "a Tensor"))
        return changed | {"a parameter" for x, line in self.lines if x.line is not line}


@contextmanager
def watched(roots: list[Any]) -> Iterator[None]:
    """Take back what is changed of what functions and objects refer to.

    Raises
    ------
    CompileError
        If anything was: a program does not remember from call to call.
    """
    memory = Memory(roots)
    if memory.iterators:
        raise CompileError.here(
            f"The function, network or loss refers to a {type(memory.iterators[0]).__name__}, "
            f"which is something else after each use: pass what comes from it as an argument."
        )
    changed: set[str] = set()
    try:
        yield
    finally:
        changed = memory.restore()
    if changed:
        raise CompileError.here(
            f"What the function, network or loss refers to changes when it is called: "
            f"{', '.join(sorted(changed))}. A program does not remember from call to call; "
            f"arrays of a network may change if they are buffers (register_buffer)."
        )


def _is_same(x: Any, y: Any) -> bool:
    """Return whether an array has the same bytes, or a container holds the same objects."""
    if isinstance(x, np.ndarray):
        return bool(x.shape == y.shape and x.tobytes() == y.tobytes())
    pairs = [[*z, *z.values()] if isinstance(z, dict) else list(z) for z in (x, y)]
    return len(pairs[0]) == len(pairs[1]) and all(a is b for a, b in zip(*pairs, strict=True))


def _put_back(x: Any, old: Any) -> None:
    if isinstance(x, np.ndarray):
        x[...] = old
    else:
        x.clear()
        (x.extend if isinstance(x, (list, deque)) else x.update)(old)
