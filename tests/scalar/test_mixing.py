"""Values among Tensors: gradients cross in both directions, and arrive as in Tensors alone."""

import gc
import weakref

import numpy as np
import pytest

import gradlite as gl
from gradlite.engine import Value
from gradlite.errors import DivisionError, DtypeError, GraphError, ShapeError
from gradlite.nn import MLP
from tests.scalar.reference import nodes, results


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


def gradients_of(program, numbers, arrays, number, **how):
    """Run a program on leaves; `number` makes those of single numbers. Give all gradients."""
    xs, ts = [number(x) for x in numbers], [leaf(t) for t in arrays]
    out = program(*xs, *ts)
    out.backward(**how)
    nothing = 0.0
    return float(out), [np.array(nothing if v.grad is None else v.grad) for v in (*xs, *ts)]


def assert_same_as_tensors(program, numbers, arrays, pure=None):
    """Compare a program on Values and Tensors with one on Tensors alone."""
    out, found = gradients_of(program, numbers, arrays, Value)
    twin, expected = gradients_of(pure or program, numbers, arrays, leaf)
    assert out == pytest.approx(twin, rel=1e-12)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


# -- operators --------------------------------------------------------------------------------

OPERATORS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
}
MATRIX = [[0.5, 1.5], [2.0, 0.25]]


@pytest.mark.parametrize("array", [1.5, [0.5, 2.0], MATRIX], ids=["0-d", "1-d", "2-d"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_between_a_value_and_a_tensor_makes_a_tensor(operator, array):
    fn = OPERATORS[operator]
    for flip in (False, True):
        made = fn(leaf(array), Value(1.25)) if flip else fn(Value(1.25), leaf(array))
        assert type(made) is gl.Tensor
        assert made.shape == np.shape(array)
        assert_same_as_tensors(
            lambda v, t, flip=flip: ((fn(t, v) if flip else fn(v, t)) ** 2).sum(), [1.25], [array]
        )


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_value_beside_a_tensor_without_gradient_gets_its_own(operator):
    fn, constant = OPERATORS[operator], gl.Tensor([0.5, 2.0])
    v, twin = Value(1.25), leaf(1.25)
    (fn(v, constant) + fn(constant, v)).sum().backward()
    (fn(twin, constant) + fn(constant, twin)).sum().backward()
    assert v.grad == pytest.approx(float(twin.grad), rel=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda v, t: (gl.Tensor([v]) @ t[:1]).sum(), id="matmul"),
        pytest.param(lambda v, t: np.maximum(t, v).sum(), id="maximum"),
        pytest.param(lambda v, t: np.where(t.data > 1, t, v).sum(), id="where"),
        pytest.param(lambda v, t: np.stack([t, t * v]).mean(), id="stack"),
        pytest.param(lambda v, t: np.where(t.data > 1, v, 0.0).sum() + t.sum(), id="where 2"),
        pytest.param(lambda v, t: np.concatenate([gl.Tensor([v, 2 * v]), t[0]]).var(), id="join"),
        pytest.param(lambda v, t: gl.mse(gl.sigmoid(t[0, 0]), v), id="mse"),
        pytest.param(lambda v, t: gl.softplus(v) * t.sum(), id="softplus"),
        pytest.param(lambda v, t: gl.gelu(v) * t.sum(), id="gelu"),
    ],
)
def test_a_function_of_tensors_takes_values(call):
    assert_same_as_tensors(call, [1.25], [MATRIX])


@pytest.mark.parametrize("name", ["relu", "sigmoid"])
@pytest.mark.parametrize("x", [0.7, -0.7])
def test_relu_and_sigmoid_of_a_value_are_values(name, x):
    v = Value(x)
    out = getattr(gl, name)(v)
    assert type(out) is Value
    assert_same_as_tensors(lambda v: getattr(gl, name)(v) * 3, [x], [])


def test_softmax_takes_values_in_a_tensor():
    weights = np.array([1.0, 10.0, 100.0])
    assert_same_as_tensors(
        lambda a, b: (gl.softmax(gl.Tensor([a, b, a * b])) * weights).sum(), [0.3, -0.4], []
    )


def test_comparisons_of_tensors_with_values_are_arrays():
    t, v = gl.Tensor([1.0, 2.0, 3.0]), Value(2.0)
    np.testing.assert_array_equal(t < v, [True, False, False])
    np.testing.assert_array_equal(t >= v, [False, True, True])
    np.testing.assert_array_equal(v < t, [False, False, True])


