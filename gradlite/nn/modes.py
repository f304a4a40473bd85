"""Modes that hold in a block of code: what layers draw from, and eval mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

import numpy as np

from gradlite.autodiff.modes import current_mode
from gradlite.compiler.tracing import Inspector
from gradlite.errors import CompileError

Rng: TypeAlias = "np.random.Generator | None"  # a string: NumPy loads its generators on first use

DRAWS: ContextVar[Rng] = ContextVar("gradlite_draws", default=None)
EVAL_MODE: ContextVar[bool] = ContextVar("gradlite_eval_mode", default=False)


def generator(rng: Rng) -> np.random.Generator:
    """Return what a layer draws from: its own `rng`, that of `random_draws`, or a new one."""
    if rng is None:
        rng = DRAWS.get()
        if rng is None and isinstance(current_mode().inspector, Inspector):
            raise CompileError.here(
                "A generator that is new in each call would draw the same numbers in all runs: "
                "keep it, and layers that draw, as attributes, and pass rng=self.rng."
            )
    return np.random.default_rng(rng)


@contextmanager
def random_draws(rng: np.random.Generator) -> Iterator[None]:
    """Make layers constructed inside the block draw from `rng`, unless they have their own.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite.nn.layers import Linear
    >>> with random_draws(np.random.default_rng(0)):
    ...     net = Linear(3, 2)
    >>> bool(np.all(net.weight.data == Linear(3, 2, rng=np.random.default_rng(0)).weight.data))
    True
    """
    token = DRAWS.set(rng)
    try:
        yield
    finally:
        DRAWS.reset(token)


class eval_mode:
    """Run every module in eval mode inside the block, in the current context only.

    No module is written to, so a thread that is training one is not affected. With False, modules
    are in the mode that `train` and `eval` set, even within an outer `eval_mode`.

    Examples
    --------
    >>> from gradlite.nn.module import Module
    >>> net = Module()
    >>> with eval_mode():
    ...     net.training
    False
    >>> net.training
    True
    """

    __slots__ = ("mode", "token")

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        self.token = EVAL_MODE.set(self.mode)

    def __exit__(self, *exc: object) -> None:
        EVAL_MODE.reset(self.token)
