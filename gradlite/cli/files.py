"""Files that the commands write: checked before the work, and written completely or not at all."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from threading import current_thread, main_thread
from typing import Any, TextIO

from gradlite.errors import GradliteError
from gradlite.persist import replacing_file


class OutputError(GradliteError, OSError):
    """A file cannot be written to the given path, or must not be replaced."""


def check_output(path: str, force: bool = False) -> None:
    """Raise OutputError, before any work, for a path that cannot be written.

    Such a path is a folder, is in a folder that does not exist or is not writeable, or is an
    existing file without `force` to replace it.

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
        raise OutputError(f"{path!r} exists already: --force replaces it, or give another name.")
    if not os.access(folder, os.W_OK):
        raise OutputError(
            f"no permission to write in the folder {folder!r}: give a path where you may write."
        )


@contextmanager
def replacing(path: str) -> Iterator[TextIO]:
    """Yield a new text file, which replaces `path` if no error is raised; links are followed.

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


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived; handled as Ctrl-C is."""


@contextmanager
def terminable() -> Iterator[None]:
    """Make SIGTERM raise `Terminated`, as Ctrl-C raises KeyboardInterrupt.

    Examples
    --------
    >>> import signal
    >>> try:
    ...     with terminable():
    ...         signal.raise_signal(signal.SIGTERM)
    ... except Terminated:
    ...     print("ended")
    ended
    """
    came: list[int] = []

    def end(number: int, frame: Any) -> None:
        came.append(number)
        raise Terminated

    with handling({signal.SIGTERM: end}):
        try:
            yield
        except KeyboardInterrupt as error:  # a library has raised it in place of Terminated
            if came:
                raise Terminated from error
            raise


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the block has ended, and raise them then.

    Examples
    --------
    >>> import signal
    >>> try:
    ...     with uninterrupted():
    ...         signal.raise_signal(signal.SIGINT)
    ...         print("finished")
    ... except KeyboardInterrupt:
    ...     print("interrupted")
    finished
    interrupted
    """
    came: list[int] = []

    def wait(number: int, frame: Any) -> None:
        came.append(number)

    with handling({signal.SIGINT: wait, signal.SIGTERM: wait}):
        yield
    if came:
        raise Terminated if signal.SIGTERM in came else KeyboardInterrupt


@contextmanager
def handling(handlers: dict[int, Callable[[int, Any], None]]) -> Iterator[None]:
    """Handle signals in the block, in the main thread; those ignored (by nohup) stay ignored."""
    before = {}
    if current_thread() is main_thread():
        for number, handler in handlers.items():
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def write_text(path: str, text: str) -> None:
    """Write a complete text file."""
    with replacing(path) as file:
        file.write(text)
