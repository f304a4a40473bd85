"""Parameters in every memory layout: steps are the same, and the arrays they came from stay."""

import numpy as np
import pytest

import gradlite as gl
from gradlite import optim
from tests.helpers import LAYOUTS, leaves
from tests.optim.helpers import draw, every, run, values

SHAPES = [(2, 3), (), (4,)]
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def points(layout, dtype=float):
    rng = np.random.default_rng(0)
    return [layout(rng.normal(size=shape).astype(dtype)) for shape in SHAPES]


@every
@layouts
@pytest.mark.parametrize("dtype", [np.float16, ">f2", np.float32, np.float64, ">f8"])
def test_steps_are_the_same_in_every_memory_layout(name, layout, dtype):
    arrays, others = points(layout, dtype), points(np.asarray, np.dtype(dtype).newbyteorder("="))
    known = [array.copy() for array in arrays]
    params, plain = leaves(*arrays), leaves(*others)
    for group in (params, plain):
        run(optim.OPTIMIZERS[name](group, lr=0.05), group, draw(SHAPES, steps=3))
    for p, q in zip(params, plain, strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-5)
        assert p.dtype == dtype
    for array, before in zip(arrays, known, strict=True):
        np.testing.assert_array_equal(array, before)


@every
@layouts
def test_a_state_may_come_in_every_memory_layout(name, layout):
    params, others = leaves(*points(np.array)), leaves(*points(np.array))
    optimizer, other = (optim.OPTIMIZERS[name](group, lr=0.05) for group in (params, others))
    run(optimizer, params, draw(SHAPES, steps=2))
    state = optimizer.state_dict()
    for own in state["state"].values():
        own.update({key: layout(x) for key, x in own.items() if isinstance(x, np.ndarray)})
    for p, q in zip(params, others, strict=True):
        q.data = layout(p.data)
    other.load_state_dict(state)
    for group, by in ((params, optimizer), (others, other)):
        run(by, group, draw(SHAPES, steps=2))
    for one, two in zip(values(params), values(others), strict=True):
        np.testing.assert_array_equal(one, two)


@layouts
def test_lbfgs_in_every_memory_layout(layout):
    array = layout(np.arange(6.0).reshape(2, 3))
    (p,) = leaves(array)
    optimizer = optim.LBFGS([p])

    def closure():
        optimizer.zero_grad()
        loss = ((p - layout(np.ones((2, 3)))) ** 2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) < 1e-12
    np.testing.assert_allclose(p.data, 1.0)
    np.testing.assert_array_equal(array, np.arange(6.0).reshape(2, 3))


@layouts
def test_gradients_that_are_assigned_may_lie_anywhere(layout):
    (p,) = leaves(np.zeros((2, 3)))
    optimizer = optim.SGD([p], lr=1.0)
    g = layout(np.arange(6.0).reshape(2, 3))
    p.grad = g
    optim.clip_grad_norm(optimizer, 1.0)
    optimizer.step()
    np.testing.assert_allclose(p.data, -g / np.linalg.norm(g), rtol=1e-6)
    np.testing.assert_array_equal(g, np.arange(6.0).reshape(2, 3))
    assert isinstance(p, gl.Tensor)
