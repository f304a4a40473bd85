"""Files that the commands write: checked before the work, and complete or not there at all."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from threading import current_thread, main_thread
from typing import TextIO

from gradlite.errors import GradliteError
from gradlite.persist import replacing_file


class OutputError(GradliteError, OSError):
    """A file cannot be written where it was asked for, or is not to be replaced."""


def check_output(path: str, force: bool = False) -> None:
    """Refuse, before any work, a path that could not be written at its end.

    Parameters
    ----------
    path : str
        Where a file is to be written.
    force : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    OutputError
        If the path is a folder, is in no folder that exists or in one without permission, or if
        there is a file already and no `force`.

    Examples
    --------
    >>> check_output("no such folder/model.gl")
    Traceback (most recent call last):
    gradlite.cli.files.OutputError: there is no folder 'no such folder' ...
    """
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise OutputError(f"{path!r} is a folder: give the name of a file in it.")
    if not os.path.isdir(folder):
        raise OutputError(
            f"there is no folder {folder!r} to write {os.path.basename(path)!r} to: make it first "
            f"(mkdir -p {shlex.quote(folder)}), or give another path."
        )
    if os.path.exists(path) and not force:
        raise OutputError(
            f"{path!r} exists already: --force replaces it, --out gives another name."
        )
    if not os.access(folder, os.W_OK):
        raise OutputError(
            f"no permission to write in the folder {folder!r}: give a path where you may write."
        )


@contextmanager
def replacing(path: str) -> Iterator[TextIO]:
    """Give a new text file, which takes the place of `path` when all has gone well.

    Parameters
    ----------
    path : str
        Where the file will be. Links are followed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "note.txt")
    ...     with replacing(str(path)) as file:
    ...         _ = file.write("hello")
    ...         path.exists()
    ...     path.read_text()
    False
    'hello'
    """
    with replacing_file(os.path.realpath(path)) as file:
        text = TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()


@contextmanager
def uninterrupted() -> Iterator[list[int]]:
    """Hold Ctrl-C back while something is finished.

    Yields
    ------
    list
        Empty, unless Ctrl-C came inside.

    Examples
    --------
    >>> import signal
    >>> with uninterrupted() as came:
    ...     signal.raise_signal(signal.SIGINT)
    >>> bool(came)
    True
    """
    came: list[int] = []
    if current_thread() is not main_thread():  # Ctrl-C does not come here
        yield came
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def write_text(path: str, text: str) -> None:
    """Write a whole text file at once."""
    with replacing(path) as file:
        file.write(text)
