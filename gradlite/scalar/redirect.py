"""What a program imports of micrograd is gradlite's scalar API here.

`Finder` is the redirection, a finder on ``sys.meta_path``. ``python -m gradlite run script.py``
(see gradlite.scalar.run) and, in a notebook, ``%load_ext gradlite.scalar`` put it there. A package
of the program's own that is more than the original is left as it is.
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
    find_original,
    has_nonlin,
    imported,
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
        Where the program is. Of modules named ``engine``, ``nn`` and ``neural_net`` only those
        in this directory are replaced, if they define the original's classes.
    expected : sequence of str
        What the program is known to import, to be named together in one line on stderr.
    said : sequence of str
        What has been said already, in another process.
    """

    def __init__(
        self, directory: str, expected: Sequence[str] = (), said: Sequence[str] = ()
    ) -> None:
        self.directory = os.path.realpath(directory)
        self.expected = expected
        self.said = list(said)

    def __reduce__(self) -> Any:
        # A process that unpickles it has its imports redirected from then on.
        return install, (self.directory, self.expected, self.said)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the stand-in for a module; None leaves the module to the other finders."""
        if name.rpartition(".")[2] in STARTERS:
            follow(name)
        if name not in OFFERED:
            return None
        spec, own = self.look_up(name, path)
        if own and own[0] not in self.said:
            self.said.append(own[0])
            shown = ", ".join(own[:3]) + (", and more" if len(own) > 3 else "")
            self.say(f"{name.partition('.')[0]} is the program's own here: it has {shown}")
        return spec

    def look_up(
        self, name: str, path: Sequence[str] | None = None
    ) -> tuple[ModuleSpec | None, list[str]]:
        """Find the stand-in for a module, or what the program's own has that forbids one."""
        original = find_original(name, path, Finder)
        file, tree = source_of(original)
        if name in PACKAGE:
            own = additions_of_package()
        elif original is None or self.is_replaceable(name, file, tree):
            own = additions(name, tree)
            if name != "engine":  # what stands in for it computes with our Values
                own += self.look_up("engine")[1]
        else:
            return None, []
        if own:
            return None, own
        names, shown = version(name, tree)
        file = file or os.path.join(os.path.dirname(__file__), shown)
        loader = StandIn(self, name, file, Cut(names).visit(tree), names)
        spec = spec_from_file_location(name, file, loader=loader)
        if spec is not None:
            places = original.submodule_search_locations if original else None
            spec.submodule_search_locations = places or ([] if name == "micrograd" else None)
        return spec, []

    def is_replaceable(self, name: str, file: str, tree: ast.Module) -> bool:
        """Tell whether a file is the program's, and defines a class of the original's."""
        directory, base = os.path.split(os.path.realpath(file))
        if base == "__init__.py":  # a package counts by it
            directory = os.path.dirname(directory)
        return directory == self.directory and not MARKS[name].isdisjoint(classes(tree))

    def announce(self, name: str) -> None:
        """Say in one line what is redirected, unless that has been said."""
        if any(covers(known, name) for known in self.said):
            return
        # The first time, what the program is known to import is named too.
        names = [] if self.said else list(self.expected)
        if not any(covers(known, name) for known in names):
            names.append(name)
        new = []
        for known in names:
            loader = self.stand_in(known)
            if loader is not None and known not in self.said:
                new.append(known)
                names += (n for n in imported(loader.tree, OFFERED) if n not in names)
        self.said += new
        verb = "is" if len(new) == 1 else "are"
        self.say(f"{', '.join(new)} {verb} gradlite.scalar here")

    def say(self, line: str) -> None:
        """Write a line to stderr."""
        if sys.stderr is not None:
            print(f"gradlite: {line}", file=sys.stderr)

    def stand_in(self, name: str) -> StandIn | None:
        """Give what makes the module of a name, if it is redirected."""
        package = name.rpartition(".")[0]
        parent = self.look_up(package)[0] if package else None
        spec, _ = self.look_up(name, parent.submodule_search_locations if parent else None)
        return spec.loader if spec and isinstance(spec.loader, StandIn) else None


