"""grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp: values, forms and nesting."""

import itertools
from collections import OrderedDict, defaultdict, namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gradlite as gl
from gradlite.errors import DtypeError, ShapeError

RNG = np.random.default_rng(0)
A = RNG.normal(size=(4, 3))
X = RNG.normal(size=3)
V = RNG.normal(size=3)
Params = namedtuple("Params", "w b")


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


def quartic(x):
    return np.sum((A @ x) ** 4)


def quartic_gradient(x):
    return 4 * A.T @ (A @ x) ** 3


def quartic_hessian(x):
    return 12 * A.T @ ((A @ x)[:, None] ** 2 * A)


# -- values -----------------------------------------------------------------------------------


def test_grad_against_the_closed_form():
    np.testing.assert_allclose(gl.grad(quartic)(X), quartic_gradient(X))


def test_value_and_grad_gives_both():
    value, gradient = gl.value_and_grad(quartic)(X)
    assert value == quartic(X)
    np.testing.assert_allclose(gradient, quartic_gradient(X))


def test_vjp_against_the_closed_form_and_the_pull_can_be_called_repeatedly():
    ans, pull = gl.vjp(lambda x: np.tanh(A @ x), X)
    np.testing.assert_allclose(ans, np.tanh(A @ X))
    for _ in range(3):
        u = RNG.normal(size=4)
        (back,) = pull(u)
        np.testing.assert_allclose(back, (u * (1 - ans**2)) @ A)


def test_pulls_do_not_disturb_each_others_results():
    _, pull = gl.vjp(lambda x: x * 1.0, X)
    (first,) = pull(V)
    kept = first.copy()
    (second,) = pull(10 * V)
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)
    first[:] = 0
    np.testing.assert_array_equal(second, 10 * V)


def test_a_derivative_is_the_callers_own_array():
    u = np.ones(3)
    _, pull = gl.vjp(lambda x: x + 0.0, X)
    (back,) = pull(u)
    back[:] = 5.0
    np.testing.assert_array_equal(u, [1.0, 1.0, 1.0])
    a, b = gl.grad(lambda x, y: np.sum(x + y), argnums=(0, 1))(X, X)
    a[:] = 7.0
    np.testing.assert_array_equal(b, np.ones(3))


def test_jvp_against_the_closed_form():
    ans, tangent = gl.jvp(lambda x: np.tanh(A @ x), (X,), (V,))
    np.testing.assert_allclose(ans, np.tanh(A @ X))
    np.testing.assert_allclose(tangent, (1 - ans**2) * (A @ V))


def test_jvp_sums_over_the_arguments():
    ans, tangent = gl.jvp(lambda x, y, z: x * y + z, (2.0, 3.0, 4.0), (1.0, 10.0, 100.0))
    assert ans == 10.0
    assert tangent == 3.0 + 20.0 + 100.0


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
@pytest.mark.parametrize("weights", [(), (3,), (1, 2)])
def test_jacobian_has_the_shape_of_the_answer_then_of_the_argument(shape, weights):
    x, w = RNG.normal(size=shape), RNG.normal(size=weights)

    def f(t):
        return np.sin(np.multiply.outer(w, np.ones(shape)) * t)

    jacobian = gl.jacobian(f)(x)
    assert jacobian.shape == weights + shape + shape
    full = np.multiply.outer(w, np.ones(shape))
    expected = np.zeros(weights + shape + shape)
    for index in np.ndindex(weights + shape):
        expected[index + index[len(weights) :]] = np.cos(full * x)[index] * full[index]
    np.testing.assert_allclose(jacobian, expected)


def test_jacobian_of_a_matrix_product():
    np.testing.assert_allclose(gl.jacobian(lambda x: A @ x)(X), A)


def test_jacobian_of_a_number_to_a_number_is_a_number():
    assert gl.jacobian(np.sin)(0.0) == 1.0
    assert np.shape(gl.jacobian(np.sin)(0.0)) == ()


def test_jacobian_by_several_arguments():
    dx, dy = gl.jacobian(lambda x, y: x * y, argnums=(0, 1))(X, 2.0)
    np.testing.assert_allclose(dx, 2 * np.eye(3))
    np.testing.assert_allclose(dy, X)
    assert dy.shape == (3,)


@pytest.mark.parametrize(("m", "n"), [(0, 3), (2, 0), (0, 0)])
def test_jacobian_of_nothing_or_by_nothing_is_empty(m, n):
    w = np.ones((m, n))
    jacobian = gl.jacobian(lambda x: np.sin(w @ x))(np.ones(n))
    assert jacobian.shape == (m, n)
    assert jacobian.dtype == np.float64


def test_hessian_against_the_closed_form():
    np.testing.assert_allclose(gl.hessian(quartic)(X), quartic_hessian(X))


