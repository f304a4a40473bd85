"""Tensor: a NumPy array that remembers how it was made.

The operators and methods are generated from the rule table, each once, with a fixed number of
arguments; NumPy's protocols (`__array_ufunc__`, `__array_function__`) bring every other NumPy
function here. What a Tensor cannot do raises an error: nothing leaves the tape silently.
"""

from __future__ import annotations

import copy
import inspect
import operator
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gradlite.errors import (
    DetachError,
    DtypeError,
    GraphError,
    MissingRuleError,
    ShapeError,
    function_name,
    user_stacklevel,
)
from gradlite.modes import RECORDING, current_mode
from gradlite.node import Node, serial
from gradlite.rule import COMPOSITES, PLAIN, RULES, Function, Rule, Traced
from gradlite.rules import activations, elementwise, indexing, shape, sparse
from gradlite.tape import VARIABLES, is_differentiated, items, record
from gradlite.variable import Variable, as_data, assemble, holds_traced

new = object.__new__
Operation = Callable[..., Any]
NUMBERS = (float, int, np.floating)
SCIPY_PRODUCTS = ("_matmul_dispatch", "_rmatmul_dispatch")  # of scipy.sparse


REDUCTIONS: dict[Any, Function] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
}


# NumPy's warnings (overflow, invalid value) name the line that called NumPy, here in this file, and
# Python shows one for each line: here they are errors, and `_warned` gives them the user's line.
warnings.filterwarnings("error", category=RuntimeWarning, module=re.escape(__name__))


def _warned(warning: RuntimeWarning, fn: Function, *args: Any, **params: Any) -> Any:
    """Carry out an operation that NumPy warns of, and hand the warning to the user's line."""
    with np.errstate(all="ignore"):
        ans = fn(*args, **params)
    warnings.warn(str(warning), RuntimeWarning, stacklevel=user_stacklevel())
    return ans


def constant(x: Any, rule: Rule) -> Any:
    """Return an operand that is not a Tensor as a number or an array, of real numbers."""
    if type(x) is not np.ndarray:
        if isinstance(x, NUMBERS):
            return x
        if isinstance(x, np.ndarray) and type(x) is not np.memmap:
            kind = "masked array" if isinstance(x, np.ma.MaskedArray) else type(x).__name__
            raise DtypeError(
                f"{rule.name} of a Tensor and a {kind} would lose what the {kind} means beyond "
                f"its numbers. Pass a plain array: np.asarray(x) for the numbers alone"
                f"{', or m.filled(0) and a weight of 0' if kind == 'masked array' else ''}."
            )
        if is_sparse(x):
            raise DtypeError(
                f"{rule.name} of a Tensor and a sparse matrix has no derivative rule: matrix "
                f"products have (sparse @ tensor, tensor @ sparse); for the rest, convert it with "
                f".toarray()."
            )
        x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise DtypeError(
            f"{rule.name} on a Tensor needs real numbers beside it, not {x.dtype} data."
        )
    return x


def is_sparse(x: Any) -> bool:
    """Return whether `x` is a sparse matrix or array of scipy, without loading scipy."""
    return type(x).__module__.startswith("scipy.sparse")


def unary(rule: Rule) -> Operation:
    """Generate the operation of a rule for one array: `apply` without its detours."""
    fn = rule.fn

    def operation(x: Any) -> Any:
        data, node = x._data, x._node
        try:
            ans = fn(data)
        except RuntimeWarning as warning:
            ans = _warned(warning, fn, data)
        if node is None or current_mode() is not RECORDING:
            node = record(rule, (data,), (node,), None, ans)
        else:
            keep_ans, keep = rule.keeps[1]
            parents = (node,)
            kept = (data,) if keep else parents
            node = new(Node)
            node.rule = rule
            node.parents = parents
            node.args = kept
            node.ans = ans if keep_ans else None
            node.shape = ans.shape
            node.params = node.sink = node.note = None
            node.serial = serial()
        out = new(Tensor)
        out._data = ans
        out._node = node
        return out

    operation.__qualname__ = rule.name
    return operation


