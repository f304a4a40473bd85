"""Value: one number that remembers how it was made, with micrograd's API and graph.

A Value is data and node in one: it holds a Python float, its gradient, the operation that computed
it and the inputs of that. The derivatives are those of the table of rules (see ops.py).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradlite.autodiff.modes import RECORDING, current_mode
from gradlite.autodiff.node import Node, serial
from gradlite.autodiff.rule import Function, Rule, Traced
from gradlite.autodiff.tape import walk as walk_tape
from gradlite.autodiff.tensor import Tensor
from gradlite.errors import DivisionError, DomainError, DtypeError, RangeError, ShapeError
from gradlite.scalar import ops
from gradlite.scalar.bridge import UNPACK, node_of
from gradlite.scalar.ops import FUNCTIONS, Op, coerce_operand, comparison, number, power
from gradlite.scalar.walk import made_by, toposort, walk

new = object.__new__
Operation = Callable[..., Any]


def result(data: Any, op: Op, inputs: Sequence[Any]) -> Any:
    """Return the result of an operation; `binary` repeats this inline, which saves a fifth."""
    out = new(Value)
    out.data = data
    out.grad = 0.0
    out._made_by = op
    out._inputs = inputs
    out._serial = serial()
    if current_mode() is not RECORDING:
        in_another_mode(out)
    return out


def in_another_mode(out: Any) -> None:
    """Detach a result from its inputs (`no_grad`), or check it (debug mode)."""
    mode = current_mode()
    if mode.inspector is not None:
        rule, seen = Rule(operator.pos, (), name=out._made_by.name), Node(None, (), (), None, ())
        numbers = [x.data for x in out._inputs]
        mode.inspector.forward(rule, numbers, out.data, seen)
        out._where = getattr(seen.note, "where", "")
    if not mode.record:
        out._made_by, out._inputs = None, ()


def unary(name: str) -> Operation:
    """Return the method for a function of one number."""
    fn, _, _, domain = FUNCTIONS[name]
    op = ops.unary_op(name)

    def operation(self: Any) -> Any:
        try:
            data = fn(self.data)
        except (ValueError, OverflowError) as error:
            kind = RangeError if isinstance(error, OverflowError) else DomainError
            raise kind(f"{name} of {self!r}: {domain} is expected.") from None
        return result(data, op, (self,))

    operation.__name__ = name
    operation.__doc__ = f"Compute {name} of this Value."
    return operation


def binary(symbol: str, fn: Function, op: Op) -> Operation:
    """Return an operator between a Value and a Value or a number."""

    def operation(self: Any, other: Any) -> Any:
        if type(other) is float or type(other) is int:
            constant = new(Value)
            constant.data = other
            constant.grad = 0.0
            constant._made_by = None
            constant._inputs = ()
            other = constant
        elif not isinstance(other, Value):
            return coerce_operand(symbol, operation, self, other)
        out = new(Value)
        out.data = fn(self.data, other.data)
        out.grad = 0.0
        out._made_by = op
        out._inputs = (self, other)
        out._serial = serial()
        if current_mode() is not RECORDING:
            in_another_mode(out)
        return out

    return operation


def operator_of(symbol: str, compute: Operation) -> Operation:
    """Return an operator that calls a function of a Value and a Value or a number."""

    def operation(self: Any, other: Any) -> Any:
        if isinstance(other, Value) or type(other) is float or type(other) is int:
            return compute(self, other)
        return coerce_operand(symbol, operation, self, other)

    return operation


# -- operators, as the original writes them: x - y is x + y * -1, and x / y is x * y**-1 --------

ADD = ops.binary_op("+", np.add)
MULTIPLY = ops.binary_op("*", np.multiply)
POWER = ops.binary_op("**", np.power, exact=False)
CONSTANT_POWER = ops.constant_power_op()

add = binary("+", operator.add, ADD)
multiply = binary("*", operator.mul, MULTIPLY)
power_of_value = binary("**", power, POWER)


def raise_to(x: Any, exponent: Any) -> Any:
    """Compute x ** exponent."""
    if isinstance(exponent, Value):
        return power_of_value(x, exponent)
    out = result(power(x.data, exponent), CONSTANT_POWER, (x,))
    out._extra = exponent
    return out


def divide(x: Any, y: Any) -> Any:
    """Compute x / y."""
    try:
        return x * y**-1
    except ZeroDivisionError:
        shown = (x.data, y.data) if isinstance(y, Value) else (x, y)
        raise DivisionError(f"{shown[0]!r} / {shown[1]!r} is a division by zero.") from None


def divide_into(x: Any, c: Any) -> Any:
    """Compute c / x."""
    try:
        return x**-1 * c
    except ZeroDivisionError:
        raise DivisionError(f"{c!r} / {x.data!r} is a division by zero.") from None


class Value(Traced):
    """One number with its gradient and the Values from which it was computed.

    Parameters
    ----------
    data : float
        A real number, or a Tensor of one element, to which the gradient flows back. Assigning to
        it later is not recorded. Anything else raises DtypeError.
    _children : iterable of Value, optional
        The inputs of your own operation: assign `_backward` as well.
    _op : str, optional
        The name of that operation.
    label : str, optional
        A name for drawings.

    Attributes
    ----------
    grad : float
        The derivative of the Value on which `backward` was called, initially 0.0. In leaves it adds
        up over calls, so set it to 0 in between; in results it is that of the last call.

    Notes
    -----
    Operators take numbers, Values and Tensors on either side, and functions are methods: `tanh
    relu exp log sigmoid sin cos sqrt abs`. As in the original, ``==`` compares identities, while
    ``<``, ``<=``, ``>`` and ``>=`` compare the numbers. Unlike in the original, a second
    ``backward`` adds the right amount to every leaf; there, intermediate results are counted again.

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
        "__dict__", "__weakref__", "_extra", "_inputs", "_made_by", "_serial", "data", "grad"
    )  # fmt: skip
    __array_priority__ = 1000.0  # NumPy's numbers and arrays leave their operators to ours
    shape: tuple[int, ...] = ()
    ndim, size = 0, 1

    data: Any
    grad: Any
    label: str = ""
    _made_by: Op | None
    _inputs: Sequence[Any]
    _extra: Any
    _serial: float

    def __init__(self, data: Any, _children: Any = (), _op: str = "", label: str = "") -> None:
        self._made_by = None
        self._inputs = ()
        if type(data) is not float and type(data) is not int:
            data = data.item() if type(data) in ops.NUMPY_NUMBERS else self._take(data)
        self.data = data
        self.grad = 0.0
        if label:
            self.label = label
        if _children or _op:
            self._inputs = tuple(child for child in _children if isinstance(child, Value))
            self._made_by = Op(_op, lambda value: None)
            self._serial = serial()

    def _take(self, data: Any) -> Any:
        """Return a number of another type as a float or int; a Tensor becomes the input."""
        if not isinstance(data, Traced):
            return number(data)
        if not isinstance(data, Tensor):
            raise DtypeError(f"Value({data!r}): this is a Value already.")
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
        """Add to ``grad`` of every leaf the derivative of this Value with respect to it.

        Intermediate results get theirs, too. Raise DivisionError or RangeError if a derivative is
        infinite or too large, like that of ``x ** 0.5`` at 0, and DtypeError if a ``grad`` is None.
        """
        order = toposort([self])
        try:
            if any(op.source for op in set(map(made_by, order))):  # a Tensor is behind
                walk_tape(node_of(self), np.float64(1.0))
            else:
                walk(order, [(self, 1.0)])
        except TypeError as error:
            if "+=" in str(error) and "NoneType" in str(error):
                raise DtypeError("A grad is None, and nothing can be added: set it to 0.") from None
            raise

    def zero_grad(self) -> None:
        """Set ``grad`` to 0."""
        self.grad = 0.0

    # -- the white box ----------------------------------------------------------------------

    @property
    def _prev(self) -> set[Any]:
        """The Values from which this one was computed."""
        if self._made_by is not None and self._made_by.expand is not None:
            self._made_by.expand(self)
        return set(self._inputs)

    @_prev.setter
    def _prev(self, children: Any) -> None:
        self._own_op()
        self._inputs = tuple(children)

    @property
    def _op(self) -> str:
        """The name of the operation, '' for a leaf."""
        op = self._made_by
        if op is None:
            return ""
        return f"**{self._extra}" if op is CONSTANT_POWER else op.name

    @_op.setter
    def _op(self, name: str) -> None:
        self._own_op().name = name

    @property
    def _backward(self) -> Callable[[], Any]:
        """The function that adds this Value's contribution to the inputs' ``grad``."""
        self._prev  # noqa: B018  # neurons that ran as arrays become Values
        op = self._made_by
        return (lambda: None) if op is None else (lambda: op.pull(self))

    @_backward.setter
    def _backward(self, closure: Callable[[], Any]) -> None:
        def pull(value: Any) -> None:
            closure()

        op = self._own_op()
        op.pull, op.rule, op.source = pull, None, None

    def _own_op(self) -> Op:
        """Return an Op that belongs to this Value alone and may be changed."""
        self._prev  # noqa: B018  # what can be expanded is, before it has another Op
        op = self._made_by
        if op is None:
            self._serial = serial()
            self._made_by = Op("", lambda value: None)
        else:
            self._made_by = Op(self._op, op.pull, op.rule, op.source)
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
        return type(self), (self.data,), (self.__dict__, {"grad": self.grad})

    # -- operators and functions, generated from the rules ----------------------------------

    __add__ = __radd__ = add
    __mul__ = __rmul__ = multiply
    __sub__ = operator_of("-", lambda x, y: x + (-y))
    __rsub__ = operator_of("-", lambda x, c: -x + c)
    __truediv__ = operator_of("/", divide)
    __rtruediv__ = operator_of("/", divide_into)
    __pow__ = operator_of("**", raise_to)
    __rpow__ = operator_of("**", lambda x, c: Value(c) ** x)

    def __neg__(self) -> Any:
        return self * -1

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
    def _node(self) -> Node | None:
        """The node of this Value on the tape, for an operation on Tensors."""
        return node_of(self) if current_mode().record else None

    def _perform(self, fn: Function, args: Any, kwargs: Any) -> Any:
        """Apply an operation of gradlite to this Value: ``gl.relu(value)``."""
        name = METHODS.get(fn)
        if name is not None and len(args) == 1 and not kwargs:
            return getattr(self, name)()
        return fn(*_as_tensors(args), **_as_tensors(kwargs))

    def __array_function__(self, fn: Any, types: Any, args: Any, kwargs: Any) -> Any:
        # Among Tensors, a Value acts as one. Otherwise NumPy makes arrays of objects, as usual.
        if any(issubclass(kind, Tensor) for kind in types):
            return fn(*_as_tensors(args), **_as_tensors(kwargs))
        return fn._implementation(*args, **kwargs)


METHODS = {fn: name for name, (_, fn, _, _) in FUNCTIONS.items()}


def _as_tensors(x: Any) -> Any:
    """Return arguments with Tensors in place of Values, inside tuples, lists and dicts too."""
    if isinstance(x, Value):
        return Tensor._make(x._data, x._node)
    if isinstance(x, (tuple, list)):
        return [_as_tensors(part) for part in x]
    return {k: _as_tensors(v) for k, v in x.items()} if isinstance(x, dict) else x
