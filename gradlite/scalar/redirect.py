"""Programs written for micrograd, unchanged: what they import is gradlite's scalar API here.

`Finder` is the redirection, a finder on ``sys.meta_path``. ``python -m gradlite run script.py``
(see `run`) and, in a notebook, ``%load_ext gradlite.scalar`` put it there.
"""

from __future__ import annotations

import ast
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType, TracebackType
from typing import Any

from gradlite.scalar import engine, neural_net, nn

VALUE = {"Value": engine.Value}
MICROGRAD = {**VALUE, **{name: getattr(nn, name) for name in ("Module", "Neuron", "Layer", "MLP")}}
NETWORKS = MICROGRAD | {"random": random}  # the original imports it: `nn.random.seed(1)`
TWO_FILE = {name: getattr(neural_net, name) for name in neural_net.__all__} | {"random": random}

# What each redirected module offers, and the file that shows it.
OFFERED: dict[str, tuple[dict[str, Any], str]] = {
    "micrograd": (MICROGRAD, "__init__.py"),
    "micrograd.engine": (VALUE, "engine.py"),
    "micrograd.nn": (NETWORKS, "nn.py"),
    "engine": (VALUE, "engine.py"),
    "nn": (TWO_FILE, "neural_net.py"),
    "neural_net": (TWO_FILE, "neural_net.py"),
}
# A file of the program is replaced if it defines one of these classes.
MARKS = {"engine": {"Value"}, "nn": {"Neuron", "MLP"}, "neural_net": {"Neuron", "MLP"}}


class Finder:
    """Finds gradlite's scalar API where a program imports micrograd, or its two-file version.

    Parameters
    ----------
    directory : str
        Where the program is. Of modules named ``engine``, ``nn`` and ``neural_net`` only those
        in this directory are replaced, if they define the original's classes.
    expected : sequence of str
        What the program is known to import, to be named together in one line on stderr.
    """

    def __init__(self, directory: str, expected: Sequence[str] = ()) -> None:
        self.directory = os.path.realpath(directory)
        self.expected = expected
        self.named: list[str] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the stand-in for a module; None leaves the module to the other finders."""
        if name not in OFFERED:
            return None
        names, shown = OFFERED[name]
        original = find_original(name, path)
        file, tree = source_of(original)
        if names is TWO_FILE and has_nonlin(tree):  # micrograd's file beside the script
            names, shown = OFFERED["micrograd.nn"]
        cut = Cut(names)
        tree = cut.visit(tree)
        ours = file and self.holds(file) and MARKS.get(name, set()) & cut.found
        if original is not None and name in MARKS and not ours:
            return None
        file = file or os.path.join(os.path.dirname(__file__), shown)
        loader = StandIn(self, name, file, tree, names)
        spec = spec_from_file_location(name, file, loader=loader)
        if spec is not None:
            places = original.submodule_search_locations if original else None
            spec.submodule_search_locations = places or ([] if name == "micrograd" else None)
        return spec

    def holds(self, file: str) -> bool:
        """Tell whether a module's file, or the package of an ``__init__.py``, is the program's."""
        directory, base = os.path.split(os.path.realpath(file))
        if base == "__init__.py":
            directory = os.path.dirname(directory)
        return directory == self.directory

    def announce(self, name: str) -> None:
        """Say in one line what is redirected, unless that has been said."""
        if any(covers(known, name) for known in self.named):
            return
        # The first time, what the program is known to import is named too.
        names = [] if self.named else list(self.expected)
        if not any(covers(known, name) for known in names):
            names.append(name)
        new = []
        for known in names:
            loader = self.stand_in(known)
            if loader is not None and known not in self.named:
                new.append(known)
                names += (other for other in imported(loader.tree) if other not in names)
        self.named += new
        verb = "is" if len(new) == 1 else "are"
        if sys.stderr is not None:
            print(f"gradlite: {', '.join(new)} {verb} gradlite.scalar here", file=sys.stderr)

    def stand_in(self, name: str) -> StandIn | None:
        """Give what makes the module of a name, if it is redirected."""
        package = name.rpartition(".")[0]
        parent = self.find_spec(package) if package else None
        spec = self.find_spec(name, parent.submodule_search_locations if parent else None)
        return spec.loader if spec and isinstance(spec.loader, StandIn) else None


class StandIn(SourceFileLoader):
    """Makes a module of gradlite's names; what else the replaced file does, it does too."""

    def __init__(
        self, finder: Finder, name: str, file: str, tree: ast.Module, names: Mapping[str, Any]
    ) -> None:
        super().__init__(name, file)
        self.finder, self.tree, self.names = finder, tree, names

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make the module, with gradlite's names in it, and say so."""
        self.finder.announce(spec.name)
        module = ModuleType(spec.name)
        vars(module).update(self.names)
        return module

    def get_code(self, fullname: str) -> CodeType:
        """Give the code of the replaced file without the classes that gradlite has."""
        code: CodeType = compile(self.tree, self.path, "exec", dont_inherit=True)
        return code


