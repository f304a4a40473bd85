"""The program of a recorded graph: its operations, carried out again on symbols, and walked back.

A graph is one run, so its program asks nothing of the numbers: it takes the way that was taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from textwrap import wrap
from typing import Any, Literal, NamedTuple

import numpy as np

from gradlite.autodiff.modes import MODE, Mode
from gradlite.autodiff.node import Node
from gradlite.autodiff.operations import apply
from gradlite.autodiff.rules.indexing import untake
from gradlite.autodiff.tape import ITEM, toposort, walk
from gradlite.autodiff.tensor import _make
from gradlite.compiler.program import Line, Program, lines_in, needed
from gradlite.compiler.simplify import IDENTITIES
from gradlite.compiler.source import Text, align, digits, is_simple_view, literal
from gradlite.compiler.symbols import Symbol, as_symbols, to_lines
from gradlite.errors import CompileError

WIDTH = 88  # of the lines that list inputs and gradients
WRITTEN_OUT = 100  # elements of a constant array that is no input
REWRITTEN = (untake.forward, np.swapaxes, np.copy)  # type: ignore[attr-defined]
"""Functions that read better as others; all the rest stays as the rules have it."""


class Step(NamedTuple):
    """A node that is computed, gets the seed, or passes its gradient back."""

    phase: Literal["forward", "seed", "backward"]
    node: Node


class Written(NamedTuple):
    """A line of the text of a program, and the step that it belongs to, if any."""

    text: str
    step: Step | None = None


def graph_program(
    root: Node, inputs: Mapping[str, Any], names: Mapping[Node, str]
) -> list[Written]:
    """Return the program that computes a recorded result and its gradients, line by line.

    Parameters
    ----------
    root : Node
        The node of the result. Its graph is not freed.
    inputs : dict of str to Node or array
        What the program takes, by name: all leaves, and the constant arrays that are not to be
        written out.
    names : dict of Node to str
        The names of the results of operations.

    Returns
    -------
    list of Written
        A function ``value_and_grad`` of the inputs, which returns the result and a tuple of the
        gradients of the leaves (of the sum of the result's elements). Empty if the graph cannot be
        traced, or needs functions other than those of NumPy and scipy.special.
    """
    for with_params in (True, False):  # a mask cannot be a symbol where it is an index
        try:
            return Trace(root, inputs, names, with_params).text()
        except Exception:  # rules of users, which get symbols here, may raise anything
            continue
    return []


class Trace(Program):
    """A program that is written while a graph is carried out again, and walked back.

    Parameters
    ----------
    root, inputs, names
        See `graph_program`.
    with_params : bool
        Whether arrays among the keyword arguments of operations are symbols, too.
    """

    def __init__(
        self, root: Node, inputs: Mapping[str, Any], names: Mapping[Node, str], with_params: bool
    ) -> None:
        super().__init__()
        self.given, self.names = inputs, dict(names)
        self.with_params = with_params
        self.tensors: dict[Node, Any] = {}  # of each node, that of this run
        self.nodes: dict[Node, Node] = {}  # the other way
        self.arrays: dict[int, Any] = {}  # symbols, by the id of the constant
        self.steps: dict[str, Step] = {}
        self.origin = lambda: self.place
        self.place = ""
        for name, x in inputs.items():
            symbol = as_symbols(self, self.input(name, x.ans if isinstance(x, Node) else x))
            if isinstance(x, Node):
                self.names[x] = name
                self._record(x, _make(symbol, Node(None, (), (), symbol, symbol.shape)))
            else:
                self.arrays[id(x)] = symbol
        leaves = frozenset(self.nodes)
        token = MODE.set(Mode(True, self))
        try:
            with np.errstate(all="ignore"):
                for node in toposort(root, frozenset())[0]:
                    self._compute(node)
                sums = self._walk(root, leaves)
        finally:
            MODE.reset(token)
        gradients = [sums.get(x) for x in inputs.values() if isinstance(x, Node)]
        self.outputs = to_lines([self.tensors[root]._data, *gradients])

    # -- tracing --------------------------------------------------------------------------------

    def call(self, fn: Any, args: Any, kwargs: Any = None, value: Any = None) -> Any:
        """Return the line of a call, as in any program."""
        if fn is np.transpose and (*args[1:], *(kwargs or {}).values()) == (None,):
            args, kwargs = args[:1], {}
        better = None
        # A copy of a view stays one: a write to what it was rewritten as would reach the original.
        if (
            fn in REWRITTEN
            and isinstance(args[0], Line)
            and (fn is not np.copy or not args[0].is_view)
        ):
            better = IDENTITIES[fn](self, *args, **(kwargs or {}))
        return super().call(fn, args, kwargs, value) if better is None else better

    def guard(self, line: Line) -> bool:
        """Return the truth of a result, which is that of this run."""
        return bool(line.value)

    def _compute(self, node: Node) -> None:
        """Carry out the operation of a node."""
        rule: Any = node.rule
        parents: Any = node.parents
        params = node.params or {}
        if rule is ITEM:
            part = self.tensors[parents[0]][params["i"]]
            self._record(node, part)
            name_line(part._data, self.names[node])
            return
        self.begin("forward", node)
        args = [
            self.arrays.get(id(arg), arg) if parent is None else self.tensors[parent]
            for arg, parent in zip(node.args, parents, strict=True)
        ]
        known = self.arrays if self.with_params else {}
        params = {k: known.get(id(x), x) for k, x in params.items() if k != "residuals"}
        ans = apply(rule, args, params)
        self._record(node, ans)
        if not rule.multiple_outputs:
            name_line(ans._data, self.names[node])

    def _record(self, node: Node, ans: Any) -> None:
        self.tensors[node] = ans
        made = ans[0]._node.parents[0] if isinstance(ans, tuple) else ans._node
        self.nodes[made] = node

    def _walk(self, root: Node, leaves: frozenset[Node]) -> dict[Node, Any]:
        """Walk back, and return the gradients of the leaves."""
        sums: dict[Node, Any] = {}

        def on_gradient(leaf: Node, c: Any) -> None:
            node = self.nodes[leaf]
            total = sums[node] + c if node in sums else c
            dtype = node.ans.dtype
            sums[node] = total if total.dtype == dtype else total.astype(dtype)

        ans = self.tensors[root]
        self.begin("seed", root)
        g = np.ones_like(ans._data)
        walk(ans._node, g, on_gradient, leaves)
        for node, total in sums.items():
            name_line(total, f"grad_{self.names[node]}")
        return sums

    def begin(self, phase: Any, node: Node) -> None:
        """Begin a step: the lines that follow belong to it."""
        rule: Any = node.rule
        operation = rule.name.removeprefix("np.").removeprefix("gl.")
        name = self.names[node]
        total = f"the sum of {name}" if node.shape else name
        self.place = {
            "forward": f"{operation}: {name}",
            "seed": f"the gradient of {total} with respect to {name}",
            "backward": f"back through {operation}: {name}",
        }[phase]
        self.steps[self.place] = Step(phase, node)

    # What the walk shows to an inspector.

    def forward(self, rule: Any, args: Any, ans: Any, node: Any) -> None:
        """Do nothing: operations are begun in `_compute`."""

    def before(self, node: Node) -> None:
        """Begin the step of a node."""
        self.begin("backward", self.nodes[node])

    def backward(self, node: Node, g: Any, cotangent: Any) -> None:
        """Name the gradient of a node, which is complete by now."""
        name_line(g, f"grad_{self.names[self.nodes[node]]}")

    # -- writing --------------------------------------------------------------------------------

    def text(self) -> list[Written]:
        """Return the lines of the text; raise CompileError if NumPy alone cannot run it."""
        wanted = needed(lines_in(self.outputs))
        self.lines = [line for line in self.lines if line.fn is None or line in wanted]
        # As if all were returned, no array is written over, so that each line is one definition;
        # and views that have a name get a line of their own.
        kept = [line for line in self.lines if line.name or not line.is_view]
        self._name_others()
        arrays = {name: x for name, x in self.given.items() if id(x) in self.arrays}
        text = Plain([*self.given], {} if self.with_params else arrays)
        text.add(self, kept)
        value, *gradients = map(text.word, self.outputs)
        comma = "," * (len(gradients) == 1)
        foreign = [name for name in text.foreign if not name.startswith("scipy.special.")]
        if foreign or any("constant(" in line for line in text.header):
            raise CompileError.here("The graph needs more than NumPy and its inputs.")
        head = [f"from {path} import {', '.join(names)}" for path, names in text.imports.items()]
        blank = [""] * 2
        lines = ["import numpy as np", *head, *blank[: bool(text.header)], *text.header, *blank]
        lines += wrapped(f"def value_and_grad({', '.join(self.given)}):")
        return [
            *map(Written, lines),
            *self._body(text.body),
            *map(Written, wrapped(f"    return {value}, ({', '.join(gradients)}{comma})")),
        ]

    def _name_others(self) -> None:
        """Name what is neither the result of an operation nor its complete gradient."""
        counts: Counter[str] = Counter()
        for line in self.lines:
            if not line.name:
                step = self.steps[line.origin]
                word = f"{self.names[step.node]}_" if step.phase == "forward" else "g"
                inside = line.is_view and is_simple_view(line)  # written where it is used, mostly
                counts[word] += not inside
                line.name = f"{word}{counts[word] or 1}"

    def _body(self, body: list[tuple[str, str]]) -> list[Written]:
        """Return the lines of the body; a single one needs no comment on what is computed there."""
        places: list[Step | None] = []
        kept: list[tuple[str, str]] = []
        step = None
        for i, (code, comment) in enumerate(body):
            if not code:
                step = self.steps[comment.removeprefix("# ")]
                alone = [bool(code) for code, _ in body[i + 1 : i + 3]] != [True, True]
                if step.phase == "forward" and alone:
                    continue
            kept.append((code, "" if comment.startswith("()") else comment))
            places.append(step)
        return [*map(Written, align(kept), places)]


class Plain(Text):
    """A text in which NumPy's functions have their prefix, and numbers stand where they are used.

    Programs that are to be fast have names for both: an array of one number is converted once.

    Parameters
    ----------
    names : list of str
        What may not be used as a name.
    arrays : dict of str to array
        The inputs that are constants of the program.
    """

    def __init__(self, names: list[str], arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__(names, buffers=False)
        self.arrays = arrays

    def constant(self, x: Any) -> str:
        """Return the name of a constant array or number, which may be an input."""
        same = (k for k, a in self.arrays.items() if a.dtype == x.dtype and np.array_equal(a, x))
        word = next(same, None) or super().constant(x)
        if self.header[-1:] == [f"{word} = constant({word!r})"] and x.size <= WRITTEN_OUT:
            self.header[-1] = f"{word} = np.array({literal(x.tolist())}, {self.dtype(x.dtype)})"
        return word

    def _imported(self, fn: Any) -> str:
        name = getattr(fn, "__name__", "")
        return f"np.{name}" if getattr(np, name, None) is fn else super()._imported(fn)

    def word(self, x: Any, beside: Any = None) -> str:
        """Return how an argument is written."""
        if isinstance(x, np.generic) and beside is not None and x.dtype == beside:
            return digits(x)
        return super().word(x, None if isinstance(x, (int, float)) else beside)


def name_line(x: Any, name: str) -> None:
    """Name the line of a symbol, unless it has a name."""
    if isinstance(x, Symbol) and not x.line.name:
        x.line.name = name


def wrapped(code: str) -> list[str]:
    """Break a long line of code at its commas."""
    indent = " " * (len(code) - len(code.lstrip()))
    return wrap(code.strip(), WIDTH, initial_indent=indent, subsequent_indent=f"{indent}    ")
