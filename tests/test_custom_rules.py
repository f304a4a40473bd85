"""Rules and primitives as users write them: what is plainly meant works, the rest is named."""

import functools

import numpy as np
import pytest
from scipy import sparse, special
from scipy.optimize import brentq

import gradlite as gl
from gradlite.errors import DtypeError, GradliteError, MissingRuleError, ShapeError


def square_with(rule, *more):
    square = gl.primitive(lambda x: x * x)
    gl.defvjp(square, rule, *more, name="my_square")
    return square


def test_a_rule_may_return_a_number():
    root = gl.primitive(lambda a: brentq(lambda x: x * x - a, 0, 10))
    gl.defvjp(root, lambda g, ans, a: float(g / (2 * ans)))
    assert gl.grad(root)(4.0) == pytest.approx(0.25, rel=1e-9)
    whole = square_with(lambda g, ans, x: 3)
    assert gl.grad(whole)(4.0) == 3.0


def test_a_rule_may_return_a_list_of_numbers():
    square = square_with(lambda g, ans, x: [2 * a * b for a, b in zip(g, x, strict=True)])
    np.testing.assert_array_equal(
        gl.grad(lambda x: np.sum(square(x)))(np.array([1.0, 2.0])), [2, 4]
    )
    gl.check_grads(square, (np.array([1.0, 2.0]),), order=2)


@pytest.mark.parametrize("point", [2.0, np.array([1.0, 2.0])], ids=["number", "array"])
@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (lambda g, ans, x: None, "None"),
        (lambda g, ans, x: "2 x", "str"),
        (lambda g, ans, x: {"x": g}, "dict"),
        (lambda g, ans, x: np.ones((3, 2)), r"\(3, 2\)"),
        (lambda g, ans, x: g * (2j * x), "complex"),
        (lambda g, ans, x: np.full(np.shape(x), None), "object data"),
        (lambda g, ans, x: np.full(np.shape(x), "2 x"), "<U3 data"),
        (lambda g, ans, x: np.full(np.shape(x), np.datetime64("2020")), "datetime64.* data"),
        (lambda g, ans, x: [[1.0], [2.0, 3.0]], "differ in shape"),
    ],
    ids=["None", "string", "dict", "shape", "complex", "objects", "words", "dates", "ragged"],
)
def test_what_no_rule_can_mean_is_named(rule, problem, point):
    square = square_with(rule)
    with pytest.raises(GradliteError, match=problem) as caught:
        gl.grad(lambda x: np.sum(square(x)))(point)
    assert "argument 0" in str(caught.value)
    x = gl.Tensor(point, requires_grad=True)
    with pytest.raises(GradliteError, match=problem):
        square(x).sum().backward()


def test_a_number_is_no_place_for_a_vector():
    scale = gl.primitive(lambda c, x: c * np.sum(x))
    gl.defvjp(scale, lambda g, ans, c, x: g * x, lambda g, ans, c, x: g * c + 0 * x, name="scale")
    with pytest.raises(ShapeError, match=r"scale .*\(3,\) for argument 0, which has shape \(\)"):
        gl.grad(scale)(2.0, np.ones(3))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: float(x[0] + x[1]), 3.0),
        (lambda x: int(x[0] + x[1]), 3.0),
        (lambda x: [x[0], x[1]], [1.0, 2.0]),
        (lambda x: (float(x[0]), 7), [1.0, 7.0]),
    ],
    ids=["float", "int", "list", "tuple"],
)
def test_a_primitive_may_return_numbers(function, expected):
    operation = gl.primitive(function)
    gl.defvjp(operation, lambda g, ans, x: g * np.ones(2))
    out = operation(gl.Tensor([1.0, 2.0], requires_grad=True))
    assert type(out) is gl.Tensor
    assert out.dtype == np.float64
    np.testing.assert_array_equal(out.data, expected)
    out.sum().backward()


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda x: None, "NoneType"),
        (lambda x: "text", "str"),
        (lambda x: (x, x), "multiple_outputs=True"),
        (lambda x: [x, x], "multiple_outputs=True"),
        (lambda x: {"y": x}, "dict"),
    ],
    ids=["None", "str", "tuple of arrays", "list of arrays", "dict"],
)
def test_what_no_primitive_can_return_is_named(function, problem):
    operation = gl.primitive(function)
    gl.defvjp(operation, lambda g, ans, x: g, name="my_operation")
    with pytest.raises(DtypeError, match=f"my_operation.*{problem}|{problem}.*my_operation"):
        operation(gl.Tensor([1.0, 2.0], requires_grad=True))