def binary(rule: Rule) -> Operation:
    """Generate the operation of a rule for two arrays, at least one of them a Tensor."""
    fn = rule.fn

    def operation(x: Any, y: Any) -> Any:
        if type(x) is Tensor or isinstance(x, Traced):
            a, p = x._data, x._node
        else:
            a, p = constant(x, rule), None
        if type(y) is Tensor or isinstance(y, Traced):
            b, q = y._data, y._node
        else:
            b, q = constant(y, rule), None
        try:
            ans = fn(a, b)
        except RuntimeWarning as warning:
            ans = _warned(warning, fn, a, b)
        needed = 0 if p is None else 1
        if q is not None:
            needed += 2
        if not needed or current_mode() is not RECORDING:
            node = record(rule, (a, b), (p, q), None, ans)
        else:
            keep_ans, keep = rule.keeps[needed]
            parents = (p, q)
            kept = parents
            if keep or needed != 3:
                kept = (a if p is None or keep & 1 else p, b if q is None or keep & 2 else q)
            node = new(Node)
            node.rule = rule
            node.parents = parents
            node.args = kept
            node.ans = ans if keep_ans else None
            node.shape = ans.shape
            node.params = node.sink = node.note = None
            node.serial = serial()
        out = new(Tensor)
        out._data = ans
        out._node = node
        return out

    operation.__qualname__ = rule.name
    return operation


def with_sparse(dense: Operation) -> Operation:
    """Generate the matrix product, in which one factor may be a sparse matrix of scipy."""

    def matmul(x: Any, y: Any) -> Any:
        if type(x) is not Tensor or type(y) is not Tensor:
            if is_sparse(x):
                return sparse.sparse_matmul(y, x=x)
            if is_sparse(y):
                return sparse.sparse_matmul(x.T, x=y.T).T
        return dense(x, y)

    matmul.__qualname__ = dense.__qualname__
    return matmul


def swapped(operation: Operation) -> Operation:
    """Exchange the operands: ``__radd__`` and its like."""
    return lambda self, other: operation(other, self)


def in_place(operation: Operation, ufunc: Any) -> Operation:
    """Generate an augmented assignment: as with arrays, the Tensor itself changes.

    Where nothing is recorded, its memory is written to; otherwise the object becomes the result,
    and arrays that were saved for derivatives stay what they were.
    """

    def change(self: Tensor, other: Any) -> Tensor:
        node = self._node
        own = node is not None and node in (VARIABLES.get() or ())
        if not current_mode().record:
            if own:  # the argument of a transform shares memory with the caller's array
                self._data = self.data.copy()
            operand = other._data if isinstance(other, Traced) else constant(other, RULES[ufunc])
            ufunc(self.data, operand, out=self.data)
            return self
        if node is not None and node.rule is None and not own:
            raise GraphError(
                f"In-place {operation.__qualname__} on a leaf that requires a gradient cannot be "
                f"recorded. To update it, do so under gl.no_grad(); to compute with it, write "
                f"y = x + ... in place of x += ..."
            )
        result = _fitting(operation(self, other), self, operation.__qualname__)
        self._data, self._node = result._data, result._node
        return self

    change.__qualname__ = operation.__qualname__
    return change


def _fitting(result: Tensor, target: Any, name: str) -> Tensor:
    """Return the result of an augmented assignment in the dtype of `target`, if it fits there."""
    if result.shape != target.shape:
        raise ShapeError(
            f"In-place {name}: the result of shape {result.shape} does not fit into "
            f"shape {target.shape}."
        )
    if result.dtype == target.dtype:
        return result
    if not np.can_cast(result.dtype, target.dtype, "same_kind"):
        raise DtypeError(
            f"In-place {name}: a {result.dtype} result does not fit into {target.dtype} data."
        )
    return result.astype(target.dtype)


def _augmented(ufunc: Any, alone: bool, array: Any, tensor: Any) -> Any:
    """Carry out ``array += tensor``: the name on the left stands for a Tensor from there on.

    That is what NumPy's in-place operation means only where no other name stands for the array.
    """
    name = function_name(ufunc)
    if not alone or array.base is not None:
        raise DetachError(
            f"In-place {name} of a Tensor to an array that other names, or views, refer to: they "
            f"would not see the result, which is a Tensor. Write a = a + t in place of a += t, or "
            f"start with a Tensor: a = gl.Tensor(np.zeros(n))."
        )
    return _fitting((CALLS.get(ufunc) or operation_of(ufunc))(array, tensor), array, name)  # type: ignore[misc]


def refused(operator: str, remedy: str) -> Operation:
    """Generate an operation that Tensors do not have, and say what to write."""

    def refuse(self: Tensor, *args: Any) -> Any:
        raise MissingRuleError(f"{operator} is not defined for Tensors: {remedy}.")

    return refuse


