"""Augmented assignment: the Tensor itself changes, as arrays do, and no gradient is lost."""

import functools
import gc
import operator

import numpy as np
import pytest

import gradlite as gl
from gradlite.autodiff.writes import Writes
from gradlite.errors import (
    DetachError,
    DtypeError,
    GradliteError,
    GraphError,
    MutationError,
    ShapeError,
)


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


OPERATIONS = {
    "+=": (lambda a, b: a.__iadd__(b), lambda a, b: a + b),
    "-=": (lambda a, b: a.__isub__(b), lambda a, b: a - b),
    "*=": (lambda a, b: a.__imul__(b), lambda a, b: a * b),
    "/=": (lambda a, b: a.__itruediv__(b), lambda a, b: a / b),
    "**=": (lambda a, b: a.__ipow__(b), lambda a, b: a**b),
    "%=": (lambda a, b: a.__imod__(b), lambda a, b: a % b),
    "//=": (lambda a, b: a.__ifloordiv__(b), lambda a, b: a // b),
    "@=": (lambda a, b: a.__imatmul__(b), lambda a, b: a @ b),
}
A, B = np.array([[1.5, 2.5], [3.5, 0.5]]), np.array([[2.0, 1.0], [0.5, 3.0]])


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("other", ["tensor", "array"])
def test_while_recording_the_object_becomes_the_result(name, other):
    change, compute = OPERATIONS[name]
    x, w = leaf(A), leaf(B)
    b = w if other == "tensor" else B
    h = x * 1.0
    again = change(h, b)
    assert again is h
    np.testing.assert_array_equal(h.data, compute(A, B))
    h.sum().backward()
    y, v = leaf(A), leaf(B)
    compute(y, v if other == "tensor" else B).sum().backward()
    np.testing.assert_array_equal(x.grad, y.grad)
    if other == "tensor":
        np.testing.assert_array_equal(w.grad, v.grad)


@pytest.mark.parametrize("name", OPERATIONS)
def test_without_recording_the_data_is_written_to(name):
    change, compute = OPERATIONS[name]
    x = leaf(A)
    memory = x.data
    with gl.no_grad():
        assert change(x, gl.Tensor(B)) is x
    assert x.data is memory
    np.testing.assert_array_equal(memory, compute(A, B))
    assert x.is_leaf
    assert x.requires_grad


def test_an_update_in_a_loop_over_parameters_trains():
    w = leaf([1.0, 2.0])
    (w * w).sum().backward()
    with gl.no_grad():
        for p in [w]:
            p -= 0.1 * p.grad
    np.testing.assert_allclose(w.data, [0.8, 1.6])
    w.zero_grad()
    (w * w).sum().backward()
    np.testing.assert_allclose(w.grad, [1.6, 3.2])


def test_a_parameter_of_one_number_is_updated_too():
    b = leaf(2.0)
    (b * 3.0).backward()
    with gl.no_grad():
        b -= 0.5 * b.grad
    assert b.item() == 0.5


def test_a_function_that_changes_its_argument_changes_it_for_the_caller():
    def normalize(h):
        h /= h.sum()

    def f(x):
        h = np.exp(x)
        normalize(h)
        return h[0]

    x = np.array([1.0, 2.0, 3.0])
    value, gradient = gl.value_and_grad(f)(x)
    p = np.exp(x) / np.exp(x).sum()
    assert value == pytest.approx(f(x)) == pytest.approx(p[0])
    np.testing.assert_allclose(gradient, p[0] * (np.array([1, 0, 0]) - p))


def test_a_transformed_function_may_change_its_argument_and_the_callers_array_stays():
    def f(x):
        x += 1.0
        x *= x
        return x.sum()

    x = np.array([1.0, 2.0])
    value, gradient = gl.value_and_grad(f)(x)
    assert value == 4.0 + 9.0
    np.testing.assert_array_equal(gradient, [4.0, 6.0])
    np.testing.assert_array_equal(x, [1.0, 2.0])
    np.testing.assert_array_equal(gl.hessian(f)(x), 2 * np.eye(2))
    np.testing.assert_array_equal(x, [1.0, 2.0])
    np.testing.assert_array_equal(gl.jvp(f, (x,), (np.ones(2),))[1], 10.0)
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_under_no_grad_a_transformed_function_leaves_the_callers_array_too():
    def f(x):
        with gl.no_grad():
            x += 1.0
        return (x * x).sum()

    x = np.array([1.0, 2.0])
    assert gl.value_and_grad(f)(x)[0] == 13.0
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_what_was_saved_for_a_derivative_stays_what_it_was():
    x = leaf([1.0, 2.0])
    h = x * 1.0
    y = h * h
    h += 10.0
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])


