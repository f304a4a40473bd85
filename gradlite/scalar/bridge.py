"""Where Values become Tensors, and Tensors Values: gradients cross in both directions.

The tape of Tensors sees any number of Values as one node, a `Bridge`. Its derivative is a walk
back through the graph of Values; what arrives at Tensors behind them goes on along the tape.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from gradlite.autodiff.node import SEEN, GradAccumulator, Node, Shape
from gradlite.autodiff.rule import Rule, Traced
from gradlite.autodiff.tape import walk as walk_tape
from gradlite.errors import GraphError
from gradlite.scalar.walk import behind, quiet_walk, walk

FROM_TENSOR = "tensor"  # the name of the operation that takes a Value out of a Tensor


class Nowhere(GradAccumulator):
    """A sink that gradients vanish in."""

    __slots__ = ()

    def add(self, g: Any) -> None:
        """Forget `g`."""

    add_recorded = add


# The tape asks a rule for the cotangents of its inputs. A Bridge has this one as an input of its
# own, which is asked for first in a backward pass, and never by the functional transforms:
# grad(f) must leave no traces in ``grad`` of Values.
ANCHOR = Node(None, (), (), None, ())
ANCHOR.sink = Nowhere(np.dtype(float))
ANCHOR.serial = sys.maxsize  # it is no variable that a derivative may depend on


class Bridge(Node):
    """Values, as the tape of Tensors sees them.

    Parameters
    ----------
    values : list
        Values, and constants where the Tensor has them.
    shape : tuple of int
        The shape of the Tensor that they become.
    """

    __slots__ = ("_parents", "arrived", "parts", "values")

    def __init__(self, values: list[Any], shape: Shape) -> None:
        self._parents: tuple[Node, ...] | None = None
        self.parts = values
        self.values = [(i, value) for i, value in enumerate(values) if isinstance(value, Traced)]
        self.arrived: tuple[Any, dict[Node, float]] | None = None  # for which g, and what
        super().__init__(CROSS, None, (), None, shape)

    # The nodes behind are looked for when a walk first wants them. The walk lets a node go by
    # setting its attributes to None; a Bridge holds nothing that would have to be let go, and
    # no reference to itself either.

    @property
    def parents(self) -> tuple[Node, ...]:
        """The anchor, and the nodes of the Tensors behind the Values."""
        if self._parents is None:
            order, before = behind([value for _, value in self.values])
            for value in order:
                value.grad = before.get(value, 0.0)
            nodes = [x._made_by.pull(x) for x in order if x._made_by.name == FROM_TENSOR]
            self._parents = (ANCHOR, *dict.fromkeys(nodes))
        return self._parents

    @parents.setter
    def parents(self, value: Any) -> None:
        self.arrived = None

    @property
    def args(self) -> tuple[Node, ...]:
        """The same: no array has to be kept."""
        return self.parents

    @args.setter
    def args(self, value: Any) -> None:
        pass

    @property
    def params(self) -> dict[str, Any]:
        """What the rule needs besides."""
        return {"bridge": self, "saved": True}

    @params.setter
    def params(self, value: Any) -> None:
        pass

    def seeds(self, g: Any) -> list[tuple[Any, float]]:
        """Give each Value its part of the cotangent `g`."""
        entries = np.ravel(g).tolist()
        return [(value, entries[i]) for i, value in self.values]


def cross(i: int, g: Any, ans: Any, *args: Any, bridge: Any, saved: Any = None) -> Any:
    """Walk back through the Values; give what arrives at input `i`."""
    if saved is None:  # the walk is recorded
        raise GraphError(
            "Derivatives of Values cannot be differentiated again: leave create_graph away, or "
            "write the expression in Tensors."
        )
    if i == 0:
        seen = SEEN.get()
        arrived, order = walk(bridge.seeds(g), seen)
        seen.update(map(id, order))
        bridge.arrived = g, arrived
    elif bridge.arrived is None or bridge.arrived[0] is not g:  # not of this pass
        bridge.arrived = g, quiet_walk(bridge.seeds(g))
    return np.float64(bridge.arrived[1].get(args[i], 0.0))


CROSS = Rule(cross, (), variadic=cross, name="Values")


def back_through_tensors(arrived: dict[Node, float], seen: set[int]) -> None:
    """Carry on along the tape what a walk through Values brought to Tensors."""
    SEEN.set(seen)
    nodes = tuple(arrived)
    rule = Rule(cross, (), variadic=lambda i, g, ans, *args: np.float64(arrived[nodes[i]]))
    walk_tape(Node(rule, nodes, nodes, None, ()), np.float64(1.0))
