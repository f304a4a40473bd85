"""Half precision: counts, sums and scales beyond 65,504, and below what float16 tells from 0.

Values and gradients are those of float64, to the three digits of float16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.autodiff.rules.normalization import batch_norm, layer_norm
from gradlite.autodiff.rules.pooling import avg_pool2d
from gradlite.nn import losses as L
from tests.helpers import leaves

N = 70_000
RNG = np.random.default_rng


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return 0.5 * RNG(seed).standard_normal(shape)


CLASSES = RNG(0).integers(0, 3, N)
ONE_HOT = np.eye(3)[CLASSES]
WEIGHTS = np.arange(N) % 3 + 1.0
ONES, WIDE = np.ones(N), np.ones((N, 2))
TARGET = normal(N, seed=1).astype(np.float16).astype(float)

REDUCTIONS: dict[str, tuple[Callable[..., Any], np.ndarray]] = {
    "mean": (np.mean, normal(N)),
    "mean of rows": (lambda x: np.sum(np.mean(x, axis=0)), normal(N, 2)),
    "scaled mean": (lambda x: 1000.0 * np.mean(x), normal(N)),
    "mean after a conversion": (lambda x: np.mean(1000.0 * x.astype(np.float32)), normal(N)),
    "max": (np.max, ONES),
    "max of rows": (lambda x: np.sum(np.max(x, axis=0)), WIDE),
    "min": (np.min, ONES),
    "var": (np.var, normal(N)),
    "std": (np.std, normal(N)),
    "norm": (np.linalg.norm, normal(N)),
    "norm of rows": (lambda x: np.sum(np.linalg.norm(x, axis=0)), normal(N, 2)),
    "norm of order 3": (lambda x: np.linalg.norm(x, 3), normal(N)),
    "prod": (np.prod, 1 + normal(N) * 1e-3),
    "average": (lambda x: np.average(x, weights=WEIGHTS.astype(x.dtype)), normal(N)),
    "logsumexp": (gl.logsumexp, normal(N)),
    "softmax": (lambda x: np.sum(gl.softmax(x)[:9] * np.arange(9)), normal(N)),
    "log_softmax": (lambda x: np.sum(gl.log_softmax(x)[:5]), normal(N)),
    "mean of a bias": (lambda b: np.mean(gl.affine(WIDE.astype(b.dtype), np.eye(2), b)), WIDE[0]),
    "mean of a part": (lambda w: np.mean(w[np.zeros(N, int)]), np.ones((3, 2))),
    "avg_pool2d": (lambda x: np.sum(avg_pool2d(x, 8)), RNG(0).uniform(2e3, 3e3, (1, 1, 8, 8))),
}

LOSSES: dict[str, tuple[Callable[..., Any], np.ndarray]] = {
    "mse": (lambda x: gl.mse(x, TARGET), normal(N)),
    "mse, weighted": (lambda x: gl.mse(x, TARGET, sample_weight=WEIGHTS), normal(N)),
    "mae": (lambda x: L.mae(x, TARGET), normal(N)),
    "huber": (lambda x: gl.huber(x, TARGET), normal(N)),
    "quantile": (lambda x: L.quantile(x, TARGET, quantiles=0.25), normal(N)),
    "bce_with_logits": (lambda x: gl.bce_with_logits(x, TARGET > 0), normal(N)),
    "poisson_nll": (lambda x: L.poisson_nll(x, abs(TARGET)), normal(N)),
    "poisson_nll at rate 0": (
        lambda x: L.poisson_nll(x, 0 * ONES, log_input=False), np.arange(N) % 2.0),
    "gaussian_nll": (lambda x: L.gaussian_nll(x, TARGET, 1 + abs(TARGET)), normal(N)),
    "hinge": (lambda x: gl.hinge(x, CLASSES), normal(N, 3)),
    "hinge of many classes": (lambda x: gl.hinge(x, np.array([3, 5])), normal(2, N)),
    "cross_entropy": (lambda x: gl.cross_entropy(x, CLASSES), normal(N, 3)),
    "cross_entropy, soft": (lambda x: gl.cross_entropy(x, ONE_HOT), normal(N, 3)),
    "cross_entropy, weighted": (
        lambda x: gl.cross_entropy(x, CLASSES, sample_weight=WEIGHTS), normal(N, 3)),
    "cross_entropy of many classes": (
        lambda x: gl.cross_entropy(x, np.array([3, 5])), normal(2, N)),
    "weighted_mean": (lambda x: nn.weighted_mean(x, WEIGHTS), 1 + normal(N)),
}  # fmt: skip


def slopes(fn: Any, x: np.ndarray, create_graph: bool = False) -> tuple[Any, Any]:
    (leaf,) = leaves(x)
    output = fn(leaf)
    output.backward(create_graph=create_graph)
    grad = leaf.grad.data if create_graph else leaf.grad
    assert grad.dtype == x.dtype
    return output, grad


@pytest.mark.parametrize(
    ("fn", "x"), [pytest.param(*case, id=name) for name, case in (REDUCTIONS | LOSSES).items()]
)
def test_gradients_over_more_elements_than_float16_can_count(fn: Any, x: np.ndarray) -> None:
    half = x.astype(np.float16)
    _, expected = slopes(fn, half.astype(float))
    top = np.abs(expected).max()
    for create_graph in (False, True):
        _, found = slopes(fn, half, create_graph)
        np.testing.assert_allclose(found / top, expected / top, atol=4e-3)


@pytest.mark.parametrize(
    ("fn", "x"), [pytest.param(*case, id=name) for name, case in LOSSES.items()]
)
def test_losses_keep_their_type_and_do_not_overflow(fn: Any, x: np.ndarray) -> None:
    half = x.astype(np.float16)
    output = fn(half)
    assert output.dtype == np.float16
    np.testing.assert_allclose(output, fn(half.astype(float)), rtol=3e-3)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: batch_norm(x, None, None),
        lambda x: layer_norm(x.T, None, None, normalized_shape=(N,)),
        lambda x: batch_norm(x[:4] * 0, None, None, eps=1e-8),
    ],
    ids=["batch", "layer", "no variance"],
)
def test_normalization_of_more_numbers_than_float16_can_count(fn: Any) -> None:
    half = (2 + normal(N, 2)).astype(np.float16)
    expected, found = fn(half.astype(float)), fn(half)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, expected, atol=3e-3)
    weight = normal(*np.shape(expected), seed=1)
    _, right = slopes(lambda x: np.sum(fn(x) * weight), half.astype(float))
    _, slope = slopes(lambda x: np.sum(fn(x) * weight), half)
    top = np.abs(right).max() or 1.0
    np.testing.assert_allclose(slope / top, right / top, atol=4e-3)


def test_cotangents_between_operations_may_be_wider_than_their_results() -> None:
    (x,) = leaves(np.ones(N, np.float16))
    y = x * np.float16(1000)
    y.retain_grad()
    np.mean(y).backward()
    assert y.grad.dtype == x.grad.dtype == np.float16
    np.testing.assert_allclose(x.grad, 1000 / N, rtol=1e-3)


def test_transforms_of_half_precision() -> None:
    x = np.ones(N, np.float16)
    assert gl.grad(np.mean)(x).dtype == np.float16
    np.testing.assert_allclose(gl.grad(np.mean)(x), 1 / N, rtol=2e-3)
    np.testing.assert_allclose(gl.jvp(np.mean, (x,), (x,))[1], 1.0, rtol=1e-3)
