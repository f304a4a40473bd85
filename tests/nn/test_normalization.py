"""Normalization layers: plain formulas, running statistics, the switch to use, what they refuse."""

from __future__ import annotations

import math
import pickle
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.autodiff.rules.normalization import batch_norm, layer_norm
from gradlite.errors import ShapeError
from gradlite.nn import Linear, Sequential
from gradlite.nn.normalization import BatchNorm1d, LayerNorm
from tests.helpers import nodes_behind
from tests.nn.compiled import assert_trains_alike_compiled
from tests.nn.torch_numbers import NORMALIZATION, observed

RNG = np.random.default_rng
SHAPES = [(6, 3), (4, 3, 5)]


def batches(shape: tuple[int, ...], count: int = 4) -> list[np.ndarray]:
    """Draw batches whose channels have means and variances far from 0 and 1."""
    rng = RNG(0)
    scale = np.reshape([0.5, 2.0, 5.0], (3, *[1] * (len(shape) - 2)))
    return [rng.standard_normal(shape) * scale + 3 * scale for _ in range(count)]


def by_channel(x: np.ndarray) -> np.ndarray:
    """Put all numbers of a channel in a row."""
    return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)


def perturbed(layer: Any, seed: int = 1) -> Any:
    for p in layer.parameters():
        p.data += RNG(seed).standard_normal(p.shape)
    return layer


# -- batches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_is_brought_to_mean_0_and_variance_1(shape: Any) -> None:
    (x,) = batches(shape, 1)
    layer = BatchNorm1d(3, eps=0.0, dtype=float)
    y = by_channel(layer(x).data)
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(1), 1)
    layer.weight.data[:], layer.bias.data[:] = [1, 2, 3], [4, 5, 6]
    y = by_channel(layer(x).data)
    np.testing.assert_allclose(y.mean(1), [4, 5, 6])
    np.testing.assert_allclose(y.std(1), [1, 2, 3])


@pytest.mark.parametrize("shape", SHAPES)
def test_running_statistics_decay(shape: Any) -> None:
    layer = BatchNorm1d(3, momentum=0.3, dtype=float)
    seen = batches(shape)
    mean, var = np.zeros(3), np.ones(3)
    for x in seen:
        layer(x)
        mean = 0.7 * mean + 0.3 * by_channel(x).mean(1)
        var = 0.7 * var + 0.3 * by_channel(x).var(1, ddof=1)
    np.testing.assert_allclose(layer.running_mean, mean)
    np.testing.assert_allclose(layer.running_var, var)
    assert layer.num_batches_tracked == len(seen)


def test_without_momentum_the_running_statistics_are_plain_averages() -> None:
    layer = BatchNorm1d(3, momentum=None, dtype=float)
    seen = [by_channel(x) for x in batches((6, 3))]
    for x in seen:
        layer(x.T)
    np.testing.assert_allclose(layer.running_mean, np.mean([x.mean(1) for x in seen], 0))
    np.testing.assert_allclose(layer.running_var, np.mean([x.var(1, ddof=1) for x in seen], 0))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_in_use_the_running_statistics_count(shape: Any, affine: bool) -> None:
    layer = perturbed(BatchNorm1d(3, affine=affine, dtype=float))
    *seen, x = batches(shape)
    for batch in seen:
        layer(batch)
    kept = layer.state_dict()
    layer.eval()
    y = gl.Tensor(layer(x)).data
    weight, bias = (layer.weight.data, layer.bias.data) if affine else (np.ones(3), np.zeros(3))
    for c in range(3):
        z = (x[:, c] - layer.running_mean[c]) / np.sqrt(layer.running_var[c] + 1e-5)
        np.testing.assert_allclose(y[:, c], z * weight[c] + bias[c])
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, kept[name])