class StandIn(SourceFileLoader):
    """Makes a module of gradlite's names; what else the replaced file does, it does too."""

    def __init__(
        self, finder: Finder, name: str, file: str, tree: ast.Module, names: Mapping[str, Any]
    ) -> None:
        super().__init__(name, file)
        self.finder, self.tree, self.names = finder, tree, names
        self.is_import = False

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make the module, with gradlite's names in it, and say so."""
        self.finder.announce(spec.name)
        self.is_import = True
        module = ModuleType(spec.name)
        vars(module).update(self.names)
        return module

    def get_code(self, fullname: str) -> CodeType | None:
        """Give the code of the replaced file without the classes that gradlite has."""
        if not self.is_import:  # but ``python -m engine``
            return super().get_code(fullname)
        code: CodeType = compile(self.tree, self.path, "exec", dont_inherit=True)
        return code


class Cut(ast.NodeTransformer):
    """Takes top-level classes of given names out of a file."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:  # noqa: D102  # as in ast.NodeTransformer
        return ast.copy_location(ast.Pass(), node) if node.name in self.names else node

    def _leave(self, node: ast.AST) -> ast.AST:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _leave


def version(name: str, tree: ast.Module) -> tuple[dict[str, Any], str]:
    """Choose what is offered in place of a file: by its neurons, it may be the other version."""
    if "Neuron" in classes(tree) and OFFERED[name][0] is not VALUE:
        name = "micrograd.nn" if has_nonlin(tree) else "neural_net"
    return OFFERED[name]


def additions(name: str, tree: ast.Module) -> list[str]:
    """Name what the classes of a file have that ours in their place would not have."""
    names, _ = version(name, tree)
    found = list(lacking(tree, names))
    if names is not VALUE and not {"Neuron", "MLP"}.isdisjoint(classes(tree)):
        usual = {"tanh"} if names is TWO_FILE else {"relu"}
        if activations(tree, FUNCTIONS) != usual:
            found.append("another Neuron")
    return found


def additions_of_package() -> list[str]:
    """Name what the package micrograd that would be imported has that the original has not."""
    package = find_original("micrograd", None, Finder)
    if package is None:
        return []
    places = package.submodule_search_locations
    inside = [module.name for module in iter_modules(places)] if places else []
    if package.origin is None and not {"engine", "nn"}.intersection(inside):
        return []  # no package: the folder of its repository, say
    found = [name for name in inside if name not in ("engine", "nn", "tests") and name[0] != "_"]
    for name in PACKAGE:
        _, tree = source_of(find_original(name, places, Finder) if "." in name else package)
        found += [n for n, _ in definitions(tree) if n not in MICROGRAD and n[0] != "_"]
        found += additions(name, tree)
    return found


def covers(known: str, name: str) -> bool:
    """Tell whether naming one module names the other: micrograd and micrograd.engine do."""
    return known == name or known.startswith(f"{name}.") or name.startswith(f"{known}.")


def install(directory: str, expected: Sequence[str] = (), said: Sequence[str] = ()) -> None:
    """Redirect imports from now on; modules that are loaded already are loaded anew."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    finder = Finder(directory, expected, said)
    sys.meta_path.insert(0, finder)
    for name in OFFERED.keys() & sys.modules.keys():
        found = name not in MARKS or find_original(name, None, Finder)
        if found and finder.stand_in(name):
            del sys.modules[name]
    for name in [name for name in sys.modules if name.rpartition(".")[2] in STARTERS]:
        follow(name)


STARTERS = frozenset(
    {"popen_spawn_posix", "popen_spawn_win32", "popen_forkserver"}  # of multiprocessing
    | {"popen_loky_posix", "popen_loky_win32"}  # of joblib
)
"""The modules that start worker processes with nothing loaded."""


def follow(starter: str) -> None:
    """Let worker processes find what the program finds.

    They unpickle what they have to know of the program before they import anything of it: the
    finder is put there.
    """
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
    """Let imports find what they found before: ``%unload_ext gradlite.scalar``."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    for name in OFFERED.keys() & sys.modules.keys():
        if isinstance(getattr(sys.modules[name].__spec__, "loader", None), StandIn):
            del sys.modules[name]
