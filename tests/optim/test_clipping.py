"""Clipping of gradients against the norm of all their entries."""

import math

import numpy as np
import pytest

import gradlite as gl
from gradlite import optim
from gradlite.errors import NonFiniteError
from gradlite.optim import clip_grad_norm
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
