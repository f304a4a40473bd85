"""The groups of an optimiser: parameters, their names, and hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from gradlite.autodiff.tensor import Tensor
from gradlite.errors import GraphError
from gradlite.optim.flat import Named

Group = dict[str, Any]

RANGES = {
    "lr": math.inf,
    "momentum": math.inf,
    "dampening": math.inf,
    "weight_decay": math.inf,
    "eps": math.inf,
    "lr_decay": math.inf,
    "initial_accumulator_value": math.inf,
    "gtol": math.inf,
    "ftol": math.inf,
    "momentum_decay": math.inf,
    "alpha": 1.0,
    "rho": 1.0,
    "betas": 1.0,
}
"""Hyperparameters that are numbers from 0 up to, but not including, a bound."""


def check_ranges(owner: str, settings: Mapping[str, Any]) -> None:
    """Raise ValueError if a hyperparameter is out of range."""
    for name, value in settings.items():
        if name not in RANGES or (name == "lr" and callable(value)):
            continue
        pair = name == "betas"
        try:
            numbers = tuple(value) if pair else (value,)
            fits = len(numbers) == 1 + pair and all(0 <= x < RANGES[name] for x in numbers)
        except TypeError:
            fits = False
        if not fits:
            what = "two numbers" if pair else "a number"
            bound = "below 1" if RANGES[name] == 1 else "finite"
            schedule = ", or a schedule" if name == "lr" else ""
            raise ValueError(
                f"{owner}: {name} must be {what}, 0 or more and {bound}{schedule}, not {value!r}."
            )


def read_groups(owner: str, params: Any) -> list[Any]:
    """Return the parameters of an optimiser as a list of groups, each of which `read_group` reads.

    Parameters
    ----------
    owner : str
        The name of the optimiser, for errors.
    params : iterable
        Tensors, pairs of a name and a Tensor, or groups.
    """
    items = _listed(owner, params)
    return items if isinstance(items[0], dict) else [{"params": items}]


def read_group(
    owner: str, item: Any, defaults: Mapping[str, Any], names: dict[str, Tensor]
) -> Group:
    """Return a group with all its hyperparameters.

    Parameters
    ----------
    owner : str
        The name of the optimiser, for errors.
    item : dict
        The group, as it was passed.
    defaults : mapping
        The hyperparameters that it does not have itself.
    names : dict
        The parameters of the groups before it, by name; those of this group are added.

    Returns
    -------
    dict
        It has the keys ``"params"``, ``"param_names"`` and those of `defaults`.
    """
    if not isinstance(item, dict) or "params" not in item:
        raise TypeError(f"{owner}: a group is a dict with 'params', not {item!r}.")
    for name in item.keys() - defaults.keys() - {"params", "initial_lr"}:  # a scheduler's
        near = get_close_matches(name, defaults, 1)
        raise TypeError(
            f"{owner}: a group has the unknown hyperparameter {name!r}"
            + (f": did you mean {near[0]!r}?" if near else ".")
        )
    params = item["params"]
    named = list(
        _named(owner, [params] if isinstance(params, Tensor) else _listed(owner, params), names)
    )
    return {
        **defaults,
        **item,
        "params": [p for _, p in named],
        "param_names": [name for name, _ in named],
    }


def _listed(owner: str, params: Any) -> list[Any]:
    """Return the parameters as a list, or raise an error that says what they should be."""
    kind = type(params).__name__
    if callable(params):
        raise TypeError(f"{owner}: {kind} in place of parameters: pass module.parameters().")
    if isinstance(params, (Tensor, Mapping)) or not isinstance(params, Iterable):
        raise TypeError(f"{owner}: {kind} in place of parameters: pass a list, even for one.")
    items = list(params)
    if not items:
        raise ValueError(
            f"{owner}: there are no parameters. A generator yields them only once: was it used up?"
        )
    return items


def _named(owner: str, items: list[Any], names: dict[str, Tensor]) -> Iterator[Named]:
    """Yield each parameter with its name, by default its number, and add it to `names`."""
    known = {id(p): name for name, p in names.items()}
    for item in items:
        is_named = isinstance(item, tuple) and len(item) == 2
        name, p = item if is_named else (str(len(names)), item)
        _check_parameter(owner, name, p)
        if id(p) in known:
            raise ValueError(f"{owner}: {known[id(p)]} and {name} are the same parameter.")
        if name in names:
            raise ValueError(f"{owner}: two parameters are called {name}.")
        names[name] = p
        known[id(p)] = name
        yield name, p


def _check_parameter(owner: str, name: str, p: Any) -> None:
    if not isinstance(p, Tensor):
        raise TypeError(
            f"{owner}: the parameter {name} is a {type(p).__name__}: make it "
            f"gl.Tensor(..., requires_grad=True)."
        )
    if not p.is_leaf:
        raise GraphError(
            f"{owner}: the parameter {name} is the result of an operation: pass the Tensors that "
            f"it was computed from, or detach() it and set requires_grad."
        )