def test_hessian_of_a_matrix_argument():
    m = RNG.normal(size=(2, 2))
    hessian = gl.hessian(lambda x: np.sum(x @ x))(m)
    assert hessian.shape == (2, 2, 2, 2)
    # d2/dx_ij dx_kl of sum_abc x_ab x_bc = [j = k] + [i = l]
    i, j, k, n = np.meshgrid(*[range(2)] * 4, indexing="ij")
    np.testing.assert_allclose(hessian, (j == k) * 1.0 + (i == n))


def test_hessian_of_a_number_and_of_another_argument():
    assert gl.hessian(lambda x: x**3)(2.0) == 12.0
    np.testing.assert_allclose(
        gl.hessian(lambda k, x: k * np.sum(x**3), argnums=1)(2.0, X), np.diag(12 * X)
    )


def test_hessian_of_a_linear_function_is_zero():
    np.testing.assert_array_equal(gl.hessian(lambda x: np.sum(A @ x))(X), np.zeros((3, 3)))


def test_hvp_is_the_hessian_times_the_vector():
    product = gl.hvp(quartic, X, V)
    np.testing.assert_allclose(product, quartic_hessian(X) @ V)
    np.testing.assert_allclose(product, gl.hessian(quartic)(X) @ V)
    assert type(product) is np.ndarray


def test_hvp_of_numbers_and_of_linear_functions():
    assert gl.hvp(lambda x: x**3, 2.0, 10.0) == 120.0
    np.testing.assert_array_equal(gl.hvp(lambda x: np.sum(x), X, V), np.zeros(3))


def test_hvp_refuses_a_vector_of_another_shape():
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2,\)"):
        gl.hvp(quartic, X, np.ones(2))


# -- argnums ----------------------------------------------------------------------------------


def mixed(x, y, z=1.0):
    return np.sum(x * y**2) * z


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, lambda x, y: y**2),
        (1, lambda x, y: 2 * x * y),
        (-1, lambda x, y: 2 * x * y),
        (-2, lambda x, y: y**2),
        ((0,), lambda x, y: (y**2,)),
        ((1, 0), lambda x, y: (2 * x * y, y**2)),
        ([0, -1], lambda x, y: (y**2, 2 * x * y)),
        (np.int64(1), lambda x, y: 2 * x * y),
    ],
    ids=lambda value: None if callable(value) else repr(value),
)
def test_argnums_say_by_which_arguments(argnums, expected):
    x, y = RNG.normal(size=(2, 3))
    found, wanted = gl.grad(mixed, argnums)(x, y), expected(x, y)
    assert type(found) is type(wanted)
    for a, b in zip(np.atleast_2d(found), np.atleast_2d(wanted), strict=True):
        np.testing.assert_allclose(a, b)
    _, same = gl.value_and_grad(mixed, argnums)(x, y)
    np.testing.assert_allclose(np.array(same), np.array(wanted))


def test_no_argnums_give_no_gradients():
    assert gl.grad(mixed, ())(X, X) == ()


@pytest.mark.parametrize("argnums", [2, -3, (0, 5)])
@pytest.mark.parametrize("transform", [gl.grad, gl.value_and_grad, gl.jacobian, gl.hessian])
def test_argnums_out_of_range_are_refused(transform, argnums):
    with pytest.raises(TypeError, match="argnums"):
        transform(mixed, argnums)(X, X)


def test_keywords_reach_the_function_undifferentiated():
    np.testing.assert_allclose(gl.grad(mixed)(X, V, z=3.0), 3 * V**2)
    np.testing.assert_allclose(gl.jacobian(mixed)(X, V, z=3.0), 3 * V**2)


def test_the_other_arguments_reach_the_function_as_they_are():
    seen = []

    def f(x, other):
        seen.append(other)
        return np.sum(x)

    other = object()
    gl.grad(f)(X, other)
    assert seen == [other]


def test_a_transformed_function_keeps_its_name():
    assert gl.grad(quartic).__name__ == "quartic"
    assert gl.jacobian(quartic).__name__ == "quartic"


def test_functions_without_a_name_can_be_differentiated():
    class Callable:
        def __call__(self, x):
            return np.sum(x**2)

    import functools

    np.testing.assert_allclose(gl.grad(Callable())(X), 2 * X)
    np.testing.assert_allclose(gl.grad(functools.partial(mixed, y=V))(X), V**2)
    np.testing.assert_allclose(gl.hessian(Callable())(X), 2 * np.eye(3))


# -- forms: floats in floats out, arrays in arrays out ------------------------------------------


