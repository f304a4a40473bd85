"""The tape: what is recorded, how cotangents travel back, and what is freed when."""

import weakref

import numpy as np
import pytest

import gradlite as gl
from gradlite.autodiff.cotangents import sum_to_shape
from gradlite.errors import GraphError, ShapeError


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


# -- accumulation -----------------------------------------------------------------------------


def test_a_diamond_adds_both_paths():
    x = leaf(3.0)
    y = x * 2
    (y * y + y).backward()
    assert x.grad == 2 * (2 * 6) + 2


def test_the_same_tensor_twice_in_one_operation():
    x = leaf(3.0)
    (x * x).backward()
    assert x.grad == 6.0
    x.zero_grad()
    (x + x).backward()
    assert x.grad == 2.0
    x.zero_grad()
    (x - x).backward()
    assert x.grad == 0.0
    x.zero_grad()
    (x**x).backward()
    np.testing.assert_allclose(x.grad, 27 * (np.log(3) + 1))


def test_fan_out_accumulates_every_use():
    x = leaf([1.0, 2.0])
    y = np.exp(x)
    sum((y * k for k in range(1, 11)), start=y * 0).sum().backward()
    np.testing.assert_allclose(x.grad, 55 * np.exp(x.data))


def test_a_rule_that_hands_on_its_cotangent_is_not_written_into():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    s = x + y  # both get the same g
    t = s + s  # s gets g twice
    g = np.array([1.0, 10.0])
    (t + x * 2).backward(g)
    np.testing.assert_array_equal(g, [1.0, 10.0])
    np.testing.assert_array_equal(x.grad, [4.0, 40.0])
    np.testing.assert_array_equal(y.grad, [2.0, 20.0])
    x.grad[:] = 0
    np.testing.assert_array_equal(y.grad, [2.0, 20.0])


def test_three_uses_of_one_intermediate_leave_the_gradients_of_others_alone():
    x, y = leaf([1.0]), leaf([1.0])
    h = x * 1.0
    k = y * 1.0
    (h + k + h + k + h).sum().backward()
    assert (x.grad, y.grad) == ([3.0], [2.0])


def test_deep_sharing_is_walked_once_per_node_not_once_per_path():
    x = leaf(1.0)
    y = x
    for _ in range(200):  # 2**200 paths
        y = (y + y) * 0.5
    y.backward()
    assert x.grad == 1.0


def test_leaves_accumulate_over_passes():
    x = leaf([1.0, 2.0])
    for _ in range(3):
        (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [6.0, 12.0])


def test_a_leaf_that_is_not_used_gets_no_gradient():
    x, y = leaf(1.0), leaf(1.0)
    (x * 2).backward()
    assert y.grad is None


def test_interior_results_have_no_grad_unless_asked():
    x = leaf(2.0)
    y = x * x
    (y * 3).backward()
    with pytest.warns(UserWarning, match="not a leaf"):
        assert y.grad is None


def test_order_of_creation_does_not_matter():
    x = leaf(2.0)
    late = [x * k for k in (1.0, 2.0, 3.0)]
    total = late[2] * late[0] + late[1]
    (late[0] * total).backward()
    np.testing.assert_allclose(x.grad, 9 * 4 + 4 * 2)  # 3x^3 + 2x^2


# -- broadcasting -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((), (3,)),
        ((3,), (2, 3)),
        ((2, 1), (2, 3)),
        ((1, 3), (2, 1)),
        ((2, 1, 1), (4, 3)),
        ((1, 1), (5,)),
        ((1,), ()),
        ((0, 3), (1, 3)),
        ((0, 1), (1, 3)),
        ((1,), (0,)),
        ((2, 3), (2, 3)),
    ],
)
def test_a_cotangent_is_summed_back_to_its_arguments_shape(a, b):
    rng = np.random.default_rng(0)
    for first, second in ((a, b), (b, a)):
        x, y = leaf(rng.normal(size=first)), leaf(rng.normal(size=second))
        z = x * y
        w = rng.normal(size=z.shape)
        (z * w).sum().backward()
        assert x.grad.shape == first
        assert y.grad.shape == second
        full = np.broadcast_shapes(first, second)
        for t, other in ((x, y), (y, x)):
            whole = np.broadcast_to(w * other.data, full)
            extra = len(full) - t.ndim
            padded = (1,) * extra + t.shape
            axes = tuple(i for i in range(len(full)) if padded[i] == 1)
            expected = whole.sum(axis=axes, keepdims=True).reshape(t.shape)
            np.testing.assert_allclose(t.grad, expected)