@pytest.mark.parametrize("kind", [tuple, list])
def test_several_results_may_come_as_a_tuple_or_a_list_of_arrays_and_numbers(kind):
    both = gl.primitive(lambda x: kind((x * 2.0, float(x.sum()))))
    gl.defvjp(both, lambda g, ans, x: g[0] * 2.0 + g[1], multiple_outputs=True)
    x = gl.Tensor([1.0, 2.0], requires_grad=True)
    double, total = both(x)
    (double.sum() + 10.0 * total).backward()
    np.testing.assert_array_equal(x.grad, [12.0, 12.0])


@pytest.mark.parametrize("point", [0.5, np.array([0.5, 1.0])], ids=["number", "array"])
@pytest.mark.parametrize(
    "rule", [lambda g, ans, x: (g[0], g[1]), lambda g, ans, x: np.ones((2, 1, *np.shape(x)))]
)
def test_the_rule_of_several_results_returns_the_shape_of_the_argument(rule, point):
    both = gl.primitive(lambda x: (np.sin(x), np.cos(x)))
    gl.defvjp(both, rule, multiple_outputs=True, name="both")
    with pytest.raises(ShapeError, match=r"rule of both .*argument 0"):
        gl.grad(lambda x: np.sum(both(x)[0]))(point)


def test_results_of_several_shapes_sum_over_what_was_broadcast():
    products = gl.primitive(lambda x, y: (x * y, np.sum(x)))
    gl.defvjp(
        products,
        lambda g, ans, x, y: g[0] * y + g[1],
        lambda g, ans, x, y: g[0] * x,
        multiple_outputs=True,
    )

    def f(x, y):
        product, total = products(x, y)
        return np.sum(product) + 10.0 * total

    by_x, by_y = gl.grad(f, (0, 1))(np.array([[1.0], [2.0]]), 3.0)
    np.testing.assert_array_equal(by_x, [[13.0], [13.0]])
    assert by_y == 3.0


def test_declared_several_results_must_be_several():
    one = gl.primitive(lambda x: x)
    gl.defvjp(one, lambda g, ans, x: g[0], multiple_outputs=True, name="one")
    with pytest.raises(DtypeError, match=r"one.*tuple of arrays"):
        one(gl.Tensor([1.0], requires_grad=True))


def test_an_argument_without_a_rule_is_named():
    weighted = gl.primitive(lambda x, w, power=2: w * x**power)
    gl.defvjp(weighted, lambda g, ans, x, w, power=2: g * w * power * x ** (power - 1))
    w = gl.Tensor(3.0, requires_grad=True)
    assert gl.grad(lambda x: weighted(x, w=3.0))(2.0) == 12.0
    with pytest.raises(MissingRuleError, match="'w', which is a Tensor"):
        weighted(2.0, w)
    with pytest.raises(MissingRuleError, match="'w', which is a Tensor"):
        gl.grad(lambda w: weighted(2.0, w))(3.0)
    with pytest.raises(MissingRuleError, match="'power', which is a Tensor"):
        weighted(w, 1.0, power=w)


SUBCLASSES = {
    "matrix": lambda x: sparse.coo_matrix(x).todense(),
    "masked array": lambda x: np.ma.array(x, mask=[[True, False]]),
    "recarray": lambda x: np.rec.array(x),
}


