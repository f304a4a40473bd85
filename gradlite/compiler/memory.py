"""What functions and objects refer to, so that changes to it are seen, and can be taken back."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from types import CellType, FunctionType, MethodType
from typing import Any

from gradlite.errors import CompileError


def parts_of(fn: Any, depth: int = 3) -> list[Any]:
    """Return a function, and the functions and objects that it is made of."""
    if isinstance(fn, functools.partial):
        inside = [fn.func, *fn.args, *fn.keywords.values()]
    elif isinstance(fn, MethodType):
        inside = [fn.__func__, fn.__self__]
    else:
        inside = [x for x in getattr(fn, "__dict__", {}).values() if callable(x)]
    return [fn, *(part for x in inside if depth for part in parts_of(x, depth - 1))]


class Memory:
    """The attributes of an object, or the variables of a function's closure.

    Examples
    --------
    >>> calls = []
    >>> def loss():
    ...     calls.append(1)
    ...     return 0.0
    >>> class Holder:
    ...     pass
    >>> holder = Holder()
    >>> holder.calls = calls
    >>> memory = Memory(holder)
    >>> _ = loss()
    >>> memory.restore(), calls
    (['calls'], [])
    """

    def __init__(self, holder: Any) -> None:
        self.attributes = getattr(holder, "__dict__", {})
        self.cells: dict[str, Any] = {}
        if isinstance(holder, FunctionType):
            self.cells = dict(
                zip(holder.__code__.co_freevars, holder.__closure__ or (), strict=True)
            )
        self.known = self._values()
        self.copies = {
            n: copy.copy(x) for n, x in self.known.items() if isinstance(x, (list, dict))
        }

    def _values(self) -> dict[str, Any]:
        filled = {n: cell.cell_contents for n, cell in self.cells.items() if cell != CellType()}
        return {**self.attributes, **filled}

    def restore(self) -> list[str]:
        """Put back what was there, and return the names of what had changed."""
        changed = []
        now = self._values()
        for name in now.keys() | self.known:
            if name not in self.known:
                del self.attributes[name]
            elif name in now and now[name] is self.known[name]:
                continue
            elif name in self.cells:
                self.cells[name].cell_contents = self.known[name]
            else:
                self.attributes[name] = self.known[name]
            changed.append(name)
        for name, old in self.copies.items():
            x = self.known[name]
            if not _is_same(x, old):
                x.clear()
                (x.update if isinstance(x, dict) else x.extend)(old)
                changed.append(name)
        return changed


@contextmanager
def watched(holders: list[Any]) -> Iterator[None]:
    """Take back what is changed of what functions and objects refer to.

    Raises
    ------
    CompileError
        If anything was: a program does not remember from call to call.
    """
    memories = [Memory(holder) for holder in holders]
    try:
        yield
    finally:
        changed = [name for memory in memories for name in memory.restore()]
    if changed:
        raise CompileError.here(
            f"What the function, network or loss refers to changes when it is called: "
            f"{', '.join(changed)}. A program does not remember from call to call."
        )


def _is_same(x: Any, y: Any) -> bool:
    """Return whether two lists, or dicts, hold the same objects."""
    pairs = [[*z, *z.values()] if isinstance(z, dict) else z for z in (x, y)]
    return len(pairs[0]) == len(pairs[1]) and all(a is b for a, b in zip(*pairs, strict=True))
