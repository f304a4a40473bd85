"""`compile`: a function is traced once for each kind of arguments, and runs as a NumPy program."""

from __future__ import annotations

import functools
import keyword
import sys
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple

import numpy as np

from gradlite.autodiff.rule import Traced
from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.trees import flatten
from gradlite.compiler.defined import Defined, Retrace
from gradlite.compiler.memory import watched
from gradlite.compiler.program import Program
from gradlite.compiler.simplify import simplified
from gradlite.compiler.source import Text, literal
from gradlite.compiler.symbols import Symbol, to_lines
from gradlite.compiler.tracing import RANDOM, names_of, no_global_draws, symbols_of, tracing
from gradlite.compiler.twin import Twin, is_network
from gradlite.errors import CompileError, function_name

Function = Callable[..., Any]
MOST = 64
"""So many programs are kept of one function; the oldest is dropped for another."""


def compile(fn: Function) -> Compiled:
    """Return the function, compiled to straight-line NumPy.

    On the first call with arguments of some structure, shapes and dtypes, `fn` is traced: its
    NumPy calls, and those of the derivatives that it takes, are written down as a program, which
    is simplified and written as the source of a NumPy function. That runs from then on.

    Parameters
    ----------
    fn : callable
        Any function of arrays, numbers and tuples, lists and dicts of them, which may use
        `gl.grad` and the other transforms; or a module, whose parameters and buffers are read in
        each call. Python floats may differ from call to call; ints, bools, strings and None are
        constants, each of which has a program of its own.

    Returns
    -------
    Compiled
        Called as `fn` is. ``source`` is the text of the last program, and ``save`` writes it to a
        file that needs NumPy alone. With Tensors among its arguments, `fn` runs as it is, so that
        compiled functions can be differentiated.

    Raises
    ------
    CompileError
        On the call, if `fn` does what no program can: it turns an array into a Python number, or
        makes arrays whose shape depends on numbers. The message names the line.

    Notes
    -----
    An ``if`` that depends on numbers is checked on every run: where it goes the other way, the
    function is traced again. What is not made of the arguments, such as a global array or the
    time, is taken as it is on the first call; draws of random numbers are refused.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> fast = gl.compile(gl.grad(lambda x: np.sum(np.sin(x) ** 2)))
    >>> fast(np.array([0.0, 1.0]))
    array([0.        , 0.90929743])
    """
    return Compiled(fn)


class Compiled:
    """A function that runs as a NumPy program; see `compile`.

    Attributes
    ----------
    source : str
        The text of the program that ran last.
    """

    def __init__(self, fn: Function) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self._programs: dict[Any, list[Defined]] = {}
        self._latest: Defined | None = None
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the function does, by a program."""
        try:
            key = (kind_of(args), kind_of(kwargs) if kwargs else None)
            programs = self._programs.get(key)
        except Untraceable:
            return self.fn(*args, **kwargs)
        if not self._lock.acquire(blocking=False):  # its buffers are at work: in another thread,
            return self.fn(*args, **kwargs)  # or in a call that this one is inside
        try:
            return self._run(key, programs, args, kwargs)
        finally:
            self._lock.release()

    def _run(self, key: Any, programs: Any, args: Any, kwargs: Any) -> Any:
        for program in programs or ():
            if not program.is_current():
                programs.clear()
                break
            try:
                ans = program.run(*args, **kwargs)
            except Retrace:
                continue
            except Exception:  # which the function itself may catch
                return self.fn(*args, **kwargs)
            self._latest = program
            return ans
        if programs is None:
            while len(self._programs) >= MOST:
                del self._programs[next(iter(self._programs))]
            programs = self._programs[key] = []
        self._latest = program = write(self.fn, args, kwargs)
        programs.insert(0, program)
        del programs[MOST:]
        return program.run(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the method of an instance, if a function of a class was compiled."""
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> Any:
        name = getattr(self, "__qualname__", "")
        module = sys.modules.get(getattr(self, "__module__", ""))
        named = getattr(module, name, None) is self and self.__module__ != "__main__"
        if named:
            return name  # pickled as functions are
        return Compiled, (self.fn,)  # programs are written again where it is unpickled

    @property
    def source(self) -> str:
        """The text of the program that ran last."""
        return self._program().source

    def save(self, path: Any) -> None:
        """Write the program that ran last to a file, a module that needs NumPy alone.

        Parameters
        ----------
        path : str or path
            The file; replaced if it exists.

        Raises
        ------
        CompileError
            If nothing ran yet, or the program calls functions of other packages.
        """
        Path(path).write_text(self._program().module(), encoding="utf-8")

    def _program(self) -> Defined:
        if self._latest is None:
            raise CompileError.here(
                f"{function_name(self.fn)} has no program yet: a function is traced on its first "
                f"call, with the shapes and types of that call."
            )
        return self._latest


