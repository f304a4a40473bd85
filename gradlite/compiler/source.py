"""The text of a program: NumPy as one would write it, one call per line, with the user's names."""

from __future__ import annotations

import builtins
import keyword
import math
import operator
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from gradlite.compiler.plan import LARGE, Plan, owns_result
from gradlite.compiler.program import Line, Program, add_at, is_uniform, lines_in, put
from gradlite.compiler.symbols import cast

INFIX = {
    np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.greater: ">",
    np.greater_equal: ">=", np.less: "<", np.less_equal: "<=", np.equal: "==",
    np.not_equal: "!=", np.matmul: "@", operator.add: "+", operator.sub: "-", operator.mul: "*",
    operator.truediv: "/", operator.floordiv: "//", operator.mod: "%", operator.pow: "**",
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "==",
    operator.ne: "!=",
}  # fmt: skip
AUGMENTED = {np.add: "+=", np.subtract: "-=", np.multiply: "*=", np.divide: "/="}
ARITHMETIC = {*INFIX, np.maximum, np.minimum, np.power}
"""Ufuncs that compute in one type, so that a constant number may have it, too."""
COMMUTATIVE = (np.add, np.multiply)
LITERAL = 8
"""Constant arrays of at most so many elements are written out."""


RESERVED = ("np", "Retrace", "constant", "base64", "DATA")


