"""Debug mode: where NaN, Inf and float64 come from, and which saved array was changed.

An inspector checks the output of every operation and every cotangent of the walk. This costs
several passes over each array, so it is a mode and not the default.
"""

from __future__ import annotations

import linecache
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from gradlite.autodiff.modes import Mode, ModeContext
from gradlite.autodiff.node import Node
from gradlite.autodiff.rule import Rule
from gradlite.errors import MutationError, NonFiniteError, is_library, user_stacklevel


class Note(NamedTuple):
    """What debug mode records about a node."""

    where: str
    checksums: list[int | None]


class debug(ModeContext):
    """Find the origin of NaN and Inf, and arrays changed between forward and backward.

    Inside, every operation checks its output and every rule its cotangents. The first value
    that is not finite stops the program with the operation, the shapes of its arguments and
    the line of your code that called it, whether it appears in the forward or in the backward
    pass. Arrays that a rule will read are fingerprinted when they are recorded and compared
    before they are used. An operation that makes float64 of float32, because of the type of
    another argument, warns: from there on, a network of float32 takes up to twice the time.

    Parameters
    ----------
    inf : bool, default True
        Whether Inf counts (NaN always does). An Inf that you pass in yourself, as in a mask of
        ``-np.inf``, never counts; one that an operation makes from finite numbers does.

    Raises
    ------
    NonFiniteError
        At the operation, or the rule, that made the first NaN or Inf.
    MutationError
        In the backward pass, at the operation whose saved array was changed in place.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> x = gl.Tensor([1.0, -1.0], requires_grad=True)
    >>> with gl.debug():                                        # doctest: +ELLIPSIS
    ...     y = np.sqrt(x)
    Traceback (most recent call last):
        ...
    gradlite.errors.NonFiniteError: np.sqrt gave NaN in 1 of 2 entries, first at (1,).
      arguments: (2,) float64 in [-1, 1]
      at ...
    """

    def __init__(self, inf: bool = True) -> None:
        super().__init__(*filter(callable, [inf]))
        self.inf = inf

    def _begin(self) -> Callable[..., Any]:
        quiet = np.errstate(all="ignore")  # NumPy's warnings would come first, and say less
        quiet.__enter__()
        return quiet.__exit__

    def _change(self, mode: Mode) -> Mode:
        return mode._replace(inspector=self)

    def forward(self, rule: Rule, args: Any, ans: Any, node: Node | None) -> None:
        """Check the output of an operation just carried out, and fingerprint what is kept."""
        where = _user_line()
        if node is not None:
            node.note = Note(where, [_checksum(saved) for _, saved in _saved(node)])
        self._check(rule.name, args, ans, where, rule.undefined)
        _check_precision(rule.name, args, ans)

    def _check(self, name: str, args: Any, ans: Any, where: str, undefined: str = "") -> None:
        for i, arg in enumerate(args):
            if _has(np.isnan, arg):
                raise NonFiniteError(
                    f"Argument {i} of {name} already holds {_count(arg)}: it came from "
                    f"outside debug mode or from your data.\n{_context(args, where)}"
                )
        for part in ans if isinstance(ans, tuple) else (ans,):
            if self._is_bad(part, args):
                raise NonFiniteError(
                    f"{name} gave {_count(part)}.{_why(undefined)}\n{_context(args, where)}"
                )

    def before(self, node: Node) -> None:
        """Compare the arrays that a rule is about to read with their fingerprints."""
        if node.note is None or node.rule is None:
            return
        for (what, saved), known in zip(_saved(node), node.note.checksums, strict=True):
            if known != _checksum(saved):
                raise MutationError(
                    f"{what} of {node.rule.name}, of shape {np.shape(saved)}, was changed in "
                    f"place after it was used. The derivative needs the old values: change a "
                    f"copy instead, or call backward first.\n  at {node.note.where}"
                )

    def backward(self, node: Node, g: Any, cotangent: Any) -> None:
        """Check a cotangent that a rule returned."""
        values, upstream = _values(cotangent), _values(g)
        if node.rule is not None and self._is_bad(values, (upstream,)):
            where = node.note.where if node.note else "(recorded outside debug mode)"
            raise NonFiniteError(
                f"The derivative of {node.rule.name} gave {_count(values)} in the backward "
                f"pass.{_why(node.rule.undefined)}\n{_context(node.args, where)}"
            )

    def _is_bad(self, values: Any, sources: Any) -> bool:
        if _has(np.isnan, values):
            return not any(_has(np.isnan, source) for source in sources)
        if not self.inf or not _has(np.isinf, values):
            return False
        return not any(_has(_not_finite, source) for source in sources)


