"""The page of a graph: one file that shows both passes one node at a time.

The folder web has page.html, its styles and its scripts. They are combined here with the picture,
and with the texts and numbers of the page as JSON. The page is self-contained, and its
Content-Security-Policy lets no other script run, whatever a label holds.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from importlib.resources import files
from math import isfinite
from string import Template
from typing import Any

import numpy as np

from gradlite.autodiff.cotangents import OutputCotangents
from gradlite.autodiff.node import Node
from gradlite.autodiff.operands import is_sparse
from gradlite.autodiff.rule import Rule
from gradlite.draw.boxes import argument_names, number, operands, small
from gradlite.draw.chain import Known, chain_at, formula_of, forward_text, rule_of
from gradlite.draw.folding import in_order
from gradlite.draw.formulas import defined, explained, formulas_of
from gradlite.draw.mathematics import Entry
from gradlite.draw.names import expression, names_of
from gradlite.draw.program import program_of
from gradlite.draw.scene import Box, Scene
from gradlite.draw.steps import Arrival, Step, added, steps
from gradlite.errors import GradliteError
from gradlite.scalar import Value

SCRIPTS = ("state.js", "graph.js", "panel.js", "program.js", "view.js", "steps.js")
STYLES = (
    "graph.css",
    "panel.css",
    "program.css",
    "page.css",
)  # what depends on the width comes last
ENTRIES = 6  # rows and columns of an array that are shown
DIGITS = 12
HARMLESS = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})

ROLES = {
    "root": "the result", "repeats": "steps that repeat", "input": "an input",
    "parameter": "a parameter", "constant": "a constant", "result": "a result",
}  # fmt: skip

Json = dict[str, Any]
Rules = dict[tuple[Rule, str], tuple[int, Entry | None]]  # their indices, and their formulas


def page(scene: Scene, svg: str) -> str:
    """Return the page of a scene as self-contained HTML.

    Parameters
    ----------
    scene : Scene
        The boxes and arrows.
    svg : str
        Its picture by Graphviz, in which boxes, ovals and arrows have ids (see dot.py).

    Notes
    -----
    The seed of the backward pass is 1, or an array of ones, which gives the gradient of the sum.
    The pass runs while the page is written. No ``grad`` changes and no hook is called, and the page
    says where there are hooks. Of an array it holds the norm, the mean, the range and the first
    entries, with 12 digits.

    Examples
    --------
    >>> from gradlite.draw.scene import scene
    >>> html = page(scene(Value(2.0, label="x") * 3), "<svg></svg>")
    >>> "<title>The graph of x * 3 = 6.0000</title>" in html
    True
    >>> "lambda g, ans, x, y: g * y" in html
    True
    """
    script = "\n".join(map(part, SCRIPTS))
    data = page_data(scene)
    return Template(part("page.html")).substitute(
        title=escape(f"The graph of {data['title']}"),
        sha256=b64encode(sha256(script.encode()).digest()).decode(),
        style="\n".join(map(part, STYLES)),
        svg=svg[svg.index("<svg") :],
        data=json.dumps(data, separators=(",", ":")).translate(HARMLESS),
        script=script,
    )


def part(name: str) -> str:
    """Read a part of the page."""
    return files("gradlite.draw").joinpath("web", name).read_text(encoding="utf-8")


def page_data(scene: Scene) -> Json:
    """Return the texts and numbers of the page for JSON."""
    shown = {id(box.item): box.id for box in scene.boxes.values()}
    for stand_in, boxes in scene.repeats.items():
        shown.update((id(box.item), stand_in) for box in boxes)
    names = names_of(scene)
    folded = [box for boxes in scene.repeats.values() for box in boxes]
    known = Known(
        {id(box.item): names.get(box.id, "…") for box in (*scene.boxes.values(), *folded)},
        {id(box.item): box.value for box in (*scene.boxes.values(), *folded)},
    )
    root = scene.boxes[scene.root]
    seed = seed_of(root)
    taken: list[Json] = []
    problem = ""
    if seed is None:
        problem = f"{names[root.id]} does not require a gradient: there is no backward pass."
    else:
        try:
            passed = together(steps(root.item, seed), shown)
            taken = [of_step(step, scene, shown, known) for step in passed]
        except GradliteError as error:
            problem = f"The backward pass fails. {error}"
    rules: Rules = {}
    about = {box.id: of_box(box, names, shown, rules, known) for box in scene.boxes.values()}
    return {
        "title": title_of(root, known),
        "folded": Counter(ROLES[box.kind] for box in folded if not box.op),
        "root": root.id,
        "seed": summary(seed),
        "forward": [box.id for box in computed(scene)],
        "steps": taken,
        "problem": problem,
        "boxes": about,
        "rules": [of_rule(rule, entry) for (rule, _), (_, entry) in rules.items()],
        "program": program_of(scene, names, shown),
    }


def computed(scene: Scene) -> list[Box]:
    """Return the results, and boxes of repeats, in the order in which they were made."""
    if not scene.repeats:
        return [box for box in in_order(scene) if box.op]
    return [box for box in scene.boxes.values() if box.op or box.inputs]


def title_of(box: Box, known: Known) -> str:
    """Name a result briefly, with its number if it is one."""
    name = box.name or expression(box, known.names) or known.names[id(box.item)]
    if box.value is None or np.size(box.value) != 1 or is_sparse(box.value):
        return name
    value = box.value if isinstance(box.item, Value) else np.asarray(box.value).item()
    return f"{name} = {number(value)}"


# -- the backward pass ------------------------------------------------------------------------


def seed_of(root: Box) -> Any:
    """Return the seed of the backward pass, None if nothing requires a gradient."""
    if isinstance(root.item, Value):
        return 1.0
    return np.ones_like(root.value) if isinstance(root.item, Node) else None


def together(taken: Iterable[Step], shown: dict[int, str]) -> Iterator[Step]:
    """Join consecutive steps inside one box, and their contributions to each input."""
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
    """Add a contribution to that to the same input, or else to the list."""
    for i, old in enumerate(arrivals):
        if old.item is new.item:
            arrivals[i] = Arrival(new.item, added(old.amount, new.amount), new.total)
            return
    arrivals.append(new)


def of_step(step: Step, scene: Scene, shown: dict[int, str], known: Known) -> Json:
    """Describe a step: its box, and what reaches which others.

    A box of repeats stands for several, so it has no total, and their gradients are counted.
    """
    inside = shown[id(step.item)]
    counts = Counter(shown[id(x)] for x, _, _ in step.arrivals)
    arrivals: dict[str, Json] = {}
    for x, amount, total in step.arrivals:
        to = shown[id(x)]
        arrivals[to] = {"box": to, "amount": summary(amount), "total": summary(total)}
        if to in scene.repeats:
            arrivals[to]["total"] = None
            if counts[to] > 1:
                arrivals[to]["amount"] = {"shape": f"{counts[to]} gradients"}
        elif inside not in scene.repeats:
            chain = chain_at(step.item, x, step.g, amount, known)
            if chain is not None:
                arrivals[to]["chain"] = chain._asdict()
    return {"box": inside, "arrivals": list(arrivals.values())}


# -- the boxes --------------------------------------------------------------------------------


def of_box(
    box: Box, names: dict[str, str], shown: dict[int, str], rules: Rules, known: Known
) -> Json:
    """Describe a box; its rule is added to `rules`, once."""
    item = box.item
    rule, entry = rule_of(item), formula_of(item)
    place = None
    if rule is not None:
        place, _ = rules.setdefault((rule, repr(entry)), (len(rules), entry))
    return {
        "name": names[box.id],
        "kind": ROLES[box.kind],
        "op": box.op,
        "where": box.where,
        "inputs": [link.source for link in box.inputs],
        "value": summary(box.value),
        "made": forward_text(item, known) if box.op else "",
        "rule": place,
        "arguments": [] if rule is None else arguments_of(item, rule, entry, shown),
        "note": note_on(item) if rule is None else "",
        "hooked": isinstance(item, Node) and item.sink is not None and bool(item.sink.hooks),
    }


def of_rule(rule: Rule, entry: Entry | None) -> Json:
    """Describe a rule: the function and its derivatives."""
    return {
        "result": entry.result if entry else "ans",
        "definition": defined(entry) if entry else "",
        "words": explained(entry) if entry else [],
        "formulas": [vars(formula) for formula in formulas_of(rule, entry)],
    }


def note_on(item: Any) -> str:
    """Explain how an item without a rule passes its gradient back."""
    if isinstance(item, Value) and item._made_by is not None:
        if isinstance(getattr(item, "_extra", None), Node):
            return "A Value of a Tensor: it passes its gradient back unchanged."
        return "The derivative is a user-defined function."
    return ""


def arguments_of(item: Any, rule: Rule, entry: Entry | None, shown: dict[int, str]) -> list[Json]:
    """Return the arguments of an operation: their symbols, and what was passed."""
    given = operands(item)
    named = [*zip(symbols(rule, entry, len(given)), given, strict=True)]
    if isinstance(item, Node):
        named += [(k, x) for k, x in (item.params or {}).items() if id(x) in shown]
    return [
        {"name": name, "box": shown[id(x)]} if id(x) in shown else {"name": name, "is": small(x)}
        for name, x in named
        if x is not None
    ]


def symbols(rule: Rule, entry: Entry | None, count: int) -> list[str]:
    """Return the symbols of arguments in the formula, or else their names in the rule."""
    if rule.variadic is not None:
        variadic = entry.arguments[0] if entry else "x"
        return [f"{variadic}{i + 1}" for i in range(count)]
    return list(entry.arguments[:count]) if entry else argument_names(rule, count)


# -- numbers ----------------------------------------------------------------------------------


def summary(x: Any) -> Json | None:
    """Describe a number, or an array by its norm, mean, range and first entries."""
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
    """Round a number to the digits of the page; write NaN and Inf, which JSON lacks, as text."""
    try:
        x = float(x)
    except (TypeError, ValueError, OverflowError):  # whatever a Value holds
        return number(x)
    return float(f"{x:.{DIGITS}g}") if isfinite(x) else str(x)
