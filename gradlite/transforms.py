"""Transforms: functions that turn a function into its derivatives.

All are built on `vjp`, which runs a function once on Tensors and gives the map from cotangents
back. They nest to any depth, because a pass over a graph that leads to variables of an outer
transform (or to any other Tensor that wants a gradient) is recorded itself.

Arguments may be numbers, arrays, Tensors, or tuples, lists and dicts of these; derivatives come
back in the same structure, as numbers and arrays where numbers and arrays went in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradlite.errors import DtypeError, ShapeError
from gradlite.modes import enable_grad
from gradlite.node import Node
from gradlite.tape import walk
from gradlite.tensor import Tensor, _make
from gradlite.trees import flatten, leaves_like

Function = Callable[..., Any]


def _variable(x: Any, i: int) -> Tensor:
    """Make a new variable of value `x`; if that is on a tape already, the variable is too."""
    if isinstance(x, Tensor) and x.requires_grad:
        variable: Tensor = +x
        return variable
    if isinstance(x, int) and not isinstance(x, bool):
        x = float(x)
    try:
        # A variable of its own: what happens to it does not touch the caller's array.
        return Tensor(x, requires_grad=True, copy=False)
    except DtypeError as error:
        raise DtypeError(f"Cannot differentiate with respect to argument {i}: {error}") from None


def _like(x: Any, derivative: Any, data_shape: tuple[int, ...], dtype: Any) -> Any:
    """Give a derivative in the form of the argument it belongs to."""
    if isinstance(derivative, Tensor):
        if derivative.requires_grad:
            return derivative if derivative.dtype == dtype else derivative.astype(dtype)
        derivative = derivative._data
    if derivative is None:
        derivative = np.zeros(data_shape, dtype)
    if isinstance(x, (float, int)):
        return float(derivative)
    return np.array(derivative, dtype=dtype)


class Pullback:
    """The map from cotangents of an answer to cotangents of the arguments (see `vjp`).

    `local` holds further variables that the caller made for itself.
    """

    def __init__(
        self,
        output: Any,
        variables: list[Tensor],
        primals: list[Any],
        rebuild: Function,
        local: frozenset[Node] = frozenset(),
    ) -> None:
        self.output = output
        self.variables = variables
        self.primals = primals
        self.rebuild = rebuild
        self.ends = frozenset(v._node for v in variables if v._node is not None)
        # Whether a pass leads to yet other variables, and so must be recorded itself.
        self.recorded = isinstance(output, Tensor) and _leads_beyond(output, self.ends | local)

    @property
    def ans(self) -> Any:
        """The answer for the caller: a Tensor only if other variables had a part in it."""
        output = self.output
        if self.recorded or not isinstance(output, Tensor):
            return output
        return output.data if output.ndim else output._data

    def __call__(self, cotangent: Any, retain: bool = True) -> Any:
        """Carry a cotangent of the answer back to the arguments."""
        output = self.output
        shape = np.shape(output)
        if np.shape(cotangent) != shape:
            raise ShapeError(
                f"a cotangent of shape {np.shape(cotangent)} for an answer of shape {shape}."
            )
        found: dict[Node, Any] = {}
        if isinstance(output, Tensor) and output._node is not None:
            if not isinstance(cotangent, Tensor):
                cotangent = np.asarray(cotangent, output.dtype)

            def deliver(node: Node, g: Any) -> None:
                if node in self.ends:
                    found[node] = found[node] + g if node in found else g

            with enable_grad():
                walk(
                    output._node,
                    cotangent,
                    deliver,
                    self.ends,
                    retain=retain or self.recorded,
                    # Linear in a cotangent that is a Tensor: recorded through it alone.
                    wrap=_make if self.recorded else None,
                )
        return self.rebuild(
            [
                _like(x, found.get(v._node), v.shape, v.dtype)  # type: ignore[arg-type]
                for x, v in zip(self.primals, self.variables, strict=True)
            ]
        )


def _leads_beyond(output: Tensor, variables: frozenset[Node]) -> bool:
    """Tell whether the graph of `output` reaches anything older than `variables`.

    What is younger was made on the way, like the variables of an inner transform.
    """
    if output._node is None:
        return False
    oldest = min((node.serial for node in variables), default=0)
    stack, seen = [output._node], {output._node}
    while stack:
        node = stack.pop()
        if node.serial < oldest:
            return True
        for parent in node.parents or ():
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return False


def _run(
    f: Function,
    primals: Sequence[Any],
    positions: Sequence[int] | None = None,
    local: frozenset[Node] = frozenset(),
) -> Pullback:
    """Evaluate `f` on variables made of the primals, whose places in the call errors name."""
    leaves, rebuild = flatten(tuple(primals))
    variables = [
        _variable(x, i)
        for i, primal in zip(positions or range(len(primals)), primals, strict=True)
        for x in flatten(primal)[0]
    ]
    with enable_grad():
        output = f(*rebuild(variables))
    if not isinstance(output, Tensor):
        _check_answer(f, output)
    return Pullback(output, variables, leaves, rebuild, local)


def _check_answer(f: Function, output: Any) -> None:
    if isinstance(output, (tuple, list, dict)) or output is None:
        raise DtypeError(
            f"{getattr(f, '__name__', 'The function')} must return one array or number to be "
            f"differentiated, not {type(output).__name__}. Put several results together with "
            f"np.stack or np.concatenate."
        )


def vjp(f: Function, *primals: Any) -> tuple[Any, Pullback]:
    """Evaluate `f` and give the map from cotangents of its answer back to its arguments.

    Parameters
    ----------
    f : callable
        Takes the `primals` and returns one array or number.
    *primals : array_like, Tensor, or tuples, lists and dicts of these
        Where to evaluate; real floating-point (a Python int counts as float).

    Returns
    -------
    ans : array or number
        ``f(*primals)``.
    pull : callable
        ``pull(g)``, for `g` of the shape of `ans`, gives a tuple: the vector-Jacobian product
        for each of the primals, of its shape and dtype. It can be called repeatedly.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> ans, pull = gl.vjp(np.multiply, np.array([1.0, 2.0]), 3.0)
    >>> ans
    array([3., 6.])
    >>> pull(np.array([1.0, 10.0]))
    (array([ 3., 30.]), 21.0)
    """
    pull = _run(f, primals)
    return pull.ans, pull


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Evaluate `f` and push tangents of its arguments forward to one of its answer.

    The pullback is linear in its cotangent u; its own vector-Jacobian product with the tangents
    is the Jacobian-vector product (J. Townsend, "A new trick for calculating Jacobian vector
    products", 2017). So no second table of rules is needed.

    Parameters
    ----------
    f : callable
        Takes the `primals` and returns one array or number.
    primals, tangents : sequence
        The arguments, and a tangent of the same shape for each.

    Returns
    -------
    ans, tangent : array or number
        ``f(*primals)``, and the derivative of `f` in the direction of `tangents`, of the shape
        of `ans`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> ans, tangent = gl.jvp(np.sin, (0.0,), (2.0,))
    >>> float(ans), float(tangent)
    (0.0, 2.0)
    """
    leaves, _ = flatten(tuple(primals))
    directions = leaves_like(tuple(tangents), tuple(primals), "jvp, tangents")
    if [np.shape(x) for x in leaves] != [np.shape(t) for t in directions]:
        raise ShapeError(
            f"jvp needs a tangent of the shape of each primal: primals "
            f"{[np.shape(x) for x in leaves]}, tangents {[np.shape(t) for t in directions]}."
        )
    pull = _run(f, primals)
    if not isinstance(pull.output, Tensor):
        return pull.ans, np.zeros_like(pull.output)

    def pulled(u: Any) -> Any:
        back, _ = flatten(pull(u))
        return sum(np.sum(x * t) for x, t in zip(back, directions, strict=True))

    u = np.zeros(pull.output.shape, pull.output.dtype)
    push = _run(pulled, (u,), local=pull.ends)
    (tangent,) = push(np.ones(()))
    return pull.ans, tangent[()] if isinstance(tangent, np.ndarray) else tangent


