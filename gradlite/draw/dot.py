"""The picture of a graph in DOT, Graphviz's language: boxes are numbers, ovals operations."""

from __future__ import annotations

import html
import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gradlite.autodiff.node import Node
from gradlite.draw.boxes import is_array, small
from gradlite.draw.names import names_of
from gradlite.draw.picture import Picture, one_of
from gradlite.draw.scene import Box, Kind, Scene, scene

FONT = 'fontname="Helvetica,Arial,sans-serif"'
GRAPH = f"graph [{FONT}, nodesep=0.2, ranksep=0.25, pad=0.15]"
EDGE = f'edge [{FONT}, fontsize=9, fontcolor="#555555", color="#777777", arrowsize=0.6]'
OPERATION = 'shape=ellipse, style=filled, fillcolor="#dfe8f2", width=0.5, margin="0.04,0.01"'

# As micrograd's notebooks have it. Leaves have round corners, the root a thick outline.
RECORD = (
    f'node [{FONT}, fontsize=11, shape=record, height=0.33, margin="0.09,0.04", color="#444444"]'
)
LEAF = 'style="rounded,filled", fillcolor="#fdf1d6"'
RESULT = 'style=filled, fillcolor="#ffffff"'
ROOT = ", penwidth=2.5"
ARRAY = 'shape=plaintext, fontsize=9, fontcolor="#555555", height=0.2, margin="0.04,0.02"'

# Each kind has its own shape, line and colour, so that no single one of them is needed, in print or
# by the colour-blind. Lines are in colours of Okabe and Ito, Color Universal Design, 2008.
BOX = f'node [{FONT}, fontsize=10, shape=box, height=0.3, margin="0.1,0.05", color="#555555"]'
KINDS: dict[Kind, str] = {
    "parameter": 'style="rounded,filled,bold", color="#0072b2", fillcolor="#d6e9f5"',
    "input": 'shape=note, style=filled, color="#a36f00", fillcolor="#fdf0d3"',
    "constant": 'style="dashed,filled", color="#777777", fillcolor="#f1f1f1"',
    "result": 'style=filled, fillcolor="#ffffff"',
    "root": 'style=filled, color="#00614a", fillcolor="#d3efe6", peripheries=2, penwidth=1.4',
    "repeats": 'style="dashed,filled", color="#8a4a74", fillcolor="#f6e9f1", peripheries=3',
}

# The looks of leaves as cells of a table, for the legend.
CELLS: dict[Kind, str] = {
    "parameter": 'style="rounded" color="#0072b2" bgcolor="#d6e9f5"',
    "input": 'color="#a36f00" bgcolor="#fdf0d3"',
    "constant": 'style="dashed" color="#777777" bgcolor="#f1f1f1"',
}

# Larger graphs than this are laid out with less care: the best layout could take minutes.
LARGE = 40  # boxes
NEAR = 2  # arrows from a box that are laid out with care
CARELESS = "graph [nslimit=2, nslimit1=2, mclimit=0.5]"

PLACE = "grad norm 0.0000"  # as wide as most gradients
NEWLINE = "\\n"
LONGEST_LABEL = 60  # characters of a label
CODE = 36  # characters of a line of code
ESCAPES = str.maketrans(
    {**{c: f"\\{c}" for c in '\\"{}|<>'}, "&": "&amp;", "\n": NEWLINE, "\t": " "}
)


def draw_dot(root: Any, format: str = "svg", rankdir: str = "LR") -> Picture:
    """Draw the graph behind a result.

    Parameters
    ----------
    root : Value or Tensor
        The result.
    format : str, default 'svg'
        The format of `Picture.render`: 'svg', 'png', 'pdf', ...
    rankdir : {'LR', 'TB'}
        From left to right, or from top to bottom.

    Returns
    -------
    Picture
        Jupyter shows it; ``render('graph')`` writes it to graph.svg; `source` is its text.

    Raises
    ------
    DtypeError
        If `root` is neither a Value nor a Tensor.
    GraphError
        If a backward pass has freed the graph of Tensors.
    PictureError
        If `format` or `rankdir` is unknown.

    Notes
    -----
    The box of a Value shows its label, data and gradient; that of a Tensor or an intermediate
    result shape, dtype, norm and the norm of the gradient, or the single number. Leaves have round
    corners, results square ones, and the root a thick outline.

    The tape does not keep arrays that no derivative needs. For the picture they are computed again
    from the inputs as they are now: draw before an optimizer's step changes the weights. The result
    of a function of your own is not computed again: its box shows the shape alone. Nothing is
    recorded, and no state changes.

    Examples
    --------
    >>> from gradlite.engine import Value
    >>> from gradlite.draw import draw_dot
    >>> a = Value(2.0, label="a")
    >>> b = (a * a).tanh()
    >>> b.backward()
    >>> picture = draw_dot(b)
    >>> picture
    <picture of 5 boxes and ovals>
    >>> "{a | data 2.0000 | grad 0.0054}" in picture.source
    True
    """
    return picture(scene(root), RECORDS, rankdir, format)


class Look(NamedTuple):
    """How a graph looks: attributes of all nodes, of a box, of an oval, and the legend, if any."""

    nodes: str
    box: Callable[[Box, str, list[str]], str]
    oval: Callable[[list[str]], str]
    legend: Callable[[Scene], list[str]]


def with_place(box: Box) -> list[str]:
    """Return the lines of a box, with a place for the gradient that a page will show."""
    fields = box.fields
    waits = isinstance(box.item, Node) and not any(field.startswith("grad") for field in fields)
    return [*fields, PLACE] if waits else fields


