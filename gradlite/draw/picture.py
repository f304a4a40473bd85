"""A picture of a graph: described in DOT, laid out by Graphviz when it is shown or saved."""

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
LIMIT = 700  # boxes and ovals; beyond, Graphviz may take minutes
WINDOW = (880, 640)  # the space for the graph in a page of 1280 x 900
FRAME = "max(620px, 1200px - 100vw)"  # the height of a page in a notebook: more on a phone


class PictureError(GradliteError, ValueError):
    """A picture was asked for that cannot be made."""


class Picture:
    """A graph ready to be drawn. Jupyter shows it.

    Parameters
    ----------
    scene : Scene
        The boxes and arrows.
    write_dot : callable
        ``write_dot(named) -> source`` returns the graph in DOT, with names for unnamed boxes or
        without.
    format : str, default 'svg'
        The format of `render`.

    Attributes
    ----------
    scene, format
        As given.
    source : str
        The graph in DOT, Graphviz's language.
    size : int
        The number of boxes and ovals.
    """

    def __init__(self, scene: Scene, write_dot: Callable[[bool], str], format: str = "svg") -> None:
        self.scene = scene
        self._write_dot = write_dot
        self.size = sum(1 + bool(box.op) for box in scene.boxes.values())
        self.format = one_of("format", format, FORMATS)

    @cached_property
    def source(self) -> str:
        """The graph in DOT, Graphviz's language."""
        return self._write_dot(False)

    def render(self, path: str | os.PathLike[str]) -> str:
        """Write the picture in its format, and return the path of the file.

        Parameters
        ----------
        path : path
            The file. The format is appended as its suffix, unless it is there.

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
        """Write the picture in the format that the suffix names, as in ``save('graph.png')``.

        The format ``.html`` is a self-contained page: click a box to see its derivative rule, and
        step through both passes. An existing file is replaced once the new one is complete. Return
        the path, and raise as `render` does.
        """
        path = os.fspath(path)
        suffix = Path(path).suffix[1:].lower()
        return self._write(path, one_of("the suffix of a picture's file", suffix, FORMATS))

    def _write(self, path: str, format: str) -> str:
        folder = Path(path).parent
        if not folder.is_dir():
            raise FolderError(
                f"There is no folder {str(folder)!r} to write {path!r} to: create it."
            )
        drawn = self._drawn(format)
        with replacing_file(os.path.realpath(path)) as file:
            file.write(drawn)
        return path

    def svg(self) -> str:
        """Return the picture as SVG."""
        return self._drawn("svg").decode()

    def _repr_html_(self) -> str:
        # In a frame the page keeps its ids, scripts and keys to itself.
        text = escape(self._drawn("html").decode()).replace("\n", "&#10;")
        return (
            f'<iframe srcdoc="{text}" title="{escape(repr(self))}" loading="lazy" '
            f'sandbox="allow-scripts" style="width: 100%; height: {FRAME}; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<picture of {self.size} boxes and ovals>"

    def _drawn(self, format: str) -> bytes:
        """Return the contents of a file of a format."""
        if format == "dot":
            return self.source.encode()
        if format == "html":  # the page has its own legend
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
        """Lay the graph out and draw it with Graphviz, in a process that can be interrupted."""
        if self.size > LIMIT:
            raise PictureError(
                f"This picture would have {self.size} boxes and ovals, more than the {LIMIT} that "
                f"can be laid out in reasonable time: draw a part of the graph, such as the output "
                f"for one sample, one neuron, or a smaller network."
            )
        check_installed()
        order = {"source": source, "format": format, "attributes": attributes, "window": window}
        done = run(
            [sys.executable, "-P", layout.__file__],
            input=json.dumps(order).encode(),
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        # Warnings of the font library about newer configurations are harmless.
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
    """Return an SVG without its XML prologue, for HTML."""
    return svg[svg.index("<svg") :]


def one_of(what: str, given: Any, choices: tuple[str, ...]) -> Any:
    """Return `given`, or raise PictureError if it is not among the choices."""
    if given not in choices:
        raise PictureError(f"{what} must be {', '.join(choices)}; not {short(given)}.")
    return given


def check_installed() -> None:
    """Raise MissingExtraError unless there is pygraphviz."""
    try:
        import pygraphviz  # noqa: F401  # only to see that it is there
    except ImportError as error:
        raise MissingExtraError(
            "Laying out the picture of a graph needs pygraphviz (it brings Graphviz along): "
            f"pip install 'gradlite[viz]'. The import said: {error}."
        ) from None