# -- Values into Tensors ----------------------------------------------------------------------


def test_a_tensor_of_values_has_their_numbers_and_stays_on_the_tape():
    a, b = Value(2), Value(3.5)
    t = gl.Tensor([a, b])
    assert (t.shape, t.dtype, t.requires_grad) == ((2,), np.float64, True)
    np.testing.assert_array_equal(t.data, [2.0, 3.5])
    (t * np.array([10.0, 1.0])).sum().backward()
    assert (a.grad, b.grad) == (10.0, 1.0)
    assert type(a.grad) is float


def test_a_tensor_of_one_value_is_0_d():
    v = Value(2.0)
    t = gl.Tensor(v)
    assert t.shape == ()
    (t * t).backward()
    assert v.grad == 4.0


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        pytest.param(lambda a, b: [[a, 1.0], [2, b * a]], (2, 2), id="numbers among Values"),
        pytest.param(lambda a, b: [[a, b], [b, a]], (2, 2), id="repeated"),
        pytest.param(lambda a, b: ([a], [b], [np.float32(0.5)]), (3, 1), id="tuple of lists"),
        pytest.param(lambda a, b: [[[a, b]], [[1, True]]], (2, 1, 2), id="3-d"),
        pytest.param(lambda a, b: [a, leaf(0.5), b, 1.0], (4,), id="0-d Tensor among Values"),
        pytest.param(lambda a, b: [[a, b], leaf([0.5, 1.0])], (2, 2), id="Tensor as a row"),
        pytest.param(lambda a, b: [[a, b], np.array([0.5, 1.0])], (2, 2), id="array as a row"),
    ],
)
def test_nested_lists_of_values_numbers_and_tensors_become_a_tensor(build, shape):
    def program(a, b):
        t = gl.Tensor(build(a, b))
        assert t.shape == shape
        return (t * t * np.arange(1.0, t.size + 1).reshape(shape)).sum()

    assert_same_as_tensors(program, [1.5, -0.5], [])


def test_an_array_of_values_becomes_a_tensor():
    a, b = Value(2.0), Value(3.0)
    (gl.Tensor(np.array([a, b]).tolist()) * np.array([1.0, 10.0])).sum().backward()
    assert (a.grad, b.grad) == (1.0, 10.0)


def test_a_tensor_of_values_takes_a_dtype():
    a = Value(2.0)
    t = gl.Tensor([a, a], dtype=np.float32)
    assert t.dtype == np.float32
    t.sum().backward()
    assert a.grad == 2.0


def test_a_tensor_of_values_and_words_is_an_error():
    with pytest.raises(DtypeError, match="'text'"):
        gl.Tensor([Value(1.0), "text"])


def test_results_behind_a_tensor_show_their_gradients():
    a = Value(2.0)
    b = a * 3
    (gl.Tensor([b, a]) * np.array([5.0, 7.0])).sum().backward()
    assert (b.grad, a.grad) == (5.0, 22.0)


def test_results_behind_a_tensor_show_the_gradients_of_the_last_backward():
    a = Value(2.0)
    b = a * 3
    for _ in range(2):
        (gl.Tensor([b]) * 5.0).sum().backward()
    assert (a.grad, b.grad) == (30.0, 5.0)


# -- Tensors into Values ----------------------------------------------------------------------


def test_a_value_of_a_tensor_stays_on_the_tape():
    t = leaf([1.0, 2.0])
    v = Value((t * t).sum())
    assert (v.data, type(v.data)) == (5.0, float)
    (v * v).backward()
    np.testing.assert_array_equal(t.grad, 10 * 2 * t.data)
    assert v.grad == 10.0


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_value_can_be_made_of_a_tensor_with_one_element(shape):
    t = leaf(np.full(shape, 3.0))
    (Value(t) ** 2).backward()
    np.testing.assert_array_equal(t.grad, np.full(shape, 6.0))


def test_a_value_of_a_tensor_without_gradient_is_a_leaf():
    v = Value(gl.Tensor(3.0))
    (v * v).backward()
    assert v.grad == 6.0
    assert v._prev == set()


def test_a_tensor_unpacks_into_values():
    t = leaf([1.0, 2.0, 3.0])
    a, b, c = map(Value, t)
    (a * b + c**2).backward()
    np.testing.assert_array_equal(t.grad, [2.0, 1.0, 6.0])
    assert (a.grad, b.grad, c.grad) == (2.0, 1.0, 6.0)