@pytest.mark.parametrize("x", [2.0, 2])
def test_a_number_gives_a_python_float(x):
    assert type(gl.grad(lambda t: t**3)(x)) is float
    assert gl.grad(lambda t: t**3)(x) == 12.0
    assert gl.grad(gl.grad(lambda t: t**3))(x) == 12.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_array_gives_an_array_of_its_shape_and_dtype(dtype):
    for x in (np.ones((2, 3), dtype), np.ones((), dtype), np.ones((0, 2), dtype)):
        gradient = gl.grad(lambda t: np.sum(np.exp(t) * np.float64(2.0)))(x)
        assert type(gradient) is np.ndarray
        assert (gradient.shape, gradient.dtype) == (x.shape, dtype)


def test_dtypes_are_kept_by_every_transform():
    x, v = X.astype(np.float32), V.astype(np.float32)

    def f(t):
        return np.sum(np.tanh(t) ** 2)

    value, gradient = gl.value_and_grad(f)(x)
    assert value.dtype == gradient.dtype == np.float32
    ans, pull = gl.vjp(np.tanh, x)
    assert ans.dtype == np.float32
    assert pull(np.ones(3))[0].dtype == np.float32
    ans, tangent = gl.jvp(np.tanh, (x,), (v,))
    assert ans.dtype == tangent.dtype == np.float32
    assert gl.jacobian(np.tanh)(x).dtype == np.float32
    assert gl.hessian(f)(x).dtype == np.float32
    assert gl.hvp(f, x, v).dtype == np.float32


def test_nothing_comes_back_as_a_tensor():
    value, gradient = gl.value_and_grad(quartic)(X)
    ans, pull = gl.vjp(np.tanh, X)
    _, tangent = gl.jvp(np.tanh, (X,), (V,))
    results = [value, gradient, ans, *pull(V), tangent, gl.jacobian(np.tanh)(X)]
    results += [gl.hessian(quartic)(X), gl.hvp(quartic, X, V)]
    assert not any(isinstance(r, gl.Tensor) for r in results)


def test_values_can_be_used_as_numbers():
    value, _ = gl.value_and_grad(quartic)(X)
    assert f"{value:.3f}" == f"{quartic(X):.3f}"
    assert np.shape(value) == ()


def test_a_numpy_scalar_argument():
    gradient = gl.grad(lambda t: t**3)(np.float32(2.0))
    assert gradient == 12.0
    assert not isinstance(gradient, gl.Tensor)


def test_a_tensor_argument_gives_an_array():
    gradient = gl.grad(quartic)(gl.Tensor(X))
    np.testing.assert_allclose(gradient, quartic_gradient(X))
    assert not isinstance(gradient, gl.Tensor)


@pytest.mark.parametrize("x", [np.array([1, 2]), np.array(True), "text", None, 1j])
def test_what_has_no_derivative_is_refused_naming_the_argument(x):
    with pytest.raises(DtypeError, match="argument 0"):
        gl.grad(np.sum)(x)


def test_the_argument_named_is_the_callers():
    with pytest.raises(DtypeError, match="argument 1"):
        gl.grad(lambda x, n: np.sum(x * n), argnums=1)(X, np.array([1, 2, 3]))


# -- containers -------------------------------------------------------------------------------


def test_a_dict_gives_a_dict():
    p = {"w": A, "b": 2.0, "deep": {"v": (X, [V])}}

    def f(p):
        (x, (v,)) = p["deep"]["v"]
        return np.sum(np.tanh(p["w"] @ x)) * p["b"] + np.sum(v**2)

    g = gl.grad(f)(p)
    assert list(g) == ["w", "b", "deep"]
    assert type(g["b"]) is float
    assert type(g["deep"]["v"]) is tuple
    assert type(g["deep"]["v"][1]) is list
    t = np.tanh(A @ X)
    np.testing.assert_allclose(g["w"], np.outer(2 * (1 - t**2), X))
    np.testing.assert_allclose(g["b"], t.sum())
    np.testing.assert_allclose(g["deep"]["v"][1][0], 2 * V)


def test_a_namedtuple_gives_a_namedtuple():
    g = gl.grad(lambda p: np.sum(p.w * 2) + p.b**2)(Params(X, 3.0))
    assert isinstance(g, Params)
    np.testing.assert_array_equal(g.w, [2.0, 2.0, 2.0])
    assert g.b == 6.0


def test_a_list_gives_a_list_and_an_empty_container_an_empty_one():
    g = gl.grad(lambda ps: np.sum(ps[0]) * ps[1])([X, 2.0])
    assert type(g) is list
    np.testing.assert_array_equal(g[0], [2.0, 2.0, 2.0])
    assert gl.grad(lambda x, extra: x**2, argnums=(0, 1))(3.0, {}) == (6.0, {})


