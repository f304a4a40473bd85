"""The tape: what is recorded, how cotangents travel back, and what is let go when."""

import asyncio
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradlite as gl
from gradlite.errors import GraphError, ShapeError
from gradlite.tape import unbroadcast


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
        unbroadcast(np.ones((2, 3)), (2,))
    with pytest.raises(ShapeError):
        unbroadcast(np.ones(3), (1, 3))


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


# -- modes ------------------------------------------------------------------------------------


def recording():
    return (leaf(1.0) * 2).requires_grad


def test_no_grad_as_a_context():
    with gl.no_grad():
        assert not recording()
        t = gl.Tensor([1.0], requires_grad=True)
        assert t.requires_grad
    assert recording()
    assert (t * 2).requires_grad


def test_no_grad_and_enable_grad_nest():
    with gl.no_grad():
        with gl.enable_grad():
            assert recording()
            with gl.no_grad():
                assert not recording()
            assert recording()
        assert not recording()
    assert recording()


def test_the_mode_is_restored_after_an_exception():
    with pytest.raises(ZeroDivisionError), gl.no_grad():
        _ = 1 / 0
    assert recording()


def test_one_no_grad_can_be_entered_again_and_within_itself():
    mode = gl.no_grad()
    for _ in range(2):
        with mode:
            with mode:
                assert not recording()
            assert not recording()
        assert recording()


def test_no_grad_and_enable_grad_as_decorators_keep_the_functions_name():
    @gl.no_grad()
    def quiet(k, *, j=1):
        """Doc."""
        return recording(), k, j

    @gl.enable_grad()
    def loud():
        return recording()

    assert quiet(3, j=4) == (False, 3, 4)
    assert (quiet.__name__, quiet.__doc__) == ("quiet", "Doc.")
    assert recording()
    with gl.no_grad():
        assert loud()
        assert not recording()


def test_a_decorated_recursive_function():
    @gl.no_grad()
    def down(n):
        return recording() if n == 0 else down(n - 1)

    assert not down(5)
    assert recording()


def test_a_decorated_generator_is_quiet_inside_its_steps_only():
    @gl.no_grad()
    def steps():
        for _ in range(3):
            yield recording()

    seen = []
    for inside in steps():
        seen.append((inside, recording()))
    assert seen == [(False, True)] * 3


def test_a_decorated_generator_still_takes_sends_throws_and_returns():
    @gl.no_grad()
    def talk():
        try:
            got = yield "first"
        except KeyError:
            got = "thrown"
        yield got
        return "returned"

    generator = talk()
    assert next(generator) == "first"
    assert generator.send("sent") == "sent"
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "returned"
    generator = talk()
    next(generator)
    assert generator.throw(KeyError) == "thrown"


def test_a_decorated_generator_closes_its_inside():
    closed = []

    @gl.no_grad()
    def steps():
        try:
            yield 1
            yield 2
        finally:
            closed.append(recording())

    generator = steps()
    next(generator)
    generator.close()
    assert closed == [False]
    assert recording()


def test_a_generator_left_in_the_middle_of_no_grad_does_not_leak_once_closed():
    def steps():
        with gl.no_grad():
            yield recording()

    generator = steps()
    assert next(generator) is False
    generator.close()
    assert recording()


def test_a_decorated_coroutine_is_quiet_throughout():
    @gl.no_grad()
    async def quiet():
        before = recording()
        await asyncio.sleep(0)
        return before, recording()

    async def main():
        inside = await quiet()
        return inside, recording()

    assert asyncio.run(main()) == ((False, False), True)


def test_no_grad_holds_for_one_thread():
    entered, go_on = threading.Event(), threading.Event()
    seen = {}

    def quiet():
        with gl.no_grad():
            entered.set()
            go_on.wait(5)
            seen["quiet"] = recording()
        seen["after"] = recording()

    thread = threading.Thread(target=quiet)
    thread.start()
    assert entered.wait(5)
    seen["main"] = recording()
    go_on.set()
    thread.join()
    assert seen == {"main": True, "quiet": False, "after": True}


def test_a_new_thread_records_and_copy_context_carries_no_grad_into_it():
    with gl.no_grad(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(recording).result()
        assert not pool.submit(copy_context().run, recording).result()


def test_no_grad_holds_for_one_task():
    async def quiet(events):
        with gl.no_grad():
            events[0].set()
            await events[1].wait()
            return recording()

    async def loud(events):
        await events[0].wait()
        seen = recording()
        events[1].set()
        return seen

    async def main():
        events = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(quiet(events), loud(events))

    assert asyncio.run(main()) == [False, True]


def test_one_mode_object_serves_two_threads_at_once():
    mode, step, seen = gl.no_grad(), threading.Barrier(2, timeout=1), []

    def work(leave_first):
        with mode:
            step.wait()
            seen.append(recording())
            if not leave_first:
                step.wait()
        seen.append(recording())
        if leave_first:
            step.wait()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work, first) for first in (True, False)]:
            future.result()
    assert sorted(seen) == [False, False, True, True]


