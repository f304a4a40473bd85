"""The exceptions of gradlite: each names the operation, the shapes and the remedy.

Every one derives from `GradliteError` and from the built-in exception that a caller would
expect, so ``except ValueError`` and ``except gradlite.GradliteError`` both work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any


class GradliteError(Exception):
    """Base class of all errors that gradlite raises on purpose."""


class ShapeError(GradliteError, ValueError):
    """Two shapes that must agree do not."""


class DtypeError(GradliteError, TypeError):
    """The data has a type that cannot be differentiated."""


class GraphError(GradliteError, RuntimeError):
    """A backward pass was asked for where there is no graph to walk, or no longer one."""


class DetachError(GradliteError, TypeError):
    """A conversion would have lost a gradient silently."""


class DomainError(GradliteError, ValueError):
    """A function of one number was asked where it has no value."""


class DivisionError(GradliteError, ZeroDivisionError):
    """A number was divided by zero, or a derivative is infinite."""


class RangeError(GradliteError, OverflowError):
    """A number would be too large for a float."""


class NonFiniteError(GradliteError, FloatingPointError):
    """Debug mode met the first NaN or Inf."""


class DivergedError(GradliteError, ValueError):
    """The loss of training is no longer finite."""


class MutationError(GradliteError, RuntimeError):
    """Debug mode found that an array the backward pass needs was changed in place."""


class StateError(GradliteError, ValueError):
    """A saved state does not fit what it is loaded into."""


class PersistError(GradliteError, ValueError):
    """A file is not what was saved, or not what was asked for."""


class FolderError(GradliteError, FileNotFoundError):
    """A file was to be written to a folder that does not exist."""


class GradientError(GradliteError, AssertionError):
    """`check_grads` found a derivative that finite differences contradict."""


class MissingExtraError(GradliteError, ImportError):
    """A package that an optional part needs is not installed."""


class MissingRuleError(GradliteError, TypeError):
    """A function, or an argument of it, has no derivative rule."""

    @classmethod
    def for_function(cls, fn: Callable[..., Any], method: str = "__call__") -> MissingRuleError:
        """Say that `fn` has no rule, and how to add one."""
        name = function_name(fn)
        if method != "__call__":
            return cls(
                f"{name}.{method} has no derivative rule for Tensors. Use the function that does "
                f"the same (np.sum for np.add.reduce, say), or t.detach().data where no gradient "
                f"should flow."
            )
        return cls(
            f"{name} has no derivative rule. Add it in one line: "
            f"gl.defvjp({name}, lambda g, ans, x: ...), with g the cotangent of the answer; "
            f"or pass t.detach().data where no gradient should flow."
        )


def function_name(fn: Callable[..., Any]) -> str:
    """Name a function as a user would write it: ``np.linalg.solve``, ``gl.relu``.

    Examples
    --------
    >>> import numpy as np
    >>> function_name(np.linalg.solve)
    'np.linalg.solve'
    """
    name = getattr(fn, "__name__", repr(fn))
    module = getattr(fn, "__module__", None) or _home(fn, name)
    if module.startswith("numpy"):
        room = module.partition(".")[2].partition(".")[0]
        return f"np.{room}.{name}" if room in ("linalg", "fft", "random") else f"np.{name}"
    if module.startswith("gradlite"):
        return f"gl.{name}"
    return f"{module}.{name}" if module not in ("", "__main__") else name


def _home(fn: Callable[..., Any], name: str) -> str:
    """Find the module of a ufunc, which does not know it."""
    for module in ("numpy", "scipy.special"):
        if getattr(sys.modules.get(module), name, None) is fn:
            return module
    return ""


def compare_names(own: Iterable[str], given: Iterable[str]) -> Iterator[str]:
    """Say which names are missing, and which are there instead.

    Examples
    --------
    >>> list(compare_names(["weight"], ["wieght"]))
    ['weight is missing', 'wieght is unexpected (did you mean weight?)']
    """
    own, given = list(own), list(given)
    missing = [name for name in own if name not in given]
    for name in missing:
        yield f"{name} is missing"
    for name in given:
        if name not in own:
            near = get_close_matches(name, missing, 1)
            yield f"{name} is unexpected" + (f" (did you mean {near[0]}?)" if near else "")
