"""Small integers beside Tensors: pixels and counts must not overflow inside a rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradlite.autodiff.tensor import Tensor
from gradlite.errors import GradliteError
from tests.helpers import as_one, leaves
from tests.rules.test_every_rule import CALLS

SEVERAL = [param for param in CALLS if len(param.values[1].draw()[0]) > 1]


def derivatives(spec: Any, run: Any, points: list[Any], i: int, other: Any) -> list[Any]:
    """Return value, gradients and those of their sum, with the constant `other` at place `i`."""
    xs = leaves(*(x for j, x in enumerate(points) if j != i))
    output = as_one(run(spec.fn, *xs[:i], other, *xs[i:]))
    if not isinstance(output, Tensor) or not output.requires_grad:
        return []
    output.backward(np.ones(output.shape, output.dtype), create_graph=spec.order > 1)
    first = [x.grad for x in xs]
    for x in xs:
        x.grad = None
    parts = [np.sum(g * g) for g in first if isinstance(g, Tensor) and g.requires_grad]
    if parts:
        sum(parts).backward()
    return [output, *first, *(x.grad for x in xs if parts)]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize(("spec", "call"), SEVERAL)
def test_a_constant_of_small_integers_counts_as_its_numbers(
    spec: Any, call: Any, dtype: Any
) -> None:
    points, run = call.draw()
    for i, point in enumerate(points):
        small = (np.abs(point) * 50 + 1).clip(0, 100).astype(dtype)
        with np.errstate(all="ignore"):
            try:
                expected = derivatives(spec, run, points, i, small.astype(float))
                found = derivatives(spec, run, points, i, small)
            except (GradliteError, ValueError, np.linalg.LinAlgError):
                continue  # not every argument can have such values: probabilities cannot
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(
                    getattr(one, "data", one), getattr(other, "data", other), rtol=1e-9, atol=1e-9
                )


# Products of integers are NumPy's, and integer targets of a cross-entropy are classes.
PRODUCTS = {
    "gl.affine", "gl.linear", "gl.step_linear", "gl.convolve", "gl.conv_input", "gl.conv_weight",
}  # fmt: skip
OTHERS = {"gl.cross_entropy", "gl.avg_unpool"}
OURS = [
    param
    for param in CALLS
    if param.values[0].name.startswith("gl.") and param.values[0].name not in PRODUCTS | OTHERS
]


@pytest.mark.parametrize(("dtype", "low"), [(np.uint8, 0), (np.int8, -120)])
@pytest.mark.parametrize(("spec", "call"), OURS)
def test_our_functions_of_small_integers_do_not_overflow(
    spec: Any, call: Any, dtype: Any, low: int
) -> None:
    points, run = call.draw()
    small = [(x * 70).clip(low, 120).astype(dtype) for x in points]
    with np.errstate(all="ignore"):
        try:
            expected = run(spec.fn, *(x.astype(float) for x in small))
        except ValueError:
            return  # negative targets of counts, say
        found = run(spec.fn, *small)
    # NumPy's functions of such integers are of half precision.
    np.testing.assert_allclose(
        np.asarray(found, float), np.asarray(expected, float), rtol=3e-3, atol=1e-3
    )
