"""Writes off the tape: what was recorded of a Tensor before such a change is wrong after it."""

from __future__ import annotations

from collections.abc import Iterable

from gradlite.autodiff.node import Node, serial
from gradlite.errors import MutationError


class Writes:
    """When a Tensor that is on the tape was last changed off it: under `no_grad`, by `data -=`."""

    last = -1


def mark_written(nodes: Iterable[Node | None]) -> None:
    """Note that the data of these nodes was changed: what was recorded of it before is wrong now.

    A walk back over a graph that is older than this raises MutationError.
    """
    now = Writes.last = serial()
    for node in nodes:
        if node is not None:
            node.written = now


def check_unchanged(nodes: Iterable[Node]) -> None:
    """Raise MutationError if an array that one of the nodes has saved was changed since."""
    for node in nodes:
        if node.rule is None:
            continue
        saved = [p for p, arg in zip(node.parents or (), node.args, strict=True) if arg is not p]
        if node.ans is not None:
            saved.append(node)
        for source in saved:
            if source is not None and getattr(source, "written", -1) > node.serial:
                raise MutationError(
                    f"The {'result' if source is node else 'input'} of {node.rule.name}, of shape "
                    f"{source.shape}, was changed in place (under no_grad, through .data or by "
                    f"an optimiser) after it was used. Its derivative needs the old values: call "
                    f"backward() first, or compute the result again."
                )
