"""nn.utils: vectors of parameters, clipping by value, weights with a norm of their own."""

import copy
import pickle

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn, optim
from gradlite.errors import ShapeError
from gradlite.nn import utils
from tests.helpers import LAYOUTS, leaves

V = np.array([[3.0, 0.0, 4.0], [0.0, 5.0, 12.0]])


def layer(dtype=np.float64):
    made = nn.Linear(3, 2, dtype=dtype)
    made.weight.data[...] = V
    made.bias.data[...] = [0.5, -0.5]
    return made


def test_vectors_and_back():
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.dtype == np.float32
    np.testing.assert_array_equal(
        vector.data, np.concatenate([p.data.ravel() for p in net.parameters()])
    )
    (vector * np.arange(11.0, dtype=np.float32)).sum().backward()
    assert net[2].bias.grad == 10
    utils.vector_to_parameters(2 * vector, net.parameters())
    np.testing.assert_array_equal(optimizer.vectors[0].data, 2 * vector.data)  # still views of it


def test_a_vector_that_does_not_fit():
    net = nn.Linear(3, 2)
    before = net.state_dict()
    for size in (7, 9):
        with pytest.raises(ShapeError, match=rf"vector of shape \({size},\): expected \(8,\)"):
            utils.vector_to_parameters(np.zeros(size), net.parameters())
    assert repr(net.state_dict()) == repr(before)


def test_a_vector_written_between_forward_and_backward_is_an_error():
    (p,) = leaves(np.ones(3))
    loss = (p * p).sum()
    utils.vector_to_parameters(np.zeros(3), [p])
    with pytest.raises(gl.errors.MutationError):
        loss.backward()


@pytest.mark.parametrize("given", [list, iter, optim.SGD])
def test_clip_grad_value(given):
    p, q, r = leaves(np.ones(3), np.ones(()), np.ones(2))
    (p * np.array([0.2, -3.0, 7.0])).sum().backward()
    (q * -0.75).backward()
    assert utils.clip_grad_value_(given([p, q, r]), 0.5) is None
    assert p.grad.tolist() == [0.2, -0.5, 0.5]
    assert q.grad == -0.5
    assert r.grad is None


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_clip_grad_value_in_every_memory_layout(layout):
    g = np.arange(6.0).reshape(2, 3)
    (p,) = leaves(layout(np.zeros((2, 3))))
    (p * layout(g)).sum().backward()
    utils.clip_grad_value_(p, 2)
    np.testing.assert_array_equal(p.grad, np.minimum(g, 2))


def test_clip_grad_value_of_gradients_that_are_tensors():
    x, y = leaves(np.ones(2), np.ones(2))
    ((x + y) ** 3).sum().backward(create_graph=True)
    utils.clip_grad_value_([x], 0.5)
    assert x.grad.data.tolist() == [0.5, 0.5]
    assert y.grad.data.tolist() == [12.0, 12.0]


def test_clip_grad_norm_is_that_of_optim():
    assert utils.clip_grad_norm_ is optim.clip_grad_norm


# -- weight normalization ---------------------------------------------------------------------


def test_the_weight_stays_and_its_parts_are_trained():
    x = np.array([[1.0, 2.0, 3.0]])
    plain, normed = layer(), utils.weight_norm(layer())
    assert isinstance(normed, nn.Linear)
    assert repr(normed).startswith("Linear(3, 2)")
    assert {k: v.tolist() for k, v in normed.state_dict().items()} == {
        "bias": [0.5, -0.5],
        "weight_g": [[5.0], [13.0]],
        "weight_v": V.tolist(),
    }
    np.testing.assert_allclose(normed(x).data, plain(x).data)
    normed(x).sum().backward()
    # PyTorch 2.13: the gradients of g and v.
    np.testing.assert_allclose(normed.weight_g.grad, [[3.0], [46 / 13]])
    np.testing.assert_allclose(
        normed.weight_v.grad, [[-0.8, 2.0, 0.6], [1.0, 0.639053254, -0.266272189]], rtol=1e-6
    )
    normed.weight_v.data *= 7
    np.testing.assert_allclose(normed(x).data, plain(x).data)


