"""Pullbacks: running a function once on Tensors records how to pull cotangents back through it.

Arguments and outputs may be trees: tuples, lists and dicts of arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradlite.autodiff.modes import differentiating, enable_grad
from gradlite.autodiff.node import Node
from gradlite.autodiff.operands import as_plain, as_real, is_array_like
from gradlite.autodiff.rule import Traced
from gradlite.autodiff.tape import walk
from gradlite.autodiff.tensor import Tensor, _make
from gradlite.autodiff.trees import flatten, leaves_like
from gradlite.errors import DtypeError, ShapeError

Function = Callable[..., Any]


def _variable(x: Any, i: int) -> Tensor:
    """Return a new variable with the value `x`, on the tape if `x` is."""
    if isinstance(x, Tensor) and x.requires_grad:
        variable: Tensor = +x
        return variable
    if isinstance(x, int) and not isinstance(x, bool):
        x = float(x)
    try:
        # A copy, because the function may change it, and the caller may change x.
        return Tensor(x, requires_grad=True)
    except DtypeError as error:
        raise DtypeError(f"Cannot differentiate with respect to argument {i}: {error}") from None


def _like(x: Any, derivative: Any, data_shape: tuple[int, ...], dtype: Any) -> Any:
    """Return a derivative in the form of the argument it belongs to."""
    if isinstance(derivative, Tensor):
        if derivative.requires_grad:
            return derivative if derivative.dtype == dtype else derivative.astype(dtype)
        derivative = derivative._data
    if derivative is None:
        derivative = np.zeros(data_shape, dtype)
    if isinstance(x, (float, int)):
        return float(derivative)
    return derivative.astype(dtype) if is_array_like(derivative) else np.array(derivative, dtype)


class Output:
    """The output of a function: one array, or a tree of them joined into one.

    Attributes
    ----------
    value : Tensor, array or number
        All entries; those of a tree along one axis.
    """

    def __init__(self, f: Function, returned: Any) -> None:
        self.leaves, self.rebuild = flatten(returned)
        self.is_tree = isinstance(returned, (tuple, list, dict))
        self.leaves = [_output_leaf(f, leaf) for leaf in self.leaves]
        if self.is_tree:
            parts = [np.ravel(leaf) for leaf in self.leaves]
            self.value = np.concatenate(parts) if parts else np.zeros(0)
        else:
            (self.value,) = self.leaves

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of each leaf."""
        return [np.shape(leaf) for leaf in self.leaves]

    def restore(self, joined: Any, axis: int = 0) -> Any:
        """Split what is joined along `axis` into a tree; other axes are kept."""
        if not self.is_tree:
            return joined
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        parts = np.split(joined, np.cumsum(sizes)[:-1], axis=axis) if sizes else []
        before, after = np.shape(joined)[:axis], np.shape(joined)[axis + 1 :]
        return self.rebuild(
            [
                np.reshape(part, (*before, *shape, *after))
                for part, shape in zip(parts, self.shapes, strict=True)
            ]
        )

    def join(self, tree: Any, name: str) -> Any:
        """Return a tree of the output's structure, joined like the output."""
        shapes, leaves = self.shapes, [tree]
        if self.is_tree:
            leaves = leaves_like(tree, self.rebuild(self.leaves), name)
        if [np.shape(leaf) for leaf in leaves] != shapes:
            given = [np.shape(leaf) for leaf in leaves]
            raise ShapeError(
                f"{name} of shape {given if self.is_tree else given[0]} for an output of shape "
                f"{shapes if self.is_tree else shapes[0]}."
            )
        if not self.is_tree:
            return tree
        parts = [np.ravel(as_plain(leaf, "The cotangent is")) for leaf in leaves]
        return np.concatenate(parts) if parts else np.zeros(0)


