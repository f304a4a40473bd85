"""Simplification: a program that computes the same with fewer and faster calls.

Each identity is stated once, for the function that it is about, and is applied from the first line
to the last; lines that no result needs are then dropped. All keep every bit, unless a product that
is no longer formed, of a number and a power of two, would have overflowed.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradlite.autodiff.rules.indexing import is_basic, is_mask, untake
from gradlite.compiler.program import (
    Line,
    Program,
    add_at,
    apply_to,
    is_uniform,
    lines_in,
    needed,
    put,
    values_in,
)
from gradlite.compiler.symbols import cast
from gradlite.errors import CompileError

Identity = Callable[..., Any]

IDENTITIES: dict[Any, Identity] = {}
"""What a call may be replaced by: ``(program, *args, **kwargs) -> line``, or None to keep it."""


def identity(*fns: Any) -> Callable[[Identity], Identity]:
    """Register an identity of functions."""

    def register(rewrite: Identity) -> Identity:
        IDENTITIES.update(dict.fromkeys(fns, rewrite))
        return rewrite

    return register


def simplified(program: Program, outputs: Sequence[Any]) -> tuple[Program, list[Any]]:
    """Rewrite the lines that the outputs and guards of a program need, in two passes.

    Parameters
    ----------
    program : Program
        The program as it was traced.
    outputs : sequence
        The lines, and constants, of its results.

    Returns
    -------
    program, outputs
        New ones; inputs stay the same lines.
    """
    return _rewritten_once(*_rewritten_once(program, outputs))


def _rewritten_once(program: Program, outputs: Sequence[Any]) -> tuple[Program, list[Any]]:
    wanted = needed([*lines_in(tuple(outputs)), *(line for line, _ in program.guards)])
    new = Program()
    lines: dict[Line, Any] = {}

    def new_of(part: Any) -> Any:
        if not isinstance(part, Line):
            return part
        if part not in lines:
            raise CompileError.here(
                "The function uses an array of another call, which it has kept."
            )
        return lines[part]

    def renewed(x: Any) -> Any:
        return apply_to(new_of, x)

    for line in program.lines:
        if line.fn is None or line.is_draw:
            lines[line] = line
            new.lines.append(line)
        elif line in wanted:
            new.origin = lambda line=line: line.origin  # type: ignore[misc]  # mypy knows no defaults of lambdas
            kwargs = {name: renewed(x) for name, x in line.kwargs.items()}
            lines[line] = made = rewritten(new, line.fn, renewed(line.args), kwargs, line.value)
            if isinstance(made, Line) and not made.name:
                made.name = line.name
    results = renewed(list(outputs))
    guards = dict.fromkeys((lines[line], holds) for line, holds in program.guards)
    new.guards = [(line, holds) for line, holds in guards if isinstance(line, Line)]
    new.guards = without_implied(new)
    wanted = needed([*lines_in(tuple(results)), *(line for line, _ in new.guards)])
    new.lines = [line for line in new.lines if line.fn is None or line.is_draw or line in wanted]
    return new, results


def rewritten(
    program: Program, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any = None
) -> Any:
    """Return the line of a call after the identities of its function."""
    if isinstance(fn, np.ufunc) and fn.signature is None and not kwargs:
        small = without_broadcasts(args)
        if small is not args:
            line = program.call(fn, small)
            # In another layout, a later sum would add in another order.
            if value is None or np.shape(value) == () or line.value.strides == value.strides:
                args, value = small, None
    rewrite = IDENTITIES.get(fn)
    if rewrite is not None:
        try:
            better = rewrite(program, *args, **kwargs)
        except TypeError:  # with other arguments than the identity knows
            better = None
        if better is not None:
            return better
    return program.call(fn, args, kwargs, value)


def without_broadcasts(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the operands of a ufunc, not spread where it spreads them itself."""
    small = tuple(map(unspread, args))
    if all(x is y for x, y in zip(small, args, strict=True)):
        return args
    shapes = [np.shape(x) for x in values_in(small)]
    if np.broadcast_shapes(*shapes) == np.broadcast_shapes(*map(np.shape, values_in(args))):
        return small
    return args


def unspread(x: Any) -> Any:
    """Return what was broadcast to `x`: a line, or the one number of a constant."""
    if isinstance(x, Line) and x.fn is np.broadcast_to:
        return x.args[0]
    if isinstance(x, np.ndarray) and x.dtype != object and is_uniform(x):
        return x.flat[0]
    return x


def is_one(x: Any, beside: Any) -> bool:
    """Return whether a constant is 1, and leaves the type of a line as it is."""
    return (
        isinstance(beside, Line)
        and (beside.ndim > 0 or isinstance(beside.value, np.generic))
        and isinstance(x, (int, float, np.generic))
        and x == 1
        and np.result_type(beside.value, x) == beside.dtype
    )


