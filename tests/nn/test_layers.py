"""Layers: written-out formulas, shapes, initial values, sparse input, what they refuse."""

from __future__ import annotations

import copy
import re
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.special

import gradlite as gl
from gradlite import nn
from gradlite.autodiff.rule import RULES
from gradlite.autodiff.rules.fused import linear
from gradlite.errors import DtypeError, ShapeError
from gradlite.nn.embedding import Bilinear, Embedding
from gradlite.nn.module import Module
from tests.helpers import nodes_behind, unaddressed

RNG = np.random.default_rng
F32 = np.float32


def x_of(*shape: int, dtype: Any = F32) -> np.ndarray:
    return RNG(0).standard_normal(shape).astype(dtype)


# -- Linear -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 4, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_a_product_with_the_transposed_weight(shape: Any, bias: bool) -> None:
    layer, x = nn.Linear(3, 2, bias=bias, dtype=float), x_of(*shape, dtype=float)
    W, b = layer.weight.data, layer.bias.data if layer.bias is not None else 0
    y = layer(x)
    assert len(list(nodes_behind(y))) == 1
    np.testing.assert_allclose(y.data, np.einsum("...i,oi->...o", x, W) + b)
    g = x_of(*y.shape, dtype=float)
    y.backward(g)
    np.testing.assert_allclose(
        layer.weight.grad, np.einsum("no,ni->oi", g.reshape(-1, 2), x.reshape(-1, 3))
    )
    if layer.bias is not None:
        np.testing.assert_allclose(layer.bias.grad, g.reshape(-1, 2).sum(0))


def test_linear_writes_gradients_into_the_memory_of_the_last_step() -> None:
    layer, x = nn.Linear(3, 2), x_of(5, 3)
    layer(x).sum().backward()
    buffers = [weakref.ref(p.grad) for p in layer.parameters()]
    once = layer.weight.grad.copy()
    layer.zero_grad()
    layer(2 * x).sum().backward()
    assert all(p.grad is buffer() for p, buffer in zip(layer.parameters(), buffers, strict=True))
    np.testing.assert_allclose(layer.weight.grad, 2 * once, rtol=1e-6)
    layer(x).sum().backward()
    np.testing.assert_allclose(layer.weight.grad, 3 * once, rtol=1e-6)


def test_the_rules_of_linear_write_to_the_memory_they_are_handed() -> None:
    x, W, g = x_of(5, 3), x_of(2, 3), x_of(5, 2)
    for i, shape in ((1, (2, 3)), (2, (2,))):
        out = np.full(shape, np.nan, F32)
        assert RULES[linear].vjps[i](g, None, x, W, None, out=out) is out
        assert np.isfinite(out).all()


@pytest.mark.parametrize("kind", ["csr_array", "csr_matrix", "csc_array", "coo_array"])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_of_sparse_rows_is_that_of_dense_ones(kind: str, bias: bool) -> None:
    x = x_of(5, 3) * (RNG(1).random((5, 3)) < 0.5)
    layer, other = (nn.Linear(3, 2, bias=bias, rng=RNG(0)) for _ in range(2))
    y, expected = layer(getattr(scipy.sparse, kind)(x)), other(x)
    assert y.dtype == F32
    assert type(y.data) is np.ndarray
    np.testing.assert_allclose(y.data, expected.data, rtol=1e-5, atol=1e-6)
    (y * y).sum().backward()
    (expected * expected).sum().backward()
    for mine, right in zip(layer.parameters(), other.parameters(), strict=True):
        assert mine.grad.dtype == F32
        np.testing.assert_allclose(mine.grad, right.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [np.ones, lambda shape: scipy.sparse.csr_array(np.ones(shape))])
def test_linear_names_itself_and_the_shape_it_got(make: Any) -> None:
    message = "Linear(3, 4) got an input of shape (5, 2): expected (..., 3)."
    with pytest.raises(ShapeError, match=re.escape(message)):
        nn.Linear(3, 4)(make((5, 2)))


def test_linear_takes_lists() -> None:
    assert nn.Linear(2, 1)([[1.0, 2.0]]).shape == (1, 1)


