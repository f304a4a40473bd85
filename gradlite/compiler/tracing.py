"""Tracing: a function is called with symbols, and what it does is written to a program."""

from __future__ import annotations

import copy
import inspect
import pickle
import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from gradlite.autodiff.modes import MODE, Mode
from gradlite.autodiff.node import serial
from gradlite.autodiff.rule import Rule
from gradlite.autodiff.tape import walk
from gradlite.compiler.memory import reachable
from gradlite.compiler.program import Line, Program
from gradlite.compiler.source import RESERVED
from gradlite.compiler.symbols import Symbol, as_symbols, cast
from gradlite.errors import CompileError, is_library, user_line

Function = Callable[..., Any]
RANDOM = (np.random.Generator, np.random.RandomState, random.Random)


class Inspector:
    """Looks at the tape while a function is traced: which line of code a derivative belongs to."""

    def __init__(self, program: Program, layers: Mapping[int, str], rest: str) -> None:
        self.program = program
        self.layers = layers  # the names of modules, by id
        self.rest = rest  # the name of what is neither in a layer nor in the user's code
        self.caller = user_line()
        self.walked = False
        self.start = serial()  # older nodes are not of this function
        self.cotangents: list[tuple[Any, Any]] = []  # of a result, and the result
        self.outputs: dict[str, Any] = {}  # of each layer, among others

    def forward(self, rule: Rule, args: Any, ans: Any, node: Any) -> None:
        """Write down where an operation was called."""
        if node is None:
            return
        place = self.place()
        node.note = (place, ans)
        self.outputs[place] = ans
        for parent in node.parents:
            if parent is not None and parent.rule is None and is_older(parent, self.start):
                raise CompileError.here(
                    f"{rule.name} of a Tensor that requires a gradient and is not an argument: the "
                    f"program would go on with its numbers of the first call. Pass parameters as "
                    f"arguments, or detach() what is constant."
                )

    def before(self, node: Any) -> None:
        """Do nothing: `origin` finds the node that is being differentiated on the stack."""
        self.walked = True

    def backward(self, node: Any, g: Any, cotangent: Any) -> None:
        """Remember which results the cotangents belong to, for their names."""
        if node.note is not None:
            self.cotangents.append((g, node.note[1]))
        alike = [p for p in node.parents if p is not None and p.shape == cotangent.shape]
        if len(alike) == 1 and alike[0].rule is None:
            self.cotangents.append((cotangent, alike[0].ans))

    def name_lines(self) -> None:
        """Name results after layers and what the user's code assigns them to; then gradients."""
        for layer in self.layers.values():
            ans = getattr(self.outputs.get(layer), "_data", self.outputs.get(layer))
            name = layer.partition(" (")[0]
            if isinstance(ans, Symbol) and name != layer and ans.line.fn is not None:
                ans.line.name = ans.line.name or f"h_{name.replace('.', '_')}"
        last: dict[str, Line] = {}
        for line in self.program.lines:
            if line.fn is not None:
                last[line.origin] = line
        for origin, line in last.items():
            target = re.match(r"(\w+)\s*=[^=]", origin)
            if target and "lambda" not in origin:
                line.name = target[1]
        for g, ans in self.cotangents:
            g, ans = getattr(g, "_data", g), getattr(ans, "_data", ans)
            if isinstance(g, Symbol) and isinstance(ans, Symbol) and not g.line.name:
                name = ans.line.name or getattr(ans.line.args[0], "name", "") * (
                    ans.line.fn is cast
                )
                g.line.name = f"grad_{name}" if name else ""

    def origin(self) -> str:
        """Return where the next line of the program comes from."""
        frame = sys._getframe(2)
        while frame.f_back is not None and is_library(frame):
            if frame.f_code is walk.__code__:
                node = frame.f_locals.get("node")
                if node is not None and node.rule is not None:
                    name = node.rule.name.removeprefix("np.").removeprefix("gl.")
                    where = node.note[0] if node.note else ""
                    return f"back through {name}" + (f": {where}" if where else "")
            frame = frame.f_back
        return self.place()

    def place(self) -> str:
        """Return the layer, or the line of the user's code, that is being carried out."""
        frame = sys._getframe(1)
        while frame.f_back is not None and is_library(frame):
            if frame.f_code.co_name in ("forward", "__call__"):
                layer = self.layers.get(id(frame.f_locals.get("self")))
                if layer is not None:
                    return layer
            frame = frame.f_back
        line = user_line()
        return line if line != self.caller else self.rest


