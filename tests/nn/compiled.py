"""A layer trained for some steps, recorded and compiled."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

import gradlite as gl
from gradlite import optim


def assert_trains_alike_compiled(layer: Any, shape: tuple[int, ...], steps: int = 3) -> None:
    """Train copies of a layer on random batches; compare losses and states, all of float32."""
    rng = np.random.default_rng(0)
    compiled = deepcopy(layer)

    def loss(y: Any, target: Any) -> Any:
        return np.mean((y - target) ** 2)

    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    step = gl.compile_step(compiled, loss, optim.SGD(compiled.parameters(), lr=0.1))
    for _ in range(steps):
        x = rng.standard_normal(shape).astype(np.float32)
        optimizer.zero_grad()
        expected = loss(layer(x), np.float32(1))
        expected.backward()
        optimizer.step()
        np.testing.assert_allclose(step(x, np.float32(1)), expected.data, rtol=1e-5)
    for name, array in compiled.state_dict().items():
        assert array.dtype in (np.float32, np.int64)
        np.testing.assert_allclose(array, layer.state_dict()[name], rtol=1e-4, atol=1e-6)
