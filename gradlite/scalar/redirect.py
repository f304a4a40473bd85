"""Redirect imports of micrograd to gradlite's scalar API.

``python -m gradlite run script.py`` (see gradlite.scalar.run) and, in a notebook,
``%load_ext gradlite.scalar`` put a `Finder` on ``sys.meta_path``, and one on that of the Python
processes that are started from there: the environment leads them to gradlite.scalar.startup. A
package of the program's own that is more than the original is left as it is.
"""

from __future__ import annotations

import ast
import json
import os
import random
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pkgutil import iter_modules
from types import CodeType, ModuleType
from typing import Any

from gradlite.errors import printable
from gradlite.scalar import engine, neural_net, nn
from gradlite.scalar.ops import FUNCTIONS
from gradlite.scalar.sources import classes, definitions, lacking, tree_of, used_names

VALUE = {"Value": engine.Value}
MICROGRAD = {**VALUE, **{name: getattr(nn, name) for name in ("Module", "Neuron", "Layer", "MLP")}}
NETWORKS = MICROGRAD | {"random": random}  # the original imports it: `nn.random.seed(1)`
TWO_FILE = {name: getattr(neural_net, name) for name in neural_net.__all__} | {"random": random}

# What each redirected module offers.
OFFERED: dict[str, dict[str, Any]] = {
    "micrograd": MICROGRAD,
    "micrograd.engine": VALUE,
    "micrograd.nn": NETWORKS,
    "engine": VALUE,
    "nn": TWO_FILE,
    "neural_net": TWO_FILE,
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

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find what replaces a module; None leaves the module to the other finders."""
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
        """Find what replaces a module, or what the program's own has that forbids it."""
        spec = find_original(name, path)
        tree = tree_of(spec)
        if name in PACKAGE:
            own = additions_of_package()
        elif spec is None or self.is_replaceable(spec, tree):
            own = additions(name, tree)
            if name != "engine":  # what replaces it computes with our Values
                own += self.look_up("engine")[1]
        else:
            return None, []
        if own:
            return None, own
        spec = spec or ModuleSpec(name, None, is_package=name == "micrograd")
        spec.loader = RedirectLoader(self, spec, tree)
        return spec, []

    def is_replaceable(self, spec: ModuleSpec, tree: ast.Module) -> bool:
        """Return whether a file is the program's, and defines a class of the original's."""
        directory, base = os.path.split(os.path.realpath(spec.origin or ""))
        if base == "__init__.py":  # a package counts by it
            directory = os.path.dirname(directory)
        return directory == self.directory and not MARKS[spec.name].isdisjoint(classes(tree))

    def say(self, topic: str, name: str, what: str) -> None:
        """Write a line to stderr about a top-level module, once for each topic."""
        if topic not in self.said:
            self.said.append(topic)
            redirect_children(self.directory, self.said)
            if sys.stderr is not None:
                line = f"gradlite: {name.partition('.')[0]} is {printable(what)}"
                print(line, file=sys.stderr)


class RedirectLoader(SourceFileLoader):
    """Loads a module with gradlite's classes that also runs the rest of the replaced file."""

    def __init__(self, finder: Finder, spec: ModuleSpec, tree: ast.Module) -> None:
        super().__init__(spec.name, spec.origin or "")
        self.finder, self.tree, self.names = finder, tree, version(spec.name, tree)
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
        tree = ClassRemover(self.names).visit(self.tree)
        code: CodeType = compile(tree, self.path or self.name, "exec", dont_inherit=True)
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


def version(name: str, tree: ast.Module) -> dict[str, Any]:
    """Return what is offered in place of a file: by its neurons, it may be the other version.

    Those of micrograd take ``nonlin``, those of the two-file version do not.
    """
    if "Neuron" not in classes(tree) or OFFERED[name] is VALUE:
        return OFFERED[name]
    return NETWORKS if "nonlin" in used_names(tree) else TWO_FILE


def additions(name: str, tree: ast.Module) -> list[str]:
    """List what the classes of a file have that ours in their place would not have."""
    names = version(name, tree)
    found, own = list(lacking(tree, names)), classes(tree)
    if names is not VALUE and not own.keys().isdisjoint(("Neuron", "MLP")):
        activations = FUNCTIONS.keys() & used_names(own.get("Neuron", ast.Pass()))
        if activations != ({"tanh"} if names is TWO_FILE else {"relu"}):
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
        tree = tree_of(find_original(name, places) if "." in name else package)
        found += [n for n, _ in definitions(tree) if n not in MICROGRAD and n[0] != "_"]
        found += additions(name, tree)
    return found


def redirect_children(directory: str, said: Sequence[str] = ()) -> None:
    """Redirect imports in the Python processes that are started from now on."""
    state = {"prefix": sys.prefix, "directory": os.path.realpath(directory), "said": said}
    os.environ["GRADLITE_RUN"] = json.dumps(state)
    startup = os.path.join(os.path.dirname(__file__), "startup")
    path = os.environ.get("PYTHONPATH", "")
    if startup not in path.split(os.pathsep):
        os.environ["PYTHONPATH"] = startup + (os.pathsep + path if path else "")


def install(directory: str, said: Sequence[str] = ()) -> None:
    """Redirect imports from now on; modules that were loaded already are loaded again."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    finder = Finder(directory, said)
    redirect_children(finder.directory, finder.said)
    sys.meta_path.insert(0, finder)
    for name in [name for name in reversed(OFFERED) if name in sys.modules]:
        path = getattr(sys.modules.get(name.rpartition(".")[0]), "__path__", None)
        # What no finder finds was made by hand, and stays.
        if (name in PACKAGE or find_original(name)) and finder.look_up(name, path)[0]:
            del sys.modules[name]


def load_ipython_extension(ipython: object) -> None:
    """Redirect a notebook's imports: ``%load_ext gradlite.scalar``."""
    install(os.getcwd())


def unload_ipython_extension(ipython: object) -> None:
    """Let imports find what they found before: ``%unload_ext gradlite.scalar``."""
    os.environ.pop("GRADLITE_RUN", None)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    for name in OFFERED.keys() & sys.modules.keys():
        if isinstance(getattr(sys.modules[name].__spec__, "loader", None), RedirectLoader):
            del sys.modules[name]
