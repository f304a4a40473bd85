"""Expressions in Python's syntax, written in MathML: the language for formulas in browsers.

Presentation MathML Core (https://www.w3.org/TR/mathml-core), which all of them show by
themselves.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

SUM, PRODUCT, POWER, ATOM = 1, 2, 3, 4  # how strongly an expression holds together; cases: 0

MINUS = "\N{MINUS SIGN}"
APPLY = "\N{FUNCTION APPLICATION}"
SYMBOLS = {
    "alpha": "\N{GREEK SMALL LETTER ALPHA}", "beta": "β", "delta": "δ", "eps": "ε", "pi": "π",
    "inf": "∞", "LN2": "ln 2", "LN10": "ln 10",
}  # fmt: skip
RELATIONS = {
    ast.Eq: "=", ast.NotEq: "≠", ast.Lt: "<", ast.LtE: "≤", ast.Gt: ">", ast.GtE: "≥",
    ast.Is: "=", ast.IsNot: "≠", ast.In: "∈", ast.NotIn: "∉",
}  # fmt: skip


def mi(name: str) -> str:
    """Write an identifier."""
    name = name.lstrip("_")
    return f"<mi>{escape(SYMBOLS.get(name, name))}</mi>"


def mo(operator: str) -> str:
    """Write an operator."""
    return f"<mo>{escape(operator)}</mo>"


def row(*parts: str) -> str:
    """Put parts side by side."""
    return f"<mrow>{''.join(parts)}</mrow>"


def between(left: str, inside: str, right: str) -> str:
    """Put something between two fences, which grow only around what is tall."""
    tall = "<mfrac>" in inside or "<mtable>" in inside
    fences = [f'<mo stretchy="{str(tall).lower()}">{fence}</mo>' for fence in (left, right)]
    return row(fences[0], inside, fences[1])


def listed(parts: Sequence[str]) -> str:
    """Put parts in parentheses, with commas between them."""
    return between("(", mo(",").join(parts), ")")


def strength(node: ast.expr) -> int:
    """Tell how strongly an expression holds together, as it is written here."""
    match node:
        case ast.IfExp():
            return 0
        case ast.BinOp(op=ast.Add() | ast.Sub()) | ast.UnaryOp(op=ast.USub()):
            return SUM
        case ast.BinOp(op=ast.Mult() | ast.MatMult()):
            return PRODUCT
        case ast.BinOp(op=ast.Div() | ast.Pow()) | ast.Attribute(attr="T"):
            return POWER
    return ATOM


def factors(node: ast.expr) -> Iterator[ast.expr]:
    """List the factors of a product; one that is no product is its own factor."""
    match node:
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            yield from factors(left)
            yield from factors(right)
        case _:
            yield node


def equation(left: str, right: ast.expr) -> str:
    """Write that something, in MathML already, equals an expression.

    Examples
    --------
    >>> equation("<mi>y</mi>", ast.parse("2", mode="eval").body)
    '<math displaystyle="true"><mrow><mi>y</mi><mo>=</mo><mn>2</mn></mrow></math>'
    """
    return f'<math displaystyle="true">{row(left, mo("="), MathML().visit(right))}</math>'


def barred(name: ast.expr) -> str:
    """Write a name with a bar above."""
    return f'<mover accent="true">{MathML().visit(name)}<mo>¯</mo></mover>'


class MathML(ast.NodeVisitor):
    """Writes an expression in presentation MathML.

    Comparisons among numbers are in square brackets, 1 where they hold and 0 elsewhere
    (Iverson's). What has no place in a formula stays Python.
    """

    def generic_visit(self, node: ast.AST) -> str:
        """Write what is not mathematics as text."""
        return f"<mtext>{escape(ast.unparse(node))}</mtext>"

    def visit_Name(self, node: ast.Name) -> str:
        """Write a name."""
        return mi(node.id)

    def visit_Constant(self, node: ast.Constant) -> str:
        """Write a number."""
        value = node.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self.generic_visit(node)
        number = f"<mn>{abs(value):.15g}</mn>"
        return row(mo(MINUS), number) if value < 0 else number

    def visit(self, node: ast.AST) -> str:
        """Write an expression."""
        text: str = super().visit(node)
        return text

    def fenced(self, node: ast.expr, least: int) -> str:
        """Write an expression, in parentheses if it does not hold together well enough."""
        text = self.visit(node)
        return text if strength(node) >= least else between("(", text, ")")

    def visit_UnaryOp(self, node: ast.UnaryOp) -> str:
        """Write a minus."""
        if not isinstance(node.op, ast.USub):
            return self.generic_visit(node)
        return row(mo(MINUS), self.fenced(node.operand, PRODUCT))

    def visit_BinOp(self, node: ast.BinOp) -> str:
        """Write a sum, a product, a fraction or a power."""
        match node.op:
            case ast.Add() | ast.Sub() as op:
                sign = mo("+" if isinstance(op, ast.Add) else MINUS)
                return row(self.visit(node.left), sign, self.fenced(node.right, PRODUCT))
            case ast.Mult():
                return self.product(node)
            case ast.MatMult():
                space = '<mspace width="0.25em"/>'
                return row(self.matrix(node.left), space, self.matrix(node.right))
            case ast.Div():
                return f"<mfrac>{self.visit(node.left)}{self.visit(node.right)}</mfrac>"
            case ast.Pow():
                return f"<msup>{self.fenced(node.left, ATOM)}{self.visit(node.right)}</msup>"
        return self.generic_visit(node)

    def product(self, node: ast.BinOp) -> str:
        """Write a product: x * x as a power, and a minus in front without parentheses."""
        first, *others = factors(node)
        sign = ""
        if isinstance(first, ast.UnaryOp) and isinstance(first.op, ast.USub):
            sign, first = mo(MINUS), first.operand
        parts = []
        for _, group in groupby([first, *others], ast.dump):
            factor, *again = group
            text = self.fenced(factor, ATOM if again else PRODUCT)
            parts.append(f"<msup>{text}<mn>{len(again) + 1}</mn></msup>" if again else text)
        return row(sign, mo("⋅").join(parts))

    def matrix(self, node: ast.expr) -> str:
        """Write a factor of a product of matrices."""
        match node:
            case ast.BinOp(op=ast.MatMult()):
                return self.visit(node)
            case ast.UnaryOp(op=ast.USub(), operand=x):
                return row(mo(MINUS), self.matrix(x))
        return self.fenced(node, POWER)

    def visit_IfExp(self, node: ast.IfExp) -> str:
        """Write cases beside a brace."""
        lines = []
        rest: ast.expr = node
        while isinstance(rest, ast.IfExp):
            condition = row(f"<mtext>if&#160;</mtext>{self.condition(rest.test)}")
            lines.append((self.visit(rest.body), condition))
            rest = rest.orelse
        lines.append((self.visit(rest), "<mtext>otherwise</mtext>"))
        cells = "".join(
            f'<mtr><mtd style="text-align: left">{value}</mtd>'
            f'<mtd style="text-align: left">{condition}</mtd></mtr>'
            for value, condition in lines
        )
        return row(mo("{"), f"<mtable>{cells}</mtable>")

    def condition(self, node: ast.expr) -> str:
        """Write a comparison."""
        if not isinstance(node, ast.Compare):
            return self.visit(node)
        parts = [self.visit(node.left)]
        for op, operand in zip(node.ops, node.comparators, strict=True):
            parts += [mo(RELATIONS[type(op)]), self.visit(operand)]
        return row(*parts)

    def visit_Compare(self, node: ast.Compare) -> str:
        """Write a mask."""
        return between("[", self.condition(node), "]")

    def visit_Attribute(self, node: ast.Attribute) -> str:
        """Write a transpose, a name of a module, or else the attribute as it is."""
        match node:
            case ast.Attribute(attr="T", value=x):
                return f'<msup>{self.fenced(x, ATOM)}<mi mathvariant="normal">T</mi></msup>'
            case ast.Attribute(value=ast.Name(id="np") | ast.Attribute(value=ast.Name(id="np"))):
                return mi(node.attr)
        return row(self.fenced(node.value, ATOM), f"<mtext>.{escape(node.attr)}</mtext>")

    def visit_Call(self, node: ast.Call) -> str:
        """Write a root, an absolute value, a sum, or a function of its arguments."""
        match self.visit(node.func), node.args:
            case "<mi>sqrt</mi>", [x]:
                return f"<msqrt>{self.visit(x)}</msqrt>"
            case "<mi>abs</mi>", [x]:
                return between("|", self.visit(x), "|")
            case "<mi>sum</mi>", [x]:
                over = [self.visit(k.value) for k in node.keywords if k.arg == "axis"]
                sign = f"<munder>{mo('∑')}{over[0]}</munder>" if over else mo("∑")
                return row(sign, between("(", self.visit(x), ")"))
            case name, arguments:
                parts = [self.visit(x) for x in (*arguments, *node.keywords)]
                return row(name, mo(APPLY), listed(parts))

    def visit_keyword(self, node: ast.keyword) -> str:
        """Write a parameter."""
        return row(mi(node.arg or "**"), mo("="), self.visit(node.value))

    def visit_Tuple(self, node: ast.Tuple) -> str:
        """Write a tuple."""
        return listed([self.visit(x) for x in node.elts])

    def visit_Subscript(self, node: ast.Subscript) -> str:
        """Write an element as one with an index, if that is short."""
        value = self.fenced(node.value, ATOM)
        if isinstance(node.slice, (ast.Name, ast.Constant)):
            return f"<msub>{value}{self.visit(node.slice)}</msub>"
        return row(value, between("[", self.visit(node.slice), "]"))
