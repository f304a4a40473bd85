"""Every rule in every memory layout: strides, order and permission to write change no gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite.autodiff.rules.convolution import conv2d
from gradlite.autodiff.rules.pooling import max_pool2d
from gradlite.autodiff.rules.sparse import embedding
from gradlite.errors import MissingRuleError
from tests.helpers import LAYOUTS, STRIDE_0, Layout, as_one, gradients, leaves
from tests.rules.test_every_rule import CALLS

NEAR: dict[Any, dict[str, float]] = {
    np.float64: {"rtol": 1e-9, "atol": 1e-11},
    np.float32: {"rtol": 1e-3, "atol": 1e-4},
}


def contiguous(layout: Layout) -> Layout:
    """Make the layout of the same elements side by side, in C order."""
    return lambda x: np.array(layout(x), order="C")


def weights(x: Any) -> Any:
    return np.cos(np.arange(x.size)).reshape(x.shape).astype(x.dtype)


def taken(xs: list[Any]) -> list[Any]:
    """Take the gradients away from their leaves."""
    found = [None if x.grad is None else np.array(x.grad) for x in xs]
    for x in xs:
        x.zero_grad()
    return found


def derivatives(spec: Any, call: Any, dtype: Any, layout: Layout) -> tuple[list[Any], list[Any]]:
    """Return the gradients, and those of their weighted sum, with every array in a layout."""
    points, run = call.draw(dtype, layout=layout)
    memory = [x if x.base is None else x.base for x in points]
    before = [x.copy() for x in memory]
    xs = leaves(*points)
    output = as_one(run(spec.fn, *xs))
    cotangent = layout(np.random.default_rng(1).standard_normal(output.shape).astype(output.dtype))
    known = np.array(cotangent)
    output.backward(cotangent, retain_graph=True)
    first = taken(xs)
    output.backward(cotangent, create_graph=spec.order > 1)  # into the buffers, if not recorded
    second: list[Any] = []
    if spec.order > 1:
        recorded = [x.grad for x in xs]
        for x in xs:
            x.grad = None
        compare(first, [None if g is None else g.data for g in recorded], dtype)
        parts = [np.sum(g * weights(g)) for g in recorded if g is not None and g.requires_grad]
        if parts:
            sum(parts).backward()
            second = taken(xs)
    else:
        compare(first, taken(xs), dtype)
    np.testing.assert_array_equal(cotangent, known)
    for now, then in zip(memory, before, strict=True):
        np.testing.assert_array_equal(now, then)
    return first, second


def compare(found: list[Any], expected: list[Any], dtype: Any) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, **NEAR[dtype])


def or_none(compute: Callable[..., Any], *args: Any) -> Any:
    """Compute, or give None where NumPy refuses a singular matrix."""
    try:
        with np.errstate(all="ignore"):
            return compute(*args)
    except np.linalg.LinAlgError:
        return None


@pytest.mark.parametrize(("spec", "call"), CALLS)
def test_derivatives_are_the_same_in_every_memory_layout(spec: Any, call: Any) -> None:
    for dtype in (np.float64, np.float32):
        expected = derivatives(spec, call, dtype, contiguous(np.asarray))
        for layout in LAYOUTS.values():
            for found, right in zip(derivatives(spec, call, dtype, layout), expected, strict=True):
                compare(found, right, dtype)


@pytest.mark.parametrize(("spec", "call"), CALLS)
def test_derivatives_at_repeated_elements_are_those_of_copies(spec: Any, call: Any) -> None:
    for layout in STRIDE_0.values():
        expected = or_none(derivatives, spec, call, np.float64, contiguous(layout))
        found = or_none(derivatives, spec, call, np.float64, layout)
        assert (found is None) == (expected is None)
        for one, other in zip(found or (), expected or (), strict=True):
            compare(one, other, np.float64)


# -- where many elements take another way ---------------------------------------------------------

ROWS = np.random.default_rng(1).integers(0, 40, 500)


def cross_entropy_of_last(z: Any) -> Any:
    return gl.cross_entropy(z, np.arange(len(z)) + z.shape[1] - len(z))


LARGE: dict[str, tuple[Any, tuple[tuple[int, ...], ...]]] = {
    "relu": (gl.relu, ((40, 60),)),
    "relu, in parts": (gl.relu, ((300, 150),)),
    "cross_entropy of many classes": (cross_entropy_of_last, ((4, 70),)),
    "mse": (gl.mse, ((50, 90), (50, 90))),
    "mse, three axes": (gl.mse, ((3, 50, 30), (3, 50, 30))),
    "affine of many rows": (gl.affine, ((66000, 1), (1, 2), (2,))),
    "affine of stacks": (gl.affine, ((3, 30, 4), (4, 2), (2,))),
    "convolution in parts": (conv2d, ((5, 3, 80, 80), (2, 3, 3, 3))),
    "pooling": (lambda x: max_pool2d(x, 2), ((3, 2, 30, 31),)),
    "embedding": (lambda w: embedding(w, indices=ROWS), ((40, 3),)),
    "softmax": (gl.softmax, ((30, 80),)),
    "getitem": (lambda x: x[ROWS], ((40, 3),)),
    "sum over an axis": (lambda x: np.sum(x, axis=0), ((300, 70),)),
}


@pytest.mark.parametrize(("fn", "shapes"), LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_large_arrays_too(fn: Any, shapes: Any, layout: Layout) -> None:
    rng = np.random.default_rng(0)
    points = [rng.standard_normal(shape) for shape in shapes]
    cotangent = rng.standard_normal(np.shape(fn(*points)))
    expected = gradients(fn, *points, cotangent=cotangent)
    found = gradients(fn, *map(layout, points), cotangent=layout(cotangent))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)


# -- orders that ask for the layout, and functions that write -------------------------------------


@pytest.mark.parametrize("order", ["A", "K"])
def test_an_order_that_depends_on_memory_is_refused(order: Any) -> None:
    (x,) = leaves(np.array([[1.0, 2.0], [3.0, 4.0]], order="F"))
    for call in (
        lambda: np.ravel(x, order),
        lambda: x.ravel(order),
        lambda: np.reshape(x, 4, order=order),
        lambda: x.reshape(4, order=order),
    ):
        with pytest.raises(MissingRuleError, match=rf"order='C' or 'F', not '{order}'"):
            call()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_order_of_ravel_is_that_of_the_axes(layout: Layout) -> None:
    x, weight = np.arange(6.0).reshape(2, 3), np.arange(6.0)
    for order, expected in (("C", weight.reshape(2, 3)), ("F", weight.reshape(3, 2).T)):
        found = gradients(lambda x, order=order: np.ravel(x, order) * weight, layout(x))
        np.testing.assert_array_equal(found[0], expected)


def test_replacing_nan_in_place_is_refused() -> None:
    a = np.array([1.0, np.nan])
    (x,) = leaves(a)
    with pytest.raises(MissingRuleError, match="copy=False"):
        np.nan_to_num(x, copy=False)
    assert np.isnan(a[1])
    np.testing.assert_array_equal(gradients(lambda x: np.nan_to_num(x, copy=True), a)[0], [1, 0])


def test_clipping_without_bounds_gives_a_copy() -> None:
    (x,) = leaves(np.ones(3))
    assert not np.shares_memory(np.clip(x, None, None).data, x.data)


# -- numbers whose bytes come the other way -------------------------------------------------------


@pytest.mark.parametrize("dtype", [">i8", ">i2", "<i4", ">u4", "u8", ">u8", "i1", "u1"])
def test_classes_and_indices_may_be_of_any_integer_type(dtype: str) -> None:
    z, y = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 2, 1, 2])
    for f in (
        lambda z, y: gl.cross_entropy(z, y),
        lambda z, y: gl.hinge(z, y),
        lambda z, y: embedding(z, indices=y) * np.arange(1.0, 4.0),
        lambda z, y: z[y],
    ):
        found = gradients(lambda z, f=f: f(z, y.astype(dtype)), z)
        np.testing.assert_array_equal(found, gradients(lambda z, f=f: f(z, y), z))


@pytest.mark.parametrize("dtype", [">i4", "i8"])
def test_classes_that_do_not_exist_are_refused_in_any_byte_order(dtype: str) -> None:
    z = np.zeros((2, 3))
    for wrong in (-1, 3):
        y = np.array([0, wrong], dtype)
        for f in (gl.cross_entropy, gl.hinge, lambda z, y: embedding(z, indices=y)):
            with pytest.raises(IndexError, match=r"must be from 0 to"):
                f(z, y)


@pytest.mark.parametrize("dtype", [">f4", ">f8"])
def test_real_numbers_in_the_other_byte_order_keep_their_type(dtype: str) -> None:
    rng = np.random.default_rng(0)
    points = [rng.standard_normal(shape).astype(dtype) for shape in ((5, 3), (3, 2), (2,))]

    def f(x: Any, W: Any, b: Any) -> Any:
        return gl.cross_entropy(np.tanh(gl.affine(x, W, b)), np.array([0, 1, 0, 1, 1]))

    found = gradients(f, *points)
    expected = gradients(f, *(x.astype(x.dtype.newbyteorder("=")) for x in points))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(one, other, rtol=1e-5)
