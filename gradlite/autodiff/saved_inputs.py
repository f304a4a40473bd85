"""What a rule reads: only that is kept until the backward pass.

It is found in the code of the rule: nothing for ``add``, only the output for ``tanh``. A rule that
reads only ``x.shape``, ``x.ndim`` or ``x.size`` does not keep ``x`` alive.
"""

from __future__ import annotations

import dis
import inspect
import re
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType
from typing import Any

Function = Callable[..., Any]

METADATA = frozenset({"shape", "ndim", "size"})
FRAME_READERS = frozenset({"locals", "vars", "eval", "exec", "evaluate", "f_locals"})


class SavedInputs(dict[int, tuple[bool, int]]):
    """What must be kept, for each set of arguments that require a gradient; computed on first use.

    The key is the bit set of these arguments. The value is whether some rule reads the output, and
    the bit set of the arguments that some rule reads (-1, all, for a variadic rule that reads any).
    """

    def __init__(self, vjps: Sequence[Function | None], variadic: Function | None) -> None:
        super().__init__()
        self.vjps = vjps
        self.variadic = variadic

    def __missing__(self, needed: int) -> tuple[bool, int]:
        keep_ans, keep = False, 0
        if self.variadic is not None:
            keep_ans, read = reads(self.variadic, first=2)
            keep = -bool(read)
        for i, vjp in enumerate(self.vjps):
            if vjp is not None and needed >> i & 1:
                ans, read = reads(vjp)
                keep_ans = keep_ans or ans
                keep |= read & ~(-1 << len(self.vjps))
        self[needed] = keep_ans, keep
        return keep_ans, keep


def reads(vjp: Function, first: int = 1) -> tuple[bool, int]:
    """Return whether `vjp` reads ``ans``, its parameter `first`, and which arrays after it.

    The arrays are a bit set, -1 for all. An array is not read if the code does not mention it, or
    mentions only its `METADATA`. Otherwise it counts as read; and if the callable is not a plain
    function, so does everything.
    """
    if type(vjp) is not FunctionType:
        return True, -1
    code = vjp.__code__
    mentioned, read = _variables(code, vjp.__doc__)
    rest = 0
    if code.co_flags & inspect.CO_VARARGS:
        rest = -(code.co_varnames[code.co_argcount + code.co_kwonlyargcount] in mentioned)
    fixed = code.co_varnames[first : code.co_argcount]
    bits = sum((name in read) << i for i, name in enumerate(fixed[1:]))
    return fixed[0] in mentioned if fixed else bool(rest), bits | rest << len(fixed[1:])


def _variables(code: CodeType, doc: str | None) -> tuple[set[str], set[str]]:
    """Return the variables that code mentions, and those of which it reads more than `METADATA`.

    Only the instruction that reads an attribute is recognised by its name: with the instructions of
    another Python, the result may be too large, never too small.
    """
    variables = set(code.co_varnames)
    codes = [code]
    for outer in codes:
        codes += [inner for inner in outer.co_consts if isinstance(inner, CodeType)]
    if any(FRAME_READERS.intersection(inner.co_names) for inner in codes):
        return variables, variables
    # A string may be an expression: numexpr.evaluate("g * cos(x)").
    strings = [text for c in codes for text in c.co_consts if isinstance(text, str)]
    words = {word for text in strings if text != doc for word in re.findall(r"\w+", text)}
    read = variables & words
    mentioned = set(read)
    last: list[str] = []
    for step in dis.get_instructions(code):
        if not (step.opname == "LOAD_ATTR" and step.argval in METADATA):
            read.update(last)
        named = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        last = [name for name in named if isinstance(name, str) and name in variables]
        mentioned.update(last)
        read.update(last[:-1])  # of variables that are loaded together, the last is on top
        del last[:-1]
    return mentioned, read.union(last)


def kept_constant(x: Any, dtype: Any = None) -> Any:
    """Return a constant in the form in which rules read it: a copy, if it is not of floats.

    Programs refill index arrays and masks in loops, and these are small. Integers with which rules
    compute are converted to `dtype`, because pixels and counts in 8 bits would overflow.
    """
    if dtype is not None and getattr(x, "dtype", None) is dtype:
        return x  # the usual case
    if type(x) in (tuple, list):
        return type(x)(map(kept_constant, x))
    if not hasattr(x, "__array_function__") or x.dtype.kind not in "biu":
        return x
    return x.copy() if dtype is None or x.dtype.kind == "b" else x.astype(dtype)