@pytest.mark.parametrize("shape", SHAPES)
def test_in_eval_mode_no_row_depends_on_the_others(shape: Any) -> None:
    layer = perturbed(BatchNorm1d(3))
    x, y = (batch.astype(np.float32) for batch in batches(shape, 2))
    layer(y)
    layer.eval()
    whole = layer(x).data
    np.testing.assert_array_equal(layer(x[:1]).data, whole[:1])
    np.testing.assert_array_equal(layer(x[1::2]).data, whole[1::2])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_of_both_orders(shape: Any, training: bool) -> None:
    layer = BatchNorm1d(3, dtype=float).train(training)
    layer.running_var[:] = [0.5, 2.0, 3.0]
    (x,) = batches(shape, 1)

    def f(x: Any, weight: Any, bias: Any) -> Any:
        layer.weight, layer.bias = weight, bias
        return layer(x)

    gl.check_grads(f, (x, np.array([1.0, -2.0, 0.5]), np.ones(3)), order=2)


def test_without_running_statistics_the_batch_counts_in_use_too() -> None:
    layer = BatchNorm1d(3, track_running_stats=False)
    (x,) = batches((6, 3), 1)
    np.testing.assert_array_equal(layer(x).data, layer.eval()(x).data)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_training_is_one_operation() -> None:
    for layer in (BatchNorm1d(3), LayerNorm(3)):
        x = gl.Tensor(batches((6, 3), 1)[0], requires_grad=True)
        assert len(list(nodes_behind(layer(x)))) == 1


def test_a_second_derivative_leaves_the_running_statistics_alone() -> None:
    layer = BatchNorm1d(2, dtype=float)
    gl.hvp(lambda x: (layer(x) ** 3).sum(), RNG(0).standard_normal((4, 2)), np.ones((4, 2)))
    assert layer.num_batches_tracked == 1


@pytest.mark.parametrize("shape", [(1, 3), (0, 3), (1, 3, 1)])
def test_one_row_cannot_be_trained_on(shape: Any) -> None:
    layer = BatchNorm1d(3)
    with pytest.raises(ValueError, match="more than one number per channel"):
        layer(np.ones(shape, np.float32))
    assert layer.eval()(np.ones(shape, np.float32)).shape == shape


@pytest.mark.parametrize("shape", [(3,), (6, 4), (4, 4, 3), (2, 3, 4, 5)])
def test_a_shape_that_does_not_fit_is_named(shape: Any) -> None:
    with pytest.raises(ShapeError, match=r"BatchNorm1d\(3\).*expected \(n, 3\)") as refusal:
        BatchNorm1d(3)(np.ones(shape))
    assert str(shape) in str(refusal.value)


def test_the_functions_refuse_what_does_not_fit() -> None:
    x = np.ones((4, 3))
    with pytest.raises(ShapeError, match=r"\(n, channels\)"):
        batch_norm(np.ones(3))
    with pytest.raises(ShapeError, match=r"shape \(3,\), not \(2,\)"):
        batch_norm(x, np.ones(2))
    with pytest.raises(ShapeError, match=r"shape \(3,\), not \(1,\)"):
        batch_norm(x, running=(np.zeros(1), np.ones(1)))
    with pytest.raises(ShapeError, match=r"shape \(3,\).*not \(4, 3\)"):
        layer_norm(x, np.ones((4, 3)), normalized_shape=(3,))


# -- rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (6, 4), (2, 3, 4)])
def test_a_row_is_brought_to_mean_0_and_variance_1(shape: Any) -> None:
    x = 5 * RNG(0).standard_normal(shape) + 3
    y = LayerNorm(4, eps=0.0, dtype=float)(x).data
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(-1), 1)


def test_a_layer_scales_and_shifts_each_element() -> None:
    x = RNG(0).standard_normal((5, 3, 2))
    layer = perturbed(LayerNorm((3, 2), eps=0.1, dtype=float))
    for row, y in zip(x, layer(x).data, strict=True):
        z = (row - row.mean()) / np.sqrt(row.var() + 0.1)
        np.testing.assert_allclose(y, z * layer.weight.data + layer.bias.data)