def test_unbroadcast_refuses_shapes_that_do_not_broadcast():
    with pytest.raises(ShapeError):
        sum_to_shape(np.ones((2, 3)), (2,))
    with pytest.raises(ShapeError):
        sum_to_shape(np.ones(3), (1, 3))


# -- letting go, walking again ----------------------------------------------------------------


def test_a_second_backward_names_retain_graph():
    y = leaf(2.0) * 3
    y.backward()
    with pytest.raises(GraphError, match="retain_graph"):
        y.backward()


def test_retain_graph_walks_again_and_only_leaves_accumulate():
    x = leaf(2.0)
    y = x * x
    z = y * y * y  # x^6
    z.backward(retain_graph=True)
    assert x.grad == 6 * 2.0**5
    z.backward(retain_graph=True)
    assert x.grad == 2 * 6 * 2.0**5
    x.zero_grad()
    z.backward()
    assert x.grad == 6 * 2.0**5
    with pytest.raises(GraphError, match="retain_graph"):
        z.backward()


def test_two_losses_over_one_trunk_with_retain_graph():
    x = leaf([1.0, 2.0])
    trunk = np.exp(x)
    a, b = trunk.sum(), (trunk * trunk).sum()
    a.backward(retain_graph=True)
    b.backward()
    np.testing.assert_allclose(x.grad, np.exp(x.data) + 2 * np.exp(2 * x.data))


def test_two_losses_over_one_trunk_without_retain_graph_are_an_error_not_a_wrong_sum():
    x = leaf([1.0, 2.0])
    trunk = np.exp(x)
    a, b = trunk.sum(), (trunk * trunk).sum()
    a.backward()
    with pytest.raises(GraphError, match="retain_graph"):
        b.backward()


def test_a_failed_second_backward_leaves_the_gradients_as_they_were():
    x, other = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    trunk = np.exp(x)
    b = (trunk * trunk * other).sum()
    trunk.sum().backward()
    before = x.grad.copy()
    with pytest.raises(GraphError):
        b.backward()
    np.testing.assert_array_equal(x.grad, before)
    assert other.grad is None


def test_losses_that_share_leaves_only_need_no_retain_graph():
    x = leaf([1.0, 2.0])
    a, b = (x * 2).sum(), (x * 3).sum()
    a.backward()
    b.backward()
    np.testing.assert_array_equal(x.grad, [5.0, 5.0])


def test_a_graph_that_was_let_go_still_has_its_values():
    y = leaf([1.0, 2.0]) * 3
    y.sum().backward()
    np.testing.assert_array_equal(y.data, [3.0, 6.0])
    assert y.requires_grad


def dead(reference):
    return reference() is None


def test_an_array_that_no_rule_reads_dies_when_its_tensor_does():
    x = leaf(np.arange(5.0))
    for consumer in (lambda t: t + 1.0, lambda t: t - 1.0, gl.relu, np.tanh, np.exp, np.sum):
        intermediate = x * 2.0
        watch = weakref.ref(intermediate.data)
        result = consumer(intermediate)
        del intermediate
        assert dead(watch), consumer
        result.sum().backward()


def test_an_array_that_a_rule_reads_lives_until_backward():
    x = leaf(np.arange(1.0, 5.0))
    intermediate = x * 2.0
    watch = weakref.ref(intermediate.data)
    result = np.log(intermediate).sum()
    del intermediate
    assert not dead(watch)
    result.backward()
    assert dead(watch)
    np.testing.assert_allclose(x.grad, 1 / x.data)


def test_an_argument_read_only_for_another_that_wants_no_gradient_is_not_kept():
    x = leaf(np.arange(1.0, 5.0))
    activation = x * 2.0
    watch = weakref.ref(activation.data)
    product = activation * 3.0  # d/d activation reads the 3.0 alone
    del activation
    assert dead(watch)
    product.sum().backward()


