"""The plan of memory: which results are written where.

A result lives from its line to the last that reads it, directly or through views. Large ones are
written to buffers that are allocated once and shared by results that do not live at the same time;
an elementwise result takes the memory of an operand that it is the last to read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from gradlite.compiler.program import Line, Program, add_at, lines_in, put
from gradlite.compiler.symbols import cast

LARGE = 1024
"""Bytes above which a result gets a buffer: NumPy itself keeps freed memory of up to so many."""

OWNING = {np.dot, np.matmul, np.where, np.concatenate, np.stack, put, add_at, cast, np.take}
"""Functions, other than ufuncs, whose result is always in memory of its own."""


def is_elementwise(fn: Any) -> bool:
    """Return whether a function is a ufunc of single elements with one result."""
    return isinstance(fn, np.ufunc) and fn.signature is None and fn.nout == 1


def is_reduce(fn: Any) -> bool:
    """Return whether a function is the reduce method of a ufunc."""
    return isinstance(getattr(fn, "__self__", None), np.ufunc) and fn.__name__ == "reduce"


def owns_result(fn: Any) -> bool:
    """Return whether the result of a function is surely in memory of its own."""
    return is_elementwise(fn) or is_reduce(fn) or fn in OWNING


class Plan:
    """Where the result of each line of a program goes.

    Attributes
    ----------
    buffers : list of (shape, dtype)
        The arrays to be allocated once.
    buffer : dict of Line to int
        The buffer that a line is written to.
    inside : dict of Line to Line
        The operand whose memory a line is written to.
    direct : set of Line
        Those of `targets`, results that belong into given arrays, which are written there at once.
    given : dict of Line to Line
        The inputs whose memory may be written to, and the line that is to be there in the end.
    """

    def __init__(
        self,
        program: Program,
        outputs: Sequence[Any],
        targets: Collection[Line] = (),
        large: float = LARGE,
        given: Mapping[Line, Line] | None = None,
    ) -> None:
        self._large = large
        self.given = dict(given or {})
        self.lines = program.lines
        self.targets = targets
        self.outputs = list(lines_in((*outputs, *targets, *self.given.values())))
        self.last = self._last_uses()
        # Outputs, and what becomes one in place, are not written to buffers.
        fresh = {line.root for line in self.outputs}
        while (found := self._assign(fresh) - fresh) or self._take_back():
            fresh |= found

    def home(self, line: Line) -> Line:
        """Return the first line in the memory that a line ends up in."""
        line = line.root
        while line in self.inside:
            line = self.inside[line].root
        return line

    def _take_back(self) -> bool:
        """Keep the inputs as they are whose memory would hold another result in the end."""
        homes = {line: self.home(line) for line in self.outputs}
        lost = [
            x
            for x, new in self.given.items()
            if any(home is x and line is not new for line, home in homes.items())
        ]
        for x in lost:
            del self.given[x]
        return bool(lost)

    def _assign(self, fresh: set[Line]) -> set[Line]:
        """Assign memory to every line; return those that become one of `fresh` in a buffer."""
        self.buffers: list[tuple[tuple[int, ...], Any]] = []
        self.buffer: dict[Line, int] = {}
        self.inside: dict[Line, Line] = {}
        self.direct: set[Line] = set()
        free: dict[Any, list[int]] = {}
        held: dict[Line, tuple[int, Line]] = {}  # the buffer of a root, and the first line in it
        owned: set[Line] = set(self.given)
        wrong: set[Line] = set()
        ends: dict[int, list[Line]] = {}
        for root, i in self.last.items():
            ends.setdefault(i, []).append(root)
        for i, line in enumerate(self.lines):
            if line.fn is not None and not line.is_view and isinstance(line.value, np.ndarray):
                operand = self._dying_operand(line, i, owned)
                if operand is not None:
                    self.inside[line] = operand
                    if operand in held:
                        held[line] = held.pop(operand)
                        if line in fresh:
                            wrong.add(held[line][1])
                elif line in self.targets and self._takes_out(line):
                    self.direct.add(line)
                elif line not in fresh and self._takes_out(line, self._large):
                    key = (line.shape, line.dtype)
                    if not free.get(key):
                        self.buffers.append(key)
                        free.setdefault(key, []).append(len(self.buffers) - 1)
                    self.buffer[line] = free[key].pop()
                    held[line] = self.buffer[line], line
                if operand is not None or owns_result(line.fn):
                    owned.add(line)
            for root in ends.get(i, ()):
                if root in held:
                    number, _ = held.pop(root)
                    free[self.buffers[number]].append(number)
        return wrong

    def _last_uses(self) -> dict[Line, int]:
        """Return the number of the last line that reads the memory of each root."""
        last: dict[Line, int] = {}
        for i, line in enumerate(self.lines):
            last.setdefault(line.root, i)
            for arg in line.inputs():
                last[arg.root] = i
        for line in self.outputs:
            last[line.root] = len(self.lines)
        for line in reversed(self.lines):
            # What an unknown function returns may be one of its arguments, or hold one.
            if line.fn is None or owns_result(line.fn):
                continue
            for arg in line.inputs():
                last[arg.root] = max(last[arg.root], last[line.root])
        return last

    def _takes_out(self, line: Line, more_than: float = 0) -> bool:
        if line.value.nbytes <= more_than or not line.ndim or "dtype" in line.kwargs:
            return False
        if not line.value.flags.c_contiguous:
            return False
        if line.fn is put:
            return True
        if line.fn in (np.dot, np.matmul):
            return all(isinstance(x, (Line, np.ndarray)) for x in line.args)
        return is_elementwise(line.fn) or is_reduce(line.fn)

    def _dying_operand(self, line: Line, i: int, owned: set[Line]) -> Line | None:
        """Return an operand that an elementwise line may be written over, if there is one."""
        if not (is_elementwise(line.fn) or line.fn in (put, add_at)) or not line.ndim:
            return None
        if "dtype" in line.kwargs:
            return None
        candidates = line.args[:1] if line.fn in (put, add_at) else line.args
        for arg in candidates:
            if (
                isinstance(arg, Line)
                and arg in owned
                and self.last[arg] == i
                and arg.shape == line.shape
                and arg.dtype == line.dtype
                and arg.value.strides == line.value.strides  # sums later depend on the order
                and all(other is arg or other.root is not arg for other in line.inputs())
            ):
                return arg
        return None
