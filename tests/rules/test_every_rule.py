"""What holds for every rule: the tests that read the table in tests/specs."""

from __future__ import annotations

import os
import warnings
from typing import Any

import autograd
import autograd.builtins
import autograd.scipy.special
import numpy as np
import pytest

import gradlite as gl
from gradlite.autodiff.rule import DECOMPOSITIONS, NON_DIFFERENTIABLE, RULES
from gradlite.errors import GradientError, MissingRuleError, function_name
from tests.helpers import as_one, gradients, leaves
from tests.specs import NAMED, NAMED_PLAIN, SPECS, resolve
from tests.specs.kit import SAME

HOUSE = os.path.dirname(gl.__file__)
OLD_NUMPY = np.lib.NumpyVersion(np.__version__) < "2.4.0"


def marks(spec: Any, run: Any) -> Any:
    """Skip, on an older NumPy, a way to call a function that it does not have yet."""
    if OLD_NUMPY:
        try:
            with np.errstate(all="ignore"):
                run(spec.prepared())
        except (TypeError, ValueError, AttributeError) as error:
            return pytest.mark.skip(f"NumPy {np.__version__} does not take this call: {error}")
        except Exception:
            return ()
    return ()


def of_call(call: Any) -> Any:
    points, run = call.draw()
    return lambda fn: run(fn, *points)


CALLS = [
    pytest.param(
        spec, call, id=f"{spec.module}-{spec.name}-{call!r}", marks=marks(spec, of_call(call))
    )
    for spec in SPECS
    for call in spec.calls
]
SPECIALS = [
    pytest.param(
        spec,
        special,
        id=f"{spec.module}-{spec.name}-{special!r}",
        marks=marks(spec, lambda fn, s=special: fn(*map(np.asarray, s.args), **s.params)),
    )
    for spec in SPECS
    for special in spec.special
]


def twin(spec: Any) -> Any:
    """Find autograd's function of a row."""
    found: Any = autograd
    name = spec.twin
    if name is SAME:
        name = spec.name.replace("np.", "numpy.", 1)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def ours(fn: Any) -> bool:
    """Return whether gradlite itself made a definition (doctests and users may add more)."""
    code = getattr(fn, "__code__", None)
    return code is not None and code.co_filename.startswith(HOUSE)


# -- the table is complete --------------------------------------------------------------------


def test_every_function_with_a_derivative_has_a_row() -> None:
    rules = {
        fn
        for fn, rule in RULES.items()
        if any(ours(vjp) for vjp in (*rule.vjps, rule.variadic) if vjp is not None)
    }
    defined = rules | {fn for fn, definition in DECOMPOSITIONS.items() if ours(definition)}
    rows = {fn for spec in SPECS for fn in (spec.fn, *spec.covers)}
    missing = sorted(map(function_name, defined - rows))
    assert not missing


def test_every_row_is_of_a_function_with_a_derivative() -> None:
    unknown = [
        spec.name
        for spec in SPECS
        for fn in (spec.fn, *spec.covers)
        if fn not in RULES and fn not in DECOMPOSITIONS
    ]
    assert not unknown


@pytest.mark.parametrize("name", NAMED.split())
def test_what_the_specification_names_has_a_row(name: str) -> None:
    assert resolve(name) in [spec.fn for spec in SPECS]


@pytest.mark.parametrize("name", NAMED_PLAIN.split())
def test_what_the_specification_names_plain_has_no_derivative(name: str) -> None:
    assert resolve(name) in NON_DIFFERENTIABLE


def test_a_row_gives_its_reasons() -> None:
    silent = [s.name for s in SPECS if (s.order < 2 or s.twin is None) and not s.why]
    assert not silent


# -- the derivative is right ------------------------------------------------------------------


@pytest.mark.parametrize(("spec", "call"), CALLS)
def test_finite_differences_agree(spec: Any, call: Any) -> None:
    points, run = call.draw()

    def f(*xs: Any) -> Any:
        return as_one(run(spec.prepared(), *xs))

    f.__name__ = spec.name
    gl.check_grads(f, points, order=spec.order, rtol=spec.rtol, atol=spec.atol)


