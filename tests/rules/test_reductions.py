"""Reductions: what they refuse, ties and zeros to higher order, precision far out."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradlite as gl
from gradlite.autodiff.rule import RULES
from gradlite.errors import MissingRuleError, ShapeError
from tests.helpers import few, gradients, leaves
from tests.specs.kit import R, real


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "std", "max", "min"])
@given(data=st.data())
@few(8)
def test_any_axes_of_any_shape(name: str, data: Any) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4)))
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1)))
    axis = tuple(a - len(shape) * data.draw(st.booleans()) for a in axes)
    keepdims = data.draw(st.booleans())
    if name == "std" and np.prod([shape[a] for a in axes]) == 1:
        return  # of one number, std is a corner
    x = np.random.default_rng(len(shape)).permutation(np.prod(shape)).reshape(shape) * 0.1 + 0.55

    def f(x: Any) -> Any:
        return getattr(np, name)(x, axis=axis, keepdims=keepdims)

    assert f(*leaves(x)).shape == f(x).shape
    gl.check_grads(f, (x,), order=2, rtol=1e-5)


@pytest.mark.parametrize(
    "form",
    [
        lambda x: np.sum(x, 0),
        lambda x: np.sum(a=x, axis=0),
        lambda x: x.sum(0),
        lambda x: x.sum(axis=0),
        lambda x: np.add.reduce(x),
        lambda x: np.mean(x, axis=0, keepdims=True) * 2.0,
        lambda x: sum(x),
    ],
)
def test_a_sum_in_all_its_forms(form: Any) -> None:
    np.testing.assert_array_equal(gradients(form, np.ones((2, 3)))[0], np.ones((2, 3)))


# -- zeros and ties to higher order -----------------------------------------------------------


def test_the_third_derivative_of_a_product_with_zeros() -> None:
    hessian = gl.hessian(np.prod)
    third = gl.jacobian(hessian)(np.zeros(3))
    expected = np.zeros((3, 3, 3))
    for i, j, k in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]:
        expected[i, j, k] = 1
    np.testing.assert_array_equal(third, expected)


@pytest.mark.parametrize(("tiny", "dtype"), [(1e-25, np.float32), (1e-200, np.float64)])
def test_the_second_derivative_of_a_product_with_a_tiny_factor(tiny: float, dtype: Any) -> None:
    hessian = gl.hessian(np.prod)(np.array([tiny, 2.0, 3.0], dtype))
    np.testing.assert_allclose(hessian, [[0, 3, 2], [3, 0, tiny], [2, tiny, 0]], atol=1e-6)


def test_the_variance_of_one_number_has_the_gradient_nan_where_numpy_has_nan() -> None:
    (x,) = leaves(np.array([[1.0], [2.0]]))
    with (
        pytest.warns(RuntimeWarning, match="Degrees of freedom"),
        np.errstate(invalid="ignore"),  # NumPy's 0 / 0
    ):
        output = np.var(x, axis=1, ddof=1)
    output.backward(np.ones(2))
    assert np.isnan(x.grad).all()


@pytest.mark.parametrize("axis", [(0, 1), (1, 0)])
def test_weights_of_an_average_may_have_the_shape_of_the_axes(axis: Any) -> None:
    x = np.arange(12.0).reshape(2, 3, 2)
    weights = np.arange(1.0, 7.0).reshape([x.shape[a] for a in axis])
    expected = np.average(x, axis=axis, weights=weights)
    np.testing.assert_allclose(np.average(*leaves(x), axis=axis, weights=weights).data, expected)


def test_ties_share_along_each_row_apart() -> None:
    x = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]])
    expected = [[0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(gradients(lambda x: np.max(x, axis=1), x)[0], expected)
    np.testing.assert_allclose(gradients(lambda x: -np.min(-x, axis=1), x)[0], expected)


def test_the_range_of_a_constant_has_no_slope() -> None:
    np.testing.assert_array_equal(gradients(np.ptp, np.full(4, 3.0))[0], np.zeros(4))


def test_a_norm_of_rows_is_finite_where_a_row_is_zero() -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    for order in (None, 1, 2, 3):
        found = gradients(lambda x, p=order: np.linalg.norm(x, p, axis=1), x)[0]
        np.testing.assert_array_equal(found[0], [0.0, 0.0])
        assert np.isfinite(found).all()


def test_a_norm_of_a_masked_row_is_finite() -> None:
    def f(x: Any) -> Any:
        return np.sum(np.where([False, True], np.linalg.norm(x, axis=1), 0.0))

    hessian = gl.hessian(f)(np.array([[0.0, 0.0], [3.0, 4.0]]))
    assert np.isfinite(hessian).all()


# -- nothing to reduce --------------------------------------------------------------------------

ORDERS = [None, 2, 1, 0, -1, -2, 3, 0.5, np.inf, -np.inf, "fro", "nuc"]


def numpys(fn: Any, *args: Any, **kwargs: Any) -> Any:
    """Return NumPy's result, or its error; of the norm 0 ** -1, which is infinite, it warns."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(fn(*args, **kwargs))
    except (ValueError, np.linalg.LinAlgError) as error:
        return error


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 0), (2, 0, 3), (2, 3, 0), (0, 2, 3)])
def test_norms_of_empty_arrays_are_numpys(shape: Any, order: Any) -> None:
    for axis in (None, 0, -1, (0, 1), (-2, -1)):
        for keepdims in (False, True):
            x = np.zeros(shape)
            expected = numpys(np.linalg.norm, x, order, axis, keepdims)
            (leaf,) = leaves(x)
            if isinstance(expected, Exception):
                with pytest.raises(type(expected)):
                    np.linalg.norm(leaf, order, axis, keepdims)
                continue
            with np.errstate(all="ignore"):
                found = np.linalg.norm(leaf, order, axis, keepdims)
            np.testing.assert_array_equal(found.data, expected)
            found.backward(np.ones(found.shape))
            assert leaf.grad.shape == shape


