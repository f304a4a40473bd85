"""The exceptions of gradlite: each names the operation, the shapes and the remedy.

Every one derives from `GradliteError` and from the built-in exception that a caller would
expect, so ``except ValueError`` and ``except gradlite.GradliteError`` both work.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from types import FrameType
from typing import Any

import numpy as np

LIBRARIES = (
    os.path.dirname(os.path.abspath(__file__)),
    os.path.dirname(np.__file__),
    contextlib.__file__,  # whose frames lie between a with block and its library
)


class GradliteError(Exception):
    """Base class of all errors that gradlite raises on purpose."""


class ShapeError(GradliteError, ValueError):
    """Two shapes that must agree do not."""


class DtypeError(GradliteError, TypeError):
    """The data has a type that cannot be differentiated."""


class GraphError(GradliteError, RuntimeError):
    """A backward pass was requested, but there is no graph to walk, or it was freed already."""


class DetachError(GradliteError, RuntimeError):
    """A conversion would have lost a gradient silently.

    A RuntimeError, as PyTorch's: NumPy takes a TypeError for "not an array", and tells another.
    """

    @classmethod
    def to_array(cls, frame: FrameType | None) -> DetachError:
        """Return the error for converting a Tensor to an array in the code of `frame`."""
        return cls(
            f"A Tensor that requires a gradient cannot become an array silently: the gradient "
            f"would be lost. Write t.detach() (or t.data) if that is meant; "
            f"{_to_array_remedy(frame)}."
        )


class DomainError(GradliteError, ValueError):
    """A function of one number was called outside its domain."""


class DivisionError(GradliteError, ZeroDivisionError):
    """A number was divided by zero, or a derivative is infinite."""


class RangeError(GradliteError, OverflowError):
    """A number would be too large for a float."""


class NonFiniteError(GradliteError, FloatingPointError):
    """Debug mode found a NaN or Inf."""


class DivergedError(GradliteError, ValueError):
    """The training loss is no longer finite."""


class MutationError(GradliteError, RuntimeError):
    """An array that the backward pass needs was changed in place."""


class StateError(GradliteError, ValueError):
    """A saved state does not fit the object that it is loaded into."""


class PersistError(GradliteError, ValueError):
    """A file is damaged, was not written by gradlite, or is not of the expected kind."""


class FolderError(GradliteError, FileNotFoundError):
    """The folder in which to write a file does not exist."""


class GradientError(GradliteError, AssertionError):
    """`check_grads` found a derivative that differs from finite differences."""


class MissingExtraError(GradliteError, ImportError):
    """A package that an optional feature needs is not installed."""


class CompileError(GradliteError, TypeError):
    """A function does what no compiled program can."""

    @classmethod
    def here(cls, message: str) -> CompileError:
        """Return the error with the user's line of code."""
        return cls(f"{message}\n  at {user_line()}")


class MissingRuleError(GradliteError, TypeError):
    """A function, or an argument of it, has no derivative rule."""

    @classmethod
    def for_function(cls, fn: Callable[..., Any], method: str = "__call__") -> MissingRuleError:
        """Return the error for a function without a rule, which says how to add one."""
        name = function_name(fn)
        if method != "__call__":
            return cls(
                f"{name}.{method} has no derivative rule for Tensors. Use the function that does "
                f"the same (np.sum for np.add.reduce, say), or t.detach().data where no gradient "
                f"should flow."
            )
        if name in TWINS:
            return cls(f"{name} has no derivative rule: write {TWINS[name]}, which has one.")
        for names, reason in NO_DERIVATIVE.items():
            if name in names:
                return cls(f"{name} {reason}.")
        return cls(
            f"{name} has no derivative rule. Add it in one line: "
            f"gl.defvjp({name}, lambda g, ans, x: ...), with g the cotangent of the output; "
            f"or pass t.detach().data where no gradient should flow."
        )


TWINS = {
    "scipy.special.expit": "gl.sigmoid(x)",
    "scipy.special.erf": "gl.erf(x)",
    "scipy.special.erfc": "1 - gl.erf(x)",
    "scipy.special.ndtr": "0.5 * (1 + gl.erf(x / np.sqrt(2)))",
    "scipy.special.logsumexp": "gl.logsumexp(x, axis=...)",
    "scipy.special.softmax": "gl.softmax(x, axis=...)",
    "scipy.special.log_softmax": "gl.log_softmax(x, axis=...)",
    "scipy.special.log_expit": "-gl.softplus(-x)",
    "scipy.special.logit": "np.log(x / (1 - x))",
    "scipy.special.xlogy": "x * np.log(y)",
    "scipy.special.xlog1py": "x * np.log1p(y)",
}
"""What to write in place of functions of scipy that gradlite has under names of its own."""