class Text:
    """The source of a function, line by line.

    Parameters
    ----------
    names : sequence of str
        What may not be used as a name: the parameters of the function.
    buffers : bool, default True
        Whether large results go to arrays that are kept; otherwise all are new in each call.

    Attributes
    ----------
    body : list of (str, str)
        Lines of code, and their comments.
    namespace : dict
        The arrays and functions that the code refers to, by name.
    header : list of str
        Code that makes those arrays.
    foreign : list of str
        The functions that are not NumPy's.
    """

    def __init__(self, names: Sequence[str], buffers: bool = True) -> None:
        self.buffers = buffers
        self.taken = {*names, *RESERVED, *keyword.kwlist, *dir(builtins)}
        self.namespace: dict[str, Any] = {}
        self.imports: dict[str, list[str]] = {}
        self.header: list[str] = []
        self.body: list[tuple[str, str]] = []
        self.foreign: list[str] = []
        self._functions: dict[Any, str] = {}
        self._constants: dict[Any, str] = {}
        self._buffer_count = 0
        self._last: dict[str, int] = {}  # the last number given to a name

    def add(
        self,
        program: Program,
        outputs: Sequence[Any],
        targets: Mapping[Line, tuple[str, np.ndarray]] | None = None,
        given: Mapping[Line, Line] | None = None,
    ) -> None:
        """Add the lines of a program.

        Parameters
        ----------
        program : Program
            The lines.
        outputs : sequence
            The lines, and constants, that it returns.
        targets : dict of Line to (str, array), optional
            Results that may be written to given arrays at once, and how these are called.
        given : dict of Line to Line, optional
            Inputs that the program changes, each with the line that it becomes. There are no
            guards then: these would come after the first change.
        """
        self.targets = targets or {}
        self.plan = Plan(program, outputs, self.targets, LARGE if self.buffers else math.inf, given)
        self.namespace.update(self.targets.values())
        self.taken |= self.namespace.keys()
        self._buffers = [self._buffer(*b) for b in self.plan.buffers]
        self._word: dict[Line, str] = {}
        self._uses = Counter(arg for line in program.lines for arg in line.inputs())
        self._uses.update(self.plan.outputs)
        start = len(self.body)
        if given:
            self.body.append((f"global {', '.join(x.name for x in given)}", ""))
        guards: dict[Line, list[bool]] = {}
        for line, holds in program.guards:
            guards.setdefault(line, []).append(holds)
        origin = ""
        for line in program.lines:
            if line.fn is None:
                self._word[line] = line.name
                continue
            written = len(self.body)
            self._write(line)
            if line.origin != origin and len(self.body) > written:
                origin = line.origin
                if origin:
                    self.body.insert(written, ("", f"# {origin}"))
            for holds in guards.get(line, ()):
                self.body.append((f"if {'not ' * holds}{self._test(line)}: raise Retrace", ""))
        for line, tests in guards.items():
            if line.fn is None:
                self.body[start:start] = [
                    (f"if {'not ' * holds}{line.name}: raise Retrace", "") for holds in tests
                ]
        for x, new in (given or {}).items():
            if self.plan.home(new) is not x:
                self.body.append((f"np.copyto({x.name}, {self._word[new]})", ""))

    def _test(self, line: Line) -> str:
        """Return a condition: in full, if it was written for nothing else."""
        name, equals, expression = self.body[-1][0].partition(" = ")
        if self._uses[line] or not equals or name != self._word[line]:
            return self._word[line]
        self.body.pop()
        return expression if expression.endswith(")") else f"({expression})"

    # -- names ----------------------------------------------------------------------------

    def unused(self, wish: str) -> str:
        """Return a name that is not taken yet."""
        wish = re.sub(r"\W", "_", wish).lstrip("_0123456789")
        name, i = wish, self._last.get(wish, 1 if wish else 0)
        while not name or name in self.taken:
            i += 1
            name = f"{wish}_{i}" if wish[-1:].isdigit() else f"{wish or 't'}{i}"
        self.taken.add(name)
        self._last[wish] = i
        return name

    def _buffer(self, shape: tuple[int, ...], dtype: Any) -> str:
        self._buffer_count += 1
        name = self.unused(f"buffer{self._buffer_count}")
        self.namespace[name] = np.empty(shape, dtype)
        self.header.append(f"{name} = np.empty({shape}, {self.dtype(dtype)})")
        return name

    def constant(self, x: Any) -> str:
        """Return the name of a constant array or number."""
        key = (np.shape(x), np.asarray(x).dtype.str, np.asarray(x).tobytes(), type(x))
        if key not in self._constants:
            plain = re.sub(r"\W", "_", digits(x)) if np.ndim(x) == 0 else ""
            kind = "ones" if np.ndim(x) == 1 and np.size(x) and np.all(x == 1) else "constant"
            name = self.unused(f"c_{plain}" if plain else kind)
            self.namespace[name] = x
            dtype = self.dtype(x.dtype)
            if kind == "ones":
                text = f"np.ones({x.size}, {dtype})"
            elif isinstance(x, np.generic):
                text = f"{dtype}({digits(x)})"
            elif x.ndim and is_uniform(x):
                text = f"np.full({x.shape}, {digits(x.flat[0])}, {dtype})"
            elif not x.size:
                text = f"np.zeros({x.shape}, {dtype})"
            elif is_range(x):
                text = f"np.arange({x[0]}, {x[-1] + x[1] - x[0]}, {x[1] - x[0]})"
            elif x.size <= LITERAL:
                text = f"np.array({digits(x) if x.ndim == 0 else literal(x.tolist())}, {dtype})"
            else:
                text = f"constant({name!r})"
            self.header.append(f"{name} = {text}")
            self._constants[key] = name
        return self._constants[key]

    def dtype(self, dtype: Any) -> str:
        """Return how a type is written."""
        dtype = np.dtype(dtype)
        known = getattr(np, dtype.name, None)
        if dtype.isnative and known is not None and np.dtype(known) == dtype:
            return f"np.{dtype.name}"
        return f"np.dtype({dtype.str!r})"

    def function(self, fn: Any) -> str:
        """Return how a function is called, and import it."""
        if fn not in self._functions:
            self._functions[fn] = self._imported(fn)
        return self._functions[fn]

    def _imported(self, fn: Any) -> str:
        owner = getattr(fn, "__self__", None)
        if isinstance(owner, np.ufunc):
            return f"{self.function(owner)}.{fn.__name__}"
        name: str = fn.__name__
        if owner is not None and not isinstance(owner, (type, ModuleType)):
            word = self.unused(name)
            self.namespace[word] = fn
            self.header.append(f"# {word} is the method of a {type(owner).__name__}")
            self.foreign.append(f"{type(owner).__name__}.{name}")
            return word
        if fn in (abs, float, int, bool):
            return name
        for path in ("numpy", "numpy.linalg", "numpy.fft", "scipy.special"):
            if getattr(sys.modules.get(path), name, None) is fn:
                if path in ("numpy.linalg", "numpy.fft") or (
                    path == "numpy" and name in self.taken
                ):
                    return f"{path.replace('numpy', 'np')}.{name}"
                break
        else:
            path = getattr(fn, "__module__", None) or ""
        if not path.startswith("numpy"):
            self.foreign.append(f"{path}.{name}")
        word = self.unused(name)
        operation = getattr(sys.modules.get(path), name, None)
        if operation is not fn and getattr(operation, "forward", None) is fn:
            self.namespace[word] = operation  # gradlite's: the import names what can be recorded
            self._imports(path, name, word)
            return f"{word}.forward"
        self.namespace[word] = fn
        self._imports(path, name, word)
        return word

    def _imports(self, path: str, name: str, word: str) -> None:
        self.imports.setdefault(path, []).append(name if word == name else f"{name} as {word}")

    # -- expressions ----------------------------------------------------------------------

    def word(self, x: Any, beside: Any = None) -> str:
        """Return how an argument is written; a number beside an array of a type, as one of it."""
        if isinstance(x, Line):
            return self._word[x]
        if isinstance(x, np.ndarray) or (isinstance(x, np.generic) and beside is None):
            return self.constant(x)
        if isinstance(x, (float, int, np.generic)) and not isinstance(x, (bool, np.bool_)):
            if beside is not None:  # the conversion of a Python number takes 0.3 us a call
                if np.result_type(beside, x) == beside and beside.kind == "f":
                    return self.constant(np.array(x, beside))
                if isinstance(x, np.generic):
                    return self.constant(x)
            return literal(x)
        if isinstance(x, np.dtype):
            return self.dtype(x)
        if isinstance(x, type) and issubclass(x, np.generic):
            return self.dtype(x)
        if isinstance(x, slice):
            return f"slice({', '.join(map(self.word, (x.start, x.stop, x.step)))})"
        if isinstance(x, (tuple, list)):
            inner = ", ".join(map(self.word, x)) + "," * (len(x) == 1 and isinstance(x, tuple))
            return f"({inner})" if isinstance(x, tuple) else f"[{inner}]"
        if x is Ellipsis or x is None or isinstance(x, (bool, str, range)):
            return "..." if x is Ellipsis else repr(x)
        if callable(x):
            return self.function(x)
        name = self.unused(type(x).__name__.lower())
        self.namespace[name] = x
        self.foreign.append(f"an object of type {type(x).__name__}")
        return name

    def index(self, x: Any) -> str:
        """Return how an index is written between its brackets."""
        if isinstance(x, tuple) and x:
            return ", ".join(map(self.index, x)) + "," * (len(x) == 1)
        if isinstance(x, slice):
            parts = ["" if part is None else self.word(part) for part in (x.start, x.stop, x.step)]
            return ":".join(parts if x.step is not None else parts[:2])
        return self.word(x)

    def expression(self, line: Line, out: str = "") -> str:
        """Return the call of a line, which writes to `out` if that is given."""
        fn, args = line.fn, line.args
        beside = None
        if fn in ARITHMETIC:
            kinds = {arg.dtype for arg in lines_in(args) if arg.ndim or not line.ndim} - {None}
            beside = kinds.pop() if len(kinds) == 1 else None
        if fn is operator.getitem or (line.is_view and not out):
            return self.view(self.word(args[0]), fn, args[1:], line.kwargs)
        if line.ndim:
            words = [self.word(self._spread(arg, line, beside), beside) for arg in args]
        else:  # arithmetic of single numbers, in which Python's are as good as NumPy's
            same = beside is not None and beside.kind == "f"
            words = [
                literal(arg.item())
                if same and isinstance(arg, np.generic) and arg.dtype == beside
                else self.word(arg)
                for arg in args
            ]
        if fn is np.copy and line.kwargs == {"order": "C"}:
            return f"{words[0]}.copy()"
        if not out and not line.kwargs:
            if fn in INFIX and len(words) == 2:
                words = [f"({word})" if word.startswith("-") else word for word in words]
                return f"{words[0]} {INFIX[fn]} {words[1]}"
            if fn in (np.negative, operator.neg):
                return f"-{words[0]}"
            if fn is cast:
                return f"{words[0]}.astype({words[1]})"
        words += [f"{name}={self.word(x)}" for name, x in line.kwargs.items()]
        words += [f"out={out}"] * bool(out)
        return f"{self.function(fn)}({', '.join(words)})"

    def _spread(self, x: Any, line: Line, beside: Any) -> Any:
        """Return the bound of a maximum as an array: that takes a third of the time."""
        extreme = line.fn in (np.maximum, np.minimum) and line.size >= 512 and self.buffers
        number = isinstance(x, (int, float, np.generic))
        if extreme and number and beside is not None and line.dtype == beside:
            return np.full(line.shape, x, beside)
        return x

    def _write(self, line: Line) -> None:
        """Add the code of a line."""
        plan = self.plan
        operand = plan.inside.get(line)
        wish = line.name
        if line.is_view and self._uses[line] == 1 and is_simple_view(line):
            self._word[line] = self.expression(line)
            return
        comment = f"{line.shape} {line.dtype}" if isinstance(line.value, np.ndarray) else ""
        if line.fn in (put, add_at):
            self._write_part(line, operand)
            return
        if operand is not None and not wish and line.fn in AUGMENTED and not line.kwargs:
            x, y = line.args
            if y is operand and x is not operand and line.fn in COMMUTATIVE:
                x, y = y, x
            if x is operand:
                self._word[line] = name = self._word[operand]
                other = self.word(y, line.dtype)
                self.body.append((f"{name} {AUGMENTED[line.fn]} {other}", comment))
                return
        out = self._word[operand] if operand is not None else self._out(line)
        text = self.expression(line, out)
        self._word[line] = name = self.unused(wish)
        self.body.append((f"{name} = {text}", comment))

    def _out(self, line: Line) -> str:
        """Return the array that a line is written to, or ''."""
        if line in self.plan.direct:
            return self.targets[line][0]
        return self._buffers[self.plan.buffer[line]] if line in self.plan.buffer else ""

    def _write_part(self, line: Line, operand: Line | None) -> None:
        """Add the code that writes to a part of an array: of `operand`, or of a copy."""
        base, where, new = line.args
        if operand is not None and not line.name:
            name = self._word[operand]
        else:
            name = self.unused(line.name)
            zeros = isinstance(base, np.ndarray) and not base.any()
            out = self._out(line)
            if operand is not None:
                start = self.word(base)
            elif zeros:
                start = out or f"np.zeros({line.shape}, {self.dtype(line.dtype)})"
            else:
                start = out or f"np.copy({self.word(base)})"
            self.body.append((f"{name} = {start}", f"{line.shape} {line.dtype}"))
            if out:
                self.body.append((f"{name}[...] = {'0' if zeros else self.word(base)}", ""))
        self._word[line] = name
        if line.fn is add_at:
            at = f"{self.function(np.add)}.at({name}, {self.word(where)}, {self.word(new)})"
            self.body.append((at, ""))
            return
        target = name
        for fn, args, kwargs in where:
            target = self.view(target, fn, args, dict(kwargs))
        if not where or where[-1][0] is not operator.getitem:
            target += "[...]"
        self.body.append((f"{target} = {self.word(new)}", ""))

    def view(self, base: str, fn: Any, args: Any, kwargs: Any) -> str:
        """Return how a view of `base` is written."""
        words = [*map(self.word, args), *(f"{name}={self.word(x)}" for name, x in kwargs.items())]
        if fn is operator.getitem:
            return f"{base}[{self.index(args[0])}]"
        if fn is np.transpose and not words:
            return f"{base}.T"
        if fn in (np.reshape, np.ndarray.view):
            return f"{base}.{fn.__name__}({', '.join(words)})"
        return f"{self.function(fn)}({', '.join([base, *words])})"

    def results(self, outputs: Sequence[Any]) -> list[str]:
        """Return how outputs are written, each in memory that nothing else writes to."""
        shared: set[Line] = set()
        return [self._result(x, shared) for x in outputs]

    def _result(self, x: Any, shared: set[Line]) -> str:
        if not isinstance(x, Line):
            return self.word(x) if not isinstance(x, np.ndarray) else f"{self.word(x)}.copy()"
        word = self._word[x]
        if not isinstance(x.value, np.ndarray):
            return word
        own = x.root.fn is not None and x.root not in shared and owns_result(x.root.fn)
        shared.add(x.root)
        return word if own else f"{word}.copy()"


