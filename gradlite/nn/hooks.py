"""Hooks: functions that a module calls with its inputs, its output and their gradients.

A module without hooks has none of this: its `_hooks` is None, and a call looks at nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from gradlite.autodiff.cotangents import OutputCotangents
from gradlite.autodiff.node import GradAccumulator, serial
from gradlite.autodiff.operands import as_replacement
from gradlite.autodiff.rule import Rule
from gradlite.autodiff.tape import items, record
from gradlite.autodiff.tensor import Tensor
from gradlite.autodiff.trees import flatten
from gradlite.errors import GraphError, ShapeError

Hook = Callable[..., Any]
PRE, FORWARD, BACKWARD = "forward_pre", "forward", "full_backward"


class RemovableHandle:
    """Removes a hook from its module: when `remove` is called, or a ``with`` block ends.

    Examples
    --------
    >>> from gradlite import nn
    >>> layer = nn.Tanh()
    >>> with layer.register_forward_hook(lambda module, args, output: print(output)):
    ...     y = layer(0.0)
    0.0
    >>> y = layer(0.0)
    """

    __slots__ = ("_key", "_module")

    def __init__(self, module: Any, key: int) -> None:
        self._module = module
        self._key = key

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        hooks = self._module._hooks
        if hooks is not None:
            kept = [entry for entry in hooks.entries if entry[0] != self._key]
            self._module._hooks = Hooks(kept) if kept else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.remove()


class Hooks:
    """The hooks of a module, in the order of their registration.

    Never changed, only replaced: so a compiled program sees that a module has other hooks.

    Parameters
    ----------
    entries : sequence of (int, str, callable)
        The key of each hook, when it is called, and the hook.
    """

    __slots__ = ("entries",)

    def __init__(self, entries: Sequence[tuple[int, str, Hook]]) -> None:
        self.entries = tuple(entries)

    def of(self, kind: str) -> Iterator[Hook]:
        """Yield the hooks of one kind."""
        return (hook for _, its_kind, hook in self.entries if its_kind == kind)

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a module's `forward`, and its hooks before, after and on the way back."""
        for hook in self.of(PRE):
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        boundary = Boundary(module, tuple(self.of(BACKWARD)))
        if boundary.hooks:
            args = boundary.inputs(args)
        output = module.forward(*args, **kwargs)
        for hook in self.of(FORWARD):
            changed = hook(module, args, output)
            if changed is not None:
                output = changed
        return boundary.outputs(output) if boundary.hooks else output


def register(module: Any, kind: str, hook: Hook) -> RemovableHandle:
    """Add a hook to a module, behind those that it has."""
    if not callable(hook):
        raise TypeError(f"A hook is a function, not {hook!r}.")
    key = serial()
    known = () if module._hooks is None else module._hooks.entries
    module._hooks = Hooks([*known, (key, kind, hook)])
    return RemovableHandle(module, key)


def _same(*arrays: Any) -> tuple[Any, ...]:
    return arrays


THROUGH = Rule(
    _same, (), variadic=lambda i, g, ans, *arrays: g[i], name="module", multiple_outputs=True
)


def through(tensors: Sequence[Tensor], observe: Callable[[OutputCotangents], None]) -> list[Tensor]:
    """Return the Tensors behind one node that calls `observe` with the cotangents of all."""
    data = tuple(t._data for t in tensors)
    node = record(THROUGH, data, [t._node for t in tensors], None, data)
    if node is None:  # in no_grad
        return list(tensors)
    node.sink = GradAccumulator(data[0].dtype, retain=False)
    node.sink.hooks[0] = observe
    return list(items(data, node, Tensor._make))


def recorded(parts: Sequence[Any]) -> list[int]:
    """Return which of the inputs or outputs gradients flow to."""
    return [i for i, x in enumerate(parts) if isinstance(x, Tensor) and x._node is not None]


class Boundary:
    """One call of a module with backward hooks: two nodes, in front of it and behind it.

    The gradients of its outputs arrive together at the node behind it, those of its inputs at the
    node in front: these are the module's own, even if its inputs are used elsewhere, too.
    """

    __slots__ = ("arguments", "grad_output", "hooks", "inside", "module", "results", "returned")

    def __init__(self, module: Any, hooks: tuple[Hook, ...]) -> None:
        self.module = module
        self.hooks = hooks
        self.grad_output: tuple[Any, ...] = ()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments behind the node that the gradients of all of them reach."""
        self.arguments, self.inside = len(args), recorded(args)
        return tuple(self._passed(args, self.inside, self._at_inputs))

    def outputs(self, output: Any) -> Any:
        """Return the output behind the node that its gradient reaches first."""
        leaves, rebuild = flatten(output)
        self.results, self.returned = len(leaves), recorded(leaves)
        return rebuild(self._passed(leaves, self.returned, self._at_outputs))

    @staticmethod
    def _passed(parts: Sequence[Any], which: list[int], observe: Any) -> list[Any]:
        new = list(parts)
        if which:
            for i, t in zip(which, through([parts[i] for i in which], observe), strict=True):
                new[i] = t
        return new

    def _at_outputs(self, g: OutputCotangents) -> None:
        self.grad_output = _spread(g, self.returned, self.results)
        if not self.inside:
            for hook in self.hooks:
                if hook(self.module, (None,) * self.arguments, self.grad_output) is not None:
                    raise GraphError(
                        f"A backward hook of {type(self.module).__name__} returned a gradient, "
                        f"but no input of the call requires one. Return None."
                    )

    def _at_inputs(self, g: OutputCotangents) -> None:
        grad_input = _spread(g, self.inside, self.arguments)
        for hook in self.hooks:
            new = hook(self.module, grad_input, self.grad_output)
            if new is not None:
                grad_input = self._replaced(new, grad_input)
        self.grad_output = ()
        g.parts = {j: grad_input[i] for j, i in enumerate(self.inside)}

    def _replaced(self, new: Any, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        new = new if isinstance(new, tuple) else (new,)
        if len(new) != len(grad_input):
            raise ShapeError(
                f"A backward hook of {type(self.module).__name__} returned {len(new)} gradients "
                f"for {len(grad_input)} inputs. Return a tuple with one for each, or None."
            )
        return tuple(
            None if g is None else np.zeros_like(g) if x is None else as_replacement(x, g)
            for x, g in zip(new, grad_input, strict=True)
        )


def _spread(g: OutputCotangents, places: list[int], count: int) -> tuple[Any, ...]:
    """Return the cotangents at their places, and None elsewhere."""
    spread: list[Any] = [None] * count
    for j, i in enumerate(places):
        spread[i] = g[j]
    return tuple(spread)
