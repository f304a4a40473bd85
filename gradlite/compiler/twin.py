"""Twins: a network is traced through a copy, whose parameters and buffers are symbols.

So nothing of the network itself changes, in this thread or for others. What the trace draws and
counts is taken back: the first run draws and counts it.
"""

from __future__ import annotations

import builtins
import copy
import keyword
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from operator import is_
from typing import Any

import numpy as np

from gradlite.autodiff.node import GradAccumulator, Node
from gradlite.compiler.memory import watched
from gradlite.compiler.program import Program
from gradlite.compiler.source import RESERVED
from gradlite.compiler.symbols import Symbol, as_symbols
from gradlite.errors import CompileError


def is_network(fn: Any) -> bool:
    """Return whether a function is an object with parameters and buffers."""
    return hasattr(fn, "named_parameters") and hasattr(fn, "named_buffers")


def is_reserved(word: str) -> bool:
    """Return whether a word has a meaning in every program."""
    return word in RESERVED or keyword.iskeyword(word) or hasattr(builtins, word)


class Draws:
    """A generator of random numbers whose draws are lines of a program."""

    def __init__(self, program: Program, generator: np.random.Generator) -> None:
        self.program = program
        self.generator = generator

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.generator, name)
        if name.startswith("_") or name == "spawn" or not callable(method):
            raise AttributeError(name)

        def draw(*args: Any, **kwargs: Any) -> Any:
            return as_symbols(self.program, self.program.draw(method, args, kwargs))

        return draw


class Twin:
    """A copy of a network for a program.

    Parameters
    ----------
    program : Program
        Gets parameters and buffers as inputs.
    network : Module
        The network; only read.
    taken : set of str
        Names in use, to which those of the inputs are added.

    Attributes
    ----------
    network : Module
        The copy.
    arrays : dict
        The arrays of the inputs, by name.
    parameters : list of (Tensor, array, Node or None)
        The parameters of the network, and the arrays and nodes that they had.
    leaves : dict of Node to (str, Tensor)
        The parameters that are trained, by the node of their copy.
    layers : dict of int to str
        What the modules of the copy are called, by their id.
    generators : list of Generator
        What the network draws from.
    """

    def __init__(self, program: Program, network: Any, taken: set[str]) -> None:
        self._program = program
        self._taken = taken
        self._memo: dict[int, Any] = {}
        self._buffers: list[tuple[str, np.ndarray, Symbol, Any]] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.parameters: list[tuple[Any, np.ndarray, Node | None]] = []
        self.leaves: dict[Node, tuple[str, Any]] = {}
        for name, p in network.named_parameters():
            word, symbol = self._input(name, p.data)
            self.parameters.append((p, p.data, p._node))
            twin = object.__new__(type(p))
            twin._data, twin._node = symbol, None
            if p.requires_grad:
                twin._node = Node(None, (), (), symbol, symbol.shape)
                twin._node.sink = GradAccumulator(p.dtype)
                self.leaves[twin._node] = word, p
            self._memo[id(p)] = twin
        for name, array in network.named_buffers():
            word, symbol = self._input(name, array)
            self._buffers.append((word, array, symbol, symbol.line))
            self._memo[id(array)] = symbol
        attributes = [x for part in network.modules() for x in vars(part).values()]
        self.generators = [x for x in attributes if isinstance(x, np.random.Generator)]
        self._memo.update((id(x), Draws(program, x)) for x in self.generators)
        self._root, self._mode = network, network.training
        self._holders = list(chain.from_iterable(map(_holders, map(vars, network.modules()))))
        self._values = [x for holder in self._holders for x in _values(holder)]
        self.network = copy.deepcopy(network, self._memo)
        self.layers = {
            id(part): f"{name} ({type(part).__name__})" if name else type(part).__name__
            for name, part in self.network.named_modules()
        }

    def release(self) -> None:
        """Drop what the trace needed, and the numbers in it."""
        del self._program, self._memo, self._buffers, self.network, self.leaves

    def is_current(self) -> bool:
        """Return whether the network has the arrays, modes and attributes of the trace."""
        for p, array, node in self.parameters:
            if p._data is not array or p._node is not node:
                return False
        now = chain.from_iterable(map(_values, self._holders))
        return (
            self._root.training is self._mode  # the modes of parts are among the attributes
            and sum(map(len, self._holders)) == len(self._values)
            and all(map(is_, now, self._values))
        )

    def _input(self, name: str, array: np.ndarray) -> tuple[str, Symbol]:
        word = "_".join(reversed(re.sub(r"[^\w.]", "_", name).split("."))).lstrip("_0123456789")
        while not word or word in self._taken or is_reserved(word):
            word += "_"
        self._taken.add(word)
        self.arrays[word] = array
        return word, as_symbols(self._program, self._program.input(word, array))

    def stored(self) -> list[tuple[str, np.ndarray, Any]]:
        """Return the buffers that the trace has changed: name, array, and the line of the new."""
        return [(n, array, s.line) for n, array, s, old in self._buffers if s.line is not old]

    @contextmanager
    def watched(self, *others: Any) -> Iterator[None]:
        """Take back what the trace draws and counts, in the network and in other functions.

        Raises
        ------
        CompileError
            If they remember something from call to call, which a program does not.
        """
        states = [generator.bit_generator.state for generator in self.generators]
        modules = self.network.modules()
        hooks = [entry[-1] for part in modules if part._hooks for entry in part._hooks.entries]
        try:
            with watched([*modules, *others, *hooks]):
                yield
        finally:
            for generator, state in zip(self.generators, states, strict=True):
                generator.bit_generator.state = state
        # Copies were made of generators inside lists and the like: what they draw is constant.
        if any(isinstance(x, np.random.Generator) for x in self._memo.values()):
            raise CompileError.here("The network has generators that are not attributes.")


def _values(holder: Any) -> Any:
    return holder.values() if isinstance(holder, dict) else holder


def _holders(holder: Any) -> Iterator[Any]:
    """Yield a dict, list or tuple, and those in it: a module's parts may be there, too."""
    yield holder
    for x in _values(holder):
        if isinstance(x, (dict, list, tuple)):
            yield from _holders(x)
