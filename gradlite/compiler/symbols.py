"""Symbols: arrays that write down what is done with them.

A function that is called with symbols in place of arrays runs as it is; each NumPy call on a
symbol becomes a line of a `Program`. A line is carried out at once too, so that shapes, types and
the way through an ``if`` are known. The derivative rules, and Tensors whose data is a symbol, run
unchanged.

Nothing in a program is ever changed: a write to a symbol, ``z -= m`` or ``z[i] = 0``, makes a new
line, and the symbol, or the array that it is a view of, is from there on that one.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator
from functools import partialmethod
from typing import Any

import numpy as np

from gradlite.autodiff.rule import Traced
from gradlite.compiler.functions import CHANGING, DATA_DEPENDENT, METADATA, METHODS, SHAPES
from gradlite.compiler.program import Line, Program, add_at, apply_to, lines_in, put
from gradlite.errors import function_name, is_library


class Cell:
    """Memory, as the program sees it: the line that made what is in it now."""

    __slots__ = ("line", "viewed")

    def __init__(self, line: Line) -> None:
        self.line = line
        self.viewed = False  # whether there are views of it that are not followed


class Symbol(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of a program that is being written.

    Attributes
    ----------
    program : Program
        Where its operations are written down.
    cell : Cell
        The memory that it is a view of, or all of.
    path : tuple of (callable, args, items of kwargs)
        The views through which it looks at that memory.
    """

    def __init__(self, program: Program, cell: Cell, path: tuple[Any, ...] = ()) -> None:
        self.program = program
        self.cell = cell
        self.path = path
        self.frozen = False  # whether it is a view that no write can be traced through

    @property
    def line(self) -> Line:
        """The line whose result this symbol stands for, now."""
        line = self.cell.line
        for fn, args, kwargs in self.path:
            line = self.program.call(fn, (line, *args), dict(kwargs))
        return line

    @property
    def value(self) -> Any:
        """The values of the traced call."""
        return self.line.value

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return np.shape(self.value)

    @property
    def dtype(self) -> Any:
        """The type of the elements."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return np.ndim(self.value)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.size(self.value))

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return int(self.dtype.itemsize)

    @property
    def flags(self) -> Any:
        """The memory layout in the traced call."""
        return self.value.flags

    @property
    def T(self) -> Any:
        """The axes in reverse order."""
        return np.transpose(self)

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        return np.swapaxes(self, -1, -2)

    @property
    def flat(self) -> Any:
        """The elements in a row."""
        row: Any = np.ravel(self)
        row.frozen = row.cell is not self.cell
        return row

    @property
    def real(self) -> Any:
        """The real part; of real numbers, the symbol itself."""
        return np.real(self) if self.dtype.kind == "c" else self

    # -- NumPy's protocols ----------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(arg, Traced) for arg in args):
            return NotImplemented
        if method == "at":
            target = self._own(args[0], f"{ufunc.__name__}.at")
            if ufunc is not np.add:
                self._refuse(f"{ufunc.__name__}.at")
            target.write(self.program.call(add_at, (target.line, *to_lines(args[1:]))))
            return None
        outs = kwargs.pop("out", None) or (None,)
        if kwargs.get("where", True) is not True or len(outs) > 1:
            self._refuse(f"{ufunc.__name__} with where=, or with several results in out=,")
        (out,) = outs
        ans = self._call(ufunc if method == "__call__" else getattr(ufunc, method), args, kwargs)
        return self._stored(ans, out, f"{ufunc.__name__} with out=")

    def __array_function__(self, fn: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, Traced) for kind in types):
            return NotImplemented
        if fn in METADATA:
            return fn(*apply_to(value_of, args), **kwargs)
        if fn in DATA_DEPENDENT or (fn is np.where and len(args) == 1):
            self._refuse(f"{function_name(fn)}, whose shape depends on numbers,")
        others = to_lines((*args[1:], *kwargs.values()))
        if fn in CHANGING or (fn is np.nan_to_num and kwargs.get("copy") is False):
            self._refuse(f"{function_name(fn)}, which changes its argument,")
        if fn in SHAPES and any(lines_in(others)):
            self._refuse(f"{function_name(fn)}, with a shape or axis that depends on numbers,")
        if fn is not np.einsum and any(lines_in(to_lines(tuple(args[3:])))):
            self._refuse(f"{function_name(fn)} with out= by position")
        if not args or (fn is np.copyto and len(args) + len(kwargs) > 2):
            self._refuse(f"{function_name(fn)} with arrays by name, or with where=,")
        if fn is np.copyto:
            self._own(args[0], "np.copyto").write(to_lines(args[1]))
            return None
        kwargs = dict(kwargs)
        out = kwargs.pop("out", None)
        if fn is np.dot and len(args) == 3:
            *args, out = args
        return self._stored(self._call(fn, args, kwargs), out, f"{function_name(fn)} with out=")

    def _call(self, fn: Any, args: Any, kwargs: Any) -> Any:
        """Write a call down, and return its result."""
        first, *others = args
        others, kwargs = to_lines(tuple(others)), to_lines(kwargs)
        line = self.program.call(fn, (to_lines(first), *others), kwargs)
        if isinstance(first, Symbol) and isinstance(line, Line) and line.is_view:
            return Symbol(
                self.program, first.cell, (*first.path, (fn, others, tuple(kwargs.items())))
            )
        made = as_symbols(self.program, line)
        if isinstance(line, Line) and not isinstance(fn, np.ufunc) and freeze(made, line):
            for arg in args:
                if isinstance(arg, Symbol):
                    arg.cell.viewed = True
        return made

    def _stored(self, ans: Any, out: Any, way: str) -> Any:
        """Write a result to the array that it is to be in, if there is one."""
        if out is None:
            return ans
        target = self._own(out, way)
        if not np.can_cast(np.asarray(value_of(ans)).dtype, target.dtype, "same_kind"):
            raise TypeError(
                f"{way}: a {value_of(ans).dtype} result does not fit into {target.dtype} data."
            )
        target.write(to_lines(ans))
        return out

    # -- writing --------------------------------------------------------------------------

    def _own(self, target: Any, way: str) -> Symbol:
        if isinstance(target, Symbol):
            return target
        self.program.refuse(
            f"{way} into an array that is not traced: it would hold the numbers of the first call "
            f"for ever. Make it of a traced array, as np.zeros_like(x), or build the result with "
            f"np.stack, np.concatenate or np.where."
        )

    def write(self, new: Any) -> None:
        """Put `new` in place of what this symbol stands for."""
        self._check_writeable()
        base = self.cell.line
        fits = isinstance(new, Line) and (new.shape, new.dtype) == (base.shape, base.dtype)
        if self.path or not fits or new.value.strides != base.value.strides:
            new = self.program.call(put, (base, self.path, new))
        self.cell.line = new

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(i, slice) and any(lines_in(to_lines(i))) for i in parts):
            self._refuse("A slice whose bounds depend on numbers")
        if any(isinstance(i, Symbol) and i.dtype == bool for i in parts):
            self._refuse("An index that is a mask, which gives a shape that depends on numbers,")
        return self._call(operator.getitem, (self, index), {})

    def _check_writeable(self) -> None:
        base = self.cell.line.value
        if self.frozen or self.cell.viewed:
            self._refuse("A write through this view")
        if isinstance(base, np.ndarray) and not base.flags.writeable and self.cell.line.fn is None:
            raise ValueError("assignment destination is read-only")

    def __setitem__(self, index: Any, new: Any) -> None:
        self._check_writeable()
        path = (*self.path, (operator.getitem, (to_lines(index),), ()))
        base = self.cell.line
        self.cell.line = self.program.call(put, (base, path, to_lines(new)))

    # -- what an array has ----------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: Any, order: Any = "C") -> Any:
        """Return the elements in another shape."""
        new = shape[0] if len(shape) == 1 else shape
        return np.reshape(self, new) if order == "C" else np.reshape(self, new, order=order)

    def transpose(self, *axes: Any) -> Any:
        """Permute the axes."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return np.transpose(self, order)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Convert to another type."""
        if not copy and self.dtype == dtype:
            return self
        return self._call(cast, (self, np.dtype(dtype)), {})

    def copy(self, order: Any = "C") -> Any:
        """Return a copy."""
        return np.copy(self, order=order)

    def view(self, dtype: Any) -> Any:
        """Return the same bytes as another type."""
        return self._call(np.ndarray.view, (self, np.dtype(dtype)), {})

    def flatten(self) -> Any:
        """Return all elements along one axis, a copy."""
        return np.ravel(self).copy()

    def fill(self, x: Any) -> None:
        """Set every element to `x`."""
        self[...] = x

    def __getattr__(self, name: str) -> Any:
        fn = METHODS.get(name)
        if fn is None:
            if hasattr(np.ndarray, name) and not is_library(sys._getframe(1)):
                self._refuse(name)  # hasattr() would take the other way
            raise AttributeError(f"a traced array has no attribute {name!r}")
        return lambda *args, **kwargs: fn(self, *args, **kwargs)

    def sort(self, axis: int = -1) -> None:
        """Sort in place."""
        self.write(to_lines(np.sort(self, axis=axis)))

    def __pow__(self, other: Any) -> Any:
        # Not np.power: the operator has short cuts, and takes another way for single numbers.
        if isinstance(other, Traced):
            return NotImplemented
        return self._call(operator.pow, (self, other), {})

    # -- leaving the program --------------------------------------------------------------

    def __bool__(self) -> bool:
        return self.program.guard(self.line)

    def _refuse(self, way: str) -> Any:
        self.program.refuse(
            f"{way} of a traced array is not part of a program: only NumPy calls are, whose "
            f"shapes do not depend on numbers. Write np.where(mask, x, 0) in place of x[mask], "
            f"np.exp in place of math.exp, np.zeros_like(x) in place of an array that is filled "
            f"with a[i] = x; pass what is constant as a Python int or str, or leave that part out "
            f"of the compiled function."
        )

    def __array__(self, *_: Any, **__: Any) -> Any:
        self._refuse("np.asarray (or a function that calls it, of scipy for one)")

    def __float__(self) -> float:
        return float(self._refuse("float()"))

    def __int__(self) -> int:
        return int(self._refuse("int()"))

    def __index__(self) -> int:
        return int(self._refuse("The use as an index or a count"))

    def __complex__(self) -> complex:
        return complex(self._refuse("complex()"))

    def item(self, *_: Any) -> Any:
        """Raise CompileError: a traced array has no number of its own."""
        self._refuse("item()")

    def tolist(self) -> Any:
        """Raise CompileError: a traced array has no numbers of its own."""
        self._refuse("tolist()")

    def __repr__(self) -> str:
        return f"<traced array, shape {self.shape}, {self.dtype}>"

    def __hash__(self) -> int:
        return int(self._refuse("The use as a key, or in a set,"))

    def __round__(self, digits: int = 0) -> Any:
        self._refuse("round(), for which there is np.round,")

    def __format__(self, spec: str) -> str:
        return str(self._refuse("A format, as in an f-string,"))