def test_containers_work_in_vjp_jvp_and_jacobian():
    p = {"w": X, "b": 2.0}

    def f(p):
        return p["w"] * p["b"]

    _, pull = gl.vjp(f, p)
    (g,) = pull(V)
    np.testing.assert_allclose(g["w"], V * 2)
    np.testing.assert_allclose(g["b"], V @ X)
    _, tangent = gl.jvp(f, (p,), ({"w": V, "b": 10.0},))
    np.testing.assert_allclose(tangent, V * 2 + X * 10)
    jacobian = gl.jacobian(f)(p)
    np.testing.assert_allclose(jacobian["w"], 2 * np.eye(3))
    np.testing.assert_allclose(jacobian["b"], X)


def test_tangents_are_matched_to_primals_by_key_not_by_order():
    p, t = {"a": 1.0, "b": 2.0}, {"b": 100.0, "a": 1.0}
    _, tangent = gl.jvp(lambda p: 3 * p["a"] + 5 * p["b"], (p,), (t,))
    assert tangent == 3 * 1.0 + 5 * 100.0


def test_the_same_array_twice_counts_as_two_arguments():
    a, b = gl.grad(lambda x, y: np.sum(x * y**2), argnums=(0, 1))(X, X)
    np.testing.assert_allclose(a, X**2)
    np.testing.assert_allclose(b, 2 * X**2)
    p = {"a": X, "b": X}
    g = gl.grad(lambda p: np.sum(p["a"] * p["b"] ** 2))(p)
    np.testing.assert_allclose(g["b"], 2 * X**2)


# -- functions that do not depend on their argument, or not as expected -------------------------


@pytest.mark.parametrize(
    "constant", [3.0, 3, np.float64(3.0), np.array(3.0), gl.Tensor(3.0)], ids=repr
)
def test_a_constant_has_zero_derivatives(constant):
    def f(x):
        return constant

    np.testing.assert_array_equal(gl.grad(f)(X), np.zeros(3))
    assert gl.grad(f)(2.0) == 0.0
    np.testing.assert_array_equal(gl.hessian(f)(X), np.zeros((3, 3)))
    np.testing.assert_array_equal(gl.hvp(f, X, V), np.zeros(3))
    ans, tangent = gl.jvp(f, (X,), (V,))
    assert (float(ans), float(tangent)) == (3.0, 0.0)
    assert not isinstance(tangent, gl.Tensor)
    ans, pull = gl.vjp(f, X)
    assert float(ans) == 3.0
    np.testing.assert_array_equal(pull(1.0)[0], np.zeros(3))


def test_a_constant_array_has_a_zero_jacobian():
    jacobian = gl.jacobian(lambda x: np.ones(2))(X)
    np.testing.assert_array_equal(jacobian, np.zeros((2, 3)))


def test_an_argument_that_is_not_used_has_a_zero_gradient():
    a, b = gl.grad(lambda x, y: np.sum(x), argnums=(0, 1))(X, A)
    np.testing.assert_array_equal(b, np.zeros((4, 3)))
    np.testing.assert_array_equal(a, np.ones(3))


def test_the_identity():
    assert gl.grad(lambda x: x)(2.0) == 1.0
    np.testing.assert_array_equal(gl.jacobian(lambda x: x)(X), np.eye(3))
    _, tangent = gl.jvp(lambda x: x, (X,), (V,))
    np.testing.assert_array_equal(tangent, V)
    np.testing.assert_array_equal(gl.hessian(lambda x: x)(2.0), 0.0)


def test_detach_inside_cuts_the_derivative():
    np.testing.assert_allclose(gl.grad(lambda x: np.sum(x * x.detach()))(X), X)


def test_more_than_one_number_is_refused_naming_the_shape_and_jacobian():
    for transform in (gl.grad, gl.value_and_grad, gl.hessian):
        with pytest.raises(ShapeError, match=r"(?s)\(3,\).*gl\.jacobian"):
            transform(np.tanh)(X)


def test_one_number_of_any_shape_will_do():
    np.testing.assert_allclose(gl.grad(lambda x: np.sum(x**2, keepdims=True))(X), 2 * X)


@pytest.mark.parametrize("returned", [(1.0, 2.0), [1.0], {"a": 1.0}, ()])
def test_several_results_are_refused_with_the_way_out(returned):
    with pytest.raises(ShapeError, match=r"jacobian"):
        gl.grad(lambda x: returned)(X)


def test_a_cotangent_of_another_shape_is_refused():
    _, pull = gl.vjp(np.tanh, X)
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)"):
        pull(np.ones(2))


def test_tangents_of_other_shapes_are_refused():
    with pytest.raises(ShapeError, match="tangent"):
        gl.jvp(np.tanh, (X,), (np.ones(2),))
    with pytest.raises(ShapeError, match="tangent"):
        gl.jvp(np.multiply, (X, X), (V,))


