"""Names for unnamed boxes: t1, t2 and so on for results, p1 for a parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count

import numpy as np

from gradlite.autodiff.operands import is_sparse
from gradlite.draw.boxes import operands, small
from gradlite.draw.scene import Box, Scene

LONGEST_TITLE = 24  # characters of an expression in a title
INFIX = {
    "add": " + ", "subtract": " - ", "multiply": " * ", "divide": " / ", "power": "**",
    "matmul": " @ ", "+": " + ", "*": " * ", "**": "**",
}  # fmt: skip
LETTERS = {"parameter": "p", "input": "x", "constant": "c", "result": "t", "root": "t"}


def names_of(scene: Scene) -> dict[str, str]:
    """Return a name for each box of a scene, by id.

    Examples
    --------
    >>> from gradlite.draw.scene import scene
    >>> from gradlite.engine import Value
    >>> n, b = Value(2.0, label="n"), Value(1.0, label="b")
    >>> list(names_of(scene(((n + b) * 3).tanh())).values())
    ['n', 'b', 't1', '3', 't2', 't3']
    """
    names = {box.id: given(box) for box in scene.boxes.values()}
    taken = set(names.values())
    numbers = {letter: count(1) for letter in LETTERS.values()}
    for box in scene.boxes.values():
        if not names[box.id]:
            letter = LETTERS[box.kind]
            names[box.id] = next(
                name for i in numbers[letter] if (name := f"{letter}{i}") not in taken
            )
    return names


def given(box: Box) -> str:
    """Return the name that a box has already; of a constant, its number."""
    if box.kind == "repeats":
        return ": ".join(box.fields)
    value = box.value
    if box.name or box.kind != "constant" or np.size(value) != 1 or is_sparse(value):
        return box.name
    value = value if isinstance(value, (int, float)) else np.asarray(value).item()
    return small(value) if isinstance(value, (int, float)) else ""


def expression(box: Box, names: Mapping[int, str]) -> str:
    """Write what made a result, ``n + b``, with names by the ids of items; '' if it is too long."""
    parts = [names.get(id(x)) or small(x) for x in operands(box.item) if x is not None]
    if not box.op or not parts or not all(re.fullmatch(r"-?[\w.]+", part) for part in parts):
        return ""
    text = call(box.op[0], parts)
    return text if len(text) <= LONGEST_TITLE else ""


def call(op: str, parts: list[str]) -> str:
    """Write an operation on parts, ``n + b`` or ``tanh(n)``.

    Examples
    --------
    >>> call("np.matmul", ["x", "w"]), call("np.tanh", ["x"]), call("", ["x"])
    ('x @ w', 'tanh(x)', '')
    """
    name = "**" if op.startswith("**") else op.removeprefix("np.").removeprefix("gl.")
    if len(parts) == 2 and name in INFIX:
        return INFIX[name].join(parts)
    if name == "getitem":
        return f"{parts[0]}[index]"
    return f"{name}({', '.join(parts)})" if name else ""
