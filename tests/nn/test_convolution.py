"""Convolution: loops written out, options as users give them, what is refused."""

from __future__ import annotations

import pickle
import tracemalloc
from copy import deepcopy
from itertools import product
from math import floor
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite.autodiff.rules import convolution as rules
from gradlite.autodiff.rules import strips, windows
from gradlite.autodiff.rules.convolution import (
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
)
from gradlite.errors import ShapeError
from gradlite.nn import AvgPool2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from gradlite.nn.convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from tests.helpers import nodes_behind
from tests.nn.compiled import assert_trains_alike_compiled
from tests.nn.torch_numbers import CONVOLUTION, observed

RNG = np.random.default_rng


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return RNG(seed).standard_normal(shape)


def pair(value: Any) -> Any:
    return value if isinstance(value, tuple) else (value, value)


def looped_conv2d(
    x: Any, w: Any, b: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolve by loops over every output and every element of the kernel."""
    (sy, sx), (py, px), (dy, dx) = map(pair, (stride, padding, dilation))
    n, channels, height, width = x.shape
    out, inputs, kh, kw = w.shape
    rows = floor((height + 2 * py - dy * (kh - 1) - 1) / sy + 1)
    places = floor((width + 2 * px - dx * (kw - 1) - 1) / sx + 1)
    padded = np.zeros((n, channels, height + 2 * py, width + 2 * px))
    padded[:, :, py : py + height, px : px + width] = x
    y = np.zeros((n, out, rows, places))
    for k, o, r, s in product(range(n), range(out), range(rows), range(places)):
        y[k, o, r, s] = b[o]
        first = o // (out // groups) * inputs
        for c, i, j in product(range(inputs), range(kh), range(kw)):
            y[k, o, r, s] += w[o, c, i, j] * padded[k, first + c, r * sy + i * dy, s * sx + j * dx]
    return y


# -- convolution ------------------------------------------------------------------------------


@pytest.fixture(params=["columns", "strips"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute by columns and by strips, however many channels there are."""
    monkeypatch.setattr(strips, "LEAST", 0 if request.param == "strips" else 10**9)


both_ways = pytest.mark.usefixtures("_both_ways")


@both_ways
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2, (1, 2)])
@pytest.mark.parametrize("padding", [0, 1, (2, 1)])
@pytest.mark.parametrize("stride", [1, 2, (2, 1)])
def test_images(stride: Any, padding: Any, dilation: Any, groups: int) -> None:
    x, w, b = normal(2, 4, 6, 5), normal(6, 4 // groups, 3, 2), normal(6)
    options = stride, padding, dilation, groups
    y = conv2d(x, w, b, *options)
    np.testing.assert_allclose(y, looped_conv2d(x, w, b, *options), rtol=1e-10, atol=1e-12)


@both_ways
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("dilation", [1, (2,)])
@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("stride", [1, (3,)])
def test_sequences_are_images_of_one_row(
    stride: Any, padding: Any, dilation: Any, groups: int
) -> None:
    x, w, b = normal(2, 3, 9), normal(3, 3 // groups, 2), normal(3)
    y = conv1d(x, w, b, stride, padding, dilation, groups)
    s, d = (v if isinstance(v, int) else v[0] for v in (stride, dilation))
    expected = looped_conv2d(x[:, :, None], w[:, :, None], b, (1, s), (0, padding), (1, d), groups)
    np.testing.assert_allclose(y, expected[:, :, 0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 2), (2, 1), (4, 1), (2, 3)])
def test_padding_same_keeps_the_size_and_puts_the_odd_zero_last(kernel: int, dilation: int) -> None:
    x, w = normal(2, 1, 7), normal(1, 1, kernel)
    total = dilation * (kernel - 1)
    padded = np.pad(x, ((0, 0), (0, 0), (total // 2, total - total // 2)))
    y = conv1d(x, w, padding="same", dilation=dilation)
    assert y.shape == x.shape
    np.testing.assert_allclose(y, conv1d(padded, w, dilation=dilation))


def test_padding_valid_is_none() -> None:
    x, w = normal(2, 1, 7), normal(1, 1, 3)
    np.testing.assert_array_equal(conv1d(x, w, padding="valid"), conv1d(x, w))


@both_ways
@pytest.mark.parametrize("padding", [1, "same"])
def test_derivatives_of_all_orders(padding: Any) -> None:
    arrays = normal(2, 2, 3, 4), normal(2, 1, 2, 2), normal(2)

    def f(x: Any, w: Any, b: Any) -> Any:
        return conv2d(x, w, b, padding=padding, groups=2) ** 3

    gl.check_grads(f, arrays, order=3)


@both_ways
def test_samples_are_taken_as_many_at_a_time_as_fit_the_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, w, g = normal(5, 2, 4, 4), normal(3, 2, 3, 3), normal(5, 3, 2, 2)
    window = windows.make_window("conv2d", x, (3, 3), 1, 0)

    def all_three() -> Any:
        return (
            rules.convolve(x, w, window=window, groups=1),
            rules.conv_input(g, w, size=(4, 4), window=window, groups=1),
            rules.conv_weight(g, x, window=window, groups=1),
        )

    whole = all_three()
    for bytes_of_samples in (1, 2 * 18 * 4 * x.itemsize):  # one sample at a time; two, and a rest
        monkeypatch.setattr(strips, "ROWS", 1)
        monkeypatch.setattr(windows, "CACHED", bytes_of_samples)
        for part, expected in zip(all_three(), whole, strict=True):
            np.testing.assert_allclose(part, expected, rtol=1e-12)


@both_ways
def test_the_memory_for_columns_is_bounded() -> None:
    x, w = np.ones((64, 8, 32, 32), np.float32), np.ones((8, 8, 5, 5), np.float32)
    tracemalloc.start()
    conv2d(x, w)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    columns = 25 * x.nbytes
    assert peak < columns / 5


def test_lists_and_numbers_of_other_types_are_taken() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(1, 1, 3, 3)
    w = np.ones((1, 1, 2, 2), np.float32)
    y = conv2d(image, w, stride=np.int64(1))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, [[[[8, 12], [20, 24]]]])
    np.testing.assert_array_equal(conv2d(image.tolist(), w.tolist()), y)


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ShapeError, r"\(channels, height, width\) for one .*, not \(2, 5\)", {"x": (2, 5)}),
        (ShapeError, r"\(1, 3, 5, 5\).*3 / 1.*not \(4, 2, 3, 3\)", {"x": (1, 3, 5, 5)}),
        (ShapeError, r"not \(4, 2, 3\)", {"weight": (4, 2, 3)}),
        (ShapeError, r"not \(4, 2, 0, 3\)", {"weight": (4, 2, 0, 3)}),
        (ShapeError, r"groups=3.*multiple of 3", {"x": (1, 6, 5, 5), "groups": 3}),
        (ShapeError, r"a bias of shape \(4,\), not \(1,\)", {"bias": (1,)}),
        (ShapeError, r"covers \(3, 3\).*\(1, 2, 2, 5\), \(2, 5\)", {"x": (1, 2, 2, 5)}),
        (ShapeError, r"covers \(5, 5\).*larger", {"x": (1, 2, 4, 4), "dilation": 2}),
        (ValueError, r"stride .* at least 1 or 2 of them, not 0", {"stride": 0}),
        (ValueError, r"stride .* not 1.5", {"stride": 1.5}),
        (ValueError, r"padding .* at least 0 .* not \(1, -1\)", {"padding": (1, -1)}),
        (ValueError, r"padding .* not 'some'", {"padding": "some"}),
        (ValueError, r"dilation .* not \(1, 1, 1\)", {"dilation": (1, 1, 1)}),
        (ValueError, r"groups must be an integer of at least 1, not 0", {"groups": 0}),
        (ValueError, r"'same' is for stride 1, not \(2, 2\)", {"padding": "same", "stride": 2}),
    ],
)
def test_what_does_not_fit_is_named(error: Any, message: str, arguments: Any) -> None:
    shapes = {"x": (1, 2, 5, 5), "weight": (4, 2, 3, 3), **arguments}
    call = {
        name: np.ones(value) if name in ("x", "weight", "bias") else value
        for name, value in shapes.items()
    }
    with pytest.raises(error, match=rf"^conv2d: .*{message}"):
        conv2d(**call)


