"""Value, line by line: what scripts written for the original engine do with it."""

import copy
import gc
import math
import operator
import pickle
import re
import tracemalloc
import weakref
from fractions import Fraction

import numpy as np
import pytest

import gradlite as gl
from gradlite.engine import Value
from gradlite.errors import DivisionError, DomainError, DtypeError, RangeError, ShapeError
from gradlite.scalar import Value as ValueFromHome
from tests.helpers import unaddressed
from tests.scalar import reference
from tests.scalar.reference import nodes, picture, results, seeded_first, seeded_last

LONG = 100_000


def both(expression, *numbers):
    """Evaluate with Values and with the reference's; return each result with its arguments."""
    found = []
    for kind in (Value, reference.Value):
        xs = [kind(x) for x in numbers]
        found.append((expression(*xs), xs))
    return found


def assert_same_gradients(expression, *numbers):
    (y, xs), (expected, twins) = both(expression, *numbers)
    assert y.data == pytest.approx(expected.data, rel=1e-12)
    y.backward()
    expected.backward()
    for x, twin in zip(xs, twins, strict=True):
        assert x.grad == pytest.approx(twin.grad, rel=1e-12)


def tangled(a, b, c):
    """An expression with every operation, and with parts that are used several times."""
    d = a * b - c / a + 2
    e = (d * d + 3 / b).sigmoid() - 1.5
    f = (e**2 + a**3 - (-c)) / (b + 4)
    g = (2**e) * (a**b) + (5 - f) * 0.5
    h = (g * 0.1).tanh() + f.relu() + abs(e) + (g * g + 1).sqrt() + (f * f + 0.5).log()
    return h * d - (0.1 * f).exp() + g.sin() * d.cos() - h / 7


def tangled_of_two(a, b):
    return tangled(a, b, a)


TANGLED = (1.3, 0.7, -1.1)


# -- construction and attributes --------------------------------------------------------------


def test_the_value_of_gradlite_engine_is_that_of_its_home():
    assert Value is ValueFromHome


def test_a_value_begins_with_its_number_no_gradient_no_label_and_nothing_behind_it():
    v = Value(3.5)
    assert (v.data, v.grad, v.label) == (3.5, 0.0, "")
    assert type(v.grad) is float
    assert (v._prev, v._op) == (set(), "")
    assert (v.prev, v.op) == (set(), "")
    assert v._backward() is None
    assert v.grad == 0.0


def test_the_constructor_takes_children_operation_and_label_by_position_and_by_keyword():
    a, b = Value(1.0), Value(2.0)
    for v in (
        Value(3.0, (a, b), "+", "c"),
        Value(data=3.0, _children=(a, b), _op="+", label="c"),
        Value(3.0, _children={a, b}, _op="+", label="c"),
    ):
        assert (v.data, v._prev, v._op, v.label) == (3.0, {a, b}, "+", "c")


def test_attributes_can_be_assigned():
    v = Value(1.0)
    v.data, v.grad, v.label, v.colour = 2.0, 3.0, "v", "red"
    assert (v.data, v.grad, v.label, v.colour) == (2.0, 3.0, "v", "red")
    assert Value(1.0).label == ""


def test_prev_and_op_can_be_assigned():
    a, b = Value(2.0), Value(3.0)
    out = Value(5.0)
    out._prev, out._op = {a, b}, "plus"
    assert (out._prev, out._op) == ({a, b}, "plus")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (2, 2),
        (2.5, 2.5),
        (True, 1),
        (Fraction(1, 4), 0.25),
        (np.float16(0.5), 0.5),
        (np.float32(0.25), 0.25),
        (np.float64(0.1), 0.1),
        (np.longdouble(0.5), 0.5),
        (np.int64(-3), -3),
        (np.uint8(200), 200),
        (np.bool_(True), 1),
        (np.array(1.5), 1.5),
    ],
)
def test_data_is_a_python_number_whatever_number_is_given(data, expected):
    v = Value(data)
    assert v.data == expected
    assert type(v.data) is type(expected)


@pytest.mark.parametrize("show", [repr, str, format, "{}".format])
def test_repr_shows_data_and_gradient(show):
    v = Value(1.5)
    assert show(v) == "Value(data=1.5, grad=0.0)"
    v.grad = -2.0
    assert show(v) == "Value(data=1.5, grad=-2.0)"


def test_repr_of_a_labelled_result_shows_data_and_gradient():
    y = Value(2.0, label="a") * 3
    y.backward()
    assert repr(y) == "Value(data=6.0, grad=1.0)"


# -- operators --------------------------------------------------------------------------------