@identity(np.multiply)
def _multiply(program: Program, x: Any, y: Any, **kwargs: Any) -> Any:
    if kwargs:
        return None
    if not isinstance(x, Line):
        x, y = y, x
    if is_one(y, x):
        return x
    if is_number(y) and y == -1 and np.result_type(x.value, y) == x.dtype:
        return program.call(np.negative, (x,))
    if is_number(y) and x.fn is np.multiply and is_number(x.args[1]) and not x.kwargs:
        c = x.args[1]
        power = math.frexp(c)[0] == 0.5 or math.frexp(y)[0] == 0.5  # of two, so that this is exact
        if (
            power
            and x.dtype.char in "fd"
            and x.dtype == np.result_type(x.args[0].value, c, y)
            and 1e-30 < abs(c * y) < 1e30
        ):
            return rewritten(program, np.multiply, (x.args[0], c * y), {})
    return program.call(np.multiply, (x, y))


def is_number(x: Any) -> bool:
    """Return whether an argument is a constant number that is not 0."""
    kinds = (int, float, np.floating)
    return isinstance(x, kinds) and not isinstance(x, bool) and x != 0 and math.isfinite(x)


@identity(np.divide)
def _divide(program: Program, x: Any, y: Any, **kwargs: Any) -> Any:
    return x if not kwargs and is_one(y, x) and x.dtype.kind in "fc" else None


POWERS = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}  # as ndarray.__pow__ has them


@identity(np.power, operator.pow)
def _power(program: Program, x: Any, y: Any, **kwargs: Any) -> Any:
    if kwargs or not isinstance(x, Line) or x.dtype is None or x.dtype.kind != "f":
        return None
    if is_one(y, x):
        return x
    if x.ndim and type(y) in (int, float):
        return program.call(POWERS[y], (x,)) if y in POWERS else program.call(np.power, (x, y))
    return None


@identity(np.broadcast_to)
def _broadcast_to(program: Program, x: Any, shape: Any) -> Any:
    return x if isinstance(x, Line) and x.shape == tuple(np.atleast_1d(shape)) else None


@identity(np.reshape)
def _reshape(program: Program, x: Any, shape: Any, order: str = "C") -> Any:
    if order != "C" or not isinstance(x, Line):
        return None
    if x.fn is np.reshape and "order" not in x.kwargs and isinstance(x.args[0], Line):
        x = x.args[0]
    shape = np.reshape(x.value, shape).shape
    return x if x.shape == shape else program.call(np.reshape, (x, shape))


@identity(np.ravel)
def _ravel(program: Program, x: Any, order: str = "C") -> Any:
    return rewritten(program, np.reshape, (x, (x.size,)), {}) if order == "C" else None


@identity(np.expand_dims)
def _expand_dims(program: Program, x: Any, axis: Any) -> Any:
    shape = np.expand_dims(x.value, axis).shape
    return rewritten(program, np.reshape, (x, shape), {})


@identity(np.squeeze)
def _squeeze(program: Program, x: Any, axis: Any = None) -> Any:
    return rewritten(program, np.reshape, (x, np.squeeze(x.value, axis).shape), {})


@identity(np.swapaxes)
def _swapaxes(program: Program, x: Any, axis1: int, axis2: int) -> Any:
    if x.ndim == 2 and axis1 % 2 != axis2 % 2:
        return rewritten(program, np.transpose, (x,), {})
    return x if axis1 % x.ndim == axis2 % x.ndim else None


@identity(np.moveaxis)
def _moveaxis(program: Program, x: Any, source: Any, destination: Any) -> Any:
    same = np.asarray(source) % x.ndim == np.asarray(destination) % x.ndim
    return x if np.all(same) else None


@identity(np.transpose)
def _transpose(program: Program, x: Any, axes: Any = None) -> Any:
    if x.ndim < 2:
        return x
    if x.ndim == 2 and axes is not None:
        return x if axes[0] % 2 == 0 else rewritten(program, np.transpose, (x,), {})
    if axes is not None:
        return None
    if x.fn is np.transpose and len(x.args) == 1:
        return x.args[0]
    return program.call(np.transpose, (x,))


@identity(np.copy)
def _copy(program: Program, x: Any, order: str = "K") -> Any:
    array = x.value if isinstance(x.value, np.ndarray) else np.zeros(0)
    known = array.ndim and (array.flags.forc if order == "K" else array.flags.c_contiguous)
    return x if known else None  # nothing is ever changed


@identity(cast)
def _cast(program: Program, x: Any, dtype: Any) -> Any:
    return x if x.dtype == dtype else None