# -- transposed convolution -------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("stride", "more"), [(1, 0), (2, 1), (3, 2)])
def test_a_transposed_convolution_is_the_gradient_of_a_convolution(
    stride: int, more: int, dilation: int, groups: int
) -> None:
    g, w = normal(2, 4, 3, 4), normal(4, 6 // groups, 3, 2)
    y = conv_transpose2d(g, w, None, stride, 1, more, groups, dilation)
    _, pull = gl.vjp(lambda x: conv2d(x, w, None, stride, 1, dilation, groups), np.zeros(y.shape))
    np.testing.assert_allclose(y, pull(g)[0], rtol=1e-12)


def test_a_transposed_convolution_has_derivatives_of_all_orders() -> None:
    arrays = normal(2, 2, 3), normal(2, 1, 2), normal(2)

    def f(x: Any, w: Any, b: Any) -> Any:
        return conv_transpose1d(x, w, b, 2, 1, 1, 2) ** 3

    gl.check_grads(f, arrays, order=2)


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ShapeError, r"needs a weight of shape \(2, out_channels / 1, .* not \(3, 2, 3\)", {}),
        (ShapeError, r"groups=3 needs", {"weight": (2, 4, 3), "groups": 3}),
        (ShapeError, r"an output of \(-1,\) is left", {"weight": (2, 4, 3), "padding": 4}),
        (ValueError, r"output_padding \(1,\) .* less .* \(1,\)",
         {"weight": (2, 4, 3), "output_padding": 1}),
        (ValueError, r"stride .* not 0", {"weight": (2, 4, 3), "stride": 0}),
    ],
)  # fmt: skip
def test_a_transposed_convolution_names_what_does_not_fit(
    error: Any, message: str, arguments: Any
) -> None:
    x, w = np.ones((1, 2, 5)), np.ones(arguments.pop("weight", (3, 2, 3)))
    with pytest.raises(error, match=rf"^conv_transpose1d: .*{message}"):
        conv_transpose1d(x, w, **arguments)