@pytest.mark.parametrize("kind", SUBCLASSES)
def test_what_a_primitive_returns_is_a_plain_array(kind):
    operation = gl.primitive(lambda x: SUBCLASSES[kind](2.0 * x))
    gl.defvjp(operation, lambda g, ans, x: 2.0 * g, name="my_operation")
    with pytest.raises(DtypeError, match=f"my_operation returned a {kind}.*plain array"):
        operation(gl.Tensor([[1.0, 2.0]], requires_grad=True))


OBJECTS = {
    "objects": lambda x: np.array([1.0, None], dtype=object),
    "complex numbers": lambda x: x * 1j,
    "a complex number": lambda x: np.complex128(1j),
    "strings": lambda x: x.astype(str),
    "dates": lambda x: np.zeros(2, "M8[s]"),
    "records": lambda x: np.zeros(2, [("x", float)]),
}


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("several", [False, True])
def test_what_a_primitive_returns_is_of_real_numbers(kind, several):
    forward = OBJECTS[kind]
    operation = gl.primitive(lambda x: (x, forward(x)) if several else forward(x))
    gl.defvjp(operation, lambda g, ans, x: g, name="my_operation", multiple_outputs=several)
    with pytest.raises(DtypeError, match=r"my_operation returned .* data, not real numbers"):
        operation(gl.Tensor([1.0, 2.0], requires_grad=True))


def test_objects_that_are_numbers_become_floats():
    scale = np.frompyfunc(lambda x, y: float(x) * y, 2, 1)  # its arrays are of objects
    gl.defvjp(scale, lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x, name="scale")
    double = gl.primitive(lambda x: np.array([2.0 * v for v in x], dtype=object))
    gl.defvjp(double, lambda g, ans, x: 2.0 * g)
    several = gl.primitive(lambda x: (x, (2 * x).astype(object)))
    gl.defvjp(several, lambda g, ans, x: g[0] + 2 * g[1], multiple_outputs=True)
    x = gl.Tensor([1.0, 2.0], requires_grad=True)
    for result in (scale(x, 2.0), scale(2.0, x), double(x), several(x)[1]):
        assert result.dtype == np.float64
        np.testing.assert_array_equal(result.data, [2.0, 4.0])
    f = lambda x: np.sum(np.exp(scale(x, x)) * several(double(x))[1])
    np.testing.assert_allclose(
        gl.grad(f)(x.data), gl.grad(lambda x: np.sum(np.exp(x * x) * 4 * x))(x.data)
    )


@pytest.mark.parametrize("kind", SUBCLASSES)
@pytest.mark.parametrize("variadic", [False, True])
def test_what_a_rule_returns_is_a_plain_array(kind, variadic):
    operation = gl.primitive(lambda x: 2.0 * x)
    if variadic:
        gl.defvjp(operation, variadic=lambda i, g, ans, x: SUBCLASSES[kind](2 * g), name="my_op")
    else:
        gl.defvjp(operation, lambda g, ans, x: SUBCLASSES[kind](2 * g), name="my_op")
    with pytest.raises(DtypeError, match=f"rule of my_op .* returned a {kind}.*plain array"):
        gl.grad(lambda x: (operation(x) * x).sum())(np.array([[1.0, 2.0]]))


def test_a_memory_map_is_an_array(tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=(2,))
    mapped[:] = [1.0, 2.0]
    operation = gl.primitive(lambda x: mapped)
    gl.defvjp(operation, lambda g, ans, x: mapped)
    out = operation(gl.Tensor([1.0, 2.0], requires_grad=True))
    assert type(out.data) is np.ndarray
    np.testing.assert_array_equal(gl.grad(lambda x: operation(x).sum())(np.ones(2)), [1.0, 2.0])


