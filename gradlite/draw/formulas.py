"""The derivative rules as formulas: their Python source, written as mathematics.

A formula is generated from the rule itself, so the two cannot drift apart: the source of a vjp is
found again, `Plainly` puts its expression in operators, and gradlite.draw.mathml writes it.

The bar marks a cotangent, as in the literature: the formula of ``lambda g, ans, x, y: g * y``
reads x̄ = g · y. `g` and `ans` keep the names that they have in the code: the cotangent of the
answer, and the answer.
"""

from __future__ import annotations

import ast
import copy
import dis
import inspect
import linecache
import textwrap
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from gradlite.draw.mathml import barred, equation
from gradlite.rule import Function, Rule
from gradlite.rules.fused import product, rows_dot
from gradlite.rules.products import T


@dataclass(frozen=True)
class Formula:
    """The derivative of a function by one of its arguments.

    Attributes
    ----------
    argument : str
        The name of the argument, as the rule calls it; ``arrays[i]`` for one of any number.
    mathml : str
        Its cotangent as an equation in presentation MathML; '' where the rule is no single
        expression, or one that only Python can say.
    source : str
        The rule in Python; '' where it is lost (of a rule typed into ``python -c``, say).
    """

    argument: str
    mathml: str
    source: str


def formulas(rule: Rule) -> list[Formula]:
    """Write a rule as formulas, one for each argument that has a derivative.

    Parameters
    ----------
    rule : Rule
        An entry of `gradlite.rule.RULES`, say, or the rule of a node.

    Returns
    -------
    list of Formula
        In the order of the arguments. A vjp that is not written in Python has none.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlite.rule import RULES
    >>> x, y = formulas(RULES[np.multiply])
    >>> x.argument, x.source
    ('x', 'lambda g, ans, x, y: g * y')
    >>> x.mathml[-51:]
    '<mi>g</mi><mo>⋅</mo><mi>y</mi></mrow></mrow></math>'
    """
    if rule.variadic is not None:
        return [formula(rule.variadic, f"{inspect.getfullargspec(rule.variadic).varargs}[i]")]
    return [
        formula(vjp, argument_name(vjp, i))
        for i, vjp in enumerate(rule.vjps)
        if inspect.isfunction(vjp)
    ]


def argument_name(vjp: Function, i: int) -> str:
    """Find what a vjp calls argument `i`."""
    spec = inspect.getfullargspec(vjp)
    names = spec.args[2:]
    return names[i] if i < len(names) else f"{spec.varargs}[{i - len(names)}]"


def formula(vjp: Function, argument: str) -> Formula:
    """Write one vjp as a formula."""
    text, node = definition(vjp)
    expression = None if node is None else returned(node)
    if expression is None or is_program(expression):
        return Formula(argument, "", text)
    cotangent = barred(ast.parse(argument, mode="eval").body)
    return Formula(argument, equation(cotangent, plainly(expression, vjp)), text)


# -- from a function to its source ------------------------------------------------------------


@cache
def parsed(text: str) -> list[ast.Lambda | ast.FunctionDef]:
    """List the functions of a file, those inside others after them."""
    try:
        nodes = ast.walk(ast.parse(text))
    except SyntaxError:  # the file has been edited since
        return []
    return [node for node in nodes if isinstance(node, (ast.Lambda, ast.FunctionDef))]


def definition(fn: Function) -> tuple[str, ast.Lambda | ast.FunctionDef | None]:
    """Find the text of a function, and its syntax.

    Several lambdas may begin on one line: the one is meant in which the instructions stand.
    """
    lines = linecache.getlines(fn.__code__.co_filename, fn.__globals__)
    positions = (step.positions for step in dis.get_instructions(fn))
    at = next((p for p in positions if p and p.end_col_offset), None)
    if at is None:  # Python was told not to keep them
        return "", None
    around = [
        node
        for node in parsed("".join(lines))
        if (node.lineno, node.col_offset) <= (at.lineno, at.col_offset)
        and (at.end_lineno, at.end_col_offset) <= (node.end_lineno, node.end_col_offset)
    ]
    return (segment(lines, around[-1]), around[-1]) if around else ("", None)


def segment(lines: list[str], node: ast.Lambda | ast.FunctionDef) -> str:
    """Cut the text of a function out of its file. Columns are counted in bytes of UTF-8.

    One that begins in the middle of a line is put at the margin of the lines after it.
    """
    text = [line.encode() for line in lines[node.lineno - 1 : node.end_lineno]]
    text[-1] = text[-1][: node.end_col_offset]
    margins = [len(line) - len(line.lstrip()) for line in text[1:] if line.strip()]
    text[0] = b" " * min([node.col_offset, *margins]) + text[0][node.col_offset :]
    return textwrap.dedent(b"".join(text).decode())