@pytest.mark.parametrize(
    ("dim", "norm", "shape"),
    [
        (None, np.sqrt(194), ()),
        (1, [[3, 5, np.sqrt(160)]], (1, 3)),
        (-1, np.sqrt(194), ()),
    ],
)
def test_the_axis_of_the_norm(dim, norm, shape):
    normed = utils.weight_norm(layer(), dim=dim)
    assert normed.weight_g.shape == shape
    np.testing.assert_allclose(normed.weight_g.data, norm)
    np.testing.assert_allclose(normed.weight.data, V)


def test_the_kernel_of_a_convolution():
    conv = nn.Conv2d(2, 3, 3, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(2, 2, 5, 5)).astype(np.float32)
    before = conv(x).data
    utils.weight_norm(conv)
    assert conv.weight_g.shape == (3, 1, 1, 1)
    assert conv(x).dtype == np.float32
    np.testing.assert_allclose(conv(x).data, before, rtol=1e-5, atol=1e-6)


def test_two_weights_of_a_layer_and_back():
    x, y = np.random.default_rng(0).normal(size=(2, 4, 3))
    pair = nn.Bilinear(3, 3, 2, dtype=np.float64)
    before, kind = pair(x, y).data, type(pair)
    utils.weight_norm(utils.weight_norm(pair), "bias", dim=None)
    np.testing.assert_allclose(pair(x, y).data, before)
    assert sorted(pair.state_dict()) == ["bias_g", "bias_v", "weight_g", "weight_v"]
    utils.remove_weight_norm(pair, "weight")
    assert sorted(pair.state_dict()) == ["bias_g", "bias_v", "weight"]
    utils.remove_weight_norm(pair, "bias")
    assert type(pair) is kind
    np.testing.assert_allclose(pair(x, y).data, before)
    assert isinstance(pair.weight, nn.Parameter)


@pytest.mark.parametrize("way", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_normed_layer_is_copied_and_pickled(way):
    normed = utils.weight_norm(layer(np.float32))
    again = way(nn.Sequential(normed, nn.Tanh()))[0]
    again.weight_g.data = again.weight_g.data * 2
    assert again.weight.dtype == np.float32
    np.testing.assert_allclose(again.weight.data, 2 * V, rtol=1e-6)
    if way is not copy.copy:
        np.testing.assert_allclose(normed.weight.data, V, rtol=1e-6)
    assert type(again) is type(normed)


def test_a_normed_network_trains_compiled_as_on_the_tape():
    ends = []
    for compiled in (True, False):
        rng = np.random.default_rng(0)
        net = nn.Sequential(
            utils.weight_norm(nn.Linear(3, 5, rng=rng)), nn.Tanh(), nn.Linear(5, 1, rng=rng)
        )
        optimizer = optim.Adam(net.parameters(), lr=0.1)
        step = gl.compile_step(net, gl.mse, optimizer)
        for _ in range(5):
            x, y = (rng.normal(size=(4, n)).astype(np.float32) for n in (3, 1))
            if compiled:
                step(x, y)
                assert "weight_g" in step.source
            else:
                optimizer.zero_grad()
                gl.mse(net(x), y).backward()
                optimizer.step()
        ends.append(net.state_dict())
    for name, array in ends[0].items():
        np.testing.assert_allclose(array, ends[1][name], rtol=1e-5)


def test_what_weight_norm_refuses():
    with pytest.raises(ValueError, match="Tanh has no parameter 'weight'"):
        utils.weight_norm(nn.Tanh())
    normed = utils.weight_norm(layer())
    with pytest.raises(ValueError, match="Linear has no parameter 'weight'"):
        utils.weight_norm(normed)
    with pytest.raises(ValueError, match="'bias' of Linear has none"):
        utils.remove_weight_norm(normed, "bias")
