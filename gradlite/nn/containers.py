"""Containers: modules that combine or hold others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

import numpy as np

from gradlite.errors import ShapeError
from gradlite.nn.module import Module, Parameter
from gradlite.nn.parts import check_name

T = TypeVar("T")
Pairs = Mapping[str, Any] | Iterable[tuple[str, Any]]


def check_module(owner: str, module: Any) -> Module:
    """Return `module`; raise TypeError if it is not a Module, with the likely remedy."""
    if isinstance(module, Module):
        return module
    if isinstance(module, type):
        remedy = f"make one: {module.__name__}()"
    elif isinstance(module, (list, tuple)):
        remedy = "use extend()" if owner == "ModuleList" else f"spread it: {owner}(*layers)"
    elif callable(module):
        remedy = "use the module of that activation, nn.ReLU() say, or wrap it in a Module"
    else:
        remedy = "wrap it in a Module with a forward method"
    raise TypeError(f"{owner} consists of modules, not {module!r}: {remedy}.")


def as_parameter(value: Any) -> Parameter:
    """Return a parameter as it is, and one of the values of anything else."""
    return value if isinstance(value, Parameter) else Parameter(value)


class _Holder(Module, Generic[T]):
    """Holds parts of one kind as attributes, in order."""

    _kind: ClassVar[Any] = Module

    def _checked(self, part: Any) -> Any:
        """Return a part; raise TypeError if it is not of the kind."""
        return check_module(type(self).__name__, part)

    def _own(self) -> dict[str, T]:
        return {n: part for n, part in vars(self).items() if isinstance(part, self._kind)}

    def _put(self, name: Any, part: Any) -> None:
        check_name(self, name, self._kind)
        setattr(self, name, self._checked(part))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Raise NotImplementedError: the module that this is part of calls the parts."""
        name = type(self).__name__
        raise NotImplementedError(
            f"{name} holds its parts, and does not say how they are applied: do so in the forward "
            f"of the module it belongs to, or use Sequential."
        )

    def __len__(self) -> int:
        return len(self._own())

    def extra_repr(self) -> str:
        """Return the shapes of parameters: those of modules are in the lines below."""
        if self._kind is Module:
            return ""
        return ", ".join(f"{name}: {p.shape} {p.dtype}" for name, p in self._parts(Parameter))


class _Series(_Holder[T]):
    """Parts in a row, numbered from 0."""

    def __iter__(self) -> Iterator[T]:
        return iter(self._own().values())

    def __reversed__(self) -> Iterator[T]:
        return reversed(self._own().values())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._part(dict(list(self._own().items())[index]))
        return list(self)[index]

    def _part(self, parts: dict[str, T]) -> Any:
        """Return a series of some of the parts."""
        return type(self)(parts.values())

    def __setitem__(self, index: int, part: Any) -> None:
        setattr(self, list(self._own())[index], self._checked(part))

    def __delitem__(self, index: int | slice) -> None:
        parts = list(self)
        del parts[index]
        self._renumber(parts)

    def append(self, part: Any) -> Self:
        """Add a part at the end."""
        number = len(self)
        while hasattr(self, str(number)):  # in a slice, which keeps the names of its modules
            number += 1
        self._put(str(number), part)
        return self

    def extend(self, parts: Iterable[Any]) -> Self:
        """Add parts at the end."""
        for part in list(parts):
            self.append(part)
        return self

    def insert(self, index: int, part: Any) -> Self:
        """Insert a part in front of the one at `index`; those behind get new numbers."""
        parts = list(self)
        parts.insert(index, self._checked(part))
        self._renumber(parts)
        return self

    def pop(self, index: int = -1) -> T:
        """Remove a part and return it; those behind get new numbers."""
        part = self[index]
        del self[index]
        return part

    def __iadd__(self, parts: Iterable[Any]) -> Self:
        return self.extend(parts)

    def _renumber(self, parts: Iterable[T]) -> None:
        for name in self._own():
            delattr(self, name)
        for i, part in enumerate(parts):
            setattr(self, str(i), part)