def test_backward_within_no_grad_gives_the_same_gradients():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    with gl.no_grad():
        y.backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])


def test_create_graph_within_no_grad_gives_gradients_that_can_be_differentiated():
    x = leaf(2.0)
    y = x**3
    with gl.no_grad():
        y.backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    x.grad = None
    first.backward()
    np.testing.assert_allclose(x.grad, 12.0)


# -- two threads, two graphs ------------------------------------------------------------------


def test_threads_build_and_walk_graphs_of_their_own():
    failures = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(150):
            data, k = rng.normal(size=4), int(rng.integers(1, 12))
            x = leaf(data)
            y = x
            for _ in range(k):
                y = np.tanh(y) + x * 0.1
            with gl.no_grad():
                silent = x * 2
            y.sum().backward()
            expected_y, expected = data, np.ones(4)
            for _ in range(k):
                t = np.tanh(expected_y)
                expected = (1 - t * t) * expected + 0.1
                expected_y = t + 0.1 * data
            if silent.requires_grad or not np.allclose(x.grad, expected, rtol=1e-10):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


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


# -- random programs against a naive twin -----------------------------------------------------


class Dual:
    """Forward mode: a value and its derivative by each of the inputs' entries, written plainly."""

    def __init__(self, value, slope):
        self.value, self.slope = np.asarray(value), np.asarray(slope)  # slope: value.shape + (n,)

    @staticmethod
    def lift(slope, ndim):
        """Give `slope` room to broadcast against a value of `ndim` axes."""
        missing = ndim - (slope.ndim - 1)
        return slope.reshape((1,) * missing + slope.shape)


def dual_binary(op, a, b):
    ndim = max(a.value.ndim, b.value.ndim)
    da, db = Dual.lift(a.slope, ndim), Dual.lift(b.slope, ndim)
    x, y = a.value[..., None], b.value[..., None]
    x, y = Dual.lift(x, ndim), Dual.lift(y, ndim)
    value, slope = {
        "+": (a.value + b.value, da + db),
        "-": (a.value - b.value, da - db),
        "*": (a.value * b.value, da * y + x * db),
        "/": (a.value / (b.value**2 + 1), da / (y**2 + 1) - x * 2 * y * db / (y**2 + 1) ** 2),
    }[op]
    return Dual(value, np.broadcast_to(slope, (*value.shape, slope.shape[-1])))


def dual_unary(op, a):
    v = a.value
    if op == "tanh":
        return Dual(np.tanh(v), (1 - np.tanh(v) ** 2)[..., None] * a.slope)
    if op == "exp":
        return Dual(
            np.exp(np.tanh(v)), ((1 - np.tanh(v) ** 2) * np.exp(np.tanh(v)))[..., None] * a.slope
        )
    if op == "sum0":
        return Dual(v.sum(0), a.slope.sum(0)) if v.ndim else a
    if op == "sumk":
        return Dual(v.sum(-1, keepdims=True), a.slope.sum(-2, keepdims=True)) if v.ndim else a
    if op == "ravel":
        return Dual(v.reshape(-1), a.slope.reshape(-1, a.slope.shape[-1]))
    if op == "column":
        return Dual(v.reshape(-1, 1), a.slope.reshape(-1, 1, a.slope.shape[-1]))
    if op == "reverse":
        return Dual(v[::-1], a.slope[::-1]) if v.ndim else a
    if op == "gather":
        return Dual(v[[0, -1, 0]], a.slope[[0, -1, 0]]) if v.ndim else a
    raise AssertionError(op)


TENSOR_BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / (b**2 + 1),
}
TENSOR_UNARY = {
    "tanh": np.tanh,
    "exp": lambda a: np.exp(np.tanh(a)),
    "sum0": lambda a: a.sum(0) if a.ndim else a,
    "sumk": lambda a: a.sum(-1, keepdims=True) if a.ndim else a,
    "ravel": lambda a: a.reshape(-1),
    "column": lambda a: a.reshape(-1, 1),
    "reverse": lambda a: a[::-1] if a.ndim else a,
    "gather": lambda a: a[[0, -1, 0]] if a.ndim else a,
}


@st.composite
def programs(draw):
    """A list of steps: (operation, which earlier values)."""
    steps = []
    for made in range(draw(st.integers(1, 12))):
        op = draw(st.sampled_from([*TENSOR_BINARY, *TENSOR_UNARY]))
        count = 2 if op in TENSOR_BINARY else 1
        steps.append((op, [draw(st.integers(0, made + 2)) for _ in range(count)]))
    return steps, draw(st.integers(0, 2**32 - 1))