def test_jvp_needs_rules_for_the_first_derivative_only():
    @gl.primitive
    def slope(x):
        return 3 * x**2

    @gl.primitive
    def cube(x):
        return x**3

    gl.defvjp(cube, lambda g, ans, x: g * slope(x))  # and slope has no rule
    np.testing.assert_allclose(gl.grad(cube)(2.0), 12.0)
    _, tangent = gl.jvp(cube, (2.0,), (10.0,))
    np.testing.assert_allclose(tangent, 120.0)


# -- nesting ----------------------------------------------------------------------------------


def test_grad_nests_to_any_order():
    f, expected = np.sin, [np.sin, np.cos]
    for order in range(1, 7):
        f = gl.grad(f)
        sign = 1 if order % 4 in (0, 1) else -1
        np.testing.assert_allclose(f(0.7), sign * expected[order % 2](0.7))


ONE_STEP = {
    "grad": lambda f: gl.grad(f),
    "value_and_grad": lambda f: lambda x: gl.value_and_grad(f)(x)[1],
    "vjp": lambda f: lambda x: gl.vjp(f, x)[1](1.0)[0],
    "jvp": lambda f: lambda x: gl.jvp(f, (x,), (1.0,))[1],
    "jacobian": lambda f: gl.jacobian(f),
}


@pytest.mark.parametrize("names", [*itertools.product(ONE_STEP, repeat=2)], ids="-".join)
def test_two_transforms_nest(names):
    f = lambda x: np.exp(2 * x) * x
    for name in names:
        f = ONE_STEP[name](f)
    np.testing.assert_allclose(f(0.5), (4 * 0.5 + 4) * np.exp(1.0))
    assert not isinstance(f(0.5), gl.Tensor)


@pytest.mark.parametrize(
    "names", [*itertools.product(["grad", "vjp", "jvp", "jacobian"], repeat=3)], ids="-".join
)
def test_three_transforms_nest(names):
    f = lambda x: np.exp(2 * x) * x
    for name in names:
        f = ONE_STEP[name](f)
    np.testing.assert_allclose(f(0.5), (8 * 0.5 + 12) * np.exp(1.0))


def test_hessian_and_hvp_nest_with_the_others():
    f = lambda x: np.sum(x**4)
    third = gl.jacobian(gl.hessian(f))(X)
    expected = np.zeros((3, 3, 3))
    expected[range(3), range(3), range(3)] = 24 * X
    np.testing.assert_allclose(third, expected)
    np.testing.assert_allclose(gl.hessian(lambda x: gl.hvp(f, x, V) @ V)(X), np.diag(24 * V**2))
    np.testing.assert_allclose(gl.grad(lambda v: np.sum(gl.hvp(f, X, v)))(V), 12 * X**2)
    _, tangent = gl.jvp(gl.grad(f), (X,), (V,))
    np.testing.assert_allclose(tangent, 12 * X**2 * V)
    np.testing.assert_allclose(gl.grad(lambda x: gl.jvp(f, (x,), (V,))[1])(X), gl.hessian(f)(X) @ V)


CONFUSION = {
    "the classic": (lambda: gl.grad(lambda x: x * gl.grad(lambda y: x + y)(1.0))(1.0), 1.0),
    "product": (lambda: gl.grad(lambda x: x * gl.grad(lambda y: x * y)(2.0))(3.0), 6.0),
    "inner at the outer variable": (
        lambda: gl.grad(lambda x: gl.grad(lambda y: x * y * y)(x))(3.0),
        12.0,
    ),
    "shadowed constant": (lambda: gl.grad(lambda x: gl.grad(lambda y: y * y)(x) + x)(3.0), 3.0),
    "outer variable in a closure of the closure": (
        lambda: gl.grad(
            lambda x: gl.grad(lambda y: gl.grad(lambda z: x * y * z * z)(2.0))(5.0) * x
        )(3.0),
        24.0,
    ),
    "inner does not use its own": (
        lambda: gl.grad(lambda x: gl.grad(lambda y: x * x)(2.0))(3.0),
        0.0,
    ),
    "jvp in grad": (
        lambda: gl.grad(lambda x: x * gl.jvp(lambda y: x * y, (2.0,), (1.0,))[1])(3.0),
        6.0,
    ),
    "grad in jvp": (
        lambda: gl.jvp(lambda x: x * gl.grad(lambda y: x * y * y)(2.0), (3.0,), (1.0,))[1],
        24.0,
    ),
    "jvp in jvp": (
        lambda: gl.jvp(
            lambda x: x * gl.jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,)
        )[1],
        1.0,
    ),
    "the tangent is the outer variable": (
        lambda: gl.grad(lambda x: gl.jvp(lambda y: y**3, (x,), (x,))[1])(2.0),
        36.0,
    ),
    "the cotangent is the outer variable": (
        lambda: gl.grad(lambda x: gl.vjp(lambda y: y**3, x)[1](x)[0])(2.0),
        36.0,
    ),
    "the value is used too": (
        lambda: gl.grad(lambda x: np.prod(np.stack(gl.value_and_grad(lambda y: y**3)(x))))(2.0),
        3 * 5 * 2.0**4,
    ),
    "a pull from outside": (
        lambda: (lambda pull: gl.grad(lambda x: x * pull(x)[0])(3.0))(
            gl.vjp(lambda y: y**2, 5.0)[1]
        ),
        60.0,
    ),
    "made before the inner, of the outer": (
        lambda: gl.grad(
            lambda x: (lambda made: gl.grad(lambda y: y * made)(1.0))(x * x)
        )(3.0),
        6.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFUSION)
