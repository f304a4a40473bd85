"""Adding derivatives: defvjp for functions that exist, primitive for new ones."""

import inspect
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
import scipy.special

import gradlite as gl
from gradlite.autodiff.rule import RULES
from gradlite.errors import MissingRuleError, ShapeError


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


X = np.array([0.5, 1.5, -0.75])

# -- functions that exist ---------------------------------------------------------------------


def test_a_ufunc_of_another_library_gets_a_rule_in_one_line():
    gl.defvjp(scipy.special.dawsn, lambda g, ans, x: g * (1 - 2 * x * ans))
    y = scipy.special.dawsn(leaf(X))
    assert isinstance(y, gl.Tensor)
    np.testing.assert_array_equal(y.data, scipy.special.dawsn(X))
    gl.check_grads(scipy.special.dawsn, (X,), order=2)


def test_a_ufunc_of_another_library_without_a_rule_is_an_error_until_it_has_one():
    with pytest.raises(MissingRuleError, match="gammaln"):
        scipy.special.gammaln(leaf([1.5]))
    gl.defvjp(scipy.special.gammaln, lambda g, ans, x: g * scipy.special.psi(x))
    assert gl.grad(scipy.special.gammaln)(2.5) == scipy.special.psi(2.5)
    with pytest.raises(MissingRuleError, match="psi"):  # its own derivative has none
        gl.grad(gl.grad(scipy.special.gammaln))(2.5)


def test_the_error_names_a_scipy_function_by_its_own_library():
    with pytest.raises(MissingRuleError) as caught:
        scipy.special.j0(leaf([1.5]))
    assert "np.j0" not in str(caught.value)
    assert "j0" in str(caught.value)


def test_a_ufunc_of_two_arguments_with_a_rule_for_one_only():
    gl.defvjp(scipy.special.xlogy, None, lambda g, ans, x, y: g * x / y)
    y = leaf([2.0, 4.0])
    scipy.special.xlogy(np.array([1.0, 3.0]), y).sum().backward()
    np.testing.assert_allclose(y.grad, [1 / 2, 3 / 4])
    x = leaf([1.0, 3.0])
    silent = scipy.special.xlogy(x, y)
    assert silent.requires_grad
    y.zero_grad()
    silent.sum().backward()
    assert x.grad is None or not x.grad.any()
    np.testing.assert_allclose(y.grad, [1 / 2, 3 / 4])


def test_a_numpy_function_with_parameters_by_keyword():
    def vjp(g, ans, x, n=1, axis=-1):
        for _ in range(n):
            ends = [(0, 0)] * g.ndim
            ends[axis] = (1, 1)
            g = -np.diff(np.pad(g, ends), axis=axis)
        return g

    gl.defvjp(np.diff, vjp)
    data = np.random.default_rng(0).normal(size=(3, 5))
    for kwargs in ({}, {"n": 2}, {"axis": 0}, {"n": 2, "axis": 0}):
        gl.check_grads(lambda x, k=kwargs: np.diff(x, **k) ** 2, (data,), order=2)
    np.testing.assert_array_equal(np.diff(leaf(data), 2).data, np.diff(data, 2))
    with pytest.raises(MissingRuleError, match="prepend"):
        np.diff(leaf(data), prepend=0.0)


@contextmanager
def replaced(fn, *vjps):
    """Another rule for a while: the suite goes on with the old one."""
    known = RULES[fn].vjps
    gl.defvjp(fn, *vjps)
    try:
        yield
    finally:
        gl.defvjp(fn, *known)


def test_a_later_definition_replaces_the_earlier():
    np.testing.assert_allclose(gl.grad(np.sinh)(1.0), np.cosh(1.0))
    with replaced(np.sinh, lambda g, ans, x: g * 100.0):
        assert gl.grad(np.sinh)(1.0) == 100.0
    np.testing.assert_allclose(gl.grad(np.sinh)(1.0), np.cosh(1.0))


def test_replacing_the_rule_of_an_operator_reaches_the_operator():
    with replaced(np.negative, lambda g, ans, x: g * 100.0):
        x = leaf([1.0])
        (-x).sum().backward()
        assert x.grad == 100.0
    assert gl.grad(lambda x: -x)(1.0) == -1.0