def test_a_value_of_an_integer_tensor_holds_an_integer():
    v = Value(gl.Tensor(3))
    assert (v.data, type(v.data)) == (3, int)


def test_gradients_of_several_backwards_from_values_add_up_in_a_tensor():
    t = leaf([1.0, 2.0])
    for _ in range(2):
        a, b = map(Value, t)
        (a * b).backward()
    np.testing.assert_array_equal(t.grad, [4.0, 2.0])


def test_a_float32_tensor_behind_values_gets_a_float32_gradient():
    t = leaf([1.0, 2.0], np.float32)
    a, b = map(Value, t)
    (a * b).backward()
    assert t.grad.dtype == np.float32
    np.testing.assert_array_equal(t.grad, [2.0, 1.0])


def test_a_value_of_several_elements_is_an_error_that_names_the_remedy():
    with pytest.raises(ShapeError, match=r"\(2,\): use list\(map\(Value, tensor\)\)"):
        Value(leaf([1.0, 2.0]))


# -- there and back ---------------------------------------------------------------------------


def test_a_chain_may_cross_many_times():
    def program(v, t):
        for _ in range(5):
            t = np.tanh(t * v + 0.1)
            a, b = unpack(t)
            v = a * b + v * 0.5
            t = gl.Tensor([v * a, b - v])
        return v + t.sum()

    unpack = lambda t: map(Value, t)
    found = gradients_of(program, [0.7], [[0.5, -0.25]], Value)
    unpack = lambda t: t
    expected = gradients_of(program, [0.7], [[0.5, -0.25]], leaf)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("start", [lambda out: Value(out), lambda out: gl.Tensor(out) * 1.0])
def test_values_and_tensors_shared_by_both_graphs_get_the_whole_gradient(start):
    def program(a, b, t):
        shared = a * b
        u = t * shared
        w = into_values(u.sum()) * shared + a
        x = gl.Tensor([w, shared, a]) * shared
        return start_of((x * x).sum() + w + u[0] * shared)

    start_of, into_values = start, Value
    found = gradients_of(program, [0.5, 1.5], [[1.0, -2.0]], Value)
    start_of, into_values = (lambda out: out), (lambda t: t)
    expected = gradients_of(program, [0.5, 1.5], [[1.0, -2.0]], leaf)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("start", [Value, lambda x: Value(leaf(x))], ids=["leaf", "of a Tensor"])
def test_a_value_that_crosses_several_times_shows_its_whole_gradient(start):
    a = start(2.0)
    b = a * 3
    out = (gl.Tensor([b]) * 5).sum() + (gl.Tensor([b, b]) * 7).sum() + b * 11
    assert type(out) is gl.Tensor
    out.backward()
    assert (b.grad, a.grad) == (5.0 + 14.0 + 11.0, 90.0)


def test_hooks_on_tensors_between_values_see_the_whole_gradient_once():
    t, seen = leaf([1.0, 2.0]), []
    u = t * 3.0
    u.register_hook(lambda g: seen.append(np.array(g)))
    a, b = map(Value, u)
    crossed = gl.Tensor([a * b, a]) * u
    (Value(crossed.sum()) * a).backward()
    x, found = leaf([1.0, 2.0]), []
    y = x * 3.0
    y.register_hook(lambda g: found.append(np.array(g)))
    ((np.stack([y[0] * y[1], y[0]]) * y).sum() * y[0]).backward()
    assert len(seen) == len(found) == 1
    np.testing.assert_allclose(seen[0], found[0], rtol=1e-12)
    np.testing.assert_allclose(t.grad, x.grad, rtol=1e-12)


def test_a_long_chain_of_crossings_needs_no_recursion():
    v, t = Value(1.0), leaf(1.0)
    out = t
    for _ in range(2000):
        out = gl.Tensor(Value(out) + v)
    out.backward()
    assert (v.grad, t.grad) == (2000.0, 1.0)


def test_a_mixed_graph_is_freed_by_reference_counting_alone():
    gc.collect()
    gc.disable()
    try:
        v, t = Value(2.0), leaf([1.0, 3.0])
        w = v * 3
        u = gl.Tensor([w, 1.0]) * t
        x = Value(u.sum()) * w
        refs = [weakref.ref(item) for item in (v, t, w, u, x)]
        gl.Tensor(x).backward()
        del v, t, w, u, x
        assert [ref() for ref in refs] == [None] * 5
    finally:
        gc.enable()