INPUTS = [(), (3,), (2, 3)]


def run(steps, values, unary, binary):
    """Carry out a program; a step whose shapes do not fit is left out."""
    values = list(values)
    for op, operands in steps:
        picked = [values[i] for i in operands]
        shapes = [np.shape(getattr(v, "value", getattr(v, "data", v))) for v in picked]
        try:
            size = np.prod(np.broadcast_shapes(*shapes))
        except ValueError:
            size = np.inf
        fits = size <= 200
        made = picked[0]
        if fits:
            made = unary(op, *picked) if len(picked) == 1 else binary(op, *picked)
        values.append(made)
    return values


def tensor_run(steps, leaves):
    return run(
        steps,
        leaves,
        lambda op, a: TENSOR_UNARY[op](a),
        lambda op, a, b: TENSOR_BINARY[op](a, b),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(programs())
def test_random_programs_have_the_values_and_gradients_of_a_naive_twin(program):
    steps, seed = program
    rng = np.random.default_rng(seed)
    data = [rng.uniform(-1, 1, shape) for shape in INPUTS]
    leaves = [leaf(d) for d in data]
    total = sum(d.size for d in data)
    edges = np.cumsum([0] + [d.size for d in data])
    seeds = [
        np.eye(total)[a:b].reshape(*d.shape, total)
        for d, a, b in zip(data, edges[:-1], edges[1:], strict=True)
    ]
    duals = [Dual(d, s) for d, s in zip(data, seeds, strict=True)]

    ours = tensor_run(steps, leaves)
    twins = run(steps, duals, dual_unary, dual_binary)
    for our, twin in zip(ours, twins, strict=True):
        np.testing.assert_allclose(our.data, twin.value, rtol=1e-12, atol=1e-12)

    out, twin = ours[-1], twins[-1]
    weights = rng.normal(size=out.shape)
    (out * weights).sum().backward()
    expected = np.tensordot(weights, twin.slope, axes=weights.ndim)
    scale = np.tensordot(np.abs(weights), np.abs(twin.slope), axes=weights.ndim).max() + 1
    for x, a, b in zip(leaves, edges[:-1], edges[1:], strict=True):
        found = np.zeros(x.shape) if x.grad is None else x.grad
        np.testing.assert_allclose(found.ravel(), expected[a:b], atol=1e-11 * scale, rtol=1e-10)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(programs())
def test_random_programs_have_hessians_that_agree_with_differences_of_gradients(program):
    steps, seed = program
    rng = np.random.default_rng(seed)
    data = [rng.uniform(-1, 1, shape) for shape in INPUTS]

    def f(*xs):
        return np.tanh(tensor_run(steps, xs)[-1].sum())

    v = [rng.normal(size=d.shape) for d in data]
    gradient = gl.grad(f, argnums=(0, 1, 2))
    _, along = gl.jvp(
        lambda *xs: np.concatenate([np.ravel(c) for c in gradient(*xs)]), tuple(data), tuple(v)
    )
    eps = 1e-5
    high, low = (
        np.concatenate(
            [np.ravel(c) for c in gradient(*[d + s * w for d, w in zip(data, v, strict=True)])]
        )
        for s in (eps, -eps)
    )
    scale = max(np.abs(high).max(), np.abs(along).max(), 1.0)
    if scale < 1e4:
        np.testing.assert_allclose(along, (high - low) / (2 * eps), atol=1e-4 * scale)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(programs(), st.data())
def test_random_programs_give_the_same_gradients_whatever_is_retained(program, data_strategy):
    steps, seed = program
    rng = np.random.default_rng(seed)
    data = [rng.uniform(-1, 1, shape) for shape in INPUTS]

    def gradients(prepare, **how):
        leaves = [leaf(d) for d in data]
        values = tensor_run(steps, leaves)
        prepare(values)
        np.tanh(values[-1]).sum().backward(**how)
        return [np.zeros(x.shape) if x.grad is None else np.array(getattr(x.grad, "data", x.grad))
                for x in leaves]  # fmt: skip

    chosen = data_strategy.draw(st.integers(0, len(steps) + 2))
    plain = gradients(lambda values: None)
    for prepare, how in (
        (lambda values: values[chosen].retain_grad(), {}),
        (lambda values: values[chosen].register_hook(lambda g: None), {}),
        (lambda values: None, {"retain_graph": True}),
        (lambda values: None, {"create_graph": True}),
    ):
        for a, b in zip(plain, gradients(prepare, **how), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-300)
