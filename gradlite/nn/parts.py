"""What a module consists of: finding parts, and the names that they may have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
Named = tuple[str, T]


def found(kind: type[T], holder: Any, path: str = "") -> Iterator[Named[T]]:
    """Yield the objects of a type in a dict, list or tuple, nested ones too, with their names."""
    for key, part in holder.items() if isinstance(holder, dict) else enumerate(holder):
        if isinstance(part, kind):
            yield join(path, key), part
        elif isinstance(part, (list, tuple, dict)):
            yield from found(kind, part, join(path, key))


def children_first(module: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the modules in a module and then itself, each once."""
    seen.add(id(module))
    for child in module.children():
        if id(child) not in seen:
            yield from children_first(child, seen)
    yield module


def join(path: str, name: Any) -> str:
    """Return the name of a part inside another."""
    return f"{path}.{name}" if path else str(name)


def once(named: Iterable[Named[T]]) -> list[Named[T]]:
    """Return each object once, under the first of its names."""
    first: dict[int, Named[T]] = {}
    for name, part in named:
        first.setdefault(id(part), (name, part))
    return list(first.values())


def check_name(owner: Any, name: Any, kind: type) -> None:
    """Raise ValueError unless a part may have this name; it may replace one of its kind."""
    valid = isinstance(name, str) and name and "." not in name
    if valid and hasattr(owner, name):
        valid = isinstance(vars(owner).get(name, ...), (kind, type(None)))
    if not valid:
        raise ValueError(
            f"{type(owner).__name__}: {name!r} is not a valid name for a part. Use a string "
            f"without dots that is not the name of another attribute."
        )


def writable(array: Any) -> np.ndarray:
    """Return an array that may be written to: itself, or a copy."""
    return np.require(array, None, ["W", "E"])