CONSTANTS = (
    int, str, bytes, complex, type(None), type(...), type, range, frozenset, Enum, FunctionType,
    BuiltinFunctionType, np.ufunc, np.dtype, np.integer, np.bool_,
)  # fmt: skip
RESULTS = (Symbol, np.ndarray, np.generic, int, float, complex, str, type(None), Tensor)


class Untraceable(Exception):
    """An argument with which a function runs uncompiled."""


def kind_of(x: Any) -> Any:
    """Return what of an argument makes a program of its own: all but the numbers in it.

    Raises
    ------
    Untraceable
        If it is a Tensor, a symbol of another trace, or of a type that cannot be told apart.
    """
    kind = type(x)
    if kind is np.ndarray:
        # In another layout, what is a view here may be a copy.
        return x.shape, x.dtype, None if x.flags.c_contiguous else x.strides
    if kind is float:
        return float
    if isinstance(x, (tuple, list)):
        return (kind, *map(kind_of, x))
    if isinstance(x, dict):
        return (kind, *((type(key), key) for key in x), *map(kind_of, x.values()))
    if isinstance(x, (np.floating, np.complexfloating)):
        return kind
    if isinstance(x, RANDOM):
        raise CompileError.here(
            "A generator of random numbers as an argument would draw in the first call alone: draw "
            "outside, and pass the numbers."
        )
    if not isinstance(x, CONSTANTS):  # a Tensor, a symbol, or what has attributes that may change
        raise Untraceable
    return kind, x


class Trace(NamedTuple):
    """What was written down of a call, and what it returned."""

    program: Program
    twin: Twin | None
    parameters: list[str]
    unpack: list[tuple[str, str]]
    taken: set[str]
    made: Any
    walked: bool


def trace(fn: Function, args: Any, kwargs: Any) -> Trace:
    """Call a function with symbols in place of arrays."""
    parameters = names_of(getattr(fn, "forward", fn), len(args))
    program = Program()
    unpack: list[tuple[str, str]] = []
    taken = {*parameters, *kwargs, "network"}
    odd = [w for w in kwargs if not w.isidentifier() or keyword.iskeyword(w) or w in parameters]
    if odd:
        raise CompileError.here(f"The names {', '.join(kwargs)} cannot be those of parameters.")
    twin = Twin(program, fn, taken) if is_network(fn) else None
    traced = {
        name: symbols_of(program, x, name, name, unpack, taken)
        for name, x in zip((*parameters, *kwargs), (*args, *kwargs.values()), strict=True)
    }
    call: Any = fn if twin is None else twin.network
    with (
        watched([fn]) if twin is None else twin.watched(),
        tracing(program, {} if twin is None else twin.layers) as inspector,
        no_global_draws(*([fn] if twin is None else twin.network.modules())),
    ):
        made = call(
            *(traced[name] for name in parameters), **{name: traced[name] for name in kwargs}
        )
    check_results(fn, flatten(made)[0], traced)
    inspector.name_lines()
    return Trace(program, twin, parameters, unpack, taken, made, inspector.walked)


