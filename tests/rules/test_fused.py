"""Fused operations: one node each, and shapes that are refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite.errors import ShapeError
from tests.helpers import leaves, nodes_behind

RNG = np.random.default_rng


def test_affine_is_one_node() -> None:
    x, W, b = leaves(np.ones((4, 2)), np.ones((2, 3)), np.ones(3))
    assert len(list(nodes_behind(gl.affine(x, W, b)))) == 1
    assert len(list(nodes_behind(gl.affine(x, W)))) == 1


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
    output = gl.affine(leaf, *others)
    assert output.dtype == np.float64
    output.backward(np.ones((4, 3)))
    assert leaf.grad.dtype == np.float32
