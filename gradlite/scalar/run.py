"""Programs written for micrograd, run unchanged: ``python -m gradlite run script.py``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pkgutil import get_importer

from gradlite.errors import printable
from gradlite.scalar.redirect import redirect_children
from gradlite.scalar.sources import parse

DATA = frozenset({".csv", ".tsv", ".json", ".txt", ".md"})  # Python can often parse it


def run(program: str, args: Sequence[str], module: bool = False) -> int:
    """Run a program in a Python whose imports are redirected.

    Python starts again in this process, with the same options and without ``-m gradlite run``, so
    this does not return. On Windows, or if ``gradlite run`` is not what this process was started
    for, it is another process.

    Parameters
    ----------
    program : str
        The path of a script, of a folder or of a zip file with a ``__main__.py``, or ``-`` for
        stdin; if `module` is true, the name of a module, as after ``python -m``.
    args : sequence of str
        Its arguments.

    Returns
    -------
    int
        The exit code: that of the program, or 2, after a line on stderr, if there is none.
    """
    fault = fault_of(program, module)
    if fault:
        print(f"gradlite: error: {fault}", file=sys.stderr)
        return 2
    directory = os.getcwd()
    if not module:
        is_script = get_importer(program) is None
        directory = os.path.dirname(os.path.realpath(program)) if is_script else program
    redirect_children(directory)
    # If this process is a command with `gradlite run` in it, do the same command without that.
    is_ours = sys.argv[1:2] == ["run"] and sys.argv[0] != "-c"
    is_ours = is_ours and sys.argv[-1 - len(args) :] == [program, *args]
    options = sys.orig_argv[1 : -len(sys.argv)] if is_ours else []
    if options and options[-1] in ("-m", "--module"):  # as other programs have it
        del options[-1]
    elif options and re.fullmatch("-[A-Za-z]+m", options[-1]):  # -Bm gradlite
        options[-1] = options[-1].removesuffix("m")
    command = [sys.executable, *options, *(["-m"] if module else []), program, *args]
    if is_ours and os.name != "nt":
        os.execv(sys.executable, command)
    import subprocess

    return subprocess.call(command)


def fault_of(path: str, module: bool) -> str:
    """Return why there is nothing to run by this path or name of a module; '' if there is."""
    if sys.flags.ignore_environment or sys.flags.no_site:
        return "imports cannot be redirected under Python's options -E, -I and -S: omit them"
    if module:
        unsafe = printable(path) != path  # Python would show it as it is
        return f"a module's name cannot have control characters: {path!r}" if unsafe else ""
    importer = get_importer(path) if path else None
    if importer is not None:
        is_empty = importer.find_spec("__main__") is None
        return f"there is no __main__.py in {path!r}: name a script" if is_empty else ""
    if path == "-" or (os.path.exists(path) and not os.path.isfile(path)):
        return ""  # stdin or a pipe can be read only once, which Python will do
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        return f"cannot read {path!r}: {error.strerror}"
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".ipynb":
        return (
            f"{path!r} is a notebook: run it in Jupyter, with `%load_ext gradlite.scalar` in its "
            f"first cell, or make a script of it: jupyter nbconvert --to script"
        )
    is_script = suffix in (".py", ".pyw") or (not suffix and b"\0" not in source)
    if suffix in DATA or not (is_script or parse(source) is not None):
        return f"{path!r} is not a Python script"
    return ""
