"""Redirect imports of micrograd to gradlite's scalar API.

``python -m gradlite run script.py`` (see gradlite.scalar.run) and, in a notebook,
``%load_ext gradlite.scalar`` put a `Finder` on ``sys.meta_path``. The program's own package is left
as it is if it has more than the original.
"""

from __future__ import annotations

import ast
import os
import random
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pkgutil import iter_modules
from types import CodeType, ModuleType
from typing import Any

from gradlite.scalar import engine, neural_net, nn
from gradlite.scalar.ops import FUNCTIONS
from gradlite.scalar.sources import (
    activations,
    classes,
    definitions,
    has_nonlin,
    lacking,
    source_of,
)

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
PACKAGE = ("micrograd", "micrograd.engine", "micrograd.nn")
# A file of the program is replaced if it defines one of these classes.
MARKS = {"engine": {"Value"}, "nn": {"Neuron", "MLP"}, "neural_net": {"Neuron", "MLP"}}


class Finder:
    """Finds gradlite's scalar API where a program imports micrograd, or its two-file version.

    Parameters
    ----------
    directory : str
        The program's directory. Modules named ``engine``, ``nn`` and ``neural_net`` are replaced
        only if they are in this directory and define the original's classes.
    said : sequence of str
        The topics of the lines already written to stderr, maybe by another process.
    """

    def __init__(self, directory: str, said: Sequence[str] = ()) -> None:
        self.directory = os.path.realpath(directory)
        self.said = list(said)

    def __reduce__(self) -> Any:
        # A process that unpickles it has its imports redirected from then on.
        return install, (self.directory, self.said)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that replaces a module; None leaves it to the other finders."""
        if name.rpartition(".")[2] in STARTERS:
            follow(name)
        if name not in OFFERED:
            return None
        spec, own = self.look_up(name, path)
        if own:
            shown = ", ".join(own[:3]) + (", and more" if len(own) > 3 else "")
            self.say(own[0], name, f"the program's own here: it has {shown}")
        return spec

    def look_up(
        self, name: str, path: Sequence[str] | None = None
    ) -> tuple[ModuleSpec | None, list[str]]:
        """Return what replaces a module, or what the program's own has that prevents it."""
        original = find_original(name, path)
        file, tree = source_of(original)
        if name in PACKAGE:
            own = additions_of_package()
        elif original is None or self.is_replaceable(name, file, tree):
            own = additions(name, tree)
            if name != "engine":  # what replaces it computes with our Values
                own += self.look_up("engine")[1]
        else:
            return None, []
        if own:
            return None, own
        names, shown = version(name, tree)
        file = file or os.path.join(os.path.dirname(__file__), shown)
        loader = RedirectLoader(self, name, file, ClassRemover(names).visit(tree), names)
        spec = spec_from_file_location(name, file, loader=loader)
        if spec is not None:
            places = original.submodule_search_locations if original else None
            spec.submodule_search_locations = places or ([] if name == "micrograd" else None)
        return spec, []

    def is_replaceable(self, name: str, file: str, tree: ast.Module) -> bool:
        """Return whether a file of the program defines one of the original's classes."""
        directory, base = os.path.split(os.path.realpath(file))
        if base == "__init__.py":  # a package counts by it
            directory = os.path.dirname(directory)
        return directory == self.directory and not MARKS[name].isdisjoint(classes(tree))

    def say(self, topic: str, name: str, what: str) -> None:
        """Write a line to stderr about a top-level module, once for each topic."""
        if topic not in self.said:
            self.said.append(topic)
            if sys.stderr is not None:
                print(f"gradlite: {name.partition('.')[0]} is {what}", file=sys.stderr)


class RedirectLoader(SourceFileLoader):
    """Loads a module with gradlite's classes that also runs the rest of the replaced file."""

    def __init__(
        self, finder: Finder, name: str, file: str, tree: ast.Module, names: Mapping[str, Any]
    ) -> None:
        super().__init__(name, file)
        self.finder, self.tree, self.names = finder, tree, names
        self.is_import = False

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Run the module with gradlite's classes in it, and report it."""
        self.finder.say(spec.name.partition(".")[0], spec.name, "gradlite.scalar here")
        self.is_import = True
        module = ModuleType(spec.name)
        vars(module).update(self.names)
        return module

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the code of the replaced file without the classes that gradlite has."""
        if not self.is_import:  # but ``python -m engine``
            return super().get_code(fullname)
        code: CodeType = compile(self.tree, self.path, "exec", dont_inherit=True)
        return code


class ClassRemover(ast.NodeTransformer):
    """Removes top-level classes of given names from a file."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:  # noqa: D102  # as in ast.NodeTransformer
        return ast.copy_location(ast.Pass(), node) if node.name in self.names else node

    def _leave(self, node: ast.AST) -> ast.AST:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _leave


