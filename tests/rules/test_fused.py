"""Fused operations: plain formulas, one node each, far-out logits, and shapes that are refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite.errors import DtypeError, ShapeError
from tests.helpers import gradients, leaves, nodes_behind

RNG = np.random.default_rng
ELEMENTWISE_LOSSES = [gl.mse, gl.huber, gl.bce_with_logits]
CLASSES = np.array([2, 0])


# -- one node each ----------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("loss", [*ELEMENTWISE_LOSSES, gl.cross_entropy])
def test_a_loss_is_one_node(loss: Any, reduction: str) -> None:
    x, y = leaves(np.ones((2, 3)), np.full((2, 3), 1 / 3))
    assert len(list(nodes_behind(loss(x, y.data, reduction=reduction)))) == 1
    assert len(list(nodes_behind(loss(x, y, reduction=reduction)))) == 1


def test_affine_is_one_node() -> None:
    x, W, b = leaves(np.ones((4, 2)), np.ones((2, 3)), np.ones(3))
    assert len(list(nodes_behind(gl.affine(x, W, b)))) == 1
    assert len(list(nodes_behind(gl.affine(x, W)))) == 1


# -- against the formulas written out -----------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_is_the_negative_log_of_the_softmax(reduction: Any) -> None:
    def written_out(z: Any) -> Any:
        losses = np.log(np.sum(np.exp(z), axis=1)) - z[np.arange(2), CLASSES]
        return {"mean": np.mean, "sum": np.sum, "none": lambda x: x}[reduction](losses)

    z = RNG(0).standard_normal((2, 3))
    weights = RNG(1).standard_normal(np.shape(written_out(z)))
    np.testing.assert_allclose(gl.cross_entropy(z, CLASSES, reduction=reduction), written_out(z))
    np.testing.assert_allclose(
        gradients(lambda z: gl.cross_entropy(z, CLASSES, reduction=reduction), z,
                  cotangent=weights)[0],
        gradients(written_out, z, cotangent=weights)[0],
    )  # fmt: skip


def test_classes_are_probabilities_of_one() -> None:
    z = RNG(0).standard_normal((2, 3))
    one_hot = np.eye(3)[CLASSES]
    np.testing.assert_allclose(gl.cross_entropy(z, CLASSES), gl.cross_entropy(z, one_hot))
    np.testing.assert_allclose(
        gradients(lambda z: gl.cross_entropy(z, CLASSES), z)[0],
        gradients(lambda z: gl.cross_entropy(z, one_hot), z)[0],
    )


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.int8])
def test_classes_may_be_of_any_integer_type(dtype: Any) -> None:
    z = RNG(0).standard_normal((2, 3)).astype(np.float32)
    answer = gl.cross_entropy(*leaves(z), CLASSES.astype(dtype))
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer.data, gl.cross_entropy(z, CLASSES))


def test_soft_targets_have_the_negative_log_probabilities_for_gradient() -> None:
    z, t = RNG(0).standard_normal((2, 3)), np.full((2, 3), 1 / 3)
    _, by_target = gradients(lambda z, t: gl.cross_entropy(z, t, reduction="sum"), z, t)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    np.testing.assert_allclose(by_target, -log_p)


def test_the_gradient_of_huber_is_the_clipped_difference() -> None:
    d = np.array([-3.0, -0.2, 0.1, 0.5, 9.0])
    found, _ = gradients(lambda x, y: gl.huber(x, y, delta=0.5, reduction="sum"), d, np.zeros(5))
    np.testing.assert_allclose(found, [-0.5, -0.2, 0.1, 0.5, 0.5])


def test_huber_with_a_large_delta_is_half_of_mse() -> None:
    x, y = RNG(0).standard_normal((2, 4))
    np.testing.assert_allclose(2 * gl.huber(x, y, delta=100.0), gl.mse(x, y))


def test_the_mean_of_a_batch_is_independent_of_its_size() -> None:
    x = RNG(0).standard_normal((4, 3))
    for loss in ELEMENTWISE_LOSSES:
        once = loss(x, np.full((4, 3), 0.5))
        twice = loss(np.tile(x, (2, 1)), np.full((8, 3), 0.5))
        np.testing.assert_allclose(once, twice)


# -- far out ----------------------------------------------------------------------------------


def test_cross_entropy_is_stable_at_1000_in_float32() -> None:
    z = np.array([[1000.0, -1000.0], [1000.0, -1000.0], [-1000.0, -1000.0]], np.float32)
    (x,) = leaves(z)
    losses = gl.cross_entropy(x, np.array([0, 1, 0]), reduction="none")
    assert losses.dtype == np.float32
    np.testing.assert_allclose(losses.data, [0.0, 2000.0, np.log(2.0)], rtol=1e-6)
    losses.backward(np.ones(3, np.float32))
    np.testing.assert_allclose(x.grad, [[0, 0], [1, -1], [-0.5, 0.5]], atol=1e-7)


def test_cross_entropy_of_soft_targets_is_stable_at_1000_in_float32() -> None:
    z = np.array([[1000.0, -1000.0]], np.float32)
    x, t = leaves(z, np.array([[0.25, 0.75]], np.float32))
    loss = gl.cross_entropy(x, t)
    np.testing.assert_allclose(loss.data, 1500.0)
    loss.backward()
    np.testing.assert_allclose(x.grad, [[0.75, -0.75]])
    np.testing.assert_allclose(t.grad, [[0.0, 2000.0]])


def test_binary_cross_entropy_is_stable_at_1000_in_float32() -> None:
    z = np.array([1000.0, -1000.0, 1000.0, 0.0], np.float32)
    t = np.array([1.0, 0.0, 0.0, 0.5], np.float32)
    (x,) = leaves(z)
    losses = gl.bce_with_logits(x, t, reduction="none")
    np.testing.assert_allclose(losses.data, [0.0, 0.0, 1000.0, np.log(2.0)], rtol=1e-6)
    losses.backward(np.ones(4, np.float32))
    np.testing.assert_allclose(x.grad, [0.0, 0.0, 1.0, 0.0], atol=1e-7)


def test_small_losses_keep_their_digits() -> None:
    np.testing.assert_allclose(
        gl.bce_with_logits(np.array([40.0]), np.array([1.0])), np.exp(-40.0), rtol=1e-10
    )


# -- what they refuse -------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ELEMENTWISE_LOSSES)
@pytest.mark.parametrize(("p", "t"), [((4, 1), (4,)), ((4,), (4, 1)), ((4,), ()), ((2, 3), (3,))])
def test_a_loss_never_broadcasts(loss: Any, p: Any, t: Any) -> None:
    with pytest.raises(ShapeError) as refusal:
        loss(*leaves(np.ones(p)), np.ones(t))
    assert loss.__name__ in str(refusal.value)
    assert str(p) in str(refusal.value)
    assert str(t) in str(refusal.value)


@pytest.mark.parametrize(
    ("logits", "target"),
    [
        ((4, 3), np.zeros((4, 1), int)),
        ((4, 3), np.zeros(3, int)),
        ((4, 3), np.zeros((4, 2))),
        ((4, 3), np.zeros(4)),
        ((3,), np.zeros(3, int)),
    ],
)
def test_cross_entropy_refuses_shapes_that_do_not_fit(logits: Any, target: Any) -> None:
    with pytest.raises(ShapeError) as refusal:
        gl.cross_entropy(*leaves(np.ones(logits)), target)
    assert str(logits) in str(refusal.value)
    assert str(target.shape) in str(refusal.value)


@pytest.mark.parametrize("target", [[0, 3], [-1, 0], [0, 255]])
def test_cross_entropy_refuses_classes_out_of_range(target: Any) -> None:
    with pytest.raises(IndexError):
        gl.cross_entropy(*leaves(np.ones((2, 3))), np.array(target))


@pytest.mark.parametrize("target", [np.array([True, False]), np.array(["a", "b"])])
def test_cross_entropy_refuses_targets_that_are_neither(target: Any) -> None:
    with pytest.raises(DtypeError):
        gl.cross_entropy(*leaves(np.ones((2, 3))), target)


@pytest.mark.parametrize("loss", [*ELEMENTWISE_LOSSES, gl.cross_entropy])
def test_an_unknown_reduction_is_refused(loss: Any) -> None:
    with pytest.raises(ValueError, match=r"'mean', 'sum' or 'none'.*'avg'"):
        loss(*leaves(np.ones((2, 3))), np.ones((2, 3)), reduction="avg")


@pytest.mark.parametrize("delta", [0.0, -1.0, np.nan])
def test_huber_refuses_a_delta_that_is_not_positive(delta: float) -> None:
    with pytest.raises(ValueError, match="delta"):
        gl.huber(*leaves(np.ones(2)), np.ones(2), delta=delta)


@pytest.mark.parametrize(
    ("x", "W", "b"),
    [
        ((4, 3), (2, 3), (3,)),
        ((4, 2), (2, 3), (2,)),
        ((4, 2), (2, 3), (4, 3)),
        ((4, 2), (2, 3), (1, 3)),
        ((4, 2), (2,), (3,)),
        ((), (2, 3), (3,)),
    ],
)
def test_affine_refuses_shapes_that_do_not_fit(x: Any, W: Any, b: Any) -> None:
    with pytest.raises(ShapeError, match=re.escape(str(W))):
        gl.affine(*leaves(np.ones(x), np.ones(W), np.ones(b)))


def test_affine_without_a_bias_is_a_product() -> None:
    x, W = RNG(0).standard_normal((4, 2)), RNG(1).standard_normal((2, 3))
    np.testing.assert_allclose(gl.affine(*leaves(x, W)).data, x @ W)
    np.testing.assert_allclose(gl.affine(*leaves(x, W), None).data, x @ W)


def test_affine_of_float32_and_a_float64_bias_is_float64() -> None:
    x, W = np.ones((4, 2), np.float32), np.ones((2, 3), np.float32)
    leaf, *others = leaves(x, W, np.ones(3))
    answer = gl.affine(leaf, *others)
    assert answer.dtype == np.float64
    answer.backward(np.ones((4, 3)))
    assert leaf.grad.dtype == np.float32
