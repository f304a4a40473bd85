"""The chain rule at one node: its formula with names and with numbers.

``w.grad += n.grad * x`` is the formula with the names of the graph, ``0.5 * 2`` the same with
numbers, for arrays those of the first element.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from gradlite.autodiff.node import Node
from gradlite.autodiff.rule import Rule
from gradlite.draw.boxes import operands, small
from gradlite.draw.formulas import mathml
from gradlite.draw.latex import decimal, latex, latex_number
from gradlite.draw.mathematics import Arraywise, Elementwise, Entry, entry_of
from gradlite.draw.mathematics.terms import TERMS, einsum_code, einsum_spelled, einsum_terms
from gradlite.draw.names import call
from gradlite.errors import GraphError
from gradlite.scalar import Value

Texts = dict[str, str]
Numbers = dict[str, float]
Term = tuple[str, Numbers]  # an expression, and the numbers of its symbols
Shape = tuple[int, ...]

SHOWN = 2  # terms of a sum


class Chain(NamedTuple):
    """What reaches an input, by the chain rule.

    Attributes
    ----------
    code : str
        A Python statement with names; '' if there is no short one.
    numbers : str
        Its right-hand side with numbers; '' if they are unknown.
    mathml : str
        The same as an equation.
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
        parts = [known.names.get(id(x)) or small(x) for x in operands(item) if x is not None]
        if "subscripts" in params_of(item):
            parts.insert(0, repr(params_of(item)["subscripts"]))
        code, put = call(getattr(rule_of(item), "name", ""), parts), ""
    return f"{code}{put}" if code in ("", name) else f"{name} = {code}{put}"


def chain_at(item: Any, x: Any, g: Any, amount: Any, known: Known) -> Chain | None:
    """Write what a result of gradient `g` passes back to `x`, an input of it."""
    entry, rule = formula_of(item), rule_of(item)
    if entry is None or rule is None:
        return None
    given = [i for i, operand in enumerate(operands(item)) if operand is x]
    if isinstance(entry, Elementwise):
        codes, terms = elementwise(item, entry, given, g, amount, known)
    elif rule.name == "np.einsum":
        codes, terms = of_einsum(item, given, g, known)
    elif rule.variadic is None and are_matrices(item, entry):
        codes, terms = arraywise(item, entry, given, g, known)
    else:
        codes, terms = [], []
    code = f"{attribute(known.names[id(x)])}.grad += {' + '.join(codes)}"
    symbol = entry.arguments[min(given[0], len(entry.arguments) - 1)] if given else ""
    return with_amount(code if codes and all(codes) else "", terms, amount, symbol)


def elementwise(
    item: Any, entry: Elementwise, given: Sequence[int], g: Any, amount: Any, known: Known
) -> tuple[list[str], list[Term]]:
    """Write the derivatives in arguments of indices `given`, and the terms of the first element."""
    symbols = [symbol for i, symbol in enumerate(entry.arguments) if i in given]
    derivatives = [entry.derivatives.get(symbol, "") for symbol in symbols]
    if not all(derivatives):
        return [], []
    texts, wanted = symbol_names(item, entry, known), np.shape(amount)
    shape = wanted if entry.reduction else np.shape(g)
    codes = [summed(with_names(text, texts), wanted, shape) for text in derivatives]
    terms = []
    for place in islice(np.ndindex(summed_over(wanted, shape)), SHOWN + 1):
        numbers = symbol_numbers(item, entry, known, shape, g, place)
        terms += [(text, numbers) for text in derivatives if numbers]
    return codes, terms


def arraywise(
    item: Any, entry: Arraywise, given: Sequence[int], g: Any, known: Known
) -> tuple[list[str], list[Term]]:
    """Write the same of a function of whole arrays."""
    texts, args = symbol_names(item, entry, known), arguments(item, known)
    ans = known.values.get(id(item))
    params = {k: v for k, v in (item.params or {}).items() if k != "residuals"}
    table = TERMS.get(item.rule.name, {})
    codes: list[str] = []
    terms: list[Term] = []
    for symbol in [symbol for i, symbol in enumerate(entry.arguments) if i in given]:
        code = entry.code.get(symbol, "") if entry.result.isupper() or not np.ndim(g) else ""
        codes.append(with_names(code, texts) if code else "")
        if symbol in table and args and ans is not None:
            text, found = table[symbol]
            terms += each_term(text, found(g, ans, *args, **params))
    return codes, terms


def of_einsum(
    item: Any, given: Sequence[int], g: Any, known: Known
) -> tuple[list[str], list[Term]]:
    """Write the same of an einsum."""
    names = [attribute(known.names.get(id(x)) or small(x)) for x in operands(item)]
    args = arguments(item, known)
    codes: list[str] = []
    terms: list[Term] = []
    for i in given:
        spelled = einsum_spelled(i, args, item.params["subscripts"]) if args else None
        if spelled is None:
            return [], []
        codes.append(einsum_code(i, names, f"{attribute(known.names[id(item)])}.grad", *spelled))
        found = einsum_terms(i, g, args, *spelled)
        terms += each_term(" * ".join(found), found)
    return codes, terms


