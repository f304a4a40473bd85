"""Modes: whether operations are recorded, and whether debug mode checks them.

The mode belongs to the current context (`contextvars`), so threads and tasks do not affect each
other.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from gradlite.autodiff.rule import Rule
from gradlite.errors import DetachError, GraphError, function_name


class Inspector(Protocol):
    """What debug mode puts beside the tape (see debug.py)."""

    def forward(self, rule: Rule, args: Any, ans: Any, node: Any) -> None:
        """Inspect an operation that was just carried out."""

    def before(self, node: Any) -> None:
        """Inspect a node whose rule the walk is about to call."""

    def backward(self, node: Any, g: Any, cotangent: Any) -> None:
        """Inspect the cotangent that a node's rule returned for `g`."""


class Mode(NamedTuple):
    """How operations are carried out in the current context."""

    record: bool
    inspector: Inspector | None = None


RECORDING = Mode(True)
MODE: ContextVar[Mode] = ContextVar("gradlite_mode", default=RECORDING)
OUTER: ContextVar[tuple[tuple[Any, Mode, Any], ...]] = ContextVar("gradlite_outer", default=())
current_mode = MODE.get


VARIABLES: ContextVar[Set[Any] | None] = ContextVar("gradlite_variables", default=frozenset())
"""What the transforms of this context differentiate with respect to; None means everything."""

ACTIVE: set[Any] = set()
"""The variables of all running transforms: a function may pass them to other threads."""


@contextmanager
def differentiating(variables: Set[Any] | None) -> Iterator[None]:
    """Guard results of `variables` (and of those of outer transforms): see `is_differentiated`."""
    outer = VARIABLES.get()
    token = VARIABLES.set(None if variables is None or outer is None else variables | outer)
    ACTIVE.update(variables or ())
    try:
        yield
    except (ValueError, SystemError) as error:
        # For ``a[i] = t``, NumPy raises its own error about sequences; ours is the cause. So it is
        # of Python's where scipy's root finders in C call the function again after the first error.
        if isinstance(error.__cause__, DetachError):
            raise error.__cause__.with_traceback(error.__traceback__) from None
        raise
    finally:
        ACTIVE.difference_update(variables or ())
        VARIABLES.reset(token)


def is_differentiated(node: Any) -> bool:
    """Return whether a derivative that is being computed depends on the result of `node`.

    A conversion of such a result to a plain number would lose its gradient silently.
    """
    everything = VARIABLES.get() is None
    if node is None or not (everything or ACTIVE) or not current_mode().record:
        return False
    if everything or node in ACTIVE:
        return True
    variables = frozenset(ACTIVE)
    oldest = min((variable.serial for variable in variables), default=0)
    pending, seen = [node], {node}
    for behind in pending:
        new = {p for p in behind.parents or () if p is not None and p.serial >= oldest} - seen
        if not variables.isdisjoint(new):
            return True
        seen |= new
        pending += new
    return False


def is_variable(node: Any) -> bool:
    """Return whether a node is a variable of a running transform."""
    return node in ACTIVE


class ModeContext:
    """A context manager and decorator that sets the mode.

    It keeps no state of its own, so one object may be entered again and in several threads.
    """

    def __init__(self, *given: object) -> None:
        if given:
            name = type(self).__name__
            raise TypeError(f"{name} takes no function: write @gl.{name}(), with parentheses.")

    def _change(self, mode: Mode) -> Mode:
        raise NotImplementedError

    def _begin(self) -> Callable[..., Any] | None:
        """Set up what else the mode needs, and return the function that undoes it, or None."""
        return None

    def __enter__(self) -> Any:
        mode = current_mode()
        OUTER.set((*OUTER.get(), (self, mode, self._begin())))
        MODE.set(self._change(mode))
        return self

    def __exit__(self, *exc: object) -> None:
        if not OUTER.get() or OUTER.get()[-1][0] is not self:
            raise GraphError(
                f"This {type(self).__name__} block was entered in another thread or task, or "
                f"within another block that is still open. The mode belongs to where the block "
                f"was entered: leave it there (a generator: in the thread that started it)."
            )
        *rest, (_, mode, end) = OUTER.get()
        OUTER.set(tuple(rest))
        MODE.set(mode)
        if end is not None:
            end(*exc)

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function; a generator has the mode inside its own steps only."""
        if inspect.isasyncgenfunction(fn):
            raise TypeError(
                f"{type(self).__name__} cannot decorate the asynchronous generator "
                f"{function_name(fn)}: between its steps, other tasks run. Put "
                f"`with gl.{type(self).__name__}():` around the operations inside it."
            )
        if inspect.isgeneratorfunction(fn):

            @functools.wraps(fn)
            def generator(*args: Any, **kwargs: Any) -> Any:
                steps = fn(*args, **kwargs)
                step: Callable[[], Any] = steps.__next__
                try:
                    while True:
                        try:
                            with self:
                                value = step()
                        except StopIteration as stop:
                            return stop.value
                        try:
                            step = functools.partial(steps.send, (yield value))
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            step = functools.partial(steps.throw, error)
                finally:
                    with self:
                        steps.close()

            return generator

        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await fn(*args, **kwargs)

            return coroutine

        @functools.wraps(fn)
        def function(*args: Any, **kwargs: Any) -> Any:
            with self:
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
