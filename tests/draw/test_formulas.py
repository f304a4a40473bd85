"""Formulas are the rules: found again in their files, and written in MathML."""

# ruff: noqa: RUF001  (formulas have a minus sign, not a hyphen)

import ast
import dis
import inspect
from xml.etree import ElementTree

import numpy as np
import pytest

import gradlite as gl
from gradlite.draw.formulas import formulas
from gradlite.draw.mathml import MathML
from gradlite.rule import RULES, Rule
from gradlite.rules.class_losses import bce_with_logits
from gradlite.rules.elementwise import where
from gradlite.rules.indexing import getitem
from gradlite.rules.losses import mse
from gradlite.rules.shape import concat
from gradlite.rules.sparse import embedding

EVERY = sorted(
    (r for r in RULES.values() if getattr(r.fn, "__module__", "") != __name__), key=lambda r: r.name
)


def read(mathml):
    """The characters of a formula, one after the other."""
    return "".join(ElementTree.fromstring(mathml).itertext()).replace(
        "\N{FUNCTION APPLICATION}", ""
    )


def math(expression):
    return MathML().visit(ast.parse(expression, mode="eval").body)


def cotangents(fn):
    return [read(f.mathml) if f.mathml else "" for f in formulas(RULES[fn])]


def steps(fn):
    """What a function names and computes, in order; which instructions do it is Python's affair."""
    found = []
    for step in dis.get_instructions(fn):
        if step.opname.startswith(("BINARY", "COMPARE")):
            found.append(step.argrepr)
        else:
            names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
            found += [name for name in names if isinstance(name, str)]
    return found, fn.__code__.co_varnames


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.name)
def test_every_rule_has_formulas_with_the_very_source_of_its_vjps(rule):
    vjps = [vjp for vjp in (*rule.vjps, rule.variadic) if vjp is not None]
    found = formulas(rule)
    assert len(found) == len(vjps)
    for formula, vjp in zip(found, vjps, strict=True):
        assert formula.argument
        assert formula.source[0] != " "
        scope = dict(vjp.__globals__)
        if vjp.__name__ == "<lambda>":
            again = eval(formula.source, scope)
        else:
            exec("from __future__ import annotations\n" + formula.source, scope)
            again = scope[vjp.__name__]
            assert inspect.getdoc(again) == inspect.getdoc(vjp)
        assert steps(again) == steps(vjp)
        if formula.mathml:
            assert ElementTree.fromstring(formula.mathml).tag == "math"
            assert "<mtext>lambda" not in formula.mathml


def test_most_rules_are_one_expression():
    every = [formula for rule in EVERY for formula in formulas(rule)]
    assert sum(bool(formula.mathml) for formula in every) > 0.85 * len(every)


