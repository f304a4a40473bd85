"""Formulas: the hand-written mathematics in MathML, and the very Python of the rule."""

# ruff: noqa: RUF001  (formulas have a minus sign, not a hyphen)

import dis
import inspect
from xml.etree import ElementTree

import numpy as np
import pytest

import gradlite as gl
from gradlite.autodiff.rule import RULES, Rule
from gradlite.autodiff.rules.losses import bce_with_logits, mse, poisson_nll
from gradlite.autodiff.rules.shape import concat
from gradlite.autodiff.rules.sparse import embedding
from gradlite.draw.formulas import defined, explained, formulas, with_gradients
from gradlite.draw.latex import decimal, latex
from gradlite.draw.mathematics import entry_of
from tests.helpers import unaddressed

EVERY = sorted(
    (r for r in RULES.values() if not str(getattr(r.fn, "__module__", "")).startswith("tests.")),
    key=lambda r: r.name,
)


def read(mathml):
    """The characters of a formula, one after the other."""
    text = "".join(ElementTree.fromstring(mathml).itertext())
    return text.replace("\N{NO-BREAK SPACE}", "")


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
        vjp = inspect.unwrap(vjp)
        scope = dict(vjp.__globals__)
        if vjp.__name__ == "<lambda>":
            again = eval(formula.source, scope)
        else:
            exec("from __future__ import annotations\n" + formula.source, scope)
            again = scope[vjp.__name__]
            assert inspect.getdoc(again) == inspect.getdoc(vjp)
        assert steps(again) == steps(vjp)


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.name)
def test_every_formula_is_mathematics_throughout(rule):
    entry = entry_of(rule)
    written = [f.mathml for f in formulas(rule)] + [defined(entry)]
    written += [f"<p>{line}</p>" for line in explained(entry)]
    for text in written:
        tree = ElementTree.fromstring(text)
        assert not any("\\" in part or "$" in part for part in tree.itertext())
        for mark in ("g", "ans"):  # the names that the code has for dL/d of the result
            assert not [x for x in tree.iter() if x.tag.endswith("mi") and x.text == mark]
        assert "mover" not in text  # no bar, which would merge with the letter
    for f in formulas(rule):
        assert read(f.mathml).startswith(f"dLd{f.symbol}")


@pytest.mark.parametrize(
    ("fn", "params", "expected"),
    [
        (np.tanh, {}, ["dLdx=dLdy·(1−y2)"]),
        (np.subtract, {}, ["dLdx=dLdz", "dLdy=−dLdz"]),
        (np.floor, {}, ["dLdx=0"]),
        (gl.relu, {}, ["dLdx=dLdy·[x>0]"]),
        (bce_with_logits, {}, ["dLdx=dLdy·σ(x)−tn", "dLdt=dLdy·−xn"]),
        (bce_with_logits, {"reduction": "sum"}, ["dLdx=dLdy·(σ(x)−t)", "dLdt=dLdy·(−x)"]),
        (mse, {"reduction": "none", "factor": 1.0}, ["dLdx=dLdy·w·2·(x−t)", "dLdt=dLdy·w·2·(t−x)"]),
        (gl.affine, {}, ["dLdX=dLdYWT", "dLdW=XTdLdY", "dLdb=∑idLdYi"]),
        (gl.softmax, {}, ["dLdxi=yi·(dLdyi−∑jdLdyjyj)"]),
        (np.linalg.inv, {}, ["dLdA=−YTdLdYYT"]),
        (concat, {}, ["dLdxi=dLdys+i"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_formulas_say(fn, params, expected):
    assert [read(f.mathml) for f in formulas(RULES[fn], params)] == expected


@pytest.mark.parametrize(
    ("fn", "params", "expected"),
    [
        (bce_with_logits, {}, "y=1n∑(ln(1+ex)−t·x)"),
        (bce_with_logits, {"reduction": "none"}, "y=ln(1+ex)−t·x"),
        (bce_with_logits, {"reduction": "none", "factor": 1.0}, "y=w·(ln(1+ex)−t·x)"),
        (poisson_nll, {"reduction": "sum"}, "y=∑(ex−t·x)"),
        (mse, {}, "y=1n∑(x−t)2"),
    ],
    ids=unaddressed,
)
def test_what_is_summed_stands_in_parentheses(fn, params, expected):
    assert read(defined(entry_of(RULES[fn], params))) == expected


def test_what_each_argument_is_called():
    assert [(f.argument, f.symbol) for f in formulas(RULES[np.arctan2])] == [("y", "y"), ("x", "x")]
    assert [f.argument for f in formulas(RULES[embedding])] == ["weight"]
    assert [f.argument for f in formulas(RULES[concat])] == ["arrays[i]"]


def test_a_user_written_rule_is_shown_in_python():
    twice = gl.primitive(lambda x: 2 * x)
    gl.defvjp(twice, lambda g, ans, x: 2 * g)
    (formula,) = formulas(RULES[twice])
    assert (formula.symbol, formula.mathml) == ("x", "")
    assert formula.source == "lambda g, ans, x: 2 * g"
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
    assert any_number.argument == "args[0]"


def test_the_gradient_of_the_result_takes_the_indices_of_g():
    assert with_gradients(r"\log g_{ij} + g^T + \text{g}", "Y") == (
        r"\log \frac{dL}{dY_{ij}} + \left(\frac{dL}{dY}\right)^T + \text{g}"
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(a + b) * c", r"(a + b) \cdot c"),
        ("a - (b - c)", "a - (b - c)"),
        ("a * -b", r"a \cdot (-b)"),
        ("-a * b", r"-a \cdot b"),
        ("-(a + b)", "-(a + b)"),
        ("(a * b)**2", r"(a \cdot b)^{2}"),
        ("exp(a)**2", "(e^{a})^{2}"),
        ("a / (b / c)", r"\frac{a}{\frac{b}{c}}"),
        ("sin(a / b)", r"\sin\left(\frac{a}{b}\right)"),
        ("a <= b", r"[a \le b]"),
        ("1e-8 + abs(a)", r"1 \cdot 10^{-8} + \left|a\right|"),
    ],
)
def test_expressions(expression, expected):
    assert latex(expression) == expected


@pytest.mark.parametrize(
    ("expression", "values", "expected"),
    [
        ("a**2", {"a": -0.5}, "(-0.5)^{2}"),
        ("a - b", {"a": 1.0, "b": -2.0}, "1 - (-2)"),
        ("a * b", {"a": -1.0, "b": -2.0}, r"(-1) \cdot (-2)"),
        ("-a", {"a": -1.0}, "-(-1)"),
        ("a * b", {"a": 1.5e-7, "b": float("nan")}, r"1.5 \cdot 10^{-7} \cdot \text{NaN}"),
        ("a**2", {"a": 2e-7}, r"(2 \cdot 10^{-7})^{2}"),
    ],
)
def test_numbers_are_put_in_with_parentheses_where_they_need_them(expression, values, expected):
    assert latex(expression, values) == expected


def test_what_is_no_formula_is_refused():
    with pytest.raises(ValueError, match="cannot be written as a formula"):
        latex("[x for x in y]")


def test_numbers_are_short():
    numbers = (0.70710678, -2.0, 12345.678, 1e300, float("inf"), -0.0)
    assert list(map(decimal, numbers)) == ["0.7071", "-2", "12345.7", "1e+300", "inf", "0"]
