"""Operands: converting what is combined with a Tensor to a number or a plain array."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlite.autodiff.rule import Rule, Traced
from gradlite.errors import DtypeError, ShapeError

NUMBERS = (float, int, np.floating)


def is_array_like(x: Any) -> bool:
    """Return whether `x` is an array of another kind than NumPy's, to which NumPy hands its calls.

    Such is a symbol of a program that is being compiled. `np.asarray` would ask it for numbers.
    """
    return hasattr(x, "__array_function__") and not isinstance(x, np.ndarray)


def as_array(x: Any, dtype: Any = None) -> Any:
    """Return `x` as an array; what is one of another kind stays one."""
    if is_array_like(x):
        return x if dtype is None or x.dtype == dtype else x.astype(dtype)
    return np.asarray(x, dtype)


def as_plain(x: Any, what: str) -> Any:
    """Return an array as a plain one, anything else as it is.

    Raise DtypeError, with a message that begins with `what`, for a subclass that means more than
    its numbers, such as a masked array.
    """
    if type(x) is np.ndarray or not isinstance(x, np.ndarray):
        return x
    if type(x) is np.memmap:
        return np.asarray(x)
    masked = isinstance(x, np.ma.MaskedArray)
    raise DtypeError(
        f"{what} a {'masked array' if masked else type(x).__name__}, whose meaning beyond its "
        f"numbers would be lost. Use a plain array: np.asarray(x) for the numbers alone"
        f"{', or m.filled(0) and a weight of 0' if masked else ''}."
    )


def plain_array(x: Any, what: str) -> Any:
    """Return `x` as a plain array, or a Tensor as it is; see `as_plain` for `what`."""
    return as_array(as_plain(x, what))


def as_numbers(x: Any, what: str) -> Any:
    """Return an array of numbers; objects that are numbers, as np.frompyfunc's, become floats.

    Raise DtypeError, which begins with `what`, for other data.
    """
    if x.dtype.kind == "O" and all(isinstance(part, NUMBERS) for part in x.flat):
        return x.astype(np.float64)
    if x.dtype.kind not in "fiub":
        raise DtypeError(f"{what} {x.dtype} data, not real numbers.")
    return x


def as_real(x: Any, dtype: Any, what: str) -> Any:
    """Return what a user gives for numbers of a Tensor, or for a gradient, as a plain array.

    Raise DtypeError, which begins with `what`, for what is not real numbers alone.
    """
    array = np.asarray(x) if isinstance(x, Traced) else plain_array(x, what)
    if array.dtype.kind not in "fiub":
        raise DtypeError(f"{what} {array.dtype} data, not real numbers.")
    return as_array(array, dtype)


def as_replacement(new: Any, g: Any) -> Any:
    """Return what a hook gives in place of the gradient `g`, of its shape."""
    if np.shape(new) != np.shape(g):
        raise ShapeError(
            f"A hook returned a gradient of shape {np.shape(new)} in place of one of shape "
            f"{np.shape(g)}."
        )
    return new if isinstance(new, Traced) else as_real(new, g.dtype, "A hook returned")


def as_operand(x: Any, rule: Rule) -> Any:
    """Return an operand that is not a Tensor as a number or an array, of real numbers."""
    if type(x) is not np.ndarray:
        if isinstance(x, NUMBERS):
            return x
        if is_sparse(x):
            raise DtypeError(
                f"{rule.name} of a Tensor and a sparse matrix has no derivative rule: matrix "
                f"products have (sparse @ tensor, tensor @ sparse); for the rest, convert it with "
                f".toarray()."
            )
        x = plain_array(x, f"{rule.name} of a Tensor and")
    if x.dtype.kind not in "fiub":
        raise DtypeError(
            f"{rule.name} on a Tensor needs real numbers beside it, not {x.dtype} data."
        )
    return x


def as_output(ans: Any, rule: Rule) -> Any:
    """Return what a function returned as an array, or as the several arrays that it declared."""
    what = f"{rule.name} returned"
    if rule.multiple_outputs:
        if isinstance(ans, (tuple, list)):
            parts: Any = [as_numbers(plain_array(part, what), what) for part in ans]
            return type(ans)(*parts) if hasattr(ans, "_fields") else tuple(parts)
        problem = "Its rule was declared with multiple_outputs=True: return a tuple of arrays."
    elif isinstance(ans, (np.ndarray, np.generic)) or is_array_like(ans):
        return as_numbers(as_plain(ans, what), what)
    elif isinstance(ans, (tuple, list)) and not all(isinstance(x, NUMBERS) for x in ans):
        problem = "For several results, declare them: gl.defvjp(..., multiple_outputs=True)."
    elif isinstance(ans, (*NUMBERS, tuple, list)) and not isinstance(ans, bool):
        return np.asarray(ans, np.float64)
    else:
        problem = "Return an array or a number."
    raise DtypeError(f"{what} {type(ans).__name__}. {problem}")


def is_sparse(x: Any) -> bool:
    """Return whether `x` is a sparse matrix or array of scipy, without loading scipy."""
    return type(x).__module__.startswith("scipy.sparse")