# -- layers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "shape", "expected"), CONVOLUTION)
def test_layers_give_torchs_numbers(call: str, shape: Any, expected: Any) -> None:
    np.testing.assert_allclose(observed(call, shape), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("make", [Conv1d, ConvTranspose1d])
def test_a_sample_alone_is_a_batch_of_one(make: Any) -> None:
    layer, x = make(2, 3, 3, rng=RNG(0)), normal(2, 7).astype(np.float32)
    np.testing.assert_array_equal(layer(x).data, layer(x[None]).data[0])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2d(2, 3, 3, padding=1, padding_mode="circular", rng=RNG(0)), (4, 2, 5, 5)),
        (Conv1d(32, 3, 3, padding="same", rng=RNG(0)), (4, 32, 9)),
        (ConvTranspose2d(2, 3, 4, 2, 1, rng=RNG(0)), (4, 2, 5, 5)),
        (ConvTranspose1d(2, 3, 3, rng=RNG(0)), (2, 5)),
    ],
)
def test_compiled_and_copied_layers_compute_the_same(layer: Any, shape: Any) -> None:
    x = normal(*shape).astype(np.float32)
    again = pickle.loads(pickle.dumps(deepcopy(layer)))
    np.testing.assert_array_equal(again(x).data, layer(x).data)
    assert_trains_alike_compiled(layer, shape)


@pytest.mark.parametrize(
    ("mode", "padding", "message"),
    [("reflect", 4, "needs one that is larger"), ("circular", 5, "needs one that is larger")],
)
def test_padding_from_an_input_that_is_too_short_is_refused(
    mode: str, padding: int, message: str
) -> None:
    with pytest.raises(ShapeError, match=rf"Conv1d\(2, 3.*\(1, 2, 4\).*{mode}.*{message}"):
        Conv1d(2, 3, 3, padding=padding, padding_mode=mode)(np.ones((1, 2, 4)))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv1d(2, 4, 3, rng=RNG(0)), (2, 2, 6)),
        (Conv1d(2, 4, 3, 2, 1, 1, 2, False, rng=RNG(0)), (2, 2, 6)),
        (Conv2d(2, 4, (3, 2), padding="same", rng=RNG(0)), (2, 2, 5, 4)),
    ],
)
def test_float32_stays_float32_in_one_operation(layer: Any, shape: Any) -> None:
    x = gl.Tensor(normal(*shape).astype(np.float32), requires_grad=True)
    y = layer(x)
    assert y.dtype == np.float32
    assert len(list(nodes_behind(y))) == 1
    y.backward(np.ones(y.shape, np.float32))
    for leaf in (x, *layer.parameters()):
        assert leaf.grad.dtype == np.float32
        assert leaf.grad.shape == leaf.shape
        assert np.any(leaf.grad)