OPERATORS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
}
NUMBERS = [
    3,
    0.75,
    True,
    Fraction(3, 4),
    np.float16(0.5),
    np.float32(0.75),
    np.float64(1.7),
    np.int64(2),
    np.uint8(2),
    np.bool_(True),
    np.array(1.25),
]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_takes_a_number_of_any_kind_on_either_side(operator, number):
    fn, plain = OPERATORS[operator], getattr(number, "item", lambda: float(number))()
    for ours, theirs in (
        (lambda x: fn(x, number), lambda x: fn(x, plain)),
        (lambda x: fn(number, x), lambda x: fn(plain, x)),
    ):
        x, twin = Value(1.3), reference.Value(1.3)
        y, expected = ours(x), theirs(twin)
        assert type(y) is Value
        assert type(y.data) in (float, int)
        assert y.data == pytest.approx(expected.data, rel=1e-14)
        y.backward()
        expected.backward()
        assert type(x.grad) in (float, int)
        assert x.grad == pytest.approx(twin.grad, rel=1e-14)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("numbers", [(1.3, 0.7), (2, 3), (2, 0.5), (0.25, -2)])
def test_an_operator_takes_values_on_both_sides(operator, numbers):
    assert_same_gradients(OPERATORS[operator], *numbers)


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_takes_the_same_value_on_both_sides(operator):
    assert_same_gradients(lambda x: OPERATORS[operator](x, x), 1.3)


@pytest.mark.parametrize("exponent", [2, 3, 0, 1, -1, -2, 0.5, -0.5])
def test_powers_of_a_value_have_the_derivative_of_calculus(exponent):
    x = Value(1.7)
    y = x**exponent
    y.backward()
    assert y.data == pytest.approx(1.7**exponent)
    assert x.grad == pytest.approx(exponent * 1.7 ** (exponent - 1))


@pytest.mark.parametrize("exponent", [2, 3, 2.0])
def test_whole_powers_of_zero_and_of_negative_numbers_have_derivatives(exponent):
    for data in (0.0, -2.0, -3):
        x = Value(data)
        (x**exponent).backward()
        assert x.grad == exponent * data ** (exponent - 1)


def test_signs():
    x = Value(3.0)
    y = -x
    y.backward()
    assert (y.data, x.grad) == (-3.0, -1.0)
    assert (+x).data == 3.0


@pytest.mark.parametrize(
    ("change", "expected", "slope"),
    [
        pytest.param("v += other", 6.0, 1.0, id="+="),
        pytest.param("v -= other", 2.0, 1.0, id="-="),
        pytest.param("v *= other", 8.0, 2.0, id="*="),
        pytest.param("v /= other", 2.0, 0.5, id="/="),
        pytest.param("v **= other", 16.0, 8.0, id="**="),
    ],
)
@pytest.mark.parametrize("other", [2.0, 2, Value(2.0), np.float64(2.0)], ids=repr)
def test_an_augmented_assignment_makes_a_new_value_and_leaves_the_old_one(
    change, expected, slope, other
):
    old = Value(4.0)
    names = {"v": old, "other": other}
    exec(change, names)
    new = names["v"]
    assert new is not old
    assert (old.data, old._op) == (4.0, "")
    assert new.data == expected
    new.backward()
    assert old.grad == pytest.approx(slope)


def test_augmented_assignments_in_a_loop_make_a_chain():
    x = Value(2.0)
    total = Value(0.0)
    for i in range(4):
        total += x * i
    total.backward()
    assert (total.data, x.grad) == (12.0, 6.0)


@pytest.mark.parametrize("of", [float, int, Value, np.float64, np.int64, np.float32])
def test_comparisons_compare_numbers(of):
    v = Value(2.0)
    assert [v < of(3), v <= of(2), v > of(1), v >= of(2)] == [True] * 4
    assert [v < of(2), v <= of(1), v > of(2), v >= of(3)] == [False] * 4
    assert [of(1) < v, of(2) <= v, of(3) > v, of(2) >= v] == [True] * 4
    assert [of(2) < v, of(3) <= v, of(2) > v, of(1) >= v] == [False] * 4


def test_values_can_be_sorted_and_the_largest_picked():
    a, b, c = Value(2.0), Value(-1.0), Value(0.5)
    assert sorted([a, b, c]) == [b, c, a]
    assert max(a, b, c) is a
    assert min(a, b, c, key=lambda v: v.data) is b


def test_equality_and_hash_are_those_of_the_object():
    a, b = Value(2.0), Value(2.0)
    same = a
    assert a == same
    assert a != b
    assert a != 2.0
    assert len({a, b, a}) == 2
    assert {a: "a", b: "b"}[b] == "b"


def test_a_value_is_true_even_if_its_number_is_zero():
    assert Value(0.0)


def test_conversions_give_the_number():
    v = Value(2.75)
    assert float(v) == 2.75
    assert type(float(Value(2))) is float
    assert int(v) == 2
    assert math.floor(v) == 2
    assert math.sqrt(Value(4.0)) == 2.0
    assert f"{v:.1f} {v:8.3e} {Value(3):03d}" == "2.8 2.750e+00 003"


def test_sum_adds_values_up():
    xs = [Value(float(i)) for i in range(5)]
    total = sum(xs)
    assert total.data == 10.0
    sum((x * x for x in xs), total).backward()
    assert [x.grad for x in xs] == [1.0, 3.0, 5.0, 7.0, 9.0]