_FILES = "writes numbers to a file: pass t.data (and read them back as gl.Tensor(...))"
_IN_PLACE = (
    "changes an array in place, which cannot be recorded: build the result with np.where, "
    "np.stack or np.concatenate, or pass t.data where no gradient should flow"
)
_BITS = "works on integers and booleans, which have no derivative: compare first, (t > 0) & mask"
NO_DERIVATIVE = {
    ("np.save", "np.savez", "np.savez_compressed", "np.savetxt"): _FILES,
    ("np.copyto", "np.put", "np.place", "np.putmask", "np.fill_diagonal", "np.put_along_axis"): (
        _IN_PLACE
    ),
    ("np.bitwise_and", "np.bitwise_or", "np.bitwise_xor", "np.invert", "np.left_shift",
     "np.right_shift", "np.bitwise_count"): _BITS,
    ("np.gcd", "np.lcm", "np.packbits", "np.unpackbits"): "works on integers: pass t.data",
    ("np.nextafter", "np.spacing", "np.frexp"): (
        "takes floating-point numbers apart, which has no derivative: pass t.data"
    ),
    ("np.histogram", "np.histogram2d", "np.histogramdd", "np.histogram_bin_edges", "np.bincount"): (
        "counts numbers, and counts have no derivative: pass t.data"
    ),
    ("np.can_cast", "np.min_scalar_type", "np.common_type", "np.iscomplex", "np.isfortran"): (
        "asks for a type: pass t.data"
    ),
    ("np.apply_along_axis", "np.apply_over_axes", "np.piecewise"): (
        "calls Python functions with arrays: write np.stack([f(row) for row in t]), or np.where"
    ),
    ("np.array2string", "np.array_repr", "np.array_str"): "makes text: pass t.data",
    ("np.unique", "np.unique_values", "np.unique_counts", "np.unique_inverse", "np.unique_all",
     "np.union1d", "np.intersect1d", "np.setdiff1d", "np.setxor1d"): (
        "compares numbers to sort out equal ones: pass t.data, and take entries of t at the "
        "indices that it returns (return_index=True)"
    ),
}  # fmt: skip
"""Functions for which adding a rule would be no advice, and what to do."""


def _to_array_remedy(frame: FrameType | None) -> str:
    """Return what to write in place of the call that converts to an array."""
    while frame is not None:
        module, name = frame.f_globals.get("__name__") or "", frame.f_code.co_name
        twin = TWINS.get(f"scipy.special.{name}")
        if module.startswith("scipy.special") and twin:
            return f"in place of scipy.special.{name}, write {twin}"
        if module.startswith("scipy.sparse"):
            return "beside sparse matrices, only products (@) are recorded: convert with .toarray()"
        if module.startswith("pandas"):
            return "beside pandas' objects, write frame.to_numpy()"
        if name == "vectorize" or "vectorize." in frame.f_code.co_qualname:
            return "in place of np.vectorize, call the function with the whole Tensor"
        if not module.startswith(("numpy", "scipy", "gradlite", "pandas")):
            break
        frame = frame.f_back
    return (
        "to put Tensors together, use np.stack or np.concatenate, or for nested lists "
        "gl.Tensor([[s, 0], [0, s]]) in place of np.array"
    )


def user_stacklevel() -> int:
    """Return the ``stacklevel`` with which the caller's warning names the user's line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and is_library(frame):
        level, frame = level + 1, frame.f_back
    return level


def user_line() -> str:
    """Return the line of code nearest on the stack that is neither gradlite's nor NumPy's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and is_library(frame):
        frame = frame.f_back
    file, number = frame.f_code.co_filename, frame.f_lineno
    return linecache.getline(file, number).strip() or f"{file}:{number}"


def is_library(frame: FrameType) -> bool:
    """Return whether a frame runs code of gradlite or NumPy."""
    return frame.f_code.co_filename.startswith(LIBRARIES)


def printable(text: str) -> str:
    r"""Return the text with everything escaped that would control a terminal.

    These are control characters and escape sequences, marks that change the writing direction, line
    breaks, and bytes of a file's name that are not text. Spaces of every width stay, and so do the
    joiners that Persian and Hindi are written with.

    Examples
    --------
    >>> print(printable("caf\xe9 \x1b[31m\u202e\n"))
    caf\xe9 \x1b[31m\u202e\n
    """
    if text.isprintable():
        return text
    return "".join(
        c
        if c.isprintable() or c in "\u200c\u200d" or unicodedata.category(c) == "Zs"
        else c.encode("unicode_escape").decode()
        for c in text
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
        submodule = module.partition(".")[2].partition(".")[0]
        public = submodule in ("linalg", "fft", "random")
        return f"np.{submodule}.{name}" if public else f"np.{name}"
    if module.startswith("gradlite"):
        return f"gl.{name}"
    return f"{module}.{name}" if module not in ("", "__main__") else name


def _home(fn: Callable[..., Any], name: str) -> str:
    """Return the module of a ufunc, which has no ``__module__``."""
    for module in ("numpy", "scipy.special"):
        if getattr(sys.modules.get(module), name, None) is fn:
            return module
    return ""


def compare_names(own: Iterable[str], given: Iterable[str]) -> Iterator[str]:
    """Yield which names are missing, and which are unexpected.

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