def test_linear_starts_within_the_bound_and_from_the_seed() -> None:
    layer = nn.Linear(400, 50, rng=RNG(0))
    for p in layer.parameters():
        assert p.dtype == F32
        assert 0.9 / 20 < abs(p.data).max() <= 1 / 20
    rng = RNG(0)
    weight, bias = rng.uniform(-0.05, 0.05, (50, 400)), rng.uniform(-0.05, 0.05, 50)
    np.testing.assert_array_equal(layer.weight.data, weight.astype(F32))
    np.testing.assert_array_equal(layer.bias.data, bias.astype(F32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nn.Linear([64, 32], 10),
            r"Linear: in_features must be an integer, not .*\[64, 32\]",
        ),
        (lambda: nn.Linear(64, [10]), "out_features"),
        (lambda: nn.Linear(2.5, 1), "2.5"),
        (lambda: Embedding("a", 1), "num_embeddings"),
        (lambda: Bilinear(1, None, 2), "in2_features"),
    ],
)
def test_sizes_are_integers(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def test_sizes_are_positive() -> None:
    with pytest.raises(ValueError, match=r"Linear: out_features must be at least 1, not 0"):
        nn.Linear(3, 0)


# -- Bilinear and Embedding -------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (), (2, 3), (0,)])
def test_bilinear_is_a_form_for_each_output(shape: Any) -> None:
    layer = Bilinear(3, 4, 2, dtype=float).requires_grad_(False)
    x, y = x_of(*shape, 3, dtype=float), x_of(*shape, 4, dtype=float)
    expected = np.einsum("...i,oij,...j->...o", x, layer.weight.data, y) + layer.bias.data
    np.testing.assert_allclose(layer(x, y).data, expected, atol=1e-14)
    gl.check_grads(layer, (x, y), order=2)


def test_bilinear_names_the_shapes_it_got() -> None:
    with pytest.raises(ShapeError, match=r"Bilinear\(3, 4, 2\) got .*\(5, 3\) and \(6, 4\)"):
        Bilinear(3, 4, 2)(np.ones((5, 3)), np.ones((6, 4)))


def test_embedding_adds_up_the_gradients_of_rows_taken_twice() -> None:
    table, indices = Embedding(4, 2, dtype=float), np.array([[1, 3], [1, 1]])
    y = table(indices)
    np.testing.assert_array_equal(y.data, table.weight.data[indices])
    g = x_of(2, 2, 2, dtype=float)
    y.backward(g)
    expected = np.zeros((4, 2))
    for row, index in zip(g.reshape(-1, 2), indices.ravel(), strict=True):
        expected[index] += row
    np.testing.assert_allclose(table.weight.grad, expected)


@pytest.mark.parametrize("padding_idx", [1, -3])
def test_padding_is_zero_and_gets_no_gradient(padding_idx: int) -> None:
    table = Embedding(4, 2, padding_idx=padding_idx)
    assert (table.weight.data == 0).all(axis=1).tolist() == [False, True, False, False]
    table([1, 2, 1, 3]).sum().backward()
    np.testing.assert_array_equal(table.weight.grad, [[0, 0], [0, 0], [1, 1], [1, 1]])
    assert repr(table) == "Embedding(4, 2, padding_idx=1) (8 parameters)"


@pytest.mark.parametrize("indices", [[0, 4], [-1, 0], np.array([200], np.uint8)])
def test_embedding_refuses_rows_that_it_does_not_have(indices: Any) -> None:
    with pytest.raises(IndexError, match="from 0 to 3, not"):
        Embedding(4, 2)(indices)


def test_embedding_needs_integer_indices() -> None:
    with pytest.raises(DtypeError, match="float64"):
        Embedding(4, 2)([1.0])
    with pytest.raises(IndexError):
        Embedding(4, 2, padding_idx=4)


# -- Dropout ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.SFC64])
@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.99])
def test_dropout_drops_as_often_as_it_says(p, kind):
    layer = nn.Dropout(p, rng=np.random.Generator(kind(0)))
    dropped = layer(np.ones((1001, 999))) == 0
    assert np.mean(dropped) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / dropped.size))
    pairs = np.mean(dropped[:, 1:] & dropped[:, :-1])  # parts of one draw are independent
    assert pairs == pytest.approx(p**2, abs=5 * p / np.sqrt(dropped.size))