# -- functions --------------------------------------------------------------------------------

FUNCTIONS = {
    "tanh": [0.5, -2.0, 0.0, 3, 400.0],
    "relu": [0.5, -2.0, 3, -1],
    "exp": [0.5, -2.0, 0, -800.0, 700.0],
    "log": [0.5, 3, 1e-300, 1e300],
    "sigmoid": [0.5, -2.0, 0, 40.0, -700.0],
    "sin": [0.5, -2.0, 0, 1e6],
    "cos": [0.5, -2.0, 3, 1e6],
    "sqrt": [0.5, 4, 1e-300],
    "abs": [0.5, -2.0, -3],
}


@pytest.mark.parametrize(("name", "x"), [(name, x) for name, xs in FUNCTIONS.items() for x in xs])
def test_a_function_has_the_value_and_the_derivative_of_calculus(name, x):
    (y, (v,)), (expected, (twin,)) = both(lambda v: getattr(v, name)(), x)
    assert y.data == pytest.approx(expected.data, rel=1e-12)
    assert y._op == expected.op
    y.backward()
    expected.backward()
    assert v.grad == pytest.approx(twin.grad, rel=1e-9)
    assert type(v.grad) is float


def test_abs_is_a_builtin_too():
    x = Value(-2.0)
    y = abs(x)
    y.backward()
    assert (y.data, x.grad) == (2.0, -1.0)


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [("sigmoid", -1e4, 0.0), ("sigmoid", 1e4, 1.0), ("tanh", -1e4, -1.0), ("exp", -1e4, 0.0)],
)
def test_functions_reach_their_limits_without_overflow(name, x, expected):
    v = Value(x)
    y = getattr(v, name)()
    y.backward()
    assert (y.data, v.grad) == (expected, 0.0)


def test_relu_and_abs_have_derivative_zero_at_zero():
    for name in ("relu", "abs"):
        x = Value(0.0)
        getattr(x, name)().backward()
        assert x.grad == 0.0


def test_nan_stays_nan():
    for name in ("tanh", "relu", "exp", "sigmoid", "abs"):
        assert math.isnan(getattr(Value(math.nan), name)().data)


# -- backward ---------------------------------------------------------------------------------


def test_the_expression_of_the_original_readme_has_its_numbers():
    a, b = Value(-4.0), Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert f"{g.data:.4f}" == "24.7041"
    g.backward()
    assert (f"{a.grad:.4f}", f"{b.grad:.4f}") == ("138.8338", "645.5773")


def test_backward_shows_the_gradient_on_every_node():
    a, b, c = Value(2.0), Value(-3.0), Value(10.0)
    e = a * b
    d = e + c
    out = d * Value(-2.0)
    out.backward()
    assert (out.grad, d.grad, e.grad) == (1.0, -2.0, -2.0)
    assert (a.grad, b.grad, c.grad) == (6.0, -4.0, -2.0)


def test_backward_returns_none():
    assert (Value(2.0) * 3).backward() is None


def test_backward_of_a_leaf_gives_it_the_gradient_one():
    v = Value(2.0)
    v.backward()
    assert v.grad == 1.0


def test_a_tangled_expression_has_the_gradients_of_the_reference():
    assert_same_gradients(tangled, *TANGLED)


def test_a_second_backward_gives_leaves_exactly_twice_the_gradient():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    out = (c * c + a).tanh() + c * c
    out.backward()
    once = a.grad, b.grad, c.grad
    out.backward()
    assert (a.grad, b.grad) == (2 * once[0], 2 * once[1])
    assert (c.grad, out.grad) == (once[2], 1.0)
    out.backward()
    assert (a.grad, b.grad) == pytest.approx((3 * once[0], 3 * once[1]), rel=1e-15)


def test_gradients_of_two_roots_that_share_a_part_add_up():
    def roots(a, b):
        shared = a * b + a
        return shared * shared, (shared + b).tanh()

    a, b = Value(0.5), Value(-0.25)
    for root in roots(a, b):
        root.backward()
    x, y = Value(0.5), Value(-0.25)
    sum(roots(x, y)).backward()
    assert (a.grad, b.grad) == pytest.approx((x.grad, y.grad), rel=1e-15)


def test_backward_of_a_part_and_then_of_the_whole_adds_up_in_leaves_and_shows_the_last_in_results():
    a = Value(3.0)
    b = a * a
    c = b * 2
    b.backward()
    assert (a.grad, b.grad, c.grad) == (6.0, 1.0, 0.0)
    c.backward()
    assert (a.grad, b.grad, c.grad) == (6.0 + 12.0, 2.0, 1.0)
    b.backward()
    assert (a.grad, b.grad, c.grad) == (18.0 + 6.0, 1.0, 1.0)


def test_a_gradient_set_to_zero_starts_again():
    a = Value(3.0)
    for _ in range(3):
        a.grad = 0
        (a * a).backward()
        assert a.grad == 6.0