def is_traced(x: Any) -> bool:
    """Return whether a leaf of the arguments is an input of the program."""
    return isinstance(x, (np.ndarray, np.floating, np.complexfloating, float))


def names_of(fn: Function, count: int) -> list[str]:
    """Name the positional arguments of a call as the function does."""
    try:
        known = [
            p.name
            for p in inspect.signature(fn).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        known = []
    names = []
    for i in range(count):
        name = known[i] if i < len(known) and known[i] not in RESERVED else f"arg{i}"
        while name in names or name in known[i + 1 :]:
            name += "_"
        names.append(name)
    return names


def symbols_of(
    program: Program, x: Any, name: str, path: str, unpack: list[tuple[str, str]], taken: set[str]
) -> Any:
    """Return an argument with symbols for its arrays, and say how the program unpacks it."""
    if isinstance(x, dict):
        if not all(type(key) in (str, int, float, bool, type(None)) for key in x):
            raise CompileError.here(f"The keys of the dict {name} are neither text nor numbers.")
        parts = {
            key: symbols_of(program, part, f"{name}_{key}", f"{path}[{key!r}]", unpack, taken)
            for key, part in x.items()
        }
        return rebuilt_dict(x, parts)
    if isinstance(x, (tuple, list)):
        made = [
            symbols_of(program, part, f"{name}_{i}", f"{path}[{i}]", unpack, taken)
            for i, part in enumerate(x)
        ]
        return type(x)(*made) if hasattr(x, "_fields") else type(x)(made)
    if not is_traced(x):
        return x
    word = re.sub(r"\W", "_", name)
    if path != name:
        while word in taken:
            word += "_"
        taken.add(word)
        unpack.append((f"{word} = {path}", description(x)))
    line = program.input(word, x)
    return as_symbols(program, line)


def rebuilt_dict(x: Any, parts: dict[Any, Any]) -> Any:
    """Return a dict of the kind of `x`."""
    made = copy.copy(x)
    made.update(parts)
    return made


def description(x: Any) -> str:
    """Return the shape and type of an argument, as text."""
    return f"{np.shape(x)} {x.dtype}" if hasattr(x, "dtype") else type(x).__name__


def is_older(leaf: Any, start: int) -> bool:
    """Return whether a leaf was there before the trace, with numbers of its own."""
    return leaf.serial < start and not isinstance(leaf.ans, Symbol)


@contextmanager
def tracing(
    program: Program, layers: Mapping[int, str] | None = None, rest: str = ""
) -> Iterator[Inspector]:
    """Write what is done with symbols to a program; NumPy's warnings come when that runs."""
    inspector = Inspector(program, layers or {}, rest)
    program.origin = inspector.origin
    token = MODE.set(Mode(True, inspector))
    try:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            yield inspector
        if isinstance(program.raised, CompileError):
            raise program.raised
        if program.raised is not None:
            raise CompileError.here(
                f"{type(program.raised).__name__} was raised and caught: a program has no way "
                f"around an error. Test for it beforehand, outside the function."
            )
    except ValueError as error:
        # To ``a[i] = symbol``, NumPy says that an element is set to a sequence.
        if isinstance(error.__cause__, CompileError):
            raise error.__cause__ from None
        raise
    finally:
        MODE.reset(token)
        program.origin = user_line  # not the inspector, which refers to the program


@contextmanager
def no_global_draws(*fns: Any) -> Iterator[None]:
    """Raise CompileError if random numbers are drawn: they would be the same in every run.

    What was drawn is taken back.
    """
    found = [x for x in reachable(list(fns)) if isinstance(x, RANDOM)]
    generators = [np.random.mtrand._rand, random._inst, *found]
    states = [state_of(generator) for generator in generators]
    drawn = False
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            if pickle.dumps(state_of(generator)) != pickle.dumps(state):
                drawn = True
                set_state(generator, state)
    if drawn:
        raise CompileError.here(
            "The function, network or loss draws random numbers, which would be the same in every "
            "run of a compiled function: draw them outside, and pass them as an argument."
        )


def state_of(generator: Any) -> Any:
    """Return the state of a generator of random numbers."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.bit_generator.state


def set_state(generator: Any, state: Any) -> None:
    """Put a generator back into a state."""
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state
