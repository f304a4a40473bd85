"""The page of a graph: one file that shows the backward pass one node at a time.

What is seen is in three files beside this one: page.html, page.css and page.js. Here they are put
together with the picture and with all that the page tells, as JSON. The page loads nothing, and
its Content-Security-Policy lets no script run but its own, whatever stands in a label.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from importlib.resources import files
from inspect import isfunction
from math import isfinite
from string import Template
from typing import Any

import numpy as np

from gradlite.cotangents import OutputCotangents
from gradlite.draw.boxes import number, small
from gradlite.draw.formulas import formulas
from gradlite.draw.scene import Box, Scene
from gradlite.draw.steps import Arrival, Step, added, steps
from gradlite.errors import GradliteError
from gradlite.node import Node
from gradlite.rule import RULES, Rule
from gradlite.scalar import Value
from gradlite.scalar.bridge import Bridge
from gradlite.scalar.engine import RAISE
from gradlite.scalar.ops import FUNCTIONS, unary_op

ENTRIES = 6  # of an array, the first rows and columns are shown
DIGITS = 12
HARMLESS = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})

OPERATORS = {"+": np.add, "*": np.multiply, "**": np.power, RAISE.name: np.power}
RULES_OF_VALUES: dict[str, Rule] = {
    **{name: RULES[fn] for name, fn in OPERATORS.items()},
    **{unary_op(name).name: RULES[fn] for name, (_, fn, _, _) in FUNCTIONS.items()},
}

ROLES = {"root": "the result", "repeats": "steps that repeat"}

Json = dict[str, Any]


def page(scene: Scene, svg: str) -> str:
    """Write the page of a graph.

    Parameters
    ----------
    scene : Scene
        What there is to see.
    svg : str
        Its picture, as Graphviz draws it: boxes, ovals and arrows have their ids (see dot.py).

    Returns
    -------
    str
        HTML that stands alone: it needs no network and no other file.

    Notes
    -----
    The backward pass starts from 1 where the result is one number, and from ones otherwise:
    then it shows the gradient of the sum. It is recorded while the page is written; no ``grad``
    changes, and no hook is called: the page says where there are hooks. Of an array the page
    holds the norm, the mean, the range and the first entries, with 12 digits.

    Examples
    --------
    >>> from gradlite.draw.scene import scene
    >>> html = page(scene(Value(2.0, label="x") * 3), "<svg></svg>")
    >>> "<title>The graph of * = 6.0000</title>" in html
    True
    >>> "lambda g, ans, x, y: g * y" in html
    True
    """
    script = part("page.js")
    root = scene.boxes[scene.root]
    return Template(part("page.html")).substitute(
        title=escape(f"The graph of {called(root)}"),
        sha256=b64encode(sha256(script.encode()).digest()).decode(),
        style=part("page.css"),
        svg=svg[svg.index("<svg") :],
        data=json.dumps(described(scene), separators=(",", ":")).translate(HARMLESS),
        script=script,
    )


def part(name: str) -> str:
    """Read a file that stands beside this one."""
    return files("gradlite.draw").joinpath(name).read_text(encoding="utf-8")


def described(scene: Scene) -> Json:
    """Put all that the page tells into what JSON can hold."""
    shown = {id(box.item): box.id for box in scene.boxes.values()}
    for stand_in, boxes in scene.repeats.items():
        shown.update((id(box.item), stand_in) for box in boxes)
    root = scene.boxes[scene.root]
    seed = seed_of(root)
    taken: list[Json] = []
    problem = ""
    if seed is None:
        problem = f"{called(root)} does not require a gradient: there is no backward pass to show."
    else:
        try:
            taken = [told(step, scene, shown) for step in together(steps(root.item, seed), shown)]
        except GradliteError as error:
            problem = f"The backward pass fails. {error}"
    rules: dict[Rule, int] = {}
    return {
        "root": root.id,
        "seed": summary(seed),
        "steps": taken,
        "problem": problem,
        "boxes": {box.id: of_box(box, shown, rules) for box in scene.boxes.values()},
        "rules": [[vars(formula) for formula in formulas(rule)] for rule in rules],
    }


def called(box: Box) -> str:
    """Name a box in a few words."""
    if box.name:
        return box.name
    if isinstance(box.item, Value) and box.op:
        return f"{box.op[0]} = {number(box.value)}"
    if box.op:
        return box.op[0]
    if box.kind == "repeats":
        return ": ".join(box.fields)
    kind = "result" if box.kind == "root" else box.kind
    return f"{kind} {np.shape(box.value) or number(box.value)}"


def role(box: Box) -> str:
    """Say what a box is to the graph, unless its name says that."""
    if box.kind in ROLES:
        return ROLES[box.kind]
    article = "an" if box.kind == "input" else "a"
    return f"{article} {box.kind}" if box.name or box.op else ""


# -- the backward pass ------------------------------------------------------------------------


def seed_of(root: Box) -> Any:
    """Give the cotangent to start from, None where nothing requires a gradient."""
    if isinstance(root.item, Value):
        return 1.0
    return np.ones_like(root.value) if isinstance(root.item, Node) else None


def together(taken: Iterable[Step], shown: dict[int, str]) -> Iterator[Step]:
    """Join steps in a row that are inside one box, and all that these give to one input."""
    joined: Step | None = None
    for step in taken:
        inside = shown[id(step.item)]
        if joined is not None and shown[id(joined.item)] != inside:
            yield joined
            joined = None
        joined = joined or Step(step.item, step.g, [])
        for arrival in step.arrivals:
            if shown[id(arrival.item)] != inside:
                join(joined.arrivals, arrival)
    if joined is not None:
        yield joined


def join(arrivals: list[Arrival], new: Arrival) -> None:
    """Add a contribution to those that go to the same input, or to the list."""
    for i, old in enumerate(arrivals):
        if old.item is new.item:
            arrivals[i] = Arrival(new.item, added(old.amount, new.amount), new.total)
            return
    arrivals.append(new)


def told(step: Step, scene: Scene, shown: dict[int, str]) -> Json:
    """Describe a step: which box it is of, and what reaches which others.

    A box of repeats stands for several, so there is no total.
    """
    arrivals = [
        {
            "box": shown[id(x)],
            "amount": summary(amount),
            "total": None if shown[id(x)] in scene.repeats else summary(total),
        }
        for x, amount, total in step.arrivals
    ]
    return {"box": shown[id(step.item)], "arrivals": arrivals}


# -- the boxes --------------------------------------------------------------------------------


def of_box(box: Box, shown: dict[int, str], rules: dict[Rule, int]) -> Json:
    """Describe a box; its rule goes to `rules`, where each stands once."""
    item = box.item
    rule = rule_of(item)
    return {
        "name": called(box),
        "kind": role(box),
        "op": box.op,
        "where": box.where,
        "inputs": [link.source for link in box.inputs],
        "value": summary(box.value),
        "rule": None if rule is None else rules.setdefault(rule, len(rules)),
        "arguments": [] if rule is None else arguments(item, rule, shown),
        "note": note_on(item) if rule is None else "",
        "hooked": isinstance(item, Node) and item.sink is not None and bool(item.sink.hooks),
    }


def rule_of(item: Any) -> Rule | None:
    """Find the derivative rule of the operation that made an item."""
    if isinstance(item, Value):
        op = item._made_by
        if op is None or op.pull.__module__ != unary_op.__module__:
            return None  # a leaf, or an operation of the user's own
        return RULES_OF_VALUES.get(op.name)
    return item.rule if isinstance(item, Node) and not isinstance(item, Bridge) else None


def note_on(item: Any) -> str:
    """Say how gradients go on from an item whose operation has no rule in the table."""
    if isinstance(item, Bridge):
        return "An array of Values: each gets its own entry of the gradient."
    if isinstance(item, Value) and item._made_by is not None:
        if isinstance(getattr(item, "_extra", None), Node):
            return "A Value of a Tensor: the Tensor gets the gradient as it is."
        return "The derivative is a function of your own."
    return ""


def arguments(item: Any, rule: Rule, shown: dict[int, str]) -> list[Json]:
    """List the arguments of an operation: as the rule calls them, and what was given."""
    if isinstance(item, Value):
        given = [*item._inputs, item._extra] if item._made_by is RAISE else [*item._inputs]
    else:
        pairs = zip(item.args, item.parents or (), strict=True)
        given = [arg if parent is None else parent for arg, parent in pairs]
    named = [*zip(names(rule, len(given)), given, strict=True)]
    if isinstance(item, Node):
        named += [(k, x) for k, x in (item.params or {}).items() if id(x) in shown]
    return [
        {"name": name, "box": shown[id(x)]} if id(x) in shown else {"name": name, "is": small(x)}
        for name, x in named
    ]


def names(rule: Rule, count: int) -> list[str]:
    """Name the arguments of a function as its rule does."""
    if rule.variadic is not None:
        variadic = formulas(rule)[0].argument
        return [variadic.replace("[i]", f"[{i}]") for i in range(count)]
    for vjp in rule.vjps:
        if isfunction(vjp):
            return list(vjp.__code__.co_varnames[2 : 2 + count])
    return [str(i) for i in range(count)]


# -- numbers ----------------------------------------------------------------------------------


def summary(x: Any) -> Json | None:
    """Describe a number or an array: as it is, or its measures and first entries."""
    if x is None:
        return None
    if isinstance(x, OutputCotangents):
        x = np.concatenate([np.ravel(x[i]) for i in range(len(x))])
    if not hasattr(x, "dtype"):
        return {"number": exact(x)}
    kind = {"shape": str(x.shape), "dtype": str(x.dtype)}
    if not isinstance(x, (np.ndarray, np.generic)) or x.dtype.kind not in "fiub" or not x.size:
        return kind
    if x.size == 1:
        return {**kind, "number": exact(x.item())}
    with np.errstate(all="ignore"):
        numbers = np.asarray(x, float)
        measures = {
            "norm": np.linalg.norm(numbers),
            "mean": np.mean(numbers),
            "min": np.min(numbers),
            "max": np.max(numbers),
        }
    first = np.atleast_2d(numbers[(0,) * (x.ndim - 2)])
    shown = first[:ENTRIES, :ENTRIES]
    return {
        **kind,
        **{name: exact(measure) for name, measure in measures.items()},
        "rows": [[exact(entry) for entry in row] for row in shown.tolist()],
        "more": shown.size < x.size,
    }


def exact(x: Any) -> Any:
    """Round a number to the digits that the page holds; JSON has no words for NaN and Inf."""
    try:
        x = float(x)
    except (TypeError, ValueError, OverflowError):  # whatever a Value holds
        return number(x)
    return float(f"{x:.{DIGITS}g}") if isfinite(x) else str(x)
