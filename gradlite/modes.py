"""Modes: whether operations are recorded, and whether debug mode looks on.

The mode belongs to the current context (`contextvars`), so threads and tasks do not disturb
each other.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from gradlite.rule import Rule


class Inspector(Protocol):
    """What debug mode puts beside the tape (see debug.py)."""

    def forward(self, rule: Rule, args: Any, ans: Any, node: Any) -> None:
        """Look at an operation just carried out."""

    def before(self, node: Any) -> None:
        """Look at a node that the walk is about to differentiate."""

    def backward(self, node: Any, g: Any, cotangent: Any) -> None:
        """Look at the cotangent that a node's rule gave in return for `g`."""


class Mode(NamedTuple):
    """How operations are carried out in the current context."""

    record: bool
    inspector: Inspector | None = None


RECORDING = Mode(True)
MODE: ContextVar[Mode] = ContextVar("gradlite_mode", default=RECORDING)
current_mode = MODE.get


class ModeContext:
    """A context manager and decorator that sets the mode; it can be entered again."""

    def __init__(self) -> None:
        self._tokens: list[Any] = []

    def _change(self, mode: Mode) -> Mode:
        raise NotImplementedError

    def __enter__(self) -> Any:
        self._tokens.append(MODE.set(self._change(current_mode())))
        return self

    def __exit__(self, *exc: object) -> None:
        MODE.reset(self._tokens.pop())

    def _fresh(self) -> ModeContext:
        return type(self)()

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function; a generator function has the mode inside each step only."""
        if inspect.isgeneratorfunction(fn):

            @functools.wraps(fn)
            def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
                steps = fn(*args, **kwargs)
                while True:
                    with self._fresh():
                        try:
                            value = next(steps)
                        except StopIteration:
                            return
                    yield value

            return generator

        @functools.wraps(fn)
        def function(*args: Any, **kwargs: Any) -> Any:
            with self._fresh():
                return fn(*args, **kwargs)

        return function


class no_grad(ModeContext):
    """Record nothing inside: operations cost what NumPy costs, and results want no gradient.

    Works as a context manager and as a decorator, and holds for the current context only
    (`contextvars`): other threads and tasks go on recording.

    Examples
    --------
    >>> import gradlite as gl
    >>> x = gl.Tensor([1.0, 2.0], requires_grad=True)
    >>> with gl.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def _change(self, mode: Mode) -> Mode:
        return mode._replace(record=False)


class enable_grad(ModeContext):
    """Record inside, even within `no_grad`.

    Examples
    --------
    >>> import gradlite as gl
    >>> x = gl.Tensor(2.0, requires_grad=True)
    >>> with gl.no_grad():
    ...     with gl.enable_grad():
    ...         y = x * x
    >>> y.requires_grad
    True
    """

    def _change(self, mode: Mode) -> Mode:
        return RECORDING if mode.inspector is None else mode._replace(record=True)
