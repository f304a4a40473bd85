"""Expressions of one number each, written in LaTeX.

The formulas of elementwise functions are written in Python's syntax, so that they can be shown,
evaluated, and shown again with the numbers put in. A comparison is 1 where it holds and 0
elsewhere, in square brackets (Iverson's).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

CASES, SUM, PRODUCT, POWER, ATOM = range(5)  # how tightly an expression binds

SYMBOLS = {"pi": r"\pi", "inf": r"\infty", "eps": r"\varepsilon", "delta": r"\delta"}
FUNCTIONS = {
    **{name: rf"\{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: rf"\{name}" for name in ("arcsin", "arccos", "arctan", "max", "min")},
    "log": r"\ln", "log2": r"\log_2", "log10": r"\log_{10}", "sigmoid": r"\sigma",
    "Phi": r"\Phi", "phi": r"\varphi",
}  # fmt: skip
RELATIONS = {
    ast.Eq: "=", ast.NotEq: r"\ne", ast.Lt: "<", ast.LtE: r"\le", ast.Gt: ">", ast.GtE: r"\ge",
}  # fmt: skip


def latex(expression: str, values: Mapping[str, float] | None = None) -> str:
    r"""Write an expression in LaTeX, with numbers in place of the names that have a value.

    Examples
    --------
    >>> latex("g / (2 * y)")
    '\\frac{g}{2 \\cdot y}'
    >>> latex("g * (1 - y**2)", {"g": 1.0, "y": -0.70710678})
    '1 \\cdot (1 - (-0.7071)^{2})'
    """
    return Writer(values or {}).visit(ast.parse(expression, mode="eval").body)


def decimal(x: float) -> str:
    """Write a number with four digits.

    Examples
    --------
    >>> decimal(0.70710678), decimal(2.0), decimal(-1.5e-7)
    ('0.7071', '2', '-1.5e-07')
    """
    return f"{x + 0.0:.4g}" if abs(x) < 1e4 or x != x else f"{x:.6g}"


def number(x: float) -> str:
    """Write a number in LaTeX."""
    if x != x:
        return r"\text{NaN}"
    text = decimal(x).replace("inf", r"\infty")
    digits, e, exponent = text.partition("e")
    return rf"{digits} \cdot 10^{{{int(exponent)}}}" if e else digits


def parenthesized(text: str) -> str:
    """Put LaTeX in parentheses, tall ones around a fraction."""
    return rf"\left({text}\right)" if r"\frac" in text else f"({text})"


class Writer(ast.NodeVisitor):
    """Writes an expression in LaTeX.

    Parameters
    ----------
    values : mapping of str to float
        The numbers to put in the place of names.
    """

    def __init__(self, values: Mapping[str, float]) -> None:
        self.values = values

    def visit(self, node: ast.AST) -> str:
        """Write an expression."""
        text: str = super().visit(node)
        return text

    def generic_visit(self, node: ast.AST) -> str:
        """Raise ValueError: formulas are made of arithmetic, comparisons and functions."""
        raise ValueError(f"{ast.unparse(node)} cannot be written as a formula.")

    def binds(self, node: ast.expr) -> int:
        """Return how tightly an expression binds, as it is written here."""
        match node:
            case ast.BinOp(op=ast.Add() | ast.Sub()) | ast.UnaryOp():
                return SUM
            case ast.BinOp(op=ast.Mult()):
                return PRODUCT
            case ast.BinOp(op=ast.Div() | ast.Pow()):
                return POWER
            case ast.Name(id=name) if name in self.values:
                text = number(self.values[name])
                return SUM if text.startswith("-") else PRODUCT if "cdot" in text else ATOM
            case ast.Call(func=ast.Name(id="exp")):
                return POWER
        return ATOM

    def fenced(self, node: ast.expr, least: int) -> str:
        """Write an expression, in parentheses if it does not bind tightly enough."""
        text = self.visit(node)
        return text if self.binds(node) >= least else parenthesized(text)

    def visit_Name(self, node: ast.Name) -> str:
        """Write a name, or its number."""
        if node.id in self.values:
            return number(self.values[node.id])
        return SYMBOLS.get(node.id, node.id)

    def visit_Constant(self, node: ast.Constant) -> str:
        """Write a number."""
        return number(node.value)  # type: ignore[arg-type]  # formulas hold no others

    def visit_UnaryOp(self, node: ast.UnaryOp) -> str:
        """Write a minus."""
        return f"-{self.fenced(node.operand, PRODUCT)}"

    def visit_BinOp(self, node: ast.BinOp) -> str:
        """Write a sum, a product, a fraction or a power."""
        left, right = node.left, node.right
        match node.op:
            case ast.Add():
                return f"{self.visit(left)} + {self.fenced(right, PRODUCT)}"
            case ast.Sub():
                return f"{self.visit(left)} - {self.fenced(right, PRODUCT)}"
            case ast.Mult():
                first = self.visit(left) if isinstance(left, ast.UnaryOp) else self.factor(left)
                return rf"{first} \cdot {self.factor(right)}"
            case ast.Div():
                return rf"\frac{{{self.visit(left)}}}{{{self.visit(right)}}}"
            case ast.Pow():
                return f"{self.fenced(left, ATOM)}^{{{self.visit(right)}}}"
        return self.generic_visit(node)

    def factor(self, node: ast.expr) -> str:
        """Write a factor of a product."""
        return self.fenced(node, PRODUCT)

    def visit_Compare(self, node: ast.Compare) -> str:
        """Write a comparison, which is 1 where it holds."""
        relation = RELATIONS[type(node.ops[0])]
        return f"[{self.visit(node.left)} {relation} {self.visit(node.comparators[0])}]"

    def visit_Call(self, node: ast.Call) -> str:
        """Write a root, an absolute value, a power of e, or a function of its arguments."""
        assert isinstance(node.func, ast.Name)
        inside = ", ".join(map(self.visit, node.args))
        match node.func.id:
            case "sqrt":
                return rf"\sqrt{{{inside}}}"
            case "cbrt":
                return rf"\sqrt[3]{{{inside}}}"
            case "abs":
                return rf"\left|{inside}\right|"
            case "exp":
                return f"e^{{{inside}}}"
            case "floor":
                return rf"\lfloor {inside} \rfloor"
            case "ceil":
                return rf"\lceil {inside} \rceil"
            case "indicator":
                return f"[{inside}]"
            case name:
                return FUNCTIONS.get(name, rf"\operatorname{{{name}}}") + parenthesized(inside)
