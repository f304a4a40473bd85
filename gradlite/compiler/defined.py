"""A program as a function: its text, what that defines, and a module that needs NumPy alone."""

from __future__ import annotations

import base64
import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradlite.compiler.source import Text, align
from gradlite.compiler.twin import Twin
from gradlite.errors import CompileError


class Retrace(Exception):
    """A program met numbers for which the function takes another way."""


class Defined:
    """The function that a program is written as.

    Parameters
    ----------
    signature : str
        Its name and parameters, as after ``def``.
    unpack : list of (str, str)
        Code that takes the parameters apart, and its comments.
    text : Text
        The program.
    returned : str
        What it returns.
    quiet : int
        So many of its first lines warn of nothing, as the walk back does.
    twin : Twin, optional
        Of the network that it was traced from.
    generators : sequence of Generator
        What it draws from, which is taken back if it fails: another call will draw then.

    Attributes
    ----------
    source : str
        The text.
    run : callable
        The function.
    is_current : callable
        Tells whether the network still has the arrays, and the mode, that it was traced with.
    """

    def __init__(
        self,
        signature: str,
        unpack: list[tuple[str, str]],
        text: Text,
        returned: str,
        quiet: int,
        twin: Twin | None = None,
        generators: Sequence[np.random.Generator] = (),
    ) -> None:
        self.is_current = twin.is_current if twin is not None else lambda: True
        self.name = signature.partition("(")[0]
        self.namespace, self.foreign = text.namespace, text.foreign
        body = [*unpack, *text.body]
        lines = align(body)
        if quiet:
            count = len(unpack) + quiet
            ignore = 'divide="ignore", invalid="ignore", over="ignore"'
            first = [f"    {line}" for line in align(body[:count])]
            lines = [f"    with np.errstate({ignore}):", *first, *align(body[count:])]
        self.function = "\n".join([f"def {signature}:", *lines, f"    return {returned}", ""])
        head = ["import numpy as np"]
        for path, names in sorted(text.imports.items()):
            head.append(f"from {path} import {', '.join(sorted(names))}")
        self.head, self.allocations = "\n".join(head), "\n".join(text.header)
        parts = [self.head, self.allocations, "\n" + self.function]
        self.source = "\n\n".join(filter(None, parts))
        namespace = {"np": np, "Retrace": Retrace, **text.namespace}
        exec(builtins.compile(self.function, f"<{self.name}, compiled>", "exec"), namespace)
        self.run = namespace[self.name]
        if generators:
            self.run = restoring(self.run, generators)

    def module(self) -> str:
        """Return the text of a module that defines the function and needs NumPy alone."""
        doc = f"{self.name}, written by gradlite as a NumPy program."
        return self.module_of(doc, self.allocations, self.function)

    def module_of(self, doc: str, allocations: str, functions: str) -> str:
        """Return the text of a module with other functions that use this program's constants."""
        if self.foreign:
            raise CompileError.here(
                f"{self.name} calls {', '.join(sorted(set(self.foreign)))}, which a file that "
                f"needs NumPy alone cannot have."
            )
        lines = [f'"""{doc}"""', "", self.head]
        if "Retrace" in functions:
            lines += ["", "", RETRACE]
        if "constant(" in allocations:
            lines[2] = f"import base64\n\n{lines[2]}"
            data = {
                name: (x.shape, x.dtype.str, np.ascontiguousarray(x))
                for name, x in self.namespace.items()
                if f"constant({name!r})" in allocations
            }
            entries = "".join(
                f"    {name!r}: ({shape}, {dtype!r}, {base64.b85encode(x.tobytes()).decode()!r}),\n"
                for name, (shape, dtype, x) in data.items()
            )
            lines += ["", f"DATA = {{\n{entries}}}", "", "", CONSTANT, ""]
        return "\n".join([*lines, "", allocations, "", "", functions])


def restoring(run: Callable[..., Any], generators: Sequence[np.random.Generator]) -> Any:
    """Return the function, which takes back what it has drawn if it fails."""

    def run_or_restore(*args: Any, **kwargs: Any) -> Any:
        before = [generator.bit_generator.state for generator in generators]
        try:
            return run(*args, **kwargs)
        except Exception:
            for generator, state in zip(generators, before, strict=True):
                generator.bit_generator.state = state
            raise

    return run_or_restore


RETRACE = '''class Retrace(ValueError):
    """The numbers ask for another way through the function than the one written here."""

    def __init__(self):
        super().__init__(self.__doc__)'''
CONSTANT = '''def constant(name):
    """Return a constant array."""
    shape, dtype, text = DATA[name]
    return np.frombuffer(base64.b85decode(text), dtype).reshape(shape)'''