def test_a_gradient_that_the_user_has_written_to_a_leaf_is_added_to_and_one_of_a_result_ignored():
    a = Value(3.0)
    b = a * 2
    a.grad, b.grad = 10.0, 5.0
    (b * b).backward()
    assert (a.grad, b.grad) == (10.0 + 24.0, 12.0)


def test_backward_reaches_a_node_through_paths_of_different_length_once_all_has_arrived():
    a = Value(1.5)
    b = a * 2
    c = b * b
    out = c * b + a
    out.backward()
    assert a.grad == pytest.approx(24 * 1.5**2 + 1)


def test_gradient_descent_finds_a_minimum():
    x, y = Value(5.0), Value(-3.0)
    for _ in range(200):
        loss = (x - 1) ** 2 + (y + 2) ** 2 / 2
        x.grad = y.grad = 0.0
        loss.backward()
        x.data -= 0.1 * x.grad
        y.data -= 0.1 * y.grad
    assert (x.data, y.data) == pytest.approx((1.0, -2.0), abs=1e-6)


def test_nothing_is_recorded_under_no_grad():
    a, b = Value(2.0), Value(3.0)
    with gl.no_grad():
        quiet = [a * b, a + 1, 2 - a, 3 / a, 2**a, -a, a**2, a.tanh(), a - b, a / b]
        with gl.enable_grad():
            loud = a * b
    assert [v.data for v in quiet[:3]] == [6.0, 3.0, 0.0]
    assert all(v._prev == set() and v._op == "" for v in quiet)
    sum(quiet).backward()
    assert (a.grad, b.grad) == (0.0, 0.0)
    loud.backward()
    assert (a.grad, b.grad) == (3.0, 2.0)


def test_a_subclass_of_value_takes_part_in_expressions():
    class Named(Value):
        """A Value with something of its own."""

        def doubled(self):
            return self * 2

    a, b = Named(2.0, label="a"), Value(3.0)
    out = a.doubled() * b + b / a
    out.backward()
    assert (a.grad, b.grad) == (6.0 - 0.75, 4.0 + 0.5)
    assert type(copy.deepcopy(a)) is Named
    assert copy.deepcopy(a).label == "a"


# -- depth ------------------------------------------------------------------------------------


def deep():
    x, y = Value(1.0), Value(1e-5)
    out = x
    for _ in range(LONG):
        out = out + y
    return x, y, out


def test_backward_goes_through_100_000_nodes():
    x, y, out = deep()
    out.backward()
    out.backward()
    assert (x.grad, y.grad) == (2.0, 2.0 * LONG)


def test_a_deep_graph_can_be_copied_and_pickled_and_the_copy_has_no_graph():
    _, _, out = deep()
    out.label, out.grad = "out", 3.0
    for twin in (copy.deepcopy(out), copy.copy(out), pickle.loads(pickle.dumps(out))):
        assert (twin.data, twin.grad, twin.label) == (out.data, 3.0, "out")
        assert twin._prev == set()


def test_a_deep_graph_can_be_let_go():
    x, y, out = deep()
    half_way = weakref.ref(next(iter(out._prev - {x, y})))
    gc.collect()
    del out
    assert half_way() is None


def test_a_deep_graph_can_be_looked_through():
    _, _, out = deep()
    assert len(nodes(out)) == LONG + 2


def test_a_copy_is_apart_and_values_keep_their_identity_within_a_structure():
    v = Value(2.0, label="v")
    first, second = copy.deepcopy([v, v])
    assert first is second
    assert first is not v
    first.data = 5.0
    assert v.data == 2.0


# -- operations of one's own ------------------------------------------------------------------


def cube(x):
    """An operation as users write it."""
    out = Value(x.data**3, (x,), "cube")

    def _backward():
        x.grad += 3 * x.data**2 * out.grad

    out._backward = _backward
    return out


def blend(x, y, t):
    """One of two Values, with a constant."""
    out = Value(x.data * (1 - t) + y.data * t, (x, y), "blend")

    def _backward():
        x.grad += (1 - t) * out.grad
        y.grad += t * out.grad

    out._backward = _backward
    return out


def in_own_operations(a, b):
    c = blend(cube(a * b), a - b, 0.25)
    return (c - a) * cube(b).tanh() + cube(c) / blend(a, c, 0.5)


def in_operators(a, b):
    c = (a * b) ** 3 * 0.75 + (a - b) * 0.25
    return (c - a) * (b**3).tanh() + c**3 / (a * 0.5 + c * 0.5)


def test_an_operation_of_ones_own_shows_its_name_and_children():
    a = Value(2.0)
    out = cube(a)
    assert (out.data, out._op, out._prev) == (8.0, "cube", {a})
    out.backward()
    assert (a.grad, out.grad) == (12.0, 1.0)


def test_own_operations_mix_with_builtin_ones():
    a, b = Value(0.8), Value(-0.6)
    x, y = reference.Value(0.8), reference.Value(-0.6)
    out, expected = in_own_operations(a, b), in_operators(x, y)
    for _ in range(2):
        out.backward()
        expected.backward()
        assert out.data == pytest.approx(expected.data, rel=1e-12)
        assert (a.grad, b.grad) == pytest.approx((x.grad, y.grad), rel=1e-12)


