"""Optimisers against formulas written out plainly, and what all of them must hold."""

import gc
import tracemalloc

import numpy as np
import pytest

import gradlite as gl
from gradlite import optim, schedules
from gradlite.optim import OPTIMIZERS, Optimizer, flat
from tests.optim.helpers import (
    CASES,
    SHAPES,
    STEPPERS,
    assert_same,
    cases,
    draw,
    every,
    fresh,
    interesting,
    run,
    send,
    sgd,
    values,
)


def test_every_optimizer_is_tested():
    assert {formula.__name__ for formula in CASES} == set(STEPPERS)
    kinds = {x for x in vars(optim).values() if isinstance(x, type) and issubclass(x, Optimizer)}
    assert kinds - {Optimizer} == set(OPTIMIZERS.values())


@pytest.mark.parametrize(("formula", "settings"), cases())
def test_formula(formula, settings):
    params, grads = fresh(), draw()
    starts = values(params)
    run(OPTIMIZERS[formula.__name__](params, **settings), params, grads)
    for p, start, own in zip(params, starts, zip(*grads, strict=True), strict=True):
        np.testing.assert_allclose(p.data, formula(start, own, **settings), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("formula", "settings"), cases())
def test_a_parameter_without_gradient_is_left_out(formula, settings):
    params, grads = fresh([(2,)] * 5), draw([(2,)] * 5)
    rng = np.random.default_rng(2)
    grads = [[g if rng.random() < 0.6 else None for g in row] for row in grads]
    starts = values(params)
    optimizer = OPTIMIZERS[formula.__name__](params, **settings)
    run(optimizer, params, grads)
    state = optimizer.state_dict()["state"]
    for i, (p, start, own) in enumerate(zip(params, starts, zip(*grads, strict=True), strict=True)):
        own = [g for g in own if g is not None]
        assert state[str(i)]["step"] == len(own)
        np.testing.assert_allclose(p.data, formula(start, own, **settings), rtol=1e-12, atol=1e-14)


@every
def test_blocks_change_nothing(name, monkeypatch):
    ends = []
    for block in (2**18, 24):
        monkeypatch.setattr(flat, "BLOCK", block)
        params = fresh()
        run(OPTIMIZERS[name](params, **interesting(name)), params, draw())
        ends.append(params)
    assert_same(*ends)


@every
def test_minimises_a_quadratic(name):
    p = gl.Tensor([3.0, -2.0], requires_grad=True)
    rate = 30.0 if name == "adadelta" else 0.3  # whose first steps are tiny
    optimizer = OPTIMIZERS[name]([p], lr=schedules.cosine(rate, steps=300))
    for _ in range(300):
        optimizer.zero_grad()
        ((p - 1) ** 2 * np.array([1.0, 2.0])).sum().backward()
        optimizer.step()
    assert p.data == pytest.approx([1, 1], abs=0.3 if name == "adagrad" else 1e-2)


@every
def test_the_type_of_each_parameter_stays(name):
    params = [p for dtype in (np.float32, np.float64, np.float32) for p in fresh(dtype=dtype)]
    double = fresh() * 3
    double = [gl.Tensor(p.data, requires_grad=True) for p in double]
    grads = draw(SHAPES * 3)
    optimizer = OPTIMIZERS[name](params, **interesting(name))
    run(optimizer, params, grads)
    run(OPTIMIZERS[name](double, **interesting(name)), double, grads)
    assert [vector.data.dtype for vector in optimizer.vectors] == [np.float32, np.float64]
    for i, (p, q) in enumerate(zip(params, double, strict=True)):
        assert p.dtype == (np.float64 if 3 <= i < 6 else np.float32)
        assert all(
            np.asarray(x).dtype in (p.dtype, int)
            for x in optimizer.state_dict()["state"][str(i)].values()
        )
        np.testing.assert_allclose(p.data, q.data, rtol=1e-3, atol=1e-4)


@every
def test_half_precision_is_updated_in_float32(name, monkeypatch):
    """A step differs from one in float64 by the rounding of its result alone."""
    monkeypatch.setattr(flat, "BLOCK", 24)  # several blocks
    half, single = fresh(dtype=np.float16), fresh(dtype=np.float32)
    optimizer = OPTIMIZERS[name](half + single, **interesting(name))
    double = [gl.Tensor(p.data, requires_grad=True, dtype=float) for p in half]
    reference = OPTIMIZERS[name](double, **interesting(name))
    for row in draw():
        small = [(g * 1e-4).astype(np.float16) for g in row]
        run(optimizer, half + single, [small * 2])
        run(reference, double, [small])
        for p, q in zip(half, double, strict=True):
            np.testing.assert_allclose(p.data, q.data, rtol=2**-11, atol=1e-7)
            q.data[...] = p.data
    assert [vector.data.dtype for vector in optimizer.vectors] == [np.float16, np.float32]
    state = optimizer.state_dict()["state"]
    assert {v.dtype for own in state.values() for k, v in own.items() if k != "step"} <= {
        np.dtype(np.float32)
    }