def test_a_sparse_matrix_from_a_rule_is_named():
    operation = gl.primitive(lambda x: 2.0 * x)
    gl.defvjp(operation, lambda g, ans, x: sparse.csr_array(2 * g), name="my_op")
    with pytest.raises(DtypeError, match=r"my_op.*csr_array"):
        gl.grad(lambda x: operation(x).sum())(np.array([[1.0, 2.0]]))


@pytest.mark.parametrize(
    ("rules", "options", "problem"),
    [
        ([lambda g, ans, x: g, lambda g, ans, x: g], {}, "2 rules for 1 argument"),
        ([lambda ans, x: lambda g: g], {}, r"rule 0 takes 2 .*all 3.*autograd's"),
        ([lambda g: g], {}, "rule 0 takes 1 "),
        ([3.0], {}, "rule 0 is 3.0, not a function"),
        ([], {"variadic": lambda g, ans: g}, r"takes 2 .*i, g, ans"),
    ],
)
def test_a_rule_that_cannot_be_called_is_refused_where_it_is_defined(rules, options, problem):
    operation = gl.primitive(lambda x: 2.0 * x)
    with pytest.raises(TypeError, match=problem):
        gl.defvjp(operation, *rules, **options)
    with pytest.raises(TypeError, match=r"3 rules for 2"):
        gl.defvjp(np.hypot, *[lambda g, ans, x, y, z: g] * 3)


def test_rules_of_any_callable_are_accepted():
    class Rule:
        def __call__(self, g, ans, *args, scale=2.0):
            return scale * g

    operation = gl.primitive(lambda x: 2.0 * x)
    for rule in (Rule(), functools.partial(Rule(), scale=2.0), lambda *args: 2.0 * args[0]):
        gl.defvjp(operation, rule)
        assert gl.grad(operation)(1.0) == 2.0


def test_a_primitive_that_saves_returns_a_pair():
    operation = gl.primitive(lambda x: 2.0 * x)
    gl.defvjp(
        operation, lambda g, ans, x, residuals=None: 2.0 * g, has_residuals=True, name="my_op"
    )
    with pytest.raises(DtypeError, match=r"my_op.*has_residuals=True.*\(ans, residuals\)"):
        gl.grad(operation)(1.0)


def test_more_arguments_than_rules_are_told():
    total = gl.primitive(lambda *xs: sum(xs))
    gl.defvjp(total, lambda g, ans, x: g, name="total")
    assert gl.grad(total)(2.0) == 1.0
    with pytest.raises(TypeError, match=r"total has derivative rules for 1 of 3 arg.*variadic"):
        gl.grad(lambda x: total(x, x, x))(2.0)


def test_a_rule_that_asks_for_more_than_there_is_names_it():
    operation = gl.primitive(lambda x, scale=2.0: scale * x)
    with pytest.raises(TypeError, match="rule 0 needs 'y'"):
        gl.defvjp(operation, lambda g, ans, x, y: g)
    gl.defvjp(operation, lambda g, ans, x, scale=2.0: g * scale)
    assert gl.grad(operation)(1.0) == 2.0


def test_rules_of_a_ufunc_are_as_many_as_its_arguments_and_results():
    with pytest.raises(TypeError, match="1 rules for 2 arguments"):
        gl.defvjp(special.kv, lambda g, ans, v, x: g)
    with pytest.raises(TypeError, match="multiple_outputs=True"):
        gl.defvjp(np.modf, lambda g, ans, x: g)


def test_a_parameter_that_a_loop_refills_is_copied():
    pick = gl.primitive(lambda x, places: x[list(places)])

    def rule(g, ans, x, places):
        out = np.zeros(x.shape)
        out[list(places)] = g
        return out

    gl.defvjp(pick, rule)
    x, places = gl.Tensor([1.0, 2.0, 3.0], requires_grad=True), [0, 1]
    y = pick(x, places=places)
    places[0] = 2
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0, 0.0])
