"""The derivative rules as formulas: mathematics, and the Python that is run.

The mathematics is written by hand in gradlite.draw.mathematics, and becomes MathML here, with
dL/dx for the gradient of x. The Python is taken from the source file of the rule.
"""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

from gradlite.autodiff.rule import Function, Rule
from gradlite.draw.boxes import argument_name
from gradlite.draw.latex import latex, parenthesized
from gradlite.draw.mathematics import Elementwise, Entry, entry_of
from gradlite.errors import MissingExtraError


@dataclass(frozen=True)
class Formula:
    """The derivative of a function with respect to one of its arguments.

    Attributes
    ----------
    argument : str
        The name of the argument in the rule; ``arrays[i]`` for one of any number.
    symbol : str
        Its symbol in the formula, or its name if there is no formula.
    mathml : str
        The equation for dL/d of the argument; '' if the rule is not gradlite's.
    source : str
        The rule in Python; '' if the source is lost (typed into ``python -c``, say).
    """

    argument: str
    symbol: str
    mathml: str
    source: str


def formulas(rule: Rule, params: Mapping[str, Any] | None = None) -> list[Formula]:
    """Write a rule as formulas, one for each argument that has a derivative.

    Parameters
    ----------
    rule : Rule
        An entry of `gradlite.autodiff.rule.RULES`, say, or the rule of a node.
    params : mapping, optional
        The parameters of the call, if they change the formula: a loss may be a mean or a sum.

    Returns
    -------
    list of Formula
        In the order of the arguments. A vjp that is not written in Python has none.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite.autodiff.rule import RULES
    >>> x, y = formulas(RULES[np.multiply])
    >>> x.argument, x.source
    ('x', 'lambda g, ans, x, y: g * y')
    >>> x.mathml[-42:]
    '<mo>&#x000B7;</mo><mi>y</mi></mrow></math>'
    """
    return formulas_of(rule, entry_of(rule, params))


def formulas_of(rule: Rule, entry: Entry | None) -> list[Formula]:
    """Write a rule as formulas, given its entry in the table."""
    if rule.variadic is not None:
        name = f"{inspect.getfullargspec(rule.variadic).varargs}[i]"
        return [formula(rule.variadic, name, 0, entry)]
    return [
        formula(vjp, argument_name(vjp, i), i, entry)
        for i, vjp in enumerate(rule.vjps)
        if inspect.isfunction(vjp)
    ]


def formula(vjp: Function, argument: str, i: int, entry: Entry | None) -> Formula:
    """Write one vjp as a formula."""
    text, _ = definition(vjp)
    if entry is None:
        return Formula(argument, argument, "", text)
    symbol = entry.arguments[i]
    return Formula(argument, symbol, equation(entry, symbol), text)


# -- mathematics in MathML --------------------------------------------------------------------

TOKENS = re.compile(
    r"\\(?:text|operatorname|mathrm)\{[^}]*\}|\\[A-Za-z]+"
    r"|(?P<g>g)(?P<index>_\{[^}]*\}|_[A-Za-z])?(?P<raised>\^)?|[A-Za-z]"
)


def gradient_latex(symbol: str) -> str:
    """Return dL/d of a symbol in LaTeX."""
    return rf"\frac{{dL}}{{d{symbol}}}"


def with_gradients(text: str, result: str) -> str:
    r"""Write dL/d of the result in place of each `g` in LaTeX.

    Examples
    --------
    >>> print(with_gradients(r"\log g_i + g^T", "Y"))
    \log \frac{dL}{dY_i} + \left(\frac{dL}{dY}\right)^T
    """

    def written(token: re.Match[str]) -> str:
        if not token["g"]:
            return token[0]
        fraction = gradient_latex(result + (token["index"] or ""))
        return rf"\left({fraction}\right)^" if token["raised"] else fraction

    return TOKENS.sub(written, text)


def equation(entry: Entry, symbol: str) -> str:
    """Write the equation for dL/d of an argument in MathML."""
    for name, derivative in entry.derivatives.items():
        if name.partition("_")[0] == symbol:
            right = latex(derivative) if isinstance(entry, Elementwise) else derivative
            return mathml(f"{gradient_latex(name)} = {with_gradients(right, entry.result)}")
    return ""


def defined(entry: Entry) -> str:
    """Write the definition of the result in MathML."""
    if isinstance(entry, Elementwise):
        return mathml(f"{entry.result} = {entry.reduction}{summand(entry)}")
    return mathml(entry.definition)


def summand(entry: Elementwise) -> str:
    """Write what is summed in LaTeX, or the whole definition if nothing is."""
    text, body = latex(entry.definition), ast.parse(entry.definition, mode="eval").body
    is_sum = isinstance(body, ast.BinOp) and isinstance(body.op, (ast.Add, ast.Sub))
    return parenthesized(text) if entry.reduction and is_sum else text


def explained(entry: Entry) -> list[str]:
    """Write the remarks of an entry, each a line of HTML."""
    lines = []
    for line in entry.words:
        text = [
            mathml(with_gradients(part, entry.result), "inline") if i % 2 else escape(part)
            for i, part in enumerate(line.split("$"))
        ]
        lines.append("".join(text))
    return lines


@cache
def mathml(text: str, display: str = "block") -> str:
    """Turn LaTeX into MathML."""
    try:
        from latex2mathml.converter import convert
    except ImportError as error:
        raise MissingExtraError(
            f"Writing formulas needs latex2mathml: pip install 'gradlite[viz]'. The import said: "
            f"{error}."
        ) from None
    written: str = convert(text, display=display)
    return written


# -- from a function to its source ------------------------------------------------------------


@cache
def parsed(text: str) -> list[ast.Lambda | ast.FunctionDef]:
    """Return the functions of a file, outer before inner ones."""
    try:
        nodes = ast.walk(ast.parse(text))
    except SyntaxError:  # the file has been edited since
        return []
    return [node for node in nodes if isinstance(node, (ast.Lambda, ast.FunctionDef))]


def definition(fn: Function) -> tuple[str, ast.Lambda | ast.FunctionDef | None]:
    """Return the source of a function, and its syntax tree.

    Several lambdas may begin on one line: positions of instructions tell which one it is.
    """
    fn = inspect.unwrap(fn)  # a loss wraps the vjps of its elements
    lines = linecache.getlines(fn.__code__.co_filename, fn.__globals__)
    positions = (step.positions for step in dis.get_instructions(fn))
    at = next((p for p in positions if p and p.end_col_offset), None)
    if at is None:  # with -X no_debug_ranges
        return "", None
    around = [
        node
        for node in parsed("".join(lines))
        if (node.lineno, node.col_offset) <= (at.lineno, at.col_offset)
        and (at.end_lineno, at.end_col_offset) <= (node.end_lineno, node.end_col_offset)
    ]
    return (segment(lines, around[-1]), around[-1]) if around else ("", None)


def segment(lines: list[str], node: ast.Lambda | ast.FunctionDef) -> str:
    """Cut the source of a function out of its file. Columns count bytes of UTF-8.

    A function that begins within a line is moved to the margin of the lines after it.
    """
    text = [line.encode() for line in lines[node.lineno - 1 : node.end_lineno]]
    text[-1] = text[-1][: node.end_col_offset]
    margins = [len(line) - len(line.lstrip()) for line in text[1:] if line.strip()]
    text[0] = b" " * min([node.col_offset, *margins]) + text[0][node.col_offset :]
    return textwrap.dedent(b"".join(text).decode())