def test_retain_graph_allows_a_second_backward_through_values():
    a, t = Value(2.0), leaf(3.0)
    out = gl.Tensor([a * a, Value(t) * a]).sum()
    out.backward(retain_graph=True)
    assert (a.grad, t.grad) == (7.0, 2.0)
    out.backward()
    assert (a.grad, t.grad) == (14.0, 4.0)


def test_backward_a_second_time_without_retaining_is_a_clear_error():
    t = leaf(3.0)
    root = Value(t * t) * 2
    root.backward()
    with pytest.raises(GraphError, match="retain_graph"):
        root.backward()


def test_a_batch_of_values_and_a_loop_over_them_have_the_same_gradients():
    xs = [Value(float(i)) for i in range(5)]
    ys = [Value(float(i)) for i in range(5)]
    np.tanh(gl.Tensor(xs) * 0.5).mean().backward()
    (sum((y * 0.5).tanh() for y in ys) / 5).backward()
    np.testing.assert_allclose([x.grad for x in xs], [y.grad for y in ys], rtol=1e-12)


def test_looking_at_values_behind_a_tensor_changes_nothing():
    def gradient(look):
        a, b = Value(2.0), Value(3.0)
        c = a - b
        out = (gl.Tensor([c, c / b]) * np.array([2.0, 5.0])).sum()
        if look:
            assert len(c._prev) == 2
        out.backward()
        return a.grad, b.grad, c.grad

    assert gradient(look=False) == pytest.approx(gradient(look=True), rel=1e-15)


def test_own_operations_of_values_are_crossed():
    t = leaf(2.0)
    x = Value(t)
    out = Value(x.data**3, (x,), "cube")

    def _backward():
        x.grad += 3 * x.data**2 * out.grad

    out._backward = _backward
    gl.Tensor(out * 2).backward()
    assert t.grad == 24.0


def test_the_backward_of_an_own_operation_is_called_once_in_a_pass():
    (x, y), calls = map(Value, leaf([2.0, 3.0])), []
    out = Value(6.0, (x, y), "product")

    def _backward():
        calls.append(out.grad)
        x.grad += y.data * out.grad
        y.grad += x.data * out.grad

    out._backward = _backward
    (gl.Tensor([out, out * 2]) * np.array([1.0, 10.0])).sum().backward()
    assert calls == [21.0]
    assert (x.grad, y.grad, out.grad) == (63.0, 42.0, 21.0)


def test_a_renamed_value_of_a_tensor_still_leads_there():
    t = leaf(3.0)
    v = Value(t)
    v._op = "mine"
    (v * v).backward()
    assert (t.grad, v.grad) == (6.0, 6.0)


def test_values_that_a_backward_pass_went_through_can_be_used_again():
    a = Value(2.0)
    b = a * 3
    first, second = gl.Tensor([b]), gl.Tensor([b])
    first.sum().backward()
    (gl.Tensor([b]) * 5.0).sum().backward()
    assert (a.grad, b.grad) == (18.0, 5.0)
    second.sum().backward()
    assert (a.grad, b.grad) == (21.0, 1.0)


def test_values_between_tensors_can_be_used_again_after_a_backward_pass():
    t = leaf(3.0)
    v = Value(t) * 2
    first, second = gl.Tensor([v]), gl.Tensor([v])
    first.sum().backward()
    (gl.Tensor([v]) * 5.0).sum().backward()
    assert (t.grad, v.grad) == (12.0, 5.0)
    with pytest.raises(GraphError, match="retain_graph"):
        second.sum().backward()


def test_many_tensors_of_a_growing_graph_take_each_value_once():
    v, total, out = Value(1.0), Value(0.0), leaf(0.0)
    for _ in range(3000):
        total = total + v
        out = out + gl.Tensor(total)
    out.backward()
    assert v.grad == 3000 * 3001 / 2


def test_shared_results_behind_several_tensors_show_their_whole_gradient():
    a = Value(2.0)
    b = a * 3
    c, d = b * b, b * 5
    out = (gl.Tensor([c]) * 7).sum() * gl.Tensor(d)
    out.backward()
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    ((y * y) * 7 * (y * 5)).backward()
    assert (a.grad, b.grad) == pytest.approx((float(x.grad), float(y.grad)), rel=1e-12)


