"""A picture: the text that describes it, laid out by Graphviz when somebody looks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import Any

from gradlite.atomic import replacing_file
from gradlite.draw.page import page
from gradlite.draw.scene import Scene
from gradlite.errors import FolderError, GradliteError, MissingExtraError
from gradlite.scalar.ops import short

FORMATS = ("svg", "png", "pdf", "html", "dot", "eps", "gif", "jpeg", "jpg", "ps", "svgz")
LIMIT = 700  # beyond, Graphviz may take longer than anybody waits
GRAPHVIZ = Lock()  # it is not made for threads


class PictureError(GradliteError, ValueError):
    """A picture was asked for that cannot be made."""


class Picture:
    """A graph ready to be drawn. Jupyter shows it.

    Attributes
    ----------
    source : str
        The graph in the language of Graphviz, DOT.
    scene : Scene
        What there is to see.
    size : int
        How many boxes and ovals it has.
    format : str
        What `render` writes.
    """

    def __init__(self, source: str, scene: Scene, size: int, format: str = "svg") -> None:
        self.source = source
        self.scene = scene
        self.size = size
        self.format = one_of("format", format, FORMATS)

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

    def _repr_svg_(self) -> str:
        return self._drawn("svg").decode()

    def _repr_html_(self) -> str:
        return f'<div style="overflow: auto">{fragment(self._repr_svg_())}</div>'

    def __repr__(self) -> str:
        return f"<picture of {self.size} boxes and ovals>"

    def _drawn(self, format: str) -> bytes:
        """Give what a file of the format holds."""
        if format == "dot":
            return self.source.encode()
        if format == "html":  # the page explains the looks itself, and needs no legend
            svg = self._laid_out("svg", label="").decode()
            return page(self.scene, fragment(svg)).encode()
        return self._laid_out(format)

    def _laid_out(self, format: str, **attributes: str) -> bytes:
        """Lay the graph out, with other attributes, and draw it."""
        if self.size > LIMIT:
            raise PictureError(
                f"This picture would have {self.size} boxes and ovals. Up to {LIMIT} are laid out "
                f"in good time, and can be read: draw a part of the graph, such as the output for "
                f"one sample, one neuron, or a smaller network."
            )
        graphviz = imported()
        try:
            with GRAPHVIZ, quiet_fonts():
                graph = graphviz.AGraph(string=self.source)
                graph.graph_attr.update(attributes)
                drawn: bytes = graph.draw(format=format, prog="dot")
        except (OSError, TypeError, ValueError) as error:
            raise PictureError(f"Graphviz could not draw this as {format}: {error}.") from error
        return drawn


def fragment(svg: str) -> str:
    """Leave the prologue of an SVG away, which has no place within HTML."""
    return svg[svg.index("<svg") :]


def one_of(what: str, given: Any, choices: tuple[str, ...]) -> Any:
    """Refuse what is not among the choices."""
    if given not in choices:
        raise PictureError(f"{what} must be {', '.join(choices)}; not {short(given)}.")
    return given


def imported() -> Any:
    """Import pygraphviz, or say what it is needed for."""
    try:
        import pygraphviz
    except ImportError as error:
        raise MissingExtraError(
            "Laying out the picture of a graph needs pygraphviz (it brings Graphviz along): "
            f"pip install 'gradlite[viz]'. The import said: {error}."
        ) from None
    return pygraphviz


@contextmanager
def quiet_fonts() -> Iterator[None]:
    """Drop what the font library says on stderr, and hand on what else was said there.

    The one that comes with pygraphviz complains once about newer configurations of the system,
    which do no harm. It writes past Python, to the descriptor.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            log.seek(0)
            said = [line for line in log if not line.startswith(b"Fontconfig")]
            if said:
                os.write(2, b"".join(said))
