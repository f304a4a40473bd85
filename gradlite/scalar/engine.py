"""Value: one number that remembers how it was made. The scalar engine that gradlite began as.

The API is micrograd's, whole. A Value is data and node in one: an object with slots that holds
a Python float, its gradient, the operation that made it and the Values it was made of. The
derivatives are those of the rule table (see ops.py).
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradlite.autodiff.modes import RECORDING, current_mode
from gradlite.autodiff.node import Node, serial
from gradlite.autodiff.rule import Function, Traced
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import DivisionError, DomainError, DtypeError, RangeError, ShapeError
from gradlite.scalar import ops
from gradlite.scalar.bridge import FROM_TENSOR, Bridge, back_through_tensors
from gradlite.scalar.ops import FUNCTIONS, NUMPY_NUMBERS, Op, number, power, quotient, short
from gradlite.scalar.walk import walk

new = object.__new__
Operation = Callable[..., Any]


def result(data: Any, made_by: Op, inputs: tuple[Any, ...], extra: Any = None) -> Any:
    """Make the Value that an operation gives: the general way."""
    out = new(Value)
    out.data = data
    out.grad = 0.0
    out._serial = serial()
    out._made_by = made_by
    out._inputs = inputs
    out._extra = extra
    if current_mode() is not RECORDING:
        in_another_mode(out)
    return out


def in_another_mode(out: Any) -> None:
    """Do what the mode asks for: forget where a result came from, or look at it (debug mode)."""
    mode = current_mode()
    if mode.inspector is not None:
        numbers = [x.data for x in out._inputs]
        out._where = mode.inspector.number(out._made_by.name, numbers, out.data)
    if not mode.record:
        out._made_by, out._inputs = None, ()


def unary(name: str) -> Operation:
    """Generate the method of a function of one number."""
    fn, _, _, domain = FUNCTIONS[name]
    op = ops.unary_op(name)

    def operation(self: Any) -> Any:
        try:
            data = fn(self.data)
        except (ValueError, OverflowError) as error:
            kind = RangeError if isinstance(error, OverflowError) else DomainError
            raise kind(f"{name} of {self!r}: {domain} is expected.") from None
        out = new(Value)
        out.data = data
        out.grad = 0.0
        out._made_by = op
        out._inputs = (self,)
        out._serial = serial()
        if current_mode() is not RECORDING:
            in_another_mode(out)
        return out

    operation.__name__ = name
    operation.__doc__ = f"Compute {name} of this Value."
    return operation


def binary(
    symbol: str, fn: Function, of_values: Op, of_constant: Op, instead: Operation | None = None
) -> Operation:
    """Generate an operator between a Value and a Value or a constant.

    `instead`, if given, is what is done with a constant: ``x - 2`` is ``x + -2``.
    """

    def operation(self: Any, other: Any) -> Any:
        kind = type(other)
        if kind is float or kind is int:
            if instead is not None:
                return instead(self, other)
            out = new(Value)
            out.data = fn(self.data, other)
            out._made_by = of_constant
            out._inputs = (self,)
            out._extra = other
        elif isinstance(other, Value):
            out = new(Value)
            out.data = fn(self.data, y := other.data)
            out._made_by = of_values
            out._inputs = (self, other)
            if of_values.expand is not None:
                out._extra = y
        elif kind in NUMPY_NUMBERS:
            return operation(self, other.item())
        else:
            return elsewhere(symbol, operation, self, other)
        out.grad = 0.0
        out._serial = serial()
        if current_mode() is not RECORDING:
            in_another_mode(out)
        return out

    return operation


def reflected(symbol: str, fn: Function, op: Op) -> Operation:
    """Generate the operator between a constant on the left and a Value on the right."""

    def operation(self: Any, other: Any) -> Any:
        if type(other) is float or type(other) is int:
            return result(fn(other, self.data), op, (self,), other)
        return elsewhere(symbol, operation, self, other)

    return operation


def comparison(symbol: str, compare: Operation) -> Operation:
    """Generate an operator that compares the number of a Value with another."""

    def operation(self: Any, other: Any) -> Any:
        try:
            return compare(self.data, _comparable(other))
        except TypeError:
            raise DtypeError(
                f"{self!r} {symbol} {short(other)}: a Value is compared with a real number, a "
                f"Value or a Tensor, not {type(other).__name__}."
            ) from None

    return operation


def elsewhere(symbol: str, operation: Operation, self: Any, other: Any) -> Any:
    """Take an operand that is neither a Value nor a plain number."""
    if isinstance(other, Traced):
        return NotImplemented  # a Tensor: its own operator takes the Value in
    if isinstance(other, np.ndarray) and other.ndim:
        return np.frompyfunc(lambda x: operation(self, x), 1, 1)(other)
    if isinstance(other, (numbers.Real, np.generic, np.ndarray)):
        return operation(self, number(other))
    if other is None or isinstance(other, (str, bytes, complex, list, tuple, dict, set)):
        raise DtypeError(
            f"{self!r} {symbol} {short(other)}: beside a Value there must be a real number, a "
            f"Value or a Tensor, not {type(other).__name__}."
        )
    return NotImplemented


# -- how the original engine wrote what is one operation here ---------------------------------
#
# `_passed` is the gradient that a value has passed on: only then have its inputs got theirs.


def _spell(value: Any, op: Op, *inputs: Any) -> None:
    """Rewrite a result as another operation with the same outcome."""
    value._made_by, value._inputs = op, inputs


def _between(value: Any, data: Any, op: Op, x: Any, slope: Any) -> Any:
    """Make a result that the original would have made on the way: ``x`` and -1 in `op`."""
    made = new(Value)
    made.data, made.grad = data, getattr(value, "_passed", 0.0) * slope
    made._made_by, made._inputs, made._extra = op, (x,), -1
    made._passed = made.grad
    made._serial = value._serial - 0.5  # younger than the inputs of `value`
    return made


def _constant(value: Any, slope: Any) -> Any:
    """Make a Value of the constant that `value` was made with."""
    made = Value(value._extra)
    made.grad = getattr(value, "_passed", 0.0) * slope
    return made


def _spell_add(value: Any) -> None:
    _spell(value, ADD, *value._inputs, _constant(value, 1.0))


def _spell_multiply(value: Any) -> None:
    (x,) = value._inputs
    # x as it was: a leaf may have been changed since.
    factor = value.data / value._extra if value._extra else x.data
    _spell(value, MULTIPLY, x, _constant(value, factor))


def _spell_subtract(value: Any) -> None:  # x - y is x + y * -1
    x, y = value._inputs
    _spell(value, ADD, x, _between(value, -value._extra, SCALE, y, 1.0))


def _spell_subtract_from(value: Any) -> None:  # c - y is y * -1 + c
    (y,) = value._inputs
    minus_y = _between(value, value.data - value._extra, SCALE, y, 1.0)
    _spell(value, ADD, minus_y, _constant(value, 1.0))


def _spell_divide(value: Any) -> None:  # x / y is x * y**-1
    x, y = value._inputs
    was = value._extra
    _spell(value, MULTIPLY, x, _between(value, 1.0 / was, RAISE, y, value.data * was))


def _spell_divide_into(value: Any) -> None:  # c / y is y**-1 * c
    (y,) = value._inputs
    c = value._extra
    inverse = _between(value, value.data / c if c else 1.0 / y.data, RAISE, y, c)
    _spell(value, MULTIPLY, inverse, _constant(value, inverse.data))


def _spell_exponential(value: Any) -> None:  # the constant base of c ** y
    (y,) = value._inputs
    base = _constant(value, 0.0)
    base.grad = ops.POWER[0](getattr(value, "_passed", 0.0), value.data, base.data, y.data)
    _spell(value, POWER, base, y)


ADD = Op("+", ops.of_two(*ops.SUM))
MULTIPLY = Op("*", ops.of_two(*ops.PRODUCT))
POWER = Op("**", ops.of_two(*ops.POWER))
SHIFT = Op("+", ops.of_first(ops.SUM[0]), _spell_add)  # by a constant
SCALE = Op("*", ops.of_first(ops.PRODUCT[0]), _spell_multiply)  # by a constant
RAISE = Op("**n", ops.of_first(ops.POWER[0]))  # to a constant power
SUBTRACT = Op("+", ops.noted(ops.of_two(*ops.DIFFERENCE)), _spell_subtract)
SUBTRACT_FROM = Op("+", ops.of_second(ops.DIFFERENCE[1]), _spell_subtract_from)
DIVIDE = Op("*", ops.noted(ops.of_two(*ops.QUOTIENT)), _spell_divide)
DIVIDE_INTO = Op("*", ops.of_second(ops.QUOTIENT[1]), _spell_divide_into)
EXPONENTIAL = Op("**", ops.of_second(ops.POWER[1]), _spell_exponential)
UNPACK = Op(FROM_TENSOR, lambda value: value._extra)

add = binary("+", operator.add, ADD, SHIFT)
multiply = binary("*", operator.mul, MULTIPLY, SCALE)


def over(x: Any, c: Any) -> Any:
    """Divide by a constant as the original does, by multiplying with its inverse."""
    if c == 0:
        raise DivisionError(f"{x!r} / {c!r} is a division by zero.")
    return multiply(x, c**-1)


class Watched(type):
    """A class that counts when it, or one like it, is given other methods.

    Networks run without the methods of neurons and Values. Who replaces one wants it called.
    """

    changes = 0

    def __setattr__(cls, name: str, value: Any) -> None:
        Watched.changes += 1
        super().__setattr__(name, value)


class Value(Traced, metaclass=Watched):
    """One number, its gradient, and the way back to the Values it was made of.

    Parameters
    ----------
    data : float
        A real number: of Python, of NumPy, or a Tensor of one element (which stays on the
        tape).
    _children : iterable of Value, optional
        What it was made of, for an operation of your own: assign `_backward` as well.
    _op : str, optional
        The name of that operation.
    label : str, optional
        A name for pictures.

    Attributes
    ----------
    data : float
        The number. Assigning to it is not recorded.
    grad : float
        The derivative of what `backward` was called on, 0.0 at first. In leaves it adds up over
        calls, so set it to 0 in between; a result shows that of the last call.
    label : str
        A name for pictures.

    Raises
    ------
    DtypeError
        If `data` is not a real number.

    Notes
    -----
    Operators take numbers, Values and Tensors on either side, and functions are methods: `tanh
    relu exp log sigmoid sin cos sqrt abs`. As in the original, ``==`` asks
    whether two Values are the same object; ``<`` and its like compare the numbers.

    One thing differs from the original on purpose: a second ``backward`` adds the right amount
    to every leaf, where the original counts again what the first had left in between.

    Examples
    --------
    >>> from gradlite.engine import Value
    >>> a, b = Value(-4.0), Value(2.0)
    >>> c = (a * b + b**3).tanh() + a.relu() - 3 / b
    >>> c.backward()
    >>> c, a.grad, b.grad
    (Value(data=-1.5, grad=1.0), 2.0, 8.75)
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_extra",
        "_inputs",
        "_made_by",
        "_serial",
        "data",
        "grad",
    )
    __array_priority__ = 1000.0  # NumPy's numbers and arrays leave their operators to ours
    shape: tuple[int, ...] = ()
    ndim, size = 0, 1

    data: Any
    grad: Any
    label: str = ""
    _made_by: Op | None
    _inputs: tuple[Any, ...]
    _extra: Any
    _passed: float
    _serial: float

    def __init__(self, data: Any, _children: Any = (), _op: str = "", label: str = "") -> None:
        self._made_by = None
        self._inputs = ()
        if type(data) is not float and type(data) is not int:
            data = data.item() if type(data) in NUMPY_NUMBERS else self._take(data)
        self.data = data
        self.grad = 0.0
        if label:
            self.label = label
        if _children or _op:
            self._inputs = tuple(child for child in _children if isinstance(child, Value))
            self._made_by = Op(_op, lambda value: None)
            self._serial = serial()

    def _take(self, data: Any) -> Any:
        """Hold a number of another kind; a Tensor's way back becomes this Value's."""
        if not isinstance(data, Traced):
            return number(data)
        if not isinstance(data, Tensor):
            raise DtypeError(f"Value({data!r}): it is a Value already.")
        if data.size != 1:
            raise ShapeError(
                f"A Value holds one number, not a Tensor of shape {data.shape}: use "
                f"list(map(Value, tensor))."
            )
        if data._node is not None:
            alone = data.reshape(()) if data.ndim else data
            self._made_by, self._extra = UNPACK, alone._node
            self._serial = serial()
        return data.data.item()

    def backward(self) -> None:
        """Add to ``grad`` of every leaf behind this Value its derivative by that leaf.

        The results in between show theirs.

        Raises
        ------
        DivisionError, RangeError
            If a derivative is infinite or too large, as that of ``x ** 0.5`` at 0.
        DtypeError
            If somebody has set a ``grad`` to None.
        """
        try:
            arrived, order = walk([(self, 1.0)])
        except TypeError as error:
            if "+=" in str(error) and "NoneType" in str(error):
                raise DtypeError("A grad is None, and nothing can be added: set it to 0.") from None
            raise
        if arrived:
            back_through_tensors(arrived, set(map(id, order)))

    # -- the white box ----------------------------------------------------------------------

    @property
    def _prev(self) -> set[Any]:
        """The Values that this one was made of, as the original engine would have it."""
        if self._made_by is not None and self._made_by.expand is not None:
            self._made_by.expand(self)
        return set(self._inputs)

    @_prev.setter
    def _prev(self, children: Any) -> None:
        self._inputs = tuple(children)
        self._own_op()

    @property
    def _op(self) -> str:
        """The name of the operation, '' for a leaf."""
        op = self._made_by
        if op is None:
            return ""
        return f"**{self._extra}" if op is RAISE else op.name

    @_op.setter
    def _op(self, name: str) -> None:
        self._own_op().name = name

    @property
    def _backward(self) -> Callable[[], Any]:
        """What adds to the inputs' ``grad`` this Value's contribution; can be assigned."""
        self._prev  # noqa: B018  # neurons that ran as arrays become Values
        op = self._made_by
        if op is None:
            return lambda: None
        return op.closure or (lambda: op.pull(self))

    @_backward.setter
    def _backward(self, closure: Callable[[], Any]) -> None:
        op = self._own_op()
        op.closure = closure

        def pull(value: Any) -> None:
            closure()

        op.pull = pull

    def _own_op(self) -> Op:
        """Give an Op of this Value's own, to be changed."""
        self._prev  # noqa: B018  # what can be expanded is, before it has another Op
        if self._made_by is None:
            self._serial = serial()
            self._made_by = Op("", lambda value: None)
        else:
            self._made_by = Op(self._op, self._made_by.pull, None, self._made_by.closure)
        return self._made_by

    prev, op = _prev, _op

    # -- Python's protocols -----------------------------------------------------------------

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    def _repr_html_(self) -> str:
        from gradlite.autodiff.notebook import number_html

        facts = [*([self.label] if self.label else []), *([f"made by {self._op}"] * bool(self._op))]
        return number_html(type(self).__name__, self.data, self.grad, facts)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    __lt__, __le__ = comparison("<", operator.lt), comparison("<=", operator.le)
    __gt__, __ge__ = comparison(">", operator.gt), comparison(">=", operator.ge)

    def __reduce__(self) -> Any:
        # Without the graph, as a Tensor: it may be deep.
        data = self.data  # what a network has yet to compute gets its final type here
        return _rebuild, (type(self), data, self.grad, dict(self.__dict__))

    # -- operators and functions, generated from the rules ----------------------------------

    __add__ = __radd__ = add
    __mul__ = __rmul__ = multiply

    # As in the original, x - 2 is x + -2, and x / 2 is x * 2**-1.
    __sub__ = binary("-", operator.sub, SUBTRACT, SHIFT, lambda x, c: add(x, -c))
    __truediv__ = binary("/", quotient, DIVIDE, SCALE, over)
    __rsub__ = reflected("-", operator.sub, SUBTRACT_FROM)
    __rtruediv__ = reflected("/", quotient, DIVIDE_INTO)
    __pow__ = binary("**", power, POWER, RAISE)
    __rpow__ = reflected("**", power, EXPONENTIAL)

    def __neg__(self) -> Any:
        return multiply(self, -1)

    def __pos__(self) -> Any:
        return self

    tanh, relu, exp, log = unary("tanh"), unary("relu"), unary("exp"), unary("log")
    sigmoid, sin, cos, sqrt = unary("sigmoid"), unary("sin"), unary("cos"), unary("sqrt")
    abs = __abs__ = unary("abs")

    # -- among Tensors ----------------------------------------------------------------------

    @property
    def _data(self) -> Any:
        """The number as a Tensor would hold it."""
        return np.float64(self.data)

    @property
    def _node(self) -> Node:
        """The way back, for a Tensor that is made of this Value."""
        return Bridge([self], ())

    def _perform(self, fn: Function, args: Any, kwargs: Any) -> Any:
        """Carry out an operation of gradlite on this Value: ``gl.relu(value)``."""
        name = METHODS.get(fn)
        if name is not None and len(args) == 1 and not kwargs:
            return getattr(self, name)()
        return fn(*_as_tensors(args), **_as_tensors(kwargs))

    def __array_function__(self, fn: Any, types: Any, args: Any, kwargs: Any) -> Any:
        # Among Tensors, a Value is one. Otherwise NumPy makes arrays of objects, as ever.
        if any(issubclass(kind, Tensor) for kind in types):
            return fn(*_as_tensors(args), **_as_tensors(kwargs))
        return fn._implementation(*args, **kwargs)

    @staticmethod
    def _join(values: np.ndarray) -> Tensor:
        """Put an array of Values and numbers on the tape as a Tensor."""
        data = np.array([v.data if isinstance(v, Value) else number(v) for v in values.flat])
        node = Bridge(values.ravel().tolist(), values.shape) if current_mode().record else None
        return Tensor._make(data.astype(float).reshape(values.shape), node)


METHODS = {fn: name for name, (_, fn, _, _) in FUNCTIONS.items()}


def _as_tensors(x: Any) -> Any:
    """Replace Values by Tensors, inside tuples, lists and dicts too."""
    if isinstance(x, Value):
        return Tensor(x)
    if isinstance(x, (tuple, list)):
        return [_as_tensors(part) for part in x]
    return {k: _as_tensors(v) for k, v in x.items()} if isinstance(x, dict) else x


def _comparable(x: Any) -> Any:
    return x.data if isinstance(x, (Value, Tensor)) else x


def _rebuild(kind: type[Value], data: Any, grad: Any, attributes: dict[str, Any]) -> Value:
    value = kind(data)
    value.grad = grad
    value.__dict__.update(attributes)
    return value
