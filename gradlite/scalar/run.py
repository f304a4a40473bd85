"""Scripts and notebooks written for micrograd, run as they are on gradlite's scalar API.

`Redirect` answers their imports: ``micrograd``, its ``engine`` and its ``nn`` always; the modules
``engine``, ``nn`` and ``neural_net`` of the version in two files where there is no such module, or
where the file next to the script is that version. `run` does for a script what Python does.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import importlib
import os
import signal
import sys
import tokenize
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

ENGINE = ("Value",)
CLASSES = ("Value", "Module", "Neuron", "Layer", "MLP")

# What each module is taken from, and the names it has.
HOMES: dict[str, tuple[str, Sequence[str]]] = {
    "micrograd": ("gradlite.scalar", ()),
    "micrograd.engine": ("gradlite.scalar.engine", ENGINE),
    "micrograd.nn": ("gradlite.scalar.nn", CLASSES),
    "engine": ("gradlite.scalar.engine", ENGINE),
    "nn": ("gradlite.scalar.neural_net", CLASSES),
    "neural_net": ("gradlite.scalar.neural_net", CLASSES),
}
# By which classes a file next to the script shows that it is of the version in two files.
SIGNS = {"engine": {"Value"}, "nn": {"Neuron", "MLP"}, "neural_net": {"Neuron", "MLP"}}


class Redirect(MetaPathFinder, Loader):
    """Finds the modules of micrograd in gradlite.

    Parameters
    ----------
    folder : Path
        Where the script is.
    announced : set of str
        The modules that the script names, to be announced with the first.
    """

    def __init__(self, folder: Path, announced: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.folder = folder
        self.expected = announced
        self.said: set[str] = set()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Answer an import, if it is one of ours."""
        if fullname not in HOMES or not self.redirects(fullname):
            return None
        self.announce(fullname)
        spec = spec_from_loader(fullname, self, is_package=fullname == "micrograd")
        if spec is not None and fullname == "micrograd":
            real = PathFinder.find_spec(fullname)  # its other modules can still be imported
            spec.submodule_search_locations = list(
                real.submodule_search_locations or () if real is not None else ()
            )
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Give a module the classes of gradlite; other names come from the file next to it."""
        home, names = HOMES[module.__name__]
        local = self.local(module.__name__)
        tree = parsed(local) if local is not None else None
        if tree is not None and module.__name__ != "engine" and has_nonlin(tree):
            home = "gradlite.scalar.nn"  # the ReLU neurons of micrograd in one folder
        source = importlib.import_module(home)
        for name in names:
            setattr(module, name, getattr(source, name))
        if local is None or tree is None:
            return
        module.__file__ = str(local)
        module.__all__ = sorted({*names, *top_level(tree)})  # type: ignore[attr-defined]
        loaded: list[ModuleType] = []

        def other_name(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            if not loaded:
                loaded.append(load(local, module.__name__))
            return getattr(loaded[0], name)

        module.__getattr__ = other_name  # type: ignore[method-assign]

    def redirects(self, name: str) -> bool:
        """Tell whether a module comes from gradlite."""
        if name not in SIGNS:
            return True
        if PathFinder.find_spec(name) is None:
            return True
        return self.local(name) is not None

    def local(self, name: str) -> Path | None:
        """Give the file next to the script that is this module in the version in two files."""
        spec = PathFinder.find_spec(name) if name in SIGNS else None
        if spec is None or spec.origin is None:
            return None
        file = Path(spec.origin)
        place = file.parent.parent if file.name == "__init__.py" else file.parent
        tree = parsed(file) if place.resolve() == self.folder.resolve() else None
        if tree is None:
            return None
        return file if SIGNS[name] & {c.name for c in classes(tree)} else None

    def announce(self, name: str) -> None:
        """Say on stderr, once, what comes from gradlite."""
        if name in self.said or name == "micrograd":
            return
        names = {n for n in self.expected if n != "micrograd" and self.redirects(n)} | {name}
        new = sorted(names - self.said)
        self.said |= names
        verb = "is" if len(new) == 1 else "are"
        print(f"gradlite: {', '.join(new)} {verb} gradlite.scalar here", file=sys.stderr)

    def install(self) -> None:
        """Answer imports from now on."""
        forget()
        sys.meta_path.insert(0, self)


def forget() -> None:
    """Take away what answers imports, and the modules that came of it or would be in its way."""
    for finder in [f for f in sys.meta_path if isinstance(f, Redirect)]:
        sys.meta_path.remove(finder)
    for name in HOMES:
        module = sys.modules.get(name)
        if module is not None and (
            name.startswith("micrograd") or isinstance(module.__loader__, Redirect)
        ):
            del sys.modules[name]


def parsed(file: Path) -> ast.Module | None:
    """Parse a Python file, without running it."""
    try:
        with tokenize.open(file) as text:
            return ast.parse(text.read())
    except (OSError, SyntaxError, ValueError):
        return None


def classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    """Give the classes that a module defines."""
    return (node for node in tree.body if isinstance(node, ast.ClassDef))


def has_nonlin(tree: ast.Module) -> bool:
    """Tell whether a Neuron takes ``nonlin``: then it is micrograd's."""
    neurons = [node for kind in classes(tree) if kind.name == "Neuron" for node in kind.body]
    takes = [n.args.args + n.args.kwonlyargs for n in neurons if isinstance(n, ast.FunctionDef)]
    return any(arg.arg == "nonlin" for args in takes for arg in args)