def test_a_product_and_a_quotient_in_full():
    (x, y) = formulas(RULES[np.multiply])
    bar = '<math displaystyle="true"><mrow><mover accent="true"><mi>{}</mi><mo>¯</mo></mover>'
    assert x.mathml == bar.format("x") + (
        "<mo>=</mo><mrow><mi>g</mi><mo>⋅</mo><mi>y</mi></mrow></mrow></math>"
    )
    assert y.source == "lambda g, ans, x, y: g * x"
    over = formulas(RULES[np.divide])[0].mathml
    assert over == bar.format("x") + ("<mo>=</mo><mfrac><mi>g</mi><mi>y</mi></mfrac></mrow></math>")


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (np.tanh, ["x¯=g−g⋅ans2"]),
        (np.subtract, ["x¯=g", "y¯=−g"]),
        (np.cos, ["x¯=−g⋅sin(x)"]),
        (np.floor, ["x¯=0"]),
        (gl.relu, ["x¯=g⋅[ans>0]"]),
        (where, ["x¯={gif\xa0condition0otherwise", "y¯={0if\xa0conditiongotherwise"]),
        # What power does for plain numbers is a short cut; the formula leaves it out.
        (np.power, ["x¯=g⋅y⋅x{1if\xa0y=0y−1otherwise", "y¯=g⋅ans⋅log({1if\xa0x=0xotherwise)"]),
        # One helper is written out, and what the forward pass saved is spelled out.
        (np.maximum, ["x¯=g⋅[x=ans]−g⋅[x=y]⋅0.5", "y¯=g⋅[y=ans]−g⋅[y=x]⋅0.5"]),
        (gl.silu, ["x¯=g⋅sigmoid(x)⋅(1+x⋅(1−sigmoid(x)))"]),
        (mse, [f"{a}¯={s}2⋅each(g,reduction,factor,x.size)⋅(x−t)" for a, s in ("x ", "t−")]),
        (gl.affine, ["x¯=gWT", "W¯=flat(x)Tflat(g)", "b¯=row_sum(g)"]),
        (gl.softmax, ["x¯=ans⋅(g−∑axis(g⋅ans))"]),
        (np.linalg.inv, ["a¯=−ansTgansT"]),
        (getitem, ["x¯=untake(g,index=index,shape=x.shape)"]),
        (gl.logsumexp, [""]),  # two statements: no single expression
        (np.transpose, [""]),  # a loop, and a tuple repeated: Python says it better
        (concat, [""]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_formulas_say(fn, expected):
    assert cotangents(fn) == [text.replace(" ", "") for text in expected]


def test_the_cases_of_a_matrix_product():
    x, y = formulas(RULES[np.matmul])
    lines = ElementTree.fromstring(x.mathml).findall(".//mtable")[0].findall("mtr")
    said = ["".join(line.itertext()).replace("\N{FUNCTION APPLICATION}", "") for line in lines]
    assert said[1:] == ["squeeze(ycolumn(g),−1)if\xa0x.ndim=1", "gyTotherwise"]
    assert read(y.mathml).endswith("flat(x)Tflat(g)if\xa0y.ndim=2<x.ndimxTgotherwise")


def test_what_each_argument_is_called():
    assert [f.argument for f in formulas(RULES[np.arctan2])] == ["y", "x"]
    assert [f.argument for f in formulas(RULES[bce_with_logits])] == ["x", "t"]
    assert [f.argument for f in formulas(RULES[embedding])] == ["weight"]
    assert [f.argument for f in formulas(RULES[concat])] == ["arrays[i]"]


def test_a_new_rule_has_a_new_formula():
    twice = gl.primitive(lambda x: 2 * x)
    gl.defvjp(twice, lambda g, ans, x: 3 * g)
    assert cotangents(twice) == ["x¯=3⋅g"]
    gl.defvjp(twice, lambda g, ans, x: 2 * g)
    assert cotangents(twice) == ["x¯=2⋅g"]
    del RULES[twice]


def test_of_two_lambdas_on_a_line_each_is_found():
    first, second = (lambda g, ans, x, y: g * x), (lambda g, ans, x, y: g * y)
    sources = [f.source for f in formulas(Rule(np.multiply, (second, first)))]
    assert sources == ["lambda g, ans, x, y: g * y", "lambda g, ans, x, y: g * x"]


def test_rules_without_a_source_or_without_python():
    scope = {}
    exec("vjp = lambda g, ans, x: g", scope)
    (lost,) = formulas(Rule(np.positive, (scope["vjp"],)))
    assert (lost.argument, lost.mathml, lost.source) == ("x", "", "")
    assert formulas(Rule(np.positive, (max,))) == []
    (any_number,) = formulas(Rule(np.positive, (lambda g, ans, *args: g,)))
    assert (any_number.argument, read(any_number.mathml)) == ("args[0]", "args0¯=g")


def doubled(x, factor=2.0):
    return x * factor


def test_calls_of_other_forms_stay_calls():
    vjps = (
        lambda g, ans, x, *rest: g * doubled(x) + doubled(*rest),
        lambda g, ans, x, *rest: np.where(g)[0] + np.square(g, dtype=float),
        lambda g, ans, x, *rest: doubled(g, x) + x.unknown(g) + rest[0](g),
    )
    first, second, third = formulas(Rule(np.add, vjps))
    assert [f.argument for f in (first, second, third)] == ["x", "rest[0]", "rest[1]"]
    assert read(first.mathml) == "x¯=g⋅doubled(x)+doubled(*rest)"
    assert read(second.mathml) == "rest0¯=where(g)0+square(g,dtype=float)"
    assert read(third.mathml) == "rest1¯=g⋅x+x.unknown(g)+rest0(g)"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(a + b) * c", "(a+b)⋅c"),
        ("a + b * c", "a+b⋅c"),
        ("a - (b - c)", "a−(b−c)"),
        ("a * -b", "a⋅(−b)"),
        ("-a * b", "−a⋅b"),
        ("-(a + b)", "−(a+b)"),
        ("(a * b) @ c", "(a⋅b)c"),
        ("a @ b @ c.T", "abcT"),
        ("2.0 * a", "2⋅a"),
        ("a[:, 0]", "a[(:,0)]"),
        ("a <= b", "[a≤b]"),
        ("a and b < 1", "a and b < 1"),
        ("delta / np.inf", "δ∞"),
        ("f(a, *b, k=1)", "f(a,*b,k=1)"),
        ("'<&>'", "'<&>'"),
        ("a % b", "a % b"),
        ("_helper(a)", "helper(a)"),
    ],
)
def test_expressions(expression, expected):
    assert read(f"<math>{math(expression)}</math>") == expected


def test_structure_of_powers_roots_and_repeated_factors():
    assert math("a * a") == "<mrow><msup><mi>a</mi><mn>2</mn></msup></mrow>"
    assert math("(a * b) ** 2").startswith("<msup><mrow>")
    assert math("np.sqrt(a)") == "<msqrt><mi>a</mi></msqrt>"
    assert math("a[i]") == "<msub><mi>a</mi><mi>i</mi></msub>"
    assert 'stretchy="true"' in math("f(a / b)")
    assert 'stretchy="true"' not in math("f(a * b)")