def test_a_constant_that_was_used_before_it_changed_keeps_its_place_in_the_derivative():
    x, c = leaf([1.0, 2.0]), gl.Tensor([3.0, 4.0])
    y = x * c
    c *= 0.0
    np.testing.assert_array_equal(c.data, [0.0, 0.0])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 4.0])


def test_a_leaf_that_requires_a_gradient_cannot_change_while_recording():
    w = leaf([1.0, 2.0])
    with pytest.raises(GraphError, match=r"no_grad.*x = x|no_grad"):
        w += 1.0
    np.testing.assert_array_equal(w.data, [1.0, 2.0])

    def inner(x):
        nonlocal w
        w *= x
        return w.sum()

    with pytest.raises(GraphError, match="leaf"):
        gl.grad(inner)(2.0)


def test_the_shape_and_dtype_stay_those_of_the_left_side():
    h = leaf([1.0, 2.0], np.float32) * 1
    h += np.array([0.5, 0.5])
    assert h.dtype == np.float32
    with pytest.raises(ShapeError, match=r"\(3, 2\).*\(2,\)"):
        h += np.ones((3, 2))
    counts = gl.Tensor([1, 2])
    with pytest.raises(DtypeError, match=r"float64.*int64"):
        counts += leaf([0.5, 0.5])
    with pytest.raises(DtypeError, match=r"float64.*int64"):
        counts /= 2
    np.testing.assert_array_equal(counts.data, [1, 2])


def test_views_are_other_tensors():
    x = leaf([1.0, 2.0, 3.0])
    y = x * 1.0
    tail = y[1:]
    tail *= 2.0
    np.testing.assert_array_equal(y.data, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(tail.data, [4.0, 6.0])
    with pytest.raises(TypeError, match=r"np\.where"):
        y[1:] *= 2.0


# -- an array on the left ---------------------------------------------------------------------


def test_an_array_that_nobody_else_holds_becomes_a_tensor():
    def buffer(t):
        h = np.zeros(3)
        h += t
        for _ in range(2):
            h += t * t
        h *= 2.0
        return (h * h).sum()

    t = np.ones(3)
    np.testing.assert_allclose(gl.grad(buffer)(t), 2 * 4 * 3.0 * 5.0 * np.ones(3))
    gl.check_grads(buffer, (t,), order=2)


@pytest.mark.parametrize("start", [np.eye(3) + 1.0, np.ones(3)], ids=["matrix", "vector"])
def test_a_product_that_nobody_else_holds_becomes_a_tensor(start):
    w = np.arange(float(start.size)).reshape(start.shape)

    def walk(t):
        h = start + 0.0
        h @= t
        h @= t
        return (h * w).sum()

    t = np.random.default_rng(0).normal(size=(3, 3))
    expected = gl.grad(lambda t: (start @ t @ t * w).sum())(t)
    np.testing.assert_allclose(gl.grad(walk)(t), expected)


def test_an_attribute_becomes_a_tensor():
    class Cell:
        def __init__(self):
            self.h = np.zeros(2)

        def step(self, x):
            self.h *= 0.5
            self.h += x
            return self.h

    def f(x):
        cell = Cell()
        cell.step(x)
        return cell.step(x).sum()

    np.testing.assert_allclose(gl.grad(f)(np.ones(2)), [1.5, 1.5])


def another_name(h, t):
    other = h
    h += t
    return other


def the_callers(h, t):
    h += t


def a_view(h, t):
    part = h[:]
    part += t


def a_list(h, t):
    held = [h]
    h += t
    return held


def a_product(h, t):
    h @= t[:, None] * t


@pytest.mark.parametrize("program", [another_name, the_callers, a_view, a_list, a_product])
def test_an_array_that_others_hold_is_not_replaced_behind_their_backs(program):
    h = np.zeros(2)
    with pytest.raises(DetachError, match=r"a = a \+ t") as caught:
        program(h, leaf([1.0, 2.0]))
    assert "out=" not in str(caught.value)
    np.testing.assert_array_equal(h, [0.0, 0.0])


def test_a_subclass_on_the_left_is_refused_as_beside_a_tensor():
    class Meters(np.ndarray):
        pass

    length = np.ones(2).view(Meters)
    with pytest.raises(DtypeError, match="a Meters, whose meaning"):
        length += leaf([1.0, 2.0])


def test_an_array_on_the_left_keeps_its_shape_and_dtype():
    x = leaf([1.0, 2.0])
    single = np.zeros(2, np.float32)
    single += x
    assert single.dtype == np.float32
    assert single.requires_grad
    whole = np.zeros(2, int)
    with pytest.raises(DtypeError, match="int64"):
        whole += x
    small = np.zeros(())
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        small += x


@pytest.mark.parametrize(
    "call",
    [
        lambda h, t: operator.iadd(h, t),
        lambda h, t: functools.reduce(operator.imul, [t], h),
        lambda h, t: np.add(h, t, out=h),
        lambda h, t: h.__iadd__(t),
    ],
    ids=["operator", "reduce", "out", "method"],
)
def test_only_an_assignment_makes_a_tensor_of_an_array(call):
    def f(x):
        h = np.ones(2)
        call(h, x)
        return (h * h).sum()

    with pytest.raises(GradliteError, match=r"a = a \+ t|out="):
        gl.grad(f)(np.array([1.0, 2.0]))


@pytest.mark.parametrize(
    "view",
    [lambda x: x.reshape(2, 1), lambda x: x[:], lambda x: x.T, lambda x: np.squeeze(x[None])],
    ids=["reshape", "slice", "transpose", "squeeze"],
)
def test_nothing_done_in_a_transform_reaches_the_callers_array(view):
    def f(x):
        y = view(x)
        with gl.no_grad():
            y *= 0.0
        x.data[0] = 7.0
        return x.sum()

    x = np.array([1.0, 2.0])
    gl.grad(f)(x)
    gl.vjp(f, x)
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_a_pullback_stays_right_when_the_caller_changes_the_array():
    x = np.array([1.0, 2.0])
    _, pull = gl.vjp(lambda x: x * x, x)
    x[:] = 0.0
    np.testing.assert_array_equal(pull(np.ones(2))[0], [2.0, 4.0])


def under_no_grad(x):
    def change():
        with gl.no_grad():
            x.__isub__(0.1)

    return change


def through_data(x):
    def change():
        x.data -= 0.1

    return change


def by_an_optimiser(x):
    optimizer = gl.optim.Adam([x], lr=0.1)

    def change():
        (x * 2.0).sum().backward()
        optimizer.step()

    return change


CHANGES = [under_no_grad, through_data, by_an_optimiser]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "use",
    [lambda x: x * x, lambda x: np.tanh(x) * np.sin(x), lambda x: x @ np.outer(x, x)],
    ids=["product", "functions", "matmul"],
)
def test_a_backward_pass_over_what_was_computed_before_a_change_is_an_error(change, use):
    x = leaf([1.0, 2.0])
    change_it = change(x)
    y = use(x).sum()
    change_it()
    with pytest.raises(MutationError, match="changed in place"):
        y.backward()
    with pytest.raises(MutationError, match="changed in place"):
        y.backward(create_graph=True)
    x.zero_grad()
    use(x).sum().backward()
    assert x.grad is not None


