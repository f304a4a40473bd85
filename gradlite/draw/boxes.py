"""The texts of a picture of a graph: in boxes, in ovals and beside arrows."""

from __future__ import annotations

import math
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from functools import lru_cache
from inspect import getfullargspec, isfunction, unwrap
from typing import Any

import numpy as np

from gradlite.autodiff.node import Node
from gradlite.autodiff.operands import is_sparse
from gradlite.autodiff.rule import Function, Rule
from gradlite.scalar import Value
from gradlite.scalar.bridge import value_or_node
from gradlite.scalar.network import ParameterAccumulator
from gradlite.scalar.ops import short

COMMUTATIVE = frozenset({np.add, np.multiply})


def fields(item: Any, data: Any = None) -> list[str]:
    """Describe a Value, Node, Tensor or array: its data, if they are known, and its gradient."""
    if isinstance(item, Value):
        return [f"data {number(item.data)}", f"grad {number(item.grad)}"]
    if not isinstance(item, Node):
        return describe_array(item.shape, data)
    if item.rule is not None and item.rule.multiple_outputs:
        return [f"{len(item.shape)} results"]
    return describe_array(item.shape, data) + measured("grad", gradient(item))


def describe_array(shape: tuple[int, ...], array: Any) -> list[str]:
    """Describe an array by its shape, dtype and norm, as far as they are known."""
    if array is None:
        return [str(shape)]
    sparse = ", sparse" if is_sparse(array) else ""
    return [f"{shape} {array.dtype}{sparse}", *measured("data", array)]


def measured(what: str, array: Any) -> list[str]:
    """Write a single number as it is, of an array the norm."""
    if array is None:
        return []
    if is_sparse(array):
        array = array.tocsr().data
    elif np.size(array) == 1:
        return [f"{what} {number(np.asarray(array).item())}"]
    with np.errstate(all="ignore"):
        norm = number(np.linalg.norm(np.asarray(array, float)))
    return [f"norm {norm}" if what == "data" else f"{what} norm {norm}"]


def gradient(node: Node) -> Any:
    """Return the gradient that has arrived at a node, or None."""
    if isinstance(node.sink, ParameterAccumulator):  # the weights of neurons
        return np.array([p.grad for p in node.sink.parameters])
    if node.sink is None or not node.sink.full:
        return None
    return getattr(node.sink.buffer, "_data", node.sink.buffer)


def operation(item: Any) -> list[str]:
    """Name the operation that made an item, then its constants; nothing for a leaf."""
    if isinstance(item, Value):
        return [item._op] if item._op else []
    if not isinstance(item, Node) or item.rule is None:
        return []
    numbers = [(role, small(x)) for role, x in constants(item) if not np.ndim(x)]
    texts = [f"{role}={x}" if role else x for role, x in numbers]
    if item.params:
        usual = item.rule._signature()
        params = {k: v for k, v in item.params.items() if k != "residuals"}
        for k, v in params.items():
            if is_dataclass(v):  # the window of a convolution
                texts += [f"{f.name}={small(getattr(v, f.name))}" for f in dataclass_fields(v)]
            elif v is not usual.get(k, item) and not is_array(v):
                texts.append(f"{k}={small(v)}")
    return [item.rule.name, *texts]


def operands(item: Any) -> list[Any]:
    """Return the positional arguments of the operation that made an item: items and constants."""
    if isinstance(item, Value):
        rule = item._made_by.rule if item._made_by is not None else None
        is_power = rule is not None and len(item._inputs) < len(rule.vjps)  # to a constant exponent
        return [*item._inputs, item._extra] if is_power else [*item._inputs]
    if not isinstance(item, Node) or item.rule is None:
        return []
    pairs = zip(item.args, item.parents or (), strict=True)
    return [arg if parent is None else value_or_node(parent) for arg, parent in pairs]


def constants(item: Any) -> list[tuple[str, Any]]:
    """Return the arguments of an operation that were not on the tape, each with its role."""
    if not isinstance(item, Node) or item.rule is None:
        return []
    given = zip(roles(item), item.args, item.parents or (), strict=True)
    positional = [(role, x) for role, x, parent in given if parent is None and x is not None]
    by_keyword = [
        (k, x) for k, x in (item.params or {}).items() if k != "residuals" and is_array(x)
    ]
    return positional + by_keyword


def is_array(x: Any) -> bool:
    """Return whether `x` is an array with axes, or a sparse matrix."""
    return (isinstance(x, np.ndarray) and x.ndim > 0) or is_sparse(x)


def role_of(x: Any, item: Any) -> str:
    """Name the arguments that the operation that made an item took `x` as, where that matters."""
    if not isinstance(item, Node) or item.rule is None:
        return ""
    used = zip(roles(item), item.parents or (), strict=True)
    return ", ".join(role for role, parent in used if value_or_node(parent) is x and role)


def roles(node: Node) -> list[str]:
    """Name the arguments of an operation, if their order matters."""
    rule: Any = node.rule
    count = len(node.args)
    ordered = rule.variadic or any(map(isfunction, rule.vjps))
    if count == 1 or rule.fn in COMMUTATIVE or not ordered:
        return [""] * count
    return argument_names(rule, count)


@lru_cache(1000)
def argument_names(rule: Rule, count: int) -> list[str]:
    """Name the arguments of an operation as its first derivative does, or else by number."""
    for vjp in filter(isfunction, rule.vjps):
        return [argument_name(vjp, i) for i in range(count)]
    return [str(i) for i in range(count)]


def argument_name(vjp: Function, i: int) -> str:
    """Return what a vjp calls argument `i`."""
    spec, place = getfullargspec(unwrap(vjp)), i + 2  # after g and ans
    named = place < len(spec.args)
    return spec.args[place] if named else f"{spec.varargs or ''}[{place - len(spec.args)}]"


def number(x: Any) -> str:
    """Write a number with four decimals, or very small and large ones with four digits."""
    try:
        x = float(x) + 0.0  # no minus before a zero
    except (TypeError, ValueError, OverflowError):
        return short(x)
    plain = x == 0 or 1e-4 <= abs(x) < 1e6 or not math.isfinite(x)
    return f"{x:.4f}" if plain else f"{x:.3e}"


def small(x: Any) -> str:
    """Write a constant briefly: an array as its shape and dtype."""
    if isinstance(x, np.ndarray):
        return f"{x.shape} {x.dtype}" if x.ndim else small(x.item())
    if is_sparse(x):
        return f"{x.shape} {x.dtype}, sparse"
    if x is Ellipsis:
        return "..."
    if isinstance(x, slice):
        bounds = ["" if part is None else str(part) for part in (x.start, x.stop)]
        return ":".join(bounds) + (f":{x.step}" if x.step is not None else "")
    if isinstance(x, (float, np.floating)):
        return f"{x:.6g}"
    if isinstance(x, tuple):
        text = f"({', '.join(map(small, x))}{',' * (len(x) == 1)})"
    else:
        text = str(x) if isinstance(x, (str, np.generic, np.dtype)) else repr(x)
    return text if len(text) <= 24 else f"{text[:21]}..."