def test_an_own_operation_can_become_a_method(monkeypatch):
    monkeypatch.setattr(Value, "cube", cube, raising=False)
    a = Value(2.0)
    ((a + 1).cube() * 2).backward()
    assert a.grad == 54.0


def test_a_method_can_be_replaced(monkeypatch):
    def leaky(self):
        out = Value(self.data if self.data > 0 else 0.1 * self.data, (self,), "leaky")

        def _backward():
            self.grad += (1.0 if self.data > 0 else 0.1) * out.grad

        out._backward = _backward
        return out

    monkeypatch.setattr(Value, "relu", leaky)
    a = Value(-2.0)
    out = (a * 3).relu()
    out.backward()
    assert (out.data, out._op, a.grad) == (pytest.approx(-0.6), "leaky", pytest.approx(0.3))


def test_an_operator_can_be_replaced(monkeypatch):
    monkeypatch.setattr(Value, "__matmul__", lambda x, y: x * y + 1, raising=False)
    a = Value(3.0)
    (a @ a).backward()
    assert a.grad == 6.0


@pytest.mark.parametrize("returned", [None, 1, 0, False, [], np.zeros(2)], ids=repr)
def test_what_an_own_backward_returns_does_not_matter(returned):
    a = Value(2.0)
    out = Value(4.0, (a,), "double")

    def _backward():
        a.grad += 2 * out.grad
        return returned

    out._backward = _backward
    (out * 3).backward()
    assert a.grad == 6.0


def test_an_own_backward_sees_what_arrived_in_this_walk():
    a = Value(2.0)
    out = cube(a)
    root = out * 5
    root.backward()
    root.backward()
    assert (a.grad, out.grad) == (2 * 60.0, 5.0)


def test_the_backward_of_a_builtin_operation_can_be_wrapped():
    a, b = Value(3.0), Value(4.0)
    c = a * b
    seen = []
    before = c._backward

    def _backward():
        seen.append(c.grad)
        before()

    c._backward = _backward
    out = c + a
    out.backward()
    assert seen == [1.0]
    assert (a.grad, b.grad, c.grad) == (5.0, 3.0, 1.0)
    assert (c._op, c._prev) == ("*", {a, b})


@pytest.mark.parametrize("expression", ["a - b", "a / b", "2 - b", "3 / b", "b * 2", "2 ** b"])
def test_an_operation_that_is_renamed_still_shows_what_it_is_made_of(expression):
    shown = []
    for rename in (False, True):
        a, b = Value(3.0), Value(4.0)
        out = eval(expression)
        if rename:
            out._op = "mine"
            assert out._op == "mine"
        out.backward()
        shown.append((sorted(map(repr, out._prev)), a.grad, b.grad))
    assert shown[0] == shown[1]


def test_a_derivative_of_ones_own_replaces_a_builtin_one():
    a = Value(3.0)
    out = a - 1

    def straight_through():
        a.grad += 100.0 * out.grad

    out._backward = straight_through
    out.backward()
    assert a.grad == 100.0


def test_a_leaf_can_be_given_a_way_back():
    a = Value(2.0)
    out = Value(10.0)
    out._prev = {a}
    out._backward = lambda: setattr(a, "grad", a.grad + 5 * out.grad)
    (out * 2).backward()
    assert a.grad == 10.0


@pytest.mark.parametrize("by_hand", [seeded_last, seeded_first])
@pytest.mark.parametrize("program", [in_own_operations, in_operators, tangled_of_two])
def test_calling_every_backward_by_hand_gives_the_same_gradients(program, by_hand):
    a, b = Value(0.8), Value(0.6)
    x, y = Value(0.8), Value(0.6)
    program(a, b).backward()
    by_hand(program(x, y))
    assert (x.grad, y.grad) == pytest.approx((a.grad, b.grad), rel=1e-12)


@pytest.mark.parametrize("by_hand", [seeded_last, seeded_first])
def test_calling_every_backward_by_hand_shows_the_gradients_of_the_reference_on_every_node(by_hand):
    (y, _), (expected, _) = both(tangled, *TANGLED)
    by_hand(y)
    expected.backward()
    assert picture(y) == picture(expected)


@pytest.mark.parametrize("expression", ["a - b", "a / b", "2 - a", "3 / a", "a * 2", "2 ** a"])
def test_the_steps_of_a_lecture_can_be_taken_one_by_one(expression):
    (out, (a, b)), (expected, (x, y)) = both(lambda a, b: eval(expression, {"a": a, "b": b}), 3, 2)
    expected.backward()
    out.grad = 1.0
    out._backward()
    for node in out._prev:
        node._backward()
    assert (a.grad, b.grad) == pytest.approx((x.grad, y.grad))


# -- the white box ----------------------------------------------------------------------------