def test_a_result_that_was_changed_before_its_derivative_needs_it_is_an_error():
    x = leaf([1.0, 2.0])
    y = np.exp(x)
    with gl.no_grad():
        y *= 0.0
    with pytest.raises(MutationError, match=r"result of np\.exp"):
        y.sum().backward()


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_what_no_derivative_needs_is_allowed(change):
    x = leaf([1.0, 2.0])
    change_it = change(x)
    y = (x * 3.0 + x).sum()
    change_it()
    x.zero_grad()
    y.backward()
    np.testing.assert_array_equal(x.grad, [4.0, 4.0])


def test_a_retained_gradient_is_that_of_the_changed_tensor():
    x = leaf([1.0, 2.0])
    h = x * 2.0
    h.retain_grad()
    h += 1.0
    (h * h).sum().backward()
    np.testing.assert_array_equal(h.grad, [6.0, 10.0])


def test_constants_views_and_detached_tensors_are_watched_too():
    x, c, frozen = leaf([1.0, 2.0]), gl.Tensor([3.0, 4.0]), gl.nn.Parameter([1.0, 2.0], False)
    for changed in (c, frozen, c.detach(), c[:1]):
        y = (x * c * frozen).sum()
        with gl.no_grad():
            changed *= 2.0
        with pytest.raises(MutationError, match=r"np\.multiply"):
            y.backward()


def test_loading_a_state_is_a_change():
    layer = gl.nn.Linear(3, 1)
    x = leaf([[1.0, 2.0, 3.0]])
    y = layer(x).sum()
    layer.load_state_dict({k: v + 1 for k, v in layer.state_dict().items()})
    with pytest.raises(MutationError, match="load_state_dict"):
        y.backward()
    layer(x).sum().backward()


def test_neighbours_in_memory_do_not_count():
    x, memory = leaf([1.0, 2.0]), np.ones(4)
    c, other = gl.Tensor(memory[:2], copy=False), gl.Tensor(memory[2:], copy=False)
    y = (x * c).sum()
    with gl.no_grad():
        other *= 5.0
    y.backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])


def test_what_is_noted_of_memory_goes_with_it():
    gc.collect()
    before = len(Writes.of_owner)
    for _ in range(5):
        c = gl.Tensor([1.0, 2.0])
        with gl.no_grad():
            c *= 2.0
    del c
    gc.collect()
    assert len(Writes.of_owner) <= before
