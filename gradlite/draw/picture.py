"""A picture: the text that describes it, laid out by Graphviz on first access."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import cached_property
from html import escape
from pathlib import Path
from subprocess import run
from typing import Any

from gradlite.draw import layout
from gradlite.draw.page import page
from gradlite.draw.scene import Scene
from gradlite.errors import FolderError, GradliteError, MissingExtraError
from gradlite.persist import replacing_file
from gradlite.scalar.ops import short

FORMATS = ("svg", "png", "pdf", "html", "dot", "eps", "gif", "jpeg", "jpg", "ps", "svgz")
LIMIT = 700  # beyond, Graphviz may take longer than anybody waits
WINDOW = (880, 640)  # what a page leaves to the graph on a screen of 1280 x 900
FRAME = 620  # the height of a page in a notebook


class PictureError(GradliteError, ValueError):
    """A picture was asked for that cannot be made."""


class Picture:
    """A graph ready to be drawn. Jupyter shows it.

    Parameters
    ----------
    scene : Scene
        What there is to see.
    write_dot : callable
        ``write_dot(named) -> source``: writes it in the language of Graphviz, DOT; with names
        for what nobody has named, or without.
    format : str, default 'svg'
        What `render` writes.

    Attributes
    ----------
    scene : Scene
        What there is to see.
    source : str
        The graph in DOT.
    size : int
        How many boxes and ovals it has.
    format : str
        What `render` writes.
    """

    def __init__(self, scene: Scene, write_dot: Callable[[bool], str], format: str = "svg") -> None:
        self.scene = scene
        self._write_dot = write_dot
        self.size = sum(1 + bool(box.op) for box in scene.boxes.values())
        self.format = one_of("format", format, FORMATS)

    @cached_property
    def source(self) -> str:
        """The graph in the language of Graphviz, DOT."""
        return self._write_dot(False)

    def render(self, path: str | os.PathLike[str]) -> str:
        """Write the picture in its format, and give the path of the file.

        Parameters
        ----------
        path : path
            Where to. The format is appended as the suffix, unless it is there.

        Raises
        ------
        MissingExtraError
            If pygraphviz is not installed.
        PictureError
            If the graph is too large to be laid out.
        FolderError
            If the folder does not exist.
        """
        path = os.fspath(path)
        if not path.lower().endswith(f".{self.format}"):
            path = f"{path}.{self.format}"
        return self._write(path, self.format)

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the picture in the format that the suffix names: ``save('graph.png')``.

        As ``.html`` it is a page on its own: click a box to see its derivative rule, and step
        through the backward pass. A file that is there is replaced when the new one is complete.
        Raises as `render` does.
        """
        path = os.fspath(path)
        suffix = Path(path).suffix[1:].lower()
        return self._write(path, one_of("the suffix of a picture's file", suffix, FORMATS))

    def _write(self, path: str, format: str) -> str:
        folder = Path(path).parent
        if not folder.is_dir():
            raise FolderError(f"There is no folder {str(folder)!r} to write {path!r} to: make it.")
        drawn = self._drawn(format)
        with replacing_file(os.path.realpath(path)) as file:
            file.write(drawn)
        return path

    def svg(self) -> str:
        """Return the picture as SVG."""
        return self._drawn("svg").decode()

    def _repr_html_(self) -> str:
        # A frame of its own: what is in it has its own ids, scripts and keys.
        text = escape(self._drawn("html").decode()).replace("\n", "&#10;")
        return (
            f'<iframe srcdoc="{text}" title="{escape(repr(self))}" loading="lazy" '
            f'sandbox="allow-scripts" style="width: 100%; height: {FRAME}px; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<picture of {self.size} boxes and ovals>"

    def _drawn(self, format: str) -> bytes:
        """Give what a file of the format holds."""
        if format == "dot":
            return self.source.encode()
        if format == "html":  # the page explains the looks itself, and needs no legend
            svg = self._laid_out(self._write_dot(True), "svg", {"label": ""}, WINDOW).decode()
            return page(self.scene, fragment(svg)).encode()
        return self._laid_out(self.source, format, {})

    def _laid_out(
        self,
        source: str,
        format: str,
        attributes: dict[str, str],
        window: tuple[int, int] | None = None,
    ) -> bytes:
        """Have Graphviz lay the graph out and draw it."""
        if self.size > LIMIT:
            raise PictureError(
                f"This picture would have {self.size} boxes and ovals. Up to {LIMIT} are laid out "
                f"in good time, and can be read: draw a part of the graph, such as the output for "
                f"one sample, one neuron, or a smaller network."
            )
        check_installed()
        order = {"source": source, "format": format, "attributes": attributes, "window": window}
        done = run(
            [sys.executable, "-P", layout.__file__],
            input=json.dumps(order).encode(),
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        # The fonts' library complains about newer configurations of the system, to no harm.
        said = [
            line for line in done.stderr.decode().splitlines() if not line.startswith("Fontconfig")
        ]
        if done.returncode:
            reason = said[-1] if said else f"it ended with {done.returncode}"
            raise PictureError(f"Graphviz could not draw this as {format}: {reason}.")
        for line in said:
            print(line, file=sys.stderr)
        return done.stdout


def fragment(svg: str) -> str:
    """Return an SVG without its prologue, which has no place within HTML."""
    return svg[svg.index("<svg") :]


def one_of(what: str, given: Any, choices: tuple[str, ...]) -> Any:
    """Refuse what is not among the choices."""
    if given not in choices:
        raise PictureError(f"{what} must be {', '.join(choices)}; not {short(given)}.")
    return given


def check_installed() -> None:
    """Raise MissingExtraError unless there is pygraphviz."""
    try:
        import pygraphviz  # noqa: F401  # whether it can be, is the question
    except ImportError as error:
        raise MissingExtraError(
            "Laying out the picture of a graph needs pygraphviz (it brings Graphviz along): "
            f"pip install 'gradlite[viz]'. The import said: {error}."
        ) from None