def arguments(item: Any, known: Known) -> list[Any]:
    """Return the arrays that an operation was carried out on; none if one is unknown."""
    given = operands(item)
    args = [known.values.get(id(x), None if isinstance(x, Node) else x) for x in given]
    lost = any(arg is None and x is not None for arg, x in zip(args, given, strict=True))
    return [] if lost else args


def each_term(text: str, found: Mapping[str, Any]) -> list[Term]:
    """Return the terms of a sum, given for each symbol a number, or one of each term."""
    counts = [len(x) for x in found.values() if np.ndim(x)]
    return [
        (text, {symbol: float(x[k] if np.ndim(x) else x) for symbol, x in found.items()})
        for k in range(min(*counts, SHOWN + 1) if counts else bool(found))
    ]


def summed_over(wanted: Shape, shape: Shape) -> Shape:
    """Return how many elements of each axis of `shape` are summed into the first of `wanted`."""
    padded = (1,) * (len(shape) - len(wanted)) + tuple(wanted)
    return tuple(n if m == 1 else 1 for m, n in zip(padded, shape, strict=True))


def summed(code: str, wanted: Shape, shape: Shape) -> str:
    """Write the sum over the axes of `shape` that `wanted` was broadcast along.

    Examples
    --------
    >>> summed("g * x", (3, 1), (2, 3, 4)), summed("g", (), (5,)), summed("g", (5,), (5,))
    ('(g * x).sum(0).sum(1, keepdims=True)', 'g.sum()', 'g')
    """
    lead = len(shape) - len(wanted)
    ones = tuple(i for i, m in enumerate(wanted) if m == 1 != shape[lead + i])
    if not lead and not ones:
        return code
    axes = ", ".join(map(str, range(lead)))
    code = attribute(code)
    if lead:
        code += ".sum()" if not wanted else f".sum({axes})" if lead == 1 else f".sum(({axes}))"
    if ones:
        code += f".sum({ones[0] if len(ones) == 1 else ones}, keepdims=True)"
    return code


def with_amount(code: str, terms: Sequence[Term], amount: Any, symbol: str) -> Chain | None:
    """Add to a statement the terms of the first element with numbers, and what they come to.

    If they are unknown, what they come to is an equation for the gradient of the symbol.
    """
    if not isinstance(amount, (np.ndarray, np.generic, float)) or not np.size(amount):
        return Chain(code) if code else None
    shape = np.shape(amount)
    total = first(amount, shape)
    where = "" if np.size(amount) == 1 else f"[{', '.join('0' * len(shape))}]"
    if not terms:
        name = rf"\frac{{dL}}{{d{symbol}}}"
        return Chain(code, "", mathml(f"{name} = {latex_number(total)}") if where else "", where)
    shown, more = terms[:SHOWN], len(terms) > SHOWN
    put = joined([with_numbers(*term) for term in shown]) + " + ..." * more
    if put == decimal(total):  # as it is
        return Chain(code, put, where=where)
    written = joined([latex(*term) for term in shown]) + r" + \cdots" * more
    return Chain(
        code, f"{put} = {decimal(total)}", mathml(f"{latex_number(total)} = {written}"), where
    )


def joined(terms: Sequence[str]) -> str:
    """Write a sum: ``1 - 2`` rather than ``1 + -2``."""
    return " + ".join(terms).replace("+ -", "- ")


def are_matrices(item: Any, entry: Arraywise) -> bool:
    """Return whether the capitals of an entry stand for matrices in this call."""
    symbols = zip(entry.arguments, operands(item), strict=False)
    return all(getattr(x, "ndim", 0) == 2 for symbol, x in symbols if symbol.isupper())


def first(x: Any, shape: Shape, place: Shape | None = None) -> float:
    """Return an element of `x` broadcast to a shape, by default the first."""
    if not np.ndim(x):
        return float(x)
    return float(np.broadcast_to(np.asarray(x, float), shape)[place or (0,) * len(shape)])


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
    item: Any,
    entry: Elementwise,
    known: Known,
    shape: Shape,
    g: Any = 0.0,
    place: Shape | None = None,
) -> Numbers:
    """Map the symbols of a formula to numbers of an element; to none if one is unknown."""
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
        return {symbol: first(x, shape, place) for symbol, x in given.items() if symbol in used}
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

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Replace the names in a call, an argument of which needs no parentheses."""
        self.generic_visit(node)
        node.args = [unparenthesized(arg) for arg in node.args]
        return node


def unparenthesized(node: ast.expr) -> ast.expr:
    """Remove the parentheses that `attribute` put around a name."""
    if isinstance(node, ast.Name) and re.fullmatch(r"\([^()]*\)", node.id):
        return ast.Name(node.id[1:-1])
    return node


def with_names(expression: str, texts: Texts) -> str:
    """Write an expression with names in place of symbols.

    Examples
    --------
    >>> with_names("g * (1 - y**2)", {"g": "out.grad", "y": "out"})
    'out.grad * (1 - out ** 2)'
    >>> with_names("x * tanh(x)", {"x": "(-1)"})
    '(-1) * tanh(-1)'
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