def test_each_row_is_normalized_by_itself() -> None:
    layer, x = LayerNorm(4), RNG(0).standard_normal((6, 4)).astype(np.float32)
    np.testing.assert_allclose(layer(x[2:4]).data, layer(x).data[2:4], rtol=1e-6)


@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (4, 1)])
def test_a_row_that_does_not_fit_is_named(shape: Any) -> None:
    with pytest.raises(ShapeError, match=r"LayerNorm\(4\).*expected \(..., 4\)") as refusal:
        LayerNorm(4)(np.ones(shape))
    assert str(shape) in str(refusal.value)


# -- images, groups, root mean squares ------------------------------------------------------------


@pytest.mark.parametrize(("call", "shape", "expected"), NORMALIZATION)
def test_layers_give_torchs_numbers(call: str, shape: Any, expected: Any) -> None:
    np.testing.assert_allclose(observed(call, shape), expected, rtol=1e-8, atol=1e-9)


def test_images_and_volumes_are_sequences_of_their_pixels() -> None:
    x = RNG(0).standard_normal((3, 2, 4, 2, 3))
    layers = [make(2, dtype=float) for make in (BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)]
    results = [
        layer(x.reshape(shape)).data
        for layer, shape in zip(layers, [(3, 2, 24), (3, 2, 8, 3), x.shape], strict=True)
    ]
    for layer, y in zip(layers[1:], results[1:], strict=True):
        np.testing.assert_allclose(y.reshape(3, 2, 24), results[0], rtol=1e-12)
        np.testing.assert_allclose(layer.running_var, layers[0].running_var)
        assert list(layer.state_dict()) == list(layers[0].state_dict())


LAYERS = [
    (lambda **kw: nn.BatchNorm2d(4, **kw), (2, 4, 3, 2)),
    (lambda **kw: nn.GroupNorm(2, 4, **kw), (2, 4, 3)),
    (lambda **kw: nn.InstanceNorm1d(4, affine=True, **kw), (2, 4, 3)),
    (lambda **kw: nn.InstanceNorm2d(4, **kw), (4, 3, 2)),
    (lambda **kw: nn.RMSNorm((4, 3), **kw), (2, 4, 3)),
]


@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_all_have_gradients_of_both_orders(make: Any, shape: Any) -> None:
    layer = make(dtype=float)
    names = [name for name, _ in layer.named_parameters()]

    def f(x: Any, *parameters: Any) -> Any:
        for name, p in zip(names, parameters, strict=True):
            setattr(layer, name, p)
        return layer(x)

    values = [RNG(1).standard_normal(p.shape) for p in layer.parameters()]
    gl.check_grads(f, (RNG(0).standard_normal(shape), *values), order=2)


@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_compiled_and_copied_layers_compute_the_same(make: Any, shape: Any) -> None:
    layer = make()
    x = RNG(0).standard_normal(shape).astype(np.float32)
    again = pickle.loads(pickle.dumps(deepcopy(layer)))
    np.testing.assert_array_equal(again(x).data, layer(x).data)
    assert gl.grad(lambda x: (layer(x) ** 2).sum())(x).dtype == np.float32
    head = Linear(math.prod(shape[1:]), 1, rng=RNG(0))
    assert_trains_alike_compiled(Sequential(layer, nn.Flatten(), head), shape)


def test_half_precision_holds_the_squares() -> None:
    x = np.full((1, 2), 1000, np.float16)
    y = nn.RMSNorm(2, dtype=np.float16)(x)
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y.data, [[1, 1]])


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm2d(3), (2, 3, 4), r"BatchNorm2d\(3\).*expected \(n, 3, height, width\).$"),
        (nn.BatchNorm3d(3), (2, 3, 4, 4), r"expected \(n, 3, depth, height, width\).$"),
        (nn.GroupNorm(2, 4), (2, 3, 4), r"GroupNorm\(2, 4\).*expected \(n, 4, ...\)"),
        (nn.InstanceNorm1d(3), (3,), r"expected \(n, 3, length\) or \(3, length\)"),
        (nn.InstanceNorm2d(3), (2, 3, 1, 1), "more than one number to a channel"),
        (nn.RMSNorm(3), (2, 4), r"RMSNorm\(3\).*expected \(..., 3\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(layer: Any, shape: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        layer(np.ones(shape, np.float32))


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"num_channels=4 .* multiple of num_groups=3"):
        nn.GroupNorm(3, 4)
    with pytest.raises(ValueError, match="track_running_stats=True is not available"):
        nn.InstanceNorm2d(3, track_running_stats=True)