@pytest.mark.parametrize("look", [False, True], ids=["unseen", "looked at"])
def test_results_of_a_network_in_a_tensor_fill_the_gradients_of_the_parameters(look):
    model, twin = MLP(2, [3, 2]), MLP(2, [3, 2])
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        q.data = p.data
    xs, ys = [Value(0.5), Value(-1.0)], [Value(0.5), Value(-1.0)]
    a, b = model(xs)
    if look:
        nodes(b)
    (gl.Tensor([a, b]) * np.array([2.0, 5.0])).sum().backward()
    c, d = twin(ys)
    (c * 2.0 + d * 5.0).backward()
    if look:
        assert results(a, b) == results(c, d)
    for p, q in zip((*model.parameters(), *xs), (*twin.parameters(), *ys), strict=True):
        assert p.grad == pytest.approx(q.grad, rel=1e-12)
    assert (a.grad, b.grad) == (2.0, 5.0)


# -- transforms -------------------------------------------------------------------------------


def through_values(x, parameters=()):
    """A function of a vector that is computed in Values."""
    a, b = map(Value, x)
    for p in parameters:
        a = a * p - b
    return gl.Tensor([(a * b).tanh(), a / 2 - b, b**2]).sum()


def in_tensors(x, parameters=()):
    a, b = x[0], x[1]
    for p in parameters:
        a = a * p - b
    return np.tanh(a * b) + a / 2 - b + b**2


POINT = np.array([0.75, -0.5])


def test_grad_goes_through_values():
    expected = gl.grad(in_tensors)(POINT)
    np.testing.assert_allclose(gl.grad(through_values)(POINT), expected, rtol=1e-12)
    value, slope = gl.value_and_grad(through_values)(POINT)
    assert float(value) == pytest.approx(float(in_tensors(gl.Tensor(POINT))))
    np.testing.assert_allclose(slope, expected, rtol=1e-12)


def test_jacobian_and_vjp_go_through_values():
    def f(x):
        a, b = map(Value, x)
        return gl.Tensor([a * b, a - b, a / b])

    expected = [[-0.5, 0.75], [1.0, -1.0], [1 / -0.5, -0.75 / 0.25]]
    np.testing.assert_allclose(gl.jacobian(f)(POINT), expected, rtol=1e-12)
    _, pull = gl.vjp(f, POINT)
    for row, g in zip(expected, np.eye(3), strict=True):
        np.testing.assert_allclose(pull(g)[0], row, rtol=1e-12)


def test_grad_leaves_no_trace_in_values():
    p, q = Value(1.5), Value(-0.5)
    (p * q).backward()
    r = p * 2
    r.backward()
    before = p.grad, q.grad, r.grad
    found = gl.grad(lambda x: through_values(x, [p, q, r]))(POINT)
    expected = gl.grad(lambda x: in_tensors(x, [1.5, -0.5, 3.0]))(POINT)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (p.grad, q.grad, r.grad) == before


def test_values_that_a_tensor_outside_was_made_of_are_constants_of_a_function():
    p = Value(2.0)
    q = p * 3
    kept = gl.Tensor([p, q])
    slope = gl.grad(lambda x: gl.Tensor(q) * x)(5.0)
    assert type(slope) is float
    assert (slope, p.grad, q.grad) == (6.0, 0.0, 0.0)
    kept.sum().backward()
    assert (p.grad, q.grad) == (4.0, 1.0)


def test_grad_leaves_no_trace_in_the_values_of_the_function_itself():
    kept = []

    def f(x):
        a = Value(x)
        kept.extend([a, doubled(a), a - 1])
        return gl.Tensor(kept[1] * kept[2])

    assert gl.grad(f)(3.0) == pytest.approx(2 * (2 * 3.0 - 1))
    assert [v.grad for v in kept] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("inputs", ["numbers", "values", "results", "tensor"])
