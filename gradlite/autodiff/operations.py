"""Operations: what Python's operators and NumPy's functions do with Tensors.

Each is generated once from its rule: compute with the arrays, and make a node. (`needed` and `keep`
are bit sets: the arguments that require a gradient, and those that the rule will read.)
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradlite.autodiff.modes import RECORDING, current_mode
from gradlite.autodiff.node import Node, serial
from gradlite.autodiff.operands import as_operand, as_output, is_sparse
from gradlite.autodiff.rule import RULES, Function, Rule, Traced
from gradlite.autodiff.rules import sparse
from gradlite.autodiff.saved_inputs import kept_constant
from gradlite.autodiff.tape import items, record
from gradlite.autodiff.tensor import Tensor, _make
from gradlite.errors import DtypeError, MissingRuleError, user_stacklevel

new = object.__new__
SCALARS = frozenset({float, int})
Operation = Callable[..., Any]


# NumPy's warnings name the line that called NumPy, here: `_warned` gives them the user's line.
warnings.filterwarnings("error", category=RuntimeWarning, module=re.escape(__name__))


def _warned(warning: RuntimeWarning, fn: Function, *args: Any, **params: Any) -> Any:
    """Carry out an operation that NumPy warns about, and repeat the warning at the user's line."""
    with np.errstate(all="ignore"):
        ans = fn(*args, **params)
    warnings.warn(str(warning), RuntimeWarning, stacklevel=user_stacklevel())
    return ans


def unary(rule: Rule) -> Operation:
    """Generate the operation of a rule for one array: what `apply` does, in its simplest case.

    Here and in `binary` the node is filled in line by line: `Node(...)` takes up to 100 ns more.
    """
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
            keep_ans, keep = rule.saved_inputs[1]
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
            a, p = as_operand(x, rule), None
        if type(y) is Tensor or isinstance(y, Traced):
            b, q = y._data, y._node
        else:
            b, q = as_operand(y, rule), None
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
            keep_ans, keep = rule.saved_inputs[needed]
            parents = (p, q)
            kept = parents
            if keep or needed != 3:
                if p is None:
                    if keep & 1 and type(a) not in SCALARS:
                        a = kept_constant(a, ans.dtype)
                elif q is None and keep & 2 and type(b) not in SCALARS:
                    b = kept_constant(b, ans.dtype)
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
                return sparse.product(x, y)
            if is_sparse(y):
                return sparse.product(y.T, x.T).T
        return dense(x, y)

    matmul.__qualname__ = dense.__qualname__
    return matmul


def generate(rule: Rule) -> Operation:
    """Generate the operation of a rule."""
    spelt_out = (
        rule.users  # a user's function may return a float or a list: `apply` makes an array of it
        or rule.variadic
        or rule.params
        or rule.has_residuals
        or rule.multiple_outputs
        or None in rule.vjps
    )
    if not spelt_out:
        if len(rule.vjps) == 1:
            return unary(rule)
        if len(rule.vjps) == 2:
            return binary(rule)

    def operation(*args: Any, **kwargs: Any) -> Any:
        return apply(rule, args, kwargs)

    operation.__qualname__ = rule.name
    return operation


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
            data.append(arg if arg is None else as_operand(arg, rule))
            nodes.append(None)
    try:
        ans = rule.fn(*data, **params) if params else rule.fn(*data)
    except RuntimeWarning as warning:
        ans = _warned(warning, rule.fn, *data, **params)
    if rule.has_residuals:
        if not isinstance(ans, tuple) or len(ans) != 2:
            raise DtypeError(
                f"{rule.name} returned {type(ans).__name__}. Its rule was declared with "
                f"has_residuals=True: return (ans, residuals)."
            )
        ans, residuals = ans
        params = {**params, "residuals": residuals}
    if rule.users or rule.multiple_outputs or not isinstance(ans, (np.ndarray, np.generic)):
        ans = as_output(ans, rule)
    node = record(rule, data, nodes, params, ans)
    if rule.multiple_outputs:
        return items(ans, node, _make)
    out = new(Tensor)
    out._data = ans
    out._node = node
    return out


CALLS: dict[Function, Operation] = {
    fn: binary(RULES[fn])
    for fn in (
        np.add, np.subtract, np.multiply, np.divide, np.power, np.remainder, np.floor_divide,
    )
}  # fmt: skip
CALLS[np.matmul] = with_sparse(binary(RULES[np.matmul]))
"""The operation of each function; those not listed here are generated on first use."""


def operation_of(fn: Function) -> Operation | None:
    """Return the operation of a function, or None if it has no rule."""
    call = CALLS.get(fn)
    if call is None and fn in RULES:
        call = CALLS[fn] = generate(RULES[fn])
    return call
