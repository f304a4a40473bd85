"""Modules in every memory layout, of their input and of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from tests.helpers import LAYOUTS, STRIDE_0, Layout, leaves

RNG = np.random.default_rng
ROWS, LINES, IMAGES = (5, 4), (5, 4, 6), (2, 4, 6, 6)

MODULES: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(4, 3, rng=RNG(0)), ROWS),
    "Linear of stacks": (lambda: nn.Linear(6, 3, rng=RNG(0)), LINES),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), ROWS),
    "BatchNorm1d of lines": (lambda: nn.BatchNorm1d(4), LINES),
    "BatchNorm1d in eval mode": (lambda: nn.BatchNorm1d(4).eval(), LINES),
    "LayerNorm": (lambda: nn.LayerNorm(4), ROWS),
    "LayerNorm of two axes": (lambda: nn.LayerNorm((4, 6)), LINES),
    "Conv1d": (lambda: nn.Conv1d(4, 2, 3, padding=1, rng=RNG(0)), LINES),
    "Conv2d": (lambda: nn.Conv2d(4, 2, 3, stride=2, groups=2, rng=RNG(0)), IMAGES),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), IMAGES),
    "AvgPool2d": (lambda: nn.AvgPool2d(2, padding=1), IMAGES),
    "network": (
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(24, 8, rng=RNG(0)), nn.ReLU(), nn.Linear(8, 3, rng=RNG(1))
        ),
        LINES,
    ),
}


def results(make: Any, x: np.ndarray, layout: Layout) -> list[np.ndarray]:
    """Give the output, the gradients and the buffers of a module with everything in a layout."""
    module, (leaf,) = make(), leaves(x)
    for p in module.parameters():
        p.data = layout(p.data)
    out = module(leaf)
    cotangent = RNG(1).standard_normal(out.shape).astype(out.dtype)
    out.backward(layout(cotangent))
    grads = [p.grad for p in module.parameters()]
    return [out.data, leaf.grad, *grads, *(b for _, b in module.named_buffers())]


@pytest.mark.parametrize(("make", "shape"), MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("layout", [*LAYOUTS, *STRIDE_0])
def test_a_module_is_the_same_in_every_memory_layout(make: Any, shape: Any, layout: str) -> None:
    x = (LAYOUTS | STRIDE_0)[layout](RNG(2).standard_normal(shape).astype(np.float32))
    known = x.copy()
    expected = results(make, np.array(x, order="C"), np.asarray)
    found = results(make, x, LAYOUTS.get(layout, np.asarray))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(x, known)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_indices_may_lie_anywhere(layout: Layout) -> None:
    indices, table = np.array([[1, 2, 0], [4, 4, 0]]), nn.Embedding(5, 3, rng=RNG(0))
    table(layout(indices)).backward(layout(np.ones((2, 3, 3), np.float32)))
    np.testing.assert_array_equal(table.weight.grad[:, 0], [2, 1, 1, 0, 2])


@pytest.mark.parametrize("ending", ["transposed", "stacked", "moved"])
def test_a_network_learns_whatever_the_layout_of_its_logits(ending: str) -> None:
    rng = RNG(0)
    X, y = rng.standard_normal((60, 2)), np.arange(60) % 3
    X += 4 * np.eye(3)[y][:, :2]
    (w,) = leaves(np.zeros((3, 2)))
    (b,) = leaves(np.zeros(3))
    optimizer = gl.optim.SGD([w, b], lr=0.5)
    for _ in range(100):
        optimizer.zero_grad()
        if ending == "transposed":
            z = (w @ X.T).T + b
        elif ending == "stacked":
            z = np.stack([X @ w[i] for i in range(3)]).T + b
        else:
            z = np.moveaxis(np.tensordot(w, X, (1, 1)), 0, -1) + b
        gl.cross_entropy(z, y).backward()
        optimizer.step()
    assert np.mean(z.data.argmax(axis=1) == y) > 0.9