def _select(
    argnums: int | Sequence[int], args: tuple[Any, ...], name: str
) -> tuple[list[int], bool]:
    """Give the places that `argnums` names, and whether it is one number."""
    one = isinstance(argnums, (int, np.integer))
    nums: list[int] = [argnums] if one else list(argnums)  # type: ignore[arg-type, list-item]
    for i in nums:
        if not -len(args) <= i < len(args):
            raise TypeError(f"{name}: argnums={argnums} for a call with {len(args)} arguments.")
    return [int(i) % len(args) for i in nums], one


def _only(f: Function, nums: list[int], args: tuple[Any, ...], kwargs: Any) -> Function:
    """Make `f` a function of the arguments `nums` alone."""

    @functools.wraps(f, updated=())
    def of_these(*chosen: Any) -> Any:
        full = list(args)
        for i, x in zip(nums, chosen, strict=True):
            full[i] = x
        return f(*full, **kwargs)

    return of_these


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Make the function that gives both the value of `f` and its gradient.

    Parameters
    ----------
    f : callable
        Returns one number.
    argnums : int or sequence of int, default 0
        The arguments to differentiate by.

    Returns
    -------
    callable
        Of the arguments of `f`; returns ``(value, gradient)``. The gradient has the structure,
        shapes and dtypes of the argument; for a sequence of `argnums` it is a tuple of those.

    Raises
    ------
    ShapeError
        On the call, if `f` returns more than one number.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> loss = lambda w, b: np.sum((w * 2.0 + b) ** 2)
    >>> value, (dw, db) = gl.value_and_grad(loss, argnums=(0, 1))(np.array([1.0, 2.0]), 1.0)
    >>> float(value), dw, db
    (34.0, array([12., 20.]), 16.0)
    """

    @functools.wraps(f, updated=())
    def both(*args: Any, **kwargs: Any) -> Any:
        nums, one = _select(argnums, args, "grad")
        pull = _run(_only(f, nums, args, kwargs), [args[i] for i in nums], nums)
        shape = np.shape(pull.output)
        if np.prod(shape) != 1:
            raise ShapeError(
                f"grad needs a function that returns one number; "
                f"{getattr(f, '__name__', 'this one')} returned shape {shape}. Sum it up, or "
                f"use gl.jacobian for the derivative of every entry."
            )
        gradients = pull(np.ones(shape), retain=False)
        return pull.ans, gradients[0] if one else gradients

    return both


def grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Make the gradient of a function that returns one number.

    Parameters
    ----------
    f : callable
        Returns one number.
    argnums : int or sequence of int, default 0
        The arguments to differentiate by.

    Returns
    -------
    callable
        Of the arguments of `f`; see `value_and_grad`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.grad(np.tanh)(0.0)
    1.0
    >>> gl.grad(gl.grad(lambda x: x**3))(2.0)
    12.0
    >>> gl.grad(lambda p: np.sum(p["w"] ** 2) + p["b"])({"w": np.array([1.0, 2.0]), "b": 3.0})
    {'w': array([2., 4.]), 'b': 1.0}
    """
    both = value_and_grad(f, argnums)

    @functools.wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def jacobian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Make the Jacobian of a function: the derivative of every entry by every entry.

    One backward pass for each entry of the answer.

    Parameters
    ----------
    f : callable
        Returns one array.
    argnums : int or sequence of int, default 0
        The arguments to differentiate by.

    Returns
    -------
    callable
        Of the arguments of `f`; returns an array of shape ``answer.shape + argument.shape``
        (in the structure of the argument; for a sequence of `argnums` a tuple).

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.jacobian(lambda x: np.array([1.0, 2.0]) * x)(np.array([5.0, 6.0]))
    array([[1., 0.],
           [0., 2.]])
    """

    @functools.wraps(f, updated=())
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        nums, one = _select(argnums, args, "jacobian")
        primals = [args[i] for i in nums]
        pull = _run(_only(f, nums, args, kwargs), primals, nums)
        shape = np.shape(pull.output)
        size = int(np.prod(shape))
        basis = np.eye(size).reshape(size, *shape)
        rows = [flatten(pull(e))[0] for e in basis]
        leaves, rebuild = flatten(tuple(primals))
        columns = [
            np.reshape(np.stack(column), shape + np.shape(x))
            if rows
            else np.zeros(shape + np.shape(x))
            for x, column in zip(leaves, zip(*rows, strict=True) if rows else leaves, strict=True)
        ]
        tree = rebuild(columns)
        return tree[0] if one else tree

    return jacobian_of


def hessian(f: Function, argnums: int = 0) -> Function:
    """Make the Hessian of a function that returns one number: its second derivatives.

    Parameters
    ----------
    f : callable
        Returns one number.
    argnums : int, default 0
        The argument to differentiate by; an array or a number.

    Returns
    -------
    callable
        Of the arguments of `f`; returns an array of shape ``x.shape + x.shape``.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]))
    array([[10.,  6.],
           [ 6.,  0.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Function, x: Any, v: Any) -> Any:
    """Multiply the Hessian of `f` at `x` with `v`, without forming it.

    Parameters
    ----------
    f : callable
        Takes `x`, returns one number.
    x, v : array_like
        The point and the vector, of one shape.

    Returns
    -------
    array of the shape of `x`
        The derivative of ``<grad f(x), v>``: two passes, whatever the size of `x`.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.hvp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    array([  6., 120.])
    """
    if np.shape(x) != np.shape(v):
        raise ShapeError(f"hvp: x has shape {np.shape(x)} and v {np.shape(v)}.")
    return grad(lambda y: np.sum(grad(f)(y) * v))(x)
