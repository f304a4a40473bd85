"""Containers: modules that combine others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self, overload

import numpy as np

from gradlite.errors import ShapeError
from gradlite.nn.module import Module


def check_module(owner: str, module: Any) -> Module:
    """Return `module`; raise TypeError if it is not a Module, with the likely remedy."""
    if isinstance(module, Module):
        return module
    if isinstance(module, type):
        remedy = f"make one: {module.__name__}()"
    elif isinstance(module, (list, tuple)):
        remedy = f"spread it: {owner}(*layers)"
    elif callable(module):
        remedy = "use the module of that activation, nn.ReLU() say, or wrap it in a Module"
    else:
        remedy = "wrap it in a Module with a forward method"
    raise TypeError(f"{owner} consists of modules, not {module!r}: {remedy}.")


class Sequential(Module):
    """Modules applied one after the other.

    Parameters
    ----------
    *modules : Module, or one dict of them
        Applied in order. Their names are "0", "1", ..., or the keys of the dict.

    Notes
    -----
    As in PyTorch, all modules that are attributes are applied, in the order in which they were
    assigned, and a named module can be accessed as an attribute.

    Examples
    --------
    >>> from gradlite.nn import Linear, ReLU
    >>> net = Sequential(Linear(64, 32), ReLU(), Linear(32, 10))
    >>> net
    Sequential (2,410 parameters)
      0: Linear(64, 32) (2,080)
      1: ReLU()
      2: Linear(32, 10) (330)
    >>> net[:2]
    Sequential (2,080 parameters)
      0: Linear(64, 32) (2,080)
      1: ReLU()
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self._add(name, module)
        else:
            for i, part in enumerate(modules):
                self._add(str(i), part)

    def forward(self, x: Any) -> Any:
        """Apply all modules in order."""
        for module in vars(self).values():
            if isinstance(module, Module):
                x = module(x)
        return x

    def append(self, module: Any) -> Self:
        """Add a module at the end."""
        self._add(str(len(self)), module)
        return self

    def _add(self, name: str, module: Any) -> None:
        module = check_module(type(self).__name__, module)
        if not isinstance(name, str) or not name or "." in name or hasattr(self, name):
            raise ValueError(
                f"{type(self).__name__}: {name!r} is not a valid name for a module. Use a string "
                f"without dots that is not the name of another attribute."
            )
        setattr(self, name, module)

    def _chain(self) -> list[Module]:
        return [part for part in vars(self).values() if isinstance(part, Module)]

    def __len__(self) -> int:
        return len(self._chain())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._chain())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module | Sequential:
        if isinstance(index, slice):
            return Sequential(*self._chain()[index])
        return self._chain()[index]


class Residual(Module):
    """Add the output of modules to their input: ``shortcut(x) + modules(x)``.

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (CVPR 2016).

    Parameters
    ----------
    *modules : Module
        Applied one after the other.
    shortcut : Module, optional
        Applied to the input where `modules` change its shape: ``Linear(n, m)``, say.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite.nn import Linear, ReLU
    >>> Residual(Linear(8, 8), ReLU())(np.ones((5, 8))).shape
    (5, 8)
    """

    def __init__(self, *modules: Module, shortcut: Module | None = None) -> None:
        self.body = Sequential(*modules)
        self.shortcut = None if shortcut is None else check_module("Residual", shortcut)

    def forward(self, x: Any) -> Any:
        """Return ``shortcut(x) + modules(x)``."""
        y = self.body(x)
        if self.shortcut is not None:
            x = self.shortcut(x)
        if np.shape(x) != np.shape(y):
            given = "x" if self.shortcut is None else "shortcut(x)"
            raise ShapeError(
                f"Residual cannot add its modules' output of shape {np.shape(y)} to {given} of "
                f"shape {np.shape(x)}. Pass shortcut=, a module whose output has that shape."
            )
        return x + y