def test_initial_values_are_uniform_within_the_fan_in() -> None:
    layer = Conv2d(8, 50, (3, 5), groups=2, rng=RNG(0))
    bound = 1 / np.sqrt(4 * 3 * 5)
    for p in layer.parameters():
        assert 0.9 * bound < abs(p.data).max() <= np.float32(bound)
        assert abs(p.data.mean()) < bound / 4
    again = Conv2d(8, 50, (3, 5), groups=2, rng=RNG(0))
    np.testing.assert_array_equal(layer.weight.data, again.weight.data)
    assert not np.array_equal(layer.weight.data, Conv2d(8, 50, (3, 5), groups=2).weight.data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(3, 8, 0), "Conv2d: kernel_size"),
        (lambda: Conv1d(3, 8, (3, 3)), "Conv1d: kernel_size"),
        (lambda: Conv2d(3, 8, 3, groups=2), "in_channels=3 .* multiples of groups=2"),
        (lambda: Conv2d(2, 3, 3, groups=2), "out_channels=3 .* multiples of groups=2"),
        (lambda: Conv2d(3, 8, 3, 2, "same"), "'same' is for stride 1"),
        (lambda: Conv2d(3, 8, 3, padding=-1), "Conv2d: padding"),
        (lambda: Conv2d(0, 8, 3), "in_channels"),
        (lambda: Conv2d(2, 3, 3, padding_mode="mirror"), "padding_mode must be .*'circular'"),
        (lambda: ConvTranspose2d(2, 3, 3, output_padding=-1), "output_padding"),
    ],
)
def test_layers_refuse_such_options_when_they_are_made(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_layers_name_themselves_where_an_input_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"Conv2d\(3, 8, .* \(5, 4, 9, 9\): expected \(n, 3, h"):
        Conv2d(3, 8, 3)(np.ones((5, 4, 9, 9)))
    with pytest.raises(
        ShapeError, match=r"Conv1d\(3, 8, .* \(5, 4\): .*\(n, 3, length\) or \(3, l"
    ):
        Conv1d(3, 8, 3)(np.ones((5, 4)))


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (Conv1d(2, 4, 3), "Conv1d(2, 4, (3,)) (28 parameters)"),
        (
            Conv2d(2, 4, (3, 1), 2, 1, (1, 2), 2, False),
            "Conv2d(2, 4, (3, 1), stride=(2, 2), padding=(1, 1), dilation=(1, 2), groups=2, "
            "bias=False) (12 parameters)",
        ),
        (
            Conv1d(2, 4, 3, padding="same", padding_mode="circular"),
            "Conv1d(2, 4, (3,), padding='same', padding_mode='circular') (28 parameters)",
        ),
        (
            ConvTranspose2d(2, 4, 3, 2, 1, 1),
            "ConvTranspose2d(2, 4, (3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1)) "
            "(76 parameters)",
        ),
    ],
)
def test_the_repr_is_the_call(layer: Any, text: str) -> None:
    assert repr(layer) == text


def test_a_network_learns_which_way_lines_run() -> None:
    rng = RNG(0)
    x = 0.3 * rng.standard_normal((64, 1, 8, 8)).astype(np.float32)
    upright = np.arange(64) % 2 == 0
    for image, up, at in zip(x[:, 0], upright, rng.integers(0, 8, 64), strict=True):
        (image.T if up else image)[at] += 1
    target = np.where(upright, 1, -1)[:, None].astype(np.float32)
    net = Sequential(
        Conv2d(1, 4, 3, padding=1, rng=rng), ReLU(), MaxPool2d(2), Conv2d(4, 4, 3, rng=rng),
        ReLU(), AvgPool2d(2), Flatten(), Linear(4, 1, rng=rng),
    )  # fmt: skip
    for _ in range(80):
        net.zero_grad()
        np.square(net(x) - target).mean().backward()
        for p in net.parameters():
            p.data -= 0.2 * p.grad
    assert np.mean((net(x).data > 0) == (target > 0)) > 0.95