def test_dropout_keeps_the_mean_and_scales_the_gradient_alike() -> None:
    layer = nn.Dropout(0.2, rng=RNG(0))
    x = gl.Tensor(np.ones((100, 100), F32), requires_grad=True)
    y = layer(x)
    assert len(list(nodes_behind(y))) == 1
    assert y.dtype == F32
    assert set(np.unique(y.data)) == {F32(0), F32(1.25)}
    assert np.mean(y.data == 0) == pytest.approx(0.2, abs=0.02)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5).eval(), nn.Dropout(0.0)])
def test_dropout_does_nothing_in_use_or_with_p_0(layer: Module) -> None:
    x = np.ones(3)
    assert layer(x) is x


def test_dropout_draws_from_its_own_generator() -> None:
    x = np.ones(50, F32)
    layer = nn.Dropout(0.5, rng=RNG(3))
    twin = copy.deepcopy(layer)
    first = layer(x)
    np.testing.assert_array_equal(first, twin(x))
    assert not np.array_equal(first, layer(x))
    np.testing.assert_array_equal(first, nn.Dropout(0.5, rng=RNG(3))(x.astype(float)))


def test_dropout_takes_integers() -> None:
    assert set(np.unique(nn.Dropout(0.5, rng=RNG(0))(np.ones(50, int)))) == {0.0, 2.0}


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, np.nan])
def test_dropout_needs_a_probability(p: float) -> None:
    with pytest.raises(ValueError, match=r"0 <= p < 1"):
        nn.Dropout(p)


# -- shapes and activations -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "shape", "expected"),
    [(1, (2, 3, 4), (2, 12)), (0, (2, 3), (6,)), (-2, (2, 3, 4), (2, 12)), (1, (0, 3, 2), (0, 6))],
)
def test_flatten(start: int, shape: Any, expected: Any) -> None:
    assert nn.Flatten(start)(gl.Tensor(np.ones(shape))).shape == expected


def test_flatten_needs_the_axis() -> None:
    with pytest.raises(ShapeError, match=r"Flatten\(1\) got an input of shape \(3,\)"):
        nn.Flatten()(np.ones(3))


@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        (nn.Identity(), lambda x: x),
        (nn.ReLU(), lambda x: x * (x > 0)),
        (nn.LeakyReLU(), lambda x: np.where(x > 0, x, 0.01 * x)),
        (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
        (nn.ELU(), lambda x: np.where(x > 0, x, np.exp(x) - 1)),
        (nn.ELU(0.5), lambda x: np.where(x > 0, x, 0.5 * (np.exp(x) - 1))),
        (nn.Tanh(), lambda x: 1 - 2 / (np.exp(2 * x) + 1)),
        (nn.Sigmoid(), scipy.special.expit),
        (nn.Softplus(), lambda x: np.log(1 + np.exp(x))),
        (nn.SiLU(), lambda x: x / (1 + np.exp(-x))),
        (nn.GELU(), lambda x: x * (1 + scipy.special.erf(x / np.sqrt(2))) / 2),
        (nn.Softmax(), lambda x: scipy.special.softmax(x, axis=1)),
        (nn.Softmax(dim=0), lambda x: scipy.special.softmax(x, axis=0)),
        (nn.LogSoftmax(dim=1), lambda x: scipy.special.log_softmax(x, axis=1)),
        (nn.LogSoftmax(0), lambda x: scipy.special.log_softmax(x, axis=0)),
    ],
    ids=unaddressed,
)
def test_activations_apply_their_functions(layer: Module, formula: Any) -> None:
    x = x_of(4, 3, dtype=float)
    np.testing.assert_allclose(layer(x), formula(x), rtol=1e-12)
    assert layer(gl.Tensor(x.astype(F32), requires_grad=True)).dtype == F32
    assert layer.parameters() == []


# -- Sequential and Residual ------------------------------------------------------------------


def test_sequential_applies_in_order() -> None:
    net, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), x_of(5, 3)
    np.testing.assert_array_equal(net(x).data, net[2](gl.relu(net[0](x))).data)
    assert [name for name, _ in net.named_parameters()] == [
        "0.weight", "0.bias", "2.weight", "2.bias",
    ]  # fmt: skip
    assert nn.Sequential()(x) is x


