"""Folding: of repeated blocks the first and the last are shown, and one box for the others.

A loop makes the same operations over and over: ``a b c a b c a b c`` repeats a block of 3. With
the kinds of operations numbered, such runs have ``codes[i] == codes[i + period]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from gradlite.autodiff.node import Node
from gradlite.draw.graph import age
from gradlite.draw.scene import Box, Link, Scene

READABLE = 60  # boxes: graphs of up to so many are shown whole
LONGEST_BLOCK = 1000  # operations in a block, so that the search ends soon
LISTED = 4  # operations in a block that are named
FEWEST = 3  # operations that a fold must save
WORTHWHILE = 0.9  # the boxes that a round may leave for another to follow


class Run(NamedTuple):
    """A block of `period` operations, `times` in a row, from operation `start` on."""

    start: int
    period: int
    times: int

    @property
    def saved(self) -> int:
        """The number of operations between the first block and the last."""
        return self.period * (self.times - 2)

    @property
    def between(self) -> range:
        """The places of these operations."""
        return range(self.start + self.period, self.start + self.period + self.saved)


@dataclass(eq=False)
class Fold(Box):
    """The box in place of others: its text, and the operations that it stands for, if any."""

    text: list[str] = field(default_factory=list)
    operations: list[str] = field(default_factory=list)

    @property
    def fields(self) -> list[str]:
        """What is repeated, and how often."""
        return self.text

    @property
    def op(self) -> list[str]:
        """No single operation made this."""
        return []


def fold(scene: Scene) -> Scene:
    """Return a scene with blocks folded that occur three times or more, if it is too large to read.

    What saves most is folded first, until the picture can be read or nothing is left to fold.
    Leaves that only folded operations took are folded with them. Boxes of kind 'repeats' stand for
    those in `Scene.repeats`.

    Examples
    --------
    >>> from gradlite.draw.scene import scene
    >>> from gradlite.engine import Value
    >>> x = Value(0.5)
    >>> for _ in range(100):
    ...     x = x.tanh() * 2
    >>> folded = fold(scene(x))
    >>> [box.fields for box in folded.boxes.values() if box.kind == "repeats"]
    [['… 98 more times', 'tanh, *']]
    """
    if len(scene.boxes) <= READABLE:
        return scene
    made = in_order(scene)
    while True:
        before = len(scene.boxes)
        runs = longest_runs([kind_of_operation(box) for box in made])
        scene, made = folded(scene, made, runs)
        if len(scene.boxes) <= READABLE or len(scene.boxes) > WORTHWHILE * before:
            return scene


def in_order(scene: Scene) -> list[Box]:
    """Return the results in the order in which they were made."""
    made = [box for box in scene.boxes.values() if box.kind in ("result", "root") and box.inputs]
    by_age = sorted(made, key=lambda box: age(box.item))
    place = {box.id: i for i, box in enumerate(by_age)}
    later = (place.get(link.source, -1) >= place[box.id] for box in by_age for link in box.inputs)
    return made if any(later) else by_age  # the inputs of a Value may have been replaced


def kind_of_operation(box: Box) -> Any:
    """Return what two operations of the same kind have in common."""
    item = box.item
    if isinstance(item, Node):
        return item.rule and item.rule.name, item.shape
    return tuple(box.op or box.fields)


def longest_runs(kinds: Sequence[Any]) -> list[Run]:
    """Return the runs that save at least half as much as the best, none overlapping."""
    numbers: dict[Any, int] = {}
    codes = np.array([numbers.setdefault(kind, len(numbers)) for kind in kinds])
    found: list[Run] = []
    least = FEWEST
    for period in range(1, min(LONGEST_BLOCK, len(codes) // 3) + 1):
        differs = np.flatnonzero(codes[period:] != codes[:-period])
        ends = np.concatenate([[-1], differs, [len(codes) - period]])
        lengths = np.diff(ends) - 1
        times = lengths // period + 1
        for i in np.flatnonzero(period * (times - 2) >= least).tolist():
            found.append(Run(int(ends[i]) + 1, period, int(times[i])))
        least = max(least, max((run.saved for run in found), default=0) // 2)
    found.sort(key=lambda run: (-run.saved, run.period))
    taken = np.zeros(len(codes), bool)
    chosen = []
    for run in found:
        places = slice(run.start, run.start + run.period * run.times)
        if run.saved >= least and not taken[places].any():
            taken[places] = True
            chosen.append(run)
    return chosen


def folded(scene: Scene, made: list[Box], runs: Sequence[Run]) -> tuple[Scene, list[Box]]:
    """Replace what is between the first and the last block of each run by one box.

    The second result is, like `made`, the results in the order in which they were made.
    """
    home = dict(scene.boxes)  # the box that shows each
    for run in runs:
        fold = fold_of_blocks([made[i] for i in run.between], run.times - 2)
        home.update((made[i].id, fold) for i in run.between)
    home |= homes_of_leaves(scene, {box.id for box in made}, home)
    shown = {box.id: box for box in home.values()}
    inputs = arrows(scene, home)
    results = list(dict.fromkeys(home[box.id].id for box in made))
    boxes: dict[str, Box] = {}
    for box_id in results:
        for link in inputs[box_id]:
            boxes.setdefault(link.source, shown[link.source])  # a leaf, if it is not there yet
        boxes[box_id] = replace(shown[box_id], inputs=inputs[box_id])
    repeats: dict[str, list[Box]] = {}
    for box in scene.boxes.values():
        if home[box.id].kind == "repeats":
            repeats.setdefault(home[box.id].id, []).extend(scene.repeats.get(box.id, [box]))
    return Scene(boxes, scene.root, repeats), [boxes[box_id] for box_id in results]


def fold_of_blocks(boxes: Sequence[Box], times: int) -> Fold:
    """Return the box for the blocks between the first and the last."""
    names = [
        name for box in boxes for name in (box.operations if isinstance(box, Fold) else box.op[:1])
    ]
    block = names[: len(names) // times]
    what = ", ".join(block) if len(block) <= LISTED else f"{len(block)} operations each"
    text = [f"… {times:,} more time{'s' * (times > 1)}", what]
    return Fold(f"{boxes[0].id}more", None, "repeats", text=text, operations=names)


def homes_of_leaves(scene: Scene, results: Set[str], home: Mapping[str, Box]) -> dict[str, Box]:
    """Return the folds for leaves that only folded operations took.

    Leaves go into the fold that took them; those that several folds took are folded together.
    """
    takers: dict[str, dict[str, Box]] = {}
    for box in scene.boxes.values():
        for link in box.inputs:
            if link.source not in results:
                takers.setdefault(link.source, {})[home[box.id].id] = home[box.id]
    groups: dict[frozenset[Box], list[Box]] = {}
    for leaf, homes in takers.items():
        if all(isinstance(box, Fold) for box in homes.values()):
            groups.setdefault(frozenset(homes.values()), []).append(scene.boxes[leaf])
    found: dict[str, Box] = {}
    for folds, leaves in groups.items():
        inside = [box for leaf in leaves for box in scene.repeats.get(leaf.id, [leaf])]
        if len(folds) == 1:
            (fold,) = folds
        elif len(leaves) > 1 and len(inside) >= FEWEST:
            kinds = {box.kind for box in inside}
            text = f"… {len(inside):,} more {f'{kinds.pop()}s' if len(kinds) == 1 else 'leaves'}"
            fold = Fold(f"{leaves[0].id}more", None, "repeats", text=[text])
        else:
            continue
        found.update((leaf.id, fold) for leaf in leaves)
    return found


def arrows(scene: Scene, home: Mapping[str, Box]) -> dict[str, list[Link]]:
    """Return the arrows between the boxes that are shown."""
    roles: dict[str, dict[str, list[str]]] = {box.id: {} for box in home.values()}
    for box in scene.boxes.values():
        target = home[box.id]
        for link in box.inputs:
            source = home[link.source]
            if source is not target:
                role = link.role if target is box else ""
                roles[target.id].setdefault(source.id, []).append(role)
    return {
        target: [
            Link(source, ", ".join(dict.fromkeys(filter(None, names))))
            for source, names in sources.items()
        ]
        for target, sources in roles.items()
    }