# -- both -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [BatchNorm1d, LayerNorm])
def test_float32_stays_float32(make: Any) -> None:
    layer = make(3)
    x = gl.Tensor(batches((6, 3), 1)[0].astype(np.float32), requires_grad=True)
    for mode in (True, False):
        y = layer.train(mode)(x)
        y.backward(np.ones(y.shape, np.float32))
        assert {a.dtype for a in (y, x.grad, layer.weight.grad, layer.bias.grad)} == {
            np.dtype(np.float32)
        }
    assert {a.dtype for a in layer.buffers()} <= {np.dtype(np.float32), np.dtype(np.int64)}


def test_states_move_between_layers() -> None:
    first, second = perturbed(BatchNorm1d(3)), BatchNorm1d(3)
    for x in batches((6, 3)):
        first(x)
    state = first.state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    second.load_state_dict(state)
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(first.eval()(x).data, second.eval()(x).data)
    second.train()(batches((6, 3), 1)[0])
    assert second.num_batches_tracked == 5
    assert first.num_batches_tracked == 4


def test_a_network_with_normalization_learns() -> None:
    rng = RNG(0)
    x = (100 * rng.standard_normal((64, 3)) + 50).astype(np.float32)
    target = x[:, :1] > x[:, 1:2]
    net = Sequential(BatchNorm1d(3), Linear(3, 8, rng=rng), LayerNorm(8), Linear(8, 1, rng=rng))
    losses = []
    for _ in range(60):
        loss = np.square(net(x) - target).mean()
        losses.append(float(loss))
        net.zero_grad()
        loss.backward()
        for p in net.parameters():
            p.data -= 0.2 * p.grad
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (BatchNorm1d(3), "BatchNorm1d(3) (6 parameters)"),
        (
            BatchNorm1d(3, 1e-3, None, False, False),
            "BatchNorm1d(3, eps=0.001, momentum=None, affine=False, track_running_stats=False)",
        ),
        (nn.BatchNorm2d(3), "BatchNorm2d(3) (6 parameters)"),
        (nn.GroupNorm(2, 4, 1e-3), "GroupNorm(2, 4, eps=0.001) (8 parameters)"),
        (nn.InstanceNorm1d(4, affine=True), "InstanceNorm1d(4, affine=True) (8 parameters)"),
        (nn.RMSNorm(4), "RMSNorm(4) (4 parameters)"),
        (nn.RMSNorm((4, 2), 1e-6, False), "RMSNorm((4, 2), eps=1e-06, elementwise_affine=False)"),
        (LayerNorm(4), "LayerNorm(4) (8 parameters)"),
        (LayerNorm((4, 2), 1e-6), "LayerNorm((4, 2), eps=1e-06) (16 parameters)"),
        (LayerNorm([4], bias=False), "LayerNorm(4, bias=False) (4 parameters)"),
        (LayerNorm(4, elementwise_affine=False), "LayerNorm(4, elementwise_affine=False)"),
    ],
)
def test_the_repr_is_the_call(layer: Any, text: str) -> None:
    assert repr(layer) == text


def test_sizes_are_whole_numbers() -> None:
    with pytest.raises(ValueError, match="num_features"):
        BatchNorm1d(0)
    with pytest.raises(TypeError, match="normalized_shape"):
        LayerNorm((3, 0.5))
