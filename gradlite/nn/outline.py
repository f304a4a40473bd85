"""How a module looks: the tree of its parts, as text and in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gradlite.nn.module import Module, Parameter


def text(module: Module) -> str:
    """Return the tree of a module, with the number of parameters of each part.

    Examples
    --------
    >>> from gradlite import nn
    >>> print(text(nn.Sequential(nn.Linear(2, 1), nn.Tanh())))
    Sequential (3 parameters)
      0: Linear(2, 1) (3)
      1: Tanh()
    """
    (title, total), *rest = _lines(module)
    lines = [f"{title} ({total:,} parameters)" if total else title]
    lines += [f"{title} ({count:,})" if count else title for title, count in rest]
    return "\n".join(lines)


def _lines(module: Module, above: tuple[Module, ...] = ()) -> Iterator[tuple[str, int]]:
    """Yield the lines of the tree, each with its number of parameters."""
    yield module._title(), sum(p.size for _, p in module.named_parameters())
    above = (*above, module)
    for name, child in module._parts(Module):
        if child not in above:
            for i, (line, count) in enumerate(_lines(child, above)):
                yield f"  {line}" if i else f"  {name}: {line}", count


def tree(module: Module, name: str = "", above: tuple[Module, ...] = ()) -> Any:
    """Return the title, the number of parameters, and the same for every parameter and part."""
    above = (*above, module)
    count = sum(p.size for _, p in module.named_parameters())
    inside: list[Any] = [
        (name, f"{p.shape} {p.dtype}" + ("" if p.requires_grad else ", frozen"), [])
        for name, p in module._parts(Parameter)
    ]
    for part, child in module._parts(Module):
        if child not in above:
            inside.append(tree(child, part, above))
    title = f"{name}: {module._title()}" if name else module._title()
    return title, f"{count:,} parameters" if count else "", inside