def test_a_replaced_rule_is_still_guarded_where_a_branch_is_masked():
    with replaced(np.log, lambda g, ans, x: g / x):
        x = leaf([0.0, 2.0])
        with np.errstate(divide="ignore"):
            np.where(x > 0, np.log(x), 0.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.5])


def test_a_replaced_rule_decides_again_what_is_kept():
    double = gl.primitive(lambda x: x * 2.0)
    gl.defvjp(double, lambda g, ans, x: g * 2.0)
    double(leaf(1.0)).backward()
    gl.defvjp(double, lambda g, ans, x: g * (ans + x))
    assert gl.grad(double)(5.0) == 15.0


def test_defvjp_needs_a_rule():
    with pytest.raises(TypeError, match="rule"):
        gl.defvjp(np.sinh)


# -- new operations ---------------------------------------------------------------------------


@gl.primitive
def swish(x, beta=1.0):
    """Multiply by the sigmoid."""
    return x / (1 + np.exp(-beta * x))


gl.defvjp(
    swish,
    lambda g, ans, x, beta=1.0: g * gl.sigmoid(beta * x) * (1 + beta * x * gl.sigmoid(-beta * x)),
)


def test_a_primitive_on_plain_arrays_returns_plain_arrays():
    result = swish(X)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, X / (1 + np.exp(-X)))
    assert isinstance(swish(1.0), float)


def test_a_primitive_keeps_name_docstring_and_signature():
    assert swish.__name__ == "swish"
    assert swish.__doc__ == "Multiply by the sigmoid."
    assert list(inspect.signature(swish).parameters) == ["x", "beta"]


def test_a_primitive_is_one_node_differentiable_to_any_order():
    assert "fn=" in repr(swish(leaf(X)))
    assert "swish" in repr(swish(leaf(X)))
    gl.check_grads(swish, (X,), order=3)


def test_parameters_go_by_keyword_or_position():
    x = leaf(X)
    np.testing.assert_array_equal(swish(x, beta=2.0).data, swish(X, 2.0))
    np.testing.assert_array_equal(swish(x, 2.0).data, swish(X, 2.0))
    gl.check_grads(lambda t: swish(t, beta=2.0), (X,), order=2)
    gl.check_grads(lambda t: swish(t, 2.0), (X,), order=2)


def test_arrays_go_by_keyword_too():
    y = swish(x=leaf(X))
    assert isinstance(y, gl.Tensor)
    y.sum().backward()
    x = leaf(X)
    assert isinstance(gl.affine(np.ones((1, 3)), W=np.ones((3, 2)), b=leaf([0.0, 0.0])), gl.Tensor)
    assert isinstance(gl.affine(x=x.reshape(1, 3), W=np.ones((3, 2))), gl.Tensor)


def test_a_tensor_given_for_a_parameter_is_not_a_silent_constant():
    beta = leaf(2.0)
    try:
        y = swish(leaf(X), beta=beta)
    except TypeError:
        return
    y.sum().backward()
    expected = np.sum(X**2 * gl.sigmoid(2 * X) * gl.sigmoid(-2 * X))
    np.testing.assert_allclose(beta.grad, expected)


def test_a_tensor_off_the_tape_given_for_a_parameter_is_its_value_or_refused():
    try:
        y = swish(leaf(X), beta=gl.Tensor(2.0))
    except TypeError:
        return
    np.testing.assert_allclose(y.data, swish(X, 2.0))
    y.sum().backward()


def test_several_arrays_and_broadcasting_need_no_thought_in_the_rule():
    blend = gl.primitive(lambda x, y, t: x * (1 - t) + y * t)
    gl.defvjp(
        blend,
        lambda g, ans, x, y, t: g * (1 - t),
        lambda g, ans, x, y, t: g * t,
        lambda g, ans, x, y, t: g * (y - x),
    )
    rng = np.random.default_rng(1)
    args = rng.normal(size=(3,)), rng.normal(size=(2, 1)), rng.normal(size=())
    gl.check_grads(blend, args, order=2)
    x, y, t = map(leaf, args)
    blend(x, y, t).sum().backward()
    assert (x.grad.shape, y.grad.shape, t.grad.shape) == ((3,), (2, 1), ())