def formula(value):
    """Write a graph: the operation, and in parentheses what it is made of."""
    if not value._prev:
        return value.label or repr(value.data)
    return f"{value._op}({', '.join(sorted(map(formula, value._prev)))})"


WHITE_BOX = {
    "a + b": "+(a, b)",
    "a - b": "+(*(-1, b), a)",
    "a * b": "*(a, b)",
    "a / b": "*(**-1(b), a)",
    "a ** b": "**(a, b)",
    "a + 2": "+(2, a)",
    "2 + a": "+(2, a)",
    "a - 2": "+(-2, a)",
    "2 - a": "+(*(-1, a), 2)",
    "a * 2": "*(2, a)",
    "2 * a": "*(2, a)",
    "a / 4": "*(0.25, a)",
    "3 / a": "*(**-1(a), 3)",
    "a ** 3": "**3(a)",
    "a ** -0.5": "**-0.5(a)",
    "2 ** a": "**(2, a)",
    "-a": "*(-1, a)",
    "a + a": "+(a)",
    "a * a": "*(a)",
    "a - a": "+(*(-1, a), a)",
    "a / a": "*(**-1(a), a)",
    "a.relu()": "ReLU(a)",
    "a.tanh()": "tanh(a)",
    "a.exp()": "exp(a)",
    "a.log()": "log(a)",
    "a.sigmoid()": "sigmoid(a)",
    "sum([a, b])": "+(+(0, a), b)",
    "-(a - b) / 2": "*(*(+(*(-1, b), a), -1), 0.5)",
}


@pytest.mark.parametrize(("expression", "expected"), WHITE_BOX.items())
def test_an_operation_shows_the_nodes_that_the_original_makes(expression, expected):
    names = {"a": Value(3.0, label="a"), "b": Value(2.0, label="b")}
    assert formula(eval(expression, names)) == expected


@pytest.mark.parametrize("when", ["before backward", "after backward", "before and after"])
@pytest.mark.parametrize("expression", WHITE_BOX)
def test_the_nodes_of_an_operation_have_the_numbers_and_gradients_of_the_reference(
    expression, when
):
    (y, _), (expected, _) = both(lambda a, b: eval(expression, {"a": a, "b": b}) * 5, 3.0, 2.0)
    if when != "after backward":
        assert picture(y) == picture(expected)
    if when != "before backward":
        y.backward()
        expected.backward()
    assert picture(y) == picture(expected)


def test_a_tangled_graph_looks_as_in_the_reference_before_and_after_backward():
    (y, _), (expected, _) = both(tangled, *TANGLED)
    assert picture(y) == picture(expected)
    for _ in range(2):
        y.backward()
        expected.backward()
        assert picture(y) == picture(expected)


@pytest.mark.parametrize("backwards", [1, 2])
def test_the_results_in_a_graph_first_looked_at_late_look_as_in_the_reference(backwards):
    (y, _), (expected, _) = both(tangled, *TANGLED)
    for _ in range(backwards):
        y.backward()
        expected.backward()
    assert results(y) == results(expected)


def test_a_graph_can_be_looked_at_from_the_leaves_to_the_root():
    made = []

    def program(a, b):
        c = a - b
        d = 3 / c
        e = (d * a) / (c - 1)
        made.extend([c, d, e])
        return e

    (y, _), (expected, _) = both(program, 3.0, 0.5)
    for node in made[:3]:
        node._prev  # noqa: B018  # who looks inside changes nothing
    y.backward()
    expected.backward()
    assert picture(y) == picture(expected)


def test_looking_at_a_graph_between_two_backwards_changes_no_gradient():
    def gradients(look):
        xs = [Value(x) for x in TANGLED]
        root = tangled(*xs)
        if "before" in look:
            nodes(root)
        root.backward()
        if "between" in look:
            nodes(root)
        root.backward()
        return [x.grad for x in xs], results(root)

    unseen = gradients([])
    for look in (["before"], ["between"], ["before", "between"]):
        seen = gradients(look)
        assert seen[0] == pytest.approx(unseen[0], rel=1e-14)
        assert seen[1] == unseen[1]


def test_looking_twice_shows_the_same_nodes():
    a, b = Value(3.0), Value(2.0)
    out = a - b / 2
    assert out._prev == out._prev == out.prev
    assert set(nodes(out)) == set(nodes(out))


@pytest.mark.parametrize("expression", ["a - b", "2 - b", "a / b", "3 / b"])
def test_a_graph_keeps_its_numbers_when_a_leaf_is_changed_before_anybody_looks(expression):
    def seen(look_first):
        a, b = Value(3.0), Value(2.0)
        out = eval(expression)
        out.backward()
        if look_first:
            nodes(out)
        a.data, b.data = 30.0, 20.0
        return results(out)

    assert seen(look_first=False) == seen(look_first=True)


# -- memory -----------------------------------------------------------------------------------