def test_sequential_is_a_sequence() -> None:
    parts = [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)]
    net = nn.Sequential(*parts)
    net.eval()
    assert len(net) == 3
    assert list(net) == parts
    assert net[-1] is parts[2]
    assert list(net[1:]) == parts[1:]
    assert net[1:].append(parts[0])[2] is parts[0]
    with pytest.raises(IndexError):
        net[3]


def test_sequential_names_its_parts() -> None:
    net = nn.Sequential(OrderedDict(hidden=nn.Linear(3, 4), act=nn.ReLU(), out=nn.Linear(4, 2)))
    assert list(net.state_dict()) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    assert net.hidden is net[0]
    net.out = nn.Linear(4, 5)
    assert net(x_of(1, 3)).shape == (1, 5)


@pytest.mark.parametrize("name", ["forward", "a.b", "", 1])
def test_sequential_refuses_names_that_would_not_work(name: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        nn.Sequential({name: nn.ReLU()})


@pytest.mark.parametrize(
    ("part", "remedy"),
    [
        ([nn.ReLU()], r"Sequential\(\*layers\)"),
        (nn.ReLU, r"ReLU\(\)"),
        (gl.relu, "module of that activation"),
        (3, "forward"),
    ],
)
def test_sequential_consists_of_modules(part: Any, remedy: str) -> None:
    with pytest.raises(TypeError, match=remedy):
        nn.Sequential(part)


def test_residual_adds_the_input() -> None:
    block, x = nn.Residual(nn.Linear(3, 3), nn.Tanh()), x_of(5, 3)
    np.testing.assert_allclose(block(x).data, x + np.tanh(block.body[0](x).data))
    block = nn.Residual(nn.Linear(3, 2), shortcut=nn.Linear(3, 2, bias=False))
    np.testing.assert_allclose(block(x).data, block.body(x).data + block.shortcut(x).data)
    assert list(block.state_dict()) == ["body.0.weight", "body.0.bias", "shortcut.weight"]


def test_residual_names_the_way_out_of_a_shape_that_changes() -> None:
    message = r"\(5, 2\) to x of shape \(5, 3\).*shortcut="
    with pytest.raises(ShapeError, match=message):
        nn.Residual(nn.Linear(3, 2))(x_of(5, 3))
    with pytest.raises(ShapeError, match=r"to shortcut\(x\) of shape \(5, 1\)"):
        nn.Residual(nn.Linear(3, 2), shortcut=nn.Linear(3, 1))(x_of(5, 3))


def test_a_network_learns_and_float32_stays() -> None:
    rng = RNG(0)
    net = nn.Sequential(
        nn.Linear(2, 16, rng=rng), nn.ReLU(), nn.Residual(nn.Linear(16, 16, rng=rng), nn.Tanh()),
        nn.Linear(16, 2, rng=rng),
    )  # fmt: skip
    x = rng.standard_normal((200, 2)).astype(F32)
    y = (x[:, 0] * x[:, 1] > 0).astype(int)  # no line parts these classes
    for _ in range(150):
        net.zero_grad()
        loss = gl.cross_entropy(net(x), y)
        loss.backward()
        for p in net.parameters():
            p.data -= F32(0.5) * p.grad
    assert loss.dtype == F32
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype(F32)}
    assert np.mean(net(x).data.argmax(1) == y) > 0.95


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Linear(3, 2, rng=0), (4, 3)), (nn.Conv1d(3, 2, 1, rng=0), (4, 3, 5)),
     (nn.Conv2d(3, 2, 1, rng=0), (4, 3, 5, 5))],
    ids=["Linear", "Conv1d", "Conv2d"],
)  # fmt: skip
def test_an_input_in_float64_does_not_make_a_network_of_float32_compute_in_it(layer, shape):
    x = np.random.default_rng(0).normal(size=shape)
    as_leaf = gl.Tensor(x, requires_grad=True)
    for given in (x, as_leaf):
        out = layer(given)
        assert out.dtype == np.float32
        np.testing.assert_array_equal(out.data, layer(x.astype(np.float32)).data)
    out.sum().backward()
    assert as_leaf.grad.dtype == np.float64
    layer.requires_grad_(False)
    assert gl.compile(lambda given: layer(given).sum())(x).dtype == np.float32
    assert layer.astype(np.float64)(x).dtype == np.float64
    assert layer(x.astype(np.float32)).dtype == np.float64  # the type of the weights
