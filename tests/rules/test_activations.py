"""How accurate activations, softmax and the normal distribution are in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special as sp

import gradlite as gl
from gradlite.autodiff.rules.gaussian import normal_cdf
from tests.helpers import gradients

F32 = np.float32
GRID = np.unique(np.linspace(-14.0, 14.0, 100_001).astype(F32))
WIDE = np.concatenate([GRID, *(s * np.logspace(-44, 38, 1001) for s in (-1, 1))]).astype(F32)


def relative_error(found: Any, exact: Any) -> Any:
    """Return the relative error where the exact result is a normal number of float32."""
    normal = np.abs(exact) > 1.2e-38
    assert np.all(np.abs(found[~normal]) <= 1.3e-38)
    return np.where(normal, np.abs(found - exact) / np.where(normal, np.abs(exact), 1), 0)


def test_the_normal_distribution_in_float32_is_as_accurate_as_it_says() -> None:
    x = WIDE.astype(float)
    bound = 5e-7 + 3e-8 * np.minimum(np.abs(x), 15) ** 2
    assert np.all(relative_error(normal_cdf(WIDE), sp.ndtr(x)) <= bound)
    assert np.all(relative_error(gl.gelu(WIDE), x * sp.ndtr(x)) <= bound)
    ends = np.array([-np.inf, np.inf, np.nan, 0.0, -0.0], F32)
    for n in (1, 1000):
        np.testing.assert_array_equal(normal_cdf(np.repeat(ends, n))[::n], [0, 1, np.nan, 0.5, 0.5])
    for n in (1, 1000):
        half = normal_cdf(np.repeat(np.array([-2.0, 0.5], np.float16), n))
        assert half.dtype == np.float16
        np.testing.assert_allclose(half[::n], sp.ndtr([-2.0, 0.5]), rtol=1e-3)


def test_the_slope_of_gelu_in_float32_is_accurate() -> None:
    (found,) = gradients(gl.gelu, GRID)
    x = GRID.astype(float)
    exact = sp.ndtr(x) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    near = np.abs(exact) < 0.05  # where the two parts nearly cancel
    assert np.all(np.abs(found - exact) <= 2e-7)
    assert np.all(relative_error(found, exact)[~near] <= 4e-6)


def test_many_numbers_are_the_same_compiled_and_have_second_derivatives() -> None:
    x = GRID[::50]
    run = gl.value_and_grad(lambda x: np.sum(np.square(gl.gelu(x))))
    (value, slope), (same, slope_again) = run(x), gl.compile(run)(x)
    assert same == value
    np.testing.assert_array_equal(slope_again, slope)
    bend = gl.grad(lambda x: np.sum(gl.grad(lambda x: np.sum(gl.gelu(x)))(x)))(x)
    exact = (2 - x.astype(float) ** 2) * np.exp(-(x.astype(float) ** 2) / 2) / np.sqrt(2 * np.pi)
    assert bend.dtype == F32
    np.testing.assert_allclose(bend, exact, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("fn", "exact"),
    [
        (gl.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
        (gl.softplus, lambda x: -sp.log_expit(-x)),
        (gl.silu, lambda x: x * sp.expit(x)),
        (gl.sigmoid, sp.expit),
    ],
)
def test_float32_is_right_to_some_units_in_the_last_place(fn: Any, exact: Any) -> None:
    x = WIDE[np.abs(WIDE) > 1e-30]
    x = x[x > -87]
    assert np.max(relative_error(fn(x), exact(x.astype(float)))) < 4e-7


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_softmax_keeps_its_digits_whatever_the_size_of_its_inputs(scale: float, axis: int) -> None:
    x = (scale * np.random.default_rng(0).standard_normal((50, 20))).astype(F32)
    exact = sp.softmax(x.astype(float), axis)
    np.testing.assert_allclose(gl.softmax(x, axis), exact, rtol=2e-5, atol=1e-30)
    log = sp.log_softmax(x.astype(float), axis)
    np.testing.assert_allclose(gl.log_softmax(x, axis), log, rtol=3e-7, atol=1e-6)


def test_softmax_of_rows_that_need_to_be_shifted_and_rows_that_do_not() -> None:
    x = np.array([[0.0, -np.inf], [-1e9, -1e9], [500.0, 499.0], [np.nan, 0.0]], F32)
    expected = sp.softmax(x[:3].astype(float), -1)
    for run in (gl.softmax, gl.compile(gl.softmax)):
        np.testing.assert_allclose(run(x)[:3], expected, rtol=1e-6)
        assert np.isnan(run(x)[3]).all()
        np.testing.assert_allclose(run(np.zeros_like(x)), 0.5)  # a compiled one goes back
        np.testing.assert_allclose(run(x)[:3], expected, rtol=1e-6)


def test_softmax_of_every_layout_and_number_of_axes() -> None:
    x = np.random.default_rng(0).standard_normal((4, 6, 8)).astype(F32)
    exact, log = sp.softmax(x.astype(float), -1), sp.log_softmax(x.astype(float), -1)
    for array in (x, np.asfortranarray(x), np.repeat(x, 2, axis=2)[:, :, ::2]):
        for axis in (-1, 2):
            np.testing.assert_allclose(gl.softmax(array, axis), exact, rtol=1e-6)
            np.testing.assert_allclose(gl.log_softmax(array, axis), log, rtol=1e-6)


def test_softmax_of_small_and_of_confident_inputs_keeps_its_digits() -> None:
    for x in ([[0.0, 0.0], [-1e9, -1e9]], [[0.0, 0.0], [-40.0, -80.0]], [[30.0, 20.0]]):
        exact = sp.softmax(np.array(x), -1)
        np.testing.assert_allclose(gl.softmax(np.array(x, F32)), exact, rtol=1e-6)
        found, log = gl.log_softmax(np.array(x, F32)), sp.log_softmax(np.array(x), -1)
        np.testing.assert_allclose(found, log, rtol=1e-3)