class Cut(ast.NodeTransformer):
    """Takes top-level classes of given names out of a file, and notes which it found."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names
        self.found: set[str] = set()

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:  # noqa: D102  # as in ast.NodeTransformer
        if node.name not in self.names:
            return node
        self.found.add(node.name)
        return ast.copy_location(ast.Pass(), node)

    def _leave(self, node: ast.AST) -> ast.AST:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _leave


def find_original(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """Find the module that would be imported if nothing were redirected."""
    for finder in sys.meta_path:
        if not isinstance(finder, Finder):
            spec = finder.find_spec(name, path)
            if spec is not None:
                # A script called micrograd.py means the package all the same.
                script = getattr(sys.modules["__main__"], "__file__", None)
                if name == "micrograd" and script and spec.origin == os.path.realpath(script):
                    return None
                return spec
    return None


def source_of(spec: ModuleSpec | None) -> tuple[str, ast.Module]:
    """Give the file of a module and what is in it; '' and nothing if it has no readable source."""
    tree = None
    if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
        try:
            with open(spec.origin, "rb") as file:
                tree = parse(file.read())
        except OSError:
            pass
        if tree is not None:
            return spec.origin, tree
    return "", ast.Module([], [])


def parse(source: bytes) -> ast.Module | None:
    """Parse a file in silence: whoever compiles it will be warned. None if that is not possible."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError):
            return None
        except (RecursionError, MemoryError):  # it is valid, but nested too deep to look into
            return ast.Module([], [])


def has_nonlin(tree: ast.Module) -> bool:
    """Tell micrograd's networks, whose neurons take ``nonlin``, from the two-file version's."""
    return any(isinstance(node, ast.arg) and node.arg == "nonlin" for node in ast.walk(tree))


def imported(tree: ast.Module) -> Iterator[str]:
    """Give what a program imports of the modules that can be redirected."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name if name in OFFERED else str(node.module) for name in inside]
        else:
            continue
        for name in modules:
            if name in OFFERED or name.startswith("micrograd."):
                yield name if name in OFFERED else "micrograd"


def covers(known: str, name: str) -> bool:
    """Tell whether naming one module names the other: micrograd and micrograd.engine do."""
    return known == name or known.startswith(f"{name}.") or name.startswith(f"{known}.")


def install(directory: str, expected: Sequence[str] = ()) -> None:
    """Redirect imports from now on; modules that are loaded already are loaded anew."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    finder = Finder(directory, expected)
    sys.meta_path.insert(0, finder)
    for name in OFFERED.keys() & sys.modules.keys():
        ours = name not in MARKS or (find_original(name, None) and finder.stand_in(name))
        if ours:
            del sys.modules[name]


def load_ipython_extension(ipython: object) -> None:
    """Redirect a notebook's imports: ``%load_ext gradlite.scalar``."""
    install(os.getcwd())


def unload_ipython_extension(ipython: object) -> None:
    """Let imports find what they found before: ``%unload_ext gradlite.scalar``."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    for name in OFFERED.keys() & sys.modules.keys():
        if isinstance(getattr(sys.modules[name].__spec__, "loader", None), StandIn):
            del sys.modules[name]


def run(script: str, args: Sequence[str]) -> int:
    """Run a script as ``python script.py args`` does, with its imports redirected.

    For the command line: it leaves ``sys`` as the script would find and leave it.

    Parameters
    ----------
    script : str
        The path of the script.
    args : sequence of str
        What the script finds in ``sys.argv[1:]``.

    Returns
    -------
    int
        The exit code: 2, with a line on stderr, if there is no such file.

    Raises
    ------
    BaseException
        What the script raises. Unless caught, it ends the process as under plain Python, with
        the script's own traceback.
    """
    try:
        with open(script, "rb") as file:
            source = file.read()
    except OSError as error:
        print(f"gradlite: error: cannot read {script!r}: {error.strerror}", file=sys.stderr)
        return 2
    tree = parse(source)
    if tree is None:
        return leave_to_python(script, args)
    directory = os.path.dirname(os.path.realpath(script))
    if not sys.flags.safe_path:
        sys.path[0] = directory
    sys.argv = [script, *args]
    path = os.path.join(os.getcwd(), script)
    main = sys.modules["__main__"] = main_module(path)
    install(directory, list(dict.fromkeys(imported(tree))))
    try:
        exec(compile(source, path, "exec", dont_inherit=True), vars(main))
    except SystemExit:
        raise
    except BaseException:
        sys.excepthook = without_our_frames(getattr(sys, "excepthook", sys.__excepthook__))
        raise
    return 0


def main_module(path: str) -> ModuleType:
    """Make the ``__main__`` that Python makes for a script."""
    module = ModuleType("__main__")
    vars(module).update(
        __loader__=SourceFileLoader("__main__", path),
        __annotations__={},
        __builtins__=sys.modules["builtins"],
        __file__=path,
        __cached__=None,
    )
    return module


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
        while trace is not None and trace.tb_frame.f_code is not run.__code__:
            trace = trace.tb_next
        trace = trace and trace.tb_next
        error.__traceback__ = sys.last_traceback = trace
        shown(kind, error, trace)

    return hook
