"""What the sources of a program define, found without importing them."""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.machinery import ModuleSpec
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef
OWN_SCOPE = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def tree_of(spec: ModuleSpec | None) -> ast.Module:
    """Return the syntax tree of a module's file, an empty one if it is missing or unreadable."""
    tree = None
    if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
        loader: Any = spec.loader
        with suppress(OSError, AttributeError):
            tree = parse(loader.get_data(spec.origin))
    return tree or ast.Module([], [])


def parse(source: bytes) -> ast.Module | None:
    """Parse a file without warnings, which compiling it will show; None if it is not Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError):
            return None
        except (RecursionError, MemoryError):  # valid, but nested too deep to look into
            return ast.Module([], [])


def definitions(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield the names that a module or class defines, even conditionally, and their nodes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ClassDef, Function)):
            yield child.name, child
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id, child
        elif not isinstance(child, OWN_SCOPE) and not is_main_guard(child):
            yield from definitions(child)


def is_main_guard(node: ast.AST) -> bool:
    """Return whether a statement is ``if __name__ == "__main__":``."""
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
    )


def classes(tree: ast.Module) -> dict[str, ast.ClassDef]:
    """Return the classes defined in a file."""
    return {name: node for name, node in definitions(tree) if isinstance(node, ast.ClassDef)}


def used_names(tree: ast.AST) -> set[str]:
    """Return the names of attributes that a piece of code uses, and of its parameters."""
    parts = [getattr(node, "attr", None) or getattr(node, "arg", None) for node in ast.walk(tree)]
    return {part for part in parts if part}


def lacking(tree: ast.Module, names: Mapping[str, Any]) -> Iterator[str]:
    """Yield the public methods and parameters of a file's classes that gradlite's classes lack."""
    for name, node in classes(tree).items():
        ours = names.get(name)
        for method, function in definitions(node) if inspect.isclass(ours) else ():
            if not is_public(method) or method == "__slots__":
                continue
            if not hasattr(ours, method):
                yield f"{name}.{method}"
            elif isinstance(function, Function):
                for arg in optional_parameters(function):
                    if not takes(getattr(ours, method), arg):
                        yield f"{name}.{method}({arg}=...)"


def is_public(name: str) -> bool:
    """Return whether a name is public; those of operators are."""
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def optional_parameters(function: Function) -> list[str]:
    """List the public parameters that a call may omit; of a constructor, every one."""
    args = function.args
    fixed = [*args.posonlyargs, *args.args]
    first = 1 if function.name == "__init__" else len(fixed) - len(args.defaults)
    return [arg.arg for arg in (*fixed[first:], *args.kwonlyargs) if is_public(arg.arg)]


def takes(function: Any, parameter: str) -> bool:
    """Return whether a function has a parameter, accepts any, or has no known signature."""
    try:
        known = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return True
    return parameter in known or any(p.kind is p.VAR_KEYWORD for p in known.values())