def plain(fn: Function) -> Operation:
    """Make a comparison, which returns a plain array."""
    return lambda self, other: fn(self._data, _to_data(other))


def method(fn: Function, note: str = "") -> Operation:
    """Make the method that does what a NumPy function does."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.__array_function__(fn, (), (self, *args), kwargs)

    call.__name__ = fn.__name__
    call.__doc__ = f"Do what `numpy.{fn.__name__}` does.{note}"
    return call


def function(fn: Function) -> Operation:
    """Make the method that does what a function of one array does."""
    call = unary(RULES[fn])
    call.__name__ = fn.__name__
    call.__doc__ = f"Do what `{function_name(fn)}` does."
    return call


ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, MATMUL, REMAINDER, FLOOR_DIVIDE = (
    binary(RULES[ufunc])
    for ufunc in (
        np.add, np.subtract, np.multiply, np.divide, np.power, np.matmul, np.remainder,
        np.floor_divide,
    )
)  # fmt: skip
MATMUL = with_sparse(MATMUL)
CALLS: dict[Function, Operation] = {
    np.add: ADD,
    np.subtract: SUBTRACT,
    np.multiply: MULTIPLY,
    np.divide: DIVIDE,
    np.power: POWER,
    np.matmul: MATMUL,
    np.remainder: REMAINDER,
    np.floor_divide: FLOOR_DIVIDE,
}


def generate(rule: Rule) -> Operation:
    """Generate the operation of a rule."""
    # A function of the user's may return a float or a list: `apply` makes an array of it.
    home = (getattr(rule.fn, "__module__", None) or "numpy").partition(".")[0]
    spelt_out = rule.variadic or rule.params or rule.saves or rule.outputs or None in rule.vjps
    if home in ("numpy", "scipy", "gradlite") and not spelt_out:
        if len(rule.vjps) == 1:
            return unary(rule)
        if len(rule.vjps) == 2:
            return binary(rule)
    return lambda *args, **kwargs: apply(rule, args, kwargs)


def operation_of(fn: Function) -> Operation | None:
    """Give what a function does with Tensors, or None if it has no rule."""
    call = CALLS.get(fn)
    if call is None and fn in RULES:
        call = CALLS[fn] = generate(RULES[fn])
    return call


class Tensor(Variable):
    """A NumPy array with a gradient.

    Parameters
    ----------
    data : array_like or Tensor
        Numbers, nested lists of them, an array, or Tensors (alone or in lists: these stay on
        the tape).
    requires_grad : bool, default False
        Whether gradients with respect to this Tensor are wanted. Only floating-point data can.
    dtype : dtype, optional
        The type of the data; by default that of `data`, so Python floats give float64.
    copy : bool, default True
        False shares memory with an array given as `data`.

    Raises
    ------
    DtypeError
        If `data` does not consist of numbers, or a gradient is asked of integers or booleans.

    Notes
    -----
    The operators, NumPy's functions and the methods all record. Do not change ``data`` in place
    between an operation and its backward pass: rules read the arrays as they are then (`debug`
    finds such changes).

    These methods do what NumPy's functions by their names do: `sum mean prod var std max min
    cumsum cumprod trace diagonal ravel swapaxes squeeze repeat take clip round dot copy argmax
    argmin argsort searchsorted nonzero any all exp log sqrt abs sin cos tanh`; and what gradlite's
    do: `relu sigmoid`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> x = gl.Tensor([0.0, 1.0, 2.0], requires_grad=True)
    >>> y = (np.sin(x) * x).sum()
    >>> y.backward()
    >>> np.allclose(x.grad, np.cos(x.data) * x.data + np.sin(x.data))
    True
    """

    __slots__ = ()

    def __init__(
        self,
        data: Any,
        requires_grad: bool = False,
        dtype: Any = None,
        copy: bool = True,
    ) -> None:
        if holds_traced(data):
            made = assemble(data)
            if dtype is not None:
                made = made.astype(dtype)
            self._data, self._node = made._data, made._node
        else:
            self._data, self._node = as_data(data, dtype, copy), None
        if requires_grad:
            self.requires_grad = True

    @staticmethod
    def _make(data: Any, node: Node | None) -> Tensor:
        tensor = new(Tensor)
        tensor._data = data
        tensor._node = node
        return tensor

    def numpy(self) -> np.ndarray:
        """Give the data as an array that shares memory with this Tensor.

        Raises
        ------
        DetachError
            If this Tensor requires a gradient: say ``t.detach().numpy()`` (or ``t.data``).
        """
        return self.__array__()

    def detach(self) -> Tensor:
        """Give a Tensor of the same data that is not on the tape."""
        return _make(self._data, None)

    # -- NumPy's protocols ----------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._node is not None:
            caller = sys._getframe(1)
            if caller.f_code.co_name in SCIPY_PRODUCTS:
                # To scipy, an array of this one object is "no array": it leaves sparse @ tensor
                # to __rmatmul__.
                this = np.empty((), object)
                this[()] = self
                return this
            raise DetachError.to_array(caller)
        return np.array(self._data, dtype=dtype, copy=copy)

    __pandas_priority__ = 5000  # pandas' objects leave operators to us

    @property
    def _mask(self) -> Any:
        # np.ma reads the `_data` and `_mask` of what stands beside a masked array.
        raise DtypeError(
            "A masked array beside a Tensor would hide its mask from the derivative: use "
            "m.filled(0) and a weight of 0, or np.where."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            call = CALLS.get(ufunc) or operation_of(ufunc)
            if call is not None:
                return call(*inputs)
        if method == "reduce" and ufunc in REDUCTIONS:
            return self.__array_function__(REDUCTIONS[ufunc], (), inputs, {"axis": 0, **kwargs})
        if method != "__call__":
            raise MissingRuleError.for_function(ufunc, method)
        out = kwargs.get("out")
        if out is not None:
            if len(kwargs) == len(out) == 1 and out[0] is inputs[0]:  # array += tensor
                alone = sys.getrefcount(inputs[0]) <= ALONE
                return _augmented(ufunc, alone, *inputs)
            raise MissingRuleError(
                f"{function_name(ufunc)} with out= cannot be recorded: an operation on Tensors "
                f"returns a new Tensor. Omit out=, or write to t.data."
            )
        return self.__array_function__(ufunc, (), inputs, kwargs)

    def _perform(self, fn: Function, args: Any, kwargs: Any) -> Any:
        call = CALLS.get(fn) or operation_of(fn)
        if call is None or kwargs:
            return self.__array_function__(fn, (), args, kwargs)
        return call(*args)

    def __array_function__(self, fn: Function, types: Any, args: Any, kwargs: Any) -> Any:
        if len(types) > 1 and not all(issubclass(kind, (Variable, np.ndarray)) for kind in types):
            return NotImplemented  # Values among them: these turn themselves into Tensors
        rule = RULES.get(fn)
        if rule is not None:
            return apply(rule, args, kwargs)
        definition = COMPOSITES.get(fn)
        if definition is not None:
            try:
                return definition(*args, **kwargs)
            except TypeError:
                _check_call(fn, definition, args, kwargs)
                raise
        if fn in PLAIN:
            return fn(*_to_data(args), **_to_data(kwargs))
        raise MissingRuleError.for_function(fn)

    # -- Python's protocols ---------------------------------------------------------------

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d Tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d Tensor")
        rows: tuple[Tensor, ...] = shape.unstack(self)
        return iter(rows)

    def __getitem__(self, index: Any) -> Tensor:
        result: Tensor = indexing.getitem(self, index=_to_data(index))
        return result

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "Assigning to entries of a Tensor cannot be recorded. Build the result with np.where "
            "or np.concatenate, or write to t.data where no gradient should flow. (Augmented "
            "assignment to part of a Tensor, t[i] += x, is such an assignment too.)"
        )

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(self._data == _to_data(value)))

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"The truth value of a Tensor of shape {self.shape} is ambiguous: use "
                f".any() or .all()."
            )
        return bool(self._data)

    def __float__(self) -> float:
        return float(self._number("float()"))

    def __int__(self) -> int:
        return int(self._number("int()"))

    def __index__(self) -> int:
        return operator.index(self.data)

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        return format(self._data.item() if self.size == 1 else self.item(), spec)

    def __repr__(self) -> str:
        text = np.array2string(self.data, separator=", ", prefix="Tensor(")
        text += f", shape={self.shape}, dtype={self.dtype}"
        if self._node is not None:
            rule = self._node.rule
            text += f", fn={rule.name}" if rule else ", requires_grad=True"
        return f"Tensor({text})"

    def _repr_html_(self) -> str:
        from gradlite.notebook import array_html

        facts = [f"shape {self.shape}", str(self.dtype)]
        if self._node is not None:
            rule = self._node.rule
            facts += ["requires_grad", *([f"result of {rule.name}"] if rule else [])]
        grad = self._grad.data if isinstance(self._grad, Variable) else self._grad
        return array_html(type(self).__name__, self.data, facts, grad)

    def __copy__(self) -> Tensor:
        # What a derivative that is being computed depends on stays on the tape.
        if is_differentiated(self._node):
            return +self  # type: ignore[no-any-return]
        return _rebuild(*self.__reduce__()[1])

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if is_differentiated(self._node):
            return +self  # type: ignore[no-any-return]
        return _rebuild(*copy.deepcopy(self.__reduce__()[1], memo))

    def __reduce__(self) -> Any:
        # Without the graph: it may be deep, and its arrays belong to this process.
        self._stay_on_tape("pickle")
        return _rebuild, (type(self), self.data, self.requires_grad, self._grad)

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return self.transpose()

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        result: Tensor = self.swapaxes(-1, -2)
        return result

    # -- operators and methods, generated from the rules ----------------------------------

    __hash__ = object.__hash__
    __neg__ = unary(RULES[np.negative])
    __pos__ = unary(RULES[np.positive])
    __abs__ = unary(RULES[np.absolute])
    __add__, __radd__ = ADD, swapped(ADD)
    __sub__, __rsub__ = SUBTRACT, swapped(SUBTRACT)
    __mul__, __rmul__ = MULTIPLY, swapped(MULTIPLY)
    __truediv__, __rtruediv__ = DIVIDE, swapped(DIVIDE)
    __pow__, __rpow__ = POWER, swapped(POWER)
    __matmul__, __rmatmul__ = MATMUL, swapped(MATMUL)
    __mod__, __rmod__ = REMAINDER, swapped(REMAINDER)
    __floordiv__, __rfloordiv__ = FLOOR_DIVIDE, swapped(FLOOR_DIVIDE)
    __iadd__, __isub__ = in_place(ADD, np.add), in_place(SUBTRACT, np.subtract)
    __imul__, __itruediv__ = in_place(MULTIPLY, np.multiply), in_place(DIVIDE, np.divide)
    __ipow__, __imatmul__ = in_place(POWER, np.power), in_place(MATMUL, np.matmul)
    __imod__ = in_place(REMAINDER, np.remainder)
    __ifloordiv__ = in_place(FLOOR_DIVIDE, np.floor_divide)
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = refused(
        "&, | and ^", "combine comparisons, which are plain arrays: (t > 0) & (t < 1)"
    )
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = refused(
        "<< and >>", "multiply by powers of two, or shift t.data"
    )
    __invert__ = refused("~", "negate a comparison: ~(t > 0)")
    __divmod__ = __rdivmod__ = refused("divmod", "write (t // y, t % y)")
    __round__ = refused("round()", "use np.round(t), whose derivative is 0, or round(t.item())")
    __lt__, __le__ = plain(np.less), plain(np.less_equal)
    __gt__, __ge__ = plain(np.greater), plain(np.greater_equal)
    __eq__, __ne__ = plain(np.equal), plain(np.not_equal)

    sum, mean, prod = method(np.sum), method(np.mean), method(np.prod)
    var, std = method(np.var), method(np.std)
    max = method(np.max, note=" Elements that tie share the gradient equally.")
    min = method(np.min, note=" Elements that tie share the gradient equally.")
    cumsum, cumprod = method(np.cumsum), method(np.cumprod)
    trace, diagonal = method(np.trace), method(np.diagonal)
    ravel, swapaxes, squeeze = method(np.ravel), method(np.swapaxes), method(np.squeeze)
    repeat, take, clip = method(np.repeat), method(np.take), method(np.clip)
    round, dot, copy = method(np.round), method(np.dot), method(np.copy)
    argmax, argmin, argsort = method(np.argmax), method(np.argmin), method(np.argsort)
    searchsorted, nonzero = method(np.searchsorted), method(np.nonzero)
    any, all = method(np.any), method(np.all)
    exp, log, sqrt, abs = map(function, (np.exp, np.log, np.sqrt, np.absolute))
    sin, cos, tanh = map(function, (np.sin, np.cos, np.tanh))
    relu, sigmoid = map(function, (activations.relu, activations.sigmoid))

    def reshape(self, *shape: Any, order: Any = "C") -> Tensor:
        """Give the same elements in another shape: ``t.reshape(2, 3)`` or ``t.reshape((2, 3))``."""
        new_shape = shape[0] if len(shape) == 1 else shape
        result: Tensor = self.__array_function__(
            np.reshape, (), (self, new_shape), {"order": order}
        )
        return result

    def flatten(self) -> Tensor:
        """Give all elements along one axis, in memory of their own."""
        return self.ravel().copy()  # type: ignore[no-any-return]

    def transpose(self, *axes: Any) -> Tensor:
        """Permute the axes; without arguments, reverse them."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        result: Tensor = self.__array_function__(np.transpose, (), (self, order), {})
        return result

    def astype(self, dtype: Any) -> Tensor:
        """Convert to another type; a gradient comes back in this Tensor's own.

        Integers and booleans have no gradient: converted to those, the result is off the tape.
        """
        dtype = np.dtype(dtype)
        if dtype.kind != "f":
            return Tensor(self._data.astype(dtype), copy=False)
        result: Tensor = elementwise.astype(self, dtype=dtype, source=self.dtype)
        return result


_make = Tensor._make


def _references() -> int:
    """Count the references to an array in ``array += other`` if one name stands for it."""

    class Probe:
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
            out = kwargs.get("out")
            return sys.getrefcount(inputs[0]) if out is not None else 0

    array: Any = np.zeros(1)
    array += Probe()
    return int(array)


ALONE = _references()


def _rebuild(kind: type[Tensor], data: np.ndarray, requires_grad: bool, grad: Any) -> Tensor:
    tensor = kind(data, requires_grad=requires_grad, copy=False)
    if grad is not None:
        tensor.grad = grad
    return tensor


def _to_data(x: Any) -> Any:
    """Replace Tensors by their arrays, inside tuples, lists and dicts too."""
    if isinstance(x, Traced):
        return x._data
    if isinstance(x, (tuple, list)):
        return type(x)(map(_to_data, x))
    return {k: _to_data(v) for k, v in x.items()} if isinstance(x, dict) else x


def _check_call(fn: Function, definition: Function, args: Any, kwargs: Any) -> None:
    """Refuse arguments that the definition of a composite does not have."""
    try:
        inspect.signature(definition).bind(*args, **kwargs)
    except TypeError as error:
        raise MissingRuleError(f"{function_name(fn)} on a Tensor: {error}.") from None


def _as_output(rule: Rule, ans: Any) -> Any:
    """Return what a function returned as an array, or as the several arrays that it declared."""
    if rule.outputs:
        if isinstance(ans, (tuple, list)):
            arrays = (np.ndarray, np.generic)
            parts: Any = [part if isinstance(part, arrays) else np.asarray(part) for part in ans]
            return type(ans)(*parts) if hasattr(ans, "_fields") else tuple(parts)
        problem = "Its rule was declared with outputs=True: return a tuple of arrays."
    elif isinstance(ans, (tuple, list)) and not all(isinstance(x, NUMBERS) for x in ans):
        problem = "For several results, declare them: gl.defvjp(..., outputs=True)."
    elif isinstance(ans, (*NUMBERS, tuple, list)) and not isinstance(ans, bool):
        return np.asarray(ans, np.float64)
    else:
        problem = "Return an array or a number."
    raise DtypeError(f"{rule.name} returned {type(ans).__name__}. {problem}")


def apply(rule: Rule, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Carry out an operation on Tensors and record it: the general way."""
    args, params = rule.bind(args, kwargs)
    for name, value in params.items() if params else ():
        if isinstance(value, Traced):
            raise MissingRuleError(
                f"{rule.name} has no derivative rule for its argument {name!r}, which is a "
                f"Tensor. Give defvjp one rule for each array argument (None for one without a "
                f"derivative), or pass {name}.detach().data."
            )
    data, nodes = [], []
    for arg in args:
        if isinstance(arg, Traced):
            data.append(arg._data)
            nodes.append(arg._node)
        else:
            data.append(arg if arg is None else constant(arg, rule))
            nodes.append(None)
    try:
        ans = rule.fn(*data, **params) if params else rule.fn(*data)
    except RuntimeWarning as warning:
        ans = _warned(warning, rule.fn, *data, **params)
    if rule.saves:
        ans, saved = ans
        params = {**params, "saved": saved}
    if rule.outputs or not isinstance(ans, (np.ndarray, np.generic)):
        ans = _as_output(rule, ans)
    node = record(rule, data, nodes, params, ans)
    if rule.outputs:
        return items(ans, node, _make)
    out = new(Tensor)
    out._data = ans
    out._node = node
    return out