def top_level(tree: ast.Module) -> set[str]:
    """Give the public names that a module defines."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        else:
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and _stored(n)}
    return {name for name in names if not name.startswith("_") and name != "*"}


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def load(file: Path, name: str) -> ModuleType:
    """Run the file next to the script, for what gradlite does not have."""
    spec = spec_from_file_location(f"_{name}_next_to_the_script", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def imports(tree: ast.Module) -> set[str]:
    """Give the modules of micrograd that a script names."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & HOMES.keys()


def run(script: str, args: Sequence[str]) -> int:
    """Run a script as ``python script args`` does, with micrograd's modules from gradlite.

    Parameters
    ----------
    script : str
        The path of a file.
    args : sequence of str
        Its arguments.

    Returns
    -------
    int
        The exit code: 0, 1 if the script failed, 2 if there is no such file.

    Raises
    ------
    SystemExit
        The script's own.
    """
    try:
        source = Path(script).read_bytes()
    except OSError as error:
        problem = "it is a folder" if os.path.isdir(script) else error.strerror
        print(f"gradlite run: cannot open {script!r}: {problem}", file=sys.stderr)
        return 2
    folder = os.path.dirname(os.path.realpath(script))
    file = os.path.join(os.getcwd(), script)  # what Python calls it, but for sys.argv
    sys.argv = [script, *args]
    if not sys.flags.safe_path:
        sys.path[0] = folder
    module = ModuleType("__main__")
    module.__dict__.update(
        __annotations__={},
        __builtins__=builtins,
        __cached__=None,
        __file__=file,
        __loader__=SourceFileLoader("__main__", file),
    )
    sys.modules["__main__"] = module
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        tree = ast.Module([], [])  # compile says what is wrong
    Redirect(Path(folder), imports(tree)).install()
    try:
        exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        frames = error.__traceback__.tb_next if error.__traceback__ is not None else None
        sys.excepthook(type(error), error.with_traceback(frames), frames)
        if isinstance(error, KeyboardInterrupt):
            _die_interrupted()
        return 1
    return 0


def _die_interrupted() -> None:
    """End as Python does after Ctrl-C: by the signal, so that a shell stops as well."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


def load_ipython_extension(ipython: Any) -> None:
    """Answer a notebook's imports of micrograd: ``%load_ext gradlite.scalar``."""
    Redirect(Path.cwd()).install()


def unload_ipython_extension(ipython: Any) -> None:
    """Leave the imports of a notebook alone again."""
    forget()
