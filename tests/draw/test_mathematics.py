"""Every rule has a formula, and every formula gives what its rule gives."""

import numpy as np
import pytest
import scipy.special as sp

from gradlite.autodiff.cotangents import sum_to_shape
from gradlite.autodiff.modes import ModeContext
from gradlite.autodiff.rule import RULES, Rule
from gradlite.autodiff.tape import ITEM
from gradlite.draw.mathematics import MATHEMATICS, Elementwise, entry_of
from tests.draw.formula_twins import TWINS
from tests.helpers import leaves
from tests.specs import SPECS

OURS = [
    rule
    for rule in RULES.values()
    if all(v is None or v.__module__.startswith("gradlite.") for v in (*rule.vjps, rule.variadic))
]

NUMPY = {
    **{name: getattr(np, name) for name in (
        "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "exp", "log",
        "log2", "log10", "sqrt", "cbrt", "abs", "sign", "floor", "ceil", "trunc", "round", "pi",
        "inf",
    )},
    "arsinh": np.arcsinh, "arcosh": np.arccosh, "artanh": np.arctanh, "atan2": np.arctan2,
    "max": np.maximum, "min": np.minimum, "sigmoid": sp.expit, "erf": sp.erf, "Phi": sp.ndtr,
    "phi": lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi),
    "indicator": lambda c: np.where(c, 1.0, 0.0),
}  # fmt: skip


class watched(ModeContext):
    """Notes down every operation that is carried out."""

    def __init__(self):
        self.seen = []

    def _change(self, mode):
        return mode._replace(inspector=self)

    def forward(self, rule, args, ans, node):
        if node is not None:
            params = {k: v for k, v in (node.params or {}).items() if k != "residuals"}
            self.seen.append((rule, node.parents, [np.asarray(a) if isinstance(a, float) else a
                                                   for a in args], params, ans))  # fmt: skip


def calls():
    """Carry out the calls of all rows; give the operations that they consist of."""
    for spec in SPECS:
        for call in spec.calls:
            points, run = call.draw()
            watch = watched()
            try:
                with watch, np.errstate(all="ignore"):
                    run(spec.prepared(), *leaves(*points))
            except (TypeError, ValueError, AttributeError):
                continue  # an older NumPy does not take this call
            yield from watch.seen

    # Of np.clip, the rows of the table let through everything.
    watch = watched()
    with watch:
        np.clip(*leaves(np.array([-2.0, 0.0, 2.0]), np.array(-1.0), np.array(1.0)))
    yield from watch.seen


def cotangent(ans):
    rng = np.random.default_rng(1)
    parts = [rng.standard_normal(np.shape(p)) for p in (ans if isinstance(ans, tuple) else [ans])]
    return parts if isinstance(ans, tuple) else parts[0]


def evaluated(entry, expression, rule, g, ans, args, params):
    """Evaluate a formula of one number, of whole arrays."""
    known = rule._signature() | params
    symbols = {symbol: known.get(name) for name, symbol in entry.params.items()}
    names = {**dict(zip(entry.arguments, args, strict=True)), **symbols}
    names |= {"g": g, entry.result: ans, "n": np.size(args[0])}
    exact = {k: np.asarray(v, float) if np.asarray(v).dtype.kind == "f" else v
             for k, v in names.items()}  # fmt: skip
    return eval(expression, dict(NUMPY), exact)


def results():
    """Return the results of each rule and of its formula, for each derivative."""
    for rule, parents, args, params, ans in calls():
        entry = entry_of(rule, params)
        if entry is None:
            continue
        g = cotangent(ans)
        vjps = rule.vjps or rule.pullbacks(len(parents))
        for i, parent in enumerate(parents):
            if parent is None:
                continue
            with np.errstate(all="ignore"):
                expected = vjps[i](g, ans, *args, **params)
                symbol = entry.arguments[0 if rule.variadic else i]
                if isinstance(entry, Elementwise):
                    formula = entry.derivatives[symbol]
                    found = evaluated(entry, formula, rule, g, ans, args, params)
                    found = np.broadcast_to(found, expected.shape)
                else:
                    twin = TWINS[key(rule)][symbol]
                    twin = twin(i) if rule.variadic else twin
                    found = twin(g, ans, *args, **params)
            if found is not None:
                yield rule, symbol, fit(found, parent.shape), fit(expected, parent.shape)


def fit(c, shape):
    return c if np.shape(c) == shape else sum_to_shape(np.asarray(c), shape)


def key(rule):
    name = f"gl.{rule.fn.__name__}"
    return name if name in MATHEMATICS else rule.name


STEPS = {
    "np.sign", "np.floor", "np.ceil", "np.trunc", "np.rint", "np.round", "np.around",
    "np.floor_divide",
}  # fmt: skip


def test_every_formula_gives_what_its_rule_gives():
    checked = set()
    for rule, symbol, found, expected in results():
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10, err_msg=rule.name)
        if found.size and (np.any(found) or rule.name in STEPS):
            checked.add((rule.name, rule.fn, symbol))
    wanted = {
        (rule.name, rule.fn, leading(name)) for rule in OURS for name in entry_of(rule).derivatives
    }
    assert wanted - checked == set()


def leading(symbol):
    return symbol.partition("_")[0]


def test_the_code_of_formulas_of_arrays_gives_what_they_give():
    checked = set()
    for rule, parents, args, params, ans in calls():
        entry = entry_of(rule, params)
        if not getattr(entry, "code", {}):
            continue
        given = zip(entry.arguments, args, strict=False)
        capitals = [np.ndim(x) for name, x in given if name.isupper()]
        matrices = np.ndim(ans) == (2 if entry.result.isupper() else 0) and set(capitals) <= {2}
        if not matrices:
            continue
        g = cotangent(ans)
        names = {**dict(zip(entry.arguments, args, strict=False)), "g": g, "n": np.size(args[0])}
        for symbol, code in entry.code.items():
            i = entry.arguments.index(symbol)
            if parents[i] is not None:
                expected = rule.vjps[i](g, ans, *args, **params)
                np.testing.assert_allclose(eval(code, {}, names) * np.ones_like(expected), expected)
                checked.add((rule.name, symbol))
    wanted = {(r.name, s) for r in OURS for s in getattr(entry_of(r), "code", {})}
    assert wanted == checked != set()


@pytest.mark.parametrize("rule", OURS, ids=lambda rule: rule.name)
def test_every_rule_has_a_formula_for_every_derivative(rule):
    entry = entry_of(rule)
    assert entry is not None, f"{rule.name} has no formula: add one to gradlite/draw/mathematics"
    count = 1 if rule.variadic else sum(vjp is not None for vjp in rule.vjps)
    assert len(entry.derivatives) == count
    if not rule.variadic:
        assert len(entry.arguments) == len(rule.vjps)
    assert {leading(name) for name in entry.derivatives} <= set(entry.arguments)


def test_no_formula_is_of_a_rule_that_is_not_there():
    assert set(MATHEMATICS) == {key(rule) for rule in [*OURS, ITEM]}


def test_a_user_written_rule_for_a_known_function_has_no_formula_of_the_table():
    straight_through = Rule(np.sign, (lambda g, ans, x: g,))
    assert entry_of(straight_through) is None
