"""The backward walk through a graph of Values: what `autodiff.tape.walk` does, on floats."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

from gradlite.errors import DivisionError, RangeError

by_age = attrgetter("_serial")
inputs_of = attrgetter("_inputs")
made_by = attrgetter("_made_by")


def toposort(roots: Sequence[Any]) -> list[Any]:
    """List the results (not the leaves) among `roots` and their ancestors, youngest first.

    Their ``grad`` is set to zero.
    """
    zero = float("0")  # a new object: what has it as its grad has been found already
    found: list[Any] = []
    for inputs in chain((roots,), map(inputs_of, found)):  # `found` grows meanwhile
        for x in inputs:
            if x._made_by is not None and x.grad is not zero:
                x.grad = zero
                found.append(x)
    found.sort(key=by_age, reverse=True)
    return found


def walk(order: Sequence[Any], seeds: Sequence[tuple[Any, float]]) -> None:
    """Add the contribution of the seeds, pairs of a Value and its cotangent, to ``grad`` of leaves.

    `order` lists the results from which the seeds were computed (see `toposort`); each gets in
    ``grad``, and passes on, what arrives in this walk alone. Raise DivisionError or RangeError if a
    derivative is infinite or too large.
    """
    for value, g in seeds:
        value.grad += g
    leaving: dict[Any, list[Any]] = {}
    try:
        for value in order:
            receiver = value._made_by.pull(value)
            if receiver is not None:
                leaving.setdefault(receiver, []).append(value)
    except ZeroDivisionError:
        raise DivisionError(f"The derivative is infinite: {described(value)}.") from None
    except OverflowError:
        raise RangeError(f"The derivative is too large: {described(value)}.") from None
    for receiver, values in leaving.items():
        receiver.backward(values)


def described(value: Any) -> str:
    """Return a result, with its operation and inputs, as text."""
    inputs = ", ".join(map(repr, value._inputs))
    return f"{value._op or 'a leaf'} of {inputs}, at {value!r}"