def returned(node: ast.Lambda | ast.FunctionDef) -> ast.expr | None:
    """Give what a function returns, if it does nothing else than choose an expression."""
    return node.body if isinstance(node, ast.Lambda) else chosen(node.body)


def chosen(statements: Sequence[ast.stmt]) -> ast.expr | None:
    """Put statements that only choose what to return into one conditional expression."""
    match statements:
        case [ast.Expr(value=ast.Constant()), *rest]:
            return chosen(rest)
        case [ast.Return(value=value)]:
            return value
        case [ast.If(test=test, body=body, orelse=[]), *rest]:
            then, otherwise = chosen(body), chosen(rest)
            if then is not None and otherwise is not None:
                return ast.IfExp(test, then, otherwise)
    return None


def is_program(expression: ast.expr) -> bool:
    """Tell whether a loop or a repeated tuple is in an expression: mathematics writes neither."""
    return any(
        isinstance(part, ast.comprehension)
        or (isinstance(part, ast.BinOp) and isinstance(part.left, ast.Tuple))
        for part in ast.walk(expression)
    )


# -- from calls to operators ------------------------------------------------------------------


def dot(x: ast.expr, y: ast.expr) -> ast.expr:
    """Write a product of matrices."""
    return ast.BinOp(x, ast.MatMult(), y)


def power(n: int) -> Callable[[ast.expr], ast.expr]:
    """Write a power with a constant exponent."""
    return lambda x: ast.BinOp(x, ast.Pow(), ast.Constant(n))


OPERATORS: dict[tuple[Any, int], Callable[..., ast.expr]] = {
    (np.where, 3): ast.IfExp,
    (np.square, 1): power(2),
    (np.linalg.inv, 1): power(-1),
    (np.zeros, 2): lambda *_: ast.Constant(0),
    (np.zeros_like, 1): lambda _: ast.Constant(0),
    (np.dot, 2): dot,
    (rows_dot, 2): dot,
    (product, 2): dot,
    (T, 1): lambda x: ast.Attribute(x, "T"),
}
"""Functions, with the number of their arguments, that are written as operators."""

BUFFERS = ("saved", "out")  # parameters that spare the rule work, and change no number


def plainly(expression: ast.expr, fn: Function) -> ast.expr:
    """Put an expression that stands in the function `fn` plainly."""
    result: ast.expr = Plainly(fn.__globals__).visit(copy.deepcopy(expression))
    return result


class Plainly(ast.NodeTransformer):
    """Puts an expression in operators, and writes out small helpers of a rule.

    Parameters
    ----------
    names : mapping
        What the names of functions in the expression mean.
    values : mapping, optional
        Expressions to put in the place of names.
    """

    def __init__(
        self, names: Mapping[str, Any], values: Mapping[str, ast.expr] | None = None
    ) -> None:
        self.names = names
        self.values = values or {}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Put the value in its place."""
        return self.values.get(node.id, node)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        """Leave out choices that do not change the result."""
        match node.test:
            case ast.Compare(left=ast.Name(id="saved"), ops=[ast.Is()]):
                return self.visit(node.body)
            case ast.Call(func=ast.Name(id="isinstance")):  # a short cut for plain numbers
                return self.visit(node.orelse)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Write an operator in place of a function that means one."""
        fn = self.meaning(node.func)
        self.generic_visit(node)
        node.args = [a for a in node.args if not (isinstance(a, ast.Name) and a.id in BUFFERS)]
        node.keywords = [k for k in node.keywords if k.arg not in BUFFERS]
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            return node
        if isinstance(fn, Hashable) and (fn, len(node.args)) in OPERATORS:
            return OPERATORS[fn, len(node.args)](*node.args)
        helper = arithmetic(fn, len(node.args))
        if helper is None:
            return node
        values = dict(zip(inspect.getfullargspec(fn).args, node.args, strict=True))
        result: ast.expr = Plainly(fn.__globals__, values).visit(copy.deepcopy(helper))
        return result

    def meaning(self, name: ast.expr) -> Any:
        """Find the function that is called: by its name, or in a module."""
        match name:
            case ast.Name(id=known):
                return self.names.get(known)
            case ast.Attribute(value=room, attr=known):
                module = self.meaning(room)
                return getattr(module, known, None) if inspect.ismodule(module) else None
        return None


def arithmetic(fn: Any, count: int) -> ast.expr | None:
    """Give the expression of a helper of `count` arguments, if it is arithmetic without cases."""
    if not inspect.isfunction(fn) or hasattr(fn, "forward"):
        return None
    if len(inspect.getfullargspec(fn).args) != count:
        return None
    _, node = definition(fn)
    expression = None if node is None else returned(node)
    if not isinstance(expression, ast.BinOp):
        return None
    plain = plainly(expression, fn)
    return None if any(isinstance(part, ast.IfExp) for part in ast.walk(plain)) else expression
