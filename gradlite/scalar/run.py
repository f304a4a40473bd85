"""Programs written for micrograd, run unchanged: ``python -m gradlite run script.py``."""

from __future__ import annotations

import os
import runpy
import sys
from ast import Module
from collections.abc import Callable, Sequence
from importlib.machinery import BuiltinImporter, ModuleSpec, SourceFileLoader
from pkgutil import get_importer
from types import ModuleType, TracebackType
from typing import Any

from gradlite.scalar.redirect import OFFERED, Finder, install
from gradlite.scalar.sources import find_original, imported, parse, source_of

DATA = frozenset({".csv", ".tsv", ".json", ".txt", ".md"})  # Python can often parse it


def run(program: str, args: Sequence[str], module: bool = False) -> int:
    """Run a program as Python does, with its imports redirected.

    For the command line: it leaves ``sys`` as the program would find and leave it.

    Parameters
    ----------
    program : str
        The path of a script, or of a folder or zip file with a ``__main__.py``.
    args : sequence of str
        What the program finds in ``sys.argv[1:]``.
    module : bool, default False
        Whether `program` is the name of a module instead, as after ``python -m``.

    Returns
    -------
    int
        The exit code: 2, with a line on stderr, if there is no such program.

    Raises
    ------
    BaseException
        What the program raises. Unless caught, it ends the process as under plain Python, with
        the program's own traceback.
    """
    if module:
        return run_module(program, args)
    importer = get_importer(program) if program else None
    if importer is not None:
        return run_folder(program, args, importer)
    return run_script(program, args)


def run_script(script: str, args: Sequence[str]) -> int:
    """Run a file."""
    try:
        with open(script, "rb") as file:
            source = file.read()
    except OSError as error:
        return refuse(f"cannot read {script!r}: {error.strerror}")
    tree = parse(source)
    suffix = os.path.splitext(script)[1].lower()
    if suffix == ".ipynb":
        return refuse(
            f"{script!r} is a notebook: run it in Jupyter, with `%load_ext gradlite.scalar` in its "
            f"first cell, or make a script of it: jupyter nbconvert --to script"
        )
    is_script = suffix in (".py", ".pyw") or (not suffix and b"\0" not in source)
    if suffix in DATA or (tree is None and not is_script):
        return refuse(f"{script!r} is not a Python script")
    if tree is None:
        return leave_to_python(script, args)
    directory = os.path.dirname(os.path.realpath(script))
    if not sys.flags.safe_path:
        sys.path[0] = directory
    sys.argv = [script, *args]
    path = os.path.join(os.getcwd(), script)

    def start() -> None:
        exec(compile(source, path, "exec", dont_inherit=True), vars(main))

    main = sys.modules["__main__"] = main_module(path)
    return redirected(directory, tree, start)


def run_folder(folder: str, args: Sequence[str], importer: Any) -> int:
    """Run the ``__main__.py`` of a folder or zip file."""
    spec = importer.find_spec("__main__")
    if spec is None:
        return refuse(f"there is no __main__.py in {folder!r}: name a script")
    place = os.getcwd() if folder == "." else os.path.join(os.getcwd(), folder)
    if sys.flags.safe_path:
        sys.path.insert(0, place)
    else:
        sys.path[0] = place
    sys.argv = [folder, *args]
    sys.modules["__main__"] = main_module(None)
    start = runpy._run_module_as_main  # type: ignore[attr-defined]  # as ``python folder`` does
    return redirected(folder, source_of(spec)[1], lambda: start("__main__", alter_argv=False))


def run_module(name: str, args: Sequence[str]) -> int:
    """Run a module, or a package with a ``__main__``, by its name."""
    if not sys.flags.safe_path:
        sys.path[0] = os.getcwd()
    sys.argv = ["-m", *args]
    sys.modules["__main__"] = main_module(None)
    start = runpy._run_module_as_main  # type: ignore[attr-defined]  # as ``python -m`` does
    return redirected(os.getcwd(), source_of(find_module(name))[1], lambda: start(name))


def find_module(name: str) -> ModuleSpec | None:
    """Find what a name means to ``python -m``, without importing the packages that it is in."""
    spec, places = None, None
    for end, letter in enumerate(f"{name}."):
        if letter == ".":
            spec = find_original(name[:end], places, Finder)
            places = spec.submodule_search_locations if spec else None
            if places is None:
                return spec if end == len(name) else None
    return find_original(f"{name}.__main__", places, Finder)


def redirected(directory: str, tree: Module, start: Callable[[], object]) -> int:
    """Start a program with its imports redirected."""
    install(directory, list(dict.fromkeys(imported(tree, OFFERED))))
    try:
        start()
    except SystemExit:
        raise
    except BaseException:
        sys.excepthook = without_our_frames(getattr(sys, "excepthook", sys.__excepthook__))
        raise
    return 0


def main_module(script: str | None) -> ModuleType:
    """Make the ``__main__`` that Python makes, for a script or for what it finds by a name."""
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
    """Say in one line why there is nothing to run."""
    print(f"gradlite: error: {what}", file=sys.stderr)
    return 2


def leave_to_python(script: str, args: Sequence[str]) -> int:
    """Let Python say what is wrong with a file that it cannot parse."""
    import subprocess

    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return subprocess.call([sys.executable, *flags, script, *args])


Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]


def without_our_frames(shown: Hook) -> Hook:
    """Make the ``sys.excepthook`` that shows an exception as if nobody had run the script."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.excepthook = shown
        while trace is not None and trace.tb_frame.f_code is not redirected.__code__:
            trace = trace.tb_next
        for _ in range(2):  # `redirected`, and what it starts
            trace = trace and trace.tb_next
        error.__traceback__ = sys.last_traceback = trace
        shown(kind, error, trace)

    return hook