@pytest.fixture
def _no_garbage_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_garbage_collector")
@pytest.mark.parametrize("look", [False, True], ids=["unseen", "looked at"])
@pytest.mark.parametrize("backwards", [0, 1, 2])
def test_a_graph_is_freed_by_reference_counting_alone(look, backwards):
    xs = [Value(x) for x in TANGLED]
    root = tangled(*xs)
    for _ in range(backwards):
        root.backward()
    if look:
        nodes(root)
        root._backward()
    inner = [weakref.ref(node) for node in nodes(root) if node not in xs] if look else []
    inner.append(weakref.ref(root))
    del root
    assert [ref() for ref in inner] == [None] * len(inner)


class PlainNode:
    """A node as the original makes it: a dict, a closure, a set."""

    def __init__(self, data, children=(), op=""):
        self.data = data
        self.grad = 0
        self.back = lambda: None
        self.children = set(children)
        self.op = op

    def __add__(self, other):
        out = PlainNode(self.data + other.data, (self, other), "+")

        def back():
            self.grad += out.grad
            other.grad += out.grad

        out.back = back
        return out

    def __mul__(self, other):
        out = PlainNode(self.data * other.data, (self, other), "*")

        def back():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out.back = back
        return out


def bytes_per_node(kind, count=4000):
    a, b = kind(0.9), kind(0.1)
    tracemalloc.start()
    try:
        out = a
        for _ in range(count // 2):
            out = out * a + b
        return tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()


def test_a_node_takes_two_fifths_of_the_memory_of_a_node_with_dict_closure_and_set_at_most():
    assert bytes_per_node(Value) <= 0.4 * bytes_per_node(PlainNode)


# -- among NumPy's numbers and arrays ---------------------------------------------------------


@pytest.mark.parametrize("name", ["tanh", "exp", "log", "sin", "cos", "sqrt", "abs"])
def test_a_function_of_numpy_calls_the_method(name):
    x, y = Value(0.7), Value(0.7)
    out = getattr(np, name)(x)
    assert type(out) is Value
    out.backward()
    getattr(y, name)().backward()
    assert x.grad == y.grad


def test_arrays_of_values_add_multiply_and_sum():
    xs = [Value(float(i)) for i in range(1, 4)]
    array = np.array(xs)
    assert array.dtype == object
    assert array[0] is xs[0]
    total = (array * array + 2 * array).sum() + array.dot(np.array([1.0, 10.0, 100.0]))
    total.backward()
    assert total.data == 14 + 12 + 321
    assert [x.grad for x in xs] == [2 + 2 + 1, 4 + 2 + 10, 6 + 2 + 100]


def test_arrays_of_values_multiply_as_matrices():
    w = np.array([[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]])
    out = np.array([10.0, 1.0]) @ w @ np.array([Value(1.0), Value(-1.0)])
    out.backward()
    assert out.data == 10 + 3 - 20 - 4
    assert [[v.grad for v in row] for row in w] == [[10.0, -10.0], [1.0, -1.0]]


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_array_of_numbers_beside_a_value_gives_an_array_of_values(operator):
    fn = OPERATORS[operator]
    for flip in (False, True):
        v, numbers = Value(1.5), np.array([2.0, 3.0])
        out = fn(numbers, v) if flip else fn(v, numbers)
        assert out.shape == (2,)
        sum(out).backward()
        w = reference.Value(1.5)
        sum((fn(n, w) if flip else fn(w, n)) for n in (2.0, 3.0)).backward()
        assert v.grad == pytest.approx(w.grad, rel=1e-12)


def test_mean_and_exponential_of_an_array_of_values_are_values():
    xs = [Value(0.0), Value(1.0)]
    out = np.exp(np.array(xs)).mean()
    out.backward()
    assert [x.grad for x in xs] == pytest.approx([0.5, 0.5 * math.e])


@pytest.mark.parametrize(
    ("call", "expected", "slopes"),
    [
        (lambda xs, v: np.append(xs, v).sum(), 6.0, [1.0, 1.0, 1.0]),
        (lambda xs, v: np.dot(xs, v).sum(), 9.0, [3.0, 3.0, 3.0]),
        (lambda xs, v: np.where([True, False], xs, v).sum(), 4.0, [1.0, 0.0, 1.0]),
    ],
    ids=["append", "dot", "where"],
)
def test_a_function_of_numpy_takes_an_array_of_values_and_a_value(call, expected, slopes):
    xs, v = [Value(1.0), Value(2.0)], Value(3.0)
    out = call(np.array(xs), v)
    out.backward()
    assert out.data == expected
    assert [x.grad for x in (*xs, v)] == slopes


# -- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ("text", "'text'"),
        (b"x", "b'x'"),
        (None, "None"),
        (1j, "1j"),
        (np.complex128(1j), "1j"),
        ([1.0], r"\[1.0\]"),
        ((1.0,), r"\(1.0,\)"),
        ({}, "{}"),
        (object(), "object"),
        (np.array("s"), "'s'"),
        (np.array([1.0, 2.0]), r"shape \(2,\)"),
        (np.array([1.0]), r"shape \(1,\)"),
        (Value(1.0), "Value already"),
    ],
    ids=unaddressed,
)
def test_a_value_of_what_is_no_number_is_an_error_that_names_it(data, named):
    with pytest.raises(DtypeError, match=named):
        Value(data)


