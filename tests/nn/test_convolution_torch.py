"""Convolution, pooling and normalization side by side with PyTorch's, states carried both ways."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import gradlite as gl
from gradlite import nn
from gradlite.autodiff.rules.convolution import conv1d, conv2d
from gradlite.autodiff.rules.pooling import avg_pool2d, max_pool2d
from tests.nn.torch_numbers import CASES, filled, make

torch = pytest.importorskip("torch", reason="torch is not installed: no peer to compare with")
F = torch.nn.functional


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def compare(ours: Any, its: Any, *arrays: np.ndarray, **tolerances: Any) -> None:
    """Compare the output of a function, and its gradients in all arguments, with the peer's."""
    near = tolerances or {"rtol": 1e-10, "atol": 1e-11}
    xs = [gl.Tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = ours(*xs), its(*ts)
    assert str(y.dtype) == str(t.dtype).removeprefix("torch.")
    np.testing.assert_allclose(y.data, t.detach().numpy(), **near)
    g = normal(*y.shape, seed=1).astype(y.dtype)
    y.backward(g)
    t.backward(torch.tensor(g))
    for x, peer in zip(xs, ts, strict=True):
        np.testing.assert_allclose(x.grad, peer.grad.numpy(), **near)


# -- functions --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [1, (1, 2)])
@pytest.mark.parametrize(
    ("stride", "padding"),
    [*product([1, 2, (2, 1)], [0, (2, 1), "valid"]), (1, "same")],
)
def test_conv2d(stride: Any, padding: Any, dilation: Any, groups: int) -> None:
    options = stride, padding, dilation, groups
    compare(
        lambda x, w, b: conv2d(x, w, b, *options),
        lambda x, w, b: F.conv2d(x, w, b, *options),
        normal(3, 4, 7, 8), normal(6, 4 // groups, 3, 2), normal(6),
    )  # fmt: skip


@pytest.mark.parametrize("options", [(1, 0, 1, 1), (2, 1, 2, 2), (1, "same", 2, 1)])
def test_conv1d(options: Any) -> None:
    compare(
        lambda x, w: conv1d(x, w, None, *options),
        lambda x, w: F.conv1d(x, w, None, *options),
        normal(3, 4, 9), normal(6, 4 // options[3], 3),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [float, np.float32])
@pytest.mark.parametrize("padding", [0, 1, (0, 1)])
@pytest.mark.parametrize("stride", [None, 1, (1, 3)])
@pytest.mark.parametrize("kernel", [2, (2, 3)])
def test_pooling_with_ties(kernel: Any, stride: Any, padding: Any, dtype: Any) -> None:
    x = np.random.default_rng(0).integers(0, 4, (2, 3, 9, 8)).astype(dtype)
    near = {"rtol": 1e-10, "atol": 1e-11} if dtype is float else {"rtol": 1e-5, "atol": 1e-5}
    for ours, its in (
        (max_pool2d, F.max_pool2d),
        (lambda *a: max_pool2d(*a, 2), lambda *a: F.max_pool2d(*a, 2)),
        (avg_pool2d, F.avg_pool2d),
    ):
        compare(
            lambda x, ours=ours: ours(x, kernel, stride, padding),
            lambda x, its=its: its(x, kernel, stride, padding),
            x,
            **near,
        )


def test_minus_infinity_is_not_mistaken_for_padding() -> None:
    x = np.full((1, 1, 3, 3), -np.inf)
    compare(lambda x: max_pool2d(x, 2, 2, 1), lambda x: F.max_pool2d(x, 2, 2, 1), x)


def test_the_second_derivative() -> None:
    x, w, b = normal(2, 2, 6, 6), normal(4, 1, 3, 3), normal(4)
    options = 1, 1, 1, 2

    def gradient(ours: Any, pool: Any, conv: Any, x: Any, w: Any, b: Any) -> Any:
        return (pool(conv(x, w, b, *options), 2, 1) ** 3).sum()

    X, W, B = (gl.Tensor(a, requires_grad=True) for a in (x, w, b))
    tx, tw, tb = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
    gradient(gl, max_pool2d, conv2d, X, W, B).backward(create_graph=True)
    penalty = (X.grad**2).sum() + (W.grad**2).sum()
    for leaf in (X, W, B):
        leaf.grad = None
    penalty.backward()
    total = gradient(torch, F.max_pool2d, F.conv2d, tx, tw, tb)
    gx, gw = torch.autograd.grad(total, (tx, tw), create_graph=True)
    ((gx**2).sum() + (gw**2).sum()).backward()
    for mine, its in ((X, tx), (W, tw), (B, tb)):
        np.testing.assert_allclose(mine.grad, its.grad.numpy(), rtol=1e-9, atol=1e-9)


# -- layers -----------------------------------------------------------------------------------


IMAGES, SERIES, ROWS = normal(4, 3, 8, 8), normal(4, 3, 10), normal(6, 3) * 5 + 2
MADE = {
    "Conv1d": (lambda of: of.Conv1d(3, 4, 3, 2, 1), SERIES),
    "Conv1d dilated": (lambda of: of.Conv1d(3, 6, 2, 1, "valid", 2, 3, False), SERIES),
    "Conv2d": (lambda of: of.Conv2d(3, 4, (3, 2), (1, 2), (0, 1)), IMAGES),
    "Conv2d same": (lambda of: of.Conv2d(3, 6, 3, 1, "same", 2, 3, False), IMAGES),
    "MaxPool2d": (lambda of: of.MaxPool2d(3, 2, 1), IMAGES),
    "AvgPool2d": (lambda of: of.AvgPool2d((2, 3), None, 1), IMAGES),
    "BatchNorm1d": (lambda of: of.BatchNorm1d(3), ROWS),
    "BatchNorm1d of series": (lambda of: of.BatchNorm1d(3, 1e-3, 0.3), SERIES),
    "BatchNorm1d averaging": (lambda of: of.BatchNorm1d(3, 1e-5, None, False), ROWS),
    "BatchNorm1d untracked": (lambda of: of.BatchNorm1d(3, 1e-5, 0.1, True, False), SERIES),
    "LayerNorm": (lambda of: of.LayerNorm(10), SERIES),
    "LayerNorm of two axes": (lambda of: of.LayerNorm((3, 10), 1e-3), SERIES),
    "LayerNorm plain": (lambda of: of.LayerNorm(10, 1e-5, False), SERIES),
    "LayerNorm without bias": (lambda of: of.LayerNorm(10, 1e-5, True, False), SERIES),
    "network": (
        lambda of: of.Sequential(
            of.Conv2d(3, 4, 3), of.ReLU(), of.MaxPool2d(2), of.Conv2d(4, 5, 2), of.AvgPool2d(2),
            of.Flatten(), of.BatchNorm1d(5), of.Linear(5, 4), of.LayerNorm(4),
        ),
        IMAGES,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_a_layer_computes_what_torchs_does(name: str) -> None:
    build, x = MADE[name]
    ours, peer = build(nn).astype(float), build(torch.nn).double()
    assert list(ours.state_dict()) == list(peer.state_dict())
    with torch.no_grad():
        for p in peer.parameters():
            p += torch.tensor(normal(*p.shape, seed=2))
    ours.load_state_dict(peer.state_dict())
    for seed in (3, 4):  # batches, of which the running statistics keep a trace
        compare(ours, peer, x + normal(*x.shape, seed=seed))
    for (_, mine), its in zip(ours.named_parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad, its.grad.numpy(), rtol=1e-9, atol=1e-10)
    for key, array in peer.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], array.numpy(), rtol=1e-12)
    compare(ours.eval(), peer.eval(), x[:1] if name != "BatchNorm1d untracked" else x)


@pytest.mark.parametrize("name", MADE)
def test_a_state_is_carried_to_torch(name: str) -> None:
    build, x = MADE[name]
    ours, peer = build(nn), build(torch.nn)
    x = x.astype(np.float32)
    ours(x)
    state = {key: torch.tensor(array) for key, array in ours.state_dict().items()}
    assert {k: v.dtype for k, v in state.items()} == {
        k: v.dtype for k, v in peer.state_dict().items()
    }
    peer.load_state_dict(state)
    compare(ours.eval(), peer.eval(), x, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(("call", "shape", "_"), CASES)
def test_a_call_means_the_same_in_torch(call: str, shape: Any, _: Any) -> None:
    ours, peer = make(nn, call).astype(float), make(torch.nn, call).double()
    assert list(ours.state_dict()) == list(peer.state_dict())
    ours.load_state_dict(filled(ours.state_dict()))
    peer.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    compare(ours, peer, normal(*shape))
    for mine, its in zip(ours.parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad, its.grad.numpy(), rtol=1e-9, atol=1e-10)
    for key, array in peer.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], array.numpy(), rtol=1e-12)


@pytest.mark.parametrize("of_one", ["Conv1d", "Conv2d"])
def test_layers_start_as_large_as_torchs(of_one: str) -> None:
    ours, its = (getattr(of, of_one)(16, 40, 3, groups=2) for of in (nn, torch.nn))
    for mine, peer in zip(ours.parameters(), its.parameters(), strict=True):
        assert mine.shape == tuple(peer.shape)
        assert mine.data.std() == pytest.approx(peer.detach().numpy().std(), rel=0.3)