@pytest.mark.parametrize(("spec", "special"), SPECIALS)
def test_special_points_have_the_gradient_agreed_on(spec: Any, special: Any) -> None:
    args = [np.asarray(x, special.dtype) if s is not None else x
            for x, s in zip(special.args, special.slopes, strict=True)]  # fmt: skip
    free = [i for i, slope in enumerate(special.slopes) if slope is not None]

    def total(*xs: Any) -> Any:
        full = list(args)
        for i, x in zip(free, xs, strict=True):
            full[i] = x
        return np.sum(as_one(spec.fn(*full, **special.params)))

    near = {"rtol": 1e-6, "atol": 1e-12} if special.dtype is np.float64 else {"rtol": 1e-4}
    with np.errstate(all="ignore"):  # log(0) and inf - inf are what these points are about
        found = gradients(total, *(args[i] for i in free))
        for i, slope in zip(free, found, strict=True):
            np.testing.assert_allclose(slope, special.slopes[i], **near)
            assert slope.dtype == special.dtype
        if special.bend is not None:
            bend = gl.hessian(lambda x: total(x, *(args[i] for i in free[1:])))(args[0])
            np.testing.assert_allclose(bend, special.bend, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("spec", "call"), [p for p in CALLS if p.values[0].twin and not p.values[1].alone]
)
def test_autograd_agrees(spec: Any, call: Any) -> None:
    points, run = call.draw()

    def witness(xs: Any) -> Any:
        output = run(spec.prepared(twin(spec), autograd.numpy), *xs)
        if autograd.builtins.isinstance(output, (list, tuple)):
            parts = [autograd.numpy.ravel(output[i]) for i in range(len(output))]
            output = autograd.numpy.concatenate(parts)
        return output

    output, pull = gl.vjp(lambda *xs: as_one(run(spec.prepared(), *xs)), *points)
    cotangent = np.random.default_rng(1).standard_normal(np.shape(output))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # autograd's, about newer NumPy
        expected = autograd.make_vjp(witness)(tuple(points))[0](cotangent)
    for mine, its in zip(pull(cotangent), expected, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-12)


# -- a wrong derivative is caught -------------------------------------------------------------


class Wrong:
    """A derivative rule that is wrong by 0.1 % (or by 0.001, where the right one is zero)."""

    def __init__(self, vjp: Any, only: int | None = None) -> None:
        self.vjp = vjp
        self.only = only

    def __call__(self, *args: Any, **params: Any) -> Any:
        right = self.vjp(*args, **params)
        if self.only is not None and args[0] != self.only:
            return right
        return right * 1.001 + 0.001 * np.all(right == 0)


def rules_and_arguments() -> Any:
    for spec in SPECS:
        for fn in (spec.fn, *spec.covers):
            rule = RULES.get(fn)
            if rule is not None:
                for i in range(2 if rule.variadic else len(rule.vjps)):
                    if rule.variadic or rule.vjps[i] is not None:
                        yield pytest.param(spec, fn, i, id=f"{rule.name}-argument {i}")


@pytest.fixture
def spoil() -> Any:
    """Return the function that makes one argument's rule wrong, until the test is over."""
    undo: list[tuple[Any, dict[str, Any]]] = []

    def make_wrong(fn: Any, argument: int) -> None:
        rule = RULES[fn]
        saved = {slot: getattr(rule, slot) for slot in type(rule).__slots__}
        undo.append((rule, saved))
        vjps = [Wrong(vjp) if i == argument else vjp for i, vjp in enumerate(rule.vjps)]
        variadic = rule.variadic and Wrong(rule.variadic, only=argument)
        gl.defvjp(
            fn,
            *vjps,
            variadic=variadic,
            name=rule.name,
            has_residuals=rule.has_residuals,
            multiple_outputs=rule.multiple_outputs,
        )
        rule.params, rule.fn = saved["params"], saved["fn"]

    yield make_wrong
    for rule, saved in undo:
        for slot, value in saved.items():
            setattr(rule, slot, value)


