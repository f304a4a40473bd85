"""The picture of a graph in DOT, the language of Graphviz: a box a number, an oval an operation."""

from __future__ import annotations

from typing import Any

from gradlite.draw.answers import answers
from gradlite.draw.boxes import arrays, fields, operation, role_of
from gradlite.draw.graph import behind
from gradlite.draw.picture import Picture, one_of
from gradlite.node import Node

FONT = 'fontname="Helvetica,Arial,sans-serif"'
LOOKS = (
    f"graph [{FONT}, nodesep=0.2, ranksep=0.25, pad=0.15]",
    f'node [{FONT}, fontsize=11, shape=record, height=0.33, margin="0.09,0.04", color="#444444"]',
    f'edge [{FONT}, fontsize=9, fontcolor="#555555", color="#777777", arrowsize=0.6]',
)
# Leaves have round corners, the root a thick outline: told apart without colours.
LEAF = 'style="rounded,filled", fillcolor="#fdf1d6"'
RESULT = 'style=filled, fillcolor="#ffffff"'
ROOT = ", penwidth=2.5"
OPERATION = 'shape=ellipse, style=filled, fillcolor="#dfe8f2", width=0.5, margin="0.04,0.01"'
ARRAY = 'shape=plaintext, fontsize=9, fontcolor="#555555", height=0.2, margin="0.04,0.02"'

# Larger graphs than this are laid out with less care: perfection could take minutes.
LARGE = 120
CARELESS = "graph [nslimit=1, nslimit1=1, mclimit=0.2]"

NEWLINE = "\\n"
LONGEST = 60  # characters of a label
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
        What `Picture.render` writes: 'svg', 'png', 'pdf', ...
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
        If a backward pass has let the graph of Tensors go.
    PictureError
        If `format` or `rankdir` is unknown.

    Notes
    -----
    A Value's box shows its label, data and gradient. That of a Tensor, or of a step on the way to
    it, shows shape, dtype, norm and the norm of the gradient; of a single number, the number.
    Leaves have round corners, results have square ones, and the root's outline is thick.

    The tape has let go of arrays that no derivative needs. For the picture they are computed
    again; where that may not be done (by a function of your own that is not NumPy's, SciPy's or
    gradlite's) the box shows the shape alone. Nothing is recorded, and no state changes.

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
    one_of("rankdir", rankdir, ("LR", "TB"))
    graph = behind(root)
    known = answers(graph)
    *_, last = graph
    if isinstance(last, Node):
        known[last] = root._data
    names = {item: f"n{i}" for i, item in enumerate(graph)}
    nodes, edges = [], []
    for item, inputs in graph.items():
        box = end = names[item]
        op = operation(item)
        look = (RESULT if op or inputs else LEAF) + (ROOT if item is last else "")
        record = " | ".join(map(written, fields(item, known.get(item))))
        nodes.append(f'{box} [label="{{{record}}}", {look}]')
        if op:
            end = f"{box}made"
            nodes.append(f'{end} [label="{NEWLINE.join(map(written, op))}", {OPERATION}]')
            edges.append(f"{end} -> {box}")
        edges += [f"{names[x]} -> {end}{beside(role_of(x, item))}" for x in inputs]
        for i, (role, array) in enumerate(arrays(item)):
            nodes.append(f'{box}array{i} [label="{written(array)}", {ARRAY}]')
            edges.append(f"{box}array{i} -> {end}{beside(role)}")
    looks = (*LOOKS, CARELESS) if len(nodes) > LARGE else LOOKS
    lines = [f"  {line}" for line in (f"rankdir={rankdir}", *looks, *nodes, *edges)]
    return Picture("\n".join(["digraph gradlite {", *lines, "}", ""]), len(nodes), format)


def written(text: str) -> str:
    """Write a text in DOT, if it is not too long, so that what is special there means itself."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 3]}..."
    visible = (c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    return "".join(visible).translate(ESCAPES)


def beside(text: str) -> str:
    """Write something beside an arrow."""
    return f' [label="{written(text)}"]' if text else ""
