"""The chain rule at one node: its formula with names and with numbers.

``w.grad += n.grad * x`` is the formula with the names of the graph, ``0.5 * 2`` the same with
numbers, for arrays those of the first element.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradlite.autodiff.node import Node
from gradlite.autodiff.rule import Rule
from gradlite.draw.boxes import operands, small
from gradlite.draw.formulas import mathml
from gradlite.draw.latex import decimal, latex, latex_number
from gradlite.draw.mathematics import Arraywise, Elementwise, Entry, entry_of
from gradlite.errors import GraphError
from gradlite.scalar import Value

Texts = dict[str, str]
Numbers = dict[str, float]


class Chain(NamedTuple):
    """What reaches an input, by the chain rule.

    Attributes
    ----------
    code : str
        A Python statement with names.
    numbers : str
        Its right-hand side with numbers; '' if they are unknown, or a sum of many.
    mathml : str
        The same as an equation; '' likewise.
    where : str
        The index of the element that the numbers are of, '' for a single number.
    """

    code: str
    numbers: str = ""
    mathml: str = ""
    where: str = ""


class Known(NamedTuple):
    """The names and the numbers of the items of a graph, by their ids."""

    names: Mapping[int, str]
    values: Mapping[int, Any]


def rule_of(item: Any) -> Rule | None:
    """Return the derivative rule of the operation that made an item."""
    if isinstance(item, Value):
        return item._made_by.rule if item._made_by is not None else None
    return item.rule if isinstance(item, Node) else None


def params_of(item: Any) -> dict[str, Any]:
    """Return the parameters of the operation that made an item, with their defaults."""
    rule = rule_of(item)
    if not isinstance(item, Node) or rule is None:
        return {}
    return rule._signature() | (item.params or {})


def formula_of(item: Any) -> Entry | None:
    """Return the formulas of the operation that made an item, if there are any."""
    rule = rule_of(item)
    return None if rule is None else entry_of(rule, params_of(item))


def forward_text(item: Any, known: Known) -> str:
    """Write how a result was computed: ``n = x * w = 2 * (-3)``."""
    name, entry = known.names[id(item)], formula_of(item)
    if isinstance(entry, Elementwise) and not entry.reduction:
        code = with_names(entry.definition, symbol_names(item, entry, known))
        numbers = symbol_numbers(item, entry, known, ())
        put = f" = {with_numbers(entry.definition, numbers)}" if numbers else ""
    else:
        op = getattr(rule_of(item), "name", "").removeprefix("np.").removeprefix("gl.")
        parts = [known.names.get(id(x)) or small(x) for x in operands(item) if x is not None]
        code, put = f"{op}({', '.join(parts)})" if op else "", ""
    return f"{code}{put}" if code in ("", name) else f"{name} = {code}{put}"


def chain_at(item: Any, x: Any, g: Any, amount: Any, known: Known) -> Chain | None:
    """Write what a result of gradient `g` passes back to `x`, an input of it."""
    entry, rule = formula_of(item), rule_of(item)
    if entry is None or rule is None or rule.variadic is not None:
        return None
    derivatives = entry.derivatives if isinstance(entry, Elementwise) else entry.code
    used = zip(entry.arguments, operands(item), strict=False)
    terms = [derivatives.get(symbol, "") for symbol, operand in used if operand is x]
    if not terms or not all(terms):
        return None
    texts = symbol_names(item, entry, known)
    written = " + ".join(with_names(term, texts) for term in terms)
    code = f"{attribute(known.names[id(x)])}.grad += {written}"
    if isinstance(entry, Elementwise):
        return with_amount(code, terms, amount, elements(item, entry, amount, g, known))
    return Chain(code) if fits(item, entry, g) else None


def elements(item: Any, entry: Elementwise, amount: Any, g: Any, known: Known) -> Numbers:
    """Map the symbols to the numbers of the first element of `amount`; none if it is a sum."""
    shape = np.shape(amount)
    one = np.size(amount) == 1 or bool(entry.reduction) or np.shape(g) == shape
    return symbol_numbers(item, entry, known, shape, g) if one else {}


def with_amount(code: str, terms: list[str], amount: Any, numbers: Numbers) -> Chain:
    """Add to a statement the numbers of its terms, and what they come to."""
    if not numbers:
        return Chain(code)
    shape = np.shape(amount)
    total = first(amount, shape)
    where = "" if np.size(amount) == 1 else f"[{', '.join('0' * len(shape))}]"
    put = " + ".join(with_numbers(term, numbers) for term in terms)
    if put == decimal(total):  # as it is
        return Chain(code, put, where=where)
    written = f"{latex_number(total)} = {' + '.join(latex(term, numbers) for term in terms)}"
    return Chain(code, f"{put} = {decimal(total)}", mathml(written), where)


def fits(item: Any, entry: Arraywise, g: Any) -> bool:
    """Return whether the capitals of an entry stand for matrices in this call."""
    symbols = zip(entry.arguments, operands(item), strict=False)
    matrices = all(getattr(x, "ndim", 0) == 2 for symbol, x in symbols if symbol.isupper())
    return matrices and np.ndim(g) == (2 if entry.result.isupper() else 0)


def first(x: Any, shape: tuple[int, ...]) -> float:
    """Return the first element of `x` broadcast to a shape."""
    return float(np.broadcast_to(np.asarray(x, float), shape).flat[0] if np.ndim(x) else x)


# -- symbols and what they stand for ------------------------------------------------------------


def symbol_names(item: Any, entry: Entry, known: Known) -> Texts:
    """Map the symbols of a formula to names."""
    texts = {"g": f"{attribute(known.names[id(item)])}.grad", "n": "n"}
    texts[entry.result] = attribute(known.names[id(item)])
    for symbol, x in zip(entry.arguments, operands(item), strict=False):
        texts[symbol] = attribute(known.names.get(id(x)) or small(x))
    params = entry.params if isinstance(entry, Elementwise) else {}
    for name, symbol in params.items():
        texts[symbol] = small(params_of(item).get(name))
    return texts


def attribute(name: str) -> str:
    """Put a name in parentheses if it is an expression."""
    word = name.replace("_", "").replace(".", "").isalnum()
    return name if word or name.startswith("(") else f"({name})"


def symbol_numbers(
    item: Any, entry: Elementwise, known: Known, shape: tuple[int, ...], g: Any = 0.0
) -> Numbers:
    """Map the symbols of a formula to numbers of the first element; to none if one is unknown."""
    parts = operands(item)
    given: dict[str, Any] = dict(zip(entry.arguments, parts, strict=False))
    given = {symbol: known.values.get(id(x), x) for symbol, x in given.items()}
    given |= {"g": g, entry.result: known.values.get(id(item))}
    params = params_of(item)
    given |= {symbol: params.get(name) for name, symbol in entry.params.items()}
    if entry.reduction:
        given["n"] = float(np.size(next(iter(given.values()))))
        del given[entry.result]
    used = {
        node.id
        for text in (entry.definition, *entry.derivatives.values())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name)
    }
    try:
        return {symbol: first(x, shape) for symbol, x in given.items() if symbol in used}
    except (ValueError, TypeError, OverflowError, IndexError, GraphError):  # not kept
        return {}


# -- putting in -----------------------------------------------------------------------------


class Substitution(ast.NodeTransformer):
    """Replace names by other expressions."""

    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a name."""
        return self.values.get(node.id, node)


def with_names(expression: str, texts: Texts) -> str:
    """Write an expression with names in place of symbols.

    Examples
    --------
    >>> with_names("g * (1 - y**2)", {"g": "out.grad", "y": "out"})
    'out.grad * (1 - out ** 2)'
    """
    return substituted(expression, {symbol: ast.Name(text) for symbol, text in texts.items()})


def with_numbers(expression: str, numbers: Numbers) -> str:
    """Write an expression with numbers in place of symbols.

    Examples
    --------
    >>> with_numbers("g * (1 - y**2)", {"g": 1.0, "y": -0.70710678})
    '1 * (1 - (-0.7071) ** 2)'
    """
    values: dict[str, ast.expr] = {}
    for symbol, x in numbers.items():
        size = ast.Name(decimal(abs(x)))
        values[symbol] = ast.UnaryOp(ast.USub(), size) if x < 0 else size
    return substituted(expression, values)


def substituted(expression: str, values: Mapping[str, ast.expr]) -> str:
    """Write an expression with other expressions in place of names."""
    tree = ast.parse(expression, mode="eval").body
    return ast.unparse(Substitution(values).visit(tree))