def _augmented(fn: Any) -> Any:
    """Make an augmented assignment: of an array in place, of a single number a new one."""
    usual = getattr(np.lib.mixins.NDArrayOperatorsMixin, f"__i{fn}__")
    plain = f"__{fn}__"

    def change(self: Symbol, other: Any) -> Any:
        if isinstance(other, Traced) or not isinstance(self.value, np.ndarray):
            ans = getattr(self, plain)(other)
            return getattr(other, f"__r{fn}__")(self) if ans is NotImplemented else ans
        return usual(self, other)

    return change


for _fn in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    setattr(Symbol, f"__i{_fn}__", _augmented(_fn))


def freeze(made: Any, line: Line) -> bool:
    """Mark results that are views of an argument, and return whether there is one.

    Writes cannot be traced through them.
    """
    if isinstance(made, (tuple, list)):
        found = [freeze(part, line) for part in made]  # all of them
        return any(found)
    if isinstance(made, Symbol) and isinstance(made.value, np.ndarray):
        arrays = [arg.value for arg in line.inputs() if isinstance(arg.value, np.ndarray)]
        made.frozen = any(np.may_share_memory(made.value, x) for x in arrays)
        return made.frozen
    return False


class Number(Symbol):
    """A Python float of a program: beside an array, it takes that one's type, as floats do."""

    dtype = np.dtype(np.float64)  # of the arrays made of it

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Return a 0-d array."""
        return self._call(np.asarray, (self, np.dtype(dtype)), {})

    def copy(self, order: Any = "C") -> Any:
        """Return a 0-d array."""
        return self.astype(np.float64)


def _operator(fn: Any, reflected: bool) -> Any:
    """Make an operator of Python floats, whose result is one too."""

    def operate(self: Number, other: Any) -> Any:
        if not isinstance(other, (Number, float, int)):
            array_like = super(Number, self)
            name = f"__{'r' * reflected}{fn.__name__.strip('_')}__"
            return getattr(array_like, name)(other)
        pair = (other, self) if reflected else (self, other)
        return self._call(fn, pair, {})

    return operate


def _of_one(number: Number, fn: Any) -> Any:
    return number._call(fn, (number,), {})


for _fn in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Number, f"__{_fn}__", _operator(getattr(operator, _fn), False))
    setattr(Number, f"__r{_fn}__", _operator(getattr(operator, _fn), True))
for _fn in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Number, f"__{_fn}__", _operator(getattr(operator, _fn), False))
for _fn in ("neg", "abs", "pos"):
    setattr(Number, f"__{_fn}__", partialmethod(_of_one, getattr(operator, _fn)))


def cast(x: Any, dtype: Any) -> Any:
    """Return an array in another type."""
    return x.astype(dtype)


def as_symbols(program: Program, result: Any) -> Any:
    """Return the symbol of a line, or of each part of a result that has several."""
    if not isinstance(result, Line):
        return result
    value = result.value
    if isinstance(value, (tuple, list)):
        parts = [
            as_symbols(program, program.call(operator.getitem, (result, i)))
            for i in range(len(value))
        ]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    kind = (
        Number if isinstance(value, (float, int)) and not isinstance(value, np.generic) else Symbol
    )
    return kind(program, Cell(result))


def line_of(x: Any) -> Any:
    """Return the line of a symbol; anything else as it is."""
    return x.line if isinstance(x, Symbol) else x


def value_of(x: Any) -> Any:
    """Return the numbers that a symbol is traced with; anything else as it is."""
    return x.value if isinstance(x, Symbol) else x


def to_lines(x: Any) -> Any:
    """Return arguments with lines in place of symbols."""
    return apply_to(line_of, x)
