"""Clipping of gradients against the norm of all their entries."""

import math

import numpy as np
import pytest

import gradlite as gl
from gradlite import optim
from gradlite.errors import NonFiniteError
from gradlite.optim import clip_grad_norm
from tests.helpers import LAYOUTS, leaves
from tests.optim.helpers import SHAPES, draw, fresh, send


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1e6])
@pytest.mark.parametrize("given", [list, iter, optim.Adam])
def test_clip_grad_norm(given, max_norm, order):
    params = fresh([*SHAPES, (2,)])
    for p, g in zip(params, draw()[0], strict=False):  # the last has no gradient
        send(p, g)
    entries = np.abs(np.concatenate([g.ravel() for g in draw()[0]]))
    norm = entries.max() if order == math.inf else (entries**order).sum() ** (1 / order)
    assert clip_grad_norm(given(params), max_norm, order) == pytest.approx(norm)
    for p, g in zip(params, draw()[0], strict=False):
        np.testing.assert_allclose(p.grad, g * min(1, max_norm / norm), rtol=1e-5)
    assert params[-1].grad is None


def test_clip_grad_norm_that_is_not_finite():
    p = gl.Tensor([1.0, 1.0], requires_grad=True)
    p.grad = [math.inf, 1.0]
    with pytest.raises(NonFiniteError, match="the norm of the gradients is inf"):
        clip_grad_norm(p, 1.0, error_if_nonfinite=True)
    assert p.grad.tolist() == [math.inf, 1.0]


def test_clip_grad_norm_without_any_gradient():
    assert clip_grad_norm(fresh(), 1.0) == 0


def test_clip_grad_norm_of_small_gradients():
    p = gl.Tensor([1.0], requires_grad=True)
    p.grad = [3e-6]
    clip_grad_norm(p, 2e-6)
    assert p.grad == pytest.approx([1.5e-6])  # 3e-6 * 2e-6 / (3e-6 + 1e-6)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(np.float16, 300.0), (">f2", 300.0), (np.float32, 1e25), (np.float32, 1e-25)],
)
def test_clip_grad_norm_whose_square_does_not_fit_the_type(dtype, size):
    (p,) = leaves(np.zeros(4, dtype))
    p.grad = np.full(4, size, dtype)
    assert clip_grad_norm(p, size) == pytest.approx(2 * size, rel=1e-3)
    if size > 1:
        np.testing.assert_allclose(p.grad, np.full(4, size / 2), rtol=1e-3)


def test_clip_grad_norm_of_many_half_precision_numbers():
    (p,) = leaves(np.zeros((5000, 2), np.float16))
    p.grad = np.ones((5000, 2))
    assert clip_grad_norm(p, 1.0) == pytest.approx(100.0)
    np.testing.assert_allclose(p.grad, 0.01, rtol=1e-3)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_clip_grad_norm_in_every_memory_layout(layout):
    g = np.arange(6.0).reshape(2, 3)
    (p,) = leaves(layout(np.zeros((2, 3))))
    (p * layout(g)).sum().backward()
    assert clip_grad_norm(p, 1.0) == pytest.approx(np.linalg.norm(g))
    np.testing.assert_allclose(p.grad, g / np.linalg.norm(g), rtol=1e-6)


def test_clip_grad_norm_of_gradients_that_share_memory():
    """Gradients of create_graph may be one array for two leaves, or a view of one number."""
    x, y = leaves(np.ones(3), np.ones(3))
    weight = np.arange(3.0)
    ((x + y) * weight + x.sum() ** 2).sum().backward(create_graph=True)
    slopes = [weight + 18.0, weight]
    norm = np.linalg.norm(slopes)
    assert clip_grad_norm([x, y], 1.0) == pytest.approx(norm)
    for leaf, slope in zip((x, y), slopes, strict=True):
        np.testing.assert_allclose(leaf.grad.data, slope / norm, rtol=1e-6)
    x.grad.sum().backward()
    np.testing.assert_allclose(x.grad.data - slopes[0] / norm, 18 / norm, rtol=1e-6)
    a, b = leaves(np.ones(3), np.ones(3))
    (a + b).sum().backward(create_graph=True)
    clip_grad_norm([a, b], 1.0)
    np.testing.assert_allclose([a.grad.data, b.grad.data], 1 / math.sqrt(6), rtol=1e-6)