def is_simple_view(line: Line) -> bool:
    """Return whether a view is written after the name of what it is a view of: ``h.T``."""
    plain = line.fn is np.transpose and len(line.args) == 1
    sliced = line.fn in (np.reshape, operator.getitem) and not any(lines_in(line.args[1:]))
    return plain or sliced


def is_range(x: np.ndarray) -> bool:
    """Return whether an array is one that np.arange makes of three ints."""
    if x.ndim != 1 or x.size <= LITERAL or x.dtype != int:
        return False
    step = x[1] - x[0]
    return bool(step and abs(x).max() < 2**31 and np.all(np.diff(x) == step))


def digits(x: Any) -> str:
    """Return the text of one number, of float32 with no more digits than it has."""
    number = x.item()
    if x.dtype == np.float32 and np.float32(float(str(x))).tobytes() == x.tobytes():
        number = float(str(x))
    return literal(number)


def literal(x: Any) -> str:
    """Return Python's text of numbers and lists of them, inf and nan included."""
    if isinstance(x, list):
        return f"[{', '.join(map(literal, x))}]"
    return re.sub(r"\b(inf|nan)\b", r"np.\1", repr(x)) if isinstance(x, float) else repr(x)


def align(body: Sequence[tuple[str, str]], indent: str = "    ") -> list[str]:
    """Return lines of code with their comments in one column."""
    width = min(60, max((len(code) for code, _ in body if code), default=0))
    lines = []
    for code, comment in body:
        if not code:
            lines.append(f"{indent}{comment}")
        else:
            lines.append(f"{indent}{code:{width}}  # {comment}" if comment else f"{indent}{code}")
    return lines