@pytest.mark.parametrize(("spec", "fn", "argument"), list(rules_and_arguments()))
def test_a_rule_wrong_by_a_thousandth_is_caught(
    spec: Any, fn: Any, argument: int, spoil: Any
) -> None:
    spoil(fn, argument)

    def check_all() -> None:
        for call in spec.calls:
            if marks(spec, of_call(call)):
                continue
            points, run = call.draw()
            gl.check_grads(
                lambda *xs, run=run: as_one(run(spec.prepared(), *xs)),
                points,
                rtol=spec.rtol,
                atol=spec.atol,
            )

    with pytest.raises(GradientError):
        check_all()


# -- the output is NumPy's --------------------------------------------------------------------


def parts(output: Any) -> list[Any]:
    return list(output) if isinstance(output, (tuple, list)) else [output]


@pytest.mark.parametrize(("spec", "call"), CALLS)
def test_the_answer_is_that_of_plain_arrays(spec: Any, call: Any) -> None:
    points, run = call.draw()
    expected = run(spec.expected, *points)
    output = run(spec.fn, *leaves(*points))
    if isinstance(expected, (tuple, list)):
        assert type(output) is type(expected)
        assert len(output) == len(expected)
    for mine, numpys in zip(parts(output), parts(expected), strict=True):
        value = mine.data if isinstance(mine, gl.Tensor) else mine
        assert value.shape == np.shape(numpys)
        assert value.dtype == np.asarray(numpys).dtype
        np.testing.assert_allclose(value, numpys, rtol=1e-12, atol=1e-14)
    assert isinstance(parts(output)[0], gl.Tensor)


