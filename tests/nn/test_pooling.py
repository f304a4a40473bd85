"""Pooling: loops written out, PyTorch's numbers, options as users give them, what is refused."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.autodiff.rules.pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from gradlite.errors import ShapeError
from tests.helpers import nodes_behind
from tests.nn.compiled import assert_trains_alike_compiled
from tests.nn.torch_numbers import POOLING, observed

RNG = np.random.default_rng


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return RNG(seed).standard_normal(shape)


def pair(value: Any) -> Any:
    return value if isinstance(value, tuple) else (value, value)


# -- windows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 1, (0, 1)])
@pytest.mark.parametrize("stride", [None, 1, (1, 3)])
@pytest.mark.parametrize("kernel", [2, (3, 2)])
def test_pooling_by_loops(kernel: Any, stride: Any, padding: Any) -> None:
    x = normal(2, 3, 7, 6)
    (kh, kw), (py, px) = pair(kernel), pair(padding)
    sy, sx = pair(kernel if stride is None else stride)
    around = ((0, 0), (0, 0), (py, py), (px, px))
    lowest, zero = (np.pad(x, around, constant_values=v) for v in (-np.inf, 0.0))
    rows, places = (7 + 2 * py - kh) // sy + 1, (6 + 2 * px - kw) // sx + 1
    largest, mean = np.empty((2, 2, 3, rows, places))
    for r, s in product(range(rows), range(places)):
        part = (..., slice(r * sy, r * sy + kh), slice(s * sx, s * sx + kw))
        largest[..., r, s] = lowest[part].max((2, 3))
        mean[..., r, s] = zero[part].sum((2, 3)) / (kh * kw)
    np.testing.assert_array_equal(max_pool2d(x, kernel, stride, padding), largest)
    np.testing.assert_allclose(avg_pool2d(x, kernel, stride, padding), mean, atol=1e-15)


def test_maxima_of_a_dilated_window() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(max_pool2d(-x, 2, 1, 0, 2), [[[[0, -1], [-4, -5]]]])


@pytest.mark.parametrize("kernel", [2, 3, 17])
def test_of_ties_the_first_gets_the_gradient(kernel: int) -> None:
    x = gl.Tensor(np.zeros((1, 2, kernel, kernel)), requires_grad=True)
    max_pool2d(x, kernel).backward(np.array([3.0, 5.0]).reshape(1, 2, 1, 1))
    expected = np.zeros(x.shape)
    expected[0, :, 0, 0] = 3, 5
    np.testing.assert_array_equal(x.grad, expected)


def test_an_element_that_is_the_maximum_of_several_windows_collects_their_gradients() -> None:
    image = np.zeros((1, 1, 3, 3))
    image[..., 1, 1] = 1
    x = gl.Tensor(image, requires_grad=True)
    max_pool2d(x, 2, stride=1).backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    np.testing.assert_array_equal(x.grad, 10 * image)


def test_only_the_maximum_gets_a_gradient_however_steep_it_is() -> None:
    x = gl.Tensor(np.array([[[[0.0, 1.0], [2.0, 4.0]]]]), requires_grad=True)
    with np.errstate(divide="ignore"):
        max_pool2d(np.log(x), 2).sum().backward()
    np.testing.assert_array_equal(x.grad, [[[[0, 0], [0, 0.25]]]])


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
def test_pooling_refuses_what_does_not_fit(pool: Any) -> None:
    name = pool.__name__
    with pytest.raises(ShapeError, match=rf"{name}.*\(n, channels, height, width\).*not \(4, 4\)"):
        pool(np.ones((4, 4)), 2)
    with pytest.raises(ShapeError, match=rf"{name}.*\(5, 5\).*larger than .*\(1, 1, 4, 4\)"):
        pool(np.ones((1, 1, 4, 4)), 5)
    with pytest.raises(ValueError, match=rf"{name}.*padding \(2, 2\) is more than half"):
        pool(np.ones((1, 1, 4, 4)), 3, padding=2)
    with pytest.raises(ValueError, match=rf"{name}: kernel_size .*not 0"):
        pool(np.ones((1, 1, 4, 4)), 0)


def test_a_row_is_pooled_like_an_image_of_one_row() -> None:
    x = normal(2, 3, 9)
    images, options = x[:, :, None], (2, 1, True)
    expected = max_pool2d(images, (1, 3), (1, 2), (0, 1), 1, True)[:, :, 0]
    np.testing.assert_array_equal(max_pool1d(x, 3, 2, 1, ceil_mode=True), expected)
    expected = avg_pool2d(images, (1, 3), (1, 2), (0, 1), True)[:, :, 0]
    np.testing.assert_allclose(avg_pool1d(x, 3, *options), expected)


def test_what_ceil_mode_adds_is_not_counted() -> None:
    x = np.array([[2.0, 4.0, 6.0]])
    np.testing.assert_array_equal(avg_pool1d(x, 2, ceil_mode=True), [[3, 6]])
    np.testing.assert_array_equal(avg_pool1d(x, 2, 2, 1, True, True), [[1, 5]])
    np.testing.assert_array_equal(avg_pool1d(x, 2, 2, 1, True, False), [[2, 5]])


def test_ceil_mode_leaves_out_a_window_that_would_begin_in_the_padding() -> None:
    x = np.arange(5.0)[None]
    np.testing.assert_array_equal(max_pool1d(x, 2, 3, 1, ceil_mode=True), [[0, 3]])
    assert max_pool1d(x, 2, 4, 1, ceil_mode=True).shape == (1, 2)
    assert max_pool1d(x[:, :4], 1, 4, ceil_mode=True).shape == (1, 1)


def test_of_ties_in_overlapping_parts_the_first_gets_the_gradient() -> None:
    x = gl.Tensor(np.zeros((1, 1, 5)), requires_grad=True)
    nn.AdaptiveMaxPool1d(3)(x).backward(np.array([[[1.0, 2.0, 4.0]]]))
    np.testing.assert_array_equal(x.grad, [[[1, 2, 0, 4, 0]]])


# -- layers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "shape", "expected"), POOLING)
def test_layers_give_torchs_numbers(call: str, shape: Any, expected: Any) -> None:
    np.testing.assert_allclose(observed(call, shape), expected, rtol=1e-8, atol=1e-9)


LAYERS = [
    (nn.MaxPool1d(2), (2, 3, 5)),
    (nn.MaxPool2d(2, ceil_mode=True), (2, 3, 5, 5)),
    (nn.AvgPool1d(2), (2, 3, 5)),
    (nn.AvgPool2d(3, 1, 1), (2, 3, 4, 4)),
    (nn.AvgPool2d(3, 2, 1, True, False), (2, 3, 4, 4)),
    (nn.AdaptiveAvgPool1d(3), (2, 3, 7)),
    (nn.AdaptiveAvgPool2d((3, 2)), (2, 3, 7, 4)),
    (nn.AdaptiveMaxPool1d(3), (2, 3, 7)),
    (nn.AdaptiveMaxPool2d((3, 2)), (2, 3, 7, 4)),
    (nn.Upsample(scale_factor=2), (2, 3, 4, 4)),
    (nn.Upsample((5, 7), mode="bilinear"), (2, 3, 4, 4)),
    (nn.Flatten(0, 1), (2, 3, 4)),
    (nn.Unflatten(1, (3, -1)), (2, 6)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_float32_stays_float32_also_compiled(layer: Any, shape: Any) -> None:
    def loss(x: Any) -> Any:
        return (layer(x) ** 2).sum()

    x = normal(*shape).astype(np.float32)
    assert layer(x).dtype == np.float32
    expected = gl.grad(loss)(x)
    assert expected.dtype == np.float32
    np.testing.assert_allclose(gl.compile(gl.grad(loss))(x), expected, rtol=1e-5)


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_gradients_of_both_orders(layer: Any, shape: Any) -> None:
    gl.check_grads(lambda x: layer(x) ** 2, (normal(*shape)[:1],), order=2)


def test_a_pool_is_one_operation() -> None:
    for layer in (nn.MaxPool2d(2), nn.AvgPool2d(2)):
        x = gl.Tensor(normal(1, 1, 4, 4), requires_grad=True)
        assert len(list(nodes_behind(layer(x)))) == 1


def test_integers_are_averaged_as_floats() -> None:
    x = np.array([[[100, 101, 110]]], np.int8)
    np.testing.assert_allclose(nn.AdaptiveAvgPool1d(1)(x), [[[311 / 3]]])
    np.testing.assert_array_equal(nn.Upsample(6, mode="linear")(x)[0, 0, 1:3], [100.25, 100.75])


@pytest.mark.parametrize("kind", ["MaxPool1d", "MaxPool2d", "AdaptiveMaxPool1d"])
def test_indices_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=f"{kind}: return_indices=True is not available"):
        getattr(nn, kind)(2, return_indices=True)


@pytest.mark.parametrize(
    ("layer", "shape", "error", "message"),
    [
        (nn.AdaptiveAvgPool2d(2), (3, 3), ShapeError, r"adaptive_avg_pool2d.*not \(3, 3\)"),
        (nn.AdaptiveMaxPool1d(0), (1, 3), ValueError, "output_size must be .* at least 1"),
        (nn.AdaptiveAvgPool2d((1, 2, 3)), (1, 3, 3), ValueError, "output_size must be"),
        (nn.AdaptiveAvgPool1d(2), (1, 1, 0), ShapeError, "nothing to pool"),
        (nn.Upsample(2, mode="bilinear"), (1, 1, 3), ShapeError, "'bilinear' does not take"),
        (nn.Upsample((2, 2)), (1, 1, 3), ValueError, "not a number for each"),
        (nn.Upsample(scale_factor=0.1), (1, 1, 3), ShapeError, "no output of size"),
        (nn.Flatten(2), (3, 3), ShapeError, r"Flatten\(2\) got .* \(3, 3\): no such axes"),
        (nn.Flatten(1, 0), (3, 3), ShapeError, "no such axes"),
        (nn.Unflatten(1, (2, 2)), (3, 3), ShapeError, r"axis 1 cannot be split into \(2, 2\)"),
        (nn.Unflatten(1, (2, -1)), (3, 3), ShapeError, "cannot be split"),
        (nn.Unflatten(2, (3,)), (3, 3), ShapeError, "cannot be split"),
        (nn.Dropout1d(), (3,), ShapeError, r"expected \(n, channels, length\)"),
        (nn.Dropout2d(), (3, 3, 3), ShapeError, "Dropout1d takes sequences"),
    ],
)
def test_what_does_not_fit_is_named(layer: Any, shape: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        layer(np.ones(shape))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Upsample(), "either size or scale_factor"),
        (lambda: nn.Upsample(2, 2), "either size or scale_factor"),
        (lambda: nn.Upsample(2, mode="cubic"), "nearest, linear, bilinear, not 'cubic'"),
        (lambda: nn.Upsample(2, align_corners=True), "align_corners is an option of"),
        (lambda: nn.Unflatten(1, 4), "a tuple of lengths"),
        (lambda: nn.Unflatten(1, (-1, -1)), "one may be -1"),
    ],
)
def test_options_that_do_not_fit_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.MaxPool2d(2), "MaxPool2d(2)"),
        (nn.MaxPool2d((2, 3), 1, 1, 2), "MaxPool2d((2, 3), stride=1, padding=1, dilation=2)"),
        (nn.MaxPool1d(2, ceil_mode=True), "MaxPool1d(2, ceil_mode=True)"),
        (nn.AvgPool2d(2, 2), "AvgPool2d(2)"),
        (nn.AvgPool1d(2, 1, 1, False, False), "AvgPool1d(2, stride=1, padding=1, "
         "count_include_pad=False)"),
        (nn.AdaptiveAvgPool2d((1, None)), "AdaptiveAvgPool2d((1, None))"),
        (nn.Upsample(scale_factor=2), "Upsample(scale_factor=2, mode='nearest')"),
        (nn.Flatten(), "Flatten(1)"),
        (nn.Flatten(0, 1), "Flatten(0, 1)"),
        (nn.Unflatten(1, [2, 3]), "Unflatten(1, (2, 3))"),
        (nn.Dropout2d(0.1), "Dropout2d(0.1)"),
    ],
)  # fmt: skip
def test_the_repr_is_the_call(layer: Any, text: str) -> None:
    assert repr(layer) == text


@pytest.mark.parametrize(
    ("make", "shape"), [(nn.Dropout1d, (50, 40, 3)), (nn.Dropout2d, (50, 40, 3, 2))]
)
def test_whole_channels_are_dropped(make: Any, shape: Any) -> None:
    layer = make(0.3, rng=RNG(0))
    y = layer(np.ones(shape, np.float32))
    assert y.dtype == np.float32
    channels = y.reshape(50, 40, -1)
    np.testing.assert_array_equal(channels, np.broadcast_to(channels[..., :1], channels.shape))
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.7], rtol=1e-6)
    assert abs(np.mean(y == 0) - 0.3) < 0.03
    np.testing.assert_array_equal(layer.eval()(np.ones(shape)), np.ones(shape))
    convolution = nn.Conv1d if make is nn.Dropout1d else nn.Conv2d
    assert_trains_alike_compiled(
        nn.Sequential(convolution(40, 3, 1, rng=RNG(0)), layer.train()), shape
    )
