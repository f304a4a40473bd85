"""Programs: the NumPy calls of a computation, a line each, in which nothing is ever changed.

A line has one definition and no state, so equal calls of equal things are one line, what nobody
needs is left out, and a line may stand anywhere after those that it reads.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import numpy as np

from gradlite.errors import CompileError, function_name, user_line

Function = Callable[..., Any]
SMALL = 4096
"""Arrays of at most so many elements are compared by their numbers, larger ones by identity."""


class Line:
    """One call of a program.

    Attributes
    ----------
    fn : callable or None
        What is called; None for an input.
    args, kwargs : tuple, dict
        Its arguments, other lines among them.
    value : array or number
        The result with the numbers that the program was traced with.
    is_view : bool
        Whether the result is a view of the memory of ``args[0]``.
    name : str
        How the program calls the result, '' where nobody named it.
    origin : str
        The line of the user's code that it comes from.
    is_draw : bool
        Whether it draws random numbers: two such lines are never one.
    """

    __slots__ = ("args", "fn", "is_draw", "is_view", "kwargs", "name", "origin", "value")

    def __init__(self, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.value = value
        self.name = self.origin = ""
        self.is_draw = False
        base = args[0].value if args and isinstance(args[0], Line) else None
        self.is_view = (
            isinstance(value, np.ndarray)
            and isinstance(base, np.ndarray)
            and np.may_share_memory(value, base)
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        return np.shape(self.value)

    @property
    def dtype(self) -> Any:
        """The type of the result; None of a Python number."""
        return getattr(self.value, "dtype", None)

    @property
    def ndim(self) -> int:
        """The number of axes of the result."""
        return getattr(self.value, "ndim", 0)

    @property
    def size(self) -> int:
        """The number of elements of the result."""
        return int(np.size(self.value))

    @property
    def root(self) -> Line:
        """The line whose memory the result is in."""
        line = self
        while line.is_view:
            line = line.args[0]
        return line

    def inputs(self) -> Iterator[Line]:
        """Yield the lines that this one reads."""
        yield from lines_in(self.args)
        yield from lines_in(tuple(self.kwargs.values()))

    def __repr__(self) -> str:
        name = function_name(self.fn) if self.fn else "input"
        return f"<line {self.name or name} {self.shape}>"


class Program:
    """Lines in the order in which they are carried out, and what they have to find."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.guards: list[tuple[Line, bool]] = []
        self.origin: Callable[[], str] = user_line
        self.raised: Exception | None = None  # what a call has raised; the function may catch it
        self._known: dict[Any, Line] = {}
        self._copies: dict[int, tuple[Any, Any]] = {}

    def input(self, name: str, value: Any) -> Line:
        """Add an input."""
        line = Line(None, (), {}, value)
        line.name = name
        self.lines.append(line)
        return line

    def call(
        self, fn: Function, args: tuple[Any, ...], kwargs: Any = None, value: Any = None
    ) -> Any:
        """Return the line of a call: a new one, or that of an equal call.

        A call that depends on no input is a constant: its result is returned. `value` is the
        result if it is known already.
        """
        kwargs = kwargs or {}
        if next(lines_in((args, tuple(kwargs.values()))), None) is None:
            return fn(*args, **kwargs)
        args = apply_to(self._constant, args)
        kwargs = apply_to(self._constant, kwargs)
        key = (fn, key_of(args), key_of(tuple(sorted(kwargs.items()))))
        line = self._known.get(key)
        if line is None:
            if value is None:
                if "raise" in np.geterr().values():
                    self.refuse(
                        "np.errstate(...='raise') inside a compiled function has no effect on "
                        "its program: put it around the call."
                    )
                try:
                    value = fn(*values_in(args), **{k: values_in(v) for k, v in kwargs.items()})
                except Exception as error:
                    self.raised = error
                    raise
            line = self._known[key] = Line(fn, args, kwargs, value)
            line.origin = self.origin()
            self.lines.append(line)
        return line

    def refuse(self, message: str) -> NoReturn:
        """Raise CompileError, also at the end of the trace: the function may catch it here."""
        self.raised = error = CompileError.here(message)
        raise error

    def _constant(self, x: Any) -> Any:
        """Return a constant array as it is now: the function may change it later."""
        if type(x) is not np.ndarray or not x.flags.writeable:
            return x
        original, copy = self._copies.get(id(x), (None, None))
        if original is not x or x.tobytes() != copy.tobytes():
            copy = x.copy("K")
            copy.flags.writeable = False
            self._copies[id(x)] = x, copy
        return copy

    def draw(self, fn: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Line:
        """Add a line that every run carries out: a draw of random numbers."""
        line = Line(fn, args, kwargs, fn(*args, **kwargs))
        line.is_draw = True
        line.origin = self.origin()
        self.lines.append(line)
        return line

    def guard(self, line: Line) -> bool:
        """Return the truth of a result, and have every run check that it is the same."""
        holds = bool(line.value)
        if (line, holds) not in self.guards:
            self.guards.append((line, holds))
        return holds


def apply_to(change: Callable[[Any], Any], x: Any) -> Any:
    """Rebuild tuples, lists, dicts and slices with `change` applied to all else in them."""
    if isinstance(x, (tuple, list)):
        parts = [apply_to(change, part) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    if isinstance(x, dict):
        return {name: apply_to(change, part) for name, part in x.items()}
    if isinstance(x, slice):
        return slice(*(apply_to(change, part) for part in (x.start, x.stop, x.step)))
    return change(x)


def lines_in(x: Any) -> Iterator[Line]:
    """Yield the lines in nested tuples and lists."""
    if isinstance(x, Line):
        yield x
    elif isinstance(x, (tuple, list)):
        for part in x:
            yield from lines_in(part)
    elif isinstance(x, slice):
        yield from lines_in((x.start, x.stop, x.step))


def values_in(x: Any) -> Any:
    """Return `x` with the results of lines in their place."""
    return apply_to(lambda part: part.value if isinstance(part, Line) else part, x)


def key_of(x: Any) -> Any:
    """Return a key that differs for arguments that differ."""
    if isinstance(x, (tuple, list)):
        return (type(x), *map(key_of, x))
    if isinstance(x, slice):
        return (slice, key_of((x.start, x.stop, x.step)))
    if isinstance(x, np.ndarray):
        if x.size <= SMALL and x.dtype != object:
            return (np.ndarray, x.shape, x.strides, x.dtype.str, x.tobytes())
        return (np.ndarray, id(x))
    if isinstance(x, (float, np.generic)):
        return (type(x), np.asarray(x).tobytes())  # 0.0 is not -0.0
    try:
        hash(x)
    except TypeError:
        return (object, id(x))
    return (type(x), x)


def is_uniform(x: np.ndarray) -> bool:
    """Return whether all elements of an array are the same, to the bit."""
    return x.size > 0 and x.tobytes() == x.flat[0].tobytes() * x.size


def needed(roots: Iterable[Line]) -> set[Line]:
    """Return the lines that the results of `roots` depend on, with them."""
    found: set[Line] = set()
    stack = list(roots)
    while stack:
        line = stack.pop()
        if line not in found:
            found.add(line)
            stack.extend(line.inputs())
    return found


# -- what NumPy does in place, without changing anything --------------------------------------


def put(base: Any, path: Any, new: Any) -> Any:
    """Return a copy of `base`, of its layout, with `new` at the end of a path of views."""
    ans = target = np.copy(base)
    *views, last = path or ((operator.getitem, (...,), ()),)
    for fn, args, kwargs in views:
        target = fn(target, *args, **dict(kwargs))
    if last[0] is operator.getitem:
        target[last[1][0]] = new
    else:
        fn, args, kwargs = last
        fn(target, *args, **dict(kwargs))[...] = new
    return ans


def add_at(base: Any, index: Any, new: Any) -> Any:
    """Return a copy of `base` with `new` added at `index`, as often as it is named."""
    ans = np.copy(base)
    np.add.at(ans, index, new)
    return ans