def test_grad_through_a_network_leaves_no_trace_in_its_parameters(inputs):
    model = MLP(2, [3, 2, 1])
    shift = Value(0.25)

    def f(x):
        a, b = map(Value, x)
        if inputs == "numbers":
            return gl.Tensor(a * model([0.5, -1.0]) + b)
        if inputs == "tensor":
            return model(x)
        return gl.Tensor(model([a, b] if inputs == "values" else [a + shift, b * shift]))

    def twin(x):
        y = {
            "numbers": lambda: x[0] * float(model([0.5, -1.0])) + x[1],
            "results": lambda: model(np.stack([x[0] + 0.25, x[1] * 0.25])),
        }
        return y.get(inputs, lambda: model(x))()

    model([0.1, 0.2]).backward()
    before = [p.grad for p in model.parameters()]
    found = gl.grad(f)(POINT)
    np.testing.assert_allclose(found, gl.grad(twin)(POINT), rtol=1e-12, atol=1e-15)
    assert [p.grad for p in model.parameters()] == before
    assert shift.grad == 0.0


def crossed_back(v):
    """The cube of a Value, as a Tensor."""
    return gl.Tensor(v**3)


def test_derivatives_through_values_can_be_differentiated_again():
    assert gl.grad(gl.grad(lambda x: crossed_back(Value(x)) ** 2))(2.0) == pytest.approx(480.0)
    assert gl.grad(gl.grad(gl.grad(lambda x: crossed_back(Value(x)))))(2.0) == pytest.approx(6.0)
    expected = gl.hessian(in_tensors)(POINT)
    np.testing.assert_allclose(gl.hessian(through_values)(POINT), expected, rtol=1e-12)
    t = leaf(2.0)
    crossed_back(Value(t)).backward(create_graph=True)
    slope, t.grad = t.grad, None
    slope.backward()
    assert (float(slope.data), float(t.grad)) == pytest.approx((12.0, 12.0))


def test_derivatives_through_a_network_can_be_differentiated_again():
    model = MLP(2, [3, 1], dialect="neural_net")

    def through_a_call(x):
        return gl.Tensor(model(list(map(Value, x)))) ** 2

    expected = gl.hessian(lambda x: model(x) ** 2)(POINT)
    assert np.any(expected)
    np.testing.assert_allclose(gl.hessian(through_a_call)(POINT), expected, rtol=1e-12)


def doubled(x):
    """An operation of one's own."""
    out = Value(2 * x.data, (x,), "doubled")

    def _backward():
        x.grad += 2 * out.grad

    out._backward = _backward
    return out


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: (gl.Tensor([Value(2.0)]) ** 2).sum().backward(create_graph=True),
        lambda: crossed_back(Value(2.0)).backward(create_graph=True),
        lambda: crossed_back(doubled(Value(leaf(2.0)))).backward(create_graph=True),
        lambda: gl.grad(gl.grad(lambda x: crossed_back(doubled(Value(x)))))(2.0),
    ],
    ids=["in a Tensor", "alone", "own operation", "grad of grad"],
)
def test_a_gradient_that_is_a_float_cannot_be_differentiated_again(attempt):
    with pytest.raises(GraphError, match=r"is a float.*Omit create_graph"):
        attempt()


# -- modes ------------------------------------------------------------------------------------


def test_under_no_grad_values_and_tensors_cross_without_a_trace():
    v, t = Value(2.0), leaf([1.0, 2.0])
    with gl.no_grad():
        made = gl.Tensor([v, v * 2])
        out = v * t
        a = Value(out.sum())
        b = a * v
    assert not out.requires_grad
    np.testing.assert_array_equal(made.data, [2.0, 4.0])
    np.testing.assert_array_equal(out.data, [2.0, 4.0])
    assert (b.data, b._prev, a._prev) == (12.0, set(), set())
    b.backward()
    assert (v.grad, t.grad) == (0.0, None)


def test_a_tensor_of_values_made_under_no_grad_wants_no_gradient():
    with gl.no_grad():
        made = gl.Tensor([Value(2.0), 1.0])
    assert not made.requires_grad


def test_debug_mode_goes_through_values():
    v, t = Value(2.0), leaf([1.0, 2.0])
    with gl.debug():
        out = Value((t * v).sum()) * v
        gl.Tensor([out, v]).sum().backward()
    assert v.grad == 2 * 2.0 * 3.0 + 1
    np.testing.assert_array_equal(t.grad, [4.0, 4.0])


def test_a_user_written_backward_that_divides_by_zero_is_the_error_of_values():
    x = gl.Tensor([0.0, 1.0], requires_grad=True)
    a = Value(x[0])
    made = Value(1.0, (a,), "inverse")

    def backward():
        a.grad += made.grad / a.data

    made._backward = backward
    with pytest.raises(DivisionError, match="The derivative is infinite"):
        np.sum(x * made).backward()