@every
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", [0.0, 6e-8, 1e-5, 6e4])
def test_no_gradient_however_small_makes_nan(name, dtype, size):
    (p,) = fresh([(2,)], dtype=dtype)
    start = p.data.copy()
    optimizer = OPTIMIZERS[name]([p], lr=1e-3, weight_decay=0.0)
    for _ in range(5):
        optimizer.zero_grad()
        p.grad = np.array([size, -size], dtype)
        optimizer.step()
    assert np.isfinite(p.data).all()
    if size == 0:
        assert np.array_equal(p.data, start)


@every
def test_half_precision_resumes_exactly(name):
    half, again = fresh(dtype=np.float16), fresh(dtype=np.float16)
    grads = draw()
    optimizer = OPTIMIZERS[name](half, **interesting(name))
    run(optimizer, half, grads[:5])
    for p, q in zip(again, half, strict=True):
        p.data[...] = q.data
    resumed = OPTIMIZERS[name](again, **interesting(name))
    resumed.load_state_dict(optimizer.state_dict())
    run(optimizer, half, grads[5:])
    run(resumed, again, grads[5:])
    assert_same(half, again)


@every
def test_a_step_allocates_nothing(name):
    params = fresh([(300, 100), (100,)], dtype=np.float32)
    settings = {**interesting(name), "weight_decay": 0.1}
    optimizer = OPTIMIZERS[name](params, **settings)
    optimizer.vectors[0].grad[:] = 1
    for p in params:
        send(p, np.ones(p.shape))
    optimizer.step()
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(3):
            optimizer.step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4000


# -- groups and rates ----


@every
def test_groups_have_their_own_settings(name):
    params, apart = fresh(), fresh()
    optimizer = OPTIMIZERS[name](
        [{"params": params[:1]}, {"params": params[1:], "lr": 0.5}], lr=0.1
    )
    run(optimizer, params, draw())
    run(OPTIMIZERS[name](apart[:1], lr=0.1), apart[:1], [row[:1] for row in draw()])
    run(OPTIMIZERS[name](apart[1:], lr=0.5), apart[1:], [row[1:] for row in draw()])
    assert_same(params, apart)


@every
def test_a_schedule_gives_the_rate_of_each_step(name):
    params, by_hand = fresh(), fresh()
    run(OPTIMIZERS[name](params, lr=lambda step: 0.1 / (1 + step)), params, draw())
    optimizer = OPTIMIZERS[name](by_hand)
    for step, row in enumerate(draw()):
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
        run(optimizer, by_hand, [row])
    assert_same(params, by_hand)


def test_centred_rmsprop_stays_finite_for_a_constant_gradient():
    (p,) = fresh([(50,)], dtype=np.float32)
    gradient = np.linspace(0.1, 1, 50)
    run(optim.RMSprop([p], alpha=0.9, centered=True), [p], [[gradient]] * 500)
    assert np.all(np.isfinite(p.data))


def test_momentum_may_come_later():
    params, grads = fresh(), draw()
    optimizer = optim.SGD(params, lr=0.1)
    run(optimizer, params, grads[:1])
    starts = values(params)
    optimizer.param_groups[0]["momentum"] = 0.9
    run(optimizer, params, grads[1:])
    for p, start, own in zip(params, starts, zip(*grads[1:], strict=True), strict=True):
        np.testing.assert_allclose(p.data, sgd(start, own, lr=0.1, momentum=0.9), rtol=1e-12)


@pytest.mark.parametrize("way", ["together", "saved and loaded"])
def test_betas_of_adam_may_change_between_steps(way):
    p = gl.Tensor([1.0, -2.0], requires_grad=True)
    optimizer = gl.optim.Adam([p], lr=0.1, betas=(0.9, 0.99))
    expected, m, v = p.data.copy(), 0.0, 0.0
    for t, g in enumerate([[1.0, 0.5], [-0.5, 2.0], [0.25, 1.0], [3.0, -1.0]], 1):
        b1, b2 = (0.9, 0.99) if t < 3 else (0.6, 0.8)
        if t == 3:
            if way == "saved and loaded":
                state = optimizer.state_dict()
                optimizer = gl.optim.Adam([p], lr=0.1, betas=(0.5, 0.5))
                optimizer.load_state_dict(state)
            optimizer.param_groups[0]["betas"] = [b1, b2]
        p.grad = g
        optimizer.step()
        m = b1 * m + (1 - b1) * np.array(g)
        v = b2 * v + (1 - b2) * np.array(g) ** 2
        expected -= 0.1 * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
        np.testing.assert_allclose(p.data, expected, rtol=1e-12)