@pytest.mark.parametrize(
    ("norm", "options"),
    [(np.linalg.vector_norm, {"ord": -1}), (np.linalg.matrix_norm, {"ord": 2})],
)
def test_norms_of_the_array_api_of_empty_arrays(norm: Any, options: Any) -> None:
    x = np.zeros((2, 0))
    expected = numpys(norm, x, **options)
    (leaf,) = leaves(x)
    if isinstance(expected, Exception):
        with pytest.raises(type(expected)):
            norm(leaf, **options)
    else:
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(norm(leaf, **options).data, expected)


@pytest.mark.parametrize("fn", [gl.softmax, gl.log_softmax])
@pytest.mark.parametrize(("shape", "axis"), [((2, 0), -1), ((0, 2), 0), ((0,), 0), ((2, 0), None)])
def test_a_soft_maximum_of_nothing_is_nothing(fn: Any, shape: Any, axis: Any) -> None:
    for x in (np.zeros(shape), np.zeros(shape, np.float32)):
        assert fn(x, axis=axis).shape == shape
        assert fn(x, axis=axis).dtype == x.dtype
        assert gradients(lambda x: fn(x, axis=axis), x)[0].shape == shape
    with pytest.raises(np.exceptions.AxisError):
        fn(np.zeros(shape), axis=2)


def test_the_log_of_a_sum_of_nothing() -> None:
    np.testing.assert_array_equal(gl.logsumexp(np.zeros((2, 0)), axis=1), [-np.inf, -np.inf])
    assert gradients(lambda x: gl.logsumexp(x, axis=1), np.zeros((2, 0)))[0].shape == (2, 0)