def _output_leaf(f: Function, x: Any) -> Any:
    """Return a leaf of the output, or raise DtypeError if it cannot have a derivative."""
    if isinstance(x, Traced) and not isinstance(x, Tensor):
        return Tensor(x)
    name = getattr(f, "__name__", "The function")
    if isinstance(x, (Tensor, np.ndarray, np.generic)) or is_array_like(x):
        if x.dtype.kind == "f":
            return x
        what = f"{x.dtype} data"
        why = (
            "Comparisons, argmax and integers have no derivative: return what is differentiable, "
            "or convert a constant with float()."
        )
    elif isinstance(x, (float, int)) and not isinstance(x, bool):
        return x
    else:
        what, why = repr(x) if x is None else type(x).__name__, "Return arrays or numbers."
    raise DtypeError(f"{name} returned {what}, which cannot be differentiated. {why}")


class Pullback:
    """The map from cotangents of an output to cotangents of the arguments (see `vjp`).

    `local` holds variables of the caller, over which a pass need not be recorded either.
    """

    def __init__(
        self,
        output: Output,
        variables: list[tuple[Node, tuple[int, ...], Any]],
        primals: list[Any],
        rebuild: Function,
        local: frozenset[Node] = frozenset(),
    ) -> None:
        self.output = output
        self.primals = primals
        self.rebuild = rebuild
        # The function may change its argument (x += 1), so the nodes from before are kept.
        self.stop_at = frozenset(node for node, _, _ in variables)
        self.variables = variables
        # Whether a pass leads to other variables, and so must be recorded itself.
        value = output.value
        self.recorded = isinstance(value, Tensor) and _leads_beyond(value, self.stop_at | local)

    @property
    def ans(self) -> Any:
        """The output for the caller, of Tensors only if it depends on other variables."""
        return self.output.rebuild([self._plain(leaf) for leaf in self.output.leaves])

    def _plain(self, leaf: Any) -> Any:
        if self.recorded or not isinstance(leaf, Tensor):
            return leaf
        return leaf.data if leaf.ndim else leaf._data

    def __call__(self, cotangent: Any, retain: bool = True) -> Any:
        """Return the cotangents of the arguments for one of the output."""
        return self.pull(self.output.join(cotangent, "a cotangent"), retain)

    def pull(self, cotangent: Any, retain: bool = True) -> Any:
        """Return the cotangents of the arguments for one of the joined output."""
        value = self.output.value
        found: dict[Node, Any] = {}
        if isinstance(value, Tensor) and value._node is not None:
            if not isinstance(cotangent, Tensor):
                cotangent = as_real(cotangent, value.dtype, "The cotangent is")

            def on_gradient(node: Node, g: Any) -> None:
                if node in self.stop_at:
                    found[node] = found[node] + g if node in found else g

            with enable_grad():
                walk(
                    value._node,
                    cotangent,
                    on_gradient,
                    self.stop_at,
                    retain=retain or self.recorded,
                    # The pass is linear in a cotangent that is a Tensor, and recorded through it.
                    wrap=_make if self.recorded else None,
                )
        return self.rebuild(
            [
                _like(x, found.get(node), shape, dtype)
                for x, (node, shape, dtype) in zip(self.primals, self.variables, strict=True)
            ]
        )


def _leads_beyond(output: Tensor, variables: frozenset[Node]) -> bool:
    """Return whether the graph of `output` reaches anything older than `variables`.

    What is younger was made by the function, such as the variables of an inner transform.
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


def run(
    f: Function,
    primals: Sequence[Any],
    positions: Sequence[int] | None = None,
    local: frozenset[Node] = frozenset(),
) -> Pullback:
    """Evaluate `f` on variables with the values of the primals; errors name `positions`."""
    leaves, rebuild = flatten(tuple(primals))
    tensors = [
        _variable(x, i)
        for i, primal in zip(positions or range(len(primals)), primals, strict=True)
        for x in flatten(primal)[0]
    ]
    variables: list[Any] = [(t._node, t.shape, t.dtype) for t in tensors]
    with enable_grad(), differentiating(frozenset(node for node, _, _ in variables)):
        returned = f(*rebuild(tensors))
        output = Output(f, returned)
    return Pullback(output, variables, leaves, rebuild, local)