def test_none_says_that_an_argument_has_no_derivative():
    choose = gl.primitive(lambda mask, x: np.where(mask, x, 0.0))
    gl.defvjp(choose, None, lambda g, ans, mask, x: np.where(mask, g, 0.0))
    mask, x = leaf([1.0, 0.0]), leaf([3.0, 4.0])
    choose(mask, x).sum().backward()
    assert mask.grad is None
    np.testing.assert_array_equal(x.grad, [1.0, 0.0])
    assert not choose(mask, np.ones(2)).requires_grad


@gl.primitive
def total(*arrays, scale=1.0):
    return scale * sum(arrays)


gl.defvjp(total, variadic=lambda i, g, ans, *arrays, scale=1.0: g * scale)


def test_a_variadic_rule_takes_any_number_of_arrays():
    a, b, c = leaf([1.0, 2.0]), leaf([3.0, 4.0]), leaf([5.0, 6.0])
    total(a, np.ones(2), b, c, scale=2.0).sum().backward()
    for t in (a, b, c):
        np.testing.assert_array_equal(t.grad, [2.0, 2.0])
    gl.check_grads(lambda x, y: total(x, y, x * y, scale=3.0), (X, X + 1), order=2)
    assert type(total(np.ones(2), np.ones(2))) is np.ndarray


def test_a_variadic_rule_sums_cotangents_back_to_each_shape():
    a, b = leaf(1.0), leaf([[1.0], [2.0]])
    total(a, b, np.ones(3)).sum().backward()
    assert a.grad == 6.0
    np.testing.assert_array_equal(b.grad, [[3.0], [3.0]])


@gl.primitive
def polar(x, y):
    return np.hypot(x, y), np.arctan2(y, x)


gl.defvjp(
    polar,
    lambda g, ans, x, y: g[0] * x / ans[0] - g[1] * y / ans[0] ** 2,
    lambda g, ans, x, y: g[0] * y / ans[0] + g[1] * x / ans[0] ** 2,
    multiple_outputs=True,
)


def test_an_operation_with_several_results():
    x, y = leaf([3.0, 1.0]), leaf([4.0, 1.0])
    r, angle = polar(x, y)
    assert isinstance(r, gl.Tensor)
    assert isinstance(angle, gl.Tensor)
    (r * 2 + angle).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * x.data / r.data - y.data / r.data**2)
    for pick in (0, 1):
        gl.check_grads(lambda x, y, k=pick: polar(x, y)[k], (x.data, y.data), order=2)
    gl.check_grads(lambda x, y: polar(x, y)[0] * polar(x, y)[1], (x.data, y.data), order=2)


def test_a_result_that_is_not_used_counts_as_zero():
    x = leaf([3.0])
    r, _ = polar(x, np.array([4.0]))
    r.sum().backward()
    np.testing.assert_allclose(x.grad, [0.6])


def test_several_results_can_be_walked_one_after_the_other():
    x = leaf([3.0])
    r, angle = polar(x, np.array([4.0]))
    r.sum().backward(retain_graph=True)
    angle.sum().backward()
    np.testing.assert_allclose(x.grad, [0.6 - 4 / 25])


def test_an_operation_may_save_what_it_computed_for_a_first_order_walk():
    calls = []

    @gl.primitive
    def square(x):
        return x * x, 2 * x

    def vjp(g, ans, x, residuals=None):
        calls.append(residuals is not None)
        return g * (2 * x if residuals is None else residuals)

    gl.defvjp(square, vjp, has_residuals=True)
    np.testing.assert_array_equal(square(X), X * X)
    assert gl.grad(square)(3.0) == 6.0
    assert calls == [True]
    assert gl.grad(gl.grad(square))(3.0) == 2.0
    gl.check_grads(square, (X,), order=2)


def test_what_was_saved_is_let_go_with_the_graph():
    @gl.primitive
    def square(x):
        return x * x, 2 * x

    gl.defvjp(
        square,
        lambda g, ans, x, residuals=None: g * (2 * x if residuals is None else residuals),
        has_residuals=True,
    )
    watch = []

    def spy(g):
        watch.append(weakref.ref(g))

    x = leaf(X)
    y = square(x * 1.0)
    y.register_hook(spy)
    y.sum().backward()
    np.testing.assert_allclose(x.grad, 2 * X)


def test_a_primitive_without_a_rule_names_itself_and_defvjp():
    @gl.primitive
    def orphan(x):
        return x * 2

    np.testing.assert_array_equal(orphan(X), X * 2)
    with pytest.raises(MissingRuleError, match=r"orphan.*gl\.defvjp"):
        orphan(leaf(X))