@pytest.mark.parametrize("shape", [(2, 0), ()])
def test_a_cross_entropy_needs_classes(shape: Any) -> None:
    (x,) = leaves(np.zeros(shape))
    for target in (np.zeros(shape), np.zeros(shape[:-1], int)):
        with pytest.raises(ShapeError, match=r"logits of shape \(.*\) have no classes"):
            gl.cross_entropy(x, target)


@pytest.mark.parametrize("fn", [np.max, np.min, np.ptp, np.argmax, np.argmin])
def test_extremes_of_nothing_are_numpys_error(fn: Any) -> None:
    (x,) = leaves(np.zeros((2, 0)))
    expected = numpys(fn, x.data, axis=1)
    with pytest.raises(type(expected), match=str(expected)):
        fn(x, axis=1)


# -- precision --------------------------------------------------------------------------------


def test_ties_are_counted_in_whole_numbers() -> None:
    """A sum of ones stands still at 2048 in float16, at 2**24 in float32."""
    (vjp,) = RULES[np.max].vjps
    g, a = np.ones(2, np.float16), np.broadcast_to(np.float16(1), (5000, 2))
    np.testing.assert_allclose(vjp(g, g, a, axis=0), 1 / 5000, rtol=1e-3)


def test_the_weights_of_logsumexp_sum_to_one_far_out() -> None:
    x = np.array([1000.0, 1000.5, 999.0], np.float32)
    np.testing.assert_allclose(gradients(gl.logsumexp, x)[0].sum(), 1.0, rtol=2e-4)


def test_log_softmax_keeps_small_probabilities() -> None:
    x = np.array([0.0, 200.0], np.float32)
    np.testing.assert_array_equal(gl.log_softmax(x), [-200.0, 0.0])


@pytest.mark.parametrize("axis", [0, -1, (0, 2), None])
def test_softmax_sums_to_one(axis: Any) -> None:
    x = R(2, 3, 4)
    p = gl.softmax(100 * real(np.random.default_rng(0), x.shape), axis=axis)
    np.testing.assert_allclose(p.sum(axis=axis), 1.0)


def test_a_masked_softmax_is_differentiable() -> None:
    x = np.array([1.0, 2.0, -np.inf])

    def f(x: Any) -> Any:
        return gl.softmax(x)[0]

    (found,) = gradients(f, x)
    p = 1 / (1 + np.e)
    np.testing.assert_allclose(found, [p * (1 - p), -p * (1 - p), 0.0])


# -- what they refuse -------------------------------------------------------------------------


@pytest.mark.parametrize("order", [0, "fro", "nuc"])
def test_a_vector_norm_without_a_derivative_is_refused(order: Any) -> None:
    (x,) = leaves(np.ones(3))
    with pytest.raises(MissingRuleError, match=r"np\.linalg\.norm.*ord"):
        np.linalg.norm(x, order)


def test_weights_that_do_not_fit_are_refused_with_both_shapes() -> None:
    (x,) = leaves(np.ones((2, 3)))
    with pytest.raises(TypeError, match=r"(?s)\(2, 3\).*\(4,\)"):
        np.average(x, axis=1, weights=np.ones(4))
    with pytest.raises(ZeroDivisionError):
        np.average(x, axis=1, weights=np.zeros(3))


@pytest.mark.parametrize("fn", [np.sum, np.mean, np.max, np.prod, np.median, gl.logsumexp])
def test_an_axis_that_is_not_there_is_numpys_error(fn: Any) -> None:
    (x,) = leaves(np.ones((2, 3)))
    with pytest.raises((np.exceptions.AxisError, IndexError)):
        fn(x, axis=2)


@pytest.mark.parametrize("fn", [np.argmax, np.argmin, np.any, np.all, np.count_nonzero])
def test_searches_and_counts_return_plain_arrays(fn: Any) -> None:
    a = np.array([[0.0, 2.0], [3.0, 1.0]])
    (x,) = leaves(a)
    output = fn(x, axis=1)
    assert type(output) is np.ndarray
    np.testing.assert_array_equal(output, fn(a, axis=1))
