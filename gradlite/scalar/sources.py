"""The sources of a program, read before any of it is imported: what they import and define."""

from __future__ import annotations

import ast
import inspect
import os
import sys
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef
OWN_SCOPE = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def find_original(
    name: str, path: Sequence[str] | None, without: type[Any] | None = None
) -> ModuleSpec | None:
    """Find the module that would be imported, were there no finders of the type `without`."""
    for finder in sys.meta_path:
        if without is None or not isinstance(finder, without):
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
        loader: Any = spec.loader
        with suppress(OSError, AttributeError):
            tree = parse(loader.get_data(spec.origin))
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


def imported(tree: ast.Module, offered: Container[str]) -> Iterator[str]:
    """Give what a program imports of the modules that are `offered`, or of micrograd."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name if name in offered else str(node.module) for name in inside]
        else:
            continue
        for name in modules:
            if name in offered or name.startswith("micrograd."):
                yield name if name in offered else "micrograd"


def definitions(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Give what a module or class defines, under conditions too, and what each name stands for."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ClassDef, Function)):
            yield child.name, child
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id, child
        elif not isinstance(child, OWN_SCOPE) and not is_main_guard(child):
            yield from definitions(child)


def is_main_guard(node: ast.AST) -> bool:
    """Tell ``if __name__ == "__main__":``, which an import passes over."""
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
    )


def classes(tree: ast.Module) -> dict[str, ast.ClassDef]:
    """Give the classes that a file defines."""
    return {name: node for name, node in definitions(tree) if isinstance(node, ast.ClassDef)}


def has_nonlin(tree: ast.Module) -> bool:
    """Tell micrograd's networks, whose neurons take ``nonlin``, from the two-file version's."""
    return any(isinstance(node, ast.arg) and node.arg == "nonlin" for node in ast.walk(tree))


def activations(tree: ast.Module, known: Container[str]) -> set[str]:
    """Give the functions of a Value, of those `known`, that a file's Neuron uses."""
    neuron = classes(tree).get("Neuron", ast.Pass())
    used = [node.attr for node in ast.walk(neuron) if isinstance(node, ast.Attribute)]
    return {name for name in used if name in known}


def lacking(tree: ast.Module, names: Mapping[str, Any]) -> Iterator[str]:
    """Name what a file's classes have that those in `names` lack: methods, and their parameters.

    Operators count, and what is private does not.
    """
    for name, node in classes(tree).items():
        ours = names.get(name)
        for method, function in definitions(node) if inspect.isclass(ours) else ():
            if not is_public(method) or method == "__slots__":
                continue
            if not hasattr(ours, method):
                yield f"{name}.{method}"
            elif isinstance(function, Function):
                known = parameters(getattr(ours, method))
                new = [arg for arg in extras(function) if known is not None and arg not in known]
                yield from (f"{name}.{method}({arg}=...)" for arg in new)


def is_public(name: str) -> bool:
    """Tell the names that others may use, operators included."""
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def extras(function: Function) -> list[str]:
    """List the public parameters that a call may leave out; of a constructor, every one."""
    args = function.args
    fixed = [*args.posonlyargs, *args.args]
    first = 1 if function.name == "__init__" else len(fixed) - len(args.defaults)
    return [arg.arg for arg in (*fixed[first:], *args.kwonlyargs) if is_public(arg.arg)]


def parameters(function: Any) -> Container[str] | None:
    """Give the names of a function's parameters; None if it takes any, or does not tell."""
    try:
        known = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    takes_any = inspect.Parameter.VAR_KEYWORD in {p.kind for p in known.values()}
    return None if takes_any else known