class Sequential(_Series[Module]):
    """Modules applied one after the other.

    Parameters
    ----------
    *modules : Module, or one dict of them
        Applied in order. Their names are "0", "1", ..., or the keys of the dict.

    Notes
    -----
    As in PyTorch, all modules that are attributes are applied, in the order in which they were
    assigned, and a named module can be accessed as an attribute. A slice has the modules
    themselves, under their names; after `insert`, `pop` and ``del`` all are numbered again.

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
                self._put(name, module)
        else:
            for i, part in enumerate(modules):
                self._put(str(i), part)

    def forward(self, x: Any) -> Any:
        """Apply all modules in order."""
        for module in vars(self).values():
            if isinstance(module, Module):
                x = module(x)
        return x

    def _part(self, parts: dict[str, Module]) -> Sequential:
        return Sequential(parts)


class ModuleList(_Series[Module]):
    """A list of modules, for a `forward` that applies them in its own way.

    Parameters
    ----------
    modules : iterable of Module, optional
        Their names are "0", "1", ...

    Notes
    -----
    A plain list of modules is found as well, under the same names; this one is checked, and prints
    as part of the tree.

    Examples
    --------
    >>> from gradlite.nn import Linear
    >>> layers = ModuleList([Linear(4, 4), Linear(4, 2)])
    >>> layers.append(Linear(2, 1))
    ModuleList (33 parameters)
      0: Linear(4, 4) (20)
      1: Linear(4, 2) (10)
      2: Linear(2, 1) (3)
    >>> layers[-1]
    Linear(2, 1) (3 parameters)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)


class ParameterList(_Series[Parameter]):
    """A list of parameters.

    Parameters
    ----------
    values : iterable of Parameter or array_like, optional
        Their names are "0", "1", ... Of arrays and Tensors parameters are made, also when they
        are assigned or appended later.

    Examples
    --------
    >>> import numpy as np
    >>> weights = ParameterList([np.zeros((2, 3)), np.ones(3)])
    >>> weights
    ParameterList(0: (2, 3) float64, 1: (3,) float64) (9 parameters)
    >>> weights[1].requires_grad
    True
    """

    _kind = Parameter

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self.extend(values)

    def _checked(self, part: Any) -> Any:
        return as_parameter(part)


class _Names(_Holder[T]):
    """Parts by name."""

    def __init__(self, parts: Pairs = ()) -> None:
        self.update(parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._own())

    def __contains__(self, name: object) -> bool:
        return name in self._own()

    def __getitem__(self, name: str) -> T:
        return self._own()[name]

    def __setitem__(self, name: str, part: Any) -> None:
        self._put(name, part)

    def __delitem__(self, name: str) -> None:
        self[name]  # raises KeyError for other attributes
        delattr(self, name)

    def keys(self) -> list[str]:
        """Return the names, in order."""
        return list(self._own())

    def values(self) -> list[T]:
        """Return the parts, in order."""
        return list(self._own().values())

    def items(self) -> list[tuple[str, T]]:
        """Return names and parts, in order."""
        return list(self._own().items())

    def update(self, parts: Pairs) -> None:
        """Add parts, or replace those of the same name, from a dict or from pairs."""
        for name, part in dict(parts).items():
            self[name] = part

    def pop(self, name: str) -> T:
        """Remove a part and return it."""
        part = self[name]
        del self[name]
        return part

    def clear(self) -> None:
        """Remove all parts."""
        for name in self._own():
            delattr(self, name)


class ModuleDict(_Names[Module]):
    """Modules by name, for a `forward` that chooses among them.

    It is made of a mapping of str to Module, or of pairs. A name has no dot, and is not that of a
    method: "pop" is refused, as in PyTorch.

    Examples
    --------
    >>> from gradlite.nn import ReLU, Tanh
    >>> choices = ModuleDict({"relu": ReLU(), "tanh": Tanh()})
    >>> choices["tanh"], list(choices)
    (Tanh(), ['relu', 'tanh'])
    """


class ParameterDict(_Names[Parameter]):
    """Parameters by name.

    It is made of a mapping of str to Parameter or array_like, or of pairs. Of arrays and Tensors
    parameters are made, also when they are assigned later. A name has no dot, and is not that of
    a method.

    Examples
    --------
    >>> weights = ParameterDict({"slope": 2.0})
    >>> weights["offset"] = 1.0
    >>> [name for name, _ in weights.named_parameters()]
    ['slope', 'offset']
    """

    _kind = Parameter

    def _checked(self, part: Any) -> Any:
        return as_parameter(part)


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