def test_variables_of_different_transforms_are_never_confused(case):
    call, expected = CONFUSION[case]
    result = call()
    np.testing.assert_allclose(result, expected)
    assert not isinstance(result, gl.Tensor)


def test_inner_results_do_not_escape_as_tensors_when_the_outer_had_no_part():
    seen = []

    def outer(x):
        seen.append(gl.grad(lambda y: y * y)(3.0))
        return x * seen[0]

    assert gl.grad(outer)(1.0) == 6.0
    assert type(seen[0]) is float


def test_gradient_descent_inside_a_function_is_differentiated_through():
    def solved(c):
        x = 0.0
        for _ in range(20):
            x = x - 0.25 * gl.grad(lambda t: (t - c) ** 2)(x)
        return x

    np.testing.assert_allclose(gl.grad(solved)(3.0), 1 - 0.5**20)


# -- Tensors from outside ---------------------------------------------------------------------


def test_a_closure_over_a_tensor_that_requires_grad_gives_recorded_results():
    w = leaf(X)
    gradient = gl.grad(lambda x: np.sum(w**2 * x**3))(V)
    assert isinstance(gradient, gl.Tensor)
    np.testing.assert_allclose(gradient.data, 3 * X**2 * V**2)
    assert w.grad is None
    gradient.sum().backward()
    np.testing.assert_allclose(w.grad, 6 * X * V**2)


def test_value_and_jvp_and_jacobian_of_a_closure_are_recorded_too():
    w = leaf(2.0)
    value, gradient = gl.value_and_grad(lambda x: w * x**2)(3.0)
    (value + gradient).backward()
    assert w.grad == 9.0 + 6.0
    w.zero_grad()
    ans, tangent = gl.jvp(lambda x: w * x**2, (3.0,), (10.0,))
    (ans + tangent).backward()
    assert w.grad == 9.0 + 60.0
    w.zero_grad()
    gl.jacobian(lambda x: w * x**2)(np.array([3.0, 4.0])).sum().backward()
    assert w.grad == 14.0
    w.zero_grad()
    gl.hessian(lambda x: w * np.sum(x**2))(np.array([3.0, 4.0])).sum().backward()
    assert w.grad == 4.0
    w.zero_grad()
    np.sum(gl.hvp(lambda x: w * np.sum(x**3), X, V)).backward()
    np.testing.assert_allclose(w.grad, np.sum(6 * X * V))


def test_an_argument_that_requires_grad_gives_recorded_results():
    x = leaf(2.0)
    gradient = gl.grad(lambda t: t**3)(x)
    assert isinstance(gradient, gl.Tensor)
    gradient.backward()
    assert x.grad == 12.0


def test_a_closure_over_a_tensor_of_constants_gives_plain_results():
    w = gl.Tensor(X)
    gradient = gl.grad(lambda x: np.sum(w * x))(V)
    assert type(gradient) is np.ndarray


def test_transforms_do_not_touch_the_gradients_of_others():
    w = leaf(X)
    w.sum().backward()
    before = w.grad.copy()
    f = lambda x: np.sum(w * x**2)
    gl.grad(f)(V)
    gl.value_and_grad(f)(V)
    gl.hessian(f)(V)
    gl.hvp(f, V, V)
    gl.jvp(f, (V,), (V,))
    gl.grad(f)(w)
    np.testing.assert_array_equal(w.grad, before)


def test_hooks_and_retained_gradients_of_others_do_not_see_a_transform():
    w, seen = leaf(X), []
    h = w * 2
    h.register_hook(lambda g: seen.append(g))
    h.retain_grad()
    gl.grad(lambda x: np.sum(h * x))(V)
    assert seen == []
    assert h.grad is None


def test_the_graph_of_a_closed_over_result_is_still_there_afterwards():
    w = leaf(X)
    h = np.exp(w)
    gl.grad(lambda x: np.sum(h * x))(V)
    h.sum().backward()
    np.testing.assert_allclose(w.grad, np.exp(X))