def check_results(fn: Function, leaves: list[Any], traced: dict[str, Any]) -> None:
    """Raise CompileError for results that no program returns."""
    for leaf in leaves:
        if not isinstance(leaf, RESULTS):
            raise CompileError.here(
                f"{function_name(fn)} returns a {type(leaf).__name__}: a program returns arrays, "
                f"numbers, text and None, in tuples, lists and dicts."
            )
    changed = any(s.cell.line.fn is not None for s in inputs_in(traced))
    if changed and not any(isinstance(leaf, (Symbol, Tensor)) for leaf in leaves):
        raise CompileError.here(
            f"{function_name(fn)} changes its arguments, which a program leaves as they are, and "
            f"returns no array: return the new ones."
        )


def write(fn: Function, args: Any, kwargs: Any, buffers: bool = True) -> Defined:
    """Trace a call of a function, and write its program, with or without buffers of its own."""
    program, twin, parameters, unpack, taken, made, walked = trace(fn, args, kwargs)
    leaves, rebuild = flatten(made)
    results = [to_lines(x._data if isinstance(x, Traced) else x) for x in leaves]
    stored = [] if twin is None else twin.stored()
    program, lines = simplified(program, [*results, *(line for _, _, line in stored)])
    name = "forward" if twin is not None else getattr(fn, "__name__", "")
    name = name if name.isidentifier() else "function"
    text = Text([*taken, name], buffers)
    text.add(program, lines)
    words = text.results(lines[: len(results)])
    if twin is not None:
        for array_name, array in twin.arrays.items():
            text.namespace[array_name] = array
            text.header.append(f"{array_name} = constant({array_name!r})  # {array.shape}")
        for (array_name, _, _), line in zip(stored, lines[len(results) :], strict=True):
            text.body.append((f"np.copyto({array_name}, {text.word(line)})", ""))
    returned = tree_text(made, iter(words)) or f"{text.word(rebuild)}([{', '.join(words)}])"
    signature = ", ".join([*parameters, *(["*", *kwargs] if kwargs else [])])
    quiet = len(text.body) if walked else 0
    drawn = twin.generators if twin and any(line.is_draw for line in program.lines) else []
    written = Defined(f"{name}({signature})", unpack, text, returned, quiet, twin, drawn)
    if twin is not None:
        twin.release()
    wrapped = [isinstance(leaf, Tensor) for leaf in leaves]
    if any(wrapped):
        written.run = with_tensors(written.run, wrapped)
    return written


def inputs_in(traced: dict[str, Any]) -> list[Symbol]:
    """Return the symbols among arguments."""
    return [x for x in flatten(list(traced.values()))[0] if isinstance(x, Symbol)]


def with_tensors(run: Function, wrapped: list[bool]) -> Function:
    """Return Tensors where the function itself does."""

    def run_and_wrap(*args: Any, **kwargs: Any) -> Any:
        leaves, rebuild = flatten(run(*args, **kwargs))
        pairs = zip(leaves, wrapped, strict=True)
        return rebuild([Tensor._make(x, None) if is_tensor else x for x, is_tensor in pairs])

    return run_and_wrap


def tree_text(tree: Any, words: Any) -> str | None:
    """Return how a tree of results is written, or None if it is not of tuples, lists and dicts."""
    if type(tree) is dict:
        if not all(type(key) in (str, int, float, bool, type(None)) for key in tree):
            return None
        parts = [(literal(key), tree_text(part, words)) for key, part in tree.items()]
        if any(part is None for _, part in parts):
            return None
        return "{" + ", ".join(f"{key}: {part}" for key, part in parts) + "}"
    if type(tree) in (tuple, list):
        texts = [tree_text(part, words) for part in tree]
        if any(text is None for text in texts):
            return None
        inner = ", ".join(map(str, texts))
        if type(tree) is list:
            return f"[{inner}]"
        return f"({inner}{',' * (len(texts) == 1)})"
    return None if isinstance(tree, (tuple, list, dict)) else str(next(words))