@pytest.mark.parametrize(("spec", "call"), [p for p in CALLS if p.values[0].reference is not None])
def test_functions_of_our_own_take_plain_arrays(spec: Any, call: Any) -> None:
    points, run = call.draw()
    output, expected = run(spec.fn, *points), run(spec.expected, *points)
    for mine, right in zip(parts(output), parts(expected), strict=True):
        assert isinstance(mine, (np.ndarray, np.generic))
        np.testing.assert_allclose(mine, right, rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("ignore:.* gives float64:UserWarning")  # of calls with two types
@pytest.mark.parametrize(("spec", "call"), CALLS)
def test_debug_mode_finds_nothing_where_all_is_finite(spec: Any, call: Any) -> None:
    """A definition that brings a NaN of its own would be reported as one of the user's."""
    points, run = call.draw()
    with gl.debug():
        for part in parts(run(spec.prepared(), *leaves(*points))):
            if isinstance(part, gl.Tensor):
                part.sum().backward(retain_graph=True)


# -- types and memory -------------------------------------------------------------------------


@pytest.mark.parametrize(("spec", "call"), [p for p in CALLS if p.values[0].weak])
def test_float32_stays_float32(spec: Any, call: Any) -> None:
    points, run = call.draw(np.float32)
    xs = leaves(*points)
    inner = [x * 1.0 for x in xs]
    seen: dict[int, Any] = {}
    for i, x in enumerate(inner):
        x.register_hook(lambda g, i=i: seen.__setitem__(i, g.dtype))
    output = as_one(run(spec.fn, *inner))
    assert output.dtype == np.float32
    output.backward(np.ones(output.shape, np.float32))
    assert seen == dict.fromkeys(range(len(xs)), np.dtype(np.float32))
    assert [x.grad.dtype for x in xs] == [np.float32] * len(xs)


@pytest.mark.parametrize(("spec", "call"), CALLS)
def test_nothing_that_was_handed_in_is_changed(spec: Any, call: Any) -> None:
    points, run = call.draw()
    copies = [x.copy() for x in points]
    for x in points:
        x.flags.writeable = False
    xs = leaves(*points)
    output = as_one(run(spec.fn, *xs))
    cotangent = np.ones(output.shape)
    cotangent.flags.writeable = False
    output.backward(cotangent, retain_graph=True)
    first = [x.grad.copy() for x in xs]
    output.backward(cotangent)
    for x, point, copy, once in zip(xs, points, copies, first, strict=True):
        np.testing.assert_array_equal(point, copy)
        np.testing.assert_allclose(x.grad, 2 * once, rtol=1e-12)
    np.testing.assert_array_equal(cotangent, 1)


# -- constants beside variables ---------------------------------------------------------------


@pytest.mark.parametrize(("spec", "call"), [p for p in CALLS if len(p.values[1].draw()[0]) > 1])
def test_each_array_can_be_the_only_variable(spec: Any, call: Any) -> None:
    points, run = call.draw()

    def f(*xs: Any) -> Any:
        return as_one(run(spec.fn, *xs))

    cotangent = np.random.default_rng(1).standard_normal(np.shape(f(*points)))
    together = gradients(f, *points, cotangent=cotangent)
    for i, expected in enumerate(together):
        alone = gradients(
            lambda x, i=i: f(*points[:i], x, *points[i + 1 :]), points[i], cotangent=cotangent
        )
        np.testing.assert_allclose(alone[0], expected, rtol=1e-12, atol=1e-14)


# -- arguments without a derivative -----------------------------------------------------------

UNSUPPORTED = [
    *((fn, "dtype", np.float64) for fn in (np.sum, np.mean, np.prod, np.var, np.cumsum, np.trace)),
    *((fn, "out", np.zeros(())) for fn in (np.sum, np.max, np.median, np.cumprod, np.trace)),
    *((fn, "where", np.array(True)) for fn in (np.sum, np.mean, np.max, np.std)),
    *((fn, "initial", 1.0) for fn in (np.sum, np.prod, np.max)),
    *((fn, "out", np.zeros((2, 2))) for fn in (np.exp, np.clip, np.round)
     ),
    *((fn, "where", np.array(True)) for fn in (np.exp, np.tanh, np.clip)),
    *((fn, "dtype", np.float64) for fn in (np.exp, np.sqrt)),
    (np.std, "mean", np.zeros((1, 1))),
    (np.var, "correction", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fn", "argument", "value"),
    [
        pytest.param(*row, id=f"{row[0].__name__}-{row[1]}")
        for row in UNSUPPORTED
        if not (OLD_NUMPY and row[0] is np.clip)  # whose bounds were not optional
    ],
)
def test_an_argument_that_no_rule_knows_is_refused_by_name(
    fn: Any, argument: str, value: Any
) -> None:
    x = gl.Tensor(np.ones((2, 2)), requires_grad=True)
    with pytest.raises(MissingRuleError) as refusal:
        fn(x, **{argument: value})
    assert fn.__name__ in str(refusal.value)
    assert argument in str(refusal.value)


@pytest.mark.parametrize(
    ("joined", "argument"),
    [
        (np.concatenate, "out"),
        (np.concatenate, "casting"),
        (np.stack, "out"),
        (np.stack, "dtype"),
        (np.vstack, "dtype"),
        (np.hstack, "dtype"),
    ],
)
def test_an_argument_that_no_joining_knows_is_refused_by_name(joined: Any, argument: str) -> None:
    x = gl.Tensor(np.ones((2, 2)), requires_grad=True)
    value = {"out": np.zeros((4, 2)), "dtype": np.float64, "casting": "no"}[argument]
    with pytest.raises(MissingRuleError, match=f"(?s){joined.__name__}.*{argument}"):
        joined([x, x], **{argument: value})


def test_a_keyword_that_does_not_exist_is_a_type_error() -> None:
    x = gl.Tensor(np.ones(3), requires_grad=True)
    with pytest.raises(TypeError):
        np.sum(x, axes=0)
    with pytest.raises(TypeError):
        gl.softmax(x, dim=0)