def record(box: Box, name: str, fields: list[str]) -> str:
    """Write a box as micrograd's notebooks do: as a record of its fields."""
    if is_array(box.item):
        lines = [name] * (name != box.name) + [small(box.item)]
        return f'label="{NEWLINE.join(map(written, lines))}", {ARRAY}'
    look = RESULT if box.op or box.inputs else LEAF
    fields = [name, *fields] if name else fields
    thick = ROOT if box.kind == "root" else ""
    return f'label="{{{" | ".join(map(written, fields))}}}", {look}{thick}'


def detailed(box: Box, name: str, fields: list[str]) -> str:
    """Write a box with its name and its line of code, in the look of its kind."""
    lines = [marked_up(line) for line in fields]
    if name:
        lines.insert(0, f"<b>{marked_up(name)}</b>")
    if box.where:
        lines.append(fine_print(f"<i>{marked_up(line_of_code(box.where))}</i>"))
    return f"label=<{'<br/>'.join(lines)}>, {KINDS[box.kind]}"


def labelled(op: list[str]) -> str:
    """Write an operation, and in small print its constants."""
    name, *rest = map(marked_up, op)
    return f"label=<{'<br/>'.join([name, *map(fine_print, rest)])}>"


def fine_print(text: str) -> str:
    """Make marked-up text small and grey."""
    return f'<font point-size="8" color="#555555">{text}</font>'


def legend(scene: Scene) -> list[str]:
    """Return a legend of the kinds of leaves, if there are several."""
    kinds = {box.kind for box in scene.boxes.values()}
    cells = [
        f'<td border="1" {cell}><font point-size="8">{kind}</font></td>'
        for kind, cell in CELLS.items()
        if kind in kinds
    ]
    table = f'<table border="0" cellspacing="5" cellpadding="2"><tr>{"".join(cells)}</tr></table>'
    return [f"graph [label=<{table}>, labeljust=l]"] if len(cells) > 1 else []


RECORDS = Look(
    RECORD,
    record,
    oval=lambda op: f'label="{NEWLINE.join(map(written, op))}"',
    legend=lambda scene: [],
)
DETAILED = Look(BOX, detailed, labelled, legend)


def picture(scene: Scene, look: Look, rankdir: str, format: str = "svg") -> Picture:
    """Return the picture of a scene."""
    one_of("rankdir", rankdir, ("LR", "TB"))

    def write_dot(named: bool) -> str:
        return source(scene, look, rankdir, names_of(scene) if named else {})

    return Picture(scene, write_dot, format)


def source(scene: Scene, look: Look, rankdir: str, names: Mapping[str, str]) -> str:
    """Write a scene in DOT.

    Everything has an id in the SVG: a box its own, the oval of its operation ``<box>-op``, an arrow
    from a box ``<source>-<box>``, that from the oval ``<box>-op-<box>``.
    """
    far = far_arrows(scene) if len(scene.boxes) > LARGE else set()
    nodes, edges = [], []
    for box in scene.boxes.values():
        end, op = box.id, box.op
        name = box.name or names.get(box.id, "") if box.kind != "repeats" else ""
        fields = with_place(box) if names else box.fields
        nodes.append(f'{box.id} [{look.box(box, name, fields)}, id="{box.id}"]')
        if op:
            end = f"{box.id}made"
            nodes.append(f'{end} [{look.oval(op)}, {OPERATION}, id="{box.id}-op"]')
            edges.append(f'{end} -> {box.id} [id="{box.id}-op-{box.id}"]')
        for link in box.inputs:
            straight = "far=true, " if (link.source, box.id) in far else ""
            edges.append(
                f'{link.source} -> {end} [{straight}{beside(link.role)}id="{link.source}-{box.id}"]'
            )
    defaults = [f"rankdir={rankdir}", GRAPH, look.nodes, EDGE, *look.legend(scene)]
    if len(scene.boxes) > LARGE:
        defaults.append(CARELESS)
    lines = [f"  {statement}" for statement in (*defaults, *nodes, *edges)]
    return "\n".join(["digraph gradlite {", *lines, "}", ""])


def far_arrows(scene: Scene) -> set[tuple[str, str]]:
    """Return the arrows that Graphviz may ignore when it places boxes: from widely used inputs.

    An arrow costs as much as the ranks that it crosses. Each box keeps the arrows to its first few
    takers, and each operation the one that determines its rank.
    """
    boxes = scene.boxes.values()
    takers = Counter(link.source for box in boxes for link in box.inputs)
    depth: dict[str, int] = {}
    laid: Counter[str] = Counter()
    far = set()
    for box in boxes:
        inputs = [link.source for link in box.inputs]
        leading = max(inputs, key=lambda x: (depth[x], -takers[x]), default="")
        depth[box.id] = 1 + depth[leading] if leading else 0
        for x in inputs:
            laid[x] += 1
            if laid[x] > NEAR and x != leading:
                far.add((x, box.id))
    return far


def line_of_code(where: str) -> str:
    """Shorten what debug mode recorded, ``/path/file.py:3 in f`` and the code below it."""
    place, _, code = where.partition("\n")
    text = f"{os.path.basename(place.rpartition(' in ')[0])}  {code.strip()}"
    return text if len(text) <= CODE else f"{text[: CODE - 1]}…"


def marked_up(text: str) -> str:
    """Escape a text for the HTML of Graphviz, where a backslash is special, too."""
    return html.escape(shortened(text)).replace("\\", "\\\\").replace("\n", "<br/>")


def written(text: str) -> str:
    """Escape a text for a string of DOT."""
    return shortened(text).translate(ESCAPES)


def shortened(text: str) -> str:
    """Shorten a long text, and escape what is not printable."""
    if len(text) > LONGEST_LABEL:
        text = f"{text[: LONGEST_LABEL - 3]}..."
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def beside(text: str) -> str:
    """Write a text beside an arrow, with a gap."""
    return f'label=" {written(text)} ", ' if text else ""
