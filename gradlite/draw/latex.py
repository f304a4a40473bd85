"""Expressions of one number each, written in LaTeX.

The formulas of elementwise functions are written in Python's syntax, so that they can be shown,
evaluated, and shown again with the numbers put in. A comparison is 1 where it holds and 0
elsewhere, in square brackets (Iverson's).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TypeAlias

Values: TypeAlias = Mapping[str, float]

SUM, PRODUCT, POWER, ATOM = range(4)  # how tightly an expression binds

SYMBOLS = {"pi": r"\pi", "inf": r"\infty", "eps": r"\varepsilon", "delta": r"\delta"}
FUNCTIONS = {
    **{name: rf"\{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: rf"\{name}" for name in ("arcsin", "arccos", "arctan", "max", "min")},
    "log": r"\ln", "log2": r"\log_2", "log10": r"\log_{10}", "sigmoid": r"\sigma",
    "Phi": r"\Phi", "phi": r"\varphi",
}  # fmt: skip
CALLS = {
    "sqrt": r"\sqrt{%s}", "cbrt": r"\sqrt[3]{%s}", "abs": r"\left|%s\right|", "exp": "e^{%s}",
    "floor": r"\lfloor %s \rfloor", "ceil": r"\lceil %s \rceil", "indicator": "[%s]",
}  # fmt: skip
RELATIONS = {
    ast.Eq: "=", ast.NotEq: r"\ne", ast.Lt: "<", ast.LtE: r"\le", ast.Gt: ">", ast.GtE: r"\ge",
}  # fmt: skip


def latex(expression: str, values: Values | None = None) -> str:
    r"""Write an expression in LaTeX, with numbers in place of the names that have a value.

    Examples
    --------
    >>> latex("g / (2 * y)")
    '\\frac{g}{2 \\cdot y}'
    >>> latex("g * (1 - y**2)", {"g": 1.0, "y": -0.70710678})
    '1 \\cdot (1 - (-0.7071)^{2})'
    """
    return written(ast.parse(expression, mode="eval").body, values or {})


def decimal(x: float) -> str:
    """Write a number with four digits.

    Examples
    --------
    >>> decimal(0.70710678), decimal(2.0), decimal(-1.5e-7)
    ('0.7071', '2', '-1.5e-07')
    """
    return f"{x + 0.0:.4g}" if abs(x) < 1e4 or x != x else f"{x:.6g}"


def latex_number(x: float) -> str:
    """Write a number in LaTeX."""
    if x != x:
        return r"\text{NaN}"
    text = decimal(x).replace("inf", r"\infty")
    digits, e, exponent = text.partition("e")
    return rf"{digits} \cdot 10^{{{int(exponent)}}}" if e else digits


def parenthesized(text: str) -> str:
    """Put LaTeX in parentheses, tall ones around a fraction."""
    return rf"\left({text}\right)" if r"\frac" in text else f"({text})"


def binding(node: ast.expr, values: Values) -> int:
    """Return how tightly an expression binds, as it is written here."""
    match node:
        case ast.BinOp(op=ast.Add() | ast.Sub()) | ast.UnaryOp():
            return SUM
        case ast.BinOp(op=ast.Mult()):
            return PRODUCT
        case ast.BinOp(op=ast.Div() | ast.Pow()) | ast.Call(func=ast.Name(id="exp")):
            return POWER
        case ast.Name(id=name) if name in values:
            text = latex_number(values[name])
            return SUM if text.startswith("-") else PRODUCT if "cdot" in text else ATOM
    return ATOM


def fenced(node: ast.expr, values: Values, least: int) -> str:
    """Write an expression, in parentheses if it does not bind tightly enough."""
    text = written(node, values)
    return text if binding(node, values) >= least else parenthesized(text)


def written(node: ast.expr, values: Values) -> str:
    """Write an expression. Raise ValueError if it is not arithmetic, comparison or function."""
    match node:
        case ast.Name(id=name):
            return latex_number(values[name]) if name in values else SYMBOLS.get(name, name)
        case ast.Constant(value=int() | float() as value):
            return latex_number(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"-{fenced(operand, values, PRODUCT)}"
        case ast.BinOp(left=left, op=op, right=right):
            return operation(left, op, right, values)
        case ast.Compare(left=left, ops=[relation], comparators=[right]):
            sign = RELATIONS[type(relation)]
            return f"[{written(left, values)} {sign} {written(right, values)}]"
        case ast.Call(func=ast.Name(id=name), args=args):
            inside = ", ".join(written(arg, values) for arg in args)
            if name in CALLS:
                return CALLS[name] % inside
            return FUNCTIONS.get(name, rf"\operatorname{{{name}}}") + parenthesized(inside)
    raise ValueError(f"{ast.unparse(node)} cannot be written as a formula.")


def operation(left: ast.expr, op: ast.operator, right: ast.expr, values: Values) -> str:
    """Write a sum, a product, a fraction or a power."""
    match op:
        case ast.Add():
            return f"{written(left, values)} + {fenced(right, values, PRODUCT)}"
        case ast.Sub():
            return f"{written(left, values)} - {fenced(right, values, PRODUCT)}"
        case ast.Mult():
            least = SUM if isinstance(left, ast.UnaryOp) else PRODUCT
            return rf"{fenced(left, values, least)} \cdot {fenced(right, values, PRODUCT)}"
        case ast.Div():
            return rf"\frac{{{written(left, values)}}}{{{written(right, values)}}}"
        case ast.Pow():
            return f"{fenced(left, values, ATOM)}^{{{written(right, values)}}}"
    raise ValueError(f"{type(op).__name__} cannot be written as a formula.")
