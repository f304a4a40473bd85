"""Graphviz in a process of its own, so that it can be interrupted, and its memory is freed.

This file is run as a script and imports nothing of gradlite. It reads a JSON object:

source : str
    The graph in DOT. Arrows with ``far=true`` do not influence the layout: they are drawn as
    straight lines at the end.
format : str
    The format to write to the standard output.
attributes : dict of str to str
    Attributes of the graph.
window : [width, height] or null
    If given, the graph runs from left to right or from top to bottom, whichever is larger in it.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def laid_out(source: str, attributes: dict[str, str]) -> Any:
    """Return a graph with places for all boxes."""
    import pygraphviz

    graph = pygraphviz.AGraph(string=source)
    graph.graph_attr.update(attributes)
    far = [edge for edge in graph.edges() if edge.attr["far"] == "true"]
    later = [(*edge, {k: v for k, v in edge.attr.items() if k != "pos"}) for edge in far]
    graph.remove_edges_from(far)
    graph.layout(prog="dot")
    for start, end, looks in later:
        graph.add_edge(start, end, **looks)
    return graph


def scale(graph: Any, window: list[float]) -> float:
    """Return the scale at which a graph fits into a window."""
    left, bottom, right, top = map(float, graph.graph_attr["bb"].split(","))
    return min(window[0] / max(1.0, right - left), window[1] / max(1.0, top - bottom))


def drawn(
    source: str, format: str, attributes: dict[str, str], window: list[float] | None
) -> bytes:
    """Lay a graph out and draw it."""
    if window is None:
        graph = laid_out(source, attributes)
    else:
        both = [laid_out(source, {**attributes, "rankdir": way}) for way in ("LR", "TB")]
        graph = max(both, key=lambda one: scale(one, window))
    picture: bytes = graph.draw(format=format, prog="nop2")
    return picture


if __name__ == "__main__":
    sys.stdout.buffer.write(drawn(**json.load(sys.stdin)))