def test_arguments_are_not_mutated():
    x, v, kept = X.copy(), V.copy(), (X.copy(), V.copy())

    def f(t):
        t = t * 1.0
        t += 1.0
        return np.sum(np.sort(t) ** 3)

    gl.grad(f)(x)
    gl.hessian(f)(x)
    gl.hvp(f, x, v)
    gl.jvp(f, (x,), (v,))
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(v, kept[1])


def test_a_tensor_argument_keeps_its_flag_and_grad():
    x = gl.Tensor(X)
    gl.grad(quartic)(x)
    assert not x.requires_grad
    assert x.grad is None
    y = leaf(X)
    gl.grad(quartic)(y)
    assert y.grad is None
    assert y.is_leaf


# -- modes and threads ------------------------------------------------------------------------


def test_transforms_work_under_no_grad():
    with gl.no_grad():
        np.testing.assert_allclose(gl.grad(quartic)(X), quartic_gradient(X))
        np.testing.assert_allclose(gl.hessian(quartic)(X), quartic_hessian(X))
        np.testing.assert_allclose(gl.hvp(quartic, X, V), quartic_hessian(X) @ V)
        np.testing.assert_allclose(gl.jvp(quartic, (X,), (V,))[1], quartic_gradient(X) @ V)
        _, pull = gl.vjp(np.tanh, X)
        assert not (leaf(1.0) * 2).requires_grad
    np.testing.assert_allclose(pull(V)[0], V * (1 - np.tanh(X) ** 2))


def test_the_mode_is_as_before_after_a_transform_that_fails():
    def f(x):
        raise LookupError

    with gl.no_grad():
        with pytest.raises(LookupError):
            gl.grad(f)(1.0)
        assert not (leaf(1.0) * 2).requires_grad
    assert (leaf(1.0) * 2).requires_grad


def test_no_grad_inside_a_function_cuts_the_derivative():
    def f(x):
        with gl.no_grad():
            k = x * 10
        return np.sum(x * k)

    np.testing.assert_allclose(gl.grad(f)(X), 10 * X)


def test_threads_differentiate_independently():
    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(20):
            x, v = rng.normal(size=(2, 3))
            np.testing.assert_allclose(gl.grad(quartic)(x), quartic_gradient(x))
            np.testing.assert_allclose(gl.hvp(quartic, x, v), quartic_hessian(x) @ v)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_one_pull_serves_several_threads():
    _, pull = gl.vjp(lambda x: np.tanh(A @ x), X)
    slope = (1 - np.tanh(A @ X) ** 2)[:, None] * A

    def work(seed):
        u = np.random.default_rng(seed).normal(size=4)
        for _ in range(100):
            np.testing.assert_allclose(pull(u)[0], u @ slope)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


# -- in the words of other fields -------------------------------------------------------------


def test_newtons_method_finds_the_minimum_of_rosenbrock():
    def rosenbrock(x):
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    x = np.array([-1.2, 1.0])
    for _ in range(10):
        x = x - np.linalg.solve(gl.hessian(rosenbrock)(x), gl.grad(rosenbrock)(x))
    np.testing.assert_allclose(x, [1.0, 1.0])


def test_scipy_minimises_with_our_gradient():
    from scipy.optimize import minimize

    target = np.array([1.0, -2.0, 3.0])
    found = minimize(
        gl.value_and_grad(lambda x: np.sum((x - target) ** 4)), np.zeros(3), jac=True, tol=1e-12
    )
    np.testing.assert_allclose(found.x, target, atol=1e-2)


def test_the_jacobian_and_vjp_and_jvp_agree():
    def f(x):
        return np.exp(np.sin(A @ x)) * np.sum(x)

    u = RNG.normal(size=4)
    jacobian = gl.jacobian(f)(X)
    np.testing.assert_allclose(gl.vjp(f, X)[1](u)[0], u @ jacobian)
    np.testing.assert_allclose(gl.jvp(f, (X,), (V,))[1], jacobian @ V)


# -- trees as results -------------------------------------------------------------------------

PARAMS = {"w": np.array([1.0, 2.0]), "b": 3.0}


def quadratic(p):
    return np.sum(p["w"] ** 2) * p["b"]


def test_the_hessian_of_a_dict_has_a_block_for_each_pair():
    h = gl.hessian(quadratic)(PARAMS)
    assert {key: set(row) for key, row in h.items()} == {"w": {"w", "b"}, "b": {"w", "b"}}
    np.testing.assert_array_equal(h["w"]["w"], 6.0 * np.eye(2))
    np.testing.assert_array_equal(h["w"]["b"], [2.0, 4.0])
    np.testing.assert_array_equal(h["b"]["w"], [2.0, 4.0])
    np.testing.assert_array_equal(h["b"]["b"], 0.0)


