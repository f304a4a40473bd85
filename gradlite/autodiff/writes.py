"""Writes off the tape: they change arrays that rules of an earlier graph may still have to read.

Such writes are augmented assignment under `no_grad`, ``p.data -= ...``, optimiser steps and loading
a state. A walk over a graph recorded before one raises MutationError, if a rule reads what changed.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from gradlite.autodiff.node import Node, serial
from gradlite.errors import MutationError

Times = dict[range, int]


class Writes:
    """Which memory was written to, and when, in the time of `serial`."""

    last = -1
    of_owner: dict[int, tuple[weakref.ref[np.ndarray], Times]] = {}  # noqa: RUF012 -- one for all


def _owner(array: np.ndarray) -> np.ndarray:
    """Return the array that the memory of a view belongs to."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def marker(array: np.ndarray) -> Callable[[], None]:
    """Return a function that records a write to `array`, for an array written to often."""
    owner, place = _owner(array), range(*byte_bounds(array))
    key = id(owner)
    if key not in Writes.of_owner:
        known: Times = {}
        Writes.of_owner[key] = weakref.ref(owner, lambda _: Writes.of_owner.pop(key, None)), known
    times = Writes.of_owner[key][1]

    def mark() -> None:
        times[place] = Writes.last = serial()

    return mark


def mark_written(array: np.ndarray) -> None:
    """Record that an array was written to."""
    marker(array)()


def _changed_since(x: Any, time: int) -> bool:
    if not isinstance(x, np.ndarray) or id(_owner(x)) not in Writes.of_owner:
        return False
    low, high = byte_bounds(x)
    times = Writes.of_owner[id(_owner(x))][1]
    return any(
        when > time and place.start < high and low < place.stop for place, when in times.items()
    )


def check_unchanged(nodes: Iterable[Node]) -> None:
    """Raise MutationError if an array that one of the nodes has saved was changed since."""
    for node in nodes:
        rule = node.rule
        if rule is None:
            continue
        saved = [(f"Argument {i}", arg) for i, arg in enumerate(node.args)]
        saved.append(("The result", node.ans))
        for what, x in saved:
            if _changed_since(x, node.serial):
                raise MutationError(
                    f"{what} of {rule.name}, of shape {x.shape}, was changed in place (under "
                    f"no_grad, through .data, by an optimiser or load_state_dict) after it was "
                    f"used. The derivative needs the old values: call backward() before the "
                    f"change, or compute the result again."
                )