def _check_precision(name: str, args: Any, ans: Any) -> None:
    """Warn at the user's line if one argument's type makes float64 of another's."""
    if getattr(ans, "dtype", None) != np.float64:
        return
    types = [arg.dtype if hasattr(arg, "dtype") else None for arg in args]
    less = next((kind for kind in types if kind in (np.float16, np.float32)), None)
    if less is None:
        return
    for i, kind in enumerate(types):
        if kind is not None and np.promote_types(less, kind) == np.float64:
            warnings.warn(
                f"{name} of {less} gives float64, because argument {i}, of shape "
                f"{np.shape(args[i])}, is of {kind}: convert it with .astype(np.{less}), or write "
                f"a number as Python's (8**0.5 for np.sqrt(8)).",
                stacklevel=user_stacklevel(),
            )
            return


def _not_finite(array: Any) -> Any:
    return ~np.isfinite(array)


def _values(x: Any) -> Any:
    """Return the plain array in a cotangent, which may be a Tensor."""
    return getattr(x, "_data", x)


def _is_float(x: Any) -> bool:
    return isinstance(x, (float, np.floating)) or (
        isinstance(x, np.ndarray) and x.dtype.kind == "f"
    )


def _has(test: Any, x: Any) -> bool:
    return _is_float(x) and bool(np.any(test(x)))


def _saved(node: Node) -> Iterator[tuple[str, Any]]:
    """Yield everything that a node has saved, with its name."""
    for i, arg in enumerate(node.args):
        yield f"Argument {i}", arg
    for name, value in (node.params or {}).items():
        yield f"The argument {name!r}", value
    yield "The output", node.ans


def _checksum(x: Any) -> int | None:
    if isinstance(x, (tuple, list)):
        return hash(tuple(map(_checksum, x)))
    return zlib.crc32(np.ascontiguousarray(x).data) if isinstance(x, np.ndarray) else None


def _count(x: Any) -> str:
    """Describe how many entries are not finite, and where the first is."""
    kind, bad = "NaN", np.isnan(x)
    if not np.any(bad):
        kind, bad = "Inf", np.isinf(x)
    if np.ndim(x) == 0:
        return kind
    first = tuple(int(k) for k in np.argwhere(bad)[0])
    return f"{kind} in {np.count_nonzero(bad)} of {np.size(x)} entries, first at {first}"


def _why(undefined: str) -> str:
    return f" {undefined}" if undefined else ""


def _context(args: Any, where: str) -> str:
    described = "; ".join(_describe(arg) for arg in args)
    return f"  arguments: {described}\n  at {where}"


def _describe(x: Any) -> str:
    if isinstance(x, Node):
        return f"{x.shape}"
    if not isinstance(x, (np.ndarray, np.generic)):
        return repr(x) if isinstance(x, (int, float)) else type(x).__name__
    text = f"{x.shape} {x.dtype}"
    if x.size and x.dtype.kind in "fiu":
        text += f" in [{np.nanmin(x):.4g}, {np.nanmax(x):.4g}]" if not np.all(np.isnan(x)) else ""
    return text


def _user_line() -> str:
    """Return the nearest line on the stack that is neither gradlite's nor NumPy's."""
    frame = sys._getframe(2)
    while frame.f_back is not None and is_library(frame):
        frame = frame.f_back
    file, line = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(file, line).strip()
    return f"{file}:{line} in {frame.f_code.co_name}" + (f"\n    {text}" if text else "")