def test_the_hessian_by_several_arguments_is_a_tuple_of_tuples():
    h = gl.hessian(lambda x, y: x**2 * y, argnums=(0, 1))(1.0, 2.0)
    np.testing.assert_array_equal(np.array(h), [[4.0, 2.0], [2.0, 0.0]])
    h = gl.hessian(lambda a, b: np.sum(a) * b["c"] ** 2, (0, 1))(np.ones(2), {"c": 3.0})
    np.testing.assert_array_equal(h[0][1]["c"], [6.0, 6.0])
    np.testing.assert_array_equal(h[1]["c"][0], [6.0, 6.0])
    np.testing.assert_array_equal(h[1]["c"][1]["c"], 4.0)


def test_hvp_of_trees():
    v = {"w": np.array([1.0, 0.0]), "b": 1.0}
    product = gl.hvp(quadratic, PARAMS, v)
    np.testing.assert_array_equal(product["w"], [6.0 + 2.0, 4.0])
    assert product["b"] == 2.0
    product = gl.hvp(lambda p: np.sum(p[0] * p[1]), (np.ones(2), np.ones(2)), (X[:2], 2 * X[:2]))
    np.testing.assert_array_equal(product, (2 * X[:2], X[:2]))
    with pytest.raises(ShapeError, match="hvp"):
        gl.hvp(quadratic, PARAMS, {"w": np.ones(2)})
    with pytest.raises(ShapeError, match=r"hvp.*\(3,\)"):
        gl.hvp(quadratic, PARAMS, {"w": np.ones(3), "b": 1.0})


def shapes(x):
    return {"square": x**2, "pair": (np.sum(x), [x[:2] * 3.0])}


def test_vjp_of_a_tree():
    ans, pull = gl.vjp(shapes, X)
    np.testing.assert_array_equal(ans["square"], X**2)
    assert type(ans["pair"]) is tuple
    assert not isinstance(ans["pair"][0], gl.Tensor)
    (g,) = pull({"square": np.ones(3), "pair": (10.0, [np.array([0.0, 1.0])])})
    np.testing.assert_array_equal(g, 2 * X + 10.0 + np.array([0.0, 3.0, 0.0]))
    with pytest.raises(ShapeError, match="cotangent"):
        pull({"square": np.ones(3)})
    with pytest.raises(ShapeError, match="cotangent"):
        pull({"square": np.ones(2), "pair": (10.0, [np.ones(2)])})


def test_jvp_of_a_tree():
    ans, tangent = gl.jvp(shapes, (X,), (V,))
    np.testing.assert_array_equal(ans["square"], X**2)
    np.testing.assert_allclose(tangent["square"], 2 * X * V)
    np.testing.assert_allclose(tangent["pair"][0], V.sum())
    np.testing.assert_allclose(tangent["pair"][1][0], 3 * V[:2])


def test_jacobian_of_a_tree_by_a_tree():
    def f(p):
        return {"sum": p["a"] + p["b"][0], "product": p["a"] * p["b"][1]}

    p = {"a": X, "b": [np.array([1.0]), 2.0]}
    j = gl.jacobian(f)(p)
    np.testing.assert_array_equal(j["sum"]["a"], np.eye(3))
    np.testing.assert_array_equal(j["sum"]["b"][0], np.ones((3, 1)))
    np.testing.assert_array_equal(j["sum"]["b"][1], np.zeros(3))
    np.testing.assert_array_equal(j["product"]["a"], 2 * np.eye(3))
    np.testing.assert_array_equal(j["product"]["b"][1], X)


def test_transforms_of_trees_nest():
    def inner(x):
        return {"a": x**3, "b": np.sum(x)}

    def through(transform):
        return lambda x: np.sum(transform(x)["a"])

    outer = gl.grad(through(lambda x: gl.jvp(inner, (x,), (V,))[1]))
    np.testing.assert_allclose(outer(X), 6 * X * V)
    outer = gl.grad(lambda x: np.sum(gl.jacobian(inner)(x)["a"]))
    np.testing.assert_allclose(outer(X), 6 * X)


def test_an_empty_tree_has_an_empty_jacobian():
    assert gl.jacobian(lambda x: ())(X) == ()


def test_dicts_come_back_in_their_own_kind():
    ordered = OrderedDict(b=1.0, a=2.0)
    found = gl.grad(lambda p: p["a"] * p["b"])(ordered)
    assert found == OrderedDict(b=2.0, a=1.0)
    assert type(found) is OrderedDict
    counted = defaultdict(float, a=3.0)
    assert type(gl.grad(lambda p: p["a"] ** 2 + p["none"])(counted)) is defaultdict
    assert list(counted) == ["a"]
