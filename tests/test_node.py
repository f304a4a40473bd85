"""Nodes: hooks, and gradients kept inside the graph."""

import numpy as np
import pytest

import gradlite as gl
from gradlite.errors import GraphError, ShapeError


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


# -- hooks and retain_grad --------------------------------------------------------------------


def test_a_hook_on_a_result_sees_the_whole_gradient_once():
    x = leaf([1.0, 2.0])
    y, seen = x * 2, []
    y.register_hook(lambda g: seen.append(np.array(g)))
    (y * 3 + y * 4).sum().backward()
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], [7.0, 7.0])
    np.testing.assert_array_equal(x.grad, [14.0, 14.0])


def test_a_hook_on_a_leaf_sees_the_total_of_each_backward_once():
    x, seen = leaf([1.0, 2.0]), []
    x.register_hook(lambda g: seen.append(np.array(g)))
    for _ in range(2):
        (x * 3 + x * 4).sum().backward()
    assert [list(g) for g in seen] == [[7.0, 7.0], [7.0, 7.0]]
    np.testing.assert_array_equal(x.grad, [14.0, 14.0])


def test_what_a_hook_returns_takes_the_gradients_place():
    x = leaf([1.0, 2.0])
    y = x * 2
    y.register_hook(lambda g: g * 10)
    remove = x.register_hook(lambda g: g + 1)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [21.0, 21.0])
    remove()
    x.zero_grad()
    (x * 5).sum().backward()
    np.testing.assert_array_equal(x.grad, [5.0, 5.0])


def test_hooks_run_in_order_and_are_removed_alone():
    x, calls = leaf(1.0), []
    removers = [x.register_hook(lambda g, k=k: calls.append((k, float(g)))) for k in "abc"]
    x.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: calls.append(("d", float(g))))
    removers[1]()
    removers[1]()
    (x * 1.0).backward()
    assert calls == [("a", 1.0), ("c", 1.0), ("d", 2.0)]
    assert x.grad == 2.0


def test_a_hook_may_remove_itself_while_it_runs():
    x, calls = leaf(1.0), []

    def once(g):
        calls.append(float(g))
        remove()

    remove = x.register_hook(once)
    for _ in range(2):
        (x * 3.0).backward()
    assert calls == [3.0]
    assert x.grad == 6.0


def test_a_hook_that_returns_another_shape_is_an_error():
    x = leaf([1.0, 2.0])
    y = x * 2
    y.register_hook(lambda g: np.ones(3))
    with pytest.raises(ShapeError, match=r"hook.*\(3,\).*\(2,\)"):
        y.sum().backward()


def test_a_hook_whose_answer_has_another_dtype_keeps_the_leafs():
    x = leaf([1.0, 2.0], np.float32)
    x.register_hook(lambda g: g.astype(np.float64) * 2)
    x.sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, [2.0, 2.0])


def test_hooks_do_not_keep_the_gradient_of_a_result():
    y = leaf([1.0]) * 2
    y.register_hook(lambda g: None)
    y.sum().backward()
    with pytest.warns(UserWarning, match="not a leaf"):
        assert y.grad is None


def test_hooks_on_the_tensor_that_backward_starts_from():
    x, seen = leaf(2.0), []
    y = x * x
    y.register_hook(lambda g: seen.append(float(g)))
    y.backward()
    x.backward()
    x.register_hook(lambda g: seen.append(float(g)))
    x.backward(5.0)
    assert seen == [1.0, 5.0]


def test_hooks_need_a_tensor_on_the_tape():
    with pytest.raises(GraphError, match="register_hook"):
        gl.Tensor([1.0]).register_hook(print)
    with pytest.raises(GraphError, match="retain_grad"):
        gl.Tensor([1.0]).retain_grad()


def test_hooks_see_recorded_gradients_when_the_pass_is_recorded():
    x = leaf(3.0)
    x.register_hook(lambda g: g * 2)
    (x**2).backward(create_graph=True)
    assert isinstance(x.grad, gl.Tensor)
    assert x.grad.item() == 12.0
    first = x.grad
    x.grad = None
    first.backward()
    assert x.grad == 4.0 * 2  # the hook sees this pass too


def test_retain_grad_keeps_the_gradient_of_a_result():
    x = leaf([1.0, 2.0])
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    np.testing.assert_array_equal(y.grad, [4.0, 8.0])
    np.testing.assert_array_equal(x.grad, [8.0, 16.0])


def test_retain_grad_shows_the_latest_pass_while_leaves_add_up():
    x = leaf([1.0, 2.0])
    y = x * 2
    y.retain_grad()
    z = (y * y).sum()
    z.backward(retain_graph=True)
    z.backward()
    np.testing.assert_array_equal(y.grad, [4.0, 8.0])
    np.testing.assert_array_equal(x.grad, [16.0, 32.0])


def test_retain_grad_and_hooks_together_keep_what_the_hooks_return():
    x = leaf([1.0, 2.0])
    for first in ("hook", "retain"):
        y = x * 2
        if first == "retain":
            y.retain_grad()
        y.register_hook(lambda g: g * 100)
        y.retain_grad()
        y.sum().backward()
        np.testing.assert_array_equal(y.grad, [100.0, 100.0])


def test_retain_grad_of_a_leaf_changes_nothing():
    x = leaf([1.0])
    x.retain_grad()
    x.sum().backward()
    x.sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0])


def test_a_retained_gradient_is_the_callers_own():
    x = leaf([1.0, 2.0])
    y = x * 1.0
    y.retain_grad()
    y.sum().backward()
    y.grad[:] = 50.0
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])