def test_arrays_die_during_backward_as_the_walk_passes():
    x = leaf(np.arange(1.0, 5.0))
    h = np.exp(x)
    alive_at = []
    early = h * 1.0
    late = np.log(early)  # keeps early.data
    watch = weakref.ref(early.data)
    h.register_hook(lambda g: alive_at.append(not dead(watch)))
    loss = late.sum()
    del early, late
    assert not dead(watch)
    loss.backward()
    assert alive_at == [False]


def test_retain_graph_keeps_the_arrays_and_the_last_tensor_lets_them_go():
    x = leaf(np.arange(1.0, 5.0))
    h = x * 2.0
    watch = weakref.ref(h.data)
    loss = np.log(h).sum()
    del h
    loss.backward(retain_graph=True)
    assert not dead(watch)
    del loss
    assert dead(watch)


def test_a_graph_dies_with_its_last_tensor_without_backward():
    x = leaf([1.0])
    y = np.exp(x)
    watch = weakref.ref(y.data)
    z = np.log(y) * y
    del y
    assert not dead(watch)
    del z
    assert dead(watch)


# -- higher orders ----------------------------------------------------------------------------


def test_create_graph_differentiates_to_third_order():
    x = leaf(2.0)
    (np.exp(x) * x**3).backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.backward(create_graph=True)
    second = x.grad
    x.grad = None
    second.backward()
    e = np.exp(2.0)
    assert isinstance(first, gl.Tensor)
    np.testing.assert_allclose(first.item(), e * (8 + 12))
    np.testing.assert_allclose(second.item(), e * (8 + 2 * 12 + 12))
    np.testing.assert_allclose(x.grad, e * (8 + 3 * 12 + 3 * 12 + 6))
    assert isinstance(x.grad, np.ndarray)


def test_a_gradient_penalty():
    x, w = leaf([1.0, 2.0]), leaf([3.0, -1.0])
    (np.tanh(x * w)).sum().backward(create_graph=True)
    penalty = (x.grad**2).sum()
    x.grad = w.grad = None
    penalty.backward()

    def dx(w_):
        return w_ / np.cosh(x.data * w_) ** 2

    eps = 1e-6
    numeric = [
        (np.sum(dx(w.data + d) ** 2) - np.sum(dx(w.data - d) ** 2)) / (2 * eps)
        for d in np.eye(2) * eps
    ]
    np.testing.assert_allclose(w.grad, numeric, rtol=1e-6)


def test_create_graph_twice_adds_recorded_gradients():
    x = leaf(2.0)
    for _ in range(2):
        (x**3).backward(create_graph=True)
    total = x.grad
    assert total.item() == 24.0
    x.grad = None
    total.backward()
    assert x.grad == 24.0


def test_a_recorded_gradient_and_a_plain_one_add_up_in_either_order():
    for recorded_first in (True, False):
        x = leaf(2.0)
        (x**2).backward(create_graph=recorded_first)
        (x**3).backward(create_graph=not recorded_first)
        assert float(x.grad) == 16.0


def test_adding_a_plain_pass_to_a_recorded_gradient_leaves_what_was_read_alone():
    x = leaf(2.0)
    (x**2).backward(create_graph=True)
    first = x.grad
    (x**3).backward()
    assert first.item() == 4.0
    assert float(x.grad) == 16.0


@pytest.mark.parametrize("f", [np.sum, lambda x: x[0] * 3.0, lambda x: x[0] * x[1]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_recorded_gradient_is_a_tensor_of_the_leafs_dtype_even_if_constant(f, dtype):
    x = leaf([1.0, 2.0], dtype)
    (f(x) * np.float64(2.0)).backward(create_graph=True)
    assert isinstance(x.grad, gl.Tensor)
    assert x.grad.dtype == dtype


def test_create_graph_keeps_the_graph_for_another_walk():
    x = leaf(2.0)
    y = x**3
    y.backward(create_graph=True)
    x.grad = None
    y.backward()
    assert x.grad == 12.0


def test_the_gradient_of_a_vector_can_be_recorded_through_the_cotangent():
    x, u = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    np.exp(x).backward(u, create_graph=True)
    pulled = x.grad
    x.grad = None
    pulled.sum().backward()
    np.testing.assert_allclose(u.grad, np.exp(x.data))
    np.testing.assert_allclose(x.grad, u.data * np.exp(x.data))