def test_a_primitive_calls_its_function_with_plain_arrays_only():
    seen = []

    @gl.primitive
    def spy(x, y):
        seen.extend((type(x), type(y)))
        return x + y

    gl.defvjp(spy, lambda g, ans, x, y: g, lambda g, ans, x, y: g)
    spy(leaf(X), gl.Tensor(X))
    spy(X, leaf(X))
    assert set(seen) <= {np.ndarray}


def test_a_primitive_works_under_no_grad():
    with gl.no_grad():
        y = swish(leaf(X))
    assert isinstance(y, gl.Tensor)
    assert not y.requires_grad


# -- wrong rules and wrong calls --------------------------------------------------------------


def make(forward, vjp, **how):
    operation = gl.primitive(forward)
    gl.defvjp(operation, vjp, **how)
    return operation


def test_a_rule_that_returns_a_wrong_shape_is_named():
    def crooked(x):
        return x * 2.0

    operation = make(crooked, lambda g, ans, x: np.ones(7))
    with pytest.raises(ShapeError, match=r"crooked.*\(7,\).*\(3,\)"):
        operation(leaf(X)).sum().backward()


def test_a_rule_that_returns_too_few_dimensions_is_named():
    def flat(x):
        return x * 2.0

    operation = make(flat, lambda g, ans, x: np.sum(g))
    with pytest.raises(ShapeError, match="flat"):
        operation(leaf(X)).sum().backward()


def test_the_name_given_is_the_one_shown():
    operation = make(lambda x: x * 2.0, lambda g, ans, x: np.ones(7), name="my.double")
    assert "fn=my.double" in repr(operation(leaf(X)))
    with pytest.raises(ShapeError, match=r"my\.double"):
        operation(leaf(X)).sum().backward()


def test_an_exception_inside_a_rule_reaches_the_user():
    def vjp(g, ans, x):
        raise LookupError("inside the rule")

    with pytest.raises(LookupError, match="inside the rule"):
        make(lambda x: x * 2.0, vjp)(leaf(X)).sum().backward()


def test_an_unknown_keyword_is_refused_by_name():
    with pytest.raises(TypeError, match="gamma"):
        swish(leaf(X), gamma=1.0)


def test_a_missing_array_is_refused_by_name():
    blend = make(lambda x, y: x + y, lambda g, ans, x, y: g)
    gl.defvjp(blend, lambda g, ans, x, y: g, lambda g, ans, x, y: g)
    with pytest.raises(TypeError, match="'y'"):
        blend(leaf(X))


def test_too_many_arguments_are_refused():
    with pytest.raises(TypeError):
        swish(leaf(X), 1.0, 2.0)


def test_a_parameter_given_twice_is_refused():
    with pytest.raises(TypeError, match="beta"):
        swish(leaf(X), 1.0, beta=2.0)


# -- what a rule reads decides what is kept ---------------------------------------------------


def kept_after_forward(vjp, **how):
    """Whether the argument, and the output, are alive when only the graph holds them."""
    operation = make(lambda x: x * 2.0, vjp, **how)
    x = leaf(X)
    inner = x * 1.0
    argument = weakref.ref(inner.data)
    outer = operation(inner)
    output = weakref.ref(outer.data)
    end = outer + 0.0
    del inner, outer
    alive = argument() is not None, output() is not None
    end.sum().backward()
    return alive


def helper(g, x):
    return g * x


@pytest.mark.parametrize(
    ("vjp", "expected"),
    [
        (lambda g, ans, x: g * 2.0, (False, False)),
        (lambda g, ans, x: g * x, (True, False)),
        (lambda g, ans, x: g * ans, (False, True)),
        (lambda g, ans, x: helper(g, x) + ans, (True, True)),
        (lambda g, ans, x: np.broadcast_to(g, x.shape) * x.ndim * x.size, (False, False)),
        (lambda g, ans, x: g * x.sum(), (True, False)),
        (lambda g, ans, x: g * sum(x[i] for i in range(3)), (True, False)),
        (lambda g, ans, x: g * np.array([x for _ in range(1)])[0], (True, False)),
        (lambda g, ans, x: (lambda: g * x)(), (True, False)),
    ],
)
def test_the_tape_keeps_what_the_rule_reads_and_nothing_else(vjp, expected):
    assert kept_after_forward(vjp) == expected