@identity(np.matmul)
def _matmul(program: Program, x: Any, y: Any, **kwargs: Any) -> Any:
    if kwargs:
        return None
    arrays = [np.asarray(z) for z in values_in((x, y))]
    simple = all(0 < z.ndim <= 2 and z.flags.forc for z in arrays)
    return program.call(np.dot, (x, y)) if simple else None


def reduction(ufunc: Any) -> Identity:
    """Make the identity of a function that is a ufunc's reduce."""

    def rewrite(
        program: Program, a: Any, axis: Any = None, *, keepdims: Any = False, **others: Any
    ) -> Any:
        kinds = "fiu" if ufunc in (np.maximum, np.minimum) else "f"
        if a.dtype is None or a.dtype.kind not in kinds or others:
            return None
        kwargs = {"keepdims": True} if keepdims else {}
        if isinstance(axis, tuple) and len(axis) == 1:
            (axis,) = axis
        if a.ndim != 1 or keepdims:
            kwargs["axis"] = axis
        return program.call(ufunc.reduce, (a,), kwargs)

    return rewrite


IDENTITIES[np.sum] = reduction(np.add)
IDENTITIES[np.prod] = reduction(np.multiply)
for _fn in (np.max, np.amax):
    IDENTITIES[_fn] = reduction(np.maximum)
for _fn in (np.min, np.amin):
    IDENTITIES[_fn] = reduction(np.minimum)


@identity(np.mean)
def _mean(program: Program, a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    if a.dtype is None or a.dtype.char not in "fd" or not a.size:
        return None
    total = rewritten(program, np.sum, (a,), {"axis": axis, "keepdims": keepdims})
    return program.call(np.divide, (total, a.size // max(1, total.size)))


@identity(untake.forward)  # type: ignore[attr-defined]  # an operation
def _untake(program: Program, g: Any, index: Any, shape: Any) -> Any:
    if not isinstance(g, Line):
        return None
    zeros = np.zeros(shape, g.dtype)
    if is_basic(index) or is_mask(index):
        return program.call(put, (zeros, ((operator.getitem, (index,), ()),), g))
    return program.call(add_at, (zeros, index, g))


def added_part(x: Any, y: Any) -> Any:
    """Return the path and the numbers if `y` is zero but for a part that is added to `x`."""
    if not (isinstance(x, Line) and isinstance(y, Line)) or y.fn is not put:
        return None
    base, path, new = y.args
    fits = isinstance(base, np.ndarray) and (x.shape, x.dtype) == (y.shape, y.dtype)
    return (path, new) if fits and len(path) == 1 and not base.any() else None


@identity(np.add)
def _add(program: Program, x: Any, y: Any, **kwargs: Any) -> Any:
    if kwargs:
        return None
    part = added_part(x, y)
    if part is None:
        x, y, part = y, x, added_part(y, x)
    if part is None:
        return None
    (((_, (index,), _),), new) = part
    total = program.call(np.add, (program.call(operator.getitem, (x, index)), new))
    return program.call(put, (x, part[0], total))


@identity(np.equal)
def _equal(program: Program, x: Any, y: Any, **kwargs: Any) -> Any:
    # ``a - a == 0`` is how the walk asks whether a number is finite.
    if isinstance(x, Line) and x.fn is np.subtract and x.args[0] is x.args[1] and is_zero(y):
        return program.call(np.isfinite, (x.args[0],))
    return None


def is_zero(x: Any) -> bool:
    """Return whether an argument is the constant 0."""
    return isinstance(x, (int, float)) and x == 0


def checked_array(line: Line) -> Line | None:
    """Return the array that a guard asks to be finite: ``isfinite(vdot(x, x))``."""
    dot: Any = line.args[0] if line.fn is np.isfinite else None
    same = isinstance(dot, Line) and dot.fn is np.vdot and dot.args[0] is dot.args[1]
    return dot.args[0] if same else None


NAN_KEEPING = {
    np.add, np.subtract, np.multiply, np.divide, np.negative, np.square, np.dot, np.matmul,
    np.add.reduce, np.reshape, np.transpose, np.broadcast_to, np.stack, np.concatenate, cast,
}  # fmt: skip


def without_implied(program: Program) -> list[tuple[Line, bool]]:
    """Return the guards without those for NaN in what another one looks at later.

    A NaN in an operand is one in the result, through all of `NAN_KEEPING`. An infinite number may
    get lost, but changes nothing: the walk replaces NaN only.
    """
    checks = {checked_array(line): line for line, holds in program.guards if holds}
    checks.pop(None, None)
    reaches: set[Line] = set()  # what leads to a later check
    for line in reversed(program.lines):
        if line.fn in NAN_KEEPING and (line in reaches or line in checks):
            reaches.update(line.inputs())
    implied = {guard for array, guard in checks.items() if array in reaches}
    return [(line, holds) for line, holds in program.guards if line not in implied]
