"""Programs written for micrograd, run unchanged: ``python -m gradlite run script.py``."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import BuiltinImporter, SourceFileLoader
from pkgutil import get_importer
from types import ModuleType, TracebackType
from typing import Any

from gradlite.errors import printable
from gradlite.scalar.redirect import install
from gradlite.scalar.sources import parse

DATA = frozenset({".csv", ".tsv", ".json", ".txt", ".md"})  # Python can often parse it


def run(program: str, args: Sequence[str], module: bool = False) -> int:
    """Run a program as Python does, with its imports redirected, and return the exit code.

    `program` is the path of a script, of a folder or of a zip file with a ``__main__.py``; if
    `module` is true, the name of a module, as after ``python -m``. `args` are its arguments. The
    exit code is 2, after a line on stderr, if the program does not exist. An exception that it does
    not catch ends the process as under plain Python, with the program's own traceback. This is for
    the command line: ``sys`` is left as the program leaves it.
    """
    if module and printable(program) != program:  # Python would show it as it is
        return refuse(f"a module's name cannot have control characters: {program!r}")
    importer = get_importer(program) if program and not module else None
    if not module and importer is None:
        return run_script(program, args)
    if importer is not None and importer.find_spec("__main__") is None:
        return refuse(f"there is no __main__.py in {program!r}: name a script")
    place = os.getcwd() if module or program == "." else os.path.join(os.getcwd(), program)
    if not sys.flags.safe_path:
        sys.path[0] = place
    elif not module:
        sys.path.insert(0, place)
    sys.argv = ["-m" if module else program, *args]
    sys.modules["__main__"] = main_module(None)
    start = runpy._run_module_as_main  # type: ignore[attr-defined]  # as Python itself does
    name = program if module else "__main__"
    return redirected(place, lambda: start(name, alter_argv=module))


def run_script(script: str, args: Sequence[str]) -> int:
    """Run a file."""
    try:
        with open(script, "rb") as file:
            source = file.read()
    except OSError as error:
        return refuse(f"cannot read {script!r}: {error.strerror}")
    suffix = os.path.splitext(script)[1].lower()
    if suffix == ".ipynb":
        return refuse(
            f"{script!r} is a notebook: run it in Jupyter, with `%load_ext gradlite.scalar` in its "
            f"first cell, or make a script of it: jupyter nbconvert --to script"
        )
    is_python = parse(source) is not None
    is_script = suffix in (".py", ".pyw") or (not suffix and b"\0" not in source)
    if suffix in DATA or not (is_python or is_script):
        return refuse(f"{script!r} is not a Python script")
    if not is_python:  # Python says what is wrong
        import subprocess

        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        return subprocess.call([sys.executable, *flags, script, *args])
    directory = os.path.dirname(os.path.realpath(script))
    if not sys.flags.safe_path:
        sys.path[0] = directory
    sys.argv = [script, *args]
    path = os.path.join(os.getcwd(), script)
    main = sys.modules["__main__"] = main_module(path)

    def start() -> None:
        exec(compile(source, path, "exec", dont_inherit=True), vars(main))

    return redirected(directory, start)


def redirected(directory: str, start: Callable[[], object]) -> int:
    """Start a program with its imports redirected."""
    install(directory)
    try:
        start()
    except SystemExit:
        raise
    except BaseException:
        sys.excepthook = without_our_frames(getattr(sys, "excepthook", sys.__excepthook__))
        raise
    return 0


def main_module(script: str | None) -> ModuleType:
    """Return the ``__main__`` module that Python would make for a script or a module."""
    module = ModuleType("__main__")
    vars(module).update(
        __loader__=SourceFileLoader("__main__", script) if script else BuiltinImporter,
        __annotations__={},
        __builtins__=sys.modules["builtins"],
    )
    if script:
        vars(module).update(__file__=script, __cached__=None)
    return module


def refuse(what: str) -> int:
    """Print in one line why there is nothing to run, and return the exit code."""
    print(f"gradlite: error: {what}", file=sys.stderr)
    return 2


Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]


def without_our_frames(shown: Hook) -> Hook:
    """Return a ``sys.excepthook`` that shows exceptions as if plain Python ran the program."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.excepthook = shown
        while trace is not None and trace.tb_frame.f_code is not redirected.__code__:
            trace = trace.tb_next
        for _ in range(2):  # `redirected`, and what it starts
            trace = trace and trace.tb_next
        error.__traceback__ = sys.last_traceback = trace
        shown(kind, error, trace)

    return hook
