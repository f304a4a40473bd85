"""Every row of the table of specs, compiled: bit for bit what it is uncompiled, to order two."""

import numpy as np
import pytest

import gradlite as gl
from tests.helpers import as_one
from tests.rules.test_every_rule import CALLS


def weighted(spec, run):
    """The row as a scalar-valued function, in which no two entries count the same."""

    def total(xs):
        ans = as_one(run(spec.prepared(), *xs))
        return np.sum(ans * np.linspace(0.5, 1.5, np.size(ans)).reshape(np.shape(ans)))

    return total


def check_same(f, points):
    with np.errstate(all="ignore"):
        expected = f(points)
        compiled = gl.compile(f)
        for _ in range(2):  # traced and run; run again in the same buffers
            value, gradients = compiled(points)
            assert np.array_equal(value, expected[0], equal_nan=True)
            for ours, theirs in zip(gradients, expected[1], strict=True):
                assert ours.dtype == theirs.dtype
                np.testing.assert_array_equal(ours, theirs)
    assert "def " in compiled.source


@pytest.mark.parametrize(("spec", "call"), CALLS)
def test_value_and_gradient(spec, call):
    points, run = call.draw()
    check_same(gl.value_and_grad(weighted(spec, run)), points)


@pytest.mark.parametrize(("spec", "call"), CALLS)
def test_second_order(spec, call):
    if spec.order < 2:
        pytest.skip(spec.why)
    points, run = call.draw()
    total = weighted(spec, run)

    def slope(xs):
        return sum(np.sum(np.square(g)) for g in gl.grad(total)(xs))

    check_same(gl.value_and_grad(slope), points)


@pytest.mark.parametrize(("spec", "call"), CALLS)
def test_float32(spec, call):
    points, run = call.draw(np.float32)
    check_same(gl.value_and_grad(weighted(spec, run)), points)
