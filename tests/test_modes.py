"""Modes: no_grad and enable_grad in every kind of function, thread and task."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np
import pytest

import gradlite as gl


def leaf(data, dtype=np.float64):
    return gl.Tensor(np.asarray(data, dtype), requires_grad=True)


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