def find_original(name: str, path: Sequence[str] | None = None) -> ModuleSpec | None:
    """Return the spec of the module that would be imported without a `Finder`."""
    for finder in sys.meta_path:
        spec = None if isinstance(finder, Finder) else finder.find_spec(name, path)
        if spec is not None:
            # In a script called micrograd.py, too, the name means the package.
            script = getattr(sys.modules["__main__"], "__file__", None)
            is_script = name == "micrograd" and script and spec.origin == os.path.realpath(script)
            return None if is_script else spec
    return None


def version(name: str, tree: ast.Module) -> tuple[dict[str, Any], str]:
    """Return what replaces a file; its neurons tell which version of the original it is."""
    if "Neuron" in classes(tree) and OFFERED[name][0] is not VALUE:
        name = "micrograd.nn" if has_nonlin(tree) else "neural_net"
    return OFFERED[name]


def additions(name: str, tree: ast.Module) -> list[str]:
    """List what the classes of a file have that gradlite's lack."""
    names, _ = version(name, tree)
    found = list(lacking(tree, names))
    if names is not VALUE and not {"Neuron", "MLP"}.isdisjoint(classes(tree)):
        usual = {"tanh"} if names is TWO_FILE else {"relu"}
        if activations(tree, FUNCTIONS) != usual:
            found.append("another Neuron")
    return found


def additions_of_package() -> list[str]:
    """List what the package micrograd that would be imported has and the original lacks."""
    package = find_original("micrograd")
    if package is None:
        return []
    places = package.submodule_search_locations
    inside = [module.name for module in iter_modules(places)] if places else []
    if package.origin is None and not {"engine", "nn"}.intersection(inside):
        return []  # no package: the folder of its repository, say
    found = [name for name in inside if name not in ("engine", "nn", "tests") and name[0] != "_"]
    for name in PACKAGE:
        _, tree = source_of(find_original(name, places) if "." in name else package)
        found += [n for n, _ in definitions(tree) if n not in MICROGRAD and n[0] != "_"]
        found += additions(name, tree)
    return found


def install(directory: str, said: Sequence[str] = ()) -> None:
    """Redirect imports from now on; modules that were loaded already are loaded again."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    finder = Finder(directory, said)
    sys.meta_path.insert(0, finder)
    loaded = [name for name in OFFERED if name in sys.modules]
    places = [
        getattr(sys.modules.get(name.rpartition(".")[0]), "__path__", None) for name in loaded
    ]
    for name, path in zip(loaded, places, strict=True):
        # What no finder finds was made by hand, and stays.
        if (name in PACKAGE or find_original(name)) and finder.look_up(name, path)[0]:
            del sys.modules[name]
    for name in [name for name in sys.modules if name.rpartition(".")[2] in STARTERS]:
        follow(name)


# The modules of multiprocessing and joblib that start worker processes with nothing loaded.
STARTERS = frozenset(
    {"popen_spawn_posix", "popen_spawn_win32", "popen_forkserver"}
    | {"popen_loky_posix", "popen_loky_win32"}
)


def follow(starter: str) -> None:
    """Send finders to worker processes, which unpickle them before they import the program."""
    package, _, last = starter.rpartition(".")
    spawn: Any = import_module(f"{package}.spawn")
    prepare = spawn.get_preparation_data

    def get_preparation_data(*args: Any, **kwargs: Any) -> dict[str, Any]:
        finders = [finder for finder in sys.meta_path if isinstance(finder, Finder)]
        return {**prepare(*args, **kwargs), "gradlite": finders}

    spawn.get_preparation_data = get_preparation_data
    if last == "popen_forkserver":  # it would import the program before
        import_module(f"{package}.forkserver").set_forkserver_preload([])


def load_ipython_extension(ipython: object) -> None:
    """Redirect a notebook's imports: ``%load_ext gradlite.scalar``."""
    install(os.getcwd())


def unload_ipython_extension(ipython: object) -> None:
    """Stop redirecting imports: ``%unload_ext gradlite.scalar``."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    for name in OFFERED.keys() & sys.modules.keys():
        if isinstance(getattr(sys.modules[name].__spec__, "loader", None), RedirectLoader):
            del sys.modules[name]