def test_a_value_of_a_tensor_of_several_elements_is_an_error_that_names_the_remedy():
    with pytest.raises(ShapeError, match=r"shape \(2,\): use list\(map\(Value, tensor\)\)"):
        Value(gl.Tensor([1.0, 2.0]))


def test_the_error_about_a_long_object_is_short():
    with pytest.raises(DtypeError) as error:
        Value("long " * 1000)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("other", ["text", None, 1j, [1.0], (1.0,), {}, b"x"], ids=repr)
def test_an_operand_that_is_no_number_is_an_error_that_names_both(operator, other):
    fn = OPERATORS[operator]
    for call in (lambda: fn(Value(2.5), other), lambda: fn(other, Value(2.5))):
        with pytest.raises(DtypeError, match=r"Value\(data=2.5") as error:
            call()
        assert repr(other) in str(error.value)
        assert "real number" in str(error.value)


def test_other_objects_may_define_operators_with_values():
    class Meter:
        def __radd__(self, other):
            return f"{other.data} m"

    assert Value(2.0) + Meter() == "2.0 m"
    with pytest.raises(TypeError, match="unsupported operand"):
        Value(2.0) + object()


@pytest.mark.parametrize(
    ("call", "kind", "named"),
    [
        (lambda: Value(-1.5).log(), DomainError, "log of Value.data=-1.5.*positive"),
        (lambda: Value(0).log(), DomainError, "log of Value.data=0.*positive"),
        (lambda: Value(-1.5).sqrt(), DomainError, "sqrt of Value.data=-1.5.*not negative"),
        (lambda: Value(math.inf).sin(), DomainError, "sin of Value.data=inf.*finite"),
        (lambda: Value(1000.0).exp(), RangeError, "exp of Value.data=1000.0.*709.78"),
        (lambda: Value(-2.0) ** 0.5, DomainError, r"-2.0 \*\* 0.5 .*negative"),
        (lambda: Value(-2.0) ** Value(0.5), DomainError, r"-2.0 \*\* 0.5 .*negative"),
        (lambda: Value(10.0) ** 400, RangeError, r"10.0 \*\* 400 is too large"),
        (lambda: 10.0 ** Value(400), RangeError, r"10.0 \*\* 400 is too large"),
        (lambda: Value(0.0) ** -1, DivisionError, r"0.0 \*\* -1 is a division by zero"),
        (lambda: Value(2.0) / 0, DivisionError, "division by zero"),
        (lambda: Value(2.0) / 0.0, DivisionError, "division by zero"),
        (lambda: Value(2.0) / Value(0.0), DivisionError, "2.0 / 0.0 is a division by zero"),
        (lambda: 3 / Value(0.0), DivisionError, "3 / 0.0 is a division by zero"),
    ],
)
def test_a_number_outside_of_a_functions_domain_is_an_error_that_names_it(call, kind, named):
    with pytest.raises(kind, match=named):
        call()


def test_an_infinite_derivative_is_an_error_that_names_the_operation():
    with pytest.raises(DivisionError, match=r"derivative is infinite: \*\*0.5 of Value.data=0.0"):
        (Value(0.0) ** 0.5).backward()


def test_a_derivative_that_is_too_large_is_an_error_that_names_the_operation():
    with pytest.raises(RangeError, match=r"derivative is too large: \*\*-20 of Value"):
        (Value(1e-15) ** -20 * 1e-300).backward()


def test_gradients_of_leaves_are_right_when_backward_is_tried_again_after_an_error():
    a, trouble = Value(4.0), Value(0.0)
    shared = a * a
    broken = trouble**0.5 + shared * 2
    with pytest.raises(DivisionError):
        broken.backward()
    a.grad = 0.0
    shared.backward()
    assert a.grad == 8.0


@pytest.mark.parametrize("other", [None, "a", 1j, [1.0]])
@pytest.mark.parametrize("symbol", ["<", "<=", ">", ">="])
def test_comparing_with_what_is_no_number_is_an_error_that_names_both(symbol, other):
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[symbol]
    named = f"Value(data=1.5, grad=0.0) {symbol} {other!r}: "
    with pytest.raises(DtypeError, match=re.escape(named) + f".*not {type(other).__name__}"):
        compare(Value(1.5), other)


def test_backward_of_a_plain_number_is_an_attribute_error():
    with pytest.raises(AttributeError, match="backward"):
        sum([]).backward()


def test_a_grad_that_was_set_to_none_is_an_error_that_names_the_remedy():
    a = Value(2.0)
    a.grad = None
    with pytest.raises(DtypeError, match="set it to 0"):
        (a * 3).backward()


def test_a_division_by_zero_names_both_sides():
    with pytest.raises(
        DivisionError, match=r"Value\(data=1.0, grad=0.0\) / 0 is a division by zero"
    ):
        Value(1.0) / 0
