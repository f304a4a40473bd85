"""Elementwise functions: broadcasting, branches not taken, and where a formula would overflow."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradlite as gl
from gradlite.autodiff.rule import NON_DIFFERENTIABLE
from tests.helpers import Draw, few, gradients, leaves
from tests.specs.elementwise import ELEMENTWISE

SEVERAL = [
    pytest.param(spec, [arg.domain for arg in spec.calls[0].args], id=spec.name)
    for spec in ELEMENTWISE
    if len(spec.calls[0].args) > 1 and all(isinstance(a, Draw) for a in spec.calls[0].args)
]


@pytest.mark.parametrize(("spec", "domains"), SEVERAL)
@given(data=st.data())
@few(12)
def test_any_shapes_that_broadcast(spec: Any, domains: Any, data: Any) -> None:
    shapes = data.draw(
        hnp.mutually_broadcastable_shapes(
            num_shapes=len(domains), max_dims=3, min_side=0, max_side=3
        )
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    arrays = [
        np.asarray(domain(rng, shape))
        for domain, shape in zip(domains, shapes.input_shapes, strict=True)
    ]
    free = [i for i, x in enumerate(arrays) if x.dtype.kind == "f"]

    def f(*xs: Any) -> Any:
        full: list[Any] = list(arrays)
        for i, x in zip(free, xs, strict=True):
            full[i] = x
        return spec.fn(*full)

    assert f(*leaves(*(arrays[i] for i in free))).shape == shapes.result_shape
    gl.check_grads(f, [arrays[i] for i in free], order=2)


# -- branches not taken -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inner", "slope"),
    [
        (np.log, 0.5),
        (np.sqrt, 1 / np.sqrt(8.0)),
        (np.log1p, 1 / 3.0),
        (np.reciprocal, -0.25),
        (lambda x: 1.0 / x, -0.25),
        (lambda x: x**-2, -0.25),
        (lambda x: x**0.5, 1 / np.sqrt(8.0)),
        (lambda x: x * np.log(x), 1 + np.log(2.0)),
        (lambda x: np.sqrt(np.log(x)), 0.25 / np.sqrt(np.log(2.0))),
        (lambda x: np.exp(1.0 / x), -0.25 * np.exp(0.5)),
        (np.arctanh, None),
        (np.arccosh, None),
        (np.arcsin, None),
    ],
)
def test_the_branch_that_where_does_not_take_leaves_no_nan(inner: Any, slope: Any) -> None:
    bad = -1.0 if slope is None or inner is np.log1p else 0.0
    x = np.array([bad, 2.0 if slope is not None else (1.5 if inner is np.arccosh else 0.5)])
    mask = np.array([False, True])
    with np.errstate(all="ignore"):  # the forward pass does compute log(0)
        (found,) = gradients(lambda x: np.where(mask, inner(x), 0.0), x)
    assert found[0] == 0
    assert np.isfinite(found[1])
    if slope is not None:
        np.testing.assert_allclose(found[1], slope)


def test_the_branch_that_indexing_does_not_take_leaves_no_nan() -> None:
    with np.errstate(divide="ignore"):
        (found,) = gradients(lambda x: np.log(x)[1:], np.array([0.0, 2.0]))
    np.testing.assert_allclose(found, [0.0, 0.5])


def test_the_branch_not_taken_leaves_no_nan_in_the_second_derivative() -> None:
    def f(x: Any) -> Any:
        return np.sum(np.where(x > 0, x * np.log(x), 0.0))

    with np.errstate(all="ignore"):
        hessian = gl.hessian(f)(np.array([0.0, 2.0]))
    np.testing.assert_allclose(hessian, np.diag([0.0, 0.5]))


def test_a_pole_that_is_taken_shows() -> None:
    with np.errstate(divide="ignore"):
        (found,) = gradients(np.log, np.array([0.0]))
    assert np.isinf(found[0])


# -- far out ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "values"),
    [
        (gl.relu, [0.0, 1000.0]),
        (gl.leaky_relu, [-10.0, 1000.0]),
        (gl.elu, [-1.0, 1000.0]),
        (gl.sigmoid, [0.0, 1.0]),
        (gl.softplus, [0.0, 1000.0]),
        (gl.silu, [0.0, 1000.0]),
        (gl.gelu, [0.0, 1000.0]),
        (gl.erf, [-1.0, 1.0]),
        (np.tanh, [-1.0, 1.0]),
    ],
)
def test_activations_are_finite_at_1000_in_float32(fn: Any, values: Any) -> None:
    (x,) = leaves(np.array([-1000.0, 1000.0], np.float32))
    output = fn(x)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output.data, values, rtol=1e-6, atol=1e-30)


def test_sinc_has_no_seam_between_series_and_quotient() -> None:
    x = np.linspace(0.005, 0.3, 200)
    u = np.longdouble(np.pi) * x.astype(np.longdouble)
    expected = np.pi * (np.cos(u) / u - np.sin(u) / u**2)
    np.testing.assert_allclose(gradients(np.sinc, x)[0], expected.astype(float), rtol=1e-11)


def test_sigmoid_keeps_its_small_slopes() -> None:
    x = np.array([-30.0, -5.0, 5.0])
    np.testing.assert_allclose(gradients(gl.sigmoid, x)[0], 0.25 / np.cosh(x / 2) ** 2, rtol=1e-10)


# -- what gives plain arrays ------------------------------------------------------------------


@pytest.mark.parametrize(
    "fn",
    [
        np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
        np.logical_and, np.logical_or, np.logical_xor, np.isclose,
    ],
)  # fmt: skip
def test_comparisons_return_plain_booleans(fn: Any) -> None:
    a, b = np.array([1.0, 2.0, 0.0]), np.array([1.0, 0.0, 3.0])
    x, y = leaves(a, b)
    for output in (fn(x, y), fn(x, b), fn(a, y)):
        assert type(output) is np.ndarray
        np.testing.assert_array_equal(output, fn(a, b))


@pytest.mark.parametrize("fn", [np.isnan, np.isinf, np.isfinite, np.signbit, np.logical_not])
def test_tests_of_numbers_return_plain_booleans(fn: Any) -> None:
    a = np.array([np.nan, -np.inf, 0.0])
    output = fn(*leaves(a))
    assert type(output) is np.ndarray
    np.testing.assert_array_equal(output, fn(a))


def test_plain_functions_have_no_rule() -> None:
    assert not {spec.fn for spec in ELEMENTWISE} & NON_DIFFERENTIABLE


# -- the names and forms that users write -----------------------------------------------------


def test_synonyms_are_one_function() -> None:
    assert np.abs is np.absolute
    assert np.mod is np.remainder
    x = np.array([-1.5, 2.5])
    np.testing.assert_array_equal(gradients(np.acos, x / 3)[0], gradients(np.arccos, x / 3)[0])


NUMPY_2_1 = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="np.clip has min= and max= since 2.1"
)


@pytest.mark.parametrize(
    ("form", "slope"),
    [
        (lambda x: np.clip(x, 0, 1), [0.0, 1.0, 0.0]),
        (lambda x: np.clip(x, a_min=0, a_max=None), [0.0, 1.0, 1.0]),
        pytest.param(lambda x: np.clip(x, min=0), [0.0, 1.0, 1.0], marks=NUMPY_2_1),
        pytest.param(lambda x: np.clip(x, max=1), [1.0, 1.0, 0.0], marks=NUMPY_2_1),
        (lambda x: x.clip(0, 1), [0.0, 1.0, 0.0]),
        (lambda x: x.clip(max=1), [1.0, 1.0, 0.0]),
    ],
)
def test_clip_in_all_its_forms(form: Any, slope: Any) -> None:
    np.testing.assert_array_equal(gradients(form, np.array([-0.5, 0.5, 1.5]))[0], slope)


def test_integers_beside_a_tensor_are_constants() -> None:
    x = np.array([1.5, 2.5])
    np.testing.assert_allclose(gradients(lambda x: np.multiply(np.arange(2), x), x)[0], [0.0, 1.0])
    np.testing.assert_allclose(gradients(lambda x: np.power(x, [2, 3]), x)[0], [3.0, 18.75])
    np.testing.assert_allclose(gradients(lambda x: np.where([1, 0], x, 0), x)[0], [1.0, 0.0])


@pytest.mark.parametrize("size", [3, 2047, 2048, 2**15, 2**15 + 1, 100_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_of_arrays_of_every_size(size, dtype):
    x = np.random.default_rng(0).normal(size=size).astype(dtype)
    x[1] = np.nan
    before = x.copy()
    for array in (x, x[::2], x[: size // 2 * 2].reshape(2, -1)):
        ans = gl.relu(array)
        np.testing.assert_array_equal(ans, np.where(array < 0, 0, array))
        assert ans.dtype == dtype
        assert ans.shape == array.shape
    np.testing.assert_array_equal(x, before)
