"""Transforms: functions that turn a function into its derivatives.

All are built on `vjp`, which runs a function once on Tensors and returns the map that pulls
cotangents back. They nest to any depth, because a pass over a graph that leads to variables of an
outer transform (or to any other Tensor that requires a gradient) is recorded itself.

Arguments may be numbers, arrays, Tensors, or tuples, lists and dicts of these; derivatives come
back in the same structure, as numbers and arrays where numbers and arrays went in.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradlite.autodiff.pullback import Function, Pullback, run
from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.trees import flatten, leaves_like
from gradlite.errors import ShapeError


def _check_function(f: Any, name: str) -> None:
    """Raise TypeError for what cannot be called, such as the loss in place of its function."""
    if not callable(f):
        raise TypeError(
            f"gl.{name} takes a function first, not a {type(f).__name__}. If that was computed "
            f"from Tensors, call its .backward() and read .grad of each."
        )


def vjp(f: Function, *primals: Any) -> tuple[Any, Pullback]:
    """Return the value of `f`, and the map from cotangents of its output to those of its arguments.

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
        ``pull(g)``, for `g` of the shape of `ans`, returns a tuple: the vector-Jacobian product
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
    _check_function(f, "vjp")
    pull = run(f, primals)
    return pull.ans, pull


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return the value of `f`, and its derivative in the direction of tangents of its arguments.

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
    _check_function(f, "jvp")
    leaves, _ = flatten(tuple(primals))
    directions = leaves_like(tuple(tangents), tuple(primals), "jvp, tangents")
    if [np.shape(x) for x in leaves] != [np.shape(t) for t in directions]:
        raise ShapeError(
            f"jvp needs a tangent of the shape of each primal: primals "
            f"{[np.shape(x) for x in leaves]}, tangents {[np.shape(t) for t in directions]}."
        )
    pull = run(f, primals)
    output = pull.output
    if not isinstance(output.value, Tensor):
        return pull.ans, output.restore(np.zeros_like(output.value))

    def pulled(u: Any) -> Any:
        back, _ = flatten(pull.pull(u))
        # The sum starts with 0.0 for the case without directions.
        return sum((np.sum(x * t) for x, t in zip(back, directions, strict=True)), 0.0)

    u = np.zeros(output.value.shape, output.value.dtype)
    push = run(pulled, (u,), local=pull.stop_at)
    (tangent,) = push(np.ones(()))
    tangent = output.restore(tangent)
    return pull.ans, tangent[()] if isinstance(tangent, np.ndarray) else tangent


def _select(
    argnums: int | Sequence[int], args: tuple[Any, ...], name: str
) -> tuple[list[int], bool]:
    """Return the positions in `argnums`, and whether it is a single number."""
    one = isinstance(argnums, (int, np.integer))
    # mypy does not connect `one` with the type of `argnums`.
    nums: list[int] = [argnums] if one else list(argnums)  # type: ignore[arg-type, list-item]
    for i in nums:
        if not isinstance(i, (int, np.integer)):
            raise TypeError(f"{name}: argnums are positions of arguments, not {i!r}.")
        if not -len(args) <= i < len(args):
            raise TypeError(f"{name}: argnums={argnums} for a call with {len(args)} arguments.")
    return [int(i) % len(args) for i in nums], one


def _only(f: Function, nums: list[int], args: tuple[Any, ...], kwargs: Any) -> Function:
    """Return `f` as a function of the arguments at the positions `nums` alone."""

    @functools.wraps(f, updated=())
    def of_these(*chosen: Any) -> Any:
        full = list(args)
        for i, x in zip(nums, chosen, strict=True):
            full[i] = x
        return f(*full, **kwargs)

    return of_these


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the function that computes both the value of `f` and its gradient.

    Parameters
    ----------
    f : callable
        Returns one number.
    argnums : int or sequence of int, default 0
        The arguments to differentiate with respect to.

    Returns
    -------
    callable
        It takes the arguments of `f` and returns ``(value, gradient)``. The gradient has the
        structure, shapes and dtypes of the argument; for a sequence of `argnums` it is a tuple.

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
    _check_function(f, "value_and_grad")

    @functools.wraps(f, updated=())
    def both(*args: Any, **kwargs: Any) -> Any:
        nums, one = _select(argnums, args, "grad")
        pull = run(_only(f, nums, args, kwargs), [args[i] for i in nums], nums)
        output = pull.output
        if output.is_tree or np.size(output.value) != 1:
            what = f"a tree of {len(output.leaves)} results" if output.is_tree else "an array"
            raise ShapeError(
                f"grad needs a scalar-valued function; {getattr(f, '__name__', 'this one')} "
                f"returned {what} of shape {output.shapes if output.is_tree else output.shapes[0]}"
                f". Reduce it with .sum() or .mean(), or use gl.jacobian for the derivative of "
                f"every entry."
            )
        gradients = pull.pull(np.ones(np.shape(output.value)), retain=False)
        return pull.ans, gradients[0] if one else gradients

    return both


def grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the function that computes the gradient of a scalar-valued function.

    Parameters
    ----------
    f : callable
        Returns one number.
    argnums : int or sequence of int, default 0
        The arguments to differentiate with respect to.

    Returns
    -------
    callable
        It takes the arguments of `f` and returns the gradient; see `value_and_grad`.

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
    _check_function(f, "grad")
    both = value_and_grad(f, argnums)

    @functools.wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def jacobian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the function that computes the Jacobian: every output with respect to every input.

    It takes one backward pass for each entry of the output.

    Parameters
    ----------
    f : callable
        Returns one array or a tree (tuple, list, dict) of arrays.
    argnums : int or sequence of int, default 0
        The arguments to differentiate with respect to.

    Returns
    -------
    callable
        It takes the arguments of `f` and returns an array of shape ``output.shape +
        argument.shape``. For trees there is one for each pair of leaves: in the structure of the
        output, and at each leaf in that of the argument (a tuple for a sequence of `argnums`).

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.jacobian(lambda x: np.array([1.0, 2.0]) * x)(np.array([5.0, 6.0]))
    array([[1., 0.],
           [0., 2.]])
    """
    _check_function(f, "jacobian")

    @functools.wraps(f, updated=())
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        nums, one = _select(argnums, args, "jacobian")
        primals = [args[i] for i in nums]
        pull = run(_only(f, nums, args, kwargs), primals, nums)
        output, (leaves, rebuild) = pull.output, flatten(tuple(primals))
        size = int(np.size(output.value))
        basis = np.eye(size).reshape(size, *np.shape(output.value))
        rows = [flatten(pull.pull(e))[0] for e in basis]
        columns = [
            np.stack([row[i] for row in rows]) if rows else np.zeros((0, *np.shape(x)))
            for i, x in enumerate(leaves)
        ]
        blocks, start = [], 0
        for shape in output.shapes:
            stop = start + int(np.prod(shape))
            of_leaf = rebuild(
                [
                    np.reshape(column[start:stop], shape + np.shape(x))
                    for x, column in zip(leaves, columns, strict=True)
                ]
            )
            blocks.append(of_leaf[0] if one else of_leaf)
            start = stop
        return output.rebuild(blocks)

    return jacobian_of


def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the function that computes the Hessian of a scalar-valued function.

    Parameters
    ----------
    f : callable
        Returns one number.
    argnums : int or sequence of int, default 0
        The arguments to differentiate with respect to: arrays, numbers or trees of them.

    Returns
    -------
    callable
        It takes the arguments of `f` and returns an array of shape ``x.shape + x.shape``. For a
        tree there is such a block for each pair of leaves: ``h["w"]["b"]`` holds the derivatives
        with respect to ``w``, then ``b``. For a sequence of `argnums` it is a tuple of tuples.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]))
    array([[10.,  6.],
           [ 6.,  0.]])
    >>> blocks = gl.hessian(lambda x, y: x**2 * y, argnums=(0, 1))(1.0, 2.0)
    >>> [[float(block) for block in row] for row in blocks]
    [[4.0, 2.0], [2.0, 0.0]]
    """
    _check_function(f, "hessian")
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Function, x: Any, v: Any) -> Any:
    """Return the product of the Hessian of `f` at `x` and `v`, without forming the Hessian.

    Parameters
    ----------
    f : callable
        Takes `x`, returns one number.
    x, v : array_like, or trees of arrays (tuples, lists, dicts)
        The point and the vector, of the same structure and shapes.

    Returns
    -------
    array or tree, as `x`
        The derivative of ``<grad f(x), v>``, from two backward passes, whatever the size of `x`.

    Raises
    ------
    ShapeError
        If `x` and `v` differ in structure or shape.

    Examples
    --------
    >>> import numpy as np, gradlite as gl
    >>> gl.hvp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    array([  6., 120.])
    """
    _check_function(f, "hvp")
    directions = leaves_like(v, x, "hvp, v")
    shapes = [np.shape(leaf) for leaf in flatten(x)[0]]
    if shapes != [np.shape(d) for d in directions]:
        raise ShapeError(
            f"hvp needs v of the shape of x: x has {shapes}, v {[np.shape(d) for d in directions]}."
        )

    def slope(y: Any) -> Any:
        parts = flatten(grad(f)(y))[0]
        return sum((np.sum(g * d) for g, d in zip(parts, directions, strict=True)), 0.0)

    return grad(slope)(x)
